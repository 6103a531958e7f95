"""The proxy's own pages are not listed among the flows of mitmweb and mitmproxy: a status line asks for one
again and again.

Internals of mitmproxy 12.2 that this file leans on, to be checked at an upgrade: the add-on `view`, whose
`remove` kills a flow that is still live.
"""

import asyncio

from mitmproxy import http
from mitmproxy.addons.view import View

from addons.mitm.sink import addon

AGAIN = 0.5
"""Seconds after which a flow is looked at again that was still live."""


def unlist(flow: http.HTTPFlow) -> None:
    """`flow` has its answer: take it out of the list, once its client has that."""
    view = addon("view")
    if isinstance(view, View):
        asyncio.get_running_loop().call_soon(_unlist, view, flow)


def _unlist(view: View, flow: http.HTTPFlow) -> None:
    if flow.killable:
        asyncio.get_running_loop().call_later(AGAIN, _unlist, view, flow)
    else:
        view.remove([flow])

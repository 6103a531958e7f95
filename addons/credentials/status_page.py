"""GET http://rotator.local/status through the proxy: how the pools do, for programs on this machine."""

import json
from collections.abc import Callable, Mapping

from mitmproxy import http

from addons.config.loopback import is_loopback
from addons.credentials.overview import Overview
from addons.runtime.version import VERSION

HOST, PATH = "rotator.local", "/status"
_PORTS = (80, 443)
"""Not that of the proxy: whoever names this machine rotator.local could have a web page read it there."""


class StatusPage:
    """Answers requests for our own host, of which nothing ever leaves. `page_of` names the web page that one
    is from; empty: none."""

    def __init__(self, overview: Overview, page_of: Callable[[http.Request], str]) -> None:
        self._overview, self._page_of = overview, page_of

    def answer(self, flow: http.HTTPFlow) -> http.Response | None:
        """None: the request is for another host."""
        if flow.request.host.lower().removesuffix(".") != HOST:
            return None
        if self._page_of(flow.request) or not is_loopback(flow.client_conn.peername[0]):
            return _text(403, "only programs on the machine of the proxy may ask for its status")
        if flow.request.port not in _PORTS or flow.request.path.partition("?")[0] != PATH:
            return _text(404, f"there is http://{HOST}{PATH} alone")
        if flow.request.method not in ("GET", "HEAD"):
            return _text(405, "ask with GET", {"allow": "GET, HEAD"})
        said = {"version": VERSION, **self._overview.status()}
        return _response(200, json.dumps(said, indent=2) + "\n", "application/json")


def _text(status: int, text: str, headers: Mapping[str, str] | None = None) -> http.Response:
    response = _response(status, text + "\n", "text/plain; charset=utf-8")
    response.headers.update(headers or {})
    return response


def _response(status: int, text: str, kind: str) -> http.Response:
    return http.Response.make(status, text, {"content-type": kind, "cache-control": "no-store"})

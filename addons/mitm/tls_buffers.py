"""TLS of mitmproxy's connections keeps no buffer in which nothing is: 32 KiB for each open connection.

OpenSSL has room for a record in each direction, and gives it back while it is empty in the mode
SSL_MODE_RELEASE_BUFFERS, as Python's own `ssl` always does. That is said of a context before the first
connection is made of it, so it is said here as mitmproxy makes one.

Internals of mitmproxy 12.2 that this file leans on: `net.tls` makes contexts by the functions of MAKERS, each
an `lru_cache`; the tlsconfig add-on finds them in that module when a connection begins.
"""

import logging
from collections.abc import Callable
from functools import lru_cache

from mitmproxy.net import tls
from OpenSSL import SSL

MAKERS = ("create_client_proxy_context", "create_proxy_server_context")
"""Of contexts for connections of clients, and for those to servers."""

CONTEXTS = 256
"""How many are kept for connections to come, as mitmproxy keeps them."""

type _Maker = Callable[..., SSL.Context]

log = logging.getLogger("rotator.relay")


def release_empty() -> Callable[[], None]:
    """For contexts that are made from now on. Returns what puts mitmproxy's own makers back."""
    before = {name: getattr(tls, name, None) for name in MAKERS}
    makers = {name: getattr(maker, "__wrapped__", None) for name, maker in before.items()}
    if None in makers.values():
        log.warning("TLS keeps its buffers, which costs memory: mitmproxy makes contexts in another way")
        return lambda: None
    vars(tls).update({name: _releasing(maker) for name, maker in makers.items() if maker})
    return lambda: vars(tls).update(before)


def _releasing(make: _Maker) -> _Maker:
    @lru_cache(CONTEXTS)
    def made(**options: object) -> SSL.Context:
        context = make(**options)
        context.set_mode(SSL.MODE_RELEASE_BUFFERS)
        return context

    return made

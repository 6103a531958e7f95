"""The seam between the stream layer and who decides: a request is answered here, or forwarded as said."""

from collections.abc import Callable, Coroutine
from dataclasses import dataclass
from typing import Protocol

from mitmproxy import http
from mitmproxy.net.server_spec import ServerSpec
from mitmproxy.proxy import layer
from mitmproxy.proxy.context import Context

from addons.mitm.sink import Sink

type Responder = Callable[[Sink], Coroutine[None, None, None]]
"""Writes an answer. It runs as a task, and is cancelled when its client leaves."""

type Switch = Callable[[Context], layer.Layer]
"""Makes the layer that a connection goes to after a 101."""


class Killable(Protocol):
    """What is to stop when the user kills its flow."""

    def kill(self) -> None: ...

    def leave(self) -> None:
        """The proxy ends: take leave of the client, where the protocol has words for it."""
        ...


class Screen(Protocol):
    """Looks at one answer on its way from the server. What it raises breaks the answer."""

    def head(self, response: http.Response) -> None:
        """Make this head, in place, one that may be forwarded."""
        ...

    def feed(self, data: bytes) -> bytes:
        """What may be forwarded of the body's next bytes, now."""
        ...

    def remainder(self) -> bytes:
        """What is left of the body at its end."""
        ...

    def trailers(self, fields: http.Headers) -> http.Headers: ...


@dataclass(frozen=True, slots=True)
class Forwarding:
    """How a passed-through request leaves."""

    address: tuple[str, int]
    """Host and port of its server."""

    tls: bool
    """Whether the server speaks TLS."""

    head: Callable[[http.Request], http.Request]
    """Gets a copy of the request and returns the head as it leaves. It may change and return what it got,
    which never reaches `flow.request`. It must not raise."""

    failed: Callable[[str], Responder]
    """Makes the answer where the server gave none, from a message that says why."""

    via: ServerSpec | None = None
    """The proxy on the way; None: mitmproxy's own, if it has one."""

    screen: Screen | None = None
    """Looks at the answer; None: nobody does."""


class Dispatcher(Protocol):
    """Says what becomes of each request. It must not raise."""

    def streams(self, flow: http.HTTPFlow) -> bool:
        """Whether a body that somebody wants to stream may leave as it comes."""
        ...

    def too_long(self, flow: http.HTTPFlow, size: int) -> Responder | None:
        """What answers a request that is collected and has this many bytes at least; None: it may be
        forwarded."""
        ...

    def dispatch(self, flow: http.HTTPFlow) -> Responder | Forwarding | None:
        """What becomes of a request that is about to leave; None: mitmproxy forwards it by itself."""
        ...

    def hide(self, flow: http.HTTPFlow) -> None:
        """All of an answer of ours is in its flow, which others get now: take out what nobody is shown."""
        ...

    def buffers(self, flow: http.HTTPFlow) -> float:
        """For how many seconds an answer whose head is here may be kept from the client, so that hooks get it
        whole; 0: not at all."""
        ...

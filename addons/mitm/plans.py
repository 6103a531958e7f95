"""What the stream layer is told of a request: who answers it, or how it leaves and what looks at answers."""

from collections.abc import Callable, Coroutine
from dataclasses import dataclass
from typing import Protocol

from mitmproxy import http
from mitmproxy.net.server_spec import ServerSpec
from mitmproxy.proxy import layer
from mitmproxy.proxy.context import Context

from addons.mitm.sink import Sink

type Responder = Callable[[Sink], Coroutine[None, None, None]]
type Switch = Callable[[Context], layer.Layer]
"""Makes the layer that a connection goes to after a 101."""


class Killable(Protocol):
    """What is to stop when the user kills its flow."""

    def kill(self) -> None: ...


class Screen(Protocol):
    """Looks at one answer on its way from the server. What it raises breaks the answer."""

    def head(self, response: http.Response) -> None:
        """Make this head, in place, one that may go on."""
        ...

    def feed(self, data: bytes) -> bytes:
        """What may go on of the body's next bytes, now."""
        ...

    def remainder(self) -> bytes:
        """What is left of the body at its end."""
        ...

    def trailers(self, fields: http.Headers) -> http.Headers: ...


@dataclass(frozen=True, slots=True)
class Forwarding:
    """How a passed-through request leaves.

    `address` (host, port) and `tls` say where to, `via` through which proxy if not through mitmproxy's own.
    `head` gets a copy of the request and returns the head as it leaves; it may change and return what it
    got, which never reaches `flow.request`. It must not raise. `screen`: where the answer is to be looked at.
    `failed` makes the answer where the server gave none, from a message that says why.
    """

    address: tuple[str, int]
    tls: bool
    head: Callable[[http.Request], http.Request]
    failed: Callable[[str], Responder]
    via: ServerSpec | None = None
    screen: Screen | None = None


class Planner(Protocol):
    """Says what becomes of requests. It must not raise."""

    def streams(self, flow: http.HTTPFlow) -> bool:
        """Whether a body that somebody wants to stream may leave as it comes."""
        ...

    def too_long(self, flow: http.HTTPFlow, size: int) -> Responder | None:
        """What answers a request that is collected and has this many bytes at least; None: it may go on."""
        ...

    def plan(self, flow: http.HTTPFlow) -> Responder | Forwarding | None:
        """What becomes of a request that is about to leave; None: mitmproxy forwards it by itself."""
        ...

    def buffers(self, flow: http.HTTPFlow) -> float:
        """For how many seconds an answer, whose head is here, may be kept from the client so that hooks get
        it whole; 0: not at all."""
        ...

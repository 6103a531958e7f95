"""The connections of clients while the proxy ends: none is accepted, and who asks no more on one is let go.

Answers over HTTP/1 say that their connection is closed after them. One that is idle, or whose answer had
begun before, stays open until the end: what its client asks at the moment of closing is lost. HTTP/2 has
words for that. GOAWAY names the last request that is answered, and what came after it may be asked elsewhere
(RFC 9113, section 6.8). It is sent when no stream is open: there are clients that give up all of them on it
(measured: h2 4, and so httpx).

Internals of mitmproxy 12.2 that this file leans on, to be checked at an upgrade:
`Proxyserver`: servers, connections; `AsyncioServerInstance._servers`: those of asyncio are listening sockets;
the option `server`, without which nothing is left of whatever the modes have, and a line of the log says so;
`ConnectionHandler`: transports, by connection; `TimeoutWatchdog.last_activity`, in seconds of the wall clock.
"""

import asyncio
import selectors
import time
from collections.abc import Iterator, Sequence
from typing import Protocol
from weakref import WeakSet

from mitmproxy import ctx
from mitmproxy.addons.proxyserver import Proxyserver
from mitmproxy.connection import Client
from mitmproxy.proxy.server import ConnectionHandler

QUIET = 1.0
"""Seconds without a byte after which a connection that is not asked anything counts as idle: it was accepted
just now, is in its handshake, or carries what is not looked at."""

MOST_ACCEPTED = 1000
"""Turns of the event loop in which connections are accepted that wait for that."""


TURNS = 5
"""Of the event loop, until what was accepted is a connection that is known."""


class HttpLayer(Protocol):
    """What speaks HTTP with a client."""

    @property
    def client(self) -> Client: ...

    @property
    def is_asked(self) -> bool:
        """Whether a request is under way."""
        ...

    def let_go(self) -> None:
        """Have a client of HTTP/2 that asks nothing go elsewhere."""
        ...


class Draining:
    """`is_on` once the proxy is about to end. One per add-on."""

    def __init__(self) -> None:
        self.is_on = False
        self.ports: frozenset[int] = frozenset()
        """Once it is on, those that the proxy listened on: open connections may still ask there, and somebody
        else may listen by then."""
        self._layers: WeakSet[HttpLayer] = WeakSet()

    def add(self, layer: HttpLayer) -> None:
        """One whose connection is open."""
        self._layers.add(layer)

    async def begin(self) -> None:
        """Listen no longer. Who has been connected by the system is accepted before, since closing would
        reset that connection; so nothing comes between the last look and the closing."""
        self.ports = frozenset(address[1] for address in _server().listen_addrs())
        self.is_on = True
        servers = [*_servers()]
        listening = [each for each in servers if isinstance(each, asyncio.Server)]
        for _ in range(MOST_ACCEPTED):
            if not _is_awaited(listening):
                break
            await asyncio.sleep(0)
        for server in listening:
            server.close()
        for _ in range(TURNS):
            await asyncio.sleep(0)
        if len(listening) < len(servers):
            ctx.options.update(server=False)  # type: ignore[no-untyped-call]  # mitmproxy has no types here

    def let_go(self) -> None:
        """Have those clients go elsewhere who ask nothing, and whose protocol has words for it."""
        for layer in [*self._layers]:
            if not layer.is_asked:
                layer.let_go()

    def is_busy(self) -> bool:
        """Whether something is under way on any connection that is open."""
        now, asked = time.time(), {layer.client.id for layer in self._layers if layer.is_asked}
        return any(each.client.id in asked or _is_active(each, now) for each in _handlers())

    def close(self) -> None:
        """Hang up, so that nobody asks any more."""
        for handler in _handlers():
            if (writer := _writer(handler)) is not None:
                writer.close()

    def unsent(self) -> bool:
        """Whether a client has not read all that it was sent."""
        return any(map(_has_unsent, _handlers()))


def _handlers() -> list[ConnectionHandler]:
    return [*_server().connections.values()]


def _server() -> Proxyserver:
    server = ctx.master.addons.get("proxyserver")  # type: ignore[no-untyped-call]  # mitmproxy has no types here
    assert isinstance(server, Proxyserver)
    return server


def _is_active(handler: ConnectionHandler, now: float) -> bool:
    return now - handler.timeout_watchdog.last_activity < QUIET or _has_unsent(handler)


def _has_unsent(handler: ConnectionHandler) -> bool:
    writer = _writer(handler)
    return writer is not None and writer.transport.get_write_buffer_size() > 0


def _writer(handler: ConnectionHandler) -> asyncio.StreamWriter | None:
    """That of a client which is connected by TCP."""
    transport = handler.transports.get(handler.client)
    writer = transport.writer if transport is not None else None
    return writer if isinstance(writer, asyncio.StreamWriter) else None


def _is_awaited(listening: Sequence[asyncio.Server]) -> bool:
    """Whether a connection waits to be accepted."""
    with selectors.DefaultSelector() as looking:
        for each in (sock for server in listening for sock in server.sockets):
            looking.register(each, selectors.EVENT_READ)
        return bool(listening) and bool(looking.select(0))


def _servers() -> Iterator[object]:
    """What accepts connections, in whatever way."""
    for instance in _server().servers:
        yield from getattr(instance, "_servers", (instance,))

"""The connections of clients while the proxy ends: none is accepted, and who asks no more on one is let go.

A connection over HTTP/1 is closed after its next answer, whose head says so where it has not gone out before
that. An idle one stays open until the end: what its client asks at that moment would be lost. HTTP/2 has
words for that. GOAWAY names the last request that is answered, and what came after it may be asked elsewhere
(RFC 9113, section 6.8). It is sent when no stream is open: there are clients that give up all of them on it
(measured: h2 4, and so httpx).

Internals of mitmproxy 12.2 that this file leans on, to be checked at an upgrade:
`Proxyserver`: servers, connections; `AsyncioServerInstance._servers`: those of asyncio are listening sockets;
the option `server`, without which none of them is left;
`ConnectionHandler`: transports, by connection; `TimeoutWatchdog.last_activity`, in seconds of the wall clock.
"""

import asyncio
import select
import time
from collections.abc import Iterator
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
        self._layers: WeakSet[HttpLayer] = WeakSet()

    def add(self, layer: HttpLayer) -> None:
        """One whose connection is open."""
        self._layers.add(layer)

    async def begin(self) -> None:
        """Listen no longer. Who has been connected by the system is accepted before: else that connection
        would be reset."""
        self.is_on = True
        for _ in range(MOST_ACCEPTED):
            if not _is_awaited():
                break
            await asyncio.sleep(0)
        ctx.options.update(server=False)  # type: ignore[no-untyped-call]  # mitmproxy has no types here

    def busy(self) -> int:
        """How many connections something is under way on. Those are let go that can be."""
        for layer in [*self._layers]:
            if not layer.is_asked:
                layer.let_go()
        asked = {layer.client.id for layer in self._layers if layer.is_asked}
        now = time.time()
        return sum(one.client.id in asked or _is_active(one, now) for one in _handlers())

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
    transport = handler.transports.get(handler.client)
    writer = transport.writer if transport is not None else None
    return isinstance(writer, asyncio.StreamWriter) and writer.transport.get_write_buffer_size() > 0


def _is_awaited() -> bool:
    """Whether a connection waits to be accepted."""
    sockets = [*_listening()]
    return bool(sockets) and bool(select.select(sockets, (), (), 0)[0])


def _listening() -> Iterator[int]:
    """The descriptors of the sockets on which the proxy listens."""
    for instance in _server().servers:
        for server in getattr(instance, "_servers", ()):
            if isinstance(server, asyncio.Server):
                yield from (each.fileno() for each in server.sockets)

"""Where a responder writes its response to, and how that reaches the stream of the response.

A Sink puts Push events into the connection handler. They travel down through the layers like bytes from a
socket would, so the commands they lead to travel up again through the same layers (TLS above all). While a
hook is paused, mitmproxy's Layer queues them in order.

Writing is a plain call. The handler takes one event at a time, under a lock: a Push goes through at once
where the lock is free, and else waits in the Sink's queue for its turn.

Internals of mitmproxy 12.2 that this file leans on, to be checked at an upgrade, beside those of `direct.py`:
`ConnectionHandler`: server_event, transports; the proxyserver add-on's `connections`, whose keys are the ids
of clients;
`Context.layers`: from the outermost layer to the innermost, an HttpStream right after its HttpLayer;
`HttpLayer` hands a MessageInjected down.
"""

import asyncio
import time
from collections import deque
from collections.abc import Callable, Coroutine, Sequence
from dataclasses import dataclass
from itertools import pairwise
from typing import Any, Protocol

from mitmproxy import ctx, http
from mitmproxy.connection import Client
from mitmproxy.proxy import events, layer
from mitmproxy.proxy.context import Context
from mitmproxy.proxy.layers.http import HttpLayer, HttpStream
from mitmproxy.proxy.server import ConnectionHandler
from mitmproxy.utils import asyncio_utils

from addons.mitm.direct import Hops, Outlet, Write, is_expected, join_writes

BODY_LIMIT = 4 * 1024 * 1024
"""Bytes of a body that are kept for the inspector, and that wait for a hook which is paused."""

_FRAMING = frozenset({b"content-length", b"transfer-encoding"})

LARGEST_PUSH = 1 << 18
"""Bytes that go down through the layers at once; then others have their turn."""


@dataclass(frozen=True, slots=True)
class End:
    """The message is complete."""


@dataclass(frozen=True, slots=True)
class Abort:
    """The response is to be broken."""

    message: str
    """Why, for the inspector."""


@dataclass(frozen=True, slots=True)
class Kill:
    """The user has killed the flow."""


@dataclass(frozen=True, slots=True)
class Flush:
    """What was kept back is to go out now."""


@dataclass(frozen=True, slots=True)
class Left:
    """The client has left, and the handler of its connection ended before it could report that."""


type Payload = bytes | http.Response | End | Abort | Kill | Flush | Left
type Congestion = Callable[[], asyncio.Event | None]
"""An event that is set when HTTP/2 flow control has let a stream's bytes go; None if it holds none back."""


@dataclass(eq=False)
class Push[T](events.MessageInjected[T]):
    """Something for one stream.

    It is a MessageInjected so that an outer HttpLayer that is not a RelayHttpLayer (one that another add-on
    made) hands it down as well.
    """

    hops: Hops


class ResponseStream(Protocol):
    """The part of a stream that a Sink needs."""

    flow: http.HTTPFlow
    _paused: layer.Paused | None

    @property
    def context(self) -> Context: ...


class Sink:
    """What a responder writes its response to; one per flow.

    In order: `start`, any number of `send`, then `end` or `abort`. A call after the end, or after the client
    has left or the user has killed the flow, does nothing. `start` and `send` return whether more may be sent
    at once; where not, the responder is to wait for `drained` first.

    `direct` is the short way to the client, from when the head has gone out until the end; None: there is
    none. `kept` is what the inspector gets of the body; `is_cut`: not all of it.
    """

    def __init__(
        self,
        stream: ResponseStream,
        handler: ConnectionHandler,
        congestion: Congestion | None = None,
        outlet: Outlet | None = None,
    ) -> None:
        """`congestion`: of a client that speaks HTTP/2; `outlet`: of one with a short way."""
        self._stream, self._handler, self._congestion = stream, handler, congestion
        self._outlet = outlet
        self._transport = handler.transports.get(stream.context.client)
        self._lock = handler._server_event_lock if is_expected() else None
        self._hops = hops_of(stream.context.layers)
        self.direct: Write | None = None
        self.kept, self.is_cut = bytearray(), False
        self._queue: deque[Payload] = deque()
        self._flushing: asyncio.Task[None] | None = None
        self._under_way, self._passed = 0, asyncio.Event()
        self._started = False
        self._bodyless = False
        self._closed = False

    @property
    def closed(self) -> bool:
        """True once `end` or `abort` was called."""
        return self._closed

    def start(self, status: int, reason: bytes, headers: Sequence[tuple[bytes, bytes]]) -> bool:
        """Send the response head.

        `headers` go out in order and case (HTTP/2: in lower case, without connection headers).  A client of
        HTTP/1.1 gets `transfer-encoding: chunked` where there is no content-length: else the end of the body
        could be marked only by closing the connection.
        """
        request = self._stream.flow.request
        head = http.Headers(headers)
        never_a_body = status in (204, 304)
        if request.is_http11 and not never_a_body and not is_framed(head):
            head.add("transfer-encoding", "chunked")
        self._bodyless = never_a_body or request.method == "HEAD"
        self._started = True
        if self._outlet is not None:
            self._outlet.join()
        elif self._transport is not None and self._lock is not None:
            join_writes(self._transport.writer)
        self._push(http.Response(b"HTTP/1.1", status, reason, head, None, None, time.time(), None))
        return self._has_room()

    def send(self, data: bytes) -> bool:
        """Send body bytes, as one write where they are few.

        Raises:
            RuntimeError: before `start`.
        """
        if not self._started:
            raise RuntimeError("send() before start()")
        if not data or self._bodyless:  # an empty chunk would end a chunked body
            return True
        if self.direct is not None and self._is_next(data):
            self.keep(data)
            return self.direct(data)
        self._under_way += len(data)
        for at in range(0, len(data), LARGEST_PUSH):
            self._push(data[at : at + LARGEST_PUSH], in_turn=at > 0)
        return self._has_room()

    def _is_next(self, data: bytes) -> bool:
        """Whether nothing is under way to the client, nor any layer at work."""
        is_behind = self._queue or self._stream._paused or len(data) > LARGEST_PUSH
        return not is_behind and self._is_free()

    def arrived(self, data: bytes) -> None:
        """It is through the layers, after a hook that may have been paused for long."""
        self._under_way -= len(data)
        if self._under_way <= BODY_LIMIT:
            self._passed.set()
        self.keep(data)

    def keep(self, data: bytes) -> None:
        """For the inspector, which gets no more than so much."""
        room = BODY_LIMIT - len(self.kept)
        self.kept += data[:room]
        self.is_cut = self.is_cut or len(data) > room

    def end(self) -> None:
        """End the message properly; the flow's response hook runs.

        Raises:
            RuntimeError: before `start`.
        """
        if not self._started:
            raise RuntimeError("end() before start()")
        self._close(End())

    def abort(self, message: str) -> None:
        """Break the response visibly (RST_STREAM or a closed connection); the flow's error hook runs."""
        self._close(Abort(message))

    def kill(self) -> None:
        """Break the response because the user has killed the flow, whatever was called before."""
        self._push(Kill())

    def flush(self) -> None:
        """Let a response go out that was to be kept until it is whole."""
        self._push(Flush())

    def _close(self, payload: End | Abort) -> None:
        if not self._closed:
            self._closed = True
            self._push(payload)

    # -- into the layers ------------------------------------------------------------------------------

    def _push(self, payload: Payload, *, in_turn: bool = False) -> None:
        """Now, or when all that was pushed before is through and others had their turn."""
        if not (in_turn or self._queue) and self._is_free():
            _completed(self._handler.server_event(self._event(payload)))
            return
        self._queue.append(payload)
        if self._flushing is None:
            client = self._stream.context.client
            self._flushing = spawn(self._flush_queue(), client)

    def _is_free(self) -> bool:
        """Whether an event goes through at once: no other is under way, and none waits for its turn."""
        lock = self._lock
        return lock is not None and not lock.locked() and not lock._waiters

    async def _flush_queue(self) -> None:
        while self._queue:
            await asyncio.sleep(0)
            await self._handler.server_event(self._event(self._queue[0]))
            self._queue.popleft()
        self._flushing = None

    def _event(self, payload: Payload) -> "Push[Payload]":
        return Push(self._stream.flow, payload, self._hops)

    # -- back-pressure --------------------------------------------------------------------------------

    def _has_room(self) -> bool:
        """Whether `drained` has nothing to wait for, nor the loss of the connection to report."""
        if self._under_way > BODY_LIMIT:
            return False
        writer = self._transport.writer if self._transport is not None else None
        if writer is None:
            return not self._queue
        if self._queue or not isinstance(writer, asyncio.StreamWriter) or writer.is_closing():
            return False
        transport = writer.transport
        _, most = transport.get_write_buffer_limits()
        return transport.get_write_buffer_size() <= most and not (self._congestion and self._congestion())

    async def drained(self) -> None:
        """Wait until all is pushed, and most of it is through the layers, then for the socket's buffer, then
        for HTTP/2 flow control.

        Only the client's writer is asked, unlike ConnectionHandler.drain_writers: a slow upstream of another
        stream on the connection is none of our business.
        """
        if self._flushing is not None:
            await asyncio.wait([self._flushing])
        await self._through()
        await self._taken()

    async def _through(self) -> None:
        while self._under_way > BODY_LIMIT:
            self._passed.clear()
            await self._passed.wait()

    async def _taken(self) -> None:
        if self._transport is None or self._transport.writer is None:
            return
        try:
            await self._transport.writer.drain()
            if self._congestion is not None and (relief := self._congestion()):
                await self._relieved(relief, self._transport.handler)
        except OSError as error:
            await self._report_loss(error, self._transport.handler)

    async def _relieved(self, relief: asyncio.Event, handler: asyncio.Task[None] | None) -> None:
        """Wait for it, or until nobody reads the connection any more."""
        if handler is None:
            await relief.wait()
            return

        def wake(_: asyncio.Task[None]) -> None:
            relief.set()

        handler.add_done_callback(wake)
        try:
            await relief.wait()
        finally:
            handler.remove_done_callback(wake)
        if handler.done():
            self._push(Left())

    async def _report_loss(self, error: OSError, handler: asyncio.Task[None] | None) -> None:
        """As drain_writers does: the handler then reports the loss to the layers, and they cancel us.

        Its report may have begun already, and wait for the lock: to cancel it interrupts just that. Then the
        report is ours to make.
        """
        if handler is not None:
            handler.cancel(f"Error sending data: {error}")
            await asyncio.wait([handler])
        self._push(Left())


def _completed(work: Coroutine[None, None, None]) -> None:
    """Run what waits for nothing."""
    try:
        work.send(None)
    except StopIteration:
        return
    work.close()
    raise RuntimeError("the handler waits, though its lock was free")


def spawn(work: Coroutine[None, None, None], client: Client) -> asyncio.Task[None]:
    """Let it run beside the layers, which cannot wait."""
    return asyncio_utils.create_task(work, name="relay", keep_ref=True, client=client.peername)


def answer_with(response: http.Response) -> Callable[[Sink], Coroutine[None, None, None]]:
    """A responder that sends one answer."""

    async def respond(sink: Sink) -> None:
        sink.start(response.status_code, response.data.reason, response.headers.fields)
        sink.send(response.raw_content or b"")
        sink.end()

    return respond


def handler_of(client: Client) -> ConnectionHandler:
    """The handler of a client connection, found where the proxyserver add-on has registered it."""
    handler = addon("proxyserver").connections[client.id]
    assert isinstance(handler, ConnectionHandler)
    return handler


def addon(name: str) -> Any:
    return ctx.master.addons.get(name)  # type: ignore[no-untyped-call]  # mitmproxy has no types here


def hops_of(layers: Sequence[layer.Layer]) -> Hops:
    """From an inner stream's stack: the stream in each HttpLayer that leads to it, itself included."""
    return {
        outer: inner
        for outer, inner in pairwise(layers)
        if isinstance(outer, HttpLayer) and isinstance(inner, HttpStream)
    }


def is_framed(headers: http.Headers) -> bool:
    return not _FRAMING.isdisjoint([name.lower() for name, _ in headers.fields])

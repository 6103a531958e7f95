"""Where a responder writes its response to, and how that reaches the stream of the response.

A Sink puts Push events into the connection handler. They travel down through the layers like bytes from a
socket would, so the commands they lead to travel up again through the same layers (TLS above all). While a
hook is paused, mitmproxy's Layer queues them in order.

Internals of mitmproxy 12.2 that this file leans on, to be checked at an upgrade:
`ConnectionHandler`: server_event, transports; the proxyserver add-on's `connections`, whose keys are the ids
of clients;
`Context.layers`: from the outermost layer to the innermost, an HttpStream right after its HttpLayer;
`HttpLayer` hands a MessageInjected down.
"""

import asyncio
import time
from collections.abc import Callable, Coroutine, Mapping, Sequence
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


type Payload = bytes | http.Response | End | Abort | Kill | Flush
type Hops = Mapping[layer.Layer, HttpStream]
type Congestion = Callable[[], asyncio.Event | None]
"""An event that is set when HTTP/2 flow control has let a stream's bytes go; None if it holds none back."""


@dataclass(eq=False)
class Push[T](events.MessageInjected[T]):
    """Something for one stream.

    It is a MessageInjected so that an outer HttpLayer that is not a RelayHttpLayer (one that another add-on
    made) hands it down as well.
    """

    hops: Hops
    """For every HttpLayer on the way, which of its streams leads there."""


class ResponseStream(Protocol):
    """The part of a stream that a Sink needs."""

    flow: http.HTTPFlow

    @property
    def context(self) -> Context: ...


class Sink:
    """What a responder writes its response to; one per flow.

    In order: `start`, any number of `send`, then `end` or `abort`. A call after the end, or after the client
    has left or the user has killed the flow, does nothing.
    """

    def __init__(
        self, stream: ResponseStream, handler: ConnectionHandler, congestion: Congestion | None = None
    ) -> None:
        """`congestion`: of a client that speaks HTTP/2."""
        self._stream, self._handler, self._congestion = stream, handler, congestion
        self._transport = handler.transports.get(stream.context.client)
        self._hops = hops_of(stream.context.layers)
        self._started = False
        self._bodyless = False
        self._closed = False
        self._draining = False
        self._lost = False

    @property
    def draining(self) -> bool:
        """True while `send` or `start` waits for a client that reads slower than we write."""
        return self._draining

    @property
    def closed(self) -> bool:
        """True once `end` or `abort` was called."""
        return self._closed

    async def start(self, status: int, reason: bytes, headers: Sequence[tuple[bytes, bytes]]) -> None:
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
        await self._write(http.Response(b"HTTP/1.1", status, reason, head, None, None, time.time(), None))

    async def send(self, data: bytes) -> None:
        """Send body bytes, as one write where they are few; return when the client's buffers have room again.

        Raises:
            RuntimeError: before `start`.
        """
        if not self._started:
            raise RuntimeError("send() before start()")
        if not data or self._bodyless:  # an empty chunk would end a chunked body
            return
        for at in range(0, len(data), LARGEST_PUSH):
            if at:
                await asyncio.sleep(0)
            await self._write(data[at : at + LARGEST_PUSH])

    async def end(self) -> None:
        """End the message properly; the flow's response hook runs.

        Raises:
            RuntimeError: before `start`.
        """
        if not self._started:
            raise RuntimeError("end() before start()")
        await self._close(End())

    async def abort(self, message: str) -> None:
        """Break the response visibly (RST_STREAM or a closed connection); the flow's error hook runs."""
        await self._close(Abort(message))

    async def kill(self) -> None:
        """Break the response because the user has killed the flow, whatever was called before."""
        await self._push(Kill())

    async def flush(self) -> None:
        """Let a response go out that was to be kept until it is whole."""
        await self._push(Flush())

    async def _close(self, payload: End | Abort) -> None:
        if not self._closed:
            self._closed = True
            await self._push(payload)

    async def _push(self, payload: Payload) -> None:
        await self._handler.server_event(Push(self._stream.flow, payload, self._hops))

    async def _write(self, payload: bytes | http.Response) -> None:
        """Push it, then wait for the socket's buffer, then for HTTP/2 flow control.

        Only the client's writer is asked, unlike ConnectionHandler.drain_writers: a slow upstream of another
        stream on the connection is none of our business.
        """
        await self._push(payload)
        if self._transport is None or self._transport.writer is None:
            return
        self._draining = True
        try:
            await self._transport.writer.drain()
            if self._congestion is not None and (relief := self._congestion()):
                await relief.wait()
        except OSError as error:
            self._report_loss(error)
        finally:
            self._draining = False

    def _report_loss(self, error: OSError) -> None:
        """As drain_writers does: the handler then reports the loss to the layers, and they cancel us. Once: a
        second time would interrupt the report."""
        handler = None if self._lost or self._transport is None else self._transport.handler
        self._lost = True
        if handler is not None:
            handler.cancel(f"Error sending data: {error}")


def spawn(work: Coroutine[None, None, None], client: Client) -> None:
    """Let it run beside the layers, which cannot wait."""
    asyncio_utils.create_task(work, name="relay", keep_ref=True, client=client.peername)


def answer_with(response: http.Response) -> Callable[[Sink], Coroutine[None, None, None]]:
    """A responder that sends one answer."""

    async def respond(sink: Sink) -> None:
        await sink.start(response.status_code, response.data.reason, response.headers.fields)
        await sink.send(response.raw_content or b"")
        await sink.end()

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
    return "content-length" in headers or "transfer-encoding" in headers

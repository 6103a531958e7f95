"""Attempts at providers over HTTP/1.1, on connections that are kept alive: events out, a Cause at the end.

What goes out is what `UpstreamRequest` says. The only changes: h11 writes Host first, Content-Length is that
of the body, a Host that is missing is added, and Transfer-Encoding is left out, since the body is here as a
whole. No cookie is kept, no redirect followed, and nothing logged.
"""

import asyncio
from collections import defaultdict
from collections.abc import AsyncGenerator
from contextlib import aclosing
from dataclasses import dataclass, field
from typing import Protocol, assert_never

from addons.upstream.connection import Connection, RequestHead
from addons.upstream.encodings import ContentDecoder, DecodeError, content_decoder
from addons.upstream.failure import Cause, CauseKind, Failure
from addons.upstream.network import Reached
from addons.upstream.way import Way
from protocols.model.http import Head, UpstreamRequest
from protocols.model.origin import Origin

KEEPALIVE_EXPIRY = 30.0
"""Seconds that an idle connection is kept. Providers' front ends close theirs after a minute or more."""

AT_ONCE = 0.2
"""Seconds after a request was sent in which a used connection that ends was dead before."""


@dataclass(frozen=True, slots=True)
class Sent:
    """The request is on the wire, as far as the system's buffers show."""


@dataclass(frozen=True, slots=True)
class Started:
    """The final answer has begun; 1xx are skipped."""

    head: Head
    """Names and values as received, decoded as UTF-8 with surrogateescape. Content-Encoding is left out where
    the body is decoded here, while Content-Length stays that of the encoded body."""
    reached: Reached | None = field(default=None, compare=False)
    """The connection that it came over."""


@dataclass(frozen=True, slots=True)
class Data:
    """Content-decoded bytes of the body, never empty."""

    data: bytes


@dataclass(frozen=True, slots=True)
class Closed:
    """The end."""

    cause: Cause | None
    """None where the message ended properly by HTTP framing and content coding. A body that only the
    connection's close delimits ends properly with any orderly close, with a TLS close_notify or without, as
    many servers leave that out."""


type UpstreamEvent = Sent | Started | Data | Closed


class Receiver(Protocol):
    """Who gets what comes of an attempt. Its methods return at once and raise nothing.

    The first of them may be called before `Upstream.open` has returned.
    """

    def sent(self) -> None:
        """The request is on the wire, as far as the system's buffers show."""

    def started(self, head: Head, reached: Reached) -> None:
        """The final answer has begun; 1xx are skipped. `reached`: the connection that it came over.

        Names and values are as received, decoded as UTF-8 with surrogateescape. Content-Encoding is left out
        where the body is decoded here, while Content-Length stays that of the encoded body.
        """

    def received(self, data: bytes) -> None:
        """Content-decoded bytes of the body, never empty."""

    def closed(self, cause: Cause | None) -> None:
        """The end: comes always, once, and last; not after `Attempt.cancel`.

        `cause` is None where the message ended properly by HTTP framing and content coding. A body that only
        the connection's close delimits ends properly with any orderly close, with a TLS close_notify or
        without, as many servers leave that out.
        """


class Attempt(Protocol):
    """One request, and what comes of it."""

    def cancel(self) -> None:
        """Close the connection at once, one that is being made as well. The receiver gets nothing more."""

    def pause(self) -> None:
        """Read no further for now. What was read already may still come."""

    def resume(self) -> None:
        """Read on."""


class Upstream:
    """All connections to providers, of all clients."""

    def __init__(self, way: Way) -> None:
        self._connections = _Connections(way)

    def open(
        self, request: UpstreamRequest, receiver: Receiver, *, fresh: bool, connect_timeout: float
    ) -> Attempt:
        """One attempt. Raises nothing: `receiver` gets what comes of it; what did not happen is left out.

        `fresh`: on a connection that serves this call alone. `connect_timeout`: seconds for name, connection,
        proxy and TLS together; 0 is no limit.
        """
        return _Pushed(self.stream(request, fresh=fresh, connect_timeout=connect_timeout), receiver)

    async def stream(
        self, request: UpstreamRequest, *, fresh: bool, connect_timeout: float
    ) -> AsyncGenerator[UpstreamEvent]:
        """One attempt: Sent, Started, any number of Data, and Closed, which always comes, and comes last.

        What did not happen is left out. `fresh`: on a connection that serves this call alone.
        `connect_timeout`: seconds for name, connection, proxy and TLS together; 0 is no limit. Raises nothing
        of the network's; closing the iterator or cancelling its task closes the connection at once.
        """
        call = _Call(self._connections, request, fresh=fresh, connect_timeout=connect_timeout)
        cause = None
        try:
            await call.send()
            yield Sent()
            head, decoder = _open_body(await call.answer())
            yield Started(head, call.reached)
            while chunk := await call.read():
                if decoder is None:
                    yield Data(chunk)
                else:
                    for piece in decoder.feed(chunk):
                        yield Data(piece)
            _check_finished(decoder)
            call.finish()
        except Failure as failure:
            cause = failure.cause
        except DecodeError as error:
            cause = Cause(CauseKind.ENCODING, str(error))
        finally:
            call.abort()
        yield Closed(cause)

    async def close(self) -> None:
        """Close every connection; streams under way end with a Cause."""
        self._connections.close()


class _Pushed:
    """An attempt whose events are pushed into a receiver."""

    def __init__(self, events: AsyncGenerator[UpstreamEvent], receiver: Receiver) -> None:
        self._receiver = receiver
        self._may_read = asyncio.Event()
        self._may_read.set()
        self._cancelled = False
        self._task = asyncio.get_running_loop().create_task(self._push(events))

    def cancel(self) -> None:
        self._cancelled = True
        self._task.cancel()

    def pause(self) -> None:
        self._may_read.clear()

    def resume(self) -> None:
        self._may_read.set()

    async def _push(self, events: AsyncGenerator[UpstreamEvent]) -> None:
        async with aclosing(events):
            async for event in events:
                if self._cancelled:
                    return
                self._give(event)
                await self._may_read.wait()

    def _give(self, event: UpstreamEvent) -> None:
        match event:
            case Sent():
                self._receiver.sent()
            case Started(head=head, reached=reached):
                assert reached is not None
                self._receiver.started(head, reached)
            case Data(data=data):
                self._receiver.received(data)
            case Closed(cause=cause):
                self._receiver.closed(cause)
            case _:
                assert_never(event)


@dataclass(slots=True, eq=False)
class _Idle:
    connection: Connection
    since: float
    """By the event loop's clock, in seconds."""


class _Connections:
    """All connections by one way: those in use, and those that wait for another request."""

    def __init__(self, way: Way) -> None:
        self.way = way
        self._idle: dict[Origin, list[_Idle]] = defaultdict(list)
        self._used: set[Connection] = set()
        self._closed = False

    async def open(self, origin: Origin, seconds: float) -> Connection:
        """A new one, within `seconds` for name, connection, proxy and TLS together; 0 is no limit.

        Raises Failure.
        """
        try:
            async with asyncio.timeout(seconds or None):
                connection = Connection(await self.way.open(origin))
        except TimeoutError as error:
            raise Failure(CauseKind.TIMEOUT, "no connection in time") from error
        if self._closed:
            connection.abort()
            raise Failure(CauseKind.CONNECT, "the proxy is being stopped")
        self._used.add(connection)
        return connection

    def take(self, origin: Origin) -> Connection | None:
        """The last that was given back, of those on which the server has sent nothing since."""
        oldest = asyncio.get_running_loop().time() - KEEPALIVE_EXPIRY
        waiting = self._idle[origin]
        while waiting:
            idle = waiting.pop()
            idle.connection.watch(None)
            if idle.since > oldest and idle.connection.is_quiet:
                self._used.add(idle.connection)
                return idle.connection
            idle.connection.abort()
        return None

    def give_back(self, origin: Origin, connection: Connection) -> None:
        """After an answer's end: to wait for another request, or closed where it cannot serve one."""
        self._expire()
        if self._closed or not connection.renew():
            self.drop(connection)
            return
        self._used.discard(connection)
        idle = _Idle(connection, asyncio.get_running_loop().time())
        waiting = self._idle[origin]
        waiting.append(idle)
        connection.watch(lambda: self._look_at(waiting, idle))

    def drop(self, connection: Connection) -> None:
        """Close one at once."""
        self._used.discard(connection)
        connection.abort()

    def close(self) -> None:
        """Close all of them; those in use fail."""
        self._closed = True
        for connection in [*self._used]:
            self.drop(connection)
        for waiting in self._idle.values():
            for idle in [*waiting]:
                self._close_idle(waiting, idle)

    def _expire(self) -> None:
        oldest = asyncio.get_running_loop().time() - KEEPALIVE_EXPIRY
        for waiting in self._idle.values():
            for idle in [each for each in waiting if each.since <= oldest]:
                self._close_idle(waiting, idle)

    def _look_at(self, waiting: list[_Idle], idle: _Idle) -> None:
        """It has changed: closed by the server, bytes out of turn, or only TLS's own messages."""
        if idle.connection.has_more:
            self._close_idle(waiting, idle)

    def _close_idle(self, waiting: list[_Idle], idle: _Idle) -> None:
        idle.connection.watch(None)
        waiting.remove(idle)
        idle.connection.abort()


class _Call:
    """One request on one connection, or on a second one where the first was dead before it was used."""

    def __init__(
        self, connections: _Connections, request: UpstreamRequest, *, fresh: bool, connect_timeout: float
    ) -> None:
        self._connections = connections
        self._request = request
        self._fresh = fresh
        self._connect_timeout = connect_timeout
        self._connection: Connection | None = None
        self._sent_at = 0.0

    async def send(self) -> None:
        """Return when the request has left, or when an answer has begun before that. Raises Failure."""
        head = self._connections.way.head(self._request)
        if not self._fresh:
            self._connection = self._connections.take(self._request.origin)
        try:
            await self._send(self._connection or await self._open(), head)
        except Failure as failure:
            if not self._was_dead(failure):
                raise
            await self._send(await self._open(), head)

    async def answer(self) -> Head:
        """The head of the answer. Raises Failure."""
        connection = self._in_use()
        try:
            return await connection.answer()
        except Failure as failure:
            if not self._was_dead(failure):
                raise
        connection = await self._open()
        await self._send(connection, self._connections.way.head(self._request))
        return await connection.answer()

    @property
    def reached(self) -> Reached:
        return self._in_use().reached

    async def read(self) -> bytes:
        """The next bytes of its body; nothing at the end. Raises Failure."""
        return await self._in_use().read()

    def finish(self) -> None:
        """The answer was read to its end."""
        if self._connection is not None and not self._fresh:
            self._connections.give_back(self._request.origin, self._connection)
            self._connection = None

    def abort(self) -> None:
        """Close the connection, unless it was given back."""
        if self._connection is not None:
            self._connections.drop(self._connection)
            self._connection = None

    def _in_use(self) -> Connection:
        if self._connection is None:
            raise RuntimeError("the request was not sent")
        return self._connection

    async def _open(self) -> Connection:
        self.abort()
        self._connection = await self._connections.open(self._request.origin, self._connect_timeout)
        return self._connection

    async def _send(self, connection: Connection, head: RequestHead) -> None:
        await connection.send(head, self._request.body)
        self._sent_at = asyncio.get_running_loop().time()

    def _was_dead(self, failure: Failure) -> bool:
        """Whether the server closed while the request was on its way (RFC 9112 section 9.3.1): no attempt.

        Of a request that was sent whole that is certain only at once: later, the server may be at work on it,
        and asking again may be paid for again.
        """
        connection = self._connection
        if connection is None or failure.cause.kind is not CauseKind.RESET:
            return False
        age = asyncio.get_running_loop().time() - self._sent_at
        at_once = not connection.is_sent or age <= AT_ONCE
        return connection.is_used and not connection.has_received and at_once


def _open_body(head: Head) -> tuple[Head, ContentDecoder | None]:
    codings = [value for name, value in head.headers if name.lower() == "content-encoding"]
    decoder = content_decoder(",".join(codings)) if codings else None
    if decoder is None:
        return head, None
    kept = tuple(pair for pair in head.headers if pair[0].lower() != "content-encoding")
    return Head(head.status, kept, head.reason), decoder


def _check_finished(decoder: ContentDecoder | None) -> None:
    if decoder is not None and not decoder.finished:
        raise DecodeError("the body ends inside its compressed data")

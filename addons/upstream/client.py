"""Attempts at providers over HTTP/1.1, on connections that are kept alive: what comes is pushed, and a Cause
at the end.

What goes out is what `UpstreamRequest` says. The only changes: Host is written first, Content-Length is that
of the body, a Host that is missing is added, and Transfer-Encoding is left out, since the body is here as a
whole. No cookie is kept, no redirect followed, and nothing logged.
"""

import asyncio
from collections import defaultdict, deque
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from functools import lru_cache
from typing import Protocol

from addons.upstream.connection import Connection
from addons.upstream.encodings import ContentDecoder, DecodeError, content_decoder
from addons.upstream.failure import Cause, CauseKind, Failure
from addons.upstream.http1 import RequestHead, request_head
from addons.upstream.network import Reached
from addons.upstream.way import Way
from protocols.model.http import Head, Origin, UpstreamRequest

KEEPALIVE_EXPIRY = 30.0
"""Seconds that an idle connection is kept. Providers' front ends close theirs after a minute or more."""

LARGEST_TURN = 1 << 18
"""Decoded bytes after which others have their turn: a small body may come to very much."""

AT_ONCE = 0.2
"""Seconds after a request was sent in which a used connection that ends was dead before."""


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
        """Reset the connection at once; one that is being made is closed. The receiver gets nothing more."""

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
        call = _Call(self._connections, request, receiver, fresh=fresh, connect_timeout=connect_timeout)
        call.begin()
        return call

    async def close(self) -> None:
        """Close every connection; attempts under way end with a Cause."""
        self._connections.close()


@dataclass(slots=True, eq=False)
class _Idle:
    connection: Connection
    since: float
    """By the event loop's clock, in seconds."""


class _Connections:
    """All connections by one way: those in use, and those that wait for another request."""

    def __init__(self, way: Way) -> None:
        self._way, self._form = way, lru_cache(way.form)
        self._idle: dict[Origin, list[_Idle]] = defaultdict(list)
        self._used: set[Connection] = set()
        self._alarm: asyncio.TimerHandle | None = None
        self.is_closed = False

    async def open(self, origin: Origin, seconds: float) -> Connection:
        """A new one, within `seconds` for name, connection, proxy and TLS together; 0 is no limit.

        Raises Failure.
        """
        try:
            async with asyncio.timeout(seconds or None):
                connection = Connection(await self._way.open(origin))
        except TimeoutError as error:
            raise Failure(CauseKind.TIMEOUT, "no connection in time") from error
        if self.is_closed:
            connection.abort()
            raise Failure(CauseKind.CONNECT, "the proxy is being stopped")
        self._used.add(connection)
        return connection

    def head(self, request: UpstreamRequest) -> RequestHead:
        """As it is written on one of them. Raises Failure."""
        origin = request.origin
        form, length = self._form(origin), len(request.body)
        headers = (*form.headers, *request.headers)
        return request_head(request.method, form.prefix + request.target, origin.authority, headers, length)

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
        if self.is_closed or not connection.renew():
            self.drop(connection)
            return
        self._used.discard(connection)
        idle = _Idle(connection, asyncio.get_running_loop().time())
        waiting = self._idle[origin]
        waiting.append(idle)
        connection.watch(lambda: self._close_idle(waiting, idle))
        if self._alarm is None:
            self._watch_age()

    def drop(self, connection: Connection) -> None:
        """Close one at once."""
        self._used.discard(connection)
        connection.abort()

    def close(self) -> None:
        """Close all of them; those in use fail."""
        self.is_closed = True
        if self._alarm is not None:
            self._alarm.cancel()
        for connection in [*self._used]:
            connection.break_off()
        for waiting in self._idle.values():
            for idle in [*waiting]:
                self._close_idle(waiting, idle)

    def _watch_age(self) -> None:
        self._alarm = asyncio.get_running_loop().call_later(KEEPALIVE_EXPIRY, self._expire)

    def _expire(self) -> None:
        """Close what is too old, and look again where anything is left."""
        self._alarm = None
        oldest = asyncio.get_running_loop().time() - KEEPALIVE_EXPIRY
        for waiting in self._idle.values():
            for idle in [each for each in waiting if each.since <= oldest]:
                self._close_idle(waiting, idle)
        if any(self._idle.values()):
            self._watch_age()

    def _close_idle(self, waiting: list[_Idle], idle: _Idle) -> None:
        idle.connection.watch(None)
        waiting.remove(idle)
        idle.connection.abort()


class _Call:
    """One request on one connection, or on a second one where the first was dead before it was used."""

    def __init__(
        self,
        connections: _Connections,
        request: UpstreamRequest,
        receiver: Receiver,
        *,
        fresh: bool,
        connect_timeout: float,
    ) -> None:
        self._connections = connections
        self._request = request
        self._receiver = receiver
        self._fresh = fresh
        self._connect_timeout = connect_timeout
        self._connection: Connection | None = None
        self._connecting: asyncio.Task[None] | None = None
        self._decoding: _Decoding | None = None
        self._sent_at = 0.0
        self._was_sent = self._is_paused = self._is_over = self._is_waiting = False

    def begin(self) -> None:
        try:
            self._head = self._connections.head(self._request)
        except Failure as failure:
            self._close(failure.cause)
            return
        connection = None if self._fresh else self._connections.take(self._request.origin)
        if connection is None:
            self._connect()
        else:
            self._use(connection)

    # -- for who asked --------------------------------------------------------------------------------

    def cancel(self) -> None:
        self._is_over = True
        if self._connecting is not None:
            self._connecting.cancel()
        self._drop()

    def pause(self) -> None:
        self._is_paused = True
        if self._connection is not None:
            self._connection.pause()

    def resume(self) -> None:
        self._is_paused = False
        if self._decoding is not None:
            self._decode_later()
        elif self._connection is not None:
            self._connection.resume()

    # -- a connection ---------------------------------------------------------------------------------

    def _connect(self) -> None:
        self._connecting = asyncio.get_running_loop().create_task(self._open())
        if self._connecting.done():
            self._connecting = None

    async def _open(self) -> None:
        origin, seconds = self._request.origin, self._connect_timeout
        found: Connection | Cause = Cause(CauseKind.CONNECT, "a fault of the proxy")
        try:
            found = await self._connections.open(origin, seconds)
        except Failure as failure:
            found = failure.cause
        finally:
            self._connecting = None
            if not self._is_over:
                self._opened(found)

    def _opened(self, found: Connection | Cause) -> None:
        if isinstance(found, Cause):
            self._close(found)
        else:
            self._use(found)

    def _use(self, connection: Connection) -> None:
        self._connection = connection
        if self._is_paused:
            connection.pause()
        connection.send(self._head, self._request.body, self)

    def _drop(self) -> None:
        """Close the connection."""
        if self._connection is not None:
            self._connections.drop(self._connection)
            self._connection = None

    # -- for the connection ---------------------------------------------------------------------------

    def sent(self) -> None:
        self._sent_at = asyncio.get_running_loop().time()
        if not self._was_sent:
            self._was_sent = True
            self._receiver.sent()

    def started(self, head: Head, reached: Reached) -> Callable[[bytes], None]:
        head, decoder = _open_body(head)
        self._decoding = _Decoding(decoder) if decoder is not None else None
        self._receiver.started(head, reached)
        return self._receiver.received if decoder is None else self._decode

    def _decode(self, data: bytes) -> None:
        if self._decoding is not None:
            self._decoding.put(data)
            self._decode_on()

    def over(self) -> None:
        if self._decoding is None:
            self._finish()
        else:
            self._decoding.end(None)
            self._decode_on()

    def failed(self, failure: Failure) -> None:
        if self._was_dead(failure):
            self._drop()
            self._connect()
        elif self._decoding is None:
            self._close(failure.cause)
        else:
            self._decoding.end(failure.cause)
            self._decode_on()

    def _was_dead(self, failure: Failure) -> bool:
        """Whether the server closed while the request was on its way (RFC 9112 section 9.3.1): no attempt.

        Of a request that was sent whole that is certain only at once: later, the server may be at work on it,
        and asking again may be paid for again.
        """
        connection = self._connection
        if connection is None or failure.cause.kind is not CauseKind.RESET or self._connections.is_closed:
            return False
        age = asyncio.get_running_loop().time() - self._sent_at
        at_once = not connection.is_sent or age <= AT_ONCE
        return connection.is_used and not connection.has_received and at_once

    # -- the end --------------------------------------------------------------------------------------

    def _decode_on(self) -> None:
        """Give what can be decoded, a bounded number of bytes in one turn of the event loop."""
        given = 0
        try:
            while (
                not self._is_waiting
                and (decoding := self._decoding) is not None
                and not (self._is_over or self._is_paused)
            ):
                if given > LARGEST_TURN:
                    self._let_others()
                    return
                piece = decoding.next()
                if not piece:
                    self._decoded(decoding)
                    return
                given += len(piece)
                self._receiver.received(piece)
        except DecodeError as error:
            self._close(Cause(CauseKind.ENCODING, str(error)))

    def _let_others(self) -> None:
        if self._connection is not None:
            self._connection.pause()
        self._decode_later()

    def _decode_later(self) -> None:
        if not self._is_waiting:
            self._is_waiting = True
            asyncio.get_running_loop().call_soon(self._decode_now)

    def _decode_now(self) -> None:
        self._is_waiting = False
        self._decode_on()

    def _decoded(self, decoding: "_Decoding") -> None:
        """All that has come is decoded. Raises DecodeError."""
        if not decoding.has_ended:
            if self._connection is not None:
                self._connection.resume()
        elif decoding.cause is not None:
            self._close(decoding.cause)
        else:
            decoding.check_finished()
            self._finish()

    def _finish(self) -> None:
        """The answer was read to its end."""
        connection, self._connection = self._connection, None
        if connection is not None and self._fresh:
            self._connections.drop(connection)
        elif connection is not None:
            self._connections.give_back(self._request.origin, connection)
        self._is_over = True
        self._receiver.closed(None)

    def _close(self, cause: Cause | None) -> None:
        self._drop()
        self._is_over = True
        self._receiver.closed(cause)


def _open_body(head: Head) -> tuple[Head, ContentDecoder | None]:
    codings = [value for name, value in head.headers if name.lower() == "content-encoding"]
    decoder = content_decoder(",".join(codings)) if codings else None
    if decoder is None:
        return head, None
    kept = tuple(pair for pair in head.headers if pair[0].lower() != "content-encoding")
    return Head(head.status, kept, head.reason), decoder


class _Decoding:
    """A body on its way through its decoder."""

    has_ended = False
    """Whether nothing more comes of the connection."""
    cause: Cause | None = None
    """Why that is, where it ended improperly."""

    def __init__(self, decoder: ContentDecoder) -> None:
        self._decoder = decoder
        self._waiting: deque[bytes] = deque()
        self._pieces: Iterator[bytes] = iter(())

    def put(self, data: bytes) -> None:
        self._waiting.append(data)

    def end(self, cause: Cause | None) -> None:
        self.has_ended, self.cause = True, cause

    def next(self) -> bytes:
        """Some decoded bytes; nothing where all that has come is decoded. Raises DecodeError."""
        while not (piece := next(self._pieces, b"")) and self._waiting:
            self._pieces = self._decoder.feed(self._waiting.popleft())
        return piece

    def check_finished(self) -> None:
        """Raises DecodeError where the body ends too early for its coding."""
        if not self._decoder.finished:
            raise DecodeError("the body ends inside its compressed data")

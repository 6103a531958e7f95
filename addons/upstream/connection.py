"""One connection to a server: its bytes, straight on asyncio, and its HTTP/1.1.

What arrives is pushed to the user of the connection out of `data_received`; what is written leaves at once.
No task reads or writes. The TLS is not asyncio's: that keeps 256 kB for each connection, this one only the
part of a record that has come.

How long to wait for an answer is left to the callers.
"""

import asyncio
import contextlib
import select
import socket
import ssl
import struct
import time
from collections.abc import Callable, Iterator
from dataclasses import replace
from typing import Protocol

from addons.upstream.failure import CauseKind, Failure
from addons.upstream.http1 import AnswerReader, RequestHead
from addons.upstream.network import Reached, Tls
from protocols.model.http import Head

LARGEST_READ = 1 << 15
"""Bytes that are read at once: what is made of them holds the event loop."""

WRITE_TIMEOUT = 60.0
"""Seconds without progress in sending a request."""

# The unit of that progress, in bytes: a long body on a slow network is sent piece by piece.
_PIECE = 1 << 18

_ERROR = 400

_NO_LINGER = struct.pack("ii", 1, 0)


class StreamUser(Protocol):
    """Who uses the bytes of a connection. Its methods return at once and raise nothing."""

    def received(self, data: bytes) -> None:
        """What has arrived, at least a byte."""

    def ended(self, error: Exception | None) -> None:
        """Nothing more arrives: comes once. `error` is None after an orderly close.

        A close without TLS's close_notify is orderly: HTTP's framing shows whether it is a cut.
        """

    def flushed(self) -> None:
        """What was written has left the process."""


class NetworkStream(asyncio.Protocol):
    """The bytes of one connection, in the clear or in TLS, for one user at a time."""

    transport: asyncio.Transport
    has_ended = False
    """Whether nothing more arrives."""

    def __init__(self, connected: socket.socket, reached: Reached) -> None:
        self._socket, self.reached = connected, reached
        self._layers: list[Tls] = []  # the outermost first
        self._unread = bytearray()
        self._lost = False
        self._error: Exception | None = None
        self._waiter: asyncio.Future[None] | None = None
        self._writable = True
        self._user: StreamUser | None = None

    # -- for its user ---------------------------------------------------------------------------------

    @property
    def is_flushed(self) -> bool:
        """Whether all that was written has left the process."""
        return self._writable and not self._lost and not self.transport.is_closing()

    @property
    def is_quiet(self) -> bool:
        """Whether nothing has come that was not read, be it the beginning of a TLS record, nor waits in the
        system's buffer."""
        return not self.has_unread and not _has_input(self._socket)

    @property
    def has_unread(self) -> bool:
        """Whether more has come than was read, or the end."""
        unread = self.has_ended or self._unread or self.transport.is_closing()
        return bool(unread) or any(layer.is_inside_record for layer in self._layers)

    def attach(self, user: StreamUser) -> None:
        """From now on `user` gets what arrives, and what has arrived and was not read."""
        self._user = user
        if self._unread:
            data, self._unread = bytes(self._unread), bytearray()
            user.received(data)
        if self.has_ended:
            user.ended(self._error)

    def write(self, data: bytes | memoryview) -> None:
        """`is_flushed` says when it has left. Where it cannot, the connection ends."""
        if self._lost:
            return
        try:
            for layer in reversed(self._layers):
                data = layer.encrypt(data)
        except ssl.SSLError as error:
            self.transport.abort()
            self._lose(error)
        else:
            if data:
                self.transport.write(data)

    def pause(self) -> None:
        """Read no further."""
        self.transport.pause_reading()

    def resume(self) -> None:
        self.transport.resume_reading()

    def reset(self) -> None:
        """Close at once, by a reset: the system sends nothing more of what was written."""
        with contextlib.suppress(OSError):  # it is closed from the other side
            self._socket.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, _NO_LINGER)
        self.abort()

    def abort(self) -> None:
        """Close at once."""
        if not self._lost:
            self.transport.abort()
        self._lose(ConnectionAbortedError("closed from this side"))

    # -- while it is made -----------------------------------------------------------------------------

    async def read(self) -> bytes:
        """Some of what has arrived, before there is a user; nothing at the end. Raises Failure after a
        reset."""
        while not self._unread and not self.has_ended:
            await self._change()
        data, self._unread = bytes(self._unread), bytearray()
        if not data and self._error is not None:
            raise Failure(CauseKind.RESET, "the connection was reset") from self._error
        return data

    async def start_tls(self, context: ssl.SSLContext, server_hostname: str) -> None:
        """Shake hands; once more inside this TLS through an https proxy. Raises Failure."""
        layer = Tls(context, server_hostname)
        early = bytes(self._unread)
        self._unread.clear()
        self._layers.append(layer)
        self._decrypted(*layer.feed(early, ended=self.has_ended))
        while not layer.is_open and not self.has_ended:
            await self._change()
        if not layer.is_open:
            self.abort()
            raise layer.failure() from layer.error
        self.reached = replace(self.reached, secured=time.time())

    # -- for the event loop ---------------------------------------------------------------------------

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        assert isinstance(transport, asyncio.Transport)
        self.transport = transport
        # What is written counts as written once the system has taken it.
        transport.set_write_buffer_limits(0)
        if hasattr(transport, "max_size"):  # of transports that are fed by a selector
            transport.max_size = LARGEST_READ

    def data_received(self, data: bytes) -> None:
        if self._layers:
            self._receive(data, ended=False)
        elif self._user is not None:
            self._user.received(data)
        else:
            self._decrypted(data, ended=False)

    def eof_received(self) -> bool:
        """The other direction stays open: a server may answer, and close, before it has read all."""
        self._receive(b"", ended=True)
        return True

    def connection_lost(self, exc: Exception | None) -> None:
        if self._lost:
            return
        if exc is not None:
            self._read_remainder()
        self._lose(exc)

    def pause_writing(self) -> None:
        self._writable = False

    def resume_writing(self) -> None:
        self._writable = True
        if self._user is not None:
            self._user.flushed()
        else:
            self._notify()

    def _read_remainder(self) -> None:
        """A server that answers and closes before it has read all makes writing fail; its answer has come."""
        with contextlib.suppress(OSError):
            while not self._lost and (data := self._socket.recv(LARGEST_READ)):
                self._receive(data, ended=False)

    def _receive(self, data: bytes, *, ended: bool) -> None:
        for layer in self._layers:
            data, ended = layer.feed(data, ended=ended)
        self._decrypted(data, ended)

    def _decrypted(self, data: bytes, ended: bool) -> None:
        error: Exception | None = None
        for layer in self._layers:
            error = error or layer.error
            if layer.has_output:
                self.write(b"")  # the handshake's own messages, renewed keys, alerts
        if self._user is None:
            self._unread += data
        elif data:
            self._user.received(data)
        if ended:
            self._end(error)
        self._notify()

    def _lose(self, error: Exception | None) -> None:
        self._lost = True
        self._end(error)

    def _end(self, error: Exception | None) -> None:
        if self.has_ended:
            return
        self.has_ended, self._error = True, error
        user, self._user = self._user, None  # which holds this stream
        if user is not None:
            user.ended(error)
        self._notify()

    def _change(self) -> asyncio.Future[None]:
        """Done when something has happened; for one user who waits."""
        self._waiter = asyncio.get_running_loop().create_future()
        return self._waiter

    def _notify(self) -> None:
        if self._waiter is not None and not self._waiter.done():
            self._waiter.set_result(None)


def _has_input(connected: socket.socket) -> bool:
    """Whether bytes or an end wait in the system's buffer, or the socket is closed."""
    if connected.fileno() < 0:
        return True
    if not hasattr(select, "poll"):  # on Windows, where select() has no largest file number
        return bool(select.select([connected], [], [], 0)[0])
    poll = select.poll()
    poll.register(connected, select.POLLIN)
    return bool(poll.poll(0))


class ConnectionUser(Protocol):
    """Who has sent a request on a connection. Its methods return at once and raise nothing."""

    def sent(self) -> None:
        """All of the request has left the process, or an answer has begun before: no more of it is sent."""

    def started(self, head: Head, reached: Reached) -> Callable[[bytes], None]:
        """The head of the final answer has come. Who takes the bytes of its body, at least one at a time.
        `reached`: by which connection."""
        ...

    def over(self) -> None:
        """The answer is there as a whole."""

    def failed(self, failure: Failure) -> None:
        """It never will be."""


class Connection:
    """HTTP/1.1 over one stream: requests one after the other.

    Bytes after an answer's end are no answer to anything: they must not reach the next request.
    """

    is_used = False
    """Whether it has served a request before."""
    is_sent = False
    """Whether all of this request has left the process."""
    has_received = False
    """Whether the server has sent anything since this request began."""

    _answer: AnswerReader

    def __init__(self, stream: NetworkStream) -> None:
        self._stream = stream
        self._user: ConnectionUser | None = None
        self._watcher: Callable[[], None] | None = None
        self._pieces: Iterator[bytes | memoryview] | None = None
        self._patience: asyncio.TimerHandle | None = None
        self._has_begun = self._is_last = False
        self._take: Callable[[bytes], None] | None = None

    @property
    def is_quiet(self) -> bool:
        """Whether the server has neither closed nor sent anything since `renew`."""
        return self._stream.is_quiet

    def send(self, head: RequestHead, body: bytes, user: ConnectionUser) -> None:
        """Send a request; `user` gets what comes of it, some of it before this returns."""
        self._user, self._is_last = user, head.is_last
        self._answer = AnswerReader(head.method)
        self._pieces = _pieces(head.data, body)
        self._send_more()
        if not self.is_used:
            self._stream.attach(self)

    def renew(self) -> bool:
        """Get ready for another request. False if there can be none: this one or its answer did not reach its
        end, one side said close, the end of the answer is in doubt, or something came after it."""
        answer = self._answer
        is_done = self.is_sent and answer.is_over and not answer.has_surplus
        if not is_done or self._is_last or not answer.may_follow or self._stream.has_unread:
            return False
        self.is_used = True
        self.is_sent = self.has_received = self._has_begun = False
        self._stream.resume()
        return True

    def watch(self, watcher: Callable[[], None] | None) -> None:
        """Call `watcher` when bytes or the end come while no request is under way."""
        self._watcher = watcher

    def pause(self) -> None:
        """Read no further for now."""
        self._stream.pause()

    def resume(self) -> None:
        self._stream.resume()

    def break_off(self) -> None:
        """Close at once; a request that is under way fails."""
        self._stream.abort()

    def abort(self) -> None:
        """Close at once; nobody hears of it. No more is sent of a request that is under way."""
        close = self._stream.abort if self._user is None else self._stream.reset
        self._leave()
        close()

    # -- sending --------------------------------------------------------------------------------------

    def flushed(self) -> None:
        self._send_more()

    def _send_more(self) -> None:
        while self._pieces is not None:
            piece = next(self._pieces, None)
            if piece is None:
                self.is_sent = True
                self._stop_sending()
                return
            self._stream.write(piece)
            if not self._stream.is_flushed:
                break
        if self._pieces is not None:  # else it has failed meanwhile
            self._be_patient()

    def _be_patient(self) -> None:
        if self._patience is not None:
            self._patience.cancel()
        loop = asyncio.get_running_loop()
        self._patience = loop.call_later(WRITE_TIMEOUT, self._give_up)

    def _give_up(self) -> None:
        self._fail(Failure(CauseKind.SENDING, "the request could not be sent in time"))

    def _stop_sending(self) -> None:
        self._pieces = None
        if self._patience is not None:
            self._patience.cancel()
            self._patience = None
        if self._user is not None:
            self._user.sent()

    # -- receiving ------------------------------------------------------------------------------------

    def received(self, data: bytes) -> None:
        user, answer = self._user, self._answer
        content = answer.feed(data)
        if user is None:  # bytes out of turn
            self._tell_watcher()
            return
        self.has_received = True
        if not self._has_begun:
            self._begin(answer)
        if content and self._take is not None:
            self._take(content)
        if self._user is not user:
            return  # it has left meanwhile
        if answer.is_over:
            self._leave()
            user.over()
        elif answer.is_broken:
            self._fail(Failure(CauseKind.PROTOCOL, "the answer is not valid HTTP/1.1"))

    def _begin(self, answer: AnswerReader) -> None:
        if answer.head is None:
            if self._pieces is not None:
                self._be_patient()
            return
        self._has_begun = True
        if self._pieces is not None:
            self._stop_sending()
        if (user := self._user) is not None:
            take = user.started(answer.head, self._stream.reached)
            self._take = take if self._user is user else None

    def ended(self, error: Exception | None) -> None:
        user = self._user
        if user is None:
            self._tell_watcher()
        elif self._may_end(error):
            self._leave()
            user.over()
        else:
            self._fail(self._cut(error))

    def _may_end(self, error: Exception | None) -> bool:
        """A server that answers an unread request with an error, and closes, resets the connection: the
        end."""
        head = self._answer.head
        if head is None or (error is not None and head.status < _ERROR):
            return False
        return self._answer.feed_eof()

    def _cut(self, error: Exception | None) -> Failure:
        if error is not None:
            failure = Failure(CauseKind.RESET, "the connection was reset")
            failure.__cause__ = error
            return failure
        if self._answer.head is None:
            return Failure(CauseKind.RESET, "the connection was closed without an answer")
        return Failure(CauseKind.INCOMPLETE, "the connection was closed inside the body")

    def _fail(self, failure: Failure) -> None:
        user = self._user
        self._leave()
        if user is not None:
            user.failed(failure)

    def _leave(self) -> None:
        self._user = self._pieces = self._take = None
        if self._patience is not None:
            self._patience.cancel()
            self._patience = None

    def _tell_watcher(self) -> None:
        if self._watcher is not None:
            self._watcher()


def _pieces(head: bytes, body: bytes) -> Iterator[bytes | memoryview]:
    view = memoryview(body)
    yield b"".join((head, view[:_PIECE]))
    for start in range(_PIECE, len(body), _PIECE):
        yield view[start : start + _PIECE]

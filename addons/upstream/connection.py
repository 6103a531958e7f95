"""One connection to a server: its bytes, straight on asyncio, and its HTTP/1.1, by h11.

What has arrived waits here; what is written leaves at once. Reading and writing happen at the same time,
without a task for either: `NetworkStream.wait` wakes its user when bytes have come, when the end has, or when
what was written has left. The TLS is not asyncio's: that keeps 256 kB for each connection, this one only what
has arrived and was not read yet.

How long to wait for an answer is left to the callers.
"""

import asyncio
import contextlib
import select
import socket
import ssl
import time
from collections.abc import Callable, Iterator
from dataclasses import replace

import h11

from addons.upstream.failure import CauseKind, Failure
from addons.upstream.network import Reached, Tls
from protocols.model.http import Head, Headers

LARGEST_UNREAD = 1 << 17
"""Bytes that wait in the process before the socket is read no further."""

LARGEST_READ = 1 << 15
"""Bytes that are read at once: what is made of them holds the event loop."""

type RequestHead = h11.Request
"""A request's head, checked, for `Connection.send`."""

WRITE_TIMEOUT = 60.0
"""Seconds without progress in sending a request."""

# The unit of that progress, in bytes: a long body on a slow network is sent piece by piece.
_PIECE = 1 << 18

# A head of an answer that is larger is refused; in bytes.
_LARGEST_HEAD = 100 * 1024

MOST_INTERIM = 256
"""Interim answers (1xx) before the final one. A server that is at work says so every few seconds."""

_NOT_HTTP = "the answer is not valid HTTP/1.1"

_NEEDS_LENGTH = frozenset({"POST", "PUT", "PATCH"})


class NetworkStream(asyncio.Protocol):
    """The bytes of one connection, in the clear or in TLS, for one user at a time."""

    transport: asyncio.Transport

    def __init__(self, connected: socket.socket, reached: Reached) -> None:
        self._socket, self.reached = connected, reached
        self._layers: list[Tls] = []  # the outermost first
        self._unread = bytearray()
        self._ended = self._lost = False
        self._error: Exception | None = None
        self._waiter: asyncio.Future[None] | None = None
        self._writable = True
        self._watcher: Callable[[], None] | None = None

    # -- for its user ---------------------------------------------------------------------------------

    @property
    def is_readable(self) -> bool:
        """Whether `read_nowait` has bytes or the end."""
        return self._ended or bool(self._unread)

    @property
    def is_flushed(self) -> bool:
        """Whether all that was written has left the process."""
        return self._writable and not self._lost and not self.transport.is_closing()

    @property
    def has_unread(self) -> bool:
        """Whether more has come than was read, be it the beginning of a TLS record."""
        return self.is_readable or any(layer.is_inside_record for layer in self._layers)

    @property
    def is_quiet(self) -> bool:
        """Whether nothing has come that was not read, nor waits in the system's buffer."""
        return not self.has_unread and not _has_input(self._socket)

    def watch(self, watcher: Callable[[], None] | None) -> None:
        """Call `watcher` whenever something happens while nobody waits."""
        self._watcher = watcher

    async def wait(self, seconds: float) -> None:
        """Wait until bytes have come, the end has, or what was written has left. Raises Failure after
        `seconds` in which nothing did."""
        waiter = self._change()
        try:
            async with asyncio.timeout(seconds):
                await waiter
        except TimeoutError as error:
            if waiter.cancelled():  # else both at once, where the process itself was stopped
                text = "the request could not be sent in time"
                raise Failure(CauseKind.SENDING, text) from error

    async def read(self) -> bytes:
        """Some of what has arrived, at least a byte; nothing at the end. Raises Failure after a reset.

        A close without TLS's close_notify is an end like any other: HTTP's framing shows whether it is a cut.
        """
        while not self.is_readable:
            await self._change()
        return self.read_nowait()

    def read_nowait(self) -> bytes:
        """As `read`, at once; nothing also where it is not readable."""
        if not self._unread and self._error is not None:
            raise Failure(CauseKind.RESET, "the connection was reset") from self._error
        if len(self._unread) <= LARGEST_READ:
            data, self._unread = bytes(self._unread), bytearray()
        else:
            data = bytes(self._unread[:LARGEST_READ])
            del self._unread[:LARGEST_READ]
        if not self._ended and len(self._unread) <= LARGEST_UNREAD:
            self.transport.resume_reading()
        return data

    def write(self, data: bytes) -> None:
        """`is_flushed` says when it has left. Where it cannot, reading fails."""
        if self._lost:
            return
        try:
            for layer in reversed(self._layers):
                data = layer.encrypt(data)
        except ssl.SSLError as error:
            self._lose(error)
        else:
            if data:
                self.transport.write(data)

    async def start_tls(self, context: ssl.SSLContext, server_hostname: str) -> None:
        """Shake hands; once more inside this TLS through an https proxy. Raises Failure."""
        layer = Tls(context, server_hostname)
        early = bytes(self._unread)
        self._unread.clear()
        self._layers.append(layer)
        self._decrypted(*layer.feed(early, ended=self._ended))
        while not layer.is_open and not self.is_readable:
            await self._change()
        if not layer.is_open:
            self.abort()
            raise layer.failure() from layer.error
        self.reached = replace(self.reached, secured=time.time())

    def abort(self) -> None:
        """Close at once; whoever reads gets a Failure."""
        if not self._lost:
            self.transport.abort()
        self._lose(ConnectionAbortedError("closed from this side"))

    # -- for the event loop ---------------------------------------------------------------------------

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        assert isinstance(transport, asyncio.Transport)
        self.transport = transport
        # What is written counts as written once the system has taken it.
        transport.set_write_buffer_limits(0)

    def data_received(self, data: bytes) -> None:
        self._receive(data, ended=False)
        if len(self._unread) > LARGEST_UNREAD:
            self.transport.pause_reading()

    def eof_received(self) -> bool:
        """The other direction stays open: a server may answer, and close, before it has read all."""
        self._receive(b"", ended=True)
        return True

    def connection_lost(self, exc: Exception | None) -> None:
        if self._lost:
            return
        if exc is not None:
            self._read_remainder()
        self._lose(None if self._ended else exc)

    def pause_writing(self) -> None:
        self._writable = False

    def resume_writing(self) -> None:
        self._writable = True
        self._notify()

    def _read_remainder(self) -> None:
        """A server that answers and closes before it has read all makes writing fail; its answer has come."""
        with contextlib.suppress(OSError):
            while data := self._socket.recv(LARGEST_UNREAD):
                self._receive(data, ended=False)

    def _receive(self, data: bytes, *, ended: bool) -> None:
        for layer in self._layers:
            data, ended = layer.feed(data, ended=ended)
        self._decrypted(data, ended)

    def _decrypted(self, data: bytes, ended: bool) -> None:
        for layer in self._layers:
            self._error = self._error or layer.error
            if layer.has_output:
                self.write(b"")  # the handshake's own messages, renewed keys, alerts
        self._unread += data
        self._ended = self._ended or ended
        self._notify()

    def _lose(self, error: Exception | None) -> None:
        self._ended = self._lost = True
        self._error = self._error or error
        self._notify()

    def _change(self) -> asyncio.Future[None]:
        """Done when something has happened; for one user who waits."""
        self._waiter = asyncio.get_running_loop().create_future()
        return self._waiter

    def _notify(self) -> None:
        if self._waiter is not None and not self._waiter.done():
            self._waiter.set_result(None)
        if self._watcher is not None:
            self._watcher()


def _has_input(connected: socket.socket) -> bool:
    """Whether bytes or an end wait in the system's buffer, or the socket is closed."""
    if connected.fileno() < 0:
        return True
    if not hasattr(select, "poll"):  # on Windows, where select() has no largest file number
        return bool(select.select([connected], [], [], 0)[0])
    poll = select.poll()
    poll.register(connected, select.POLLIN)
    return bool(poll.poll(0))


def request_head(method: str, target: bytes, host: str, headers: Headers, length: int) -> RequestHead:
    """A request's head: `headers` with the framing that fits a body of `length`, and `host` where none is.

    Raises Failure where that cannot be written.
    """
    pairs = [
        (name, str(length) if name.lower() == "content-length" else value)
        for name, value in headers
        if name.lower() != "transfer-encoding"
    ]
    names = {name.lower() for name, _ in pairs}
    if "host" not in names:
        pairs.insert(0, ("Host", host))
    if "content-length" not in names and (length or method in _NEEDS_LENGTH):
        pairs.append(("Content-Length", str(length)))
    encoded = [(_encode(name), _encode(value)) for name, value in pairs]
    try:
        return h11.Request(method=method, target=target, headers=encoded)
    except h11.LocalProtocolError as error:
        text = "the request cannot be written as HTTP/1.1"
        raise Failure(CauseKind.PROTOCOL, text) from error


class Connection:
    """HTTP/1.1 on a stream, one request and its answer at a time: `send`, `answer`, `read` to the end, then
    `renew`."""

    is_used = False
    """Whether it has served a request before."""
    is_sent = False
    """Whether all of this request has left the process."""
    has_received = False
    """Whether the server has sent anything since this request began."""

    def __init__(self, stream: NetworkStream) -> None:
        self._stream = stream
        self._http = h11.Connection(h11.CLIENT, max_incomplete_event_size=_LARGEST_HEAD)
        self._answer: h11.Response | None = None
        self._interim = 0
        self._ended = False

    @property
    def reached(self) -> Reached:
        return self._stream.reached

    async def send(self, head: RequestHead, body: bytes) -> None:
        """Send a request. Returns when all of it has left the process, or when an answer has begun before:
        the remainder is not sent. Raises Failure."""
        for piece in self._pieces(head, body):
            self._stream.write(piece)
            await self._flushed_or_answered()
            if self._answer is not None:
                return
        # Not before: a connection on which this was not said cannot be renewed.
        self._http.send(h11.EndOfMessage())
        self.is_sent = True

    async def answer(self) -> Head:
        """The head of the final answer, as received: UTF-8 with surrogateescape. Raises Failure."""
        while self._answer is None:
            self._receive_head(await self._stream.read())
        answer = self._answer
        headers = tuple((_decode(name), _decode(value)) for name, value in answer.headers.raw_items())
        return Head(answer.status_code, headers, _decode(bytes(answer.reason)))

    async def read(self) -> bytes:
        """The next bytes of the answer's body; nothing at its end. Raises Failure."""
        while True:
            event = self._next()
            if isinstance(event, h11.Data):
                return bytes(event.data)
            if isinstance(event, h11.EndOfMessage):
                return b""
            if event is not h11.NEED_DATA:
                raise Failure(CauseKind.PROTOCOL, _NOT_HTTP)
            data = await self._more()
            self._ended = not data
            self._http.receive_data(data)

    def renew(self) -> bool:
        """Get ready for another request. False if there can be none: this one or its answer did not reach its
        end, one side said close, the end of the answer is in doubt, or something came after it."""
        http, answer = self._http, self._answer
        is_done = http.our_state is h11.DONE and http.their_state is h11.DONE
        if not is_done or answer is None or _has_two_lengths(answer) or self.has_more:
            return False
        http.start_next_cycle()
        self._answer = None
        self._interim = 0
        self.is_used = True
        self.is_sent = self.has_received = False
        return True

    @property
    def has_more(self) -> bool:
        """Whether anything has come after what was read."""
        return self._stream.has_unread or self._http.trailing_data != (b"", False)

    @property
    def is_quiet(self) -> bool:
        """Whether the server has neither closed nor sent anything since `renew`."""
        return self._stream.is_quiet

    def watch(self, watcher: Callable[[], None] | None) -> None:
        self._stream.watch(watcher)

    def abort(self) -> None:
        self._stream.abort()

    def _pieces(self, head: RequestHead, body: bytes) -> Iterator[bytes]:
        yield self._written(head) + self._written(h11.Data(data=body[:_PIECE]))
        for start in range(_PIECE, len(body), _PIECE):
            yield self._written(h11.Data(data=body[start : start + _PIECE]))

    def _written(self, event: h11.Request | h11.Data) -> bytes:
        return self._http.send(event) or b""

    async def _flushed_or_answered(self) -> None:
        while self._answer is None and not self._stream.is_flushed:
            if not self._stream.is_readable:
                await self._stream.wait(WRITE_TIMEOUT)
            if self._stream.is_readable:
                self._receive_head(self._stream.read_nowait())

    def _receive_head(self, data: bytes) -> None:
        """Read bytes before the end of the answer's head; 1xx are skipped."""
        if not data:
            raise Failure(CauseKind.RESET, "the connection was closed without an answer")
        self.has_received = True
        self._http.receive_data(data)
        event = self._next()
        while isinstance(event, h11.InformationalResponse) and self._interim < MOST_INTERIM:
            self._interim += 1
            event = self._next()
        if isinstance(event, h11.Response):
            self._answer = event
        elif event is not h11.NEED_DATA:  # a switch of protocols, or a flood of interim answers
            raise Failure(CauseKind.PROTOCOL, _NOT_HTTP)

    def _next(self) -> object:
        try:
            return self._http.next_event()
        except h11.RemoteProtocolError as error:
            if self._ended:
                raise Failure(CauseKind.INCOMPLETE, "the connection was closed inside the body") from error
            raise Failure(CauseKind.PROTOCOL, _NOT_HTTP) from error

    async def _more(self) -> bytes:
        if self._stream.is_readable:
            await asyncio.sleep(0)  # a body that is all there lets others have their turn
        try:
            return await self._stream.read()
        except Failure:
            if self._answer is not None and _is_error_until_close(self._answer):
                return b""
            raise


def _has_two_lengths(answer: h11.Response) -> bool:
    """Content-Length beside Transfer-Encoding: what one reader takes for the end, another does not
    (RFC 9112 section 6.3)."""
    names = {name for name, _ in answer.headers}
    return b"content-length" in names and b"transfer-encoding" in names


def _is_error_until_close(answer: h11.Response) -> bool:
    """A server that answers an unread request with an error, and closes, resets the connection: the end."""
    names = {name for name, _ in answer.headers}
    return answer.status_code >= 400 and not names & {b"content-length", b"transfer-encoding"}


def _decode(data: bytes) -> str:
    return data.decode("utf-8", "surrogateescape")


def _encode(text: str) -> bytes:
    return text.encode("utf-8", "surrogateescape")

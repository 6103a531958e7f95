"""Connections' bytes, straight on asyncio: what has arrived waits here, what is written leaves at once.

Reading and writing go on at the same time, without a task for either: `stirred` wakes whoever uses the line
when bytes have come, when the end has, or when what was written has left. The TLS is not asyncio's: that
keeps 256 kB for each connection, here only what has arrived and was not taken yet.

What is left to the callers: how long to wait for a connection or an answer, and telling from HTTP's framing
whether an end is a cut.
"""

import asyncio
import contextlib
import os
import select
import socket
import ssl
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from functools import partial

from aiohappyeyeballs import AddrInfoType, start_connection

from addons.upstream.failure import CauseKind, Failure

LARGEST_UNREAD = 1 << 17
"""Bytes that wait in the process before the socket is read no further."""

LARGEST_TAKE = 1 << 15
"""Bytes that are taken at once: what is made of them holds the event loop."""

NEXT_ADDRESS = 0.25
"""Seconds until another address of a host is tried beside the one before, as RFC 8305 recommends."""

# A provider that thinks for minutes in silence: probes keep middleboxes from forgetting the connection.
_PROBES = (("TCP_KEEPIDLE", 60), ("TCP_KEEPINTVL", 30), ("TCP_KEEPCNT", 4))

# What one TLS record holds at most, and its header, in bytes.
_RECORD = 1 << 14
_RECORD_HEADER = 5


@dataclass(frozen=True, slots=True)
class Reached:
    """Who is at the other end of a line, which may be a proxy on the way, and when each step was done.

    Times are in seconds since the epoch. `secured`: of the innermost TLS; None where there is none.
    """

    peer: tuple[str, int]
    began: float
    connected: float
    secured: float | None = None


async def connect(host: str, port: int) -> "Line":
    """To whichever of the host's addresses answers first, with keep-alive probes. Raises Failure."""
    loop, began = asyncio.get_running_loop(), time.time()
    try:
        addresses = await loop.getaddrinfo(host, port, type=socket.SOCK_STREAM)
        # asyncio's own race hangs up to Python 3.12.8 with tasks that start eagerly, as mitmproxy's do.
        connected = await start_connection(
            addresses, happy_eyeballs_delay=NEXT_ADDRESS, socket_factory=_open_socket
        )
        reached = Reached(connected.getpeername()[:2], began, time.time())
        _, line = await loop.create_connection(partial(Line, connected, reached), sock=connected)
    except (socket.gaierror, UnicodeError) as fault:
        raise Failure(CauseKind.DNS, "the host name cannot be resolved") from fault
    except OSError as fault:
        reason = f": {os.strerror(fault.errno)}" if fault.errno else ""
        raise Failure(CauseKind.CONNECT, f"cannot connect{reason}") from fault
    return line


def _open_socket(address: AddrInfoType) -> socket.socket:
    family, kind, protocol, _, _ = address
    opened = socket.socket(family, kind, protocol)
    for option in _keepalive():
        opened.setsockopt(*option)
    return opened


def _keepalive() -> Iterator[tuple[int, int, int]]:
    yield socket.SOL_SOCKET, socket.SO_KEEPALIVE, 1
    for name, value in _PROBES:
        if hasattr(socket, name):
            yield socket.IPPROTO_TCP, getattr(socket, name), value


class Line(asyncio.Protocol):
    """One connection, in the clear or in TLS, for one user at a time."""

    transport: asyncio.Transport

    def __init__(self, connected: socket.socket, reached: Reached) -> None:
        self._socket, self.reached = connected, reached
        self._layers: list[_Tls] = []  # the outermost first
        self._arrived = bytearray()
        self._ended = self._lost = False
        self._fault: Exception | None = None
        self._waiter: asyncio.Future[None] | None = None
        self._writable = True
        self._watcher: Callable[[], None] | None = None

    # -- for its user ---------------------------------------------------------------------------------

    @property
    def has_news(self) -> bool:
        """Whether `take` has bytes or the end."""
        return self._ended or bool(self._arrived)

    @property
    def has_left(self) -> bool:
        """Whether all that was written has left the process."""
        return self._writable and not self._lost and not self.transport.is_closing()

    @property
    def has_unread(self) -> bool:
        """Whether more has come than was taken, be it the beginning of a TLS record."""
        return self.has_news or any(layer.is_inside_record for layer in self._layers)

    @property
    def is_quiet(self) -> bool:
        """Whether nothing has come that was not taken, nor waits in the system's buffer."""
        return not self.has_unread and not _is_readable(self._socket)

    def watch(self, watcher: Callable[[], None] | None) -> None:
        """Call `watcher` whenever something happens on a line that nobody waits for."""
        self._watcher = watcher

    async def stirred(self, seconds: float | None = None) -> None:
        """Wait until bytes have come, the end has, or what was written has left. Raises Failure after
        `seconds` in which nothing did."""
        waiter = self._wait()
        try:
            async with asyncio.timeout(seconds):
                await waiter
        except TimeoutError as fault:
            if waiter.cancelled():  # else both at once, where the process itself was stopped
                text = "the request could not be sent in time"
                raise Failure(CauseKind.SENDING, text) from fault

    async def read(self) -> bytes:
        """Some of what has arrived, at least a byte; nothing at the end. Raises Failure behind a reset.

        A close without TLS's own goodbye is an end like any other: HTTP's framing tells a cut.
        """
        while not self.has_news:
            await self._wait()
        return self.take()

    def take(self) -> bytes:
        """As `read`, at once; nothing also where there is no news."""
        if not self._arrived and self._fault is not None:
            raise Failure(CauseKind.RESET, "the connection was reset") from self._fault
        if len(self._arrived) <= LARGEST_TAKE:
            taken, self._arrived = bytes(self._arrived), bytearray()
        else:
            taken = bytes(self._arrived[:LARGEST_TAKE])
            del self._arrived[:LARGEST_TAKE]
        if not self._ended and len(self._arrived) <= LARGEST_UNREAD:
            self.transport.resume_reading()
        return taken

    def write(self, data: bytes) -> None:
        """`has_left` says when it has left; that it cannot is news."""
        if self._lost:
            return
        try:
            for layer in reversed(self._layers):
                data = layer.encrypt(data)
        except ssl.SSLError as fault:
            self._lose(fault)
        else:
            if data:
                self.transport.write(data)

    async def start_tls(self, context: ssl.SSLContext, server_hostname: str) -> None:
        """Once more inside another TLS for a provider through an https proxy. Raises Failure."""
        layer = _Tls(context, server_hostname)
        early = bytes(self._arrived)
        self._arrived.clear()
        self._layers.append(layer)
        self._arrive(*layer.feed(early, ended=self._ended))
        while not layer.is_open and not self.has_news:
            await self._wait()
        if not layer.is_open:
            self.abort()
            raise layer.failure() from layer.fault
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
        if len(self._arrived) > LARGEST_UNREAD:
            self.transport.pause_reading()

    def eof_received(self) -> bool:
        """The other direction goes on: a server may answer, and close, before it has read all."""
        self._receive(b"", ended=True)
        return True

    def connection_lost(self, exc: Exception | None) -> None:
        if self._lost:
            return
        if exc is not None:
            self._save_last_words()
        self._lose(None if self._ended else exc)

    def pause_writing(self) -> None:
        self._writable = False

    def resume_writing(self) -> None:
        self._writable = True
        self._stir()

    def _save_last_words(self) -> None:
        """A server that answers and closes before it has read all makes writing fail: its answer is there."""
        with contextlib.suppress(OSError):
            while data := self._socket.recv(LARGEST_UNREAD):
                self._receive(data, ended=False)

    def _receive(self, data: bytes, *, ended: bool) -> None:
        for layer in self._layers:
            data, ended = layer.feed(data, ended=ended)
        self._arrive(data, ended)

    def _arrive(self, data: bytes, ended: bool) -> None:
        for layer in self._layers:
            self._fault = self._fault or layer.fault
            if layer.has_output:
                self.write(b"")  # the handshake's own messages, renewed keys, alerts
        self._arrived += data
        self._ended = self._ended or ended
        self._stir()

    def _lose(self, fault: Exception | None) -> None:
        self._ended = self._lost = True
        self._fault = self._fault or fault
        self._stir()

    def _wait(self) -> asyncio.Future[None]:
        """Done when something has happened; for one who waits."""
        self._waiter = asyncio.get_running_loop().create_future()
        return self._waiter

    def _stir(self) -> None:
        if self._waiter is not None and not self._waiter.done():
            self._waiter.set_result(None)
        if self._watcher is not None:
            self._watcher()


class _Tls:
    """TLS without a socket: encrypted bytes in, what they say out, and the other way round."""

    fault: ssl.SSLError | None = None
    is_open = False
    """Whether the handshake is done."""

    def __init__(self, context: ssl.SSLContext, server_hostname: str) -> None:
        self._encrypted, self._out = ssl.MemoryBIO(), ssl.MemoryBIO()
        self._object = context.wrap_bio(self._encrypted, self._out, server_hostname=server_hostname)
        self._header = b""
        self._missing = 0

    @property
    def has_output(self) -> bool:
        return self._out.pending > 0

    @property
    def is_inside_record(self) -> bool:
        """Whether the bytes so far end inside a record; OpenSSL keeps such a part to itself."""
        return bool(self._header or self._missing)

    def failure(self) -> Failure:
        """Why there was no handshake."""
        match self.fault:
            case None:
                return Failure(CauseKind.TLS, "TLS: the connection was closed in the handshake")
            case ssl.SSLCertVerificationError(verify_message=message):
                return Failure(CauseKind.CERTIFICATE, f"certificate: {message}")
            case fault:
                return Failure(CauseKind.TLS, f"TLS: {fault.reason or 'failed'}")

    def feed(self, data: bytes, *, ended: bool) -> tuple[bytes, bool]:
        """What the bytes say, and whether it was the last: an end with a goodbye, one without, or a fault."""
        self._encrypted.write(data)
        self._follow(data)
        if ended:
            self._encrypted.write_eof()
        plain = bytearray()
        try:
            self._shake_hands()
            while piece := self._object.read(_RECORD):
                plain += piece
                if not (ended or self._encrypted.pending or self._object.pending()):
                    return bytes(plain), False
        except ssl.SSLWantReadError:
            return bytes(plain), False
        except (ssl.SSLZeroReturnError, ssl.SSLEOFError):
            pass
        except ssl.SSLError as fault:
            self.fault = fault
        return bytes(plain), True

    def _follow(self, data: bytes) -> None:
        """Where records end: five bytes, of which the last two are the length of what follows (RFC 8446
        section 5.1)."""
        place = 0
        while place < len(data):
            if not self._missing:
                wanted = _RECORD_HEADER - len(self._header)
                self._header += data[place : place + wanted]
                place += wanted
                if len(self._header) == _RECORD_HEADER:
                    self._missing, self._header = int.from_bytes(self._header[3:]), b""
            skipped = min(self._missing, max(0, len(data) - place))
            self._missing -= skipped
            place += skipped

    def _shake_hands(self) -> None:
        if not self.is_open:
            self._object.do_handshake()
            self.is_open = True

    def encrypt(self, data: bytes) -> bytes:
        """What is to be written now, `data` included. Raises ssl.SSLError."""
        if data:
            self._object.write(data)
        return self._out.read() if self._out.pending else b""


def _is_readable(connected: socket.socket) -> bool:
    if connected.fileno() < 0:
        return True
    if not hasattr(select, "poll"):  # on Windows, where select() has no largest file number
        return bool(select.select([connected], [], [], 0)[0])
    poll = select.poll()
    poll.register(connected, select.POLLIN)
    return bool(poll.poll(0))

"""Connections for httpcore, straight on asyncio.

httpcore brings a backend of its own for asyncio, which goes through anyio. Measured on a stream of single
events: that adds the socket to the event loop and removes it again for every read, 70 us of CPU for each
event against 45 here. Nor is the TLS asyncio's: that keeps 256 kB for each connection, here only what has
arrived and was not read yet.

What is left to the callers: how long to wait for a connection or an answer, and telling from HTTP's framing
whether an end is a cut.
"""

import asyncio
import socket
import ssl
from collections.abc import Iterable, Iterator
from functools import partial
from typing import Any

import httpcore
from aiohappyeyeballs import AddrInfoType, start_connection

LARGEST_UNREAD = 1 << 17
"""Bytes that wait in the process before the socket is read no further."""

NEXT_ADDRESS = 0.25
"""Seconds until another address of a host is tried beside the one before, as RFC 8305 recommends."""

# A provider that thinks for minutes in silence: probes keep middleboxes from forgetting the connection.
_PROBES = (("TCP_KEEPIDLE", 60), ("TCP_KEEPINTVL", 30), ("TCP_KEEPCNT", 4))


class Network(httpcore.AsyncNetworkBackend):
    """Opens connections; every one of them sends keep-alive probes while it is silent."""

    async def connect_tcp(
        self,
        host: str,
        port: int,
        timeout: float | None = None,  # noqa: ASYNC109  # httpcore's signature
        local_address: str | None = None,
        socket_options: Iterable[httpcore.SOCKET_OPTION] | None = None,
    ) -> httpcore.AsyncNetworkStream:
        """To whichever of the host's addresses answers first.

        `timeout` and `local_address` are not looked at: the caller has one limit for all of it. Raises
        httpcore.ConnectError, an OSError (socket.gaierror for the name) being its cause; UnicodeError for a
        name that cannot be one.
        """
        loop = asyncio.get_running_loop()
        factory = partial(_open_socket, (*_keepalive(), *(socket_options or ())))
        try:
            addresses = await loop.getaddrinfo(host, port, type=socket.SOCK_STREAM)
            # asyncio's own race hangs up to Python 3.12.8 with tasks that start eagerly, as mitmproxy's do.
            connected = await start_connection(
                addresses, happy_eyeballs_delay=NEXT_ADDRESS, socket_factory=factory
            )
            _, line = await loop.create_connection(_Line, sock=connected)
        except OSError as fault:
            raise httpcore.ConnectError from fault
        return _Stream(line)


def _keepalive() -> Iterator[httpcore.SOCKET_OPTION]:
    yield socket.SOL_SOCKET, socket.SO_KEEPALIVE, 1
    for name, value in _PROBES:
        if hasattr(socket, name):
            yield socket.IPPROTO_TCP, getattr(socket, name), value


def _open_socket(options: Iterable[httpcore.SOCKET_OPTION], address: AddrInfoType) -> socket.socket:
    family, kind, protocol, _, _ = address
    opened = socket.socket(family, kind, protocol)
    for option in options:
        opened.setsockopt(*option)
    return opened


class _Line(asyncio.Protocol):
    """A connected socket: what has arrived waits here until it is taken."""

    transport: asyncio.Transport

    def __init__(self) -> None:
        self._arrived = bytearray()
        self._ended = self._lost = False
        self._fault: Exception | None = None
        self._news = asyncio.Event()
        self._writable = asyncio.Event()
        self._writable.set()

    @property
    def has_news(self) -> bool:
        """Whether `take` returns at once."""
        return self._ended or bool(self._arrived)

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        assert isinstance(transport, asyncio.Transport)
        self.transport = transport
        # What is written counts as written once the system has taken it.
        transport.set_write_buffer_limits(0)

    def data_received(self, data: bytes) -> None:
        self._arrived += data
        if len(self._arrived) > LARGEST_UNREAD:
            self.transport.pause_reading()
        self._news.set()

    def eof_received(self) -> bool:
        """The other direction goes on: a server may answer, and close, before it has read all."""
        self._ended = True
        self._news.set()
        return True

    def connection_lost(self, exc: Exception | None) -> None:
        self._ended = self._lost = True
        self._fault = self._fault or exc
        self._news.set()
        self._writable.set()

    def pause_writing(self) -> None:
        self._writable.clear()

    def resume_writing(self) -> None:
        self._writable.set()

    async def take(self) -> bytes:
        """What has arrived, at least a byte; nothing at the end. Raises httpcore.ReadError behind a reset."""
        while not self.has_news:
            self._news.clear()
            await self._news.wait()
        if not self._arrived and self._fault is not None:
            raise httpcore.ReadError from self._fault
        taken = bytes(self._arrived)
        self._arrived.clear()
        if not self._ended:
            self.transport.resume_reading()
        return taken

    async def give(self, data: bytes, timeout: float | None) -> None:  # noqa: ASYNC109
        """Returns when all of it has left the process. Raises httpcore.WriteError and WriteTimeout."""
        self.transport.write(data)
        if not self._writable.is_set():
            await self._drain(timeout)
        if self._lost:
            raise httpcore.WriteError from self._fault

    async def _drain(self, timeout: float | None) -> None:  # noqa: ASYNC109
        try:
            async with asyncio.timeout(timeout):
                await self._writable.wait()
        except TimeoutError as fault:
            raise httpcore.WriteTimeout from fault

    def abort(self) -> None:
        if not self._lost:
            self.transport.abort()
        self.connection_lost(ConnectionAbortedError("closed from this side"))


class _Stream(httpcore.AsyncNetworkStream):
    """A connection as httpcore sees it, in the clear."""

    def __init__(self, line: _Line) -> None:
        self._line = line

    async def read(self, max_bytes: int, timeout: float | None = None) -> bytes:  # noqa: ASYNC109
        """`timeout` is not looked at: silence is judged elsewhere, with other measures."""
        return await self._line.take()

    async def write(self, buffer: bytes, timeout: float | None = None) -> None:  # noqa: ASYNC109
        """`timeout`: seconds until all of `buffer` has left. Raises httpcore.WriteError and WriteTimeout."""
        if buffer:  # without any, httpcore says that a request has ended
            await self._line.give(buffer, timeout)

    async def start_tls(
        self,
        ssl_context: ssl.SSLContext,
        server_hostname: str | None = None,
        timeout: float | None = None,  # noqa: ASYNC109
    ) -> httpcore.AsyncNetworkStream:
        """Raises httpcore.ConnectError, an ssl.SSLError or a lost connection being its cause."""
        inner = _Tls(self, ssl_context, server_hostname)
        try:
            await inner.shake_hands()
        except (ssl.SSLError, httpcore.NetworkError) as fault:
            self._line.abort()
            raise httpcore.ConnectError from fault
        return inner

    async def aclose(self) -> None:
        self._line.abort()

    def get_extra_info(self, info: str) -> Any:
        """`is_readable` of an idle connection: the server has closed it, or has spoken out of turn."""
        return self._is_readable() if info == "is_readable" else self._line.transport.get_extra_info(info)

    def _is_readable(self) -> bool:
        return self._line.has_news


class _Tls(_Stream):
    """TLS over another stream, which may be TLS itself: to a provider through an https proxy."""

    def __init__(self, outer: _Stream, context: ssl.SSLContext, server_hostname: str | None) -> None:
        super().__init__(outer._line)
        self._outer = outer
        self._encrypted, self._out = ssl.MemoryBIO(), ssl.MemoryBIO()
        self._object = context.wrap_bio(self._encrypted, self._out, server_hostname=server_hostname)

    async def shake_hands(self) -> None:
        """Raises ssl.SSLError, and what the outer stream raises."""
        while not await self._is_shaken():
            await self._more()

    async def _is_shaken(self) -> bool:
        try:
            self._object.do_handshake()
        except ssl.SSLWantReadError:
            return False
        finally:
            await self._flush()
        return True

    async def read(self, max_bytes: int, timeout: float | None = None) -> bytes:  # noqa: ASYNC109
        """A close without TLS's own goodbye is an end like any other: HTTP's framing tells a cut."""
        try:
            while True:
                try:
                    return self._object.read(max_bytes)
                except ssl.SSLWantReadError:
                    await self._more()
        except (ssl.SSLZeroReturnError, ssl.SSLEOFError):
            return b""
        except ssl.SSLError as fault:
            raise httpcore.ReadError from fault

    async def _more(self) -> None:
        await self._flush()  # where a key was renewed
        if data := await self._outer.read(LARGEST_UNREAD):
            self._encrypted.write(data)
        else:
            self._encrypted.write_eof()

    async def write(self, buffer: bytes, timeout: float | None = None) -> None:  # noqa: ASYNC109
        self._object.write(buffer)
        await self._flush(timeout)

    async def _flush(self, timeout: float | None = None) -> None:  # noqa: ASYNC109
        if self._out.pending:
            await self._outer.write(self._out.read(), timeout)

    def get_extra_info(self, info: str) -> Any:
        return self._object if info == "ssl_object" else super().get_extra_info(info)

    def _is_readable(self) -> bool:
        """What came together with an answer's last bytes is not on the line any more."""
        return bool(self._encrypted.pending) or self._object.pending() > 0 or self._outer._is_readable()

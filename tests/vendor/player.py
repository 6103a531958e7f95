"""One connection, and an answer played on it."""

import asyncio
import base64
import hashlib
import socket
import struct
import sys
from collections.abc import Callable, Iterable
from fcntl import ioctl
from typing import assert_never

from wsproto.connection import Connection, ConnectionType
from wsproto.events import BytesMessage, CloseConnection, Event, Ping, TextMessage

from tests.vendor.coding import Body, body_of
from tests.vendor.http1 import Received, head_bytes, reply_head, stays_open
from tests.vendor.script import (
    Answer,
    End,
    Fin,
    Framing,
    Hang,
    Pause,
    Raw,
    Reply,
    Reset,
    Send,
    SendShort,
    Step,
    Stray,
    Upgrade,
    WaitFor,
)

# A head larger than this is refused; agents send tens of kilobytes of headers at most.
_READ_LIMIT = 1 << 20
_WEBSOCKET_GUID = b"258EAFA5-E914-47DA-95CA-C5AB0DC85B11"  # RFC 6455, section 1.3
# Linger on, zero seconds: close() throws away what is unsent and sends RST.
_LINGER_ZERO = struct.pack("ii", 1, 0)
# SIOCOUTQNSD of Linux: the bytes in a socket's buffer that were not sent yet.
_UNSENT = 0x894B
_LONGEST_FLUSH = 500


class Gate:
    """A point in a script: `reached` when an answer waits at it, `released` by the test."""

    def __init__(self) -> None:
        self.reached = asyncio.Event()
        self.released = asyncio.Event()

    async def pass_through(self) -> None:
        self.reached.set()
        await self.released.wait()


class Line(asyncio.StreamReaderProtocol):
    """One client connection: what is read, what is written, and the moment the client leaves.

    `gone` is set by the event loop when the client's FIN or RST arrives, also while nobody reads; a client
    that closes only its sending half counts as gone.
    """

    writer: asyncio.StreamWriter

    def __init__(self, opened: Callable[["Line"], None], lost: Callable[["Line"], None]) -> None:
        self.reader = asyncio.StreamReader(limit=_READ_LIMIT)
        super().__init__(self.reader)
        self.gone = asyncio.Event()
        self._opened = opened
        self._lost = lost

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        super().connection_made(transport)
        assert isinstance(transport, asyncio.Transport)
        # drain() is to return only when everything is with the kernel: a reset must not overtake a send.
        # TLS pauses at the limit, plain TCP above it; TLS with 0 would never continue.
        transport.set_write_buffer_limits(high=1 if transport.get_extra_info("ssl_object") else 0, low=0)
        self.writer = asyncio.StreamWriter(transport, self, self.reader, asyncio.get_running_loop())
        self._opened(self)

    def eof_received(self) -> bool | None:
        self.gone.set()
        return super().eof_received()

    def connection_lost(self, exc: Exception | None) -> None:
        self.gone.set()
        super().connection_lost(exc)
        self._lost(self)

    @property
    def closed(self) -> bool:
        return self.writer.is_closing()

    async def write(self, data: bytes) -> None:
        self.writer.write(data)
        await self.writer.drain()
        await asyncio.sleep(0)  # the loop reports a loss between two writes: drain() alone need not let it

    async def reset(self) -> None:
        peer: socket.socket = self.writer.get_extra_info("socket")
        await _all_sent(peer)
        peer.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, _LINGER_ZERO)
        self.writer.transport.abort()

    def fin(self, *, close_notify: bool = True) -> None:
        if close_notify:
            self.writer.close()
        else:
            self.writer.transport.abort()


async def _all_sent(peer: socket.socket) -> None:
    """Until nothing waits in the system's send buffer, which a reset throws away: of many small writes only
    the first dozen leave before the client's system has confirmed some. Not for a client that does not read.
    """
    for _ in range(_LONGEST_FLUSH if sys.platform == "linux" else 0):
        if peer.fileno() < 0 or not any(ioctl(peer.fileno(), _UNSENT, bytes(4))):
            return
        await asyncio.sleep(0.001)


class Player:
    """Plays one answer to one request on a line, and keeps the record of it."""

    def __init__(self, line: Line, gate: Callable[[str], Gate], received: Received) -> None:
        self._line = line
        self._gate = gate
        self._received = received
        self._interval = 0.0

    async def play(self, answer: Answer) -> None:
        """The whole answer; the line is closed after it unless it stays open for the next request."""
        match answer:
            case Reply():
                await self._reply(answer)
            case Raw(steps):
                await self._steps(steps, Body(Framing.UNTIL_CLOSE))
                self._line.fin()
            case Upgrade(headers, said):
                await self._upgrade(headers, said)
            case Hang() | Reset() | Fin():
                await self._steps((answer,), Body(Framing.UNTIL_CLOSE))
            case _:
                assert_never(answer)

    async def _reply(self, reply: Reply) -> None:
        body = body_of(reply)
        await self._steps(reply.before, body, end=False)
        if self._line.closed:
            return
        await self._write([reply_head(reply)])
        if self._received.method == "HEAD":
            self._received.complete = True
        else:
            self._interval = reply.pace.interval if reply.pace else 0.0
            await self._steps(reply.steps, body)
        if not stays_open(self._received, reply):
            self._line.fin()

    async def _steps(self, steps: tuple[Step, ...], body: Body, *, end: bool = True) -> None:
        for step in steps:
            if self._line.closed:
                return
            await self._step(step, body)
        if end and not body.ended and not self._line.closed:
            await self._step(End(), body)

    async def _step(self, step: Step, body: Body) -> None:
        match step:
            case Send(data):
                await self._write(body.send(data))
            case SendShort(data, missing):
                await self._write(body.short(data, missing))
            case Stray(data):
                await self._write([data])
            case Pause(seconds):
                await asyncio.sleep(seconds)
            case WaitFor(gate):
                await self._gate(gate).pass_through()
            case Hang():
                await asyncio.Event().wait()
            case Reset():
                self._received.complete = True
                await self._line.reset()
            case Fin(close_notify):
                self._received.complete = True
                self._line.fin(close_notify=close_notify)
            case End():
                # Set ahead of the write: a client that has all of it may leave before drain() returns.
                self._received.complete = True
                await self._write(body.end())
            case _:
                assert_never(step)

    async def _write(self, pieces: Iterable[bytes]) -> None:
        for piece in pieces:
            if self._interval:
                await asyncio.sleep(self._interval)
            self._received.sent += len(piece)
            await self._line.write(piece)

    async def _upgrade(self, headers: tuple[tuple[str, str], ...], said: bytes) -> None:
        key = self._received.header("sec-websocket-key")
        accept = [("Sec-WebSocket-Accept", accept_key(key))] if key else []
        wanted = self._received.header("upgrade") or "websocket"
        head = [("Upgrade", wanted), ("Connection", "Upgrade"), *accept, *headers]
        await self._write([head_bytes(101, head), said])
        await (self._echo_frames() if key else self._echo_bytes())

    async def _echo_bytes(self) -> None:
        while data := await self._line.reader.read(65536):
            await self._write([data])

    async def _echo_frames(self) -> None:
        connection = Connection(ConnectionType.SERVER)
        while data := await self._line.reader.read(65536):
            connection.receive_data(data)
            for event in connection.events():
                await self._echo_event(connection, event)

    async def _echo_event(self, connection: Connection, event: Event) -> None:
        match event:
            case TextMessage() | BytesMessage():
                await self._write([connection.send(event)])
            case Ping():
                await self._write([connection.send(event.response())])
            case CloseConnection():
                self._received.complete = True
                await self._write([connection.send(event.response())])
                self._line.fin()
            case _:
                pass


def accept_key(key: str) -> str:
    """The Sec-WebSocket-Accept for a Sec-WebSocket-Key: base64 of SHA-1 (RFC 6455, section 4.2.2)."""
    return base64.b64encode(hashlib.sha1(key.encode("latin-1") + _WEBSOCKET_GUID).digest()).decode("ascii")

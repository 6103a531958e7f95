"""Servers at the other end of one connection, played by hand."""

import asyncio
import contextlib
import os
import socket
import stat
import struct
from collections.abc import AsyncIterator, Callable, Coroutine
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import OpenSSL.SSL

from addons.upstream.connection import NetworkStream
from addons.upstream.failure import Failure
from addons.upstream.network import Reached, connect
from protocols.model.http import Head
from tests.vendor import Authority

PATIENCE = 10.0


def open_sockets() -> set[tuple[int, int]]:
    """The sockets of this process, each by its descriptor and its inode."""
    found = set()
    for number in (int(each.name) for each in Path("/dev/fd").iterdir()):
        with contextlib.suppress(OSError):  # the listing's own is closed by now
            status = os.fstat(number)
            if stat.S_ISSOCK(status.st_mode):
                found.add((number, status.st_ino))
    return found


async def until(condition: Callable[[], bool]) -> None:
    async with asyncio.timeout(PATIENCE):
        while not condition():  # noqa: ASYNC110  # of what others do, without a signal
            await asyncio.sleep(0)


@dataclass(frozen=True, slots=True)
class Peer:
    """A server: its port, and the connections that it has accepted."""

    port: int
    authority: Authority | None
    accepted: asyncio.Queue[tuple[asyncio.StreamReader, asyncio.StreamWriter]]

    async def both(self) -> tuple[NetworkStream, asyncio.StreamReader, asyncio.StreamWriter]:
        """Both ends of a new connection, its handshake done where the server has an authority."""
        async with asyncio.timeout(PATIENCE):
            stream = await connect("127.0.0.1", self.port, NetworkStream)
            if self.authority is not None:
                await stream.start_tls(self.authority.client_context(), "localhost")
            return stream, *await self.accepted.get()


class Listener:
    """Uses the bytes of a connection: keeps them."""

    def __init__(self) -> None:
        self.data = b""
        self.ends: list[Exception | None] = []
        self.flushes = 0

    def received(self, data: bytes) -> None:
        assert data
        assert not self.ends
        self.data += data

    def ended(self, error: Exception | None) -> None:
        self.ends.append(error)

    def flushed(self) -> None:
        self.flushes += 1


class Asker:
    """Has sent a request on a connection: keeps what comes of it."""

    def __init__(self) -> None:
        self.is_sent = self.is_over = False
        self.head: Head | None = None
        self.pieces: list[bytes] = []
        self.failure: Failure | None = None

    @property
    def body(self) -> bytes:
        return b"".join(self.pieces)

    @property
    def has_ended(self) -> bool:
        return self.is_over or self.failure is not None

    def sent(self) -> None:
        assert not self.is_sent
        self.is_sent = True

    def started(self, head: Head, _: Reached) -> Callable[[bytes], None]:
        assert self.is_sent
        assert self.head is None
        self.head = head
        return self._received

    def _received(self, data: bytes) -> None:
        assert data
        assert self.head is not None
        self.pieces.append(data)

    def over(self) -> None:
        assert self.head is not None
        self._end()

    def failed(self, failure: Failure) -> None:
        self._end()
        self.is_over, self.failure = False, failure

    def _end(self) -> None:
        assert not self.has_ended
        self.is_over = True


@contextlib.asynccontextmanager
async def serving(authority: Authority | None = None, host: str = "127.0.0.1") -> AsyncIterator[Peer]:
    accepted: asyncio.Queue[tuple[asyncio.StreamReader, asyncio.StreamWriter]] = asyncio.Queue()
    writers: list[asyncio.StreamWriter] = []

    def accept(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        writers.append(writer)
        accepted.put_nowait((reader, writer))

    server = await asyncio.start_server(
        accept, host, 0, ssl=None if authority is None else authority.server_context()
    )
    try:
        yield Peer(server.sockets[0].getsockname()[1], authority, accepted)
    finally:
        server.close()
        for writer in writers:
            writer.transport.abort()
        await server.wait_closed()


def reset(writer: asyncio.StreamWriter) -> None:
    connection = writer.get_extra_info("socket")
    connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
    writer.transport.abort()


async def read_all(stream: NetworkStream, size: int) -> bytes:
    got = bytearray()
    async with asyncio.timeout(PATIENCE):
        while len(got) < size:
            data = await stream.read()
            assert data
            got += data
    return bytes(got)


async def cancelled[T](
    doing: Coroutine[Any, Any, T], when: Callable[[], Coroutine[Any, Any, object]]
) -> None:
    task = asyncio.get_running_loop().create_task(doing)
    async with asyncio.timeout(PATIENCE):
        await when()
        assert not task.done()
        task.cancel()
        await asyncio.wait({task})
    assert task.cancelled()


class ByHand:
    """The server's end of TLS over the bytes of a connection, for what asyncio's cannot do."""

    def __init__(
        self, authority: Authority, reader: asyncio.StreamReader, writer: asyncio.StreamWriter
    ) -> None:
        context = OpenSSL.SSL.Context(OpenSSL.SSL.TLSv1_2_METHOD)
        context.use_certificate_file(str(authority._leaf_path))
        context.use_privatekey_file(str(authority._leaf_path))
        self.end = OpenSSL.SSL.Connection(context)
        self.end.set_accept_state()
        self._reader, self._writer = reader, writer

    async def shake_hands(self) -> None:
        while True:
            try:
                self.end.do_handshake()
            except OpenSSL.SSL.WantReadError:
                self.flush()
                self.end.bio_write(await self._reader.read(1 << 16))
            else:
                self.flush()
                break

    async def renew_keys(self) -> None:
        assert self.end.renegotiate()
        await self.shake_hands()  # an invitation; the client's next message is its part of it
        while self.end.renegotiate_pending():
            self.end.bio_write(await self._reader.read(1 << 16))
            with contextlib.suppress(OpenSSL.SSL.WantReadError):
                self.end.recv(1 << 16)
            self.flush()

    def flush(self) -> None:
        with contextlib.suppress(OpenSSL.SSL.WantReadError):
            self._writer.write(self.end.bio_read(1 << 16))

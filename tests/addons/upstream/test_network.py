"""Connections over real sockets: how they are made, what they carry, and how they can end."""

import asyncio
import contextlib
import gc
import socket
import ssl
import struct
import sys
from collections.abc import AsyncIterator, Callable, Coroutine, Iterator
from dataclasses import dataclass
from typing import Any

import OpenSSL.SSL
import pytest

from addons.upstream.failure import Cause, CauseKind, Failure
from addons.upstream.network import LARGEST_UNREAD, Line, connect
from tests.vendor import Authority

type Address = tuple[int, int, int, str, tuple[Any, ...]]

PATIENCE = 10.0
LARGEST_READ = 256 * 1024  # what asyncio takes from a socket at once

on_linux = pytest.mark.skipif(
    sys.platform != "linux", reason="a full queue of connections is silent on Linux alone"
)


@pytest.fixture(autouse=True, params=["lazy", "eager"])
async def tasks(request: pytest.FixtureRequest) -> None:
    """As mitmproxy's event loop starts tasks, and as any other does."""
    if request.param == "eager":
        asyncio.get_running_loop().set_task_factory(asyncio.eager_task_factory)


@pytest.fixture(autouse=True)
async def nothing_left() -> AsyncIterator[None]:
    """No test leaves a task or an open socket behind."""
    before = open_sockets()
    yield
    await until(lambda: not open_sockets() - before and asyncio.all_tasks() == {asyncio.current_task()})


@pytest.fixture(scope="session")
def authority(tmp_path_factory: pytest.TempPathFactory) -> Authority:
    return Authority(tmp_path_factory.mktemp("authority"))


@pytest.fixture(params=["plain", "tls"])
async def peer(request: pytest.FixtureRequest, authority: Authority) -> AsyncIterator["Peer"]:
    async with serving(authority if request.param == "tls" else None) as peer:
        yield peer


def open_sockets() -> set[int]:
    return {id(each) for each in gc.get_objects() if type(each) is socket.socket and each.fileno() >= 0}


async def until(condition: Callable[[], bool]) -> None:
    async with asyncio.timeout(PATIENCE):
        while not condition():  # noqa: ASYNC110  # of what others do, and tell nobody
            await asyncio.sleep(0)


@dataclass(frozen=True, slots=True)
class Peer:
    """A server: its port, and the connections that it has accepted."""

    port: int
    authority: Authority | None
    accepted: asyncio.Queue[tuple[asyncio.StreamReader, asyncio.StreamWriter]]

    async def both(self) -> tuple[Line, asyncio.StreamReader, asyncio.StreamWriter]:
        """Both ends of a new connection, its handshake done where the server has an authority."""
        async with asyncio.timeout(PATIENCE):
            stream = await connect("127.0.0.1", self.port)
            if self.authority is not None:
                await stream.start_tls(self.authority.client_context(), "localhost")
            return stream, *await self.accepted.get()


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


async def read_all(stream: Line, size: int) -> bytes:
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


# Addresses


@pytest.fixture
def name(monkeypatch: pytest.MonkeyPatch) -> Callable[..., str]:
    """Gives a name these addresses: pairs of an address and a port, or what its look-up raises."""

    def give(*addresses: tuple[str, int], fault: Exception | None = None) -> str:
        async def look_up(host: str, port: int, **how: object) -> list[Address]:
            if fault is not None:
                raise fault
            return [_address(*each) for each in addresses]

        monkeypatch.setattr(asyncio.get_running_loop(), "getaddrinfo", look_up)
        return "provider.test"

    return give


def _address(host: str, port: int) -> Address:
    if ":" in host:
        return socket.AF_INET6, socket.SOCK_STREAM, socket.IPPROTO_TCP, "", (host, port, 0, 0)
    return socket.AF_INET, socket.SOCK_STREAM, socket.IPPROTO_TCP, "", (host, port)


@pytest.fixture
def closed_port() -> Iterator[int]:
    """A port that refuses: bound, so that nobody else gets it, and not listened on."""
    with socket.socket() as bound:
        bound.bind(("127.0.0.1", 0))
        yield bound.getsockname()[1]


@pytest.fixture
def silent_port() -> Iterator[int]:
    """A port that neither accepts nor refuses: its queue is full."""
    with contextlib.ExitStack() as stack:
        listening = stack.enter_context(socket.socket())
        listening.bind(("127.0.0.1", 0))
        listening.listen(0)
        for _ in range(4):
            waiting = stack.enter_context(socket.socket())
            waiting.setblocking(False)
            waiting.connect_ex(listening.getsockname())
        yield listening.getsockname()[1]


async def test_a_connection_sends_probes_in_silence() -> None:
    async with serving() as peer:
        stream, _, _ = await peer.both()
        connection = stream.transport.get_extra_info("socket")
        assert connection.getsockopt(socket.SOL_SOCKET, socket.SO_KEEPALIVE) != 0
        stream.abort()


async def test_after_an_address_that_refuses_comes_the_next(
    name: Callable[..., str], closed_port: int
) -> None:
    async with serving() as peer:
        host = name(("127.0.0.1", closed_port), ("127.0.0.1", peer.port))
        stream = await connect(host, 443)
        assert stream.transport.get_extra_info("peername") == ("127.0.0.1", peer.port)
        stream.abort()


@on_linux
async def test_beside_an_address_that_is_silent_the_next_is_tried(
    name: Callable[..., str], silent_port: int
) -> None:
    async with serving() as peer:
        host = name(("127.0.0.1", silent_port), ("127.0.0.1", peer.port))
        async with asyncio.timeout(PATIENCE):
            stream = await connect(host, 443)
        assert stream.transport.get_extra_info("peername") == ("127.0.0.1", peer.port)
        stream.abort()


@pytest.mark.parametrize(("there", "other"), [("127.0.0.1", "::1"), ("::1", "127.0.0.1")])
async def test_of_two_families_the_one_that_answers(
    name: Callable[..., str], closed_port: int, there: str, other: str
) -> None:
    if not can_listen(there):
        pytest.skip(f"this machine has no {there}")
    async with serving(host=there) as peer:
        stream = await connect(name((other, closed_port), (there, peer.port)), 443)
        assert stream.transport.get_extra_info("peername")[:2] == (there, peer.port)
        stream.abort()


def can_listen(host: str) -> bool:
    with socket.socket(_address(host, 0)[0]) as probe:
        try:
            probe.bind((host, 0))
        except OSError:
            return False
        return True


@pytest.mark.parametrize("count", [1, 2])
async def test_no_address_answers(name: Callable[..., str], closed_port: int, count: int) -> None:
    with pytest.raises(Failure) as failure:
        await connect(name(*[("127.0.0.1", closed_port)] * count), 443)
    assert failure.value.cause == Cause(CauseKind.CONNECT, "cannot connect: Connection refused")


async def test_a_name_without_an_address(name: Callable[..., str]) -> None:
    unknown = socket.gaierror(socket.EAI_NONAME, "unknown")
    with pytest.raises(Failure) as failure:
        await connect(name(fault=unknown), 443)
    assert failure.value.cause == Cause(CauseKind.DNS, "the host name cannot be resolved")


@on_linux
@pytest.mark.parametrize("count", [1, 2])
async def test_cancelled_while_connecting(name: Callable[..., str], silent_port: int, count: int) -> None:
    host, before = name(*[("127.0.0.1", silent_port)] * count), open_sockets()
    await cancelled(connect(host, 443), lambda: until(lambda: len(open_sockets() - before) == count))


# TLS


async def test_a_certificate_nobody_vouches_for(authority: Authority) -> None:
    async with serving(authority) as peer:
        stream = await connect("127.0.0.1", peer.port)
        with pytest.raises(Failure) as failure:
            await stream.start_tls(ssl.create_default_context(), "localhost")
        assert failure.value.cause.kind is CauseKind.CERTIFICATE


async def test_a_server_that_speaks_no_tls(authority: Authority) -> None:
    async with serving() as peer:
        stream, _, writer = await peer.both()
        writer.write(b"HTTP/1.1 400 Bad Request\r\n\r\n")
        with pytest.raises(Failure) as failure:
            await stream.start_tls(authority.client_context(), "localhost")
        assert failure.value.cause == Cause(CauseKind.TLS, "TLS: WRONG_VERSION_NUMBER")


@pytest.mark.parametrize("end", [asyncio.StreamWriter.close, reset])
async def test_a_close_in_the_handshake(
    authority: Authority, end: Callable[[asyncio.StreamWriter], None]
) -> None:
    async with serving() as peer:
        stream, reader, writer = await peer.both()
        handshake = asyncio.create_task(stream.start_tls(authority.client_context(), "localhost"))
        await reader.readexactly(5)
        end(writer)
        with pytest.raises(Failure) as failure:
            await handshake
        closed = Cause(CauseKind.TLS, "TLS: the connection was closed in the handshake")
        assert failure.value.cause == closed


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


async def test_tls_in_tls(authority: Authority) -> None:
    """As to a provider through an https proxy."""
    async with serving(authority) as peer:
        outer, reader, writer = await peer.both()
        server = ByHand(authority, reader, writer)
        shaking = asyncio.create_task(server.shake_hands())
        await outer.start_tls(authority.client_context(), "localhost")
        await shaking
        server.end.send(b"inner")
        server.flush()
        assert await outer.read() == b"inner"
        outer.abort()


async def test_a_server_may_renew_its_keys(authority: Authority) -> None:
    async with serving() as peer:
        stream, reader, writer = await peer.both()
        server = ByHand(authority, reader, writer)
        shaking = asyncio.create_task(server.shake_hands())
        await stream.start_tls(authority.client_context(), "localhost")
        await shaking
        reading = asyncio.create_task(stream.read())
        async with asyncio.timeout(PATIENCE):
            await server.renew_keys()
            server.end.send(b"renewed")
            server.flush()
            assert await reading == b"renewed"
        stream.abort()


# What is carried


async def test_many_small_writes_and_a_large_one(peer: Peer) -> None:
    stream, reader, _ = await peer.both()
    large = bytes(range(256)) * 20_000
    pieces = [b"%d," % number for number in range(2_000)]

    for piece in [*pieces, b"", large]:
        stream.write(piece)
    expected = b"".join(pieces) + large
    async with asyncio.timeout(PATIENCE):
        assert await reader.readexactly(len(expected)) == expected
    await until(lambda: stream.has_left)
    stream.abort()


async def test_what_is_read_comes_in_order_and_whole(peer: Peer) -> None:
    stream, _, writer = await peer.both()
    sent = bytes(range(256)) * 20_000
    for start in range(0, 2_000, 7):
        writer.write(sent[start : min(start + 7, 2_000)])
    writer.write(sent[2_000:])
    assert await read_all(stream, len(sent)) == sent
    stream.abort()


async def test_bytes_come_when_they_are_sent(peer: Peer) -> None:
    stream, reader, writer = await peer.both()
    for piece in (b"one", b"two"):
        writer.write(piece)
        assert await stream.read() == piece
        stream.write(piece)
        assert await reader.readexactly(3) == piece
    stream.abort()


async def test_a_reader_that_is_slow_slows_the_server(peer: Peer) -> None:
    stream, _, writer = await peer.both()
    sent = bytes(range(256)) * 60_000
    writer.write(sent)
    await until(lambda: not stream.transport.is_reading())
    assert LARGEST_UNREAD < len(stream._arrived) <= LARGEST_UNREAD + LARGEST_READ
    assert await read_all(stream, len(sent)) == sent
    assert stream.transport.is_reading()
    stream.abort()


async def test_a_write_that_the_server_does_not_take(peer: Peer) -> None:
    stream, _, _ = await peer.both()

    async def fill() -> None:
        while True:
            while stream.has_left:
                stream.write(bytes(30_000))
            await stream.stirred(0.05)

    with pytest.raises(Failure) as failure:
        await fill()
    assert failure.value.cause.kind is CauseKind.SENDING
    stream.abort()


async def test_what_left_while_the_process_was_stopped_was_sent_in_time(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """The clock is far ahead when the event loop looks again, and what was written has left."""
    loop = asyncio.get_running_loop()
    clock, ahead = loop.time, 0.0
    monkeypatch.setattr(loop, "time", lambda: clock() + ahead)
    with socket.create_server(("127.0.0.1", 0)) as server:
        stream = await connect("127.0.0.1", server.getsockname()[1])
        accepted, _ = server.accept()
        with accepted:
            while stream.has_left:
                stream.write(bytes(30_000))
            waiting = asyncio.create_task(stream.stirred(60.0))
            await asyncio.sleep(0)
            accepted.setblocking(False)
            with contextlib.suppress(BlockingIOError):
                while accepted.recv(1 << 20):
                    pass
            ahead = 100.0
            await waiting
            assert stream._writable
        stream.abort()


# How it ends


@pytest.mark.parametrize("end", [asyncio.StreamWriter.close, lambda writer: writer.transport.abort()])
async def test_a_close_is_an_end_with_a_goodbye_or_without(
    peer: Peer, end: Callable[[asyncio.StreamWriter], None]
) -> None:
    stream, _, writer = await peer.both()
    writer.write(b"last")
    await writer.drain()
    end(writer)
    assert await stream.read() == b"last"
    assert [await stream.read() for _ in range(2)] == [b"", b""]
    stream.abort()


async def test_a_server_that_ends_its_half_is_still_written_to() -> None:
    async with serving() as peer:
        stream, reader, writer = await peer.both()
        writer.write(b"last")
        writer.write_eof()
        assert await stream.read() == b"last"
        assert await stream.read() == b""
        stream.write(b"more")
        assert await reader.readexactly(4) == b"more"
        stream.abort()


async def test_a_reset_comes_after_what_has_arrived(peer: Peer) -> None:
    stream, _, writer = await peer.both()
    connection = stream.transport.get_extra_info("socket")
    writer.write(b"last")
    await until(lambda: stream.has_news)
    reset(writer)
    await until(lambda: connection.fileno() < 0)
    assert await stream.read() == b"last"
    with pytest.raises(Failure) as failure:
        await stream.read()
    assert failure.value.cause == Cause(CauseKind.RESET, "the connection was reset")
    assert isinstance(failure.value.__cause__, ConnectionResetError)
    stream.write(b"more")
    assert not stream.has_left
    stream.abort()


async def test_a_write_that_waits_wakes_with_a_reset(peer: Peer) -> None:
    stream, _, writer = await peer.both()
    stream.write(bytes(60_000_000))
    reset(writer)
    while not stream.has_news:
        await stream.stirred(PATIENCE)
    assert not stream.has_left
    with pytest.raises(Failure):
        stream.take()
    stream.abort()


async def test_the_last_words_of_a_server_that_closed_unread() -> None:
    """It says no and closes; what it did not read makes the system reset the connection: writing fails."""
    with socket.create_server(("127.0.0.1", 0)) as server:
        stream = await connect("127.0.0.1", server.getsockname()[1])
        accepted, _ = server.accept()
        stream.write(b"unread")
        accepted.sendall(b"no")
        accepted.close()
    stream.write(b"more")  # before the event loop has looked
    assert await stream.read() == b"no"
    with pytest.raises(Failure):
        await stream.read()
    stream.abort()


async def test_after_a_close_from_this_side_nothing_is_read_or_written(peer: Peer) -> None:
    stream, _, _ = await peer.both()
    for _ in range(2):
        stream.abort()
    with pytest.raises(Failure):
        await stream.read()
    stream.write(b"more")
    assert not stream.has_left


# An idle connection


async def test_an_idle_connection_is_not_readable(peer: Peer) -> None:
    stream, _, writer = await peer.both()
    writer.write(b"answer")
    assert await stream.read() == b"answer"
    assert stream.is_quiet
    stream.abort()


@pytest.mark.parametrize(
    "act",
    [asyncio.StreamWriter.close, reset, lambda writer: writer.write(b"HTTP/1.1 408 Request Timeout\r\n\r\n")],
    ids=["closed", "reset", "speaks"],
)
async def test_one_that_the_server_closed_or_speaks_on_is(
    peer: Peer, act: Callable[[asyncio.StreamWriter], None]
) -> None:
    stream, _, writer = await peer.both()
    writer.write(b"answer")
    assert await stream.read() == b"answer"
    act(writer)
    await until(lambda: stream.has_news)
    assert not stream.is_quiet
    stream.abort()


async def test_what_the_loop_has_not_read_yet_is_noticed() -> None:
    """It is with the system, and the event loop has not looked since."""
    async with serving() as peer:
        stream, _, writer = await peer.both()
        writer.write(b"x")
        assert (stream.has_news, stream.is_quiet) == (False, False)
        stream.abort()


async def test_half_a_tls_record_is_unread(authority: Authority) -> None:
    """What came together with an answer, and has not come whole."""
    async with serving() as peer:
        stream, reader, writer = await peer.both()
        server = ByHand(authority, reader, writer)
        shaking = asyncio.create_task(server.shake_hands())
        await stream.start_tls(authority.client_context(), "localhost")
        await shaking
        server.end.send(b"answer")
        whole = server.end.bio_read(1 << 16)
        server.end.send(b"more")
        half = server.end.bio_read(1 << 16)
        assert not stream.has_unread
        for cut in (1, 5, len(half) - 1):
            writer.write(whole + half[:cut])
            assert await stream.read() == b"answer"
            assert (stream.has_news, stream.has_unread) == (False, True)
            writer.write(half[cut:])
            assert await stream.read() == b"more"
            assert not stream.has_unread
            server.end.send(b"answer")
            whole = server.end.bio_read(1 << 16)
            server.end.send(b"more")
            half = server.end.bio_read(1 << 16)
        stream.abort()


async def test_a_watcher_is_called_for_what_comes_and_for_the_end(peer: Peer) -> None:
    stream, _, writer = await peer.both()
    seen: list[bool] = []
    stream.watch(lambda: seen.append(stream.has_news))
    writer.write(b"x")
    await until(lambda: seen == [True])
    stream.take()
    reset(writer)
    await until(lambda: len(seen) > 1)
    assert seen[-1]
    stream.abort()


# Leaving: `nothing_left` looks at what stays behind


async def test_cancelled_in_the_handshake(authority: Authority) -> None:
    async with serving() as peer:
        stream, reader, _ = await peer.both()
        handshake = stream.start_tls(authority.client_context(), "localhost")
        await cancelled(handshake, lambda: reader.readexactly(5))
        stream.abort()


async def test_cancelled_while_reading(peer: Peer) -> None:
    stream, _, writer = await peer.both()
    writer.write(b"some")
    await cancelled(read_all(stream, 99), lambda: until(lambda: not stream.has_news))
    stream.abort()


async def test_cancelled_while_writing(peer: Peer) -> None:
    stream, _, _ = await peer.both()
    stream.write(bytes(60_000_000))
    assert not stream.has_left
    await cancelled(stream.stirred(PATIENCE), lambda: asyncio.sleep(0))
    stream.abort()


async def test_a_close_wakes_who_reads(peer: Peer) -> None:
    stream, _, _ = await peer.both()
    reading = asyncio.create_task(stream.read())
    await asyncio.sleep(0)
    stream.abort()
    with pytest.raises(Failure):
        await reading

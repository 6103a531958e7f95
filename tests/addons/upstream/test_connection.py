"""One connection over real sockets: its bytes and its ends, requests and answers whole, in pieces, and with
bytes after their end."""

import asyncio
import contextlib
import gc
import socket
import ssl
import weakref
from collections.abc import AsyncIterator, Callable

import pytest

from addons.upstream.connection import (
    LARGEST_READ,
    Connection,
    NetworkStream,
)
from addons.upstream.failure import Cause, CauseKind, Failure
from addons.upstream.http1 import MOST_INTERIM, request_head
from addons.upstream.network import connect
from tests.addons.asking import listening
from tests.addons.upstream.peer import (
    PATIENCE,
    Asker,
    ByHand,
    Listener,
    Peer,
    cancelled,
    read_all,
    reset,
    serving,
    until,
)
from tests.vendor import Authority

RECORD = 1 << 14  # a TLS record of which a part had come before
LARGE = bytes(30_000_000)  # more than the system's buffers hold

CHUNKED = b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n"
SOON = b"HTTP/1.1 102 Processing\r\n\r\nHTTP/1.1 103 Early Hints\r\nlink: x\r\n\r\n"
ANSWERS = {
    "length": (b"HTTP/1.1 200 OK\r\nContent-Length: 3\r\n\r\nabc", b"abc"),
    "chunks": (CHUNKED + b"1\r\na\r\n2;x=y\r\nbc\r\n0\r\n\r\n", b"abc"),
    "trailers": (CHUNKED + b"1\r\na\r\n0\r\nx: y\r\n\r\n", b"a"),
    "empty": (b"HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n", b""),
    "no content": (b"HTTP/1.1 204 No Content\r\n\r\n", b""),
    "informational": (SOON + b"HTTP/1.1 200 OK\r\nContent-Length: 1\r\n\r\na", b"a"),
}


pytestmark = pytest.mark.usefixtures("tasks", "nothing_left")


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
    await until(lambda: stream.is_flushed)
    stream.abort()


async def test_a_connection_that_is_closed_is_free_without_the_collector(peer: Peer) -> None:
    stream, _, _ = await peer.both()
    connection, asker = Connection(stream), Asker()
    connection.send(request_head("GET", b"/", "localhost", (), 0), b"", asker)
    left = weakref.ref(stream)
    gc.disable()
    try:
        connection.abort()
        del stream, connection, asker
        await until(lambda: left() is None)
    finally:
        gc.enable()


async def test_what_tls_cannot_write_closes_the_connection(authority: Authority) -> None:
    async with serving(authority) as peer:
        stream, _, _ = await peer.both()
        connection, asker = Connection(stream), Asker()
        stream.attach(connection)
        connection.is_used = True
        with contextlib.suppress(ssl.SSLWantReadError):
            stream._layers[0]._object.unwrap()  # from now on it takes nothing
        connection.send(request_head("GET", b"/", "localhost", (), 0), b"", asker)
        assert stream.transport.is_closing()
        assert asker.failure is not None
        assert asker.failure.cause.kind is CauseKind.RESET
        assert connection._patience is None


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


async def test_a_user_that_is_slow_slows_the_server(peer: Peer) -> None:
    stream, _, writer = await peer.both()
    user = Listener()
    stream.attach(user)
    stream.pause()
    sent = bytes(range(256)) * 60_000
    writer.write(sent)
    for _ in range(50):
        await asyncio.sleep(0)
    assert user.data == b""
    stream.resume()
    await until(lambda: len(user.data) == len(sent))
    assert user.data == sent
    stream.abort()


async def test_what_is_read_at_once_is_bounded(peer: Peer) -> None:
    stream, _, writer = await peer.both()
    pieces: list[int] = []

    class Measuring(Listener):
        def received(self, data: bytes) -> None:
            pieces.append(len(data))

    stream.attach(Measuring())
    writer.write(bytes(1_000_000))
    await until(lambda: sum(pieces) == 1_000_000)
    assert max(pieces) <= LARGEST_READ + RECORD
    stream.abort()


async def test_its_user_gets_what_came_before_it(peer: Peer) -> None:
    stream, _, writer = await peer.both()
    writer.write(b"early")
    await until(lambda: stream.has_unread)
    user = Listener()
    stream.attach(user)
    assert user.data == b"early"
    assert not stream.has_unread
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
    await until(lambda: stream.has_unread)
    reset(writer)
    await until(lambda: connection.fileno() < 0)
    assert await stream.read() == b"last"
    with pytest.raises(Failure) as failure:
        await stream.read()
    assert failure.value.cause == Cause(CauseKind.RESET, "the connection was reset")
    assert isinstance(failure.value.__cause__, ConnectionResetError)
    stream.write(b"more")
    assert not stream.is_flushed
    stream.abort()


async def test_a_user_whose_write_waits_hears_of_a_reset(peer: Peer) -> None:
    stream, _, writer = await peer.both()
    user = Listener()
    stream.attach(user)
    stream.write(bytes(60_000_000))
    reset(writer)
    await until(lambda: bool(user.ends))
    assert isinstance(user.ends[0], OSError)
    assert (len(user.ends), user.flushes, stream.is_flushed) == (1, 0, False)
    stream.abort()


async def test_the_last_words_of_a_server_that_closed_unread() -> None:
    """It says no and closes; what it did not read makes the system reset the connection: writing fails."""
    with socket.create_server(("127.0.0.1", 0)) as server:
        stream = await connect("127.0.0.1", server.getsockname()[1], NetworkStream)
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
    assert not stream.is_flushed


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
    await until(lambda: stream.has_unread)
    assert not stream.is_quiet
    stream.abort()


async def test_what_the_loop_has_not_read_yet_is_noticed() -> None:
    """It is with the system, and the event loop has not looked since."""
    async with serving() as peer:
        stream, _, writer = await peer.both()
        writer.write(b"x")
        assert (stream.has_unread, stream.is_quiet) == (False, False)
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
            assert (bool(stream._unread), stream.has_unread) == (False, True)
            writer.write(half[cut:])
            assert await stream.read() == b"more"
            assert not stream.has_unread
            server.end.send(b"answer")
            whole = server.end.bio_read(1 << 16)
            server.end.send(b"more")
            half = server.end.bio_read(1 << 16)
        stream.abort()


async def test_its_user_gets_what_comes_and_the_end_once(peer: Peer) -> None:
    stream, _, writer = await peer.both()
    user = Listener()
    stream.attach(user)
    writer.write(b"x")
    await until(lambda: user.data == b"x")
    reset(writer)
    await until(lambda: bool(user.ends))
    stream.abort()
    assert len(user.ends) == 1


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
    await cancelled(read_all(stream, 99), lambda: until(lambda: not stream._unread))
    stream.abort()


async def test_a_close_wakes_who_reads(peer: Peer) -> None:
    stream, _, _ = await peer.both()
    reading = asyncio.create_task(stream.read())
    await asyncio.sleep(0)
    stream.abort()
    with pytest.raises(Failure):
        await reading


# Sending


async def asked(peer: Peer, body: bytes) -> tuple[Connection, Asker, asyncio.StreamReader]:
    """A connection on which a request was sent, and the server's end."""
    stream, reader, _ = await peer.both()
    connection, asker = Connection(stream), Asker()
    connection.send(request_head("POST", b"/", "provider.test", (), len(body)), body, asker)
    return connection, asker, reader


async def test_a_small_request_leaves_at_once(peer: Peer) -> None:
    connection, asker, _ = await asked(peer, b"{}")
    assert asker.is_sent
    connection.abort()


async def test_a_request_that_the_server_takes_slowly(peer: Peer) -> None:
    connection, asker, reader = await asked(peer, LARGE)
    assert not asker.is_sent
    async with asyncio.timeout(PATIENCE):
        await reader.readuntil(b"\r\n\r\n")
        assert await reader.readexactly(len(LARGE)) == LARGE
        await until(lambda: asker.is_sent)
    assert connection._patience is None
    connection.abort()


async def test_a_request_that_the_server_does_not_take(peer: Peer, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("addons.upstream.connection.WRITE_TIMEOUT", 0.05)
    connection, asker, _ = await asked(peer, LARGE)
    await until(lambda: asker.has_ended)
    assert asker.failure is not None
    assert asker.failure.cause == Cause(CauseKind.SENDING, "the request could not be sent in time")
    assert not asker.is_sent
    connection.abort()


async def test_what_left_while_the_process_was_stopped_was_sent_in_time(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """The clock is far ahead when the event loop looks again, and some of what was written has left."""
    loop = asyncio.get_running_loop()
    clock, ahead = loop.time, 0.0
    monkeypatch.setattr(loop, "time", lambda: clock() + ahead)
    with socket.create_server(("127.0.0.1", 0)) as server:
        connection = Connection(await connect("127.0.0.1", server.getsockname()[1], NetworkStream))
        accepted, _ = server.accept()
        asker = Asker()
        connection.send(request_head("POST", b"/", "provider.test", (), len(LARGE)), LARGE, asker)
        first = connection._patience
        with accepted:
            accepted.setblocking(False)
            with contextlib.suppress(BlockingIOError):
                while accepted.recv(1 << 20):
                    pass
            ahead = 100.0
            await until(lambda: connection._patience is not first)
            assert (asker.has_ended, asker.is_sent) == (False, False)
        connection.abort()


async def test_one_that_is_left_while_it_sends_says_nothing(peer: Peer) -> None:
    connection, asker, _ = await asked(peer, LARGE)
    connection.abort()
    assert connection._patience is None
    await asyncio.sleep(0)
    assert not asker.has_ended
    assert not asker.is_sent


async def test_one_that_is_broken_off_fails(peer: Peer) -> None:
    connection, asker, _ = await asked(peer, b"{}")
    connection.break_off()
    assert asker.failure is not None
    assert asker.failure.cause.kind is CauseKind.RESET


# HTTP/1.1


@contextlib.asynccontextmanager
async def answered(
    answer: bytes, *, slowly: bool, close: bool = False
) -> AsyncIterator[tuple[Connection, Asker]]:
    """A connection on which a request was sent, to a server that answers it so, in pieces or at once."""

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.readuntil(b"\r\n\r\n")
        step = len(answer) // 1000 + 1 if slowly else max(1, len(answer))
        for start in range(0, len(answer), step):
            writer.write(answer[start : start + step])
            await asyncio.sleep(0)
        if not close:
            await reader.read()

    async with listening(serve) as port, asyncio.timeout(PATIENCE):
        connection = Connection(await connect("127.0.0.1", port, NetworkStream))
        asker = Asker()
        connection.send(request_head("GET", b"/", "provider.test", (), 0), b"", asker)
        try:
            yield connection, asker
        finally:
            connection.abort()


@pytest.mark.parametrize("slowly", [False, True], ids=["whole", "in pieces"])
@pytest.mark.parametrize("surplus", [b"", b"\n"], ids=["", "surplus"])
@pytest.mark.parametrize(("answer", "said"), ANSWERS.values(), ids=ANSWERS.keys())
async def test_an_answer_and_whether_another_may_follow(
    answer: bytes, said: bytes, surplus: bytes, slowly: bool
) -> None:
    async with answered(answer + surplus, slowly=slowly) as (connection, asker):
        await until(lambda: asker.is_over)
        assert asker.head is not None
        assert asker.head.status in (200, 204)
        assert asker.body == said
        await until(lambda: not surplus or connection._answer.has_surplus)
        assert connection.renew() is not bool(surplus)


async def test_bytes_while_no_request_is_under_way_are_told(peer: Peer) -> None:
    stream, reader, writer = await peer.both()
    connection, asker = Connection(stream), Asker()
    connection.send(request_head("GET", b"/", "provider.test", (), 0), b"", asker)
    async with asyncio.timeout(PATIENCE):
        await reader.readuntil(b"\r\n\r\n")
    writer.write(b"HTTP/1.1 204 No Content\r\n\r\n")
    await until(lambda: asker.is_over)
    assert connection.renew()
    told: list[bool] = []
    connection.watch(lambda: told.append(connection.is_quiet))
    writer.write(b"HTTP/1.1 408 Request Timeout\r\n\r\n")
    await until(lambda: bool(told))
    connection.abort()


@pytest.mark.parametrize(
    ("answer", "kind"),
    [
        (b"", CauseKind.RESET),
        (b"HTTP/1.1 200", CauseKind.RESET),
        (b"HTTP/1.1 100 Continue\r\n\r\n", CauseKind.RESET),
        (b"\r\nHTTP/1.1 200 OK\r\n\r\n", CauseKind.PROTOCOL),
        (b"HTTP/1.1 100 Continue\r\n\r\n" * (MOST_INTERIM + 1), CauseKind.PROTOCOL),
        (b"HTTP/1.1 101 Switching Protocols\r\nupgrade: x\r\n\r\n", CauseKind.PROTOCOL),
        (b"HTTP/1.1 200 OK\r\ncontent-length: 1\r\ncontent-length: 2\r\n\r\nab", CauseKind.PROTOCOL),
        (b"HTTP/1.1 200 OK\r\ntransfer-encoding: gzip, chunked\r\n\r\n0\r\n\r\n", CauseKind.PROTOCOL),
        (b"HTTP/1.1 200 OK\r\nx: " + b"a" * 200_000, CauseKind.PROTOCOL),
        (b"HTTP/1.1 200 OK\r\ncontent-length: 2\r\n\r\na", CauseKind.INCOMPLETE),
        (b"HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n1\r\na\r\n", CauseKind.INCOMPLETE),
        (b"HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n1\r\na\r\n0", CauseKind.INCOMPLETE),
        (b"HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n1\r\nab\r\n", CauseKind.PROTOCOL),
    ],
)
@pytest.mark.parametrize("slowly", [False, True], ids=["whole", "in pieces"])
async def test_what_is_no_answer(answer: bytes, kind: CauseKind, slowly: bool) -> None:
    async with answered(answer, slowly=slowly, close=True) as (connection, asker):
        await until(lambda: asker.has_ended)
        assert asker.failure is not None
        assert asker.failure.cause.kind is kind
        assert connection.has_received is bool(answer)
        assert not connection.renew()


async def test_the_chunks_of_one_read_come_together_and_others_have_their_turn() -> None:
    turns = 0

    async def count() -> None:
        nonlocal turns
        while True:
            await asyncio.sleep(0)
            turns += 1

    chunks = 4 * LARGEST_READ // 6
    async with answered(CHUNKED + b"1\r\na\r\n" * chunks + b"0\r\n\r\n", slowly=False) as (_, asker):
        counting = asyncio.create_task(count())
        await until(lambda: asker.is_over)
        counting.cancel()
    assert asker.body == b"a" * chunks
    assert len(asker.pieces) < chunks // 100
    assert turns >= 3


async def test_an_error_that_only_the_end_delimits_may_end_in_a_reset(peer: Peer) -> None:
    stream, reader, writer = await peer.both()
    connection, asker = Connection(stream), Asker()
    connection.send(request_head("GET", b"/", "provider.test", (), 0), b"", asker)
    async with asyncio.timeout(PATIENCE):
        await reader.readuntil(b"\r\n\r\n")
    writer.write(b"HTTP/1.1 500 No\r\n\r\nno")
    await until(lambda: asker.body == b"no")
    reset(writer)
    await until(lambda: asker.is_over)
    connection.abort()

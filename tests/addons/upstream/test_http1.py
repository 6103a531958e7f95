"""Requests and answers on one connection: whole, in pieces, and with bytes after their end."""

import asyncio
import contextlib
from collections.abc import AsyncIterator

import pytest

from addons.upstream.failure import CauseKind, Failure
from addons.upstream.http1 import MOST_INTERIM, Connection, request_head
from addons.upstream.network import LARGEST_TAKE, connect
from tests.addons.asking import PATIENCE, listening

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


@contextlib.asynccontextmanager
async def answered(answer: bytes, *, slowly: bool, close: bool = False) -> AsyncIterator[Connection]:
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
        connection = Connection(await connect("127.0.0.1", port))
        await connection.send(request_head("GET", b"/", "provider.test", (), 0), b"")
        try:
            yield connection
        finally:
            connection.abort()


async def whole(connection: Connection) -> bytes:
    await connection.answer()
    return await body(connection)


async def body(connection: Connection) -> bytes:
    said = b""
    while piece := await connection.read():
        said += piece
    return said


@pytest.mark.parametrize("slowly", [False, True], ids=["whole", "in pieces"])
@pytest.mark.parametrize("surplus", [b"", b"\n"], ids=["", "surplus"])
@pytest.mark.parametrize(("answer", "said"), ANSWERS.values(), ids=ANSWERS.keys())
async def test_an_answer_and_whether_another_may_follow(
    answer: bytes, said: bytes, surplus: bytes, slowly: bool
) -> None:
    async with answered(answer + surplus, slowly=slowly) as connection:
        head = await connection.answer()
        assert head.status in (200, 204)
        assert await body(connection) == said
        while surplus and not connection.has_more:  # noqa: ASYNC110  # it comes and tells nobody
            await asyncio.sleep(0)
        assert connection.renew() is not bool(surplus)


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
    async with answered(answer, slowly=slowly, close=True) as connection:
        with pytest.raises(Failure) as failure:
            await whole(connection)
        assert failure.value.cause.kind is kind
        assert connection.has_spoken is bool(answer)
        assert not connection.renew()


async def test_a_body_of_tiny_chunks_does_not_keep_the_event_loop() -> None:
    turns = 0

    async def count() -> None:
        nonlocal turns
        while True:
            await asyncio.sleep(0)
            turns += 1

    chunks = 4 * LARGEST_TAKE // 6
    async with answered(CHUNKED + b"1\r\na\r\n" * chunks + b"0\r\n\r\n", slowly=False) as connection:
        await connection.answer()
        while len(connection._line._arrived) < 3 * LARGEST_TAKE:  # noqa: ASYNC110  # it comes and tells nobody
            await asyncio.sleep(0)
        counting = asyncio.create_task(count())
        assert await body(connection) == b"a" * chunks
        counting.cancel()
    assert turns >= 3


async def test_a_tunnel_has_no_body() -> None:
    """And no loop that waits for one."""
    async with listening(_tunnel) as port, asyncio.timeout(PATIENCE):
        connection = Connection(await connect("127.0.0.1", port))
        await connection.send(request_head("CONNECT", b"a:1", "a:1", (), 0), b"")
        assert (await connection.answer()).status == 200
        with pytest.raises(Failure):
            await connection.read()
        assert not connection.renew()
        connection.abort()


async def _tunnel(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    await reader.readuntil(b"\r\n\r\n")
    writer.write(b"HTTP/1.1 200 OK\r\n\r\n")
    await reader.read()

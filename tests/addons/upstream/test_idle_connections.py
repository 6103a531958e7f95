"""Which connections wait for another request, and how long."""

import asyncio
import contextlib
import random
from collections.abc import AsyncIterator, Sequence
from dataclasses import dataclass, field

import pytest

from addons.upstream.client import KEEPALIVE_EXPIRY, Upstream
from addons.upstream.failure import CauseKind
from tests.addons.asking import PATIENCE, attempt, body, cause, collect, kind, listening, post, through
from tests.vendor import Authority, Hang, Vendor, whole


@pytest.fixture
async def upstream(authority: Authority) -> AsyncIterator[Upstream]:
    upstream = through(authority)
    yield upstream
    await upstream.close()


# Bytes after the end of an answer


@dataclass(slots=True)
class Echo:
    """A server that answers with the request's body, and then says `surplus`.

    `place`: together with the answer in one write, next in a write of its own at once, or idle when `speak`
    is set. `left` is set when a client has closed.
    """

    place: str = "together"
    surplus: bytes = b""
    connections: int = 0
    speak: asyncio.Event = field(default_factory=asyncio.Event)
    left: asyncio.Event = field(default_factory=asyncio.Event)

    async def __call__(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.connections += 1
        with contextlib.suppress(ConnectionError):
            while request := await _request(reader):
                await self._answer(_answer(request, chunked=False), writer)
        self.left.set()

    async def _answer(self, answer: bytes, writer: asyncio.StreamWriter) -> None:
        if self.place == "together":
            writer.write(answer + self.surplus)
            return
        writer.write(answer)
        if self.place == "idle":
            await self.speak.wait()
        writer.write(self.surplus)


async def _request(reader: asyncio.StreamReader) -> bytes:
    """The next request's body; empty at the end."""
    try:
        lines = (await reader.readuntil(b"\r\n\r\n")).lower().split(b"\r\n")
    except asyncio.IncompleteReadError:
        return b""
    length = next(line.partition(b":")[2] for line in lines if line.startswith(b"content-length:"))
    return await reader.readexactly(int(length))


def _answer(data: bytes, *, chunked: bool) -> bytes:
    if chunked:
        return b"HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n%x\r\n%b\r\n0\r\n\r\n" % (
            len(data),
            data,
        )
    return b"HTTP/1.1 200 OK\r\ncontent-length: %d\r\n\r\n%b" % (len(data), data)


SURPLUS = {
    "newline": b"\n",
    "blank line": b"\r\n",
    "byte": b"\0",
    "informational": b"HTTP/1.1 100 Continue\r\n\r\n",
    "timeout": b"HTTP/1.1 408 Request Timeout\r\ncontent-length: 0\r\n\r\n",
    "answer": _answer(b"another client's", chunked=False),
}


@pytest.mark.parametrize("secure", [False, True], ids=["plain", "tls"])
@pytest.mark.parametrize("surplus", SURPLUS.values(), ids=SURPLUS.keys())
@pytest.mark.parametrize("place", ["together", "next", "idle"])
async def test_no_byte_after_an_answer_reaches_the_next_client(
    upstream: Upstream, authority: Authority, place: str, surplus: bytes, secure: bool
) -> None:
    echo = Echo(place, surplus)
    async with listening(echo, authority if secure else None) as port:
        url = f"{'https' if secure else 'http'}://127.0.0.1:{port}/"
        for number in range(3):
            events = await collect(attempt(upstream, post(url, b"client %d" % number)))
            assert (body(events), kind(events)) == (b"client %d" % number, None)
            echo.speak.set()
            await asyncio.wait_for(echo.left.wait(), PATIENCE)  # closed, without being asked for again
            echo.left.clear()
    assert echo.connections == 3


@pytest.mark.parametrize("surplus", SURPLUS.values(), ids=SURPLUS.keys())
async def test_what_the_loop_has_not_read_yet_is_noticed_in_time(upstream: Upstream, surplus: bytes) -> None:
    """It comes while nobody looks: the next client is quicker than the event loop."""
    echo = Echo()
    writers: list[asyncio.StreamWriter] = []

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        writers.append(writer)
        await echo(reader, writer)

    async with listening(serve) as port:
        url = f"http://127.0.0.1:{port}/"
        assert body(await collect(attempt(upstream, post(url, b"first")))) == b"first"
        writers[0].write(surplus)
        assert body(await collect(attempt(upstream, post(url, b"second")))) == b"second"
    assert echo.connections == 2


@pytest.mark.parametrize("by_proxy", [False, True], ids=["straight", "proxy"])
@pytest.mark.parametrize("secure", [False, True], ids=["plain", "tls"])
@pytest.mark.parametrize("seed", range(3))
async def test_nobody_gets_a_byte_of_another_s_answer(
    authority: Authority, by_proxy: bool, secure: bool, seed: int
) -> None:
    """Many at once over pooled connections, and surplus bytes in all places and mixtures."""
    dice = random.Random(seed)

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        while data := await _request(reader):
            answer = _answer(data, chunked=dice.random() < 0.5)
            surplus = b"".join(dice.choices([b"", *SURPLUS.values()], k=dice.randrange(3)))
            for piece in _cut(answer + surplus, dice):
                writer.write(piece)

    async with contextlib.AsyncExitStack() as stack:
        port = await stack.enter_async_context(listening(serve, authority if secure else None))
        proxy = await stack.enter_async_context(_relaying(port)) if by_proxy else ""
        upstream = through(authority, proxy)
        stack.push_async_callback(upstream.close)

        async def client(name: int) -> None:
            for number in range(12):
                said = b"client %d, call %d" % (name, number)
                request = post(f"{'https' if secure else 'http'}://127.0.0.1:{port}/", said)
                events = await collect(attempt(upstream, request, fresh=dice.random() < 0.1))
                assert (body(events), cause(events)) == (said, None)

        async with asyncio.TaskGroup() as clients:
            for name in range(5):
                clients.create_task(client(name))


def _cut(data: bytes, dice: random.Random) -> Sequence[bytes]:
    places = sorted(dice.choices(range(len(data) + 1), k=dice.randrange(4)))
    return [data[start:end] for start, end in zip([0, *places], [*places, len(data)], strict=True)]


@contextlib.asynccontextmanager
async def _relaying(port: int) -> AsyncIterator[str]:
    """A proxy that tunnels, and forwards the bytes of plain requests as they are."""

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        begin = await reader.readuntil(b"\r\n\r\n")
        far_reader, far_writer = await asyncio.open_connection("127.0.0.1", port)
        if begin.startswith(b"CONNECT "):
            writer.write(b"HTTP/1.1 200 OK\r\n\r\n")
        else:
            far_writer.write(begin)
        try:
            await asyncio.gather(_pump(reader, far_writer), _pump(far_reader, writer))
        finally:
            far_writer.transport.abort()

    async with listening(serve) as own:
        yield f"http://127.0.0.1:{own}"


async def _pump(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    while data := await reader.read(65536):
        writer.write(data)
    writer.close()


@pytest.mark.parametrize(
    "answer",
    [
        b"HTTP/1.1 200 OK\r\ncontent-length: 5\r\ntransfer-encoding: chunked\r\n\r\n0\r\n\r\n",
        b"HTTP/1.1 204 No Content\r\ncontent-length: 5\r\n\r\nhello",
        b"HTTP/1.1 200 OK\r\nconnection: close\r\ncontent-length: 0\r\n\r\n",
        b"HTTP/1.0 200 OK\r\ncontent-length: 0\r\n\r\n",
    ],
    ids=["two lengths", "a body where none can be", "close", "old"],
)
async def test_an_answer_whose_end_can_be_doubted_ends_its_connection(
    upstream: Upstream, answer: bytes
) -> None:
    connections = 0

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        nonlocal connections
        connections += 1
        while await _request(reader):
            writer.write(answer)

    async with listening(serve) as port:
        for _ in range(2):
            events = await collect(attempt(upstream, post(f"http://127.0.0.1:{port}/")))
            assert (body(events), kind(events)) == (b"", None)
    assert connections == 2


# How long they wait


async def test_an_idle_connection_expires(upstream: Upstream, monkeypatch: pytest.MonkeyPatch) -> None:
    loop = asyncio.get_running_loop()
    clock, ahead = loop.time, 0.0
    monkeypatch.setattr(loop, "time", lambda: clock() + ahead)
    async with Vendor() as vendor:
        vendor.always(whole(b"{}"))
        for passes in (0.0, KEEPALIVE_EXPIRY - 5, KEEPALIVE_EXPIRY + 5):
            ahead += passes
            await collect(attempt(upstream, post(f"{vendor.base_url}/")))
        assert [received.connection for received in vendor.requests] == [1, 1, 2]
        ahead += KEEPALIVE_EXPIRY + 5
        await vendor.wait_idle()  # closed with no other call


async def test_an_idle_connection_that_the_server_ends_is_closed_at_once(upstream: Upstream) -> None:
    """Not when somebody wants to use it: half-closed sockets would pile up."""
    left = asyncio.Event()

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        writer.write(_answer(await _request(reader), chunked=False))
        writer.write_eof()
        await reader.read()
        left.set()

    async with listening(serve) as port:
        await collect(attempt(upstream, post(f"http://127.0.0.1:{port}/")))
        await asyncio.wait_for(left.wait(), PATIENCE)


async def test_a_closed_pool_asks_no_second_time(upstream: Upstream) -> None:
    """A used connection that ends without a byte is replaced, but not where the pool itself has ended it."""
    async with Vendor() as vendor:
        vendor.reply(whole(b"{}")).reply(Hang())
        await collect(attempt(upstream, post(f"{vendor.base_url}/")))
        task = asyncio.create_task(collect(attempt(upstream, post(f"{vendor.base_url}/"))))
        await vendor.wait_requests(2)
        await upstream.close()
        assert kind(await task) is CauseKind.RESET


async def test_a_closed_pool_opens_nothing(upstream: Upstream) -> None:
    async with Vendor() as vendor:
        await upstream.close()
        events = await collect(attempt(upstream, post(f"{vendor.base_url}/")))
        assert kind(events) is CauseKind.CONNECT
        assert vendor.requests == []

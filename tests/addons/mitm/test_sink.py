"""What a responder writes, on its way into the layers."""

import asyncio
from collections.abc import AsyncIterator, Sequence
from itertools import pairwise
from typing import cast

import pytest
from mitmproxy import options
from mitmproxy.proxy.context import Context
from mitmproxy.proxy.events import Event
from mitmproxy.proxy.layer import Paused
from mitmproxy.proxy.server import ConnectionHandler, ConnectionIO
from mitmproxy.test import tflow

from addons.mitm.direct import LARGEST_WRITE, Outlet, join_writes
from addons.mitm.sink import LARGEST_PUSH, Congestion, End, Left, Push, Sink


class Stream:
    """A stream over HTTP/1.1 whose client takes everything."""

    def __init__(self) -> None:
        self.flow = tflow.tflow()
        self.context = Context(self.flow.client_conn, options.Options())
        self._paused: Paused | None = None


class Handler:
    """Notes what comes, one at a time."""

    def __init__(self) -> None:
        self.transports: dict[object, object] = {}
        self.seen: list[object] = []
        self._server_event_lock = self.lock = asyncio.Lock()

    async def server_event(self, event: Event) -> None:
        async with self.lock:
            assert isinstance(event, Push)
            self.seen.append(event.message)


def sink_of(handler: Handler, congestion: Congestion | None = None) -> Sink:
    stream = Stream()
    if "client" in handler.transports:
        handler.transports[stream.context.client] = handler.transports.pop("client")
    sink = Sink(stream, cast(ConnectionHandler, handler), congestion)
    sink.start(200, b"OK", [])
    handler.seen.clear()
    return sink


def sizes(seen: Sequence[object]) -> list[int]:
    return [len(piece) for piece in seen if isinstance(piece, bytes)]


async def test_after_each_piece_of_a_long_answer_others_have_their_turn() -> None:
    handler = Handler()
    sink = sink_of(handler)
    body = bytes(range(256)) * (LARGEST_PUSH // 128) + b"end"

    async def other() -> None:
        while sum(sizes(handler.seen)) < len(body):
            handler.seen.append("another's turn")
            await asyncio.sleep(0)

    async with asyncio.TaskGroup() as group:
        group.create_task(other())
        assert not sink.send(body)
        group.create_task(sink.drained())
    pieces = [piece for piece in handler.seen if isinstance(piece, bytes)]
    assert (b"".join(pieces), sizes(handler.seen)) == (body, [LARGEST_PUSH, LARGEST_PUSH, 3])
    at = [index for index, piece in enumerate(handler.seen) if isinstance(piece, bytes)]
    assert all(after - before > 1 for before, after in pairwise(at))


async def test_a_short_one_is_one_write_and_gone_when_the_call_returns() -> None:
    handler = Handler()
    sink = sink_of(handler)
    assert sink.send(b"x" * LARGEST_PUSH)
    sink.end()
    assert handler.seen == [b"x" * LARGEST_PUSH, End()]


async def test_nothing_enters_the_layers_while_they_run_and_all_comes_in_order() -> None:
    handler = Handler()
    sink = sink_of(handler)
    async with handler.lock:
        assert not sink.send(b"one")
        assert not sink.send(b"two")
        await asyncio.sleep(0)
        assert handler.seen == []
    sink.send(b"three")
    sink.end()
    await sink.drained()
    assert handler.seen == [b"one", b"two", b"three", End()]
    assert sink.send(b"four")


async def test_what_waits_for_the_layers_already_goes_first() -> None:
    handler = Handler()
    sink = sink_of(handler)

    async def other() -> None:
        async with handler.lock:
            handler.seen.append("another")

    async with handler.lock:
        waiting = asyncio.create_task(other())
        await asyncio.sleep(0)
    assert not sink.send(b"one")
    await asyncio.gather(waiting, sink.drained())
    assert handler.seen == ["another", b"one"]


async def test_in_another_mitmproxy_everything_waits_for_its_turn(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("addons.mitm.sink.is_expected", lambda: False)
    handler = Handler()
    sink = Sink(Stream(), cast(ConnectionHandler, handler))
    assert not sink.start(200, b"OK", [])
    sink.send(b"one")
    sink.end()
    assert handler.seen == []
    await sink.drained()
    assert handler.seen[1:] == [b"one", End()]


class Connected:
    """The two ends of a connection over loopback; `io` is the proxy's, as mitmproxy holds it."""

    def __init__(self, io: ConnectionIO, client: asyncio.StreamWriter) -> None:
        self.io, self.client = io, client

    @property
    def writer(self) -> asyncio.StreamWriter:
        assert isinstance(self.io.writer, asyncio.StreamWriter)
        return self.io.writer


@pytest.fixture
async def connected() -> Connected:
    accepted: asyncio.Queue[ConnectionIO] = asyncio.Queue()
    server = await asyncio.start_server(
        lambda reader, writer: accepted.put_nowait(ConnectionIO(None, reader, writer)), "127.0.0.1", 0
    )
    _, writer = await asyncio.open_connection(*server.sockets[0].getsockname(), limit=1)
    io = await accepted.get()
    server.close()
    return Connected(io, writer)


async def test_a_client_that_does_not_read_is_waited_for(connected: Connected) -> None:
    handler = Handler()
    handler.transports["client"] = connected.io
    sink = sink_of(handler)
    assert sink.send(b"x")
    connected.writer.write(b"x" * (16 << 20))
    assert not sink.send(b"x")
    waiting = asyncio.create_task(sink.drained())
    await asyncio.sleep(0)
    assert not waiting.done()
    waiting.cancel()
    connected.client.transport.abort()


@pytest.fixture
async def written(connected: Connected, monkeypatch: pytest.MonkeyPatch) -> AsyncIterator[list[bytes]]:
    """What the proxy's transport is given to write."""
    found: list[bytes] = []
    monkeypatch.setattr(connected.writer.transport, "write", found.append)
    yield found
    connected.writer.transport.abort()
    connected.client.transport.abort()
    await asyncio.sleep(0)


async def test_what_follows_a_head_in_its_turn_is_one_write(
    connected: Connected, written: list[bytes]
) -> None:
    handler = Handler()
    handler.transports["client"] = connected.io
    sink_of(handler)
    for piece in (b"head", b"data", b"end"):
        connected.writer.write(piece)
    assert written == []
    await asyncio.sleep(0)
    connected.writer.write(b"later")
    assert written == [b"headdataend", b"later"]


async def test_much_does_not_wait_for_the_end_of_its_turn(connected: Connected, written: list[bytes]) -> None:
    much = b"x" * LARGEST_WRITE
    join_writes(connected.writer)
    for piece in (b"head", much, b"more"):
        connected.writer.write(piece)
    assert written == [b"head" + much, b"more"]
    join_writes(connected.writer)
    connected.writer.write(b"another head")
    await asyncio.sleep(0)
    assert written[2:] == [b"another head"]
    assert not vars(connected.writer).keys() & {"write", "close", "write_eof"}


@pytest.mark.parametrize("how", ["close", "write_eof"])
async def test_what_was_written_goes_out_before_its_connection_ends(
    connected: Connected, written: list[bytes], how: str
) -> None:
    join_writes(connected.writer)
    connected.writer.write(b"end")
    getattr(connected.writer, how)()
    assert written == [b"end"]
    await asyncio.sleep(0)
    assert written == [b"end"]


async def test_an_outlet_joins_what_follows_a_head_in_its_turn() -> None:
    written: list[bytes] = []
    much = b"x" * LARGEST_WRITE

    def below(data: bytes) -> bool:
        written.append(data)
        return len(data) < LARGEST_WRITE

    outlet = Outlet(below)
    assert outlet.write(b"before")
    outlet.join()
    assert [outlet.write(piece) for piece in (b"head", b"data", much, b"end")] == [True, True, False, True]
    assert written == [b"before", b"headdata", much]
    await asyncio.sleep(0)
    assert written[3:] == [b"end"]
    outlet.write(b"later")
    assert written[4:] == [b"later"]


async def test_nothing_is_written_to_a_connection_that_ends(
    connected: Connected, written: list[bytes]
) -> None:
    join_writes(connected.writer)
    connected.writer.write(b"lost")
    connected.writer.transport.abort()
    await asyncio.sleep(0)
    assert written == []


async def test_a_lost_connection_ends_its_handler_once(connected: Connected) -> None:
    handler = Handler()
    connected.io.handler = reading = asyncio.create_task(asyncio.Event().wait())
    handler.transports["client"] = connected.io
    sink = sink_of(handler)
    connected.client.transport.abort()
    connected.writer.transport.abort()
    assert not sink.send(b"x")
    await asyncio.wait_for(sink.drained(), 10)
    assert reading.cancelled()
    assert handler.seen == [b"x", Left()]


async def test_a_client_that_leaves_while_its_window_is_closed(connected: Connected) -> None:
    """The handler of its connection ends without a word, as it does where it is cancelled in its report."""
    handler, relief = Handler(), asyncio.Event()
    connected.io.handler = reading = asyncio.create_task(asyncio.Event().wait())
    handler.transports["client"] = connected.io
    sink = sink_of(handler, lambda: relief)
    assert not sink.send(b"x")
    waiting = asyncio.create_task(sink.drained())
    await asyncio.sleep(0)
    reading.cancel()
    await asyncio.wait_for(waiting, 10)
    assert handler.seen == [b"x", Left()]
    connected.client.transport.abort()
    connected.writer.transport.abort()

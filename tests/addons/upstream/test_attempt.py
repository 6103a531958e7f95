"""An attempt whose receiver is called, and what stops it."""

import asyncio
import gc
import gzip
import weakref
from collections.abc import AsyncIterator

import pytest

from addons.upstream.client import Attempt, Upstream
from addons.upstream.events import Closed, Data, Sent, Started, UpstreamEvent
from addons.upstream.failure import Cause
from addons.upstream.network import Reached
from protocols.model.http import Head
from tests.addons.asking import PATIENCE, body, call, kind, listening, post, through
from tests.vendor import Authority, Hang, Vendor, WaitFor, streamed, whole

pytestmark = pytest.mark.usefixtures("tasks")


class Recorder:
    """Records what it is called with."""

    def __init__(self) -> None:
        self.events: list[UpstreamEvent] = []
        self.over = asyncio.Event()
        self.changed = asyncio.Event()

    def sent(self) -> None:
        self._note(Sent())

    def started(self, head: Head, reached: Reached) -> None:
        self._note(Started(head, reached))

    def received(self, data: bytes) -> None:
        self._note(Data(data))

    def closed(self, cause: Cause | None) -> None:
        self._note(Closed(cause))
        self.over.set()

    async def until(self, kind: type[UpstreamEvent]) -> None:
        async with asyncio.timeout(PATIENCE):
            while not any(isinstance(event, kind) for event in self.events):
                self.changed.clear()
                await self.changed.wait()

    def _note(self, event: UpstreamEvent) -> None:
        assert not self.over.is_set(), "the end is the last"
        self.events.append(event)
        self.changed.set()


@pytest.fixture(params=["http", "https"])
async def vendor(request: pytest.FixtureRequest, authority: Authority) -> AsyncIterator[Vendor]:
    async with Vendor(tls=authority if request.param == "https" else False) as vendor:
        yield vendor


@pytest.fixture
async def upstream(authority: Authority) -> AsyncIterator[Upstream]:
    upstream = through(authority)
    yield upstream
    await upstream.close()


async def test_its_receiver_gets_all_in_order(vendor: Vendor, upstream: Upstream) -> None:
    vendor.always(streamed([b"one", b"two"]))
    for fresh in (False, False, True):
        recorder = Recorder()
        upstream.open(post(f"{vendor.base_url}/"), recorder, fresh=fresh, connect_timeout=PATIENCE)
        await recorder.until(Closed)
        assert [type(event) for event in recorder.events[:3]] == [Sent, Started, Data]
        assert (body(recorder.events), kind(recorder.events)) == (b"onetwo", None)
    assert [received.connection for received in vendor.requests] == [1, 1, 2]


async def test_a_connection_that_waits_keeps_nothing_of_its_call(vendor: Vendor, upstream: Upstream) -> None:
    vendor.always(streamed([b"one"]))
    recorder = Recorder()
    gone = weakref.ref(recorder)
    upstream.open(post(f"{vendor.base_url}/"), recorder, fresh=False, connect_timeout=PATIENCE)
    await recorder.until(Closed)
    del recorder
    await asyncio.sleep(0)
    gc.collect()
    assert gone() is None
    assert [len(waiting) for waiting in upstream._connections._idle.values()] == [1]


@pytest.mark.parametrize("last", [Sent, Started, Data])
@pytest.mark.parametrize("used", [False, True], ids=["new", "used"])
async def test_a_receiver_may_cancel_out_of_each_call(
    vendor: Vendor, upstream: Upstream, last: type[UpstreamEvent], used: bool
) -> None:
    vendor.always(streamed([b"one", b"two"]))
    if used:
        await call(upstream, vendor)

    class Cancelling(Recorder):
        attempt: Attempt | None = None

        def _note(self, event: UpstreamEvent) -> None:
            super()._note(event)
            if isinstance(event, last) and self.attempt is not None:
                self.attempt.cancel()

    recorder = Cancelling()
    recorder.attempt = upstream.open(
        post(f"{vendor.base_url}/"), recorder, fresh=False, connect_timeout=PATIENCE
    )
    await recorder.until(last)
    if last is Sent and used:  # called before there was an attempt to cancel
        recorder.attempt.cancel()
    await vendor.wait_idle()
    assert isinstance(recorder.events[-1], last)
    assert upstream._connections._used == set()


async def test_a_connection_that_is_being_made_is_given_up(upstream: Upstream) -> None:
    left, greeted = asyncio.Event(), asyncio.Event()

    async def handle(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.readexactly(1)
        greeted.set()
        while await reader.read(1 << 16):
            pass
        left.set()

    async with listening(handle) as port:
        recorder = Recorder()
        attempt = upstream.open(
            post(f"https://127.0.0.1:{port}/"), recorder, fresh=False, connect_timeout=PATIENCE
        )
        await asyncio.wait_for(greeted.wait(), PATIENCE)
        attempt.cancel()
        await asyncio.wait_for(left.wait(), PATIENCE)
    assert recorder.events == []


async def test_one_that_is_cancelled_closes_its_connection(vendor: Vendor, upstream: Upstream) -> None:
    vendor.reply(Hang()).reply(streamed([b"abc"], WaitFor("never")))
    for last in (Sent, Data):
        recorder = Recorder()
        attempt = upstream.open(post(f"{vendor.base_url}/"), recorder, fresh=False, connect_timeout=PATIENCE)
        await recorder.until(last)
        seen = [*recorder.events]
        attempt.cancel()
        await vendor.wait_idle()
        assert recorder.events == seen


@pytest.mark.parametrize("size", [2, 20_000_000], ids=["waited for", "being sent"])
async def test_nothing_more_is_sent_of_one_that_is_cancelled(upstream: Upstream, size: int) -> None:
    """Also not what the system has of it: a server that reads it would answer, and be paid for it."""
    begun, cancelled, was_reset = asyncio.Event(), asyncio.Event(), asyncio.Event()

    async def handle(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.readuntil(b"\r\n\r\n")
        begun.set()
        await cancelled.wait()
        try:
            await reader.read()
        except ConnectionResetError:
            was_reset.set()

    async with listening(handle) as port:
        request = post(f"http://127.0.0.1:{port}/", bytes(size))
        attempt = upstream.open(request, Recorder(), fresh=False, connect_timeout=PATIENCE)
        await asyncio.wait_for(begun.wait(), PATIENCE)
        attempt.cancel()
        cancelled.set()
        await asyncio.wait_for(was_reset.wait(), PATIENCE)


async def test_one_that_is_paused_reads_no_further(vendor: Vendor, upstream: Upstream) -> None:
    large = bytes(20_000_000)
    vendor.reply(whole(large))
    recorder = Recorder()
    attempt = upstream.open(post(f"{vendor.base_url}/"), recorder, fresh=False, connect_timeout=PATIENCE)
    await recorder.until(Started)
    attempt.pause()
    for _ in range(100):
        await asyncio.sleep(0)
    assert len(body(recorder.events)) < len(large) // 2
    attempt.resume()
    await recorder.until(Closed)
    assert (body(recorder.events), kind(recorder.events)) == (large, None)


class Pausing(Recorder):
    """Pauses with each piece of the body."""

    attempt: Attempt

    def received(self, data: bytes) -> None:
        super().received(data)
        self.attempt.pause()


async def test_a_small_body_that_comes_to_much_stops_with_its_reader(
    vendor: Vendor, upstream: Upstream
) -> None:
    large = bytes(8_000_000)
    vendor.reply(whole(gzip.compress(large), headers=(("content-encoding", "gzip"),)))
    recorder = Pausing()
    recorder.attempt = upstream.open(
        post(f"{vendor.base_url}/"), recorder, fresh=False, connect_timeout=PATIENCE
    )
    await recorder.until(Data)
    for count in range(1, 5):
        for _ in range(20):
            await asyncio.sleep(0)
        pieces = [event for event in recorder.events if isinstance(event, Data)]
        assert len(pieces) == count
        recorder.attempt.resume()
    async with asyncio.timeout(PATIENCE):
        while not recorder.over.is_set():
            recorder.attempt.resume()
            await asyncio.sleep(0)
    assert (body(recorder.events), kind(recorder.events)) == (large, None)


async def test_what_is_decoded_leaves_others_their_turn(vendor: Vendor, upstream: Upstream) -> None:
    large = bytes(8_000_000)
    vendor.reply(whole(gzip.compress(large), headers=(("content-encoding", "gzip"),)))
    turns: list[int] = []
    turn = 0

    class Counting(Recorder):
        def received(self, data: bytes) -> None:
            super().received(data)
            turns.append(turn)

    recorder = Counting()
    upstream.open(post(f"{vendor.base_url}/"), recorder, fresh=False, connect_timeout=PATIENCE)
    async with asyncio.timeout(PATIENCE):
        while not recorder.over.is_set():
            await asyncio.sleep(0)
            turn += 1
    assert body(recorder.events) == large
    assert len(set(turns)) == len(turns), "a piece in a turn"

"""An attempt whose receiver is called, and what stops it."""

import asyncio
from collections.abc import AsyncIterator

import pytest

from addons.upstream.client import Closed, Data, Sent, Started, Upstream, UpstreamEvent
from addons.upstream.failure import Cause
from addons.upstream.network import Reached
from protocols.model.http import Head
from tests.addons.asking import PATIENCE, body, kind, listening, post, through
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

"""One call driven over real connections to the fake provider, into a response that the test holds."""

import asyncio
import itertools
import random
import time
from collections.abc import AsyncIterator, Callable, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

import pytest
from mitmproxy import http
from mitmproxy.test import tflow
from msgspec import structs
from pydantic import SecretStr

from addons.call.driver import SILENT, Driver
from addons.call.fields import FieldCache
from addons.call.recognition import Intercepted
from addons.call.reports import Reports
from addons.call.work import Work
from addons.config.providers import Configured
from addons.credentials.acquisition import Acquisition
from addons.credentials.conversations import Asker
from addons.credentials.lease import Lease
from addons.credentials.pool import Pool
from addons.mitm.messages import request_of
from addons.records.journal import Journal
from addons.records.record import Record
from addons.responses.kept import Responses, Turn
from addons.responses.storage import Memory, Storage
from addons.runtime.clock import Handle
from addons.secrets.redaction import Redactor
from addons.upstream.client import Attempt, Receiver, Upstream
from addons.upstream.network import Reached, tls_context
from addons.upstream.way import Direct
from protocols.model.call import Call, Operation
from protocols.model.http import Origin, UpstreamRequest, parsed
from protocols.openai_chat import PROTOCOL
from rewrite.catalog.providers import Provider
from rewrite.credentials.choosing import Unavailable
from rewrite.exchange.exchange import Exchange
from rewrite.targets.target import Target
from rewrite.targets.wanted import Terms
from rewrite.values.events import (
    Acquire,
    Command,
    Event,
    Start,
    Summary,
    TimerFired,
    UpstreamClosed,
    UpstreamData,
    UpstreamStarted,
)
from rewrite.values.outcome import Abandoned, Completed, Outcome
from rewrite.values.timeouts import Limits, Timing
from tests.rewrite.scenes import own
from tests.vendor import Hang, Reply, Send, Vendor, VendorThread, WaitFor, chat_error, chat_stream, streamed

PATIENCE = 10.0
TEXT = chat_stream(["Hello", " there"])
BODY = b'{"model": "gpt-4o", "stream": true, "messages": []}'


@dataclass
class Kept:
    """A response in memory. `gate`: while it is not set, the client does not read."""

    status: int = 0
    headers: list[tuple[bytes, bytes]] = field(default_factory=list)
    sent: list[bytes] = field(default_factory=list)
    end_: str = ""
    gate: asyncio.Event | None = None
    news: asyncio.Event = field(default_factory=asyncio.Event)

    def start(self, status: int, reason: bytes, headers: list[tuple[bytes, bytes]]) -> bool:
        self.status, self.headers = status, headers
        return True

    def send(self, data: bytes) -> bool:
        self.sent.append(data)
        self.news.set()
        return self.gate is None or self.gate.is_set()

    def end(self) -> None:
        self.end_ = "end"

    def abort(self, message: str) -> None:
        self.end_ = f"abort: {message}"

    async def drained(self) -> None:
        if self.gate is not None:
            await self.gate.wait()

    @property
    def body(self) -> bytes:
        return b"".join(self.sent)


class Clock:
    """Seconds that pass when the test says so."""

    now = 0.0
    reads = 0

    def __call__(self) -> float:
        self.reads += 1
        return self.now

    def call_later(self, seconds: float, callback: Callable[[], None]) -> Handle:
        return asyncio.get_running_loop().call_later(seconds, callback)


class Scripted:
    """An attempt whose events a test pushes itself, in the place of any upstream."""

    def __init__(self, house: "House") -> None:
        self._opened: asyncio.Queue[Receiver] = asyncio.Queue()
        self.is_paused = self.is_cancelled = False
        house.upstream.open = self._open  # type: ignore[method-assign]

    def _open(self, request: UpstreamRequest, receiver: Receiver, **named: Any) -> Attempt:
        self._opened.put_nowait(receiver)
        return self

    async def opened(self) -> Receiver:
        """The receiver of the next attempt."""
        return await self._opened.get()

    def cancel(self) -> None:
        self.is_cancelled = True

    def pause(self) -> None:
        self.is_paused = True

    def resume(self) -> None:
        self.is_paused = False


class Faulty(Exchange):
    """Raises on the first event of a kind, before it does anything about it."""

    fault: type | None = None

    def handle(self, event: Event, now: float) -> Sequence[Command]:
        if self.fault and isinstance(event, self.fault):
            raise LookupError("planted")
        return super().handle(event, now)


MOST_TARGETS = 4


class Keys(Pool):
    """Gives out `key-1`, `key-2`, ... and notes what becomes of them."""

    def __init__(self, house: "House") -> None:
        super().__init__(house.clock, lambda notice: None)
        self._house = house
        self.queues.configure(house.provider(index) for index in range(MOST_TARGETS))

    def _choose(self, of: Acquisition, held: frozenset[str]) -> Lease | Unavailable:
        self._house.wanted.append(of.provider)
        return self._house.acquire(of.asked)

    def release(self, provider: str, lease: Lease, call: Call, outcome: Outcome, *_: object) -> None:
        if self._house.fault_in_records:
            raise LookupError("planted")
        self._house.served.append(provider)
        self._house.released.append((lease.name, outcome.label))


class Notes(Journal):
    """Notes what is recorded, too."""

    def __init__(self, house: "House") -> None:
        super().__init__(Redactor())
        self._house = house

    def end(self, record: Record, summary: Summary) -> None:
        self._house.reports.append(summary)
        super().end(record, summary)

    def reached(self, flow: http.HTTPFlow, origin: Origin, reached: Reached) -> None:
        self._house.reached.append((origin, reached))
        super().reached(flow, origin, reached)

    def waiting(self, record: Record, seconds: float, why: str) -> None:
        self._house.waits.append((seconds, why))
        super().waiting(record, seconds, why)

    def in_line(self, record: Record, seconds: float | None, why: str) -> None:
        self._house.in_line.append((seconds, why))
        super().in_line(record, seconds, why)

    def asked_again(self, record: Record, seconds: float, why: str) -> None:
        self._house.lost.append((seconds, why))
        super().asked_again(record, seconds, why)

    def silent(self, record: Record, key: str, seconds: float, left: float | None) -> None:
        self._house.silences.append((key, seconds, left))
        super().silent(record, key, seconds, left)

    def failed(self, what: str, error: BaseException) -> None:
        self._house.faults.append(error)
        super().failed(what, error)


class House:
    """What surrounds a driver, and lists of what it did there."""

    def __init__(self, vendor: Vendor | VendorThread) -> None:
        self.upstream = Upstream(Direct(tls_context(insecure=False, ca_file=None, ca_dir=None)))
        self.base_url = vendor.base_url
        self.names = itertools.count(1)
        self.free: Unavailable | None = None
        self.has_others = True
        self.queue_limit = 100
        self.fault_in_records = False
        self.wanted: list[str] = []
        self.served: list[str] = []
        self.clock = Clock()
        self.released: list[tuple[str, str]] = []
        self.reports: list[Summary] = []
        self.faults: list[BaseException] = []
        self.waits: list[tuple[float, str]] = []
        self.in_line: list[tuple[float | None, str]] = []
        self.reached: list[tuple[Origin, Reached]] = []
        self.lost: list[tuple[float, str]] = []
        self.silences: list[tuple[str, float, float | None]] = []

    def acquire(self, command: Acquire) -> Lease | Unavailable:
        if command.only_others and not self.has_others:
            return Unavailable(None)
        name = f"key-{next(self.names)}"
        return self.free or Lease(name, SecretStr(f"sk-pool-{name}-long"))

    def target(self, call: Call, terms: Terms, index: int, *, hold: bool) -> Target:
        return own(call, PROTOCOL, terms, provider=self.provider(index), index=index, hold_tool_calls=hold)

    def provider(self, index: int) -> Provider:
        return Provider(f"p{index}", self.base_url, (), ("openai_chat",), queue_limit=self.queue_limit)

    def driver(
        self,
        *,
        stall: float = 0.0,
        fault: type | None = None,
        targets: int = 1,
        heartbeat: float = 0.0,
        hold: bool = False,
    ) -> Driver:
        call = Call("c", "openai_chat", Operation.GENERATE, "gpt-4o", True, ())
        timing = Timing(
            10.0, 0.0, 0.0, 0.0, stall, 0.0, 600.0, any_byte_keeps_alive=False, heartbeat=heartbeat
        )
        timing = structs.replace(timing, heartbeat_before_commit=heartbeat > 0)
        terms = Terms(timing, Limits(max_attempts=3 if targets == 1 else 1))
        made = [self.target(call, terms, index, hold=hold) for index in range(targets)]
        exchange = Faulty(call, PROTOCOL, made, self.clock())
        exchange.fault = fault
        flow, pool, journal = tflow.tflow(), Keys(self), Notes(self)
        flow.request = http.Request.make("POST", f"{self.base_url}/v1/chat/completions", BODY)
        responses = Responses(Storage(Memory(), time.time), time.time)
        return Driver(
            Work(
                record=Record(flow, call, "p0", made),
                turn=Turn(call, "", {}),
                intercepted=Intercepted(
                    Configured(made[0].provider), PROTOCOL, Operation.GENERATE, None, True, made[0].origin
                ),
                request=request_of(flow.request),
                protocol=PROTOCOL,
                exchange=exchange,
                asker=Asker("openai_chat", "client"),
                pool=pool,
                upstream=self.upstream,
                journal=journal,
                reports=Reports(journal, pool, responses),
                clock=self.clock,
                fields=FieldCache(self.clock, Redactor().holds_secret),
            )
        )


@pytest.fixture
async def house(vendor: Vendor) -> AsyncIterator[House]:
    made = House(vendor)
    yield made
    await made.upstream.close()


async def answered(driver: Driver, kept: Kept | None = None) -> Kept:
    kept = kept or Kept()
    async with asyncio.timeout(PATIENCE):
        await driver.run(kept)
    return kept


async def until(condition: Callable[[], bool], kept: Kept) -> None:
    async with asyncio.timeout(PATIENCE):
        while not condition():
            kept.news.clear()
            await kept.news.wait()


async def test_an_answer_goes_to_the_response(vendor: Vendor, house: House) -> None:
    vendor.reply(streamed(TEXT, headers=(("x-a", "1"),)))
    kept = await answered(house.driver())
    assert (kept.status, kept.body, kept.end_) == (200, b"".join(TEXT), "end")
    assert kept.headers == [(b"content-type", b"text/event-stream; charset=utf-8"), (b"x-a", b"1")]
    assert house.released == [("key-1", "completed")]
    ((origin, reached),) = house.reached
    assert (origin, reached.peer) == (parsed(house.base_url), ("127.0.0.1", vendor.port))
    assert [summary.end for summary in house.reports] == ["completed"]
    assert vendor.requests[0].body == BODY


async def test_a_rejection_is_followed_by_the_next_credential(vendor: Vendor, house: House) -> None:
    vendor.reply(chat_error(429, "rate_limit_exceeded", "slow")).reply(streamed(TEXT))
    kept = await answered(house.driver())
    assert kept.body == b"".join(TEXT)
    assert house.released == [("key-1", "rejected(429 rate)"), ("key-2", "completed")]
    assert [one.credential for one in vendor.requests] == ["sk-pool-key-1-long", "sk-pool-key-2-long"]


async def test_another_target_is_asked_and_released_as_itself(vendor: Vendor, house: House) -> None:
    """The first after both attempts that an error is worth there."""
    vendor.reply(chat_error(500, "server_error", "oops"), 2).reply(streamed(TEXT))
    kept = await answered(house.driver(targets=2))
    assert kept.body == b"".join(TEXT)
    assert [one.credential for one in vendor.requests] == [f"sk-pool-key-{n}-long" for n in (1, 2, 3)]
    assert house.wanted == house.served == ["p0", "p0", "p1"]


async def test_keys_of_every_attempt_are_blacked_out(vendor: Vendor, house: House) -> None:
    first = "sk-pool-key-1-long"
    vendor.reply(chat_error(429, "rate_limit_exceeded", "slow"))
    vendor.reply(chat_error(400, "bad", f"not {first} nor sk-pool-key-2-long", (("x-you-are", first),)))
    kept = await answered(house.driver())
    stars = b"*" * len(first)
    assert b"not " + stars + b" nor " + stars in kept.body
    assert (b"x-you-are", stars) in kept.headers


async def test_when_no_credential_is_free_nobody_is_asked(vendor: Vendor, house: House) -> None:
    house.free = Unavailable(200.0)
    kept = await answered(house.driver())
    assert kept.status == 429
    assert (b"retry-after", b"60") in [(name.lower(), value) for name, value in kept.headers]
    assert (vendor.requests, house.released) == ([], [])


async def test_a_call_waits_until_a_credential_is_free(vendor: Vendor, house: House) -> None:
    house.free = Unavailable(0.1, keys=("p0/key is rate-limited",))
    driver = house.driver()
    asyncio.get_running_loop().call_later(0.05, setattr, house, "free", None)
    kept = await answered(driver)
    assert (kept.status, len(vendor.requests)) == (200, 1)
    assert house.released == [("key-3", "completed")]


async def test_a_place_that_is_freed_is_taken_at_once(vendor: Vendor, house: House) -> None:
    house.free = Unavailable(1.0, full=True, keys=("p0/key serves 4 calls, as many as it may",))
    driver = house.driver()
    running = asyncio.ensure_future(answered(driver))
    await until_waiting(driver)
    assert house.in_line == [(None, "p0/key serves 4 calls, as many as it may")]
    house.free = None
    driver._work.pool.queues.look()
    assert (await running).status == 200


async def test_where_too_many_wait_the_others_are_answered(vendor: Vendor, house: House) -> None:
    house.free, house.queue_limit = Unavailable(20.0), 0
    kept = await answered(house.driver())
    assert kept.status == 429
    assert (b"retry-after", b"20") in [(name.lower(), value) for name, value in kept.headers]
    assert b"as many calls as may wait already" in kept.body
    assert vendor.requests == []


async def until_waiting(driver: Driver) -> None:
    async with asyncio.timeout(PATIENCE):
        while not len(driver._work.pool.queues):  # noqa: ASYNC110  # what is waited for has no event
            await asyncio.sleep(0)


@pytest.mark.parametrize("seen", [0, 2])
async def test_a_cancelled_call_closes_its_attempt(vendor: Vendor, house: House, seen: int) -> None:
    vendor.reply(streamed(TEXT[:seen], WaitFor("never")) if seen else Hang())
    kept = Kept()
    running = asyncio.ensure_future(house.driver().run(kept))
    (received,) = await vendor.wait_requests(1)
    if seen:
        await until(lambda: b"Hello" in kept.body, kept)
    running.cancel()
    with pytest.raises(asyncio.CancelledError):
        await running
    async with asyncio.timeout(PATIENCE):
        await received.closed_by_client.wait()
    assert house.released == [("key-1", "abandoned")]
    assert [summary.end for summary in house.reports] == ["abandoned"]
    assert kept.end_ == ""


async def test_a_client_that_left_is_recorded_once(vendor: Vendor, house: House) -> None:
    vendor.reply(Hang())
    driver = house.driver()
    running = asyncio.ensure_future(driver.run(Kept()))
    await vendor.wait_requests(1)
    driver.client_gone()
    driver.client_gone()
    running.cancel()
    await asyncio.wait({running})
    assert len(house.reports) == len(house.released) == 1


async def test_no_back_off_outlives_the_call(vendor: Vendor, house: House) -> None:
    vendor.reply(chat_error(503, "server_error", "busy", (("retry-after", "60"),)))
    house.has_others = False
    running = asyncio.ensure_future(house.driver().run(Kept()))
    (received,) = await vendor.wait_requests(1)
    await received.finished.wait()
    async with asyncio.timeout(PATIENCE):
        while not house.released:  # noqa: ASYNC110  # it has no event of its own
            await asyncio.sleep(0)
    running.cancel()
    await asyncio.wait({running})
    assert len(vendor.requests) == 1
    assert [summary.end for summary in house.reports] == ["abandoned"]
    assert house.waits == [(60.0, "key-1: rejected(503 server)")], "a wait that long is said while it lasts"


@pytest.mark.parametrize(("took", "expected"), [(30.0, [(30.0, "key-1: rejected(500 server)")]), (2.0, [])])
async def test_an_attempt_that_took_long_for_nothing_is_said_when_the_next_begins(
    vendor: Vendor, house: House, took: float, expected: list[tuple[float, str]]
) -> None:
    failure = chat_error(500, "server_error", "oops")
    vendor.reply(replace(failure, before=(WaitFor("late"),))).reply(streamed(TEXT, WaitFor("rest")))
    kept, driver = Kept(), house.driver()
    running = asyncio.ensure_future(driver.run(kept))
    await vendor.wait_requests(1)
    house.clock.now += took
    vendor.release("late")
    await vendor.wait_requests(2)
    assert house.lost == expected
    vendor.release("rest")
    async with asyncio.timeout(PATIENCE):
        await running
    assert (kept.body, house.lost) == (b"".join(TEXT), expected)


async def test_a_provider_that_is_silent_is_said_once_while_the_call_waits(
    vendor: Vendor, house: House
) -> None:
    vendor.reply(replace(streamed(TEXT, WaitFor("rest")), before=(WaitFor("head"),)))
    kept, driver = Kept(), house.driver()
    running = asyncio.ensure_future(driver.run(kept))
    await vendor.wait_requests(1)
    began = house.clock()
    driver.note_silence()
    assert house.silences == []
    house.clock.now += SILENT
    driver.note_silence()
    driver.note_silence()
    ((key, seconds, left),) = house.silences
    assert (key, round(seconds), left) == ("key-1", round(house.clock() - began), None)
    vendor.release("head")
    await until(lambda: kept.body != b"", kept)
    vendor.release("rest")
    async with asyncio.timeout(PATIENCE):
        await running
    driver.note_silence()
    assert len(house.silences) == 1


async def test_an_answer_that_comes_is_no_silence(vendor: Vendor, house: House) -> None:
    vendor.reply(streamed(TEXT, WaitFor("rest")))
    kept, driver = Kept(), house.driver()
    running = asyncio.ensure_future(driver.run(kept))
    await until(lambda: kept.body != b"", kept)
    house.clock.now += SILENT
    driver.note_silence()
    assert house.silences == []
    vendor.release("rest")
    async with asyncio.timeout(PATIENCE):
        await running


async def test_a_call_that_the_proxy_ends_says_so(vendor: Vendor, house: House) -> None:
    vendor.reply(Hang())
    driver = house.driver()
    running = asyncio.ensure_future(driver.run(Kept()))
    await vendor.wait_requests(1)
    driver.stop("the proxy was stopped")
    running.cancel()
    await asyncio.wait({running})
    assert [(one.end, one.detail) for one in house.reports] == [("abandoned", "the proxy was stopped")]
    assert house.waits == []


async def test_a_client_that_reads_slowly_is_no_stall(vendor: Vendor, house: House) -> None:
    """The silence timer fires while the client does not read: that silence is not the provider's."""
    vendor.reply(streamed(TEXT[:2], WaitFor("more"), Send(TEXT[2]), WaitFor("rest"), *map(Send, TEXT[3:])))
    gate = asyncio.Event()
    gate.set()
    kept, driver = Kept(gate=gate), house.driver(stall=0.01)
    running = asyncio.ensure_future(driver.run(kept))
    await until(lambda: b"Hello" in kept.body, kept)
    gate.clear()
    vendor.release("more")
    await until(lambda: b"there" in kept.body, kept)
    async with asyncio.timeout(PATIENCE):
        while not any(isinstance(each, TimerFired) for each in driver._arrived):  # noqa: ASYNC110
            await asyncio.sleep(0)
    house.clock.now += 60.0
    gate.set()
    vendor.release("rest")
    async with asyncio.timeout(PATIENCE):
        await running
    assert kept.body == b"".join(TEXT)
    assert [summary.end for summary in house.reports] == ["completed"]


# -- faults of ours -----------------------------------------------------------------------------------


async def test_a_fault_before_an_attempt_is_a_502(vendor: Vendor, house: House) -> None:
    kept = await answered(house.driver(fault=Start))
    assert (kept.status, kept.end_) == (502, "end")
    assert b"a fault of the proxy" in kept.body
    assert (vendor.requests, house.released) == ([], [])
    assert [type(fault) for fault in house.faults] == [LookupError]


@pytest.mark.parametrize("kind", [UpstreamData, UpstreamClosed])
@pytest.mark.parametrize("cuts", range(3))
async def test_an_open_answer_continues_as_it_is(vendor: Vendor, house: House, kind: type, cuts: int) -> None:
    """However it is cut, nothing is lost and nothing comes twice."""
    whole = b"".join(TEXT)
    at = sorted(random.Random(cuts).sample(range(len(whole)), cuts))
    pieces = [whole[a:b] for a, b in itertools.pairwise([0, *at, len(whole)])]
    vendor.reply(Reply(200, (("content-type", "text/event-stream"),), tuple(map(Send, pieces))))
    kept = await answered(house.driver(fault=kind))
    assert (kept.status, kept.body, kept.end_) == (200, whole, "end")
    assert house.released == [("key-1", "abandoned")]


async def test_a_rejection_is_no_part_of_a_stream_that_was_promised(vendor: Vendor, house: House) -> None:
    error = chat_error(429, "rate_limit_exceeded", "slow")
    vendor.reply(replace(error, before=(WaitFor("go"),)))
    driver, kept = house.driver(heartbeat=0.01, fault=UpstreamData), Kept()
    running = asyncio.create_task(answered(driver, kept))
    await until(lambda: bool(kept.sent), kept)
    vendor.release("go")
    await running
    assert (kept.status, kept.body.strip(), kept.end_) == (200, b"", "abort: a fault of the proxy")


async def test_a_fault_in_the_writer_of_requests_leaves_nothing(
    vendor: Vendor, house: House, monkeypatch: pytest.MonkeyPatch
) -> None:
    def broken(*args: object) -> UpstreamRequest:
        raise LookupError("planted")

    monkeypatch.setattr("addons.call.driver.outgoing", broken)
    kept = await answered(house.driver())
    assert kept.status == 502
    assert (vendor.requests, house.released) == ([], [("key-1", Abandoned().label)])


@pytest.mark.parametrize(
    ("kind", "status", "end"), [(UpstreamStarted, 502, "end"), (UpstreamClosed, 200, "abort")]
)
async def test_bytes_of_another_protocol_never_pass_as_they_are(
    vendor: Vendor, house: House, kind: type, status: int, end: str
) -> None:
    """What would have to be translated, or adapted, is of no use to the client."""
    cut = TEXT[:-2]  # an end that only we can make proper: the fault comes before
    vendor.reply(streamed(cut))
    kept = await answered(house.driver(fault=kind, hold=True))
    assert (kept.status, kept.end_.partition(":")[0]) == (status, end)
    assert kept.body in (b"".join(cut), kept.body if status == 502 else b"")
    assert len(house.faults) == 1


async def test_a_fault_in_opening_ends_the_attempt(vendor: Vendor, house: House) -> None:
    """Like one of the network: the next attempt may do better, and nobody waits for ever."""
    real, calls = house.upstream.open, itertools.count()

    def once_broken(request: UpstreamRequest, receiver: Receiver, **named: Any) -> Attempt:
        if next(calls) == 0:
            raise LookupError("planted")
        return real(request, receiver, **named)

    house.upstream.open = once_broken  # type: ignore[method-assign]
    vendor.reply(streamed(TEXT))
    kept = await answered(house.driver())
    assert (kept.status, kept.body, kept.end_) == (200, b"".join(TEXT), "end")
    assert house.released == [("key-1", "unreachable(a fault of the proxy)"), ("key-2", Completed().label)]


async def test_data_before_a_head_is_a_fault_and_no_error_of_the_provider(house: House) -> None:
    attempt, kept = Scripted(house), Kept()
    running = asyncio.ensure_future(house.driver().run(kept))
    receiver = await attempt.opened()
    receiver.sent()
    receiver.received(b'{"error": {"message": "not the provider"}}')
    await running
    assert (kept.status, kept.end_) == (502, "end")
    assert b"a fault of the proxy" in kept.body
    assert [str(fault) for fault in house.faults] == ["UpstreamData in state AWAITING_HEAD"]
    assert house.released == [("key-1", Abandoned().label)]


async def test_a_fault_in_the_records_costs_nothing(vendor: Vendor, house: House) -> None:
    house.fault_in_records = True
    kept = await answered(house.driver())
    assert (kept.status, kept.end_) == (200, "end")
    assert len(house.faults) == 1

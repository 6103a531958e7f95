"""A driver is called by its upstream, and calls its client: no task in between, one turn of the event loop.

The test pushes what comes of an attempt by hand, so that each step is one call.
"""

import asyncio
from collections.abc import AsyncIterator, Callable, Sequence
from dataclasses import dataclass

import pytest

from addons.call.arrivals import MOST_ENDS
from addons.call.driver import LARGEST, SLOW_DRAIN, Driver
from addons.upstream.client import Receiver
from addons.upstream.failure import Cause, CauseKind
from addons.upstream.network import Reached
from protocols.model.http import Head
from rewrite.values.events import ClientDrained, Event, UpstreamData
from tests.addons.call.test_client_gone import pending_timers
from tests.addons.call.test_driver import PATIENCE, TEXT, House, Kept, Scripted
from tests.vendor import Vendor

HEAD = Head(200, (("content-type", "text/event-stream"),))
REACHED = Reached(("127.0.0.1", 1), 0.0, 0.0)
LARGE = b'data: {"choices":[{"index":0,"delta":{"content":"' + b"x" * 65_000 + b'"}}]}\n\n'


@dataclass
class Scene:
    """One call whose attempt is open."""

    house: House
    attempt: Scripted
    kept: Kept
    driver: Driver
    running: asyncio.Task[None]
    upstream: Receiver

    def begin(self, count: int = 2) -> None:
        """The head of the answer, and so many of its events."""
        self.upstream.sent()
        self.upstream.started(HEAD, REACHED)
        for event in TEXT[:count]:
            self.upstream.received(event)

    def fill(self) -> int:
        """Large events until no more is read; how many."""
        for number in range(1, 100):
            self.upstream.received(LARGE)
            if self.attempt.is_paused:
                return number
        raise AssertionError("it is never full")

    async def until(self, condition: Callable[[], bool]) -> None:
        async with asyncio.timeout(PATIENCE):
            while not condition():  # noqa: ASYNC110  # what is waited for has no event
                await asyncio.sleep(0)

    async def end(self) -> None:
        async with asyncio.timeout(PATIENCE):
            await self.running


type Make = Callable[..., "asyncio.Future[Scene]"]


@pytest.fixture
async def make() -> AsyncIterator[Make]:
    async with Vendor() as vendor:
        house = House(vendor)

        async def made(kept: Kept | None = None, **named: object) -> Scene:
            kept, attempt = kept or Kept(), Scripted(house)
            driver = house.driver(**named)  # type: ignore[arg-type]
            running = asyncio.get_running_loop().create_task(driver.run(kept))
            return Scene(house, attempt, kept, driver, running, await attempt.opened())

        yield lambda *args, **named: asyncio.ensure_future(made(*args, **named))
        await house.upstream.close()


def handled(driver: Driver) -> list[Event]:
    """What the exchange of a driver is given from now on."""
    exchange, seen = driver._work.exchange, list[Event]()
    real = exchange.handle

    def noted(event: Event, now: float) -> object:
        seen.append(event)
        return real(event, now)

    exchange.handle = noted  # type: ignore[method-assign, assignment]
    return seen


async def test_bytes_go_out_in_the_call_that_brings_them(make: Make) -> None:
    scene = await make()
    tasks = asyncio.all_tasks()
    scene.begin(2)
    assert scene.kept.body == b"".join(TEXT[:2])
    for event in TEXT[2:]:
        scene.upstream.received(event)
        assert scene.kept.sent[-1] == event
    scene.upstream.closed(None)
    assert (scene.kept.end_, [one.end for one in scene.house.reports]) == ("end", ["completed"])
    assert asyncio.all_tasks() == tasks
    await scene.end()
    assert scene.house.released == [("key-1", "completed")]


async def test_what_was_held_goes_out_with_what_follows_it(make: Make) -> None:
    """A head, an event without a token, one with the first, and one more, all at once: one write."""
    scene = await make()
    scene.begin(0)
    scene.upstream.received(b"".join(TEXT[:3]))
    assert scene.kept.sent == [b"".join(TEXT[:3])]
    assert scene.driver._answer.unsent == b""
    scene.running.cancel()


async def test_the_clock_is_read_once_for_what_happens_at_once(make: Make) -> None:
    scene = await make()
    scene.begin(3)
    reads = scene.house.clock.reads
    scene.upstream.received(TEXT[3])
    assert scene.house.clock.reads == reads + 1
    scene.running.cancel()


async def test_a_call_has_one_timer_whatever_it_waits_for(make: Make) -> None:
    scene = await make(stall=60.0, heartbeat=15.0)
    scene.begin()
    assert len(scene.driver._timers._pending) > 1
    assert sum("Timers._rang" in repr(each) for each in pending_timers()) == 1
    scene.driver.client_gone()
    assert sum("Timers._rang" in repr(each) for each in pending_timers()) == 0
    scene.running.cancel()


async def test_timers_are_set_once_for_all_that_one_turn_leads_to(
    make: Make, monkeypatch: pytest.MonkeyPatch
) -> None:
    scene = await make(stall=60.0, heartbeat=15.0)
    scene.begin(1)
    batches: list[int] = []
    real = scene.driver._timers.set

    def noted(wanted: Sequence[tuple[Event, float]], now: float) -> None:
        batches.append(len(wanted))
        real(wanted, now)

    monkeypatch.setattr(scene.driver._timers, "set", noted)
    scene.upstream.received(TEXT[1])
    assert batches == [2], "the stall and the heartbeat, at the commit point"
    scene.upstream.received(TEXT[2])
    scene.upstream.received(b"".join(TEXT[3:]))
    assert batches == [2, 1], "the connection may stay open"
    scene.upstream.closed(None)
    await scene.end()
    assert batches == [2, 1]


async def test_what_comes_while_the_client_reads_is_bounded_and_goes_out_in_one_write(make: Make) -> None:
    gate = asyncio.Event()
    scene = await make(Kept(gate=gate))
    scene.begin(2)
    sent = len(scene.kept.sent)
    count = scene.fill()
    assert LARGEST <= count * len(LARGE) < LARGEST + len(LARGE)
    assert len(scene.kept.sent) == sent
    gate.set()
    await scene.until(lambda: not scene.attempt.is_paused)
    assert scene.kept.sent[sent:] == [LARGE * count]
    scene.upstream.received(TEXT[2])
    assert scene.kept.sent[-1] == TEXT[2]
    scene.running.cancel()


@pytest.mark.parametrize(("lasted", "slow"), [(0.0, False), (SLOW_DRAIN * 2, True)])
async def test_only_the_time_of_the_wait_makes_a_client_slow(make: Make, lasted: float, slow: bool) -> None:
    """Not what was done before it, however long that took."""
    gate = asyncio.Event()
    scene = await make(Kept(gate=gate))
    scene.begin(1)
    seen, clock = handled(scene.driver), scene.house.clock
    real = scene.kept.send

    def busy(data: bytes) -> bool:
        clock.now += 60.0
        return real(data)

    scene.kept.send = busy  # type: ignore[method-assign]
    scene.upstream.received(TEXT[1])
    await asyncio.sleep(0)  # the wait begins
    clock.now += lasted
    gate.set()
    scene.upstream.received(TEXT[2])
    await scene.until(lambda: TEXT[2] in scene.kept.sent)
    assert (ClientDrained() in seen) is slow
    scene.running.cancel()


async def test_a_flood_of_tiny_frames_lets_others_have_their_turn(make: Make) -> None:
    scene = await make()
    scene.begin(2)
    seen, loop = handled(scene.driver), asyncio.get_running_loop()
    turns: list[int] = []

    def turn() -> None:
        turns.append(len(seen))
        if len(turns) < 100:
            loop.call_soon(turn)

    loop.call_soon(turn)
    scene.upstream.received(b":\n\n" * 4 * MOST_ENDS)
    scene.upstream.received(TEXT[2])
    assert len(seen) == 1
    await scene.until(lambda: scene.kept.body.endswith(TEXT[2]))
    assert len(seen) > 8
    assert all(isinstance(each, UpstreamData) for each in seen)
    assert {1, 2, 3, 4} <= set(turns), "somebody else ran between any two pieces"
    scene.running.cancel()


async def test_what_happens_inside_another_call_comes_after_it(make: Make) -> None:
    """As when a kept connection takes a request at once, or a client leaves in what is sent to it."""
    scene = await make()
    scene.begin(2)
    real = scene.kept.send

    def nested(data: bytes) -> bool:
        if data == TEXT[2]:
            scene.upstream.received(TEXT[3])
        return real(data)

    scene.kept.send = nested  # type: ignore[method-assign]
    scene.upstream.received(TEXT[2])
    assert scene.kept.sent[-2:] == [TEXT[2], TEXT[3]]
    scene.running.cancel()


@pytest.mark.parametrize("number", range(1, len(TEXT)))
async def test_a_client_that_leaves_inside_a_send_ends_everything_once(make: Make, number: int) -> None:
    scene = await make(stall=60.0, heartbeat=15.0)
    scene.begin(number)
    real = scene.kept.send

    def leaves(data: bytes) -> bool:
        scene.driver.client_gone()
        return real(data)

    scene.kept.send = leaves  # type: ignore[method-assign]
    scene.upstream.received(b"".join(TEXT[number:]))
    assert len(scene.house.reports) == len(scene.house.released) == 1
    assert scene.attempt.is_cancelled
    assert not [each for each in pending_timers() if "Timers._rang" in repr(each)]
    scene.running.cancel()
    await asyncio.wait({scene.running})
    assert len(scene.house.reports) == len(scene.house.released) == 1


@pytest.mark.parametrize(("ended", "expected"), [(False, "abandoned"), (True, "truncated")])
async def test_a_client_that_leaves_while_it_has_to_read_is_recorded(
    make: Make, ended: bool, expected: str
) -> None:
    """All of its answer may have been written by then."""
    gate = asyncio.Event()
    gate.set()
    scene = await make(Kept(gate=gate))
    scene.begin(2)
    gate.clear()
    if ended:
        scene.upstream.closed(None)
    else:
        scene.upstream.received(TEXT[2])
    assert scene.house.reports == []
    scene.running.cancel()
    await asyncio.wait({scene.running})
    assert [one.end for one in scene.house.reports] == [expected]
    assert [outcome for _, outcome in scene.house.released] == [
        scene.house.reports[0].attempts[0].outcome.label
    ]
    assert scene.attempt.is_cancelled is not ended


@pytest.mark.parametrize("cause", [None, Cause(CauseKind.RESET, "the connection was reset")])
async def test_what_passes_after_a_fault_of_ours_waits_for_the_client_too(
    make: Make, cause: Cause | None
) -> None:
    gate = asyncio.Event()
    scene = await make(Kept(gate=gate), fault=UpstreamData)
    scene.begin(1)
    assert scene.kept.body == TEXT[0]
    scene.fill()
    assert scene.kept.body == TEXT[0]
    gate.set()
    await scene.until(lambda: not scene.attempt.is_paused)
    scene.upstream.received(TEXT[1])
    scene.upstream.closed(cause)
    await scene.end()
    assert set(scene.kept.body.split(LARGE)) == {TEXT[0], b"", TEXT[1]}
    assert scene.kept.end_ == ("end" if cause is None else f"abort: {cause.text}")


async def test_a_response_that_cannot_be_waited_for_is_a_fault_of_ours(make: Make) -> None:
    scene = await make(Kept(gate=asyncio.Event()))

    async def broken() -> None:
        raise LookupError("planted")

    scene.kept.drained = broken  # type: ignore[method-assign]
    scene.begin(2)
    await asyncio.sleep(0)
    scene.upstream.received(TEXT[2])
    scene.upstream.closed(None)
    async with asyncio.timeout(PATIENCE):
        await asyncio.wait({scene.running})
    assert [type(fault) for fault in scene.house.faults][:1] == [LookupError]
    assert scene.house.released == [("key-1", "abandoned")]

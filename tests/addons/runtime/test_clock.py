"""Time in which the process runs, with a world whose time the test makes pass."""

import heapq
import itertools
from collections.abc import Callable
from dataclasses import dataclass, field

import pytest

from addons.runtime.clock import LONGEST_PASS, SETTLING, TICK, Clock


@dataclass(slots=True)
class Entry:
    callback: Callable[[], None] | None

    def cancel(self) -> None:
        self.callback = None


@dataclass(slots=True)
class World:
    """An event loop in scripted time."""

    now: float = 100.0
    due: list[tuple[float, int, Entry]] = field(default_factory=list)
    numbers: "itertools.count[int]" = field(default_factory=itertools.count)

    def later(self, seconds: float, callback: Callable[[], None]) -> Entry:
        entry = Entry(callback)
        heapq.heappush(self.due, (self.now + seconds, next(self.numbers), entry))
        return entry

    def runs(self, seconds: float) -> None:
        """So much time passes, and what falls due is called in its moment."""
        end = self.now + seconds
        while self.due and self.due[0][0] <= end:
            moment, _, entry = heapq.heappop(self.due)
            self.now = max(self.now, moment)
            if entry.callback:
                entry.callback()
        self.now = max(self.now, end)

    def stops(self, seconds: float) -> None:
        """So much time passes, and nothing is called before it is over."""
        self.now += seconds
        self.runs(0.0)


@pytest.fixture
def world() -> World:
    return World()


@pytest.fixture
def clock(world: World) -> Clock:
    return Clock(lambda: world.now, world.later)


@pytest.fixture
def fired() -> list[str]:
    return []


def test_it_runs_as_the_world_does(world: World, clock: Clock, fired: list[str]) -> None:
    began = clock()
    clock.call_later(30.0, lambda: fired.append("a"))
    world.runs(29.9)
    assert clock() - began == pytest.approx(29.9)
    assert fired == []
    world.runs(0.1)
    assert clock() - began == pytest.approx(30.0)
    assert fired == ["a"]


def test_nothing_fires_for_the_time_in_which_we_did_not_run(
    world: World, clock: Clock, fired: list[str]
) -> None:
    began = clock()
    clock.call_later(30.0, lambda: fired.append("a"))
    world.runs(10.0)
    world.stops(3600.0)
    assert clock() - began == pytest.approx(10.0 + TICK)
    assert fired == []
    world.runs(20.0 - TICK - 0.1)
    assert fired == []
    world.runs(0.2)
    assert fired == ["a"]


def test_what_is_due_at_once_lets_what_waits_be_read_first(
    world: World, clock: Clock, fired: list[str]
) -> None:
    """Whoever reads the clock first notices the gap: here the timer itself, which comes before the tick."""
    clock.call_later(0.1, lambda: fired.append("a"))
    world.stops(60.0)
    assert fired == []
    world.runs(SETTLING - 0.01)
    assert fired == []
    world.runs(0.02)
    assert fired == ["a"]


def test_who_is_merely_busy_is_not_stopped(world: World, clock: Clock, fired: list[str]) -> None:
    began = clock()
    clock.call_later(3.0, lambda: fired.append("a"))
    for _ in range(3):
        world.stops(LONGEST_PASS - 0.01)
        world.runs(0.01)
    assert clock() - began == pytest.approx(3.0)
    assert fired == ["a"]


def test_a_machine_that_is_slow_all_the_time_has_timers_all_the_same(
    world: World, clock: Clock, fired: list[str]
) -> None:
    clock.call_later(2.0, lambda: fired.append("a"))
    for _ in range(6):
        world.stops(LONGEST_PASS + 0.2)
    assert fired == ["a"]


def test_without_a_timer_nothing_is_watched(world: World, clock: Clock, fired: list[str]) -> None:
    """An idle proxy has no ticks, and the time until the next call is no gap."""
    clock.call_later(1.0, lambda: fired.append("a"))
    world.runs(2.0)
    assert world.due == []
    began = clock()
    world.stops(500.0)
    assert clock() - began == pytest.approx(500.0)
    clock.call_later(1.0, lambda: fired.append("b"))
    world.runs(1.0)
    assert fired == ["a", "b"]


def test_a_timer_that_is_cancelled_does_not_fire(world: World, clock: Clock, fired: list[str]) -> None:
    timer = clock.call_later(1.0, lambda: fired.append("a"))
    timer.cancel()
    timer.cancel()
    world.runs(5.0)
    assert (fired, world.due) == ([], [])
    done = clock.call_later(1.0, lambda: fired.append("b"))
    world.runs(1.0)
    done.cancel()
    assert fired == ["b"]

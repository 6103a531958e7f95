"""Time in which the process runs, with a world whose time the test makes pass."""

import heapq
import itertools
from collections.abc import Callable
from dataclasses import dataclass, field

import pytest

from addons.runtime.clock import LONGEST_PASS, SETTLING, TICK, Clock, Timers


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


# -- several of one user ------------------------------------------------------------------------------


def alarms(world: World) -> list[float]:
    """When what is not cancelled is called back, without the clock's ticks."""
    pending = [(due, entry) for due, _, entry in world.due if entry.callback]
    return [due for due, entry in pending if "Alarm" in repr(entry.callback)]


def test_one_alarm_is_set_for_the_earliest_of_several(world: World, clock: Clock, fired: list[str]) -> None:
    timers = Timers(clock, fired.append)
    timers.set([("late", 30.0)], clock())
    timers.set([("later", 40.0)], clock())
    timers.set([("soon", 10.0)], clock())
    assert alarms(world) == [110.0]
    world.runs(10.0)
    assert (fired, alarms(world)) == (["soon"], [130.0])
    world.runs(20.0)
    assert (fired, alarms(world)) == (["soon", "late"], [140.0])
    world.runs(10.0)
    assert (fired, world.due) == (["soon", "late", "later"], [])


def test_it_says_when_the_first_of_some_is_due(world: World, clock: Clock, fired: list[str]) -> None:
    timers = Timers(clock, fired.append)
    timers.set([("late", 30.0), ("soon", 10.0), ("late", 20.0)], clock())
    world.runs(5.0)
    assert (timers.left("late".__eq__), timers.left("never".__eq__)) == (15.0, None)


def test_a_later_one_leaves_the_alarm_as_it_is(world: World, clock: Clock, fired: list[str]) -> None:
    timers = Timers(clock, fired.append)
    timers.set([("soon", 10.0)], clock())
    before = list(world.due)
    timers.set([("late", 30.0)], clock())
    assert world.due == before


def test_they_fire_in_the_order_in_which_they_were_due(world: World, clock: Clock, fired: list[str]) -> None:
    """One that is set for a time that is over comes at once; of equal ones the first."""
    timers = Timers(clock, fired.append)
    for name, seconds in (("c", 2.0), ("a", -5.0), ("b", 0.0), ("d", 2.0)):
        timers.set([(name, seconds)], clock())
    world.runs(2.0)
    assert fired == ["a", "b", "c", "d"]


def test_one_may_set_another_when_it_fires(world: World, clock: Clock, fired: list[str]) -> None:
    def fire(name: str) -> None:
        fired.append(name)
        if len(fired) < 3:
            timers.set([(f"{name}+", 5.0)], clock())

    timers = Timers(clock, fire)
    timers.set([("a", 5.0)], clock())
    timers.set([("z", 12.0)], clock())
    world.runs(20.0)
    assert fired == ["a", "a+", "z", "a++"]


def test_all_are_cancelled_at_once(world: World, clock: Clock, fired: list[str]) -> None:
    def fire(name: str) -> None:
        fired.append(name)
        timers.cancel()

    timers = Timers(clock, fire)
    for seconds in (1.0, 1.0, 2.0):
        timers.set([("a", seconds)], clock())
    world.runs(5.0)
    assert (fired, world.due) == (["a"], [])
    timers.set([("b", 1.0)], clock())
    timers.cancel()
    world.runs(5.0)
    assert (fired, world.due) == (["a"], [])


def test_several_wait_until_what_came_in_a_gap_may_have_been_read(
    world: World, clock: Clock, fired: list[str]
) -> None:
    timers = Timers(clock, fired.append)
    timers.set([("a", 0.1)], clock())
    timers.set([("b", 0.2)], clock())
    world.stops(60.0)
    assert fired == []
    world.runs(SETTLING + TICK)
    assert fired == ["a", "b"]

"""The time of day by a clock that jumps."""

import time
from dataclasses import dataclass

import pytest

from addons.runtime.wall_clock import DOUBT, OFF, STAYS_OFF, EpochClock, WallTime

MONTH = 30 * 24 * 3600.0


@dataclass(slots=True)
class World:
    """Time that passes, and a clock that may be off by so much."""

    passed: float = 0.0
    off: float = 0.0

    def wall(self) -> float:
        return 1_000.0 + self.passed + self.off

    def steady(self) -> float:
        return self.passed

    def time(self, known: float | None = None) -> WallTime:
        return WallTime(self.wall, self.steady, known)


def test_it_is_that_of_the_clock() -> None:
    world = World()
    time = world.time()
    assert time() == 1_000.0
    world.passed = 5 * MONTH
    assert time() == 1_000.0 + 5 * MONTH


def test_a_jump_ahead_and_back_is_not_noticed() -> None:
    world = World()
    time = world.time()
    world.off = MONTH
    assert time() == 1_000.0
    world.passed = 100.0
    assert time() == 1_100.0
    world.off, world.passed = 0.0, 200.0
    assert time() == 1_200.0


def test_a_jump_ahead_is_believed_once_it_has_lasted() -> None:
    world = World()
    time = world.time()
    world.off = MONTH
    assert time() == 1_000.0
    world.passed = DOUBT - 1
    assert time() == 1_000.0 + DOUBT - 1
    world.passed = DOUBT
    assert time() == 1_000.0 + DOUBT + MONTH


def test_each_jump_is_doubted_anew() -> None:
    world = World()
    time = world.time()
    world.off = MONTH
    time()
    world.off, world.passed = 0.0, DOUBT / 2
    time()
    world.off, world.passed = MONTH, DOUBT
    assert time() == 1_000.0 + DOUBT


def test_a_jump_back_is_followed_at_once() -> None:
    world = World()
    time = world.time()
    world.off = -MONTH
    assert time() == 1_000.0 - MONTH


@pytest.mark.parametrize(("known", "first"), [(900.0, 900.0), (970.0, 1_000.0), (2_000.0, 1_000.0)])
def test_what_a_clock_says_at_the_start_is_doubted_too(known: float, first: float) -> None:
    world = World()
    time = world.time(known)
    assert time() == first
    world.passed = DOUBT
    assert time() == 1_000.0 + DOUBT


def test_the_clock_of_a_pool_passes_evenly_whatever_the_wall_clock_does() -> None:
    world = World()
    clock = EpochClock(world.wall, world.steady)
    for off in (MONTH, -MONTH, 0.0):
        world.passed += 10
        world.off = off
        assert clock() == 1_000.0 + world.passed


@pytest.mark.parametrize("off", [MONTH, -MONTH])
def test_it_follows_a_wall_clock_that_stays_where_it_was_set(off: float) -> None:
    world = World()
    clock = EpochClock(world.wall, world.steady)
    world.off = off
    assert clock.follow() == 0.0
    world.passed = STAYS_OFF - 1
    assert clock.follow() == 0.0
    assert clock() == 1_000.0 + STAYS_OFF - 1
    world.passed = STAYS_OFF
    assert clock.follow() == off
    assert clock() == 1_000.0 + STAYS_OFF + off
    assert clock.follow() == 0.0


def test_it_does_not_follow_one_that_comes_back() -> None:
    world = World()
    clock = EpochClock(world.wall, world.steady)
    for passed, off in ((0.0, MONTH), (STAYS_OFF - 1, MONTH), (STAYS_OFF, 0.0), (STAYS_OFF + 1, MONTH)):
        world.passed, world.off = passed, off
        assert clock.follow() == 0.0


def test_a_wall_clock_that_is_off_by_little_is_left_alone() -> None:
    world = World()
    clock = EpochClock(world.wall, world.steady)
    for passed in range(0, 5000, 100):
        world.passed, world.off = float(passed), OFF
        assert clock.follow() == 0.0


def test_the_real_clock_is_that_of_the_wall_and_goes_on() -> None:
    clock = EpochClock()
    assert abs(clock() - time.time()) < 1.0
    assert clock() <= clock()
    assert clock.follow() == 0.0

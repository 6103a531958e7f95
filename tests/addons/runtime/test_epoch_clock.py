"""Epoch seconds that pass evenly, by a wall clock that is set now and then."""

import time

import pytest

from addons.runtime.clock import OFF, STAYS_OFF, EpochClock
from tests.addons.runtime.world import World

MONTH = 30 * 24 * 3600.0


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

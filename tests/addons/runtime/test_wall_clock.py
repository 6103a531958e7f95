"""The time of day by a clock that jumps."""

import pytest

from addons.runtime.wall_clock import DOUBT, WallTime
from tests.addons.runtime.world import World

MONTH = 30 * 24 * 3600.0


def wall_time(world: World, known: float | None = None) -> WallTime:
    return WallTime(world.wall, world.steady, known)


def test_it_is_that_of_the_clock() -> None:
    world = World()
    time = wall_time(world)
    assert time() == 1_000.0
    world.passed = 5 * MONTH
    assert time() == 1_000.0 + 5 * MONTH


def test_a_jump_ahead_and_back_is_not_noticed() -> None:
    world = World()
    time = wall_time(world)
    world.off = MONTH
    assert time() == 1_000.0
    world.passed = 100.0
    assert time() == 1_100.0
    world.off, world.passed = 0.0, 200.0
    assert time() == 1_200.0


def test_a_jump_ahead_is_believed_once_it_has_lasted() -> None:
    world = World()
    time = wall_time(world)
    world.off = MONTH
    assert time() == 1_000.0
    world.passed = DOUBT - 1
    assert time() == 1_000.0 + DOUBT - 1
    world.passed = DOUBT
    assert time() == 1_000.0 + DOUBT + MONTH


def test_each_jump_is_doubted_for_itself() -> None:
    world = World()
    time = wall_time(world)
    world.off = MONTH
    time()
    world.off, world.passed = 0.0, DOUBT / 2
    time()
    world.off, world.passed = MONTH, DOUBT
    assert time() == 1_000.0 + DOUBT


def test_a_jump_back_is_followed_at_once() -> None:
    world = World()
    time = wall_time(world)
    world.off = -MONTH
    assert time() == 1_000.0 - MONTH


@pytest.mark.parametrize(("known", "first"), [(900.0, 900.0), (970.0, 1_000.0), (2_000.0, 1_000.0)])
def test_what_a_clock_says_at_the_start_is_doubted_too(known: float, first: float) -> None:
    world = World()
    time = wall_time(world, known)
    assert time() == first
    world.passed = DOUBT
    assert time() == 1_000.0 + DOUBT

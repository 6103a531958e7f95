"""Whose turn it is where several proxies take turns."""

from collections import Counter

import pytest

from rewrite.catalog.providers import Rotation
from rewrite.credentials.choosing import Chosen, choose, taken
from rewrite.credentials.entries import Entry
from rewrite.credentials.state import PoolState
from rewrite.credentials.stored import Subject
from rewrite.credentials.turns import turn, with_turns
from tests.rewrite.credentials.pools import M, pool
from tests.rewrite.credentials.test_order import weighing


def _turn(state: PoolState, now: float) -> tuple[PoolState, str, Entry]:
    found = choose(state, M, now)
    assert isinstance(found, Chosen)
    name = found.credential.name
    state = taken(state, name, found.wheel)
    (entry,) = turn(Subject("p", name), state, now).values()
    return state, name, entry


def _served(state: PoolState, count: int) -> str:
    """The turns of three proxies one after the other, each of which hears of them."""
    proxies, turns, names = [state] * 3, dict[str, Entry](), ""
    for number in range(count):
        proxies[number % 3], name, turns[name] = _turn(proxies[number % 3], float(number))
        proxies = [with_turns(each, turns) for each in proxies]
        names += name
    return names


@pytest.mark.parametrize("rotation", [Rotation.ROUND_ROBIN, Rotation.BALANCED, Rotation.CHEAPEST])
def test_several_take_turns_as_one(rotation: Rotation) -> None:
    assert _served(pool("a", "b", "c", "d", rotation=rotation), 8) == "abcdabcd"


def test_by_weight_too() -> None:
    assert Counter(_served(weighing(a=1, b=2, c=5), 80)) == {"a": 10, "b": 20, "c": 50}


def test_one_that_starts_later_has_no_turns_to_catch_up_with() -> None:
    state, turns = weighing(a=1, b=1), dict[str, Entry]()
    for number in range(20):
        state, name, turns[name] = _turn(state, float(number))
    late = with_turns(weighing(a=1, b=1), turns)
    assert (late.wheel.ends, late.wheel.time) == (state.wheel.ends, state.wheel.time)


def test_who_is_in_the_pool_no_more_has_no_turn() -> None:
    state = with_turns(pool("a", "b"), {"gone": Entry(1.0, 9.0, 1.0), "b": Entry(1.0, 9.0, 0.0)})
    assert [one.name for one in state.wheel.used] == ["b"]

"""Whose turn it is where several proxies take turns."""

from collections import Counter

import pytest

from rewrite.catalog.providers import Rotation
from rewrite.credentials.choosing import Chosen, choose, taken
from rewrite.credentials.entries import Entry
from rewrite.credentials.state import PoolState
from rewrite.credentials.stored import Subject
from rewrite.credentials.turns import MOST_OWED, Turns, given, more_turns, with_turns
from tests.rewrite.credentials.pools import M, pool
from tests.rewrite.credentials.test_order import weighing

SUBJECT = Subject("p", "a", "mark")


def _turn(state: PoolState, now: float) -> tuple[PoolState, Turns]:
    found = choose(state, M, now)
    assert isinstance(found, Chosen)
    name = found.credential.name
    return taken(state, name, found.wheel), Turns(name, 1, now)


def _served(state: PoolState, count: int, *, heard_after: int = 1) -> str:
    """The turns of three proxies one after the other, each of which hears of them after so many."""
    proxies, names = [state] * 3, ""
    late: list[list[Turns]] = [[], [], []]
    for number in range(count):
        proxies[number % 3], one = _turn(proxies[number % 3], float(number))
        names += one.credential
        for each in range(3):
            late[each] += [one] if each != number % 3 else []
        if (number + 1) % heard_after == 0:
            proxies = [with_turns(proxy, news) for proxy, news in zip(proxies, late, strict=True)]
            late = [[], [], []]
    return names


@pytest.mark.parametrize("rotation", [Rotation.ROUND_ROBIN, Rotation.BALANCED, Rotation.CHEAPEST])
def test_several_take_turns_as_one(rotation: Rotation) -> None:
    assert _served(pool("a", "b", "c", "d", rotation=rotation), 8) == "abcdabcd"


def test_by_weight_too() -> None:
    assert Counter(_served(weighing(a=1, b=2, c=5), 80)) == {"a": 10, "b": 20, "c": 50}


@pytest.mark.parametrize("late", [3, 5, 12])
def test_turns_that_two_give_at_once_are_made_up_for(late: int) -> None:
    served = Counter(_served(pool(*"abcdefghij", rotation=Rotation.ROUND_ROBIN), 240, heard_after=late))
    assert max(served.values()) - min(served.values()) <= 3, served
    assert served.total() == 240


def test_the_one_that_was_away_has_few_turns_to_catch_up_with() -> None:
    state = pool("a", "b", rotation=Rotation.ROUND_ROBIN)
    state = with_turns(state, [Turns("a", 1, 0.0), Turns("b", 100, 1.0)])
    names = ""
    for number in range(12):
        state, one = _turn(state, float(number))
        names += one.credential
    assert names == "a" * MOST_OWED + "babababa"


def test_who_is_in_the_pool_no_more_has_no_turn() -> None:
    state = with_turns(pool("a", "b"), [Turns("gone", 1, 1.0), Turns("b", 1, 1.0)])
    assert [one.name for one in state.wheel.used] == ["b"]


def test_turns_are_counted_by_the_proxy_that_gives_them() -> None:
    (one,) = given(SUBJECT, "proxy", None, 2, 10.0).items()
    (two,) = given(SUBJECT, "proxy", one[1], 3, 11.0).items()
    assert one[0] == two[0]
    assert (one[1].value, two[1].value) == (2.0, 5.0)
    assert more_turns(None, one[1]) == 2
    assert more_turns(one[1], two[1]) == 3


def test_what_was_heard_before_is_no_news_and_who_counts_again_gives_more() -> None:
    known = Entry(10.0, 99.0, 5.0)
    assert more_turns(known, known) == 0
    assert more_turns(known, Entry(9.0, 99.0, 4.0)) == 0
    assert more_turns(known, Entry(11.0, 99.0, 1.0)) == 1

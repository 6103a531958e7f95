"""Whose turn it is, by each mode."""

from collections import Counter

import pytest
from hypothesis import given
from hypothesis import strategies as st
from msgspec import structs

from rewrite.catalog.providers import Rotation
from rewrite.credentials.choosing import Chosen, choose, taken
from rewrite.credentials.credential import Credential, serving_order
from rewrite.credentials.order import MODES, kept
from rewrite.credentials.rules import CredentialRequest
from rewrite.credentials.state import UNTURNED, PoolState
from rewrite.values.outcome import Kind
from tests.rewrite.credentials.pools import M, after, in_turn, pool, rejected

TURNING = [mode for mode in Rotation if mode is not Rotation.SEQUENTIAL]


def of(rotation: Rotation, *credentials: Credential) -> PoolState:
    return PoolState(serving_order(credentials), rotation)


def weighing(**weights: float) -> PoolState:
    return of(Rotation.WEIGHTED, *(Credential(name, "v", weight=each) for name, each in weights.items()))


def test_every_mode_of_the_config_is_in_the_table() -> None:
    assert set(MODES) == set(Rotation)


@pytest.mark.parametrize("rotation", TURNING)
def test_all_but_sequential_go_round_among_equals(rotation: Rotation) -> None:
    assert in_turn(pool("a", "b", "c", rotation=rotation), 7) == "abcabca"


@pytest.mark.parametrize("rotation", Rotation)
def test_a_spare_waits_until_it_is_needed(rotation: Rotation) -> None:
    state = pool("a", "spare", "b", rotation=rotation, spare=2)
    assert set(in_turn(state, 6)) <= set("ab")
    cooled = after(state, (0.0, "a", rejected(Kind.RATE)), (0.0, "b", rejected(Kind.RATE)))
    found = choose(cooled, M, 0.0)
    assert isinstance(found, Chosen)
    assert found.credential.name == "spare"


@pytest.mark.parametrize("rotation", TURNING)
def test_one_that_comes_back_has_not_saved_up_turns(rotation: Rotation) -> None:
    state = after(pool("a", "b", rotation=rotation), (0.0, "a", rejected(Kind.RATE, 60.0)))
    for _ in range(50):
        found = choose(state, M, 1.0)
        assert isinstance(found, Chosen)
        state = taken(state, found.credential.name, found.wheel)
    names = ""
    for _ in range(8):
        found = choose(state, M, 60.0)
        assert isinstance(found, Chosen)
        names, state = names + found.credential.name, taken(state, found.credential.name, found.wheel)
    assert Counter(names)["a"] in (4, 5)


def test_weights_are_shares_and_are_spread() -> None:
    assert Counter(in_turn(weighing(a=3, b=1, c=1), 50)) == {"a": 30, "b": 10, "c": 10}
    assert "aaaa" not in in_turn(weighing(a=3, b=1, c=1), 50)
    assert Counter(in_turn(weighing(a=0.5, b=0.25), 30)) == {"a": 20, "b": 10}


@given(st.lists(st.integers(1, 20), min_size=1, max_size=8))
def test_after_any_number_of_turns_no_share_is_off_by_more_than_two_turns(weights: list[int]) -> None:
    state = weighing(**{f"k{number}": float(each) for number, each in enumerate(weights)})
    total, served = sum(weights), Counter[str]()
    for turn in range(1, 3 * total):
        found = choose(state, M, 0.0)
        assert isinstance(found, Chosen)
        served[found.credential.name] += 1
        state = taken(state, found.credential.name, found.wheel)
        for one in state.credentials:
            assert abs(served[one.name] - turn * one.weight / total) < len(weights)


def test_the_cheapest_serves_and_equal_ones_take_turns() -> None:
    state = of(
        Rotation.CHEAPEST,
        Credential("dear", "v", cost_rank=2.0),
        Credential("a", "v", cost_rank=0.5),
        Credential("b", "v", cost_rank=0.5),
    )
    assert in_turn(state, 4) == ("ab" * 2)
    cooled = after(state, (0.0, "a", rejected(Kind.RATE)), (0.0, "b", rejected(Kind.RATE)))
    assert in_turn(cooled, 1) == "dear"


def test_priority_goes_before_cost_and_weight() -> None:
    first, second = Credential("first", "v", 1, cost_rank=9.0), Credential("second", "v", 2, weight=9.0)
    for rotation in Rotation:
        assert in_turn(of(rotation, second, first), 1) == "first"


@pytest.mark.parametrize("rotation", TURNING)
def test_a_busy_conversation_takes_no_turn_from_new_ones(rotation: Rotation) -> None:
    """Five new conversations beside one that goes on share all of the keys."""
    state = pool("a", "b", "c", rotation=rotation)
    state = taken(state, "a", _of(state, M).wheel)
    new = ""
    for _ in range(5):
        busy = _of(state, CredentialRequest("m", prefer="a"))
        state = taken(state, busy.credential.name, busy.wheel)
        assert busy.credential.name == "a"
        found = _of(state, M)
        new, state = new + found.credential.name, taken(state, found.credential.name, found.wheel)
    assert new == "bcabc"


def test_a_conversation_that_is_elsewhere_for_once_takes_no_turn() -> None:
    state = pool("a", "b", "c", rotation=Rotation.ROUND_ROBIN)
    assert _of(state, CredentialRequest("m", prefer="a", avoid=frozenset("a"))).wheel is None
    cooled = after(state, (0.0, "a", rejected(Kind.RATE)))
    assert _of(cooled, CredentialRequest("m", prefer="a")).wheel is not None, "it has lost its credential"


def test_a_pool_that_loses_a_credential_forgets_its_turns() -> None:
    state = pool("a", "b", rotation=Rotation.ROUND_ROBIN)
    for _ in range(3):
        found = _of(state, M)
        state = taken(state, found.credential.name, found.wheel)
    assert in_turn(state, 2) == "ba"
    again = structs.replace(state, wheel=kept(state.wheel, state.credentials))
    assert in_turn(again, 2) == "ba"
    fewer = kept(state.wheel, state.credentials[1:])
    assert [one.name for one in fewer.used] == ["b"]


def test_one_that_comes_to_a_pool_has_the_next_turn() -> None:
    state = pool("a", "b", rotation=Rotation.ROUND_ROBIN)
    for _ in range(3):
        found = _of(state, M)
        state = taken(state, found.credential.name, found.wheel)
    more = (*state.credentials, Credential("c", "vendor"))
    assert in_turn(structs.replace(state, credentials=more, wheel=kept(state.wheel, more)), 4) == "cbac"
    weights = kept(_of(weighing(a=1, b=1), M).wheel or UNTURNED, more[1:])
    assert weights.ends == {}


def _of(state: PoolState, request: CredentialRequest) -> Chosen:
    found = choose(state, request, 0.0)
    assert isinstance(found, Chosen), found
    return found

"""A fair cycle: who waits for whom, and when the next one begins."""

import pytest
from msgspec import structs

from rewrite.catalog.providers import FairCycle
from rewrite.credentials.choosing import Chosen, begun, choose, taken
from rewrite.credentials.credential import Credential
from rewrite.credentials.rules import CredentialRequest
from rewrite.credentials.settling import Attempted, settle
from rewrite.credentials.state import PoolState, resumed
from rewrite.credentials.windows import Unit, Window
from rewrite.values.outcome import Completed, Kind, Outcome, Rejected

M = CredentialRequest("model:m", model="m")
LIMITED = Rejected(429, Kind.RATE, retry_after=10.0)


def pool(cycle: FairCycle, **priorities: int) -> PoolState:
    listed = [Credential(name, "vendor", priority) for name, priority in priorities.items()]
    return PoolState(tuple(listed), fair_cycle=cycle)


def turn(
    state: PoolState, now: float, outcome: Outcome, request: CredentialRequest = M
) -> tuple[str, PoolState]:
    found = choose(state, request, now)
    assert isinstance(found, Chosen), found
    one = found.credential
    state = begun(taken(state, one.name, found.wheel), one, request, now)
    return one.name, settle(state, Attempted(one.name, request.scope, "w"), outcome, now)


def turns(state: PoolState, *events: tuple[float, Outcome]) -> str:
    names = ""
    for now, outcome in events:
        name, state = turn(state, now, outcome)
        names += name
    return names


OK = Completed()
STORY: list[tuple[float, Outcome]] = [
    (0.0, LIMITED),
    (20.0, OK),
    (20.0, LIMITED),
    (40.0, LIMITED),
    (60.0, OK),
]
"""Each is limited for 10 s, and 20 s pass until the next is."""


def test_without_it_the_first_serves_as_soon_as_it_may() -> None:
    assert turns(pool(FairCycle.OFF, a=1, b=1, c=1), *STORY) == "aaaaa"


def test_an_exhausted_one_waits_until_all_have_had_their_turn() -> None:
    assert turns(pool(FairCycle.TIER, a=1, b=1, c=1), *STORY) == "abbca"


def test_a_tier_is_a_cycle_of_its_own() -> None:
    assert turns(pool(FairCycle.TIER, a=1, b=1, c=2), *STORY) == "abbab"


def test_across_tiers_all_have_their_turn() -> None:
    assert turns(pool(FairCycle.ALL, a=1, b=1, c=2), *STORY) == "abbca"


def test_it_waits_only_while_another_can_serve() -> None:
    state = pool(FairCycle.TIER, a=1, b=1)
    name, state = turn(state, 0.0, LIMITED)
    name, state = turn(state, 0.0, Rejected(401, Kind.AUTH))
    assert name == "b"
    name, state = turn(state, 20.0, LIMITED)
    assert name == "a"
    assert state.exhausted == {"model:m": frozenset("a")}
    assert turn(state, 400.0, OK)[0] == "b"


def test_a_conversation_leaves_one_whose_turn_is_over() -> None:
    _, state = turn(pool(FairCycle.TIER, a=1, b=1), 0.0, LIMITED)
    assert turn(state, 20.0, OK, structs.replace(M, prefer="a"))[0] == "b"


def test_a_call_that_is_bound_to_one_begins_no_cycle() -> None:
    _, state = turn(pool(FairCycle.TIER, a=1, b=1), 0.0, LIMITED)
    name, state = turn(state, 20.0, OK, structs.replace(M, prefer="a", insist=True))
    assert (name, turn(state, 20.0, OK)[0]) == ("a", "b")


def test_one_that_is_resumed_has_its_turn_again() -> None:
    _, state = turn(pool(FairCycle.TIER, a=1, b=1, c=1), 0.0, LIMITED)
    for name in ("a", ""):
        assert turn(resumed(state, name), 1.0, OK)[0] == "a"
    assert turn(resumed(state, "b"), 20.0, OK)[0] == "b"


def test_other_models_have_their_own_cycle() -> None:
    _, state = turn(pool(FairCycle.TIER, a=1, b=1), 0.0, LIMITED)
    assert turn(state, 20.0, OK, CredentialRequest("model:other", model="other"))[0] == "a"


def test_a_full_window_is_exhaustion_too() -> None:
    listed = (
        Credential("a", "vendor", windows=(Window(Unit.REQUESTS, 1, 10.0),)),
        Credential("b", "vendor"),
    )
    state = PoolState(listed, fair_cycle=FairCycle.TIER)
    assert turns(state, (0.0, OK), (0.0, OK), (20.0, OK), (20.0, LIMITED), (25.0, OK)) == "abbba"


@pytest.mark.parametrize("cycle", FairCycle)
def test_what_is_kept_is_bounded(cycle: FairCycle) -> None:
    state = pool(cycle, a=1, b=1)
    for number in range(1000):
        _, state = turn(state, 0.0, LIMITED, CredentialRequest(f"model:{number}", model=str(number)))
    assert len(state.exhausted) <= 256

"""What commands do to the credentials of a pool."""

import pytest
from msgspec import structs

from rewrite.catalog.providers import Rotation
from rewrite.credentials.choosing import Unavailable, begun, choose, taken
from rewrite.credentials.credential import Credential
from rewrite.credentials.rules import CredentialRequest
from rewrite.credentials.state import PoolState, resumed
from rewrite.credentials.steering import cooled, reset, retired
from rewrite.credentials.windows import Unit, Window
from rewrite.values.outcome import Kind
from tests.rewrite.credentials.pools import DOWN, M, after, chosen, pool, rejected, suspected, wait


def test_one_that_is_cooled_serves_nothing_for_so_long() -> None:
    state = cooled(pool("a", "b"), "a", 60.0, 10.0)
    assert [chosen(state, M, now) for now in (10.0, 69.9, 70.0)] == ["b", "b", "a"]
    assert chosen(state, CredentialRequest("other"), 10.0) == "b"
    found = choose(structs.replace(state, credentials=state.credentials[:1]), M, 10.0)
    assert isinstance(found, Unavailable)
    assert found.keys == ("vendor/a is paused by a command and is tried again in 60 s",)


def test_a_longer_cooldown_is_not_shortened_by_command() -> None:
    state = after(pool("a"), (0.0, "a", rejected(Kind.AUTH)))
    assert wait(cooled(state, "a", 60.0, 0.0), 0.0) == 300.0
    assert wait(cooled(state, "a", 600.0, 0.0), 0.0) == 600.0


def test_one_that_is_retired_serves_again_when_it_is_resumed() -> None:
    state = retired(pool("a", "b"), "a")
    assert chosen(state, M, 1e9) == "b"
    assert chosen(resumed(state, "b")) == "b"
    assert chosen(resumed(state, "a")) == "a"


@pytest.mark.parametrize("name", ["", "a"])
def test_what_is_used_of_a_limit_outlives_resuming_and_not_a_reset(name: str) -> None:
    one = Credential("a", "vendor", windows=(Window(Unit.REQUESTS, 1, 60.0),))
    state = begun(taken(PoolState((one,)), "a"), one, M, 0.0)
    assert isinstance(choose(resumed(state, name), M, 1.0), Unavailable)
    assert chosen(reset(state, name), M, 1.0) == "a"
    assert reset(state, name).state("a").in_flight == 1


def test_a_reset_of_all_clears_turns_and_pauses_too() -> None:
    state = structs.replace(suspected(), rotation=Rotation.ROUND_ROBIN)
    found = choose(state, M, 3.0)
    assert not isinstance(found, Unavailable)
    state = taken(state, found.credential.name, found.wheel)
    assert reset(state, "a").health == state.health
    assert (reset(state).health, chosen(reset(state), M, 3.0)) == ({}, "a")


def test_a_failing_one_is_no_longer_the_last_when_it_is_resumed() -> None:
    failing = after(pool("a", "b"), *((at / 10, "a", DOWN) for at in range(3)))
    state = after(failing, *((at / 10, "b", each) for at, each in enumerate([DOWN])))
    assert resumed(state, "a").state("a").streaks == {}

"""What an outcome does to a credential."""

from dataclasses import replace

import pytest
from msgspec import structs

from protocols.model.call import Operation
from protocols.model.http import WireResponse
from rewrite.credentials.choosing import Unavailable, choose, scope_of, taken
from rewrite.credentials.rules import CredentialRequest
from rewrite.credentials.state import WHOLE
from rewrite.values.outcome import Completed, Kind, Outcome, Rejected
from tests.rewrite.credentials.pools import (
    CALL,
    HARMLESS,
    WHO,
    M,
    after,
    chosen,
    pool,
    refusals_of,
    rejected,
    wait,
)


@pytest.mark.parametrize(
    ("outcome", "seconds", "whole"),
    [
        (rejected(Kind.AUTH), 300.0, True),
        (rejected(Kind.AUTH, 5.0), 300.0, True),
        (rejected(Kind.QUOTA), 3600.0, True),
        (rejected(Kind.QUOTA, 90.0), 90.0, True),
        (rejected(Kind.QUOTA, 86_400.0), 86_400.0, True),
        (rejected(Kind.QUOTA, 1e12), 31 * 86_400.0, True),
        (rejected(Kind.MODEL_QUOTA), 3600.0, False),
        (rejected(Kind.MODEL_QUOTA, 486_586.0), 486_586.0, False),
        (rejected(Kind.FORBIDDEN), 300.0, False),
        (rejected(Kind.RATE), 60.0, False),
        (rejected(Kind.RATE, 7.0), 7.0, False),
        (rejected(Kind.RATE, 0.0), 1.0, False),
        (rejected(Kind.RATE, 9999.0), 1800.0, False),
    ],
)
def test_how_long_a_rejection_cools_what(outcome: Rejected, seconds: float, whole: bool) -> None:
    state = after(pool("a", "b"), (10.0, "a", outcome))
    assert chosen(state, M, 10.0) == "b"
    assert chosen(state, M, 9.9 + seconds) == "b"
    assert chosen(state, M, 10.0 + seconds) == "a"
    assert chosen(state, CredentialRequest("other"), 10.0) == ("b" if whole else "a")


@pytest.mark.parametrize(
    "outcome", [*HARMLESS, rejected(Kind.REQUEST), rejected(Kind.SERVER), rejected(Kind.BINDING)], ids=str
)
def test_what_cools_nothing(outcome: Outcome) -> None:
    assert chosen(after(pool("a", "b"), (0.0, "a", outcome))) == "a"


@pytest.mark.parametrize("model", ["whole", WHOLE, "operation:models", "model:m", "*", "\0"])
def test_no_model_is_named_like_anything_else(model: str) -> None:
    listing = replace(CALL, operation=Operation.MODELS, model=None)
    assert scope_of(replace(CALL, model=model)) not in {WHOLE, scope_of(listing), scope_of(CALL)}


@pytest.mark.parametrize("kind", [Kind.FORBIDDEN, Kind.RATE])
def test_a_call_without_a_model_cools_its_own_operation_alone(kind: Kind) -> None:
    listing = scope_of(replace(CALL, operation=Operation.MODELS, model=None))
    cooled = after(pool("a", "b"), (0.0, "a", rejected(kind)), model=listing)
    assert chosen(cooled, CredentialRequest(listing)) == "b"
    assert chosen(cooled, CredentialRequest(scope_of(CALL))) == "a"


@pytest.mark.parametrize("kind", [Kind.AUTH, Kind.QUOTA])
def test_a_call_without_a_model_can_still_cool_the_whole_key(kind: Kind) -> None:
    listing = scope_of(replace(CALL, operation=Operation.MODELS, model=None))
    cooled = after(pool("a", "b"), (0.0, "a", rejected(kind)), model=listing)
    assert chosen(cooled, CredentialRequest(scope_of(CALL))) == "b"


def test_a_longer_cooldown_is_never_shortened() -> None:
    state = after(pool("a"), (0.0, "a", rejected(Kind.RATE, 600.0)), (1.0, "a", rejected(Kind.RATE, 2.0)))
    assert choose(state, M, 10.0) == Unavailable(590.0)
    longer = after(state, (20.0, "a", rejected(Kind.RATE, 900.0)))
    assert choose(longer, M, 20.0) == Unavailable(900.0)


def test_a_whole_cooldown_outlasts_that_of_a_model() -> None:
    state = after(pool("a"), (0.0, "a", rejected(Kind.QUOTA, 100.0)), (0.0, "a", rejected(Kind.RATE, 10.0)))
    assert wait(state, 50.0) == 50.0


def test_the_wait_is_that_of_the_soonest() -> None:
    state = after(pool("a", "b"), (0.0, "a", rejected(Kind.RATE, 40.0)), (0.0, "b", rejected(Kind.RATE, 9.0)))
    assert choose(state, M, 1.0) == Unavailable(8.0)


def test_refusals_in_a_row_back_off_from_five_minutes_to_six_hours_and_never_retire_a_key() -> None:
    state, now, waits = pool("a"), 0.0, []
    for _ in range(9):
        state = refusals_of(state, now)
        waits.append(wait(state, now))
        now += waits[-1]
    assert waits == [300.0, 600.0, 1200.0, 2400.0, 4800.0, 9600.0, 19_200.0, 21_600.0, 21_600.0]
    assert chosen(state, M, now) == "a"


def test_a_success_starts_the_count_from_zero() -> None:
    served = after(refusals_of(pool("a"), 0.0, 400.0), (1000.0, "a", Completed()))
    assert wait(refusals_of(served, 1200.0), 1200.0) == 300.0


def test_what_began_before_the_refusal_and_completes_after_it_proves_nothing() -> None:
    state = after(refusals_of(pool("a", "b"), 0.0), (1.0, "a", Completed()))
    assert chosen(state, M, 2.0) == "b"
    assert wait(refusals_of(state, 300.0), 300.0, "a") == 600.0


def test_calls_that_were_under_way_together_are_one_failure_of_their_key() -> None:
    state = refusals_of(pool("a"), 0.0, 0.0, 1.0, 2.0, 299.0)
    assert wait(state, 299.0) == 1.0
    assert wait(refusals_of(state, 400.0), 400.0) == 600.0


def test_another_cooldown_hides_no_failure() -> None:
    state = refusals_of(after(pool("a"), (0.0, "a", rejected(Kind.QUOTA, 500.0))), 0.0, 400.0)
    assert wait(state, 400.0) == 600.0


# -- keys that do not know a model --------------------------------------------------------------------


UNKNOWN = Rejected(404, Kind.MODEL, "no such model", None, WireResponse(404, (), b"no"))


def test_an_unknown_model_rests_no_key_while_none_serves_it() -> None:
    state = after(pool("a", "b"), (0.0, "a", UNKNOWN), (0.1, "b", UNKNOWN))
    assert chosen(state, M, 1.0) == "a"


def test_once_another_key_serves_it_a_key_rests_for_the_model_that_it_does_not_know() -> None:
    state = after(pool("a", "b"), (0.0, "a", UNKNOWN), (0.1, "b", Completed()))
    assert [chosen(state, request, 3600.0) for request in (M, CredentialRequest("other"))] == ["b", "a"]
    assert chosen(state, M, 3600.1) == "a"


def test_what_a_key_said_long_ago_of_a_model_is_no_reason_to_rest_it() -> None:
    state = after(pool("a", "b"), (0.0, "a", UNKNOWN), (601.0, "b", Completed()))
    assert chosen(state, M, 602.0) == "a"


def test_a_key_that_serves_the_model_after_all_does_not_rest() -> None:
    state = after(pool("a", "b"), (0.0, "a", UNKNOWN), (1.0, "a", Completed()), (2.0, "b", Completed()))
    assert chosen(state, M, 3.0) == "a"


def test_when_the_others_are_gone_the_refusal_of_a_key_that_rests_is_given() -> None:
    state = after(pool("a", "b"), (0.0, "a", UNKNOWN), (0.1, "b", Completed()), (0.2, "b", WHO))
    found = choose(structs.replace(state, credentials=state.credentials[:1]), M, 1.0)
    assert isinstance(found, Unavailable)
    assert found.refused is not None
    assert found.refused.refusal.status == 404


# -- what is under way --------------------------------------------------------------------------------


@pytest.mark.parametrize("outcome", [*HARMLESS, rejected(Kind.RATE), rejected(Kind.SERVER)], ids=str)
def test_every_outcome_ends_what_was_under_way(outcome: Outcome) -> None:
    busy = taken(taken(pool("a"), "a"), "a")
    assert busy.state("a").in_flight == 2
    once = after(busy, (0.0, "a", outcome))
    assert once.state("a").in_flight == 1
    assert after(once, (0.0, "a", outcome), (0.0, "a", outcome)).state("a").in_flight == 0


def test_a_pool_in_which_nothing_changes_stays_the_same_object() -> None:
    used = after(taken(pool("a", "b"), "a"), (0.0, "a", Completed()))
    assert used.with_state("a", used.state("a")) is used
    assert used.without_health("m") is used

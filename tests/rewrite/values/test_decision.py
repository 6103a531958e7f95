"""What a policy can see of a call so far."""

import pytest

from rewrite.values.outcome import Kind, Outcome, Rejected
from tests.rewrite.histories import STALLED, history, rejected

RATED = rejected(Kind.RATE, 429)


@pytest.mark.parametrize("kind", [Kind.AUTH, Kind.QUOTA, Kind.FORBIDDEN])
def test_a_key_that_was_refused_is_not_asked_again(kind: Kind) -> None:
    so_far = history(("a", rejected(kind)), ("b", STALLED))
    assert (so_far.refused, so_far.resting, so_far.rate_limited) == (frozenset("a"), frozenset(), False)


def test_a_key_whose_rate_is_used_up_rests_until_it_has_answered_otherwise() -> None:
    so_far = history(("a", RATED), ("b", RATED))
    assert (so_far.refused, so_far.resting, so_far.rate_limited) == (frozenset(), frozenset("ab"), True)
    later = history(("a", RATED), ("b", RATED), ("a", STALLED))
    assert (later.resting, later.rate_limited) == (frozenset("b"), True)


@pytest.mark.parametrize("outcome", [rejected(Kind.SERVER), rejected(Kind.REQUEST), STALLED], ids=str)
def test_what_does_not_name_the_key(outcome: Outcome) -> None:
    so_far = history(("a", outcome), ("a", outcome))
    assert (so_far.refused, so_far.resting) == (frozenset(), frozenset())
    assert so_far.asked_again == (False, False)


def test_which_attempts_asked_a_key_again_that_had_named_itself() -> None:
    so_far = history(("a", RATED), ("b", STALLED), ("a", STALLED), ("b", RATED), ("b", RATED))
    assert so_far.asked_again == (False, False, True, False, True)


def test_the_last_rejection_is_the_last_that_the_provider_worded() -> None:
    said = rejected(Kind.SERVER, 500)
    in_band = Rejected(500, Kind.SERVER, "busy")
    assert history(("a", RATED), ("b", said), ("c", in_band), ("d", STALLED)).last_rejection == said
    assert history(("a", STALLED)).last_rejection is None

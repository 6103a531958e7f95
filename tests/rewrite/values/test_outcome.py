"""Outcomes in words, and facts of errors laid over one another."""

import pytest

from rewrite.values.outcome import (
    Abandoned,
    Completed,
    ErrorFacts,
    Kind,
    Outcome,
    Rejected,
    Stalled,
    Truncated,
    Unreachable,
    is_away,
    never_connected,
)
from rewrite.values.timer import Timer


@pytest.mark.parametrize(
    ("outcome", "words"),
    [
        (Completed(), "completed"),
        (Rejected(429, Kind.RATE, "slow down"), "rejected(429 rate)"),
        (Stalled(Timer.FIRST_TOKEN, 60.04), "stalled(first_token 60.0s)"),
        (Truncated("reset"), "truncated(reset)"),
        (Unreachable("refused"), "unreachable(refused)"),
        (Abandoned(), "abandoned"),
    ],
)
def test_in_a_word_or_two(outcome: Outcome, words: str) -> None:
    assert outcome.label == words


def test_only_what_had_no_connection_is_asked_again_for_nothing() -> None:
    assert never_connected(Unreachable("refused", connected=False))
    assert not never_connected(Unreachable("reset"))
    assert not never_connected(Truncated("reset"))


def test_what_a_person_has_to_mend_does_not_come_back() -> None:
    assert is_away(Unreachable("no route", connected=False))
    assert not is_away(Unreachable("407", connected=False, lasting=True))
    assert not is_away(Unreachable("reset"))


def test_the_special_facts_go_before_the_general_ones() -> None:
    general = ErrorFacts({"a": Kind.AUTH, "b": Kind.RATE}, [("quota", Kind.QUOTA)])
    special = ErrorFacts({"a": Kind.REQUEST}, [("key", Kind.AUTH)])
    assert general.merged(special) == ErrorFacts(
        {"a": Kind.REQUEST, "b": Kind.RATE}, (("key", Kind.AUTH), ("quota", Kind.QUOTA))
    )

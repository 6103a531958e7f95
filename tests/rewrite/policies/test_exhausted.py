"""No credential is free: wait, give the last rejection back, or say when one will be."""

import pytest

from protocols.model.errors import Fault
from protocols.model.http import WireResponse
from rewrite.policies.exhausted import decide
from rewrite.values.decision import GiveUp, History, Retry
from rewrite.values.outcome import Kind
from tests.rewrite.histories import STALLED, history, rejected

RATED = rejected(Kind.RATE, 429)
SERVER = rejected(Kind.SERVER, 500)
NONE_YET = history()


def fault(so_far: History, wait: float | None, *, paused: bool = False, now: float = 1.0) -> Fault:
    decision = decide(so_far, "vendor", wait, paused, now)
    assert isinstance(decision, GiveUp)
    assert isinstance(decision.answer, Fault)
    return decision.answer


@pytest.mark.parametrize(
    ("wait", "retry_after", "should_retry", "words"),
    [
        (0.4, 0.4, True, "in 0 s"),
        (60.0, 60.0, True, "in 60 s"),
        (61.0, 60.0, False, "in 61 s"),
        (3600.0, 60.0, False, "in 3600 s"),
        (None, 60.0, False, "check the keys"),
    ],
)
def test_at_first_it_says_when(
    wait: float | None, retry_after: float, should_retry: bool, words: str
) -> None:
    found = fault(NONE_YET, wait)
    assert (found.status, found.kind) == (429, "rate_limit_exceeded")
    assert (found.retry_after, found.should_retry) == (retry_after, should_retry)
    assert words in found.message
    assert "vendor" in found.message


def test_a_provider_that_rests_is_unavailable() -> None:
    found = fault(NONE_YET, 30.0, paused=True)
    assert (found.status, found.kind, found.retry_after) == (503, "overloaded", 30.0)


def test_its_own_answer_says_more_than_that_it_rests() -> None:
    failed = rejected(Kind.SERVER, 500, body=b"sorry")
    assert failed.answer
    assert decide(history(("a", failed)), "vendor", 30.0, True, 1.0) == GiveUp(failed.answer)


def test_it_names_each_key_and_its_cause() -> None:
    keys = (
        "vendor/a is rate-limited and is tried again in 30 s",
        "vendor/b was refused (401): check the key",
    )
    decision = decide(NONE_YET, "vendor", 30.0, False, 1.0, keys=keys)
    assert isinstance(decision, GiveUp)
    assert isinstance(decision.answer, Fault)
    assert (
        decision.answer.message == f"no key of vendor can be used now; {'; '.join(keys)}; try again in 30 s"
    )


def test_the_provider_s_words_are_passed_on() -> None:
    assert "(the provider: no)" in fault(history(("a", RATED)), 900.0).message


def test_after_a_429_it_waits() -> None:
    assert decide(history(("a", RATED)), "vendor", 20.0, False, 1.0) == Retry(delay=20.0)


def test_it_waits_after_a_429_of_each_of_many_keys() -> None:
    many = history(*[(key, RATED) for key in "abcdef"])
    assert decide(many, "vendor", 2.0, False, 6.0) == Retry(delay=2.0)


@pytest.mark.parametrize(
    ("so_far", "wait", "now"),
    [
        (history(("a", RATED)), None, 1.0),
        (history(("a", RATED)), 121.0, 1.0),
        (history(("a", RATED)), 20.0, 101.5),
        (history(("a", RATED), latest_start=15.0), 20.0, 1.0),
        (history(*[("a", RATED)] * 3), 5.0, 3.0),
        (history(("a", STALLED)), 5.0, 1.0),
        (history(("a", rejected(Kind.SERVER, 500))), 5.0, 1.0),
    ],
    ids="never long late impatient often silence server".split(),
)
def test_it_does_not_wait_when_that_does_not_fit(so_far: History, wait: float | None, now: float) -> None:
    assert fault(so_far, wait, now=now).status == 429


@pytest.mark.parametrize("kind", [Kind.AUTH, Kind.QUOTA, Kind.FORBIDDEN])
def test_the_answer_that_refused_the_last_key_says_it_better(kind: Kind) -> None:
    last = rejected(kind, 403, body=b"why")
    assert last.answer
    so_far = history(("a", rejected(kind)), ("b", last))
    assert decide(so_far, "vendor", 20.0, False, 2.0) == GiveUp(last.answer)
    rated_and_gone = history(("a", RATED), ("b", last))
    assert decide(rated_and_gone, "vendor", None, False, 2.0) == GiveUp(last.answer)


REFUSED = rejected(Kind.AUTH, 401)


def test_a_refusal_is_not_given_back_while_another_key_is_merely_over_its_rate() -> None:
    so_far = history(("a", RATED), ("b", REFUSED))
    assert decide(so_far, "vendor", 5.0, False, 2.0) == Retry(delay=5.0)
    assert decide(so_far, "vendor", 0.0, False, 2.0) == Retry(delay=0.0)
    found = fault(so_far, 500.0, now=2.0)
    assert (found.status, found.retry_after, found.should_retry) == (429, 60.0, False)
    assert "500 s" in found.message


@pytest.mark.parametrize(
    ("so_far", "waits"),
    [
        (history(("a", SERVER), ("a", SERVER), ("b", RATED)), True),
        (history(("a", SERVER), ("a", SERVER), ("b", RATED), ("b", RATED)), False),
        (history(("a", RATED), ("a", STALLED), ("b", RATED)), True),
        (history(("a", RATED), ("b", RATED), ("a", RATED), ("b", RATED)), False),
        (history(("a", STALLED), ("b", STALLED), ("c", STALLED), ("d", RATED)), False),
    ],
    ids="two-spent three-spent again-and-spent-is-one twice spent-on-silence".split(),
)
def test_asking_a_key_again_is_counted_with_what_cost_time(so_far: History, waits: bool) -> None:
    assert isinstance(decide(so_far, "vendor", 2.0, False, 6.0), Retry) is waits


def test_content_that_is_bound_to_a_key_which_is_gone_gets_the_answer_that_said_so() -> None:
    bound = rejected(Kind.BINDING, body=b"bound")
    assert bound.answer
    assert decide(history(("b", bound), former="a"), "vendor", None, False, 1.0) == GiveUp(bound.answer)


def test_a_long_wait_is_taken_out_of_the_answer_of_a_provider_that_rests() -> None:
    failed = rejected(Kind.SERVER, 503, 200.0, headers=(("Retry-After", "200"), ("x-id", "1")))
    decision = decide(history(("a", failed)), "vendor", 30.0, True, 1.0)
    assert decision == GiveUp(WireResponse(503, (("x-id", "1"),), b"no"))


def test_a_key_that_was_refused_after_one_that_does_not_know_the_model_leaves_that_answer() -> None:
    unknown = rejected(Kind.MODEL, 404, body=b"unknown")
    assert unknown.answer
    so_far = history(("a", unknown), ("b", REFUSED))
    assert decide(so_far, "vendor", None, False, 2.0) == GiveUp(unknown.answer)

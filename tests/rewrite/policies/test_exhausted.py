"""No credential is free: wait in line, give the last rejection back, or say when one will be."""

from dataclasses import replace

import pytest

from protocols.model.errors import Fault
from protocols.model.http import WireResponse
from rewrite.policies import exhausted
from rewrite.policies.exhausted import awaits_own
from rewrite.values.decision import SHORT_WAIT, GiveUp, History, Wait
from rewrite.values.events import NoneFree
from rewrite.values.outcome import Kind
from rewrite.values.timeouts import Limits
from tests.rewrite.histories import STALLED, history, rejected

RATED = rejected(Kind.RATE, 429)
SERVER = rejected(Kind.SERVER, 500)
REFUSED = rejected(Kind.AUTH, 401)
NONE_YET = history()


def decide(
    so_far: History,
    provider: str,
    wait: float | None,
    paused: bool,
    now: float,
    refused: GiveUp | None = None,
) -> Wait | GiveUp:
    return exhausted.decide(so_far, provider, NoneFree(1, wait, paused), now, refused)


def fault(
    so_far: History, wait: float | None, *, paused: bool = False, now: float = 1.0, final: bool = False
) -> Fault:
    decision = exhausted.decide(so_far, "vendor", NoneFree(1, wait, paused, final=final), now)
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
def test_where_it_waits_no_more_it_says_when(
    wait: float | None, retry_after: float, should_retry: bool, words: str
) -> None:
    found = fault(NONE_YET, wait, final=True)
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
    decision = exhausted.decide(NONE_YET, "vendor", NoneFree(1, 30.0, keys=keys, final=True), 1.0)
    assert isinstance(decision, GiveUp)
    assert isinstance(decision.answer, Fault)
    assert (
        decision.answer.message == f"no key of vendor can be used now; {'; '.join(keys)}; try again in 30 s"
    )


def test_the_provider_s_words_are_passed_on() -> None:
    assert "(the provider: no)" in fault(history(("a", RATED)), 900.0).message


IN_ALL = Wait(120.0)
"""Until the deadline, which counts from the first failure."""


@pytest.mark.parametrize(
    "so_far",
    [
        history(("a", RATED)),
        history(("a", STALLED)),
        history(("a", rejected(Kind.SERVER, 500))),
        history(("a", REFUSED)),
        replace(NONE_YET, failing_since=1.0),
        replace(NONE_YET, failing_since=1.0, limits=Limits(max_attempts=1)),
    ],
    ids="rate silence server refused new retrying".split(),
)
def test_it_waits_for_what_is_due_in_time(so_far: History) -> None:
    assert decide(so_far, "vendor", 20.0, False, 1.0) == IN_ALL
    assert decide(so_far, "vendor", 120.0, False, 1.0) == IN_ALL
    late = exhausted.decide(so_far, "vendor", NoneFree(1, 120.1), 1.0)
    in_vain = exhausted.decide(so_far, "vendor", NoneFree(1, 20.0, final=True), 1.0)
    assert isinstance(late, GiveUp)
    assert isinstance(in_vain, GiveUp)


def test_it_waits_no_longer_than_its_client() -> None:
    impatient = history(("a", RATED), latest_start=41.0)
    assert decide(impatient, "vendor", 20.0, False, 1.0) == Wait(40.0)


def test_a_key_that_is_refused_is_not_waited_for() -> None:
    said = GiveUp(WireResponse(401, (), b"who?"), "every key is refused")
    assert decide(replace(NONE_YET, failing_since=1.0), "vendor", 20.0, False, 1.0, said) == said
    assert decide(history(("a", RATED)), "vendor", 20.0, False, 1.0, said) == IN_ALL


def test_a_conversation_waits_a_moment_for_its_own_key() -> None:
    own = NoneFree(1, 3.0, own=True)
    so_far = replace(NONE_YET, failing_since=1.0)
    assert awaits_own(so_far, own, 1.0) == Wait(SHORT_WAIT)
    assert awaits_own(so_far, NoneFree(1, 3.0), 1.0) is None
    assert awaits_own(so_far, replace(own, final=True), 1.0) is None
    assert awaits_own(replace(so_far, latest_start=3.0), own, 1.0) is None


def test_it_waits_after_a_429_of_each_of_many_keys() -> None:
    many = history(*[(key, RATED) for key in "abcdef"])
    assert decide(many, "vendor", 2.0, False, 6.0) == Wait(115.0)


@pytest.mark.parametrize(
    ("so_far", "wait", "now"),
    [
        (history(("a", RATED)), None, 1.0),
        (history(("a", RATED)), 121.0, 1.0),
        (history(("a", RATED)), 20.0, 101.5),
        (history(("a", RATED), latest_start=15.0), 20.0, 1.0),
        (history(*[("a", RATED)] * 3), 5.0, 3.0),
    ],
    ids="never long late impatient often".split(),
)
def test_it_does_not_wait_when_that_does_not_fit(so_far: History, wait: float | None, now: float) -> None:
    assert fault(so_far, wait, now=now).status == 429


@pytest.mark.parametrize("kind", [Kind.AUTH, Kind.QUOTA, Kind.FORBIDDEN])
def test_the_answer_that_refused_the_last_key_says_it_better(kind: Kind) -> None:
    last = rejected(kind, 403, body=b"why")
    assert last.answer
    so_far = history(("a", rejected(kind)), ("b", last))
    for wait in (None, 200.0):
        assert decide(so_far, "vendor", wait, False, 2.0) == GiveUp(last.answer)
    rated_and_gone = history(("a", RATED), ("b", last))
    assert decide(rated_and_gone, "vendor", None, False, 2.0) == GiveUp(last.answer)


def test_a_refusal_is_not_given_back_while_another_key_is_merely_over_its_rate() -> None:
    so_far = history(("a", RATED), ("b", REFUSED))
    assert decide(so_far, "vendor", 5.0, False, 2.0) == Wait(119.0)
    assert decide(so_far, "vendor", 0.0, False, 2.0) == Wait(119.0)
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
    assert isinstance(decide(so_far, "vendor", 2.0, False, 6.0), Wait) is waits


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

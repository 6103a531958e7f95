"""The ledger of a call's attempts: what is released, and which one is next. Of one of them its silences, what
its timers mean when they fire, and what it came to without an answer."""

from dataclasses import replace

import pytest

from protocols.model.errors import Fault
from rewrite.exchange.ledger import (
    LONGEST_ERROR_BODY,
    Attempt,
    Ledger,
)
from rewrite.targets.reading import Silence
from rewrite.values.decision import GiveUp, Retry
from rewrite.values.events import (
    Acquire,
    Acquired,
    AwaitCredential,
    CancelUpstream,
    NoneFree,
    Release,
    SetTimer,
    UpstreamClosed,
)
from rewrite.values.outcome import Kind, Outcome, Rejected, Stalled, Truncated, Unreachable, was_silent
from rewrite.values.timer import Timer
from tests.rewrite.histories import CUT, STALLED, rejected
from tests.rewrite.scenes import (
    CHAT,
    SSE,
    TERMS,
    Spec,
    call,
    chunk,
    error_body,
    own,
    refused,
    says,
    targets,
    timed,
)

OTHER = replace(TERMS, jitter=0.5)
LIMITED, REFUSED = rejected(Kind.RATE, 429), rejected(Kind.AUTH, 401)


def ledger(*specs: Spec) -> Ledger:
    """Of a client that waits for 590 s."""
    return Ledger(
        call(), CHAT, targets(call(), CHAT, *specs or (TERMS,)), lambda one: one.terms.timing.patience
    )


def ended(found: Ledger, credential: str, outcome: Outcome, now: float = 1.0) -> Ledger:
    found.acquired(Acquired(1, credential, None))
    found.sent(now)
    assert list(found.end(outcome, now))
    return found


def test_what_was_held_is_given_back_once() -> None:
    found = ledger()
    found.acquired(Acquired(1, "a", None))
    assert list(found.end(CUT, 1.0)) == [CancelUpstream(1), Release(1, CUT)]
    assert list(found.end(CUT, 2.0)) == []
    assert [(one.number, one.credential, one.at) for one in found.ended] == [(1, "a", 1.0)]


def test_nothing_is_given_back_that_was_never_held() -> None:
    found = ledger()
    assert list(found.end(CUT, 1.0)) == []
    assert found.ended == ()


def test_another_one_at_the_same_target() -> None:
    found = ended(ledger(), "a", STALLED)
    decision = found.decision(1.0)
    assert decision == Retry(rotate=True, fresh=True)
    found.again(Retry(rotate=True, fresh=True))
    assert (found.current.number, found.current.fresh, found.target.index) == (2, True, 0)
    assert found.acquire == Acquire(2, avoid=frozenset("a"))


def test_the_next_target_knows_nothing_of_the_keys_of_the_last() -> None:
    found = ended(ledger(TERMS, OTHER), "a", LIMITED)
    assert found.skip_to_next(1.0)
    assert (found.target.index, found.terms, found.current.number) == (1, OTHER, 2)
    assert found.acquire == Acquire(2, target=1)
    assert not found.skip_to_next(1.0)


def test_an_attempt_without_a_credential_was_none() -> None:
    found = ledger(TERMS, OTHER)
    assert found.skip_to_next(1.0)
    assert found.acquire == Acquire(1, target=1)


def test_a_fault_of_the_request_is_not_passed_on_to_the_next_target() -> None:
    found = ended(ledger(TERMS, OTHER), "a", rejected(Kind.REQUEST))
    assert not found.skip_to_next(1.0)
    assert (found.target.index, found.current.number) == (0, 1)


def test_a_rest_is_asked_of_the_next_target_and_has_all_the_time() -> None:
    found = ended(ledger(TERMS, OTHER), "a", Truncated("reset"))
    assert found.current.latest == 590.0
    found.begin_continuation()
    assert found.acquire == Acquire(2, target=1)
    assert list(found.current.arm(Timer.FIRST_EVENT, 30.0, 1000.0)) == [SetTimer(2, Timer.FIRST_EVENT, 30.0)]


def test_a_rest_is_asked_of_the_next_target_also_if_that_answers_whole() -> None:
    """What comes whole is sent as the remainder of the stream."""
    whole = own(call(stream=False), CHAT, OTHER)
    found = ended(ledger(TERMS, whole, OTHER), "a", CUT)
    found.begin_continuation()
    assert found.acquire == Acquire(2, target=1)


def test_a_rest_is_asked_of_another_key_and_of_none_that_refused() -> None:
    found = ended(ledger(), "a", REFUSED)
    found.again(Retry(rotate=True))
    ended(found, "b", CUT)
    found.begin_continuation()
    assert found.acquire == Acquire(3, avoid=frozenset("ab"), refused=frozenset("a"))


def test_whether_another_one_would_follow() -> None:
    found = ledger()
    found.acquired(Acquired(1, "a", None))
    assert found.would_follow(CUT, 1.0)
    assert not found.would_follow(CUT, 591.0)
    assert found.ended == ()


def test_after_the_wait_for_a_key_one_that_rested_may_be_asked() -> None:
    found = ended(ledger(), "a", LIMITED)
    found.again(Retry(rotate=True))
    assert found.acquire.resting == frozenset("a")
    in_line = found.without_credential(NoneFree(2, 5.0), 1.0)
    assert in_line == AwaitCredential(2, replace(found.acquire, resting=frozenset()), 120.0)
    assert found.acquire.resting == frozenset()


def test_a_wait_that_does_not_fit_leaves_the_wish_as_it_is() -> None:
    found = ended(ledger(), "a", LIMITED)
    found.again(Retry(rotate=True))
    decision = found.without_credential(NoneFree(2, 900.0), 1.0)
    assert isinstance(decision, GiveUp)
    assert isinstance(decision.answer, Fault)
    assert found.acquire.resting == frozenset("a")


def test_each_silence_doubles_the_next_wait_and_the_request_leaves_once() -> None:
    found = ended(ledger(timed(TERMS, first_event=30.0)), "a", STALLED)
    found.again(Retry(rotate=True))
    assert list(found.sent(1.0)) == [SetTimer(2, Timer.FIRST_EVENT, 60.0)]
    assert list(found.sent(2.0)) == []
    assert found.current.sent_at == 1.0


def test_a_rest_is_waited_for_in_full_though_the_turn_of_its_target_is_long_over() -> None:
    timed_out = timed(TERMS, first_event=300.0)
    found = ended(ledger(timed_out, timed_out), "a", CUT)
    found.begin_continuation()
    assert list(found.sent(1000.0)) == [SetTimer(2, Timer.FIRST_EVENT, 300.0)]
    ended(found, "b", CUT, now=1001.0)
    found.begin_continuation()
    assert list(found.sent(2000.0)) == [SetTimer(3, Timer.FIRST_EVENT, 300.0)]


def test_what_came_without_an_answer() -> None:
    assert ledger().unanswered(None, 0.0) == Unreachable("closed without an answer")


# -- one of them -----------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("outcome", "silent"),
    [
        (Stalled(Timer.FIRST_TOKEN, 60.0), True),
        (Stalled(Timer.THROUGHPUT, 10.0), False),
        (Truncated("reset"), False),
    ],
)
def test_what_ended_in_silence(outcome: Outcome, silent: bool) -> None:
    assert was_silent(outcome) is silent


THINKS = chunk({"reasoning_details": [{"type": "reasoning.encrypted", "data": "x"}]})


def sent(data: bytes = b"", latest: float = 590.0) -> Attempt:
    """An attempt whose request left at second 0, and what came of it at second 50."""
    attempt = Attempt(1, latest=latest, sent_at=0.0, stall=Silence(30.0))
    attempt.gate.token = Silence(60.0)
    if data:
        attempt.alive, attempt.head = True, SSE
        current = attempt.reading = own(call(), CHAT).reading(SSE)
        for segment in current.feed(data):
            current.hold(segment)
            attempt.gate.judge(current, TERMS.timing, 50.0)
    return attempt


@pytest.mark.parametrize(
    ("attempt", "timer", "found"),
    [
        (sent(), Timer.FIRST_EVENT, Stalled(Timer.FIRST_EVENT, 60.0)),
        (sent(b": ping\n\n"), Timer.FIRST_EVENT, None),
        (sent(), Timer.FIRST_TOKEN, Stalled(Timer.FIRST_TOKEN, 60.0)),
        (sent(THINKS), Timer.FIRST_TOKEN, SetTimer(1, Timer.FIRST_TOKEN, 50.0)),
        (sent(THINKS, latest=65.0), Timer.FIRST_TOKEN, SetTimer(1, Timer.FIRST_TOKEN, 5.0)),
        (sent(THINKS, latest=60.0), Timer.FIRST_TOKEN, Stalled(Timer.FIRST_TOKEN, 60.0)),
        (sent(says("Hi")), Timer.FIRST_TOKEN, None),
        (sent(), Timer.THROUGHPUT, None),
        (sent(says("Hi")), Timer.THROUGHPUT, Stalled(Timer.THROUGHPUT, 10.0)),
        (sent(says("Hi")), Timer.RESPONSE, Stalled(Timer.RESPONSE, 60.0)),
    ],
    ids="silence a_byte silence work no_patience patience_over a_token nothing slow response".split(),
)
def test_what_a_timer_means(attempt: Attempt, timer: Timer, found: SetTimer | Stalled | None) -> None:
    assert attempt.fired(timer, 60.0) == found


def test_a_stall_is_counted_from_the_last_life() -> None:
    attempt = sent()
    attempt.stall.since = 50.0
    assert attempt.fired(Timer.STALL, 60.0) == SetTimer(1, Timer.STALL, 20.0)
    assert attempt.fired(Timer.STALL, 80.0) == Stalled(Timer.STALL, 30.0)


@pytest.mark.parametrize(
    ("latest", "seconds", "armed"),
    [(590.0, 30.0, 30.0), (70.0, 30.0, 10.0), (50.0, 30.0, 0.0), (590.0, 0.0, None)],
    ids="in_time shortened late off".split(),
)
def test_no_timer_outlives_the_client(latest: float, seconds: float, armed: float | None) -> None:
    timers = list(Attempt(1, latest=latest).arm(Timer.RESPONSE, seconds, 60.0))
    assert timers == ([] if armed is None else [SetTimer(1, Timer.RESPONSE, armed)])


def test_an_error_status_counts_with_what_came_of_its_body() -> None:
    attempt = Attempt(1, head=refused(429))
    attempt.keep(error_body("slow down"))
    found = attempt.unanswered(None, own(), 0.0)
    assert isinstance(found, Rejected)
    assert (found.kind, found.message, found.answer and found.answer.status) == (Kind.RATE, "slow down", 429)


def test_an_error_is_not_kept_without_end() -> None:
    attempt = Attempt(1, head=refused(500))
    for _ in range(3):
        attempt.keep(b"x" * (LONGEST_ERROR_BODY // 2 + 1))
    assert len(attempt.error_body) == LONGEST_ERROR_BODY


@pytest.mark.parametrize("sent_at", [None, 0.0])
def test_without_a_head_it_was_not_reached(sent_at: float | None) -> None:
    attempt = Attempt(1, sent_at=sent_at)
    assert attempt.unanswered(UpstreamClosed(1, "reset"), own(), 0.0) == Unreachable(
        "reset", sent_at is not None
    )


def test_what_was_sent_was_connected_whatever_the_cause_says() -> None:
    """TLS 1.3 refuses a client's certificate only after the request."""
    closed = UpstreamClosed(1, "TLS", connected=False, lasting=True)
    found = Attempt(1).unanswered(closed, own(), 0.0)
    assert found == Unreachable("TLS", connected=False, lasting=True)
    sent = Attempt(1, sent_at=0.0)
    assert sent.unanswered(closed, own(), 0.0) == Unreachable("TLS", sent=True)

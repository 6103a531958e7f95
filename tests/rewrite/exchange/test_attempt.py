"""One attempt: its silences, what its timers mean when they fire, what it came to without an answer, and what
it used."""

import pytest

from rewrite.exchange.attempt import LONGEST_ERROR_BODY, Attempt
from rewrite.targets.reading import Silence
from rewrite.values.events import (
    SetTimer,
    UpstreamClosed,
)
from rewrite.values.outcome import Kind, Outcome, Rejected, Stalled, Truncated, Unreachable, was_silent
from rewrite.values.timer import Timer
from tests.rewrite.scenes import (
    CHAT,
    SSE,
    TERMS,
    call,
    chunk,
    error_body,
    own,
    refused,
    says,
)


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

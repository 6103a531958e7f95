"""Conversations: what follows an attempt that came to nothing before the commit point."""

from dataclasses import replace

import pytest
from msgspec import structs

from protocols.model.http import Head, WireResponse
from rewrite.credentials.refusals import key_refusal
from rewrite.targets.reading import NO_END
from rewrite.values.events import (
    CALL,
    Acquire,
    Acquired,
    AwaitCredential,
    CancelUpstream,
    ClientGone,
    EndResponse,
    NoneFree,
    OpenUpstream,
    Release,
    Report,
    SendData,
    SendHeaders,
    SetTimer,
    Start,
    TimerFired,
    UpstreamClosed,
    UpstreamData,
    UpstreamSent,
    UpstreamStarted,
)
from rewrite.values.key_refusal import StandingRefusal
from rewrite.values.outcome import Kind, Rejected, Stalled, Truncated, Unreachable
from rewrite.values.timeouts import Limits
from rewrite.values.timer import Timer
from tests.playbook import ANY, After, Playbook, body_with, ended, over, status
from tests.rewrite.scenes import (
    ANTHROPIC,
    DONE,
    HTML,
    JSON,
    MESSAGE,
    PING,
    ROLE,
    SSE,
    TERMS,
    asked,
    call,
    chunk,
    error_body,
    error_chunk,
    event,
    finishes,
    message_error,
    no_other,
    opened,
    others,
    play,
    refused,
    rotated,
    says,
)

OWN = structs.replace(TERMS, pooled=False)
A, B, AB = frozenset({"a"}), frozenset({"b"}), frozenset({"a", "b"})
RATED = error_body("slow down", "rate_limit_exceeded")


def rejected(kind: Kind) -> Rejected:
    """What an attempt that was refused for this came to."""
    return Rejected(ANY, kind, ANY, ANY, ANY)


def answers(playbook: Playbook, attempt: int, head: Head, body: bytes, kind: Kind) -> Playbook:
    """An error answer comes whole, and the attempt is released as of this kind."""
    playbook = playbook >> UpstreamStarted(attempt, head) >> UpstreamData(attempt, body)
    return playbook >> UpstreamClosed(attempt) << Release(attempt, rejected(kind))


def begins(playbook: Playbook, attempt: int, credential: str, *, fresh: bool = False) -> Playbook:
    playbook = playbook >> Acquired(attempt, credential) << OpenUpstream(attempt, fresh)
    return playbook >> UpstreamSent(attempt)


def started(playbook: Playbook) -> Playbook:
    return begins(playbook >> Start() << Acquire(1), 1, "a")


def gives_back(playbook: Playbook, attempt: int, head: Head, body: bytes, *outcomes: str) -> Playbook:
    """The provider's own answer goes to the client as it came."""
    playbook = playbook << SendHeaders(attempt, head) << SendData(attempt, body)
    return playbook << Report(over("rejected", *outcomes)) << EndResponse(attempt)


def faults(playbook: Playbook, attempt: int, code: int, *words: str, **headers: str) -> Playbook:
    """An error of ours in the client's protocol."""
    playbook = playbook << SendHeaders(attempt, status(code, **headers))
    playbook = playbook << SendData(attempt, body_with('"error"', *words))
    return playbook << Report(ANY) << EndResponse(attempt)


def answered(playbook: Playbook, attempt: int) -> Playbook:
    """The attempt's answer begins and reaches the client."""
    playbook = playbook >> UpstreamStarted(attempt, SSE) >> UpstreamData(attempt, says("Hi"))
    return playbook << SendHeaders(attempt, SSE) << SendData(attempt, says("Hi"))


# -- silence --------------------------------------------------------------------------------------------


def waiting(playbook: Playbook) -> Playbook:
    """The first attempt has been sent, with 30 s for an event and 60 s for a token."""
    playbook = playbook >> Start() << Acquire(1) >> Acquired(1, "a") << OpenUpstream(1) >> UpstreamSent(1)
    return playbook << SetTimer(1, Timer.FIRST_EVENT, 30.0) << SetTimer(1, Timer.FIRST_TOKEN, 60.0)


def test_silence_is_retried_on_another_credential_over_a_fresh_connection() -> None:
    conversation = (
        waiting(play(first_event=30.0, first_token=60.0))
        >> After(30.0)
        >> TimerFired(1, Timer.FIRST_EVENT)
        << CancelUpstream(1)
        << Release(1, Stalled(Timer.FIRST_EVENT, 30.0))
        << Acquire(2, A)
        >> Acquired(2, "b")
        << OpenUpstream(2, fresh=True)
        >> UpstreamSent(2)
        << SetTimer(2, Timer.FIRST_EVENT, 60.0)
        << SetTimer(2, Timer.FIRST_TOKEN, 60.0)
    )
    assert answered(conversation, 2)


def test_an_answer_without_a_visible_part_in_time_is_retried() -> None:
    conversation = (
        waiting(play(first_event=30.0, first_token=60.0))
        >> UpstreamStarted(1, SSE)
        >> UpstreamData(1, ROLE + PING)
        >> After(30.0)
        >> TimerFired(1, Timer.FIRST_EVENT)
        >> After(30.0)
        >> TimerFired(1, Timer.FIRST_TOKEN)
        << CancelUpstream(1)
        << Release(1, Stalled(Timer.FIRST_TOKEN, 60.0))
        << Acquire(2, A)
    )
    assert answered(begins_with_timers(conversation, 2, 60.0), 2)


def begins_with_timers(playbook: Playbook, attempt: int, first_event: float) -> Playbook:
    playbook = begins(playbook, attempt, "ab"[attempt % 2], fresh=True)
    playbook = playbook << SetTimer(attempt, Timer.FIRST_EVENT, first_event)
    return playbook << SetTimer(attempt, Timer.FIRST_TOKEN, ANY)


def test_every_attempt_waits_twice_as_long_and_the_last_silence_is_a_504() -> None:
    conversation = waiting(play(first_event=30.0, first_token=60.0))
    for attempt, first_event in ((2, 60.0), (3, 120.0)):
        conversation = conversation >> After(30.0) >> TimerFired(attempt - 1, Timer.FIRST_EVENT)
        conversation = conversation << CancelUpstream(attempt - 1) << Release(attempt - 1, ANY)
        conversation = begins_with_timers(conversation << Acquire(attempt, ANY), attempt, first_event)
    conversation = conversation >> After(60.0) >> TimerFired(3, Timer.FIRST_EVENT) << CancelUpstream(3)
    conversation = conversation << Release(3, Stalled(Timer.FIRST_EVENT, 60.0))
    assert faults(conversation, 3, 504, "no answer", "3 attempts", x_should_retry="false")


def test_without_a_pool_silence_is_retried_on_the_same_credential() -> None:
    conversation = waiting(play(terms=OWN, first_event=30.0, first_token=60.0))
    conversation = conversation >> After(30.0) >> TimerFired(1, Timer.FIRST_EVENT) << CancelUpstream(1)
    assert conversation << Release(1, ANY) << Acquire(2, prefer="a")


def test_acting_hosted_tools_are_not_asked_twice_on_silence() -> None:
    acting = replace(call(), hosted=True, acting=True)
    conversation = waiting(play(acting, first_event=30.0, first_token=60.0))
    conversation = conversation >> After(30.0) >> TimerFired(1, Timer.FIRST_EVENT) << CancelUpstream(1)
    conversation = conversation << Release(1, Stalled(Timer.FIRST_EVENT, 30.0))
    assert faults(conversation, 1, 504, "1 attempt", x_should_retry="false")


def test_no_timer_outlives_the_patience_of_the_client() -> None:
    conversation = play(first_event=30.0, first_token=60.0, patience=50.0) >> Start() << Acquire(1)
    conversation = conversation >> After(35.0) >> Acquired(1, "a") << OpenUpstream(1) >> UpstreamSent(1)
    assert conversation << SetTimer(1, Timer.FIRST_EVENT, 15.0) << SetTimer(1, Timer.FIRST_TOKEN, 15.0)


def test_no_attempt_begins_after_the_patience_of_the_client() -> None:
    conversation = play(first_event=50.0, patience=50.0) >> Start() << Acquire(1)
    conversation = begins(conversation, 1, "a") << SetTimer(1, Timer.FIRST_EVENT, 50.0) >> After(50.5)
    conversation = conversation >> TimerFired(1, Timer.FIRST_EVENT) << CancelUpstream(1) << Release(1, ANY)
    assert faults(conversation, 1, 504)


def test_no_attempt_begins_after_the_deadline() -> None:
    terms = structs.replace(TERMS, limits=Limits(max_attempts=9, deadline=20.0))
    conversation = opened(play(terms=terms)) >> UpstreamClosed(1, "reset") << Release(1, ANY) << Acquire(2, A)
    conversation = asked(conversation, 2, "b", SSE, fresh=True) >> After(20.5) >> UpstreamClosed(2, "reset")
    assert faults(conversation << Release(2, ANY), 2, 502)


def test_an_error_answer_whose_body_never_comes_counts_by_its_status() -> None:
    conversation = waiting(play(first_event=30.0, first_token=60.0)) >> UpstreamStarted(1, refused(429))
    conversation = conversation >> After(30.0) >> TimerFired(1, Timer.FIRST_EVENT) << CancelUpstream(1)
    assert conversation << Release(1, rejected(Kind.RATE)) << rotated(2, resting="a")


# -- an outage ------------------------------------------------------------------------------------------


def test_a_provider_that_stays_away_is_given_up_at_the_deadline_and_clients_may_ask_again() -> None:
    terms = structs.replace(TERMS, limits=Limits(max_attempts=1, deadline=2.0))
    conversation = play(terms=terms) >> Start() << Acquire(1)
    for attempt, delay in ((1, 0.5), (2, 1.0)):
        conversation = conversation >> Acquired(attempt, "a") << OpenUpstream(attempt, attempt > 1)
        conversation = conversation >> UpstreamClosed(attempt, "refused", connected=False)
        conversation = conversation << Release(attempt, Unreachable("refused", connected=False))
        conversation = conversation << SetTimer(attempt + 1, Timer.BACKOFF, delay) >> After(delay)
        conversation = (
            conversation >> TimerFired(attempt + 1, Timer.BACKOFF) << Acquire(attempt + 1, prefer="a")
        )
    conversation = conversation >> Acquired(3, "a") << OpenUpstream(3, fresh=True)
    conversation = conversation >> UpstreamClosed(3, "refused", connected=False) << Release(3, ANY)
    json = Head(502, (("content-type", "application/json"),))
    conversation = conversation << SendHeaders(3, json) << SendData(3, body_with("refused", "3 attempts"))
    assert conversation << Report(ANY) << EndResponse(3)


# -- rejections that name the key -----------------------------------------------------------------------


@pytest.mark.parametrize(
    ("code", "body", "kind"),
    [
        (429, RATED, Kind.RATE),
        (429, error_body("no money", "insufficient_quota"), Kind.QUOTA),
        (401, error_body("who?"), Kind.AUTH),
        (402, error_body("pay"), Kind.QUOTA),
        (403, error_body("not you"), Kind.FORBIDDEN),
        (400, error_body("bad key", "invalid_api_key"), Kind.AUTH),
        (400, error_body("Your credit balance is too low"), Kind.QUOTA),
        (403, b"<html>forbidden</html>", Kind.FORBIDDEN),
    ],
)
def test_a_rejection_of_the_key_rotates_at_once(code: int, body: bytes, kind: Kind) -> None:
    named = {"resting": "a"} if kind is Kind.RATE else {"refused": "a"}
    conversation = answers(started(play()), 1, refused(code), body, kind) << rotated(2, **named)
    assert answered(begins(conversation, 2, "b"), 2)


def test_every_key_is_tried_once_outside_the_budget() -> None:
    conversation = answers(started(play()), 1, refused(429), RATED, Kind.RATE)
    for attempt, credential in enumerate("bcde", start=2):
        request = rotated(attempt, resting="abcde"[: attempt - 1])
        conversation = begins(conversation << request, attempt, credential)
        conversation = answers(conversation, attempt, refused(429), RATED, Kind.RATE)
    assert answered(begins(conversation << rotated(6, resting="abcde"), 6, "f"), 6)


@pytest.mark.parametrize("code", [401, 402, 403, 429])
def test_without_a_pool_a_rejection_of_the_key_goes_back_untouched(code: int) -> None:
    head = refused(code, ("retry-after", "7"), ("request-id", "r1"))
    conversation = started(play(terms=OWN)) >> UpstreamStarted(1, head) >> UpstreamData(1, RATED)
    conversation = conversation >> UpstreamClosed(1) << Release(1, ANY)
    conversation = conversation << SendHeaders(1, head) << SendData(1, RATED)
    assert conversation << Report(ANY) << EndResponse(1)


# -- none is free ---------------------------------------------------------------------------------------


def rate_limited() -> Playbook:
    conversation = answers(started(play()), 1, refused(429), RATED, Kind.RATE)
    return conversation << rotated(2, resting="a")


def test_after_a_429_a_wait_that_fits_is_waited_for() -> None:
    conversation = rate_limited() >> NoneFree(2, 20.0) << AwaitCredential(2, Acquire(2, A), 120.0)
    assert answered(begins(conversation >> After(20.0), 2, "a"), 2)


def test_after_a_429_of_every_key_a_wait_that_fits_is_waited_for() -> None:
    conversation = answers(started(play()), 1, refused(429), RATED, Kind.RATE)
    for attempt, credential in enumerate("bcd", start=2):
        request = rotated(attempt, resting="abcd"[: attempt - 1])
        conversation = begins(conversation << request, attempt, credential)
        conversation = answers(conversation, attempt, refused(429), RATED, Kind.RATE)
    conversation = conversation << rotated(5, resting="abcd")
    in_line = AwaitCredential(5, Acquire(5, frozenset("abcd")), 120.0)
    assert conversation >> NoneFree(5, 2.0) << in_line


def test_one_key_that_is_always_over_its_rate_is_asked_so_often_and_no_more() -> None:
    conversation = answers(started(play()), 1, refused(429), RATED, Kind.RATE)
    for attempt in (2, 3):
        conversation = conversation << rotated(attempt, resting="a") >> NoneFree(attempt, 5.0)
        left = 120.0 - 5.0 * (attempt - 2)
        conversation = conversation << AwaitCredential(attempt, Acquire(attempt, A), left) >> After(5.0)
        conversation = begins(conversation, attempt, "a")
        conversation = answers(conversation, attempt, refused(429), RATED, Kind.RATE)
    conversation = conversation << rotated(4, resting="a") >> NoneFree(4, 5.0)
    assert faults(conversation, 4, 429, "no key of vendor", retry_after="5")


def test_after_a_429_a_wait_that_does_not_fit_is_a_429() -> None:
    assert faults(
        rate_limited() >> NoneFree(2, 150.0), 2, 429, "150 s", retry_after="60", x_should_retry="false"
    )


def test_a_call_that_finds_none_free_waits_until_the_deadline_and_is_answered() -> None:
    conversation = play() >> Start() << Acquire(1) >> NoneFree(1, 12.4)
    conversation = conversation << AwaitCredential(1, Acquire(1), 120.0) >> After(12.4)
    assert answered(begins(conversation, 1, "a"), 1)


def test_a_place_that_may_be_free_any_moment_is_waited_for() -> None:
    conversation = play() >> Start() << Acquire(1) >> NoneFree(1, 1.0, full=True)
    assert conversation << AwaitCredential(1, Acquire(1), 120.0)


def test_a_client_that_leaves_the_line_is_recorded() -> None:
    conversation = play() >> Start() << Acquire(1) >> NoneFree(1, 12.4) << ANY
    assert conversation >> ClientGone() << Report(over("abandoned"))


def test_a_call_waits_for_the_key_of_its_conversation_once_and_a_moment() -> None:
    own = NoneFree(1, 3.0, own=True)
    conversation = play() >> Start() << Acquire(1) >> own << AwaitCredential(1, Acquire(1), 5.0)
    conversation = conversation >> After(5.0) >> replace(own, final=True) << Acquire(1, hurried=True)
    assert answered(begins(conversation, 1, "b"), 1)


def test_a_wait_that_its_own_key_states_is_kept_where_it_is_short() -> None:
    said = refused(429, ("retry-after", "2"))
    conversation = play() >> Start() << Acquire(1) >> Acquired(1, "a", former="a") << OpenUpstream(1)
    conversation = answers(conversation >> UpstreamSent(1), 1, said, RATED, Kind.RATE)
    own = Acquire(2, prefer="a")
    conversation = conversation << own >> NoneFree(2, 2.0, own=True) << AwaitCredential(2, own, 5.0)
    conversation = conversation >> After(2.0)
    conversation = answers(begins(conversation, 2, "a"), 2, said, RATED, Kind.RATE)
    assert conversation << rotated(3, resting="a")


@pytest.mark.parametrize(
    "none", [NoneFree(1, 12.4, final=True), NoneFree(1, 12.4)], ids=["too many wait", "waited in vain"]
)
def test_a_call_that_may_not_wait_is_a_429_at_once(none: NoneFree) -> None:
    conversation = play() >> Start() << Acquire(1) >> none
    if not none.final:
        conversation = conversation << ANY >> After(119.0) >> replace(none, final=True)
    conversation = conversation << SendHeaders(
        1, Head(429, (("content-type", "application/json"), ("retry-after", "13")))
    )
    conversation = conversation << SendData(1, body_with("rate_limit_exceeded", "no key of vendor"))
    assert conversation << Report(over("rejected")) << EndResponse(1)


def test_a_long_wait_is_put_in_words_and_not_to_be_retried() -> None:
    conversation = play() >> Start() << Acquire(1) >> NoneFree(1, 1800.0)
    assert faults(conversation, 1, 429, "1800 s", retry_after="60", x_should_retry="false")


def test_keys_that_never_come_back_are_a_429_too() -> None:
    conversation = play() >> Start() << Acquire(1) >> NoneFree(1, None)
    assert faults(conversation, 1, 429, "check the keys", x_should_retry="false")


GONE = key_refusal(
    Rejected(401, Kind.AUTH, "who?", None, WireResponse(401, (), error_body("who?"))),
    "vendor/a",
    "openai_chat",
    now=0.0,
    until=300.0,
)


def test_a_later_call_gets_the_refusal_of_keys_that_are_all_refused() -> None:
    conversation = play() >> Start() << Acquire(1) >> NoneFree(1, 300.0, refused=StandingRefusal(GONE, 300.0))
    conversation = conversation << SendHeaders(1, status(401, x_should_retry="false"))
    conversation = conversation << SendData(1, body_with("who?", "vendor/a was refused", "300 s"))
    note = "vendor/a was refused (401 error); it is tried again in 300 s; check the key"
    assert conversation << Report(ended("rejected", f"every key is refused: {note}")) << EndResponse(1)


def test_a_later_call_is_not_kept_waiting_by_refusals_of_other_keys() -> None:
    """In this call one key is rate-limited only."""
    in_line = AwaitCredential(2, Acquire(2, A), 120.0)
    assert rate_limited() >> NoneFree(2, 20.0, refused=None) << in_line
    refusal = StandingRefusal(GONE, 300.0)
    assert rate_limited() >> NoneFree(2, 20.0, refused=refusal) << in_line


def test_a_provider_that_rests_is_a_503() -> None:
    conversation = play() >> Start() << Acquire(1) >> NoneFree(1, 30.0, paused=True)
    assert faults(conversation, 1, 503, "vendor fails and is paused", retry_after="30")


def test_the_last_key_is_refused_and_its_answer_goes_back() -> None:
    head, body = refused(401), error_body("who?")
    conversation = answers(started(play()), 1, head, body, Kind.AUTH)
    conversation = conversation << rotated(2, refused="a") >> NoneFree(2, None)
    assert gives_back(conversation, 2, head, body, "rejected(401 auth)")


# -- the request's own fault ----------------------------------------------------------------------------


@pytest.mark.parametrize("code", [400, 404, 405, 413, 422, 302])
def test_a_fault_of_the_request_goes_back_untouched_after_one_attempt(code: int) -> None:
    head = Head(code, (("content-type", "text/plain"), ("X-Odd", "1")), "Odd Reason")
    conversation = answers(started(play()), 1, head, b"no\n", Kind.REQUEST)
    assert gives_back(conversation, 1, head, b"no\n", f"rejected({code} request)")


BOUND = error_body("messages.1: Invalid `signature` in `thinking` block")


def test_a_signature_of_another_credential_goes_back_to_the_former_one() -> None:
    conversation = play() >> Start() << Acquire(1) >> Acquired(1, "a", former="b") << OpenUpstream(1)
    conversation = answers(conversation >> UpstreamSent(1), 1, refused(400), BOUND, Kind.BINDING)
    conversation = conversation << Acquire(2, prefer="b", insist=True)
    assert answered(begins(conversation, 2, "b"), 2)


def test_a_signature_that_its_own_credential_refuses_is_the_requests_fault() -> None:
    conversation = answers(started(play()), 1, refused(400), BOUND, Kind.BINDING)
    assert gives_back(conversation, 1, refused(400), BOUND, "rejected(400 binding)")


def test_a_signature_refused_after_a_rotation_gives_back_what_the_first_key_said() -> None:
    conversation = answers(begins(rate_limited(), 2, "b"), 2, refused(400), BOUND, Kind.BINDING)
    assert gives_back(conversation, 2, refused(429), RATED, "rejected(429 rate)", "rejected(400 binding)")


# -- an unknown model -----------------------------------------------------------------------------------

NO_MODEL = error_body("The model `x` does not exist")


def test_a_model_that_is_unknown_to_every_key_is_the_first_404() -> None:
    first = error_body("The model `x` does not exist, says a")
    conversation = answers(started(play()), 1, refused(404), first, Kind.MODEL)
    for attempt, name in ((2, "b"), (3, "c")):
        asked = "ab"[: attempt - 1]
        conversation = begins(conversation << others(attempt, asked, refused=asked), attempt, name)
        conversation = answers(conversation, attempt, refused(404), NO_MODEL, Kind.MODEL)
    conversation = no_other(conversation, 4, "abc", refused="abc")
    assert gives_back(conversation, 4, refused(404), first, *["rejected(404 model)"] * 3)


def test_a_key_that_knows_the_model_serves_it() -> None:
    conversation = answers(started(play()), 1, refused(404), NO_MODEL, Kind.MODEL)
    assert answered(begins(conversation << others(2, "a", refused="a"), 2, "b"), 2)


# -- the server's fault ---------------------------------------------------------------------------------


CODES = [408, 409, 425, 500, 502, 503, 504, 529]


@pytest.mark.parametrize("code", CODES)
def test_a_server_fault_goes_to_each_other_free_key_at_once(code: int) -> None:
    """Keys 1 and 2 always fail, key 3 serves."""
    head, body = refused(code), error_body("overloaded")
    conversation = answers(started(play()), 1, head, body, Kind.SERVER)
    for attempt, name in ((2, "b"), (3, "c")):
        conversation = begins(conversation << others(attempt, "ab"[: attempt - 1]), attempt, name, fresh=True)
        if name == "b":
            conversation = answers(conversation, attempt, head, body, Kind.SERVER)
    assert answered(conversation, 3)


@pytest.mark.parametrize("code", CODES)
def test_without_another_free_key_a_server_fault_is_retried_after_a_back_off(code: int) -> None:
    head, body = refused(code), error_body("overloaded")
    conversation = answers(started(play()), 1, head, body, Kind.SERVER)
    for attempt, delay in ((2, 0.5), (3, 1.0)):
        conversation = no_other(conversation, attempt, "a") << SetTimer(attempt, Timer.BACKOFF, delay)
        conversation = conversation >> After(delay) >> TimerFired(attempt, Timer.BACKOFF)
        conversation = begins(conversation << Acquire(attempt, prefer="a"), attempt, "a", fresh=True)
        conversation = answers(conversation, attempt, head, body, Kind.SERVER)
    conversation = no_other(conversation, 4, "a")
    assert gives_back(conversation, 4, head, body, *[f"rejected({code} server)"] * 3)


def test_no_key_is_asked_twice_before_each_was_asked_once_nor_three_times_before_twice() -> None:
    """Twice as many attempts as may cost time, none of which begins with a back-off but the third."""
    conversation = answers(started(play()), 1, refused(500), b"x", Kind.SERVER)
    conversation = begins(conversation << others(2, "a"), 2, "b", fresh=True)
    conversation = answers(conversation, 2, refused(500), b"x", Kind.SERVER)
    conversation = no_other(conversation, 3, "ab") << SetTimer(3, Timer.BACKOFF, 1.0)
    conversation = conversation >> TimerFired(3, Timer.BACKOFF) << Acquire(3, prefer="b")
    conversation = answers(begins(conversation, 3, "b", fresh=True), 3, refused(500), b"x", Kind.SERVER)
    for attempt, name in ((4, "c"), (5, "d"), (6, "e")):
        request = others(attempt, "abcd"[: attempt - 2] if attempt > 4 else "ab")
        conversation = begins(conversation << request, attempt, name, fresh=True)
        conversation = answers(conversation, attempt, refused(500), b"x", Kind.SERVER)
    assert gives_back(conversation, 6, refused(500), b"x", *["rejected(500 server)"] * 6)


def test_a_connection_that_was_lost_goes_to_another_key_at_once_and_counts_in_full() -> None:
    conversation = started(play())
    for attempt in (1, 2, 3):
        lost = Unreachable("reset", sent=True)
        conversation = conversation >> UpstreamClosed(attempt, "reset") << Release(attempt, lost)
        if attempt < 3:
            request = others(attempt + 1, "ab"[:attempt])
            conversation = begins(conversation << request, attempt + 1, "abc"[attempt], fresh=True)
    assert faults(conversation, 3, 502, "reset", "3 attempts", x_should_retry="false")


def test_the_back_off_is_jittered() -> None:
    conversation = answers(
        started(play(terms=structs.replace(TERMS, jitter=0.5))), 1, refused(500), b"", Kind.SERVER
    )
    assert no_other(conversation, 2, "a") << SetTimer(2, Timer.BACKOFF, 0.4375)


def test_the_back_off_is_what_the_server_asks_for() -> None:
    head = refused(503, ("retry-after", "7"))
    assert no_other(answers(started(play()), 1, head, b"", Kind.SERVER), 2, "a") << SetTimer(
        2, Timer.BACKOFF, 7.0
    )


def test_the_reset_of_a_rate_window_is_no_back_off() -> None:
    head = refused(500, ("x-ratelimit-reset-requests", "1m0s"))
    assert no_other(answers(started(play()), 1, head, b"", Kind.SERVER), 2, "a") << SetTimer(
        2, Timer.BACKOFF, 0.5
    )


def test_without_a_pool_a_server_fault_stays_on_the_key() -> None:
    head = refused(500)
    conversation = answers(started(play(terms=OWN)), 1, head, b"x", Kind.SERVER)
    for attempt, delay in ((2, 0.5), (3, 1.0)):
        conversation = (
            conversation << SetTimer(attempt, Timer.BACKOFF, delay) >> TimerFired(attempt, Timer.BACKOFF)
        )
        conversation = begins(conversation << Acquire(attempt, prefer="a"), attempt, "a", fresh=True)
        conversation = answers(conversation, attempt, head, b"x", Kind.SERVER)
    assert gives_back(conversation, 3, head, b"x", *["rejected(500 server)"] * 3)


def test_no_answer_at_all_is_retried_and_then_a_502() -> None:
    conversation = started(play(terms=structs.replace(TERMS, limits=Limits(max_attempts=2))))
    conversation = conversation >> UpstreamClosed(1, "connection refused")
    conversation = conversation << Release(1, Unreachable("connection refused", sent=True))
    conversation = no_other(conversation, 2, "a") << SetTimer(2, Timer.BACKOFF, 0.5)
    conversation = conversation >> TimerFired(2, Timer.BACKOFF) << Acquire(2, prefer="a")
    conversation = begins(conversation, 2, "a", fresh=True) >> UpstreamClosed(2)
    conversation = conversation << Release(2, Unreachable("closed without an answer", sent=True))
    assert faults(conversation, 2, 502, "no answer", "2 attempts", x_should_retry="false")


def test_the_providers_last_answer_goes_back_though_silence_came_after_it() -> None:
    terms = structs.replace(TERMS, limits=Limits(max_attempts=2))
    conversation = answers(started(play(terms=terms)), 1, refused(500), b"x", Kind.SERVER)
    conversation = begins(conversation << others(2, "a"), 2, "b", fresh=True)
    conversation = conversation >> UpstreamClosed(2, "reset") << Release(2, Unreachable("reset", sent=True))
    assert gives_back(conversation, 2, refused(500), b"x", "rejected(500 server)", "unreachable(reset)")


# -- answers that come to nothing -----------------------------------------------------------------------


@pytest.mark.parametrize("data", [ROLE, PING, says("Hi")[:-20], ROLE + b"data: {"])
def test_a_cut_before_anything_visible_is_retried(data: bytes) -> None:
    conversation = opened(play()) >> UpstreamData(1, data) >> UpstreamClosed(1)
    conversation = conversation << Release(1, Truncated(NO_END)) << Acquire(2, A)
    assert answered(begins(conversation, 2, "b", fresh=True), 2)


def test_cuts_without_end_are_a_502() -> None:
    conversation = opened(play(terms=structs.replace(TERMS, limits=Limits(max_attempts=1))))
    conversation = conversation >> UpstreamClosed(1, "reset") << Release(1, Truncated("reset"))
    assert faults(conversation, 1, 502, "reset", x_should_retry="false")


def comes_to(playbook: Playbook, attempt: int, head: Head, body: bytes) -> Playbook:
    """The whole answer comes, and is none of its protocol."""
    playbook = asked(playbook, attempt, "ab"[attempt - 1], head, fresh=attempt > 1)
    playbook = playbook >> UpstreamData(attempt, body) >> UpstreamClosed(attempt)
    return playbook << Release(attempt, Rejected(200, Kind.FOREIGN, ANY, None, ANY))


@pytest.mark.parametrize(
    ("head", "body"),
    [
        (HTML, b"<html>maintenance</html>"),
        (JSON, b""),
        (JSON, b'{"status":"ok"}'),
        (SSE, b""),
        (SSE, b"<html>maintenance</html>"),
        (SSE, MESSAGE + event("content_block_stop", index=0)),
    ],
    ids="page empty json no_events page_as_events other_events".split(),
)
@pytest.mark.parametrize("stream", [True, False])
def test_what_is_no_answer_is_asked_for_once_more_and_passed_on_as_it_is(
    head: Head, body: bytes, stream: bool
) -> None:
    """With its request id, and a word in the record."""
    head = replace(head, headers=(*head.headers, ("x-request-id", "r1")))
    conversation = comes_to(play(call(stream=stream)) >> Start() << Acquire(1), 1, head, body)
    conversation = (
        conversation << SetTimer(2, Timer.BACKOFF, 0.5) >> TimerFired(2, Timer.BACKOFF) << Acquire(2, A)
    )
    conversation = comes_to(conversation, 2, head, body) << SendHeaders(2, head)
    conversation = conversation << SendData(2, body) if body else conversation
    assert conversation << Report(over("rejected", *["rejected(200 foreign)"] * 2)) << EndResponse(2)


def test_an_answer_that_comes_at_the_second_time_is_the_answer() -> None:
    conversation = comes_to(play() >> Start() << Acquire(1), 1, HTML, b"<html>")
    conversation = (
        conversation << SetTimer(2, Timer.BACKOFF, 0.5) >> TimerFired(2, Timer.BACKOFF) << Acquire(2, A)
    )
    assert answered(begins(conversation, 2, "b", fresh=True), 2)


def is_garbled(playbook: Playbook, attempt: int) -> Playbook:
    playbook = asked(playbook, attempt, "ab"[attempt - 1], SSE, fresh=attempt > 1)
    playbook = playbook >> UpstreamData(attempt, b"data: <html>maintenance</html>\n\n")
    return playbook << CancelUpstream(attempt) << Release(attempt, Rejected(200, Kind.FOREIGN, ANY))


def test_events_that_are_no_json_reach_no_client() -> None:
    """SDKs raise a bare JSONDecodeError on them."""
    conversation = is_garbled(play() >> Start() << Acquire(1), 1)
    conversation = (
        conversation << SetTimer(2, Timer.BACKOFF, 0.5) >> TimerFired(2, Timer.BACKOFF) << Acquire(2, A)
    )
    conversation = is_garbled(conversation, 2)
    assert faults(conversation, 2, 502, "not one of this protocol", x_should_retry="false")


@pytest.mark.parametrize(
    ("frame", "kind"),
    [
        (error_chunk("slow", type="rate_limit_error"), Kind.RATE),
        (error_chunk("slow", code=429), Kind.RATE),
        (error_chunk("no", code="invalid_api_key"), Kind.AUTH),
        (error_chunk("no", code=402), Kind.QUOTA),
    ],
    ids="type number key credits".split(),
)
def test_an_error_before_anything_visible_counts_as_what_it_says(frame: bytes, kind: Kind) -> None:
    conversation = opened(play()) >> UpstreamData(1, ROLE + frame) << CancelUpstream(1)
    named = {"resting": "a"} if kind is Kind.RATE else {"refused": "a"}
    conversation = conversation << Release(1, rejected(kind)) << rotated(2, **named)
    assert answered(begins(conversation, 2, "b"), 2)


def test_an_overload_before_anything_visible_is_the_servers_fault() -> None:
    frames = MESSAGE + message_error("overloaded_error", "Overloaded")
    conversation = opened(play(protocol=ANTHROPIC)) >> UpstreamData(1, frames) << CancelUpstream(1)
    assert conversation << Release(1, rejected(Kind.SERVER)) << others(2, "a")


def test_an_error_that_blames_the_request_goes_back_as_it_came() -> None:
    frames = ROLE + error_chunk("too long", code="context_length_exceeded")
    conversation = opened(play()) >> UpstreamData(1, frames + DONE) << CancelUpstream(1)
    conversation = conversation << Release(1, rejected(Kind.REQUEST))
    assert gives_back(conversation, 1, SSE, frames, "rejected(400 request)")


def test_an_error_that_messages_clients_ignore_goes_back_with_one_that_they_raise_on() -> None:
    frames = MESSAGE + b'data: {"error": {"code": 400, "type": "invalid_request_error", "message": "no"}}\n\n'
    conversation = opened(play(protocol=ANTHROPIC)) >> UpstreamData(1, frames) << CancelUpstream(1)
    conversation = conversation << Release(1, rejected(Kind.REQUEST))
    whole = frames + message_error("invalid_request_error", "no")
    assert gives_back(conversation, 1, SSE, whole, "rejected(400 request)")


def test_a_text_and_an_error_in_one_frame_reach_the_client() -> None:
    frame = chunk({"content": "Hi"}).replace(b'{"id"', b'{"error":{"code":502,"message":"x"},"id"')
    conversation = opened(play()) >> UpstreamData(1, frame) << SendHeaders(1, SSE) << SendData(1, frame)
    conversation = conversation >> UpstreamData(1, finishes("error")) << SendData(1, finishes("error"))
    conversation = conversation >> UpstreamClosed(1) << Release(1, rejected(Kind.SERVER))
    assert conversation << Report(over("error", "rejected(502 server)")) << EndResponse(1)


def test_timers_of_the_call_survive_its_attempts() -> None:
    conversation = play(hold=60.0) >> Start() << SetTimer(CALL, Timer.HOLD, 60.0) << Acquire(1)
    conversation = asked(conversation, 1, "a", SSE) >> UpstreamClosed(1, "reset") << Release(1, ANY)
    conversation = asked(conversation << Acquire(2, A), 2, "b", SSE, fresh=True) >> UpstreamData(2, PING)
    assert conversation >> TimerFired(CALL, Timer.HOLD) << SendHeaders(2, SSE) << SendData(2, PING)

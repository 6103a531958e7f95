"""Conversations with a fallback group: when the next target is asked, and when never."""

from dataclasses import replace

import pytest
from msgspec import structs

from protocols.model.http import Head
from rewrite.values.events import (
    Acquire,
    Acquired,
    AwaitCredential,
    CancelUpstream,
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
from rewrite.values.outcome import Completed, Kind, Rejected, Stalled, Truncated, Unreachable
from rewrite.values.timeouts import Limits
from rewrite.values.timer import Timer
from tests.playbook import ANY, After, Playbook, body_with, over, status
from tests.rewrite.scenes import (
    DONE,
    ROLE,
    SSE,
    TERMS,
    VENDOR,
    Spec,
    asked,
    call,
    calls,
    error_body,
    error_chunk,
    finishes,
    no_other,
    opened,
    others,
    own,
    play,
    refused,
    says,
)

A = frozenset({"a"})
FIRST = TERMS
SECOND = THIRD = TERMS
ONCE = structs.replace(FIRST, limits=Limits(max_attempts=1))
RATED, NO_KEY = refused(429), refused(401)
SLOW = error_body("slow down", "rate_limit_exceeded")
BAD_KEY = error_body("bad key", "invalid_api_key")
OOPS = error_body("oops")


def rejected(kind: Kind) -> Rejected:
    return Rejected(ANY, kind, ANY, ANY, ANY)


def says_no(playbook: Playbook, attempt: int, head: Head, body: bytes, kind: Kind) -> Playbook:
    """The head is here already; the body follows, and the attempt is released as of this kind."""
    playbook = playbook >> UpstreamData(attempt, body) >> UpstreamClosed(attempt)
    return playbook << Release(attempt, rejected(kind))


def rated(playbook: Playbook) -> Playbook:
    """Attempt 1 at the first target was rate-limited, and another key is wanted."""
    playbook = says_no(opened(playbook, "a", RATED), 1, RATED, SLOW, Kind.RATE)
    return playbook << Acquire(2, A, resting=A)


def group(terms: Spec = FIRST, *others: Spec, first_event: float = 0.0) -> Playbook:
    return play(None, terms, *(others or (SECOND,)), first_event=first_event)


def answers(playbook: Playbook, attempt: int, *outcomes: str) -> Playbook:
    """The attempt's answer reaches the client whole."""
    data = says("Hi") + finishes("stop") + DONE
    playbook = (
        playbook >> UpstreamData(attempt, data) << SendHeaders(attempt, SSE) << SendData(attempt, says("Hi"))
    )
    playbook = playbook << SendData(attempt, finishes("stop") + DONE) << SetTimer(attempt, Timer.LINGER, ANY)
    playbook = playbook >> UpstreamClosed(attempt) << Release(attempt, Completed())
    return playbook << Report(over("completed", *outcomes, "completed")) << EndResponse(attempt)


def gives_back(playbook: Playbook, attempt: int, head: Head, body: bytes, *outcomes: str) -> Playbook:
    playbook = playbook << SendHeaders(attempt, head) << SendData(attempt, body)
    return playbook << Report(over("rejected", *outcomes)) << EndResponse(attempt)


# -- the next target is asked -------------------------------------------------------------------------


def test_without_another_key_a_rate_limit_leads_to_the_next_target_at_once() -> None:
    """Though the wait would fit: another target is there."""
    conversation = rated(group()) >> NoneFree(2, 5.0) << Acquire(2, target=1)
    conversation = asked(conversation, 2, "b", SSE)
    assert answers(conversation, 2, "rejected(429 rate)")


def test_the_other_keys_of_a_target_come_before_the_next_target() -> None:
    conversation = asked(rated(group()), 2, "b", SSE)
    assert answers(conversation, 2, "rejected(429 rate)")


def test_a_single_key_that_is_rate_limited_leads_to_the_next_target() -> None:
    conversation = opened(group(structs.replace(FIRST, pooled=False)), "client", RATED)
    conversation = says_no(conversation, 1, RATED, SLOW, Kind.RATE) << Acquire(2, target=1)
    assert answers(asked(conversation, 2, "b", SSE), 2, "rejected(429 rate)")


def test_server_errors_are_tried_again_before_the_next_target() -> None:
    conversation = opened(group(structs.replace(FIRST, limits=Limits(max_attempts=2))), "a", refused(500))
    conversation = says_no(conversation, 1, refused(500), OOPS, Kind.SERVER)
    conversation = asked(conversation << others(2, "a"), 2, "b", refused(500), fresh=True)
    conversation = says_no(conversation, 2, refused(500), OOPS, Kind.SERVER) << Acquire(3, target=1)
    conversation = asked(conversation, 3, "b", SSE)
    assert answers(conversation, 3, "rejected(500 server)", "rejected(500 server)")


def test_a_target_that_cannot_be_reached_leads_to_the_next() -> None:
    conversation = group(ONCE) >> Start() << Acquire(1) >> Acquired(1, "a") << OpenUpstream(1)
    conversation = conversation >> UpstreamClosed(1, "refused") << Release(1, Unreachable("refused"))
    conversation = asked(conversation << Acquire(2, target=1), 2, "b", SSE)
    assert answers(conversation, 2, "unreachable(refused)")


def away(playbook: Playbook, attempt: int, *, fresh: bool = False) -> Playbook:
    """The attempt never connects."""
    playbook = playbook >> Acquired(attempt, "a") << OpenUpstream(attempt, fresh)
    playbook = playbook >> UpstreamClosed(attempt, "refused", connected=False)
    return playbook << Release(attempt, Unreachable("refused", connected=False))


def later(playbook: Playbook, attempt: int, seconds: float, target: int) -> Playbook:
    playbook = playbook << SetTimer(attempt, Timer.BACKOFF, seconds) >> TimerFired(attempt, Timer.BACKOFF)
    return playbook << Acquire(attempt, prefer="a", target=target)


def test_in_an_outage_of_all_targets_each_is_asked_until_one_is_back() -> None:
    conversation = away(group() >> Start() << Acquire(1), 1)
    conversation = away(later(conversation, 2, 0.5, target=0), 2, fresh=True)
    conversation = away(conversation << Acquire(3, target=1), 3)
    conversation = away(later(conversation, 4, 0.5, target=0), 4, fresh=True)
    conversation = away(conversation << Acquire(5, target=1), 5)
    conversation = asked(later(conversation, 6, 1.0, target=0), 6, "a", SSE, fresh=True)
    assert answers(conversation, 6, *["unreachable(refused)"] * 5)


def test_an_answer_that_is_cut_before_anything_shows_leads_to_the_next() -> None:
    conversation = opened(group(ONCE)) >> UpstreamData(1, ROLE)
    conversation = conversation >> UpstreamClosed(1, "reset") << Release(1, Truncated("reset"))
    conversation = asked(conversation << Acquire(2, target=1), 2, "b", SSE)
    assert answers(conversation, 2, "truncated(reset)")


def silent(conversation: Playbook, attempt: int, *waits: float) -> Playbook:
    conversation = conversation << OpenUpstream(attempt, ANY) >> UpstreamSent(attempt)
    return conversation << SetTimer(attempt, Timer.FIRST_EVENT, waits[0])


def test_an_error_with_an_event_behind_it_that_is_no_json_leads_to_the_next_once() -> None:
    conversation = opened(group(structs.replace(FIRST, pooled=False)), "client")
    together = error_chunk("slow down", code=429) + b"data: {oops\n\n"
    conversation = conversation >> UpstreamData(1, together) << CancelUpstream(1)
    conversation = conversation << Release(1, rejected(Kind.RATE)) << Acquire(2, target=1)
    assert answers(asked(conversation, 2, "b", SSE), 2, "rejected(429 rate)")


def test_silence_leads_to_the_next_target_with_its_own_patience() -> None:
    """Its own silences alone make it wait longer."""
    conversation = group(ONCE, first_event=30.0) >> Start() << Acquire(1) >> Acquired(1, "a")
    conversation = silent(conversation, 1, 30.0) >> After(30.0) >> TimerFired(1, Timer.FIRST_EVENT)
    conversation = conversation << CancelUpstream(1) << Release(1, Stalled(Timer.FIRST_EVENT, 30.0))
    conversation = silent(conversation << Acquire(2, target=1) >> Acquired(2, "b"), 2, 30.0)
    conversation = conversation >> After(30.0) >> TimerFired(2, Timer.FIRST_EVENT) << CancelUpstream(2)
    conversation = conversation << Release(2, ANY) << Acquire(3, frozenset("b"), target=1)
    assert silent(conversation >> Acquired(3, "c"), 3, 60.0)


def hangs(conversation: Playbook, attempt: int, seconds: float) -> Playbook:
    """The attempt gets its key and no answer for so long."""
    conversation = silent(conversation >> Acquired(attempt, str(attempt)), attempt, seconds) >> After(seconds)
    conversation = conversation >> TimerFired(attempt, Timer.FIRST_EVENT) << CancelUpstream(attempt)
    return conversation << Release(attempt, Stalled(Timer.FIRST_EVENT, seconds))


def test_a_silent_target_gets_two_attempts_of_the_same_length_while_another_waits() -> None:
    conversation = hangs(group(first_event=30.0) >> Start() << Acquire(1), 1, 30.0)
    conversation = hangs(conversation << Acquire(2, frozenset("1")), 2, 30.0)
    conversation = conversation << Acquire(3, target=1) >> Acquired(3, "b") << OpenUpstream(3)
    conversation = conversation >> UpstreamSent(3) << SetTimer(3, Timer.FIRST_EVENT, 30.0)
    assert answers(conversation >> UpstreamStarted(3, SSE), 3, ANY, ANY)


def test_the_patience_of_the_client_is_shared_out_between_targets() -> None:
    """One slow start may use all of a share, and is not followed by another one at the same target."""
    conversation = play(None, FIRST, SECOND, THIRD, first_event=300.0, patience=600.0)
    conversation = hangs(conversation >> Start() << Acquire(1), 1, 200.0)
    conversation = hangs(conversation << Acquire(2, target=1), 2, 200.0)
    conversation = conversation << Acquire(3, target=2) >> Acquired(3, "c") << OpenUpstream(3)
    conversation = conversation >> UpstreamSent(3)
    assert conversation << SetTimer(3, Timer.FIRST_EVENT, 200.0)


@pytest.mark.parametrize("connected", [True, False])
def test_a_target_that_fails_gets_two_attempts_while_another_waits(connected: bool) -> None:
    """Its own key alone, and three attempts in the budget."""
    conversation = group(structs.replace(FIRST, pooled=False)) >> Start() << Acquire(1)
    for attempt in (1, 2):
        conversation = conversation >> Acquired(attempt, "client") << OpenUpstream(attempt, attempt > 1)
        conversation = conversation >> UpstreamClosed(attempt, "gone", connected=connected)
        conversation = conversation << Release(attempt, Unreachable("gone", connected=connected))
        if attempt == 1:
            conversation = conversation << SetTimer(2, Timer.BACKOFF, 0.5) >> TimerFired(2, Timer.BACKOFF)
            conversation = conversation << Acquire(2, prefer="client")
    conversation = asked(conversation << Acquire(3, target=1), 3, "b", SSE)
    assert answers(conversation, 3, "unreachable(gone)", "unreachable(gone)")


def test_a_target_whose_keys_all_rest_is_skipped_without_an_attempt() -> None:
    """The attempt's number is taken by the first that is made."""
    conversation = group() >> Start() << Acquire(1) >> NoneFree(1, 5.0) << Acquire(1, target=1)
    assert answers(asked(conversation, 1, "b", SSE), 1)


def test_where_none_is_free_the_target_is_waited_for_that_is_due_first() -> None:
    conversation = group(FIRST, SECOND, THIRD) >> Start() << Acquire(1) >> NoneFree(1, 50.0)
    conversation = conversation << Acquire(1, target=1) >> After(1.0) >> NoneFree(1, 9.0)
    conversation = conversation << Acquire(1, target=2) >> NoneFree(1, 900.0)
    in_line = AwaitCredential(1, Acquire(1, target=1), 120.0)
    assert answers(asked(conversation << in_line >> After(9.0), 1, "b", SSE), 1)


def test_each_target_is_waited_for_once() -> None:
    conversation = group() >> Start() << Acquire(1) >> NoneFree(1, 5.0) << Acquire(1, target=1)
    conversation = conversation >> NoneFree(1, 900.0) << AwaitCredential(1, Acquire(1), 120.0)
    conversation = conversation >> NoneFree(1, 5.0, final=True) << Acquire(1, target=1)
    assert (
        conversation
        >> NoneFree(1, 900.0)
        << SendHeaders(1, status(429))
        << SendData(1, ANY)
        << Report(ANY)
        << EndResponse(1)
    )


def test_a_provider_that_rests_is_skipped_too() -> None:
    conversation = group() >> Start() << Acquire(1) >> NoneFree(1, 30.0, paused=True)
    assert conversation << Acquire(1, target=1)


def test_three_targets_in_order_with_attempt_numbers_that_continue() -> None:
    conversation = rated(group(FIRST, SECOND, THIRD)) >> NoneFree(2, 900.0) << Acquire(2, target=1)
    conversation = conversation >> NoneFree(2, None) << Acquire(2, target=2)
    assert answers(asked(conversation, 2, "c", SSE), 2, "rejected(429 rate)")


def test_what_a_target_s_keys_did_is_not_held_against_the_next_one_s() -> None:
    """The keys have the same names, and each target has attempts of its own."""
    conversation = rated(group(FIRST, structs.replace(SECOND, limits=Limits(max_attempts=2))))
    conversation = conversation >> NoneFree(2, 900.0) << Acquire(2, target=1)
    conversation = asked(conversation, 2, "a", refused(500))
    conversation = says_no(conversation, 2, refused(500), OOPS, Kind.SERVER)
    conversation = no_other(conversation, 3, "a", target=1) << SetTimer(3, Timer.BACKOFF, 0.5) >> After(0.5)
    assert conversation >> TimerFired(3, Timer.BACKOFF) << Acquire(3, prefer="a", target=1)


@pytest.mark.parametrize("head", [NO_KEY, refused(403)])
def test_a_target_that_refuses_every_key_is_skipped_where_the_group_says_so(head: Head) -> None:
    kind = Kind.AUTH if head is NO_KEY else Kind.FORBIDDEN
    conversation = opened(group(structs.replace(FIRST, next_on_auth=True)), "a", head)
    body = BAD_KEY if head is NO_KEY else error_body("no")
    conversation = says_no(conversation, 1, head, body, kind) << Acquire(2, A, refused=A)
    conversation = conversation >> NoneFree(2, None) << Acquire(2, target=1)
    assert asked(conversation, 2, "b", SSE)


def test_the_record_names_the_target_of_each_attempt() -> None:
    conversation = asked(rated(group()) >> NoneFree(2, 5.0) << Acquire(2, target=1), 2, "b", SSE)
    commands = conversation.exchange.handle(UpstreamData(2, says("Hi") + finishes("stop") + DONE), 0.0)
    assert commands
    *_, report, _ = conversation.exchange.handle(UpstreamClosed(2), 0.0)
    assert isinstance(report, Report)
    assert report.summary.target == 1
    found = [(one.number, one.target, one.credential) for one in report.summary.attempts]
    assert found == [(1, 0, "a"), (2, 1, "b")]


# -- the next target is not asked ---------------------------------------------------------------------


@pytest.mark.parametrize("code", [400, 404, 405, 413, 422])
def test_a_fault_of_the_request_is_nobody_else_s_affair(code: int) -> None:
    conversation = opened(group(structs.replace(FIRST, next_on_auth=True)), "a", refused(code))
    conversation = says_no(conversation, 1, refused(code), OOPS, Kind.REQUEST)
    assert gives_back(conversation, 1, refused(code), OOPS, f"rejected({code} request)")


def test_a_refusal_of_the_last_key_goes_back_unless_the_group_says_otherwise() -> None:
    conversation = opened(group(), "a", NO_KEY)
    conversation = says_no(conversation, 1, NO_KEY, BAD_KEY, Kind.AUTH) << Acquire(2, A, refused=A)
    conversation = conversation >> NoneFree(2, None)
    assert gives_back(conversation, 2, ANY, body_with("bad key"), "rejected(401 auth)")


def test_after_the_commit_point_there_is_no_other_target() -> None:
    conversation = opened(group(ONCE)) >> UpstreamData(1, says("Hi"))
    conversation = conversation << SendHeaders(1, SSE) << SendData(1, says("Hi"))
    conversation = conversation >> UpstreamClosed(1, "reset") << SendData(1, ANY)
    conversation = conversation << Release(1, Truncated("reset"))
    assert conversation << Report(over("truncated", "truncated(reset)")) << EndResponse(1)


def test_an_acting_tool_that_fell_silent_is_not_called_at_the_next_target() -> None:
    acting = replace(call(), acting=True)
    conversation = opened(play(acting, FIRST, SECOND)) >> UpstreamData(1, ROLE)
    conversation = conversation >> UpstreamClosed(1, "reset") << Release(1, Truncated("reset"))
    conversation = conversation << SendHeaders(1, status(502)) << SendData(1, ANY)
    assert conversation << Report(over("rejected", "truncated(reset)")) << EndResponse(1)


def test_the_deadline_stops_no_target_that_can_still_be_asked() -> None:
    conversation = rated(group(ONCE, structs.replace(SECOND, limits=Limits(max_attempts=1)), THIRD))
    conversation = conversation >> NoneFree(2, 5.0) << Acquire(2, target=1)
    conversation = asked(conversation, 2, "b", refused(500)) >> After(121.0)
    conversation = says_no(conversation, 2, refused(500), OOPS, Kind.SERVER) << Acquire(3, target=2)
    assert answers(asked(conversation, 3, "c", SSE), 3, "rejected(429 rate)", "rejected(500 server)")


def test_no_target_is_asked_for_a_client_that_is_gone() -> None:
    second = own(provider=replace(VENDOR, name="second"))
    conversation = rated(group(ONCE, second, THIRD)) >> NoneFree(2, 5.0) << Acquire(2, target=1)
    conversation = conversation >> After(591.0) >> NoneFree(2, 5.0)
    conversation = conversation << SendHeaders(2, status(429)) << SendData(2, body_with("second"))
    assert conversation << Report(over("rejected", "rejected(429 rate)")) << EndResponse(2)


def test_the_last_target_s_own_answer_goes_back() -> None:
    conversation = rated(group(ONCE, structs.replace(SECOND, limits=Limits(max_attempts=1))))
    conversation = conversation >> NoneFree(2, 5.0) << Acquire(2, target=1)
    conversation = says_no(asked(conversation, 2, "b", refused(503)), 2, refused(503), OOPS, Kind.SERVER)
    outcomes = ("rejected(429 rate)", "rejected(503 server)")
    conversation = no_other(conversation, 3, "b", target=1)
    assert gives_back(conversation, 3, refused(503), OOPS, *outcomes)


def test_a_target_without_another_free_key_leads_to_the_next_once_it_was_asked_twice() -> None:
    conversation = opened(group(), "a", refused(500))
    conversation = says_no(conversation, 1, refused(500), OOPS, Kind.SERVER)
    conversation = (
        no_other(conversation, 2, "a") << SetTimer(2, Timer.BACKOFF, 0.5) >> TimerFired(2, Timer.BACKOFF)
    )
    conversation = asked(conversation << Acquire(2, prefer="a"), 2, "a", refused(500), fresh=True)
    assert says_no(conversation, 2, refused(500), OOPS, Kind.SERVER) << Acquire(3, target=1)


def test_the_last_target_may_wait_for_its_key() -> None:
    conversation = rated(group()) >> NoneFree(2, 900.0) << Acquire(2, target=1)
    conversation = asked(conversation, 2, "b", RATED)
    conversation = says_no(conversation, 2, RATED, SLOW, Kind.RATE)
    conversation = conversation << Acquire(3, frozenset("b"), resting=frozenset("b"), target=1)
    in_line = AwaitCredential(3, Acquire(3, frozenset("b"), target=1), 120.0)
    conversation = conversation >> NoneFree(3, 5.0) << in_line >> After(5.0)
    assert conversation >> Acquired(3, "b") << OpenUpstream(3)


# -- attempts that are over ---------------------------------------------------------------------------


@pytest.mark.parametrize(
    "late",
    [
        UpstreamData(1, says("late")),
        UpstreamClosed(1, "reset"),
        UpstreamStarted(1, SSE),
        Acquired(1, "z"),
        NoneFree(1, 1.0),
        TimerFired(1, Timer.FIRST_EVENT),
    ],
    ids=lambda event: type(event).__name__,
)
def test_what_comes_late_of_a_former_target_is_dropped(late: UpstreamData | UpstreamClosed) -> None:
    conversation = rated(group()) >> NoneFree(2, 5.0) << Acquire(2, target=1)
    conversation = asked(conversation >> late, 2, "b", SSE) >> late
    assert answers(conversation, 2, "rejected(429 rate)")


def test_nothing_of_a_former_target_s_answer_is_left() -> None:
    """Held frames and the body of an error belong to the attempt."""
    conversation = opened(group(ONCE)) >> UpstreamData(1, ROLE + calls("", None)[:20])
    conversation = (
        conversation >> UpstreamClosed(1, "reset") << Release(1, Truncated("reset")) << Acquire(2, target=1)
    )
    conversation = asked(conversation, 2, "b", refused(400))
    conversation = says_no(conversation, 2, refused(400), OOPS, Kind.REQUEST)
    assert gives_back(conversation, 2, refused(400), OOPS, "truncated(reset)", "rejected(400 request)")

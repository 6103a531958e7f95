"""Conversations: keys that are asked once, waits that are counted, and what ends a call that could
continue."""

from dataclasses import replace

import pytest

from protocols.model.http import Head
from rewrite.values.events import (
    Acquire,
    Acquired,
    AwaitCredential,
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
from rewrite.values.outcome import Truncated, Unreachable
from rewrite.values.timer import Timer
from tests.playbook import ANY, After, Playbook, body_with, status
from tests.rewrite.scenes import (
    ROLE,
    SSE,
    asked,
    call,
    error_body,
    no_other,
    opened,
    play,
    refused,
    rotated,
    says,
)

RATED = error_body("slow down", "rate_limit_exceeded")
WHO = error_body("who?")
BOUND = error_body("messages.1: Invalid `signature` in `thinking` block")


def answered(playbook: Playbook, attempt: int, credential: str, head: Head, body: bytes) -> Playbook:
    """An attempt that is refused with this answer."""
    playbook = asked(playbook, attempt, credential, head, fresh=ANY) >> UpstreamData(attempt, body)
    return playbook >> UpstreamClosed(attempt) << Release(attempt, ANY)


def begun(patience: float = 590.0) -> Playbook:
    return play(patience=patience) >> Start() << Acquire(1)


def gives_back(playbook: Playbook, attempt: int, head: Head, body: bytes) -> Playbook:
    playbook = playbook << SendHeaders(attempt, head) << SendData(attempt, body)
    return playbook << Report(ANY) << EndResponse(attempt)


# -- keys that refused the call -------------------------------------------------------------------------


def test_a_key_that_refused_the_call_is_not_asked_again_whatever_follows() -> None:
    conversation = answered(begun(), 1, "a", refused(401), WHO) << rotated(2, refused="a")
    conversation = no_other(answered(conversation, 2, "b", refused(500), b""), 3, "ab", refused="a")
    conversation = conversation << SetTimer(3, Timer.BACKOFF, 0.5) >> TimerFired(3, Timer.BACKOFF)
    conversation = conversation << Acquire(3, prefer="b", refused=frozenset("a"))
    conversation = answered(conversation, 3, "b", refused(429), RATED)
    assert conversation << Acquire(4, frozenset("ab"), refused=frozenset("a"), resting=frozenset("b"))


def test_a_refusal_waits_for_the_key_that_is_merely_over_its_rate() -> None:
    conversation = answered(begun(), 1, "a", refused(429), RATED) << rotated(2, resting="a")
    conversation = answered(conversation, 2, "b", refused(401), WHO) << rotated(3, resting="a", refused="b")
    wanted = Acquire(3, frozenset("ab"), refused=frozenset("b"))
    conversation = conversation >> NoneFree(3, 5.0) << AwaitCredential(3, wanted, 120.0) >> After(5.0)
    conversation = asked(conversation, 3, "a", SSE) >> UpstreamData(3, says("Hi"))
    assert conversation << SendHeaders(3, SSE) << SendData(3, says("Hi"))


def test_a_key_whose_rest_is_over_meanwhile_is_asked_at_once_and_so_often_and_no_more() -> None:
    conversation = answered(begun(), 1, "a", refused(429), RATED) << rotated(2, resting="a")
    for attempt in (2, 3):
        in_line = AwaitCredential(attempt, Acquire(attempt, frozenset("a")), 120.0)
        conversation = conversation >> NoneFree(attempt, 0.0) << in_line
        conversation = answered(conversation, attempt, "a", refused(429), RATED)
        conversation = conversation << rotated(attempt + 1, resting="a")
    conversation = conversation >> NoneFree(4, 0.0) << SendHeaders(4, status(429)) << SendData(4, ANY)
    assert conversation << Report(ANY) << EndResponse(4)


def test_no_key_is_asked_when_the_client_has_no_patience_left() -> None:
    conversation = begun(patience=50.0) >> Acquired(1, "a") << OpenUpstream(1) >> UpstreamSent(1)
    conversation = conversation >> UpstreamStarted(1, refused(401)) >> UpstreamData(1, WHO) >> After(50.5)
    conversation = conversation >> UpstreamClosed(1) << Release(1, ANY)
    assert gives_back(conversation, 1, refused(401), WHO)


# -- content that is bound to a key ---------------------------------------------------------------------


def test_content_that_is_bound_to_a_key_which_is_gone_gets_the_answer_that_said_so() -> None:
    conversation = begun() >> Acquired(1, "b", former="a") << OpenUpstream(1) >> UpstreamSent(1)
    conversation = conversation >> UpstreamStarted(1, refused(400)) >> UpstreamData(1, BOUND)
    conversation = conversation >> UpstreamClosed(1) << Release(1, ANY)
    conversation = conversation << Acquire(2, prefer="a", insist=True) >> NoneFree(2, None)
    assert gives_back(conversation, 2, refused(400), BOUND)


# -- a server that asks for a long wait -----------------------------------------------------------------


def test_a_wait_that_does_not_fit_is_left_to_its_key_and_not_passed_on() -> None:
    busy = refused(503, ("retry-after", "200"), ("request-id", "r1"))
    conversation = answered(begun(), 1, "a", busy, b"x")
    for attempt, delay in ((2, 0.5), (3, 1.0)):
        conversation = no_other(conversation, attempt, "a") << SetTimer(attempt, Timer.BACKOFF, delay)
        conversation = conversation >> After(delay) >> TimerFired(attempt, Timer.BACKOFF)
        conversation = answered(conversation << rotated(attempt, others="a"), attempt, "a", busy, b"x")
    conversation = no_other(conversation, 4, "a")
    assert gives_back(conversation, 4, refused(503, ("request-id", "r1")), b"x")


# -- tools that act -------------------------------------------------------------------------------------


def test_a_cut_is_not_retried_where_tools_may_have_acted() -> None:
    acting = replace(call(), hosted=True, acting=True)
    conversation = opened(play(acting)) >> UpstreamData(1, ROLE) >> UpstreamClosed(1, "reset")
    conversation = conversation << Release(1, Truncated("reset"))
    conversation = conversation << SendHeaders(1, status(502, x_should_retry="false"))
    assert conversation << SendData(1, body_with("reset", "1 attempt")) << Report(ANY) << EndResponse(1)


@pytest.mark.parametrize("sent", [True, False], ids=["sent", "unsent"])
def test_a_lost_connection_is_retried_only_if_no_tool_can_have_acted(sent: bool) -> None:
    acting = replace(call(), hosted=True, acting=True)
    conversation = play(acting) >> Start() << Acquire(1) >> Acquired(1, "a") << OpenUpstream(1)
    conversation = conversation >> UpstreamSent(1) if sent else conversation
    conversation = conversation >> UpstreamClosed(1, "reset") << Release(1, Unreachable("reset", sent))
    if sent:
        conversation = conversation << SendHeaders(1, status(502, x_should_retry="false"))
        conversation = conversation << SendData(1, ANY) << Report(ANY) << EndResponse(1)
    else:
        conversation = no_other(conversation, 2, "a") << SetTimer(2, Timer.BACKOFF, 0.5)
    assert conversation

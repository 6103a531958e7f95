"""Conversations: calls that are held keep an attempt alive and a client waiting; a cut one is no answer."""

from dataclasses import replace

import pytest
from msgspec import structs

from rewrite.values.events import (
    CALL,
    Acquire,
    CancelUpstream,
    EndResponse,
    Release,
    Report,
    SendData,
    SendHeaders,
    SetTimer,
    Start,
    TimerFired,
    UpstreamClosed,
    UpstreamData,
)
from rewrite.values.outcome import Completed, Stalled, Truncated
from rewrite.values.timeouts import OnTruncation
from rewrite.values.timer import Timer
from tests.playbook import ANY, After, Playbook, ended, over
from tests.rewrite.replay import holding
from tests.rewrite.scenes import (
    CHAT,
    DONE,
    PING,
    ROLE,
    SSE,
    TERMS,
    asked,
    calls,
    finishes,
    length,
    opened,
    play,
    says,
)

HELD = holding(CHAT, terms=TERMS)
NAME, HALF, REST = calls("", "weather"), calls('{"a":'), calls(" 1}")
LEFT_OUT = "; the tool call 'weather' was cut and left out"


def shown(stall: float = 0.0, heartbeat: float = 0.0) -> Playbook:
    """A committed answer that continues with a call."""
    conversation = opened(play(terms=HELD, stall=stall, heartbeat=heartbeat)) >> UpstreamData(1, says("Hi"))
    conversation = conversation << SendHeaders(1, SSE) << SendData(1, says("Hi"))
    if stall:
        conversation = conversation << SetTimer(1, Timer.STALL, stall)
    return conversation << SetTimer(1, Timer.HEARTBEAT, heartbeat) if heartbeat else conversation


def test_what_is_held_is_life_of_upstream_and_none_for_the_client() -> None:
    conversation = shown(stall=30.0, heartbeat=15.0)
    for frame in (NAME, HALF):
        conversation = conversation >> After(15.0) >> UpstreamData(1, frame)
        conversation = conversation >> TimerFired(1, Timer.HEARTBEAT) << SendData(1, b"\n", heartbeat=True)
        conversation = conversation << SetTimer(1, Timer.HEARTBEAT, 15.0)
    conversation = conversation >> TimerFired(1, Timer.STALL) << SetTimer(1, Timer.STALL, 30.0)
    assert conversation >> UpstreamData(1, REST + finishes("tool_calls")) << SendData(1, ANY)


def test_a_ping_beside_what_is_held_is_no_life() -> None:
    conversation = shown(stall=30.0) >> UpstreamData(1, NAME) >> After(20.0) >> UpstreamData(1, PING)
    conversation = conversation >> After(10.0) >> TimerFired(1, Timer.STALL) << SendData(1, PING)
    conversation = conversation << SendData(1, length() + DONE) << CancelUpstream(1)
    conversation = conversation << Release(1, Stalled(Timer.STALL, 30.0))
    words = "stalled(stall 30.0s)"
    assert conversation << Report(over("truncated", words)) << EndResponse(1)


def test_a_cut_call_is_named_in_the_record() -> None:
    conversation = shown() >> UpstreamData(1, NAME + HALF) >> UpstreamClosed(1, "reset")
    conversation = conversation << SendData(1, length() + DONE) << Release(1, Truncated("reset"))
    words = f'cut: truncated(reset); ended with finish_reason "length"{LEFT_OUT}'
    assert conversation << Report(ended("truncated", words)) << EndResponse(1)


def test_nothing_but_half_a_call_is_asked_for_again_unseen() -> None:
    conversation = opened(play(terms=HELD)) >> UpstreamData(1, ROLE + NAME + HALF)
    conversation = conversation >> UpstreamClosed(1, "reset") << Release(1, Truncated("reset")) << ANY
    conversation = asked(conversation, 2, "b", SSE, fresh=ANY) >> UpstreamData(2, ROLE + NAME + HALF)
    whole = REST + finishes("tool_calls")
    conversation = conversation >> UpstreamData(2, whole) << SendHeaders(2, SSE)
    conversation = conversation << SendData(2, ROLE + NAME)
    conversation = conversation << SendData(2, HALF + whole)
    conversation = (
        conversation >> UpstreamData(2, DONE) << SendData(2, DONE) << SetTimer(2, Timer.LINGER, ANY)
    )
    conversation = conversation >> UpstreamClosed(2) << Release(2, Completed()) << Report(ANY)
    assert conversation << EndResponse(2)


def test_the_preamble_is_released_while_a_call_is_held_and_the_client_is_kept_waiting() -> None:
    conversation = committed()
    conversation = conversation >> After(15.0) >> TimerFired(1, Timer.HEARTBEAT)
    conversation = conversation << SendData(1, b"\n", heartbeat=True) << SetTimer(1, Timer.HEARTBEAT, 15.0)
    conversation = conversation >> UpstreamData(1, HALF) >> After(15.0) >> TimerFired(1, Timer.FIRST_TOKEN)
    whole = REST + finishes("tool_calls") + DONE
    conversation = conversation >> UpstreamData(1, whole) << SendData(1, NAME + HALF + whole)
    assert conversation << SetTimer(1, Timer.LINGER, ANY)


@pytest.mark.parametrize("on_truncation", sorted(set(OnTruncation) - {OnTruncation.CONTINUE}), ids=str)
def test_a_cut_after_the_preamble_alone_is_an_error(on_truncation: OnTruncation) -> None:
    conversation = committed(on_truncation) >> UpstreamClosed(1, "reset") << SendData(1, ANY)
    conversation = conversation << Release(1, Truncated("reset"))
    words = f"the answer was cut (truncated(reset)); ended with an error{LEFT_OUT}"
    assert conversation << Report(ended("failed", words)) << EndResponse(1)


def committed(on_truncation: OnTruncation = OnTruncation.AUTO) -> Playbook:
    """By its patience alone, while a call comes."""
    terms = replace(HELD, terms=structs.replace(TERMS, on_truncation=on_truncation))
    conversation = play(terms=terms, hold=60.0, stall=50.0, heartbeat=15.0) >> Start()
    conversation = conversation << SetTimer(CALL, Timer.HOLD, 60.0) << Acquire(1)
    conversation = asked(conversation, 1, "a", SSE) >> UpstreamData(1, ROLE + NAME) >> After(60.0)
    conversation = conversation >> TimerFired(CALL, Timer.HOLD) << SendHeaders(1, SSE) << SendData(1, ROLE)
    return conversation << SetTimer(1, Timer.STALL, 50.0) << SetTimer(1, Timer.HEARTBEAT, 15.0)

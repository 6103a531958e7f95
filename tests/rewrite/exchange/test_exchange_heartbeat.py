"""Conversations: life that a waiting client is shown, and bytes that are upstream's life."""

import pytest

from protocols.model.http import Head
from rewrite.values.events import (
    Acquire,
    CancelUpstream,
    ClientDrained,
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
from rewrite.values.outcome import Stalled
from rewrite.values.timer import Timer
from tests.playbook import ANY, After, Playbook, over
from tests.rewrite.scenes import DONE, JSON, ROLE, SSE, asked, call, length, opened, play, says

WHOLE = b'{"id":"c1","choices":[]}'

HEARTBEAT = SendData(1, b"\n", heartbeat=True)


def beating(stall: float = 0.0) -> Playbook:
    """A committed answer to a client that is shown life after 15 s."""
    conversation = opened(play(heartbeat=15.0, stall=stall)) >> UpstreamData(1, says("Hi"))
    conversation = conversation << SendHeaders(1, SSE) << SendData(1, says("Hi"))
    if stall:
        conversation = conversation << SetTimer(1, Timer.STALL, stall)
    return conversation << SetTimer(1, Timer.HEARTBEAT, 15.0)


def test_a_client_that_waits_is_shown_life_again_and_again() -> None:
    conversation = beating()
    for _ in range(3):
        conversation = conversation >> After(15.0) >> TimerFired(1, Timer.HEARTBEAT)
        conversation = conversation << HEARTBEAT << SetTimer(1, Timer.HEARTBEAT, 15.0)
    assert conversation >> UpstreamData(1, says("!")) << SendData(1, says("!"))


def test_a_client_that_gets_something_waits_only_from_then_on() -> None:
    conversation = beating() >> After(10.0) >> UpstreamData(1, says(".")) << SendData(1, says("."))
    conversation = conversation >> After(5.0) >> TimerFired(1, Timer.HEARTBEAT)
    conversation = conversation << SetTimer(1, Timer.HEARTBEAT, 10.0) >> After(10.0)
    assert conversation >> TimerFired(1, Timer.HEARTBEAT) << HEARTBEAT << SetTimer(1, Timer.HEARTBEAT, 15.0)


def test_a_client_that_read_late_waits_from_then_on() -> None:
    conversation = beating() >> After(12.0) >> ClientDrained() >> After(3.0)
    assert conversation >> TimerFired(1, Timer.HEARTBEAT) << SetTimer(1, Timer.HEARTBEAT, 12.0)


def test_half_a_frame_is_not_parted_by_a_heartbeat() -> None:
    frame = says("you")
    conversation = beating() >> UpstreamData(1, frame[:20]) >> After(15.0) >> TimerFired(1, Timer.HEARTBEAT)
    conversation = conversation << HEARTBEAT << SetTimer(1, Timer.HEARTBEAT, 15.0)
    assert conversation >> UpstreamData(1, frame[20:]) << SendData(1, frame)


def test_a_heartbeat_is_no_life_of_upstream() -> None:
    conversation = beating(stall=30.0)
    for _ in range(2):
        conversation = conversation >> After(15.0) >> TimerFired(1, Timer.HEARTBEAT)
        conversation = conversation << HEARTBEAT << SetTimer(1, Timer.HEARTBEAT, 15.0)
    conversation = conversation >> TimerFired(1, Timer.STALL) << SendData(1, length() + DONE)
    conversation = conversation << CancelUpstream(1) << Release(1, Stalled(Timer.STALL, 30.0))
    conversation = conversation << Report(over("truncated", "stalled(stall 30.0s)")) << EndResponse(1)
    assert conversation >> After(15.0) >> TimerFired(1, Timer.HEARTBEAT)


def test_no_heart_beats_before_the_commit_point() -> None:
    assert opened(play(heartbeat=15.0)) >> UpstreamData(1, ROLE) >> After(60.0)


@pytest.mark.parametrize("head", [JSON, Head(200, (("content-type", "application/json; x=1"),))])
def test_no_heart_beats_in_an_answer_that_comes_whole(head: Head) -> None:
    conversation = opened(play(call(stream=False), heartbeat=15.0), head=head) >> UpstreamData(1, WHOLE)
    conversation = conversation >> UpstreamClosed(1) << SendHeaders(1, head) << SendData(1, WHOLE)
    assert conversation << Release(1, ANY) << Report(ANY) << EndResponse(1)


# -- bytes of a frame that is not whole -----------------------------------------------------------------


@pytest.mark.parametrize(("any_byte_keeps_alive", "left"), [(True, 20.0), (False, None)])
def test_the_bytes_of_a_long_frame_are_life_where_any_byte_is(
    any_byte_keeps_alive: bool, left: float | None
) -> None:
    frame = says("x" * 100)
    conversation = play(stall=30.0, any_byte_keeps_alive=any_byte_keeps_alive) >> Start() << Acquire(1)
    conversation = asked(conversation, 1, "a", SSE) >> UpstreamData(1, says("Hi")) << SendHeaders(1, SSE)
    conversation = conversation << SendData(1, says("Hi")) << SetTimer(1, Timer.STALL, 30.0)
    conversation = conversation >> After(20.0) >> UpstreamData(1, frame[:50]) >> After(10.0)
    conversation = conversation >> TimerFired(1, Timer.STALL)
    if left is None:
        conversation = conversation << SendData(1, length() + DONE) << CancelUpstream(1)
        conversation = conversation << Release(1, ANY) << Report(ANY) << EndResponse(1)
    else:
        conversation = conversation << SetTimer(1, Timer.STALL, left) >> UpstreamData(1, frame[50:])
        conversation = conversation << SendData(1, frame)
    assert conversation

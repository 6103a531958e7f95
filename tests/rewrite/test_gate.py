"""Conversations before the commit point: how long the first token may take, and what a slow one comes to."""

import pytest

from rewrite.events import (
    CALL,
    Acquire,
    Acquired,
    CancelUpstream,
    OpenUpstream,
    Release,
    SendData,
    SendHeaders,
    SetTimer,
    Start,
    TimerFired,
    UpstreamData,
    UpstreamSent,
    UpstreamStarted,
)
from rewrite.outcome import Phase, Stalled
from tests.playbook import ANY, After, Playbook
from tests.rewrite.scenes import PING, ROLE, SSE, chunk, play, says

THINKS = chunk({"content": "", "reasoning_details": [{"type": "reasoning.encrypted", "data": "x"}]})


def waiting(playbook: Playbook) -> Playbook:
    """An answer that has begun, its first token being waited for, for 60 s."""
    playbook = playbook << Acquire(1) >> Acquired(1, "a") << OpenUpstream(1) >> UpstreamSent(1)
    return playbook << SetTimer(1, "first_token", 60.0) >> UpstreamStarted(1, SSE)


def fires(playbook: Playbook, seconds: float) -> Playbook:
    return playbook >> After(seconds) >> TimerFired(1, "first_token")


def stalled(playbook: Playbook, seconds: float) -> Playbook:
    """The attempt is given up, and another one is made."""
    outcome = Stalled(Phase.FIRST_TOKEN, seconds)
    return playbook << CancelUpstream(1) << Release(1, outcome) << Acquire(2, ANY)


def test_hidden_work_gives_the_first_token_more_time() -> None:
    conversation = waiting(play(first_token=60.0) >> Start()) >> After(30.0)
    conversation = conversation >> UpstreamData(1, ROLE + THINKS) >> After(20.0) >> UpstreamData(1, THINKS)
    conversation = fires(conversation, 10.0) << SetTimer(1, "first_token", 50.0)
    assert stalled(fires(conversation, 50.0), 110.0)


def test_a_stream_of_hidden_work_sets_one_timer_for_all_of_it() -> None:
    conversation = waiting(play(first_token=60.0) >> Start())
    for _ in range(59):
        conversation = conversation >> After(1.0) >> UpstreamData(1, THINKS * 10)
    conversation = fires(conversation, 1.0) << SetTimer(1, "first_token", 59.0)
    frames = ANY
    conversation = conversation >> After(20.0) >> UpstreamData(1, says("Hi")) << SendHeaders(1, SSE)
    assert fires(conversation << SendData(1, frames), 39.0)


@pytest.mark.parametrize("life", [ROLE, PING, b"\n"], ids="role comment blank".split())
def test_life_without_work_gives_no_time(life: bytes) -> None:
    conversation = waiting(play(first_token=60.0) >> Start()) >> After(50.0) >> UpstreamData(1, life)
    assert stalled(fires(conversation, 10.0), 60.0)


def test_hidden_work_does_not_outlast_the_client() -> None:
    conversation = waiting(play(first_token=60.0, patience=80.0) >> Start()) >> After(50.0)
    conversation = fires(conversation >> UpstreamData(1, THINKS), 10.0) << SetTimer(1, "first_token", 20.0)
    conversation = conversation >> UpstreamData(1, THINKS)
    assert stalled(fires(conversation, 20.0), 80.0)


def test_hidden_work_counts_behind_a_released_preamble_too() -> None:
    conversation = play(first_token=60.0, hold=30.0) >> Start() << SetTimer(CALL, "hold", 30.0)
    conversation = waiting(conversation) >> UpstreamData(1, ROLE) >> After(30.0) >> TimerFired(CALL, "hold")
    conversation = conversation << SendHeaders(1, SSE) << SendData(1, ROLE) >> After(20.0)
    conversation = conversation >> UpstreamData(1, THINKS) << SendData(1, THINKS)
    assert fires(conversation, 10.0) << SetTimer(1, "first_token", 50.0)

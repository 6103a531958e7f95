"""Conversations before the commit point: how long the first token may take, and what a slow one comes to."""

from dataclasses import replace

import pytest
from msgspec import structs

from protocols.base import WireProtocol
from protocols.model.call import Call
from rewrite.targets.wanted import Terms
from rewrite.values.events import (
    CALL,
    Acquire,
    Acquired,
    CancelUpstream,
    EndResponse,
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
from rewrite.values.outcome import Completed, Outcome, Stalled, Truncated
from rewrite.values.timeouts import Limits
from rewrite.values.timer import Timer
from tests.playbook import ANY, After, Playbook, over
from tests.rewrite.scenes import (
    ANTHROPIC,
    CHAT,
    DONE,
    JSON,
    PING,
    ROLE,
    SSE,
    TERMS,
    asked,
    block,
    call,
    calls,
    chunk,
    error_chunk,
    finishes,
    length,
    opened,
    play,
    says,
)

THINKS = chunk({"content": "", "reasoning_details": [{"type": "reasoning.encrypted", "data": "x"}]})


def waiting(playbook: Playbook) -> Playbook:
    """An answer that has begun, its first token being waited for, for 60 s."""
    playbook = playbook << Acquire(1) >> Acquired(1, "a") << OpenUpstream(1) >> UpstreamSent(1)
    return playbook << SetTimer(1, Timer.FIRST_TOKEN, 60.0) >> UpstreamStarted(1, SSE)


def fires(playbook: Playbook, seconds: float) -> Playbook:
    return playbook >> After(seconds) >> TimerFired(1, Timer.FIRST_TOKEN)


def stalled(playbook: Playbook, seconds: float) -> Playbook:
    """The attempt is given up, and another one is made."""
    outcome = Stalled(Timer.FIRST_TOKEN, seconds)
    return playbook << CancelUpstream(1) << Release(1, outcome) << Acquire(2, ANY)


def test_hidden_work_gives_the_first_token_more_time() -> None:
    conversation = waiting(play(first_token=60.0) >> Start()) >> After(30.0)
    conversation = conversation >> UpstreamData(1, ROLE + THINKS) >> After(20.0) >> UpstreamData(1, THINKS)
    conversation = fires(conversation, 10.0) << SetTimer(1, Timer.FIRST_TOKEN, 50.0)
    assert stalled(fires(conversation, 50.0), 110.0)


def test_a_stream_of_hidden_work_sets_one_timer_for_all_of_it() -> None:
    conversation = waiting(play(first_token=60.0) >> Start())
    for _ in range(59):
        conversation = conversation >> After(1.0) >> UpstreamData(1, THINKS * 10)
    conversation = fires(conversation, 1.0) << SetTimer(1, Timer.FIRST_TOKEN, 59.0)
    frames = ANY
    conversation = conversation >> After(20.0) >> UpstreamData(1, says("Hi")) << SendHeaders(1, SSE)
    assert fires(conversation << SendData(1, frames), 39.0)


@pytest.mark.parametrize("life", [ROLE, PING, b"\n"], ids="role comment blank".split())
def test_life_without_work_gives_no_time(life: bytes) -> None:
    conversation = waiting(play(first_token=60.0) >> Start()) >> After(50.0) >> UpstreamData(1, life)
    assert stalled(fires(conversation, 10.0), 60.0)


def test_hidden_work_does_not_outlast_the_client() -> None:
    conversation = waiting(play(first_token=60.0, patience=80.0) >> Start()) >> After(50.0)
    conversation = fires(conversation >> UpstreamData(1, THINKS), 10.0) << SetTimer(
        1, Timer.FIRST_TOKEN, 20.0
    )
    conversation = conversation >> UpstreamData(1, THINKS)
    assert stalled(fires(conversation, 20.0), 80.0)


def test_hidden_work_counts_after_a_released_preamble_too() -> None:
    conversation = play(first_token=60.0, hold=30.0) >> Start() << SetTimer(CALL, Timer.HOLD, 30.0)
    conversation = (
        waiting(conversation) >> UpstreamData(1, ROLE) >> After(30.0) >> TimerFired(CALL, Timer.HOLD)
    )
    conversation = conversation << SendHeaders(1, SSE) << SendData(1, ROLE) >> After(20.0)
    conversation = conversation >> UpstreamData(1, THINKS) << SendData(1, THINKS)
    assert fires(conversation, 10.0) << SetTimer(1, Timer.FIRST_TOKEN, 50.0)


# -- a floor under the throughput -----------------------------------------------------------------------

HI, LONG = says("Hi"), says("x" * 100)
SLOW = Stalled(Timer.THROUGHPUT, 10.0)
ONCE = structs.replace(TERMS, limits=Limits(max_attempts=1))
WATCHED = SetTimer(1, Timer.THROUGHPUT, 10.0)


def measured(terms: Terms = TERMS, *others: Terms, one: Call | None = None, **timing: float) -> Playbook:
    """A call whose answer has to come with 100 characters in 10 s."""
    return play(one, terms, *others, protocol=CHAT, min_throughput=10.0, **timing)


def watched(playbook: Playbook, frames: bytes = ROLE + HI) -> Playbook:
    """Something visible came, which is held."""
    return opened(playbook) >> UpstreamData(1, frames) << WATCHED


def window_ends(playbook: Playbook) -> Playbook:
    return playbook >> After(10.0) >> TimerFired(1, Timer.THROUGHPUT)


def again(playbook: Playbook, outcome: Outcome) -> Playbook:
    return playbook << CancelUpstream(1) << Release(1, outcome) << Acquire(2, ANY)


def committed(playbook: Playbook, frames: bytes) -> Playbook:
    return playbook << SendHeaders(1, SSE) << SendData(1, frames)


def test_a_slow_answer_is_asked_for_again() -> None:
    conversation = watched(measured()) >> After(5.0) >> UpstreamData(1, HI) >> After(5.0)
    assert again(conversation >> TimerFired(1, Timer.THROUGHPUT), SLOW)


def test_each_attempt_has_a_window_of_its_own() -> None:
    conversation = asked(again(window_ends(watched(measured())), SLOW), 2, "b", SSE, fresh=True)
    conversation = conversation >> UpstreamData(2, HI) << SetTimer(2, Timer.THROUGHPUT, 10.0)
    assert conversation >> UpstreamData(2, LONG) << SendHeaders(2, SSE) << SendData(2, HI + LONG)


def test_a_slow_answer_does_not_make_the_next_one_wait_longer() -> None:
    conversation = measured(first_event=30.0) >> Start() << Acquire(1) >> Acquired(1, "a") << OpenUpstream(1)
    conversation = conversation >> UpstreamSent(1) << SetTimer(1, Timer.FIRST_EVENT, 30.0)
    conversation = conversation >> UpstreamStarted(1, SSE) >> UpstreamData(1, HI) << WATCHED
    conversation = again(window_ends(conversation), SLOW) >> Acquired(2, "b") << OpenUpstream(2, fresh=True)
    assert conversation >> UpstreamSent(2) << SetTimer(2, Timer.FIRST_EVENT, 30.0)


def test_enough_at_once_commits_at_once() -> None:
    assert committed(opened(measured()) >> UpstreamData(1, ROLE + LONG), ROLE + LONG)


def test_enough_within_the_window_commits_then() -> None:
    conversation = committed(watched(measured()) >> UpstreamData(1, LONG), ROLE + HI + LONG)
    assert window_ends(conversation) >> UpstreamData(1, HI) << SendData(1, HI)


@pytest.mark.parametrize(
    "frames",
    [chunk({"reasoning_content": "x" * 100}), calls("x" * 100, "weather"), chunk({"refusal": "x" * 100})],
    ids="reasoning arguments refusal".split(),
)
def test_every_text_counts(frames: bytes) -> None:
    assert committed(opened(measured()) >> UpstreamData(1, frames), frames)


@pytest.mark.parametrize(
    ("frames", "protocol"),
    [
        (block(0, "server_tool_use", id="t", name="web_search", input={}), ANTHROPIC),
        (chunk({"audio": {"id": "a"}}), None),
    ],
    ids="hosted media".split(),
)
def test_what_is_not_to_be_made_twice_commits_at_once(frames: bytes, protocol: WireProtocol | None) -> None:
    conversation = play(protocol=protocol, min_throughput=10.0) if protocol else measured()
    assert committed(opened(conversation) >> UpstreamData(1, frames), frames)


def test_a_short_answer_that_ends_properly_is_not_slow() -> None:
    conversation = watched(measured()) >> After(3.0) >> UpstreamData(1, finishes("stop") + DONE)
    conversation = committed(conversation, ROLE + HI + finishes("stop")) << SendData(1, DONE)
    conversation = conversation << SetTimer(1, Timer.LINGER, ANY) >> UpstreamClosed(1)
    conversation = conversation << Release(1, Completed()) << Report(over("completed", "completed"))
    assert window_ends(conversation << EndResponse(1))


@pytest.mark.parametrize(
    ("terms", "one"),
    [(ONCE, None), (TERMS, replace(call(), acting=True))],
    ids="no-attempt-left acting".split(),
)
def test_a_slow_answer_is_better_than_none(terms: Terms, one: Call | None) -> None:
    conversation = committed(window_ends(watched(measured(terms, one=one))), ROLE + HI)
    assert conversation >> UpstreamData(1, HI) << SendData(1, HI)


def test_a_slow_answer_gives_way_to_the_next_target() -> None:
    conversation = window_ends(watched(measured(ONCE, TERMS))) << CancelUpstream(1)
    assert conversation << Release(1, SLOW) << Acquire(2, target=1)


def test_a_cut_of_what_is_held_is_not_seen() -> None:
    conversation = watched(measured()) >> UpstreamClosed(1, "reset")
    assert conversation << Release(1, Truncated("reset")) << Acquire(2, ANY)


def test_a_cut_of_the_last_attempt_is_ended_honestly() -> None:
    conversation = committed(watched(measured(ONCE)) >> UpstreamClosed(1, "reset"), ROLE + HI)
    conversation = conversation << SendData(1, length() + DONE) << Release(1, Truncated("reset"))
    assert conversation << Report(over("truncated", "truncated(reset)")) << EndResponse(1)


def test_what_cannot_be_framed_of_the_last_attempt_is_ended_honestly() -> None:
    """An event may be too long for the framing, where the config lets more wait than that."""
    endless = b"data: " + b"x" * (1 << 26)
    patient = structs.replace(ONCE, limits=replace(ONCE.limits, body=1 << 28))
    conversation = committed(watched(measured(patient)) >> UpstreamData(1, endless), ROLE + HI)
    conversation = conversation << SendData(1, length() + DONE) << CancelUpstream(1) << Release(1, ANY)
    assert conversation << Report(over("truncated", ANY)) << EndResponse(1)


def test_an_error_in_what_is_held_fails_the_attempt() -> None:
    conversation = watched(measured()) >> UpstreamData(1, error_chunk("m", code="invalid_api_key"))
    assert conversation << CancelUpstream(1) << Release(1, ANY) << Acquire(2, ANY, refused=frozenset("a"))


def test_what_is_held_too_long_for_a_client_goes_out() -> None:
    conversation = measured(hold=5.0) >> Start() << SetTimer(CALL, Timer.HOLD, 5.0) << Acquire(1)
    conversation = asked(conversation, 1, "a", SSE) >> UpstreamData(1, ROLE + HI) << WATCHED >> After(5.0)
    conversation = committed(conversation >> TimerFired(CALL, Timer.HOLD), ROLE + HI) >> After(5.0)
    assert conversation >> TimerFired(1, Timer.THROUGHPUT)


def test_a_token_that_is_held_has_come() -> None:
    conversation = waiting(measured(ONCE, first_token=60.0) >> Start()) >> After(55.0)
    conversation = conversation >> UpstreamData(1, HI) << WATCHED
    assert committed(fires(conversation, 5.0) >> After(5.0) >> TimerFired(1, Timer.THROUGHPUT), HI)


def test_an_error_beside_a_text_is_not_waited_for() -> None:
    soft = b'data: {"error":{"message":"m"},"choices":[{"index":0,"delta":{"content":"Hi"}}]}\n\n'
    assert committed(opened(measured()) >> UpstreamData(1, soft), soft)


def test_an_answer_that_comes_whole_is_not_measured() -> None:
    whole = b'{"choices":[{"index":0,"message":{"content":"Hi"}}]}'
    conversation = opened(measured(), head=JSON) >> UpstreamData(1, whole) >> UpstreamClosed(1)
    conversation = conversation << SendHeaders(1, JSON) << SendData(1, whole)
    assert conversation << Release(1, ANY) << Report(over("completed", "completed")) << EndResponse(1)

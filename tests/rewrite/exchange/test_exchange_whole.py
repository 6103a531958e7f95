"""Conversations: calls that are not streamed, answers of another kind than asked, and other operations."""

import pytest
from msgspec import structs

from protocols.model.call import Call, Operation
from protocols.model.http import Head
from protocols.model.wirejson import dump
from rewrite.targets.reading import NO_END
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
from rewrite.values.outcome import Completed, Kind, Rejected, Stalled, Truncated, Unreachable
from rewrite.values.timeouts import Limits
from rewrite.values.timer import Timer
from tests.playbook import ANY, After, Playbook, body_with, over, status
from tests.rewrite.scenes import (
    ANTHROPIC,
    DONE,
    HTML,
    JSON,
    ROLE,
    SSE,
    TERMS,
    asked,
    call,
    error_body,
    finishes,
    length,
    opened,
    play,
    refused,
    rotated,
    says,
)

ONCE = structs.replace(TERMS, limits=Limits(max_attempts=1))
A = frozenset({"a"})
MESSAGE = {"role": "assistant", "content": "Hi"}
CHOICES = [{"index": 0, "message": MESSAGE, "finish_reason": "stop"}]
ANSWER = dump({"id": "c1", "model": "model", "choices": CHOICES, "usage": {"prompt_tokens": 3}})
WHOLE = call(stream=False)


def completes(playbook: Playbook, attempt: int, head: Head, body: bytes) -> Playbook:
    playbook = playbook >> UpstreamClosed(attempt) << SendHeaders(attempt, head) << SendData(attempt, body)
    return playbook << Release(attempt, Completed()) << Report(ANY) << EndResponse(attempt)


def faults(playbook: Playbook, attempt: int, code: int, *words: str) -> Playbook:
    playbook = playbook << SendHeaders(attempt, status(code, x_should_retry="false"))
    playbook = playbook << SendData(attempt, body_with('"error"', *words))
    return playbook << Report(ANY) << EndResponse(attempt)


def test_a_whole_answer_passes_when_it_is_whole() -> None:
    conversation = (
        opened(play(WHOLE), head=JSON) >> UpstreamData(1, ANSWER[:9]) >> UpstreamData(1, ANSWER[9:])
    )
    assert completes(conversation, 1, JSON, ANSWER)


def test_its_only_timer_is_the_response_timeout_and_that_is_not_retried() -> None:
    timers = play(WHOLE, hold=9.0, first_event=9.0, first_token=9.0, stall=9.0, response=100.0)
    conversation = timers >> Start() << Acquire(1) >> Acquired(1, "a") << OpenUpstream(1) >> UpstreamSent(1)
    conversation = conversation << SetTimer(1, Timer.RESPONSE, 100.0) >> UpstreamStarted(1, JSON)
    conversation = (
        conversation >> UpstreamData(1, ANSWER[:9]) >> After(100.0) >> TimerFired(1, Timer.RESPONSE)
    )
    conversation = conversation << CancelUpstream(1) << Release(1, Stalled(Timer.RESPONSE, 100.0))
    assert faults(conversation, 1, 504, "within 100 s")


@pytest.mark.parametrize("body", [ANSWER[:-1], ANSWER[: len(ANSWER) // 2], b""])
def test_a_cut_answer_is_retried(body: bytes) -> None:
    conversation = opened(play(WHOLE), head=JSON) >> UpstreamData(1, body) >> UpstreamClosed(1, "reset")
    conversation = conversation << Release(1, Truncated("reset")) << Acquire(2, A)
    conversation = asked(conversation, 2, "b", JSON, fresh=True) >> UpstreamData(2, ANSWER)
    assert completes(conversation, 2, JSON, ANSWER)


def test_an_answer_that_is_always_cut_is_a_502() -> None:
    conversation = opened(play(WHOLE, ONCE), head=JSON) >> UpstreamData(1, ANSWER[:-1])
    assert faults(conversation >> UpstreamClosed(1, "reset") << Release(1, ANY), 1, 502, "reset")


@pytest.mark.parametrize("stream", [True, False], ids=["stream", "whole"])
def test_half_of_an_answer_is_cut_though_its_message_ended(stream: bool) -> None:
    conversation = opened(play(call(stream=stream), ONCE), head=JSON) >> UpstreamData(1, ANSWER[:-1])
    conversation = conversation >> UpstreamClosed(1) << Release(1, Truncated(NO_END))
    assert faults(conversation, 1, 502, NO_END)


def test_a_whole_answer_to_a_stream_passes_as_it_is() -> None:
    assert completes(opened(play(), head=JSON) >> UpstreamData(1, ANSWER), 1, JSON, ANSWER)


@pytest.mark.parametrize("body", [b"{}", b"[]", b' {"odd": 1}\n'])
def test_json_that_we_do_not_know_passes_where_no_attempt_is_left(body: bytes) -> None:
    conversation = opened(play(WHOLE, ONCE), head=JSON) >> UpstreamData(1, body) >> UpstreamClosed(1)
    conversation = conversation << Release(1, Rejected(200, Kind.FOREIGN, ANY, None, ANY))
    conversation = conversation << SendHeaders(1, JSON) << SendData(1, body)
    assert conversation << Report(over("rejected", "rejected(200 foreign)")) << EndResponse(1)


def test_a_stream_to_a_call_that_was_not_streamed_passes_and_ends_honestly() -> None:
    conversation = opened(play(WHOLE)) >> UpstreamData(1, ROLE + says("Hi")) << SendHeaders(1, SSE)
    conversation = conversation << SendData(1, ROLE + says("Hi")) >> UpstreamClosed(1)
    conversation = conversation << SendData(1, length() + DONE) << Release(1, ANY)
    assert conversation << Report(over("truncated", ANY_CUT)) << EndResponse(1)


ANY_CUT = "truncated(ended without a final event)"


def test_a_stream_to_a_call_that_was_not_streamed_gets_the_last_frame_that_it_lacks() -> None:
    data = says("Hi") + finishes("stop")
    conversation = opened(play(WHOLE)) >> UpstreamData(1, data) << SendHeaders(1, SSE)
    conversation = conversation << SendData(1, says("Hi")) << SendData(1, finishes("stop"))
    conversation = conversation >> UpstreamClosed(1) << SendData(1, DONE) << Release(1, Completed())
    assert conversation << Report(over("completed", "completed")) << EndResponse(1)


def test_a_stream_to_a_call_that_was_not_streamed_is_watched_for_a_stall() -> None:
    conversation = play(WHOLE, stall=30.0) >> Start() << Acquire(1)
    conversation = asked(conversation, 1, "a", SSE) >> UpstreamData(1, says("Hi")) << SendHeaders(1, SSE)
    conversation = conversation << SendData(1, says("Hi")) << SetTimer(1, Timer.STALL, 30.0) >> After(30.0)
    conversation = conversation >> TimerFired(1, Timer.STALL) << SendData(1, length() + DONE)
    conversation = conversation << CancelUpstream(1) << Release(1, Stalled(Timer.STALL, 30.0))
    assert conversation << Report(over("truncated", "stalled(stall 30.0s)")) << EndResponse(1)


def asked_for_a_stream(head: Head) -> Playbook:
    """A streamed call, with every timer, up to the headers of its answer."""
    conversation = play(first_token=60.0, stall=30.0, response=100.0, hold=50.0) >> Start()
    conversation = conversation << SetTimer(CALL, Timer.HOLD, 50.0) << Acquire(1)
    conversation = conversation >> Acquired(1, "a") << OpenUpstream(1) >> UpstreamSent(1)
    return conversation << SetTimer(1, Timer.FIRST_TOKEN, 60.0) >> UpstreamStarted(1, head)


def test_a_whole_answer_to_a_stream_has_the_time_of_a_response_and_no_stall() -> None:
    conversation = (
        asked_for_a_stream(JSON) << SetTimer(1, Timer.RESPONSE, 100.0) >> UpstreamData(1, ANSWER[:9])
    )
    conversation = (
        conversation >> After(60.0) >> TimerFired(1, Timer.FIRST_TOKEN) >> UpstreamData(1, ANSWER[9:])
    )
    assert completes(conversation, 1, JSON, ANSWER)


@pytest.mark.parametrize("body", [b"<html>busy</html>", b'{"odd":1}'], ids=["html", "odd"])
def test_what_is_no_answer_is_not_committed_when_the_hold_is_over(body: bytes) -> None:
    conversation = asked_for_a_stream(HTML) << SetTimer(1, Timer.RESPONSE, 100.0) >> UpstreamData(1, body)
    conversation = conversation >> After(50.0) >> TimerFired(CALL, Timer.HOLD) >> UpstreamClosed(1)
    conversation = conversation << Release(1, Rejected(200, Kind.FOREIGN, ANY, None, ANY))
    assert conversation << SetTimer(2, Timer.BACKOFF, 0.5)


def test_an_error_inside_a_200_is_a_rejection() -> None:
    body = error_body("slow", "rate_limit", "rate_limit_error")
    conversation = opened(play(WHOLE), head=JSON) >> UpstreamData(1, body) >> UpstreamClosed(1)
    conversation = conversation << Release(1, Rejected(429, Kind.RATE, "slow", None, ANY))
    assert conversation << rotated(2, resting="a")


@pytest.mark.parametrize("reason", ["refusal", "max_tokens", "end_turn"])
def test_an_empty_message_passes_in_one_attempt(reason: str) -> None:
    body = dump({"type": "message", "id": "m1", "content": [], "stop_reason": reason})
    one = call(ANTHROPIC, stream=False)
    conversation = opened(play(one, protocol=ANTHROPIC), head=JSON) >> UpstreamData(1, body)
    assert completes(conversation, 1, JSON, body)


# -- other operations -----------------------------------------------------------------------------------

COUNT = Call("call", "anthropic_messages", Operation.COUNT_TOKENS, "model", False, ())


def test_counting_tokens_rotates_on_a_rejection_of_the_key() -> None:
    conversation = opened(play(COUNT, protocol=ANTHROPIC), head=refused(429)) >> UpstreamClosed(1)
    conversation = conversation << Release(1, ANY) << rotated(2, resting="a")
    conversation = asked(conversation, 2, "b", JSON) >> UpstreamData(2, b'{"input_tokens":5}')
    assert completes(conversation, 2, JSON, b'{"input_tokens":5}')


def test_counting_tokens_is_not_retried_on_a_server_fault() -> None:
    conversation = opened(play(COUNT, protocol=ANTHROPIC), head=refused(500)) >> UpstreamClosed(1)
    conversation = conversation << Release(1, ANY) << SendHeaders(1, refused(500))
    assert conversation << Report(ANY) << EndResponse(1)


def test_counting_tokens_is_retried_while_the_provider_is_away() -> None:
    conversation = play(COUNT, protocol=ANTHROPIC) >> Start() << Acquire(1)
    for attempt, delay in enumerate((0.5, 1.0, 2.0, 4.0), start=1):
        conversation = conversation >> Acquired(attempt, "a") << OpenUpstream(attempt, fresh=attempt > 1)
        conversation = conversation >> UpstreamClosed(attempt, "refused", connected=False)
        conversation = conversation << Release(attempt, Unreachable("refused", connected=False))
        conversation = conversation << SetTimer(attempt + 1, Timer.BACKOFF, delay) >> After(delay)
        conversation = (
            conversation >> TimerFired(attempt + 1, Timer.BACKOFF) << Acquire(attempt + 1, prefer="a")
        )
    conversation = asked(conversation, 5, "a", JSON, fresh=True) >> UpstreamData(5, b'{"input_tokens":5}')
    assert completes(conversation, 5, JSON, b'{"input_tokens":5}')


def test_counting_tokens_is_retried_once_when_unreachable() -> None:
    conversation = play(COUNT, protocol=ANTHROPIC) >> Start() << Acquire(1) >> Acquired(1, "a")
    conversation = conversation << OpenUpstream(1) >> UpstreamClosed(1, "reset") << Release(1, ANY)
    conversation = conversation << SetTimer(2, Timer.BACKOFF, 0.5) >> TimerFired(2, Timer.BACKOFF)
    conversation = conversation << Acquire(2, prefer="a") >> Acquired(2, "a") << OpenUpstream(2, fresh=True)
    conversation = conversation >> UpstreamSent(2)
    assert faults(conversation >> UpstreamClosed(2, "reset") << Release(2, ANY), 2, 502, "reset")

"""Conversations: a call that its client wants whole and that is streamed upstream, unseen."""

from collections.abc import Mapping
from dataclasses import replace
from typing import Any

import pytest
from msgspec import structs

from protocols.model.call import Call, Operation, Reply
from protocols.model.http import Head
from protocols.model.wirejson import dump, load_object
from rewrite.catalog.providers import Provider
from rewrite.catalog.routes import Route
from rewrite.targets.target import Target, target_of
from rewrite.values.events import (
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
from rewrite.values.outcome import Completed, Kind, Rejected, Stalled, Truncated
from rewrite.values.timeouts import Limits, OnTruncation
from rewrite.values.timer import Timer
from tests.playbook import ANY, After, Playbook, body_with, over, status
from tests.rewrite.asks import wanted
from tests.rewrite.scenes import (
    ANTHROPIC,
    CHAT,
    DONE,
    FACTS,
    JSON,
    MESSAGE,
    MESSAGE_STOP,
    PING,
    ROLE,
    SSE,
    TERMS,
    asked,
    block,
    calls,
    chunk,
    delta,
    ending,
    error_chunk,
    finishes,
    no_other,
    play,
    rotated,
    says,
    stop,
)

PROVIDER = Provider("vendor", "https://v", ("v",), ("openai_chat", "anthropic_messages"), errors=FACTS)
BODY = {"model": "model", "messages": [{"role": "user", "content": "Hi"}]}
ASKED = Call("call", "openai_chat", Operation.GENERATE, "model", False, (), BODY)
A = frozenset({"a"})
THINKS = chunk({"content": "", "reasoning_details": [{"type": "reasoning.encrypted", "data": "x"}]})


def target(
    protocol: str = "openai_chat", *, streams: bool = True, call: Call = ASKED, **fields: Any
) -> Target:
    route = Route(replace(PROVIDER, streams=streams), protocol, "model", True)
    want = wanted(route, (), Reply("rot1", "model", 7), force_stream=True)
    return replace(target_of(call, CHAT, want), terms=structs.replace(TERMS, **fields))


ONCE = Limits(max_attempts=1)


def opened(one: Target, head: Head = SSE, call: Call = ASKED) -> Playbook:
    return asked(play(call, one) >> Start() << Acquire(1), 1, "a", head)


class Whole:
    """Equal to the bytes of a completion that says `text`, and ends as `reason`."""

    def __init__(self, text: str | None, reason: str, tools: int = 0) -> None:
        self.summed_up = (text, reason, tools)

    def __eq__(self, other: object) -> bool:
        body = load_object(other) if isinstance(other, bytes) else None
        return body is not None and self.summed_up == summed_up(body)

    def __hash__(self) -> int:
        return hash(self.summed_up)

    def __repr__(self) -> str:
        return f"Whole{self.summed_up}"


def summed_up(body: Mapping[str, Any]) -> tuple[str | None, str, int]:
    (choice,) = body["choices"]
    message = choice["message"]
    return message["content"], choice["finish_reason"], len(message.get("tool_calls", ()))


def answers(conversation: Playbook, attempt: int, whole: Whole) -> Playbook:
    conversation = conversation << SendHeaders(attempt, JSON) << SendData(attempt, whole)  # type: ignore[arg-type]
    return conversation << SetTimer(attempt, Timer.LINGER, 5.0)


def completes(conversation: Playbook, attempt: int) -> Playbook:
    conversation = conversation >> UpstreamClosed(attempt) << Release(attempt, Completed())
    return conversation << Report(ANY) << EndResponse(attempt)


@pytest.mark.parametrize("protocol", ["openai_chat", "anthropic_messages"])
def test_how_it_is_asked(protocol: str) -> None:
    one = target(protocol)
    assert one.rendered is not None
    assert (one.call.stream, one.rendered.body["stream"], one.untouched) == (True, True, False)


def test_the_whole_answer_comes_with_the_last_frame() -> None:
    conversation = opened(target()) >> UpstreamData(1, ROLE + says("Hel")) >> UpstreamData(1, says("lo"))
    conversation = answers(
        conversation >> UpstreamData(1, finishes("stop") + DONE), 1, Whole("Hello", "stop")
    )
    assert completes(conversation, 1)


def test_without_a_last_frame_it_comes_at_the_end_of_input() -> None:
    conversation = opened(target()) >> UpstreamData(1, says("Hi") + finishes("stop")) >> UpstreamClosed(1)
    conversation = answers(conversation, 1, Whole("Hi", "stop")) << Release(1, Completed())
    assert conversation << Report(over("completed", "completed")) << EndResponse(1)


def test_it_is_watched_like_a_stream_and_no_longer_than_an_answer() -> None:
    conversation = (
        play(ASKED, target(), first_event=5.0, first_token=9.0, stall=30.0, response=100.0, hold=3.0)
        >> Start()
        << Acquire(1)
        >> Acquired(1, "a")
    )
    conversation = conversation << OpenUpstream(1) >> UpstreamSent(1) << SetTimer(1, Timer.FIRST_EVENT, 5.0)
    conversation = conversation << SetTimer(1, Timer.FIRST_TOKEN, 9.0) << SetTimer(1, Timer.RESPONSE, 100.0)
    conversation = conversation >> UpstreamStarted(1, SSE) >> UpstreamData(1, ROLE) >> After(9.0)
    conversation = conversation >> TimerFired(1, Timer.FIRST_TOKEN) << CancelUpstream(1)
    assert conversation << Release(1, Stalled(Timer.FIRST_TOKEN, 9.0)) << Acquire(2, A)


def test_hidden_work_gives_the_first_token_its_whole_time_anew() -> None:
    conversation = play(ASKED, target(), first_token=9.0) >> Start() << Acquire(1) >> Acquired(1, "a")
    conversation = conversation << OpenUpstream(1) >> UpstreamSent(1) << SetTimer(1, Timer.FIRST_TOKEN, 9.0)
    conversation = conversation >> UpstreamStarted(1, SSE) >> After(5.0) >> UpstreamData(1, THINKS)
    conversation = conversation >> After(4.0) >> TimerFired(1, Timer.FIRST_TOKEN)
    assert conversation << SetTimer(1, Timer.FIRST_TOKEN, 5.0)


def stalled_midway() -> Playbook:
    """Up to the moment at which a stream has been silent for too long after its first words."""
    conversation = opened_with(stall=30.0) >> UpstreamData(1, says("Hel")) << SetTimer(1, Timer.STALL, 30.0)
    conversation = conversation >> After(20.0) >> UpstreamData(1, says("l")) >> After(10.0)
    conversation = conversation >> TimerFired(1, Timer.STALL) << SetTimer(1, Timer.STALL, 20.0) >> After(20.0)
    conversation = conversation >> UpstreamData(1, PING) >> TimerFired(1, Timer.STALL) << CancelUpstream(1)
    return conversation << Release(1, Stalled(Timer.STALL, 30.0))


def opened_with(stall: float) -> Playbook:
    return asked(play(ASKED, target(), stall=stall) >> Start() << Acquire(1), 1, "a", SSE)


def test_a_stall_in_the_middle_is_retried_unseen() -> None:
    conversation = asked(stalled_midway() << Acquire(2, A), 2, "b", SSE, fresh=True)
    conversation = conversation >> UpstreamData(2, says("Hello")) << SetTimer(2, Timer.STALL, 30.0)
    conversation = answers(
        conversation >> UpstreamData(2, finishes("stop") + DONE), 2, Whole("Hello", "stop")
    )
    assert completes(conversation, 2)


def test_the_timer_of_the_first_token_means_nothing_once_there_is_one() -> None:
    conversation = opened_with(stall=30.0) >> UpstreamData(1, says("Hi")) << SetTimer(1, Timer.STALL, 30.0)
    conversation = conversation >> After(20.0) >> TimerFired(1, Timer.FIRST_TOKEN)
    assert answers(conversation >> UpstreamData(1, finishes("stop") + DONE), 1, Whole("Hi", "stop"))


def test_a_silence_after_the_end_is_the_end() -> None:
    conversation = opened_with(stall=30.0) >> UpstreamData(1, says("Hi") + finishes("stop"))
    conversation = conversation << SetTimer(1, Timer.STALL, 30.0) >> After(30.0) >> TimerFired(1, Timer.STALL)
    conversation = answers(conversation, 1, Whole("Hi", "stop"))
    conversation = conversation << CancelUpstream(1) << Release(1, Completed())
    assert conversation << Report(over("completed", "completed")) << EndResponse(1)


@pytest.mark.parametrize("cause", [None, "reset"])
def test_a_cut_is_retried(cause: str | None) -> None:
    conversation = opened(target()) >> UpstreamData(1, ROLE + says("Hel")) >> UpstreamClosed(1, cause)
    conversation = conversation << Release(1, Truncated(cause or ANY)) << Acquire(2, A)
    conversation = asked(conversation, 2, "b", SSE, fresh=True)
    conversation = conversation >> UpstreamData(2, says("Hello") + finishes("stop") + DONE)
    assert completes(answers(conversation, 2, Whole("Hello", "stop")), 2)


def cut_for_good(data: bytes, **fields: Any) -> Playbook:
    conversation = opened(target(limits=ONCE, **fields)) >> UpstreamData(1, data)
    conversation = conversation >> UpstreamClosed(1, "reset")
    return conversation << Release(1, Truncated("reset"))


@pytest.mark.parametrize(
    ("data", "whole"),
    [
        (ROLE + says("Hel"), Whole("Hel", "length")),
        (says("Hel") + calls('{"x', "f"), Whole("Hel", "length")),
        (says("Hel") + calls("{}", "f"), Whole("Hel", "length", 1)),
        (says("Hel") + finishes("stop") + chunk({"content": "x"}, 1), ANY),
    ],
    ids=["text", "half a call", "a call", "two choices"],
)
def test_what_came_of_one_that_is_always_cut_ends_as_length(data: bytes, whole: Whole) -> None:
    conversation = cut_for_good(data) << SendHeaders(1, JSON) << SendData(1, whole)  # type: ignore[arg-type]
    assert conversation << Report(over("truncated", "truncated(reset)")) << EndResponse(1)


@pytest.mark.parametrize(
    ("data", "mode"),
    [
        (ROLE, OnTruncation.AUTO),
        (chunk({"reasoning_content": "hm"}), OnTruncation.AUTO),
        (calls('{"x', "f"), OnTruncation.AUTO),
        (says("Hel"), OnTruncation.ERROR),
    ],
    ids=["nothing", "thoughts", "half a call", "held"],
)
def test_where_nothing_is_to_be_reported_it_is_a_502(data: bytes, mode: OnTruncation) -> None:
    conversation = cut_for_good(data, on_truncation=mode) << SendHeaders(
        1, status(502, x_should_retry="false")
    )
    conversation = conversation << SendData(1, body_with("reset"))
    assert conversation << Report(ANY) << EndResponse(1)


def test_an_error_in_the_stream_is_reported_by_its_status() -> None:
    conversation = opened(target(limits=ONCE)) >> UpstreamData(
        1, says("Hel") + error_chunk("busy", type="overloaded_error")
    )
    conversation = (
        conversation << CancelUpstream(1) << Release(1, Rejected(ANY, Kind.SERVER, "busy", None, ANY))
    )
    conversation = no_other(conversation, 2, "a") << SendHeaders(2, status(500))
    assert conversation << SendData(2, body_with('"error"', "busy")) << Report(ANY) << EndResponse(2)


def test_a_key_that_is_rate_limited_inside_the_stream_is_changed() -> None:
    conversation = opened(target()) >> UpstreamData(1, error_chunk("slow", type="rate_limit_error"))
    conversation = (
        conversation << CancelUpstream(1) << Release(1, Rejected(429, Kind.RATE, "slow", None, ANY))
    )
    assert conversation << rotated(2, resting="a")


def test_a_provider_that_answers_whole_all_the_same_is_passed_on() -> None:
    body = b'{"id": "c1", "choices": [{"index": 0, "message": {"content": "Hi"}, "finish_reason": "stop"}]}'
    conversation = opened(target(), JSON) >> UpstreamData(1, body) >> UpstreamClosed(1)
    conversation = conversation << SendHeaders(1, JSON) << SendData(1, body) << Release(1, Completed())
    assert conversation << Report(ANY) << EndResponse(1)


def test_a_choice_that_never_began_is_missing() -> None:
    two = replace(ASKED, body={**ASKED.body, "n": 2})
    conversation = opened(target(call=two), call=two) >> UpstreamData(1, says("Hi") + finishes("stop"))
    conversation = conversation >> UpstreamClosed(1, "reset") << Release(1, Truncated("reset"))
    assert conversation << Acquire(2, A)


# -- the other way: a provider that cannot stream -----------------------------------------------------

STREAMED = replace(ASKED, stream=True, body={**ASKED.body, "stream": True})


def test_a_provider_that_cannot_stream_has_the_time_of_an_answer() -> None:
    one = target(streams=False, call=STREAMED)
    conversation = play(STREAMED, one, first_event=5.0, first_token=9.0, response=100.0) >> Start()
    conversation = conversation << Acquire(1) >> Acquired(1, "a") << OpenUpstream(1) >> UpstreamSent(1)
    conversation = conversation << SetTimer(1, Timer.RESPONSE, 100.0) >> UpstreamStarted(1, JSON)
    choices = [{"index": 0, "message": {"content": "Hi"}, "finish_reason": "stop"}]
    body = dump({"id": "x-1", "model": "m", "choices": choices})
    conversation = conversation >> UpstreamData(1, body) >> UpstreamClosed(1)
    conversation = (
        conversation << SendHeaders(1, SSE) << SendData(1, body_with('"id":"x-1"', '"Hi"', "[DONE]"))
    )
    conversation = conversation << SetTimer(1, Timer.LINGER, 5.0) << Release(1, Completed())
    assert conversation << Report(over("completed", "completed")) << EndResponse(1)


@pytest.mark.parametrize(
    ("force", "streams", "stream", "turned"),
    [
        (True, True, False, True),
        (True, True, True, None),
        (False, True, False, None),
        (True, False, False, None),
        (False, False, True, False),
        (False, False, False, None),
    ],
)
def test_which_calls_are_asked_the_other_way(
    force: bool, streams: bool, stream: bool, turned: bool | None
) -> None:
    call = STREAMED if stream else ASKED
    want = wanted(
        Route(replace(PROVIDER, streams=streams), "openai_chat", "model", True),
        (),
        Reply("rot1", "model", 7),
        force_stream=force,
    )
    one = target_of(call, CHAT, want)
    assert (one.other_mode is not None, one.rendered is not None) == (turned is not None,) * 2
    assert one.call.stream == (stream if turned is None else turned)


@pytest.mark.parametrize(
    "call",
    [
        replace(ASKED, operation=Operation.EMBEDDINGS),
        replace(ASKED, background=True),
        replace(ASKED, body={}),
    ],
    ids=["embeddings", "background", "no body"],
)
def test_what_is_never_asked_the_other_way(call: Call) -> None:
    want = wanted(Route(PROVIDER, "openai_chat", "model", True), (), Reply("r", "m", 7), force_stream=True)
    assert target_of(call, CHAT, want).rendered is None


def test_across_protocols_the_upstream_stream_is_gathered_too() -> None:
    one = target("anthropic_messages")
    reading = one.reading(SSE)
    assert one.protocol is ANTHROPIC
    assert (reading.gathering is not None, reading.streamed, reading.head.headers[0]) == (
        True,
        False,
        ("content-type", "application/json"),
    )


ACROSS = MESSAGE + block(0, "text", text="") + delta(0, type="text_delta", text="Hel")
TOOL = block(1, "tool_use", id="t", name="f", input={}) + delta(
    1, type="input_json_delta", partial_json='{"x'
)


def test_across_protocols_it_comes_with_the_last_frame_too() -> None:
    conversation = opened(target("anthropic_messages")) >> UpstreamData(1, ACROSS + stop(0))
    conversation = conversation >> UpstreamData(1, ending("end_turn") + MESSAGE_STOP)
    assert completes(answers(conversation, 1, Whole("Hel", "stop")), 1)


@pytest.mark.parametrize("data", [ACROSS, ACROSS + stop(0) + TOOL], ids=["text", "half a call"])
def test_across_protocols_a_cut_ends_as_length_too(data: bytes) -> None:
    conversation = opened(target("anthropic_messages", limits=ONCE)) >> UpstreamData(1, data)
    conversation = conversation >> UpstreamClosed(1, "reset") << Release(1, Truncated("reset"))
    conversation = conversation << SendHeaders(1, JSON)
    conversation = conversation << SendData(1, Whole("Hel", "length"))  # type: ignore[arg-type]
    assert conversation << Report(over("truncated", "truncated(reset)")) << EndResponse(1)

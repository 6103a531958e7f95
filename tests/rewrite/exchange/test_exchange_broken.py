"""Conversations: answers that break in odd ways: begun again, without a choice, impossible to frame."""

from collections.abc import Mapping
from dataclasses import replace

import pytest
from msgspec import structs

from rewrite.values.events import (
    Acquire,
    CancelUpstream,
    ClientGone,
    EndResponse,
    Release,
    Report,
    SendData,
    SendHeaders,
    SetTimer,
    TimerFired,
    UpstreamClosed,
    UpstreamData,
)
from rewrite.values.outcome import Truncated
from rewrite.values.timeouts import OnTruncation
from rewrite.values.timer import Timer
from tests.playbook import ANY, After, Playbook, body_with, over
from tests.rewrite.scenes import (
    ANTHROPIC,
    DONE,
    MESSAGE,
    MESSAGE_STOP,
    ROLE,
    SSE,
    TERMS,
    block,
    call,
    delta,
    ending,
    finishes,
    length,
    opened,
    play,
    says,
    stop,
)

RESET = "connection reset"


def sent(playbook: Playbook, data: bytes) -> Playbook:
    return playbook >> UpstreamData(1, data) << SendHeaders(1, SSE) << SendData(1, data)


def ends(playbook: Playbook, end: str, outcome: str) -> Playbook:
    return playbook << Release(1, ANY) << Report(over(end, outcome)) << EndResponse(1)


# -- an answer that begins again ------------------------------------------------------------------------

CALL_BEGINS = block(0, "tool_use", id="t1", name="weather", input={})
HALF_CALL = CALL_BEGINS + delta(0, type="input_json_delta", partial_json='{"city')
WHOLE_CALL = HALF_CALL + delta(0, type="input_json_delta", partial_json='": 1}') + stop(0)
TEXT_BEGINS = block(0, "text", text="Hello")


def again(before: bytes, after: bytes, mode: OnTruncation = OnTruncation.AUTO) -> Playbook:
    """A message that begins again after `before`."""
    playbook = opened(play(protocol=ANTHROPIC, terms=structs.replace(TERMS, on_truncation=mode)))
    playbook = sent(playbook, MESSAGE + before)
    return playbook >> UpstreamData(1, MESSAGE + after) << SendData(1, MESSAGE + after)


@pytest.mark.parametrize("after", [b"", TEXT_BEGINS, TEXT_BEGINS + stop(0), WHOLE_CALL])
def test_a_call_that_was_torn_is_a_cut_call_where_no_proper_end_follows(after: bytes) -> None:
    conversation = again(CALL_BEGINS, after) >> UpstreamClosed(1, RESET)
    conversation = conversation << SendData(1, body_with('"error"', "weather", "do not run"))
    assert ends(conversation, "failed", f"truncated({RESET})")


def test_an_answer_that_began_anew_and_ends_properly_passes_untouched() -> None:
    conversation = again(CALL_BEGINS, WHOLE_CALL) >> UpstreamData(1, ending("tool_use") + MESSAGE_STOP)
    conversation = (
        conversation << SendData(1, ending("tool_use") + MESSAGE_STOP) << SetTimer(1, Timer.LINGER, ANY)
    )
    assert ends(conversation >> UpstreamClosed(1), "completed", "completed")


def test_a_text_that_was_torn_stops_and_ends_with_max_tokens() -> None:
    conversation = again(TEXT_BEGINS, b"") >> UpstreamClosed(1, RESET)
    conversation = conversation << SendData(1, stop(0) + ending("max_tokens", 2) + MESSAGE_STOP)
    assert ends(conversation, "truncated", f"truncated({RESET})")


def test_a_block_that_the_second_answer_stopped_is_not_stopped_again() -> None:
    conversation = again(CALL_BEGINS, WHOLE_CALL, OnTruncation.REPAIR) >> UpstreamClosed(1, RESET)
    conversation = conversation << SendData(1, ending("max_tokens", 3) + MESSAGE_STOP)
    assert ends(conversation, "truncated", f"truncated({RESET})")


# -- choices that never began ---------------------------------------------------------------------------


def choices(body: Mapping[str, object]) -> Playbook:
    """The first of several choices is said and done."""
    conversation = sent(opened(play(replace(call(), body=body), stall=0.0)), says("one"))
    return conversation >> UpstreamData(1, finishes("stop")) << SendData(1, finishes("stop"))


def test_a_choice_that_never_began_is_cut_where_the_connection_broke() -> None:
    conversation = choices({"n": 2}) >> UpstreamClosed(1, RESET) << SendData(1, length(1) + DONE)
    assert ends(conversation, "truncated", f"truncated({RESET})")


@pytest.mark.parametrize("body", [{}, {"n": 1}])
def test_one_choice_is_all_where_no_more_were_asked_for(body: Mapping[str, object]) -> None:
    conversation = choices(body) >> UpstreamClosed(1, RESET) << SendData(1, DONE)
    assert ends(conversation, "completed", "completed")


def test_a_choice_that_never_began_is_not_missed_after_a_proper_end() -> None:
    assert ends(choices({"n": 2}) >> UpstreamClosed(1) << SendData(1, DONE), "completed", "completed")
    gone = choices({"n": 2}) >> ClientGone() << SendData(1, DONE) << CancelUpstream(1)
    assert ends(gone, "completed", "completed")


def test_a_choice_that_never_began_is_cut_where_the_stream_fell_silent() -> None:
    conversation = opened(play(replace(call(), body={"n": 2}), stall=30.0)) >> UpstreamData(1, says("one"))
    conversation = conversation << SendHeaders(1, SSE) << SendData(1, says("one"))
    conversation = conversation << SetTimer(1, Timer.STALL, 30.0) >> UpstreamData(1, finishes("stop"))
    conversation = conversation << SendData(1, finishes("stop")) >> After(30.0) >> TimerFired(1, Timer.STALL)
    conversation = conversation << SendData(1, length(1) + DONE) << CancelUpstream(1)
    assert ends(conversation, "truncated", "stalled(stall 30.0s)")


# -- what cannot be framed ------------------------------------------------------------------------------


@pytest.fixture
def short_frames(monkeypatch: pytest.MonkeyPatch) -> str:
    """No event may have more than 1000 bytes; why one that has cannot be framed."""
    monkeypatch.setattr("protocols.framing.sse.LONGEST_EVENT", 1000)
    return "an event of more than 1000 bytes"


ENDLESS = b"data: " + b"x" * 2000


def test_a_frame_without_an_end_is_a_cut_before_the_commit_point(short_frames: str) -> None:
    conversation = opened(play()) >> UpstreamData(1, ROLE) >> UpstreamData(1, ENDLESS) << CancelUpstream(1)
    assert conversation << Release(1, Truncated(short_frames)) << Acquire(2, frozenset("a"))


def test_a_frame_without_an_end_is_a_cut_after_the_commit_point(short_frames: str) -> None:
    conversation = sent(opened(play()), says("Hi")) >> UpstreamData(1, ENDLESS)
    conversation = conversation << SendData(1, length() + DONE) << CancelUpstream(1)
    assert ends(conversation, "truncated", f"truncated({short_frames})")

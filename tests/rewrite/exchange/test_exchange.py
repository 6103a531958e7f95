"""Conversations: what reaches the client and when, from the first frame to the end of the answer."""

from dataclasses import replace

import pytest
from msgspec import structs

from protocols.base import WireProtocol
from protocols.model.call import Call
from protocols.model.prompt import Prompt
from protocols.openai_chat import OpenAIChat
from rewrite.exchange.delivery import LINGER
from rewrite.exchange.exchange import State
from rewrite.targets.reading import NO_END
from rewrite.values.events import (
    CALL,
    Acquire,
    Acquired,
    CancelUpstream,
    ClientDrained,
    ClientGone,
    EndResponse,
    Event,
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
from rewrite.values.outcome import Abandoned, Completed, Kind, Stalled, Truncated
from rewrite.values.timeouts import OnTruncation
from rewrite.values.timer import Timer
from tests.playbook import ANY, After, Playbook, body_with, over
from tests.rewrite.scenes import (
    ANTHROPIC,
    CHAT,
    DONE,
    EMPTY_REASONING,
    MESSAGE,
    MESSAGE_PING,
    MESSAGE_STOP,
    PING,
    ROLE,
    SSE,
    TERMS,
    USAGE,
    asked,
    block,
    calls,
    chunk,
    delta,
    ending,
    error_chunk,
    event,
    finishes,
    length,
    message_error,
    no_other,
    opened,
    play,
    says,
    stop,
)

RESET = "connection reset"
CUT = Truncated(RESET)
LINGERS = SetTimer(1, Timer.LINGER, LINGER)


def sent(playbook: Playbook, data: bytes) -> Playbook:
    """The first frames of an answer come, commit it, and pass to the client."""
    return playbook >> UpstreamData(1, data) << SendHeaders(1, SSE) << SendData(1, data)


def ends(playbook: Playbook, end: str, outcome: str) -> Playbook:
    """The one attempt is released, the call reported and the answer closed."""
    return playbook << Release(1, ANY) << Report(over(end, outcome)) << EndResponse(1)


# -- the commit point -----------------------------------------------------------------------------------


def test_a_stream_passes_byte_for_byte() -> None:
    conversation = (
        opened(play())
        >> UpstreamData(1, ROLE)
        >> UpstreamData(1, says("Hi"))
        << SendHeaders(1, SSE)
        << SendData(1, ROLE + says("Hi"))
        >> UpstreamData(1, says(" you"))
        << SendData(1, says(" you"))
        >> UpstreamData(1, finishes("stop") + USAGE + DONE)
        << SendData(1, finishes("stop") + USAGE + DONE)
        << LINGERS
        >> UpstreamClosed(1)
        << Release(1, Completed())
        << Report(over("completed", "completed"))
        << EndResponse(1)
    )
    assert conversation


class PromptRead(Exception):
    """The whole prompt was read."""


def never(call: Call) -> Prompt:
    raise PromptRead


class Unread(OpenAIChat):
    """A protocol whose prompts nobody may read."""

    translator = replace(OpenAIChat.translator, read_request=never)


def test_an_answer_that_is_complete_does_not_read_the_prompt_again() -> None:
    conversation = sent(opened(play(protocol=Unread())), says("Hi"))
    conversation = conversation >> UpstreamData(1, DONE) << SendData(1, DONE) << LINGERS
    assert ends(conversation >> UpstreamClosed(1), "completed", "completed")


@pytest.mark.parametrize(
    "last",
    [finishes("stop"), DONE, error_chunk("busy", type="server_error")],
    ids="finish done error".split(),
)
def test_neither_does_one_that_upstream_closes_or_breaks_off_after_its_last_frame(last: bytes) -> None:
    for cause in (None, "reset"):
        conversation = sent(opened(play(protocol=Unread())), says("Hi"))
        conversation.exchange.handle(UpstreamData(1, last), 0.0)
        conversation.exchange.handle(UpstreamClosed(1, cause), 0.0)
        assert conversation.exchange.state is State.OVER


def test_one_that_was_cut_does() -> None:
    conversation = sent(opened(play(protocol=Unread())), says("Hi"))
    with pytest.raises(PromptRead):
        conversation.exchange.handle(UpstreamClosed(1, "reset"), 0.0)


@pytest.mark.parametrize(
    ("visible", "protocol"),
    [
        (says("Hi"), CHAT),
        (chunk({"reasoning_content": "Hm"}), CHAT),
        (chunk({"refusal": "No"}), CHAT),
        (chunk({"audio": {"id": "a1"}}), CHAT),
        (calls("", "weather"), CHAT),
        (block(0, "text", text="") + delta(0, type="text_delta", text="Hi"), ANTHROPIC),
        (block(0, "tool_use", id="t", name="weather", input={}), ANTHROPIC),
        (block(0, "server_tool_use", id="t", name="web_search", input={}), ANTHROPIC),
    ],
    ids="text reasoning refusal audio tool messages-text messages-tool hosted-tool".split(),
)
def test_the_first_visible_part_commits(visible: bytes, protocol: WireProtocol) -> None:
    conversation = opened(play(protocol=protocol)) >> UpstreamData(1, visible)
    assert conversation << SendHeaders(1, SSE) << SendData(1, visible)


@pytest.mark.parametrize(
    "frame",
    [ROLE, PING, b"\n", EMPTY_REASONING, USAGE, b'data: {"choices": []}\n\n'],
    ids="role comment blank empty-reasoning usage azure".split(),
)
def test_what_shows_nothing_is_held(frame: bytes) -> None:
    assert (
        opened(play())
        >> UpstreamData(1, frame)
        >> UpstreamData(1, says("Hi"))
        << SendHeaders(1, SSE)
        << SendData(1, frame + says("Hi"))
    )


@pytest.mark.parametrize(
    "frame",
    [
        MESSAGE,
        MESSAGE_PING,
        block(0, "text", text=""),
        block(0, "thinking", thinking="", signature="") + delta(0, type="signature_delta", signature="x"),
        block(0, "redacted_thinking", data="x"),
        event("brand_new", text="what is this"),
    ],
    ids="start ping empty-text signature redacted unknown".split(),
)
def test_what_shows_nothing_is_held_in_messages(frame: bytes) -> None:
    text = block(1, "text", text="Hi")
    assert (
        opened(play(protocol=ANTHROPIC))
        >> UpstreamData(1, frame)
        >> UpstreamData(1, text)
        << SendHeaders(1, SSE)
        << SendData(1, frame + text)
    )


def test_half_a_frame_waits_for_the_rest() -> None:
    whole = says("Hi")
    assert (
        opened(play())
        >> UpstreamData(1, whole[:20])
        >> UpstreamData(1, whole[20:] + whole[:30])
        << SendHeaders(1, SSE)
        << SendData(1, whole)
        >> UpstreamData(1, whole[30:])
        << SendData(1, whole)
    )


@pytest.mark.parametrize(
    ("answer", "after"),
    [
        (finishes("content_filter"), DONE),
        (ROLE + finishes("length"), USAGE + DONE),
        (ROLE + finishes("stop"), DONE),
        (ROLE + DONE, b""),
    ],
    ids="blocked one-token empty done-alone".split(),
)
def test_a_proper_end_without_text_passes_in_one_attempt(answer: bytes, after: bytes) -> None:
    conversation = opened(play()) >> UpstreamData(1, answer + after) << SendHeaders(1, SSE)
    conversation = conversation << SendData(1, answer)
    conversation = (conversation << SendData(1, after) if after else conversation) << LINGERS
    assert ends(conversation >> UpstreamClosed(1), "completed", "completed")


def test_a_refusal_without_any_block_passes_in_one_attempt() -> None:
    answer = MESSAGE + ending("refusal")
    conversation = (
        opened(play(protocol=ANTHROPIC))
        >> UpstreamData(1, answer + MESSAGE_STOP)
        << SendHeaders(1, SSE)
        << SendData(1, answer)
        << SendData(1, MESSAGE_STOP)
        << LINGERS
        >> UpstreamClosed(1)
    )
    assert ends(conversation, "completed", "completed")


def test_an_unknown_event_does_not_spoil_a_proper_end_without_text() -> None:
    answer = MESSAGE + event("brand_new") + ending("end_turn")
    assert (
        opened(play(protocol=ANTHROPIC))
        >> UpstreamData(1, answer)
        << SendHeaders(1, SSE)
        << SendData(1, answer)
    )


@pytest.mark.parametrize(
    "broken",
    [
        b'data: {"choices": [{"delta": \xff\xfe}\n\n',
        b"data: {}}\n\n",
        b"data: upstream timed out\n\n",
        b'data: {"choices": [{"del\n\n',
    ],
)
def test_an_event_that_is_no_json_ends_the_answer_with_an_error(broken: bytes) -> None:
    """SDKs raise a bare JSONDecodeError on it. What came before it goes out; what follows does not."""
    conversation = (
        sent(opened(play()), says("Hi"))
        >> UpstreamData(1, says("!") + broken + says("?"))
        << SendData(1, says("!"))
        << SendData(1, body_with('"error"', "is no JSON"))
        << CancelUpstream(1)
    )
    assert ends(conversation, "failed", "truncated(an event of the provider's answer is no JSON)")


def test_an_empty_event_is_left_out() -> None:
    """It says nothing, and SDKs raise on it as well."""
    conversation = sent(opened(play()), says("Hi")) >> UpstreamData(1, b"data: \n\n" + says("!"))
    assert conversation << SendData(1, says("!"))


@pytest.mark.parametrize("frame", [b"nonsense\n\n", b": {oops\n\n"])
def test_what_no_client_parses_passes_untouched(frame: bytes) -> None:
    conversation = sent(opened(play()), says("Hi")) >> UpstreamData(1, frame)
    assert conversation << SendData(1, frame)


def test_an_event_after_the_end_means_nothing() -> None:
    conversation = (
        sent(opened(play()), says("Hi"))
        >> UpstreamData(1, finishes("stop") + b"data: {oops\n\n")
        << SendData(1, finishes("stop"))
        << SendData(1, DONE)
        << CancelUpstream(1)
    )
    assert ends(conversation, "completed", "completed")


def test_messages_without_a_name_are_read_by_nobody() -> None:
    opening = MESSAGE + block(0, "text", text="Hi")
    conversation = sent(opened(play(protocol=ANTHROPIC)), opening) >> UpstreamData(1, b"data: {oops\n\n")
    assert conversation << SendData(1, b"data: {oops\n\n")


# -- the hold limit -------------------------------------------------------------------------------------


def holding() -> Playbook:
    playbook = play(hold=60.0) >> Start() << SetTimer(CALL, Timer.HOLD, 60.0) << Acquire(1)
    return asked(playbook, 1, "a", SSE)


def test_the_preamble_is_released_when_the_hold_is_over() -> None:
    assert (
        holding()
        >> UpstreamData(1, ROLE)
        >> After(60.0)
        >> TimerFired(CALL, Timer.HOLD)
        << SendHeaders(1, SSE)
        << SendData(1, ROLE)
        >> UpstreamData(1, says("Hi"))
        << SendData(1, says("Hi"))
    )


def test_without_life_the_hold_waits_for_it() -> None:
    assert (
        holding()
        >> After(60.0)
        >> TimerFired(CALL, Timer.HOLD)
        >> After(5.0)
        >> UpstreamData(1, PING)
        << SendHeaders(1, SSE)
        << SendData(1, PING)
    )


def test_the_hold_that_is_over_holds_for_the_next_attempt_too() -> None:
    conversation = holding() >> TimerFired(CALL, Timer.HOLD) >> UpstreamClosed(1, RESET)
    conversation = conversation << Release(1, CUT) << Acquire(2, frozenset({"a"}))
    conversation = asked(conversation, 2, "b", SSE, fresh=True)
    assert conversation >> UpstreamData(2, ROLE) << SendHeaders(2, SSE) << SendData(2, ROLE)


def test_nothing_visible_after_the_preamble_was_released_ends_with_an_error() -> None:
    conversation = (
        holding()
        >> UpstreamData(1, ROLE)
        >> TimerFired(CALL, Timer.HOLD)
        << SendHeaders(1, SSE)
        << SendData(1, ROLE)
        >> UpstreamClosed(1, RESET)
        << SendData(1, body_with('"error"', RESET))
    )
    assert ends(conversation, "failed", f"truncated({RESET})")


def test_no_first_token_after_the_preamble_was_released_ends_with_an_error() -> None:
    conversation = (
        play(hold=60.0, first_token=100.0)
        >> Start()
        << SetTimer(CALL, Timer.HOLD, 60.0)
        << Acquire(1)
        >> Acquired(1, "a")
        << OpenUpstream(1)
        >> UpstreamSent(1)
        << SetTimer(1, Timer.FIRST_TOKEN, 100.0)
        >> UpstreamStarted(1, SSE)
        >> UpstreamData(1, ROLE)
        >> After(60.0)
        >> TimerFired(CALL, Timer.HOLD)
        << SendHeaders(1, SSE)
        << SendData(1, ROLE)
        >> After(40.0)
        >> TimerFired(1, Timer.FIRST_TOKEN)
        << SendData(1, body_with('"error"'))
        << CancelUpstream(1)
    )
    assert ends(conversation, "failed", "stalled(first_token 100.0s)")


def test_a_hold_after_the_commit_point_changes_nothing() -> None:
    assert sent(holding(), says("Hi")) >> TimerFired(CALL, Timer.HOLD)


# -- the end --------------------------------------------------------------------------------------------


def cut(data: bytes, cause: str | None = RESET, *, mode: OnTruncation = OnTruncation.AUTO) -> Playbook:
    """A chat stream that is closed after `data`."""
    terms = structs.replace(TERMS, on_truncation=mode)
    return sent(opened(play(terms=terms)), data) >> UpstreamClosed(1, cause)


def test_a_cut_in_text_ends_with_length() -> None:
    assert ends(cut(says("Hi")) << SendData(1, length() + DONE), "truncated", f"truncated({RESET})")


def test_a_cut_without_a_broken_transfer_is_a_cut() -> None:
    truncated = cut(says("Hi"), None) << SendData(1, length() + DONE)
    assert ends(truncated, "truncated", f"truncated({NO_END})")


@pytest.mark.parametrize("arguments", ["", '{"city": "Par', '{"city": "Paris"}'])
def test_a_cut_in_a_tool_call_ends_with_an_error(arguments: str) -> None:
    data = calls("", "weather") + calls(arguments)
    conversation = sent(opened(play()), calls("", "weather")) >> UpstreamData(1, calls(arguments))
    conversation = conversation << SendData(1, data.removeprefix(calls("", "weather")))
    conversation = (
        conversation >> UpstreamClosed(1) << SendData(1, body_with('"error"', "weather", "do not run"))
    )
    assert ends(conversation, "failed", f"truncated({NO_END})")


def test_a_cut_tool_call_ends_with_length_where_the_user_chose_repair() -> None:
    truncated = cut(calls('{"city', "weather"), mode=OnTruncation.REPAIR) << SendData(1, length() + DONE)
    assert ends(truncated, "truncated", f"truncated({RESET})")


def test_a_cut_tool_call_ends_with_length_where_the_client_discards_it() -> None:
    terms = structs.replace(TERMS, discards_cut_calls=True)
    conversation = sent(opened(play(terms=terms)), calls('{"city', "weather")) >> UpstreamClosed(1)
    assert ends(conversation << SendData(1, length() + DONE), "truncated", f"truncated({NO_END})")


def test_a_cut_in_text_ends_with_an_error_where_the_user_chose_that() -> None:
    failed = cut(says("Hi"), mode=OnTruncation.ERROR) << SendData(1, body_with('"error"', RESET))
    assert ends(failed, "failed", f"truncated({RESET})")


def test_only_unfinished_choices_are_ended() -> None:
    first = says("one", 0)
    conversation = (
        sent(opened(play()), first)
        >> UpstreamData(1, says("two", 1) + finishes("stop", 0))
        << SendData(1, says("two", 1) + finishes("stop", 0))
        >> UpstreamClosed(1)
        << SendData(1, length(1) + DONE)
    )
    assert ends(conversation, "truncated", f"truncated({NO_END})")


def test_a_finish_without_done_gets_only_done() -> None:
    conversation = sent(opened(play()), says("Hi")) >> UpstreamData(1, finishes("stop"))
    conversation = conversation << SendData(1, finishes("stop")) >> UpstreamClosed(1) << SendData(1, DONE)
    assert ends(conversation, "completed", "completed")


def test_a_finish_whose_usage_was_cut_off_is_complete() -> None:
    conversation = sent(opened(play()), says("Hi")) >> UpstreamData(1, finishes("stop") + USAGE[:40])
    conversation = conversation << SendData(1, finishes("stop")) >> UpstreamClosed(1, RESET)
    assert ends(conversation << SendData(1, DONE), "completed", "completed")


def test_done_without_a_finish_gets_nothing() -> None:
    conversation = sent(opened(play()), says("Hi")) >> UpstreamData(1, DONE)
    conversation = conversation << SendData(1, DONE) << LINGERS >> UpstreamClosed(1)
    assert ends(conversation, "completed", "completed")


def test_a_last_event_without_its_blank_line_gets_it() -> None:
    conversation = sent(opened(play()), says("Hi")) >> UpstreamData(1, finishes("stop") + b"data: [DONE]")
    conversation = conversation << SendData(1, finishes("stop")) >> UpstreamClosed(1)
    conversation = conversation << SendData(1, DONE) << LINGERS
    assert ends(conversation, "completed", "completed")


def test_a_last_event_without_its_blank_line_counts_on_a_connection_that_stays() -> None:
    playbook = opened(play(stall=30.0)) >> UpstreamData(1, says("Hi")) << SendHeaders(1, SSE)
    playbook = playbook << SendData(1, says("Hi")) << SetTimer(1, Timer.STALL, 30.0)
    playbook = playbook >> UpstreamData(1, b"data: [DONE]\n") >> After(30.0) >> TimerFired(1, Timer.STALL)
    playbook = playbook << SendData(1, DONE) << LINGERS << CancelUpstream(1)
    assert ends(playbook, "completed", "completed")


def test_half_an_event_is_not_passed_on() -> None:
    conversation = sent(opened(play()), says("Hi")) >> UpstreamData(1, says("café")[:-12])
    conversation = conversation >> UpstreamClosed(1, RESET) << SendData(1, length() + DONE)
    assert ends(conversation, "truncated", f"truncated({RESET})")


def test_a_connection_that_stays_after_the_last_frame_is_let_go() -> None:
    conversation = sent(opened(play()), says("Hi")) >> UpstreamData(1, finishes("stop") + DONE)
    conversation = conversation << SendData(1, finishes("stop") + DONE) << LINGERS
    conversation = conversation >> After(LINGER) >> TimerFired(1, Timer.LINGER) << CancelUpstream(1)
    assert ends(conversation, "completed", "completed")


def test_words_that_look_like_the_last_frame_are_no_end() -> None:
    conversation = sent(opened(play()), says("Hi")) >> UpstreamData(1, says("the word [DONE]"))
    conversation = conversation << SendData(1, says("the word [DONE]")) << LINGERS
    conversation = conversation >> After(LINGER) >> TimerFired(1, Timer.LINGER) >> UpstreamData(1, says("!"))
    assert conversation << SendData(1, says("!"))


# -- the end, in messages -------------------------------------------------------------------------------

TEXT = MESSAGE + block(0, "text", text="") + delta(0, type="text_delta", text="Hello")


def messages(data: bytes) -> Playbook:
    playbook = opened(play(protocol=ANTHROPIC)) >> UpstreamData(1, data)
    return playbook << SendHeaders(1, SSE) << SendData(1, data)


def test_a_cut_message_stops_its_block_and_ends_with_max_tokens() -> None:
    closing = stop(0) + ending("max_tokens", 2) + MESSAGE_STOP
    conversation = messages(TEXT) >> UpstreamClosed(1, RESET) << SendData(1, closing)
    assert ends(conversation, "truncated", f"truncated({RESET})")


def test_a_cut_tool_use_ends_with_an_error_and_without_a_stop() -> None:
    tool = block(0, "tool_use", id="t", name="weather", input={})
    half = delta(0, type="input_json_delta", partial_json='{"city')
    conversation = messages(MESSAGE + tool) >> UpstreamData(1, half) << SendData(1, half)
    conversation = conversation >> UpstreamClosed(1)
    conversation = conversation << SendData(1, message_error("api_error", ANY_CUT_WORDS))
    assert ends(conversation, "failed", f"truncated({NO_END})")


ANY_CUT_WORDS = (
    f"the answer was cut inside the tool call 'weather' (truncated({NO_END})); do not run the partial call"
)


def test_a_message_that_lacks_only_its_last_event_gets_it() -> None:
    rest = stop(0) + ending("end_turn")
    conversation = messages(TEXT) >> UpstreamData(1, rest) << SendData(1, rest)
    conversation = conversation >> UpstreamClosed(1, RESET) << SendData(1, MESSAGE_STOP)
    assert ends(conversation, "completed", "completed")


def test_a_spliced_message_that_is_cut_again_is_a_cut() -> None:
    again = stop(0) + ending("end_turn") + TEXT
    conversation = messages(TEXT) >> UpstreamData(1, again) << SendData(1, again) >> UpstreamClosed(1)
    conversation = conversation << SendData(1, body_with("content_block_stop", "max_tokens", "message_stop"))
    assert ends(conversation, "truncated", f"truncated({NO_END})")


# -- errors after the commit point ----------------------------------------------------------------------


def test_an_error_after_the_commit_point_is_passed_on() -> None:
    frame = b"event: error\n" + error_chunk("boom", type="overloaded_error")
    conversation = sent(opened(play()), says("Hi")) >> UpstreamData(1, frame) << SendData(1, frame)
    conversation = conversation >> UpstreamClosed(1)
    assert ends(conversation, "error", f"rejected(500 {Kind.SERVER})")


def test_an_error_that_more_chunks_follow_is_still_one() -> None:
    frames = error_chunk("Token limit reached", code=400) + finishes("stop") + DONE
    conversation = sent(opened(play()), says("Hi")) >> UpstreamData(1, frames) << SendData(1, frames)
    conversation = conversation << LINGERS >> UpstreamClosed(1)
    assert ends(conversation, "error", f"rejected(400 {Kind.REQUEST})")


@pytest.mark.parametrize(
    "frame",
    [
        b'data: {"error": {"type": "overloaded_error", "message": "busy"}}\n\n',
        b'event: error\ndata: {"error": {"type": "overloaded_error", "message": "busy"}}\n\n',
        b'data: {"type": "error", "error": {"type": "overloaded_error", "message": "busy"}}\n\n',
    ],
    ids="bare named unnamed".split(),
)
def test_an_error_that_messages_clients_ignore_is_followed_by_one_that_they_raise_on(frame: bytes) -> None:
    conversation = messages(TEXT) >> UpstreamData(1, frame + MESSAGE_STOP)
    conversation = conversation << SendData(1, frame + MESSAGE_STOP)
    conversation = conversation << SendData(1, message_error("overloaded_error", "busy"))
    assert ends(conversation << CancelUpstream(1), "error", f"rejected(500 {Kind.SERVER})")


def test_the_word_error_in_a_text_is_no_error() -> None:
    text = says('he said "error" and {"error": 1}')
    conversation = sent(opened(play()), says("Hi")) >> UpstreamData(1, text) << SendData(1, text)
    conversation = conversation >> UpstreamData(1, DONE) << SendData(1, DONE) << LINGERS
    assert ends(conversation >> UpstreamClosed(1), "completed", "completed")


# -- silence after the commit point ---------------------------------------------------------------------


def streaming(*, any_byte_keeps_alive: bool = False) -> Playbook:
    playbook = opened(play(stall=30.0, any_byte_keeps_alive=any_byte_keeps_alive))
    playbook = playbook >> UpstreamData(1, says("Hi")) << SendHeaders(1, SSE) << SendData(1, says("Hi"))
    return playbook << SetTimer(1, Timer.STALL, 30.0)


def test_a_stall_in_text_ends_with_length() -> None:
    conversation = streaming() >> After(30.0) >> TimerFired(1, Timer.STALL)
    conversation = conversation << SendData(1, length() + DONE) << CancelUpstream(1)
    conversation = conversation << Release(1, Stalled(Timer.STALL, 30.0))
    assert conversation << Report(over("truncated", "stalled(stall 30.0s)")) << EndResponse(1)


def test_text_that_still_comes_is_no_stall() -> None:
    assert (
        streaming()
        >> After(20.0)
        >> UpstreamData(1, says("."))
        << SendData(1, says("."))
        >> After(10.0)
        >> TimerFired(1, Timer.STALL)
        << SetTimer(1, Timer.STALL, 20.0)
    )


def test_pings_are_life_only_where_the_call_may_think() -> None:
    idle = streaming() >> After(20.0) >> UpstreamData(1, PING) << SendData(1, PING) >> After(10.0)
    idle = idle >> TimerFired(1, Timer.STALL) << SendData(1, length() + DONE) << CancelUpstream(1)
    assert ends(idle, "truncated", "stalled(stall 30.0s)")
    alive = streaming(any_byte_keeps_alive=True) >> After(20.0) >> UpstreamData(1, PING) << SendData(1, PING)
    assert alive >> After(10.0) >> TimerFired(1, Timer.STALL) << SetTimer(1, Timer.STALL, 20.0)


def test_words_with_ping_in_them_are_life() -> None:
    conversation = streaming() >> After(20.0) >> UpstreamData(1, says("shopping"))
    conversation = conversation << SendData(1, says("shopping"))
    assert conversation >> After(10.0) >> TimerFired(1, Timer.STALL) << SetTimer(1, Timer.STALL, 20.0)


def test_the_time_in_which_the_client_does_not_read_is_no_stall() -> None:
    conversation = streaming() >> After(25.0) >> ClientDrained()
    assert conversation >> After(5.0) >> TimerFired(1, Timer.STALL) << SetTimer(1, Timer.STALL, 25.0)


# -- the client leaves ----------------------------------------------------------------------------------

GONE = Report(over("abandoned", "abandoned"))


def test_a_client_that_leaves_before_a_credential_was_found() -> None:
    assert play() >> Start() << Acquire(1) >> ClientGone() << Report(over("abandoned"))


@pytest.mark.parametrize(
    "so_far",
    [
        [],
        [UpstreamSent(1)],
        [UpstreamSent(1), UpstreamStarted(1, SSE)],
        [UpstreamSent(1), UpstreamStarted(1, SSE), UpstreamData(1, ROLE)],
    ],
    ids="connecting sent headers held".split(),
)
def test_a_client_that_leaves_before_the_commit_point(so_far: list[Event]) -> None:
    playbook = play() >> Start() << Acquire(1) >> Acquired(1, "a") << OpenUpstream(1)
    for each in so_far:
        playbook = playbook >> each
    assert playbook >> ClientGone() << CancelUpstream(1) << Release(1, Abandoned()) << GONE


def test_a_client_that_leaves_in_the_middle_of_the_answer() -> None:
    conversation = sent(opened(play()), says("Hi")) >> ClientGone() << CancelUpstream(1)
    conversation = conversation << Release(1, Abandoned()) << GONE
    assert conversation >> UpstreamData(1, says("late")) >> UpstreamClosed(1) >> TimerFired(1, Timer.STALL)


@pytest.mark.parametrize(("after", "added"), [(DONE, b""), (finishes("stop"), DONE)], ids=["done", "finish"])
def test_a_client_that_leaves_on_the_last_frame_leaves_a_complete_call(after: bytes, added: bytes) -> None:
    conversation = sent(opened(play()), says("Hi")) >> UpstreamData(1, after) << SendData(1, after)
    conversation = (conversation if added else conversation << LINGERS) >> ClientGone()
    conversation = (conversation << SendData(1, added) if added else conversation) << CancelUpstream(1)
    assert ends(conversation, "completed", "completed")


def test_a_client_that_leaves_on_an_error_leaves_a_failed_call() -> None:
    """SDKs raise on it, and hang up before the provider does."""
    error = error_chunk("busy", type="overloaded_error")
    conversation = sent(opened(play()), says("Hi")) >> UpstreamData(1, error) << SendData(1, error)
    conversation = conversation >> ClientGone() << CancelUpstream(1)
    assert ends(conversation, "error", "rejected(500 server)")


def test_a_client_that_leaves_during_a_back_off() -> None:
    conversation = play() >> Start() << Acquire(1) >> Acquired(1, "a") << OpenUpstream(1)
    conversation = conversation >> UpstreamClosed(1, RESET) << Release(1, ANY)
    conversation = no_other(conversation, 2, "a") << SetTimer(2, Timer.BACKOFF, 0.5)
    conversation = conversation >> ClientGone() << Report(over("abandoned", f"unreachable({RESET})"))
    assert conversation >> TimerFired(2, Timer.BACKOFF)


def test_late_bytes_of_a_cancelled_attempt_are_dropped() -> None:
    conversation = opened(play()) >> UpstreamClosed(1, RESET) << Release(1, CUT)
    conversation = conversation << Acquire(2, frozenset({"a"})) >> UpstreamData(1, says("late"))
    conversation = conversation >> UpstreamClosed(1) >> TimerFired(1, Timer.FIRST_TOKEN)
    conversation = asked(conversation, 2, "b", SSE, fresh=True) >> UpstreamData(1, says("late"))
    conversation = conversation >> UpstreamData(2, says("Hi")) << SendHeaders(2, SSE)
    assert conversation << SendData(2, says("Hi"))

"""The streams that providers really send and that go wrong most easily, to clients of the provider's own
protocol: what is whole passes byte for byte, what is missing is added, and nothing is made up."""

import re

import pytest

from protocols.anthropic_messages.signatures import CUT
from protocols.base import WireProtocol, editor_of
from protocols.model.parts import Usage
from protocols.shared.signatures import Returning
from rewrite.values.events import Start, UpstreamClosed, UpstreamData, UpstreamSent, UpstreamStarted
from rewrite.values.timeouts import OnTruncation
from tests.rewrite.asks import ask, with_usage
from tests.rewrite.edges import (
    AZURE,
    BLOCKED,
    CALL_DONE_WITHOUT_FINISH,
    COLLIDING,
    CUT_ARGUMENTS,
    CUT_THINKING,
    DONE_WITHOUT_FINISH,
    END,
    FINISH_WITHOUT_DONE,
    FLAT_ERROR,
    GEMINI,
    GEMINI_STOP,
    GROQ,
    HALF_AN_EVENT,
    HALF_ARGUMENTS,
    INTERLEAVED,
    KEPT_ALIVE,
    MISTRAL,
    NDJSON,
    NO_BLANK_LINE,
    OLLAMA,
    OLLAMA_DONE,
    ONE_OF_TWO,
    OPENED,
    OPENROUTER,
    OVERWRITTEN,
    PARTIAL_ARGUMENTS,
    REDACTED,
    REFUSED,
    RESPONSES,
    SIGNATURE,
    SIGNATURE_ONLY,
    SIGNED_EMPTY_TEXT,
    SIGNED_PARALLEL,
    SPLICED,
    SPLICED_END,
    STOP_ON_EVERY_CHUNK,
    THINKING,
    THOUGHT_BESIDE,
    TOOL_BLOCK,
    TOOL_HEADER,
    UNNAMED_ERROR,
    UNNUMBERED,
    USAGE_EVERYWHERE,
    completed,
    gemini,
)
from tests.rewrite.replay import ONCE, Replay, chunked, mode, replay
from tests.rewrite.scenes import (
    ANTHROPIC,
    CHAT,
    DONE,
    MESSAGE,
    ROLE,
    SSE,
    delta,
    error_chunk,
    exchange_of,
    length,
    message_error,
    says,
    stop,
)


def given(protocol: WireProtocol, data: bytes, *, size: int = 101) -> Replay:
    """`data` in pieces, then a clean close."""
    return replay(protocol, chunked(data, size))


def added(protocol: WireProtocol, data: bytes) -> bytes:
    """What the client gets after all of `data`."""
    body = given(protocol, data).body
    assert body.startswith(data)
    return body[len(data) :]


def test_case_01_done_without_finish() -> None:
    """[DONE] without a finish reason is an end: it passes as it is."""
    for data in (DONE_WITHOUT_FINISH, CALL_DONE_WITHOUT_FINISH):
        passed = given(CHAT, data)
        assert (passed.body, passed.summary.end) == (data, "completed")


def test_case_02_finish_without_done() -> None:
    """A finish reason without [DONE] is an end: [DONE] is added, and nothing else."""
    assert added(CHAT, FINISH_WITHOUT_DONE) == DONE
    assert given(CHAT, FINISH_WITHOUT_DONE).summary.end == "completed"


def test_case_03_stop_on_every_chunk() -> None:
    """STOP on every chunk passes; what comes after the first one is part of the answer."""
    passed = given(GEMINI, STOP_ON_EVERY_CHUNK)
    assert (passed.body, passed.summary.end) == (STOP_ON_EVERY_CHUNK, "completed")
    assert "".join(each.text for each in passed.summary.progress.blocks.values()) == "First second"


def test_case_04_cut_between_finish_and_usage() -> None:
    """The usage that was asked for never came: the answer is whole, and is not said to be cut."""
    passed = Replay(exchange_of(with_usage(ask("openai_chat")), CHAT, ONCE))
    for step in (Start(), UpstreamSent(1), UpstreamStarted(1, SSE)):
        passed.feed(step)
    passed.feed(UpstreamData(1, FINISH_WITHOUT_DONE))
    passed.feed(UpstreamClosed(1, None))
    assert (passed.body, passed.summary.end) == (FINISH_WITHOUT_DONE + DONE, "completed")


@pytest.mark.parametrize(
    ("protocol", "data", "missing"),
    [
        (RESPONSES, NO_BLANK_LINE, b"\n\n"),
        (ANTHROPIC, (OPENED + stop(0) + END).removesuffix(b"\n"), b"\n"),
        (GEMINI, STOP_ON_EVERY_CHUNK.removesuffix(b"\r\n\r\n"), b"\n\n"),
        (CHAT, DONE_WITHOUT_FINISH.removesuffix(b"\n"), b"\n"),
        (CHAT, FINISH_WITHOUT_DONE.removesuffix(b"\n\n"), b"\n\n" + DONE),
    ],
)
def test_case_05_last_event_lacks_its_blank_line(protocol: WireProtocol, data: bytes, missing: bytes) -> None:
    """SDKs drop an event that no blank line ends: it is flushed with one."""
    assert added(protocol, data) == missing
    assert given(protocol, data).summary.end == "completed"


@pytest.mark.parametrize("size", [1, 101])
def test_case_06_cut_inside_json_and_a_letter(size: int) -> None:
    """Half of an event is dropped, neither guessed nor passed on."""
    whole = ROLE + says("Hi")
    cut = given(CHAT, whole + HALF_AN_EVENT, size=size)
    assert cut.body == whole + length() + DONE
    half = gemini({"text": "caf\xe9"})[:-20]
    closed = given(GEMINI, gemini({"text": "Hi"}) + half, size=size).body
    assert closed.startswith(gemini({"text": "Hi"}))
    assert (b"caf" in closed, b'"finishReason":"MAX_TOKENS"' in closed) == (False, True)


@pytest.mark.parametrize("data", [CUT_ARGUMENTS, TOOL_HEADER], ids=["case_07", "case_08"])
def test_case_07_cut_in_tool_arguments_and_case_08_right_after_the_header(data: bytes) -> None:
    """A cut call is never "tool_calls" and its JSON never closed: an error, or "length" for who wants it."""
    cut = given(CHAT, data)
    assert cut.summary.end == "failed"
    assert added(CHAT, data).startswith(b'data: {"error":{"message":"the answer was cut inside the tool call')
    assert b"tool_calls" not in added(CHAT, data)
    for terms in (mode(OnTruncation.REPAIR), mode(OnTruncation.AUTO, discards=True)):
        assert replay(CHAT, [data], terms=terms).body == data + length() + DONE


@pytest.mark.parametrize(
    "data", [MESSAGE + TOOL_BLOCK + HALF_ARGUMENTS, MESSAGE + TOOL_BLOCK], ids=["case_07", "case_08"]
)
def test_case_07_and_case_08_in_messages(data: bytes) -> None:
    """The end is an error event; "max_tokens" where that is wanted, never "tool_use"."""
    assert added(ANTHROPIC, data).startswith(b'event: error\ndata: {"type":"error"')
    truncated = replay(ANTHROPIC, [data], terms=mode(OnTruncation.REPAIR)).body[len(data) :]
    assert truncated.startswith(stop(0))
    assert b'"stop_reason":"max_tokens"' in truncated
    assert b"tool_use" not in truncated


def test_case_09_thinking_cut_before_its_signature() -> None:
    """Unsigned thinking is shown under a mark, by which it is taken out when it comes back."""
    closing = added(ANTHROPIC, CUT_THINKING)
    assert closing.startswith(delta(0, type="signature_delta", signature=CUT) + stop(0))
    assert b'"stop_reason":"max_tokens"' in closing
    thought = {"type": "thinking", "thinking": "hm", "signature": CUT}
    body = {"messages": [{"role": "assistant", "content": [thought, {"type": "text", "text": "Hi"}]}]}
    assert ANTHROPIC.editor.own_signatures(body, Returning("own", native=True)) == {
        "messages": [{"role": "assistant", "content": [{"type": "text", "text": "Hi"}]}]
    }


def test_case_10_signature_only_thinking() -> None:
    """Thinking of nothing but a signature passes, stays when it comes back, and is no first token."""
    assert given(ANTHROPIC, SIGNATURE_ONLY).body == SIGNATURE_ONLY
    thought = {"type": "thinking", "thinking": "", "signature": "c2ln"}
    body = {"messages": [{"role": "assistant", "content": [thought]}]}
    assert ANTHROPIC.editor.own_signatures(body, Returning("own", native=True)) is body
    cut = given(ANTHROPIC, MESSAGE + THINKING + SIGNATURE + stop(0))
    assert (cut.head.status, cut.summary.end) == (502, "rejected")


def test_case_11_redacted_thinking() -> None:
    """Redacted thinking has no deltas: it passes, and stays when it comes back."""
    assert given(ANTHROPIC, REDACTED).body == REDACTED
    body = {"messages": [{"role": "assistant", "content": [{"type": "redacted_thinking", "data": "Eqk"}]}]}
    assert ANTHROPIC.editor.own_signatures(body, Returning("own", native=True)) is body


def test_case_12_gemini_signature_on_an_empty_text_or_the_first_call() -> None:
    """Signatures pass where they stand, and stay there when they come back."""
    for data in (gemini({"text": "Hi"}) + SIGNED_EMPTY_TEXT, SIGNED_PARALLEL):
        assert given(GEMINI, data).body == data
    parts = [{"text": "Hi"}, {"text": "", "thoughtSignature": "c2ln"}]
    body = {"contents": [{"role": "model", "parts": parts}]}
    assert editor_of(GEMINI).own_signatures(body, Returning("own", native=True)) is body


@pytest.mark.parametrize(
    "closing", [b"", gemini({"functionCall": {}})], ids=["by nothing", "by an empty call"]
)
def test_case_13_partial_arguments(closing: bytes) -> None:
    """Arguments that come by paths pass; at the end they are one object."""
    passed = given(GEMINI, PARTIAL_ARGUMENTS + closing + GEMINI_STOP)
    assert passed.body == PARTIAL_ARGUMENTS + closing + GEMINI_STOP
    (call,) = passed.summary.progress.blocks.values()
    assert call.text == '{"items":[{"name":"Boston"}]}'
    assert b'"error"' in added(GEMINI, PARTIAL_ARGUMENTS)


def test_case_14_azure_preamble() -> None:
    """The preamble is no first token, and the closing frame has the id and model of the first real one."""
    only = given(CHAT, AZURE)
    assert (only.head.status, only.summary.progress.visible) == (502, False)
    assert added(CHAT, AZURE + ROLE + says("Hi")) == length() + DONE


def test_case_15_usage_on_every_chunk() -> None:
    """The last usage is the true one: it passes as it is, and is counted once."""
    passed = given(CHAT, USAGE_EVERYWHERE + DONE)
    assert passed.body == USAGE_EVERYWHERE + DONE
    assert passed.summary.progress.usage == Usage(input=10, output=3)


def test_case_16_openrouter_soft_error() -> None:
    """An error on a chunk among others is the call's end for the record; the client's bytes are the
    provider's."""
    passed = given(CHAT, OPENROUTER)
    assert passed.body == OPENROUTER
    assert (passed.summary.end, passed.summary.detail) == ("error", "Token limit reached")


def test_case_17_groq_error_event() -> None:
    """An error without [DONE] is no truncation: nothing is added."""
    passed = given(CHAT, GROQ)
    assert (passed.body, passed.summary.end) == (GROQ, "error")


def test_case_18_heartbeats_of_gemini_are_no_comments() -> None:
    """What we add to a Gemini stream is `data: ` lines, CRLF, and bare newlines."""
    encoder = GEMINI.encoder(ask("gemini_generate"))
    assert encoder.heartbeat() == b"\n"
    closing = added(GEMINI, gemini({"text": "Hi"}))
    assert re.fullmatch(rb"(data: \{[^\r\n]*\}\r\n\r\n)+", closing)


def test_case_19_usage_is_overwritten() -> None:
    """The final usage wins: nothing is added up, iterations least of all."""
    passed = given(ANTHROPIC, OVERWRITTEN)
    assert passed.body == OVERWRITTEN
    assert passed.summary.progress.usage == Usage(input=412, output=7)


def test_case_20_spliced_message_start() -> None:
    """An answer that began again in a call and is cut ends with an error; the provider's own end passes."""
    assert added(ANTHROPIC, SPLICED).startswith(b"event: error\n")
    passed = given(ANTHROPIC, SPLICED + SPLICED_END)
    assert passed.body == SPLICED + SPLICED_END
    (call,) = passed.summary.progress.blocks.values()
    assert call.text == '{"value":"Sparkle Day"}'


def test_case_21_one_of_two_choices() -> None:
    """Of two choices one is finished: the other one alone ends with "length"."""
    assert added(CHAT, ONE_OF_TWO) == length(1) + DONE


@pytest.mark.parametrize("data", [COLLIDING, UNNUMBERED, INTERLEAVED])
def test_case_22_parallel_calls_whose_indexes_collide(data: bytes) -> None:
    """They pass as they are, and are two calls."""
    passed = given(CHAT, data)
    assert passed.body == data
    found = passed.summary.progress.blocks.values()
    assert [(each.start.tool_id, each.text) for each in found] == [("a", '{"n":1}'), ("b", '{"n":2}')]


def test_case_23_mistral_content_arrays() -> None:
    """Content may be a list: it passes, and is thought and text."""
    passed = given(CHAT, MISTRAL)
    assert passed.body == MISTRAL
    found = passed.summary.progress.blocks.values()
    assert [(each.kind.value, each.text) for each in found] == [("reasoning", "The"), ("text", "Hi")]


def test_case_24_keepalive_and_sequence_numbers() -> None:
    """A keepalive keeps its number; what closes a cut answer counts on from the last one."""
    assert given(RESPONSES, KEPT_ALIVE + completed(6)).body == KEPT_ALIVE + completed(6)
    closing = added(RESPONSES, KEPT_ALIVE)
    numbers = [int(each) for each in re.findall(rb'"sequence_number":(\d+)', closing)]
    assert numbers == list(range(6, 6 + len(numbers)))
    assert b'"type":"response.incomplete"' in closing


def test_case_25_silent_errors_in_band() -> None:
    """An error that the protocol's SDKs do not raise on is said once more in the form that they do."""
    assert added(ANTHROPIC, OPENED + UNNAMED_ERROR) == message_error("overloaded_error", "busy")
    closing = added(RESPONSES, KEPT_ALIVE + FLAT_ERROR)
    assert re.findall(rb"^event: (\S+)$", closing, re.MULTILINE) == [b"error", b"response.failed"]
    assert b'"error":{"message":"busy"' in closing
    for data in (OPENED + message_error("overloaded_error", "busy"), ROLE + says("Hi") + error_chunk("busy")):
        protocol = ANTHROPIC if data.startswith(b"event") else CHAT
        assert (added(protocol, data), given(protocol, data).summary.end) == (b"", "error")


# -- and besides --------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("protocol", "data"), [(GEMINI, BLOCKED), (ANTHROPIC, REFUSED), (OLLAMA, OLLAMA_DONE)]
)
def test_an_end_of_few_words_is_one(protocol: WireProtocol, data: bytes) -> None:
    """No candidates, no content, no reason why it is done: none of these is a cut."""
    passed = replay(protocol, chunked(data, 101), head=NDJSON if protocol is OLLAMA else SSE)
    assert (passed.body, passed.summary.end) == (data, "completed")


def test_reasoning_that_is_counted_beside_the_output_is_part_of_it() -> None:
    """Of 42 tokens 10 were asked, 2 said and 30 thought."""
    passed = given(CHAT, THOUGHT_BESIDE)
    assert passed.body == THOUGHT_BESIDE
    assert passed.summary.progress.usage == Usage(input=10, output=32, reasoning=30)

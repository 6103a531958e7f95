"""Answers that another provider gave, as clients of the protocol read them: streamed and whole."""

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

import pytest

from protocols.anthropic_messages import PROTOCOL
from protocols.anthropic_messages.signatures import CUT, SOURCE
from protocols.model.call import Call, Operation, Reply
from protocols.model.errors import Fault
from protocols.model.parts import (
    Annotation,
    BlockDelta,
    BlockKind,
    BlockStart,
    BlockStop,
    ChoiceStart,
    ErrorKind,
    Finish,
    FinishReason,
    MessageStart,
    Opaque,
    Ping,
    Signature,
    StreamEnd,
    StreamError,
    StreamPart,
    Usage,
    UsageReport,
)
from protocols.model.progress import Progress
from protocols.model.wirejson import load_object
from protocols.shared.signatures import wrapped
from rewrite.translation.repair import closing
from tests import oracle
from tests.contract import JSON, SSE, parts, progress
from tests.rewrite.scenes import MESSAGE_STOP, block, delta, event, stop

TEXT, REASONING, TOOL = BlockKind.TEXT, BlockKind.REASONING, BlockKind.TOOL
CALL = Call("id", PROTOCOL.name, Operation.GENERATE, "m", True, (), {"stop_sequences": ["END"]})
REPLY = Reply("x1", "claude", 7)
ENVELOPE = wrapped(Signature("encrypted", "abc"), "openai")
USAGE = UsageReport(Usage(input=100, output=20, cache_read=30, cache_write=5, reasoning=7))
BEGIN: list[StreamPart] = [MessageStart("up", "other"), ChoiceStart(0)]
START = event(
    "message_start",
    message={
        "id": "msg_x1",
        "type": "message",
        "role": "assistant",
        "model": "claude",
        "content": [],
        "stop_reason": None,
        "stop_sequence": None,
        "usage": {"input_tokens": 0, "output_tokens": 0},
    },
)


def some(index: int, kind: BlockKind, *texts: str, signature: Signature | None = None) -> list[StreamPart]:
    name = f"f{index}" if kind is TOOL else None
    deltas = [BlockDelta(0, index, kind, text) for text in texts]
    start = BlockStart(0, index, kind, f"t{index}" if name else None, name)
    return [start, *deltas, BlockStop(0, index, signature)]


def finished(reason: FinishReason = FinishReason.STOP, detail: str = "") -> list[StreamPart]:
    return [USAGE, Finish(0, reason, "native", detail), StreamEnd()]


def cut(*found: StreamPart) -> list[StreamPart]:
    return [*BEGIN, *found, *closing(progress([*BEGIN, *found]))]


def written(found: Sequence[StreamPart]) -> bytes:
    """By one writer, part for part."""
    writer = PROTOCOL.translator.writer(CALL, REPLY)
    return b"".join(writer.write([part]) for part in found)


def whole(found: Sequence[StreamPart]) -> dict[str, Any]:
    return dict(load_object(PROTOCOL.translator.write_answer(CALL, REPLY, progress(found))) or {})


CALLED = FinishReason.TOOL_CALLS
RICH = [
    *BEGIN,
    *some(0, REASONING, "Let me", " think.", signature=ENVELOPE),
    *some(1, REASONING, signature=ENVELOPE),
    *some(2, TEXT, "Hello ", "café 🍵\u2028"),
    *some(3, TOOL, '{"a":', "1}"),
    *some(4, TOOL, '{"b":2}'),
    *finished(CALLED),
]
ANSWERS: Mapping[str, list[StreamPart]] = {
    "rich": RICH,
    "text": [*BEGIN, *some(0, TEXT, "Hi"), *finished()],
    "sequence": [*BEGIN, *some(0, TEXT, "Hi"), *finished(detail="END")],
    "refusal": [*BEGIN, *some(0, TEXT, "No."), *finished(FinishReason.CONTENT_FILTER, "Not this.")],
    "blocked": [*BEGIN, *finished(FinishReason.CONTENT_FILTER)],
    "empty": [*BEGIN, *finished(FinishReason.LENGTH)],
    "paused": [*BEGIN, *some(0, TEXT, "So far"), *finished(FinishReason.PAUSE)],
    "cut-text": cut(BlockStart(0, 0, TEXT), BlockDelta(0, 0, TEXT, "Hel")),
    "cut-thinking": cut(*some(0, TEXT, "Hi"), BlockStart(0, 1, REASONING), BlockDelta(0, 1, REASONING, "H")),
    "cut-early": cut(),
}


@pytest.mark.parametrize("name", ANSWERS)
def test_a_stream_and_a_whole_answer_say_the_same(name: str) -> None:
    streamed = progress(parts(PROTOCOL, SSE, [written(ANSWERS[name])]))
    at_once = progress(
        parts(PROTOCOL, JSON, [PROTOCOL.translator.write_answer(CALL, REPLY, progress(ANSWERS[name]))])
    )
    assert list(facts(streamed)) == list(facts(at_once)) == list(facts(progress(ANSWERS[name])))
    assert streamed.finished == at_once.finished
    assert streamed.finished[0].reason is progress(ANSWERS[name]).finished[0].reason
    assert (streamed.head, streamed.complete) == (MessageStart("msg_x1", "claude"), True)


def facts(found: Progress) -> Iterator[tuple[object, ...]]:
    for each in found.blocks.values():
        yield each.kind, each.start.tool_id, each.tool_name, each.text


@pytest.mark.parametrize("name", ANSWERS)
def test_the_grammar_takes_it(name: str) -> None:
    judgement = oracle.judges()[PROTOCOL.name](written(ANSWERS[name]))
    assert judgement["terminal"]
    assert not judgement["violations"]
    assert not judgement["open_blocks"]
    assert judgement["error"] is None


@pytest.mark.parametrize("name", ANSWERS)
def test_it_is_the_same_however_the_parts_come(name: str) -> None:
    assert PROTOCOL.translator.writer(CALL, REPLY).write(ANSWERS[name]) == written(ANSWERS[name])


# -- blocks ---------------------------------------------------------------------------------------------


def test_each_event_of_an_answer() -> None:
    usage = {
        "input_tokens": 65,
        "cache_creation_input_tokens": 5,
        "cache_read_input_tokens": 30,
        "output_tokens": 20,
        "output_tokens_details": {"thinking_tokens": 7},
    }
    found = [*BEGIN, *some(0, REASONING, "Hm", signature=ENVELOPE), *some(1, TOOL, "{}"), *finished(CALLED)]
    assert written(found) == b"".join(
        [
            START,
            block(0, "thinking", thinking="", signature=""),
            delta(0, type="thinking_delta", thinking="Hm"),
            delta(0, type="signature_delta", signature=ENVELOPE.value),
            stop(0),
            block(1, "tool_use", id="t1", name="f1", input={}),
            delta(1, type="input_json_delta", partial_json=""),
            delta(1, type="input_json_delta", partial_json="{}"),
            stop(1),
            event("message_delta", delta={"stop_reason": "tool_use", "stop_sequence": None}, usage=usage),
            MESSAGE_STOP,
        ]
    )


def test_what_has_no_place_is_left_out_and_the_rest_counts_on() -> None:
    left_out = [*some(0, BlockKind.MEDIA, "x"), *some(1, BlockKind.HOSTED, "{}"), *some(2, TEXT, "")]
    shown = some(3, BlockKind.REFUSAL, "No.")
    found = [*BEGIN, *left_out, *some(4, REASONING), *shown, *finished()]
    streamed = progress(parts(PROTOCOL, SSE, [written(found)])).blocks
    assert {key: (each.kind, each.text) for key, each in streamed.items()} == {(0, 0): (TEXT, "No.")}
    assert whole(found)["content"] == [{"type": "text", "text": "No."}]


def test_blank_space_waits_for_a_word() -> None:
    blank = [*BEGIN, *some(0, TEXT, "\n", " "), *some(1, TOOL, "{}"), *finished(CALLED)]
    assert [each["type"] for each in whole(blank)["content"]] == ["tool_use"]
    assert b'"index":0,"content_block":{"type":"tool_use"' in written(blank)
    assert b"text_delta" not in written(blank)


def test_blank_space_between_two_texts_goes_with_the_second() -> None:
    """Measured: what is cited comes in blocks of its own, and a space between two of them too."""
    texts = [*some(0, TEXT, "One."), *some(1, TEXT, " "), *some(2, TEXT, "Two."), *finished()]
    read = progress(parts(PROTOCOL, SSE, [written([*BEGIN, *texts])]))
    assert [block.text for block in read.ordered] == ["One.", " Two."]
    assert [each["text"] for each in whole([*BEGIN, *texts])["content"]] == ["One.", " Two."]
    shown = written([*BEGIN, *some(0, TEXT, "\n", "Hi", " ", "you")])
    assert [b'"text":"%s"' % text in shown for text in (b"\\nHi", b" ", b"you")] == [True, True, True]


@pytest.mark.parametrize(
    ("signature", "texts", "blocks"),
    [
        (ENVELOPE, ["Hm"], [{"type": "thinking", "thinking": "Hm", "signature": ENVELOPE.value}]),
        (ENVELOPE, [], [{"type": "thinking", "thinking": "", "signature": ENVELOPE.value}]),
        (Signature("signature", "s"), ["Hm"], [{"type": "thinking", "thinking": "Hm", "signature": "s"}]),
        (Signature("redacted", "d"), [], [{"type": "redacted_thinking", "data": "d"}]),
        (None, ["Hm"], [{"type": "thinking", "thinking": "Hm", "signature": CUT}]),
        (Signature("plain", ""), [], []),
        (None, [], []),
    ],
    ids="envelope hidden own redacted cut plain nothing".split(),
)
def test_signatures_of_thinking(signature: Signature | None, texts: list[str], blocks: list[object]) -> None:
    found = [*BEGIN, *some(0, REASONING, *texts, signature=signature), *finished()]
    assert whole(found)["content"] == blocks
    again = progress(parts(PROTOCOL, SSE, [written(found)]))
    assert whole([*BEGIN, *unfolded(again), *finished()])["content"] == blocks


def unfolded(found: Progress) -> Iterator[StreamPart]:
    for each in found.blocks.values():
        yield each.start
        yield BlockDelta(each.start.choice, each.start.index, each.kind, each.text)
        if each.stop:
            yield each.stop


def test_sources_are_cited_as_ours() -> None:
    source = Annotation(0, 0, "http://localhost/", "T", 0, 2)
    found = [*BEGIN, BlockStart(0, 0, TEXT), source, *some(0, TEXT, "Hi")[1:], *finished()]
    citation = {
        "type": "web_search_result_location",
        "url": "http://localhost/",
        "title": "T",
        "cited_text": "",
        "encrypted_index": SOURCE,
    }
    assert whole(found)["content"] == [{"type": "text", "text": "Hi", "citations": [citation]}]
    begun = START + block(0, "text", text="") + delta(0, type="citations_delta", citation=citation)
    assert written(found).startswith(begun)


def test_life_and_riddles_write_nothing() -> None:
    assert written([Ping(), Opaque(b"x"), USAGE, ChoiceStart(0)]) == b""
    assert written([*BEGIN, *some(0, TEXT, "Hi"), ChoiceStart(1), BlockStart(1, 0, TEXT)]) == written(
        [*BEGIN, *some(0, TEXT, "Hi")]
    )


# -- the end --------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("reason", "detail", "fields"),
    [
        (FinishReason.STOP, "", {"stop_reason": "end_turn", "stop_sequence": None}),
        (FinishReason.STOP, "END", {"stop_reason": "stop_sequence", "stop_sequence": "END"}),
        (FinishReason.STOP, "other", {"stop_reason": "end_turn", "stop_sequence": None}),
        (FinishReason.LENGTH, "", {"stop_reason": "max_tokens", "stop_sequence": None}),
        (FinishReason.PAUSE, "", {"stop_reason": "pause_turn", "stop_sequence": None}),
        (FinishReason.OTHER, "", {"stop_reason": "end_turn", "stop_sequence": None}),
        (
            FinishReason.CONTENT_FILTER,
            "why",
            {
                "stop_reason": "refusal",
                "stop_sequence": None,
                "stop_details": {"type": "refusal", "category": None, "explanation": "why"},
            },
        ),
    ],
)
def test_why_it_stopped(reason: FinishReason, detail: str, fields: dict[str, object]) -> None:
    found = [*BEGIN, *some(0, TEXT, "Hi"), *finished(reason, detail)]
    assert whole(found).items() >= fields.items()
    assert b'"delta":' + dumped(fields) in written(found)


def dumped(value: object) -> bytes:
    return event("x", y=value).split(b'"y":')[1].rstrip()[:-1]


@pytest.mark.parametrize(
    ("reason", "stop_reason"), [(FinishReason.STOP, "tool_use"), (FinishReason.LENGTH, "max_tokens")]
)
def test_a_stop_after_a_call_is_one_to_run_it(reason: FinishReason, stop_reason: str) -> None:
    found = [*BEGIN, *some(0, TOOL, "{}"), *finished(reason)]
    assert whole(found)["stop_reason"] == stop_reason
    assert progress(parts(PROTOCOL, SSE, [written(found)])).finished[0].native == stop_reason


def test_half_a_call_is_never_one_to_run() -> None:
    found = cut(BlockStart(0, 0, TOOL, "t", "f"), BlockDelta(0, 0, TOOL, '{"a'))
    assert progress(parts(PROTOCOL, SSE, [written(found)])).finished[0].native == "max_tokens"
    assert (whole(found)["content"], whole(found)["stop_reason"]) == ([], "max_tokens")
    broken = [*BEGIN, *some(0, TOOL, "[1"), *some(1, TOOL, "{}"), *finished(CALLED)]
    assert [each["id"] for each in whole(broken)["content"]] == ["t1"]
    assert whole(broken)["stop_reason"] == "max_tokens"


def test_usage_that_nobody_counted() -> None:
    found = [*BEGIN, *some(0, TEXT, "12345"), Finish(0, FinishReason.STOP, ""), StreamEnd()]
    assert whole(found)["usage"] == {"input_tokens": 0, "output_tokens": 2}
    assert b'"usage":{"output_tokens":2}' in written(found)


def test_usage_that_is_known_at_the_start_stands_there() -> None:
    assert b'"usage":{"input_tokens":65,' in written([USAGE, *BEGIN])


# -- errors ---------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "end", [StreamError("overloaded", "busy"), Finish(0, FinishReason.ERROR, "MALFORMED")]
)
def test_an_error_ends_it_in_the_form_that_clients_raise_on(end: StreamPart) -> None:
    found = [*BEGIN, *some(0, TEXT, "Hi"), end, *([StreamEnd()] if isinstance(end, Finish) else [])]
    for error in (
        progress(parts(PROTOCOL, SSE, [written([*found, *finished()])])).error,
        progress(
            parts(PROTOCOL, JSON, [PROTOCOL.translator.write_answer(CALL, REPLY, progress(found))])
        ).error,
    ):
        assert error
        assert error.native
        assert (error.type, error.message) in [
            ("overloaded_error", "busy"),
            ("api_error", "the model ended with an error: MALFORMED"),
        ]
    assert MESSAGE_STOP not in written([*found, *finished()])


@pytest.mark.parametrize(
    ("kind", "status", "written_as"),
    [
        (ErrorKind.INVALID_REQUEST, 500, "invalid_request_error"),
        (ErrorKind.AUTHENTICATION, 500, "authentication_error"),
        (ErrorKind.PERMISSION, 500, "permission_error"),
        (ErrorKind.NOT_FOUND, 500, "not_found_error"),
        (ErrorKind.TOO_LARGE, 500, "request_too_large"),
        (ErrorKind.QUOTA, 429, "billing_error"),
        (ErrorKind.RATE_LIMIT, 500, "rate_limit_error"),
        (ErrorKind.TIMEOUT, 500, "timeout_error"),
        (ErrorKind.OVERLOADED, 500, "overloaded_error"),
        (ErrorKind.SERVER, 429, "api_error"),
        ("unreachable", 502, "api_error"),
        ("proxy_fault", 502, "api_error"),
        ("upstream_cut", 504, "timeout_error"),
        ("upstream_error", 401, "authentication_error"),
        ("x", 402, "billing_error"),
        ("x", 403, "permission_error"),
        ("x", 404, "not_found_error"),
        ("x", 413, "request_too_large"),
        ("x", 422, "invalid_request_error"),
        ("x", 429, "rate_limit_error"),
        ("x", 529, "overloaded_error"),
        ("brand_new_error", 429, "brand_new_error"),
    ],
)
def test_errors_have_the_providers_types(kind: str, status: int, written_as: str) -> None:
    body = load_object(PROTOCOL.error(Fault(status, kind, "m")).body)
    assert body == {"type": "error", "error": {"type": written_as, "message": "m"}}

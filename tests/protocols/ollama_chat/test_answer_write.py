"""Parts of other protocols as Ollama's lines: what its clients take, read back as what was said."""

import json
from collections.abc import Sequence
from typing import Any

import pytest

from protocols.model.call import Call, Operation, Reply
from protocols.model.parts import (
    Annotation,
    BlockDelta,
    BlockKind,
    BlockStart,
    BlockStop,
    ChoiceStart,
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
from protocols.ollama_chat import PROTOCOL
from protocols.shared.signatures import wrapped
from rewrite.translation.repair import closing
from tests import oracle
from tests.contract import JSON, NDJSON, parts, progress

TEXT, REASONING, REFUSAL = BlockKind.TEXT, BlockKind.REASONING, BlockKind.REFUSAL
TOOL, MEDIA, HOSTED = BlockKind.TOOL, BlockKind.MEDIA, BlockKind.HOSTED
CALL = Call("id", PROTOCOL.name, Operation.GENERATE, "m", True, (), {})
REPLY = Reply("1", "shown", 1_742_495_557)
HEAD = {"model": "shown", "created_at": "2025-03-20T18:32:37Z"}
OPEN = (MessageStart("upstream", "other"), ChoiceStart(0))
STOP = Finish(0, FinishReason.STOP, "end_turn")
CALLED = Finish(0, FinishReason.TOOL_CALLS, "tool_use")
END = StreamEnd()
ENVELOPE = wrapped(Signature("signature", "c2ln"), "other")


def block(index: int, kind: BlockKind, *texts: str, signature: Signature | None = None) -> list[StreamPart]:
    deltas = [BlockDelta(0, index, kind, text) for text in texts]
    return [BlockStart(0, index, kind), *deltas, BlockStop(0, index, signature)]


def tool(index: int, *arguments: str) -> list[StreamPart]:
    start = BlockStart(0, index, TOOL, f"call_{index}", "f")
    return [start, *[BlockDelta(0, index, TOOL, text) for text in arguments], BlockStop(0, index)]


def media(index: int, **payload: object) -> list[StreamPart]:
    return [BlockStart(0, index, MEDIA, payload=payload), BlockStop(0, index)]


RICH: dict[str, list[StreamPart]] = {
    "text": [*OPEN, *block(0, TEXT, "a", "\u2028b\u0085é"), STOP, UsageReport(Usage(10, 20, 3, 2, 5)), END],
    "nothing": [*OPEN, Finish(0, FinishReason.CONTENT_FILTER, "refusal"), END],
    "reasoning": [
        *OPEN,
        *block(0, REASONING, "Hm", ".", signature=ENVELOPE),
        *block(1, TEXT, "Yes"),
        STOP,
        END,
    ],
    "redacted": [*OPEN, *block(0, REASONING, signature=ENVELOPE), *block(1, TEXT, "Yes"), STOP, END],
    "calls": [
        *OPEN,
        *block(0, TEXT, "I look."),
        *tool(1, '{"a', '":1}'),
        *tool(2, "{}"),
        *tool(3),
        CALLED,
        END,
    ],
    "refusal": [*OPEN, *block(0, REFUSAL, "No", "."), STOP, END],
    "image": [*OPEN, *media(0, media_type="image/png", data="iVBORw0KGgo="), *block(1, TEXT, "a"), STOP, END],
    "sources": [*OPEN, *block(0, TEXT, "a"), Annotation(0, 0, "https://a"), STOP, END],
    "cut": [*OPEN, *block(0, TEXT, "a"), Finish(0, FinishReason.LENGTH, ""), END],
}

each_answer = pytest.mark.parametrize("found", RICH.values(), ids=RICH.keys())


def written(found: Sequence[StreamPart]) -> bytes:
    return PROTOCOL.translator.writer(CALL, REPLY).write(found)


def lines(found: Sequence[StreamPart]) -> list[dict[str, Any]]:
    return [json.loads(line) for line in written(found).decode().splitlines()]


def folded(found: Sequence[StreamPart]) -> list[tuple[BlockKind, str | None, str | None, str]]:
    """Of each block: kind, tool's id and name, text."""
    return [
        (block.kind, block.start.tool_id, block.start.tool_name, block.text)
        for block in progress(found).blocks.values()
    ]


def test_a_stream_is_a_line_for_each_piece_and_one_that_ends_it() -> None:
    assert lines(RICH["text"]) == [
        {**HEAD, "message": {"role": "assistant", "content": "a"}, "done": False},
        {**HEAD, "message": {"role": "assistant", "content": "\u2028b\u0085é"}, "done": False},
        {
            **HEAD,
            "message": {"role": "assistant", "content": ""},
            "done": True,
            "done_reason": "stop",
            "prompt_eval_count": 10,
            "eval_count": 20,
        },
    ]
    assert PROTOCOL.encoder(CALL).content_type == "application/x-ndjson"


def test_a_call_is_sent_when_it_is_whole() -> None:
    writer = PROTOCOL.translator.writer(CALL, REPLY)
    start, first, second, stop = tool(0, '{"a', '":1}')
    assert writer.write([*OPEN, start, first, second]) == b""
    assert json.loads(writer.write([stop]))["message"] == {
        "role": "assistant",
        "content": "",
        "tool_calls": [{"id": "call_0", "function": {"name": "f", "arguments": {"a": 1}}}],
    }


@pytest.mark.parametrize("arguments", ['{"a":', "[1"])
def test_a_call_that_is_not_whole_is_left_out(arguments: str) -> None:
    found = [*OPEN, *tool(0, arguments), Finish(0, FinishReason.LENGTH, ""), END]
    (line,) = lines(found)
    assert (line["done_reason"], "tool_calls" in line["message"]) == ("length", False)


def test_thinking_has_a_field_and_its_signature_has_none() -> None:
    first, *_ = lines(RICH["reasoning"])
    assert first["message"] == {"role": "assistant", "content": "", "thinking": "Hm"}
    assert ENVELOPE.value not in written(RICH["reasoning"]).decode()


@pytest.mark.parametrize(
    ("reason", "word"),
    [
        (FinishReason.STOP, "stop"),
        (FinishReason.TOOL_CALLS, "stop"),
        (FinishReason.LENGTH, "length"),
        (FinishReason.CONTENT_FILTER, "stop"),
        (FinishReason.PAUSE, "stop"),
        (FinishReason.OTHER, "stop"),
    ],
)
def test_reasons_have_their_words(reason: FinishReason, word: str) -> None:
    found: list[StreamPart] = [*OPEN, Finish(0, reason, "own"), END]
    (line,) = lines(found)
    assert line["done_reason"] == word
    assert json.loads(PROTOCOL.translator.write_answer(CALL, REPLY, progress(found)))["done_reason"] == word


def test_an_answer_that_failed_is_an_error() -> None:
    found = [*OPEN, *block(0, TEXT, "a"), Finish(0, FinishReason.ERROR, "MALFORMED"), END]
    expected = {"error": "the model's answer failed: MALFORMED"}
    assert lines(found)[1:] == [expected]
    assert json.loads(PROTOCOL.translator.write_answer(CALL, REPLY, progress(found))) == expected


def test_an_error_is_a_text_and_the_last_thing() -> None:
    found = [*OPEN, *block(0, TEXT, "a"), StreamError("overloaded", "busy"), STOP, END]
    assert lines(found)[1:] == [{"error": "busy"}]


def test_what_has_no_place_is_left_out() -> None:
    hosted = [BlockStart(0, 0, HOSTED, payload={"a": 1}), BlockStop(0, 0)]
    image = media(0, media_type="image/png", data="iVBORw0KGgo=")
    for found in (hosted, image, [Ping()], [Opaque(b"x")], block(0, TEXT, "")):
        assert written([*OPEN, *found]) == b""


def test_a_stream_that_is_cut_is_closed_as_one() -> None:
    found = RICH["text"][:4]
    ending = closing(progress(found))
    assert lines([*found, *ending])[-1]["done_reason"] == "length"


@each_answer
def test_what_is_written_reads_as_what_was_said(found: list[StreamPart]) -> None:
    """Empty thoughts and pictures are gone, refusals are text."""
    again = parts(PROTOCOL, NDJSON, [written(found)])
    said = [
        (TEXT if kind is REFUSAL else kind, tool_id, name, text or "{}" if kind is TOOL else text)
        for kind, tool_id, name, text in folded(found)
        if text or kind is TOOL
    ]
    assert folded(again) == said
    assert progress(again).ended
    assert progress(again).error is None


@each_answer
def test_a_whole_answer_reads_like_the_stream(found: list[StreamPart]) -> None:
    streamed = progress(parts(PROTOCOL, NDJSON, [written(found)]))
    at_once = progress(
        parts(PROTOCOL, JSON, [PROTOCOL.translator.write_answer(CALL, REPLY, progress(found))])
    )
    assert _rendered(at_once) == _rendered(streamed)
    assert at_once.head == streamed.head


def _rendered(so_far: Progress) -> object:
    blocks = [(one.kind, one.start, one.text, one.stop) for one in so_far.blocks.values()]
    return blocks, so_far.finished, so_far.usage, so_far.ended


@each_answer
def test_what_is_written_is_accepted(found: list[StreamPart]) -> None:
    judgement = oracle.judges()[PROTOCOL.name](written(found))
    assert judgement["terminal"], judgement
    assert not judgement["violations"], judgement


@each_answer
def test_every_line_is_one_that_clients_take(found: list[StreamPart]) -> None:
    for line in lines(found):
        assert line["message"]["role"] == "assistant"
        assert isinstance(line["message"]["content"], str)
        assert "images" not in line["message"]
        assert all(
            isinstance(call["function"]["arguments"], dict) for call in line["message"].get("tool_calls", [])
        )

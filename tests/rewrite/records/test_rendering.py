"""What an answer said, put together from its parts."""

from collections.abc import Mapping

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
    Signature,
    StreamError,
    StreamPart,
    Usage,
    UsageReport,
)
from protocols.model.progress import Progress
from rewrite.records.rendering import rendered_parts

TEXT, TOOL = BlockKind.TEXT, BlockKind.TOOL


def rendered(*parts: StreamPart) -> Mapping[str, object]:
    progress = Progress()
    progress.fold(parts)
    return rendered_parts(progress)


def said(*parts: StreamPart) -> object:
    return rendered(*parts)["parts"]


def test_an_answer_is_put_together() -> None:
    assert said(
        ChoiceStart(0),
        BlockStart(0, 0, BlockKind.REASONING),
        BlockDelta(0, 0, BlockKind.REASONING, "Hm"),
        BlockStop(0, 0, Signature("signature", "c2ln")),
        BlockStart(0, 1, TEXT),
        BlockDelta(0, 1, TEXT, "Hel"),
        BlockDelta(0, 1, TEXT, "lo"),
        Annotation(0, 1, "https://a", "A"),
        BlockStop(0, 1),
        BlockStart(0, 2, TOOL, "call_1", "f"),
        BlockDelta(0, 2, TOOL, '{"a":'),
        BlockDelta(0, 2, TOOL, "1}"),
        BlockStop(0, 2),
    ) == [
        {"choice": 0, "kind": "reasoning", "text": "Hm", "signed": True},
        {"choice": 0, "kind": "text", "text": "Hello", "sources": [{"url": "https://a", "title": "A"}]},
        {"choice": 0, "kind": "tool_input", "id": "call_1", "name": "f", "input": {"a": 1}},
    ]


def test_half_a_call_is_reported_as_it_is() -> None:
    assert said(BlockStart(0, 0, TOOL, "call_1", "f"), BlockDelta(0, 0, TOOL, '{"a":')) == [
        {
            "choice": 0,
            "kind": "tool_input",
            "id": "call_1",
            "name": "f",
            "input": '{"a":',
            "unfinished": True,
        }
    ]


def test_what_a_second_beginning_tore_is_reported() -> None:
    first = (MessageStart("1", "m"), BlockStart(0, 0, TEXT), BlockDelta(0, 0, TEXT, "Hel"))
    again = (MessageStart("2", "m"), BlockStart(0, 0, TEXT), BlockDelta(0, 0, TEXT, "Hi"), BlockStop(0, 0))
    assert said(*first, *again) == [
        {"choice": 0, "kind": "text", "text": "Hel", "unfinished": True, "torn": True},
        {"choice": 0, "kind": "text", "text": "Hi"},
    ]


def test_how_an_answer_began_and_ended() -> None:
    assert rendered(
        MessageStart("1", "gpt"),
        Finish(0, FinishReason.LENGTH, "max_tokens", "long"),
        UsageReport(Usage(input=3, output=4)),
        StreamError("overloaded", "busy"),
    ) == {
        "id": "1",
        "model": "gpt",
        "parts": [],
        "finishes": [{"choice": 0, "reason": "length", "native": "max_tokens", "detail": "long"}],
        "usage": {"input": 3, "output": 4},
        "error": {"type": "overloaded", "message": "busy"},
    }


def test_of_nothing_there_is_nothing() -> None:
    assert rendered() == {"parts": [], "finishes": []}

"""What the events and the whole answers say besides text: signatures, sources, payloads, why they stopped."""

from collections.abc import Iterable

import pytest

from protocols.anthropic_messages import PROTOCOL
from protocols.anthropic_messages.signatures import CUT
from protocols.model.parts import (
    Annotation,
    BlockDelta,
    BlockKind,
    BlockStart,
    BlockStop,
    Finish,
    FinishReason,
    Ping,
    Signature,
    StreamPart,
)
from protocols.model.progress import Block
from protocols.model.wirejson import dump
from tests.contract import JSON, SSE, call, parts, progress, samples
from tests.rewrite.scenes import MESSAGE, MESSAGE_STOP, block, delta, ending, event, stop

TEXT, REASONING, TOOL, HOSTED = BlockKind.TEXT, BlockKind.REASONING, BlockKind.TOOL, BlockKind.HOSTED


def read(*frames: bytes) -> list[StreamPart]:
    return parts(PROTOCOL, SSE, frames)


def answer(**fields: object) -> list[StreamPart]:
    return parts(PROTOCOL, JSON, [dump({"type": "message", "content": [], **fields})])


def blocks(found: Iterable[StreamPart]) -> list[Block]:
    return list(progress(found).blocks.values())


def signatures(found: Iterable[StreamPart]) -> list[Signature | None]:
    return [part.signature for part in found if isinstance(part, BlockStop)]


def test_a_signature_is_said_when_the_block_stops() -> None:
    found = read(
        block(0, "thinking", thinking="", signature=""),
        delta(0, type="thinking_delta", thinking="Hm"),
        delta(0, type="signature_delta", signature="abc"),
        stop(0),
    )
    assert found[1:] == [
        Ping(working=True),
        BlockDelta(0, 0, REASONING, "Hm"),
        BlockDelta(0, 0, REASONING, ""),
        Ping(working=True),
        BlockStop(0, 0, Signature("signature", "abc")),
    ]


def test_redacted_thinking_is_a_signature_alone() -> None:
    found = read(block(0, "redacted_thinking", data="abc"), stop(0))
    assert found == [
        BlockStart(0, 0, REASONING, payload={"type": "redacted_thinking", "data": "abc"}),
        Ping(working=True),
        BlockStop(0, 0, Signature("redacted", "abc")),
    ]


def test_thinking_without_a_signature_has_no_signature() -> None:
    assert signatures(read(block(0, "thinking", thinking="Hm"), stop(0))) == [None]


def test_a_second_message_inherits_no_signature() -> None:
    signed = [block(0, "thinking", thinking="Hm"), delta(0, type="signature_delta", signature="abc")]
    found = read(MESSAGE, *signed, MESSAGE, block(0, "thinking", thinking="Oh"), stop(0))
    assert signatures(found) == [None]


@pytest.mark.parametrize(
    ("citation", "found"),
    [
        (
            {"type": "web_search_result_location", "url": "http://localhost/", "title": "T"},
            Annotation(0, 0, "http://localhost/", "T"),
        ),
        (
            {"type": "search_result_location", "source": "http://localhost/", "title": None},
            Annotation(0, 0, "http://localhost/"),
        ),
        ({"type": "char_location", "document_title": "D"}, BlockDelta(0, 0, TEXT, "")),
    ],
    ids="web search document".split(),
)
def test_citations_with_an_address_are_annotations(citation: object, found: StreamPart) -> None:
    frames = [block(0, "text", text=""), delta(0, type="citations_delta", citation=citation)]
    assert read(*frames)[1] == found


def test_what_the_providers_tools_did_is_kept_as_it_came() -> None:
    result = {"type": "web_search_tool_result", "tool_use_id": "s", "content": [{"url": "http://localhost/"}]}
    (start, *_) = read(event("content_block_start", index=0, content_block=result))
    assert start == BlockStart(0, 0, HOSTED, payload=result)


def test_an_input_that_no_delta_repeats_is_the_arguments() -> None:
    whole = block(0, "tool_use", id="t", name="f", input={"a": 1})
    deltas = [delta(0, type="input_json_delta", partial_json=text) for text in ("", '{"a"', ":2}")]
    assert [each.text for each in blocks(read(whole, stop(0)))] == ['{"a":1}']
    assert [each.text for each in blocks(read(whole, *deltas, stop(0)))] == ['{"a":2}']


@pytest.mark.parametrize(
    ("said", "reason", "detail"),
    [
        ({"stop_reason": "stop_sequence", "stop_sequence": "END"}, FinishReason.STOP, "END"),
        (
            {"stop_reason": "refusal", "stop_details": {"category": "cyber", "explanation": "Not this."}},
            FinishReason.CONTENT_FILTER,
            "Not this.",
        ),
        (
            {"stop_reason": "refusal", "stop_details": {"category": "bio", "explanation": None}},
            FinishReason.CONTENT_FILTER,
            "bio",
        ),
        ({"stop_reason": "refusal", "stop_details": None}, FinishReason.CONTENT_FILTER, ""),
    ],
    ids="sequence explanation category nothing".split(),
)
def test_why_it_stopped(said: dict[str, object], reason: FinishReason, detail: str) -> None:
    finish = Finish(0, reason, str(said["stop_reason"]), detail)
    assert finish in read(event("message_delta", delta=said, usage={}))
    assert finish in answer(**said)


def test_a_whole_answer_gives_all_its_blocks() -> None:
    (sample,) = (each for each in samples("rich.json") if each.protocol is PROTOCOL)
    found = parts(PROTOCOL, sample.head, [sample.data])
    assert [(each.kind, each.text) for each in blocks(found)] == [
        (REASONING, "First, look."),
        (REASONING, ""),
        (HOSTED, '{"query":"tea"}'),
        (HOSTED, ""),
        (TEXT, "Green."),
        (TOOL, '{"city":"Paris"}'),
    ]
    assert signatures(found) == [
        Signature("signature", "c2ln"),
        Signature("redacted", "cmVk"),
        None,
        None,
        None,
        None,
    ]
    assert Annotation(0, 4, "http://localhost/tea", "Tea") in found
    assert BlockStart(0, 5, TOOL, "toolu_1", "weather") in found
    assert progress(found).complete


def test_a_whole_answer_says_what_its_stream_says() -> None:
    (sample,) = (each for each in samples("tools.sse") if each.protocol is PROTOCOL)
    streamed = blocks(parts(PROTOCOL, sample.head, [sample.data]))
    tools = [
        {"type": "tool_use", "id": "toolu_1", "name": "weather", "input": {"city": "Paris", "days": [1, 2]}},
        {"type": "tool_use", "id": "toolu_2", "name": "clock", "input": {}},
    ]
    whole = blocks(answer(content=[{"type": "text", "text": "Let me look."}, *tools]))
    assert [each.start for each in whole] == [each.start for each in streamed]
    assert [each.text for each in whole[:1]] == [each.text for each in streamed[:1]]


# -- closing thinking -----------------------------------------------------------------------------------


def closed(*frames: bytes) -> bytes:
    so_far = progress(read(MESSAGE, *frames))
    return PROTOCOL.encoder(call(PROTOCOL)).close([BlockStop(0, 0)], so_far)


def test_thinking_that_is_cut_is_marked_by_its_signature() -> None:
    shown = block(0, "thinking", thinking=""), delta(0, type="thinking_delta", thinking="Hm")
    assert closed(*shown) == delta(0, type="signature_delta", signature=CUT) + stop(0)


@pytest.mark.parametrize(
    "frame",
    [block(0, "text", text="Hi"), block(0, "redacted_thinking", data="abc"), block(0, "tool_use", id="t")],
    ids="text redacted tool".split(),
)
def test_nothing_else_is_marked(frame: bytes) -> None:
    assert closed(frame) == stop(0)


def test_what_is_marked_reads_as_cut_thinking() -> None:
    shown = [MESSAGE, block(0, "thinking", thinking="Hm")]
    again = read(*shown, closed(*shown[1:]), ending("max_tokens"), MESSAGE_STOP)
    assert signatures(again) == [Signature("signature", CUT)]
    assert progress(again).complete

"""What answers say besides text: signatures, sources, pictures, sound, custom tools; whole answers too."""

import json
from collections.abc import Mapping
from pathlib import Path

import pytest

from protocols.model.call import Reply
from protocols.model.parts import (
    Annotation,
    BlockDelta,
    BlockKind,
    BlockStart,
    BlockStop,
    Finish,
    FinishReason,
    Opaque,
    Signature,
    StreamPart,
    ToolKind,
    Usage,
)
from protocols.model.progress import Block, Progress, visible
from protocols.model.wirejson import dump
from protocols.openai_chat import PROTOCOL
from protocols.openai_chat.answer_read import ChatBlocks, usage_object
from tests.contract import FIXTURES, JSON, SSE, call, parts, progress
from tests.oracle import recorded
from tests.rewrite.scenes import DONE, chunk, finishes, says

PLAIN = Signature("plain", "")
NATIVE = Signature("signature", "c2lnbmVk")
REPLY = Reply("1", "model", 7)


def read(*frames: bytes) -> Progress:
    return progress(parts(PROTOCOL, SSE, frames))


def blocks(so_far: Progress, choice: int = 0) -> list[Block]:
    return [so_far.blocks[key] for key in sorted(so_far.blocks) if key[0] == choice]


def signatures(so_far: Progress) -> list[tuple[str, Signature | None]]:
    """Text and signature of each stopped block of reasoning."""
    found = (block for block in blocks(so_far) if block.kind is BlockKind.REASONING)
    return [(block.text, block.stop.signature) for block in found if block.stop]


def fixture(name: str) -> Progress:
    head = JSON if name.endswith(".json") else SSE
    return progress(parts(PROTOCOL, head, [(FIXTURES / PROTOCOL.name / name).read_bytes()]))


def detail(**fields: object) -> bytes:
    return chunk({"reasoning_details": [fields]})


# -- signatures ----------------------------------------------------------------------------------------------


def test_reasoning_without_details_has_a_plain_signature() -> None:
    frames = [chunk({"reasoning_content": "Hm"}), says("Hi"), finishes("stop")]
    assert signatures(read(*frames)) == [("Hm", PLAIN)]


@pytest.mark.parametrize(
    ("frames", "text", "items"),
    [
        (
            [
                detail(type="reasoning.text", text="a", index=0, format="f"),
                detail(type="reasoning.text", text="b", index=0, format=None),
                detail(type="reasoning.text", signature="s", index=0),
            ],
            "ab",
            [{"type": "reasoning.text", "text": "ab", "index": 0, "format": "f", "signature": "s"}],
        ),
        (
            [
                detail(type="reasoning.summary", summary="a", index=0),
                detail(type="reasoning.encrypted", data="x", id="r1", index=0),
                detail(type="reasoning.encrypted", data="y", id="r2", index=0),
            ],
            "a",
            [
                {"type": "reasoning.summary", "summary": "a", "index": 0},
                {"type": "reasoning.encrypted", "data": "x", "id": "r1", "index": 0},
                {"type": "reasoning.encrypted", "data": "y", "id": "r2", "index": 0},
            ],
        ),
        (
            [chunk({"reasoning": "a"}), detail(type="reasoning.text", text="a", signature="s")],
            "a",
            [{"type": "reasoning.text", "text": "a", "signature": "s"}],
        ),
        ([detail(type="reasoning.encrypted", data="x")], "", [{"type": "reasoning.encrypted", "data": "x"}]),
        (
            [chunk({"reasoning": "a", "reasoning_details": [{"type": "reasoning.text", "text": "a"}]})],
            "a",
            [{"type": "reasoning.text", "text": "a"}],
        ),
    ],
    ids=["fragments", "several", "repeated", "encrypted-alone", "text-in-both-places"],
)
def test_details_are_put_together(frames: list[bytes], text: str, items: list[Mapping[str, object]]) -> None:
    ((said, signature),) = signatures(read(*frames, finishes("stop")))
    assert said == text
    assert signature
    assert (signature.form, json.loads(signature.value)) == ("details", items)


def test_hidden_reasoning_shows_nothing() -> None:
    found = parts(PROTOCOL, SSE, [detail(type="reasoning.encrypted", data="x")])
    assert not any(visible(part) for part in found)


def test_a_signature_stands_right_before_its_call() -> None:
    call_ = {
        "index": 0,
        "id": "a",
        "function": {"name": "f", "arguments": "{}"},
        "extra_content": {"google": {"thought_signature": "c2lnbmVk"}},
    }
    found = parts(PROTOCOL, SSE, [chunk({"tool_calls": [call_]})])[2:5]
    assert found == [
        BlockStart(0, 0, BlockKind.REASONING),
        BlockStop(0, 0, NATIVE),
        BlockStart(0, 1, BlockKind.TOOL, "a", "f"),
    ]


def test_a_signature_of_a_text_stands_before_it() -> None:
    so_far = read(chunk({"content": "Hi", "extra_content": {"google": {"thought_signature": "c2lnbmVk"}}}))
    assert [block.kind for block in blocks(so_far)] == [BlockKind.REASONING, BlockKind.TEXT]
    assert signatures(so_far) == [("", NATIVE)]


# -- sources, pictures, sound, tools --------------------------------------------------------------------


def test_sources_belong_to_the_text() -> None:
    cited = {"type": "url_citation", "url_citation": {"url": "u", "title": "t", "start_index": 1}}
    so_far = read(chunk({"annotations": [cited, {"type": "file_citation"}]}), says("Hi"))
    ((text,),) = (blocks(so_far),)
    assert (text.kind, text.annotations) == (BlockKind.TEXT, [Annotation(0, 0, "u", "t", 1, None)])


@pytest.mark.parametrize(
    ("url", "payload"),
    [
        ("data:image/png;base64,AAAA", {"media_type": "image/png", "data": "AAAA"}),
        ("https://pictures.test/1", {"url": "https://pictures.test/1"}),
    ],
)
def test_pictures(url: str, payload: Mapping[str, object]) -> None:
    image = {"type": "image_url", "image_url": {"url": url}}
    (block,) = blocks(read(chunk({"images": [image]}), chunk({"images": [image]}), finishes("stop")))
    assert (block.kind, block.start.payload) == (BlockKind.MEDIA, payload)
    assert block.stop


def test_sound_comes_in_pieces() -> None:
    (block,) = blocks(read(chunk({"audio": {"id": "a"}}), chunk({"audio": {"data": "AAAA"}})))
    assert (block.kind, block.start.payload) == (BlockKind.MEDIA, {"media_type": "audio/*", "id": "a"})
    assert block.pieces == ["AAAA"]


def test_empty_fields_of_a_whole_message_are_nothing() -> None:
    message = {
        "content": "Hi",
        "audio": {"data": "", "id": ""},
        "function_call": {"name": "", "arguments": ""},
    }
    body = dump({"choices": [{"index": 0, "message": message, "finish_reason": "stop"}]})
    (block,) = blocks(progress(parts(PROTOCOL, JSON, [body])))
    assert block.text == "Hi"


@pytest.mark.parametrize(
    ("tool", "kind"),
    [
        ({"type": "custom", "custom": {"name": "f", "input": "x"}}, ToolKind.CUSTOM),
        ({"custom": {"name": "f", "input": "x"}}, ToolKind.CUSTOM),
        ({"type": "function", "function": {"name": "f", "arguments": "x"}}, ToolKind.FUNCTION),
        ({"function": {"name": "f", "arguments": "x"}, "custom": {"name": ""}}, ToolKind.FUNCTION),
    ],
)
def test_kinds_of_tools(tool: Mapping[str, object], kind: ToolKind) -> None:
    (block,) = blocks(read(chunk({"tool_calls": [{"index": 0, "id": "a", **tool}]})))
    assert (block.start.tool_kind, block.tool_name, block.text) == (kind, "f", "x")


def test_a_stop_sequence_is_reported_where_the_provider_reports_it() -> None:
    frame = b'data: {"choices": [{"delta": {}, "finish_reason": "stop", "stop_reason": "END"}]}\n\n'
    assert read(frame).finished == {0: Finish(0, FinishReason.STOP, "stop", "END")}


# -- golden answers -------------------------------------------------------------------------------------


def test_what_openrouter_adds() -> None:
    so_far = fixture("openrouter.sse")
    reasoning, text, picture = blocks(so_far)
    assert (reasoning.text, text.text) == ("The sky is up.", "It is blue")
    assert reasoning.stop
    assert reasoning.stop.signature
    assert '"signature":"c2lnbmVk"' in reasoning.stop.signature.value
    assert [source.url for source in text.annotations] == ["https://sky.test/"]
    assert picture.start.payload == {"media_type": "image/png", "data": "iVBORw0="}
    assert so_far.usage == Usage(9, 14, cache_read=2, cache_write=5, reasoning=6, cost=0.0001)


def test_a_whole_answer_has_all_blocks_of_all_choices() -> None:
    so_far = fixture("rich.json")
    said = [(block.kind.value, block.text, block.tool_name) for block in blocks(so_far)]
    assert said == [
        ("reasoning", "Two cities.", None),
        ("text", "Looking it up.", None),
        ("reasoning", "", None),
        ("tool_input", '{"city":"Oslo"}', "weather"),
        ("tool_input", "ls -l", "shell"),
    ]
    assert signatures(so_far) == [("Two cities.", PLAIN), ("", NATIVE)]
    assert [block.text for block in blocks(so_far, 1)] == ["I will not."]
    assert not so_far.open
    assert so_far.usage == Usage(20, 30, cache_read=8, reasoning=4)


def test_calls_of_a_whole_message_are_told_apart_by_their_place() -> None:
    calls = [{"id": "", "type": "function", "function": {"name": n, "arguments": "{}"}} for n in "fg"]
    body = dump({"choices": [{"message": {"tool_calls": calls}, "finish_reason": "tool_calls"}]})
    so_far = progress(parts(PROTOCOL, JSON, [body]))
    assert [(block.tool_name, block.text) for block in blocks(so_far)] == [("f", "{}"), ("g", "{}")]


# -- recorded answers -----------------------------------------------------------------------------------

each_recorded = pytest.mark.parametrize(
    "file", [*recorded("openai_chat", "*.sse"), *recorded("openai_chat", "*.json")]
)


@each_recorded
def test_a_recorded_answer_is_understood_and_can_be_written_again(file: Path) -> None:
    """Parts to our own bytes and back: the same texts, calls and ends; an error stays one."""
    found = parts(PROTOCOL, JSON if file.suffix == ".json" else SSE, [file.read_bytes()])
    assert not any(isinstance(part, Opaque) for part in found)
    before = progress(found)
    streamed = PROTOCOL.translator.writer(call(PROTOCOL), REPLY).write(_closed(found, before))
    assert _said(progress(parts(PROTOCOL, SSE, [streamed]))) == _said(before)
    if before.seen and not before.error:
        whole = PROTOCOL.translator.write_answer(call(PROTOCOL), REPLY, before)
        assert _said(progress(parts(PROTOCOL, JSON, [whole]))) == _said(before)


def _closed(found: list[StreamPart], so_far: Progress) -> list[StreamPart]:
    """With what a translation would supply: an end for each choice."""
    missing = [Finish(choice, FinishReason.OTHER, "") for choice in so_far.unfinished]
    stops = [BlockStop(*key) for key in so_far.open]
    at = next((at for at, part in enumerate(found) if type(part).__name__ == "StreamEnd"), len(found))
    return [*found[:at], *stops, *missing, *found[at:]]


def _said(so_far: Progress) -> object:
    if so_far.error:
        return "an error", so_far.error.message
    texts = {
        (choice, kind.value): "".join(
            block.text
            for (of, _), block in sorted(so_far.blocks.items())
            if of == choice and block.kind is kind
        )
        for choice in so_far.seen
        for kind in (BlockKind.TEXT, BlockKind.REASONING, BlockKind.REFUSAL)
    }
    calls = [
        (key[0], block.start.tool_id, block.tool_name, block.text)
        for key, block in sorted(so_far.blocks.items())
        if block.kind is BlockKind.TOOL
    ]
    return texts, calls, {choice: _end(so_far, choice, bool(calls)) for choice in so_far.seen}


def _end(so_far: Progress, choice: int, calls: bool) -> FinishReason:
    """An end without a word of its own is that of a call, or of an answer."""
    finish = so_far.finished.get(choice)
    if finish and finish.reason is not FinishReason.OTHER:
        return finish.reason
    return FinishReason.TOOL_CALLS if calls else FinishReason.STOP


def test_done_ends_a_stream_whose_blocks_are_open() -> None:
    """Measured: `[DONE]` without a finish reason exists; what is open then is for others to close."""
    so_far = read(says("Hi"), DONE)
    assert so_far.complete
    assert [block.text for block in so_far.open.values()] == ["Hi"]


# -- blocks that begin and end without saying so --------------------

TEXT, TOOL = BlockKind.TEXT, BlockKind.TOOL


def test_the_first_mention_of_a_key_opens_its_block() -> None:
    blocks = ChatBlocks(3)
    assert [*blocks.delta("a", TEXT, "1"), *blocks.delta("b", TOOL, "2"), *blocks.delta("a", TEXT, "3")] == [
        BlockStart(3, 0, TEXT),
        BlockDelta(3, 0, TEXT, "1"),
        BlockStart(3, 1, TOOL),
        BlockDelta(3, 1, TOOL, "2"),
        BlockDelta(3, 0, TEXT, "3"),
    ]


def test_a_block_may_open_by_name() -> None:
    blocks = ChatBlocks(0)
    assert blocks.tool("t", ToolKind.FUNCTION, "id", "name") == BlockStart(0, 0, TOOL, "id", "name")
    assert "t" in blocks
    assert "u" not in blocks


def test_closing_ends_all_and_indexes_are_never_used_again() -> None:
    blocks = ChatBlocks(0)
    assert len([*blocks.delta("a", TEXT, "1"), *blocks.delta("b", TEXT, "1")]) == 4
    assert [*blocks.close()] == [BlockStop(0, 0), BlockStop(0, 1)]
    assert [*blocks.close()] == []
    assert blocks.start("a", TEXT) == BlockStart(0, 2, TEXT)


def test_groq_has_its_usage_elsewhere() -> None:
    assert usage_object({"usage": None, "x_groq": {"usage": {"prompt_tokens": 1}}}) == {"prompt_tokens": 1}
    assert usage_object({}) == {}

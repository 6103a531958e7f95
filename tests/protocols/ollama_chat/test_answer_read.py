"""Lines to parts: blocks that begin and end without saying so, calls without ids, ends without a reason."""

import json

import pytest

from protocols.model.call import Call, Operation
from protocols.model.parts import (
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
from tests.contract import JSON, NDJSON, parts, progress, samples

TEXT, REASONING, TOOL, MEDIA = BlockKind.TEXT, BlockKind.REASONING, BlockKind.TOOL, BlockKind.MEDIA
UNSEALED = Signature("plain", "")


def golden(name: str) -> list[StreamPart]:
    (sample,) = (each for each in samples(name) if each.protocol is PROTOCOL)
    return sample.parts([sample.data])


def read(*lines: object) -> list[StreamPart]:
    return parts(PROTOCOL, NDJSON, [json.dumps(line).encode() + b"\n" for line in lines])


def done(**fields: object) -> dict[str, object]:
    return {"message": {"role": "assistant", "content": ""}, "done": True, **fields}


def blocks(so_far: Progress) -> list[tuple[BlockKind, str]]:
    return [(block.kind, block.text) for block in so_far.blocks.values()]


def test_text_is_one_block_until_the_end() -> None:
    start, *remainder = golden("text.ndjson")
    template = {"model": "sample:8b", "created_at": "2025-03-20T18:32:37.255986Z"}
    assert start == MessageStart("", "sample:8b", template)
    assert remainder == [
        ChoiceStart(0),
        BlockStart(0, 0, TEXT),
        BlockDelta(0, 0, TEXT, "Hel"),
        BlockDelta(0, 0, TEXT, 'lo é \u2028 "you"'),
        BlockStop(0, 0),
        Finish(0, FinishReason.STOP, "stop"),
        UsageReport(Usage(input=9, output=4)),
        StreamEnd(),
    ]


def test_calls_come_whole_and_an_id_may_be_missing() -> None:
    found = golden("tools.ndjson")
    assert found[5:11] == [
        BlockStart(0, 1, TOOL, None, "weather"),
        BlockDelta(0, 1, TOOL, '{"city":"Oslo","days":[1,2]}'),
        BlockStop(0, 1),
        BlockStart(0, 2, TOOL, "call_b", "time"),
        BlockDelta(0, 2, TOOL, "{}"),
        BlockStop(0, 2),
    ]
    assert Finish(0, FinishReason.TOOL_CALLS, "stop") in found


def test_thinking_is_a_block_before_the_text_with_nothing_to_sign() -> None:
    so_far = progress(golden("thinking.ndjson"))
    assert blocks(so_far) == [(REASONING, "The user"), (TEXT, "Yes.")]
    assert so_far.blocks[0, 0].stop == BlockStop(0, 0, UNSEALED)
    assert so_far.finished[0] == Finish(0, FinishReason.LENGTH, "length")
    assert so_far.usage == Usage(output=4)


def test_thinking_may_begin_again() -> None:
    lines = [{"message": {"thinking": "a", "content": "b"}, "done": False}, {"message": {"thinking": "c"}}]
    assert blocks(progress(read(*lines))) == [(REASONING, "a"), (TEXT, "b"), (REASONING, "c")]


def test_an_end_without_a_reason_is_an_end_and_no_stop() -> None:
    so_far = progress(golden("no_reason.ndjson"))
    assert so_far.ended
    assert so_far.finished == {0: Finish(0, FinishReason.OTHER, "")}
    assert so_far.usage is None


@pytest.mark.parametrize(
    ("word", "reason"),
    [
        ("stop", FinishReason.STOP),
        ("length", FinishReason.LENGTH),
        ("load", FinishReason.STOP),
        ("unload", FinishReason.STOP),
        ("brand_new", FinishReason.OTHER),
    ],
)
def test_reasons_have_their_words(word: str, reason: FinishReason) -> None:
    assert progress(read(done(done_reason=word))).finished == {0: Finish(0, reason, word)}


def test_a_cut_answer_with_calls_is_cut() -> None:
    call = {"message": {"tool_calls": [{"function": {"name": "f", "arguments": {}}}]}, "done": False}
    found = progress(read(call, done(done_reason="length")))
    assert found.finished[0].reason is FinishReason.LENGTH


def test_an_error_is_a_line_of_its_own() -> None:
    so_far = progress(golden("error.ndjson"))
    assert so_far.error == StreamError(
        "", "an error was encountered while running the model: unexpected EOF", native=True
    )
    assert not so_far.complete


@pytest.mark.parametrize(
    ("arguments", "text"),
    [({"a": 1}, '{"a":1}'), ('{"a": 1}', '{"a": 1}'), (None, "{}"), ("", "{}")],
    ids=["object", "text", "null", "empty"],
)
def test_arguments_are_json_text(arguments: object, text: str) -> None:
    line = {"message": {"tool_calls": [{"function": {"name": "f", "arguments": arguments}}]}, "done": False}
    assert blocks(progress(read(line))) == [(TOOL, text)]


def test_images_are_media_of_the_type_that_they_show() -> None:
    found = read({"message": {"images": ["iVBORw0KGgoAAAA=", "/9j/4AAQ", "xxxx"]}, "done": False})
    starts = [part.payload for part in found if isinstance(part, BlockStart)]
    assert starts == [
        {"media_type": "image/png", "data": "iVBORw0KGgoAAAA="},
        {"media_type": "image/jpeg", "data": "/9j/4AAQ"},
        {"media_type": "", "data": "xxxx"},
    ]


def test_what_is_no_line_of_an_answer_is_kept() -> None:
    assert read({"response": "Hi", "model": "m"}) == [Opaque(b'{"response":"Hi","model":"m"}')]
    assert parts(PROTOCOL, NDJSON, [b"\n"]) == [Ping()]


# -- whole answers --------------------------------------------------------------------------------------


def test_a_whole_answer_has_all_its_blocks() -> None:
    so_far = progress(golden("rich.json"))
    assert blocks(so_far) == [
        (REASONING, "Where?"),
        (TEXT, "I look."),
        (MEDIA, ""),
        (TOOL, '{"city":"Oslo"}'),
    ]
    assert so_far.finished[0] == Finish(0, FinishReason.TOOL_CALLS, "stop")
    assert so_far.usage == Usage(output=111)
    assert so_far.ended
    assert not so_far.open


def test_a_whole_answer_to_a_streamed_call_is_one_line() -> None:
    (sample,) = (each for each in samples("text.json") if each.protocol is PROTOCOL)
    asked = Call("id", PROTOCOL.name, Operation.GENERATE, "m", True, ())
    assert parts(PROTOCOL, JSON, [sample.data], asked) == golden("text.json")


def test_a_whole_error_is_one() -> None:
    assert golden("error.json") == [StreamError("", 'model "sample:8b" not found')]


def test_other_operations_end_and_are_counted() -> None:
    embedded = b'{"model":"m","embeddings":[[0.1]],"prompt_eval_count":5}'
    assert parts(PROTOCOL, JSON, [embedded]) == [UsageReport(Usage(input=5)), StreamEnd()]
    assert parts(PROTOCOL, JSON, [b'{"models":[]}']) == [StreamEnd()]

"""A cut response continues in its own items, after its own indexes and numbers, and ends with all of them."""

from itertools import pairwise
from typing import Any

from protocols.model.parts import (
    BlockDelta,
    BlockKind,
    BlockStart,
    BlockStop,
    Finish,
    FinishReason,
    StreamEnd,
    StreamError,
    StreamPart,
    Usage,
    UsageReport,
)
from protocols.model.progress import Progress
from protocols.openai_responses import PROTOCOL
from tests.contract import SSE, call, parts, progress
from tests.protocols.openai_responses.frames import fixture_bytes
from tests.protocols.openai_responses.test_answer_write_closed import cut, kinds, objects

ENDING: list[StreamPart] = [Finish(0, FinishReason.TOOL_CALLS, ""), StreamEnd()]
CALL: list[StreamPart] = [
    BlockStart(0, 1, BlockKind.TOOL, "call_9", "look"),
    BlockDelta(0, 1, BlockKind.TOOL, "{}"),
    BlockStop(0, 1),
]


def text_so_far() -> Progress:
    return progress(parts(PROTOCOL, SSE, [cut("text.sse", b"output_text.delta")]))


def resumed(so_far: Progress, remainder: list[StreamPart]) -> list[dict[str, Any]]:
    return objects(PROTOCOL.editor.resume(call(PROTOCOL), so_far).write(remainder))


def test_text_continues_in_its_item_and_a_call_follows_it() -> None:
    remainder: list[StreamPart] = [
        BlockDelta(0, 0, BlockKind.TEXT, " Or so."),
        BlockStop(0, 0),
        *CALL,
        *ENDING,
    ]
    events = resumed(text_so_far(), remainder)
    assert kinds(events) == [
        "output_text.delta",
        "output_text.done",
        "content_part.done",
        "output_item.done",
        "output_item.added",
        "function_call_arguments.delta",
        "function_call_arguments.done",
        "output_item.done",
        "completed",
    ]
    assert events[0] == {
        "type": "response.output_text.delta",
        "item_id": "msg_1",
        "output_index": 0,
        "content_index": 0,
        "delta": " Or so.",
        "logprobs": [],
        "sequence_number": 8,
    }
    assert all(b["sequence_number"] == a["sequence_number"] + 1 for a, b in pairwise(events))
    assert events[4]["output_index"] == 1
    response = events[-1]["response"]
    said, called = response["output"]
    assert (response["id"], response["status"]) == ("resp_1", "completed")
    assert (said["id"], said["status"]) == ("msg_1", "completed")
    assert said["content"][0]["text"] == "The café is\u2028open 🍵 until ten. Or so."
    assert (called["call_id"], called["name"], called["arguments"]) == ("call_9", "look", "{}")


def test_what_comes_later_to_the_progress_is_not_reported_twice() -> None:
    so_far = text_so_far()
    writer = PROTOCOL.editor.resume(call(PROTOCOL), so_far)
    more: list[StreamPart] = [BlockDelta(0, 0, BlockKind.TEXT, " More.")]
    so_far.fold(more)
    ending: list[StreamPart] = [BlockStop(0, 0), Finish(0, FinishReason.STOP, ""), StreamEnd()]
    events = objects(writer.write([*more, *ending]))
    assert events[-1]["response"]["output"][0]["content"][0]["text"].count("More.") == 1


def test_items_that_were_done_stay_as_they_are_in_the_end() -> None:
    so_far = progress(parts(PROTOCOL, SSE, [cut("tools.sse", b'"delta":"ty')]))
    whole = progress(parts(PROTOCOL, SSE, [fixture_bytes("tools.sse")]))
    (open_block,) = so_far.open.values()
    left = whole.blocks[0, open_block.start.index].text.removeprefix(open_block.text)
    index = open_block.start.index
    events = resumed(so_far, [BlockDelta(0, index, BlockKind.TOOL, left), BlockStop(0, index), *ENDING])
    said, called = events[-1]["response"]["output"]
    assert (said["status"], called["status"]) == ("completed", "completed")
    assert called["arguments"] == whole.blocks[0, index].text


def test_counts_are_the_last_that_were_reported() -> None:
    usage = Usage(input=3, output=4)
    remainder: list[StreamPart] = [
        BlockStop(0, 0),
        UsageReport(usage),
        Finish(0, FinishReason.LENGTH, ""),
        StreamEnd(),
    ]
    last = resumed(text_so_far(), remainder)[-1]["response"]
    assert (last["status"], last["usage"]["total_tokens"]) == ("incomplete", 7)


def test_a_resumed_response_may_fail() -> None:
    events = resumed(text_so_far(), [BlockDelta(0, 0, BlockKind.TEXT, "!"), StreamError("x", "it was cut")])
    assert kinds(events) == ["output_text.delta", "error", "failed"]
    assert events[-1]["response"]["output"][0]["content"][0]["text"].endswith("ten.!")

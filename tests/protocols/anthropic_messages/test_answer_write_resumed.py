"""A cut message continues in its open block, and further blocks follow its own indexes."""

import json
from collections.abc import Sequence
from typing import Any

from protocols.anthropic_messages import PROTOCOL
from protocols.framing.sse import write_event
from protocols.model.parts import (
    BlockDelta,
    BlockKind,
    BlockStart,
    BlockStop,
    Finish,
    FinishReason,
    StreamEnd,
    StreamPart,
    Usage,
    UsageReport,
)
from tests.contract import SSE, call, parts, progress

OPENING: list[dict[str, Any]] = [
    {"type": "message_start", "message": {"id": "msg_1", "usage": {"input_tokens": 5, "output_tokens": 1}}},
    {"type": "content_block_start", "index": 4, "content_block": {"type": "text", "text": ""}},
    {"type": "content_block_delta", "index": 4, "delta": {"type": "text_delta", "text": "It is "}},
]
TEXT: list[StreamPart] = [BlockDelta(0, 4, BlockKind.TEXT, "ten."), BlockStop(0, 4)]
CALL: list[StreamPart] = [
    BlockStart(0, 5, BlockKind.TOOL, "toolu_1", "look"),
    BlockDelta(0, 5, BlockKind.TOOL, "{}"),
    BlockStop(0, 5),
]
ENDING: list[StreamPart] = [Finish(0, FinishReason.STOP, ""), StreamEnd()]


def resumed(remainder: Sequence[StreamPart]) -> list[dict[str, Any]]:
    sent = b"".join(write_event(each, each["type"]) for each in OPENING)
    so_far = progress(parts(PROTOCOL, SSE, [sent]))
    written = PROTOCOL.editor.resume(call(PROTOCOL), so_far).write(remainder)
    return [json.loads(line[6:]) for line in written.splitlines() if line.startswith(b"data: ")]


def test_blocks_follow_the_one_that_was_open() -> None:
    events = resumed([*TEXT, *CALL, *ENDING])
    assert [(each["type"], each.get("index")) for each in events] == [
        ("content_block_delta", 4),
        ("content_block_stop", 4),
        ("content_block_start", 5),
        ("content_block_delta", 5),
        ("content_block_delta", 5),
        ("content_block_stop", 5),
        ("message_delta", None),
        ("message_stop", None),
    ]
    assert events[0]["delta"] == {"type": "text_delta", "text": "ten."}
    assert events[-2]["delta"]["stop_reason"] == "tool_use"


def test_output_is_estimated_from_all_of_the_text_unless_it_is_reported() -> None:
    assert resumed([*TEXT, *ENDING])[-2]["usage"] == {"output_tokens": 3}
    reported = UsageReport(Usage(input=9, output=7))
    assert resumed([*TEXT, reported, *ENDING])[-2]["usage"] == {"input_tokens": 9, "output_tokens": 7}

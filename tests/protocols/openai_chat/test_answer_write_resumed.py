"""A cut stream of chunks continues under its own names, and counts its calls on."""

from collections.abc import Sequence
from dataclasses import replace
from typing import Any

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
from protocols.model.wirejson import dump, load_object
from protocols.openai_chat import PROTOCOL
from tests.contract import SSE, call, parts, progress

HEAD = {"id": "c1", "object": "chat.completion.chunk", "created": 7, "model": "m", "system_fingerprint": "f"}
FIRST = {"index": 0, "id": "call_1", "type": "function", "function": {"name": "look", "arguments": "{}"}}
SENT: list[dict[str, Any]] = [{"role": "assistant", "content": "It "}, {"tool_calls": [FIRST]}]
MORE: list[StreamPart] = [
    BlockDelta(0, 0, BlockKind.TEXT, "is."),
    BlockStop(0, 0),
    BlockStop(0, 1),
    BlockStart(0, 2, BlockKind.TOOL, "call_2", "look"),
    BlockDelta(0, 2, BlockKind.TOOL, "[]"),
    BlockStop(0, 2),
    Finish(0, FinishReason.TOOL_CALLS, ""),
    UsageReport(Usage(input=1, output=2)),
    StreamEnd(),
]


def resumed(remainder: Sequence[StreamPart], **body: object) -> list[dict[str, Any]]:
    sent = b"".join(
        b"data: " + dump({**HEAD, "choices": [{"index": 0, "delta": delta}]}) + b"\n\n" for delta in SENT
    )
    so_far = progress(parts(PROTOCOL, SSE, [sent]))
    written = PROTOCOL.editor.resume(replace(call(PROTOCOL), body=body), so_far).write(remainder)
    *frames, done = written.removesuffix(b"\n\n").split(b"\n\n")
    assert done == b"data: [DONE]"
    return [dict(load_object(frame.removeprefix(b"data: ")) or {}) for frame in frames]


def test_calls_are_counted_on_and_nobody_is_introduced_again() -> None:
    chunks = resumed(MORE)
    assert all({name: each[name] for name in HEAD} == HEAD for each in chunks)
    deltas = [each["choices"][0]["delta"] for each in chunks]
    assert deltas[0] == {"content": "is."}
    assert [each["tool_calls"][0]["index"] for each in deltas[1:3]] == [1, 1]
    assert not [each for each in deltas if "role" in each]
    assert chunks[-1]["choices"][0]["finish_reason"] == "tool_calls"


def test_counts_are_sent_where_they_were_asked_for() -> None:
    *_, last = resumed(MORE, stream_options={"include_usage": True})
    assert (last["choices"], last["usage"]["total_tokens"]) == ([], 3)
    assert "usage" not in resumed(MORE)[-1]

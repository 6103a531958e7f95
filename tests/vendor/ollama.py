"""Well-formed answers of Ollama's /api/chat, made of pieces that a test can cut anywhere.

Measured: one JSON object per line; a tool call is whole, has an object for arguments and no id; the last line
says `done`. An error is a text, and inside a stream a line of its own.
"""

import json
from collections.abc import Sequence

from tests.vendor.answers import Json, Tool, dump
from tests.vendor.script import Headers, Reply, whole

NDJSON = "application/x-ndjson"
_USAGE: Json = {"prompt_eval_count": 12, "eval_count": 9, "total_duration": 1_000_000, "load_duration": 1000}


def ollama_stream(
    texts: Sequence[str],
    *,
    model: str = "qwen3:8b",
    finish: str | None = "stop",
    tools: Sequence[Tool] = (),
    reasoning: Sequence[str] = (),
) -> list[bytes]:
    """Lines: thinking, texts, one with all calls, the last one with the done_reason (None: left out)."""
    messages: list[Json] = [
        *({"content": "", "thinking": text} for text in reasoning),
        *({"content": text} for text in texts),
        *([{"content": "", "tool_calls": [_call(tool) for tool in tools]}] if tools else []),
    ]
    lines = [_answer(model, message, None) for message in messages]
    return [
        dump(line) + b"\n"
        for line in [*lines, *([_answer(model, {"content": ""}, finish)] if finish else [])]
    ]


def ollama_answer(
    text: str,
    *,
    model: str = "qwen3:8b",
    finish: str = "stop",
    tools: Sequence[Tool] = (),
    reasoning: Sequence[str] = (),
) -> list[bytes]:
    """A whole answer."""
    message = {"content": text, **({"thinking": "".join(reasoning)} if reasoning else {})}
    calls = {"tool_calls": [_call(tool) for tool in tools]} if tools else {}
    return [dump(_answer(model, {**message, **calls}, finish))]


def ollama_error(status: int, message: str, headers: Headers = ()) -> Reply:
    """A rejection in Ollama's form."""
    return whole(dump({"error": message}), status, headers)


def ollama_error_line(message: str) -> bytes:
    """The same inside a stream."""
    return dump({"error": message}) + b"\n"


def _call(tool: Tool) -> Json:
    return {"function": {"name": tool.name, "arguments": json.loads(tool.arguments)}}


def _answer(model: str, message: Json, finish: str | None) -> Json:
    base = {"model": model, "created_at": "2025-08-08T10:00:00.000000Z"}
    ending = {"done": True, "done_reason": finish, **_USAGE} if finish else {"done": False}
    return {**base, "message": {"role": "assistant", **message}, **ending}

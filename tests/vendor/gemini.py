"""Well-formed answers of Gemini's generateContent, made of pieces that a test can cut anywhere.

Measured: streams are data-only, their lines end in CRLF, and nothing comes after the chunk that has the
finish reason; a function call is one part, whole, and of parallel ones the first alone is signed; usage is on
every chunk. Without `alt=sse` the same chunks come as one JSON array.
"""

import json
from collections.abc import Sequence
from typing import Any

from tests.vendor.answers import SEAL, Json, Tool, dump
from tests.vendor.script import Headers, Reply, whole

_USAGE: Json = {"promptTokenCount": 12, "candidatesTokenCount": 9, "totalTokenCount": 21}
_WORDS = {
    400: "INVALID_ARGUMENT",
    401: "UNAUTHENTICATED",
    403: "PERMISSION_DENIED",
    404: "NOT_FOUND",
    429: "RESOURCE_EXHAUSTED",
    503: "UNAVAILABLE",
}


def gemini_stream(
    texts: Sequence[str],
    *,
    id: str = "response-1",
    model: str = "gemini-2.5-flash",
    finish: str | None = "STOP",
    tools: Sequence[Tool] = (),
    reasoning: Sequence[str] = (),
) -> list[bytes]:
    """Gemini events: thoughts, texts, calls, an empty text with the finish reason (None: left out)."""
    return [gemini_event(chunk) for chunk in _chunks(id, model, _parts(texts, tools, reasoning), finish)]


def gemini_array(
    texts: Sequence[str],
    *,
    id: str = "response-1",
    model: str = "gemini-2.5-flash",
    finish: str | None = "STOP",
    tools: Sequence[Tool] = (),
    reasoning: Sequence[str] = (),
) -> list[bytes]:
    """The same as a JSON array, with its brackets and separators."""
    chunks = _chunks(id, model, _parts(texts, tools, reasoning), finish)
    opened = [(b",\r\n" if number else b"[") + dump(chunk) + b"\n" for number, chunk in enumerate(chunks)]
    return [*opened, b"]"] if finish else opened


def gemini_answer(
    text: str,
    *,
    id: str = "response-1",
    model: str = "gemini-2.5-flash",
    finish: str = "STOP",
    tools: Sequence[Tool] = (),
    reasoning: Sequence[str] = (),
) -> list[bytes]:
    """A whole answer of generateContent."""
    return [dump(_chunk(id, model, _parts([text] if text else [], tools, reasoning), finish))]


def gemini_error(status: int, word: str, message: str, headers: Headers = ()) -> Reply:
    """A rejection in Google's form; `word` "": that of the status."""
    return whole(dump(_fault(status, word, message)), status, headers)


def gemini_error_event(status: int, word: str, message: str) -> bytes:
    """The same inside a stream."""
    return gemini_event(_fault(status, word, message))


def gemini_event(value: Json) -> bytes:
    """An event as Gemini sends it: without a name, its lines ended by CRLF."""
    return b"data: " + dump(value) + b"\r\n\r\n"


def _fault(status: int, word: str, message: str) -> Json:
    return {"error": {"code": status, "message": message, "status": word or _WORDS.get(status, "INTERNAL")}}


def _parts(texts: Sequence[str], tools: Sequence[Tool], reasoning: Sequence[str]) -> list[Json]:
    thoughts: list[Json] = [{"text": text, "thought": True} for text in reasoning]
    shown = [{"text": text} for text in texts] + [_call(number, tool) for number, tool in enumerate(tools, 1)]
    if reasoning and shown:
        shown[0] = {**shown[0], "thoughtSignature": SEAL}
    return [*thoughts, *shown]


def _call(number: int, tool: Tool) -> dict[str, Any]:
    arguments = json.loads(tool.arguments)
    return {"functionCall": {"id": tool.id or f"call_{number}", "name": tool.name, "args": arguments}}


def _chunks(id: str, model: str, parts: Sequence[Json], finish: str | None) -> list[Json]:
    chunks = [_chunk(id, model, [part], None) for part in parts]
    return [*chunks, _chunk(id, model, [{"text": ""}], finish)] if finish else chunks


def _chunk(id: str, model: str, parts: Sequence[Json], finish: str | None) -> Json:
    candidate: Json = {"content": {"parts": list(parts), "role": "model"}, "index": 0}
    ending = {"finishReason": finish} if finish else {}
    base = {"usageMetadata": _USAGE, "modelVersion": model, "responseId": id}
    return {"candidates": [{**candidate, **ending}], **base}

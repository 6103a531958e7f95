"""What providers really sent, through an Exchange: it passes untouched, and is judged and counted right."""

import json
import re
from collections.abc import Iterator, Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from msgspec import structs

from protocols.base import WireProtocol
from protocols.model.http import Head
from protocols.model.parts import OtherUsage, Usage
from protocols.registry import discover
from rewrite.values.timeouts import Limits
from tests import oracle
from tests.contract import JSON, NDJSON, SSE
from tests.oracle import recorded
from tests.rewrite.replay import chunked, replay
from tests.rewrite.scenes import ANTHROPIC, CHAT, DONE, TERMS

PROTOCOLS = {protocol.name: protocol for protocol in (CHAT, ANTHROPIC)}
STREAMED = {protocol.name: protocol for protocol in discover()}
OWN_KEY = structs.replace(TERMS, pooled=False)
ONE_ATTEMPT = structs.replace(OWN_KEY, limits=Limits(max_attempts=1))
OF_ANOTHER_SHAPE = "pyd-demo-endpoints-test-invalid-response-0.json"
"""Recorded as what no client can read."""
ODD = 1009
"""Bytes in a piece: a prime, so that pieces end anywhere."""

BEYOND_THE_GRAMMAR = {
    "fb-vertexai-streaming-failure-error-mid-stream.sse": "its error has no data: before it, which SDKs read",
    "prism-gemini-stream-basic-text-1.sse": "its events have no blank lines between them",
}
"""Recordings that the acceptor cannot judge, each with the reason."""

each_stream = pytest.mark.parametrize(
    "file", [p for name in STREAMED for p in recorded(name, "*.ndjson" if name == "ollama_chat" else "*.sse")]
)
each_counted = pytest.mark.parametrize("file", [p for name in PROTOCOLS for p in recorded(name, "*.sse")])
each_answer = pytest.mark.parametrize("file", [p for name in PROTOCOLS for p in recorded(name, "*.json")])


def protocol_of(file: Path) -> WireProtocol:
    return STREAMED[oracle.protocol_of(file)]


def head_of(file: Path) -> Head:
    return NDJSON if file.suffix == ".ndjson" else SSE


@pytest.fixture(scope="module")
def judges() -> Mapping[str, oracle.Judge]:
    return oracle.judges()


def objects(data: bytes) -> Iterator[dict[str, Any]]:
    """The JSON objects of a stream, read without our framing."""
    for event in re.split(rb"(?:\r\n|\n|\r){2}", data):
        lines = [line[5:].strip() for line in re.split(rb"\r\n|\n|\r", event) if line.startswith(b"data:")]
        text = b"\n".join(lines)
        if text and text != DONE[6:-2]:
            yield json.loads(text)


@each_stream
def test_a_recorded_stream_passes_untouched(file: Path, judges: Mapping[str, oracle.Judge]) -> None:
    data = file.read_bytes()
    judgement = judges[protocol_of(file).name](data)
    passed = replay(protocol_of(file), chunked(data, ODD), head=head_of(file))
    assert passed.attempts == 1
    if passed.summary.end == "rejected":
        assert judgement["error"] or not judgement["terminal"]
        assert data.startswith(passed.body) or passed.head.status == 502
        return
    added = passed.body.removeprefix(data)
    assert data + added == passed.body
    if passed.summary.end == "completed":
        assert added in (b"", b"\n", b"\n\n", *([DONE] if not judgement.get("done", True) else []))


@each_stream
def test_a_recorded_stream_is_judged_as_the_grammar_says(
    file: Path, judges: Mapping[str, oracle.Judge]
) -> None:
    if file.name in BEYOND_THE_GRAMMAR:
        pytest.skip(BEYOND_THE_GRAMMAR[file.name])
    data = file.read_bytes()
    judgement = judges[protocol_of(file).name](data)
    end = replay(protocol_of(file), chunked(data, ODD), head=head_of(file)).summary.end
    if judgement["error"]:
        assert end in ("error", "rejected")
    else:
        assert (end == "completed") == judgement["terminal"]


@each_counted
def test_a_recorded_stream_is_counted_by_its_last_usage(file: Path) -> None:
    data = file.read_bytes()
    counted = replay(protocol_of(file), chunked(data, ODD)).summary.progress.usage
    assert counted == last_usage(file.parent.name, data)


def last_usage(protocol: str, data: bytes) -> Usage | None:
    """The last usage object, read without our decoders; those of messages are laid over one another."""
    found: dict[str, Any] = {}
    for each in objects(data):
        usage = each.get("usage") or each.get("x_groq", {}).get("usage") or {}
        message = each.get("message", {}).get("usage") or {}
        found = {**found, **message, **usage} if protocol == ANTHROPIC.name else usage or found
    if not found:
        return None
    return messages_usage(found) if protocol == ANTHROPIC.name else chat_usage(found)


def chat_usage(found: Mapping[str, Any]) -> Usage:
    reasoning = (found.get("completion_tokens_details") or {}).get("reasoning_tokens")
    output, total = found["completion_tokens"], found.get("total_tokens")
    beside = reasoning and total == found["prompt_tokens"] + output + reasoning
    return Usage(
        input=found["prompt_tokens"],
        output=output + reasoning if beside else output,
        cache_read=chat_cached(found),
        reasoning=reasoning,
        cost=chat_cost(found),
    )


def chat_cached(found: Mapping[str, Any]) -> int | None:
    """Mistral and Databricks have names of their own for it."""
    details = found.get("prompt_tokens_details") or {}
    read = details.get("cached_tokens"), found.get("num_cached_tokens"), found.get("cache_read_input_tokens")
    return next((count for count in read if count is not None), None)


def chat_cost(found: Mapping[str, Any]) -> float | None:
    """In dollars: xAI counts 10 to the 10th for one, of which Azure always says 0; beside a key of the user
    OpenRouter bills its share."""
    if ticks := found.get("cost_in_usd_ticks"):
        return float(ticks) / 10**10
    if "cost" not in found:
        return None
    own_key = found["cost_details"]["upstream_inference_cost"] if found["is_byok"] else 0
    return float(found["cost"] + own_key)


def messages_usage(found: Mapping[str, Any]) -> Usage:
    """The counts of the whole are those of the passes that are messages."""
    passes = found.get("iterations") or ()
    others = [one for one in passes if one["type"] in ("compaction", "advisor_message")]
    return structs.replace(
        pass_usage(found),
        besides=tuple(OtherUsage(one.get("model", ""), pass_usage(one)) for one in others),
    )


def pass_usage(found: Mapping[str, Any]) -> Usage:
    read, write = found.get("cache_read_input_tokens"), found.get("cache_creation_input_tokens")
    return Usage(
        input=found["input_tokens"] + (read or 0) + (write or 0),
        output=found["output_tokens"],
        cache_read=read,
        cache_write=write,
        reasoning=(found.get("output_tokens_details") or {}).get("thinking_tokens"),
        searches=(found.get("server_tool_use") or {}).get("web_search_requests") or None,
    )


@each_answer
def test_a_recorded_answer_passes_untouched_in_one_attempt(file: Path) -> None:
    data, head = file.read_bytes(), replace(JSON, status=status_of(file))
    passed = replay(protocol_of(file), chunked(data, ODD), head=head, stream=False, terms=ONE_ATTEMPT)
    assert (passed.attempts, passed.body, passed.head) == (1, data, head)
    served = head.status == 200 and file.name != OF_ANOTHER_SHAPE
    assert passed.summary.end == ("completed" if served else "rejected")


def status_of(file: Path) -> int:
    index = json.loads((file.parent.parent / "index.json").read_bytes())
    return next(
        int(each["status"])
        for each in index
        if (each["protocol"], each["file"]) == (file.parent.name, file.name)
    )

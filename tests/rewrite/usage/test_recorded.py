"""Usage as providers really report it: the classes come to the total that they state, by a rule of its own.

What is read here of a recorded answer is its JSON alone; no decoder of ours has a hand in it.
"""

import json
import re
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import Any

import pytest

from protocols.model.http import Head
from protocols.registry import discover
from rewrite.usage.entry import Tokens
from rewrite.usage.tokens import tokens_of
from tests.contract import JSON, NDJSON, SSE, call, parts, progress
from tests.oracle import recorded

REGISTRY = discover()
HEADS = {".sse": SSE, ".json": JSON, ".ndjson": NDJSON}
_ITEMS = re.compile(r"\r\n|\n|\r")


def objects_in(file: Path) -> Iterator[Any]:
    """The JSON objects of an answer: the whole, or those of its lines."""
    text = file.read_text(errors="replace")
    if file.suffix == ".json":
        yield json.loads(text)
        return
    for line in _ITEMS.split(text):
        data = line.removeprefix("data:").strip()
        if data.startswith("{") and data.endswith("}"):
            yield json.loads(data) if _is_json(data) else {}


def _is_json(data: str) -> bool:
    """Some were recorded to see what a client makes of nonsense."""
    try:
        json.loads(data)
    except ValueError:
        return False
    return True


def usages(file: Path, name: str) -> list[Mapping[str, Any]]:
    """All objects of this name, in order, wherever they are."""
    return [found for each in objects_in(file) for found in _named(each, name)]


def _named(value: Any, name: str) -> Iterator[Mapping[str, Any]]:
    if isinstance(value, list):
        for each in value:
            yield from _named(each, name)
    elif isinstance(value, dict):
        for key, each in value.items():
            if key == name and isinstance(each, dict):
                yield each
            elif key != "usage_breakdown":  # Groq's, by model
                yield from _named(each, name)


def counted(protocol: str, file: Path, head: Head) -> Tokens | None:
    """By the decoders."""
    spoken = REGISTRY[protocol]
    asked = call(spoken, stream=head != JSON)
    usage = progress(parts(spoken, head, [file.read_bytes()], asked)).usage
    return tokens_of(usage) if usage else None


def _stated(field: str, name: str = "usage") -> Callable[[Path], int | None]:
    """The last total in a file."""

    def found(file: Path) -> int | None:
        totals = [usage[field] for usage in usages(file, name) if usage.get(field)]
        return totals[-1] if totals else None

    return found


def _passes(file: Path) -> int | None:
    """Of Anthropic, which states no total: all passes that it lists, but for one that was refused, else the
    counts that hold at the end."""
    held: dict[str, Any] = {}
    for usage in usages(file, "usage"):
        held |= {name: count for name, count in usage.items() if count is not None}
    listed = [one for one in held.get("iterations") or () if one.get("output_tokens")]
    return sum(map(_anthropic, listed or [held])) if held else None


def _anthropic(usage: Mapping[str, Any]) -> int:
    names = "input_tokens", "cache_read_input_tokens", "cache_creation_input_tokens", "output_tokens"
    return sum(usage.get(name) or 0 for name in names)


def _ollama(file: Path) -> int | None:
    last = [each for each in objects_in(file) if each.get("done")]
    return (last[-1].get("prompt_eval_count") or 0) + (last[-1].get("eval_count") or 0) if last else None


TOTALS: Mapping[str, Callable[[Path], int | None]] = {
    "openai_chat": _stated("total_tokens"),
    "openai_responses": _stated("total_tokens"),
    "anthropic_messages": _passes,
    "gemini_generate": _stated("totalTokenCount", "usageMetadata"),
    "ollama_chat": _ollama,
}
FOLDERS = {"gemini_generate": "gemini", "ollama_chat": "ollama"}

ROWS = [
    pytest.param(name, *param.values, id=param.id, marks=param.marks)
    for name in TOTALS
    for pattern in ("*.sse", "*.json", "*.ndjson")
    for param in recorded(FOLDERS.get(name, name), pattern)
]


@pytest.mark.parametrize(("protocol", "file"), ROWS)
def test_the_classes_come_to_the_stated_total(protocol: str, file: Path) -> None:
    total = TOTALS[protocol](file)
    if not total:
        pytest.skip("it states no total")
    tokens = counted(protocol, file, HEADS[file.suffix])
    assert tokens is not None
    assert tokens.total == total


BY_HAND = {
    "openai_chat": {
        "vercel-xai-text.2.sse": Tokens(input=1, cache_read=11, output=342, reasoning=340),
        "ruby-mistral-chat-audio-models-mistral-voxtral-small-latest-can-understand-mp3-audio-0.json": Tokens(
            input=384, output=201, input_audio=375
        ),
        "pyd-googleapis-test-compatible-api-with-tool-calls-without-id-0.json": Tokens(
            input=35, output=74, reasoning=62
        ),
        "ruby-azure-chat-function-calling-azure-grok-4-1-fast-non-reasoning-can-use-tools-without-p.2.sse": (
            Tokens(cache_read=347, output=18)
        ),
        "ruby-mistral-chat-function-calling-mistral-mistral-small-latest-can-use-tools-with-multi-t.sse": (
            Tokens(input=31, cache_read=128, output=28)
        ),
        "chatlas-azuredatabricks-test-databricks-tool-variations-0.sse": Tokens(input=402, output=54),
        "pyd-deepseek-test-deepseek-deferred-capability-with-thinking-1.json": Tokens(
            input=875, output=79, reasoning=26
        ),
    },
    "openai_responses": {
        "ruby-x-chat-streaming-responses-xai-grok-4-1-fast-non-reasoning-supports-streaming-respons.sse": (
            Tokens(input=71, cache_read=128, output=160, reasoning=152)
        ),
        "pyd-openrouter-test-openrouter-responses-prompt-cache-e2e-0.json": Tokens(
            input=8, cache_write=4012, output=5
        ),
    },
    "anthropic_messages": {
        "pyd-anthropic-test-anthropic-compaction-usage-with-cache-0.json": Tokens(
            input=100 + 229, cache_write=55096, output=131 + 5
        ),
        "pyd-anthropic-test-anthropic-advisor-tool-stream-0.sse": Tokens(
            input=1128 + 2543 + 1283, output=135 + 18 + 10, reasoning=47
        ),
        "vercel-anthropic-fallback.sse": Tokens(input=412, output=264),
        "prism-anthropic-stream-with-web-search-citations-1.sse": Tokens(input=9911, output=343, searches=1),
    },
    "gemini_generate": {
        "fb-googleai-streaming-success-url-context.sse": Tokens(input=438 + 619, output=120, reasoning=39),
        "pyd-googleapis-test-google-model-cached-content-1.json": Tokens(
            input=8, cache_read=3512, output=44, reasoning=42
        ),
        "fb-googleai-streaming-success-no-content-parts.sse": Tokens(
            input=34, output=1370, output_image=1290
        ),
    },
}


@pytest.mark.parametrize(
    ("protocol", "file", "tokens"),
    [
        pytest.param(protocol, *param.values, tokens, id=param.id, marks=param.marks)
        for protocol, rows in BY_HAND.items()
        for name, tokens in rows.items()
        for param in recorded(FOLDERS.get(protocol, protocol), name)
    ],
)
def test_classes_that_were_counted_by_hand(protocol: str, file: Path, tokens: Tokens) -> None:
    assert counted(protocol, file, HEADS[file.suffix]) == tokens

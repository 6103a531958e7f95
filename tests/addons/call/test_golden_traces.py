"""Whole traces, as they are in `tests/fixtures/traces`: each pass with what it was about, and its data.

What differs from run to run (times, ids, ports) is replaced. Where a trace is meant to be another one now,
the failure says which file to copy.
"""

import json
import re
from collections.abc import AsyncIterator, Iterator, Mapping, Sequence
from dataclasses import fields, is_dataclass
from difflib import unified_diff
from pathlib import Path

import pytest

from rewrite.records.passes import Entry
from tests.addons.call.traced import ONE, TWO, TracedProxy
from tests.rewrite.records.traces import Kept
from tests.vendor import Reply, Reset, Step, Vendor, chat_answer, chat_error, chat_stream, streamed, whole

GOLDEN = Path(__file__).parents[2] / "fixtures" / "traces"
CONFIG = """
[providers.openai]
base_url = "{url}"
credentials = [{{ name = "one", key = "env:ONE" }}, {{ name = "two", key = "env:TWO" }}]
[[routes]]
match = {{ model = "claude-*" }}
to = ["openai/gpt-5"]
adapters = [{{ name = "clamp_params", temperature = {{ min = 0.0, max = 1.0 }} }}]
[[routes]]
match = {{ model = "continued" }}
on_truncation = "continue"
"""
CHAT, MESSAGES = "https://api.openai.com/v1/chat/completions", "https://api.anthropic.com/v1/messages"
HI = [{"role": "user", "content": "Hi"}]
USAGE = {"prompt_tokens": 3, "completion_tokens": 2, "total_tokens": 5}

_VARIES = (
    (re.compile(r"127\.0\.0\.1:\d+"), "PROVIDER"),
    (re.compile(r"rot[0-9a-f]{24}"), "ID"),
    (re.compile(r'("(?:seconds|first_token|delay)": )[\d.]+'), r"\1SECONDS"),
    (re.compile(re.escape(ONE)), "KEY-ONE"),
    (re.compile(re.escape(TWO)), "KEY-TWO"),
)


@pytest.fixture
async def vendor() -> AsyncIterator[Vendor]:
    async with Vendor() as running:
        yield running


@pytest.fixture
async def proxy(vendor: Vendor, tmp_path: Path) -> AsyncIterator[TracedProxy]:
    made = TracedProxy(tmp_path, CONFIG.format(url=vendor.base_url))
    yield made
    await made.close()


def document(kept: Kept) -> str:
    """A trace as a text, without what differs from run to run."""
    text = "\n".join(line for entry in kept.entries for line in _lines(entry))
    for pattern, instead in _VARIES:
        text = pattern.sub(instead, text)
    return f"{text}\n"


def _lines(entry: Entry) -> Iterator[str]:
    where = f"{entry.provider}/{entry.model}/{entry.credential or '-'}"
    changed = " changed" if entry.changed else ""
    about = f"attempt {entry.attempt} {entry.protocol} {where}"
    session = f" session {entry.session[:8]}" if entry.session else ""
    yield f"{entry.sequence} {entry.name}: {entry.direction} at {entry.stage}, {about}{session}{changed}"
    if entry.data is not None:
        yield json.dumps(_plain(entry.data), indent=2)


def _plain(value: object) -> object:
    match value:
        case bytes():
            return value.decode().splitlines()
        case Mapping():
            return {name: _plain(each) for name, each in value.items()} | _headers(value)
        case list() | tuple():
            return [_plain(each) for each in value]
        case _ if is_dataclass(value):
            said = {each.name: getattr(value, each.name) for each in fields(value)}
            return {"is": type(value).__name__, **{name: _plain(each) for name, each in said.items() if each}}
        case _:
            return value


def _headers(value: Mapping[str, object]) -> dict[str, object]:
    """As lines."""
    found = value.get("headers")
    return {"headers": [": ".join(pair) for pair in found]} if isinstance(found, list) else {}


def is_golden(kept: Kept, name: str, folder: Path) -> None:
    file, found = GOLDEN / f"{name}.txt", document(kept)
    golden = file.read_text() if file.exists() else ""
    if found != golden:
        (folder / file.name).write_text(found)
        diff = unified_diff(golden.splitlines(), found.splitlines(), str(file), "this run", lineterm="")
        pytest.fail("\n".join(["", *diff, f"if it is meant: cp {folder / file.name} {file}"]), pytrace=False)


def at_once(events: Sequence[bytes], *ending: Step) -> Reply:
    """A stream that comes in one piece."""
    return streamed([b"".join(events)], *ending)


async def test_a_call_in_its_own_protocol(vendor: Vendor, proxy: TracedProxy, tmp_path: Path) -> None:
    vendor.reply(whole(chat_answer("Hello")))
    _, kept = await proxy.ask(CHAT, {"model": "gpt-4o", "messages": HI}, x_session_id="s-1")
    is_golden(kept, "own_protocol", tmp_path)


async def test_a_translated_call(vendor: Vendor, proxy: TracedProxy, tmp_path: Path) -> None:
    vendor.reply(at_once(chat_stream(["Hello"], usage=USAGE)))
    body = {
        "model": "claude-x",
        "max_tokens": 9,
        "temperature": 2,
        "top_k": 5,
        "stream": True,
        "messages": HI,
    }
    _, kept = await proxy.ask(MESSAGES, body)
    is_golden(kept, "translated", tmp_path)


async def test_a_retried_call(vendor: Vendor, proxy: TracedProxy, tmp_path: Path) -> None:
    vendor.on(key=ONE).reply(chat_error(429, "rate_limit_exceeded", "slow down"))
    vendor.on(key=TWO).reply(at_once(chat_stream(["Hello"])))
    _, kept = await proxy.ask(CHAT, {"model": "gpt-4o", "stream": True, "messages": HI})
    is_golden(kept, "retried", tmp_path)


async def test_a_continued_stream(vendor: Vendor, proxy: TracedProxy, tmp_path: Path) -> None:
    vendor.on(key=ONE).reply(at_once(chat_stream(["Hello", " wor"])[:3], Reset()))
    vendor.on(key=TWO).reply(at_once(chat_stream(["ld", "!"])))
    _, kept = await proxy.ask(CHAT, {"model": "continued", "stream": True, "messages": HI})
    is_golden(kept, "continued", tmp_path)

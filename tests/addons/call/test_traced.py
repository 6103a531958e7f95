"""The passes of calls that are answered against the fake provider: which there are, in which order."""

import asyncio
import json
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest

from rewrite.records.passes import Direction
from tests.addons.call.test_driver import Kept as Client
from tests.addons.call.test_driver import until
from tests.addons.call.traced import ONE, TWO, TracedProxy
from tests.vendor import Vendor, WaitFor, chat_answer, chat_error, chat_stream, streamed, whole

CONFIG = """
[providers.openai]
base_url = "{url}"
credentials = [{{ name = "one", key = "env:ONE" }}, {{ name = "two", key = "env:TWO" }}]
[providers.acme]
base_url = "{url}"
hosts = ["acme.test"]
protocols = ["openai_chat"]
credentials = [{{ name = "one", key = "env:ONE" }}, {{ name = "two", key = "env:TWO" }}]
adapters = [
    {{ name = "rename_field", from = "user", to = "who" }},
    {{ name = "reasoning_field", to = "reasoning" }},
]
[[providers.acme.field_cache]]
name = "state"
source = "response"
path = "state"
scope = SCOPE
inject = {{ path = "state" }}
[[providers.acme.field_cache]]
name = "place"
match = {{ model = "placed" }}
source = "response"
path = "place"
scope = ["session"]
inject = {{ target = "headers", path = "x-place" }}
[[routes]]
match = {{ model = "claude-*" }}
to = ["openai/gpt-5"]
[[routes]]
match = {{ model = "two-providers" }}
to = ["openai", "acme"]
[[routes]]
match = {{ model = "adapted" }}
adapters = [
    {{ name = "drop_params", params = ["user"] }},
    {{ name = "rename_field", from = "top_k", to = "k" }},
]
"""
CHAT, MESSAGES = "https://api.openai.com/v1/chat/completions", "https://api.anthropic.com/v1/messages"
HI = [{"role": "user", "content": "Hi"}]
QUIRKS = """
from dataclasses import replace
from rewrite.hooks.base import HookError, Hooks

class Acme(Hooks):
    def prepare_request(self, request, about):
        return replace(request, body={**request.body, "engine": about.model})

    def sign_request(self, request, key, about):
        if about.model == "unsigned":
            raise HookError("no signature can be made of it")
        return (*request.headers, ("x-mac", key[::-1]))

    def read_part(self, part, about):
        return {**part, "model": "engine"} if about.model == "read" else part
"""


@pytest.fixture
async def vendor() -> AsyncIterator[Vendor]:
    async with Vendor() as running:
        yield running


def config_of(vendor: Vendor, scope: str = '["session"]') -> str:
    """`scope`: that of the rule of `acme`."""
    return CONFIG.format(url=vendor.base_url).replace("SCOPE", scope)


@pytest.fixture
async def proxy(vendor: Vendor, tmp_path: Path) -> AsyncIterator[TracedProxy]:
    made = TracedProxy(tmp_path, config_of(vendor))
    yield made
    await made.close()


def asks(model: str = "gpt-4o", *, stream: bool = True, **more: Any) -> dict[str, Any]:
    return {"model": model, "stream": stream, "messages": HI, **more}


FIELDS = ["extraction_before", "extraction_after", "injection_before", "injection_after"]
REQUEST = ["raw_request", "parsed_request", "routing", "selection", "built_request"]
STREAM = ["raw_response", "stream_started", "stream_first_byte"]
END = ["parsed_response", "sent_response", "stream_completed"]


async def test_a_stream_that_is_passed_on(vendor: Vendor, proxy: TracedProxy) -> None:
    text = chat_stream(["Hello"])
    vendor.reply(streamed(text))
    client, kept = await proxy.ask(CHAT, asks())
    assert kept.names == [*REQUEST, "sent_request", *STREAM, "stream_first_visible", *END]
    assert kept.files == {"provider-1": b"".join(text), "client": b"".join(text)}
    assert client.body == b"".join(text)
    assert kept.closed == 1


async def test_an_adapted_call_that_is_retried(vendor: Vendor, proxy: TracedProxy) -> None:
    vendor.on(key=ONE).reply(chat_error(429, "rate_limit_exceeded", "slow down"))
    vendor.on(key=TWO).reply(whole(chat_answer("Hello")))
    _, kept = await proxy.ask(CHAT, asks("adapted", stream=False, user="me"))
    adapters = ["adapter:drop_params", "adapter:rename_field"]
    refused = ["sent_request", "raw_response", "retry", "cooldown", "selection"]
    answered = ["sent_request", "raw_response", "parsed_response", *adapters, "formatted_response"]
    assert kept.names == [*REQUEST, *adapters, *refused, *answered, "sent_response"]
    noted = {entry.name: entry for entry in kept.entries}
    assert noted["retry"].data == {
        "decision": "retry",
        "delay": 0.0,
        "fresh": False,
        "after": "rejected(429 rate)",
        "message": "slow down",
    }
    reason = "rejected(429 rate)"
    assert noted["cooldown"].data == {"scope": "model:adapted", "seconds": 60.0, "reason": reason}
    changed = [entry.name for entry in kept.entries if entry.changed and entry.name in adapters]
    assert changed == ["adapter:drop_params"]
    assert b'"slow down"' in kept.files["provider-1"]
    assert kept.files["provider-2"] == kept.files["client"] == b"".join(chat_answer("Hello"))
    assert [entry.attempt for entry in kept.entries if entry.name == "sent_request"] == [1, 2]


async def test_a_translated_stream(vendor: Vendor, proxy: TracedProxy) -> None:
    """Each event as the client gets it."""
    text = chat_stream(["Hello"])
    vendor.reply(streamed(text))
    body = {"model": "claude-x", "max_tokens": 9, "stream": True, "messages": HI}
    _, kept = await proxy.ask(MESSAGES, body)
    events = [entry for entry in kept.entries if entry.name == "formatted_response"]
    names = [name for name in kept.names if name not in ("formatted_response", "unified_request")]
    assert kept.names[4] == "unified_request"
    assert names == [*REQUEST, "sent_request", *STREAM, "stream_first_visible", *END]
    pairs: Any = [entry.data for entry in events]
    assert b"".join(pair["before"] for pair in pairs) == b"".join(text) == kept.files["provider-1"]
    assert b"".join(pair["after"] for pair in pairs) == kept.files["client"]
    assert {(entry.protocol, entry.model) for entry in events} == {("openai_chat", "gpt-5")}
    assert kept.entries[-1].protocol == "anthropic_messages"


async def test_a_call_that_no_target_can_do(vendor: Vendor, proxy: TracedProxy) -> None:
    """The answer is ours."""
    tools = [{"type": "web_search_20250305", "name": "web_search"}]
    client, kept = await proxy.ask(MESSAGES, asks("claude-x", max_tokens=9, tools=tools))
    assert kept.names == ["raw_request", "parsed_request", "routing", "sent_response"]
    _, _, routing, sent = kept.entries
    assert isinstance(routing.data, dict)
    assert "tools[0].type" in routing.data["skipped"]["openai/gpt-5"]
    assert isinstance(sent.data, dict)
    assert (sent.data["status"], sent.data["end"]) == (client.status, "refused") == (400, "refused")
    assert kept.files == {"client": client.body}
    assert kept.closed == 1


async def test_a_client_that_leaves(vendor: Vendor, proxy: TracedProxy) -> None:
    text = chat_stream(["Hello", " there"])[:2]
    vendor.reply(streamed(text, WaitFor("never")))
    kept, running = proxy.running(CHAT, asks(), client := Client())
    await until(lambda: b"Hello" in client.body, client)
    running.cancel()
    await asyncio.wait([running])
    assert kept.names[-3:] == ["stream_cancelled", "parsed_response", "sent_response"]
    assert isinstance(kept.entries[-1].data, dict)
    assert kept.entries[-1].data["end"] == "abandoned"
    assert (kept.files["client"], kept.closed) == (b"".join(text), 1)


async def test_a_call_that_hangs_can_be_looked_at(vendor: Vendor, proxy: TracedProxy) -> None:
    """What is there of it so far."""
    vendor.reply(streamed(chat_stream(["Hello"])[:2], WaitFor("never")))
    kept, running = proxy.running(CHAT, asks(), client := Client())
    await until(lambda: b"Hello" in client.body, client)
    assert kept.names == [*REQUEST, "sent_request", *STREAM, "stream_first_visible"]
    assert kept.files["provider-1"] == kept.files["client"] == b"".join(chat_stream(["Hello"])[:2])
    running.cancel()
    await asyncio.wait([running])


async def test_a_fault_of_ours(vendor: Vendor, proxy: TracedProxy, monkeypatch: pytest.MonkeyPatch) -> None:
    """It is an answer of ours."""
    vendor.reply(streamed(chat_stream(["Hello"])))
    monkeypatch.setattr("rewrite.exchange.traced.TracedExchange._note_head", None)
    monkeypatch.setattr("addons.call.driver.Answer.continues", lambda *_: False)
    client, kept = await proxy.ask(CHAT, asks())
    assert client.status == 502
    assert kept.names == [*REQUEST, "sent_request", "internal_error", "sent_response"]
    failed, sent = kept.entries[-2:]
    assert failed.data == {"error": "TypeError"}
    assert isinstance(sent.data, dict)
    assert (sent.data["status"], sent.data["end"]) == (502, "failed")
    assert (kept.files["client"], kept.closed) == (client.body, 1)


async def test_what_belongs_to_an_account_is_traced_by_its_heads(vendor: Vendor, proxy: TracedProxy) -> None:
    vendor.reply(whole(b'{"id":"resp_1"}'))
    body = {"model": "gpt-4o", "input": "Hi", "background": True}
    _, kept = await proxy.ask("https://api.openai.com/v1/responses", body)
    heads = ["sent_request", "raw_response", "sent_response"]
    assert kept.names == ["raw_request", "parsed_request", "routing", *heads]
    assert (kept.files, kept.closed) == ({}, 1)


@pytest.mark.parametrize("scope", ['["session"]', '["session", "credential"]'])
async def test_every_pass_of_the_design_in_its_order(vendor: Vendor, tmp_path: Path, scope: str) -> None:
    """A value of the first call goes into the second. Where it is of a credential, it is planned once that is
    chosen."""
    proxy = TracedProxy(tmp_path, config_of(vendor, scope))
    body = json.loads(b"".join(chat_answer("Hello", reasoning=["Hm"])))
    vendor.always(whole(json.dumps({**body, "state": "s1"}).encode()))
    url, ask = "https://acme.test/v1/chat/completions", {"messages": HI, "model": "m", "user": "me"}
    await proxy.ask(url, ask, x_session_id="one")
    _, kept = await proxy.ask(url, ask, x_session_id="one")
    adapters = ["adapter:rename_field", "adapter:reasoning_field"]
    assert kept.names == [
        *REQUEST[:-1],
        *FIELDS,
        "built_request",
        *adapters,
        "sent_request",
        "raw_response",
        "parsed_response",
        *FIELDS[:2],
        *adapters,
        "formatted_response",
        "sent_response",
    ]
    by_name = {(entry.name, entry.direction): entry for entry in kept.entries}
    injected = by_name["injection_after", Direction.REQUEST]
    assert injected.data == {**ask, "state": "s1"}
    before = {"target": "request", "before": ask}
    assert by_name["injection_before", Direction.REQUEST].data == before
    assert (injected.changed, by_name["built_request", Direction.REQUEST].data) == (True, injected.data)
    assert by_name["extraction_after", Direction.RESPONSE].data == {"state": 1}
    assert by_name["adapter:reasoning_field", Direction.RESPONSE].changed
    await proxy.close()


async def test_a_header_that_the_field_cache_injects(vendor: Vendor, proxy: TracedProxy) -> None:
    """Last, and where the client sent none."""
    answer = json.loads(b"".join(chat_answer("Hello")))
    vendor.always(whole(json.dumps({**answer, "place": "p1"}).encode()))
    url, ask = "https://acme.test/v1/chat/completions", {"messages": HI, "model": "placed"}
    await proxy.ask(url, ask, x_session_id="one")
    _, kept = await proxy.ask(url, ask, x_session_id="one")
    end = kept.names.index("sent_request")
    before, after = kept.entries[end - 2 : end]
    assert (before.name, before.data) == ("injection_before", {"target": "headers"})
    assert (after.name, after.data, after.changed) == (
        "injection_after",
        {"headers": [["x-place", "p1"]]},
        True,
    )
    _, kept = await proxy.ask(url, ask, x_session_id="one", x_place="p2")
    assert kept.names.count("injection_after") == 1


async def test_where_no_key_is_free_the_provider_is_named_whose_keys_they_are(
    vendor: Vendor, proxy: TracedProxy
) -> None:
    vendor.reply(chat_error(429, "rate_limit_exceeded", "slow down"))
    vendor.reply(chat_error(429, "rate_limit_exceeded", "slow down"))
    vendor.always(whole(chat_answer("Hello")))
    _, kept = await proxy.ask(CHAT, asks("two-providers", stream=False))
    asked = [(e.provider, e.attempt, e.credential) for e in kept.entries if e.name == "selection"]
    assert asked == [("openai", 1, "one"), ("openai", 2, "two"), ("openai", 3, ""), ("acme", 3, "one")]
    assert [e.provider for e in kept.entries if e.name == "sent_response"] == ["acme"]
    _, kept = await proxy.ask(CHAT, asks("two-providers", stream=False))
    asked = [(e.provider, e.attempt, e.credential) for e in kept.entries if e.name == "selection"]
    assert asked == [("openai", 1, ""), ("acme", 1, "one")]


async def test_what_a_provider_s_own_code_makes_of_a_call(vendor: Vendor, tmp_path: Path) -> None:
    """What it adds to sign a request is written nowhere. Where it fails, its error says so."""
    (tmp_path / "quirks.py").write_text(QUIRKS)
    (tmp_path / "quirks.py").chmod(0o600)
    extra = '[providers.acme]\ncode = "quirks.py:Acme"'
    proxy = TracedProxy(tmp_path, config_of(vendor).replace("[providers.acme]", extra))
    url = "https://acme.test/v1/chat/completions"
    adapters = ["adapter:rename_field", "adapter:reasoning_field"]
    vendor.reply(whole(chat_answer("Hello")))
    _, kept = await proxy.ask(url, {"messages": HI, "model": "read"})
    sent = [*REQUEST, *adapters, "hook:prepare_request", "sent_request"]
    assert kept.names[: len(sent) + 3] == [*sent, "raw_response", "parsed_response", "hook:read_part"]
    request: Any = kept.entries[len(sent) - 1].data
    assert ["x-mac", "(signed)"] in request["headers"]
    _, kept = await proxy.ask(url, {"messages": HI, "model": "unsigned"})
    assert kept.names == [*sent[:-1], "internal_error", "sent_response"]
    said = "the hook sign_request of acme failed: no signature can be made of it"
    assert kept.entries[-2].data == {"error": "HookFailed", "detail": said}
    await proxy.close()


async def test_a_provider_that_is_paused(vendor: Vendor, tmp_path: Path) -> None:
    """Several keys and several conversations saw it fail."""
    proxy = TracedProxy(tmp_path, config_of(vendor) + "[retry]\nmax_attempts = 1\n")
    vendor.always(chat_error(503, "overloaded", "busy"))
    for session in ("one", "two"):
        await proxy.ask(CHAT, asks(), x_session_id=session)
    cooldowns = [
        entry.data for kept in proxy.traces.kept for entry in kept.entries if entry.name == "cooldown"
    ]
    assert {"scope": "model:gpt-4o", "seconds": 30.0, "reason": "the provider is paused"} in cooldowns
    await proxy.close()

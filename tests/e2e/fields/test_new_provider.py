"""A provider that nobody has heard of, added by a config alone: SDKs of two protocols use its tools and its
reasoning over several turns, though it wants other names than theirs, and things back that they drop."""

import json
from collections.abc import Iterator
from typing import Any

import pytest

from tests.e2e import sdk
from tests.e2e.proxy import Proxy
from tests.vendor import Answer, Received, Tool, Vendor, VendorThread, chat_error
from tests.vendor.answers import dump
from tests.vendor.defaults import asked, not_found
from tests.vendor.script import Reply, Send
from tests.vendor.speech import Said

KEYS = {"ACME": "key-of-the-pool-at-acme"}
FINAL = "It is 4711 degrees."
CONFIG = """
[providers.acme]
base_url = "{url}"
hosts = ["api.acme.test"]
protocols = ["openai_chat"]
auth = "x-api-key"
max_tokens_field = "max_completion_tokens"
paths = {{ openai_chat = "/v1/chat/completions" }}
credentials = [{{ name = "one", key = "env:ACME" }}]
adapters = [
  {{ name = "rename_field", from = "max_completion_tokens", to = "max_new_tokens", at = "request" }},
  {{ name = "rename_field", from = "reasoning_effort", to = "thinking.level", at = "request" }},
  {{ name = "drop_params", params = ["parallel_tool_calls", "metadata"] }},
  {{ name = "reasoning_field", to = "reasoning_content" }},
]

[[providers.acme.field_cache]]
name = "thought"
source = "response"
path = "^.thought_token"
mode = "per_tool_call"
scope = ["provider", "model"]
inject = {{ target = "request", path = "^.thought_token" }}

[[providers.acme.field_cache]]
name = "ticket"
source = "response"
path = "ticket"
mode = "last"
scope = ["provider", "model", "session"]
inject = {{ target = "headers", path = "x-acme-ticket" }}

[[routes]]
match = {{ provider = "anthropic", model = "acme-*" }}
to = ["acme"]
"""


def token(model: str, results: int) -> str:
    return f"thought-token-of-{model}-after-{results}"


def acme(received: Received) -> Answer:
    """Refuses what it does not know, and what lacks what it gave. It remembers nothing itself."""
    call = asked(received)
    if call is None or received.header("x-api-key") != KEYS["ACME"]:
        return not_found()
    body, results = received.json(), received.body.count(b"-4711")
    if wrong := _wrong(body, call.model, results, received.header("x-acme-ticket")):
        return chat_error(400, "acme_refuses", wrong)
    tool = Tool("get_weather", ('{"city": "Par', 'is"}'), f"call_{call.model}_{results}_d41d8cd98f00b204")
    said = Said((FINAL,)) if results == 2 else Said((), ("Thinking.",), (tool,), "tools")
    reply = call.speech.stream(said, model=call.model, usage=call.usage)
    if not call.stream:
        reply = call.speech.whole(said, model=call.model)
    sent = (_own(step.data, call.model, results) for step in reply.steps if isinstance(step, Send))
    return Reply(reply.status, reply.headers, tuple(map(Send, sent)), reply.framing)


def _wrong(body: Any, model: str, results: int, ticket: str | None) -> str:
    if unknown := body.keys() & {"max_tokens", "max_completion_tokens", "reasoning_effort", "metadata"}:
        return f"unknown: {sorted(unknown)}"
    if body.get("thinking", {}).get("level") is None:
        return "no thinking.level"
    if ticket != (f"ticket-{results - 1}" if results else None):
        return f"wrong ticket: {ticket}"
    called = [message for message in body["messages"] if message.get("tool_calls")]
    tokens = [message.get("thought_token") for message in called]
    return "" if tokens == [token(model, number) for number in range(results)] else f"no tokens: {tokens}"


def _own(data: bytes, model: str, results: int) -> bytes:
    """An event, or the whole answer, as this provider has it."""
    head, mark, event = data.partition(b"data: ")
    event, head = (event, head + mark) if mark else (data, b"")
    if not event.startswith(b"{"):
        return data
    said = json.loads(event)
    for choice in said["choices"]:
        message = choice.get("delta") or choice.get("message") or {}
        if text := message.pop("reasoning_content", None):
            message |= {"reasoning": text, "thought_token": token(model, results)}
    return head + dump({**said, "ticket": f"ticket-{results}"}) + (b"\n\n" if mark else b"")


@pytest.fixture(scope="module")
def vendor() -> Iterator[VendorThread]:
    with VendorThread(Vendor(default=acme)) as running:
        yield running


@pytest.fixture(scope="module")
def proxy(vendor: VendorThread, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Proxy]:
    folder = tmp_path_factory.mktemp("acme")
    with Proxy(folder, CONFIG.format(url=vendor.base_url), keys=KEYS) as running:
        yield running
    assert "Traceback" not in running.log


@pytest.mark.parametrize("mode", ["raw", "whole"])
@pytest.mark.parametrize(
    ("program", "environment"),
    [("turns_chat", "openai-current"), ("turns_messages", "anthropic-current")],
    ids=["openai", "anthropic"],
)
def test_it_serves_the_sdk(program: str, environment: str, mode: str, proxy: Proxy) -> None:
    model = f"acme-{program[6:]}-{mode}"
    headers = {"X-Session-Id": f"session-of-{model}"}
    job = {"prompt": "How warm?", "tools": True, "reasoning": True, "turns": 3, "headers": headers}
    variables = proxy.environment() | {"OPENAI_BASE_URL": "https://api.acme.test/v1"}
    job |= {"model": model, "mode": mode, "forgets": True}
    [seen] = sdk.run(environment, program, variables, jobs=[job])["results"]
    assert seen["error"] is None
    assert [len(turn["tools"]) for turn in seen["turns"]] == [1, 1, 0]
    assert seen["turns"][0]["reasoning"] == "Thinking."
    assert seen["turns"][-1]["text"] == FINAL

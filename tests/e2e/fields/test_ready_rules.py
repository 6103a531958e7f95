"""Ready-made rules: a client that forgets what its provider wants back gets its answers all the same, and the
provider what it made."""

import json
from collections.abc import Iterator
from itertools import product
from typing import Any

import pytest

from tests.e2e.fields.bench import (
    CHAT,
    GEMINI,
    MESSAGES,
    RESPONSES,
    TRANSLATED,
    Bench,
    Cell,
    Client,
    bench,
    session,
)
from tests.e2e.talk import client
from tests.vendor.strict import FINAL

ITS_OWN: list[tuple[Client, str, str, str]] = [
    (CHAT, "deepseek", "deepseek-reasoner", "https://api.deepseek.com"),
    (CHAT, "openrouter", "google/gemini-3-pro", "https://openrouter.ai/api/v1"),
    (CHAT, "gemini", "gemini-3-flash", "https://generativelanguage.googleapis.com/v1beta/openai/"),
    (RESPONSES, "openai", "gpt-5", ""),
    (MESSAGES, "anthropic", "claude-sonnet-4-5", ""),
    (GEMINI, "gemini", "gemini-3-pro", ""),
]
"""Who calls whom in one protocol, and says nothing of its conversation."""
MODELS = {
    "deepseek": "deepseek-reasoner",
    "anthropic": "claude-opus-4-8",
    "gemini": "gemini-3-pro",
    "vertex": "gemini-3-flash",
    "openai": "gpt-5",
}
BUDGET = "claude-sonnet-4-5"
"""Thinks by a budget, which it is not asked for where a call lacks what was thought."""
MOONSHOT = ("https://api.moonshot.ai/v1", "kimi-k2-thinking")
CELLS = [
    *(
        Cell(client, provider, model, mode, base=base)
        for (client, provider, model, base), mode in product(ITS_OWN, ("raw", "whole"))
    ),
    *(
        Cell(CHAT, "moonshot", MOONSHOT[1], mode, base=MOONSHOT[0], headers=session(mode))
        for mode in ("raw", "whole")
    ),
    *(
        Cell(client, provider, MODELS[provider], mode, routed=True)
        for client, provider, mode in product(
            (CHAT, RESPONSES, MESSAGES, GEMINI), TRANSLATED, ("raw", "whole")
        )
        if client.protocol != TRANSLATED[provider]
    ),
    *(
        Cell(client, "anthropic", BUDGET, mode, routed=True)
        for client, mode in product((CHAT, RESPONSES, GEMINI), ("raw", "whole"))
    ),
]
NAMELESS = Cell(CHAT, "moonshot", "kimi-k2-nameless", "whole", base=MOONSHOT[0])


@pytest.fixture(scope="module")
def playing(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Bench]:
    with bench(tmp_path_factory.mktemp("rules"), [*CELLS, NAMELESS]) as running:
        yield running


@pytest.mark.parametrize("cell", CELLS, ids=lambda cell: cell.id)
def test_what_a_client_forgot_comes_back(cell: Cell, playing: Bench) -> None:
    played = playing.play(cell)
    assert played.error is None
    assert len(played.requests) == len(played.turns) == 3
    assert played.turns[-1]["text"] == FINAL
    if cell.provider == "anthropic":
        assert all(b'"thinking":{' in one.body.replace(b" ", b"") for one in played.requests)
        assert all(b'"signature"' in one.body for one in played.requests[1:])


def test_a_request_that_lacks_nothing_leaves_as_it_came(playing: Bench) -> None:
    model = "claude-sonnet-4-5-kept"
    messages: list[dict[str, Any]] = [{"role": "user", "content": "How warm?"}]
    tools = [{"name": name, "input_schema": {"type": "object"}} for name in ("get_weather", "get_time")]
    request = {"model": model, "max_tokens": 4096, "thinking": {"type": "enabled", "budget_tokens": 1024}}
    sent: list[bytes] = []
    with client(playing.proxy) as http:
        for _ in range(3):
            body = {**request, "tools": tools, "messages": messages}
            sent.append(json.dumps(body, indent=3).encode())
            answer = http.post("https://api.anthropic.com/v1/messages", content=sent[-1])
            assert answer.status_code == 200, answer.text
            content = answer.json()["content"]
            results = [
                {"type": "tool_result", "tool_use_id": block["id"], "content": "Paris-4711"}
                for block in content
                if block["type"] == "tool_use"
            ]
            messages += [{"role": "assistant", "content": content}, {"role": "user", "content": results}]
    assert [one.body for one in playing.requests("anthropic", model)] == sent


def test_ids_that_any_conversation_has_say_nothing_without_its_name(playing: Bench) -> None:
    played = playing.play(NAMELESS)
    assert played.error is not None
    assert played.error["status"] == 400
    assert "reasoning_content is missing" in played.error["message"]

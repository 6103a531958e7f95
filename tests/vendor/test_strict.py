"""A strict provider takes back what it made, and refuses a conversation that lacks it."""

from typing import Any

import pytest

from tests.vendor.strict import (
    Check,
    anthropic,
    call_id,
    deepseek,
    details,
    gemini,
    google_chat,
    item_id,
    moonshot,
    openai,
    openrouter,
    seal,
    thought,
)

MODEL = "m"
CALL = call_id(MODEL, 0, 0)
FUNCTION = {"id": CALL, "type": "function", "function": {"name": "f", "arguments": "{}"}}


def chat(message: dict[str, Any], call: dict[str, Any] = FUNCTION) -> dict[str, Any]:
    said = {"role": "assistant", "content": None, "tool_calls": [call], **message}
    result = {"role": "tool", "tool_call_id": CALL, "content": "-4711"}
    return {"messages": [{"role": "user", "content": "?"}, said, result]}


def messages(*thoughts: dict[str, Any]) -> dict[str, Any]:
    call = {"type": "tool_use", "id": CALL, "name": "f", "input": {}}
    result = {"type": "tool_result", "tool_use_id": CALL, "content": "-4711"}
    turns = [("user", "?"), ("assistant", [*thoughts, call]), ("user", [result])]
    body = {"messages": [{"role": role, "content": content} for role, content in turns]}
    return {**body, "thinking": {"type": "enabled", "budget_tokens": 1024}}


def contents(signature: dict[str, Any]) -> dict[str, Any]:
    called = {"role": "model", "parts": [{"functionCall": {"name": "f", "args": {}}, **signature}]}
    result = {"role": "user", "parts": [{"functionResponse": {"name": "f", "response": {}}}]}
    return {"contents": [{"role": "user", "parts": [{"text": "?"}]}, called, result]}


def items(*reasoning: dict[str, Any]) -> dict[str, Any]:
    call = {"type": "function_call", "call_id": CALL, "name": "f", "arguments": "{}"}
    result = {"type": "function_call_output", "call_id": CALL, "output": "-4711"}
    return {"input": [{"role": "user", "content": "?"}, *reasoning, call, result]}


THINKING = {"type": "thinking", "thinking": thought(MODEL, 0), "signature": seal(MODEL, 0)}
SIGNED = {"extra_content": {"google": {"thought_signature": seal(MODEL, 0)}}}
REASONING = {"type": "reasoning", "id": item_id(MODEL, 0), "encrypted_content": seal(MODEL, 0)}
CASES: dict[str, tuple[Check, dict[str, Any], dict[str, Any]]] = {
    "deepseek": (deepseek, chat({"reasoning_content": thought(MODEL, 0)}), chat({})),
    "moonshot": (moonshot, chat({"reasoning_content": thought(MODEL, 0)}), chat({})),
    "openrouter": (openrouter, chat({"reasoning_details": details(MODEL, 0)}), chat({})),
    "google_chat": (google_chat, chat({}, FUNCTION | SIGNED), chat({})),
    "anthropic": (anthropic, messages(THINKING), messages()),
    "anthropic's signature": (anthropic, messages(THINKING), messages(THINKING | {"signature": "other"})),
    "gemini": (gemini, contents({"thoughtSignature": seal(MODEL, 0)}), contents({})),
    "openai": (openai, items(REASONING), items()),
    "openai, twice": (openai, items(REASONING), items(REASONING, REASONING)),
    "openai's content": (openai, items(REASONING), items(REASONING | {"encrypted_content": "other"})),
}


@pytest.mark.parametrize(("check", "whole", "lacking"), CASES.values(), ids=CASES)
def test_what_is_whole_is_taken_and_what_lacks_is_refused(
    check: Check, whole: dict[str, Any], lacking: dict[str, Any]
) -> None:
    assert check(whole, MODEL) is None
    refusal = check(lacking, MODEL)
    assert refusal is not None
    assert refusal.status == 400

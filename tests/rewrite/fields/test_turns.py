"""Whether a request begins a turn of its user, in each protocol."""

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from protocols.model.prompt import Message, Prompt, Role, Text, ToolResult
from rewrite.fields.turns import begins_turn
from tests.rewrite.fields.values import JSON

CHAT, RESPONSES, MESSAGES = "openai_chat", "openai_responses", "anthropic_messages"
GEMINI, OLLAMA = "gemini_generate", "ollama_chat"


def messages(role: str, content: object) -> dict[str, Any]:
    return {"messages": [{"role": "assistant", "content": "so"}, {"role": role, "content": content}]}


@pytest.mark.parametrize(
    ("protocol", "request_body"),
    [
        (CHAT, messages("user", "hi")),
        (CHAT, messages("user", [{"type": "text", "text": "hi"}])),
        (OLLAMA, messages("user", "hi")),
        (MESSAGES, messages("user", [{"type": "text", "text": "hi"}])),
        (RESPONSES, {"input": "hi"}),
        (RESPONSES, {"input": [{"role": "user", "content": "hi"}]}),
        (GEMINI, {"contents": [{"role": "user", "parts": [{"text": "hi"}]}]}),
        (GEMINI, {"contents": [{"parts": [{"text": "hi"}]}]}),
        ("pigeon", {}),
    ],
)
def test_what_a_user_says_begins_one(protocol: str, request_body: dict[str, Any]) -> None:
    assert begins_turn(request_body, protocol)


@pytest.mark.parametrize(
    ("protocol", "request_body"),
    [
        (CHAT, messages("tool", "42")),
        (CHAT, messages("assistant", "and")),
        (OLLAMA, messages("tool", "42")),
        (MESSAGES, messages("user", [{"type": "tool_result", "content": "42"}])),
        (MESSAGES, messages("user", [{"type": "tool_result"}, {"type": "text", "text": "look"}])),
        (RESPONSES, {"input": [{"type": "function_call_output", "output": "42"}]}),
        (GEMINI, {"contents": [{"role": "user", "parts": [{"functionResponse": {"name": "f"}}]}]}),
    ],
)
def test_what_a_tool_gave_goes_on_with_one(protocol: str, request_body: dict[str, Any]) -> None:
    assert not begins_turn(request_body, protocol)


def test_a_prompt() -> None:
    user = Message(Role.USER, (Text("hi"),))
    result = Message(Role.USER, (ToolResult("call_1", (Text("42"),)),))
    assert begins_turn(Prompt("m", (user,)), "unified")
    assert not begins_turn(Prompt("m", (user, result)), "unified")
    assert not begins_turn(Prompt("m"), "unified")


@given(
    st.dictionaries(st.sampled_from(["messages", "input", "contents"]), JSON), st.sampled_from([CHAT, GEMINI])
)
def test_any_request_does_or_does_not(body: dict[str, Any], protocol: str) -> None:
    assert begins_turn(body, protocol) in (True, False)

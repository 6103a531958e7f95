"""How a request asks to continue an answer of which a part was said, in every protocol."""

from copy import deepcopy
from typing import Any

import pytest

from protocols.base import WireProtocol, editor_of
from protocols.model.wirejson import dump
from protocols.openai_chat import PROTOCOL as CHAT
from protocols.openai_responses import PROTOCOL as RESPONSES
from protocols.registry import discover
from tests.contract import PROTOCOLS

SAID, ASK = "Once upon a", "Go on."
BY_NAME = {protocol.name: protocol for protocol in discover()}


def text(kind: str, said: str) -> dict[str, Any]:
    return {"type": kind, "text": said}


def item(role: str, kind: str, said: str) -> dict[str, Any]:
    return {"type": "message", "role": role, "content": [text(kind, said)]}


PLAIN = [{"role": "assistant", "content": SAID}, {"role": "user", "content": ASK}]
BLOCKS = [
    {"role": "assistant", "content": [text("text", SAID)]},
    {"role": "user", "content": [text("text", ASK)]},
]
ITEMS = [item("assistant", "output_text", SAID), item("user", "input_text", ASK)]
CONTENTS = [{"role": "model", "parts": [{"text": SAID}]}, {"role": "user", "parts": [{"text": ASK}]}]
FIRST: dict[str, Any] = {"role": "user", "content": "Hi", "extra": 1}
CASES = [
    ("openai_chat", {"messages": [FIRST]}, {"messages": [FIRST, *PLAIN]}),
    ("ollama_chat", {"messages": [FIRST]}, {"messages": [FIRST, *PLAIN]}),
    ("anthropic_messages", {"messages": [FIRST]}, {"messages": [FIRST, *BLOCKS]}),
    ("openai_responses", {"input": [FIRST]}, {"input": [FIRST, *ITEMS]}),
    ("openai_responses", {"input": "Hi"}, {"input": [item("user", "input_text", "Hi"), *ITEMS]}),
    ("openai_responses", {"prompt": {"id": "p"}}, {"prompt": {"id": "p"}, "input": ITEMS}),
    ("gemini_generate", {"contents": [FIRST]}, {"contents": [FIRST, *CONTENTS]}),
    (
        "gemini_generate",
        {"project": "p", "request": {"contents": [FIRST], "sessionId": "s"}},
        {"project": "p", "request": {"contents": [FIRST, *CONTENTS], "sessionId": "s"}},
    ),
]


@pytest.mark.parametrize(("name", "body", "asked"), CASES)
def test_two_turns_follow_and_all_else_is_kept(
    name: str, body: dict[str, Any], asked: dict[str, Any]
) -> None:
    given = {"model": "m", "temperature": 0.5, **body}
    before = deepcopy(given)
    assert editor_of(BY_NAME[name]).continue_request(given, SAID, ASK) == {
        "model": "m",
        "temperature": 0.5,
        **asked,
    }
    assert given == before


@pytest.mark.parametrize(("name", "body", "asked"), CASES)
@pytest.mark.parametrize("said", ["", " \n"])
def test_what_is_blank_is_no_turn(name: str, body: dict[str, Any], asked: dict[str, Any], said: str) -> None:
    """Nor is a call that is demanded left to the model, which has no text to continue."""
    found = editor_of(BY_NAME[name]).continue_request({**body, "tool_choice": "required"}, said, ASK)
    assert SAID.encode() not in dump(found)
    assert dump(found).count(ASK.encode()) == 1
    assert dump(found).count(b'"role"') == dump(asked).count(b'"role"') - 1
    assert found["tool_choice"] == "required"


def test_no_protocol_is_left_out() -> None:
    assert {name for name, _, _ in CASES} == {protocol.name for protocol in PROTOCOLS}


@pytest.mark.parametrize("protocol", BY_NAME.values(), ids=lambda protocol: protocol.name)
def test_a_body_without_a_conversation_gets_one(protocol: WireProtocol) -> None:
    (turns,) = editor_of(protocol).continue_request({}, SAID, ASK).values()
    assert isinstance(turns, list)
    assert [turn["role"] for turn in turns[1:]] == ["user"]


def test_a_blank_text_is_no_turn_where_it_is_refused() -> None:
    asked = editor_of(BY_NAME["anthropic_messages"]).continue_request({"messages": [FIRST]}, "\n\n", ASK)
    assert asked["messages"] == [FIRST, BLOCKS[1]]


NAMED = {"type": "function", "function": {"name": "f"}}
ALLOWED = {"type": "allowed_tools", "allowed_tools": {"mode": "required", "tools": [1]}}
CHOICES = [
    (CHAT, {"tool_choice": "required"}, {"tool_choice": "auto"}),
    (CHAT, {"tool_choice": NAMED}, {"tool_choice": "auto"}),
    (CHAT, {"tool_choice": {"type": "custom", "custom": {}}}, {"tool_choice": "auto"}),
    (
        CHAT,
        {"tool_choice": ALLOWED},
        {"tool_choice": {"type": "allowed_tools", "allowed_tools": {"mode": "auto", "tools": [1]}}},
    ),
    (CHAT, {"tool_choice": "none"}, {"tool_choice": "none"}),
    (CHAT, {"function_call": {"name": "f"}}, {"function_call": "auto"}),
    (CHAT, {"function_call": "none"}, {"function_call": "none"}),
    (RESPONSES, {"tool_choice": "required"}, {"tool_choice": "auto"}),
    (RESPONSES, {"tool_choice": {"type": "web_search"}}, {"tool_choice": "auto"}),
    (
        RESPONSES,
        {"tool_choice": {"type": "allowed_tools", "mode": "required", "tools": [1]}},
        {"tool_choice": {"type": "allowed_tools", "mode": "auto", "tools": [1]}},
    ),
    (RESPONSES, {"tool_choice": "none"}, {"tool_choice": "none"}),
    (
        BY_NAME["anthropic_messages"],
        {"tool_choice": {"type": "tool", "name": "f", "disable_parallel_tool_use": True}},
        {"tool_choice": {"type": "auto", "disable_parallel_tool_use": True}},
    ),
    (
        BY_NAME["anthropic_messages"],
        {"tool_choice": {"type": "any"}},
        {"tool_choice": {"type": "auto"}},
    ),
    (
        BY_NAME["anthropic_messages"],
        {"tool_choice": {"type": "none"}},
        {"tool_choice": {"type": "none"}},
    ),
    (
        BY_NAME["gemini_generate"],
        {"toolConfig": {"functionCallingConfig": {"mode": "ANY", "allowedFunctionNames": ["f"]}, "x": 1}},
        {"toolConfig": {"functionCallingConfig": {"mode": "AUTO"}, "x": 1}},
    ),
    (
        BY_NAME["gemini_generate"],
        {"tool_config": {"function_calling_config": {"mode": "ANY", "allowed_function_names": ["f"]}}},
        {"tool_config": {"function_calling_config": {"mode": "AUTO"}}},
    ),
    (
        BY_NAME["gemini_generate"],
        {"toolConfig": {"functionCallingConfig": {"mode": "NONE"}}},
        {"toolConfig": {"functionCallingConfig": {"mode": "NONE"}}},
    ),
]


@pytest.mark.parametrize(("protocol", "asked", "left"), CHOICES)
def test_a_call_is_not_demanded_any_more(
    protocol: WireProtocol, asked: dict[str, Any], left: dict[str, Any]
) -> None:
    before = deepcopy(asked)
    found = editor_of(protocol).continue_request(asked, SAID, ASK)
    assert {name: found[name] for name in left} == left
    assert asked == before

"""strip_tool_types: only the shorthand, only from a plain client tool, only in Anthropic's protocol."""

from typing import Any

import pytest

from tests.rewrite.adapters.bodies import (
    CHAT,
    CHAT_BODY,
    MESSAGES,
    MESSAGES_BODY,
    RESPONSES,
    RESPONSES_BODY,
    SCHEMA,
    adapter,
    leaves_alone,
    sent,
)

STRIP = adapter("strip_tool_types")


def test_the_shorthand_goes() -> None:
    bash, look = MESSAGES_BODY["tools"]
    after = sent(STRIP, MESSAGES, MESSAGES_BODY)
    assert after == {**MESSAGES_BODY, "tools": [bash, {"name": "look", "input_schema": SCHEMA}]}
    assert look["type"] == "custom"


def test_the_rest_of_a_tool_stays() -> None:
    tool = {"type": "custom", "name": "look", "input_schema": {}, "cache_control": {"type": "ephemeral"}}
    (after,) = sent(STRIP, MESSAGES, {"tools": [tool]})["tools"]
    assert after == {"name": "look", "input_schema": {}, "cache_control": {"type": "ephemeral"}}


@pytest.mark.parametrize(
    "tool",
    [
        {"type": "web_search_20250305", "name": "web_search", "max_uses": 5},
        {"type": "bash_20250124", "name": "bash"},
        {"type": "other", "name": "look", "input_schema": {}},
        {"name": "look", "input_schema": {}},
        {"type": "custom", "name": "look"},
        {"type": "custom", "input_schema": {}},
        {"type": "custom", "custom": {"name": "patch"}, "name": "look", "input_schema": {}},
        "odd",
    ],
)
def test_other_tools_are_left_alone(tool: Any) -> None:
    assert leaves_alone(STRIP, MESSAGES, {"tools": [tool]})


def test_other_protocols_are_left_alone() -> None:
    plain = {"type": "custom", "name": "look", "input_schema": {}}
    assert leaves_alone(STRIP, CHAT, CHAT_BODY)
    assert leaves_alone(STRIP, RESPONSES, RESPONSES_BODY)
    assert leaves_alone(STRIP, RESPONSES, {"tools": [plain]})

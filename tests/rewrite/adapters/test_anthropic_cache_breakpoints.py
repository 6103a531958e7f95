"""anthropic_cache_breakpoints: four marks where a client has none, none where it has one."""

from collections.abc import Iterator
from typing import Any

import pytest

from tests.rewrite.adapters.bodies import (
    CHAT,
    CHAT_BODY,
    MESSAGES,
    MESSAGES_BODY,
    adapter,
    leaves_alone,
    sent,
)

MARKING = adapter("anthropic_cache_breakpoints")
MARK = {"cache_control": {"type": "ephemeral"}}
TEXT = {"type": "text", "text": "Hi"}
USER = {"role": "user", "content": "Hi"}
MARKED_USER = {"role": "user", "content": [{**TEXT, **MARK}]}
ASSISTANT = {"role": "assistant", "content": "Yes?"}


def unmarked(value: Any) -> Any:
    """`value` without its marks; the name of a property in a schema is none."""
    if isinstance(value, dict):
        return {key: unmarked(item) for key, item in value.items() if (key, item) not in MARK.items()}
    return [unmarked(item) for item in value] if isinstance(value, list) else value


def marks(value: Any) -> Iterator[object]:
    if isinstance(value, dict):
        yield from [value] if value.get("cache_control") == MARK["cache_control"] else []
        value = list(value.values())
    if isinstance(value, list):
        for item in value:
            yield from marks(item)


def test_a_realistic_request_gets_four() -> None:
    after = sent(MARKING, MESSAGES, MESSAGES_BODY)
    assert len(list(marks(after))) == 4
    assert after["tools"][-1] == {**MESSAGES_BODY["tools"][-1], **MARK}
    assert after["system"][-1] == {"type": "text", "text": "Use tools.", **MARK}
    assert after["messages"][2]["content"] == [{**MESSAGES_BODY["messages"][2]["content"][0], **MARK}]
    assert after["messages"][4]["content"] == [{"type": "text", "text": "And now?", **MARK}]
    assert unmarked(after) == MESSAGES_BODY


@pytest.mark.parametrize(
    ("body", "expected"),
    [
        ({"messages": [USER]}, {"messages": [MARKED_USER]}),
        (
            {"messages": [USER, ASSISTANT, USER, ASSISTANT, USER]},
            {"messages": [USER, ASSISTANT, MARKED_USER, ASSISTANT, MARKED_USER]},
        ),
        ({"system": "Hi"}, {"system": [{**TEXT, **MARK}]}),
        ({"tools": [{"name": "a"}, {"name": "b"}]}, {"tools": [{"name": "a"}, {"name": "b", **MARK}]}),
        (
            {"tools": [{"name": "a"}, {"name": "b", "defer_loading": True}]},
            {"tools": [{"name": "a", **MARK}, {"name": "b", "defer_loading": True}]},
        ),
    ],
    ids=["text", "last two", "system text", "last tool", "deferred tool"],
)
def test_marks_stand_on_the_last_of_each(body: dict[str, Any], expected: dict[str, Any]) -> None:
    assert sent(MARKING, MESSAGES, body) == expected


@pytest.mark.parametrize(
    "marked",
    [
        MARK,
        {"tools": [{"name": "a", **MARK}]},
        {"system": [{**TEXT, **MARK}]},
        {"messages": [MARKED_USER]},
        {"messages": [{"role": "user", "content": [{"type": "tool_result", "content": [{**TEXT, **MARK}]}]}]},
    ],
    ids=["request", "tool", "system", "message", "tool result"],
)
def test_a_request_with_a_mark_is_left_alone(marked: dict[str, Any]) -> None:
    assert leaves_alone(MARKING, MESSAGES, {"model": "m", "messages": [USER], **marked})


@pytest.mark.parametrize(
    "body",
    [
        {"model": "m"},
        {"system": "", "tools": [], "messages": []},
        {"system": [{"type": "text", "text": ""}], "messages": [{"role": "user", "content": ""}]},
        {"tools": [{"name": "a", "defer_loading": True}], "messages": [ASSISTANT, "odd"]},
        {"system": 1, "tools": "odd", "messages": {"role": "user"}},
    ],
)
def test_what_takes_no_mark_is_left_alone(body: dict[str, Any]) -> None:
    assert leaves_alone(MARKING, MESSAGES, body)


def test_other_protocols_are_left_alone() -> None:
    assert leaves_alone(MARKING, CHAT, CHAT_BODY)

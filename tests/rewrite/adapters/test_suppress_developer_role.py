"""suppress_developer_role: messages of the developer become others, or go."""

import pytest

from tests.rewrite.adapters.bodies import (
    CHAT,
    CHAT_BODY,
    MESSAGES,
    MESSAGES_BODY,
    RESPONSES,
    RESPONSES_BODY,
    adapter,
    leaves_alone,
    sent,
)


@pytest.mark.parametrize("to", ["system", "user"])
def test_the_role_is_replaced(to: str) -> None:
    suppress = adapter("suppress_developer_role", to=to)
    chat = sent(suppress, CHAT, CHAT_BODY)
    assert [message["role"] for message in chat["messages"]] == ["system", to, "user", "assistant"]
    assert chat["messages"][1]["content"] == CHAT_BODY["messages"][1]["content"]
    assert {**chat, "messages": 0} == {**CHAT_BODY, "messages": 0}
    items = sent(suppress, RESPONSES, RESPONSES_BODY)["input"]
    assert items == [{**RESPONSES_BODY["input"][0], "role": to}, *RESPONSES_BODY["input"][1:]]


def test_system_is_the_default() -> None:
    (message, *_) = sent(adapter("suppress_developer_role"), RESPONSES, RESPONSES_BODY)["input"]
    assert message["role"] == "system"


def test_drop_leaves_the_others() -> None:
    drop = adapter("suppress_developer_role", to="drop")
    first, _, *others = CHAT_BODY["messages"]
    assert sent(drop, CHAT, CHAT_BODY)["messages"] == [first, *others]
    assert sent(drop, RESPONSES, RESPONSES_BODY)["input"] == RESPONSES_BODY["input"][1:]


def test_drop_never_leaves_nothing() -> None:
    only = {"messages": [{"role": "developer", "content": "x"}]}
    assert sent(adapter("suppress_developer_role", to="drop"), CHAT, only) == only


def test_what_has_no_such_message_is_left_alone() -> None:
    suppress = adapter("suppress_developer_role")
    assert leaves_alone(suppress, CHAT, {"messages": [{"role": "user", "content": "developer"}, "odd"]})
    assert leaves_alone(suppress, CHAT, {"messages": "odd"})
    assert leaves_alone(suppress, RESPONSES, {"input": "developer"})
    assert leaves_alone(suppress, MESSAGES, MESSAGES_BODY)
    assert leaves_alone(suppress, MESSAGES, CHAT_BODY)

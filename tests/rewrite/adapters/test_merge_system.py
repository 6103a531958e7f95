"""merge_system: neighbouring system prompts become one; what is cached stays where it is."""

from typing import Any

import pytest

from tests.rewrite.adapters.bodies import (
    CHAT,
    CHAT_BODY,
    MESSAGES,
    MESSAGES_BODY,
    OLLAMA,
    RESPONSES,
    RESPONSES_BODY,
    adapter,
    leaves_alone,
    sent,
)

MERGE = adapter("merge_system")
MARK = {"type": "ephemeral"}
USER = {"role": "user", "content": "Hi"}


def system(content: Any, role: str = "system", **more: object) -> dict[str, Any]:
    return {"role": role, "content": content, **more}


def text(words: str, **more: object) -> dict[str, Any]:
    return {"type": "text", "text": words, **more}


@pytest.mark.parametrize(
    ("messages", "expected"),
    [
        ([system("a"), system("b"), system("c"), USER], [system("a\n\nb\n\nc"), USER]),
        ([system("a", "developer"), system("b"), USER], [system("a\n\nb", "developer"), USER]),
        ([system(""), system("b"), USER], [system("b"), USER]),
        ([system("a"), system([text("b")]), USER], [system([text("a"), text("b")]), USER]),
        (
            [system([text("a", cache_control=MARK)]), system("b"), USER],
            [system([text("a", cache_control=MARK), text("b")]), USER],
        ),
        ([USER, system("a"), system("b"), USER], [USER, system("a\n\nb"), USER]),
    ],
    ids=["three", "roles", "empty", "blocks", "marked", "between"],
)
def test_neighbouring_chat_messages_become_one(messages: list[object], expected: list[object]) -> None:
    assert sent(MERGE, CHAT, {"messages": messages}) == {"messages": expected}


@pytest.mark.parametrize(
    "messages",
    [
        [system("a"), USER],
        [system("a"), USER, system("b")],
        [system("a", name="one"), system("b"), USER],
        [system("a"), system(None), "odd"],
        [USER, USER],
    ],
)
def test_other_chat_messages_are_left_alone(messages: list[object]) -> None:
    assert leaves_alone(MERGE, CHAT, {"messages": messages})


def test_a_realistic_chat() -> None:
    first, *_ = sent(MERGE, CHAT, CHAT_BODY)["messages"]
    assert first == system([text("You are terse."), text("Use tools.")])


@pytest.mark.parametrize(
    ("prompt", "expected"),
    [
        ([text("a"), text("b")], "a\n\nb"),
        (
            [text("a", cache_control=MARK), text("b"), text("c")],
            [text("a", cache_control=MARK), text("b\n\nc")],
        ),
        ([text("a"), text("b", cache_control=MARK)], [text("a\n\nb", cache_control=MARK)]),
        (
            [text("a"), text("b", cache_control=MARK), text("c", cache_control=MARK)],
            [text("a\n\nb", cache_control=MARK), text("c", cache_control=MARK)],
        ),
        ([text("a", citations=[]), text("b"), text("c")], [text("a", citations=[]), text("b\n\nc")]),
    ],
    ids=["plain", "mark first", "mark last", "two marks", "more fields"],
)
def test_the_blocks_of_a_prompt_are_joined_up_to_each_mark(prompt: object, expected: object) -> None:
    body = {"system": prompt, "messages": [USER]}
    assert sent(MERGE, MESSAGES, body) == {"system": expected, "messages": [USER]}


@pytest.mark.parametrize(
    ("prompt", "moved", "expected"),
    [
        ("a", "b", "a\n\nb"),
        (None, "b", "b"),
        ([text("a", cache_control=MARK)], [text("b")], [text("a", cache_control=MARK), text("b")]),
        ("a", [text("b", cache_control=MARK)], [text("a\n\nb", cache_control=MARK)]),
    ],
)
def test_system_messages_move_up(prompt: object, moved: object, expected: object) -> None:
    body = {"messages": [USER, system(moved), USER]} | ({"system": prompt} if prompt else {})
    assert sent(MERGE, MESSAGES, body) == {"system": expected, "messages": [USER, USER]}


def test_a_realistic_request() -> None:
    after = sent(MERGE, MESSAGES, MESSAGES_BODY)
    assert after["system"] == "You are terse.\n\nUse tools.\n\nIt is late."
    assert after["messages"] == [one for one in MESSAGES_BODY["messages"] if one["role"] != "system"]


@pytest.mark.parametrize(
    "body",
    [
        {"system": "a", "messages": [USER]},
        {"system": [text("a")], "messages": [USER]},
        {"system": [text("a", cache_control=MARK), text("b", cache_control=MARK)], "messages": [USER]},
        {"system": "a", "messages": [system("all there is")]},
        {"messages": [USER, system([{"type": "image", "source": {}}])]},
        {"messages": [USER]},
        {"system": "a", "messages": "odd"},
    ],
)
def test_what_is_one_already_is_left_alone(body: dict[str, Any]) -> None:
    assert leaves_alone(MERGE, MESSAGES, body)


def test_other_protocols_are_left_alone() -> None:
    assert leaves_alone(MERGE, RESPONSES, RESPONSES_BODY)
    assert leaves_alone(MERGE, OLLAMA, CHAT_BODY)

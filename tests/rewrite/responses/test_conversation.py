"""What a connection remembers, and how a turn continues it."""

from typing import Any

import pytest

from rewrite.responses.conversation import Conversation

ASKED = {"type": "message", "role": "user", "content": "hi"}
SAID = {"type": "message", "id": "msg_1", "role": "assistant", "content": []}
MORE = {"type": "message", "role": "user", "content": "more"}


def continued(conversation: Conversation, name: str, *items: Any, **more: Any) -> Any:
    return conversation.continued({"previous_response_id": name, "input": list(items), **more})


def test_a_turn_continues_with_all_items_and_without_the_id() -> None:
    conversation = Conversation()
    conversation.ended("resp_1", {"model": "m", "input": "hi", "instructions": "be brief"}, [SAID])
    assert continued(conversation, "resp_1", MORE) == {"input": [ASKED, SAID, MORE]}


def test_a_chain_keeps_all_of_its_turns_and_may_fork() -> None:
    conversation = Conversation()
    conversation.ended("resp_1", {"input": [ASKED]}, [SAID])
    body = continued(conversation, "resp_1", MORE)
    conversation.ended("resp_2", body, [{**SAID, "id": "msg_2"}])
    assert continued(conversation, "resp_2")["input"] == [ASKED, SAID, MORE, {**SAID, "id": "msg_2"}]
    assert continued(conversation, "resp_1")["input"] == [ASKED, SAID]


def test_an_id_of_somebody_else_is_left_alone() -> None:
    conversation = Conversation()
    body = {"previous_response_id": "resp_other", "input": "hi"}
    assert conversation.continued(body) is body
    assert conversation.continued({}) == {}


def test_what_continued_from_somebody_elses_response_still_does() -> None:
    conversation = Conversation()
    conversation.ended("resp_2", {"previous_response_id": "resp_other", "input": "hi"}, [SAID])
    assert continued(conversation, "resp_2", MORE) == {
        "previous_response_id": "resp_other",
        "input": [ASKED, SAID, MORE],
    }


def test_a_prepared_turn_gives_its_settings_too_and_what_is_said_anew_holds() -> None:
    conversation = Conversation()
    conversation.prepared("resp_ws", {"model": "m", "tools": [1], "instructions": "a", "input": [ASKED]})
    assert continued(conversation, "resp_ws", MORE, instructions="b") == {
        "model": "m",
        "tools": [1],
        "instructions": "b",
        "input": [ASKED, MORE],
    }


@pytest.mark.parametrize(
    ("item", "store", "replayed"),
    [
        ({"type": "reasoning", "id": "rs_1", "summary": []}, False, False),
        ({"type": "reasoning", "id": "rs_1", "summary": []}, True, True),
        ({"type": "reasoning", "id": "rs_1", "encrypted_content": "x"}, False, True),
        ({"type": "function_call", "call_id": "c", "status": "completed"}, False, True),
        ({"type": "function_call", "call_id": "c", "status": "incomplete"}, True, False),
        ({"type": "custom_tool_call", "call_id": "c", "status": "incomplete"}, True, False),
        ({**SAID, "status": "incomplete"}, True, True),
    ],
)
def test_what_a_provider_would_refuse_is_not_sent_again(item: Any, store: bool, replayed: bool) -> None:
    conversation = Conversation()
    conversation.ended("resp_1", {"input": [], "store": store}, [item])
    assert continued(conversation, "resp_1")["input"] == [item] * replayed


def test_the_oldest_is_forgotten_first() -> None:
    conversation = Conversation(most=2)
    for name in ("resp_1", "resp_2", "resp_3"):
        conversation.ended(name, {"input": name}, [])
    known = [name for name in ("resp_1", "resp_2", "resp_3") if len(continued(conversation, name)) == 1]
    assert known == ["resp_2", "resp_3"]


def test_memory_is_bounded_but_the_last_response_stays() -> None:
    conversation = Conversation(most_bytes=1000)
    for name in ("resp_1", "resp_2", "resp_3"):
        conversation.ended(name, {"input": "x" * 400}, [])
    assert continued(conversation, "resp_1") == {"previous_response_id": "resp_1", "input": []}
    assert len(continued(conversation, "resp_2")["input"]) == 1
    conversation.ended("resp_4", {"input": "x" * 5000}, [])
    assert len(continued(conversation, "resp_4")["input"]) == 1
    assert "previous_response_id" in continued(conversation, "resp_3")


def test_a_response_that_comes_twice_is_kept_once() -> None:
    conversation = Conversation(most_bytes=1000)
    for _ in range(5):
        conversation.ended("resp_1", {"input": "x" * 400}, [])
    conversation.ended("resp_2", {"input": "x" * 400}, [])
    assert len(continued(conversation, "resp_1")["input"]) == 1

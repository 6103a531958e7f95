"""Events put together as a whole response."""

from typing import Any

import pytest

from protocols.model.call import Call, Operation
from protocols.openai_responses import PROTOCOL
from protocols.openai_responses.aggregate import ResponsesFold

RESPONSE = {"id": "resp_1", "object": "response", "model": "m", "status": "in_progress", "output": []}
CREATED: dict[str, object] = {"type": "response.created", "response": RESPONSE}
TEXT = {"type": "output_text", "text": "Hi", "annotations": []}
MESSAGE = {"type": "message", "id": "msg_1", "role": "assistant", "status": "completed", "content": [TEXT]}
ADDED: dict[str, object] = {
    "type": "response.output_item.added",
    "output_index": 0,
    "item": {**MESSAGE, "content": []},
}
PART: dict[str, object] = {
    "type": "response.content_part.added",
    "output_index": 0,
    "content_index": 0,
    "part": {**TEXT, "text": ""},
}
DELTA: dict[str, object] = {
    "type": "response.output_text.delta",
    "output_index": 0,
    "content_index": 0,
    "delta": "Hi",
}
DONE: dict[str, object] = {"type": "response.output_item.done", "output_index": 0, "item": MESSAGE}
CALL = {
    "type": "function_call",
    "id": "fc_1",
    "call_id": "c",
    "name": "f",
    "arguments": "",
    "status": "in_progress",
}


def call(*pieces: str, done: bool = False) -> list[dict[str, object]]:
    began: dict[str, object] = {"type": "response.output_item.added", "output_index": 1, "item": CALL}
    said: list[dict[str, object]] = [
        {"type": "response.function_call_arguments.delta", "output_index": 1, "delta": piece}
        for piece in pieces
    ]
    item = {**CALL, "arguments": "".join(pieces), "status": "completed"}
    ended: dict[str, object] = {"type": "response.output_item.done", "output_index": 1, "item": item}
    return [began, *said, *([ended] if done else [])]


def last(status: str = "completed", **fields: object) -> dict[str, object]:
    return {"type": f"response.{status}", "response": {**RESPONSE, "status": status, **fields}}


def fold(*events: dict[str, object]) -> ResponsesFold:
    found = ResponsesFold()
    for event in events:
        found.feed(event)
    return found


def whole(*events: dict[str, object], done: bool = True) -> dict[str, Any]:
    found = fold(*events).whole(done=done)
    assert found is not None
    return dict(found)


def test_the_last_event_has_all_of_it() -> None:
    ended = last(output=[MESSAGE], usage={"input_tokens": 3}, odd=1)
    assert whole(CREATED, ADDED, PART, DELTA, DONE, ended) == ended["response"]


def test_an_output_that_was_left_empty_is_that_of_the_items() -> None:
    assert whole(CREATED, ADDED, DELTA, DONE, last(output=[]))["output"] == [MESSAGE]


def test_an_event_without_a_type_is_known_by_its_name() -> None:
    found = fold(CREATED)
    found.feed({"response": {**RESPONSE, "status": "completed", "output": [MESSAGE]}}, "response.completed")
    assert (found.whole(done=True) or {}).get("status") == "completed"


def test_one_that_was_cut_is_incomplete() -> None:
    found = whole(CREATED, ADDED, PART, DELTA, done=False)
    assert (found["status"], found["incomplete_details"]) == ("incomplete", {"reason": "max_output_tokens"})
    (message,) = found["output"]
    assert (message["status"], message["content"][0]["text"]) == ("incomplete", "Hi")


@pytest.mark.parametrize(
    ("events", "kinds"),
    [
        (call('{"x'), ["message"]),
        (call(), ["message"]),
        (call("{}", done=True), ["message", "function_call"]),
    ],
    ids=["half", "name only", "whole"],
)
def test_a_call_that_was_cut_is_left_out(events: list[dict[str, object]], kinds: list[str]) -> None:
    found = whole(CREATED, ADDED, PART, DELTA, DONE, *events, done=False)
    assert [item["type"] for item in found["output"]] == kinds


def test_before_the_first_event_there_is_no_answer() -> None:
    assert ResponsesFold().whole(done=False) is None


def test_a_stream_is_asked_for_and_a_whole_answer() -> None:
    asked = Call("c", PROTOCOL.name, Operation.GENERATE, "m", False, (), {"model": "m"})
    streamed = PROTOCOL.editor.with_stream(asked, True)
    assert (streamed.stream, streamed.body) == (True, {"model": "m", "stream": True})
    options = {**streamed.body, "stream_options": {"include_obfuscation": False}}
    back = PROTOCOL.editor.with_stream(
        Call("c", PROTOCOL.name, Operation.GENERATE, "m", True, (), options), False
    )
    assert (back.stream, back.body) == (False, {"model": "m", "stream": False})

"""A WebSocket's messages: what a client says, and what it gets of an answer's stream."""

import json
from typing import Any

import pytest

from protocols.model.errors import Fault
from protocols.model.wirejson import MOST_VALUES
from protocols.openai_responses.websocket_messages import (
    Create,
    EventMessage,
    EventMessages,
    Receipt,
    error_event,
    event_message,
    events_of,
    prepared,
    read_message,
)
from tests.oracle import judges
from tests.vendor import Tool
from tests.vendor.responses import responses_answer, responses_stream

STREAM = b"".join(responses_stream(["Hello", " there"], tools=[Tool("read", ['{"a"', ":1}"])]))


def events(messages: list[EventMessage]) -> list[dict[str, Any]]:
    return [json.loads(message.text) for message in messages]


# -- from the client --------------------------------------------------------------------------------------


def test_a_turn_has_the_fields_of_a_request_and_none_of_the_transports() -> None:
    said = {
        "type": "response.create",
        "model": "m",
        "input": "hi",
        "stream": True,
        "odd": 1,
        "background": False,
    }
    assert read_message(json.dumps(said)) == Create({"model": "m", "input": "hi", "odd": 1})


def test_a_turn_may_be_prepared_only_and_have_a_lane() -> None:
    said = {"type": "response.create", "generate": False, "stream_id": "main"}
    assert read_message(json.dumps(said)) == Create({}, generate=False, stream_id="main")


def test_a_receipt_needs_no_answer() -> None:
    assert read_message('{"type": "response.processed", "response_id": "resp_1"}') == Receipt()


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("hello", "expected a JSON object"),
        ("[1]", "expected a JSON object"),
        ('{"type": "session.update"}', "expected a message of the type response.create"),
        ('{"type": "response.create", "background": true}', "background is not supported over a WebSocket"),
    ],
)
def test_what_is_not_understood_is_a_fault_of_the_request(text: str, words: str) -> None:
    fault = read_message(text)
    assert isinstance(fault, Fault)
    assert (fault.status, fault.kind, fault.message) == (400, "invalid_request", words)


# -- to the client ----------------------------------------------------------------------------------------


@pytest.mark.parametrize("size", [1, 7, len(STREAM)])
def test_each_event_is_one_message_with_its_own_bytes(size: int) -> None:
    reader = EventMessages("")
    messages = [one for at in range(0, len(STREAM), size) for one in reader.feed(STREAM[at : at + size])]
    messages += reader.eof()
    data = [line.removeprefix(b"data: ").decode() for line in STREAM.split(b"\n") if line.startswith(b"data")]
    assert [message.text for message in messages] == data


def test_items_and_the_response_are_told_apart() -> None:
    messages = EventMessages("").feed(STREAM)
    items = [message.item for message in messages if message.item is not None]
    assert [item["type"] for item in items] == ["message", "function_call"]
    (response,) = [message.response for message in messages if message.response is not None]
    assert (response["id"], response["output"]) == ("resp_1", items)


def test_a_lane_stands_in_every_event() -> None:
    said = events(EventMessages("main").feed(STREAM))
    assert {event.pop("stream_id") for event in said} == {"main"}
    assert said == events(EventMessages("").feed(STREAM))


def test_events_without_a_name_are_known_by_their_type() -> None:
    lines = b"".join(line for line in STREAM.splitlines(keepends=True) if not line.startswith(b"event:"))
    assert EventMessages("").feed(lines) == EventMessages("").feed(STREAM)


def test_a_type_that_is_missing_comes_from_the_name() -> None:
    assert events(EventMessages("").feed(b'event: response.completed\ndata: {"response": {}}\n\n')) == [
        {"response": {}, "type": "response.completed"}
    ]


def test_what_is_no_event_is_no_message() -> None:
    assert EventMessages("").feed(b": hello\n\n\ndata: [DONE]\n\n\n") == []


def test_a_last_event_without_its_blank_line_is_reported_at_the_end() -> None:
    reader = EventMessages("")
    assert reader.feed(STREAM[:-2])[-1].response is None
    (last,) = reader.eof()
    assert last.response is not None


# -- errors -----------------------------------------------------------------------------------------------


def test_an_error_has_its_status_and_the_headers_that_say_when_to_ask_again() -> None:
    headers = (("Retry-After", "7"), ("X-Request-Id", "r"), ("Content-Type", "a"), ("Set-Cookie", "secret"))
    error = {"code": "rate_limit_exceeded", "message": "Slow down.", "type": "rate_limit_error"}
    assert error_event(429, headers, json.dumps({"error": error}).encode()) == {
        "type": "error",
        "status": 429,
        "error": error,
        "headers": {"retry-after": "7", "x-request-id": "r"},
    }


@pytest.mark.parametrize(
    ("body", "words"),
    [
        (b'{"error": "no such key"}', "no such key"),
        (b'{"message": "busy"}', "busy"),
        (b"<html>" + b"x" * 500, "<html>" + "x" * 194),
        (b"", "the provider answered 503"),
    ],
)
def test_an_error_in_another_form_is_put_in_the_protocols(body: bytes, words: str) -> None:
    error = error_event(503, (), body)["error"]
    assert isinstance(error, dict)
    assert (error["message"], error["type"], error["code"]) == (words, "server_error", "provider_error")


# -- answers that came whole ------------------------------------------------------------------------------


def test_a_whole_answer_is_sent_as_events() -> None:
    response = json.loads(responses_answer("Hello", tools=[Tool("read", ["{}"])])[0])
    said = [event_message(event) for event in events_of(response)]
    assert [message.item for message in said if message.item is not None] == response["output"]
    assert said[-1].response == response
    assert [event["type"] for event in events(said)][:1] == ["response.created"]
    assert events(said)[-1]["type"] == "response.completed"


def test_a_turn_that_is_prepared_has_an_empty_response() -> None:
    said = list(prepared("resp_ws_1", Create({"model": "m", "store": False}), 5))
    stream = b"".join(b"data: " + json.dumps(event).encode() + b"\n\n" for event in said)
    judged = judges()["openai_responses"](stream)
    assert (judged["terminal"], judged["error"]) == (True, None)
    assert [event["type"] for event in said] == ["response.created", "response.completed"]
    response = said[-1]["response"]
    assert isinstance(response, dict)
    facts = {name: response[name] for name in ("id", "model", "store", "output", "created_at", "status")}
    assert facts == {
        "id": "resp_ws_1",
        "model": "m",
        "store": False,
        "output": [],
        "created_at": 5,
        "status": "completed",
    }
    assert response["usage"]["total_tokens"] == 0


def test_a_message_of_too_many_values_is_not_parsed() -> None:
    many = "{}," * (MOST_VALUES // 2 + 1)
    found = read_message('{"type": "response.create", "input": [' + many + "{}]}")
    assert isinstance(found, Fault)
    assert (found.status, found.should_retry) == (413, False)


def test_a_long_text_is_no_sum_of_values() -> None:
    found = read_message('{"type": "response.create", "input": "' + "a long text, " * 200_000 + '"}')
    assert isinstance(found, Create)

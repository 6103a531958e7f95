"""What a tool call asks for: one rule for every reader."""

import json

import pytest

from protocols.base import WireProtocol
from protocols.model.call import Destination, Operation
from protocols.model.http import WireRequest
from protocols.model.prompt import Prompt, ToolCall
from protocols.model.wirejson import dump, load_object
from protocols.shared.arguments import as_object, is_complete, kept, text_of, text_of_value, within
from rewrite.translation.translate import translator_of
from tests.contract import JSON, PROTOCOLS, parts, progress

NOTHING: list[object] = [None, "", " ", "null", [], {}]
SAID = [({"a": 1}, {"a": 1}), ([1], {"value": [1]}), (5, {"value": 5}), (False, {"value": False})]


@pytest.mark.parametrize(
    ("text", "found"),
    [
        ('{"a": 1}', '{"a": 1}'),
        ("", "{}"),
        ("null", "{}"),
        (" [] ", "{}"),
        ('""', "{}"),
        ("[1]", '{"value":[1]}'),
        ("0", '{"value":0}'),
        ("false", '{"value":false}'),
        ('"ls"', '{"value":"ls"}'),
        ('{"a":', None),
        ('{"a": NaN}', None),
        ('{"a": [-Infinity]}', None),
        ('{"a": 1e999}', None),
        ('{"a": "NaN"}', '{"a": "NaN"}'),
    ],
)
def test_another_protocol_gets_an_object(text: str, found: str | None) -> None:
    assert as_object(text) == found


def test_half_a_call_of_a_history_is_kept_as_a_text() -> None:
    assert json.loads(kept('{"a":')) == {"value": '{"a":'}


@pytest.mark.parametrize(("text", "found"), [("", "{}"), ("null", "{}"), ("[]", "[]"), ('{"a":', '{"a":')])
def test_within_a_protocol_what_was_said_stays(text: str, found: str) -> None:
    assert within(text) == found


@pytest.mark.parametrize(("value", "text"), [("{", "{"), ({"a": 1}, '{"a":1}'), (None, ""), ([], "[]")])
def test_a_field_of_text_may_hold_an_object(value: object, text: str) -> None:
    assert text_of(value) == text


@pytest.mark.parametrize(("value", "text"), [('{"a": 1}', '{"a": 1}'), ("ls", '"ls"'), ("null", "null")])
def test_a_field_of_an_object_may_hold_its_text(value: object, text: str) -> None:
    assert text_of_value(value) == text


@pytest.mark.parametrize(
    ("text", "growing", "done"),
    [("{}", True, True), ("[1]", True, True), ("1", False, True), ("", False, True), ("{", False, False)],
)
def test_of_a_scalar_the_end_alone_says_that_it_is_whole(text: str, growing: bool, done: bool) -> None:
    assert (is_complete(text, done=False), is_complete(text, done=True)) == (growing, done)


# -- every reader -----------------------------------------------------------------------------------------

NAME, ID = "f", "c1"


def call_of(protocol: str, said: object) -> dict[str, object]:
    """A call in the protocol's own form, with arguments that are `said`."""
    match protocol:
        case "openai_chat":
            return {"id": ID, "type": "function", "function": {"name": NAME, "arguments": said}}
        case "openai_responses":
            return {"type": "function_call", "id": "fc", "call_id": ID, "name": NAME, "arguments": said}
        case "anthropic_messages":
            return {"type": "tool_use", "id": ID, "name": NAME, "input": said}
        case "gemini_generate":
            return {"functionCall": {"id": ID, "name": NAME, "args": said}}
        case _:
            return {"id": ID, "function": {"name": NAME, "arguments": said}}


def answer(protocol: str, said: object) -> dict[str, object]:
    call = call_of(protocol, said)
    match protocol:
        case "openai_chat":
            message = {"role": "assistant", "content": None, "tool_calls": [call]}
            return {"choices": [{"index": 0, "message": message, "finish_reason": "tool_calls"}]}
        case "openai_responses":
            return {"object": "response", "id": "r", "status": "completed", "output": [call]}
        case "anthropic_messages":
            return {"type": "message", "id": "m", "content": [call], "stop_reason": "tool_use"}
        case "gemini_generate":
            return {"candidates": [{"content": {"parts": [call]}, "finishReason": "STOP"}]}
        case _:
            return {"message": {"role": "assistant", "tool_calls": [call]}, "done": True}


def history(protocol: str, said: object) -> tuple[str, dict[str, object]]:
    call = call_of(protocol, said)
    match protocol:
        case "openai_chat":
            return "/v1/chat/completions", {"messages": [{"role": "assistant", "tool_calls": [call]}]}
        case "openai_responses":
            return "/v1/responses", {"input": [call]}
        case "anthropic_messages":
            return "/v1/messages", {"messages": [{"role": "assistant", "content": [call]}]}
        case "gemini_generate":
            path = "/v1beta/models/m:generateContent"
            return path, {"contents": [{"role": "model", "parts": [call]}]}
        case _:
            return "/api/chat", {"messages": [{"role": "assistant", "tool_calls": [call]}]}


every_protocol = pytest.mark.parametrize("protocol", PROTOCOLS, ids=lambda each: each.name)
everything = pytest.mark.parametrize(
    ("said", "expected"), [*((said, {}) for said in NOTHING), *SAID, ('{"a": 1}', {"a": 1})]
)


@every_protocol
@everything
def test_a_whole_answer(protocol: WireProtocol, said: object, expected: object) -> None:
    (block,) = progress(parts(protocol, JSON, [dump(answer(protocol.name, said))])).blocks.values()
    assert json.loads(as_object(block.text) or "") == expected


@every_protocol
@everything
def test_a_history(protocol: WireProtocol, said: object, expected: object) -> None:
    path, body = history(protocol.name, said)
    asked = WireRequest("POST", path, (), dump({"model": "m", **body}))
    prompt = translator_of(protocol).read_request(protocol.parse("c", Operation.GENERATE, asked))
    (call,) = calls(prompt)
    assert json.loads(kept(call.arguments)) == expected


def calls(prompt: Prompt) -> list[ToolCall]:
    return [each for message in prompt.messages for each in message.content if isinstance(each, ToolCall)]


@every_protocol
@pytest.mark.parametrize("text", ["", "null", "[1]", '{"half'])
def test_a_call_that_is_sent_on_asks_for_an_object(protocol: WireProtocol, text: str) -> None:
    """A history cannot be changed any more: a refusal would end the conversation."""
    asked = WireRequest("POST", "/v1/chat/completions", (), dump({"model": "m", **_said(text)}))
    chat = next(each for each in PROTOCOLS if each.name == "openai_chat")
    prompt = translator_of(chat).read_request(chat.parse("c", Operation.GENERATE, asked))
    written = dump(translator_of(protocol).write_request(prompt, Destination("vendor", "m")).body)
    again = calls(
        translator_of(protocol).read_request(
            protocol.parse("c", Operation.GENERATE, _sent(protocol.name, written))
        )
    )
    assert load_object(again[0].arguments.encode()) == load_object(kept(text).encode())


def _said(text: str) -> dict[str, object]:
    tool = {"role": "tool", "tool_call_id": ID, "content": "ok"}
    call = call_of("openai_chat", text)
    return {
        "messages": [{"role": "user", "content": "Hi"}, {"role": "assistant", "tool_calls": [call]}, tool]
    }


def _sent(protocol: str, body: bytes) -> WireRequest:
    path = history(protocol, "")[0]
    return WireRequest("POST", path, (), body)

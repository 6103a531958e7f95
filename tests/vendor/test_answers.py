"""Ready-made answers have the shapes that providers send."""

import json
import os
from importlib import util
from pathlib import Path
from types import ModuleType

import pytest

from tests.vendor import (
    Reply,
    Send,
    Tool,
    chat_answer,
    chat_error,
    chat_error_event,
    chat_stream,
    chat_tool_stream,
    messages_answer,
    messages_error,
    messages_error_event,
    messages_stream,
    messages_tool_stream,
)


def _events(stream: list[bytes]) -> list[tuple[str, object]]:
    """(name, value) of each event, as a client that splits lines reads them."""
    parsed = []
    for event in stream:
        assert event.endswith(b"\n\n")
        assert event.count(b"\n\n") == 1
        fields = dict(line.split(": ", 1) for line in event.decode().splitlines() if line)
        value = fields["data"]
        parsed.append((fields.get("event", ""), value if value == "[DONE]" else json.loads(value)))
    return parsed


def test_chat_stream_in_full() -> None:
    usage = {"total_tokens": 3}
    chunks = _events(chat_stream(["é", "b"], id="c-1", model="m", usage=usage, reasoning=["hm"]))
    assert chunks.pop() == ("", "[DONE]")
    values = [json.loads(json.dumps(value)) for _, value in chunks]
    assert {(value["id"], value["model"]) for value in values} == {("c-1", "m")}
    assert [value["usage"] for value in values] == [None] * 5 + [usage]
    choices = [choice for value in values for choice in value["choices"]]
    assert [choice["delta"] for choice in choices] == [
        {"role": "assistant", "content": ""},
        {"reasoning_content": "hm"},
        {"content": "é"},
        {"content": "b"},
        {},
    ]
    assert [choice["finish_reason"] for choice in choices] == [None] * 4 + ["stop"]


def test_a_chat_stream_without_its_end() -> None:
    assert chat_stream(["a"], finish=None, done=False) == chat_stream(["a"])[:2]


def test_chat_tool_stream_sends_a_header_then_fragments() -> None:
    values = [json.loads(event[6:]) for event in chat_tool_stream("f", ['{"a"', ":1}"])[:-1]]
    calls = [call for value in values for call in value["choices"][0]["delta"].get("tool_calls", ())]
    header = {"index": 0, "id": "call_1", "type": "function", "function": {"name": "f", "arguments": ""}}
    assert calls[0] == header
    assert "".join(call["function"]["arguments"] for call in calls) == '{"a":1}'
    assert values[-1]["choices"][0]["finish_reason"] == "tool_calls"


def test_messages_stream_in_full() -> None:
    events = _events(
        messages_stream(["a"], tools=[Tool("f", ["{", "}"])], reasoning=["hm"], finish="tool_use")
    )
    values = [json.loads(json.dumps(value)) for _, value in events]
    assert [name for name, _ in events] == [value["type"] for value in values]
    starts = [v["content_block"]["type"] for v in values if v["type"] == "content_block_start"]
    assert starts == ["thinking", "text", "tool_use"]
    deltas = [(v["index"], v["delta"]["type"]) for v in values if v["type"] == "content_block_delta"]
    thinking = [(0, "thinking_delta"), (0, "signature_delta")]
    assert deltas == [*thinking, (1, "text_delta"), *[(2, "input_json_delta")] * 3]
    assert [v["type"] for v in values[-2:]] == ["message_delta", "message_stop"]
    assert values[-2]["delta"] == {"stop_reason": "tool_use", "stop_sequence": None}


def test_messages_tool_stream_opens_with_an_empty_fragment() -> None:
    values = [json.loads(event.partition(b"data: ")[2]) for event in messages_tool_stream("f", ["{}"])]
    assert [v["delta"]["partial_json"] for v in values if v["type"] == "content_block_delta"] == ["", "{}"]


def test_a_messages_stream_without_its_end() -> None:
    assert messages_stream(["a"], finish=None, done=False) == messages_stream(["a"])[:-2]


def test_whole_answers_carry_their_text() -> None:
    [chat], [message] = chat_answer("hi", model="m"), messages_answer("hi", id="msg_9")
    assert json.loads(chat)["choices"][0]["message"]["content"] == "hi"
    assert json.loads(message)["content"] == [{"type": "text", "text": "hi"}]
    assert (json.loads(chat)["model"], json.loads(message)["id"]) == ("m", "msg_9")


def _error_of(answer: Reply) -> dict[str, object]:
    [step] = answer.steps
    assert isinstance(step, Send)
    error: dict[str, object] = json.loads(step.data)["error"]
    return error


def test_errors_have_their_providers_form() -> None:
    chat = chat_error(429, "insufficient_quota", "no", headers=(("retry-after", "3"),))
    assert (chat.status, chat.headers[-1]) == (429, ("retry-after", "3"))
    full = {"message": "no", "type": "insufficient_quota", "param": None, "code": "insufficient_quota"}
    assert _error_of(chat) == full
    assert (
        chat_error_event("insufficient_quota", "no")
        == b'data: {"error":' + json.dumps(full, separators=(",", ":")).encode() + b"}\n\n"
    )
    fault = {"type": "overloaded_error", "message": "Overloaded"}
    assert _error_of(messages_error(529, "overloaded_error", "Overloaded")) == fault
    event = messages_error_event("overloaded_error", "Overloaded")
    assert _events([event]) == [("error", {"type": "error", "error": fault})]


@pytest.fixture
def grammar() -> ModuleType:
    recorded = os.environ.get("ROTATOR_RECORDED")
    if not recorded:
        pytest.skip("ROTATOR_RECORDED is not set: the reference grammar lies beside the recorded streams")
    spec = util.spec_from_file_location("grammar", Path(recorded).parent / "grammar.py")
    assert spec is not None
    assert spec.loader is not None
    module = util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def test_streams_pass_the_reference_grammar(grammar: ModuleType) -> None:
    tools = [Tool("f"), Tool("g", ['{"a"', ":1}"])]
    for stream in (chat_stream(["a"]), chat_stream(["a"], tools=tools, finish="tool_calls")):
        verdict = grammar.chat(b"".join(stream))
        assert (verdict["terminal"], verdict["violations"]) == (True, [])
    for stream in (messages_stream(["a"]), messages_stream(["a"], tools=tools, finish="tool_use")):
        verdict = grammar.anthropic(b"".join(stream))
        assert (verdict["terminal"], verdict["violations"]) == (True, [])

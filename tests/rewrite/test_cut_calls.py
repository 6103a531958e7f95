"""An answer that its provider calls done, with half of a tool call in it: "length" at once, without it."""

import json
from dataclasses import replace

import pytest

from protocols.anthropic_messages import PROTOCOL as MESSAGES
from protocols.model.call import Reply
from protocols.model.parts import FinishReason
from protocols.model.wirejson import dump
from protocols.openai_chat import PROTOCOL as CHAT
from protocols.openai_responses import PROTOCOL as RESPONSES
from rewrite.targets.streaming_mode import OtherMode
from tests.contract import JSON, SSE, parts, progress, samples
from tests.rewrite.across import Gist, answered, gist
from tests.rewrite.asks import ROLES
from tests.rewrite.replay import ONCE, holding, replay
from tests.rewrite.scenes import call, own
from tests.rewrite.test_tool_arguments import chunk, heard, tool

EVERYONE = (*ROLES, "ollama_chat")
HALF = '{"city":"Par'
LENGTH = FinishReason.LENGTH
(LLAMA_CPP,) = samples("llama_cpp_cut.sse")
"""Recorded: it ended at `max_output_tokens`, and everything in it is said to be completed."""


def chat(finish: str, **fields: object) -> bytes:
    message = {"role": "assistant", "content": "Hi", "tool_calls": [tool(HALF)]}
    return dump({"id": "x", "choices": [{"index": 0, "message": message, "finish_reason": finish, **fields}]})


def response(status: str = "completed") -> bytes:
    text = {"type": "message", "id": "m", "content": [{"type": "output_text", "text": "Hi"}]}
    half = {"type": "function_call", "id": "fc", "call_id": "c", "name": "f", "arguments": HALF}
    return dump({"id": "r", "object": "response", "status": status, "output": [text, half]})


WHOLE = [
    *(("openai_chat", chat(finish)) for finish in ("tool_calls", "stop", "eos_token", "")),
    ("openai_chat", chat("tool_calls", native_finish_reason="MAX_TOKENS")),
    ("openai_responses", response()),
]


@pytest.mark.parametrize("client", EVERYONE)
@pytest.mark.parametrize(("upstream", "data"), WHOLE)
def test_a_whole_answer(client: str, upstream: str, data: bytes) -> None:
    if client == upstream:
        return  # it passes as it is
    got = answered(client, upstream, data, JSON, stream=False)
    assert (got.summary.end, got.attempts, got.head.status) == ("completed", 1, 200)
    assert heard(client, got.body, stream=False) == Gist("Hi", [], LENGTH, error=False)


@pytest.mark.parametrize("client", [name for name in EVERYONE if name != "openai_responses"])
@pytest.mark.parametrize("stream", [True, False])
def test_a_response_that_is_completed_by_its_name(client: str, stream: bool) -> None:
    got = answered(client, "openai_responses", LLAMA_CPP.data, SSE, stream=stream)
    assert (got.summary.end, got.attempts) == ("completed", 1)
    found = heard(client, got.body, stream=stream)
    assert (found.text, found.finish, found.error) == ("Let me check.", LENGTH, False)
    assert stream or not found.tools


def test_a_held_response_is_incomplete() -> None:
    """In the name of its last event too, which clients know it by."""
    got = replay(RESPONSES, [LLAMA_CPP.data], terms=holding(RESPONSES))
    assert (got.summary.end, b"fc_1" in got.body) == ("completed", False)
    last = got.body.strip().rpartition(b"\n\n")[2]
    assert last.startswith(b"event: response.incomplete\n")
    said = json.loads(last.partition(b"data: ")[2])["response"]
    assert (said["status"], said["incomplete_details"]) == ("incomplete", {"reason": "max_output_tokens"})
    assert [item["type"] for item in said["output"]] == ["message"]


NATIVE = chunk({"content": "Hi"}) + chunk({"tool_calls": [tool(HALF)]})


def natively(finish: str, native: str) -> bytes:
    choice = {"index": 0, "delta": {}, "finish_reason": finish, "native_finish_reason": native}
    return NATIVE + b"data: " + dump({"id": "x", "choices": [choice]}) + b"\n\ndata: [DONE]\n\n"


@pytest.mark.parametrize("native", ["length", "max_tokens", "MAX_TOKENS", "max_output_tokens"])
def test_a_held_call_that_ends_for_want_of_room_beside_another_word(native: str) -> None:
    """OpenRouter's."""
    got = replay(CHAT, [natively("tool_calls", native)], terms=holding(CHAT))
    found = progress(parts(CHAT, SSE, [got.body]))
    assert [block.kind.value for block in found.blocks.values()] == ["text"]
    assert found.finished[0].native == "length"
    assert got.body.endswith(b"data: [DONE]\n\n")


@pytest.mark.parametrize(("finish", "native"), [("tool_calls", "max_tokens"), ("tool_calls", "tool_calls")])
def test_a_stream_that_is_put_together(finish: str, native: str) -> None:
    asked = call(CHAT, stream=False)
    target = own(
        CHAT.editor.with_stream(asked, True), CHAT, other_mode=OtherMode(asked, CHAT, Reply("r", "m", 0))
    )
    got = replay(CHAT, [natively(finish, native)], terms=replace(target, terms=ONCE), call=asked)
    (choice,) = json.loads(got.body)["choices"]
    assert (choice["finish_reason"], choice["message"].get("tool_calls")) == ("length", None)


def test_a_response_that_is_put_together() -> None:
    asked = call(RESPONSES, stream=False)
    target = own(
        RESPONSES.editor.with_stream(asked, True),
        RESPONSES,
        other_mode=OtherMode(asked, RESPONSES, Reply("r", "m", 0)),
    )
    got = replay(RESPONSES, [LLAMA_CPP.data], terms=replace(target, terms=ONCE), call=asked)
    body = json.loads(got.body)
    assert (body["status"], [item["type"] for item in body["output"]]) == ("incomplete", ["message"])


@pytest.mark.parametrize("client", ["gemini_generate", "ollama_chat"])
def test_nothing_but_half_a_call_for_a_client_of_whole_ones(client: str) -> None:
    data = chunk({"tool_calls": [tool(HALF)]}) + chunk({}, "tool_calls") + b"data: [DONE]\n\n"
    got = answered(client, "openai_chat", data, SSE)
    assert (got.summary.end, got.attempts) == ("completed", 1)
    assert heard(client, got.body, stream=True) == Gist("", [], LENGTH, error=False)


def test_a_tool_s_block_may_begin_without_an_input() -> None:
    """Recorded of llama.cpp's Messages."""
    events: list[dict[str, object]] = [
        {"type": "message_start", "message": {"id": "m", "role": "assistant", "content": [], "usage": {}}},
        {"type": "content_block_start", "index": 0, "content_block": {"type": "text", "text": ""}},
        {"type": "content_block_delta", "index": 0, "delta": {"type": "text_delta", "text": "Hi"}},
        {
            "type": "content_block_start",
            "index": 1,
            "content_block": {"type": "tool_use", "id": "t", "name": "f"},
        },
        {
            "type": "content_block_delta",
            "index": 1,
            "delta": {"type": "input_json_delta", "partial_json": HALF},
        },
        {"type": "content_block_stop", "index": 0},
        {"type": "content_block_stop", "index": 1},
        {"type": "message_delta", "delta": {"stop_reason": "max_tokens"}, "usage": {"output_tokens": 5}},
        {"type": "message_stop"},
    ]
    fold = MESSAGES.editor.fold()
    for each in events:
        fold.feed(each)
    whole = fold.whole(done=True)
    assert whole is not None
    assert whole["stop_reason"] == "max_tokens"
    assert gist(progress(parts(MESSAGES, JSON, [dump(whole)]))).text == "Hi"

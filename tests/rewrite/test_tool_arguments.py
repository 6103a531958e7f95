"""Arguments that are no object, from the provider to each client: never bought twice, never run as `{}`."""

import json
from collections.abc import Mapping
from dataclasses import replace

import pytest

from protocols.model.call import Reply
from protocols.model.parts import FinishReason
from protocols.model.wirejson import dump
from protocols.openai_chat import PROTOCOL as CHAT
from protocols.openai_responses import PROTOCOL as RESPONSES
from rewrite.targets.streaming_mode import OtherMode
from tests.contract import JSON, SSE
from tests.rewrite.across import Gist, answered, gist, read
from tests.rewrite.asks import ROLES
from tests.rewrite.replay import ONCE, holding, replay
from tests.rewrite.scenes import call, own

CLIENTS = [role for role in (*ROLES, "ollama_chat") if role != "openai_chat"]
EXPECTED: Mapping[str, tuple[object, object]] = {
    "object": ({"a": 1}, {"a": 1}),
    "empty object": ({}, {}),
    "null": (None, {}),
    "null text": ("null", {}),
    "empty text": ("", {}),
    "empty list": ("[]", {}),
    "list": ("[1]", {"value": [1]}),
    "scalar": ("5", {"value": 5}),
}
each = pytest.mark.parametrize(("said", "expected"), EXPECTED.values(), ids=EXPECTED)
CALLED = FinishReason.TOOL_CALLS


def tool(said: object) -> dict[str, object]:
    return {"index": 0, "id": "c1", "type": "function", "function": {"name": "f", "arguments": said}}


def chunk(delta: Mapping[str, object], finish: str | None = None) -> bytes:
    choice = {"index": 0, "delta": delta, "finish_reason": finish}
    return b"data: " + dump({"id": "x", "model": "m", "choices": [choice]}) + b"\n\n"


def streamed(said: object) -> bytes:
    return chunk({"tool_calls": [tool(said)]}) + chunk({}, "tool_calls") + b"data: [DONE]\n\n"


def whole(said: object) -> bytes:
    message = {"role": "assistant", "content": None, "tool_calls": [tool(said)]}
    return dump({"id": "x", "choices": [{"index": 0, "message": message, "finish_reason": "tool_calls"}]})


def heard(client: str, body: bytes, *, stream: bool) -> Gist:
    head = replace(SSE, headers=(("content-type", "application/x-ndjson"),)) if "ollama" in client else SSE
    return gist(read(client, body, head if stream else JSON, stream=stream))


@each
@pytest.mark.parametrize("client", CLIENTS)
@pytest.mark.parametrize("stream", [True, False])
def test_another_protocol_is_given_an_object(
    client: str, said: object, expected: object, stream: bool
) -> None:
    data, head = (streamed(said), SSE) if stream else (whole(said), JSON)
    got = answered(client, "openai_chat", data, head, stream=stream)
    assert (got.summary.end, got.attempts) == ("completed", 1)
    found = heard(client, got.body, stream=stream)
    assert (found.tools, found.finish) == ([("f", expected)], CALLED)


@each
def test_within_the_protocol_it_passes_as_it_is(said: object, expected: object) -> None:
    """Held calls too."""
    data = streamed(said)
    for terms in (ONCE, holding(CHAT)):
        got = replay(CHAT, [data], terms=terms)
        assert (got.body, got.summary.end) == (data, "completed")


@each
def test_a_stream_that_is_put_together_has_texts(said: object, expected: object) -> None:
    """An object is serialised and nothing is an empty one; a list stays, for its own protocol."""
    asked = call(CHAT, stream=False)
    target = own(
        CHAT.editor.with_stream(asked, True), CHAT, other_mode=OtherMode(asked, CHAT, Reply("r", "m", 0))
    )
    got = replay(CHAT, [streamed(said)], terms=replace(target, terms=ONCE), call=asked)
    (found,) = json.loads(got.body)["choices"][0]["message"]["tool_calls"]
    stays = json.loads(said) if said in ("[]", "[1]", "5") and isinstance(said, str) else expected
    assert json.loads(found["function"]["arguments"]) == stays


def test_an_object_in_a_response_is_serialised_when_it_is_put_together() -> None:
    item = {"type": "function_call", "id": "fc", "call_id": "c1", "name": "f", "arguments": {"a": 1}}
    response = {"id": "r", "object": "response", "status": "completed", "output": [item]}
    fold = RESPONSES.editor.fold()
    fold.feed({"type": "response.created", "response": {**response, "output": []}})
    fold.feed({"type": "response.completed", "response": response})
    (found,) = fold.whole(done=True)["output"]  # type: ignore[index,misc]
    assert found["arguments"] == '{"a":1}'

"""What one request loses on the way to the provider, and on the way from a client of it."""

from dataclasses import replace

import pytest

from protocols.model.parts import Signature
from protocols.model.prompt import (
    Effort,
    Prompt,
    Text,
    Thinking,
    Thought,
    ToolCall,
    ToolChoice,
    ToolMode,
    ToolResult,
)
from protocols.model.wirejson import JsonObject
from protocols.openai_responses import PROTOCOL
from protocols.openai_responses.losses import HAPPENS, UNREAD
from tests.protocols.lossy import CALL, HI, IMAGE, PLAIN, F, answered, losses, not_read, resulting, said

LOST: list[tuple[str, Prompt]] = [
    ("tool arguments", answered(ToolCall("b", "f", '{"half'))),
    ("tool arguments", answered(ToolCall("b", "f", "[1]"))),
    ("cache breakpoints", said(Text("Hi", cache=True))),
    ("cache breakpoints", replace(PLAIN, tools=(replace(F, cache=True),))),
    ("max_output", replace(PLAIN, max_output=15)),
    ("assistant media", answered(HI, IMAGE)),
    ("tool errors", resulting(ToolResult("a", (HI,), error=True))),
    ("reasoning", answered(Thought("Hm", Signature("signature", "c2ln")), CALL)),
    ("reasoning", answered(Thought("Hm"), CALL)),
]
KEPT: list[Prompt] = [
    said(HI, Text("there"), replace(IMAGE, detail="high")),
    resulting(ToolResult("a", (HI, IMAGE))),
    answered(Thought("Hm", Signature("encrypted", '{"id":"rs_1","encrypted_content":"x"}')), CALL),
    replace(PLAIN, max_output=16),
    replace(PLAIN, max_output=None),
    replace(PLAIN, thinking=Thinking(Effort.MAX), tool_choice=ToolChoice(ToolMode.AUTO, ("f",))),
]


@pytest.mark.parametrize(("topic", "prompt"), LOST)
def test_what_a_request_loses_is_reported(topic: str, prompt: Prompt) -> None:
    assert losses(PROTOCOL, prompt) == [topic]


@pytest.mark.parametrize("prompt", KEPT)
def test_what_it_does_not_lose_is_not(prompt: Prompt) -> None:
    assert losses(PROTOCOL, prompt) == []


FUNCTION = {"type": "function", "name": "f"}
SPACE = {"type": "namespace", "name": "n", "tools": [FUNCTION]}
DESCRIBED = {**SPACE, "description": "Files."}
USER = {"role": "user", "content": "Hi"}


def answer(*annotations: JsonObject) -> JsonObject:
    said = {"type": "output_text", "text": "Hello", "annotations": list(annotations)}
    return {"type": "message", "role": "assistant", "content": [said]}


@pytest.mark.parametrize(
    ("body", "lost"),
    [
        ({"input": "Hi", "tools": [SPACE]}, []),
        ({"input": "Hi", "tools": [DESCRIBED]}, ["namespaces"]),
        ({"input": [USER, {"type": "additional_tools", "tools": [DESCRIBED]}]}, ["namespaces"]),
        ({"input": [USER, {"type": "web_search_call", "id": "ws_1"}]}, ["hosted items"]),
        ({"input": [USER, answer(), USER]}, []),
        ({"input": [USER, answer({"type": "file_citation"}), USER]}, ["history"]),
    ],
)
def test_what_a_client_says_in_vain_is_reported(body: dict[str, object], lost: list[str]) -> None:
    assert not_read(PROTOCOL, {"model": "m", **body}, "/v1/responses") == lost


def test_every_topic_is_tried() -> None:
    assert {topic for topic, _ in LOST} == HAPPENS.keys()
    assert {"namespaces", "hosted items", "history"} == UNREAD.keys()

"""What one request loses on the way to the provider."""

from dataclasses import replace

import pytest

from protocols.model.parts import Signature
from protocols.model.prompt import (
    Effort,
    Prompt,
    Refusal,
    ResponseFormat,
    Text,
    Thinking,
    Thought,
    ToolCall,
    ToolChoice,
    ToolMode,
    ToolResult,
)
from protocols.ollama_chat import PROTOCOL
from protocols.ollama_chat.losses import HAPPENS
from tests.protocols.lossy import (
    CALL,
    HI,
    IMAGE,
    PLAIN,
    SCHEMA,
    TARGET,
    F,
    answered,
    losses,
    resulting,
    said,
)

LOST: list[tuple[str, Prompt]] = [
    ("tool arguments", answered(ToolCall("b", "f", '{"half'))),
    ("tool arguments", answered(ToolCall("b", "f", "[1]"))),
    ("texts", said(HI, Text("there"))),
    ("texts", said(IMAGE, HI)),
    ("texts", replace(PLAIN, system=(HI, HI))),
    ("texts", resulting(ToolResult("a", (HI, HI)))),
    ("cache breakpoints", said(Text("Hi", cache=True))),
    ("tool choice", replace(PLAIN, tool_choice=ToolChoice(ToolMode.NONE))),
    ("tool choice", replace(PLAIN, tool_choice=ToolChoice(ToolMode.AUTO, ("f",)))),
    ("tool choice", replace(PLAIN, tool_choice=ToolChoice(ToolMode.REQUIRED))),
    ("schemas", replace(PLAIN, tools=(replace(F, strict=True),))),
    ("schemas", replace(PLAIN, response_format=ResponseFormat(SCHEMA, "named"))),
    ("images", said(HI, replace(IMAGE, detail="high"))),
    ("images", said(HI, replace(IMAGE, name="cat.jpg"))),
    ("failed tools", resulting(ToolResult("a", (HI,), error=True))),
    ("media in tool results", resulting(ToolResult("a", (HI, IMAGE)))),
    ("reasoning", answered(Thought("Hm", Signature("signature", "c2ln")), HI)),
    ("thinking", replace(PLAIN, thinking=Thinking(Effort.MINIMAL))),
    ("thinking", replace(PLAIN, thinking=Thinking(Effort.MAX))),
    ("refusals", answered(Refusal("No."))),
    ("max_output", replace(PLAIN, max_output=101)),
]
KEPT: list[Prompt] = [
    said(HI, IMAGE, IMAGE),
    answered(Thought("Hm", Signature("plain", "")), CALL),
    replace(PLAIN, tool_choice=ToolChoice(ToolMode.AUTO)),
    replace(PLAIN, tools=(), tool_choice=ToolChoice(ToolMode.NONE)),
    replace(PLAIN, response_format=ResponseFormat(SCHEMA)),
    replace(PLAIN, thinking=Thinking(Effort.LOW)),
    replace(PLAIN, thinking=Thinking(Effort.NONE)),
    replace(PLAIN, thinking=Thinking(budget=-1)),
]
SMALL = replace(TARGET, max_output=100)


@pytest.mark.parametrize(("topic", "prompt"), LOST)
def test_what_a_request_loses_is_reported(topic: str, prompt: Prompt) -> None:
    assert losses(PROTOCOL, prompt, SMALL) == [topic]


@pytest.mark.parametrize("prompt", KEPT)
def test_what_it_does_not_lose_is_not(prompt: Prompt) -> None:
    assert losses(PROTOCOL, prompt, SMALL) == []


@pytest.mark.parametrize(
    ("thinking", "lost"), [(Thinking(Effort.LOW), ["thinking"]), (Thinking(budget=-1), [])]
)
def test_a_level_is_lost_on_a_model_without_levels(thinking: Thinking, lost: list[str]) -> None:
    assert losses(PROTOCOL, replace(PLAIN, thinking=thinking), replace(TARGET, thinking="")) == lost


def test_every_topic_is_tried() -> None:
    assert {topic for topic, _ in LOST} == HAPPENS.keys()

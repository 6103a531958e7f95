"""What one request loses on the way to the provider, and on the way from a client of it."""

from dataclasses import replace
from typing import Any

import pytest

from protocols.anthropic_messages import PROTOCOL
from protocols.anthropic_messages.losses import HAPPENS, UNREAD
from protocols.model.parts import Signature
from protocols.model.prompt import (
    Effort,
    Message,
    Prompt,
    Refusal,
    ResponseFormat,
    Role,
    Text,
    Thinking,
    Thought,
    ToolCall,
    ToolChoice,
    ToolMode,
    ToolResult,
)
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
    not_read,
    resulting,
    said,
)

OPEN_SCHEMA = {"type": "object", "properties": {}}
LOST: list[tuple[str, Prompt]] = [
    ("system messages", said(Text("Now sing."), role=Role.SYSTEM)),
    ("first message", replace(PLAIN, messages=(Message(Role.ASSISTANT, (HI,)), *PLAIN.messages))),
    ("blank texts", said(HI, Text(" "))),
    ("blank texts", replace(PLAIN, system=(Text("\n"), HI))),
    ("blank texts", resulting(ToolResult("a", (HI, Text(" "))))),
    ("blank texts", said(Text("To be continued "), role=Role.ASSISTANT)),
    ("stop sequences", replace(PLAIN, stop=("\n", "END"))),
    ("thoughts", answered(Thought("Hm", Signature("details", "[]")), HI)),
    ("thinking effort", replace(PLAIN, thinking=Thinking(Effort.MINIMAL))),
    ("service tier", replace(PLAIN, service_tier="flex")),
    ("service tier", replace(PLAIN, service_tier="priority")),
    ("tool arguments", answered(ToolCall("b", "f", '{"half'))),
    ("tool call ids", answered(ToolCall("b.c", "f", "{}"))),
    ("tool call ids", resulting(ToolResult("a.b", (HI,)))),
    ("allowed tools", replace(PLAIN, tool_choice=ToolChoice(ToolMode.AUTO, ("f",)))),
    ("response format", replace(PLAIN, response_format=ResponseFormat())),
    ("response format", replace(PLAIN, response_format=ResponseFormat(OPEN_SCHEMA))),
    ("response format", replace(PLAIN, response_format=ResponseFormat(SCHEMA, "named"))),
    ("response format", replace(PLAIN, response_format=ResponseFormat(SCHEMA, strict=True))),
    ("images", said(HI, replace(IMAGE, detail="high"))),
    ("images", said(HI, replace(IMAGE, name="cat.jpg"))),
    ("images", answered(HI, IMAGE)),
    ("refusals", answered(Refusal("No."))),
]
KEPT: list[Prompt] = [
    said(Text("")),
    resulting(ToolResult("a", (Text(" "),))),
    resulting(ToolResult("a", (HI, IMAGE), error=True)),
    answered(Thought("Hm", Signature("signature", "c2ln")), CALL),
    answered(ToolCall("b", "f", "")),
    said(Text("Hi", cache=True)),
    replace(PLAIN, tools=(replace(F, cache=True),)),
    replace(PLAIN, thinking=Thinking(Effort.LOW)),
    replace(PLAIN, thinking=Thinking(Effort.NONE)),
    replace(PLAIN, stop=("END",), service_tier="default"),
    replace(PLAIN, response_format=ResponseFormat(SCHEMA)),
    replace(PLAIN, tool_choice=ToolChoice(ToolMode.REQUIRED, ("f",))),
    replace(PLAIN, tool_choice=ToolChoice(ToolMode.NONE)),
]


@pytest.mark.parametrize(("topic", "prompt"), LOST)
def test_what_a_request_loses_is_reported(topic: str, prompt: Prompt) -> None:
    assert losses(PROTOCOL, prompt) == [topic]


@pytest.mark.parametrize("prompt", KEPT)
def test_what_it_does_not_lose_is_not(prompt: Prompt) -> None:
    assert losses(PROTOCOL, prompt) == []


@pytest.mark.parametrize(
    ("thinking", "room", "lost"),
    [
        (Thinking(budget=2_000), 9_000, []),
        (Thinking(Effort.LOW), 9_000, []),
        (Thinking(budget=100), 9_000, ["thinking budget"]),
        (Thinking(budget=8_000), 4_000, ["thinking budget"]),
        (Thinking(budget=-1), 9_000, ["thinking budget"]),
        (Thinking(budget=2_000), 1_000, ["thinking"]),
    ],
)
def test_another_budget_is_reported(thinking: Thinking, room: int, lost: list[str]) -> None:
    prompt = replace(PLAIN, thinking=thinking, max_output=room)
    asked = replace(prompt, messages=PLAIN.messages[:1])
    assert losses(PROTOCOL, asked, replace(TARGET, thinking="budget")) == lost


def test_thinking_that_gives_way_to_a_forced_tool_is_reported() -> None:
    forced = replace(PLAIN, thinking=Thinking(Effort.LOW), tool_choice=ToolChoice(ToolMode.REQUIRED))
    assert losses(PROTOCOL, forced) == ["thinking"]


MARK: dict[str, Any] = {"cache_control": {"type": "ephemeral"}}
HOUR: dict[str, Any] = {"cache_control": {"type": "ephemeral", "ttl": "1h"}}
TEXT, PICTURE = (
    {"type": "text", "text": "Hi"},
    {"type": "image", "source": {"type": "url", "url": "https://a/b"}},
)
SEARCHED = {"type": "server_tool_use", "id": "s", "name": "web_search", "input": {}}


@pytest.mark.parametrize(
    ("block", "lost"),
    [
        (TEXT, []),
        ({**TEXT, **MARK}, []),
        ({**TEXT, **HOUR}, ["cache breakpoints"]),
        ({**PICTURE, **MARK}, ["cache breakpoints"]),
        ({**TEXT, "citations": [{"type": "char_location"}]}, ["history"]),
        (SEARCHED, ["history"]),
        ({"type": "tool_result", "tool_use_id": "t", "content": [TEXT], **MARK}, []),
        (
            {"type": "tool_result", "tool_use_id": "t", "content": [{**PICTURE, **MARK}]},
            ["cache breakpoints"],
        ),
    ],
)
def test_what_a_client_says_in_vain_is_reported(block: dict[str, Any], lost: list[str]) -> None:
    body = {"model": "m", "max_tokens": 9, "messages": [{"role": "user", "content": [TEXT, block]}]}
    assert not_read(PROTOCOL, body, "/v1/messages") == lost


def test_every_topic_is_tried() -> None:
    assert {topic for topic, _ in LOST} | {"thinking budget"} == HAPPENS.keys()
    assert {"cache breakpoints", "history"} == UNREAD.keys()

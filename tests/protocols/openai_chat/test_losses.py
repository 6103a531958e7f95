"""What one request loses on the way to the provider, and on the way from a client of it."""

from dataclasses import replace

import pytest

from protocols.model.parts import Signature
from protocols.model.prompt import (
    Effort,
    Prompt,
    Role,
    Text,
    Thinking,
    Thought,
    ToolCall,
    ToolChoice,
    ToolMode,
    ToolResult,
)
from protocols.openai_chat import PROTOCOL
from protocols.openai_chat.losses import HAPPENS, UNREAD
from tests.protocols.lossy import (
    CALL,
    HI,
    IMAGE,
    PLAIN,
    TARGET,
    F,
    answered,
    losses,
    not_read,
    resulting,
    said,
)

LOST: list[tuple[str, Prompt]] = [
    ("tool arguments", answered(ToolCall("b", "f", '{"half'))),
    ("tool arguments", answered(ToolCall("b", "f", "[1]"))),
    ("texts", said(HI, Text("there"))),
    ("texts", replace(PLAIN, system=(HI, HI))),
    ("texts", resulting(ToolResult("a", (HI, HI)))),
    ("cache breakpoints", said(Text("Hi", cache=True))),
    ("cache breakpoints", replace(PLAIN, system=(Text("Hi", cache=True),))),
    ("cache breakpoints", resulting(ToolResult("a", (Text("Hi", cache=True),)))),
    ("cache breakpoints", replace(PLAIN, tools=(replace(F, cache=True),))),
    ("failed tools", resulting(ToolResult("a", (HI,), error=True))),
    ("media in tool results", resulting(ToolResult("a", (HI, IMAGE)))),
    ("pictures of the model", answered(HI, IMAGE)),
    ("reasoning", answered(Thought("Hm"), CALL)),
    ("reasoning", answered(Thought("Hm", Signature("encrypted", "{}")), CALL)),
    ("reasoning", answered(Thought("Hm", Signature("signature", "c2ln")), CALL)),
    ("highest effort", replace(PLAIN, thinking=Thinking(Effort.MAX))),
    ("max_output", replace(PLAIN, max_output=101)),
    ("service tier", replace(PLAIN, service_tier="of another world")),
    ("tool choice", replace(PLAIN, tool_choice=ToolChoice(ToolMode.AUTO, ("f",)))),
]
KEPT: list[Prompt] = [
    said(HI, IMAGE, Text("there")),
    said(Text("Now sing."), role=Role.SYSTEM),
    answered(Thought("Hm", Signature("plain", "")), CALL),
    answered(Thought("", Signature("signature", "c2ln")), CALL),
    replace(PLAIN, thinking=Thinking(Effort.XHIGH)),
    replace(PLAIN, thinking=Thinking(Effort.NONE)),
    replace(PLAIN, service_tier="flex", max_output=99),
    replace(PLAIN, tool_choice=ToolChoice(ToolMode.REQUIRED, ("f",))),
]
SMALL = replace(TARGET, max_output=100)


@pytest.mark.parametrize(("topic", "prompt"), LOST)
def test_what_a_request_loses_is_reported(topic: str, prompt: Prompt) -> None:
    assert losses(PROTOCOL, prompt, SMALL) == [topic]


@pytest.mark.parametrize("prompt", KEPT)
def test_what_it_does_not_lose_is_not(prompt: Prompt) -> None:
    assert losses(PROTOCOL, prompt, SMALL) == []


@pytest.mark.parametrize(
    ("thinking", "way", "lost"),
    [
        (Thinking(Effort.NONE), "", ["thinking off"]),
        (Thinking(budget=0), "budget", ["thinking off"]),
        (Thinking(Effort.NONE), "none", []),
        (Thinking(Effort.LOW), "", []),
    ],
)
def test_that_thinking_is_not_turned_off_is_reported(thinking: Thinking, way: str, lost: list[str]) -> None:
    assert losses(PROTOCOL, replace(PLAIN, thinking=thinking), replace(TARGET, thinking=way)) == lost


@pytest.mark.parametrize(
    ("message", "lost"),
    [
        ({"role": "user", "content": "Hi"}, []),
        ({"role": "user", "content": "Hi", "name": "Ada"}, ["participants"]),
        ({"role": "developer", "content": "Hi"}, ["participants"]),
        ({"role": "tool", "content": "Hi", "name": "f", "tool_call_id": "t"}, []),
    ],
)
def test_what_a_client_says_in_vain_is_reported(message: dict[str, object], lost: list[str]) -> None:
    assert not_read(PROTOCOL, {"model": "m", "messages": [message]}, "/v1/chat/completions") == lost


def test_every_topic_is_tried() -> None:
    assert {topic for topic, _ in LOST} | {"thinking off"} == HAPPENS.keys()
    assert {"participants"} == UNREAD.keys()

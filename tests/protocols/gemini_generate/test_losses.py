"""What one request loses on the way to the provider, and on the way from a client of it."""

from dataclasses import replace

import pytest

from protocols.gemini_generate import PROTOCOL
from protocols.gemini_generate.losses import HAPPENS, UNREAD
from protocols.model.call import Destination
from protocols.model.parts import Signature
from protocols.model.prompt import (
    Effort,
    Media,
    MediaForm,
    MediaKind,
    Prompt,
    Refusal,
    ResponseFormat,
    Role,
    Text,
    Thinking,
    Thought,
    ToolCall,
    ToolResult,
)
from tests.protocols.gemini_generate.frames import INTERNAL, WHOLE
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

FILE = Media(MediaKind.FILE, MediaForm.DATA, "JVBERi", "application/pdf", name="a.pdf")
LOST: list[tuple[str, Prompt]] = [
    ("tool arguments", answered(ToolCall("b", "f", '{"half'))),
    ("tool arguments", answered(ToolCall("b", "f", "[1]"))),
    ("system messages", said(Text("Now sing."), role=Role.SYSTEM)),
    ("tool results", resulting(ToolResult("a", (HI, IMAGE)))),
    ("schemas", replace(PLAIN, tools=(replace(F, strict=True),))),
    ("schemas", replace(PLAIN, response_format=ResponseFormat(SCHEMA, "named"))),
    ("schemas", replace(PLAIN, response_format=ResponseFormat(SCHEMA, description="said"))),
    ("images", said(HI, replace(IMAGE, detail="low"))),
    ("images", said(HI, FILE)),
    ("cache breakpoints", said(Text("Hi", cache=True))),
    ("thinking", replace(PLAIN, thinking=Thinking(Effort.MAX))),
    ("thinking", replace(PLAIN, thinking=Thinking(Effort.NONE))),
    ("reasoning", answered(Thought("Hm", Signature("redacted", "x")), HI)),
    ("refusals", answered(Refusal("No."))),
]
KEPT: list[Prompt] = [
    said(HI, Text("there")),
    resulting(ToolResult("a", (HI,), error=True)),
    replace(PLAIN, tools=(replace(F, strict=False),), response_format=ResponseFormat(SCHEMA)),
    replace(PLAIN, response_format=ResponseFormat()),
    replace(PLAIN, thinking=Thinking(Effort.HIGH)),
    replace(PLAIN, thinking=Thinking(Effort.MINIMAL)),
    answered(Thought("Hm", Signature("signature", "c2ln")), CALL),
]


@pytest.mark.parametrize(("topic", "prompt"), LOST)
@pytest.mark.parametrize("path", ["", "/v1internal:{method}"])
def test_what_a_request_loses_is_reported(topic: str, prompt: Prompt, path: str) -> None:
    assert losses(PROTOCOL, prompt, replace(TARGET, path=path)) == [topic]


@pytest.mark.parametrize("prompt", KEPT)
def test_what_it_does_not_lose_is_not(prompt: Prompt) -> None:
    assert losses(PROTOCOL, prompt) == []


@pytest.mark.parametrize(
    ("budget", "lost"), [(2_000, []), (-1, []), (50, ["thinking budget"]), (65_536, ["thinking budget"])]
)
def test_another_budget_is_reported(budget: int, lost: list[str]) -> None:
    target = Destination("google", "gemini-2.5-pro", thinking="budget")
    assert losses(PROTOCOL, replace(PLAIN, thinking=Thinking(budget=budget)), target) == lost


ORDERED = {"type": "OBJECT", "properties": {"b": {}, "a": {}}, "propertyOrdering": ["b", "a"]}
USER = {"role": "user", "parts": [{"text": "Hi"}]}
VIDEO = {"fileData": {"fileUri": "https://a/b.mp4"}, "video_metadata": {"startOffset": "5s"}}


@pytest.mark.parametrize(
    ("body", "lost"),
    [
        ({"contents": [USER]}, []),
        ({"contents": [{"role": "user", "parts": [VIDEO]}]}, ["parts"]),
        (
            {"contents": [USER], "tools": [{"functionDeclarations": [{"name": "f", "parameters": ORDERED}]}]},
            ["order of properties"],
        ),
        ({"contents": [USER], "generationConfig": {"responseSchema": ORDERED}}, ["order of properties"]),
    ],
)
def test_what_a_client_says_in_vain_is_reported(body: dict[str, object], lost: list[str]) -> None:
    assert not_read(PROTOCOL, body, WHOLE) == lost
    assert not_read(PROTOCOL, {"model": "m", "request": body}, INTERNAL) == lost


def test_every_topic_is_tried() -> None:
    assert {topic for topic, _ in LOST} | {"thinking budget"} == HAPPENS.keys()
    assert {"order of properties", "parts"} == UNREAD.keys()

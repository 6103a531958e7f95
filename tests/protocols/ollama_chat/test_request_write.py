"""Prompts as requests of Ollama's chat."""

from dataclasses import fields, replace
from typing import Any

import pytest

from protocols.model.call import Call, Destination, Operation
from protocols.model.errors import Untranslatable
from protocols.model.parts import Signature
from protocols.model.prompt import (
    Content,
    Effort,
    Media,
    MediaForm,
    MediaKind,
    Message,
    Prompt,
    Refusal,
    ResponseFormat,
    Role,
    Text,
    Thinking,
    Thought,
    Tool,
    ToolCall,
    ToolChoice,
    ToolMode,
    ToolResult,
)
from protocols.ollama_chat import PROTOCOL

TARGET = Destination("local", "sample:8b", thinking="effort")
UNSEALED = Signature("plain", "")
SCHEMA = {"type": "object", "properties": {"a": {"type": "string"}}}
IMAGE = Media(MediaKind.IMAGE, MediaForm.DATA, "/9j/4AAQ", "image/jpeg")
F, G = Tool("f", "does", SCHEMA), Tool("g")

RICH = Prompt(
    model="sample:8b",
    system=(Text("Be brief."),),
    messages=(
        Message(Role.USER, (Text("Where?"), IMAGE)),
        Message(
            Role.ASSISTANT,
            (
                Thought("Hm.", UNSEALED),
                Text("I look."),
                ToolCall("a", "f", '{"a":[1,{"b":null}]}'),
                ToolCall("b", "f", "{}"),
            ),
        ),
        Message(Role.USER, (ToolResult("b", (Text("two"),), "f"),)),
        Message(Role.USER, (ToolResult("a", (Text("one"),), "f"),)),
        Message(Role.SYSTEM, (Text("Now sing."),)),
        Message(Role.USER, (Text("Go on."),)),
    ),
    tools=(F,),
    stream=True,
    max_output=5,
    temperature=0,
    top_p=0.5,
    top_k=40,
    frequency_penalty=1,
    presence_penalty=2,
    seed=7,
    stop=("x",),
    response_format=ResponseFormat(SCHEMA),
    thinking=Thinking(Effort.LOW, shown=True),
)


def render(prompt: Prompt, destination: Destination = TARGET) -> dict[str, Any]:
    return dict(PROTOCOL.translator.write_request(prompt, destination).body)


def messages(*said: Message) -> list[dict[str, Any]]:
    found: list[dict[str, Any]] = render(Prompt("m", said))["messages"]
    return found


def user(*content: Content) -> Message:
    return Message(Role.USER, content)


def assistant(*content: Content) -> Message:
    return Message(Role.ASSISTANT, content)


def test_what_is_rendered_is_asked_for_again() -> None:
    rendered = PROTOCOL.translator.write_request(RICH, TARGET)
    assert rendered.path == "/api/chat"
    again = PROTOCOL.translator.read_request(
        Call("id", PROTOCOL.name, Operation.GENERATE, "m", True, (), rendered.body)
    )
    assert again == RICH


def test_a_model_is_named_in_a_path_that_asks_for_it() -> None:
    assert (
        PROTOCOL.translator.write_request(RICH, replace(TARGET, path="/x/{model}/api/chat")).path
        == "/x/sample%3A8b/api/chat"
    )


def test_whether_it_is_streamed_is_always_said() -> None:
    assert render(Prompt("m")) == {"model": "sample:8b", "messages": [], "stream": False}
    assert render(Prompt("m", stream=True))["stream"] is True


def test_the_limit_is_never_above_what_the_model_can_give() -> None:
    assert render(Prompt("m", max_output=9), replace(TARGET, max_output=5))["options"] == {"num_predict": 5}
    assert render(Prompt("m", max_output=3), replace(TARGET, max_output=5))["options"] == {"num_predict": 3}


def test_json_of_any_form_is_a_word() -> None:
    assert render(Prompt("m", response_format=ResponseFormat()))["format"] == "json"
    assert render(Prompt("m", response_format=ResponseFormat(SCHEMA, "n", "d", True)))["format"] == SCHEMA


@pytest.mark.parametrize(
    ("thinking", "known", "think"),
    [
        (None, "effort", None),
        (Thinking(Effort.NONE), "effort", False),
        (Thinking(budget=0), "", False),
        (Thinking(Effort.NONE), "none", None),
        (Thinking(Effort.HIGH), "none", None),
        (Thinking(Effort.MINIMAL), "effort", "low"),
        (Thinking(Effort.MEDIUM), "effort", "medium"),
        (Thinking(Effort.MAX), "effort", "high"),
        (Thinking(budget=9000), "effort", "high"),
        (Thinking(budget=-1), "effort", True),
        (Thinking(Effort.HIGH), "", True),
        (Thinking(Effort.HIGH), "budget", True),
        (Thinking(shown=True), "effort", None),
    ],
)
def test_thinking_is_rendered_as_the_model_knows_it(
    thinking: Thinking | None, known: str, think: object
) -> None:
    assert render(Prompt("m", thinking=thinking), replace(TARGET, thinking=known)).get("think") == think


@pytest.mark.parametrize(
    ("choice", "names"),
    [
        (None, ["f", "g"]),
        (ToolChoice(ToolMode.AUTO), ["f", "g"]),
        (ToolChoice(ToolMode.NONE), []),
        (ToolChoice(ToolMode.REQUIRED, ("g",)), ["g"]),
        (ToolChoice(ToolMode.AUTO, ("f",)), ["f"]),
    ],
)
def test_a_choice_among_tools_is_what_is_offered(choice: ToolChoice | None, names: list[str]) -> None:
    offered = render(Prompt("m", tools=(F, G), tool_choice=choice)).get("tools", [])
    assert [tool["function"]["name"] for tool in offered] == names


def test_a_tool_without_parameters_takes_any_object() -> None:
    (tool,) = render(Prompt("m", tools=(G,)))["tools"]
    assert tool == {
        "type": "function",
        "function": {"name": "g", "parameters": {"type": "object", "properties": {}}},
    }


# -- messages -------------------------------------------------------------------------------------------


def test_system_texts_are_one_message_in_front() -> None:
    assert render(Prompt("m", system=(Text("a"), Text("b"))))["messages"] == [
        {"role": "system", "content": "a\n\nb"}
    ]


def test_results_come_first_then_their_media_then_the_rest() -> None:
    said = messages(
        assistant(ToolCall("a", "f", "")),
        user(Text("And?"), ToolResult("a", (Text("one"), IMAGE))),
        user(ToolResult("b", (IMAGE,), "g")),
    )
    assert said[0]["tool_calls"] == [{"id": "a", "function": {"name": "f", "arguments": {}}}]
    assert said[1:] == [
        {"role": "tool", "content": "one", "tool_name": "f", "tool_call_id": "a"},
        {
            "role": "tool",
            "content": "See the next message of the user.",
            "tool_name": "g",
            "tool_call_id": "b",
        },
        {"role": "user", "content": "From the result of the tool call a:", "images": ["/9j/4AAQ"]},
        {"role": "user", "content": "From the result of the tool call b:", "images": ["/9j/4AAQ"]},
        {"role": "user", "content": "And?"},
    ]


@pytest.mark.parametrize(
    ("thought", "thinking"),
    [
        (Thought("Hm.", UNSEALED), "Hm."),
        (Thought("Hm."), None),
        (Thought("Hm.", Signature("signature", "c2ln")), None),
    ],
)
def test_thoughts_go_back_that_came_without_a_signature(thought: Thought, thinking: str | None) -> None:
    (said,) = messages(assistant(thought, Text("a"), Text("b")))
    assert (said.get("thinking"), said["content"]) == (thinking, "ab")


def test_a_message_of_which_nothing_is_left_is_none() -> None:
    assert messages(assistant(Thought("Hm.")), user()) == []


def test_a_refusal_is_text() -> None:
    assert messages(assistant(Refusal("No."))) == [{"role": "assistant", "content": "No."}]


def test_a_call_that_cannot_be_said_is_refused() -> None:
    with pytest.raises(Untranslatable):
        messages(assistant(ToolCall("a", "", "{}")))


@pytest.mark.parametrize(
    "media",
    [
        Media(MediaKind.IMAGE, MediaForm.URL, "https://a/b.png"),
        Media(MediaKind.FILE, MediaForm.DATA, "eA=="),
        Media(MediaKind.AUDIO, MediaForm.DATA, "eA=="),
    ],
    ids=["address", "file", "audio"],
)
def test_other_media_are_refused(media: Media) -> None:
    assert media.form not in PROTOCOL.translator.abilities.media.get(media.kind, ())
    with pytest.raises(Untranslatable):
        messages(user(media))


def test_what_is_lacking_is_a_field_of_the_prompt() -> None:
    names = {each.name for each in fields(Prompt)}
    lacks = PROTOCOL.translator.abilities.lacks
    assert names > set(lacks)
    bare = render(Prompt("m"))
    knobs: dict[str, Any] = {"parallel_tool_calls": False, "logprobs": 1, "verbosity": "low", "user": "u"}
    knobs |= {"metadata": {"a": "b"}, "service_tier": "flex", "cache_key": "k"}
    assert knobs.keys() == lacks.keys()
    assert render(Prompt("m", **knobs)) == bare

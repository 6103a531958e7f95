"""Requests of Ollama's clients as prompts."""

from typing import Any

import pytest

from protocols.model.call import Call, Operation
from protocols.model.errors import Untranslatable
from protocols.model.parts import Signature
from protocols.model.prompt import (
    Effort,
    Media,
    MediaForm,
    MediaKind,
    Message,
    Prompt,
    ResponseFormat,
    Role,
    Text,
    Thinking,
    Thought,
    Tool,
    ToolCall,
    ToolResult,
)
from protocols.ollama_chat import PROTOCOL

SCHEMA = {"type": "object", "properties": {"a": {"type": "string"}}}
CALLED = {"role": "assistant", "tool_calls": [{"function": {"name": "f", "arguments": {"a": 1}}}]}


def ask(*messages: object, operation: Operation = Operation.GENERATE, **body: object) -> Prompt:
    asked = {"model": "m", "messages": list(messages), **body}
    return PROTOCOL.translator.read_request(Call("id", PROTOCOL.name, operation, "m", True, (), asked))


def said(*messages: object) -> tuple[Message, ...]:
    return ask(*messages).messages


def test_systems_open_and_may_stand_between() -> None:
    prompt = ask(
        {"role": "system", "content": "Be brief."},
        {"role": "system", "content": "Be kind."},
        {"role": "user", "content": "Hi"},
        {"role": "system", "content": "Now sing."},
    )
    assert prompt.system == (Text("Be brief."), Text("Be kind."))
    assert prompt.messages == (
        Message(Role.USER, (Text("Hi"),)),
        Message(Role.SYSTEM, (Text("Now sing."),)),
    )


def test_images_are_base64_of_a_type_that_they_show() -> None:
    (message,) = said({"role": "user", "content": "What?", "images": ["/9j/4AAQ", "R0lGODlh"]})
    assert message.content == (
        Text("What?"),
        Media(MediaKind.IMAGE, MediaForm.DATA, "/9j/4AAQ", "image/jpeg"),
        Media(MediaKind.IMAGE, MediaForm.DATA, "R0lGODlh", "image/gif"),
    )


def test_thinking_goes_back_unsealed() -> None:
    (message,) = said({"role": "assistant", "content": "Yes.", "thinking": "Hm."})
    assert message.content == (Thought("Hm.", Signature("plain", "")), Text("Yes."))


def test_messages_that_say_nothing_are_none() -> None:
    assert said({"role": "assistant", "content": ""}, {"role": "user", "content": ""}) == ()


# -- calls and results ----------------------------------------------------------------------------------


def call(name: str, **more: object) -> dict[str, object]:
    return {"function": {"name": name, "arguments": {}}, **more}


def result(text: str, **more: object) -> dict[str, object]:
    return {"role": "tool", "content": text, **more}


def answered(calls: list[dict[str, object]], *results: dict[str, object]) -> list[tuple[str, str, str]]:
    """Id, name and text of each result, in order."""
    messages = said({"role": "assistant", "tool_calls": calls}, *results)[1:]
    found = [each for message in messages for each in message.content]
    return [
        (each.id, each.name, "".join(part.text for part in each.content if isinstance(part, Text)))
        for each in found
        if isinstance(each, ToolResult)
    ]


def test_calls_without_ids_are_numbered() -> None:
    first, answer, second = said(CALLED, result("one", tool_name="f"), CALLED)
    assert first == Message(Role.ASSISTANT, (ToolCall("call_1", "f", '{"a":1}'),))
    assert answer == Message(Role.USER, (ToolResult("call_1", (Text("one"),), "f"),))
    assert second == Message(Role.ASSISTANT, (ToolCall("call_2", "f", '{"a":1}'),))


def test_results_find_their_call_by_id_by_name_or_by_place() -> None:
    calls = [call("f", id="a"), call("g"), call("g"), call("h")]
    results = [result("1", tool_name="g"), result("2", tool_call_id="a"), result("3", name="h"), result("4")]
    assert answered(calls, *results) == [
        ("call_2", "g", "1"),
        ("a", "f", "2"),
        ("call_4", "h", "3"),
        ("call_3", "g", "4"),
    ]


def test_a_result_belongs_to_the_first_open_call_of_its_name() -> None:
    assert answered([call("f"), call("f")], result("1", tool_name="f"), result("2", tool_name="f")) == [
        ("call_1", "f", "1"),
        ("call_2", "f", "2"),
    ]


def test_tools_are_functions() -> None:
    function = {"name": "f", "description": "does", "parameters": SCHEMA}
    prompt = ask(tools=[{"type": "function", "function": function}, {"function": {"name": "g"}}])
    assert prompt.tools == (Tool("f", "does", SCHEMA), Tool("g"))


# -- knobs ----------------------------------------------------------------------------------------------

KNOBS: list[tuple[dict[str, Any], dict[str, Any]]] = [
    ({"options": {"num_predict": 5}}, {"max_output": 5}),
    ({"options": {"num_predict": -1}}, {"max_output": None}),
    ({"options": {"temperature": 0, "top_p": 0.5}}, {"temperature": 0, "top_p": 0.5}),
    ({"options": {"top_k": 40, "seed": 7}}, {"top_k": 40, "seed": 7}),
    (
        {"options": {"frequency_penalty": 1, "presence_penalty": 2}},
        {"frequency_penalty": 1, "presence_penalty": 2},
    ),
    ({"options": {"stop": ["a", "b"]}}, {"stop": ("a", "b")}),
    ({"options": {"stop": "a"}}, {"stop": ("a",)}),
    ({"options": None}, {"max_output": None}),
    ({"format": "json"}, {"response_format": ResponseFormat()}),
    ({"format": SCHEMA}, {"response_format": ResponseFormat(SCHEMA)}),
    ({"format": ""}, {"response_format": None}),
    ({"think": True}, {"thinking": Thinking(budget=-1, shown=True)}),
    ({"think": False}, {"thinking": Thinking(Effort.NONE)}),
    ({"think": "medium"}, {"thinking": Thinking(Effort.MEDIUM, shown=True)}),
    ({"think": None}, {"thinking": None}),
    ({"logprobs": True, "top_logprobs": 3}, {"logprobs": 3}),
    ({"logprobs": True}, {"logprobs": 0}),
    ({"top_logprobs": 3}, {"logprobs": None}),
    ({"stream": False}, {"stream": False}),
    ({}, {"stream": True, "extensions": {}}),
    ({"keep_alive": "5m"}, {"extensions": {"keep_alive": "5m"}}),
    ({"keep_alive": None}, {"extensions": {}}),
    (
        {"options": {"num_ctx": 8192, "min_p": 0.1, "seed": 1}},
        {"seed": 1, "extensions": {"options.num_ctx": 8192, "options.min_p": 0.1}},
    ),
]


@pytest.mark.parametrize(("body", "known"), KNOBS, ids=str)
def test_knobs_have_their_places(body: dict[str, Any], known: dict[str, Any]) -> None:
    prompt = ask(**body)
    assert {name: getattr(prompt, name) for name in known} == known


@pytest.mark.parametrize(
    ("body", "field"),
    [
        ({"messages": [{"role": "robot", "content": "x"}]}, "messages[0].role"),
        ({"messages": [result("x")]}, "messages[0]"),
        (
            {"messages": [{"role": "assistant", "tool_calls": [{}]}]},
            "messages[0].tool_calls[0].function.name",
        ),
        ({"tools": [{"type": "web_search"}]}, "tools[0].type"),
        ({"tools": [{"type": "function", "function": {}}]}, "tools[0].function.name"),
        ({"format": "yaml"}, "format"),
    ],
)
def test_what_has_no_meaning_elsewhere_is_refused_by_name(body: dict[str, Any], field: str) -> None:
    with pytest.raises(Untranslatable) as raised:
        PROTOCOL.translator.read_request(Call("id", PROTOCOL.name, Operation.GENERATE, "m", True, (), body))
    assert raised.value.field == field


def test_only_generation_is_translated() -> None:
    with pytest.raises(Untranslatable, match="embeddings"):
        ask(operation=Operation.EMBEDDINGS)

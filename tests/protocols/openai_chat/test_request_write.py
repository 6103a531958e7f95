"""A prompt written as a Chat request, and read again."""

from collections.abc import Mapping
from dataclasses import replace
from typing import Any

import pytest

from protocols.model.call import Call, Destination, Operation
from protocols.model.errors import Untranslatable
from protocols.model.parts import Signature, ToolKind
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
from protocols.model.wirejson import JsonObject
from protocols.openai_chat import PROTOCOL

TARGET = Destination("sample", "model")
IMAGE = Media(MediaKind.IMAGE, MediaForm.DATA, "AAAA", "image/png")
PLAIN = Signature("plain", "")
SIGNATURE = Signature("signature", "c2ln")
F, G = Tool("f"), Tool("g")


def rendered(prompt: Prompt, destination: Destination = TARGET) -> JsonObject:
    return PROTOCOL.translator.write_request(prompt, destination).body


def knob(name: str, destination: Destination = TARGET, **fields: Any) -> object:
    return rendered(replace(Prompt("m", tools=(F, G)), **fields), destination).get(name)


def messages(*found: Message) -> list[object]:
    body = rendered(Prompt("m", found))["messages"]
    assert isinstance(body, list)
    return body


def user(*content: Content) -> Message:
    return Message(Role.USER, content)


def assistant(*content: Content) -> Message:
    return Message(Role.ASSISTANT, content)


# -- there and back -------------------------------------------------------------------------------------

DETAILS = Signature("details", '[{"type":"reasoning.text","text":"Hm","signature":"c2ln"}]')
RICH = Prompt(
    model="model",
    system=(Text("Be brief."),),
    messages=(
        user(Text("Look:"), replace(IMAGE, detail="low"), Media(MediaKind.IMAGE, MediaForm.URL, "https://x.test/")),
        assistant(
            Thought("Hm", DETAILS), Text("I look."), Thought("", SIGNATURE), ToolCall("a", "f", '{"x":1}'),
            ToolCall("b", "g", "ls", ToolKind.CUSTOM),
        ),
        user(ToolResult("a", (Text("1"),))),
        user(ToolResult("b", (Text("2"),), kind=ToolKind.CUSTOM)),
        user(
            Media(MediaKind.AUDIO, MediaForm.DATA, "AAAA", "audio/wav"),
            Media(MediaKind.FILE, MediaForm.DATA, "AAAA", "application/pdf", "a.pdf"),
        ),
        Message(Role.SYSTEM, (Text("Now in French."),)),
        assistant(Thought("Oui", PLAIN), Text("Bon.")),
        user(Text("Bad words")),
        assistant(Refusal("Non.")),
    ),
    tools=(
        Tool("f", "does f", {"type": "object"}, strict=True),
        Tool("g", kind=ToolKind.CUSTOM, grammar={"type": "grammar", "syntax": "lark", "definition": "x"}),
    ),
    tool_choice=ToolChoice(ToolMode.REQUIRED, ("f",)),
    parallel_tool_calls=False,
    stream=True,
    max_output=100,
    temperature=0.5,
    top_p=0.9,
    frequency_penalty=0.1,
    presence_penalty=0.2,
    seed=7,
    choices=2,
    stop=("a", "b"),
    response_format=ResponseFormat({"type": "object"}, "n", "d", strict=True),
    thinking=Thinking(Effort.LOW),
    verbosity="low",
    user="u",
    service_tier="flex",
    cache_key="k",
)  # fmt: skip


def test_a_rich_prompt_comes_back() -> None:
    call = Call("id", PROTOCOL.name, Operation.GENERATE, None, True, (), rendered(RICH))
    assert PROTOCOL.translator.read_request(call) == RICH


def test_nothing_is_said_that_was_not_asked() -> None:
    prompt = Prompt("m", (user(Text("Hi")),))
    assert PROTOCOL.translator.write_request(prompt, TARGET).body == {
        "model": "model",
        "messages": [{"role": "user", "content": "Hi"}],
    }


# -- messages -------------------------------------------------------------------------------------------


def test_texts_that_stand_together_are_one_string() -> None:
    body = rendered(
        Prompt("m", (user(Text("c"), Text("d")), assistant(Text("e"), Text("f"))), (Text("a"), Text("b")))
    )
    assert body["messages"] == [
        {"role": "system", "content": "a\n\nb"},
        {"role": "user", "content": "c\n\nd"},
        {"role": "assistant", "content": "ef"},
    ]


def test_calls_of_a_turn_are_in_one_message_with_nothing_between_their_results() -> None:
    found = messages(
        assistant(Text("a")),
        assistant(ToolCall("x", "f", "")),
        assistant(ToolCall("y", "g", "{}")),
        user(Text("Well?"), ToolResult("x", (Text("1"), IMAGE))),
        user(ToolResult("y", (IMAGE,))),
        user(Text("And?")),
    )
    call = {"type": "function"}

    def line(call_id: str) -> Mapping[str, object]:
        return {"type": "text", "text": f"From the result of the tool call {call_id}:"}

    image = {"type": "image_url", "image_url": {"url": "data:image/png;base64,AAAA"}}
    assert found == [
        {
            "role": "assistant",
            "content": "a",
            "tool_calls": [
                {"id": "x", **call, "function": {"name": "f", "arguments": "{}"}},
                {"id": "y", **call, "function": {"name": "g", "arguments": "{}"}},
            ],
        },
        {"role": "tool", "tool_call_id": "x", "content": "1"},
        {"role": "tool", "tool_call_id": "y", "content": "See the next message of the user."},
        {
            "role": "user",
            "content": [line("x"), image, line("y"), image],
        },
        {"role": "user", "content": "Well?"},
        {"role": "user", "content": "And?"},
    ]  # fmt: skip


def test_the_text_of_a_failed_tool_stays_as_it_is() -> None:
    assert messages(user(ToolResult("x", (Text("no"),), error=True))) == [
        {"role": "tool", "tool_call_id": "x", "content": "no"}
    ]


@pytest.mark.parametrize(
    ("content", "message"),
    [
        ((ToolCall("a", "f", "{}"),), {"content": None}),
        ((Thought("Hm", PLAIN), Text("Hi")), {"content": "Hi", "reasoning_content": "Hm"}),
        ((Thought("Hm", PLAIN),), {"content": "", "reasoning_content": "Hm"}),
        ((Thought("Hm"), Text("Hi")), {"content": "Hi"}),
        ((Thought("Hm", Signature("encrypted", "x")), Text("Hi")), {"content": "Hi"}),
        ((Thought("Hm", SIGNATURE), Text("Hi")), {"content": "Hi"}),
        (
            (Thought("Hm", DETAILS), Text("Hi")),
            {
                "content": "Hi",
                "reasoning_content": "Hm",
                "reasoning_details": [{"type": "reasoning.text", "text": "Hm", "signature": "c2ln"}],
            },
        ),
        (
            (Text("Hi"), Thought("", SIGNATURE)),
            {"content": "Hi", "extra_content": {"google": {"thought_signature": "c2ln"}}},
        ),
        ((Refusal("no"),), {"content": None, "refusal": "no"}),
        ((Text("Hi"), IMAGE), {"content": "Hi"}),
    ],
)
def test_what_the_model_said(content: tuple[Content, ...], message: Mapping[str, object]) -> None:
    (found,) = messages(assistant(*content))
    assert isinstance(found, dict)
    calls = found.pop("tool_calls", None)
    assert found == {"role": "assistant", **message}
    assert bool(calls) == any(isinstance(each, ToolCall) for each in content)


def test_a_thought_of_another_provider_alone_leaves_nothing() -> None:
    assert messages(assistant(Thought("Hm", Signature("encrypted", "x")))) == []


def test_a_signature_goes_on_its_call() -> None:
    (found,) = messages(assistant(Thought("", SIGNATURE), ToolCall("a", "f", "{}"), ToolCall("b", "f", "{}")))
    assert isinstance(found, dict)
    assert "extra_content" not in found
    signed = [call.get("extra_content") for call in found["tool_calls"]]
    assert signed == [{"google": {"thought_signature": "c2ln"}}, None]


@pytest.mark.parametrize(
    ("media", "part"),
    [
        (
            Media(MediaKind.IMAGE, MediaForm.DATA, "AAAA"),
            {"type": "image_url", "image_url": {"url": "data:image/png;base64,AAAA"}},
        ),
        (
            Media(MediaKind.AUDIO, MediaForm.DATA, "AAAA", "audio/mpeg"),
            {"type": "input_audio", "input_audio": {"data": "AAAA", "format": "mp3"}},
        ),
        (
            Media(MediaKind.AUDIO, MediaForm.DATA, "AAAA", "audio/ogg"),
            {"type": "input_audio", "input_audio": {"data": "AAAA", "format": "ogg"}},
        ),
        (
            Media(MediaKind.FILE, MediaForm.DATA, "AAAA", "application/pdf"),
            {
                "type": "file",
                "file": {"filename": "document.pdf", "file_data": "data:application/pdf;base64,AAAA"},
            },
        ),
        (Media(MediaKind.FILE, MediaForm.FILE_ID, "f1"), {"type": "file", "file": {"file_id": "f1"}}),
    ],
)
def test_media(media: Media, part: Mapping[str, object]) -> None:
    assert messages(user(media)) == [{"role": "user", "content": [part]}]


@pytest.mark.parametrize(
    "content", [ToolCall("a", "", "{}"), Media(MediaKind.IMAGE, MediaForm.FILE_ID, "file-1")]
)
def test_what_cannot_be_said(content: Content) -> None:
    role = Role.ASSISTANT if isinstance(content, ToolCall) else Role.USER
    with pytest.raises(Untranslatable):
        messages(Message(role, (content,)))


# -- knobs ----------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("asked", "most", "said"), [(None, None, None), (None, 9, None), (5, None, 5), (5, 9, 5), (50, 9, 9)]
)
def test_the_limit_of_output(asked: int | None, most: int | None, said: int | None) -> None:
    target = replace(TARGET, max_output=most, max_tokens_field="max_completion_tokens")
    assert knob("max_completion_tokens", target, max_output=asked) == said


@pytest.mark.parametrize(
    ("thinking", "accepted_by", "effort"),
    [
        (None, "effort", None),
        (Thinking(Effort.HIGH), "effort", "high"),
        (Thinking(Effort.HIGH), "", "high"),
        (Thinking(Effort.HIGH), "none", None),
        (Thinking(Effort.MAX), "effort", "xhigh"),
        (Thinking(budget=8_192), "effort", "medium"),
        (Thinking(budget=-1), "effort", None),
        (Thinking(Effort.NONE), "effort", "none"),
        (Thinking(budget=0), "effort", "none"),
        (Thinking(Effort.NONE), "", None),
    ],
)
def test_effort(thinking: Thinking | None, accepted_by: str, effort: str | None) -> None:
    assert knob("reasoning_effort", replace(TARGET, thinking=accepted_by), thinking=thinking) == effort


@pytest.mark.parametrize(
    ("choice", "said", "offered"),
    [
        (None, None, "fg"),
        (ToolChoice(ToolMode.AUTO), "auto", "fg"),
        (ToolChoice(ToolMode.NONE), "none", "fg"),
        (ToolChoice(ToolMode.REQUIRED), "required", "fg"),
        (ToolChoice(ToolMode.REQUIRED, ("g",)), {"type": "function", "function": {"name": "g"}}, "fg"),
        (ToolChoice(ToolMode.AUTO, ("g",)), "auto", "g"),
        (ToolChoice(ToolMode.REQUIRED, ("f", "g")), "required", "fg"),
    ],
)
def test_tool_choice(choice: ToolChoice | None, said: object, offered: str) -> None:
    assert knob("tool_choice", tool_choice=choice) == said
    tools = knob("tools", tool_choice=choice)
    assert tools == [{"type": "function", "function": {"name": name}} for name in offered]


def test_without_tools_nothing_is_said_of_them() -> None:
    body = rendered(Prompt("m", tool_choice=ToolChoice(ToolMode.AUTO), parallel_tool_calls=True))
    assert body.keys() == {"model", "messages"}


@pytest.mark.parametrize(
    ("name", "fields", "said"),
    [
        ("stream_options", {"stream": True, "usage_in_stream": False}, {"include_usage": True}),
        ("stream_options", {"stream": False}, None),
        ("response_format", {"response_format": ResponseFormat()}, {"type": "json_object"}),
        (
            "response_format",
            {"response_format": ResponseFormat({"a": 1})},
            {"type": "json_schema", "json_schema": {"name": "answer", "schema": {"a": 1}}},
        ),
        ("service_tier", {"service_tier": "standard_only"}, "default"),
        ("service_tier", {"service_tier": "of another kind"}, None),
    ],
)
def test_knobs(name: str, fields: Mapping[str, Any], said: object) -> None:
    assert knob(name, TARGET, **fields) == said


def test_what_it_lacks_is_not_written() -> None:
    prompt = Prompt("m", top_k=5, logprobs=2, metadata={"a": "b"})
    assert {"top_k", "logprobs", "metadata"} == PROTOCOL.translator.abilities.lacks.keys()
    assert rendered(prompt).keys() == {"model", "messages"}


# -- where it goes --------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("operation", "given", "path"),
    [
        (Operation.GENERATE, "", "/v1/chat/completions"),
        (Operation.EMBEDDINGS, "", "/v1/embeddings"),
        (Operation.MODELS, "", "/v1/models"),
        (Operation.EMBEDDINGS, "/api/v1/chat/completions", "/api/v1/embeddings"),
        (Operation.GENERATE, "/d/{model}/chat/completions?v=1", "/d/org/a%20b/chat/completions?v=1"),
        (Operation.EMBEDDINGS, "/d/{model}/chat/completions?v=1", "/d/org/a%20b/embeddings?v=1"),
    ],
)
def test_paths(operation: Operation, given: str, path: str) -> None:
    body = {"model": "old", "input": "x", "odd": [1]}
    call = Call("id", PROTOCOL.name, operation, "old", False, (), body)
    target = Destination("sample", "org/a b", given)
    found = PROTOCOL.editor.retarget(call, target)
    assert (found.path, found.headers) == (path, ())
    listing = operation is Operation.MODELS
    assert found.body == ({} if listing else {"model": "org/a b", "input": "x", "odd": [1]})
    assert listing or list(found.body) == list(body)
    assert (
        operation is not Operation.GENERATE
        or PROTOCOL.translator.write_request(Prompt("m"), target).path == path
    )

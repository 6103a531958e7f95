"""A Chat request read as a prompt: every form that clients send, and what is refused."""

from collections.abc import Mapping

import pytest

from protocols.model.call import Call, Operation
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
from protocols.openai_chat import PROTOCOL
from protocols.shared.signatures import Returning, wrapped

USER: Mapping[str, object] = {"role": "user", "content": "Hi"}
ENVELOPE = wrapped(Signature("signature", "c2ln"), "other")
PLAIN = Signature("plain", "")


def asked(**body: object) -> Prompt:
    call = Call("id", PROTOCOL.name, Operation.GENERATE, None, False, (), body)
    return PROTOCOL.translator.read_request(call)


def messages(*found: Mapping[str, object]) -> tuple[Message, ...]:
    return asked(model="m", messages=[*found]).messages


def said(**message: object) -> tuple[Content, ...]:
    """What an assistant's message holds."""
    (found,) = messages({"role": "assistant", **message})
    assert found.role is Role.ASSISTANT
    return found.content


def part(**fields: object) -> Content:
    ((found,),) = (message.content for message in messages({"role": "user", "content": [fields]}))
    return found


def function(name: str, **more: object) -> dict[str, object]:
    return {"type": "function", "function": {"name": name, **more}}


# -- messages -------------------------------------------------------------------------------------------


def test_what_opens_the_request_is_the_system_text() -> None:
    found = asked(
        messages=[
            {"role": "system", "content": "a"},
            {"role": "developer", "content": [{"type": "text", "text": "b", "cache_control": {}}]},
            USER,
            {"role": "system", "content": "c"},
        ]
    )
    assert found.system == (Text("a"), Text("b"))
    assert found.messages == (
        Message(Role.USER, (Text("Hi"),)),
        Message(Role.SYSTEM, (Text("c"),)),
    )


@pytest.mark.parametrize(
    ("fields", "content"),
    [
        ({"type": "text", "text": "a"}, Text("a")),
        ({"type": "text", "text": "a", "cache_control": {"type": "ephemeral"}}, Text("a", cache=True)),
        (
            {"type": "image_url", "image_url": {"url": "https://x.test/1.png", "detail": "low"}},
            Media(MediaKind.IMAGE, MediaForm.URL, "https://x.test/1.png", detail="low"),
        ),
        (
            {"type": "image_url", "image_url": {"url": "data:image/png;base64,AAAA"}},
            Media(MediaKind.IMAGE, MediaForm.DATA, "AAAA", "image/png"),
        ),
        (
            {"type": "image_url", "image_url": "https://x.test/1.png"},
            Media(MediaKind.IMAGE, MediaForm.URL, "https://x.test/1.png"),
        ),
        (
            {"type": "input_audio", "input_audio": {"data": "AAAA", "format": "mp3"}},
            Media(MediaKind.AUDIO, MediaForm.DATA, "AAAA", "audio/mpeg"),
        ),
        (
            {"type": "input_audio", "input_audio": {"data": "AAAA", "format": "ogg"}},
            Media(MediaKind.AUDIO, MediaForm.DATA, "AAAA", "audio/ogg"),
        ),
        (
            {"type": "file", "file": {"filename": "a.pdf", "file_data": "data:application/pdf;base64,AAAA"}},
            Media(MediaKind.FILE, MediaForm.DATA, "AAAA", "application/pdf", "a.pdf"),
        ),
        (
            {"type": "file", "file": {"filename": "a.pdf", "file_data": "AAAA"}},
            Media(MediaKind.FILE, MediaForm.DATA, "AAAA", name="a.pdf"),
        ),
        (
            {"type": "file", "file": {"file_data": "https://x.test/a.pdf"}},
            Media(MediaKind.FILE, MediaForm.URL, "https://x.test/a.pdf"),
        ),
        (
            {"type": "file", "file": {"file_id": "file-1"}},
            Media(MediaKind.FILE, MediaForm.FILE_ID, "file-1"),
        ),
        ({"type": "refusal", "refusal": "no"}, Refusal("no")),
        ({"type": "thinking", "thinking": [{"type": "text", "text": "Hm"}]}, Thought("Hm", PLAIN)),
    ],
)
def test_content_parts(fields: Mapping[str, object], content: Content) -> None:
    assert part(**fields) == content


def test_what_says_nothing_is_left_out() -> None:
    found = messages(
        {"role": "user", "content": [{"type": "text", "text": ""}, "bare"]},
        {"role": "assistant", "content": "", "tool_calls": None, "function_call": None, "audio": None},
    )
    assert found == (Message(Role.USER, (Text("bare"),)),)


def test_calls_and_results() -> None:
    calls = [
        {"id": "a", **function("f", arguments='{"x": 1}')},
        {"id": "b", "type": "custom", "custom": {"name": "g", "input": "ls"}},
    ]
    found = messages(
        {"role": "assistant", "content": None, "refusal": None, "tool_calls": calls},
        {"role": "tool", "tool_call_id": "a", "content": "1"},
        {"role": "tool", "tool_call_id": "b", "content": [{"type": "text", "text": "2"}], "name": "g"},
        {"role": "tool", "tool_call_id": "stray", "content": ""},
    )
    assert found == (
        Message(Role.ASSISTANT, (ToolCall("a", "f", '{"x": 1}'), ToolCall("b", "g", "ls", ToolKind.CUSTOM))),
        Message(Role.USER, (ToolResult("a", (Text("1"),)),)),
        Message(Role.USER, (ToolResult("b", (Text("2"),), "g", kind=ToolKind.CUSTOM),)),
        Message(Role.USER, (ToolResult("stray"),)),
    )


def test_functions_are_the_older_form_of_tools() -> None:
    found = asked(
        functions=[{"name": "f", "parameters": {"type": "object"}}],
        function_call={"name": "f"},
        messages=[
            USER,
            {"role": "assistant", "content": None, "function_call": {"name": "f", "arguments": "{}"}},
            {"role": "function", "name": "f", "content": "1"},
        ],
    )
    assert found.tools == (Tool("f", parameters={"type": "object"}),)
    assert found.tool_choice == ToolChoice(ToolMode.REQUIRED, ("f",))
    assert found.parallel_tool_calls is False
    (call,), (result,) = (message.content for message in found.messages[1:])
    assert isinstance(call, ToolCall)
    assert isinstance(result, ToolResult)
    assert (call.name, result.name, result.id) == ("f", "f", call.id)
    assert call.id


# -- reasoning that comes back --------------------------------------------------------------------------


@pytest.mark.parametrize("name", ["reasoning_content", "reasoning"])
def test_plain_reasoning(name: str) -> None:
    assert said(content="Hi", **{name: "Hm"}) == (Thought("Hm", PLAIN), Text("Hi"))


def test_details_of_a_provider_of_chat() -> None:
    items = [{"type": "reasoning.text", "text": "Hm", "signature": "c2ln"}]
    signature = Signature("details", '[{"type":"reasoning.text","text":"Hm","signature":"c2ln"}]')
    assert said(content="Hi", reasoning_details=items) == (Thought("Hm", signature), Text("Hi"))
    assert said(content="Hi", reasoning="Hm.", reasoning_details=items)[0] == Thought("Hm.", signature)


def carried(item_id: str) -> dict[str, object]:
    return {"type": "reasoning.encrypted", "data": ENVELOPE.value, "id": item_id}


@pytest.mark.parametrize(
    ("ids", "thoughts"),
    [
        (["reasoning-0-4"], [Thought("abcd", ENVELOPE)]),
        (["renamed"], [Thought("abcd", ENVELOPE)]),
        (["reasoning-0-9"], [Thought("abcd", ENVELOPE)]),
        (["reasoning-0-1", "reasoning-1-4"], [Thought("a", ENVELOPE), Thought("bcd", ENVELOPE)]),
        (
            ["reasoning-1-2", "reasoning-2-2"],
            [Thought("a", PLAIN), Thought("b", ENVELOPE), Thought("", ENVELOPE), Thought("cd", PLAIN)],
        ),
        ([], [Thought("abcd", PLAIN)]),
    ],
)
def test_carriers_know_their_text(ids: list[str], thoughts: list[Thought]) -> None:
    found = said(reasoning_content="abcd", content="Hi", reasoning_details=[carried(each) for each in ids])
    assert found == (*thoughts, Text("Hi"))


def test_a_carrier_of_a_call_stands_before_it() -> None:
    calls = [{"id": each, **function("f", arguments="{}")} for each in "ab"]
    found = said(content="Hi", reasoning_details=[carried("b")], tool_calls=calls)
    assert found == (Text("Hi"), ToolCall("a", "f", "{}"), Thought("", ENVELOPE), ToolCall("b", "f", "{}"))


@pytest.mark.parametrize("signature", [ENVELOPE, Signature("signature", "c2ln")])
def test_signatures_stand_before_what_they_sign(signature: Signature) -> None:
    extra = {"google": {"thought_signature": signature.value}}
    call = {"id": "a", **function("f", arguments="{}"), "extra_content": extra}
    assert said(tool_calls=[call]) == (Thought("", signature), ToolCall("a", "f", "{}"))
    assert said(content="Hi", extra_content=extra) == (Thought("", signature), Text("Hi"))


# -- tools ----------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("tool", "read"),
    [
        (function("f"), Tool("f")),
        ({"function": {"name": "f"}}, Tool("f")),
        (
            function("f", description="d", parameters={"type": "object"}, strict=True),
            Tool("f", "d", {"type": "object"}, strict=True),
        ),
        ({**function("f"), "cache_control": {"type": "ephemeral"}}, Tool("f", cache=True)),
        ({"type": "custom", "custom": {"name": "f"}}, Tool("f", kind=ToolKind.CUSTOM)),
        (
            {"type": "custom", "custom": {"name": "f", "format": {"type": "text"}}},
            Tool("f", kind=ToolKind.CUSTOM),
        ),
        (
            {
                "type": "custom",
                "custom": {
                    "name": "f",
                    "format": {"type": "grammar", "grammar": {"syntax": "lark", "definition": "x"}},
                },
            },
            Tool(
                "f",
                kind=ToolKind.CUSTOM,
                grammar={"type": "grammar", "syntax": "lark", "definition": "x"},
            ),
        ),
    ],
)
def test_tools(tool: Mapping[str, object], read: Tool) -> None:
    assert asked(tools=[tool]).tools == (read,)


@pytest.mark.parametrize(
    ("choice", "read"),
    [
        ("auto", ToolChoice(ToolMode.AUTO)),
        ("none", ToolChoice(ToolMode.NONE)),
        ("required", ToolChoice(ToolMode.REQUIRED)),
        ("any", ToolChoice(ToolMode.REQUIRED)),
        (function("f"), ToolChoice(ToolMode.REQUIRED, ("f",))),
        ({"type": "custom", "custom": {"name": "f"}}, ToolChoice(ToolMode.REQUIRED, ("f",))),
        (
            {
                "type": "allowed_tools",
                "allowed_tools": {"mode": "required", "tools": [function("f"), function("g")]},
            },
            ToolChoice(ToolMode.REQUIRED, ("f", "g")),
        ),
        (
            {"type": "allowed_tools", "allowed_tools": {"mode": "auto", "tools": [function("f")]}},
            ToolChoice(ToolMode.AUTO, ("f",)),
        ),
        (None, None),
    ],
)
def test_tool_choice(choice: object, read: ToolChoice | None) -> None:
    assert asked(tool_choice=choice).tool_choice == read


# -- knobs ----------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("body", "name", "value"),
    [
        ({"model": "m"}, "model", "m"),
        ({"stream": True}, "stream", True),
        ({}, "stream", False),
        ({"stream_options": {"include_usage": True}}, "usage_in_stream", True),
        ({}, "usage_in_stream", False),
        ({"max_tokens": 5}, "max_output", 5),
        ({"max_tokens": 5, "max_completion_tokens": 6}, "max_output", 6),
        ({"temperature": 0}, "temperature", 0),
        ({"top_p": 0.5}, "top_p", 0.5),
        ({"top_k": 5}, "top_k", 5),
        ({"frequency_penalty": 0.5}, "frequency_penalty", 0.5),
        ({"presence_penalty": 0.5}, "presence_penalty", 0.5),
        ({"seed": 0}, "seed", 0),
        ({"random_seed": 5}, "seed", 5),
        ({"n": 2}, "choices", 2),
        ({"logprobs": True}, "logprobs", 0),
        ({"logprobs": True, "top_logprobs": 3}, "logprobs", 3),
        ({"logprobs": False}, "logprobs", None),
        ({"stop": "a"}, "stop", ("a",)),
        ({"stop": ["a", "b"]}, "stop", ("a", "b")),
        ({"stop": None}, "stop", ()),
        ({"parallel_tool_calls": False}, "parallel_tool_calls", False),
        ({"response_format": {"type": "text"}}, "response_format", None),
        ({"response_format": {"type": "json_object"}}, "response_format", ResponseFormat()),
        (
            {
                "response_format": {
                    "type": "json_schema",
                    "json_schema": {"name": "n", "description": "d", "schema": {"a": 1}, "strict": True},
                }
            },
            "response_format",
            ResponseFormat({"a": 1}, "n", "d", strict=True),
        ),
        ({"verbosity": "low"}, "verbosity", "low"),
        ({"user": "u"}, "user", "u"),
        ({"user": "u", "safety_identifier": "s"}, "user", "s"),
        ({"metadata": {"a": "b"}}, "metadata", {"a": "b"}),
        ({"service_tier": "flex"}, "service_tier", "flex"),
        ({"prompt_cache_key": "k"}, "cache_key", "k"),
        ({"logit_bias": {"1": 2}}, "extensions", {"logit_bias": {"1": 2}}),
        ({"store": False, "prediction": {}}, "extensions", {"store": False, "prediction": {}}),
        ({"unheard_of": None}, "extensions", {}),
    ],
)
def test_knobs(body: Mapping[str, object], name: str, value: object) -> None:
    assert getattr(asked(**body), name) == value


@pytest.mark.parametrize(
    ("body", "thinking"),
    [
        ({}, None),
        ({"reasoning_effort": "high"}, Thinking(Effort.HIGH)),
        ({"reasoning_effort": "none"}, Thinking(Effort.NONE)),
        ({"reasoning_effort": "default"}, None),
        ({"reasoning": {"effort": "low", "exclude": True}}, Thinking(Effort.LOW, shown=False)),
        ({"reasoning": {"max_tokens": 2000}}, Thinking(budget=2000)),
        ({"reasoning": {"enabled": True, "exclude": False}}, Thinking(budget=-1, shown=True)),
        ({"reasoning": {"enabled": False}}, Thinking(Effort.NONE)),
        ({"reasoning": {"exclude": True}}, Thinking(shown=False)),
        ({"thinking": {"type": "disabled"}}, Thinking(Effort.NONE)),
        ({"thinking": {"type": "enabled"}}, Thinking(budget=-1)),
        ({"thinking": {"type": "enabled", "budget_tokens": 2000}}, Thinking(budget=2000)),
        ({"thinking": {"type": "enabled"}, "reasoning_effort": "low"}, Thinking(Effort.LOW)),
    ],
)
def test_thinking(body: Mapping[str, object], thinking: Thinking | None) -> None:
    assert asked(**body).thinking == thinking


# -- what no other provider can do ----------------------------------------------------------------------


@pytest.mark.parametrize(
    ("body", "field"),
    [
        ({"web_search_options": {}}, "web_search_options"),
        ({"modalities": ["text", "audio"]}, "modalities"),
        ({"tools": [function("f"), {"type": "openrouter:web_search"}]}, "tools[1].type"),
        ({"tools": [function("")]}, "tools[0].function.name"),
        ({"functions": [{}]}, "functions[0].name"),
        ({"tool_choice": {"type": "web_search"}}, "tool_choice.type"),
        ({"tool_choice": "sometimes"}, "tool_choice"),
        ({"response_format": {"type": "grammar"}}, "response_format.type"),
        ({"messages": [{"role": "narrator", "content": "x"}]}, "messages[0].role"),
        (
            {"messages": [USER, {"role": "user", "content": [{"type": "video_url"}]}]},
            "messages[1].content[0].type",
        ),
        ({"messages": [{"role": "user", "content": [3]}]}, "messages[0].content[0]"),
        ({"messages": [{"role": "assistant", "audio": {"id": "a"}}]}, "messages[0].audio"),
        (
            {"messages": [{"role": "assistant", "tool_calls": [{"id": "a", "function": {}}]}]},
            "messages[0].tool_calls[0].function.name",
        ),
        (
            {"messages": [{"role": "assistant", "tool_calls": [{"id": "a", "type": "odd"}]}]},
            "messages[0].tool_calls[0].type",
        ),
    ],
)
def test_what_is_refused_names_its_field(body: Mapping[str, object], field: str) -> None:
    with pytest.raises(Untranslatable) as raised:
        asked(**body)
    assert raised.value.field == field


@pytest.mark.parametrize("operation", [Operation.EMBEDDINGS, Operation.MODELS])
def test_only_generation_is_translated(operation: Operation) -> None:
    with pytest.raises(Untranslatable, match=operation.value):
        PROTOCOL.translator.read_request(Call("id", PROTOCOL.name, operation, None, False, ()))


# -- the body without envelopes --------------------------------------------------------------------------


def test_a_body_without_carriers_stays_itself() -> None:
    items = [{"type": "reasoning.encrypted", "data": "gAAAA"}]
    extra = {"google": {"thought_signature": "c2ln"}}
    call = {"id": "a", **function("f"), "extra_content": extra}
    for body in (
        {"messages": [{"role": "assistant", "reasoning_details": items, "tool_calls": [call]}, "odd"]},
        {"messages": "odd"},
        {"input": "text"},
    ):
        assert PROTOCOL.editor.own_signatures(body, Returning("own", native=True)) is body


def test_carriers_are_taken_out() -> None:
    extra = {"google": {"thought_signature": ENVELOPE.value, "thought": True}}
    own = {"type": "reasoning.encrypted", "data": "gAAAA"}
    body = {
        "model": "m",
        "messages": [
            USER,
            {"role": "assistant", "content": "Hi", "reasoning_details": [own, carried("x")]},
            {"role": "assistant", "content": "Hi", "reasoning_details": [carried("x")]},
            {"role": "assistant", "tool_calls": [{"id": "a", **function("f"), "extra_content": extra}]},
            {
                "role": "assistant",
                "content": "x",
                "extra_content": {"google": {"thought_signature": ENVELOPE.value}},
            },
        ],
    }
    before = repr(body)
    assert PROTOCOL.editor.own_signatures(body, Returning("own", native=True)) == {
        "model": "m",
        "messages": [
            USER,
            {"role": "assistant", "content": "Hi", "reasoning_details": [own]},
            {"role": "assistant", "content": "Hi"},
            {
                "role": "assistant",
                "tool_calls": [{"id": "a", **function("f"), "extra_content": {"google": {"thought": True}}}],
            },
            {"role": "assistant", "content": "x"},
        ],
    }
    assert repr(body) == before

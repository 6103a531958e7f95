"""Requests of Responses as prompts, and prompts as requests of Responses."""

import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from protocols.model.call import Destination
from protocols.model.errors import Untranslatable
from protocols.model.parts import Signature, ToolKind
from protocols.model.prompt import (
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
from protocols.model.wirejson import JsonObject, load_object
from protocols.openai_responses import PROTOCOL
from protocols.shared.signatures import wrapped
from tests.oracle import NAMED
from tests.protocols.openai_responses.frames import call

TARGET = Destination("vendor", "m")
SYSTEM, USER, ASSISTANT = Role.SYSTEM, Role.USER, Role.ASSISTANT


def ask(body: JsonObject) -> Prompt:
    return PROTOCOL.translator.read_request(call({"model": "m", **body}))


def said(*items: JsonObject) -> tuple[Message, ...]:
    return ask({"input": list(items)}).messages


def body(prompt: Prompt, destination: Destination = TARGET) -> dict[str, Any]:
    return dict(PROTOCOL.translator.write_request(prompt, destination).body)


def items(*messages: Message) -> list[dict[str, Any]]:
    found: list[dict[str, Any]] = body(Prompt("m", messages))["input"]
    return found


def refused(field: str, asked: JsonObject) -> None:
    with pytest.raises(Untranslatable) as fault:
        ask(asked)
    assert fault.value.field == field


# -- both ways --------------------------------------------------------------------------------------------

RICH: JsonObject = {
    "model": "m",
    "instructions": "Be brief.",
    "input": [
        {"role": "user", "content": "hi"},
        {
            "type": "message",
            "role": "user",
            "content": [
                {"type": "input_text", "text": "Look:"},
                {"type": "input_image", "image_url": "data:image/png;base64,aW1n", "detail": "low"},
                {"type": "input_image", "image_url": "https://a.test/x.png"},
                {"type": "input_file", "file_data": "data:application/pdf;base64,cGRm", "filename": "a.pdf"},
                {"type": "input_file", "file_url": "https://a.test/a.pdf"},
            ],
        },
        {
            "type": "reasoning",
            "id": "rs_1",
            "summary": [{"type": "summary_text", "text": "Hm."}],
            "encrypted_content": "gAAA",
        },
        {"role": "assistant", "content": [{"type": "output_text", "text": "I look.", "annotations": []}]},
        {"type": "function_call", "call_id": "call_1", "name": "f", "arguments": '{"a": 1}', "id": "fc_1"},
        {
            "type": "custom_tool_call",
            "call_id": "call_2",
            "name": "exec",
            "namespace": "functions",
            "input": "ls -a",
        },
        {"type": "function_call_output", "call_id": "call_1", "output": "one"},
        {
            "type": "custom_tool_call_output",
            "call_id": "call_2",
            "output": [
                {"type": "input_text", "text": "a"},
                {"type": "input_image", "image_url": "data:image/png;base64,aW1n"},
            ],
        },
        {"role": "developer", "content": "Now be long."},
        {"role": "user", "content": "go on"},
        {"role": "assistant", "content": [{"type": "refusal", "refusal": "No."}]},
    ],
    "tools": [
        {
            "type": "function",
            "name": "f",
            "description": "does",
            "parameters": {"type": "object"},
            "strict": True,
        },
        {"type": "custom", "name": "free", "format": {"type": "text"}},
        {
            "type": "namespace",
            "name": "functions",
            "tools": [
                {
                    "type": "custom",
                    "name": "exec",
                    "description": "runs",
                    "format": {"type": "grammar", "syntax": "lark", "definition": "x"},
                },
            ],
        },
    ],
    "tool_choice": {
        "type": "allowed_tools",
        "mode": "auto",
        "tools": [{"type": "function", "name": "f"}, {"type": "custom", "name": "free"}],
    },
    "parallel_tool_calls": False,
    "max_output_tokens": 100,
    "temperature": 0.5,
    "top_p": 0.9,
    "top_logprobs": 3,
    "text": {
        "format": {"type": "json_schema", "name": "n", "schema": {"type": "object"}, "strict": True},
        "verbosity": "low",
    },
    "reasoning": {"effort": "low", "summary": "auto"},
    "user": "u",
    "metadata": {"a": "b"},
    "service_tier": "flex",
    "prompt_cache_key": "key",
}


def test_a_rich_request_is_a_prompt() -> None:
    prompt = ask(RICH)
    assert prompt.system == (Text("Be brief."),)
    assert [message.role for message in prompt.messages] == [
        USER,
        USER,
        ASSISTANT,
        USER,
        SYSTEM,
        USER,
        ASSISTANT,
    ]
    thought, text, one, two = prompt.messages[2].content
    assert isinstance(thought, Thought)
    assert thought.text == "Hm."
    assert thought.signature
    assert load_object(thought.signature.value.encode()) == {
        "id": "rs_1",
        "summary": [{"type": "summary_text", "text": "Hm."}],
        "encrypted_content": "gAAA",
    }
    assert text == Text("I look.")
    assert one == ToolCall("call_1", "f", '{"a": 1}')
    assert two == ToolCall("call_2", "exec", "ls -a", ToolKind.CUSTOM, "functions")
    image = Media(MediaKind.IMAGE, MediaForm.DATA, "aW1n", "image/png")
    assert prompt.messages[3].content == (
        ToolResult("call_1", (Text("one"),)),
        ToolResult("call_2", (Text("a"), image), kind=ToolKind.CUSTOM),
    )
    assert prompt.messages[6].content == (Refusal("No."),)
    assert prompt.messages[1].content == (
        Text("Look:"),
        replace(image, detail="low"),
        Media(MediaKind.IMAGE, MediaForm.URL, "https://a.test/x.png"),
        Media(MediaKind.FILE, MediaForm.DATA, "cGRm", "application/pdf", "a.pdf"),
        Media(MediaKind.FILE, MediaForm.URL, "https://a.test/a.pdf"),
    )
    assert prompt.tools == (
        Tool("f", "does", {"type": "object"}, strict=True),
        Tool("free", kind=ToolKind.CUSTOM),
        Tool(
            "exec",
            "runs",
            kind=ToolKind.CUSTOM,
            namespace="functions",
            grammar={"type": "grammar", "syntax": "lark", "definition": "x"},
        ),
    )


def test_a_rich_prompt_comes_back_as_it_was() -> None:
    prompt = ask(RICH)
    again = PROTOCOL.translator.read_request(call(body(prompt)))
    assert replace(again, extensions={}) == prompt
    assert again.extensions["store"] is False


@pytest.mark.parametrize(
    ("asked", "prompt"),
    [
        ({"parallel_tool_calls": True}, Prompt("m", parallel_tool_calls=True)),
        ({"max_output_tokens": 100}, Prompt("m", max_output=100)),
        ({"temperature": 0.5}, Prompt("m", temperature=0.5)),
        ({"top_p": 1}, Prompt("m", top_p=1)),
        (
            {"top_logprobs": 3, "include": ["reasoning.encrypted_content", "message.output_text.logprobs"]},
            Prompt("m", logprobs=3),
        ),
        ({"text": {"verbosity": "low"}}, Prompt("m", verbosity="low")),
        ({"text": {"format": {"type": "json_object"}}}, Prompt("m", response_format=ResponseFormat())),
        (
            {"text": {"format": {"type": "json_schema", "name": "n", "schema": {}, "description": "d"}}},
            Prompt("m", response_format=ResponseFormat({}, "n", "d")),
        ),
        ({"reasoning": {"effort": "high"}}, Prompt("m", thinking=Thinking(Effort.HIGH))),
        ({"reasoning": {"summary": "auto"}}, Prompt("m", thinking=Thinking(shown=True))),
        ({"user": "u"}, Prompt("m", user="u")),
        ({"metadata": {"a": "b"}}, Prompt("m", metadata={"a": "b"})),
        ({"service_tier": "flex"}, Prompt("m", service_tier="flex")),
        ({"prompt_cache_key": "k"}, Prompt("m", cache_key="k")),
        ({"instructions": "Be brief."}, Prompt("m", system=(Text("Be brief."),))),
        ({"tool_choice": "auto"}, Prompt("m", tool_choice=ToolChoice(ToolMode.AUTO))),
        ({"tool_choice": "none"}, Prompt("m", tool_choice=ToolChoice(ToolMode.NONE))),
        ({"tool_choice": "required"}, Prompt("m", tool_choice=ToolChoice(ToolMode.REQUIRED))),
        (
            {"tool_choice": {"type": "function", "name": "f"}},
            Prompt("m", tool_choice=ToolChoice(ToolMode.REQUIRED, ("f",))),
        ),
        (
            {
                "tool_choice": {
                    "type": "allowed_tools",
                    "mode": "required",
                    "tools": [{"type": "function", "name": "f"}, {"type": "function", "name": "g"}],
                }
            },
            Prompt("m", tool_choice=ToolChoice(ToolMode.REQUIRED, ("f", "g"))),
        ),
    ],
)
def test_each_knob_both_ways(asked: JsonObject, prompt: Prompt) -> None:
    found = ask(asked)
    assert replace(found, extensions={}) == prompt
    always = {"model": "m", "input": [], "store": False, "include": ["reasoning.encrypted_content"]}
    assert body(prompt) == {**always, **asked}


# -- requests ---------------------------------------------------------------------------------------------


def test_a_text_is_the_users() -> None:
    assert ask({"input": "hi"}).messages == (Message(USER, (Text("hi"),)),)


def test_fields_that_nobody_else_knows_are_kept_apart() -> None:
    found = ask(
        {"input": "hi", "store": True, "truncation": "auto", "client_metadata": {"a": 1}, "seed": None}
    )
    assert found.extensions == {"store": True, "truncation": "auto", "client_metadata": {"a": 1}}


def test_whether_it_streams_is_the_calls() -> None:
    assert PROTOCOL.translator.read_request(call({"model": "m"}, stream=True)).stream
    assert body(Prompt("m", stream=True))["stream"] is True


@pytest.mark.parametrize("role", ["system", "developer"])
def test_what_opens_a_conversation_is_system_text(role: str) -> None:
    opening = {"role": role, "content": [{"type": "input_text", "text": "b"}]}
    tools = {"type": "additional_tools", "tools": [{"type": "function", "name": "f"}]}
    found = ask({"instructions": "a", "input": [tools, opening, {"role": "user", "content": "hi"}, opening]})
    assert found.system == (Text("a"), Text("b"))
    assert [message.role for message in found.messages] == [USER, SYSTEM]
    assert found.tools == (Tool("f"),)


def test_user_messages_stay_apart_and_results_of_one_turn_together() -> None:
    result = {"type": "function_call_output", "call_id": "c", "output": ""}
    hello = {"role": "user", "content": "hi"}
    assert [len(message.content) for message in said(hello, hello, result, result, hello)] == [1, 1, 2, 1]


def test_reasoning_of_others_comes_back_in_its_carrier() -> None:
    envelope = wrapped(Signature("signature", "sig"), "anthropic")
    (message,) = said({"type": "reasoning", "summary": [], "encrypted_content": envelope.value})
    assert message.content == (Thought("", envelope),)


def test_reasoning_that_is_shown_itself_has_no_signature() -> None:
    content = [{"type": "reasoning_text", "text": "We add."}]
    (message,) = said({"type": "reasoning", "summary": [], "content": content})
    assert message.content == (Thought("We add."),)


@pytest.mark.parametrize(
    ("part", "found"),
    [
        ({"type": "input_text", "text": "x", "prompt_cache_breakpoint": {}}, Text("x", cache=True)),
        (
            {"type": "input_image", "file_id": "file-1"},
            Media(MediaKind.IMAGE, MediaForm.FILE_ID, "file-1"),
        ),
        (
            {"type": "input_file", "file_id": "file-1", "filename": "a"},
            Media(MediaKind.FILE, MediaForm.FILE_ID, "file-1", name="a"),
        ),
        ({"type": "input_file", "file_data": "cGRm"}, Media(MediaKind.FILE, MediaForm.DATA, "cGRm")),
        (
            {"type": "input_audio", "input_audio": {"data": "YQ==", "format": "wav"}},
            Media(MediaKind.AUDIO, MediaForm.DATA, "YQ==", "audio/wav"),
        ),
    ],
)
def test_what_a_message_may_hold(part: JsonObject, found: Text | Media) -> None:
    (message,) = said({"role": "user", "content": [part]})
    assert message.content == (found,)


def test_the_user_has_two_names() -> None:
    assert ask({"safety_identifier": "s"}).user == "s"


@pytest.mark.parametrize("effort", ["brand_new", 7, None])
def test_an_effort_that_is_unknown_is_not_said(effort: object) -> None:
    assert ask({"reasoning": {"effort": effort, "context": "all_turns"}}).thinking is None


@pytest.mark.parametrize(
    "kind",
    [
        "web_search_call",
        "file_search_call",
        "code_interpreter_call",
        "image_generation_call",
        "mcp_list_tools",
        "mcp_call",
        "program",
        "program_output",
    ],
)
def test_what_the_providers_tools_did_is_dropped(kind: str) -> None:
    assert [m.role for m in said({"type": kind, "id": "x"}, {"role": "user", "content": "hi"})] == [USER]


@pytest.mark.parametrize(
    ("asked", "field"),
    [
        ({"previous_response_id": "resp_1"}, "previous_response_id"),
        ({"conversation": {"id": "conv_1"}}, "conversation"),
        ({"background": True}, "background"),
        ({"prompt": {"id": "pmpt_1"}}, "prompt"),
        ({"tools": [{"type": "function", "name": "f"}, {"type": "web_search"}]}, "tools[1].type"),
        ({"tools": [{"type": "namespace", "tools": [{"type": "mcp"}]}]}, "tools[0].tools[0].type"),
        (
            {"input": [{"type": "additional_tools", "tools": [{"type": "shell"}]}]},
            "input[0].tools[0].type",
        ),
        ({"tool_choice": {"type": "file_search"}}, "tool_choice.type"),
        ({"input": [{"type": "item_reference", "id": "x"}]}, "input[0].type"),
        ({"input": [{"id": "x"}]}, "input[0].type"),
        ({"input": [{"type": "compaction", "encrypted_content": "x"}]}, "input[0].type"),
        ({"input": [{"type": "local_shell_call"}]}, "input[0].type"),
        ({"input": [{"type": "mcp_approval_response"}]}, "input[0].type"),
        ({"input": [{"type": "brand_new"}]}, "input[0].type"),
        ({"input": [{"role": "critic", "content": "x"}]}, "input[0].role"),
        ({"input": [{"role": "user", "content": [{"type": "odd"}]}]}, "input[0].content[0].type"),
        ({"input": [{"type": "function_call", "call_id": "c"}]}, "input[0].name"),
        (
            {"input": [{"type": "function_call_output", "call_id": "c", "output": [{"type": "odd"}]}]},
            "input[0].output[0].type",
        ),
    ],
)
def test_what_means_something_to_this_provider_alone_is_refused(asked: JsonObject, field: str) -> None:
    refused(field, asked)


@pytest.mark.parametrize("field", ["previous_response_id", "conversation", "background", "prompt"])
@pytest.mark.parametrize("value", [None, False])
def test_what_is_not_asked_for_is_not_refused(field: str, value: object) -> None:
    assert ask({field: value, "input": "hi"}).extensions == {}


# -- prompts ----------------------------------------------------------------------------------------------


def test_where_a_request_goes() -> None:
    assert PROTOCOL.translator.write_request(Prompt("x"), TARGET).path == "/v1/responses"
    assert (
        PROTOCOL.translator.write_request(Prompt("x"), Destination("vendor", "m", "/x/responses")).path
        == "/x/responses"
    )
    assert body(Prompt("x"))["model"] == "m"


def test_a_limit_is_never_below_the_least() -> None:
    assert body(Prompt("m", max_output=1))["max_output_tokens"] == 16


@pytest.mark.parametrize(
    ("thinking", "destination", "reasoning", "include"),
    [
        (None, TARGET, None, True),
        (Thinking(Effort.LOW), TARGET, {"effort": "low"}, True),
        (Thinking(budget=9000, shown=True), TARGET, {"effort": "high", "summary": "auto"}, True),
        (Thinking(budget=-1, shown=True), TARGET, {"summary": "auto"}, True),
        (Thinking(budget=0, shown=True), TARGET, {"effort": "none"}, False),
        (Thinking(Effort.NONE), TARGET, {"effort": "none"}, False),
        (Thinking(Effort.LOW), Destination("vendor", "m", thinking="none"), None, False),
        (None, Destination("vendor", "m", thinking="none"), None, False),
    ],
)
def test_reasoning_is_asked_for_so_that_it_can_be_sent_back(
    thinking: Thinking | None, destination: Destination, reasoning: JsonObject | None, include: bool
) -> None:
    found = body(Prompt("m", thinking=thinking), destination)
    assert found.get("reasoning") == reasoning
    assert found.get("include") == (["reasoning.encrypted_content"] if include else None)
    assert found["store"] is False


def test_several_system_texts_are_one() -> None:
    assert body(Prompt("m", system=(Text("a"), Text("b"))))["instructions"] == "a\n\nb"


def test_texts_have_the_type_of_their_role() -> None:
    spoken = [Message(role, (Text("x"),)) for role in (USER, ASSISTANT, SYSTEM)]
    assert [(item["role"], item["content"]) for item in items(*spoken)] == [
        ("user", [{"type": "input_text", "text": "x"}]),
        ("assistant", [{"type": "output_text", "text": "x"}]),
        ("developer", [{"type": "input_text", "text": "x"}]),
    ]


def test_an_assistants_media_follow_as_the_users() -> None:
    image = Media(MediaKind.IMAGE, MediaForm.DATA, "aW1n", "image/png")
    found = items(Message(ASSISTANT, (Text("Here:"), image)), Message(ASSISTANT, (image,)))
    assert [item["role"] for item in found] == ["assistant", "user", "user"]
    assert found[1]["content"] == [{"type": "input_image", "image_url": "data:image/png;base64,aW1n"}]


@pytest.mark.parametrize(
    "signature",
    [
        None,
        Signature("plain", ""),
        Signature("signature", "x"),
        Signature("details", "[]"),
        Signature("encrypted", "odd"),
    ],
)
def test_reasoning_that_cannot_be_sent_back_is_left_out(signature: Signature | None) -> None:
    assert items(Message(ASSISTANT, (Thought("Hm", signature),))) == []


def test_a_signature_of_ours_is_the_item_again() -> None:
    signature = Signature("encrypted", '{"id":"rs_1","encrypted_content":"gAAA"}')
    assert items(Message(ASSISTANT, (Thought("Hm", signature),))) == [
        {"type": "reasoning", "summary": [], "id": "rs_1", "encrypted_content": "gAAA"}
    ]


@pytest.mark.parametrize(
    ("content", "output"),
    [
        ((), ""),
        ((Text("x"),), "x"),
        ((Text("x"), Text("y")), [{"type": "input_text", "text": "x"}, {"type": "input_text", "text": "y"}]),
        (
            (Media(MediaKind.IMAGE, MediaForm.URL, "https://a.test/", detail="low"),),
            [{"type": "input_image", "image_url": "https://a.test/", "detail": "low"}],
        ),
    ],
)
def test_what_a_tool_gave_back(content: tuple[Text | Media, ...], output: object) -> None:
    (item,) = items(Message(USER, (ToolResult("c", content, error=True),)))
    assert item == {"type": "function_call_output", "call_id": "c", "output": output}


def test_a_call_without_arguments_has_none() -> None:
    (item,) = items(Message(ASSISTANT, (ToolCall("c", "f", ""),)))
    assert item == {"type": "function_call", "call_id": "c", "name": "f", "arguments": "{}"}


def test_a_file_has_a_name_where_it_comes_with_the_request() -> None:
    data = Media(MediaKind.FILE, MediaForm.DATA, "cGRm", "application/pdf")
    upload = Media(MediaKind.FILE, MediaForm.FILE_ID, "file-1", name="x")
    (item,) = items(Message(USER, (data, upload)))
    assert item["content"] == [
        {"type": "input_file", "file_data": "data:application/pdf;base64,cGRm", "filename": "file"},
        {"type": "input_file", "file_id": "file-1"},
    ]


@pytest.mark.parametrize(
    "content",
    [ToolCall("c", "", "{}"), Media(MediaKind.AUDIO, MediaForm.DATA, "YQ==", "audio/wav")],
)
def test_what_cannot_be_said_is_refused(content: ToolCall | Media) -> None:
    with pytest.raises(Untranslatable):
        items(Message(USER, (content,)))


def test_a_function_is_loose_unless_it_was_said() -> None:
    (tool,) = body(Prompt("m", tools=(Tool("f"),)))["tools"]
    assert tool == {
        "type": "function",
        "name": "f",
        "parameters": {"type": "object", "properties": {}},
        "strict": False,
    }


def test_a_custom_tool_is_forced_as_one() -> None:
    tools = (Tool("exec", kind=ToolKind.CUSTOM),)
    prompt = Prompt("m", tools=tools, tool_choice=ToolChoice(ToolMode.REQUIRED, ("exec",)))
    assert body(prompt)["tool_choice"] == {"type": "custom", "name": "exec"}


# -- real clients -----------------------------------------------------------------------------------------


def recorded_requests() -> list[Any]:
    """What real clients sent, where it lies beside the recorded answers."""
    folder = Path(NAMED).parents[1] / "clients" / "requests" if NAMED else Path()
    files = sorted(folder.glob("**/*.json")) if NAMED else []
    found = [pytest.param(file, id=file.name) for file in files if _is_ours(file)]
    reason = "no requests of real clients beside the folder that ROTATOR_RECORDED names"
    return found or [pytest.param(None, marks=pytest.mark.skip(reason=reason), id="none recorded")]


def _is_ours(file: Path) -> bool:
    asked = json.loads(file.read_bytes())
    is_call = isinstance(asked, dict) and isinstance(asked.get("body"), dict)
    return is_call and asked["path"].endswith("/responses")


@pytest.mark.parametrize("file", recorded_requests())
def test_what_real_clients_ask_can_be_said_elsewhere(file: Path) -> None:
    asked = json.loads(file.read_bytes())["body"]
    prompt = ask(asked)
    assert prompt.messages
    again = PROTOCOL.translator.read_request(call(body(prompt), stream=prompt.stream))
    assert [message.role for message in again.messages] == [message.role for message in prompt.messages]
    assert [(tool.namespace, tool.name) for tool in again.tools] == [
        (tool.namespace, tool.name) for tool in prompt.tools
    ]

"""What the provider is asked: turns it takes, room to think, and nothing that it would refuse."""

from dataclasses import replace

import pytest

from protocols.anthropic_messages import PROTOCOL
from protocols.anthropic_messages.request_write import JSON_ONLY
from protocols.anthropic_messages.request_write_turns import OPENING
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
from protocols.model.wirejson import dump, load_object

TARGET = Destination("vendor", "claude", thinking="effort")
BUDGET = replace(TARGET, thinking="budget")
SCHEMA = {"type": "object", "properties": {"a": {"type": "string"}}, "additionalProperties": False}
TOOL = Tool("f", "d", SCHEMA)
IMAGE = Media(MediaKind.IMAGE, MediaForm.DATA, "iVBORaaa")
CACHE = {"type": "ephemeral"}


def user(*content: Content) -> Message:
    return Message(Role.USER, content)


def assistant(*content: Content) -> Message:
    return Message(Role.ASSISTANT, content)


def system(*content: Content) -> Message:
    return Message(Role.SYSTEM, content)


HI = user(Text("Hi"))
ASKED = Prompt("m", (HI,))


def render(prompt: Prompt, destination: Destination = TARGET) -> dict[str, object]:
    """The body as it is sent."""
    return dict(load_object(dump(PROTOCOL.translator.write_request(prompt, destination).body)) or {})


def turns(*messages: Message) -> object:
    return render(Prompt("m", messages))["messages"]


def turn(*content: Content, role: Role = Role.USER) -> list[dict[str, object]]:
    """The blocks that the content of one message after the user's first becomes."""
    written = turns(HI, assistant(Text("Yes?")), Message(role, content), user(Text("Go on")))
    assert isinstance(written, list)
    blocks: list[dict[str, object]] = written[1 if role is Role.ASSISTANT else 2]["content"]
    return blocks


RICH = Prompt(
    model="claude",
    messages=(
        user(Text("Hi", cache=True), replace(IMAGE, media_type="image/png")),
        assistant(
            Thought("Hm", Signature("signature", "abc")),
            Thought("", Signature("redacted", "def")),
            Text("Well"),
            ToolCall("t1", "f", '{"a":"x"}'),
            ToolCall("t2", "f", "{}"),
        ),
        user(
            ToolResult("t1", (Text("ok"),)),
            ToolResult("t2", (Text("bad"), replace(IMAGE, media_type="image/png")), error=True),
            Media(MediaKind.FILE, MediaForm.URL, "http://localhost/d", "application/pdf", "D"),
            Text("And?"),
        ),
    ),
    system=(Text("Be kind."), Text("Be brief.", cache=True)),
    tools=(TOOL, Tool("g", parameters=SCHEMA, strict=True, cache=True)),
    tool_choice=ToolChoice(ToolMode.AUTO),
    parallel_tool_calls=False,
    stream=True,
    max_output=900,
    stop=("END",),
    response_format=ResponseFormat(SCHEMA),
    thinking=Thinking(Effort.HIGH, shown=True),
    user="u",
    service_tier="default",
)


def ask(body: dict[str, object]) -> Prompt:
    return PROTOCOL.translator.read_request(
        Call("id", PROTOCOL.name, Operation.GENERATE, "claude", True, (), body)
    )


def test_what_is_written_is_read_again() -> None:
    assert ask(render(RICH)) == RICH
    sampled = replace(RICH, thinking=None, temperature=0.5, top_k=3, max_output=4096)
    assert ask(render(sampled)) == sampled
    assert ask(render(replace(RICH, thinking=Thinking(budget=2048), max_output=9000), BUDGET)).thinking == (
        Thinking(budget=2048, shown=True)
    )


def test_where_it_goes() -> None:
    rendered = PROTOCOL.translator.write_request(ASKED, TARGET)
    assert (rendered.path, rendered.headers) == ("/v1/messages", (("anthropic-version", "2023-06-01"),))
    assert (
        PROTOCOL.translator.write_request(ASKED, replace(TARGET, path="/x/{model}", model="a/b")).path
        == "/x/a%2Fb"
    )


@pytest.mark.parametrize(
    ("operation", "url", "path"),
    [
        (Operation.GENERATE, "/v1/messages?beta=true", "/v1/messages?beta=true"),
        (Operation.COUNT_TOKENS, "//[/v1/messages/count_tokens", "//[/v1/messages/count_tokens"),
        (Operation.MODELS, "/v1/models?limit=5", "/v1/models?limit=5"),
    ],
)
def test_another_model_of_the_same_protocol(operation: Operation, url: str, path: str) -> None:
    body = {"model": "m", "odd": {"x": [1]}, "messages": []}
    call = Call("id", PROTOCOL.name, operation, "m", False, (), body, target=url)
    rendered = PROTOCOL.editor.retarget(call, TARGET)
    assert (rendered.path, rendered.headers) == (path, ())
    assert list(rendered.body.items()) == [("model", "claude"), ("odd", {"x": [1]}), ("messages", [])]
    assert body["model"] == "m"


# -- knobs ----------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("knobs", "fields"),
    [
        ({}, {"max_tokens": 4096}),
        ({"max_output": 5}, {"max_tokens": 5}),
        ({"temperature": 0}, {"temperature": 0}),
        ({"temperature": 1.7}, {"temperature": 1}),
        ({"temperature": 0.5, "top_p": 0.9}, {"temperature": 0.5}),
        ({"top_p": 0.9, "top_k": 4}, {"top_p": 0.9, "top_k": 4}),
        ({"stop": ("A", "\n")}, {"stop_sequences": ["A"]}),
        ({"stop": ("\n",)}, {}),
        ({"user": "u"}, {"metadata": {"user_id": "u"}}),
        ({"service_tier": "priority"}, {"service_tier": "auto"}),
        ({"service_tier": "flex"}, {}),
        ({"stream": True}, {"stream": True}),
        ({"extensions": {"odd": 1}}, {}),
        ({"response_format": ResponseFormat()}, {"system": JSON_ONLY}),
        (
            {"response_format": ResponseFormat({"type": "object", "items": [{"type": "object"}]}, "n")},
            {
                "output_config": {
                    "format": {
                        "type": "json_schema",
                        "schema": {
                            "type": "object",
                            "items": [{"type": "object", "additionalProperties": False}],
                            "additionalProperties": False,
                        },
                    }
                }
            },
        ),
    ],
)
def test_knobs(knobs: dict[str, object], fields: dict[str, object]) -> None:
    plain = {"model": "claude", "max_tokens": 4096, "messages": turns(HI)}
    assert render(replace(ASKED, **knobs)) == plain | fields  # type: ignore[arg-type]


def test_the_models_limit_stands_where_the_client_has_none() -> None:
    assert render(ASKED, replace(TARGET, max_output=64000))["max_tokens"] == 64000


# -- thinking -------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("thinking", "config", "effort"),
    [
        (Thinking(Effort.HIGH), {"type": "adaptive"}, "high"),
        (Thinking(Effort.MINIMAL, shown=False), {"type": "adaptive", "display": "omitted"}, "low"),
        (Thinking(budget=9000, shown=True), {"type": "adaptive", "display": "summarized"}, "high"),
        (Thinking(budget=-1), {"type": "adaptive"}, None),
        (Thinking(Effort.NONE), {"type": "disabled"}, None),
        (Thinking(budget=0), {"type": "disabled"}, None),
    ],
)
def test_thinking_by_effort(thinking: Thinking, config: object, effort: str | None) -> None:
    body = render(replace(ASKED, thinking=thinking))
    assert body.get("thinking") == config
    assert body.get("output_config") == ({"effort": effort} if effort else None)


@pytest.mark.parametrize(
    ("thinking", "said", "known", "budget", "max_tokens"),
    [
        (Thinking(budget=5000), None, None, 5000, 9096),
        (Thinking(budget=5000), None, 64000, 5000, 64000),
        (Thinking(budget=5000), None, 4000, 3000, 4000),
        (Thinking(budget=5000), 5001, 64000, 5000, 5001),
        (Thinking(Effort.HIGH), 4096, None, 3072, 4096),
        (Thinking(Effort.HIGH), None, None, 16384, 20480),
        (Thinking(budget=-1), 9000, None, 8192, 9000),
        (Thinking(budget=100), 2000, None, 1024, 2000),
        (Thinking(Effort.HIGH), 1200, None, None, 1200),
        (Thinking(Effort.HIGH), 5, None, None, 5),
    ],
)
@pytest.mark.parametrize("way", ["budget", ""])
def test_thinking_by_budget_has_room(
    thinking: Thinking, said: int | None, known: int | None, budget: int | None, max_tokens: int, way: str
) -> None:
    target = replace(TARGET, thinking=way, max_output=known)
    body = render(replace(ASKED, thinking=thinking, max_output=said), target)
    assert body.get("thinking") == ({"type": "enabled", "budget_tokens": budget} if budget else None)
    assert body["max_tokens"] == max_tokens


def test_a_model_that_does_not_think_is_not_asked_to() -> None:
    body = render(replace(ASKED, thinking=Thinking(Effort.HIGH)), replace(TARGET, thinking="none"))
    assert not body.keys() & {"thinking", "output_config"}


@pytest.mark.parametrize("destination", [TARGET, BUDGET])
def test_sampling_gives_way_to_thinking(destination: Destination) -> None:
    thinking = replace(ASKED, thinking=Thinking(Effort.LOW), top_k=4)
    assert not render(replace(thinking, temperature=0.5), destination).keys() & {
        "temperature",
        "top_p",
        "top_k",
    }
    assert render(replace(thinking, temperature=1), destination)["temperature"] == 1
    assert "top_p" not in render(replace(thinking, top_p=0.5), destination)
    assert render(replace(thinking, top_p=0.97), destination)["top_p"] == 0.97


@pytest.mark.parametrize("destination", [TARGET, BUDGET])
def test_thinking_gives_way_to_a_forced_tool(destination: Destination) -> None:
    forced = replace(ASKED, tools=(TOOL,), tool_choice=ToolChoice(ToolMode.REQUIRED), temperature=0.5)
    body = render(replace(forced, thinking=Thinking(Effort.LOW)), destination)
    assert "thinking" not in body
    assert body["temperature"] == 0.5


@pytest.mark.parametrize(
    ("knobs", "thinking", "lost"),
    [
        ({"temperature": 0.5, "top_k": 4}, "effort", []),
        ({"temperature": 1.7, "top_p": 0.2}, "effort", ["temperature", "top_p"]),
        (
            {"temperature": 0.5, "top_k": 4, "thinking": Thinking(Effort.LOW)},
            "effort",
            ["temperature", "top_k"],
        ),
        ({"thinking": Thinking(Effort.HIGH)}, "none", ["thinking"]),
        ({"thinking": Thinking(Effort.NONE)}, "none", []),
        ({"thinking": Thinking(Effort.HIGH)}, "effort", []),
    ],
)
def test_what_gives_way_is_reported(knobs: dict[str, object], thinking: str, lost: list[str]) -> None:
    prompt = replace(ASKED, **knobs)  # type: ignore[arg-type]  # one table for fields of several types
    rendered = PROTOCOL.translator.write_request(prompt, replace(TARGET, thinking=thinking))
    assert [name for name, _ in rendered.losses] == lost


CALLED = assistant(ToolCall("t", "f", "{}"))
RESULT = user(ToolResult("t", (Text("ok"),)))
SEALED = Thought("Hm", Signature("signature", "abc"))


@pytest.mark.parametrize(
    ("messages", "thinks"),
    [
        ((HI, CALLED, RESULT), False),
        ((HI, assistant(SEALED, *CALLED.content), RESULT), True),
        ((HI, assistant(Text("Well")), HI), True),
        ((HI, assistant(Text("Well"))), False),
    ],
    ids="bare-call signed-call text unfinished".split(),
)
def test_a_budget_is_left_out_where_thinking_cannot_begin(
    messages: tuple[Message, ...], thinks: bool
) -> None:
    prompt = Prompt("m", messages, tools=(TOOL,), thinking=Thinking(budget=2000))
    assert ("thinking" in render(prompt, BUDGET)) is thinks
    assert "thinking" in render(prompt, TARGET)


# -- system and turns -----------------------------------------------------------------------------------


def test_the_system_is_one_string_unless_something_is_cached() -> None:
    both = Prompt("m", (system(Text("B")), HI), system=(Text("A"), Text(" ")))
    assert render(both)["system"] == "A\n\nB"
    cached = replace(both, system=(Text("A", cache=True), Text(" ")))
    assert render(cached)["system"] == [
        {"type": "text", "text": "A", "cache_control": CACHE},
        {"type": "text", "text": "B"},
    ]


def test_a_system_message_between_others_is_a_text_of_the_user() -> None:
    found = turns(HI, system(Text("Hear")), assistant(Text("Well")), user(Text("So")))
    assert found == [
        {"role": "user", "content": [{"type": "text", "text": "Hi"}, {"type": "text", "text": "Hear"}]},
        {"role": "assistant", "content": [{"type": "text", "text": "Well"}]},
        {"role": "user", "content": [{"type": "text", "text": "So"}]},
    ]


def test_results_stand_first_and_one_role_speaks_once() -> None:
    second = user(ToolResult("u", (Text("ok"),)))
    found = turns(HI, CALLED, assistant(ToolCall("u", "f", "")), user(Text("So")), RESULT, second)
    assert isinstance(found, list)
    assert [each["role"] for each in found] == ["user", "assistant", "user"]
    assert [each["type"] for each in found[2]["content"]] == ["tool_result", "tool_result", "text"]
    assert [each.get("tool_use_id") for each in found[2]["content"]] == ["t", "u", None]


def test_nothing_blank_and_no_blank_end() -> None:
    found = turns(HI, assistant(Text(" ")), user(Text("")), assistant(Text("So "), Text("far: \n")))
    assert isinstance(found, list)
    assert [each["role"] for each in found] == ["user", "assistant"]
    assert [each["text"] for each in found[1]["content"]] == ["So ", "far:"]


@pytest.mark.parametrize("messages", [(), (system(Text("Be")),), (user(Text(" ")),)])
def test_an_empty_conversation_is_refused(messages: tuple[Message, ...]) -> None:
    with pytest.raises(Untranslatable, match="messages"):
        turns(*messages)


def test_the_user_opens() -> None:
    found = turns(assistant(Text("Welcome")), HI)
    assert isinstance(found, list)
    assert found[0] == {"role": "user", "content": [{"type": "text", "text": OPENING}]}
    assert [each["role"] for each in found] == ["user", "assistant", "user"]


@pytest.mark.parametrize(
    ("thought", "blocks"),
    [
        (SEALED, [{"type": "thinking", "thinking": "Hm", "signature": "abc"}]),
        (Thought("", Signature("redacted", "def")), [{"type": "redacted_thinking", "data": "def"}]),
        (Thought("Hm"), []),
        (Thought("Hm", Signature("plain", "")), []),
        (Thought("Hm", Signature("encrypted", "x")), []),
    ],
    ids="signed redacted bare plain foreign".split(),
)
def test_only_its_own_signatures_go_back(thought: Thought, blocks: list[object]) -> None:
    assert turn(thought, Text("Well"), role=Role.ASSISTANT)[1:] == [*blocks, {"type": "text", "text": "Well"}]


@pytest.mark.parametrize(
    ("arguments", "value"),
    [
        ('{"a": 1}', {"a": 1}),
        ("", {}),
        ("[1, 2]", {"value": [1, 2]}),
        ('{"a', {"value": '{"a'}),
    ],
)
def test_arguments_are_an_object(arguments: str, value: object) -> None:
    (_, call) = turn(ToolCall("t", "f", arguments), role=Role.ASSISTANT)
    assert call == {"type": "tool_use", "id": "t", "name": "f", "input": value}


def test_a_call_without_a_name_is_refused() -> None:
    with pytest.raises(Untranslatable, match="name"):
        turn(ToolCall("t", "", "{}"), role=Role.ASSISTANT)


def test_ids_are_made_of_what_the_provider_takes_and_stay_apart() -> None:
    odd = ["call:1.2", "call.1:2", "fc_1-a", "ü"]
    found = turns(HI, assistant(*(ToolCall(each, "f", "{}") for each in odd)), *map(_result, odd))
    assert isinstance(found, list)
    called = [each["id"] for each in found[1]["content"]]
    assert called == ["call_3a_1_2e_2", "call_2e_1_3a_2", "fc_1-a", "_fc_"]
    assert [each["tool_use_id"] for each in found[2]["content"]] == called


def _result(tool_id: str) -> Message:
    return user(ToolResult(tool_id))


@pytest.mark.parametrize(
    ("result", "fields"),
    [
        (ToolResult("t"), {}),
        (ToolResult("t", (Text("  "),)), {"content": "  "}),
        (ToolResult("t", (Text("no"),), error=True), {"content": "no", "is_error": True}),
        (
            ToolResult("t", (Text("ok", cache=True),)),
            {"content": [{"type": "text", "text": "ok", "cache_control": CACHE}]},
        ),
        (
            ToolResult("t", (Text(""), IMAGE)),
            {
                "content": [
                    {
                        "type": "image",
                        "source": {"type": "base64", "media_type": "image/png", "data": "iVBORaaa"},
                    }
                ]
            },
        ),
    ],
    ids="empty blank error cached image".split(),
)
def test_results_of_tools(result: ToolResult, fields: dict[str, object]) -> None:
    assert turn(result) == [{"type": "tool_result", "tool_use_id": "t", **fields}, *turn()]


@pytest.mark.parametrize(
    ("media", "block"),
    [
        (
            Media(MediaKind.IMAGE, MediaForm.URL, "http://localhost/i"),
            {"type": "image", "source": {"type": "url", "url": "http://localhost/i"}},
        ),
        (
            Media(MediaKind.FILE, MediaForm.DATA, "JVBERi0x", name="D"),
            {
                "type": "document",
                "source": {"type": "base64", "media_type": "application/pdf", "data": "JVBERi0x"},
                "title": "D",
            },
        ),
        (
            Media(MediaKind.FILE, MediaForm.DATA, "Y2Fmw6k=", "text/markdown"),
            {"type": "document", "source": {"type": "text", "media_type": "text/plain", "data": "café"}},
        ),
    ],
    ids="url pdf text".split(),
)
def test_media(media: Media, block: dict[str, object]) -> None:
    assert turn(media)[0] == block


def test_a_file_of_another_kind_is_refused() -> None:
    with pytest.raises(Untranslatable, match="application/zip"):
        turn(Media(MediaKind.FILE, MediaForm.DATA, "UEsDBP/+", "application/zip"))


def test_an_image_of_the_assistant_is_shown_by_the_user() -> None:
    found = turns(HI, assistant(Text("Look"), IMAGE), user(Text("Nice")))
    assert isinstance(found, list)
    assert [each["type"] for each in found[2]["content"]] == ["image", "text"]
    assert turn(Refusal("No."), role=Role.ASSISTANT)[1] == {"type": "text", "text": "No."}


# -- tools ----------------------------------------------------------------------------------------------

TWO = replace(ASKED, tools=(Tool("f"), Tool("g")))


@pytest.mark.parametrize(
    ("choice", "parallel", "written", "names"),
    [
        (None, None, None, "fg"),
        (None, False, {"type": "auto", "disable_parallel_tool_use": True}, "fg"),
        (ToolChoice(ToolMode.AUTO), True, {"type": "auto"}, "fg"),
        (ToolChoice(ToolMode.AUTO, ("g",)), None, {"type": "auto"}, "g"),
        (
            ToolChoice(ToolMode.REQUIRED),
            False,
            {"type": "any", "disable_parallel_tool_use": True},
            "fg",
        ),
        (ToolChoice(ToolMode.REQUIRED, ("g",)), None, {"type": "tool", "name": "g"}, "fg"),
        (ToolChoice(ToolMode.REQUIRED, ("f", "g")), None, {"type": "any"}, "fg"),
        (ToolChoice(ToolMode.NONE), False, {"type": "none"}, "fg"),
    ],
)
def test_which_tools_may_be_called(
    choice: ToolChoice | None, parallel: bool | None, written: object, names: str
) -> None:
    body = render(replace(TWO, tool_choice=choice, parallel_tool_calls=parallel))
    assert body.get("tool_choice") == written
    assert isinstance(body["tools"], list)
    assert [each["name"] for each in body["tools"]] == list(names)


def test_a_tool_has_a_schema_of_an_object() -> None:
    tools = (Tool("f"), Tool("g", "d", {"properties": {}}, strict=False))
    empty = {"type": "object", "properties": {}}
    assert render(replace(ASKED, tools=tools))["tools"] == [
        {"name": "f", "input_schema": empty},
        {"name": "g", "description": "d", "input_schema": empty},
    ]


def test_tools_that_were_called_are_declared_and_not_called_again() -> None:
    body = render(Prompt("m", (HI, CALLED, RESULT), tool_choice=ToolChoice(ToolMode.AUTO)))
    assert body["tools"] == [{"name": "f", "input_schema": {"type": "object", "properties": {}}}]
    assert body["tool_choice"] == {"type": "none"}
    assert not render(replace(ASKED, parallel_tool_calls=False)).keys() & {"tools", "tool_choice"}

"""What a client's request means, field by field; and what of it nobody else can do."""

from collections.abc import Mapping

import pytest

from protocols.anthropic_messages import PROTOCOL
from protocols.model.call import Call, Operation
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
from protocols.shared.signatures import wrapped

CACHE = {"type": "ephemeral"}
SCHEMA = {"type": "object", "properties": {"a": {"type": "string"}}}


def ask(**body: object) -> Prompt:
    return PROTOCOL.translator.read_request(
        Call("id", PROTOCOL.name, Operation.GENERATE, "m", True, (), body)
    )


def said(role: str, *blocks: object) -> tuple[Message, ...]:
    return ask(messages=[{"role": role, "content": list(blocks)}]).messages


def only(block: Mapping[str, object], role: str = "user") -> tuple[Content, ...]:
    return said(role, block)[0].content


def refused(**body: object) -> str:
    with pytest.raises(Untranslatable) as refusal:
        ask(**body)
    return refusal.value.field


# -- knobs ----------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("body", "field", "value"),
    [
        ({"max_tokens": 5}, "max_output", 5),
        ({"temperature": 0}, "temperature", 0),
        ({"top_p": 0.5}, "top_p", 0.5),
        ({"top_k": 3}, "top_k", 3),
        ({"stop_sequences": ["A", "B"]}, "stop", ("A", "B")),
        ({"metadata": {"user_id": "u"}}, "user", "u"),
        ({"metadata": {"user_id": "u"}}, "metadata", None),
        ({"metadata": {"team": "x"}}, "metadata", {"team": "x"}),
        ({"service_tier": "auto"}, "service_tier", "auto"),
        ({"service_tier": "standard_only"}, "service_tier", "default"),
        ({"tool_choice": {"type": "auto"}}, "tool_choice", ToolChoice(ToolMode.AUTO)),
        ({"tool_choice": {"type": "any"}}, "tool_choice", ToolChoice(ToolMode.REQUIRED)),
        ({"tool_choice": {"type": "none"}}, "tool_choice", ToolChoice(ToolMode.NONE)),
        (
            {"tool_choice": {"type": "tool", "name": "f"}},
            "tool_choice",
            ToolChoice(ToolMode.REQUIRED, ("f",)),
        ),
        ({"tool_choice": {"type": "any", "disable_parallel_tool_use": True}}, "parallel_tool_calls", False),
        ({"tool_choice": {"type": "any", "disable_parallel_tool_use": False}}, "parallel_tool_calls", None),
        (
            {"output_config": {"format": {"type": "json_schema", "schema": SCHEMA}}},
            "response_format",
            ResponseFormat(SCHEMA),
        ),
        (
            {"output_format": {"type": "json_schema", "schema": SCHEMA}},
            "response_format",
            ResponseFormat(SCHEMA),
        ),
        ({"output_config": {"effort": "low", "new": 1}}, "extensions", {"output_config": {"new": 1}}),
        ({"output_config": {"effort": "new"}}, "extensions", {"output_config": {"effort": "new"}}),
        (
            {"context_management": {"edits": []}, "diagnostics": {"x": None}, "odd": None, "mcp_servers": []},
            "extensions",
            {"context_management": {"edits": []}, "diagnostics": {"x": None}},
        ),
    ],
)
def test_knobs(body: dict[str, object], field: str, value: object) -> None:
    assert getattr(ask(**body), field) == value
    assert getattr(ask(), field) in (None, (), {})


@pytest.mark.parametrize(
    ("body", "thinking"),
    [
        ({"thinking": {"type": "enabled", "budget_tokens": 2048}}, Thinking(budget=2048, shown=True)),
        ({"thinking": {"type": "disabled"}, "output_config": {"effort": "high"}}, Thinking(Effort.NONE)),
        ({"thinking": {"type": "adaptive"}}, Thinking(budget=-1)),
        (
            {"thinking": {"type": "adaptive", "display": "omitted"}, "output_config": {"effort": "medium"}},
            Thinking(Effort.MEDIUM, shown=False),
        ),
        ({"thinking": {"type": "adaptive", "display": "summarized"}}, Thinking(budget=-1, shown=True)),
        ({"output_config": {"effort": "max"}}, Thinking(Effort.MAX)),
        ({"output_config": {"effort": "new"}}, None),
    ],
)
def test_how_it_is_to_think(body: dict[str, object], thinking: Thinking | None) -> None:
    assert ask(**body).thinking == thinking


def test_tools() -> None:
    plain = {"name": "f", "description": "d", "input_schema": SCHEMA, "eager_input_streaming": True}
    found = ask(tools=[plain, {"type": "custom", "name": "g", "strict": True, "cache_control": CACHE}]).tools
    assert found == (Tool("f", "d", SCHEMA), Tool("g", strict=True, cache=True))


# -- what only the provider can do ----------------------------------------------------------------------


@pytest.mark.parametrize(
    "kind",
    """bash_20250124 text_editor_20250728 computer_20250124 memory_20250818 web_search_20250305
    web_fetch_20250910 code_execution_20250825 tool_search_tool_bm25_20251119 mcp_toolset""".split(),
)
def test_its_own_tools_are_refused(kind: str) -> None:
    assert refused(tools=[{"name": "f"}, {"type": kind, "name": "x"}]) == "tools[1].type"


@pytest.mark.parametrize(
    ("body", "field"),
    [
        ({"mcp_servers": [{"url": "http://localhost"}]}, "mcp_servers"),
        ({"container": "c1"}, "container"),
        ({"tools": [{"input_schema": SCHEMA}]}, "tools[0].name"),
        ({"tool_choice": {"type": "new"}}, "tool_choice.type"),
        ({"output_config": {"format": {"type": "grammar"}}}, "output_config.format.type"),
        ({"messages": [{"role": "tool", "content": "x"}]}, "messages[0].role"),
    ],
)
def test_what_cannot_be_said_elsewhere_is_refused(body: dict[str, object], field: str) -> None:
    assert refused(**body) == field


@pytest.mark.parametrize(
    ("block", "field"),
    [
        ({"type": "container_upload", "file_id": "f"}, "type"),
        ({"type": "brand_new"}, "type"),
        ({"type": "tool_use", "id": "t", "input": {}}, "name"),
        ({"type": "image", "source": {"type": "brand_new"}}, "source.type"),
        ({"type": "tool_result", "tool_use_id": "t", "content": [{"type": "brand_new"}]}, "content[0].type"),
    ],
)
def test_blocks_that_cannot_be_said_elsewhere_are_refused(block: object, field: str) -> None:
    messages = [{"role": "user", "content": [{"type": "text", "text": "Hi"}, block]}]
    assert refused(messages=messages) == f"messages[0].content[1].{field}"


# -- messages -------------------------------------------------------------------------------------------


def test_a_system_of_one_string_or_of_blocks() -> None:
    assert ask(system="Be kind.").system == (Text("Be kind."),)
    blocks = [{"type": "text", "text": "A"}, {"type": "text", "text": "B", "cache_control": CACHE}]
    assert ask(system=blocks).system == (Text("A"), Text("B", cache=True))


def test_content_of_one_string_and_messages_of_the_system_between() -> None:
    system = {"role": "system", "content": "# Environment", "output_config": {"effort": "medium"}}
    found = ask(messages=[{"role": "user", "content": "Hi"}, system, {"role": "assistant", "content": ""}])
    assert found.messages == (
        Message(Role.USER, (Text("Hi"),)),
        Message(Role.SYSTEM, (Text("# Environment"),)),
    )


@pytest.mark.parametrize(
    ("source", "media"),
    [
        (
            {"type": "base64", "media_type": "image/png", "data": "aW1n"},
            Media(MediaKind.IMAGE, MediaForm.DATA, "aW1n", "image/png"),
        ),
        (
            {"type": "url", "url": "http://localhost/i"},
            Media(MediaKind.IMAGE, MediaForm.URL, "http://localhost/i"),
        ),
        ({"type": "file", "file_id": "f1"}, Media(MediaKind.IMAGE, MediaForm.FILE_ID, "f1")),
    ],
    ids="base64 url file".split(),
)
def test_images(source: object, media: Media) -> None:
    assert only({"type": "image", "source": source}) == (media,)


@pytest.mark.parametrize(
    ("fields", "content"),
    [
        (
            {"source": {"type": "base64", "media_type": "application/pdf", "data": "cGRm"}, "title": "T"},
            (Media(MediaKind.FILE, MediaForm.DATA, "cGRm", "application/pdf", "T"),),
        ),
        (
            {"source": {"type": "url", "url": "http://localhost/d"}, "context": "C"},
            (Text("C"), Media(MediaKind.FILE, MediaForm.URL, "http://localhost/d", "application/pdf")),
        ),
        ({"source": {"type": "text", "data": "D"}, "title": "T", "context": "C"}, (Text("T\n\nC\n\nD"),)),
        ({"source": {"type": "content", "content": "D"}, "cache_control": CACHE}, (Text("D", cache=True),)),
        (
            {"source": {"type": "content", "content": [{"type": "text", "text": "D"}]}, "title": "T"},
            (Text("T"), Text("D")),
        ),
    ],
    ids="pdf url text string blocks".split(),
)
def test_documents(fields: dict[str, object], content: tuple[Content, ...]) -> None:
    assert only({"type": "document", **fields}) == content


def test_search_results_are_text() -> None:
    texts = [{"type": "text", "text": "A"}, {"type": "text", "text": "B"}]
    block = {"type": "search_result", "title": "T", "source": "http://localhost/", "content": texts}
    assert only(block) == (Text("T\n\nhttp://localhost/\n\nA\n\nB"),)


@pytest.mark.parametrize(
    ("fields", "result"),
    [
        ({"content": "ok", "is_error": False}, ToolResult("t", (Text("ok"),))),
        ({"content": "no", "is_error": True}, ToolResult("t", (Text("no"),), error=True)),
        ({}, ToolResult("t")),
        ({"content": "ok", "cache_control": CACHE}, ToolResult("t", (Text("ok", cache=True),))),
        (
            {
                "content": [
                    {"type": "text", "text": "see"},
                    {"type": "image", "source": {"type": "url", "url": "http://localhost/i"}},
                    {"type": "tool_reference", "tool_name": "g"},
                ]
            },
            ToolResult(
                "t", (Text("see"), Media(MediaKind.IMAGE, MediaForm.URL, "http://localhost/i"), Text("g"))
            ),
        ),
    ],
    ids="text error empty cached blocks".split(),
)
def test_results_of_tools(fields: dict[str, object], result: ToolResult) -> None:
    assert only({"type": "tool_result", "tool_use_id": "t", **fields}) == (result,)


FOREIGN = wrapped(Signature("encrypted", "abc"), "openai")


def test_what_the_assistant_said_thought_and_called() -> None:
    content = said(
        "assistant",
        {"type": "thinking", "thinking": "Hm", "signature": "abc"},
        {"type": "thinking", "thinking": "Oh", "signature": FOREIGN.value},
        {"type": "thinking", "thinking": "So", "signature": ""},
        {"type": "redacted_thinking", "data": "def"},
        {"type": "text", "text": "Well", "citations": [{"type": "char_location"}]},
        {"type": "tool_use", "id": "t", "name": "f", "input": {"a": 1}},
    )[0].content
    assert content == (
        Thought("Hm", Signature("signature", "abc")),
        Thought("Oh", FOREIGN),
        Thought("So"),
        Thought("", Signature("redacted", "def")),
        Text("Well"),
        ToolCall("t", "f", '{"a":1}'),
    )


def test_what_the_providers_tools_did_earlier_is_left_out() -> None:
    hosted = [
        {"type": "server_tool_use", "id": "s", "name": "web_search", "input": {"query": "tea"}},
        {"type": "web_search_tool_result", "tool_use_id": "s", "content": [{"encrypted_content": "x"}]},
        {"type": "mcp_tool_use", "id": "u", "name": "f", "input": {}},
        {"type": "fallback", "from": {}, "to": {}},
    ]
    text = {"type": "text", "text": "Green."}
    assert said("assistant", *hosted, text) == (Message(Role.ASSISTANT, (Text("Green."),)),)
    assert said("assistant", *hosted) == ()
    assert only({"type": "compaction", "content": "Before: tea."}, "assistant") == (Text("Before: tea."),)


def test_a_request_as_a_coding_agent_sends_it() -> None:
    found = ask(
        system=[{"type": "text", "text": "You are an agent.", "cache_control": {**CACHE, "scope": "global"}}],
        messages=[
            {"role": "user", "content": [{"type": "text", "text": "hi"}]},
            {"role": "system", "content": "# Environment", "output_config": {"effort": "medium"}},
            {"role": "assistant", "content": [{"type": "tool_use", "id": "t", "name": "Bash", "input": {}}]},
            {
                "role": "user",
                "content": [{"type": "tool_result", "tool_use_id": "t", "content": "ok", "is_error": False}],
            },
        ],
        tools=[{"name": "Bash", "description": "d", "input_schema": SCHEMA}],
        metadata={"user_id": "{}"},
        max_tokens=128000,
        thinking={"type": "adaptive", "display": "omitted"},
        output_config={"effort": "medium"},
        context_management={"edits": [{"type": "clear_thinking_20251015", "keep": "all"}]},
        diagnostics={"previous_message_id": None},
        stream=True,
    )
    assert [each.role for each in found.messages] == [Role.USER, Role.SYSTEM, Role.ASSISTANT, Role.USER]
    assert (found.stream, found.thinking) == (True, Thinking(Effort.MEDIUM, shown=False))
    assert found.extensions.keys() == {"context_management", "diagnostics"}

"""Tools under the names and in the forms that another protocol has for them."""

import json
from dataclasses import replace

import pytest

from protocols.model.parts import BlockKind, BlockStart, ToolKind
from protocols.model.prompt import (
    Message,
    Prompt,
    Role,
    Text,
    Tool,
    ToolCall,
    ToolChoice,
    ToolMode,
    ToolResult,
)
from rewrite.translation.tool_names import LONGEST_NAME, flattened, tool_names

CUSTOM = ToolKind.CUSTOM
PLAIN = Tool("read", "Reads", {"type": "object"}, strict=True)
PATCH = Tool("patch", "Patches", kind=CUSTOM, grammar={"syntax": "lark", "definition": "start: /x/"})
GROUPED = Tool("read", "Reads pages", namespace="browser")


def start(name: str) -> BlockStart:
    return BlockStart(0, 0, BlockKind.TOOL, "t1", name)


@pytest.mark.parametrize(
    ("namespace", "name", "flat"),
    [
        ("", "read_file-2", "read_file-2"),
        ("functions", "read", "read"),
        ("browser", "read", "browser__read"),
    ],
)
def test_a_namespace_becomes_part_of_the_name(namespace: str, name: str, flat: str) -> None:
    assert flattened(namespace, name) == flat


@pytest.mark.parametrize("name", ["a.b", "é", "a b", "x" * 65, "mcp:" + "y" * 80])
def test_other_characters_and_lengths_are_made_fit_and_stay_distinct(name: str) -> None:
    flat = flattened("", name)
    assert len(flat) <= LONGEST_NAME
    assert flat.replace("-", "").replace("_", "").isalnum()
    assert flat.isascii()
    assert flat == flattened("", name) != flattened("", name + "!")


def test_a_name_of_the_greatest_length_stays() -> None:
    assert flattened("", "x" * LONGEST_NAME) == "x" * LONGEST_NAME


def test_two_tools_that_come_to_one_name_are_told_apart() -> None:
    other = replace(GROUPED, name="browser__read", namespace="")
    names = tool_names(Prompt("m", tools=(GROUPED, other)), functions_only=True)
    assert len(names.tools) == 2
    known = {names.known_by_client(start(flat)).tool_name for flat in names.tools}
    assert known == {"read", "browser__read"}


def test_a_call_is_given_back_under_the_client_s_name_and_kind() -> None:
    names = tool_names(Prompt("m", tools=(PLAIN, GROUPED, PATCH)), functions_only=True)
    assert names.known_by_client(start("read")) == start("read")
    assert names.known_by_client(start("browser__read")) == replace(start("read"), namespace="browser")
    assert names.known_by_client(start("patch")).tool_kind is CUSTOM
    assert names.known_by_client(start("invented")) == start("invented")


def test_a_prompt_s_history_and_choice_use_the_target_s_names() -> None:
    turns = (
        Message(
            Role.ASSISTANT,
            (
                Text("Hm"),
                ToolCall("1", "read", "{}", namespace="browser"),
                ToolCall("2", "patch", "diff", CUSTOM),
            ),
        ),
        Message(Role.USER, (ToolResult("2", (Text("ok"),), "patch", kind=CUSTOM),)),
    )
    choice = ToolChoice(ToolMode.REQUIRED, ("read",))
    prompt = Prompt("m", turns, tools=(GROUPED, PATCH), tool_choice=choice)
    found = tool_names(prompt, functions_only=True).fitted(prompt)
    assert found.tool_choice == ToolChoice(ToolMode.REQUIRED, ("browser__read",))
    assert [(tool.name, tool.namespace, tool.kind) for tool in found.tools] == [
        ("browser__read", "", ToolKind.FUNCTION),
        ("patch", "", ToolKind.FUNCTION),
    ]
    text, read, patch = found.messages[0].content
    assert text == Text("Hm")
    assert read == ToolCall("1", "browser__read", "{}")
    assert isinstance(patch, ToolCall)
    assert (patch.kind, json.loads(patch.arguments)) == (ToolKind.FUNCTION, {"input": "diff"})
    assert found.messages[1].content == (ToolResult("2", (Text("ok"),), "patch"),)


def test_a_tool_of_free_text_becomes_a_function_that_tells_its_grammar() -> None:
    (tool,) = tool_names(p := Prompt("m", tools=(PATCH,)), functions_only=True).fitted(p).tools
    assert tool.parameters is not None
    assert tool.parameters["required"] == ["input"]
    assert tool.description.startswith("Patches")
    assert "start: /x/" in tool.description
    assert tool.grammar is None


@pytest.mark.parametrize(
    ("tool", "functions_only", "lost"),
    [
        (PATCH, True, ["tool grammars"]),
        (PATCH, False, []),
        (replace(PATCH, grammar=None), True, []),
        (PLAIN, True, []),
    ],
)
def test_that_nothing_holds_a_text_to_its_grammar_is_reported(
    tool: Tool, functions_only: bool, lost: list[str]
) -> None:
    names = tool_names(Prompt("m", tools=(tool,)), functions_only=functions_only)
    assert [loss.field for loss in names.lost] == lost


def test_where_free_text_is_taken_it_stays() -> None:
    prompt = Prompt("m", (Message(Role.ASSISTANT, (ToolCall("2", "patch", "d", CUSTOM),)),), tools=(PATCH,))
    names = tool_names(prompt, functions_only=False)
    assert names.fitted(prompt) == prompt
    assert not names.unwraps(replace(start("patch"), tool_kind=CUSTOM))
    assert names.unwrapped(replace(start("patch"), tool_kind=CUSTOM), '{"input": "d"}') == '{"input": "d"}'


@pytest.mark.parametrize(
    ("text", "inside"),
    [
        ('{"input": "a\\nb"}', "a\nb"),
        ('{"input": ""}', ""),
        ('{"other": 1}', '{"other": 1}'),
        ('{"input": "a', None),
        ("", None),
    ],
)
def test_the_text_of_a_call_is_taken_out_of_what_is_around_it(text: str, inside: str | None) -> None:
    """Of half a call, nothing: a client would run it."""
    names = tool_names(Prompt("m", tools=(PATCH,)), functions_only=True)
    began = names.known_by_client(start("patch"))
    assert names.unwraps(began)
    assert names.unwrapped(began, text) == inside
    assert names.unwrapped(start("read"), '{"input": "x"}') == '{"input": "x"}'


def test_half_a_surrogate_in_a_name_is_a_character_like_another() -> None:
    name = flattened("", "a\ud800")
    assert name == flattened("", "a\ud800")
    assert name.isascii()

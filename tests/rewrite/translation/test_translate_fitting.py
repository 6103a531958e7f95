"""A prompt made fit for another protocol: what is lost is reported, what would change is refused, and tools
get the names and the forms that they have there."""

import json
from dataclasses import replace

import pytest

from protocols.base import Abilities
from protocols.model.errors import Untranslatable
from protocols.model.parts import BlockKind, BlockStart, Signature, ToolKind
from protocols.model.prompt import (
    Content,
    Media,
    MediaForm,
    MediaKind,
    Message,
    Prompt,
    Role,
    Text,
    Thought,
    Tool,
    ToolCall,
    ToolChoice,
    ToolMode,
    ToolResult,
)
from protocols.shared.signatures import wrapped
from rewrite.translation.translate import LONGEST_NAME, fitted, flattened, tool_names

ABLE = Abilities(
    lacks={"seed": "it has no seed", "stop": "it stops for nobody"},
    media={MediaKind.IMAGE: frozenset({MediaForm.DATA})},
)
SEAL = Signature("signature", "sig")
PNG = Media(MediaKind.IMAGE, MediaForm.DATA, "AAAA", "image/png")
LINK = Media(MediaKind.IMAGE, MediaForm.URL, "https://a/b.png", at="input[2].content[0]")
UPLOAD = Media(MediaKind.FILE, MediaForm.FILE_ID, "file-1", at="input[2].content[0]")
SOUND = Media(MediaKind.AUDIO, MediaForm.DATA, "AAAA", at="input[2].content[0]")
HI = Message(Role.USER, (Text("Hi"),))

CUSTOM = ToolKind.CUSTOM
PLAIN = Tool("read", "Reads", {"type": "object"}, strict=True)
PATCH = Tool("patch", "Patches", kind=CUSTOM, grammar={"syntax": "lark", "definition": "start: /x/"})
GROUPED = Tool("read", "Reads pages", namespace="browser")


def said(*content: Content, role: Role = Role.ASSISTANT) -> Prompt:
    return Prompt("m", (HI, Message(role, content)))


def lost(prompt: Prompt) -> list[tuple[str, str]]:
    return [(loss.field, loss.why) for loss in fitted(prompt, ABLE, "anthropic")[1]]


def test_a_prompt_that_fits_is_the_same_and_loses_nothing() -> None:
    prompt = replace(said(Text("Hello")), temperature=0.5)
    assert fitted(prompt, ABLE, "anthropic") == (prompt, ())


def test_what_the_target_lacks_is_cleared_and_reported_once_where_it_was_said() -> None:
    prompt = replace(said(), seed=0, top_p=0.5)
    found, losses = fitted(prompt, ABLE, "anthropic")
    assert (found.seed, found.top_p) == (None, 0.5)
    assert [(loss.field, loss.why) for loss in losses] == [("seed", "it has no seed")]


def test_fields_that_only_the_client_s_protocol_knows_are_reported() -> None:
    prompt = replace(said(), extensions={"logit_bias": {"1": 2}})
    assert fitted(prompt, ABLE, "anthropic")[0].extensions == {}
    assert lost(prompt) == [("logit_bias", "has no such field there")]


@pytest.mark.parametrize(
    ("thought", "kept"),
    [
        (Thought("hm", wrapped(SEAL, "anthropic")), Thought("hm", SEAL)),
        (Thought("", wrapped(SEAL, "anthropic")), Thought("", SEAL)),
        (Thought("hm", wrapped(SEAL, "gemini")), None),
        (Thought("hm", SEAL), None),
        (Thought("hm"), None),
    ],
    ids=str,
)
def test_reasoning_goes_back_to_its_own_maker_alone(thought: Thought, kept: Thought | None) -> None:
    found, losses = fitted(said(thought, Text("Hello")), ABLE, "anthropic")
    assert found.messages[1].content == ((kept, Text("Hello")) if kept else (Text("Hello"),))
    assert [loss.field for loss in losses] == ([] if kept else ["reasoning"])


def test_a_message_of_nothing_else_is_none() -> None:
    assert fitted(said(Thought("hm")), ABLE, "anthropic")[0].messages == (HI,)
    assert fitted(said(), ABLE, "anthropic")[0].messages == (HI, Message(Role.ASSISTANT, ()))


def test_media_that_the_model_made_is_left_out_and_reported() -> None:
    found, losses = fitted(said(SOUND, Text("there")), ABLE, "anthropic")
    assert found.messages[1].content == (Text("there"),)
    assert [loss.field for loss in losses] == ["media"]


@pytest.mark.parametrize("media", [LINK, UPLOAD, SOUND], ids=str)
@pytest.mark.parametrize("inside", [False, True])
def test_media_that_would_be_missed_is_refused_where_the_client_has_it(media: Media, inside: bool) -> None:
    content: Content = ToolResult("t", (Text("see"), media)) if inside else media
    with pytest.raises(Untranslatable) as refused:
        fitted(said(content, role=Role.USER), ABLE, "anthropic")
    assert refused.value.field == media.at


def test_media_in_a_form_that_is_taken_stays() -> None:
    prompt = said(PNG, ToolResult("t", (PNG,)), role=Role.USER)
    assert fitted(prompt, ABLE, "anthropic") == (prompt, ())


@pytest.mark.parametrize(
    ("choices", "able", "refused"),
    [(None, False, False), (2, False, True), (2, True, False)],
)
def test_more_than_one_choice_is_refused_where_one_alone_is_given(
    choices: int | None, able: bool, refused: bool
) -> None:
    prompt, abilities = replace(said(), choices=choices), replace(ABLE, several_choices=able)
    if refused:
        with pytest.raises(Untranslatable, match="more than one"):
            fitted(prompt, abilities, "anthropic")
    else:
        assert fitted(prompt, abilities, "anthropic")[0].choices == choices


def test_one_choice_is_what_is_given_anyway() -> None:
    lacking = replace(ABLE, lacks={"choices": "there is one answer"})
    prompt, losses = fitted(replace(said(), choices=1), lacking, "anthropic")
    assert (prompt.choices, losses) == (None, ())


# -- what tools are called ------------------------------------------------------------------------------


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

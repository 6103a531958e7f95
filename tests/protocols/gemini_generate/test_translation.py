"""Requests to prompts and back: every knob both ways, calls without ids, signatures, what is refused."""

from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Any

import pytest

from protocols.gemini_generate import PROTOCOL
from protocols.gemini_generate.request_write import UNSIGNED
from protocols.model.call import Destination
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
from protocols.shared.signatures import ENVELOPE, wrapped
from tests.protocols.gemini_generate.frames import EVENTS, INTERNAL, WHOLE, call, calls, text

BY_LEVEL = Destination("gemini", "gemini-3-pro")
BY_BUDGET = Destination("gemini", "gemini-2.5-flash")
USER, MODEL = Role.USER, Role.ASSISTANT


def ask(body: Mapping[str, object], target: str = EVENTS) -> Prompt:
    return PROTOCOL.translator.read_request(call(body, target))


def config(**fields: object) -> Prompt:
    return ask({"generationConfig": fields})


def turns(*found: tuple[str, Sequence[Mapping[str, object]]]) -> tuple[Message, ...]:
    return ask({"contents": [{"role": role, "parts": parts} for role, parts in found]}).messages


def rendered(prompt: Prompt, destination: Destination = BY_BUDGET) -> dict[str, object]:
    return dict(PROTOCOL.translator.write_request(prompt, destination).body)


def contents(*messages: Message, destination: Destination = BY_BUDGET) -> Any:
    return rendered(Prompt("m", messages), destination)["contents"]


def configured(prompt: Prompt, destination: Destination = BY_BUDGET) -> object:
    return rendered(prompt, destination).get("generationConfig")


# -- knobs, both ways -----------------------------------------------------------------------------------

KNOBS: list[tuple[dict[str, object], dict[str, object]]] = [
    ({"maxOutputTokens": 9}, {"max_output": 9}),
    ({"temperature": 0.5}, {"temperature": 0.5}),
    ({"topP": 0.9}, {"top_p": 0.9}),
    ({"topK": 40}, {"top_k": 40}),
    ({"presencePenalty": 1.0}, {"presence_penalty": 1.0}),
    ({"frequencyPenalty": -1.0}, {"frequency_penalty": -1.0}),
    ({"seed": 7}, {"seed": 7}),
    ({"candidateCount": 2}, {"choices": 2}),
    ({"stopSequences": ["a", "b"]}, {"stop": ("a", "b")}),
    ({"responseLogprobs": True}, {"logprobs": 0}),
    ({"responseLogprobs": True, "logprobs": 5}, {"logprobs": 5}),
    ({"responseMimeType": "application/json"}, {"response_format": ResponseFormat()}),
    (
        {"responseMimeType": "application/json", "responseJsonSchema": {"type": "object"}},
        {"response_format": ResponseFormat({"type": "object"})},
    ),
    ({"thinkingConfig": {"thinkingBudget": 0}}, {"thinking": Thinking(budget=0)}),
    (
        {"thinkingConfig": {"thinkingBudget": -1, "includeThoughts": True}},
        {"thinking": Thinking(budget=-1, shown=True)},
    ),
]


@pytest.mark.parametrize(("wire", "fields"), KNOBS)
def test_knobs_go_both_ways(wire: dict[str, object], fields: dict[str, object]) -> None:
    prompt = Prompt("m", stream=True, **fields)  # type: ignore[arg-type]
    assert config(**wire) == prompt
    assert configured(prompt) == wire


@pytest.mark.parametrize("level", ["MINIMAL", "LOW", "MEDIUM", "HIGH"])
def test_levels_of_thinking_go_both_ways(level: str) -> None:
    wire = {"thinkingConfig": {"thinkingLevel": level}}
    prompt = config(**wire)
    assert prompt.thinking == Thinking(Effort(level.lower()))
    assert config(thinkingConfig={"thinkingLevel": level.lower()}) == prompt
    assert configured(prompt, BY_LEVEL) == wire


@pytest.mark.parametrize(
    ("destination", "thinking", "wire"),
    [
        (BY_LEVEL, Thinking(budget=4096), {"thinkingLevel": "LOW"}),
        (BY_LEVEL, Thinking(Effort.MAX), {"thinkingLevel": "HIGH"}),
        (BY_LEVEL, Thinking(Effort.NONE), {"thinkingLevel": "MINIMAL"}),
        (BY_LEVEL, Thinking(budget=-1), None),
        (BY_BUDGET, Thinking(Effort.LOW), {"thinkingBudget": 4096}),
        (BY_BUDGET, Thinking(Effort.MAX), {"thinkingBudget": 24_576}),
        (BY_BUDGET, Thinking(Effort.NONE), {"thinkingBudget": 0}),
        (BY_BUDGET, Thinking(shown=True), {"includeThoughts": True}),
        (Destination("g", "gemini-2.5-pro"), Thinking(budget=0), {"thinkingBudget": 128}),
        (Destination("g", "gemini-2.5-pro"), Thinking(budget=-1), {"thinkingBudget": -1}),
        (Destination("g", "any", thinking="budget"), Thinking(Effort.MAX), {"thinkingBudget": 65_536}),
        (
            Destination("g", "gemini-2.5-pro", thinking="effort"),
            Thinking(Effort.LOW),
            {"thinkingLevel": "LOW"},
        ),
        (Destination("g", "any", thinking="none"), Thinking(Effort.LOW, shown=True), None),
    ],
)
def test_thinking_is_rendered_as_the_model_takes_it(
    destination: Destination, thinking: Thinking, wire: object
) -> None:
    expected = {"thinkingConfig": wire} if wire else None
    assert configured(Prompt("m", thinking=thinking), destination) == expected


def test_both_spellings_are_read() -> None:
    snake = {
        "system_instruction": {"parts": [{"text": "Be brief."}]},
        "generation_config": {"max_output_tokens": 5, "thinking_config": {"include_thoughts": True}},
        "tool_config": {"function_calling_config": {"mode": "ANY", "allowed_function_names": ["f"]}},
        "tools": [{"function_declarations": [{"name": "f", "parameters_json_schema": {"a_b": 1}}]}],
        "contents": [
            {"role": "model", "parts": [{"function_call": {"name": "f", "args": {"my_arg": 1}}}]},
            {"parts": [{"function_response": {"name": "f", "response": {"output": "ok"}}}]},
            {"parts": [{"inline_data": {"mime_type": "image/png", "data": "aGk="}}]},
        ],
    }
    assert ask(snake) == Prompt(
        "m",
        (
            Message(MODEL, (ToolCall("gemini_1", "f", '{"my_arg":1}'),)),
            Message(USER, (ToolResult("gemini_1", (Text("ok"),), "f"),)),
            Message(USER, (Media(MediaKind.IMAGE, MediaForm.DATA, "aGk=", "image/png"),)),
        ),
        (Text("Be brief."),),
        (Tool("f", parameters={"a_b": 1}),),
        ToolChoice(ToolMode.REQUIRED, ("f",)),
        stream=True,
        max_output=5,
        thinking=Thinking(shown=True),
    )


def test_what_has_no_counterpart_is_an_extension() -> None:
    found = ask(
        {
            "safetySettings": [{"category": "c"}],
            "labels": {"team": "a"},
            "toolConfig": {"retrievalConfig": {"languageCode": "en"}},
            "generationConfig": {"mediaResolution": "LOW", "responseModalities": ["TEXT"]},
        }
    )
    assert found.extensions == {
        "safetySettings": [{"category": "c"}],
        "labels": {"team": "a"},
        "toolConfig.retrievalConfig": {"languageCode": "en"},
        "generationConfig.mediaResolution": "LOW",
    }


def test_an_enveloped_request_is_opened() -> None:
    body = {"contents": [{"role": "user", "parts": [text("Hi")]}], "session_id": "s"}
    found = ask({"model": "m", "project": "p", "request": body}, INTERNAL)
    assert found == Prompt("m", (Message(USER, (Text("Hi"),)),), stream=True)
    assert ask(body, WHOLE).stream is False


# -- schemas --------------------------------------------------------------------------------------------


def test_the_dialect_becomes_json_schema() -> None:
    dialect = {
        "type": "OBJECT",
        "propertyOrdering": ["type"],
        "properties": {
            "type": {"type": "STRING", "nullable": True, "enum": ["OBJECT"]},
            "list": {"type": "ARRAY", "minItems": "2", "items": {"anyOf": [{"type": "NUMBER"}]}},
            "said": {"type": "STRING", "example": "STRING", "default": {"type": "OBJECT"}},
        },
    }
    (tool,) = ask({"tools": [{"functionDeclarations": [{"name": "f", "parameters": dialect}]}]}).tools
    assert tool.parameters == {
        "type": "object",
        "properties": {
            "type": {"type": ["string", "null"], "enum": ["OBJECT", None]},
            "list": {"type": "array", "minItems": 2, "items": {"anyOf": [{"type": "number"}]}},
            "said": {"type": "string", "examples": ["STRING"], "default": {"type": "OBJECT"}},
        },
    }


def test_json_schema_stays_but_for_types_in_capitals() -> None:
    schema = {
        "type": "OBJECT",
        "properties": {"a": {"type": ["STRING", "NULL"]}, "nullable": {"nullable": True}},
        "$defs": {"X": {"type": "INTEGER", "const": "STRING"}},
        "additionalProperties": False,
    }
    found = config(responseMimeType="application/json", responseJsonSchema=schema).response_format
    assert found == ResponseFormat(
        {
            "type": "object",
            "properties": {"a": {"type": ["string", "null"]}, "nullable": {"nullable": True}},
            "$defs": {"X": {"type": "integer", "const": "STRING"}},
            "additionalProperties": False,
        }
    )


# -- calls and their results ----------------------------------------------------------------------------


def answer(name: str, response: object, **more: object) -> dict[str, object]:
    return {"functionResponse": {"name": name, "response": response, **more}}


def ids(*found: tuple[str, Sequence[Mapping[str, object]]]) -> list[tuple[str, str]]:
    said = [each for message in turns(*found) for each in message.content]
    return [(each.name, each.id) for each in said if isinstance(each, ToolCall | ToolResult)]


def test_calls_without_ids_pair_by_name_and_order() -> None:
    both = [calls(name="f"), calls(name="g"), calls(name="f")]
    results = [answer("f", {}), answer("f", {}), answer("g", {})]
    assert ids(("model", both), ("user", results)) == [
        *(("f", "gemini_1"), ("g", "gemini_2"), ("f", "gemini_3")),
        *(("f", "gemini_1"), ("f", "gemini_3"), ("g", "gemini_2")),
    ]


def test_a_call_that_was_never_answered_is_not_answered_later() -> None:
    found = ids(
        ("model", [calls(name="f"), calls(name="g")]),
        ("user", [answer("g", {})]),
        ("model", [calls(name="f")]),
        ("function", [answer("f", {})]),
    )
    assert found[-2:] == [("f", "gemini_3"), ("f", "gemini_3")]


def test_calls_of_several_turns_in_a_row_wait_for_their_answers() -> None:
    found = ids(
        ("model", [calls(name="f")]),
        ("model", [calls(name="g", id="own")]),
        ("user", [answer("f", {}), answer("g", {}, id="own")]),
    )
    assert found[-2:] == [("f", "gemini_1"), ("g", "own")]


@pytest.mark.parametrize(
    ("response", "words", "error"),
    [
        ({"output": "done"}, "done", False),
        ({"output": {"a": 1}}, '{"a":1}', False),
        ({"error": "broken"}, "broken", True),
        ({"result": 1}, '{"result":1}', False),
        ({"output": "x", "error": "y"}, '{"output":"x","error":"y"}', False),
        ({}, "{}", False),
    ],
)
def test_what_a_tool_gave_back(response: object, words: str, error: bool) -> None:
    (message,) = turns(("user", [answer("f", response)]))
    assert message.content == (ToolResult("gemini_1", (Text(words),), "f", error),)


def test_results_are_rendered_together_with_their_media_after() -> None:
    image = Media(MediaKind.IMAGE, MediaForm.DATA, "aGk=")
    asked = Message(MODEL, (ToolCall("1", "f", '{"a":1}'), ToolCall("2", "g", "")))
    one = Message(USER, (ToolResult("1", (Text("a"), image, Text("b"))),))
    two = Message(USER, (ToolResult("2", (Text("no"),), error=True), Text("Go on.")))
    assert contents(asked, one, two) == [
        {
            "role": "model",
            "parts": [calls(id="1", name="f", args={"a": 1}), calls(id="2", name="g", args={})],
        },
        {
            "role": "user",
            "parts": [
                answer("f", {"output": "a\nb"}, id="1"),
                answer("g", {"error": "no"}, id="2"),
                {"inlineData": {"mimeType": "image/png", "data": "aGk="}},
                text("Go on."),
            ],
        },
    ]


@pytest.mark.parametrize(
    ("content", "why"),
    [
        (ToolCall("1", "", "{}"), "no name"),
        (ToolResult("9"), "of no call"),
    ],
)
def test_what_cannot_be_rendered(content: Content, why: str) -> None:
    with pytest.raises(Untranslatable, match=why) as refused:
        contents(Message(USER, ()), Message(MODEL, (content,)))
    assert refused.value.field == "messages[1]"


@pytest.mark.parametrize(
    "choice",
    [
        ToolChoice(ToolMode.AUTO),
        ToolChoice(ToolMode.AUTO, ("f",)),
        ToolChoice(ToolMode.NONE),
        ToolChoice(ToolMode.REQUIRED),
        ToolChoice(ToolMode.REQUIRED, ("f", "g")),
    ],
)
def test_the_choice_of_tools_goes_both_ways(choice: ToolChoice) -> None:
    assert ask(rendered(Prompt("m", tool_choice=choice))).tool_choice == choice


# -- thoughts and their signatures ---------------------------------------------------------------------------

SEAL = Signature("signature", "c2ln")
OTHERS = wrapped(Signature("encrypted", "x"), "another")


def test_signatures_stand_before_what_they_sign() -> None:
    (message,) = turns(
        (
            "model",
            [
                text("Hm", thought=True, thoughtSignature="c2ln"),
                text("Hi", thoughtSignature="c2ln"),
                {**calls(name="f"), "thoughtSignature": "c2ln"},
                calls(name="g"),
                text("", thoughtSignature="c2ln"),
            ],
        )
    )
    assert message.content == (
        Thought("Hm", SEAL),
        *(Thought("", SEAL), Text("Hi")),
        *(Thought("", SEAL), ToolCall("gemini_1", "f", "{}")),
        ToolCall("gemini_2", "g", "{}"),
        Thought("", SEAL),
    )
    parts = [
        text("Hm", thought=True, thoughtSignature="c2ln"),
        text("Hi", thoughtSignature="c2ln"),
        {**calls(id="gemini_1", name="f", args={}), "thoughtSignature": "c2ln"},
        calls(id="gemini_2", name="g", args={}),
        text("", thoughtSignature="c2ln"),
    ]
    assert contents(message) == [{"role": "model", "parts": parts}]


def test_a_carrier_goes_back_to_the_thought_before_it() -> None:
    carried = {**calls(name="f"), "thoughtSignature": OTHERS.value}
    (message,) = turns(("model", [text("Hm", thought=True), carried]))
    assert message.content == (Thought("Hm", OTHERS), ToolCall("gemini_1", "f", "{}"))
    assert OTHERS.form == ENVELOPE
    (message,) = turns(("model", [text("Hi"), carried]))
    assert message.content == (Text("Hi"), Thought("", OTHERS), ToolCall("gemini_1", "f", "{}"))


@pytest.mark.parametrize("signature", [None, Signature("plain", ""), Signature("encrypted", "x")])
def test_thoughts_of_others_are_left_out(signature: Signature | None) -> None:
    assert contents(Message(MODEL, (Thought("Hm", signature), Text("Hi")))) == [
        {"role": "model", "parts": [text("Hi")]}
    ]
    assert contents(Message(MODEL, (Thought("Hm", signature),))) == []


def test_two_signatures_in_a_row_are_both_kept() -> None:
    other = Signature("signature", "b3Ro")
    assert contents(Message(MODEL, (Thought("", SEAL), Thought("", other), Text("Hi")))) == [
        {"role": "model", "parts": [text("", thoughtSignature="c2ln"), text("Hi", thoughtSignature="b3Ro")]}
    ]


@pytest.mark.parametrize(
    ("destination", "marked"),
    [
        (BY_LEVEL, True),
        (BY_BUDGET, False),
        (Destination("g", "gemini-2.0-flash"), False),
        (Destination("g", "gemini-3-pro", thinking="none"), False),
    ],
)
def test_an_unsigned_call_is_marked_where_signatures_are_checked(
    destination: Destination, marked: bool
) -> None:
    message = Message(MODEL, (Text("Hi"), ToolCall("1", "f", "{}"), ToolCall("2", "g", "{}")))
    (turn,) = contents(message, destination=destination)
    mark = UNSIGNED if marked else None
    assert [part.get("thoughtSignature") for part in turn["parts"]] == [None, mark, None]


def test_a_signed_call_keeps_its_signature() -> None:
    (turn,) = contents(Message(MODEL, (Thought("", SEAL), ToolCall("1", "f", "{}"))), destination=BY_LEVEL)
    assert turn["parts"][0]["thoughtSignature"] == "c2ln"


# -- messages and media ---------------------------------------------------------------------------------


def test_neighbours_of_one_role_are_one_turn() -> None:
    found = contents(
        Message(USER, (Text("a"),)),
        Message(Role.SYSTEM, (Text("b"),)),
        Message(USER, (Text(""), Text("c"))),
        Message(MODEL, (Refusal("no"),)),
    )
    assert found == [
        {"role": "user", "parts": [text("a"), text("b"), text("c")]},
        {"role": "model", "parts": [text("no")]},
    ]


@pytest.mark.parametrize(
    ("part", "media"),
    [
        (
            {"inlineData": {"mimeType": "audio/wav", "data": "aGk="}},
            Media(MediaKind.AUDIO, MediaForm.DATA, "aGk=", "audio/wav"),
        ),
        (
            {"inlineData": {"mimeType": "application/pdf", "data": "aGk=", "displayName": "a.pdf"}},
            Media(MediaKind.FILE, MediaForm.DATA, "aGk=", "application/pdf", "a.pdf"),
        ),
        (
            {"fileData": {"fileUri": "https://a.test/i.png", "mimeType": "image/png"}},
            Media(MediaKind.IMAGE, MediaForm.URL, "https://a.test/i.png", "image/png"),
        ),
        (
            {"fileData": {"fileUri": "gs://b/v.mp4"}},
            Media(MediaKind.FILE, MediaForm.URL, "gs://b/v.mp4"),
        ),
        (
            {"fileData": {"fileUri": "https://generativelanguage.test/v1beta/files/abc"}},
            Media(MediaKind.FILE, MediaForm.FILE_ID, "files/abc"),
        ),
    ],
)
def test_media_are_read(part: Mapping[str, object], media: Media) -> None:
    (message,) = turns(("user", [part]))
    assert message.content == (media,)


@pytest.mark.parametrize(
    ("media", "part"),
    [
        (
            Media(MediaKind.IMAGE, MediaForm.DATA, "aGk=", "image/webp"),
            {"inlineData": {"mimeType": "image/webp", "data": "aGk="}},
        ),
        (
            Media(MediaKind.AUDIO, MediaForm.DATA, "aGk="),
            {"inlineData": {"mimeType": "audio/wav", "data": "aGk="}},
        ),
        (
            Media(MediaKind.IMAGE, MediaForm.URL, "https://a.test/i.JPG?x=1"),
            {"fileData": {"mimeType": "image/jpeg", "fileUri": "https://a.test/i.JPG?x=1"}},
        ),
        (
            Media(MediaKind.FILE, MediaForm.URL, "https://a.test/i"),
            {"fileData": {"fileUri": "https://a.test/i"}},
        ),
    ],
)
def test_media_are_rendered(media: Media, part: Mapping[str, object]) -> None:
    assert contents(Message(USER, (media,))) == [{"role": "user", "parts": [part]}]


# -- where it goes --------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("destination", "stream", "path"),
    [
        (Destination("g", "m"), True, "/v1beta/models/m:streamGenerateContent?alt=sse"),
        (Destination("g", "models/m"), False, "/v1beta/models/m:generateContent"),
        (
            Destination("g", "m", path="/x/{model}:{method}?k=v"),
            True,
            "/x/m:streamGenerateContent?k=v&alt=sse",
        ),
        (Destination("g", "a b", path="/x/{model}:{method}"), False, "/x/a%20b:generateContent"),
    ],
)
def test_the_path_says_model_and_method(destination: Destination, stream: bool, path: str) -> None:
    assert PROTOCOL.translator.write_request(Prompt("m", stream=stream), destination).path == path


def test_code_assist_gets_its_envelope() -> None:
    found = PROTOCOL.translator.write_request(
        Prompt("m", stream=True), Destination("g", "m", path="/v1internal:{method}")
    )
    assert found.path == INTERNAL + "?alt=sse"
    assert found.body == {"model": "m", "request": {"contents": []}}


# -- refused --------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("body", "field"),
    [
        ({"cachedContent": "cachedContents/1"}, "cachedContent"),
        ({"tools": [{"functionDeclarations": []}, {"googleSearch": {}}]}, "tools[1].googleSearch"),
        ({"tools": [{"code_execution": {}}]}, "tools[0].codeExecution"),
        ({"tools": [{"computerUse": {}}]}, "tools[0].computerUse"),
        (
            {"generationConfig": {"responseModalities": ["TEXT", "IMAGE"]}},
            "generationConfig.responseModalities",
        ),
        ({"generationConfig": {"responseMimeType": "text/x.enum"}}, "generationConfig.responseMimeType"),
        (
            {"contents": [{"parts": [text("a"), {"executableCode": {}}]}]},
            "contents[0].parts[1].executableCode",
        ),
        ({"contents": [{"parts": [calls(args={})]}]}, "contents[0].parts[0]"),
        ({"contents": [{"parts": [answer("", {})]}]}, "contents[0].parts[0]"),
        ({"systemInstruction": {"parts": [{"inlineData": {}}]}}, "systemInstruction.parts[0]"),
    ],
)
def test_what_only_the_provider_can_do_is_refused(body: Mapping[str, object], field: str) -> None:
    with pytest.raises(Untranslatable) as refused:
        ask(body)
    assert refused.value.field == field


# -- there and back -------------------------------------------------------------------------------------

RICH = {
    "systemInstruction": {"role": "user", "parts": [text("Be brief."), text("Be kind.")]},
    "contents": [
        {"role": "user", "parts": [text("Hi"), {"inlineData": {"mimeType": "image/png", "data": "aGk="}}]},
        {
            "role": "model",
            "parts": [
                text("Hm", thought=True, thoughtSignature="dGhv"),
                {**calls(name="f", args={"a": [1, {"b": None}]}), "thoughtSignature": "c2ln"},
                calls(name="f", args={}),
            ],
        },
        {"role": "user", "parts": [answer("f", {"output": "1"}), answer("f", {"error": "2"})]},
        {"role": "model", "parts": [text("Done."), text("", thoughtSignature="bGFz")]},
        {"role": "user", "parts": [{"fileData": {"fileUri": "gs://b/x.pdf", "mimeType": "application/pdf"}}]},
    ],
    "tools": [
        {
            "functionDeclarations": [
                {"name": "f", "description": "does", "parametersJsonSchema": {"type": "object"}},
                {"name": "g"},
            ]
        }
    ],
    "toolConfig": {"functionCallingConfig": {"mode": "ANY", "allowedFunctionNames": ["f"]}},
    "generationConfig": {name: value for wire, _ in KNOBS for name, value in wire.items()},
}


@pytest.mark.parametrize("target", [EVENTS, WHOLE])
def test_a_rich_request_comes_back(target: str) -> None:
    prompt = ask(RICH, target)
    found = PROTOCOL.translator.write_request(prompt, replace(BY_BUDGET, model="m", thinking="budget"))
    assert PROTOCOL.translator.read_request(call(found.body, found.path)) == prompt
    assert found.path == target
    assert prompt.extensions == {}


@pytest.mark.parametrize(
    ("model", "thinking", "asked"),
    [
        ("gemini-3.1-pro", Thinking(Effort.MAX), "gemini-3.1-pro-high"),
        ("gemini-3.1-pro", Thinking(Effort.MEDIUM), "gemini-3.1-pro-high"),
        ("gemini-3.1-pro", Thinking(Effort.LOW), "gemini-3.1-pro-low"),
        ("gemini-3.1-pro", Thinking(Effort.NONE), "gemini-3.1-pro-low"),
        ("gemini-3.1-pro", Thinking(shown=True), "gemini-3.1-pro"),
        ("gemini-3.1-pro-low", Thinking(Effort.HIGH), "gemini-3.1-pro-low"),
        ("gemini-3.1-pro", None, "gemini-3.1-pro"),
    ],
)
def test_a_model_whose_name_says_how_much_it_thinks(
    model: str, thinking: Thinking | None, asked: str
) -> None:
    where = Destination("antigravity", model, "/v1internal:{method}", thinking="suffix")
    body = PROTOCOL.translator.write_request(Prompt("m", thinking=thinking), where).body
    assert body["model"] == asked
    assert "thinkingLevel" not in str(body)
    assert "thinkingBudget" not in str(body)

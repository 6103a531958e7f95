"""What a request is asked for that states no limit, in each protocol."""

import pytest

from protocols.base import editor_of
from protocols.model.call import Call, Operation
from protocols.registry import discover

REGISTRY = discover()
INTERNAL = "/v1internal:generateContent"
HERE = "/v1beta/models/m:generateContent"


def limited(name: str, body: dict[str, object], target: str = "/x") -> object:
    call = Call("c", name, Operation.GENERATE, "m", False, (), body, target=target)
    found = editor_of(REGISTRY[name]).with_limit(call, 9, "max_completion_tokens")
    return None if found is call.body else found


@pytest.mark.parametrize(
    ("name", "body", "found"),
    [
        ("openai_chat", {"a": 1}, {"a": 1, "max_completion_tokens": 9}),
        ("openai_chat", {"max_tokens": None}, {"max_tokens": None, "max_completion_tokens": 9}),
        ("openai_chat", {"max_tokens": 3}, None),
        ("openai_chat", {"max_completion_tokens": 3}, None),
        ("openai_responses", {}, {"max_output_tokens": 9}),
        ("openai_responses", {"max_output_tokens": 3}, None),
        ("anthropic_messages", {}, {"max_tokens": 9}),
        ("anthropic_messages", {"max_tokens": 3}, None),
        ("ollama_chat", {"options": {"seed": 1}}, {"options": {"seed": 1, "num_predict": 9}}),
        ("ollama_chat", {"options": {"num_predict": -1}}, None),
    ],
)
def test_a_limit_is_put_where_none_is_stated(name: str, body: dict[str, object], found: object) -> None:
    assert limited(name, body) == found


@pytest.mark.parametrize(
    ("body", "found"),
    [
        ({}, {"generationConfig": {"maxOutputTokens": 9}}),
        ({"generation_config": {"seed": 1}}, {"generation_config": {"seed": 1, "maxOutputTokens": 9}}),
        ({"generationConfig": {"maxOutputTokens": 3}}, None),
        ({"generation_config": {"max_output_tokens": 3}}, None),
    ],
)
def test_gemini_takes_both_spellings_and_an_envelope(body: dict[str, object], found: object) -> None:
    assert limited("gemini_generate", body, HERE) == found
    wrapped = limited("gemini_generate", {"model": "m", "request": body}, INTERNAL)
    assert wrapped == (found and {"model": "m", "request": found})


def test_each_protocol_with_an_editor_is_here() -> None:
    tried = {"openai_chat", "openai_responses", "anthropic_messages", "ollama_chat", "gemini_generate"}
    assert {each.name for each in REGISTRY if each.editor} == tried

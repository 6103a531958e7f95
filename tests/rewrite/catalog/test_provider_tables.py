"""How mappings become providers: what they hold, what is refused, how they are laid over each other."""

import re

import pytest

from addons.config.provider_files import common_facts
from rewrite.catalog.provider_tables import layered, provider
from rewrite.catalog.providers import Provider, Rotation
from rewrite.values.outcome import Kind

PATH = "a path from / on, in which {model} and {method} alone may stand for something"
MINIMAL: dict[str, object] = {
    "base_url": "http://127.0.0.1:9000/api/",
    "hosts": ["llm.example.com", "*.llm.example.com", "other.example.com:8443", "[::1]:9001"],
    "protocols": ["openai_chat"],
}


def test_words_and_phrases_are_lower_case_since_they_are_compared_so() -> None:
    said = provider(
        "x", {**MINIMAL, "errors": {"codes": {"Bad_Key": "auth"}, "phrases": {"No Money": "quota"}}}
    )
    assert said.errors.codes == {"bad_key": Kind.AUTH}
    assert said.errors.phrases == (("no money", Kind.QUOTA),)


def test_paths_are_those_that_the_facts_name() -> None:
    paths = {"openai_chat": "/chat", "gemini_generate": "/v1/{model}:{method}"}
    one = provider("x", {**MINIMAL, "paths": paths, "protocols": ["gemini_generate", "ollama_chat"]})
    assert one.paths == paths


def test_a_custom_provider_has_the_usual_paths_until_it_says_others() -> None:
    usual = provider("custom", layered(common_facts(), MINIMAL))
    assert usual.paths["openai_chat"] == "/v1/chat/completions"
    own = provider("custom", layered(common_facts(), {**MINIMAL, "paths": {"openai_chat": "/chat"}}))
    assert own.paths["openai_chat"] == "/chat"


def test_what_a_mapping_leaves_out() -> None:
    assert provider("x", MINIMAL) == Provider(
        name="x",
        base_url="http://127.0.0.1:9000/api",
        hosts=("llm.example.com", "*.llm.example.com", "other.example.com:8443", "[::1]:9001"),
        protocols=("openai_chat",),
        rotation=Rotation.SEQUENTIAL,
        max_tokens_field="max_tokens",
    )


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"colour": 1, "b": 2}, "provider x: unknown keys b, colour"),
        ({"hosts": "one"}, "provider x: hosts: expected a list"),
        ({"protocols": [1]}, "provider x: protocols: expected a text"),
        ({"auth": "cookie"}, "provider x: auth: 'cookie' is not a valid Carrier"),
        ({"replace_oauth": "no"}, "provider x: replace_oauth: expected true or false"),
        ({"websocket": "maybe"}, "provider x: websocket: 'maybe' is not a valid WebSocket"),
        ({"rotation": 3}, "provider x: rotation: expected a text"),
        ({"models": [{"reasoning": True}]}, "provider x: models: expected a text"),
        ({"models": [{"match": "a", "reasoning": 1}]}, "provider x: models: expected true or false"),
        ({"models": [{"match": "a", "max_output": 0}]}, "provider x: models: expected a number above 0"),
        ({"models": [{"match": "a", "max_output": True}]}, "provider x: models: expected a number above 0"),
        (
            {"models": [{"match": "a", "thinking": "x"}]},
            "provider x: models: 'x' is not a valid ThinkingStyle",
        ),
        ({"models": [{"match": "a", "effort": 1}]}, "provider x: models: unknown keys effort"),
        ({"max_tokens_field": 1}, "provider x: max_tokens_field: expected a text"),
        ({"paths": ["/v1"]}, "provider x: paths: expected a table"),
        ({"paths": {"openai_chat": "v1"}}, f"provider x: paths: expected {PATH}"),
        ({"paths": {"openai_chat": "/{project}"}}, f"provider x: paths: expected {PATH}"),
        ({"errors": []}, "provider x: errors: expected a table"),
        ({"errors": {"codes": {"a": "odd"}}}, "provider x: errors: 'odd' is not a valid Kind"),
    ],
)
def test_a_mapping_that_is_wrong_is_refused_by_name(change: dict[str, object], message: str) -> None:
    with pytest.raises(ValueError, match=f"^{re.escape(message)}$"):
        provider("x", {**MINIMAL, **change})


def test_what_a_mapping_must_hold() -> None:
    with pytest.raises(ValueError, match=r"^provider x: missing keys hosts, protocols$"):
        provider("x", {"base_url": "https://one.example.com"})


def test_layers_merge_tables_and_replace_all_else() -> None:
    general = {"a": {"x": 1, "y": [1]}, "b": 1, "c": {"z": 1}}
    special = {"a": {"y": [2], "w": 3}, "c": 5}
    merged = layered(general, special)
    assert merged == {"a": {"y": [2], "w": 3, "x": 1}, "c": 5, "b": 1}
    assert list(layered({"general": 1}, {"special": 2})) == ["special", "general"]
    assert (general["a"], special["a"]) == ({"x": 1, "y": [1]}, {"y": [2], "w": 3})

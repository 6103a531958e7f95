"""How mappings become providers: what they hold, what is refused, how they are laid over each other."""

import re

import pytest

from addons.config.provider_files import common_facts
from rewrite.catalog.layers import layered
from rewrite.catalog.provider_tables import is_path, provider
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
        ({"models": [{"match": "a", "timeouts": {"stall": 1}}]}, "provider x: models: unknown keys stall"),
        (
            {"models": [{"match": "a", "timeouts": {"stall_timeout": -1}}]},
            "provider x: models: expected a number that is not below 0",
        ),
        (
            {"models": [{"match": "a", "refuses": [""]}]},
            "provider x: models: adapter 'drop_params': params = '' is not a text; its options are params",
        ),
        ({"adapters": "x"}, "provider x: adapters: expected a list"),
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


def test_adapters_are_made_in_their_order() -> None:
    row = {"match": "a", "adapters": ["merge_system"], "refuses": ["seed", "a.b"]}
    one = provider("x", {**MINIMAL, "adapters": ["suppress_developer_role"], "models": [row]})
    assert [each.name for each in one.adapters] == ["suppress_developer_role"]
    facts = one.models[0]
    assert [each.name for each in facts.adapters or ()] == ["merge_system"]
    assert [each.param for each in facts.refuses or ()] == ["seed", "a.b"]


def test_timeouts_have_the_names_of_a_config() -> None:
    seconds = {"stall_timeout": 3, "hold_limit": 0.5, "heartbeat_before_commit": True}
    one = provider("x", {**MINIMAL, "models": [{"match": "a", "timeouts": seconds}]})
    assert one.models[0].timeouts == {"stall": 3, "hold_limit": 0.5, "heartbeat_before_commit": True}


@pytest.mark.parametrize("text", ["/{", "/}", "/{0}", "x"])
def test_what_is_no_path(text: str) -> None:
    assert not is_path(text)

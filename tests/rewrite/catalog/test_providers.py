"""Provider facts: how mappings are read, which hosts are whose, and what the first two built-in files say."""

import re
from dataclasses import replace
from fnmatch import fnmatchcase

import pytest

from addons.config.settings import built_in, common_facts
from protocols.model.http import Origin, WireResponse
from rewrite.catalog.providers import (
    ModelFacts,
    Provider,
    Rotation,
    ThinkingStyle,
    facts_of,
    layered,
    other_owner,
    pool_origin,
    provider,
    serves,
)
from rewrite.policies.classify import rejection
from rewrite.values.outcome import Kind

BUILT_IN = {name: provider(name, facts) for name, facts in built_in().items()}
PATH = "a path from / on, in which {model} and {method} alone may stand for something"
MINIMAL: dict[str, object] = {
    "base_url": "http://127.0.0.1:9000/api/",
    "hosts": ["llm.example.com", "*.llm.example.com", "other.example.com:8443", "[::1]:9001"],
    "protocols": ["openai_chat"],
}


@pytest.mark.parametrize(
    ("name", "token", "subscription"),
    [
        ("openai", "eyJhbGciOi.e30.x", True),
        ("openai", "sk-proj-x", False),
        ("anthropic", "sk-ant-oat01-x", True),
        ("anthropic", "sk-ant-api03-x", False),
    ],
)
def test_tokens_of_a_subscription(name: str, token: str, subscription: bool) -> None:
    assert token.startswith(BUILT_IN[name].oauth_prefixes) is subscription


@pytest.mark.parametrize(
    ("name", "path", "own"),
    [
        ("anthropic", "/v1/messages", False),
        ("anthropic", "/v1/messages/count_tokens", False),
        ("anthropic", "/v1/messages/batches", False),
        ("anthropic", "/v1/files", False),
        ("anthropic", "/v1/models", False),
        ("anthropic", "/api/event_logging/batch", True),
        ("anthropic", "/api/claude_code/settings", True),
        ("anthropic", "/v1/oauth/token", True),
        ("anthropic", "/v1/organizations/me", True),
        ("openai", "/v1/chat/completions", False),
        ("openai", "/v1/responses", False),
        ("openai", "/v1/files", False),
        ("openai", "/v1/batches", False),
        ("openai", "/v1/organization/usage/completions", True),
        ("openai", "/v1/dashboard/billing/usage", True),
        ("openai", "/v1/me", True),
    ],
)
def test_paths_that_keep_the_clients_own_credential(name: str, path: str, own: bool) -> None:
    assert any(fnmatchcase(path, glob) for glob in BUILT_IN[name].own_credential_paths) is own


@pytest.mark.parametrize(
    ("name", "model", "expected"),
    [
        ("openai", "gpt-3.5-turbo", False),
        ("openai", "gpt-4", False),
        ("openai", "gpt-4-turbo", False),
        ("openai", "GPT-4o-mini", False),
        ("openai", "gpt-4.1-nano", False),
        ("openai", "chatgpt-4o-latest", False),
        ("openai", "gpt-5-chat-latest", False),
        ("openai", "gpt-5", True),
        ("openai", "gpt-5.1-codex", True),
        ("openai", "o1-preview", True),
        ("openai", "o3", True),
        ("openai", "o4-mini", True),
        ("openai", "gpt-45", None),
        ("openai", "llama-3", None),
        ("openai", None, None),
        ("anthropic", "claude-2.1", False),
        ("anthropic", "claude-instant-1.2", False),
        ("anthropic", "claude-3-opus-20240229", False),
        ("anthropic", "claude-3-sonnet-20240229", False),
        ("anthropic", "claude-3-haiku-20240307", False),
        ("anthropic", "claude-3-5-sonnet-latest", False),
        ("anthropic", "claude-3-7-sonnet-latest", None),
        ("anthropic", "claude-sonnet-4-5", None),
    ],
)
def test_whether_a_model_is_known_to_reason(name: str, model: str | None, expected: bool | None) -> None:
    assert facts_of(BUILT_IN[name], model).reasoning is expected


@pytest.mark.parametrize(
    ("name", "status", "body", "kind"),
    [
        ("openai", 401, b'{"error":{"type":"invalid_request_error","code":"invalid_api_key"}}', Kind.AUTH),
        ("openai", 429, b'{"error":{"type":"tokens","code":"rate_limit_exceeded"}}', Kind.RATE),
        ("openai", 429, b'{"error":{"type":"insufficient_quota","code":"insufficient_quota"}}', Kind.QUOTA),
        ("openai", 429, b'{"error":{"code":"billing_hard_limit_reached"}}', Kind.QUOTA),
        ("openai", 403, b'{"error":{"code":"access_terminated"}}', Kind.QUOTA),
        ("openai", 400, b'{"error":{"code":"context_length_exceeded"}}', Kind.REQUEST),
        ("openai", 400, b'{"error":{"code":"invalid_encrypted_content"}}', Kind.BINDING),
        ("openai", 404, b'{"error":{"message":"No such File object: file-1"}}', Kind.BINDING),
        ("openai", 503, b'{"error":{"type":"server_error"}}', Kind.SERVER),
        ("anthropic", 401, b'{"error":{"type":"authentication_error"}}', Kind.AUTH),
        ("anthropic", 402, b'{"error":{"type":"billing_error"}}', Kind.QUOTA),
        ("anthropic", 403, b'{"error":{"type":"permission_error"}}', Kind.FORBIDDEN),
        ("anthropic", 429, b'{"error":{"type":"rate_limit_error"}}', Kind.RATE),
        ("anthropic", 529, b'{"error":{"type":"overloaded_error"}}', Kind.SERVER),
        (
            "anthropic",
            400,
            b'{"error":{"type":"invalid_request_error","message":"Your credit balance is too low to go on"}}',
            Kind.QUOTA,
        ),
        (
            "anthropic",
            400,
            b'{"error":{"type":"invalid_request_error","message":"Invalid `signature` in `thinking` block"}}',
            Kind.BINDING,
        ),
        (
            "anthropic",
            400,
            b'{"error":{"type":"invalid_request_error","message":"prompt is too long"}}',
            Kind.REQUEST,
        ),
    ],
)
def test_what_a_providers_errors_blame(name: str, status: int, body: bytes, kind: Kind) -> None:
    assert rejection(WireResponse(status, (), body), BUILT_IN[name].errors, now=0.0).kind is kind


@pytest.mark.parametrize(
    ("word", "kind"),
    [
        ("overloaded_error", Kind.SERVER),
        ("insufficient_quota", Kind.QUOTA),
        ("invalid_api_key", Kind.AUTH),
        ("rate_limit_error", Kind.RATE),
    ],
)
def test_any_provider_knows_the_words_of_both_families(word: str, kind: Kind) -> None:
    custom = provider("custom", layered(common_facts(), MINIMAL))
    assert {one.errors.codes[word] for one in (custom, *BUILT_IN.values())} == {kind}


def test_words_and_phrases_are_lower_case_since_they_are_compared_so() -> None:
    said = provider(
        "x", {**MINIMAL, "errors": {"codes": {"Bad_Key": "auth"}, "phrases": {"No Money": "quota"}}}
    )
    assert said.errors.codes == {"bad_key": Kind.AUTH}
    assert said.errors.phrases == (("no money", Kind.QUOTA),)


@pytest.mark.parametrize(
    ("host", "port", "expected"),
    [
        ("llm.example.com", 443, True),
        ("LLM.Example.COM", 443, True),
        ("llm.example.com.", 443, True),
        ("llm.example.com", 1234, True),
        ("eu.llm.example.com", 443, True),
        ("evil-llm.example.com", 443, False),
        ("llm.example.com.evil.com", 443, False),
        ("other.example.com", 8443, True),
        ("other.example.com", 443, False),
        ("::1", 9001, True),
        ("::1", 9002, False),
        ("127.0.0.1", 9000, True),
        ("127.0.0.1", 9001, False),
    ],
)
def test_which_hosts_a_provider_serves(host: str, port: int, expected: bool) -> None:
    assert serves(provider("x", MINIMAL), host, port) is expected


@pytest.mark.parametrize(
    ("base_url", "host", "port"),
    [
        ("https://one.example.com/v1", "one.example.com", 443),
        ("http://one.example.com", "one.example.com", 80),
        ("https://ONE.example.com:8443", "one.example.com", 8443),
        ("http://[::1]:7000", "::1", 7000),
    ],
)
def test_the_authority_of_the_base_url_is_the_providers(base_url: str, host: str, port: int) -> None:
    one = replace(provider("x", MINIMAL), hosts=(), base_url=base_url)
    assert serves(one, host, port)
    assert not serves(one, host, port + 1)


@pytest.mark.parametrize(
    ("base_url", "hosts", "host", "port", "expected"),
    [
        (
            "http://mine.example/api",
            ("*.example",),
            "a.example",
            80,
            Origin("http", "mine.example", 80, "/api"),
        ),
        ("", ("mine.example",), "MINE.example.", 80, Origin("https", "mine.example", 443)),
        ("", ("mine.example",), "mine.example", 8080, Origin("https", "mine.example", 443)),
        ("", ("mine.example:8443",), "mine.example", 8443, Origin("https", "mine.example", 8443)),
        ("", ("mine.example:8443",), "mine.example", 80, None),
        ("", ("[::1]:8",), "::1", 8, Origin("https", "::1", 8)),
        ("", ("*.example",), "mine.example", 443, None),
        ("", ("m?ne.example", "other.example"), "mine.example", 443, None),
    ],
)
def test_the_config_alone_says_where_a_pool_key_goes(
    base_url: str, hosts: tuple[str, ...], host: str, port: int, expected: Origin | None
) -> None:
    one = replace(provider("x", MINIMAL), hosts=hosts, base_url=base_url)
    assert pool_origin(one, host, port) == expected


def test_a_bare_ipv6_host_holds_on_any_port() -> None:
    assert serves(replace(provider("x", MINIMAL), hosts=("::1",)), "::1", 5)


def test_a_provider_without_a_place_of_its_own_serves_its_hosts_alone() -> None:
    one = provider("x", {**MINIMAL, "base_url": ""})
    assert one.base_url == ""
    assert serves(one, "llm.example.com", 443)
    assert not serves(one, "", 443)
    assert not serves(one, ".", 443)


def test_paths_are_those_that_the_facts_name() -> None:
    paths = {"openai_chat": "/chat", "gemini_generate": "/v1/{model}:{method}"}
    one = provider("x", {**MINIMAL, "paths": paths, "protocols": ["gemini_generate", "ollama_chat"]})
    assert one.paths == paths


def test_a_custom_provider_has_the_usual_paths_until_it_says_others() -> None:
    usual = provider("custom", layered(common_facts(), MINIMAL))
    assert usual.paths["openai_chat"] == "/v1/chat/completions"
    own = provider("custom", layered(common_facts(), {**MINIMAL, "paths": {"openai_chat": "/chat"}}))
    assert own.paths["openai_chat"] == "/chat"


def test_each_fact_of_a_model_is_of_the_first_entry_that_says_it() -> None:
    rows = [
        {"match": "Model-A*", "max_output": 10},
        {"match": "model-*", "reasoning": False, "thinking": "none"},
        {"match": "*", "reasoning": True, "max_output": 20, "thinking": "budget"},
    ]
    one = provider("x", {**MINIMAL, "models": rows})
    assert facts_of(one, "MODEL-a1") == ModelFacts("model-a1", False, 10, ThinkingStyle.NONE)
    assert facts_of(one, "other") == ModelFacts("other", True, 20, ThinkingStyle.BUDGET)
    assert facts_of(one, None) == ModelFacts("", True, 20, ThinkingStyle.BUDGET)
    assert facts_of(provider("x", MINIMAL), "other") == ModelFacts("other")


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


@pytest.mark.parametrize(
    ("asked", "glob", "owner"),
    [
        ("openai", "claude-*", "anthropic"),
        ("openai", "claude-sonnet-4-5", "anthropic"),
        ("anthropic", "gpt-*", "openai"),
        ("openrouter", "claude-*", "anthropic"),
        ("openai", "gpt-4o*", ""),
        ("anthropic", "claude-*", ""),
        ("openai", "*", ""),
        ("openai", "my-own-model", ""),
        ("gateway", "claude-*", ""),
    ],
)
def test_models_that_another_provider_has_are_reported(asked: str, glob: str, owner: str) -> None:
    mappings = {name: provider(name, facts) for name, facts in built_in().items()}
    mappings["gateway"] = Provider("gateway", "https://gateway.test", ("gateway.test",), ("openai_chat",))
    assert other_owner(mappings.values(), mappings[asked], glob) == owner

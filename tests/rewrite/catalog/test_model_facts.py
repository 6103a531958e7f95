"""What is known of models: which entry holds, and whose a model is."""

import pytest

from addons.config.provider_files import built_in
from rewrite.catalog.model_facts import facts_of, meant, other_owner
from rewrite.catalog.provider_tables import provider
from rewrite.catalog.providers import ModelFacts, Provider, ThinkingStyle

BUILT_IN = {name: provider(name, facts) for name, facts in built_in().items()}
MINIMAL: dict[str, object] = {"base_url": "https://x.test", "hosts": ["x.test"], "protocols": ["openai_chat"]}


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


@pytest.mark.parametrize(
    ("glob", "nearest"),
    [
        ("cluade-*", "claude-*"),
        ("Cladue-sonnet-4-5", "claude-sonnet-4-5"),
        ("gemnii-2.5*", "gemini-2.5*"),
        ("claude-*", ""),
        ("clau*", ""),
        ("gpt-9*", ""),
        ("o1*", ""),
        ("my-own-model", ""),
        ("*", ""),
        ("", ""),
    ],
)
def test_a_misspelt_family_of_models_is_recognised(glob: str, nearest: str) -> None:
    assert meant(BUILT_IN.values(), glob) == nearest


def test_lists_are_of_the_first_entry_too_and_timeouts_each_for_itself() -> None:
    rows = [
        {"match": "a*", "refuses": [], "timeouts": {"stall_timeout": 1}, "protocol": "openai_chat"},
        {"match": "*", "refuses": ["seed"], "timeouts": {"stall_timeout": 2, "hold_limit": 3}},
        {"match": "*", "adapters": ["merge_system"], "default_output": 9},
    ]
    one = provider("x", {**MINIMAL, "models": rows})
    found, other = facts_of(one, "a1"), facts_of(one, "b")
    assert (found.refuses, found.protocol, found.default_output) == ((), "openai_chat", 9)
    assert found.timeouts == {"stall": 1, "hold_limit": 3}
    assert [each.param for each in other.refuses or ()] == ["seed"]
    assert (other.protocol, other.timeouts) == (None, {"stall": 2, "hold_limit": 3})
    assert [each.name for each in other.adapters or ()] == ["merge_system"]

"""Routes as the config has them, checked and in the terms of those who follow them."""

from typing import Any

import pytest

from addons.config.errors import ConfigErrors
from addons.config.rules import Rules, adapters, protocol_name
from addons.config.tables import DeadlineTable, RouteTable
from protocols.registry import Registry, discover
from rewrite.catalog.providers import Provider
from rewrite.catalog.routes import Match, Rule, RuleTarget
from rewrite.values.timeouts import Deadlines, OnTruncation
from tests.pigeon import PROTOCOL as PIGEON

REGISTRY = discover()
PROVIDERS = {
    "openai": Provider("openai", "https://o", ("o",), ("openai_chat", "openai_responses")),
    "azure": Provider("azure", "", ("*.azure",), ("openai_chat",)),
}


@pytest.fixture
def errors() -> ConfigErrors:
    return ConfigErrors("rotator.toml", {})


def read(errors: ConfigErrors, *tables: dict[str, Any]) -> list[Rule]:
    parsed = [RouteTable.model_validate(table) for table in tables]
    return list(Rules(PROVIDERS, REGISTRY, errors).read(parsed))


def test_a_route_that_says_nothing_is_a_rule_that_says_nothing(errors: ConfigErrors) -> None:
    assert read(errors, {}) == [Rule()]
    assert errors.lines() == ()


@pytest.mark.parametrize(
    ("table", "rule"),
    [
        ({"on_truncation": "auto"}, Rule(on_truncation=OnTruncation.AUTO)),
        ({"report_model": "upstream"}, Rule(upstream_model=True)),
        ({"report_model": "client"}, Rule()),
        ({"next_on_auth": True}, Rule(next_on_auth=True)),
        ({"hold_tool_calls": True}, Rule(hold_tool_calls=True)),
        ({"hold_tool_calls": False}, Rule(hold_tool_calls=False)),
        ({"stream": False}, Rule(stream=False)),
        ({"to": ["openai/a/b"]}, Rule(to=(RuleTarget("openai", "a/b"),))),
        ({"protocol": "responses"}, Rule(protocol="openai_responses")),
        ({"match": {"protocol": "chat"}}, Rule(Match(protocol="openai_chat"))),
        ({"match": {"protocol": "openai_*"}}, Rule(Match(protocol="openai_*"))),
        ({"match": {"provider": "any-*"}}, Rule(Match(provider="any-*"))),
    ],
    ids=str,
)
def test_what_a_route_says_reaches_its_place(errors: ConfigErrors, table: dict[str, Any], rule: Rule) -> None:
    assert read(errors, table) == [rule]
    assert errors.lines() == ()


@pytest.mark.parametrize(
    ("table", "where"),
    [
        ({"to": ["openai", "opnai"]}, "routes[1].to[1]"),
        ({"to": ["azure/gpt"]}, "routes[1].to[0]"),
        ({"match": {"provider": "opnai"}}, "routes[1].match.provider"),
        ({"match": {"protocol": "smoke"}}, "routes[1].match.protocol"),
        ({"protocol": "smoke"}, "routes[1].protocol"),
        ({"to": ["openai"], "protocol": "anthropic"}, "routes[1].protocol"),
        ({"adapters": ["merge_system", "x"]}, "routes[1].adapters[1]"),
    ],
    ids=str,
)
def test_what_is_wrong_is_reported_with_its_place(
    errors: ConfigErrors, table: dict[str, Any], where: str
) -> None:
    read(errors, {}, table)
    (line,) = errors.lines()
    assert line.startswith(f"rotator.toml: {where}: ")


def deadlines(errors: ConfigErrors, **table: Any) -> Deadlines:
    fields = {"first_token_timeout": "first_token", "stall_timeout": "stall"}
    (found,) = Rules(PROVIDERS, REGISTRY, errors).deadlines([DeadlineTable.model_validate(table)], fields)
    return found


def test_a_route_that_cannot_be_translated_is_reported_with_its_place(errors: ConfigErrors) -> None:
    providers = {**PROVIDERS, "loft": Provider("loft", "https://l", ("l",), ("pigeon",))}
    rules = Rules(providers, Registry([*REGISTRY, PIGEON]), errors)
    list(rules.read([RouteTable.model_validate({"match": {"model": "m"}, "to": ["openai", "loft"]})]))
    (line,) = errors.lines()
    assert (
        "routes[0].to: pigeon is passed on as it is and not translated, so that a call in openai_chat" in line
    )


def test_deadlines_hold_what_was_said_alone(errors: ConfigErrors) -> None:
    match = {"provider": "open*", "model": "gpt-5*", "reasoning": "high"}
    found = deadlines(errors, match=match, first_token_timeout=4, stall_timeout=0)
    assert found == Deadlines("open*", "gpt-5*", "high", {"first_token": 4.0, "stall": 0.0})
    assert deadlines(errors) == Deadlines()
    assert errors.lines() == ()


def test_deadlines_of_a_provider_that_there_is_not_are_reported(errors: ConfigErrors) -> None:
    deadlines(errors, match={"provider": "opnai"})
    (line,) = errors.lines()
    assert line.startswith("rotator.toml: deadlines[0].match.provider: ")


def test_a_name_of_a_protocol_is_its_own_or_an_alias(errors: ConfigErrors) -> None:
    assert protocol_name("claude_messages", REGISTRY, (), errors) == "anthropic_messages"
    assert protocol_name("smoke", REGISTRY, ("x",), errors) is None
    assert len(errors.lines()) == 1


def test_values_of_an_adapter_are_not_repeated(errors: ConfigErrors) -> None:
    """Any of them may be a secret in the wrong place."""
    specs: list[Any] = ["hunter2", {"name": "reasoning_field", "to": "hunter2"}, {"name": ["hunter2"]}]
    specs += [{"name": "clamp_params", "n": {"min": "hunter2"}}, "merge_system"]
    assert [adapter.name for adapter in adapters(specs, ("adapters",), errors)] == ["merge_system"]
    assert len(errors.lines()) == 4
    assert "hunter2" not in "".join(errors.lines())

"""Where a call goes."""

from collections.abc import Mapping
from dataclasses import replace

import pytest

from protocols.model.call import Call, Operation
from rewrite.catalog.model_facts import facts_of
from rewrite.catalog.providers import ModelFacts, Provider
from rewrite.catalog.routes import (
    ENOUGH,
    Match,
    RouteUse,
    Rule,
    RuleTarget,
    candidates,
    rule_for,
    rule_target,
)
from tests.rewrite.scenes import CHAT, call

OPENAI = Provider("openai", "https://o", ("o",), ("openai_chat", "openai_responses"))
ANTHROPIC = Provider("anthropic", "https://a", ("a",), ("anthropic_messages", "openai_chat"))
MINE = Provider("mine", "https://m", ("m",), ("anthropic_messages",))
PROVIDERS: Mapping[str, Provider] = {each.name: each for each in (OPENAI, ANTHROPIC, MINE)}
ASKED = replace(call(CHAT), model="gpt-5", target="/v1/chat/completions?x=1", headers=(("X-App", "cli"),))


def routed(rule: Rule, one: Call = ASKED, original: Provider = OPENAI) -> list[tuple[str, str, bool]]:
    routes = candidates(rule, one, original, PROVIDERS, lambda name, model: facts_of(PROVIDERS[name], model))
    return [(route.label, route.protocol, route.original) for route in routes]


def to(*texts: str) -> Rule:
    return Rule(to=tuple(rule_target(text) for text in texts))


@pytest.mark.parametrize(
    ("text", "found"),
    [
        ("openai", RuleTarget("openai")),
        ("openai/gpt-5", RuleTarget("openai", "gpt-5")),
        ("openrouter/anthropic/claude", RuleTarget("openrouter", "anthropic/claude")),
    ],
)
def test_a_target_is_a_provider_and_maybe_a_model_with_slashes(text: str, found: RuleTarget) -> None:
    assert rule_target(text) == found


@pytest.mark.parametrize(
    ("match", "fits"),
    [
        (Match(), True),
        (Match(model="gpt-*"), True),
        (Match(model="GPT-*"), False),
        (Match(model="claude-*"), False),
        (Match(provider="open*"), True),
        (Match(provider="anthropic"), False),
        (Match(protocol="openai_chat"), True),
        (Match(protocol="anthropic_messages"), False),
        (Match(path="/v1/*"), True),
        (Match(path="*completions"), True),
        (Match(path="*x=1"), False),
        (Match(headers={"x-app": "c*"}), True),
        (Match(headers={"x-app": "gui"}), False),
        (Match(headers={"x-other": "*"}), True),
        (Match(headers={"x-other": "?*"}), False),
        (Match(model="gpt-*", provider="anthropic"), False),
    ],
    ids=str,
)
def test_all_that_is_said_has_to_fit(match: Match, fits: bool) -> None:
    rule = Rule(match, next_on_auth=True)
    assert rule_for([rule], ASKED, OPENAI) == (rule if fits else Rule())


def test_the_first_rule_that_fits_holds() -> None:
    rules = [Rule(Match(model="o3")), Rule(Match(model="gpt*"), protocol="x"), Rule(), Rule(Match("gpt-5"))]
    assert rule_for(rules, ASKED, OPENAI) is rules[1]
    assert rule_for(rules, replace(ASKED, model="other"), OPENAI) is rules[2]


def test_a_call_without_a_model_is_not_routed() -> None:
    assert rule_for([to("anthropic")], replace(ASKED, model=None), OPENAI) == Rule()


@pytest.mark.parametrize(
    ("rule", "routes"),
    [
        (Rule(), [("openai/gpt-5", "openai_chat", True)]),
        (to("anthropic/c"), [("anthropic/c", "openai_chat", False)]),
        (to("mine/c"), [("mine/c", "anthropic_messages", False)]),
        (to("mine"), [("mine/gpt-5", "anthropic_messages", False)]),
        (
            replace(to("anthropic/c"), protocol="anthropic_messages"),
            [("anthropic/c", "anthropic_messages", False)],
        ),
        (Rule(protocol="openai_responses"), [("openai/gpt-5", "openai_responses", True)]),
        (
            to("mine/c", "openai", "anthropic/d"),
            [
                ("openai/gpt-5", "openai_chat", True),
                ("mine/c", "anthropic_messages", False),
                ("anthropic/d", "openai_chat", False),
            ],
        ),
        (
            to("mine/c", "anthropic/gpt-5", "openai/gpt-5"),
            [
                ("anthropic/gpt-5", "openai_chat", False),
                ("openai/gpt-5", "openai_chat", True),
                ("mine/c", "anthropic_messages", False),
            ],
        ),
    ],
    ids=str,
)
def test_the_targets_in_order_with_the_model_that_was_asked_for_first(
    rule: Rule, routes: list[tuple[str, str, bool]]
) -> None:
    assert routed(rule) == routes


def test_nobody_is_asked_in_a_protocol_that_it_does_not_speak() -> None:
    asked = replace(ASKED, protocol="anthropic_messages")
    assert routed(Rule(protocol="openai_chat"), asked, MINE) == [("mine/gpt-5", "anthropic_messages", True)]


def test_a_client_s_own_protocol_is_kept_wherever_it_is_spoken() -> None:
    asked = replace(ASKED, protocol="anthropic_messages")
    assert routed(to("anthropic/c"), asked) == [("anthropic/c", "anthropic_messages", False)]
    assert routed(to("openai/c"), asked, ANTHROPIC) == [("openai/c", "openai_chat", False)]


# -- routes that no call ever fits are named once, after enough calls -------------------------------------

MISSPELT = Rule(Match(model="cluade-*"))
USED = Rule(Match(model="claude-*"))
BY_HEADER = Rule(Match(path="/x", headers={"x-team": "a"}))


def lines(use: RouteUse, calls: int, rule: Rule = USED, model: str | None = "claude-sonnet-4-5") -> list[str]:
    return [line for _ in range(calls) for line in use.note(rule, model)]


def test_a_route_that_fits_nothing_is_named_with_the_nearest_model() -> None:
    use = RouteUse((MISSPELT, USED, BY_HEADER))
    assert lines(use, ENOUGH - 1) == []
    remedy = "correct it, or take the route out"
    close = "; a model that was asked for is called claude-sonnet-4-5"
    assert lines(use, 1) == [
        f'routes[0]: none of 50 calls fitted match = {{ model = "cluade-*" }}: {remedy}{close}',
        f'routes[2]: none of 50 calls fitted match = {{ path = "/x", header.x-team = "a" }}: {remedy}',
    ]
    assert lines(use, 2 * ENOUGH) == []


def test_routes_that_are_used_are_not_named() -> None:
    use = RouteUse((MISSPELT, USED))
    lines(use, 1, MISSPELT)
    assert lines(use, ENOUGH) == []


@pytest.mark.parametrize(("rules", "model"), [((), "gpt-5"), ((MISSPELT,), None)])
def test_calls_that_no_route_is_for_do_not_count(rules: tuple[Rule, ...], model: str | None) -> None:
    assert lines(RouteUse(rules), 3 * ENOUGH, Rule(), model) == []


SPOKEN = replace(OPENAI, models=(ModelFacts("gpt-5*", protocol="openai_responses"),))


@pytest.mark.parametrize(
    ("rule", "operation", "spoken"),
    [
        (Rule(), Operation.GENERATE, "openai_responses"),
        (Rule(protocol="openai_chat"), Operation.GENERATE, "openai_chat"),
        (to("openai/gpt-5-mini"), Operation.GENERATE, "openai_responses"),
        (to("openai/gpt-4o"), Operation.GENERATE, "openai_chat"),
        (Rule(), Operation.EMBEDDINGS, "openai_chat"),
    ],
)
def test_a_model_is_asked_in_its_own_protocol_unless_the_route_names_one(
    rule: Rule, operation: Operation, spoken: str
) -> None:
    asked = replace(ASKED, operation=operation)
    (one,) = candidates(rule, asked, SPOKEN, {"openai": SPOKEN}, lambda _, model: facts_of(SPOKEN, model))
    assert one.protocol == spoken

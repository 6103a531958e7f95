"""Routes to which no call can go, since a protocol of theirs is only passed on."""

import pytest

from protocols.registry import Registry, discover
from rewrite.catalog.providers import ModelFacts, Provider
from rewrite.catalog.routes import Match, Rule, RuleTarget
from rewrite.catalog.translatable import impossible
from tests.pigeon import PROTOCOL

REGISTRY = Registry([*discover(), PROTOCOL])
PROVIDERS = {
    "openai": Provider("openai", "https://o", ("o",), ("openai_chat", "openai_responses")),
    "loft": Provider("loft", "https://l", ("l",), ("pigeon",)),
    "dove": Provider(
        "dove",
        "https://d",
        ("d",),
        ("pigeon", "openai_chat"),
        models=(ModelFacts("chatty", protocol="openai_chat"), ModelFacts("mute", protocol="pigeon")),
    ),
    "coop": Provider("coop", "https://c", ("c",), ("openai_chat", "pigeon")),
}
LOFT, CHANGED, OPENAI, COOP = (
    RuleTarget("loft"),
    RuleTarget("loft", "m"),
    RuleTarget("openai"),
    RuleTarget("coop"),
)
PASSED = "pigeon is passed on as it is and not translated"


def why(rule: Rule) -> list[str]:
    return list(impossible(rule, PROVIDERS, REGISTRY))


@pytest.mark.parametrize(
    "rule",
    [
        Rule(),
        Rule(Match(model="m")),
        Rule(to=(OPENAI,)),
        Rule(Match(provider="loft")),
        Rule(Match(provider="loft"), to=(LOFT,)),
        Rule(Match(provider="coop"), to=(COOP,)),
        Rule(Match(protocol="pigeon"), to=(LOFT, COOP)),
        Rule(Match(protocol="pigeon"), protocol="pigeon"),
        Rule(Match(provider="op*", protocol="nobody's"), to=(LOFT,)),
        Rule(Match(provider="openai"), to=(COOP,), protocol="openai_chat"),
        Rule(Match(provider="openai"), to=(RuleTarget("openai", "m"), COOP)),
        Rule(Match(provider="openai", protocol="openai_responses"), to=(RuleTarget("dove", "chatty"),)),
    ],
    ids=str,
)
def test_a_route_that_some_call_can_go(rule: Rule) -> None:
    assert why(rule) == []


@pytest.mark.parametrize(
    "rule",
    [
        Rule(to=(LOFT,)),
        Rule(Match(model="m"), to=(OPENAI, LOFT)),
        Rule(Match(provider="openai"), to=(LOFT,)),
        Rule(Match(provider="openai"), to=(RuleTarget("dove", "mute"),)),
        Rule(Match(provider="openai"), to=(COOP,), protocol="pigeon"),
        Rule(Match(provider="coop"), protocol="pigeon"),
        Rule(Match(provider="loft"), to=(OPENAI,)),
        Rule(Match(protocol="pigeon"), to=(OPENAI,)),
        Rule(Match(protocol="pigeon"), to=(COOP,), protocol="openai_chat"),
    ],
    ids=str,
)
def test_a_route_that_needs_a_translation_which_is_not_there(rule: Rule) -> None:
    (found,) = why(rule)
    assert found.startswith(PASSED)
    assert "match = { protocol = " in found or "take it out" in found


def test_a_model_that_cannot_be_changed() -> None:
    assert why(Rule(Match(protocol="pigeon"), to=(CHANGED,))) == [
        "the model of a call in pigeon cannot be changed: leave m out"
    ]

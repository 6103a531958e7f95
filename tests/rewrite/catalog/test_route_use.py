"""Routes that no call ever fits are named once, after enough calls."""

import pytest

from rewrite.catalog.route_use import ENOUGH, RouteUse
from rewrite.catalog.routes import Match, Rule

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

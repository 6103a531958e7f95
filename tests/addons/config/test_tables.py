"""The config file's form."""

import pytest
from pydantic import ValidationError

from addons.config.tables import Loc, RouteTable, Tables, names_at


@pytest.mark.parametrize(
    ("loc", "name"),
    [
        ((), "routes"),
        (("providers", "any"), "max_tokens_field"),
        (("providers", "routes"), "base_url"),
        (("providers", "any", "credentials", 3), "priority"),
        (("routes", 0), "report_model"),
        (("routes", 12, "match"), "header"),
        (("streaming",), "hold_limit"),
    ],
)
def test_the_names_that_may_stand_at_a_place(loc: Loc, name: str) -> None:
    assert name in names_at(loc)


@pytest.mark.parametrize("text", ["openai", "openai/gpt-5", "openrouter/anthropic/claude"])
def test_a_target_is_a_provider_or_a_provider_with_a_model(text: str) -> None:
    assert RouteTable(to=[text]).to == [text]


@pytest.mark.parametrize("text", ["", "/", "openai/", "/gpt-5"])
def test_half_a_target_is_refused(text: str) -> None:
    with pytest.raises(ValidationError):
        RouteTable(to=[text])


def test_what_was_not_given_is_not_there() -> None:
    given = Tables.model_validate({"routes": [{"to": ["a"], "match": {"model": "m"}}], "retry": {}}).given()
    assert given == {"routes": [{"to": ["a"], "match": {"model": "m"}}], "retry": {}}

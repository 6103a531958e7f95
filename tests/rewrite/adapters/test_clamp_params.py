"""clamp_params: numbers that the client sent, within what the model takes."""

from typing import Any

import pytest

from tests.rewrite.adapters.bodies import CHAT, GEMINI, GEMINI_BODY, adapter, leaves_alone, sent

LOW_AND_HIGH = {"min": 0.1, "max": 1}


@pytest.mark.parametrize(
    ("bounds", "asked", "given"),
    [
        (1, 0.2, 1),
        (1, 1.5, 1),
        (0.5, 0, 0.5),
        (LOW_AND_HIGH, 0, 0.1),
        (LOW_AND_HIGH, 2, 1),
        ({"min": 16}, 1, 16),
        ({"max": 8192}, 32000, 8192),
    ],
)
def test_a_number_out_of_bounds_becomes_the_bound(bounds: object, asked: float, given: float) -> None:
    clamp = adapter("clamp_params", value=bounds)
    assert sent(clamp, CHAT, {"value": asked, "n": 2}) == {"value": given, "n": 2}


@pytest.mark.parametrize(
    ("bounds", "body"),
    [
        (1, {}),
        (1, {"value": 1}),
        (1, {"value": 1.0}),
        (1, {"value": None}),
        (1, {"value": "0.2"}),
        (0, {"value": True}),
        (LOW_AND_HIGH, {"value": 0.1}),
        (LOW_AND_HIGH, {"value": 1}),
        ({"min": 16}, {"value": 10**9}),
    ],
)
def test_what_is_within_them_or_no_number_is_left_alone(bounds: object, body: dict[str, Any]) -> None:
    assert leaves_alone(adapter("clamp_params", value=bounds), CHAT, body)


def test_several_parameters_at_any_depth() -> None:
    clamp = adapter(
        "clamp_params", **{"generationConfig.temperature": 1, "generationConfig.topK": {"max": 10}}
    )
    assert sent(clamp, GEMINI, GEMINI_BODY)["generationConfig"] == {"temperature": 1, "topK": 10}


@pytest.mark.parametrize(
    ("bounds", "says"),
    [
        ("1", "neither a number nor { min, max }"),
        (True, "neither a number"),
        (float("nan"), "neither a number"),
        ({}, "neither a number"),
        ({"temperature": 1}, "stands in quotes"),
        ({"min": "0"}, "min = '0' is not a number"),
        ({"min": 2, "max": 1}, "min = 2 is above max = 1"),
    ],
)
def test_bounds_that_are_none_are_refused(bounds: object, says: str) -> None:
    with pytest.raises(ValueError, match=says):
        adapter("clamp_params", value=bounds)


def test_no_parameter_is_refused() -> None:
    with pytest.raises(ValueError, match="needs at least one parameter"):
        adapter("clamp_params")

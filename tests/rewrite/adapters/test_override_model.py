"""override_model: the provider is asked for the model of the config."""

import pytest

from rewrite.adapters.base import Context
from tests.rewrite.adapters.bodies import (
    CHAT,
    CHAT_BODY,
    CONTEXTS,
    GEMINI,
    GEMINI_BODY,
    REQUESTS,
    Body,
    adapter,
    leaves_alone,
    sent,
)

OTHER = adapter("override_model", model="other")


@pytest.mark.parametrize(("context", "body"), [case for case in REQUESTS if case[0] != GEMINI])
def test_the_model_of_a_body_is_replaced_in_its_place(context: Context, body: Body) -> None:
    after = sent(OTHER, context, body)
    assert after == {**body, "model": "other"}
    assert list(after) == list(body)


def test_gemini_names_the_model_in_the_path() -> None:
    assert leaves_alone(OTHER, GEMINI, GEMINI_BODY)


def test_a_body_with_that_model_is_left_alone() -> None:
    assert leaves_alone(adapter("override_model", model="gpt-5"), CHAT, CHAT_BODY)


@pytest.mark.parametrize("context", CONTEXTS)
def test_a_body_without_a_model_is_left_alone(context: Context) -> None:
    assert leaves_alone(OTHER, context, {"input": "x"})

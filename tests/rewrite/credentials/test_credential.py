"""What a credential may serve."""

import pytest

from rewrite.credentials.credential import ALL_MODELS, Credential, model_filter, serving_order


@pytest.mark.parametrize(
    ("globs", "served", "not_served"),
    [
        ((), ["gpt-5", "claude-sonnet-5", ""], []),
        (("gpt-5*",), ["gpt-5", "GPT-5-mini"], ["gpt-4o", "my-gpt-5"]),
        (("!*-pro",), ["gpt-5"], ["gpt-5-pro", "GPT-5-PRO"]),
        (("gpt-5*", "!*-pro"), ["gpt-5", "gpt-5-mini"], ["gpt-5-pro", "o3"]),
        (("!*-pro", "gpt-5*", "o?"), ["gpt-5", "o3"], ["gpt-5-pro", "o3-mini"]),
    ],
)
def test_globs_allow_models_and_those_with_an_exclamation_mark_deny_them(
    globs: tuple[str, ...], served: list[str], not_served: list[str]
) -> None:
    found = model_filter(globs)
    assert [found.serves(model) for model in served] == [True] * len(served)
    assert [found.serves(model) for model in not_served] == [False] * len(not_served)
    assert found.serves(None), "a call that names no model may go anywhere"


def test_a_filter_that_filters_nothing_is_the_one_of_all_models() -> None:
    assert model_filter([]) is ALL_MODELS


def test_equal_priorities_keep_the_order_of_the_config() -> None:
    listed = [
        Credential(name, "vendor", priority) for name, priority in zip("abcd", (2, 1, 2, 1), strict=True)
    ]
    assert "".join(one.name for one in serving_order(listed)) == "bdac"

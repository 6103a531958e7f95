"""What several places say of a provider, laid over each other, and what is taken over of another."""

import pytest

from rewrite.catalog.layers import BadExtends, Facts, facts_for, layered, over

COMMON: Facts = {"oauth_prefixes": ["eyJ"], "paths": {"openai_chat": "/v1/chat"}}
OPENAI: Facts = {
    "base_url": "https://o",
    "hosts": ["o"],
    "environment": "O_KEY",
    "paths": {"openai_chat": "/chat"},
    "models": [{"match": "gpt-*"}],
}


def test_layers_merge_tables_and_replace_all_else() -> None:
    general = {"a": {"x": 1, "y": [1]}, "b": 1, "c": {"z": 1}}
    special = {"a": {"y": [2], "w": 3}, "c": 5}
    merged = layered(general, special)
    assert merged == {"a": {"y": [2], "w": 3, "x": 1}, "c": 5, "b": 1}
    assert list(layered({"general": 1}, {"special": 2})) == ["special", "general"]
    assert (general["a"], special["a"]) == ({"x": 1, "y": [1]}, {"y": [2], "w": 3})


def test_rows_of_models_stand_before_the_general_ones() -> None:
    assert over({"models": [1, 2], "adapters": ["a"]}, {"models": [3], "adapters": ["b"]}) == {
        "models": [3, 1, 2],
        "adapters": ["b"],
    }
    assert over({"models": [1]}, {})["models"] == [1]


@pytest.mark.parametrize(
    ("special", "accepts"),
    [
        ({"auth": "x-api-key"}, []),
        ({"auth": "x-api-key", "accepts": ["bearer"]}, ["bearer"]),
        ({"auth": "bearer"}, ["api-key"]),
        ({}, ["api-key"]),
    ],
)
def test_a_key_in_another_form_is_taken_in_none_of_the_former_ones(special: Facts, accepts: object) -> None:
    assert over({"auth": "bearer", "accepts": ["api-key"]}, special)["accepts"] == accepts


def test_who_extends_another_has_its_facts_but_neither_hosts_nor_variable() -> None:
    said = {"openai": OPENAI, "mine": {"extends": "openai", "models": [{"match": "mine"}], "hosts": ["m"]}}
    assert facts_for("mine", said, COMMON) == {
        "base_url": "https://o",
        "hosts": ["m"],
        "oauth_prefixes": ["eyJ"],
        "paths": {"openai_chat": "/chat"},
        "models": [{"match": "mine"}, {"match": "gpt-*"}],
    }
    assert facts_for("openai", said, COMMON)["environment"] == "O_KEY"


def test_what_is_extended_may_extend_another() -> None:
    said: dict[str, Facts] = {
        "a": {"x": 1, "y": 1, "hosts": ["a"]},
        "b": {"extends": "a", "y": 2, "environment": "B"},
        "c": {"extends": "b", "z": 3},
    }
    assert facts_for("c", said, {}) == {"x": 1, "y": 2, "z": 3}


@pytest.mark.parametrize(
    ("said", "asked", "name", "text"),
    [
        (
            {"openai": {}, "b": {"extends": "opnai"}},
            "b",
            "b",
            "no provider of that name: did you mean openai?",
        ),
        ({"x": {}, "b": {"extends": "none"}, "c": {"extends": "b"}}, "c", "b", "there are b, c, x"),
        ({"b": {"extends": "b"}}, "b", "b", "goes in a circle, b -> b: let one"),
        (
            {"c": {"extends": "a"}, "a": {"extends": "b"}, "b": {"extends": "c"}},
            "c",
            "a",
            "goes in a circle, a -> b -> c -> a",
        ),
        ({"d": {"extends": "b"}, "b": {"extends": "b"}}, "d", "b", "goes in a circle, b -> b"),
    ],
)
def test_who_cannot_be_copied(said: dict[str, Facts], asked: str, name: str, text: str) -> None:
    with pytest.raises(BadExtends, match=text) as found:
        facts_for(asked, said, {})
    assert found.value.name == name

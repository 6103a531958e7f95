"""Dotted paths: what leads to the change is copied, all else is shared."""

import pytest

from protocols.model.wirejson import JsonObject
from rewrite.adapters.paths import changed_at, parse_path, without

VALUE = {"a": [{"b": {"c": 1}}, {"b": 2}, 3], "d": {"e": 1}}


def seen(value: JsonObject) -> JsonObject:
    return {**value, "seen": True}


def test_a_list_stands_for_its_items() -> None:
    changed = changed_at(VALUE, ("a", "b"), seen)
    assert changed == {"a": [{"b": {"c": 1, "seen": True}}, {"b": 2}, 3], "d": {"e": 1}}
    assert changed["d"] is VALUE["d"]
    assert VALUE["a"] == [{"b": {"c": 1}}, {"b": 2}, 3]


def test_no_path_is_the_object_itself() -> None:
    assert changed_at(VALUE, (), seen) == {**VALUE, "seen": True}


@pytest.mark.parametrize("path", [("x",), ("d", "e"), ("a", "x"), ("a", "b", "c")])
def test_a_path_to_no_object_changes_nothing(path: tuple[str, ...]) -> None:
    assert changed_at(VALUE, path, seen) is VALUE


def test_without() -> None:
    assert without(VALUE, ("a", "b")) == {"a": [{}, {}, 3], "d": {"e": 1}}
    assert without(VALUE, ("d",)) == {"a": VALUE["a"]}
    assert without(VALUE, ("d", "x")) is VALUE


def test_a_path_has_no_empty_step() -> None:
    assert parse_path("a.b-c.d") == ("a", "b-c", "d")
    for text in ("", ".", "a.", ".a", "a..b"):
        with pytest.raises(ValueError, match="not a dotted path"):
            parse_path(text)

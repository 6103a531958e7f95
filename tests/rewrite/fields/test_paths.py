"""Paths: the grammar, and what leads to a change is copied, all else is shared."""

from contextlib import suppress
from copy import deepcopy
from dataclasses import replace
from typing import Any

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from protocols.model.parts import BlockDelta, BlockKind
from protocols.model.prompt import Effort, Message, Prompt, Role, Text, Thinking, ToolCall
from protocols.model.wirejson import JsonObject
from rewrite.fields.paths import (
    EVERY,
    MISSING,
    Steps,
    at_step,
    changed,
    changed_at,
    found_at,
    injected,
    parse_path,
    places_at,
    put,
    without,
    written,
)
from tests.rewrite.fields.values import JSON, OBJECTS, PLAIN_STEPS, STEPS

VALUE: dict[str, Any] = {"a": [{"b": {"c": 1}}, {"b": 2}, 3], "d": {"e": 1}}
PROMPT = Prompt(
    "m",
    (
        Message(Role.USER, (Text("hi"),)),
        Message(Role.ASSISTANT, (Text("so"), ToolCall("call_1", "f", "{}"))),
    ),
    extensions={"safety": [1, 2]},
)


def seen(value: JsonObject) -> JsonObject:
    return {**value, "seen": True}


# -- the grammar -------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("text", "steps"),
    [
        ("a", ("a",)),
        ("a.b-c.d", ("a", "b-c", "d")),
        ("choices[0].message", ("choices", 0, "message")),
        ("a[-1][2]", ("a", -1, 2)),
        ("*.b.*", (EVERY, "b", EVERY)),
        ('metadata."x.y"', ("metadata", "x.y")),
        (r'"a\"b"."*"[1]', ('a"b', "*", 1)),
        ('""', ("",)),
    ],
)
def test_a_path_is_steps(text: str, steps: Steps) -> None:
    assert parse_path(text) == steps
    assert parse_path(written(steps)) == steps


@pytest.mark.parametrize(
    ("text", "place"),
    [
        ("", "character 1 is its end, expected a key"),
        (".a", "character 1 is '.', expected a key"),
        ("a.", "character 3 is its end"),
        ("a..b", "character 3 is '.'"),
        ("[0]", r"character 1 is '\['"),
        ("a[x]", "character 3 is 'x', expected a number"),
        ("a[", "character 3 is its end"),
        ("a[1", "character 4 is its end, expected ]"),
        ("a[-1.b]", "character 5 is '.', expected ]"),
        ("a[1]b", "character 5 is 'b', expected a dot"),
        ("a*", r"character 2 is '\*'"),
        ('a."b', "character 5 is its end, expected the quote"),
        (r'"\x"', "character 1 is '\"', expected a key in quotes, as JSON"),
        ("^.a", r"character 1 is '\^'"),
    ],
)
def test_what_is_no_path_is_refused_with_its_place(text: str, place: str) -> None:
    with pytest.raises(ValueError, match=f"is not a path .*{place}"):
        parse_path(text)


@given(STEPS)
def test_what_is_written_is_read_again(steps: Steps) -> None:
    if not isinstance(steps[0], int):
        assert parse_path(written(steps)) == steps


@given(st.text('abc.[]"*^<-0123456789\\', max_size=20))
def test_a_text_is_a_path_or_a_value_error(text: str) -> None:
    with suppress(ValueError):
        steps = parse_path(text)
        assert parse_path(written(steps)) == steps


def test_a_path_of_very_many_steps_is_refused() -> None:
    with pytest.raises(ValueError, match="more than 64 steps"):
        parse_path(".".join("a" * 65))


# -- along a path ------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("path", "found"),
    [
        ("a[0].b.c", [1]),
        ("a[-1]", [3]),
        ("a.*.b", [{"c": 1}, 2]),
        ("d.*", [1]),
        ("a.b", []),
        ("a[3]", []),
        ("a[-4]", []),
        ("d[0]", []),
        ("d.e.f", []),
        ("x", []),
    ],
)
def test_what_stands_at_a_path(path: str, found: list[object]) -> None:
    assert list(found_at(VALUE, parse_path(path))) == found


@given(JSON, STEPS)
def test_no_value_is_too_strange(value: object, steps: Steps) -> None:
    before = deepcopy(value)
    assert list(found_at(value, steps)) == [found for _, found in places_at(value, steps)]
    for place, found in places_at(value, steps):
        assert EVERY not in place
        assert list(found_at(value, place)) == [found]
    changed(value, steps, lambda _: "new", spread=True)
    changed(value, steps, lambda _: MISSING)
    assert value == before


@given(JSON, PLAIN_STEPS, JSON)
@example({"a": None}, ("a", "b"), 1)
def test_what_was_injected_is_extracted_again(value: object, steps: Steps, item: object) -> None:
    before = deepcopy(value)
    new = injected(value, steps, item)
    assert value == before
    if new is not value:
        (found,) = found_at(new, steps)
        assert found is item


@given(OBJECTS, PLAIN_STEPS, JSON)
def test_what_does_not_change_is_shared(value: dict[str, object], steps: Steps, item: object) -> None:
    new = injected(value, steps, item)
    assert isinstance(new, dict)
    assert all(new[name] is each for name, each in value.items() if name != steps[0])


@given(OBJECTS, STEPS)
def test_a_change_that_changes_nothing_gives_the_object_back(value: JsonObject, steps: Steps) -> None:
    assert changed(value, steps, lambda found: found, spread=True) is value
    assert changed_at(value, steps, lambda found: found) is value


def test_objects_that_are_missing_on_the_way_are_made() -> None:
    assert injected({}, ("a", "b"), 1) == {"a": {"b": 1}}
    assert injected({"a": None}, ("a", "b"), 1) == {"a": {"b": 1}}
    assert injected({"a": "text"}, ("a", "b"), 1) == {"a": "text"}


@pytest.mark.parametrize("path", ["a[3].b", "a[3]", "x[0]", "d[0]", "a.b"])
def test_no_item_is_made(path: str) -> None:
    assert injected(VALUE, parse_path(path), 1) is VALUE


# -- adapters: a list stands for its items -----------------------------------------------------------------


def test_a_list_stands_for_its_items() -> None:
    changed = changed_at(VALUE, ("a", "b"), seen)
    assert changed == {"a": [{"b": {"c": 1, "seen": True}}, {"b": 2}, 3], "d": {"e": 1}}
    assert changed["d"] is VALUE["d"]
    assert VALUE["a"] == [{"b": {"c": 1}}, {"b": 2}, 3]


def test_a_number_is_one_item() -> None:
    assert changed_at(VALUE, ("a", 1), seen)["a"] == [{"b": {"c": 1}}, {"b": 2, "seen": True}, 3]


def test_no_path_is_the_object_itself() -> None:
    assert changed_at(VALUE, (), seen) == {**VALUE, "seen": True}


@pytest.mark.parametrize("path", [("x",), ("d", "e"), ("a", "x"), ("a", "b", "c")])
def test_a_path_to_no_object_changes_nothing(path: tuple[str, ...]) -> None:
    assert changed_at(VALUE, path, seen) is VALUE


def test_without() -> None:
    assert without(VALUE, ("a", "b")) == {"a": [{}, {}, 3], "d": {"e": 1}}
    assert without(VALUE, ("a", 0)) == {"a": [{"b": 2}, 3], "d": {"e": 1}}
    assert without(VALUE, ("a", EVERY)) == {"a": [], "d": {"e": 1}}
    assert without(VALUE, ("d", EVERY)) == {"a": VALUE["a"], "d": {}}
    assert without(VALUE, ("d",)) == {"a": VALUE["a"]}
    assert without(VALUE, ("d", "x")) is VALUE


# -- the unified model -------------------------------------------------------------------------------------


def test_fields_of_the_model_are_keys() -> None:
    assert list(found_at(PROMPT, parse_path("messages[-1].content[1].id"))) == ["call_1"]
    assert list(found_at(PROMPT, parse_path("messages.*.content.*.text"))) == ["hi", "so"]
    assert list(found_at(PROMPT, parse_path("extensions.safety[0]"))) == [1]
    assert at_step(BlockDelta(0, 0, BlockKind.TEXT, "t"), "text") == "t"
    assert at_step(PROMPT, "__class__") is MISSING
    assert at_step(Prompt, "model") is MISSING


@pytest.mark.parametrize(
    ("path", "item", "expected"),
    [
        ("cache_key", "k", replace(PROMPT, cache_key="k")),
        ("thinking.effort", "high", replace(PROMPT, thinking=Thinking(Effort.HIGH))),
        ("stop", ["a"], replace(PROMPT, stop=("a",))),
        ("extensions.safety[1]", 3, replace(PROMPT, extensions={"safety": [1, 3]})),
        (
            "messages[0].content[0].text",
            "ho",
            replace(PROMPT, messages=(Message(Role.USER, (Text("ho"),)), PROMPT.messages[1])),
        ),
        ("cache_key", 3, PROMPT),
        ("thinking.effort", "enormous", PROMPT),
        ("stop", "a", PROMPT),
        ("messages[0]", {"role": "user", "content": []}, PROMPT),
        ("messages", [{"role": "user", "content": []}], PROMPT),
        ("unknown", 1, PROMPT),
    ],
)
def test_a_value_goes_into_a_field_that_takes_it(path: str, item: object, expected: Prompt) -> None:
    new = injected(PROMPT, parse_path(path), item)
    assert new == expected
    assert expected is not PROMPT or new is PROMPT


def test_a_struct_is_copied_too() -> None:
    delta = BlockDelta(0, 0, BlockKind.TEXT, "t")
    assert put(delta, "text", "u") == BlockDelta(0, 0, BlockKind.TEXT, "u")
    assert put(delta, "text", 1) is delta

"""Values that become items of a list: what is there already is found, however much there is."""

from collections.abc import Iterator
from typing import Any

import pytest

from rewrite.fields.injecting import with_values
from rewrite.fields.paths import parse_path
from rewrite.fields.rule import Beside, Inject, Into, Place

INSERT = Inject(Into.REQUEST, insert=Beside.BEFORE)


def filled(items: list[Any], *values: Any) -> Any:
    """A list in which each of `values` goes before its first item."""
    found = [(parse_path("input[0]"), (value,)) for value in values]
    body = with_values({"input": items}, INSERT, found)
    assert isinstance(body, dict)
    return body["input"]


@pytest.mark.parametrize(
    ("item", "value"),
    [
        ({"type": "a", "text": "long enough"}, {"type": "a", "text": "long enough"}),
        ({"a": 1}, {"a": 1}),
        ({"a": 1, "b": [2]}, {"a": 1, "b": [2], "id": "5"}),
        ({"type": "a", "n": 1, "text": ""}, {"n": 1, "type": "a"}),
        ({"text": "x", "type": "y"}, {"type": "y", "text": "x"}),
        ("a text", "a text"),
        (5, 5),
        (["a"], ["a"]),
    ],
    ids=repr,
)
def test_what_is_there_is_not_inserted(item: object, value: object) -> None:
    items = [item, {"type": "other"}]
    assert filled(items, value, value) is items


@pytest.mark.parametrize("value", [{"type": "a", "text": "b"}, {"a": 1}, "a text", 5, ["a"]], ids=repr)
def test_what_is_to_be_inserted_twice_is_once(value: object) -> None:
    items = [{"type": "other", "text": "c"}]
    assert filled(items, value, value) == [value, *items]


def test_an_item_that_lacks_something_is_completed_once() -> None:
    items: list[dict[str, object]] = [{"type": "a", "text": "b", "sealed": None}, {"type": "a", "text": "c"}]
    whole = {"type": "a", "text": "b", "sealed": "s"}
    assert filled(items, whole, whole) == [whole, items[1]]
    assert items[0]["sealed"] is None


class Counted(dict[str, object]):
    """How often items were looked into."""

    looks = 0

    def __eq__(self, other: object) -> bool:
        Counted.looks += 1
        return super().__eq__(other)

    __hash__ = None

    def items(self) -> Any:
        Counted.looks += 1
        return super().items()


def test_many_values_are_not_compared_with_all_items() -> None:
    """A long conversation whose client drops the item before each call."""

    def calls() -> Iterator[Counted]:
        for number in range(400):
            yield Counted(type="function_call", call_id=f"call-{number}", name="read", arguments="{}")

    values = [
        ((*parse_path("input"), at), ({"type": "reasoning", "id": f"r{at}", "sealed": "e" * 99 + str(at)},))
        for at in range(400)
    ]
    Counted.looks = 0
    body = with_values({"input": list(calls())}, Inject(Into.REQUEST, Place(), insert=Beside.BEFORE), values)
    assert isinstance(body, dict)
    assert len(body["input"]) == 800
    assert Counted.looks < 400 * 10

"""Putting values into a body: at a path, or as items of a list, beside a tool call or at a number."""

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import partial

from rewrite.fields.paths import (
    MISSING,
    Items,
    Steps,
    at_step,
    changed,
    injected,
    is_object,
    put,
    value_at,
    with_items,
)
from rewrite.fields.rule import Beside, Inject, Place

_NAMING = frozenset({"id", "status", "format", "index"})
"""What of an item says nothing: clients leave it out on purpose."""

type Values = tuple[object, ...]


@dataclass(frozen=True, slots=True)
class Insertion:
    """Items for a list."""

    where: Steps
    """The list."""
    at: int
    """The number of the item that they come before; below 0 it is counted from the end."""
    values: Values
    """The items."""


def started_at(value: object, call: Steps, place: Place) -> Steps | None:
    """Where a path goes on: the object that is `ups` objects around what stands at `call`. None: there are
    not so many."""
    if not place.ups:
        return call
    objects, here = list[int](), value
    for length, step in enumerate(call):
        if is_object(here):
            objects.append(length)
        here = at_step(here, step)
    return call[: objects[-place.ups]] if place.ups <= len(objects) else None


def with_values(body: object, inject: Inject, found: Iterable[tuple[Steps, Values]]) -> object:
    """`body` with values for each of the places `found`, from which the path of the rule goes on; the same
    object where nothing changes."""
    if inject.insert is not None:
        return _inserted(body, inject, list(_insertions(body, inject, found)))
    for place, values in found:
        start = started_at(body, place, inject.place)
        if start is not None:
            item = list(values) if inject.as_list else values[-1]
            body = _at(body, (*start, *inject.place.steps), item, inject)
    return body


def is_said(body: object, place: Steps, inject: Inject) -> bool:
    """Whether the body says by itself what would be injected from `place` on."""
    start = started_at(body, place, inject.place)
    return start is not None and _says(value_at(body, (*start, *inject.place.steps)), inject)


def _says(there: object, inject: Inject) -> bool:
    return not is_missing(there) and there not in inject.placeholders


def _at(body: object, where: Steps, item: object, inject: Inject) -> object:
    there = value_at(body, where)
    if (inject.when_missing_only and _says(there, inject)) or _same(there, item):
        return body
    return injected(body, where, item)


def is_missing(value: object) -> bool:
    """Whether a field says nothing: it is not there, null, or empty."""
    return value is MISSING or value is None or value in ("", [], {})


def _same(one: object, other: object) -> bool:
    return type(one) is type(other) and one == other


# -- items of lists ----------------------------------------------------------------------------------------


def _insertions(body: object, inject: Inject, found: Iterable[tuple[Steps, Values]]) -> Iterator[Insertion]:
    for place, values in found:
        start = started_at(body, place, inject.place)
        if start is None:
            continue
        items: Values = (list(values),) if inject.as_list else values
        if isinstance(inject.insert, int):
            yield Insertion((*start, *inject.place.steps), inject.insert, items)
        elif (item := item_of(start)) is not None:
            where, at = item
            yield Insertion(where, at + (inject.insert is Beside.AFTER), items)


def item_of(place: Steps) -> tuple[Steps, int] | None:
    """The innermost list that a place is in, and the number of the item there. None: it is in no list."""
    for depth in range(len(place), 0, -1):
        if isinstance(step := place[depth - 1], int):
            return place[: depth - 1], step
    return None


def _inserted(body: object, inject: Inject, insertions: Sequence[Insertion]) -> object:
    """All that goes into one list at once, so that no place moves before it is used."""
    by_list: dict[Steps, list[Insertion]] = {}
    for each in insertions:
        by_list.setdefault(each.where, []).append(each)
    for where, mine in by_list.items():
        body = changed(body, where, partial(_filled, insertions=mine, missing_only=inject.when_missing_only))
    return body


def _filled(items: object, insertions: Sequence[Insertion], missing_only: bool) -> object:
    """A list with what is to be inserted: each before the item that stood at its number."""
    if not isinstance(items, list | tuple):
        return items
    there = _Filling(items) if missing_only else None
    planned: dict[int, list[object]] = {}
    for each in insertions:
        at = max(0, len(items) + each.at) if each.at < 0 else min(each.at, len(items))
        values = there.missing(each.values) if there else each.values
        planned.setdefault(at, []).extend(values)
    return with_items(there.items if there else items, planned)


type _Mark = tuple[int, str, str] | None
"""A text that an object says: its length, its name and itself. None: it says none."""


class _Filling:
    """A list that is filled. What a value is compared with is found by its texts, since both may be many."""

    def __init__(self, items: Items) -> None:
        self.items = items
        """With those completed of which a value says more."""
        self._places: dict[_Mark, list[int]] = {}
        self._planned: dict[_Mark, list[object]] = {}
        for at, item in enumerate(items):
            self._places.setdefault(_mark(item), []).append(at)

    def missing(self, values: Values) -> list[object]:
        """The values that the list has not, and that were not missing before."""
        missing = [value for value in values if self._is_missing(value)]
        for value in missing:
            self._planned.setdefault(_mark(value), []).append(value)
        return missing

    def _is_missing(self, value: object) -> bool:
        """Whether no item says a part of a value. A single one that does, and lacks some, is completed."""
        near = [at for mark in (None, *_marks(value)) for at in self._places.get(mark, ())]
        if value in self._planned.get(_mark(value), ()) or any(self.items[at] == value for at in near):
            return False
        parts = [at for at in near if _is_part(self.items[at], value)]
        if len(parts) == 1 and _lacks(self.items[parts[0]], value):
            self._complete(parts[0], value)
        return not parts

    def _complete(self, at: int, value: object) -> None:
        new = put(self.items, at, value)
        assert isinstance(new, list | tuple)
        self.items = new
        self._places.setdefault(_mark(value), []).append(at)


def _mark(value: object) -> _Mark:
    """The longest text: what says most about an object that has it too."""
    return max(_marks(value), default=None)


def _marks(value: object) -> Iterator[tuple[int, str, str]]:
    said = value.items() if isinstance(value, Mapping) else (("", value),)
    return ((len(text), name, text) for name, text in said if isinstance(text, str) and text)


def _lacks(item: object, value: object) -> bool:
    """Whether a value says more than an item of which it is part: more than what it is called."""
    assert isinstance(value, Mapping)
    said = [key for key, each in value.items() if key not in _NAMING and not is_missing(each)]
    return any(is_missing(at_step(item, key)) for key in said)


def _is_part(item: object, value: object) -> bool:
    """Whether an item says something, and all that it says is in `value`."""
    if not isinstance(item, Mapping) or not isinstance(value, Mapping):
        return False
    said = {key: each for key, each in item.items() if not is_missing(each)}
    return len(said) > 1 and all(_same(at_step(value, key), each) for key, each in said.items())

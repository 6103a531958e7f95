"""Paths into JSON and into the unified model: `choices[0].message."x.y"`, `output.*.id`, `messages[-1]`.

A path is keys with dots between them. `"..."` is a key in quotes, as JSON writes it; `[n]` is an item of a
list, counted from its end where n is negative; `*` is each item of a list, or each value of an object. The
fields of the model's frozen dataclasses are keys too.

One grammar serves two uses. A rule of the field cache names places: a key leads into an object alone. An
adapter names all that fits: a key that meets a list stands for that field of each item, as if `*` stood
before it (`spread`).

Nothing is edited in place: what leads to a change is copied, all else is shared, and where nothing changes
the same object comes back.
"""

import json
import re
from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from dataclasses import replace
from enum import Enum
from typing import Any, Final, cast, get_type_hints

import msgspec

from protocols.model.wirejson import JsonObject


class Every(Enum):
    """A step to each item of a list or each value of an object."""

    EVERY = "*"


class Nothing(Enum):
    """In the place of a value: there is none."""

    MISSING = "missing"


EVERY: Final = Every.EVERY
MISSING: Final = Nothing.MISSING

type Step = str | int | Every
"""A key, the number of an item, or each of them."""
type Steps = tuple[Step, ...]
type Items = list[object] | tuple[object, ...]
type Change = Callable[[object], object]
"""From a value to the one in its place; the same object: untouched; MISSING: none."""
type ObjectChange = Callable[[JsonObject], JsonObject]
"""From an object to the one in its place; the same object: untouched."""

_KEY = re.compile(r'[^.\[\]"*^<]+')
_QUOTED = re.compile(r'"(?:[^"\\]|\\.)*"')
_INDEX = re.compile(r"\[(-?[0-9]{1,9})\]")
_NUMBER = re.compile(r"-?[0-9]{1,9}")
_LONGEST = 64
"""Steps of a path. Whoever walks one may then call itself for each."""

# -- the grammar -------------------------------------------------------------------------------------------


def parse_path(text: str) -> Steps:
    """Raises ValueError, which names the place, where `text` is no path."""
    return parse_from(text, 0)


def parse_from(text: str, at: int) -> Steps:
    """As `parse_path`, for a path that begins in `text` at the character `at`, counted from 0."""
    steps: list[Step] = []
    while not steps or at < len(text):
        if steps and text[at] == "[":
            step, at = _index(text, at)
        else:
            step, at = _key(text, at + 1 if steps and text[at] == "." else _start(text, at, steps))
        steps.append(step)
    if len(steps) > _LONGEST:
        raise ValueError(f"is not a path: it has more than {_LONGEST} steps")
    return tuple(steps)


def _start(text: str, at: int, before: list[Step]) -> int:
    """Where a path begins; nothing else may stand between two steps than a dot."""
    if before:
        raise fault(text, at, "a dot or [n]")
    return at


def _index(text: str, at: int) -> tuple[Step, int]:
    found = _INDEX.match(text, at)
    if found is None:
        number = _NUMBER.match(text, at + 1)
        raise fault(text, number.end(), "]") if number else fault(text, at + 1, "a number and ]")
    return int(found[1]), found.end()


def _key(text: str, at: int) -> tuple[Step, int]:
    if text[at : at + 1] == "*":
        return EVERY, at + 1
    if text[at : at + 1] == '"':
        return _quoted(text, at)
    found = _KEY.match(text, at)
    if found is None:
        raise fault(text, at, "a key, a key in quotes or *")
    return found[0], found.end()


def _quoted(text: str, at: int) -> tuple[Step, int]:
    found = _QUOTED.match(text, at)
    if found is None:
        raise fault(text, len(text), "the quote that ends a key")
    try:
        return str(json.loads(found[0])), found.end()
    except ValueError:
        raise fault(text, at, "a key in quotes, as JSON writes it") from None


def fault(text: str, at: int, expected: str) -> ValueError:
    """That `text` is no path, since at the character `at` something else is `expected`. Of `text`, which may
    be a secret in the wrong place, only that character is repeated."""
    found = repr(text[at]) if at < len(text) else "its end"
    return ValueError(f"is not a path such as a.b[0].c: character {at + 1} is {found}, expected {expected}")


def written(steps: Steps) -> str:
    """The path of these steps, as `parse_path` reads it."""
    return "".join(_written(step) for step in steps).removeprefix(".")


def _written(step: Step) -> str:
    match step:
        case int():
            return f"[{step}]"
        case Every():
            return ".*"
        case str():
            return f".{step}" if _KEY.fullmatch(step) else f".{json.dumps(step)}"


def has_wildcard(steps: Steps) -> bool:
    return EVERY in steps


# -- one step ----------------------------------------------------------------------------------------------


def is_object(value: object) -> bool:
    """Whether `value` has keys: an object of JSON, or one of the unified model."""
    if isinstance(value, dict):  # most are
        return True
    return not isinstance(value, list | tuple) and (isinstance(value, Mapping) or bool(_names_of(value)))


def at_step(value: object, step: Step) -> object:
    """What one step leads to; MISSING where it leads nowhere. `step` is no wildcard."""
    if type(value) is dict:  # most are
        return value.get(step, MISSING) if isinstance(step, str) else MISSING
    if isinstance(value, list | tuple):
        if isinstance(step, int) and -len(value) <= step < len(value):
            return value[step]
        return MISSING
    if not isinstance(step, str):
        return MISSING
    if isinstance(value, Mapping):
        return value.get(step, MISSING)
    return getattr(value, step) if step in _names_of(value) else MISSING


def _steps_of(value: object) -> list[Step]:
    """The steps that a wildcard stands for."""
    if isinstance(value, list | tuple):
        return list(range(len(value)))
    if isinstance(value, Mapping):
        return [key for key in value if isinstance(key, str)]
    return list(_names_of(value))


def _names_of(value: object) -> Collection[str]:
    """The fields of an object of the unified model; of any other value there are none."""
    if isinstance(value, msgspec.Struct):
        return value.__struct_fields__
    return {} if isinstance(value, type) else getattr(value, "__dataclass_fields__", {})


def put(value: object, step: Step, item: object) -> object:
    """A copy of `value` with `item` where `step` leads; MISSING takes out what is there. The same object
    where there is no such place, or where it takes no such item."""
    match value:
        case list() | tuple() if isinstance(step, int) and -len(value) <= step < len(value):
            at = step % len(value)
            new = [*value[:at], *(() if item is MISSING else (item,)), *value[at + 1 :]]
            return tuple(new) if isinstance(value, tuple) else new
        case Mapping() if isinstance(step, str) and item is MISSING:
            return {key: each for key, each in value.items() if key != step} if step in value else value
        case Mapping() if isinstance(step, str):
            return {**value, step: item}
        case _ if isinstance(step, str) and step in _names_of(value) and item is not MISSING:
            return _with_field(value, step, item)
        case _:
            return value


def with_items(value: Items, planned: Mapping[int, Sequence[object]]) -> Items:
    """A copy of a list with items before those that stand at these numbers; the same object without any."""
    if not any(planned.values()):
        return value
    new = list[object]()
    for at, item in enumerate(value):
        new += planned.get(at, ())
        new.append(item)
    new += planned.get(len(value), ())
    return tuple(new) if isinstance(value, tuple) else new


def _with_field(value: Any, name: str, item: object) -> object:
    """A copy of an object of the unified model. A value that its field's type does not take is left out."""
    fitting = _fitting(item, get_type_hints(type(value))[name])
    if fitting is MISSING:
        return value
    if isinstance(value, msgspec.Struct):
        return msgspec.structs.replace(value, **{name: fitting})
    return replace(value, **{name: fitting})


def _fitting(item: object, kind: Any) -> object:
    """`item` as a field of this type holds it, MISSING if it does not."""
    if _is_of_model(item):
        return item
    try:
        return msgspec.convert(item, kind)
    except (msgspec.ValidationError, TypeError):  # TypeError: plain JSON does not say which of a union it is
        return MISSING


def _is_of_model(item: object) -> bool:
    """Whether it was read out of such a field: JSON has neither tuples nor dataclasses."""
    if isinstance(item, tuple):
        return all(_names_of(each) for each in item)
    return bool(_names_of(item))


# -- along a path ------------------------------------------------------------------------------------------


def value_at(value: object, steps: Steps) -> object:
    """What stands at a path without a wildcard; MISSING where it leads nowhere."""
    for step in steps:
        value = at_step(value, step)
    return value


def found_at(value: object, steps: Steps) -> Iterator[object]:
    """What stands at a path, in order: several values with a wildcard, none where it leads nowhere."""
    for at, step in enumerate(steps):
        if step is EVERY:
            for each in _steps_of(value):
                yield from found_at(at_step(value, each), steps[at + 1 :])
            return
        value = at_step(value, step)
        if value is MISSING:
            return
    yield value


def places_at(value: object, steps: Steps, before: Steps = ()) -> Iterator[tuple[Steps, object]]:
    """As `found_at`, each with the steps that lead to it, `before` first, in which there is no wildcard."""
    if not steps:
        yield before, value
        return
    for step in _steps_of(value) if steps[0] is EVERY else steps[:1]:
        inner = at_step(value, step)
        if inner is not MISSING:
            yield from places_at(inner, steps[1:], (*before, step))


def changed(value: object, steps: Steps, change: Change, *, spread: bool = False) -> object:
    """`value` with `change` applied to all that stands at `steps`; what is not there stays away.

    `spread`: a key that meets a list stands for that field of each item.
    """
    if not steps:
        return change(value)
    if spread and isinstance(value, list) and isinstance(steps[0], str):
        return _each(value, lambda item: changed(item, steps, change, spread=True))

    def inside(inner: object) -> object:
        return changed(inner, steps[1:], change, spread=spread)

    if steps[0] is not EVERY:
        return _one(value, steps[0], inside)
    if isinstance(value, list | tuple):
        return _each(value, inside)
    for step in _steps_of(value):
        value = _one(value, step, inside)
    return value


def _one(value: object, step: Step, change: Change) -> object:
    inner = at_step(value, step)
    new = inner if inner is MISSING else change(inner)
    return value if new is inner else put(value, step, new)


def _each(value: Items, change: Change) -> Items:
    items = [change(item) for item in value]
    if all(new is old for new, old in zip(items, value, strict=True)):
        return value
    kept = [item for item in items if item is not MISSING]
    return tuple(kept) if isinstance(value, tuple) else kept


def changed_at(value: JsonObject, steps: Steps, change: ObjectChange) -> JsonObject:
    """`value` with `change` applied to every object at `steps`, which spread over lists, at their end too.

    The same object where the path leads to no object, or none changed.
    """

    def apply(found: object) -> object:
        if isinstance(found, list):
            return _each(found, apply)
        return change(found) if isinstance(found, dict) else found

    return cast(JsonObject, changed(value, steps, apply, spread=True) if steps else change(value))


def without(value: JsonObject, steps: Steps) -> JsonObject:
    """`value` without what stands at `steps`, which spread over lists."""
    return cast(JsonObject, changed(value, steps, _gone, spread=True))


def _gone(_: object) -> object:
    return MISSING


def injected(value: object, steps: Steps, item: object) -> object:
    """`value` with `item` at `steps`, in which there is no wildcard. Objects that are missing on the way are
    made; the same object where something else stands in the way, an item of a list is not there, or the
    unified model has no place for it."""
    if not steps:
        return item
    step, inner = steps[0], at_step(value, steps[0])
    if len(steps) > 1 and (inner is MISSING or inner is None):
        inner = {} if isinstance(steps[1], str) else MISSING
    new = injected(inner, steps[1:], item) if len(steps) > 1 else item
    if (len(steps) > 1 and new is inner) or new is MISSING:
        return value
    return put(value, step, new)

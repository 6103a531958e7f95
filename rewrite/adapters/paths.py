"""Dotted paths into JSON: `a.b` is the field b of the object a; a list stands for each of its items."""

from collections.abc import Callable

from protocols.model.wirejson import JsonObject

type Path = tuple[str, ...]
type Change = Callable[[JsonObject], JsonObject]
"""From an object to the one in its place; the same object: untouched."""


def parse_path(text: str) -> Path:
    """Raises ValueError on an empty path or an empty step."""
    path = tuple(text.split("."))
    if not all(path):
        raise ValueError(f"{text!r} is not a dotted path such as a.b.c")
    return path


def changed_at(value: JsonObject, path: Path, change: Change) -> JsonObject:
    """`value` with `change` applied to every object at `path`, on copies of what leads there.

    The same object where the path leads to no object, or none changed.
    """
    if not path:
        return change(value)
    if path[0] not in value:
        return value
    inner = value[path[0]]
    new = _changed_inside(inner, path[1:], change)
    return value if new is inner else {**value, path[0]: new}


def _changed_inside(value: object, path: Path, change: Change) -> object:
    if isinstance(value, dict):
        return changed_at(value, path, change)
    if not isinstance(value, list):
        return value
    items = [_changed_inside(item, path, change) for item in value]
    return value if all(new is old for new, old in zip(items, value, strict=True)) else items


def without(value: JsonObject, path: Path) -> JsonObject:
    """`value` without the field at `path`."""
    *parents, name = path
    return changed_at(value, tuple(parents), lambda parent: _without_field(parent, name))


def _without_field(value: JsonObject, name: str) -> JsonObject:
    return {key: item for key, item in value.items() if key != name} if name in value else value

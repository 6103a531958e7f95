"""The passes of a traced call as text: what each made of the request and of the answer, as a diff to the one
before."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import groupby

from protocols.model.wirejson import JsonObject, object_at
from rewrite.views.content import readable
from rewrite.views.differences import differences, lines_of, shortened_line
from rewrite.views.yaml_text import LONGEST, yaml_text

MOST_ALIKE = 3
"""Passes of one name in a row, such as the events of a stream, that are shown."""

_LONGEST_PASS = 20_000
"""Characters of a pass that is no difference."""

_UNIFIED = "unified_request"
"""A form of its own, which is compared with no other."""
_REQUEST, _RESPONSE, _STREAM = "request", "response", "stream"
_HEAD = ("method", "target", "status", "headers")


@dataclass(frozen=True, slots=True)
class Shown:
    """A pass."""

    name: str
    title: str
    """What it is about."""
    direction: str
    """As in `rewrite.records.passes`."""
    changed: bool
    data: object
    """What the request or the answer came to: headers as lines, a body that is JSON as its value."""


def passes_text(passes: Sequence[Shown], longest: int = LONGEST) -> str:
    """About `longest` characters at most."""
    lines, left = [], longest
    for line in _lines(passes):
        left -= len(line) + 1
        if left < 0:
            lines.append("... and more: see `rotator trace show`")
            break
        lines.append(line)
    return "\n".join(lines) + "\n"


def _lines(passes: Sequence[Shown]) -> Iterator[str]:
    before: dict[tuple[str, str], object] = {}
    for _, group in groupby(passes, key=lambda one: (one.name, one.direction)):
        alike = [*group]
        for one in alike[:MOST_ALIKE]:
            yield f"{one.name}  {one.title}"
            yield from (f"    {line}" for line in _said(one, before))
            yield ""
        if (more := len(alike) - MOST_ALIKE) > 0:
            yield from (f"... {more} more {alike[0].name}", "")


def _said(one: Shown, before: dict[tuple[str, str], object]) -> Iterator[str]:
    """`before`: by direction and part, what it was until then."""
    data = one.data if isinstance(one.data, Mapping) else {}
    if one.direction == _STREAM or not one.changed or one.name == _UNIFIED:
        return _stated(one)
    if "body" in data or any(name in data for name in ("status", "method")):
        head = {name: data[name] for name in _HEAD if name in data}
        parts = {"head": head, **({"body": data["body"]} if "body" in data else {})}
    else:
        parts = {"body": object_at(data, "object") or one.data}
    return _changes(one.direction, parts, before)


def _changes(direction: str, parts: JsonObject, before: dict[tuple[str, str], object]) -> Iterator[str]:
    for part, value in parts.items():
        key = direction, part
        if key not in before:
            yield from _whole(value)
        elif found := differences(before[key], value):
            yield from found
        else:
            yield f"{part}: no change"
        before[key] = value


def _stated(one: Shown) -> Iterator[str]:
    data = one.data
    if isinstance(data, Mapping) and data.keys() >= {"before", "after"}:
        return iter(differences(data["before"], data["after"]))
    return iter(()) if data is None else _whole(data)


def _whole(value: object) -> Iterator[str]:
    text = yaml_text(readable(value), _LONGEST_PASS) if isinstance(value, Mapping | list) else value
    return map(shortened_line, lines_of(text))

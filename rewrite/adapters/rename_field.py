"""rename_field: a field that the provider knows by another name.

`from` and `to` are paths (`rewrite/fields/paths.py`); a list on the way that both go stands for each of its
items. `at` says where: in the "request", in a whole "answer", in each "event" of a stream, or in "all" (the
default).

Loses: where the field `to` is there already it stays, and the value of `from` is dropped.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import takewhile
from typing import ClassVar, cast

from protocols.model.wirejson import JsonObject
from rewrite.adapters.base import Context, Events, Factory, Options, Unchanged
from rewrite.fields.paths import (
    MISSING,
    Steps,
    changed_at,
    found_at,
    has_wildcard,
    injected,
    parse_path,
    without,
    written,
)

_AT = ("request", "answer", "event", "all")


@dataclass(frozen=True, slots=True)
class RenameField(Unchanged):
    """Moves the value at one path to another."""

    name: ClassVar[str] = "rename_field"
    shared: Steps
    """The path that both have in common."""
    old: Steps
    """How the old one continues from there."""
    new: Steps
    """How the new one does."""
    at: str = "all"
    """request, answer, event or all."""

    def request(self, body: JsonObject, context: Context) -> JsonObject:
        return self._renamed(body) if self.at in ("request", "all") else body

    def answer(self, body: JsonObject, context: Context) -> JsonObject:
        return self._renamed(body) if self.at in ("answer", "all") else body

    def stream(self, context: Context) -> Events | None:
        return self._event if self.at in ("event", "all") else None

    def _event(self, event: JsonObject) -> Sequence[JsonObject]:
        return (self._renamed(event),)

    def _renamed(self, value: JsonObject) -> JsonObject:
        return changed_at(value, self.shared, self._moved)

    def _moved(self, parent: JsonObject) -> JsonObject:
        value = next(found_at(parent, self.old), MISSING)
        if value is MISSING:
            return parent
        left = without(parent, self.old)
        taken = next(found_at(left, self.new), MISSING) is not MISSING
        return left if taken else cast(JsonObject, injected(left, self.new, value))


def _make(options: Options) -> RenameField:
    old, new = parse_path(options.text("from")), parse_path(options.text("to"))
    shared = tuple(one for one, _ in takewhile(lambda pair: pair[0] == pair[1], zip(old, new, strict=False)))
    if shared in (old, new):
        raise ValueError(f"from = {written(old)!r} and to = {written(new)!r}: one lies within the other")
    depth = len(shared)
    if has_wildcard(old[depth:]) or has_wildcard(new[depth:]):
        raise ValueError("from and to: * may stand where both paths are the same, and nowhere else")
    return RenameField(shared, old[depth:], new[depth:], options.one_of("at", _AT, "all"))


ADAPTER = Factory(RenameField.name, _make, ("from", "to", "at"))

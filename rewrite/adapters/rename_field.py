"""rename_field: a field that the provider knows by another name.

`from` and `to` are dotted paths; a list on the way that both go stands for each of its items. `at` says
where: in the "request", in a whole "answer", in each "event" of a stream, or in "all" (the default).

Loses: where the field `to` is there already it stays, and the value of `from` is dropped.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import takewhile
from typing import ClassVar

from protocols.model.wirejson import JsonObject
from rewrite.adapters.base import Context, Events, Factory, Options, Unchanged
from rewrite.adapters.paths import Path, changed_at, parse_path, without

_AT = ("request", "answer", "event", "all")


@dataclass(frozen=True, slots=True)
class RenameField(Unchanged):
    """Moves the value at one path to another."""

    name: ClassVar[str] = "rename_field"
    shared: Path
    """The path that both have in common."""
    old: Path
    """How the old one continues from there."""
    new: Path
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
        found, value = _at(parent, self.old)
        return _with(without(parent, self.old), self.new, value) if found else parent


def _at(value: JsonObject, path: Path) -> tuple[bool, object]:
    """Whether there is a field at `path`, through objects only, and what it holds."""
    here: object = value
    for step in path:
        if not isinstance(here, dict) or step not in here:
            return False, None
        here = here[step]
    return True, here


def _with(value: JsonObject, path: Path, item: object) -> JsonObject:
    """`value` with `item` at `path`, unless something stands there or in the way."""
    name, *rest = path
    if not rest:
        return value if name in value else {**value, name: item}
    inner = value.get(name, {})
    return {**value, name: _with(inner, tuple(rest), item)} if isinstance(inner, dict) else value


def _make(options: Options) -> RenameField:
    old, new = parse_path(options.text("from")), parse_path(options.text("to"))
    shared = tuple(one for one, _ in takewhile(lambda pair: pair[0] == pair[1], zip(old, new, strict=False)))
    if shared in (old, new):
        raise ValueError(f"from = {'.'.join(old)!r} and to = {'.'.join(new)!r}: one lies within the other")
    depth = len(shared)
    return RenameField(shared, old[depth:], new[depth:], options.one_of("at", _AT, "all"))


ADAPTER = Factory(RenameField.name, _make, ("from", "to", "at"))

"""Rules for tests, in few words."""

from typing import Any

from rewrite.fields.paths import parse_path
from rewrite.fields.rule import Inject, Into, Mode, Place, Rule, Source


def at(path: str, ups: int = 0, *, before: bool = False) -> Place:
    return Place(parse_path(path) if path else (), ups, before)


def into(path: str = "", ups: int = 0, target: Into = Into.REQUEST, **fields: Any) -> Inject:
    return Inject(target, at(path, ups), **fields)


def rule(path: str = "x", inject: Inject | None = None, **fields: Any) -> Rule:
    """A field of answers that goes back into requests under its own name."""
    place = fields.pop("place", at(path))
    fields = {"name": "test", "source": Source.RESPONSE, **fields}
    return Rule(place=place, inject=inject or Inject(Into.REQUEST, place), **fields)


def per_call(place: Place, inject: Inject, **fields: Any) -> Rule:
    return rule(place=place, inject=inject, mode=Mode.PER_TOOL_CALL, **fields)

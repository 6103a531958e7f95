"""Rules of the field cache as mappings: `rule` reads one, as a provider's file or a config writes it.

A `path` of a rule is one of `rewrite.fields.paths`. Where `mode` is "per_tool_call" it goes on from each
tool call, or from the object around it: `^.reasoning_content` is a field of the message that holds the call,
and `^.^` the object around that. `<` is each item that stands before the call in its list, after any other
call.
"""

import re
from collections.abc import Callable, Iterable, Mapping
from dataclasses import fields
from difflib import get_close_matches
from enum import StrEnum

from rewrite.fields.paths import fault, has_wildcard, parse_from
from rewrite.fields.rule import (
    MOST_BYTES,
    MOST_VALUES,
    SCOPE,
    TTL,
    Beside,
    Inject,
    Into,
    Mode,
    Place,
    Rule,
    Scope,
    Source,
)

type Table = Mapping[str, object]

_RULE = {
    *(each.name for each in fields(Rule) if each.init and each.name not in ("place", "model", "protocol")),
    *("path", "match"),
}
_INJECT = {"target", "path", "when_missing_only", "placeholders", "insert", "as_list"}
_MATCH = {"model", "protocol"}
_NAME = re.compile(r"[^\x00-\x1f\x7f]{1,64}")
_HEADER = re.compile(r"[A-Za-z0-9!#$%&'*+.^_`|~-]{1,64}")
_LONGEST = 1e15
"""Seconds: of more, a number would not count single ones."""
_UPS = re.compile(r"\^(\.\^)*")
_WITHHELD = frozenset(
    """
    accept-encoding connection content-encoding content-length content-type expect host keep-alive te trailer
    transfer-encoding upgrade via
    """.split()
)
"""Headers that belong to one message or connection."""
_TELLING = re.compile(r"auth|cookie|secret|credential|password|jwt|(^|[-_])key|apikey|token|^proxy-|^sec-")
"""Names of headers, in lower case, that may carry a credential, or say who asks."""


class RuleError(ValueError):
    """A rule that is none."""

    def __init__(self, loc: tuple[str, ...], message: str) -> None:
        super().__init__(f"{'.'.join(loc)}: {message}")
        self.loc = loc
        """The keys that lead to what is wrong."""
        self.message = message
        """What is wrong there. No value is repeated in it, which may be a secret in the wrong place."""


def rules(tables: Iterable[Table]) -> tuple[Rule, ...]:
    """Raises ValueError, which names the rule by its number and the key."""
    found: list[Rule] = []
    for number, table in enumerate(tables):
        try:
            found.append(rule(table))
        except RuleError as error:
            raise ValueError(f"[{number}].{error}") from None
        if found[-1].name in {each.name for each in found[:-1]}:
            raise ValueError(f"[{number}].name: is the name of another rule")
    return tuple(found)


def rule(table: Table) -> Rule:
    """Raises RuleError where a key is missing, unknown or of another form."""
    _known((), table, _RULE)
    match, mode = _table(table, "match", {}), _one_of((), table, "mode", Mode, Mode.LAST)
    _known(("match",), match, _MATCH)
    return Rule(
        name=_name(table),
        source=_one_of((), table, "source", Source, None),
        place=_place((), _needed((), table, "path", _text), joined=mode is Mode.PER_TOOL_CALL),
        inject=_inject(_needed((), table, "inject", _as_table), joined=mode is Mode.PER_TOOL_CALL),
        model=_glob(match, "model").lower(),
        protocol=_glob(match, "protocol"),
        where=_table(table, "where", {}),
        mode=mode,
        scope=_scope(table),
        ttl=_read((), table, "ttl", _seconds, TTL),
        max_values=_read((), table, "max_values", _count, MOST_VALUES),
        max_bytes=_read((), table, "max_bytes", _count, MOST_BYTES),
        persist=_read((), table, "persist", _flag, False),
    )


def _inject(table: Table, *, joined: bool) -> Inject:
    loc = ("inject",)
    _known(loc, table, _INJECT)
    into = _one_of(loc, table, "target", Into, Into.REQUEST)
    only = _read(loc, table, "when_missing_only", _flag, True)
    if into is Into.HEADERS:
        return Inject(into, header=_header(table, joined=joined), when_missing_only=only)
    insert = _read(loc, table, "insert", _insert, None)
    if isinstance(insert, Beside) and not joined:
        text = 'must be a number: "before" and "after" are for mode "per_tool_call"'
        raise RuleError((*loc, "insert"), text)
    place = _inject_place(table, insert, joined=joined)
    placeholders = _read(loc, table, "placeholders", _texts, ())
    return Inject(into, place, "", only, placeholders, insert, _read(loc, table, "as_list", _flag, False))


def _inject_place(table: Table, insert: Beside | int | None, *, joined: bool) -> Place:
    """Where values go: one place, which only what stands beside a tool call need not name."""
    loc, path = ("inject",), ("inject", "path")
    beside = isinstance(insert, Beside)
    text = _read(loc, table, "path", _text, "") if beside else _needed(loc, table, "path", _text)
    place = _place(loc, text, joined=joined) if text else Place()
    if has_wildcard(place.steps) or place.before:
        raise RuleError(path, "must name one place: * and < can be read, but not written")
    if beside and place.steps:
        raise RuleError(path, "must be the object that values are put beside: ^, or nothing for the call")
    if not place.steps and insert is None:
        raise RuleError(path, "must name a field")
    return place


def _header(table: Table, *, joined: bool) -> str:
    loc = ("inject",)
    if joined:
        raise RuleError((*loc, "target"), 'must be a body: mode "per_tool_call" puts values beside calls')
    for key in table.keys() & {"insert", "as_list", "placeholders"}:
        raise RuleError((*loc, key), "is not for a header: take it out")
    name = _needed(loc, table, "path", _text).lower()
    if not _HEADER.fullmatch(name):
        raise RuleError((*loc, "path"), "must be the name of a header such as x-session-id")
    if name in _WITHHELD or _TELLING.search(name):
        raise RuleError((*loc, "path"), "must not be a header that carries a credential or frames a message")
    return name


def _place(loc: tuple[str, ...], text: str, *, joined: bool) -> Place:
    try:
        return parse_place(text, joined=joined)
    except ValueError as error:
        raise RuleError((*loc, "path"), str(error)) from None


def parse_place(text: str, *, joined: bool) -> Place:
    """A path of a rule; `joined`: it goes on from a tool call. Raises ValueError, which names the place."""
    start = _UPS.match(text) or re.match("<", text)
    if start is None:
        return Place(parse_from(text, 0))
    if not joined:
        raise ValueError(f'may begin with {text[0]} only where mode = "per_tool_call"')
    ups, end = start[0].count("^"), start.end()
    if end == len(text):
        return Place((), ups, before=not ups)
    if text[end] != ".":
        raise fault(text, end, "a dot")
    return Place(parse_from(text, end + 1), ups, before=not ups)


# -- values of a table -------------------------------------------------------------------------------------


def _known(loc: tuple[str, ...], table: Table, names: Iterable[str]) -> None:
    for key in table.keys() - set(names):
        close = get_close_matches(key, names, n=1)
        hint = f"did you mean {close[0]}?" if close else f"known are {', '.join(sorted(names))}"
        raise RuleError((*loc, key), f"unknown name: {hint}")


def _read[T, D](
    loc: tuple[str, ...], table: Table, key: str, reader: Callable[[object], T], default: D
) -> T | D:
    if table.get(key) is None:
        return default
    try:
        return reader(table[key])
    except ValueError as error:
        raise RuleError((*loc, key), str(error)) from None


def _needed[T](loc: tuple[str, ...], table: Table, key: str, reader: Callable[[object], T]) -> T:
    found = _read(loc, table, key, reader, None)
    if found is None:
        raise RuleError((*loc, key), "is missing")
    return found


def _one_of[E: StrEnum](loc: tuple[str, ...], table: Table, key: str, kind: type[E], default: E | None) -> E:
    """A member of `kind`; needed where there is no `default`."""

    def read(value: object) -> E:
        if isinstance(value, str) and value in set(kind):
            return kind(value)
        raise _must(f"one of {', '.join(kind)}")

    return _needed(loc, table, key, read) if default is None else _read(loc, table, key, read, default)


def _table(table: Table, key: str, default: Table) -> Table:
    return _read((), table, key, _as_table, default)


def _must(be: str) -> ValueError:
    return ValueError(f"must be {be}")


def _as_table(value: object) -> Table:
    if not isinstance(value, Mapping):
        raise _must("a table")
    return value


def _text(value: object) -> str:
    if not isinstance(value, str) or not value:
        raise _must("a text that is not empty")
    return value


def _texts(value: object) -> tuple[str, ...]:
    if not isinstance(value, list | tuple):
        raise _must("a list of texts")
    return tuple(_text(each) for each in value)


def _name(table: Table) -> str:
    name = _needed((), table, "name", _text)
    if not _NAME.fullmatch(name):
        raise RuleError(("name",), "must be a name of 1 to 64 printable characters")
    return name


def _glob(match: Table, key: str) -> str:
    """May be empty, which fits nothing."""
    value = match.get(key, "*")
    if not isinstance(value, str):
        raise RuleError(("match", key), "must be a glob such as deepseek-*")
    return value


def _scope(table: Table) -> frozenset[Scope]:
    def read(value: object) -> frozenset[Scope]:
        if not isinstance(value, list | tuple) or not value or not all(each in [*Scope] for each in value):
            raise _must(f"a list of some of {', '.join(Scope)}")
        return frozenset(Scope(each) for each in value)

    return _read((), table, "scope", read, SCOPE)


def _insert(value: object) -> Beside | int:
    if isinstance(value, int) and not isinstance(value, bool):
        return value
    if isinstance(value, str) and value in set(Beside):
        return Beside(value)
    raise _must('"before", "after" or the number of an item')


def _flag(value: object) -> bool:
    if not isinstance(value, bool):
        raise _must("true or false")
    return value


def _count(value: object) -> int:
    if not isinstance(value, int) or isinstance(value, bool) or value < 1:
        raise _must("a whole number above 0")
    return value


def _seconds(value: object) -> float:
    if isinstance(value, int | float) and not isinstance(value, bool) and 0 <= value <= _LONGEST:
        return float(value)
    raise _must(f"a number of seconds, at least 0 and at most {_LONGEST:g}")

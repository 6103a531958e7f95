"""Writing calls into an open ledger, and taking old ones out. Days are those of the place where this runs."""

import sqlite3
import time
from bisect import bisect_left
from collections import defaultdict
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager
from math import isfinite
from operator import attrgetter

from addons.usage.schema import BOUNDS, CALL, CLASSES, OF_KIND, SLOT, SUMS
from rewrite.records.verdict import Verdict
from rewrite.usage.entry import CallEntry, Tokens

STEP = 2000
"""Rows of a table that are taken out at once."""

_LARGEST = 1 << 40
"""A count that a provider states and that is larger is none. Sums of these are numbers that SQLite has."""

_TWO_DAYS = 172_800
"""Seconds for which a kind stays that no row is of: a day may have been another one elsewhere."""

_NONE = Tokens()
_COUNTS = attrgetter(*CLASSES)
_KIND = attrgetter("provider", "protocol", "operation", "model", "asked", "served", "credential", "user")
_RETRIED, _REPAIRED, _FAILED = 1, 2, 3
_COUNTED = {
    Verdict.RETRIED: _RETRIED,
    Verdict.SPARE: _RETRIED,
    Verdict.FALLBACK: _RETRIED,
    Verdict.TRUNCATED: _REPAIRED,
    Verdict.CONTINUED: _REPAIRED,
    Verdict.FAILED: _FAILED,
    Verdict.REFUSED: _FAILED,
}
"""Where in SUMS a call counts besides."""
_TOKENS, _COST = SUMS.index(CLASSES[0]), SUMS.index("cost")
_FIRSTS = len(SUMS) - len(BOUNDS) - 1


def _marks(count: int) -> str:
    return ", ".join("?" * count)


def _add_sums(table: str) -> str:
    added = ", ".join(f"{name} = {name} + excluded.{name}" for name in SUMS)
    return f"INSERT INTO {table} VALUES ({_marks(2 + len(SUMS))}) ON CONFLICT DO UPDATE SET {added}"


_FIND_KIND = f"SELECT id FROM kind WHERE {' AND '.join(f'{name} = ?' for name in OF_KIND)}"
_ADD_KIND = f"INSERT INTO kind ({', '.join(OF_KIND)}, last) VALUES ({_marks(len(OF_KIND) + 1)})"
_SEE_KIND = "UPDATE kind SET last = max(last, ?) WHERE id = ?"
_ADD_CALL = f"INSERT OR IGNORE INTO call VALUES ({_marks(len(CALL))})"
_ADD_SLOT, _ADD_DAY = _add_sums("slot"), _add_sums("day")
_DROP_CALLS = (
    "DELETE FROM call WHERE (at, call) IN (SELECT at, call FROM call WHERE at < ? ORDER BY at LIMIT ?)"
)
_DROP_SLOTS = (
    "DELETE FROM slot WHERE (slot, kind) IN "
    "(SELECT slot, kind FROM slot WHERE slot < ? ORDER BY slot LIMIT ?)"
)
_DROP_DAYS = "DELETE FROM day WHERE day < ?"
_DROP_KINDS = "DELETE FROM kind WHERE last < ?"

type Kind = tuple[str, ...]
"""What calls of a kind have in common, in the order of OF_KIND."""

type _Groups[T] = dict[tuple[T, int], list[float]]
"""SUMS of calls, by when they ended, and their kind."""


def day_of(at: float) -> str:
    """The date of a time here, `at` in seconds since the epoch."""
    return time.strftime("%Y-%m-%d", time.localtime(at))


def write(connection: sqlite3.Connection, entries: Sequence[CallEntry], *, each: bool = True) -> None:
    """All of them or none; `each`: as rows of their own too. Raises sqlite3.Error."""
    slots: _Groups[int] = defaultdict(lambda: [0] * len(SUMS))
    kinds = _Kinds(connection)
    with _transaction(connection):
        of_entries = [kinds.id(entry) for entry in entries]
        kinds.seen()
        for entry, kind in zip(entries, of_entries, strict=True):
            add(slots[int(entry.at) // SLOT, kind], entry)
        if each:
            rows = [_row(entry, kind) for entry, kind in zip(entries, of_entries, strict=True)]
            connection.executemany(_ADD_CALL, rows)
        _write(connection, slots)


def write_sums(connection: sqlite3.Connection, sums: Iterable[tuple[int, Kind, Sequence[float]]]) -> None:
    """SUMS of calls of a kind that ended in a slot, from elsewhere. Raises sqlite3.Error."""
    slots: _Groups[int] = defaultdict(lambda: [0] * len(SUMS))
    kinds = _Kinds(connection)
    with _transaction(connection):
        for slot, kind, found in sums:
            group = slot, kinds.known(kind, slot * SLOT)
            slots[group] = [*map(sum, zip(slots[group], found, strict=True))]
        _write(connection, slots)


def _write(connection: sqlite3.Connection, slots: _Groups[int]) -> None:
    connection.executemany(_ADD_SLOT, [(*group, *sums) for group, sums in slots.items()])
    connection.executemany(_ADD_DAY, [(*group, *sums) for group, sums in _days(slots).items()])


def _days(slots: _Groups[int]) -> _Groups[str]:
    days: _Groups[str] = {}
    for (slot, kind), sums in slots.items():
        group = day_of(slot * SLOT), kind
        days[group] = [*map(sum, zip(days[group], sums, strict=True))] if group in days else sums
    return days


def drop_before(connection: sqlite3.Connection, at: float) -> bool:
    """Take out some of what is older, `at` in seconds since the epoch; whether there is more. Raises
    sqlite3.Error."""
    with _transaction(connection):
        calls = connection.execute(_DROP_CALLS, (int(at * 1000), STEP)).rowcount
        slots = connection.execute(_DROP_SLOTS, (int(at) // SLOT, STEP)).rowcount
        more = STEP in (calls, slots)
        if not more:
            connection.execute(_DROP_DAYS, (day_of(at),))
            connection.execute(_DROP_KINDS, (int(at) - _TWO_DAYS,))
    return more


class _Kinds:
    """The kinds of the calls of one transaction."""

    def __init__(self, connection: sqlite3.Connection) -> None:
        self._connection = connection
        self._of_entries: dict[tuple[str, ...], int] = {}
        self._ids: dict[Kind, int] = {}
        self._last: dict[int, int] = {}

    def id(self, entry: CallEntry) -> int:
        found = self._of_entries.get(named := _KIND(entry))
        if found is None:
            found = self._of_entries[named] = self.known(_columns(*named), int(entry.at))
        self._last[found] = max(self._last.get(found, 0), int(entry.at))
        return found

    def known(self, kind: Kind, at: int) -> int:
        if kind not in self._ids:
            self._ids[kind] = self._find(kind, at)
        return self._ids[kind]

    def seen(self) -> None:
        """Write down when there was one of each last."""
        self._connection.executemany(_SEE_KIND, [(at, kind) for kind, at in self._last.items()])

    def _find(self, columns: Sequence[str], at: int) -> int:
        found = self._connection.execute(_FIND_KIND, columns).fetchone()
        if found is None:
            self._connection.execute(_ADD_KIND, (*columns, at))
            found = self._connection.execute(_FIND_KIND, columns).fetchone()
        return int(found[0])


def kind_of(entry: CallEntry) -> Kind:
    return _columns(*_KIND(entry))


def _columns(provider: str, protocol: str, operation: str, model: str, asked: str, *others: str) -> Kind:
    """In the order of OF_KIND. Half of a character, as JSON can have it, is no text of a database."""
    texts = provider, protocol, operation, model, asked or model, *others
    return tuple(text.encode("utf-8", "replace").decode() for text in texts)


def add(sums: list[float], entry: CallEntry) -> None:
    """To SUMS of calls."""
    sums[0] += 1
    if also := _COUNTED.get(entry.verdict):
        sums[also] += 1
    if entry.tokens is not None:
        for place, count in enumerate(_COUNTS(entry.tokens), _TOKENS):
            if count:
                sums[place] += min(count, _LARGEST)
    cost = _cost(entry)
    sums[_COST] += cost or 0.0
    sums[_COST + 1] += cost is None and entry.tokens is not None
    sums[_COST + 2] += min(entry.failed_tokens, _LARGEST)
    sums[_COST + 3] += entry.failed_cost
    sums[_COST + 4] += entry.estimated
    if entry.first_token is not None:
        sums[_FIRSTS + bisect_left(BOUNDS, entry.first_token)] += 1


def _cost(entry: CallEntry) -> float | None:
    return entry.cost if entry.cost is not None and isfinite(entry.cost) else None


def _row(entry: CallEntry, kind: int) -> tuple[object, ...]:
    """In the order of CALL."""
    first = entry.first_token
    return (
        int(entry.at * 1000),
        entry.call,
        kind,
        entry.verdict.value,
        entry.status,
        round(entry.seconds * 1000),
        None if first is None else round(first * 1000),
        entry.attempts,
        *(min(count, _LARGEST) for count in _COUNTS(entry.tokens or _NONE)),
        entry.estimated,
        _cost(entry),
        entry.cost_source,
        min(entry.failed_tokens, _LARGEST),
        entry.failed_cost,
    )


@contextmanager
def _transaction(connection: sqlite3.Connection) -> Iterator[None]:
    connection.execute("BEGIN IMMEDIATE")
    try:
        yield
        connection.execute("COMMIT")
    except BaseException:
        if connection.in_transaction:  # SQLite has ended it by itself where the disk is full
            connection.execute("ROLLBACK")
        raise

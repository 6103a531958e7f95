"""What all calls of this proxy came to, kept in the store beside what others counted.

Sums are kept for each kind of calls, of half hours for some days, and of days for as long as usage is kept.
Each proxy writes its own rows, as a whole: what is written twice counts once. Days are those of UTC here,
since proxies may be in several places.
"""

import asyncio
import json
from collections import defaultdict
from collections.abc import Callable, Iterable, Iterator, Sequence
from functools import partial
from itertools import batched

from addons.runtime.clock import Later, by_the_loop
from addons.store.connection import Connection
from addons.store.line import Answer, Argument
from addons.store.script import script
from addons.usage.schema import OF_KIND, SLOT, SUMS
from addons.usage.store import Kind, add, kind_of
from rewrite.credentials.packed import is_number
from rewrite.policies.user_caps import DAY, day_of
from rewrite.usage.entry import CallEntry

GATHER = 2.0
"""Seconds for which calls are gathered that are written together."""

SLOTS_KEPT = 9
"""Days for which half hours are kept."""

MOST_KINDS = 2000
"""Kinds of a day that are told apart. Clients may make up names of models."""

LONGEST_NAME = 200
"""Characters."""

_OTHER = "other"
_MADE_UP = frozenset(map(OF_KIND.index, ("client_model", "model", "served", "user")))
_AT_ONCE = 100
"""Rows."""

_WRITE = script("totals")

type Row = tuple[int, Kind]
"""Half hours since the epoch, or -1 for a whole day; and what the calls have in common."""

WHOLE_DAY = -1


class Totals:
    """On the event loop. `take` gets the entries of calls that are over."""

    def __init__(
        self, connection: Connection, clock: Callable[[], float], later: Later = by_the_loop
    ) -> None:
        """`clock` is the pool's."""
        self._connection, self._clock, self._later = connection, clock, later
        self._kept = 400 * DAY
        self._sums: dict[str, dict[Row, list[float]]] = {}  # by day
        self._unwritten: dict[str, set[Row]] = defaultdict(set)
        self._is_due = False
        connection.on_up(self._again)

    def configure(self, kept: float) -> None:
        """For how many seconds usage is kept."""
        self._kept = kept

    def take(self, entries: Iterable[CallEntry]) -> None:
        if not self._connection.is_configured:
            return
        now = self._clock()
        day, slot = day_of(now), int(now) // SLOT
        sums = self._sums.get(day)
        if sums is None:
            self._forget(now)
            sums = self._sums[day] = {}
        for entry in entries:
            kind = _bounded(kind_of(entry), sums)
            for row in ((slot, kind), (WHOLE_DAY, kind)):
                add(sums.setdefault(row, [0] * len(SUMS)), entry)
                self._unwritten[day].add(row)
        self._soon()

    def _forget(self, now: float) -> None:
        """What is of no day but yesterday: it is written long since, or there is no store."""
        yesterday = day_of(now - DAY)
        self._sums = {day: sums for day, sums in self._sums.items() if day == yesterday}
        for day in self._unwritten.keys() - self._sums.keys():
            del self._unwritten[day]

    def _soon(self) -> None:
        if not self._is_due:
            self._is_due = True
            self._later(GATHER, self._due)

    def _due(self) -> None:
        self._is_due = False
        self.flush()

    def flush(self) -> None:
        """Write what has changed."""
        if not self._connection.is_up:
            return  # what waits is written when it is
        for day, rows in self._unwritten.items():
            unwritten = sorted(rows, key=lambda row: row[0] == WHOLE_DAY)
            rows.clear()
            for some in batched(unwritten, _AT_ONCE):
                asked = self._asked(day, some)
                self._connection.ask(_WRITE, *asked, partial(self._written, day, some), seconds=GATHER)

    def _written(self, day: str, rows: Iterable[Row], answer: Answer) -> None:
        if answer is None and day in self._sums:
            self._unwritten[day].update(rows)
            self._soon()

    async def _again(self) -> None:
        """The store may have been emptied."""
        asked = []
        for day, sums in self._sums.items():
            rows = sorted(sums, key=lambda row: row[0] == WHOLE_DAY)
            self._unwritten[day].clear()
            asked += [
                self._connection.call(_WRITE, *self._asked(day, some)) for some in batched(rows, _AT_ONCE)
            ]
        await asyncio.gather(*asked)

    def _asked(self, day: str, rows: Sequence[Row]) -> tuple[list[str], list[Argument]]:
        """Keys and arguments of the script; first of `rows` are those of half hours."""
        sums, now = self._sums[day], self._clock()
        slots = sum(slot != WHOLE_DAY for slot, _ in rows)
        ends = [int(now + kept) for kept in (SLOTS_KEPT * DAY, max(self._kept, SLOTS_KEPT * DAY))]
        pairs = (part for row in rows for part in (self._field(row), _value(sums[row])))
        return [*keys_of(self._connection.prefix, day)], [*ends, slots, *pairs]

    def _field(self, row: Row) -> str:
        slot, kind = row
        return json.dumps([self._connection.proxy, slot, *kind], ensure_ascii=False, separators=(",", ":"))


def keys_of(prefix: str, day: str) -> tuple[str, str]:
    """The names of the hash of the half hours of a day, and of that of the day."""
    return f"{prefix}t:{day}:slots", f"{prefix}t:{day}:day"


def rows_of(found: Answer) -> Iterator[tuple[int, Kind, list[float]]]:
    """Those in a hash: half hours, or -1; the kind; SUMS. What is none of ours is left out."""
    pairs = found if isinstance(found, list) else []
    for field, value in zip(pairs[::2], pairs[1::2], strict=False):
        if isinstance(field, bytes) and isinstance(value, bytes):
            try:
                yield _row(json.loads(field), json.loads(value.partition(b" ")[2]))
            except (ValueError, TypeError, AttributeError, RecursionError):
                continue


def _row(field: object, value: object) -> tuple[int, Kind, list[float]]:
    match field, value:
        case [str(), int(slot), *kind], dict() if len(kind) == len(OF_KIND):
            sums = [value.get(name, 0) for name in SUMS]
            if all(map(is_number, sums)):
                return slot, tuple(map(str, kind)), [*map(float, sums)]
    raise ValueError


def _value(sums: Sequence[float]) -> str:
    said = {name: amount for name, amount in zip(SUMS, sums, strict=True) if amount}
    return f"{sums[0]:.0f} {json.dumps(said, separators=(',', ':'))}"


def _bounded(kind: Kind, sums: dict[Row, list[float]]) -> Kind:
    kind = tuple(name[:LONGEST_NAME] for name in kind)
    if (WHOLE_DAY, kind) in sums or len(sums) < MOST_KINDS:
        return kind
    return tuple(_OTHER if place in _MADE_UP else name for place, name in enumerate(kind))

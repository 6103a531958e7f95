"""Reading a ledger: what calls used and cost since a time, by provider, model, day and so on."""

import sqlite3
from bisect import bisect_left
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass
from datetime import UTC, datetime, timedelta
from itertools import accumulate
from operator import add
from re import fullmatch
from typing import Any

from msgspec import structs

from addons.usage.schema import BOUNDS, CLASSES, SLOT, SUMS
from addons.usage.store import day_of
from rewrite.policies.user_caps import Use
from rewrite.usage.entry import Tokens

BY = ("provider", "model", "credential", "user", "day", "hour")
"""What calls can be counted by. Days and hours are those of the place where this runs."""

SINCE, USUAL = "7d", "provider,model"
"""Since when and by what, where nobody says."""

MEMORY = "memory"
"""Where usage is kept that a proxy loses when it ends."""

ALL = "all"
"""Calls are not told apart."""

_TIMES = frozenset({"day", "hour"})
_UNITS = {"h": timedelta(hours=1), "d": timedelta(days=1), "w": timedelta(weeks=1)}


@dataclass(frozen=True, slots=True)
class Row:
    """What some calls came to."""

    group: tuple[str, ...]
    """What they have in common, in the order of `Usage.by`. An empty text: it is not known."""
    calls: int
    tokens: Tokens
    """Of the answers that clients got."""
    cost: float
    """US dollars, of the calls of which it is known."""
    unpriced: int
    """The calls that used tokens and whose cost is not known."""
    retried: int
    """Calls that an attempt failed of and that another one answered."""
    repaired: int
    """Calls whose end is ours: a cut answer was continued, or ended honestly."""
    failed: int
    """Calls whose clients got an error."""
    failed_tokens: int
    """Of attempts of which clients got nothing."""
    failed_cost: float
    """US dollars for these."""
    estimated: int
    """Calls whose tokens are counted by us, at least in part: nobody else did, or the answer was cut."""
    first_token: float | None
    """The median of the seconds to the first token, to a tenth of it, or to 0.05 s. None: there
    was none."""


@dataclass(frozen=True, slots=True)
class Usage:
    """What all calls came to since a time."""

    since: float
    """In seconds since the epoch: the beginning of a half hour."""
    by: tuple[str, ...]
    """Names of `BY`."""
    rows: tuple[Row, ...]
    """By time where they are by day or hour; else the dearest first."""
    total: Row
    """Of all rows."""


def since_of(text: str, now: datetime) -> float:
    """`7d`, `24h` or `2w` before `now`, or a date such as 2026-11-01, when it begins here; in epoch seconds.
    Raises ValueError, fit for a user."""
    if found := fullmatch(r"(\d{1,5})([hdw])", text.strip()):
        return (now - int(found[1]) * _UNITS[found[2]]).timestamp()
    try:
        at = datetime.fromisoformat(text.strip()).timestamp()
    except (ValueError, OverflowError):
        raise ValueError(f"{text!r} is no time: say 24h, 7d, 4w, or a date such as 2026-11-01") from None
    if at > now.timestamp():
        raise ValueError(f"{text!r} is still to come: say 24h, 7d, 4w, or a date that is past")
    return at


def by_of(text: str) -> tuple[str, ...]:
    """Names of `BY`, with commas between; none for `all`. Raises ValueError, fit for a user."""
    if text.strip() == ALL:
        return ()
    names = tuple(dict.fromkeys(name.strip() for name in text.split(",") if name.strip()))
    for name in names:
        if name not in BY:
            raise ValueError(f"calls cannot be counted by {name!r}: name some of {', '.join(BY)}")
    return names


def usage(connection: sqlite3.Connection, since: float, by: Sequence[str]) -> Usage:
    """What is in a ledger since `since`, in epoch seconds, by names of `BY`. Raises sqlite3.Error."""
    slot = int(since) // SLOT
    groups: dict[tuple[str, ...], _Sums] = {}
    total = _Sums()
    for select, bounds in _selects(slot, by):
        for found in connection.execute(select, bounds):
            for one in (groups.setdefault(found[: len(by)], _Sums()), total):
                one.add(found[len(by) :])
    rows = sorted((sums.row(group) for group, sums in groups.items()), key=lambda row: _rank(row, by))
    return Usage(float(slot * SLOT), tuple(by), tuple(rows), total.row(()))


def by_user(connection: sqlite3.Connection, since: float) -> Mapping[str, Use]:
    """What each user used since `since`, in epoch seconds. Raises sqlite3.Error."""
    found = connection.execute(_BY_USER, (int(since * 1000),))
    return {user: Use(calls, tokens, cost) for user, calls, tokens, cost in found}


_PAID = ("input", "cache_read", "cache_write", "cache_write_1h", "output")
_BY_USER = (
    f"SELECT user, count(*), sum({' + '.join(_PAID)}), sum(coalesce(cost, 0.0)) "
    "FROM call JOIN kind ON kind.id = kind WHERE at >= ? AND attempts > 0 GROUP BY user"
)


def _selects(slot: int, by: Sequence[str]) -> Iterator[tuple[str, tuple[object, ...]]]:
    """Whole days are read as such, unless hours are asked for; of the first one, the slots that are left."""
    since = slot * SLOT
    begins = datetime.fromtimestamp(since)  # noqa: DTZ006  # days are those of this place
    next_day = begins.replace(hour=0, minute=0, second=0) + timedelta(days=1)
    if "hour" in by:
        yield _select("slot", by, "slot >= ?"), (slot,)
        return
    yield _select("slot", by, "slot >= ? AND slot < ?"), (slot, int(next_day.timestamp()) // SLOT)
    yield _select("day", by, "day >= ?"), (day_of(next_day.timestamp()),)


_LOCAL = f"strftime('%s', slot * {SLOT}, 'unixepoch', 'localtime')"
_SLOTS = {"day": _LOCAL % "%Y-%m-%d", "hour": _LOCAL % "%Y-%m-%d %H:00"}


def _select(table: str, by: Sequence[str], where: str) -> str:
    labels = _SLOTS if table == "slot" else {}
    names = [labels.get(name, name) for name in by]
    sums = [f"sum({name})" for name in SUMS]
    columns = ", ".join([*names, *sums])
    grouped = f" GROUP BY {', '.join(names)}" if by else " HAVING count(*)"
    return f"SELECT {columns} FROM {table} JOIN kind ON kind.id = kind WHERE {where}{grouped}"


def as_data(found: Usage, kept: str) -> dict[str, Any]:
    """As JSON says it. `kept`: the path of its file, or MEMORY."""
    return {
        "kept": kept,
        "since": datetime.fromtimestamp(found.since, UTC).isoformat(),
        "by": list(found.by),
        "rows": [_row_data(row, found.by) for row in found.rows],
        "total": _row_data(found.total, ()),
    }


def from_data(data: Mapping[str, Any]) -> Usage:
    """What `as_data` said. Raises KeyError, TypeError and ValueError for anything else."""
    by = tuple(map(str, data["by"]))
    rows = tuple(_row_of(row, by) for row in data["rows"])
    return Usage(datetime.fromisoformat(data["since"]).timestamp(), by, rows, _row_of(data["total"], ()))


def _row_data(row: Row, by: Sequence[str]) -> dict[str, Any]:
    data = asdict(row) | {"tokens": structs.asdict(row.tokens)}
    return dict(zip(by, data.pop("group"), strict=True)) | data


def _row_of(data: Mapping[str, Any], by: Sequence[str]) -> Row:
    rest = {name: value for name, value in data.items() if name not in by}
    return Row(**rest | {"group": tuple(data[name] for name in by), "tokens": Tokens(**data["tokens"])})


@dataclass(slots=True)
class _Sums:
    """Of a row."""

    sums: tuple[float, ...] = (0,) * len(SUMS)

    def add(self, sums: Sequence[float]) -> None:
        self.sums = tuple(map(add, self.sums, sums))

    def row(self, group: tuple[str, ...]) -> Row:
        found = dict(zip(SUMS, self.sums, strict=True))
        return Row(
            group=group,
            calls=int(found["calls"]),
            tokens=Tokens(**{name: int(found[name]) for name in CLASSES}),
            cost=float(found["cost"]),
            unpriced=int(found["unpriced"]),
            retried=int(found["retried"]),
            repaired=int(found["repaired"]),
            failed=int(found["failed"]),
            failed_tokens=int(found["failed_tokens"]),
            failed_cost=float(found["failed_cost"]),
            estimated=int(found["estimated"]),
            first_token=_median(self.sums[-len(BOUNDS) - 1 :]),
        )


def _median(counts: Sequence[float]) -> float | None:
    """Of the seconds to first tokens, to a tenth. `counts`: how many took up to each of BOUNDS, or more."""
    half, so_far = sum(counts) / 2, [*accumulate(counts)]
    if not half:
        return None
    step = bisect_left(so_far, half)
    since, to = BOUNDS[step - 1] if step else 0.0, BOUNDS[min(step, len(BOUNDS) - 1)]
    return round(since + (to - since) * (half - so_far[step] + counts[step]) / counts[step], 3)


def _rank(row: Row, by: Sequence[str]) -> tuple[Any, ...]:
    times = [label for label, name in zip(row.group, by, strict=True) if name in _TIMES]
    return (times, -row.cost, -sum(structs.astuple(row.tokens)), -row.calls, row.group)

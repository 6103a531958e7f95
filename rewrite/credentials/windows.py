"""How much of a limit is used: what a credential was asked for, counted in windows of time. Pure.

A count is kept with the moment until which it counts, so that a calendar window and a rolling one are the
same here. A rolling window is counted in steps of a sixtieth of its length, each until its last moment is out
of the window: never is more let through than the limit, and what is free again is late by a step at most.
Times are epoch seconds, floats: what happens at the very end of a window may be rounded to either side of it.
"""

from collections.abc import Iterator
from dataclasses import dataclass, field
from datetime import UTC, datetime, time, timedelta, tzinfo
from enum import StrEnum

STEPS = 60
"""In so many steps a rolling window is counted."""

_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
_TINY = 1e-9
"""What sums of costs are not exact by."""


class Unit(StrEnum):
    """What a limit counts."""

    REQUESTS = "requests"
    """Attempts that got the credential; one of which nothing was sent is taken back."""
    TOKENS = "tokens"
    """Those of the request and of the answer, reads of a cache included."""
    COST = "cost"
    """US dollars, as the provider's answers state them."""
    PERCENT = "percent"
    """Of a limit that the provider does not state; providers report it, nobody configures it."""


class Period(StrEnum):
    """A calendar window. A week begins on Monday."""

    DAY = "day"
    WEEK = "week"
    MONTH = "month"


type Counts = tuple[tuple[float, float], ...]
"""Amounts, each after the moment until which it counts; that moment grows."""


@dataclass(frozen=True, slots=True)
class Window:
    """A limit that the config sets."""

    unit: Unit
    limit: float
    """How much may be used. Tokens and costs are known after a call, so that the last call may pass it."""
    per: float | Period
    """The length of a rolling window in seconds, or a calendar one."""
    zone: tzinfo = UTC
    """Whose calendar that is."""
    key: str = field(init=False, repr=False, compare=False)
    """What distinguishes it from other windows of a credential. Its limit may change."""

    def __post_init__(self) -> None:
        zone = f" {self.zone}" if isinstance(self.per, Period) else ""
        object.__setattr__(self, "key", f"{self.unit}/{self.per}{zone}")

    def title(self) -> str:
        """For a reader: "100 requests per day"."""
        per = self.per if isinstance(self.per, Period) else f"{self.per:g} s"
        what = f"${self.limit:g}" if self.unit is Unit.COST else f"{self.limit:g} {self.unit}"
        return f"{what} per {per}"

    def until(self, now: float) -> float:
        """Until when what happens `now` counts."""
        if isinstance(self.per, Period):
            return _end(self.per, self.zone, now)
        step = self.per / STEPS
        return now // step * step + step + self.per


def rolls_for(key: str) -> float | None:
    """The length of the rolling window of that key, in seconds; None: it is a calendar one."""
    try:
        return float(key.partition("/")[2])
    except ValueError:
        return None


def counted_until(counts: Counts, until: float, amount: float) -> Counts:
    """`counts` with `amount` more, or less, of what counts until then."""
    found = dict(counts)
    found[until] = found.get(until, 0.0) + amount
    return tuple(sorted((each, total) for each, total in found.items() if total > _TINY))


def _end(per: Period, zone: tzinfo, now: float) -> float:
    """When the day, week or month of `now` is over. The first midnight counts where a clock is set back."""
    today = (_EPOCH + timedelta(seconds=now)).astimezone(zone).date()
    match per:
        case Period.DAY:
            following = today + timedelta(days=1)
        case Period.WEEK:
            following = today + timedelta(days=7 - today.weekday())
        case _:
            following = (today.replace(day=1) + timedelta(days=32)).replace(day=1)
    return datetime.combine(following, time(), zone).timestamp()


def apart(counts: Counts, former: Counts) -> tuple[Counts, Counts]:
    """What `counts` has that `former` has not, and the reverse: what is over is missing at the front, what is
    new stands at the end, and what is between is not looked at one by one."""
    if counts is former:
        return (), ()
    over = former.index(counts[0]) if counts and counts[0] in former else 0
    same = min(len(counts), len(former) - over)
    while same and counts[same - 1] != former[over + same - 1]:
        same -= 1
    if counts[:same] != former[over : over + same]:
        over = same = 0
    return counts[same:], (*former[:over], *former[over + same :])


def used(counts: Counts, now: float) -> float:
    """How much counts now."""
    return sum([amount for until, amount in counts if until > now])


def added(window: Window, counts: Counts, amount: float, now: float) -> Counts:
    """`counts` with `amount`, without what counts no more."""
    current, until = _current(counts, now), window.until(now)
    if current and current[-1][0] >= until:
        last, before = current[-1]
        return (*current[:-1], (last, before + amount))
    return (*current, (until, amount))


def _current(counts: Counts, now: float) -> Counts:
    """Without what counts no more, which are the first."""
    if not counts or counts[0][0] > now:
        return counts
    return tuple(each for each in counts if each[0] > now)


def taken_back(counts: Counts, amount: float) -> Counts:
    """`counts` without `amount` of what was counted last, as nothing came of it."""
    if not counts:
        return counts
    until, last = counts[-1]
    return (*counts[:-1], (until, last - amount)) if last > amount else counts[:-1]


def extrapolated(counts: Counts, former: Counts, factor: float) -> Counts:
    """`counts`, of which all that `former` did not have was used so many times."""
    before = dict(former)
    more = ((until, amount, amount - before.get(until, 0.0)) for until, amount in counts)
    return tuple((until, amount + (factor - 1) * max(new, 0.0)) for until, amount, new in more)


def full_until(window: Window, counts: Counts, now: float) -> float | None:
    """When some of it is free again; None: some is."""
    left = used(counts, now)
    if left < window.limit - _TINY:
        return None
    for until, amount in counts:
        if until > now:
            left -= amount
            if left < window.limit - _TINY:
                return until
    return counts[-1][0] if counts else window.until(now)


@dataclass(frozen=True, slots=True)
class Cap:
    """How much of a limit that its provider reports a credential may use."""

    unit: Unit
    count: float = 0.0
    """Above 0: that many. Below 0: the limit less that many."""
    share: float | None = None
    """In place of a count: that part of the limit, above 0 and at most 1."""

    def of(self, limit: float) -> float:
        """What may be used of `limit`."""
        if self.share is not None:
            return limit * self.share
        return min(self.count, limit) if self.count > 0 else max(limit + self.count, 0.0)

    def concerns(self, unit: Unit) -> bool:
        """Whether a limit in `unit` is held to it. A share is one of a percentage too."""
        return unit is self.unit or (unit is Unit.PERCENT and self.share is not None)

    @property
    def own(self) -> Window | None:
        """What a fixed number is counted in while the provider reports no limit: a day of UTC."""
        return Window(self.unit, self.count, Period.DAY) if self.share is None and self.count > 0 else None

    def title(self) -> str:
        """For a reader: "50% of the requests"."""
        if self.share is not None:
            return f"{self.share:.0%} of the {self.unit}"
        return f"{self.count:g} {self.unit}" if self.count > 0 else f"all {self.unit} but {-self.count:g}"


@dataclass(frozen=True, slots=True)
class WindowUse:
    """A limit and its use, for a reader."""

    unit: Unit
    scope: str
    """What it is counted for."""
    used: float
    limit: float
    resets_in: float
    """Seconds until all of it is free, or for a rolling window some more of it."""
    source: str
    """Who set it: "config", or the header that reported it."""


def use_of(window: Window, scope: str, counts: Counts, now: float) -> Iterator[WindowUse]:
    """Nothing where none of it is used."""
    if amount := used(counts, now):
        soonest = next(until for until, _ in counts if until > now)
        yield WindowUse(window.unit, scope, amount, window.limit, soonest - now, "config")

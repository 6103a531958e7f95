"""The last calls that are over, and what all calls of a day came to, minute by minute."""

from collections import Counter, deque
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from itertools import islice
from math import log

from rewrite.usage.entry import CallEntry, Tokens

LAST = 1000
"""Calls that are kept."""

MINUTE, MINUTES = 60, 24 * 60
"""Seconds of a minute, and how many minutes are kept."""

SHORTEST, GROWTH, SLOWEST = 0.05, 1.25, 40
"""First tokens are counted in bins: bin n begins at SHORTEST * GROWTH ** n seconds, up to bin SLOWEST."""

_STEP = log(GROWTH)
_NO_TOKENS = Tokens()


@dataclass(slots=True)
class Minute:
    """What the calls that ended in one minute came to."""

    at: int
    """When it began, in epoch seconds."""
    verdicts: Counter[str] = field(default_factory=Counter)
    """How many calls came to which verdict."""
    retries: int = 0
    """Attempts beyond the first of each call."""
    input: int = 0
    """Tokens that were not read from a cache."""
    cached: int = 0
    """Tokens that were."""
    output: int = 0
    cost: float = 0.0
    """US dollars, as far as known."""
    first: Counter[int] = field(default_factory=Counter)
    """How many first tokens came, by bin."""

    def add(self, entry: CallEntry) -> None:
        tokens = entry.tokens or _NO_TOKENS
        self.verdicts[entry.verdict.value] += 1
        self.retries += max(entry.attempts - 1, 0)
        self.input += tokens.input + tokens.cache_write + tokens.cache_write_1h
        self.cached += tokens.cache_read
        self.output += tokens.output
        self.cost += (entry.cost or 0.0) + entry.failed_cost
        if entry.first_token is not None:
            self.first[_bin(entry.first_token)] += 1

    def data(self) -> dict[str, object]:
        return {
            "at": self.at,
            "verdicts": dict(self.verdicts),
            "retries": self.retries,
            "input": self.input,
            "cached": self.cached,
            "output": self.output,
            "cost": round(self.cost, 6),
            "first": dict(self.first),
        }


def _bin(seconds: float) -> int:
    return min(int(log(seconds / SHORTEST) / _STEP), SLOWEST) if seconds > SHORTEST else 0


class Recent:
    """`take` gets the entries of calls that are over. They are numbered from 1 in the order of their ends."""

    def __init__(self) -> None:
        self.count = 0
        self._calls: deque[CallEntry] = deque(maxlen=LAST)
        self._minutes: deque[Minute] = deque(maxlen=MINUTES)

    def take(self, entries: Iterable[CallEntry]) -> None:
        for entry in entries:
            self._note(entry)

    def _note(self, entry: CallEntry) -> None:
        self.count += 1
        self._calls.append(entry)
        at = int(entry.at) // MINUTE * MINUTE
        if not self._minutes or self._minutes[-1].at < at:
            self._minutes.append(Minute(at))
        self._minutes[-1].add(entry)  # the last one, too, after the wall clock was set back

    def last(self, most: int, after: int = 0) -> list[dict[str, object]]:
        """The calls with numbers above `after`, the newest `most` of them, in order."""
        wanted = min(self.count - after, most, len(self._calls))
        found = islice(self._calls, len(self._calls) - wanted, None)
        return [_row(number, each) for number, each in enumerate(found, self.count - wanted + 1)]

    def minutes(self, since: float) -> Iterator[dict[str, object]]:
        """Those that had not ended at `since`, in epoch seconds."""
        for each in reversed(self._minutes):
            if each.at + MINUTE <= since:
                return
            yield each.data()


def _row(number: int, entry: CallEntry) -> dict[str, object]:
    tokens = entry.tokens
    return {
        "number": number,
        "at": round(entry.at, 3),
        "call": entry.call,
        "provider": entry.provider,
        "model": entry.model,
        "served": entry.served,
        "credential": entry.credential,
        "user": entry.user,
        "verdict": entry.verdict.value,
        "status": entry.status,
        "seconds": round(entry.seconds, 3),
        "first_token": None if entry.first_token is None else round(entry.first_token, 3),
        "attempts": entry.attempts,
        "input": tokens.input + tokens.cache_read + tokens.cache_write + tokens.cache_write_1h
        if tokens
        else None,
        "output": tokens.output if tokens else None,
        "estimated": entry.estimated,
        "cost": entry.cost,
    }

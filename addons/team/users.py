"""Who may use how much: the use of users with caps is counted, and more is refused."""

from collections import Counter
from collections.abc import AsyncIterator, Callable, Iterable, Iterator, Mapping
from contextlib import asynccontextmanager
from typing import Any

from addons.config.users import folded
from protocols.model.errors import Fault
from rewrite.policies.user_caps import DAY, Caps, Use, day_of, left_of_day, refusal
from rewrite.usage.entry import CallEntry

type Kept = Callable[[float], Mapping[str, Use]]
"""What users used since a time in epoch seconds, by their names, as a ledger knows it."""


class Users:
    """On the event loop. A call counts on the day on which it ends, those under way on the present one."""

    def __init__(self, clock: Callable[[], float], settle: Callable[[], None]) -> None:
        """`clock` gives epoch seconds; `settle` has all calls counted that are over."""
        self._clock, self._settle = clock, settle
        self._caps: Mapping[str, Caps] = {}
        self._day = ""
        self._used: dict[str, Use] = {}
        self._earlier: dict[str, Use] = {}
        self._open: Counter[str] = Counter()

    def configure(self, caps: Mapping[str, Caps], kept: Kept) -> None:
        """`caps`: by `folded` names. What those used today who have had none is looked up in `kept`."""
        now = self._today()
        self._used = {name: use for name, use in self._used.items() if name in caps}
        self._earlier = {name: use for name, use in self._earlier.items() if name in caps}
        if added := caps.keys() - self._caps.keys():
            for written, use in kept(now - now % DAY).items():
                if (name := folded(written)) in added:
                    self._earlier[name] = self._earlier.get(name, Use()) + use
        self._caps = caps

    def is_capped(self, user: str) -> bool:
        return bool(self._caps) and folded(user) in self._caps

    @asynccontextmanager
    async def admitted(self, user: str) -> AsyncIterator[Fault | None]:
        """While a call of `user` is under way. Gives why it may not begin; None: it may."""
        name = folded(user)
        caps = self._caps.get(name)
        if caps is None:
            yield None
            return
        if fault := self._refusal(user, caps):
            yield fault
            return
        self._open[name] += 1
        try:
            yield None
        finally:
            self._open[name] -= 1

    def _refusal(self, user: str, caps: Caps) -> Fault | None:
        self._settle()
        now, name = self._today(), folded(user)
        cap = caps.reached(self._use(name))
        return refusal(user, cap, now) if cap else None

    def take(self, entries: Iterable[CallEntry]) -> None:
        """Calls are over."""
        if not self._caps:
            return
        self._today()
        for entry in entries:
            name = folded(entry.user)
            if entry.attempts and name in self._caps:
                self._used[name] = self._used.get(name, Use()) + _use_of(entry)

    def status(self) -> Iterator[dict[str, Any]]:
        """What each user with caps has used today, and when the day is over."""
        now = self._today()
        for name, caps in sorted(self._caps.items()):
            use = self._use(name)
            yield {
                "name": name,
                "used": {"requests": use.requests, "tokens": use.tokens, "cost": round(use.cost, 6)},
                "limits": caps.given(),
                "reached": caps.reached(use),
                "seconds": round(left_of_day(now)),
            }

    def _use(self, name: str) -> Use:
        used, earlier = self._used.get(name, Use()), self._earlier.get(name, Use())
        return used + earlier + Use(requests=self._open[name])

    def _today(self) -> float:
        """The present; what was counted before its day is forgotten."""
        now = self._clock()
        if (day := day_of(now)) != self._day:
            self._day = day
            self._used.clear()
            self._earlier.clear()
        return now


def _use_of(entry: CallEntry) -> Use:
    return Use(1, entry.tokens.total if entry.tokens else 0, entry.cost or 0.0)

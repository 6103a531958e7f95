"""Who may use how much: the use of users with caps is counted, and more is refused."""

from collections import Counter
from collections.abc import AsyncIterator, Callable, Iterable, Iterator, Mapping
from contextlib import asynccontextmanager
from typing import Any

from addons.config.users import folded
from addons.team.shared_use import SharedUse
from protocols.model.errors import Fault
from rewrite.policies.user_caps import DAY, Caps, Use, day_of, left_of_day, refusal
from rewrite.usage.entry import CallEntry

type Kept = Callable[[float], Mapping[str, Use]]
"""What users used since a time in epoch seconds, by their names, as a ledger knows it."""


class Users:
    """On the event loop. A call counts on the day on which it ends, those under way on the present one."""

    def __init__(self, clock: Callable[[], float], settle: Callable[[], None], shared: SharedUse) -> None:
        """`clock` gives epoch seconds; `settle` has all calls counted that are over."""
        self._clock, self._settle, self._shared = clock, settle, shared
        self._caps: Mapping[str, Caps] = {}
        self._day = ""
        self._used: dict[str, Use] = {}
        self._earlier: dict[str, Use] = {}
        self._open: Counter[str] = Counter()
        self._ending: Counter[str] = Counter()  # of the open ones, those that are counted as used already
        shared.begin(self._every, self._own)

    def configure(self, caps: Mapping[str, Caps], kept: Kept) -> None:
        """`caps`: by `folded` names. What those used today who have had none is looked up in `kept`."""
        now = self._today()
        caps = {name: each for name, each in caps.items() if each.given()}
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
        if fault := await self._begun(user, name, caps):
            yield fault
            return
        try:
            yield None
        finally:
            self._settle()
            self._over(name)

    def _over(self, name: str) -> None:
        self._open[name] -= 1
        self._ending[name] = min(max(self._ending[name] - 1, 0), self._open[name])

    async def _begun(self, user: str, name: str, caps: Caps) -> Fault | None:
        """Counts a call of `user`, unless it is refused."""
        self._settle()
        self._today()
        self._open[name] += 1
        try:
            fault = await self._refusal(user, name, caps)
        except BaseException:  # the client has left
            self._open[name] -= 1
            self._shared.note(name)
            raise
        if fault is not None:
            self._open[name] -= 1
        return fault

    async def _refusal(self, user: str, name: str, caps: Caps) -> Fault | None:
        """Of a request that is counted already. All proxies are asked; alone this one decides by its copy."""
        admitted = await self._shared.admits(name, self._own(name), caps)
        cap = "" if admitted else caps.reached(self._use(name) + Use(requests=-1))
        if admitted is False:
            cap = cap or next(caps.titles())
        return refusal(" ".join(user.split()), cap, self._clock()) if cap else None

    def take(self, entries: Iterable[CallEntry]) -> None:
        """Calls are over."""
        if not self._caps:
            return
        self._today()
        changed = set()
        for entry in entries:
            name = folded(entry.user)
            if name in self._caps:
                changed.add(name)  # also by a call that nobody was asked for, and that is over
            if entry.attempts and name in self._caps:
                self._used[name] = self._used.get(name, Use()) + _use_of(entry)
                self._ending[name] = min(self._ending[name] + 1, self._open[name])
        for name in changed:
            self._shared.note(name)

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

    def flush(self) -> None:
        """Write to the store what was used here."""
        self._shared.flush()

    def _every(self) -> Iterable[str]:
        self._today()
        return self._caps

    def _own(self, name: str) -> Use:
        """What was used here, calls under way included."""
        return self._used.get(name, Use()) + Use(requests=self._open[name] - self._ending[name])

    def _use(self, name: str) -> Use:
        """What was used anywhere."""
        own = self._own(name)
        earlier = Use() if self._shared.is_known else self._earlier.get(name, Use())
        return own + earlier + self._shared.used(name, own)

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

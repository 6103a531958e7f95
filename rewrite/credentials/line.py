"""Who waits for a credential of one provider, in which order, and how fast a credential that has come back is
given out. Pure; times are seconds on the clock of `now`.

Calls are let in as they came. When a cooldown ends, nobody knows how much its provider will take: those that
waited for it are let in one by one, each when the one before has been answered, or has not for `PACE`.
"""

from bisect import insort
from collections.abc import Iterator
from dataclasses import dataclass, field
from math import inf

PACE = 1.0
"""Seconds after which the next is let in though the one before has no answer yet."""


@dataclass(slots=True, eq=False)
class Waiter[T]:
    """One call in the line."""

    ticket: int
    """Its place: lower ones are let in first."""
    scope: str
    """What it wants a credential for."""
    until: float
    """When it has waited long enough."""
    who: T
    """Whose call it is."""
    due: float = inf
    """When to look again whether it may be let in."""
    cooled: bool = False
    """Whether it waits for a cooldown to end, and not for a place."""
    gone: bool = False
    """Whether it has left the line."""


@dataclass(frozen=True, slots=True)
class Last:
    """Who was let in last to a credential that has come back."""

    ticket: int
    until: float
    """When the next one is let in, if there is no answer before."""


@dataclass(slots=True)
class Line[T]:
    """The line of one provider."""

    waiters: list[Waiter[T]] = field(default_factory=list)
    """By ticket."""
    _paced: dict[tuple[str, str], Last] = field(default_factory=dict)
    """By credential and scope."""

    def __len__(self) -> int:
        return len(self.waiters)

    def __iter__(self) -> Iterator[Waiter[T]]:
        """In order; those that leave meanwhile are passed over."""
        return (one for one in tuple(self.waiters) if not one.gone)

    def join(self, waiter: Waiter[T]) -> None:
        insort(self.waiters, waiter, key=lambda one: one.ticket)

    def leave(self, waiter: Waiter[T]) -> None:
        """Nothing if it has left. What nobody waits for any more is given to anybody."""
        if waiter.gone:
            return
        waiter.gone = True
        self.waiters.remove(waiter)
        if not any(one.scope == waiter.scope for one in self.waiters):
            self._paced = {key: last for key, last in self._paced.items() if key[1] != waiter.scope}

    def let_in(self, waiter: Waiter[T], name: str, now: float) -> None:
        """`waiter` has got the credential `name`."""
        self.pace(waiter, name, now)
        self.leave(waiter)

    def pace(self, waiter: Waiter[T], name: str, now: float) -> None:
        """`waiter` may get the credential `name`: the next one waits for what comes of that."""
        key = name, waiter.scope
        if waiter.cooled or key in self._paced:
            self._paced[key] = Last(waiter.ticket, now + PACE)

    def held(self, scope: str, now: float) -> frozenset[str]:
        """The names of the credentials that nobody else is given for `scope` just now."""
        paced = self._paced.items()
        return frozenset(name for (name, what), last in paced if what == scope and last.until > now)

    def answered(self, ticket: int, now: float) -> None:
        """The one with this ticket has an answer, or is over: if it was let in last, the next one may be."""
        for key, last in self._paced.items():
            if last.ticket == ticket:
                self._paced[key] = Last(ticket, now)

    def moved(self, seconds: float) -> None:
        """The clock is ahead by so much."""
        for one in self.waiters:
            one.until, one.due = one.until + seconds, one.due + seconds
        self._paced = {key: Last(one.ticket, one.until + seconds) for key, one in self._paced.items()}

    def next_look(self, now: float) -> float | None:
        """When time alone may change something. None: nobody waits."""
        ends = [last.until for last in self._paced.values() if last.until > now]
        times = [min(one.until, one.due) for one in self.waiters]
        return min((*times, *ends)) if times else None

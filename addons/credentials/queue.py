"""The calls that wait for a credential of one provider. They are let in when a place is free, when a cooldown
is over, and when the one before them is answered."""

from collections.abc import Callable, Iterable
from dataclasses import dataclass, replace
from itertools import count

from addons.credentials.asking import Asking, Named
from addons.runtime.clock import Handle, Later
from rewrite.catalog.providers import Provider
from rewrite.credentials.choosing import Unavailable
from rewrite.credentials.line import Line, Waiter
from rewrite.values.events import Acquire

SOONEST = 0.05
"""Seconds between two looks at what is not free."""


type Leave = Callable[[], None]
"""Makes a call leave the line without an answer; nothing if it has left."""


@dataclass(frozen=True, slots=True)
class Wanted[L: Named]:
    """What one call waits for."""

    choose: Callable[[frozenset[str]], L | Unavailable | Asking[L]]
    """A credential is taken for it, but for those of these names, if one is free."""
    answer: Callable[[L | Unavailable], None]
    """Called once, with what it has got, or with why it has waited long enough."""
    alike: str | None
    """What is free for nobody of the same scope who has the same here is not free for it. None: there is
    nobody like it."""


class Queue[L: Named]:
    """One provider's."""

    def __init__(self, clock: Callable[[], float], later: Later) -> None:
        """`clock` gives seconds, `later` sets a timer."""
        self._clock, self._later = clock, later
        self._line: Line[Wanted[L]] = Line()
        self._handle: Handle | None = None
        self._asking: dict[Waiter[Wanted[L]], Asking[L]] = {}
        self._looking = self._changed = False

    def __len__(self) -> int:
        return len(self._line)

    def join(self, ticket: int, scope: str, seconds: float, wanted: Wanted[L]) -> Leave:
        """`wanted` waits for at most so many seconds, behind those with lower tickets."""
        waiter = Waiter(ticket, scope, self._clock() + seconds, wanted)
        self._line.join(waiter)
        self.look()
        return lambda: self._leave(waiter)

    def held(self, scope: str) -> frozenset[str]:
        """See `Line.held`."""
        return self._line.held(scope, self._clock())

    def answered(self, ticket: int) -> None:
        """See `Line.answered`."""
        self._line.answered(ticket, self._clock())
        self.look()

    def moved(self, seconds: float) -> None:
        """The clock is ahead by so much; what has to pass stays the same."""
        self._line.moved(seconds)

    def look(self) -> None:
        """Let in whoever may be. Who gets an answer may bring about the next look."""
        self._changed = True
        if self._looking:
            return
        self._looking = True
        try:
            while self._changed:
                self._changed = False
                self._look()
        finally:
            self._looking = False
        self._set_timer()

    def _look(self) -> None:
        nothing: dict[tuple[str, str | None], Unavailable] = {}
        for waiter in self._line:
            if waiter in self._asking:
                continue
            now, wanted = self._clock(), waiter.who
            like = waiter.scope, wanted.alike
            chosen = nothing.get(like) or wanted.choose(self._line.held(waiter.scope, now))
            if isinstance(chosen, Asking):
                self._ask(waiter, chosen, now)
            elif isinstance(chosen, Unavailable):
                if self._keeps_waiting(waiter, chosen, now) and wanted.alike is not None and not chosen.own:
                    nothing[like] = chosen
            else:
                self._let_in(waiter, chosen, now)

    def _ask(self, waiter: Waiter[Wanted[L]], asking: Asking[L], now: float) -> None:
        """It keeps its place until there is an answer."""
        self._asking[waiter] = asking
        self._line.pace(waiter, asking.name, now)
        asking.then(lambda found: self._heard(waiter, found))

    def _heard(self, waiter: Waiter[Wanted[L]], found: L | Unavailable) -> None:
        """Others were asked for what it is to get."""
        del self._asking[waiter]
        now = self._clock()
        if isinstance(found, Unavailable):
            self._line.answered(waiter.ticket, now)
            self._keeps_waiting(waiter, found, now)
        else:
            self._let_in(waiter, found, now)
        self.look()

    def _let_in(self, waiter: Waiter[Wanted[L]], found: L, now: float) -> None:
        self._line.let_in(waiter, found.name, now)
        waiter.who.answer(found)

    def _keeps_waiting(self, waiter: Waiter[Wanted[L]], none: Unavailable, now: float) -> bool:
        """Whether it does: something is due before it has waited long enough. Else it gets its answer."""
        if self._is_worth_it(waiter, none, now):
            return True
        self._line.leave(waiter)
        waiter.who.answer(replace(none, final=True))
        return False

    def _is_worth_it(self, waiter: Waiter[Wanted[L]], none: Unavailable, now: float) -> bool:
        if none.wait is None or now >= waiter.until:
            return False
        waiter.due, waiter.cooled = now + max(none.wait, SOONEST), not none.full
        return none.full or now + none.wait <= waiter.until

    def _leave(self, waiter: Waiter[Wanted[L]]) -> None:
        self._line.leave(waiter)
        if asking := self._asking.pop(waiter, None):
            asking.leave()
        self._set_timer()

    def _set_timer(self) -> None:
        if self._handle is not None:
            self._handle.cancel()
            self._handle = None
        now = self._clock()
        due = self._line.next_look(now)
        if due is not None:
            soonest = SOONEST if self._asking else 0.0  # one that is asked for may be due already
            self._handle = self._later(max(due - now, soonest), self._rang)

    def _rang(self) -> None:
        self._handle = None
        self.look()


class Queues[L: Named]:
    """Those of all providers."""

    def __init__(self, clock: Callable[[], float], later: Later) -> None:
        """See `Queue`."""
        self._clock, self._later = clock, later
        self.by_provider: dict[str, Queue[L]] = {}
        """Those in which a call ever waited."""
        self._limits: dict[str, int] = {}
        self._tickets = count(1)

    def __len__(self) -> int:
        return sum(map(len, self.by_provider.values()))

    def configure(self, providers: Iterable[Provider]) -> None:
        """Take over how many calls may wait; what changed may let some in."""
        self._limits = {one.name: one.queue_limit for one in providers}
        self.look()

    def ticket(self) -> int:
        """The last place of all lines."""
        return next(self._tickets)

    def join(self, provider: str, ticket: int, scope: str, seconds: float, wanted: Wanted[L]) -> Leave | None:
        """See `Queue.join`. None: too many wait already."""
        queue = self.by_provider.setdefault(provider, Queue(self._clock, self._later))
        if len(queue) >= self._limits.get(provider, 0):
            return None
        return queue.join(ticket, scope, seconds, wanted)

    def held(self, provider: str, scope: str) -> frozenset[str]:
        """The credentials that a call that does not wait is not given: those who wait come first."""
        queue = self.by_provider.get(provider)
        if not queue:
            return frozenset()
        queue.look()
        return queue.held(scope)

    def answered(self, provider: str, ticket: int) -> None:
        """An attempt has an answer, or is over, of the call with this ticket; 0: of one that did not wait."""
        if queue := self.by_provider.get(provider):
            queue.answered(ticket)

    def moved(self, seconds: float) -> None:
        """See `Queue.moved`."""
        for queue in self.by_provider.values():
            queue.moved(seconds)

    def look(self) -> None:
        """Something changed for many at once."""
        for queue in self.by_provider.values():
            queue.look()


def is_plain(asked: Acquire) -> bool:
    """Whether any credential will do."""
    return not (asked.refused or asked.resting or asked.insist or asked.only_others)

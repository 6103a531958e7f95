"""Days of traffic in seconds: a real pool and its lines on a virtual clock, before a provider that is played.

Calls ask as an exchange does: another key after an error, another after a rate limit, and in line where none
is free.
"""

from collections import Counter, defaultdict
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field, replace
from heapq import heappop, heappush
from itertools import count
from random import Random

from msgspec import structs
from pydantic import SecretStr

from addons.config.credentials import PoolCredential
from addons.config.providers import Configured
from addons.config.settings import Settings
from addons.credentials.conversations import Asker
from addons.credentials.lease import Lease
from addons.credentials.pool import Pool
from protocols.model.call import Call, Operation
from protocols.model.progress import Progress
from rewrite.catalog.providers import Provider, Rotation
from rewrite.credentials.choosing import Unavailable
from rewrite.credentials.credential import Credential
from rewrite.values.decision import Ended
from rewrite.values.events import Acquire, AwaitCredential, Summary
from rewrite.values.outcome import Completed, Kind, Outcome, Rejected

MINUTE, HOUR, DAY = 60.0, 3600.0, 86_400.0
PATIENCE = 600.0
"""Seconds for which a call waits in line."""


@dataclass(slots=True)
class Timer:
    """Of a clock; see `Clock.later`."""

    callback: Callable[[], None] | None

    def cancel(self) -> None:
        self.callback = None


class Clock:
    """Time that passes when nothing else is to do."""

    def __init__(self, now: float) -> None:
        self.now = now
        self._due: list[tuple[float, int, Timer]] = []
        self._order = count()

    def __call__(self) -> float:
        return self.now

    def later(self, seconds: float, callback: Callable[[], None]) -> Timer:
        timer = Timer(callback)
        heappush(self._due, (self.now + seconds, next(self._order), timer))
        return timer

    def run(self) -> None:
        """Until nothing is due any more."""
        while self._due:
            due, _, timer = heappop(self._due)
            if timer.callback is not None:
                self.now = max(self.now, due)
                timer.callback()


@dataclass(slots=True)
class Vendor:
    """A provider that limits what each key may ask of each model in a minute, and fails at times."""

    random: Random
    limit: int | None = None
    """Requests of a key for a model in a minute. None: any number."""
    fails: float = 0.0
    """How many of a hundred requests, divided by that."""
    seconds: float = 4.0
    """How long an answer takes on average."""
    asked: Counter[tuple[str, str, int]] = field(default_factory=Counter)
    """By key, model and minute."""
    refused: Counter[tuple[str, str, int]] = field(default_factory=Counter)
    """Of these, those that were too many."""

    def ask(self, key: str, model: str, now: float) -> tuple[Outcome, float]:
        """What comes of a request, and after how many seconds."""
        at = key, model, int(now // MINUTE)
        self.asked[at] += 1
        if self.limit is not None and self.asked[at] > self.limit:
            self.refused[at] += 1
            return Rejected(429, Kind.RATE, retry_after=(at[2] + 1) * MINUTE - now), 0.2
        if self.random.random() < self.fails:
            return Rejected(500, Kind.SERVER), 0.5
        return Completed(), self.random.expovariate(1 / self.seconds)


@dataclass(slots=True)
class Served:
    """What became of a call."""

    number: int
    """The order in which calls came."""
    model: str
    asked_at: float
    session: str
    key: str = ""
    """That served it. Empty: it was given up."""
    waited: float = 0.0
    """Seconds until the attempt began that served it."""
    attempts: int = 0
    in_line: int = 0
    """How often it stood in line."""


class House:
    """One pool, its provider and all who ask."""

    def __init__(
        self,
        credentials: Sequence[Credential],
        rotation: Rotation,
        vendor: Vendor,
        start: float = 20_000 * DAY,
    ) -> None:
        self.clock, self.vendor = Clock(start), vendor
        self.pool = Pool(self.clock, lambda _: None, later=self.clock.later)
        known = Provider("p", "https://p", ("p",), ("openai_chat",), rotation=rotation, queue_limit=1_000_000)
        keys = tuple(PoolCredential(one, SecretStr(f"sk-{one.name}")) for one in credentials)
        self.pool.configure(Settings(providers=(Configured(known, keys),)))
        self.served: list[Served] = []
        self.most_in_flight: Counter[str] = Counter()
        self._numbers = count()

    def at(self, moment: float, model: str, session: str) -> None:
        """A call comes at that moment."""
        self.clock.later(moment - self.clock.now, lambda: self._begin(model, session))

    def _begin(self, model: str, session: str) -> None:
        served = Served(next(self._numbers), model, self.clock.now, session)
        self.served.append(served)
        _Asking(self, served).ask()

    def shares(self) -> Counter[str]:
        """How many new conversations began on each key."""
        first: dict[str, Served] = {}
        for one in self.served:
            first.setdefault(one.session, one)
        return Counter(one.key for one in first.values() if one.key)

    def in_flight(self) -> dict[str, int]:
        return {
            name: state.in_flight for name, state in self.pool.states["p"].states.items() if state.in_flight
        }


class _Asking:
    """One call under way."""

    def __init__(self, house: House, served: Served) -> None:
        self._house, self._served = house, served
        self._call = Call(str(served.number), "openai_chat", Operation.GENERATE, served.model, True, ())
        self._asker = Asker("openai_chat", "client", call=replace(self._call, session=served.session))
        self._avoid: frozenset[str] = frozenset()
        self._resting: frozenset[str] = frozenset()
        self._ticket = house.pool.queues.ticket()

    def ask(self) -> None:
        self._served.attempts += 1
        asked = Acquire(self._served.attempts, avoid=self._avoid, resting=self._resting)
        match self._house.pool.acquire("p", self._call, asked, self._asker):
            case Lease() as lease:
                self._serve(lease)
            case Unavailable():
                self._stand_in_line(structs.replace(asked, resting=frozenset()))

    def _stand_in_line(self, asked: Acquire) -> None:
        self._served.in_line += 1
        wanted = AwaitCredential(asked.attempt, asked, PATIENCE)
        self._house.pool.wait("p", self._call, wanted, self._asker, self._ticket, self._let_in)

    def _let_in(self, found: Lease | Unavailable) -> None:
        self._resting = frozenset()
        if isinstance(found, Lease):
            self._serve(found)

    def _serve(self, lease: Lease) -> None:
        house, began = self._house, self._house.clock.now
        in_flight = house.pool.states["p"].state(lease.name).in_flight
        house.most_in_flight[lease.name] = max(house.most_in_flight[lease.name], in_flight)
        outcome, seconds = house.vendor.ask(lease.name, self._served.model, began)
        house.clock.later(seconds, lambda: self._over(lease, outcome, began))

    def _over(self, lease: Lease, outcome: Outcome, began: float) -> None:
        pool = self._house.pool
        pool.release("p", lease, self._call, outcome, self._asker)
        if isinstance(outcome, Completed):
            self._served.key, self._served.waited = lease.name, began - self._served.asked_at
            ended = (Ended(self._served.attempts, lease.name, outcome, 0.0),)
            summary = Summary("completed", "", ended, Progress(ended=True), 0.0, 1.0)
            pool.answered("p", summary, self._asker)
            return
        if isinstance(outcome, Rejected) and outcome.kind is Kind.RATE:
            self._resting |= {lease.name}
        self._avoid |= {lease.name}
        self.ask()


def traffic(
    random: Random, start: float, seconds: float, every: float, models: Sequence[str]
) -> Iterator[tuple[float, str, str]]:
    """Calls at random, one in so many seconds, of which half continue one of the last conversations."""
    recent: dict[str, list[str]] = defaultdict(list)
    moment, number = start, 0
    while (moment := moment + random.expovariate(1 / every)) < start + seconds:
        model = random.choice(models)
        if recent[model] and random.random() < 0.5:
            yield moment, model, random.choice(recent[model])
            continue
        number += 1
        session = f"{model} {number}"
        recent[model] = [*recent[model][-5:], session]
        yield moment, model, session

"""What proxies that share a store know of each other's credentials."""

from collections.abc import AsyncIterator, Callable
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass, field, replace
from pathlib import Path
from time import monotonic

from pydantic import SecretStr

from addons.config.credentials import PoolCredential
from addons.config.providers import Configured
from addons.config.settings import Settings
from addons.credentials.conversations import Asker
from addons.credentials.lease import Lease
from addons.credentials.pool import Pool
from addons.runtime.clock import EpochClock
from addons.state.keeper import Keeper
from addons.store.connection import Connection
from protocols.model.progress import Progress
from rewrite.catalog.providers import Provider, Rotation
from rewrite.credentials.choosing import Unavailable
from rewrite.credentials.credential import Credential
from rewrite.credentials.windows import Window
from rewrite.values.decision import Ended
from rewrite.values.events import Acquire, Summary
from rewrite.values.outcome import Completed, Kind, Outcome, Rejected
from tests.addons.state.test_keeper import ASKER, CALL, KEYS, RATE
from tests.addons.store.connecting import shared, until
from tests.redis_server import WITHOUT, RedisServer

pytestmark = WITHOUT

SHARED_SOON = 0.1
"""Seconds within which others heed what is urgent."""


@dataclass
class Proxy:
    """A pool, its keeper and its connection; its wall clock is off by so much."""

    url: str
    off: float = 0.0
    rotation: Rotation = Rotation.SEQUENTIAL
    windows: tuple[Window, ...] = ()
    faults: list[Exception] = field(default_factory=list)

    def __post_init__(self) -> None:
        steady = EpochClock()
        self.clock = EpochClock(lambda: steady() + self.off)
        self.pool = Pool(self.clock, lambda _: None)
        self.connection = Connection(self.clock, self._failed)
        self.connection.configure(shared(self.url))
        self.keeper = Keeper(self.pool, self.clock, self._failed, self.connection)
        self.keeper.configure("", Path())
        self.configure(KEYS)

    def _failed(self, _: str, error: Exception) -> None:
        self.faults.append(error)

    def configure(self, keys: dict[str, str]) -> None:
        named = {name: Credential(name, "p", windows=self.windows) for name in keys}
        pool = tuple(PoolCredential(named[name], SecretStr(key)) for name, key in keys.items())
        provider = Provider("p", "https://p", ("p",), ("openai_chat",), rotation=self.rotation)
        self.pool.configure(Settings(providers=(Configured(provider, pool),)))
        self.keeper.follow()

    async def start(self) -> None:
        self.connection.start()
        self.keeper.start()

    async def stop(self) -> None:
        await self.keeper.stop()
        await self.connection.stop()
        assert not self.faults

    async def is_killed(self) -> None:
        """It says no more to anybody."""
        await self.connection.stop()

    def serve(self, outcome: Outcome = Completed(), session: str | None = None) -> str:  # noqa: B008
        call = replace(CALL, session=session)
        asker = Asker("openai_chat", "client", call=call) if session else ASKER
        lease = self.pool.acquire("p", call, Acquire(1), asker)
        assert isinstance(lease, Lease)
        self.pool.release("p", lease, call, outcome, asker)
        if session:
            ended = (Ended(1, lease.name, outcome, 0.0),)
            summary = Summary("completed", "", ended, Progress(ended=True), 0.0, 1.0)
            self.pool.answered("p", summary, asker)
        return lease.name

    def next(self) -> str | float | None:
        """The credential that would serve, or the seconds until one does."""
        match self.pool.acquire("p", CALL, Acquire(1), Asker("openai_chat", "x")):
            case Lease() as lease:
                self.pool.release("p", lease, CALL, Rejected(400, Kind.REQUEST), ASKER)
                return lease.name
            case Unavailable(wait=wait):
                return wait

    def used(self) -> float:
        state = self.pool.states["p"].state("one")
        return sum(amount for counts in state.used.values() for _, amount in counts)


type Proxies = Callable[..., AsyncIterator[list[Proxy]]]


@asynccontextmanager
async def proxies(server: RedisServer, count: int, **more: object) -> AsyncIterator[list[Proxy]]:
    """So many that have found the store."""
    async with AsyncExitStack() as stack:
        found = [Proxy(server.url, **more) for _ in range(count)]  # type: ignore[arg-type]
        for each in found:
            stack.push_async_callback(each.stop)
            await each.start()
        await until(lambda: all(each.connection.is_up for each in found))
        yield found


async def test_a_cooldown_that_one_sees_is_heeded_by_the_others_at_once(store: RedisServer) -> None:
    async with proxies(store, 3) as (one, *others):
        assert one.serve(RATE) == "one"
        began = monotonic()
        await until(lambda: all(each.next() == "two" for each in others))
        assert monotonic() - began < SHARED_SOON

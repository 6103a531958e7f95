"""Several proxies that share a store: the pool of each, with a real connection to a real server."""

import asyncio
from collections.abc import AsyncIterator, Sequence
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass, field
from time import time

from pydantic import SecretStr

from addons.config.credentials import PoolCredential
from addons.config.providers import Configured
from addons.config.settings import Settings
from addons.credentials.asking import Asking
from addons.credentials.conversations import Asker
from addons.credentials.lease import Lease
from addons.credentials.places import Places
from addons.credentials.pool import Pool
from addons.store.connection import Connection
from addons.store.roster import Roster
from protocols.model.call import Call, Operation
from rewrite.catalog.providers import Provider
from rewrite.credentials.choosing import Unavailable
from rewrite.credentials.credential import Credential
from rewrite.values.events import Acquire, AwaitCredential, Release
from rewrite.values.outcome import Completed, Outcome
from tests.addons.store.connecting import made, running, until

CALL = Call("c", "openai_chat", Operation.GENERATE, "m", True, (), text_bytes=40)
ASKER = Asker("openai_chat", "127.0.0.1", call=CALL)
PEERS = 3


@dataclass(slots=True)
class Member:
    """One of them."""

    store: Connection
    roster: Roster
    pool: Pool
    places: Places
    asking: list[Asking[Lease]] = field(default_factory=list)

    def in_flight(self, name: str = "one") -> int:
        return self.pool.states["p"].state(name).in_flight

    async def acquire(self, *, fallback: bool = False) -> Lease | Unavailable:
        found = self.pool.acquire("p", CALL, Acquire(1), ASKER, fallback=fallback)
        if not isinstance(found, Asking):
            return found
        self.asking.append(found)
        answer: asyncio.Future[Lease | Unavailable] = asyncio.get_running_loop().create_future()
        found.then(answer.set_result)
        return await answer

    async def take(self) -> Lease:
        found = await self.acquire()
        assert isinstance(found, Lease), found
        return found

    async def wait(self, seconds: float = 30.0) -> Lease | Unavailable:
        """As a call does: in line, where none is free."""
        ticket, found = self.pool.queues.ticket(), await self.acquire()
        if isinstance(found, Lease):
            return found
        answer: asyncio.Future[Lease | Unavailable] = asyncio.get_running_loop().create_future()
        wanted = AwaitCredential(1, Acquire(1), seconds)
        assert self.pool.wait("p", CALL, wanted, ASKER, ticket, answer.set_result)
        return await answer

    def release(self, lease: Lease, outcome: Outcome | None = None, release: Release | None = None) -> None:
        self.pool.release("p", lease, CALL, outcome or Completed(), ASKER, release)


@asynccontextmanager
async def several(
    url: str, *credentials: Credential, count: int = PEERS, up: bool = True
) -> AsyncIterator[Sequence[Member]]:
    """So many proxies with these credentials."""
    async with AsyncExitStack() as stack:
        members = [member(url, *credentials) for _ in range(count)]
        for one in members:
            await stack.enter_async_context(running(one.store))
        for one in members:
            await until(lambda one=one: one.store.is_up is up and not one.store.is_beginning)  # type: ignore[misc]  # mypy knows no such default
            one.places.look()
        for one in members:
            one.roster.peers = count  # as they know after seconds
            if up:
                await one.store.command("PING")  # by then its places are registered
        yield members


def member(url: str, *credentials: Credential) -> Member:
    store = made(url)
    pool = Pool(time, lambda _: None)
    roster = Roster(store, time)
    places = Places(store, roster, pool, time)
    pool.share(places)
    known = Provider("p", "https://p", ("p",), ("openai_chat",), queue_limit=1000)
    listed = tuple(PoolCredential(one, SecretStr(f"sk-key-of-{one.name}")) for one in credentials)
    pool.configure(Settings(providers=(Configured(known, listed),)))
    return Member(store, roster, pool, places)

"""What users used, counted by several proxies through a real store."""

import asyncio
from collections.abc import AsyncIterator, Mapping
from contextlib import AsyncExitStack, asynccontextmanager
from time import monotonic, time

from addons.store.connection import Connection
from addons.store.roster import Roster
from addons.team.shared_use import SharedUse
from addons.team.users import Users
from rewrite.policies.user_caps import DAY, Caps, day_of
from rewrite.usage.entry import Tokens
from tests.addons.entries import ended
from tests.addons.store.connecting import connected, made, running, until
from tests.redis_server import WITHOUT, RedisServer

pytestmark = WITHOUT

LIMITED = {"alice": Caps(requests=10)}


class Node:
    """The users of one proxy. Its roster is left out: `peers` is set."""

    def __init__(self, connection: Connection, caps: Mapping[str, Caps], peers: int = 1) -> None:
        self.connection = connection
        roster = Roster(Connection(time, lambda *_: None), time)
        roster.peers = peers
        self.users = Users(time, lambda: None, SharedUse(connection, roster, time))
        self.users.configure(caps, lambda _: {})

    async def call(self, *, tokens: int = 0, attempts: int = 1) -> bool:
        """Whether alice's call was let in, which then ends."""
        async with self.users.admitted("alice") as fault:
            await asyncio.sleep(0)
        asked = attempts if fault is None else 0
        self.users.take([ended(user="alice", tokens=Tokens(tokens), cost=0.25, attempts=asked)])
        return fault is None

    @property
    def used(self) -> Mapping[str, float]:
        (alice,) = self.users.status()
        used: Mapping[str, float] = alice["used"]
        return used


@asynccontextmanager
async def nodes(
    store: RedisServer, number: int, caps: Mapping[str, Caps] = LIMITED, peers: int = 1
) -> AsyncIterator[list[Node]]:
    async with AsyncExitStack() as stack:
        made_ones = [made(store.url) for _ in range(number)]
        found = [Node(one, caps, peers) for one in made_ones]
        for one in made_ones:
            await stack.enter_async_context(running(one))
        await until(lambda: all(one.is_up for one in made_ones))
        yield found


async def test_no_more_is_let_in_than_allowed_however_many_ask_at_once(store: RedisServer) -> None:
    async with nodes(store, 3) as three:
        let_in = await asyncio.gather(*(three[number % 3].call() for number in range(60)))
        assert sum(let_in) == 10
        assert not await three[1].call()


async def test_a_call_that_nobody_was_asked_for_is_given_back(store: RedisServer) -> None:
    async with nodes(store, 2) as (one, other):
        assert all([await one.call(attempts=0) for _ in range(30)])
        one.users.flush()
        assert sum([await other.call() for _ in range(12)]) == 10


async def test_what_a_call_used_is_heard_by_the_others(store: RedisServer) -> None:
    async with nodes(store, 2, {"alice": Caps(tokens=100, cost=1.0)}) as (one, other):
        await one.call(tokens=60)
        one.users.flush()
        await until(lambda: other.used["tokens"] == 60)
        assert other.used == {"requests": 1, "tokens": 60, "cost": 0.25}
        assert await other.call(tokens=40)
        assert not await other.call()
        other.users.flush()
        assert not await one.call()


async def test_a_proxy_that_begins_knows_what_was_used(store: RedisServer) -> None:
    async with nodes(store, 1) as (one,):
        assert all([await one.call() for _ in range(7)])
    async with nodes(store, 1) as (again,):
        assert again.used["requests"] == 7
        assert sum([await again.call() for _ in range(9)]) == 3


async def test_without_an_answer_it_waits_no_longer_than_a_moment(store: RedisServer) -> None:
    async with nodes(store, 1) as (one,):
        await one.call()
        store.pause()
        try:
            began = monotonic()
            assert await one.call()
            assert monotonic() - began < 0.5
        finally:
            store.resume()
        await until(lambda: _requests(store) == {2})  # the answer that came too late counts nothing twice
        assert sum([await one.call() for _ in range(20)]) == 8


async def test_a_client_that_leaves_before_the_answer_counts_for_nothing(store: RedisServer) -> None:
    async with nodes(store, 1) as (one,):
        store.pause()
        asking = asyncio.create_task(one.call())
        await asyncio.sleep(0)
        asking.cancel()
        store.resume()
        await asyncio.wait([asking])
        assert one.used["requests"] == 0
        assert sum([await one.call() for _ in range(20)]) == 10


async def test_alone_each_takes_the_others_to_use_as_much(store: RedisServer) -> None:
    async with nodes(store, 2, peers=2) as (one, other):
        assert await one.call()
        assert await other.call()
        await until(lambda: one.used["requests"] == 2 == other.used["requests"])
        store.kill()
        try:
            await until(lambda: not (one.connection.is_up or other.connection.is_up))
            assert sum([await one.call() for _ in range(20)]) == 4  # 2, and twice as many
            assert await other.call()
        finally:
            store.start()
        await until(lambda: one.connection.is_up and other.connection.is_up)
        await until(lambda: one.used["requests"] == 7 == other.used["requests"])  # it began empty
        assert sum([await one.call() for _ in range(20)]) == 3


async def test_what_is_late_and_what_is_not_ours_counts_nothing(store: RedisServer) -> None:
    async with nodes(store, 1) as (one,):
        key = f"rotator:t:{day_of(time())}:user:alice"
        await one.call()
        written = store.client().hget(key, one.connection.proxy)
        store.client().hset(key, mapping={one.connection.proxy: "99 9 0 0.0", "other": "what is this"})
        await one.call()
        assert store.client().hget(key, one.connection.proxy) == "99 9 0 0.0"
        assert one.used["requests"] == 2
        store.client().hset(key, one.connection.proxy, written)
        assert 0 < store.client().ttl(key) <= 2 * DAY
        store.client().delete(key)
        store.client().set(key, "of another type")
        assert sum([await one.call() for _ in range(20)]) == 8


def _requests(store: RedisServer) -> set[int]:
    (key,) = store.client().keys("rotator:t:*:user:alice")
    return {int(said.split()[1]) for said in store.client().hvals(key)}


async def test_a_day_has_a_key_of_its_own(store: RedisServer) -> None:
    noon, days = time() // DAY * DAY + DAY / 2, [0]

    def clock() -> float:
        return noon + days[-1] * DAY

    async with connected(store.url) as connection:
        users = Users(clock, lambda: None, SharedUse(connection, Roster(made(store.url), clock), clock))
        users.configure({"alice": Caps(requests=1)}, lambda _: {})
        for days[-1] in range(3):
            async with users.admitted("alice") as fault, users.admitted("alice") as another:
                assert fault is None
                assert another is not None
        assert len(store.client().keys("rotator:t:*:user:alice")) == 3


async def test_amounts_that_are_no_numbers_change_nothing(store: RedisServer) -> None:
    caps = {"alice": Caps(cost=1.0)}
    async with nodes(store, 1, caps) as (one,):
        for number, cost in enumerate(("NaN", "1e999", "1" + "0" * 400, "null", "0.25")):
            body = f'["x{number}","{day_of(time())}","alice",1,1,0,{cost}]'
            store.client().publish(one.connection.channel, f'["x","use",{body}]')
        await until(lambda: one.used["cost"] == 0.25)

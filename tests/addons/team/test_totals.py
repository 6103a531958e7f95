"""What calls of several proxies came to, kept in a real store."""

import asyncio
import json
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager
from time import time
from typing import Any

import pytest

from addons.store.connection import Connection
from addons.store.roster import Roster
from addons.team.team_usage import Team, TeamUsage
from addons.team.totals import MOST_KINDS, SLOTS_KEPT, WHOLE_DAY, Totals, keys_of, rows_of
from addons.usage.queries import Row
from addons.usage.schema import OF_KIND, SUMS
from rewrite.policies.user_caps import DAY, day_of
from rewrite.records.verdict import Verdict
from tests.addons.entries import ended
from tests.addons.store.connecting import made, running, until
from tests.addons.team.unshared import team as alone
from tests.redis_server import WITHOUT, RedisServer

pytestmark = WITHOUT


class Node:
    """One proxy. Its clock is `ahead` of noon today; nothing is written but by `flush`."""

    def __init__(self, connection: Connection) -> None:
        self.ahead, self.connection = 0.0, connection
        self.totals = Totals(connection, self._clock, lambda *_: _NoTimer())
        roster = Roster(made("redis://127.0.0.1:1"), self._clock)
        self.team = Team(connection, roster, self.totals, self._clock)

    def _clock(self) -> float:
        return time() // DAY * DAY + DAY / 2 + self.ahead

    def take(self, number: int = 1, **changed: Any) -> None:
        self.totals.take([ended(**changed)] * number)

    async def usage(self, *by: str, days: float = 1.0) -> dict[tuple[str, ...], Row]:
        found = await self.ask(*by, days=days)
        assert found is not None
        return {row.group: row for row in found.usage.rows}

    async def ask(self, *by: str, days: float = 1.0) -> TeamUsage | None:
        return await asyncio.to_thread(self.team.usage, self._clock() - days * DAY, by)


class _NoTimer:
    def cancel(self) -> None: ...


@asynccontextmanager
async def nodes(store: RedisServer, number: int) -> AsyncIterator[list[Node]]:
    async with AsyncExitStack() as stack:
        found = [Node(made(store.url)) for _ in range(number)]
        for one in found:
            await stack.enter_async_context(running(one.connection))
        await until(lambda: all(one.connection.is_up for one in found))
        yield found


async def test_all_proxies_count_together(store: RedisServer) -> None:
    async with nodes(store, 2) as (one, other):
        one.take(3, user="alice")
        one.take(user="alice", verdict=Verdict.REFUSED, attempts=0, tokens=None, cost=None)
        other.take(2, user="bob", model="gpt-5")
        other.totals.flush()
        await until(lambda: len(store.client().keys("rotator:t:*")) == 2)
        found = await one.usage("user")
        assert {user: row.calls for (user,), row in found.items()} == {"alice": 4, "bob": 2}
        alice = found["alice",]
        assert (alice.tokens.output, alice.cost, alice.failed) == (150, 0.75, 1)
        assert alice.first_token == pytest.approx(0.4, rel=0.1)
        assert {user for user, _ in await other.usage("user", "hour")} == {"alice", "bob"}
        said = await one.ask()
        assert said is not None
        assert (said.kept, said.proxies) == (one.connection.name, 1)


async def test_what_is_written_twice_counts_once_and_what_is_late_not_at_all(store: RedisServer) -> None:
    async with nodes(store, 1) as (one,):
        one.take(2)
        await one.usage()
        slots, day = keys_of("rotator:", day_of(time()))
        former = [(key, store.client().hgetall(key)) for key in (slots, day)]
        one.take(1)
        one.totals.flush()
        one.totals.flush()
        one.ahead += 3.0
        assert (await one.usage())[()].calls == 3
        for key, row in former:  # an old write that comes late
            ((field, value),) = row.items()
            assert (str(value)[:2], str(store.client().hget(key, field))[:2]) == ("2 ", "3 ")
            store.client().hset(key, field, value)
        one.take(1)
        one.ahead += 3.0
        assert (await one.usage())[()].calls == 4


async def test_a_store_that_comes_back_empty_gets_it_again(store: RedisServer) -> None:
    async with nodes(store, 2) as (one, other):
        one.take(2)
        assert (await one.usage())[()].calls == 2
        store.kill()
        await until(lambda: not (one.connection.is_up or other.connection.is_up))
        assert one.team.is_alone
        assert await one.ask() is None
        one.take(1)
        other.take(4)
        one.totals.flush()
        store.start()
        await until(lambda: one.connection.is_up and other.connection.is_up)
        assert (await one.usage())[()].calls == 7
        assert not one.team.is_alone


async def test_days_long_past_are_kept_as_one_sum(store: RedisServer) -> None:
    async with nodes(store, 1) as (one,):
        for one.ahead in (0.0, DAY, 20 * DAY):
            one.take(5)
            one.totals.flush()
        assert (await one.usage(days=30))[()].calls == 15
        assert (await one.usage(days=21))[()].calls in (10, 15)
        assert len(await one.usage("day", days=30)) == 3
        assert (await one.usage(days=1))[()].calls == 5
        slots, day = keys_of("rotator:", day_of(time()))
        assert 0 < store.client().ttl(slots) <= (SLOTS_KEPT + 1) * DAY < store.client().ttl(day)


async def test_kinds_that_clients_make_up_have_a_bound(store: RedisServer) -> None:
    async with nodes(store, 1) as (one,):
        one.totals.take([ended(model=f"made-up-{number}", user="eve") for number in range(MOST_KINDS + 50)])
        one.take(model="x" * 9999)
        found = await one.usage("model")
        assert found["other",].calls > 1000
        assert len(found) <= MOST_KINDS // 2 + 1
        assert sum(row.calls for row in found.values()) == MOST_KINDS + 51


async def test_what_is_not_ours_is_left_out(store: RedisServer) -> None:
    async with nodes(store, 1) as (one,):
        slots, _ = keys_of("rotator:", day_of(time()))
        store.client().hset(slots, mapping={"what": "is this", '["a",1]': '5 {"calls":5}', "[]": "5 []"})
        one.take()
        assert (await one.usage())[()].calls == 1


async def test_without_a_store_nothing_is_kept_and_nobody_asked() -> None:
    one = alone()
    assert one.usage(0.0, ()) is None
    assert not one.is_alone


@pytest.mark.parametrize("amount", ["NaN", "1e999", "1" + "0" * 400, '"5"', "[" * 9000])
def test_sums_that_are_no_numbers_are_left_out(amount: str) -> None:
    field = json.dumps(["x", WHOLE_DAY, *["name"] * len(OF_KIND)]).encode()
    assert len([*rows_of([field, f'1 {{"{SUMS[0]}":1}}'.encode()])]) == 1
    assert not [*rows_of([field, f'1 {{"{SUMS[0]}":{amount}}}'.encode()])]

"""Which proxies are there, as each of them knows it from a real server."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager
from time import time

import pytest

from addons.store import roster as rosters
from addons.store.connection import Connection
from addons.store.roster import Roster
from tests.addons.store.connecting import made, running, until
from tests.redis_server import WITHOUT, RedisServer

pytestmark = WITHOUT


@pytest.fixture(autouse=True)
def quick(monkeypatch: pytest.MonkeyPatch) -> None:
    """A heartbeat is due forty times as often."""
    monkeypatch.setattr(rosters, "HEARTBEAT", rosters.HEARTBEAT / 40)
    monkeypatch.setattr(rosters, "ALIVE", rosters.ALIVE / 40)


class Proxy:
    def __init__(self, url: str) -> None:
        self.connection: Connection = made(url)
        self.roster = Roster(self.connection, time)
        self.gone, self.returned = 0, 0
        self.roster.on_gone(self._on_gone)
        self.roster.on_return(self._on_return)

    def _on_gone(self) -> None:
        self.gone += 1

    def _on_return(self) -> None:
        self.returned += 1


@asynccontextmanager
async def proxies(url: str, count: int) -> AsyncIterator[list[Proxy]]:
    async with AsyncExitStack() as stack:
        found = [Proxy(url) for _ in range(count)]
        for each in found:
            await stack.enter_async_context(running(each.connection))
            await until(lambda each=each: each.connection.is_up)  # type: ignore[misc]  # mypy takes no default here
        yield found


async def test_each_knows_how_many_there_are_and_its_rank(store: RedisServer) -> None:
    async with proxies(store.url, 3) as there:
        await until(lambda: all(each.roster.peers == 3 for each in there))
        await until(lambda: sorted(each.roster.rank for each in there) == [0, 1, 2])
        by_rank = sorted(there, key=lambda each: each.roster.rank)
        assert [each.connection.proxy for each in by_rank] == sorted(each.connection.proxy for each in there)


async def test_one_that_leaves_is_gone_at_once_with_what_it_held(store: RedisServer) -> None:
    async with proxies(store.url, 2) as (one, other):
        held = f"rotator:held:{one.connection.proxy}"
        store.client().hset(held, "openai\nwork\nmark", 2)
        await one.roster.leave()
        await until(lambda: other.gone == 1)
        assert not store.client().exists(held)
        await until(lambda: other.roster.peers == 1)
        assert store.client().zrange("rotator:proxies", 0, -1) == [other.connection.proxy]


async def test_one_that_is_silent_is_removed_with_what_it_held_when_it_is_over(
    store: RedisServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    client = store.client()
    monkeypatch.setattr(rosters, "ALIVE", 100.0)
    async with proxies(store.url, 2) as (one, other):
        await until(lambda: one.roster.is_steady and other.roster.is_steady)
        client.zadd("rotator:proxies", {"dead": time() * 1000 + 400})
        client.hset("rotator:held:dead", "openai\nwork\nmark", 2)
        monkeypatch.setattr(rosters, "HEARTBEAT", 100.0)  # so that no usual heartbeat finds it
        await until(lambda: one.gone == 1 and other.gone == 1)
        assert not client.exists("rotator:held:dead")
        assert client.zcard("rotator:proxies") == 2


async def test_after_the_store_stood_still_nobody_is_gone(store: RedisServer) -> None:
    async with proxies(store.url, 3) as there:
        await until(lambda: all(each.roster.is_steady for each in there))
        held = [f"rotator:held:{each.connection.proxy}" for each in there]
        for key in held:
            store.client().hset(key, "openai\nwork\nmark", 2)
        store.pause()
        await asyncio.sleep(rosters.ALIVE * 2)  # shorter than the connections take to be given up
        store.resume()
        await until(lambda: all(each.returned for each in there))
        await asyncio.sleep(rosters.ALIVE)
        assert all(store.client().exists(key) for key in held)
        assert [each.gone for each in there] == [0, 0, 0]


async def test_a_store_that_is_emptied_is_begun_again(store: RedisServer) -> None:
    async with proxies(store.url, 1) as (one,):
        before = one.connection.store
        store.client().flushall()
        await until(lambda: one.connection.is_up and one.connection.store != before)

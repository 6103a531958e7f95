"""What proxies that share a store know of each other's credentials."""

import json
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass, field, replace
from functools import partial
from pathlib import Path
from time import monotonic

import pytest
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
from rewrite.credentials.windows import Unit, Window
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
            case _:
                raise AssertionError("there is nobody to ask")

    def is_paused(self) -> bool:
        return any(one.wait(self.clock()) for one in self.pool.states["p"].health.values())

    def used(self, name: str = "one") -> float:
        state = self.pool.states["p"].state(name)
        return sum(amount for counts in state.used.values() for _, amount in counts)


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


async def test_what_is_known_of_a_provider_and_by_command_is_shared_too(store: RedisServer) -> None:
    async with proxies(store, 2) as (one, two):
        assert one.pool.retire("p", "one") == 1
        await until(lambda: two.next() == "two")
        assert two.pool.cool("p", "two", 50.0) == 1
        await until(lambda: one.next() == pytest.approx(50.0, abs=1.0))
        assert one.pool.resume() == 2
        await until(lambda: two.next() == "one")
        assert not [
            key for key in store.client().keys("rotator:e:*") if "cooldown" in key or "retired" in key
        ]


async def test_a_conversation_stays_on_its_key_whichever_proxy_gets_it(store: RedisServer) -> None:
    async with proxies(store, 3, rotation=Rotation.ROUND_ROBIN) as found:
        one, two, three = found
        homes = {session: one.serve(session=session) for session in ("a", "b", "c", "d")}
        assert set(homes.values()) == {"one", "two"}
        count = two.pool.conversations.sessions.count
        await until(lambda: count(two.clock()) == len(homes))
        assert {session: two.serve(session=session) for session in homes} == homes
        assert {session: three.serve(session=session) for session in homes} == homes


async def test_they_take_turns_as_one(store: RedisServer) -> None:
    async with proxies(store, 3, rotation=Rotation.ROUND_ROBIN) as found:
        served = []
        for number in range(6):
            proxy = found[number % 3]
            served.append(proxy.serve())
            await until(partial(_all_know_the_last_turn, found, served[-1]))
        assert served == ["one", "two"] * 3


def _all_know_the_last_turn(found: list[Proxy], name: str) -> bool:
    wheels = [each.pool.states["p"].wheel.used for each in found]
    return all(wheel and wheel[-1].name == name for wheel in wheels)


async def test_one_that_starts_later_knows_what_the_others_know(store: RedisServer) -> None:
    async with proxies(store, 1) as (one,):
        one.serve(RATE)
        home = one.serve(session="a")
        await until(lambda: bool(store.client().zcard("rotator:recent")))
        async with proxies(store, 1) as (late,):
            assert (late.next(), late.serve(session="a"), home) == ("two", "two", "two")


PER_DAY = Window(Unit.REQUESTS, 100.0, 86_400.0)


async def test_what_is_used_is_counted_once_however_often_it_is_said(store: RedisServer) -> None:
    async with proxies(store, 2, windows=(PER_DAY,)) as (one, two):
        for _ in range(3):
            one.serve()
            two.serve()
        await until(lambda: one.used() == two.used() == 6.0)
        store.kill()
        await until(lambda: not (one.connection.is_up or two.connection.is_up))
        one.serve()
        two.serve(), two.serve()
        store.start()
        await until(lambda: one.used() == two.used() == 9.0)
        async with proxies(store, 1, windows=(PER_DAY,)) as (three,):
            assert three.used() == 9.0
            one.pool.reset("p", "one")
            await until(lambda: two.used() == three.used() == 0.0)
            two.serve()
            await until(lambda: one.used() == three.used() == 1.0)
    assert [store.client().hlen(key) for key in store.client().keys("rotator:u:*")] == [1]


async def test_what_a_proxy_counted_that_is_gone_still_counts_in_a_store_that_lost_all(
    store: RedisServer,
) -> None:
    async with proxies(store, 1, windows=(PER_DAY,)) as (one,):
        async with proxies(store, 1, windows=(PER_DAY,)) as (other,):
            other.serve(), other.serve()
            await until(lambda: one.used() == 2.0)
        store.kill()
        store.start()
        await until(lambda: not one.connection.is_up)
        await until(lambda: one.connection.is_up)
        one.serve()
        async with proxies(store, 1, windows=(PER_DAY,)) as (late,):
            await until(lambda: late.used() == one.used() == 3.0)


async def test_what_happened_without_the_store_is_merged_when_it_is_back(store: RedisServer) -> None:
    async with proxies(store, 2) as (one, two):
        one.serve(Rejected(429, Kind.RATE, retry_after=100.0))
        await until(lambda: two.next() == "two")
        store.kill()
        await until(lambda: not (one.connection.is_up or two.connection.is_up))
        two.serve(Rejected(429, Kind.RATE, retry_after=200.0))
        home = one.serve(session="a")
        assert (one.next(), home) == ("two", "two")
        store.start()  # empty
        soonest = pytest.approx(100.0, abs=3.0)
        await until(lambda: [one.next(), two.next()] == [soonest, soonest])
        await until(lambda: bool(store.client().zcard("rotator:recent")))


async def test_the_clock_of_the_store_is_that_of_all(store: RedisServer) -> None:
    async with AsyncExitStack() as stack:
        one = Proxy(store.url)
        two = Proxy(store.url, off=600.0, windows=(PER_DAY,))
        for each in (one, two):
            stack.push_async_callback(each.stop)
        two.serve(RATE)
        assert two.next() == "two"
        for each in (one, two):
            await each.start()
        await until(lambda: one.connection.is_up and two.connection.is_up)
        assert one.clock() == pytest.approx(two.clock(), abs=0.2)
        await until(lambda: one.next() == "two")
        waits = [each.pool.states["p"].state("one").free_at("model:m") - each.clock() for each in (one, two)]
        assert waits == [pytest.approx(300.0, abs=2.0)] * 2


async def test_neither_a_key_nor_what_a_provider_said_is_in_the_store(store: RedisServer) -> None:
    async with proxies(store, 2) as (one, two):
        said = Rejected(401, Kind.AUTH, message=f"Incorrect API key: {KEYS['one']}, secret words")
        one.serve(said)
        one.serve(session="a session of the user")
        await until(lambda: two.next() == "two")
        refusal = two.pool.states["p"].state("one").cooldowns["whole"].refusal
        assert refusal
        assert (refusal.status, refusal.kind, refusal.message) == (401, Kind.AUTH, "")
        client = store.client()
        await until(lambda: bool(client.zcard("rotator:recent")))
        keys = client.keys("rotator:e:*")
        texts = " ".join(map(str, [*keys, *client.mget(keys)]))
        assert "cooldown" in texts
        assert "binding" in texts
        assert not [secret for secret in (*KEYS.values(), "secret words", "session of") if secret in texts]


async def test_what_is_none_of_ours_in_the_store_does_no_harm(store: RedisServer) -> None:
    client = store.client()
    strange = {'["of a later version","p","","",""]': "[1,9e12,[]]", "no JSON": "{", '["cooldown"]': "[]"}
    for name, text in strange.items():
        client.set(f"rotator:e:{name}", text)
        client.zadd("rotator:facts", {name: 9e12})
    client.zadd("rotator:counted", {"[1]": 9e12})
    client.hset("rotator:u:[1]", "x", "y")
    async with proxies(store, 2) as (one, two):
        client.publish(
            "rotator:changes", '["x","entries",[[["cooldown"],3],7,[["cooldown",1,2,3,4],[1,2,3]]]]'
        )
        client.publish("rotator:changes", '["x","used",["x",[[["p","one","","w","s"],"never",1],3]]]')
        client.publish("rotator:changes", '["x","used",null]')
        one.serve(RATE)
        await until(lambda: two.next() == "two")
    assert client.get('rotator:e:["of a later version","p","","",""]') == "[1,9e12,[]]"


async def test_a_store_that_has_no_room_for_a_while_loses_nothing(store: RedisServer) -> None:
    async with proxies(store, 2, windows=(PER_DAY,)) as (one, two):
        store.client().config_set("maxmemory", 1)
        try:
            one.serve(RATE)
            one.serve()
            await until(lambda: not one.connection.is_up)
            assert one.connection.reason == "it does not keep what it is given"
        finally:
            store.client().config_set("maxmemory", 0)
        await until(lambda: two.used("two") == 1.0)
        assert two.next() == "two"


async def test_numbers_that_cannot_be_reckoned_with_are_passed_over(store: RedisServer) -> None:
    client, huge = store.client(), "1" + "0" * 400
    async with proxies(store, 1, windows=(PER_DAY,)) as (one,):
        one.serve()
        await until(lambda: client.exists("rotator:counted") == 1)
        (key,) = map(str, client.zrange("rotator:counted", 0, -1))
        (field_,) = map(str, client.hkeys(f"rotator:u:{key}"))
        last = field_.partition("|")[0]
        for number in ("nan", "inf", "1e300", "x", huge):
            client.hset(f"rotator:u:{key}", f"{last}|{number}", number)
        client.hset(f"rotator:u:{key}", f"1e300|{one.connection.proxy}", "1")
        for number in ("NaN", "1e999", "1e300", huge):
            name = f'["cooldown","p","one","{json.loads(key)[2]}","{number}"]'
            client.set(f"rotator:e:{name}", f"[1,{number},null]")
            client.zadd("rotator:facts", {name: 9e12})
            counted = f'["y",[[{key},{last},{number}],[{key},{number},1]]]'
            client.publish("rotator:changes", f'["y","used",{counted}]')
        async with proxies(store, 1, windows=(PER_DAY,)) as (two,):
            two.serve()
            await until(lambda: one.used() == two.used() == 2.0)


async def test_a_store_that_stands_still_holds_nobody_up(store: RedisServer) -> None:
    async with proxies(store, 2) as (one, two):
        store.pause()
        try:
            one.serve(RATE)
            assert one.next() == "two"
            await until(lambda: not one.connection.is_up)
        finally:
            store.resume()
        await until(lambda: two.next() == "two")


async def test_a_pause_of_the_provider_is_that_of_all_until_it_answers(store: RedisServer) -> None:
    down = Rejected(503, Kind.SERVER)
    async with proxies(store, 2, rotation=Rotation.ROUND_ROBIN) as (one, two):
        for number in range(5):
            one.serve(down, session=f"conversation {number}")
        await until(lambda: two.is_paused() and one.is_paused())
        one.serve()
        await until(lambda: not two.is_paused())


async def test_a_store_whose_clock_was_set_changes_nothing_that_lasts(store: RedisServer) -> None:
    async with proxies(store, 2, windows=(PER_DAY,)) as found:
        one, two = found
        one.serve(), two.serve()
        one.serve(RATE)
        await until(lambda: one.used() == two.used() == 3.0 and two.next() == "two")
        now = one.clock()
        for each in found:
            each.keeper._led(4000.0)
        assert one.clock() == pytest.approx(now + 4000.0, abs=2.0)
        left = [each.pool.states["p"].state("one").free_at("model:m") - each.clock() for each in found]
        assert left == [pytest.approx(300.0, abs=2.0)] * 2
        await until(lambda: one.used() == two.used() == 3.0 and one.used("two") == two.used("two"))
        before = one.used("two")
        two.serve(), one.serve()
        await until(lambda: one.used("two") == two.used("two") == before + 2)


async def test_what_two_count_while_a_third_forgets_it_is_the_same_for_all(store: RedisServer) -> None:
    async with proxies(store, 3, windows=(PER_DAY,)) as found:
        for round_ in range(4):
            for each in found:
                each.serve()
            found[round_ % 3].pool.reset("p", "one")
            for each in found:
                each.serve()
        await until(lambda: len({each.used() for each in found}) == 1)
        async with proxies(store, 1, windows=(PER_DAY,)) as (late,):
            assert late.used() == found[0].used()


async def test_the_end_of_a_proxy_writes_what_was_not_written(store: RedisServer) -> None:
    async with proxies(store, 1, windows=(PER_DAY,)) as (one,):
        one.serve(), one.serve()
        home = one.serve(session="a")
    async with proxies(store, 1, windows=(PER_DAY,)) as (two,):
        assert (two.used(), two.serve(session="a")) == (3.0, home)


async def test_other_settings_may_name_another_store_or_none(
    store: RedisServer, tmp_path_factory: pytest.TempPathFactory
) -> None:
    with RedisServer(tmp_path_factory.mktemp("other")) as other:
        async with proxies(store, 1) as (one,), proxies(other, 1) as (two,):
            one.serve(RATE)
            one.connection.configure(shared(other.url))
            await until(lambda: two.next() == "two")
            one.connection.configure(None)
            one.keeper.configure("", Path())
            one.serve(RATE)
            one.configure(KEYS)
            assert one.next() == pytest.approx(300.0, abs=1.0)
            assert two.next() == "two"


async def test_a_call_is_written_at_once_with_all_that_is_known_of_it(store: RedisServer) -> None:
    client = store.client()
    async with proxies(store, 2, rotation=Rotation.ROUND_ROBIN) as (one, two):
        before = client.info("commandstats")["cmdstat_evalsha"]["calls"]
        one.serve(session="a")
        await until(lambda: two.pool.states["p"].state("one").last is not None)
        assert two.pool.conversations.sessions.count(two.clock())
        assert two.pool.states["p"].wheel.used
        assert client.info("commandstats")["cmdstat_evalsha"]["calls"] == before + 1


async def test_what_the_store_counted_for_an_attempt_that_never_began_is_put_right(
    store: RedisServer,
) -> None:
    client = store.client()
    async with proxies(store, 2, windows=(PER_DAY,)) as (one, two):
        one.serve()
        await until(lambda: two.used() == 1.0)
        (name,) = client.keys("rotator:u:*")
        (field_,) = client.hkeys(name)
        client.hincrbyfloat(name, field_, 1.0)
        (key,) = (key for key, _, _ in one.keeper._shared._counters.totals())  # type: ignore[union-attr]
        one.pool.unsaved.recounted.add(key)
        await until(lambda: client.hvals(name) == ["1.0"])


async def test_what_one_forgets_without_the_store_is_forgotten_by_all_when_it_is_back(
    store: RedisServer,
) -> None:
    async with proxies(store, 3, windows=(PER_DAY,)) as (one, two, three):
        for each in (one, two, three):
            each.serve()
        await until(lambda: one.used() == two.used() == three.used() == 3.0)
        store.kill()
        await until(lambda: not any(each.connection.is_up for each in (one, two, three)))
        two.serve()
        one.pool.reset("p", "one")
        one.serve(), one.serve()
        store.start()
        await until(lambda: one.used() == two.used() == three.used() == 2.0)
        async with proxies(store, 1, windows=(PER_DAY,)) as (late,):
            await until(lambda: late.used() == 2.0)

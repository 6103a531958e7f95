"""Places, windows and probes that several proxies share, with a real server."""

import asyncio
from dataclasses import dataclass
from pathlib import Path
from random import Random
from time import monotonic, time

from addons.credentials.lease import Lease
from protocols.model.parts import Usage
from protocols.model.progress import Progress
from rewrite.credentials.choosing import Unavailable
from rewrite.credentials.credential import Credential
from rewrite.credentials.health import Health
from rewrite.credentials.sharing import nothing_elsewhere
from rewrite.credentials.windows import Period, Unit, Window
from rewrite.values.events import Release
from rewrite.values.outcome import Abandoned, Completed
from tests.addons.credentials.several import Member, member, several
from tests.addons.store.connecting import running, until
from tests.redis_server import WITHOUT, RedisServer

pytestmark = WITHOUT

FOUR = Credential("one", "p", max_concurrency=4)
SPARE = Credential("two", "p", 2)
TEN = Window(Unit.REQUESTS, 10, Period.DAY)
HELD = "rotator:held:"


@dataclass(slots=True)
class Meter:
    """How many calls are served at once."""

    now: int = 0
    most: int = 0

    async def serve(self, one: Member, seconds: float) -> None:
        lease = await one.wait()
        assert isinstance(lease, Lease), lease
        self.now += 1
        self.most = max(self.most, self.now)
        await asyncio.sleep(seconds)
        self.now -= 1
        one.release(lease)


def held(store: RedisServer) -> int:
    client = store.client()
    return sum(int(each) for key in client.keys(f"{HELD}*") for each in client.hvals(key))


async def test_all_proxies_together_use_no_more_places_than_there_are(store: RedisServer) -> None:
    meter, random = Meter(), Random(1)
    async with several(store.url, FOUR) as proxies:
        calls = [meter.serve(proxies[number % 3], random.uniform(0, 0.01)) for number in range(150)]
        await asyncio.gather(*calls)
        assert meter.most == 4
        assert [one.in_flight() for one in proxies] == [0, 0, 0]
        await until(lambda: held(store) == 0)


async def test_what_is_full_elsewhere_is_passed_over(store: RedisServer) -> None:
    async with several(store.url, FOUR, SPARE) as (one, two, _):
        assert [(await one.take()).name for _ in range(5)] == ["one", "one", "one", "one", "two"]
        assert (await two.take()).name == "two"
        assert (two.in_flight(), two.in_flight("two")) == (0, 1)
        commands = store.client().info("commandstats")["cmdstat_evalsha"]["calls"]
        assert (await two.take()).name == "two"
        assert store.client().info("commandstats")["cmdstat_evalsha"]["calls"] == commands


async def test_nobody_is_free_says_who_has_the_places(store: RedisServer) -> None:
    async with several(store.url, FOUR) as (one, two, _):
        await two.take()
        for _ in range(3):
            await one.take()
        none = await two.acquire()
        assert isinstance(none, Unavailable)
        assert none.full
        assert none.keys == ("p/one has 1 of 4 calls in flight, and 3 in other proxies",)


async def test_a_place_that_is_freed_elsewhere_is_taken_at_once(store: RedisServer) -> None:
    async with several(store.url, FOUR) as (one, two, _):
        leases = [await one.take() for _ in range(4)]
        waiting = asyncio.create_task(two.wait())
        await until(lambda: len(two.pool.queues) == 1)
        began = monotonic()
        one.release(leases[0])
        assert isinstance(await waiting, Lease)
        assert monotonic() - began < 0.5  # and not after the second after which all is looked at again


async def test_a_waiter_that_is_let_in_and_then_refused_keeps_its_place(store: RedisServer) -> None:
    async with several(store.url, Credential("one", "p", max_concurrency=1)) as (one, two, three):
        lease = await one.take()
        got: list[str] = []

        async def wait(by: Member, name: str) -> None:
            found = await by.wait()
            assert isinstance(found, Lease)
            got.append(name)
            await asyncio.sleep(0.005)
            by.release(found)

        waiting = [asyncio.create_task(wait(two, name)) for name in "abc"]
        waiting += [asyncio.create_task(wait(three, name)) for name in "xyz"]
        await until(lambda: len(two.pool.queues) + len(three.pool.queues) == 6)
        one.release(lease)
        await asyncio.gather(*waiting)
        assert [each for each in got if each in "abc"] == ["a", "b", "c"]
        assert [each for each in got if each in "xyz"] == ["x", "y", "z"]


async def test_who_has_waited_longest_comes_first_at_whichever_proxy(store: RedisServer) -> None:
    async with several(store.url, Credential("one", "p", max_concurrency=1)) as (one, two, _):
        lease, order = await one.take(), list[str]()

        async def wait(by: Member, name: str) -> None:
            found = await by.wait()
            assert isinstance(found, Lease)
            order.append(name)
            by.release(found)

        waiting = []
        for by, name in ((two, "two"), (one, "one"), (two, "two again"), (one, "one again")):
            waiting.append(asyncio.create_task(wait(by, name)))
            await until(lambda: len(one.pool.queues) + len(two.pool.queues) == len(waiting))
            by.pool.revised(nothing_elsewhere)  # after a second it would ask by itself, and be in line
            await by.store.command("PING")
        one.release(lease)
        await asyncio.gather(*waiting)
        assert order[0] == "two"
        assert [each for each in order if each.startswith("one")] == ["one", "one again"]


async def test_a_place_that_is_promised_to_a_call_that_left_goes_to_the_next(store: RedisServer) -> None:
    async with several(store.url, Credential("one", "p", max_concurrency=1)) as (one, two, three):
        lease = await one.take()
        await two.acquire()
        store.client().hset(f"rotator:line:{place(one)}", two.store.proxy, f"1.0|{time() + 60}")
        waiting = asyncio.create_task(three.wait())
        await until(lambda: len(three.pool.queues) == 1)
        began = monotonic()
        one.release(lease)
        assert isinstance(await waiting, Lease)
        assert monotonic() - began < 0.5
        assert store.client().hkeys(f"rotator:line:{place(one)}") == []


def place(one: Member) -> str:
    return f"p\none\n{one.pool.mark('p', 'one', one.store.salt)}"


async def test_a_call_that_leaves_while_it_asks_gives_its_place_back(store: RedisServer) -> None:
    async with several(store.url, FOUR) as (one, two, _):
        task = asyncio.create_task(one.acquire())
        await asyncio.sleep(0)
        one.asking[0].leave()
        assert one.in_flight() == 1
        await until(lambda: one.in_flight() == 0)
        for _ in range(4):
            await two.take()
        task.cancel()


async def test_a_window_is_one_for_all(store: RedisServer) -> None:
    limited = Credential("one", "p", windows=(TEN,))
    async with several(store.url, limited) as proxies:
        found = await asyncio.gather(*(proxies[number % 3].acquire() for number in range(30)))
        assert sum(isinstance(each, Lease) for each in found) == 10
        none = await proxies[0].acquire()
        assert isinstance(none, Unavailable)
        assert "has used its 10 requests per day" in none.keys[0]
        assert sum(one.in_flight() for one in proxies) == 10
        (key,) = store.client().keys("rotator:u:*")
        mark = proxies[0].pool.mark("p", "one", proxies[0].store.salt)
        assert key == f'rotator:u:["p","one","{mark}","requests/day UTC","model:m"]'
        assert sum(float(each) for each in store.client().hvals(key)) == 10
        assert 0 < store.client().ttl(key) <= 86_400


async def test_tokens_count_for_all_when_a_call_is_over(store: RedisServer) -> None:
    limited = Credential("one", "p", windows=(Window(Unit.TOKENS, 100, 60.0),))
    async with several(store.url, limited) as (one, two, _):
        used = Progress(usage=Usage(input=90, output=20))
        one.release(await one.take(), Completed(), Release(1, Completed(), used))
        await one.store.command("PING")  # which comes after
        assert isinstance(await two.acquire(), Unavailable)


async def test_one_proxy_alone_probes(store: RedisServer) -> None:
    async with several(store.url, Credential("one", "p")) as (one, two, _):
        for each in (one, two):
            state = each.pool.states["p"]
            each.pool.states["p"] = state.with_health("model:m", Health(suspected=True, pause=30.0))
        probe = await one.take()
        assert probe.probe
        none = await two.acquire(fallback=True)
        assert isinstance(none, Unavailable)
        assert none.paused
        assert none.wait is not None
        assert 29 < none.wait <= 30
        other = await two.take()
        assert not other.probe
        one.release(probe, Abandoned())  # which says nothing
        await one.store.command("PING")  # which comes after
        two.pool.states["p"] = two.pool.states["p"].with_health("model:m", Health(suspected=True))
        assert (await two.take()).probe


async def test_keys_without_limits_ask_nobody(store: RedisServer) -> None:
    async with several(store.url, SPARE) as (one, *_):
        before = one.store.sent
        for _ in range(20):
            one.release(await one.take())
        assert one.store.sent == before


async def test_a_call_with_limits_asks_twice(store: RedisServer) -> None:
    limited = Credential("one", "p", max_concurrency=4, windows=(TEN, Window(Unit.TOKENS, 10_000, 60.0)))
    async with several(store.url, limited) as (one, *_):
        before = one.store.sent
        used = Progress(usage=Usage(input=90, output=20))
        for _ in range(5):
            one.release(await one.take(), Completed(), Release(1, Completed(), used))
        await until(lambda: held(store) == 0)
        assert one.store.sent == before + 2 * 5


# -- without the store ------------------------------------------------------------------------------------


async def test_without_the_store_each_has_its_share(tmp_path: Path) -> None:
    six = Credential("one", "p", max_concurrency=6, windows=(Window(Unit.REQUESTS, 9, Period.DAY),))
    with RedisServer(tmp_path) as server:
        async with several(server.url, six) as proxies:
            one = proxies[0]
            one.release(await one.take())
            server.kill()
            await until(lambda: not one.store.is_up)
            leases = [await one.take(), await one.take()]
            none = await one.acquire()
            assert isinstance(none, Unavailable)
            assert none.keys == (
                "p/one has 2 of 6 calls in flight, and 4 are left to other proxies while the store is away",
            )
            for lease in leases:
                one.release(lease)
            one.release(await one.take())
            assert isinstance(await one.acquire(), Unavailable), "1 + 3 x 3 of 9 are used"


async def test_a_proxy_that_starts_without_the_store_serves(tmp_path: Path) -> None:
    async with several("redis://127.0.0.1:1", FOUR, count=1, up=False) as (one,):
        assert one.pool.states["p"].state("one").alone
        assert isinstance(await one.acquire(), Lease)


async def test_a_proxy_that_starts_asks_before_it_serves(store: RedisServer) -> None:
    async with several(store.url, FOUR, count=1) as (one,):
        for _ in range(4):
            await one.take()
        other = member(store.url, FOUR)
        none = await other.acquire()
        assert isinstance(none, Unavailable)
        assert none.keys == ("p/one is shared with other proxies, whose store is asked first",)
        async with running(other.store):
            await until(lambda: other.store.is_up)
            assert isinstance(await other.acquire(), Unavailable)


async def test_a_call_that_waits_for_the_store_is_let_in_when_it_is_there(store: RedisServer) -> None:
    one = member(store.url, FOUR)
    waiting = asyncio.create_task(one.wait())
    await until(lambda: len(one.pool.queues) == 1)
    began = monotonic()
    async with running(one.store):
        assert isinstance(await waiting, Lease)
        assert monotonic() - began < 0.9


async def test_a_store_that_stands_still_holds_nobody_up_and_counts_right_afterwards(
    store: RedisServer,
) -> None:
    async with several(store.url, FOUR) as proxies:
        one, two, _ = proxies
        lease = await one.take()
        store.pause()
        try:
            began = monotonic()
            none = await one.acquire()
            assert isinstance(none, Unavailable), "1 of 4 is its share of three proxies'"
            assert monotonic() - began < 1.0  # it is 0.05, where the machine has time
            one.release(lease)
            again = await one.take()
            assert isinstance(again, Lease)
            lone = await two.take()
        finally:
            store.resume()
        await until(lambda: one.store.is_up and one.places.look() and two.store.is_up and two.places.look())
        await until(lambda: held(store) == 2)
        one.release(again)
        two.release(lone)
        await until(lambda: held(store) == 0)
        assert [await each.take() for each in (one, two, one, two)]
        assert isinstance(await one.acquire(), Unavailable)


async def test_what_was_full_a_moment_ago_is_not_filled_again_when_the_store_is_slow(
    store: RedisServer,
) -> None:
    async with several(store.url, Credential("one", "p", max_concurrency=6)) as (one, two, _):
        for _ in range(5):
            await one.take()
        last = await two.take()
        store.pause()
        try:
            two.release(last)
            assert isinstance(await two.acquire(), Unavailable), "another may have it by now"
        finally:
            store.resume()
        assert isinstance(await two.wait(), Lease)


async def test_places_that_the_store_forgot_are_registered_again(tmp_path: Path) -> None:
    with RedisServer(tmp_path) as server:
        async with several(server.url, FOUR) as (one, two, _):
            leases = [await one.take() for _ in range(3)]
            server.kill()
            await until(lambda: not (one.store.is_up or two.store.is_up))
            server.start()
            await until(lambda: one.store.is_up and two.store.is_up)
            one.places.look()
            two.places.look()
            await until(lambda: held(server) == 3)
            await two.take()
            assert isinstance(await two.acquire(), Unavailable)
            one.release(leases[0])
            await until(lambda: held(server) == 3)


async def test_places_that_nobody_holds_any_more_are_found_and_given_back(store: RedisServer) -> None:
    async with several(store.url, FOUR) as (one, *_):
        await one.take()
        store.client().hset(f"{HELD}{one.store.proxy}", place(one), 4)
        assert isinstance(await one.acquire(), Unavailable)
        await until(lambda: held(store) == 1)


async def test_a_store_that_answers_nonsense_is_not_asked(store: RedisServer) -> None:
    async with several(store.url, FOUR) as (one, *_):
        store.client().set(f"{HELD}{one.store.proxy}", "nonsense")
        lease = await one.take()
        assert one.pool.states["p"].state("one").alone
        one.release(lease)
        assert isinstance(await one.take(), Lease)


async def test_of_ten_that_are_full_elsewhere_one_is_asked_for(store: RedisServer) -> None:
    ten = [Credential(f"of-{number}", "p", max_concurrency=1) for number in range(10)]
    async with several(store.url, *ten, count=2) as (one, two):
        leases = [await one.take() for _ in ten]
        before = two.store.sent
        assert isinstance(await two.acquire(), Unavailable)
        assert two.store.sent - before <= 4
        one.release(leases[7])
        await until(lambda: held(store) == 9)
        assert (await two.take()).name == leases[7].name


async def test_a_proxy_that_stood_still_takes_nothing_before_it_has_said_what_it_holds(
    store: RedisServer,
) -> None:
    async with several(store.url, FOUR, count=2) as (one, two):
        await one.take(), await one.take()
        client = store.client()
        client.zrem("rotator:proxies", one.store.proxy)  # as others do after some seconds
        client.delete(f"{HELD}{one.store.proxy}")
        await two.take(), await two.take()
        assert isinstance(await one.acquire(), Unavailable)
        await until(lambda: held(store) == 4)
        assert not one.store.is_up or isinstance(await one.acquire(), Unavailable)

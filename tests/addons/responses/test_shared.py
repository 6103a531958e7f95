"""Kept responses of several proxies over a real store: found, deleted, bounded, and there again after it."""

import asyncio
import time
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass, replace

import pytest

from addons.responses import shared
from addons.responses.kept import Missing, Responses, Turn
from addons.responses.storage import Memory, Storage
from addons.store import connection
from addons.store.connection import Connection
from protocols.model.call import Call, Operation
from protocols.model.http import WireRequest
from protocols.model.wirejson import JsonObject, dump, load_object, objects_at
from protocols.registry import discover
from rewrite.responses.store import Bounds, Stored, sized
from tests.addons.store.connecting import made, until
from tests.redis_server import WITHOUT, RedisServer

pytestmark = WITHOUT
RESPONSES = discover()["openai_responses"]
SCOPE, OTHER = "0a1b2c3d4e5f-openai", "anonymous-openai"


def name(number: int) -> str:
    return f"resp_rot{number:024x}"


def stored(number: int, previous: int | None = None, text: str = "Hello", scope: str = SCOPE) -> Stored:
    item: JsonObject = {
        "id": f"msg_rot{number:024x}_0",
        "type": "message",
        "role": "assistant",
        "content": text,
    }
    response: JsonObject = {"id": name(number), "object": "response", "status": "completed", "output": [item]}
    asked: JsonObject = {"id": f"msg_rot{number:024x}_i0", "type": "message", "role": "user", "content": "Hi"}
    before = None if previous is None else name(previous)
    return sized(Stored(name(number), scope, before, "m", "p", (asked,), response, time.time()))


def continuing(number: int) -> Call:
    body = {"model": "gpt-5", "input": "and then?", "previous_response_id": name(number)}
    return RESPONSES.parse("call", Operation.GENERATE, WireRequest("POST", "/v1/responses", (), dump(body)))


@dataclass(frozen=True, slots=True)
class House:
    """One proxy."""

    store: Connection
    responses: Responses

    def keep(self, one: Stored) -> None:
        """As `Responses.keep` does it."""
        self.responses.storage.keep(one)
        assert self.responses.shared is not None
        self.responses.shared.keep(one)

    async def turn(self, number: int, scope: str = SCOPE) -> Turn | Missing:
        """A call that continues a response."""
        call = continuing(number)
        found = self.responses.turn(call, scope)
        return await self.responses.fetched(found, call, scope) if isinstance(found, Missing) else found

    async def look(self, path: str, method: str = "GET") -> tuple[int, JsonObject]:
        target = f"/v1/responses/{path}"
        if self.responses.lacks(method, target, SCOPE):
            answer = await self.responses.fetched_answer(method, target, SCOPE)
        else:
            answer = self.responses.answer(method, target, SCOPE)
        assert answer is not None
        return answer.status, load_object(answer.body) or {}

    def has(self, number: int) -> bool:
        return (SCOPE, name(number)) in self.responses.storage.held()

    async def up(self) -> None:
        self.store.start()
        await until(lambda: self.store.is_up)


@asynccontextmanager
async def house(url: str, bounds: Bounds | None = None, *, up: bool = True) -> AsyncIterator[House]:
    responses = Responses(Storage(Memory(), time.time), time.time)
    store = made(url)
    responses.share(store)
    responses.configure("", bounds or Bounds(), shared=True)
    one = House(store, responses)
    try:
        if up:
            await one.up()
        yield one
    finally:
        await store.stop()


@pytest.fixture
async def two(store: RedisServer) -> AsyncIterator[tuple[House, House]]:
    async with AsyncExitStack() as stack:
        yield (
            await stack.enter_async_context(house(store.url)),
            await stack.enter_async_context(house(store.url)),
        )


async def test_a_conversation_continues_at_another_proxy(two: tuple[House, House]) -> None:
    here, there = two
    for number in range(40):
        here.keep(stored(number, number - 1 if number else None, f"turn {number}"))
    found = await there.turn(39)
    assert isinstance(found, Turn)
    said = [item.get("content") for item in objects_at(found.call.body, "input")]
    assert said == [each for number in range(40) for each in ("Hi", f"turn {number}")] + ["and then?"]
    assert found.call.session == name(0)
    assert isinstance(there.responses.turn(continuing(39), SCOPE), Turn), "it is here now"


async def test_turns_may_take_turns(two: tuple[House, House]) -> None:
    for number in range(6):
        one = two[number % 2]
        if number:
            assert isinstance(await one.turn(number - 1), Turn)
        one.keep(stored(number, number - 1 if number else None))


async def test_a_client_may_be_faster_than_its_proxy(two: tuple[House, House]) -> None:
    here, there = two
    asking = asyncio.ensure_future(there.turn(1))
    await asyncio.sleep(0.01)
    here.keep(stored(1))
    assert isinstance(await asking, Turn)


async def test_it_is_looked_at_anywhere(two: tuple[House, House]) -> None:
    here, there = two
    here.keep(stored(1))
    here.keep(stored(2, 1))
    status, said = await there.look(name(2))
    assert (status, said["id"]) == (200, name(2))
    status, said = await there.look(f"{name(2)}/input_items?order=asc")
    assert [item["role"] for item in objects_at(said, "data")] == ["user", "assistant", "user"]
    assert (await there.look(name(3)))[0] == 404


async def test_what_is_deleted_anywhere_is_gone_everywhere(
    two: tuple[House, House], store: RedisServer
) -> None:
    here, there = two
    here.keep(stored(1))
    assert await there.look(name(1), "DELETE") == (
        200,
        {"id": name(1), "object": "response", "deleted": True},
    )
    await until(lambda: not here.has(1))
    assert (await here.look(name(1)))[0] == 404
    assert isinstance(await there.turn(1), Missing)
    here.keep(stored(1))
    await settled(here)
    assert (await there.look(name(1)))[0] == 404, "it stays deleted"
    assert store.client().get("rotator:responses:bytes") == "0"


async def test_nobody_finds_those_of_another_client(two: tuple[House, House]) -> None:
    here, there = two
    here.keep(stored(1))
    assert isinstance(await there.turn(1), Turn)
    found = await there.turn(1, OTHER)
    assert isinstance(found, Missing)
    assert (found.answer.status, found.fault.status) == (400, 400)


async def test_items_are_found_by_their_ids(two: tuple[House, House]) -> None:
    here, there = two
    here.keep(stored(1))
    body = {"model": "m", "input": [{"type": "item_reference", "id": f"msg_rot{1:024x}_0"}]}
    call = RESPONSES.parse("call", Operation.GENERATE, WireRequest("POST", "/v1/responses", (), dump(body)))
    missing = there.responses.turn(call, SCOPE)
    assert isinstance(missing, Missing)
    found = await there.responses.fetched(missing, call, SCOPE)
    assert isinstance(found, Turn)
    assert [item["content"] for item in objects_at(found.body, "input")] == ["Hello"]


async def test_a_long_one_goes_piece_by_piece(
    two: tuple[House, House], store: RedisServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(shared, "PIECE", 1000)
    here, there = two
    said = "".join(f"{number:07}" for number in range(5000))
    here.keep(stored(1))
    here.keep(stored(2, 1, said))
    here.keep(stored(3, 2))
    assert isinstance(await there.turn(3), Turn)
    assert there.responses.storage.find(SCOPE, name(2)) == here.responses.storage.find(SCOPE, name(2))
    assert not store.client().keys("rotator:part:*")


# -- bounds -----------------------------------------------------------------------------------------------


async def settled(one: House) -> None:
    """All that it keeps is in the store."""
    found = one.responses.shared
    await until(lambda: found is not None and not found._tasks)


async def test_those_used_longest_ago_go_first(store: RedisServer) -> None:
    async with house(store.url, Bounds(max_count=3)) as one, house(store.url) as other:
        for number in range(3):
            one.keep(stored(number))
            await asyncio.sleep(0.002)
        await settled(one)
        assert isinstance(await other.turn(0), Turn), "which is a use of it"
        await asyncio.sleep(0.002)
        one.keep(stored(3))
        one.keep(stored(4, scope=OTHER))
        await settled(one)
    left = sorted(key[-2:] for key in store.client().keys("rotator:r:*:resp_*"))
    assert left == ["00", "02", "03", "04"]


async def test_all_together_have_so_many_bytes(store: RedisServer) -> None:
    most = stored(0, text="x" * 1000).size * 3 + 500
    async with house(store.url, Bounds(max_bytes=most)) as one:
        for number in range(5):
            one.keep(stored(number, text="x" * 1000))
            await asyncio.sleep(0.002)
        one.keep(stored(9, text="x" * 9000))
        await settled(one)
    client = store.client()
    assert sorted(key[-1] for key in client.keys("rotator:r:*:resp_*")) == ["2", "3", "4"]
    assert int(client.get("rotator:responses:bytes") or 0) <= most
    assert client.hlen("rotator:responses:sizes") == client.zcard("rotator:responses:used") == 3


async def test_each_is_kept_for_its_time(store: RedisServer) -> None:
    async with house(store.url, Bounds(ttl=0.05)) as one:
        one.keep(stored(1))
        one.keep(replace(stored(2), created=time.time() - 1))
        await settled(one)
        client = store.client()
        assert client.zcard("rotator:responses:ends") == 1
        await until(lambda: not client.keys("rotator:r:*:resp_*"))
        one.keep(stored(3))
        await settled(one)
    assert client.hlen("rotator:responses:sizes") == 1


# -- without the store ------------------------------------------------------------------------------------


async def test_a_proxy_that_has_just_started_waits_for_the_store(store: RedisServer) -> None:
    async with house(store.url) as here, house(store.url, up=False) as there:
        here.keep(stored(1))
        await settled(here)
        there.store.start()
        assert isinstance(await there.turn(1), Turn)


async def test_without_the_store_a_proxy_has_its_own_and_says_of_others_that_it_cannot_know(
    store: RedisServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(connection, "BEGINNING", 0.0)
    async with house(store.url, up=False) as alone, house(store.url) as other:
        alone.keep(stored(1))
        assert isinstance(await alone.turn(1), Turn)
        found = await alone.turn(2)
        assert isinstance(found, Missing)
        assert (found.answer.status, found.fault.status, found.fault.should_retry) == (503, 503, True)
        assert (await alone.look(name(2)))[0] == 503
        await alone.up()
        await until(lambda: bool(store.client().keys("rotator:r:*:resp_*")))
        assert isinstance(await other.turn(1), Turn)


async def test_what_was_deleted_meanwhile_stays_so(store: RedisServer) -> None:
    async with house(store.url) as here, house(store.url) as there:
        here.keep(stored(1))
        here.keep(stored(2))
        assert isinstance(await there.turn(1), Turn)
        await there.turn(2)
        await there.store.stop()
        assert (await there.look(name(1), "DELETE"))[0] == 200
        assert (await here.look(name(2), "DELETE"))[0] == 200
        await there.up()
        await until(lambda: not here.has(1))
        await until(lambda: not there.has(2))
    assert store.client().keys("rotator:r:*:resp_*") == []


async def test_a_store_that_lost_all_is_given_it_again(two: tuple[House, House], store: RedisServer) -> None:
    here, there = two
    here.keep(stored(1))
    here.keep(stored(2, 1))
    await settled(here)
    await here.store.stop()
    store.client().flushall()
    await here.up()
    await until(lambda: len(store.client().keys("rotator:r:*:resp_*")) == 2)
    assert isinstance(await there.turn(2), Turn)


async def test_responses_are_shared_from_when_the_config_wants_it(store: RedisServer) -> None:
    async with house(store.url) as one, house(store.url) as other:
        one.responses.configure("", Bounds())
        one.responses.storage.keep(stored(1))
        one.responses.configure("", Bounds(), shared=True)
        assert isinstance(await other.turn(1), Turn)


async def test_what_was_kept_last_outlives_its_proxy(store: RedisServer) -> None:
    async with house(store.url) as one:
        one.keep(stored(1))
        await one.responses.close()
    async with house(store.url) as other:
        assert isinstance(await other.turn(1), Turn)


async def test_nothing_is_shared_unless_the_config_wants_it(store: RedisServer) -> None:
    async with house(store.url) as one:
        one.responses.configure("", Bounds())
        one.responses.storage.keep(stored(1))
        assert one.responses.shared is None
        missing = one.responses.turn(continuing(2), SCOPE)
        assert isinstance(missing, Missing)
        assert one.responses.lacks("GET", f"/v1/responses/{name(2)}", SCOPE) == ""
    assert not store.client().keys("rotator:r*:*")

"""The connection to a real server: what is asked, what is heard, and how it is lost and found."""

import asyncio
import json
import logging
from hashlib import sha1
from pathlib import Path
from time import sleep, time

import pytest
from pydantic import SecretStr

from addons.store.line import Answer, Refused, StoreLost
from addons.store.script import Script
from tests.addons.store.connecting import connected, made, running, until
from tests.redis_server import WITHOUT, RedisServer

pytestmark = WITHOUT


def lua(text: str) -> Script:
    """A script that no server has loaded: the connection sends its text when it is asked first."""
    return Script("test", text, sha1(text.encode()).hexdigest())


ECHO = lua("return ARGV")
COUNT = lua("return redis.call('INCR', KEYS[1])")
SAY = lua("redis.call('PUBLISH', KEYS[1], ARGV[1]) return 1")


class Got(list[Answer]):
    """Answers, as they come."""

    async def wait(self, count: int = 1) -> list[Answer]:
        await until(lambda: len(self) >= count)
        return self


async def test_what_is_asked_at_once_leaves_as_one_and_is_answered_in_order(store: RedisServer) -> None:
    got = Got()
    async with connected(store.url) as one:
        for number in range(100):
            one.ask(COUNT, ["n"], [], got.append, seconds=10)
            assert len(got) == 0, number
        assert await got.wait(100) == list(range(1, 101))
        store.client().script_flush()
        assert await one.call(COUNT, ["n"], []) == 101
        assert await one.command("GET", "n") == b"101"


async def test_half_a_character_disturbs_nobody(store: RedisServer) -> None:
    async with connected(store.url) as one:
        assert await one.call(ECHO, [], ["a\ud83d"]) == [b"a\xed\xa0\xbd"]


async def test_one_that_is_down_answers_later_and_at_once(tmp_path: Path) -> None:
    one, got = made("redis://127.0.0.1:1"), Got()
    one.ask(ECHO, [], [], got.append)
    assert not got
    await asyncio.sleep(0)
    assert got == [None]
    with pytest.raises(StoreLost):
        await one.call(ECHO, [], [])


async def test_others_hear_what_is_published_and_not_oneself(store: RedisServer) -> None:
    async with connected(store.url) as one, connected(store.url) as other:
        mine: list[object] = []
        theirs: list[object] = []
        one.subscribe("topic", mine.append)
        other.subscribe("topic", theirs.append)
        await one.call(SAY, [one.channel], [one.message("topic", {"a": [1, "é"]})])
        store.client().publish(one.channel, "no message of ours")
        store.client().publish(one.channel, json.dumps({"no": "list"}))
        await other.call(SAY, [other.channel], [other.message("topic", "back")])
        await until(lambda: bool(mine and theirs))
        assert (mine, theirs) == (["back"], [{"a": [1, "é"]}])


async def test_what_a_busy_loop_takes_is_not_what_the_store_takes(store: RedisServer) -> None:
    async with connected(store.url) as one:
        got = Got()
        await one.call(ECHO, [], ["so that it is loaded"])
        store.pause()
        one.ask(ECHO, [], ["x"], got.append, seconds=0.3)
        for _ in range(4):
            asyncio.get_running_loop().call_soon(sleep, 0.12)  # others take so long
            await asyncio.sleep(0)
        store.resume()
        assert await got.wait() == [[b"x"]]


async def test_an_answer_that_comes_too_late_goes_elsewhere(store: RedisServer) -> None:
    async with connected(store.url) as one:
        got, late, never = Got(), Got(), Got()
        await one.call(ECHO, [], ["so that it is loaded"])
        store.pause()
        one.ask(ECHO, [], ["sent"], got.append, seconds=0.01, late=late.append)
        await asyncio.sleep(0)
        await asyncio.sleep(0)
        one.ask(COUNT, ["n"], [], never.append, seconds=0.01, late=late.append)
        await never.wait()
        store.resume()
        await late.wait()
        assert (got, never, late) == ([None], [None], [[b"sent"]])
        assert await one.command("EXISTS", "n") == 0  # what had not left by then was not sent


async def test_what_nobody_waits_for_is_over_when_the_connection_is(store: RedisServer) -> None:
    async with connected(store.url) as one:
        got, lost = Got(), Got()
        await one.call(ECHO, [], ["so that it is loaded"])
        one.ask(ECHO, [], ["x"], got.append, seconds=None)
        assert await got.wait() == [[b"x"]]
        store.pause()
        one.ask(ECHO, [], ["y"], lost.append, seconds=None)
        await asyncio.sleep(0)
        one.configure(None)
        assert lost == [None]
        store.resume()


async def test_a_server_that_stands_still_is_lost_and_found(
    store: RedisServer, caplog: pytest.LogCaptureFixture
) -> None:
    events = []
    one = made(store.url)

    async def up() -> None:
        assert not one.is_up
        await one.command("PING")
        events.append("up")

    one.on_up(up)
    one.on_down(lambda: events.append("down"))
    caplog.set_level(logging.INFO)
    async with running(one):
        await until(lambda: one.is_up)
        store.pause()
        got = Got()
        one.ask(ECHO, [], [], got.append)
        with pytest.raises(StoreLost):
            await one.call(ECHO, [], [])
        assert got == [None]
        assert events == ["up", "down"]
        store.resume()
        await until(lambda: one.is_up)
        assert events == ["up", "down", "up"]
    server = f"127.0.0.1:{store.port}/0"
    assert [record.getMessage() for record in caplog.records] == [
        f"state: shared with other proxies through {server}",
        f"state: {server} is lost: it does not answer: this proxy continues alone until it is back",
        f"state: shared with other proxies through {server}",
    ]


async def test_one_that_is_killed_and_comes_back_empty_is_another_store(store: RedisServer) -> None:
    async with connected(store.url) as one:
        before, salt = one.store, one.salt
        store.kill()
        await until(lambda: not one.is_up)
        store.start()
        await until(lambda: one.is_up)
        assert one.store != before
        assert one.salt != salt


async def test_a_start_without_the_server_says_so_once(
    caplog: pytest.LogCaptureFixture, tmp_path: Path
) -> None:
    server = RedisServer(tmp_path)
    caplog.set_level(logging.INFO)
    async with running(made(server.url)) as one:
        await until(lambda: bool(one.reason))
        one.reason = ""
        await until(lambda: bool(one.reason))
        with server:
            await until(lambda: one.is_up)
    name = f"127.0.0.1:{server.port}/0"
    assert [record.getMessage() for record in caplog.records] == [
        f"state: {name} cannot be used: Connection refused: this proxy is alone until it can",
        f"state: shared with other proxies through {name}",
    ]


@pytest.mark.parametrize(
    ("meta", "says"),
    [
        ("nonsense", "its rotator:meta is not what rotator writes"),
        (
            '{"version": 2, "store": "x", "salt": "y"}',
            "its rotator:meta is of version 2, this rotator knows 1",
        ),
        ('{"version": 1}', "its rotator:meta is not what rotator writes"),
        (None, "its rotator:meta is not what rotator writes"),
    ],
)
async def test_a_store_that_is_not_ours_is_left_as_it_is(
    store: RedisServer, caplog: pytest.LogCaptureFixture, meta: str | None, says: str
) -> None:
    client = store.client()
    if meta is None:
        client.rpush("rotator:meta", "a list")
    else:
        client.set("rotator:meta", meta)
    before = client.dump("rotator:meta") if meta is None else client.get("rotator:meta")
    async with running(made(store.url)) as one:
        await until(lambda: bool(one.reason))
        assert one.reason.startswith(says)
        assert not one.is_up
    assert before == (client.dump("rotator:meta") if meta is None else client.get("rotator:meta"))
    assert client.keys() == ["rotator:meta"]


async def test_a_password_is_used_and_not_shown(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.INFO)
    with RedisServer(tmp_path, "--requirepass", "a-long-password-of-it") as server:
        async with connected(server.url, password=SecretStr("a-long-password-of-it"), database=3) as one:
            assert await one.command("PING") == b"PONG"
            assert one.name == f"127.0.0.1:{server.port}/3"
        async with running(made(server.url, password=SecretStr("another-long-password"))) as one:
            await until(lambda: bool(one.reason))
        async with running(made(server.url)) as one:
            await until(lambda: bool(one.reason))
    assert "password" not in caplog.text.replace("username-password pair", "")


async def test_a_unix_socket(tmp_path: Path) -> None:
    path = tmp_path / "r.sock"
    with RedisServer(tmp_path, "--unixsocket", str(path)):
        async with connected(f"unix://{path}") as one:
            assert await one.command("PING") == b"PONG"
            assert one.name == f"{path}/0"


async def test_a_node_of_a_cluster_is_refused(tmp_path: Path) -> None:
    with RedisServer(tmp_path, "--cluster-enabled", "yes") as server:
        async with running(made(server.url)) as one:
            await until(lambda: bool(one.reason))
            assert one.reason == (
                "it runs as cluster: Sentinel and Cluster are not supported: name one server"
            )


async def test_an_error_of_a_script_is_said_once_and_answered_with_none(
    store: RedisServer, caplog: pytest.LogCaptureFixture
) -> None:
    broken = lua("return redis.call('GET')")
    got = Got()
    async with connected(store.url) as one:
        for _ in range(3):
            one.ask(broken, [], [], got.append)
        assert await got.wait(3) == [None, None, None]
        with pytest.raises(Refused):
            await one.call(broken, [], [])
    assert caplog.text.count("refuses the script test") == 1


@pytest.mark.parametrize("off", [-600.0, 0.3])
async def test_a_clock_that_is_off_is_set(store: RedisServer, off: float) -> None:
    clock = Wall(off)
    one = made(store.url, clock=clock)
    one.on_time(clock.move)
    async with running(one):
        await until(lambda: one.is_up)
    assert abs(clock.off) < 0.05


class Wall:
    """A clock that is wrong."""

    def __init__(self, off: float) -> None:
        self.off = off

    def __call__(self) -> float:
        return time() + self.off

    def move(self, seconds: float) -> None:
        self.off += seconds


async def test_a_replica_is_used_once_it_is_master(store: RedisServer, tmp_path: Path) -> None:
    with RedisServer(tmp_path, "--replicaof", "127.0.0.1", str(store.port)) as replica:
        async with running(made(replica.url)) as one:
            await until(lambda: bool(one.reason))
            assert one.reason == "it is a replica, which cannot be written to: name its master"
            replica.client().replicaof("no", "one")
            await until(lambda: one.is_up)

"""Logins of several proxies over a real store: one refreshes, the others follow."""

import asyncio
import json
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack

import pytest
import redis
from pydantic import SecretStr

from addons.oauth import source as module
from addons.oauth.shared import SharedTokens
from addons.store import connection
from addons.upstream.client import Upstream
from rewrite.oauth.files import Tokens
from rewrite.oauth.kinds import OAuthKind
from rewrite.oauth.refreshing import Dead, Failed
from tests.addons.oauth.places import DEAD, PATH, Place, after, granted
from tests.addons.oauth.proxies import House, copied, house, wanted
from tests.addons.store.connecting import made, until
from tests.redis_server import WITHOUT, RedisServer
from tests.rewrite.oauth.logins import (
    CLAUDE,
    COPILOT,
    EXPIRES,
    GEMINI,
    claude_file,
    copilot_file,
    gemini_file,
)
from tests.vendor import WaitFor, whole

pytestmark = WITHOUT
OLD, OLD_REFRESH = "sk-ant-oat01-old", "sk-ant-ort01-old"


@pytest.fixture
async def three(place: Place, store: RedisServer) -> AsyncIterator[list[House]]:
    """Proxies that each have a copy of the file."""
    places = [place, copied(place, "two"), copied(place, "three")]
    async with AsyncExitStack() as stack:
        yield [await stack.enter_async_context(house(each, store.url)) for each in places]


@pytest.fixture
def away(monkeypatch: pytest.MonkeyPatch) -> None:
    """A store that was not reached yet is not waited for."""
    monkeypatch.setattr(connection, "BEGINNING", 0.0)


def accesses(found: list[Tokens | Dead | Failed]) -> set[str]:
    return {each.access if isinstance(each, Tokens) else each.message for each in found}


async def test_thirty_calls_over_three_proxies_refresh_once(three: list[House], upstream: Upstream) -> None:
    three[0].place.vendor.on(path=PATH).reply(granted())
    found = await asyncio.gather(*(each.source.renewed(upstream) for each in three * 10))
    assert accesses(found) == {"new-access"}
    assert len(three[0].place.vendor.requests) == 1
    assert {(each.place.tokens().access, each.place.tokens().refresh) for each in three} == {
        ("new-access", "new-refresh")
    }


async def test_proxies_of_one_file_refresh_once(place: Place, store: RedisServer, upstream: Upstream) -> None:
    place.vendor.on(path=PATH).reply(granted())
    async with house(place, store.url) as one, house(place, store.url) as two:
        found = await asyncio.gather(*(each.source.renewed(upstream) for each in (one, two) * 10))
    assert accesses(found) == {"new-access"}
    assert len(place.vendor.requests) == 1


async def test_what_one_refreshed_is_in_the_files_of_the_others_before_a_call_wants_it(
    three: list[House], upstream: Upstream
) -> None:
    three[0].place.vendor.on(path=PATH).reply(granted())
    await three[0].source.renewed(upstream)
    await until(lambda: all(each.source.token.get_secret_value() == "new-access" for each in three))
    assert [each.place.tokens().access for each in three] == ["new-access"] * 3


async def test_a_proxy_that_was_off_follows_step_by_step(
    place: Place, store: RedisServer, upstream: Upstream
) -> None:
    place.vendor.on(path=PATH).reply(granted("a1", "r1", 60)).reply(granted("a2", "r2", 60))
    place.vendor.on(path=PATH).reply(granted("a3", "r3", 28800))
    late = copied(place, "late")
    async with house(place, store.url) as one:
        for refused in ("", "a1", "a2"):
            await one.source.renewed(upstream, refused)
    assert late.tokens().refresh == OLD_REFRESH
    async with house(late, store.url):
        await until(lambda: late.tokens().refresh == "r3")
    assert len(place.vendor.requests) == 3


async def test_a_token_that_is_refused_is_refreshed_once_for_all(
    three: list[House], upstream: Upstream
) -> None:
    for each in three:
        each.place.now = EXPIRES - 1000
    three[0].place.vendor.on(path=PATH).reply(granted())
    found = await asyncio.gather(*(each.source.renewed(upstream, OLD) for each in three * 3))
    assert accesses(found) == {"new-access"}
    assert len(three[0].place.vendor.requests) == 1


async def test_a_refresh_token_that_lasts_is_followed_too(
    place: Place, store: RedisServer, upstream: Upstream
) -> None:
    place.kind = GEMINI
    place.write(gemini_file())
    for access in ("a1", "a2"):
        body = {"access_token": access, "expires_in": 3600}
        place.vendor.on(path=PATH).reply(whole(json.dumps(body).encode()))
    async with house(place, store.url) as one, house(copied(place, "two"), store.url) as two:
        found = await asyncio.gather(*(each.source.renewed(upstream) for each in (one, two)))
        assert accesses(found) == {"a1"}
        assert accesses([await two.source.renewed(upstream, "a1")]) == {"a2"}
        assert accesses([await one.source.renewed(upstream, "a1")]) == {"a2"}
    assert len(place.vendor.requests) == 2


async def test_a_token_that_is_exchanged_is_shared_and_in_no_file(
    place: Place, store: RedisServer, upstream: Upstream
) -> None:
    place.kind = COPILOT
    place.write(copilot_file())
    exchanged = {"token": "tid=1", "expires_at": place.now + 1800, "refresh_in": 1500}
    place.vendor.on(path=PATH).reply(whole(json.dumps(exchanged).encode()))
    two = copied(place, "two")
    async with house(place, store.url) as first, house(two, store.url) as second:
        found = await asyncio.gather(*(each.source.renewed(upstream) for each in (first, second)))
    assert accesses(found) == {"tid=1"}
    assert (place.file.read_text(), two.file.read_text()) == (copilot_file(), copilot_file())
    assert len(place.vendor.requests) == 1


async def test_clocks_that_differ_by_ten_minutes_agree_on_how_long_a_token_lasts(
    three: list[House], upstream: Upstream
) -> None:
    three[0].place.vendor.on(path=PATH).reply(granted(lasts=3600))
    three[1].place.now += 600
    await three[0].source.renewed(upstream)
    await until(lambda: three[1].place.tokens().access == "new-access")
    ends = three[1].place.tokens().expires_at
    assert ends is not None
    assert 3590 < ends - three[1].place.now <= 3600


@pytest.mark.parametrize("at", ["99999999999999", "1e300"])
async def test_a_refresh_of_the_future_is_one_of_now(
    three: list[House], store: RedisServer, upstream: Upstream, at: str
) -> None:
    one, two, _ = three
    one.place.vendor.on(path=PATH).reply(granted())
    await one.source.renewed(upstream)
    await until(lambda: two.place.tokens().access == "new-access")
    two.place.write(claude_file(OLD, OLD_REFRESH, EXPIRES))
    for name in store.client().keys("*login:*"):
        store.client().hset(str(name), "at", at)
    assert accesses([await two.source.renewed(upstream, refused=OLD)]) == {"new-access"}
    ends = two.place.tokens().expires_at
    assert ends is not None
    assert ends - two.place.now <= 28800


async def test_no_token_can_be_read_in_the_store(
    three: list[House], store: RedisServer, upstream: Upstream
) -> None:
    three[0].place.vendor.on(path=PATH).reply(granted())
    await three[0].source.renewed(upstream)
    client = redis.Redis(port=store.port)
    held = b"".join(b"%b %b" % (key, client.dump(key) or b"") for key in client.scan_iter())
    assert len(held) > 100
    assert not [each for each in ("new-access", "new-refresh", OLD, OLD_REFRESH) if each.encode() in held]


async def test_a_proxy_with_another_key_says_so_and_uses_no_token_up_that_is_used_up(
    place: Place, store: RedisServer, upstream: Upstream
) -> None:
    place.vendor.on(path=PATH).reply(granted())
    other = copied(place, "other")
    async with house(place, store.url) as one, house(other, store.url, key=SecretStr("another")) as two:
        await one.source.renewed(upstream)
        found = await two.source.renewed(upstream)
        assert isinstance(found, Tokens), "the old one lasts for ten seconds more"
        other.now = EXPIRES + 100
        found = await two.source.renewed(upstream)
    assert isinstance(found, Failed)
    assert "under another key" in found.message
    assert [text for text in other.warned if "[state] key" in text] == other.warned[:1]
    assert len(place.vendor.requests) == 1


async def test_a_token_that_lasts_is_refreshed_under_another_key(
    place: Place, store: RedisServer, upstream: Upstream
) -> None:
    place.kind = GEMINI
    place.write(gemini_file())
    body = json.dumps({"access_token": "a", "expires_in": 3600}).encode()
    place.vendor.on(path=PATH).reply(whole(body)).reply(whole(body))
    other = copied(place, "other")
    async with house(place, store.url) as one, house(other, store.url, key=SecretStr("another")) as two:
        await one.source.renewed(upstream)
        assert accesses([await two.source.renewed(upstream)]) == {"a"}
    assert len(place.vendor.requests) == 2
    assert other.warned


async def test_a_login_that_somebody_replaced_stays(three: list[House], upstream: Upstream) -> None:
    three[0].place.vendor.on(path=PATH).reply(granted())
    another = three[1].place
    text = another.file.read_text().replace(OLD_REFRESH, "another-login").replace(OLD, "another-access")
    another.write(text)
    await three[0].source.renewed(upstream)
    await until(lambda: three[2].place.tokens().access == "new-access")
    assert another.tokens().refresh == "another-login"


async def test_a_dead_login_is_dead_everywhere(three: list[House], upstream: Upstream) -> None:
    three[0].place.vendor.on(path=PATH).always(DEAD)
    found = await asyncio.gather(*(each.source.renewed(upstream) for each in three))
    assert {type(each) for each in found} == {Dead}


async def test_who_waits_too_long_for_another_proxy_uses_the_token_before(
    place: Place, store: RedisServer, upstream: Upstream, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(module, "LOCK_WAIT", 0.1)
    place.vendor.on(path=PATH).reply(after(granted(), WaitFor("late")))
    other = copied(place, "other")
    async with house(place, store.url) as one, house(other, store.url) as two:
        first = asyncio.ensure_future(one.source.renewed(upstream))
        await place.vendor.wait_gate("late")
        assert accesses([await two.source.renewed(upstream)]) == {OLD}
        other.now = EXPIRES + 100
        assert await two.source.renewed(upstream) == Failed("another proxy is refreshing it")
        place.vendor.release("late")
        assert accesses([await first]) == {"new-access"}


async def test_a_lock_is_gone_some_time_after_its_proxy(
    place: Place, store: RedisServer, upstream: Upstream
) -> None:
    place.vendor.on(path=PATH).reply(after(granted(), WaitFor("late")))
    async with house(place, store.url) as one:
        asking = asyncio.ensure_future(one.source.renewed(upstream))
        await place.vendor.wait_gate("late")
        (lock,) = store.client().keys("rotator:lock:*")
        assert 30_000 < store.client().pttl(lock) <= 40_000
        place.vendor.release("late")
        await asking
    assert store.client().keys("rotator:lock:*") == []


# -- without the store ------------------------------------------------------------------------------------


async def test_proxies_that_have_just_started_wait_for_the_store(
    place: Place, store: RedisServer, upstream: Upstream
) -> None:
    place.now = EXPIRES + 100
    place.vendor.on(path=PATH).reply(granted())
    other = copied(place, "other")
    async with house(place, store.url, up=False) as one, house(other, store.url, up=False) as two:
        for each in (one, two):
            each.store.start()
        found = await asyncio.gather(*(each.source.renewed(upstream) for each in (one, two)))
    assert accesses(found) == {"new-access"}
    assert len(place.vendor.requests) == 1


@pytest.mark.usefixtures("away")
async def test_a_token_that_is_due_is_used_on_while_others_cannot_be_asked(
    place: Place, store: RedisServer, upstream: Upstream
) -> None:
    place.now = EXPIRES - 200
    place.vendor.on(path=PATH).reply(granted())
    async with house(place, store.url, up=False) as alone:
        assert accesses([await alone.source.renewed(upstream)]) == {OLD}
        assert place.vendor.requests == []
        place.now = EXPIRES - 30
        assert accesses([await alone.source.renewed(upstream)]) == {"new-access"}


@pytest.mark.usefixtures("away")
@pytest.mark.parametrize("kind", [CLAUDE, GEMINI], ids=["single use", "lasting"])
async def test_one_proxy_alone_uses_up_a_refresh_token_that_is_good_for_one_use(
    place: Place, store: RedisServer, upstream: Upstream, kind: OAuthKind
) -> None:
    place.kind, place.now = kind, EXPIRES + 100
    place.write(claude_file() if kind is CLAUDE else gemini_file())
    place.vendor.on(path=PATH).always(granted())
    other = copied(place, "other")
    async with (
        house(place, store.url, up=False) as first,
        house(other, store.url, up=False, first=False) as second,
    ):
        found = await second.source.renewed(upstream)
        assert isinstance(found, Failed if kind.single_use else Tokens)
        await first.source.renewed(upstream)
        assert len(place.vendor.requests) == (1 if kind.single_use else 2)
        await first.up()
        await second.up()
        await until(lambda: other.tokens().access == "new-access")
        assert accesses([await second.source.renewed(upstream)]) == {"new-access"}


@pytest.mark.usefixtures("away")
async def test_what_was_refreshed_alone_is_shared_when_the_store_is_back(
    place: Place, store: RedisServer, upstream: Upstream
) -> None:
    place.vendor.on(path=PATH).reply(granted())
    other = copied(place, "other")
    async with house(place, store.url, up=False) as alone, house(other, store.url) as two:
        await alone.source.renewed(upstream)
        assert two.source.token.get_secret_value() == OLD
        await alone.up()
        await until(lambda: other.tokens().access == "new-access")
    assert len(place.vendor.requests) == 1


async def test_nothing_is_shared_unless_the_config_wants_it(
    place: Place, store: RedisServer, upstream: Upstream
) -> None:
    place.vendor.on(path=PATH).reply(granted())
    connection = made(store.url)
    tokens = SharedTokens(connection, lambda notice: place.warned.append(notice.text))
    connection.start()
    await until(lambda: connection.is_up)
    source = module.TokenSource(
        place.login,
        lambda: place.now,
        asyncio.Lock(),
        lambda _now, _former: None,
        place.warned.append,
        tokens,
    )
    await source.renewed(upstream)
    await connection.stop()
    assert set(store.client().keys()) == {"rotator:meta"}
    tokens.configure(wanted(store.url))
    assert tokens.is_away

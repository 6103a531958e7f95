"""Proxies that share a store: what they say of it while it is there, and while it is not."""

import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack
from functools import partial
from pathlib import Path
from typing import Any

import httpx
import pytest

from rotator import found
from rotator.found import Address
from tests.e2e.proxy import Proxy
from tests.e2e.talk import trusting
from tests.redis_server import WITHOUT, RedisServer
from tests.vendor import VendorThread

pytestmark = WITHOUT
PASSWORD = "a-password-for-the-store"


@pytest.fixture
def server(tmp_path: Path) -> Iterator[RedisServer]:
    """With a user who may do no more than is needed."""
    user = f"team on >{PASSWORD} ~rotator:* resetchannels &rotator:* +@all -@admin -@dangerous"
    with RedisServer(tmp_path, "--user", *user.split(), "--user", "default", "off") as started:
        yield started


def page(proxy: Proxy, path: str) -> found.Answer:
    answer = found.ask(Address("127.0.0.1", proxy.port), path)
    assert answer is not None
    return answer


def store(proxy: Proxy) -> dict[str, Any]:
    status = page(proxy, "/status").data()
    said = status["store"]
    assert isinstance(said, dict)
    return said


def until(holds: Callable[[], bool], patience: float = 30.0) -> None:
    end = time.monotonic() + patience
    while not holds():
        assert time.monotonic() < end
        time.sleep(0.01)


def test_two_proxies_and_a_store_that_comes_and_goes(tmp_path: Path, server: RedisServer) -> None:
    config = f'[state]\nurl = "{server.url}"\nuser = "team"\npassword = "env:STORE"\n'
    with ExitStack() as stack:
        proxies = []
        for name in ("one", "other"):
            (folder := tmp_path / name).mkdir()
            proxies.append(stack.enter_context(Proxy(folder, config, keys={"STORE": PASSWORD})))
        one, other = proxies
        name = f"127.0.0.1:{server.port}/0"
        for each in proxies:
            each.wait_log(f"state: shared with other proxies through {name}")
        until(lambda: store(one)["proxies"] == 2)
        assert store(one)["server"] == name
        other.stop()
        until(lambda: store(one)["proxies"] == 1)
        server.kill()
        one.wait_log(f"state: {name} is lost")
        alone = store(one)
        assert (alone["is_up"], "refused" in alone["reason"] or "closed" in alone["reason"]) == (False, True)
        assert "rotator_store_up 0.0" in page(one, "/metrics").body.decode()
        server.start()
        one.wait_log(f"state: shared with other proxies through {name}", count=2)
        metrics = page(one, "/metrics").body.decode()
        assert "rotator_store_up 1.0" in metrics
        assert "rotator_store_proxies 1.0" in metrics
        assert PASSWORD not in one.log


LIMITED = """
[users.alice]
requests = 1000
[state]
url = "{store}"
[providers.openai]
base_url = "{url}"
rotation = "round_robin"
"""
CREDENTIAL = """
[[providers.openai.credentials]]
name = "{name}"
key = "env:{name}"
max_concurrency = 40
windows = [{{ unit = "requests", limit = 1000, per = 60 }}, {{ unit = "tokens", limit = 1e9, per = 60 }}]
"""
CALLS = 40


def converse(http: httpx.Client, number: int) -> int:
    said = {"model": "gpt-4o", "prompt_cache_key": f"conversation-{number}", "messages": []}
    own = {"authorization": "Bearer own"}
    return http.post("https://api.openai.com/v1/chat/completions", json=said, headers=own).status_code


def test_a_call_takes_four_commands_of_the_store_at_most(tmp_path: Path) -> None:
    """With all there is to ask for: a place, windows, the limit of a user; and a conversation to keep."""
    keys = {"ONE": "sk-pool-number-one", "TWO": "sk-pool-number-two"}
    with ExitStack() as stack:
        server, vendor = stack.enter_context(RedisServer(tmp_path)), stack.enter_context(VendorThread())
        config = LIMITED.format(url=vendor.base_url, store=server.url)
        config += "".join(CREDENTIAL.format(name=name) for name in keys)
        options = ("--set", "proxyauth=alice:open-sesame")
        proxy = stack.enter_context(Proxy(tmp_path, config, keys=keys, options=options))
        proxy.wait_log("state: shared with other proxies")
        asked = stack.enter_context(server.client())
        before = asked.info("commandstats")["cmdstat_evalsha"]["calls"]
        url = f"http://alice:open-sesame@127.0.0.1:{proxy.port}"
        http = stack.enter_context(httpx.Client(proxy=url, verify=trusting(proxy), trust_env=False))
        threads = stack.enter_context(ThreadPoolExecutor(10))
        assert [*threads.map(partial(converse, http), range(CALLS))] == [200] * CALLS
        until(lambda: bool(asked.keys("rotator:t:*:day")))  # the last that is written
        assert asked.info("commandstats")["cmdstat_evalsha"]["calls"] - before <= 4 * CALLS

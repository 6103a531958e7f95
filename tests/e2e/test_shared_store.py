"""What several real proxies keep together in a real store: responses, and what it does without them."""

import json
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import httpx
import pytest

from tests.e2e.proxy import Proxy
from tests.e2e.sockets import WebSocket
from tests.e2e.talk import client
from tests.redis_server import WITHOUT, RedisServer
from tests.vendor import VendorThread, chat_error

pytestmark = WITHOUT
CHAT = "https://api.openai.com/v1/chat/completions"
HELLO = {"model": "gpt-4o", "messages": [{"role": "user", "content": "hi"}]}
RESPONSES = "https://api.openai.com/v1/responses"
CONFIG = """
[providers.openai]
base_url = "{url}"
websocket = "bridge"
[providers.claude]
base_url = "{url}/claude"
hosts = ["claude.test"]
protocols = ["anthropic_messages"]
auth = "bearer"
credentials = [{{ name = "pool", key = "env:KEY" }}]
[[routes]]
match = {{ model = "to-claude" }}
to = ["claude/served"]
[state]
url = "{store}"
[responses]
shared = true
"""
OWN, OTHER = ({"authorization": f"Bearer sk-client-{name}-0123456789"} for name in ("own", "other"))


@pytest.fixture(scope="module")
def store(tmp_path_factory: pytest.TempPathFactory) -> Iterator[RedisServer]:
    with RedisServer(tmp_path_factory.mktemp("redis")) as started:
        yield started


@pytest.fixture(scope="module")
def vendor() -> Iterator[VendorThread]:
    with VendorThread() as running:
        yield running


@pytest.fixture(scope="module")
def two(
    vendor: VendorThread, store: RedisServer, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[list[Proxy]]:
    config = CONFIG.format(url=vendor.base_url, store=store.url)
    with ExitStack() as stack:
        folders = [tmp_path_factory.mktemp(name) for name in ("one", "two")]
        proxies = [Proxy(folder, config, keys={"KEY": "sk-pool"}) for folder in folders]
        started = [stack.enter_context(each) for each in proxies]
        for each in started:
            each.wait_log("shared with other proxies")
        yield started


@pytest.fixture
def clients(two: list[Proxy]) -> Iterator[list[httpx.Client]]:
    with ExitStack() as stack:
        yield [stack.enter_context(client(proxy)) for proxy in two]


def respond(http: httpx.Client, said: str, headers: dict[str, str] = OWN, **more: object) -> Any:
    answer = http.post(RESPONSES, headers=headers, json={"model": "to-claude", "input": said, **more})
    return answer.json()


def test_a_conversation_goes_from_proxy_to_proxy(clients: list[httpx.Client], vendor: VendorThread) -> None:
    previous = None
    for turn in range(4):
        said = respond(clients[turn % 2], f"turn {turn}", previous_response_id=previous)
        assert said["status"] == "completed", said
        previous = said["id"]
    roles = [message["role"] for message in vendor.requests[-1].json()["messages"]]
    assert roles == ["user", "assistant"] * 3 + ["user"]


def test_a_response_is_looked_at_and_deleted_at_any_proxy(clients: list[httpx.Client]) -> None:
    here, there = clients
    name = respond(here, "one")["id"]
    assert there.get(f"{RESPONSES}/{name}", headers=OWN).json()["id"] == name
    assert there.get(f"{RESPONSES}/{name}", headers=OTHER).status_code == 404
    items = there.get(f"{RESPONSES}/{name}/input_items", headers=OWN).json()
    assert [item["content"][0]["text"] for item in items["data"]] == ["one"]
    assert there.delete(f"{RESPONSES}/{name}", headers=OWN).json()["deleted"] is True
    for http in (there, here):
        assert http.get(f"{RESPONSES}/{name}", headers=OWN).status_code == 404
        found = respond(http, "two", previous_response_id=name)
        assert found["error"]["code"] == "previous_response_not_found"


def test_a_websocket_continues_what_another_proxy_keeps(
    two: list[Proxy], clients: list[httpx.Client]
) -> None:
    name = respond(clients[0], "one")["id"]
    with WebSocket(two[1], "api.openai.com", "/v1/responses", key="sk-client-own-0123456789") as socket:
        *_, last = socket.turn(model="to-claude", input="two", previous_response_id=name)
    assert last["type"] == "response.completed", json.dumps(last)


def test_a_call_that_continues_what_cannot_be_fetched_is_told_to_ask_again(
    vendor: VendorThread, tmp_path: Path
) -> None:
    """And one that continues what its own proxy made is served."""
    nobody = "redis://127.0.0.1:1"
    config = CONFIG.format(url=vendor.base_url, store=nobody)
    with Proxy(tmp_path, config, keys={"KEY": "sk-pool"}) as proxy, client(proxy) as http:
        own = respond(http, "one")["id"]
        assert respond(http, "two", previous_response_id=own)["status"] == "completed"
        body = {"model": "to-claude", "input": "two", "previous_response_id": f"resp_rot{7:024x}"}
        answer = http.post(RESPONSES, headers=OWN, json=body)
        assert answer.status_code == 503
        assert "cannot be reached" in answer.json()["error"]["message"]
        assert "x-should-retry" not in answer.headers
        assert http.get(f"{RESPONSES}/resp_rot{7:024x}", headers=OWN).status_code == 503
        assert "Traceback" not in proxy.log


def test_a_proxy_serves_once_it_knows_what_others_know_or_that_it_is_alone(tmp_path: Path) -> None:
    health = "http://rotator.local/health"
    with RedisServer(tmp_path) as store:
        store.pause()
        config = CONFIG.format(url="http://127.0.0.1:1", store=store.url)
        with Proxy(tmp_path, config, keys={"KEY": "sk-pool"}) as proxy, client(proxy) as http:
            found = http.get(health)
            assert (found.status_code, found.json()["status"]) == (503, "starting")
            proxy.wait_log("this proxy is alone until it can")
            assert http.get(health).json()["status"] == "ok"
        store.resume()


TWO_KEYS = """
[providers.openai]
base_url = "{url}"
credentials = [{{ name = "one", key = "env:ONE" }}, {{ name = "two", key = "env:TWO" }}]
[state]
url = "{store}"
"""
POOL = {"ONE": "sk-the-first-key-of-two", "TWO": "sk-the-second-key-of-two"}


def test_the_first_call_of_a_proxy_knows_what_the_others_know(vendor: VendorThread, tmp_path: Path) -> None:
    vendor.on(key=POOL["ONE"]).always(chat_error(429, "rate_limit", "slow down", (("retry-after", "300"),)))
    with RedisServer(tmp_path) as store:
        config = TWO_KEYS.format(url=vendor.base_url, store=store.url)
        with Proxy(tmp_path, config, keys=POOL) as proxy, client(proxy) as http:
            proxy.wait_log("shared with other proxies")
            assert http.post(CHAT, headers=OWN, json=HELLO).status_code == 200
        before = len(vendor.requests)
        store.pause()
        with (
            Proxy(tmp_path, config, keys=POOL) as proxy,
            client(proxy) as http,
            ThreadPoolExecutor(1) as thread,
        ):
            asked = thread.submit(http.post, CHAT, headers=OWN, json=HELLO)
            proxy.wait_log("client connect")
            store.resume()
            assert asked.result().status_code == 200
    assert [one.credential for one in vendor.requests[before:]] == [POOL["TWO"]]

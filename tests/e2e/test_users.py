"""Users with passwords in a file of htpasswd, of whom one has a limit a day."""

import hashlib
import json
from base64 import b64encode
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import httpx
import pytest

from tests.e2e import sdk
from tests.e2e.proxy import Proxy
from tests.e2e.sockets import WebSocket
from tests.e2e.talk import PATIENCE, ask, trusting
from tests.redis_server import WITHOUT, RedisServer
from tests.rotator.command import rotator
from tests.vendor import Send, VendorThread, WaitFor, chat_stream, streamed

CONFIG = """
[providers.openai]
base_url = "{url}"
websocket = "bridge"
credentials = [{{ name = "one", key = "env:ONE" }}]
[providers.anthropic]
base_url = "{url}"
credentials = [{{ name = "two", key = "env:ONE" }}]
[users.alice]
requests = 2
[users.carol]
tokens = 1
"""
KEYS = {"ONE": "sk-pool-number-one"}
TEXT = chat_stream(["Hello", " there"])
PASSWORDS = {name: f"open-sesame-of-{name}" for name in ("alice", "bob", "carol")}


def htpasswd(folder: Path) -> Path:
    lines = [
        f"{name}:{{SHA}}{b64encode(hashlib.sha1(password.encode()).digest()).decode()}\n"
        for name, password in PASSWORDS.items()
    ]
    (folder / "passwords").write_text("".join(lines))
    return folder / "passwords"


@pytest.fixture(scope="module")
def vendor() -> Iterator[VendorThread]:
    with VendorThread() as running:
        yield running


@pytest.fixture
def proxy(vendor: VendorThread, tmp_path: Path) -> Iterator[Proxy]:
    vendor.requests.clear()
    with started(vendor, tmp_path) as running:
        yield running
    assert "Traceback" not in running.log
    assert "open-sesame" not in running.log


def started(vendor: VendorThread, folder: Path, more: str = "") -> Proxy:
    folder.mkdir(exist_ok=True)
    options = ("--set", f"proxyauth=@{htpasswd(folder)}", "--set", "rotator_usage=usage.sqlite")
    return Proxy(folder, CONFIG.format(url=vendor.base_url) + more, keys=KEYS, options=options)


def url_of(proxy: Proxy, user: str) -> str:
    return f"http://{user}:{PASSWORDS[user]}@127.0.0.1:{proxy.port}"


def asks(proxy: Proxy, user: str, url: str = "https://api.openai.com/v1/chat/completions") -> httpx.Response:
    with httpx.Client(
        proxy=url_of(proxy, user), verify=trusting(proxy), trust_env=False, timeout=PATIENCE
    ) as http:
        return http.post(url, content=ask(), headers={"authorization": "Bearer own"})


def test_who_has_used_all_is_refused_and_others_are_not(proxy: Proxy, vendor: VendorThread) -> None:
    assert [asks(proxy, "alice").status_code for _ in range(2)] == [200, 200]
    refused = asks(proxy, "alice")
    assert (refused.status_code, refused.headers["x-should-retry"]) == (429, "false")
    error = refused.json()["error"]
    assert error["code"] == "insufficient_quota"
    assert "alice has used all that this proxy allows (calls a day: 2); more from " in error["message"]
    assert asks(proxy, "bob").status_code == 200
    in_other_words = asks(proxy, "alice", "https://api.anthropic.com/v1/messages")
    assert (in_other_words.status_code, in_other_words.json()["type"]) == (429, "error")
    assert len(vendor.requests) == 3
    log = proxy.wait_log("verdict=", count=5)
    assert log.count("verdict=refused user=alice") == 2
    assert log.count("verdict=ok user=bob") == 1


def test_an_sdk_does_not_ask_again(proxy: Proxy) -> None:
    environment = proxy.environment() | {"HTTPS_PROXY": url_of(proxy, "alice")}
    request = {"stream": True, "messages": [{"role": "user", "content": "hello"}]}
    found = sdk.run("openai-current", "openai_chat", environment, calls=3, request=request)
    assert "alice has used all that this proxy allows" in str(found["error"])
    assert proxy.wait_log("verdict=refused").count("verdict=refused") == 1


def test_tokens_count_once_the_call_is_over(proxy: Proxy) -> None:
    assert asks(proxy, "carol").status_code == 200
    assert "(tokens a day: 1)" in asks(proxy, "carol").text


def test_each_turn_of_a_websocket_is_a_call(proxy: Proxy) -> None:
    password = b64encode(f"alice:{PASSWORDS['alice']}".encode()).decode()
    headers = f"Proxy-Authorization: Basic {password}\r\n"
    with WebSocket(proxy, "api.openai.com", for_proxy=headers) as socket:
        ends = [socket.turn(model="gpt-4o", input="hi")[-1] for _ in range(3)]
    assert [end["type"] for end in ends] == ["response.completed", "response.completed", "error"]
    assert "alice has used all that this proxy allows" in ends[-1]["error"]["message"]
    assert asks(proxy, "alice").status_code == 429


def test_what_waits_for_an_answer_counts(proxy: Proxy, vendor: VendorThread) -> None:
    answer = streamed(TEXT[:2], WaitFor("go"), *map(Send, TEXT[2:]))
    vendor.on(path="/v1/chat/completions").reply(answer, times=2)
    with ThreadPoolExecutor(2) as threads:
        waiting = [threads.submit(asks, proxy, "alice") for _ in range(2)]
        while len(vendor.requests) < 2:
            pass
        assert asks(proxy, "alice").status_code == 429
        vendor.release("go")
        assert [each.result().status_code for each in waiting] == [200, 200]


def test_a_restart_forgets_nothing(vendor: VendorThread, tmp_path: Path) -> None:
    with started(vendor, tmp_path) as first:
        assert [asks(first, "alice").status_code for _ in range(2)] == [200, 200]
    with started(vendor, tmp_path) as again:
        assert asks(again, "alice").status_code == 429
        shown = rotator(tmp_path, "status", environment={"HTTPS_PROXY": url_of(again, "bob")})
        assert "user alice  2 of 2 requests" in shown.stdout
        by_user = rotator(tmp_path, "usage", "--by", "user", "--json", "--file", "usage.sqlite")
        assert json.loads(by_user.stdout)["rows"][0]["user"] == "alice"


def usage_of(proxy: Proxy) -> dict[str, Any]:
    with httpx.Client(proxy=url_of(proxy, "bob"), trust_env=False) as http:
        found: dict[str, Any] = http.get("http://rotator.local/usage", params={"by": "user"}).json()
    return found


@WITHOUT
def test_two_proxies_with_one_store_count_together(vendor: VendorThread, tmp_path: Path) -> None:
    with RedisServer(tmp_path) as store:
        state = f'[state]\nurl = "{store.url}"\n'
        with (
            started(vendor, tmp_path / "one", state) as one,
            started(vendor, tmp_path / "two", state) as two,
        ):
            for proxy in (one, two):
                proxy.wait_log("state: shared with other proxies")
            assert [asks(proxy, "alice").status_code for proxy in (one, two, one, two)] == [
                200,
                200,
                429,
                429,
            ]
            assert asks(one, "carol").status_code == 200
            while asks(two, "carol").status_code == 200:  # the tokens are known once the call is counted
                pass
            said = usage_of(two)
            while said["total"]["calls"] < 4:  # it is written within seconds
                said = usage_of(two)
            calls = {row["user"]: (row["calls"], row["failed"]) for row in said["rows"]}
            assert calls["alice"] == (4, 2)
            assert said["kept"] == f"127.0.0.1:{store.port}/0"
            shown = rotator(tmp_path, "usage", environment={"HTTPS_PROXY": url_of(one, "bob")})
            said_for_people = " ".join(shown.stdout.split())
            assert "kept by all proxies (" in said_for_people
            assert f" now) in 127.0.0.1:{store.port}/0" in said_for_people
        with started(vendor, tmp_path / "three", state) as three:
            three.wait_log("state: shared with other proxies")
            assert asks(three, "alice").status_code == 429
            assert asks(three, "carol").status_code == 429

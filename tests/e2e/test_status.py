"""How pools do, asked for through a real proxy, and what commands change of it."""

from collections.abc import Iterator
from contextlib import closing
from http.client import HTTPConnection
from pathlib import Path
from typing import Any

import httpx
import pytest

from addons.runtime.version import VERSION
from tests.e2e import sdk
from tests.e2e.proxy import ADDON, Proxy
from tests.vendor import VendorThread, chat_error

KEYS = {"OPENAI_API_KEY_1": "sk-pool-number-one-0001", "OPENAI_API_KEY_2": "sk-pool-number-two-0002"}
ONE, TWO = KEYS.values()
CONFIG = """
[providers.openai]
base_url = "{url}"
rotation = "round_robin"
"""
SLOW = chat_error(429, "rate_limit_exceeded", "slow down", (("retry-after", "120"),))
COMMANDS = """
from mitmproxy import ctx, exceptions, http

def request(flow):
    if flow.request.host == "command.test":
        try:
            said = ctx.master.commands.execute(flow.request.query["line"])
        except exceptions.CommandError as error:
            flow.response = http.Response.make(400, str(error))
        else:
            flow.response = http.Response.make(200, "\\n".join(said or []))
"""


@pytest.fixture
def vendor() -> Iterator[VendorThread]:
    with VendorThread() as running:
        yield running


@pytest.fixture
def proxy(vendor: VendorThread, tmp_path: Path) -> Iterator[Proxy]:
    (tmp_path / "commands.py").write_text(COMMANDS)
    config, scripts = CONFIG.format(url=vendor.base_url), (ADDON, tmp_path / "commands.py")
    with Proxy(tmp_path, config, keys=KEYS, scripts=scripts) as running:
        yield running
    assert "Traceback" not in running.log


def status(proxy: Proxy) -> dict[str, Any]:
    with httpx.Client(proxy=proxy.url, trust_env=False) as http:
        found: dict[str, Any] = http.get("http://rotator.local/status").raise_for_status().json()
    return found


def credentials(proxy: Proxy) -> dict[str, dict[str, Any]]:
    return {one["name"]: one for one in status(proxy)["providers"]["openai"]["credentials"]}


def run(proxy: Proxy, line: str) -> httpx.Response:
    with httpx.Client(proxy=proxy.url, trust_env=False) as http:
        return http.get("http://command.test/", params={"line": line})


def ask(proxy: Proxy, word: str = "hello") -> None:
    request = {"stream": True, "messages": [{"role": "user", "content": word}]}
    found = sdk.run("openai-current", "openai_chat", proxy.environment(), calls=1, request=request)
    assert found["error"] is None


def test_the_status_says_what_came_of_calls(proxy: Proxy, vendor: VendorThread) -> None:
    vendor.on(key=ONE).reply(SLOW)
    ask(proxy)
    proxy.wait_log("end=completed")
    said = status(proxy)
    assert (said["version"], said["waiting"]) == (VERSION, 0)
    assert list(said["providers"]) == ["openai"]
    openai = said["providers"]["openai"]
    assert (openai["rotation"], openai["paused"]) == ("round_robin", {})
    one, two = credentials(proxy).values()
    assert (one["state"], one["last"]["outcome"]) == ("ready", "rejected(429 rate)")
    assert 100 < one["scopes"]["model:gpt-4o"] <= 120
    assert (two["state"], two["scopes"], two["in_flight"]) == ("ready", {}, 0)
    assert two["last"]["outcome"] == "completed"
    assert "sk-pool" not in str(said)


def test_commands_steer_the_pool(proxy: Proxy, vendor: VendorThread) -> None:
    assert run(proxy, "rotator.cool openai OPENAI_API_KEY_1 90").status_code == 200
    one = credentials(proxy)["OPENAI_API_KEY_1"]
    assert (one["state"], 80 < one["seconds"] <= 90) == ("cooling", True)
    ask(proxy, "first")
    run(proxy, "rotator.resume openai OPENAI_API_KEY_1")
    assert run(proxy, "rotator.retire openai OPENAI_API_KEY_2").status_code == 200
    assert credentials(proxy)["OPENAI_API_KEY_2"]["state"] == "retired"
    ask(proxy, "second")
    ask(proxy, "third")
    assert [each.credential for each in vendor.requests] == [TWO, ONE, ONE]
    assert "OPENAI_API_KEY_2: is retired" in run(proxy, "rotator.status").text
    assert run(proxy, "rotator.reset").status_code == 200
    assert [each["last"] for each in credentials(proxy).values()] == [None, None]
    refused = run(proxy, "rotator.retire openai three")
    assert (refused.status_code, "there is no key of openai/three" in refused.text) == (400, True)


def test_a_connection_on_which_only_the_head_was_asked_for_can_be_used_again(proxy: Proxy) -> None:
    with closing(HTTPConnection("127.0.0.1", proxy.port, timeout=15)) as http:
        for url in ("http://rotator.local/status", f"http://127.0.0.1:{proxy.port}/"):
            sizes = []
            for method in ("HEAD", "GET"):
                http.request(method, url)
                answer = http.getresponse()
                sizes.append((answer.headers["content-length"], len(answer.read())))
            assert [sizes[0], str(sizes[1][1])] == [(sizes[1][0], 0), sizes[1][0]]

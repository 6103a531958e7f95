"""42 to 46: keys that are refused, used up, mended, or not ours."""

import json
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import httpx
import pytest

from tests.e2e import sdk
from tests.e2e.proxy import ADDON, Proxy
from tests.e2e.test_refused_keys import COMMANDS
from tests.mistakes.comments import WATCHING, saved_comments, saving
from tests.mistakes.test_configuration import has_line
from tests.rotator.command import rotator
from tests.vendor import Hang, VendorThread, chat_error

ONE, TWO = "sk-pool-that-is-refused-1", "sk-pool-that-is-good-no-2"
KEYS = {"OPENAI_API_KEY_1": ONE, "OPENAI_API_KEY_2": TWO}
CONFIG = '[providers.openai]\nbase_url = "{url}"\n'
REFUSED = chat_error(401, "invalid_api_key", "Incorrect API key provided")


@pytest.fixture
def vendor() -> Iterator[VendorThread]:
    with VendorThread() as running:
        yield running


@contextmanager
def proxied(vendor: VendorThread, folder: Path, keys: Mapping[str, str], more: str = "") -> Iterator[Proxy]:
    (folder / "commands.py").write_text(COMMANDS + WATCHING)
    config = CONFIG.format(url=vendor.base_url) + more
    scripts = (ADDON, folder / "commands.py")
    with Proxy(folder, config, keys=keys, scripts=scripts, options=saving(folder)) as running:
        yield running
    assert "Traceback" not in running.log
    assert ONE not in running.log
    assert TWO not in running.log


def ask(proxy: Proxy, calls: int = 1, **client: Any) -> dict[str, Any]:
    """The last of so many calls of the SDK."""
    job = {"client": {"max_retries": 0, **client}, "calls": calls}
    (result,) = sdk.run("openai-current", "openai_chat", proxy.environment(), jobs=[job])["results"]
    return dict(result)


def status_of(proxy: Proxy, name: str) -> dict[str, Any]:
    done = rotator(proxy.folder, "status", "--json", "-p", str(proxy.port))
    found = json.loads(done.stdout)["providers"]["openai"]["credentials"]
    return next(dict(each) for each in found if each["name"] == name)


def test_42_keys_that_are_all_refused(vendor: VendorThread, tmp_path: Path) -> None:
    vendor.on(key=ONE).always(REFUSED)
    with proxied(vendor, tmp_path, {"OPENAI_API_KEY_1": ONE}) as proxy:
        first, third = ask(proxy), ask(proxy, 2)
        log = proxy.wait_log("401", count=3)
    for result in (first, third):
        assert result["error"]["status"] == 401
        assert "Incorrect API key provided" in result["error"]["text"]
    for part in (
        "openai/OPENAI_API_KEY_1 was refused (401 invalid_api_key)",
        "tried again in",
        "check the key",
    ):
        assert part in third["body"]
    assert "rate-limited" not in log
    assert "OPENAI_API_KEY_1" in log
    comments = saved_comments(tmp_path)
    assert "attempt 1 with OPENAI_API_KEY_1: rejected(401 auth)" in comments[0]
    assert "the provider refuses OPENAI_API_KEY_1: check it" in comments[0]
    for later in comments[1:]:
        assert "openai/OPENAI_API_KEY_1 was refused (401 invalid_api_key)" in later
        assert "check the key" in later


def test_43_a_dead_key_beside_a_good_one(vendor: VendorThread, tmp_path: Path) -> None:
    vendor.on(key=ONE).always(REFUSED)
    with proxied(vendor, tmp_path, KEYS) as proxy:
        assert ask(proxy, 3)["error"] is None
        log = proxy.wait_log("was refused")
        named = "openai/OPENAI_API_KEY_1 was refused (401 invalid_api_key"
        assert has_line(log, named, "check the key", "tried again in 300 s")


@pytest.mark.parametrize("answer", [chat_error(429, "rate_limit", "slow", (("retry-after", "4"),))])
def test_44_keys_that_are_all_rate_limited(vendor: VendorThread, tmp_path: Path, answer: Any) -> None:
    vendor.on(key=ONE).reply(answer)
    with proxied(vendor, tmp_path, {"OPENAI_API_KEY_1": ONE}) as proxy:
        assert ask(proxy)["error"] is None
        log = proxy.wait_log("waits")
    meanwhile = "comment meanwhile: waits"
    waits = [line for line in log.splitlines() if "waits" in line and meanwhile not in line]
    assert len(waits) == 1
    assert has_line(waits[0], "openai", "4 s", "rate-limited")
    assert any("4 s" in line and "rate-limited" in line for line in log.splitlines() if meanwhile in line), (
        log
    )
    (comment,) = saved_comments(tmp_path)
    assert "OPENAI_API_KEY_1: rejected(429 rate)" in comment


def test_44_a_provider_that_is_silent(vendor: VendorThread, tmp_path: Path) -> None:
    vendor.on(key=ONE).reply(Hang())
    timers = ("first_event_timeout", "first_token_timeout", "slow_start_timeout")
    more = "\n".join(("[streaming]", *(f"{name} = 7" for name in timers), ""))
    with proxied(vendor, tmp_path, {"OPENAI_API_KEY_1": ONE}, more) as proxy:
        request = {"stream": True}
        result = sdk.run("openai-current", "openai_chat", proxy.environment(), request=request)
        assert result["error"] is None
        log = proxy.wait_log("is asked again")
    silent = "has had no answer with OPENAI_API_KEY_1 for "
    meanwhile = f"comment meanwhile: {silent}"
    log = "\n".join(line for line in log.splitlines() if "comment meanwhile" not in line)
    assert has_line(log, silent, "openai", "more at most")
    assert meanwhile in proxy.log
    assert has_line(log, "is asked again after 7 s", "openai")
    assert log.index("has had no answer") < log.index("is asked again")
    (comment,) = saved_comments(tmp_path)
    assert "OPENAI_API_KEY_1: stalled" in comment


def test_45_a_key_that_is_mended_at_the_provider(vendor: VendorThread, tmp_path: Path) -> None:
    vendor.on(key=ONE).reply(REFUSED)
    with proxied(vendor, tmp_path, {"OPENAI_API_KEY_1": ONE}) as proxy:
        assert ask(proxy)["error"]["status"] == 401
        known = status_of(proxy, "OPENAI_API_KEY_1")
        assert known["state"] != "ready"
        assert "401 invalid_api_key" in known["reason"]
        assert 0 < known["seconds"] <= 300
        assert has_line(proxy.log, "was refused (401", "rotator.resume")
        with httpx.Client(proxy=proxy.url, trust_env=False) as http:
            done = http.get("http://command.test/", params={"which": "openai/OPENAI_API_KEY_1"})
        assert done.status_code == 200
        assert status_of(proxy, "OPENAI_API_KEY_1")["state"] == "ready"
        assert ask(proxy)["error"] is None


def test_45_a_key_that_is_changed(vendor: VendorThread, tmp_path: Path) -> None:
    vendor.on(key=ONE).always(REFUSED)
    secret = tmp_path / "key"
    secret.write_text(ONE)
    secret.chmod(0o600)
    more = 'credentials = [{ name = "work", key = "file:key" }]\n'
    with proxied(vendor, tmp_path, {}, more) as proxy:
        assert ask(proxy)["error"]["status"] == 401
        secret.write_text(TWO)
        proxy.wait_log("the changed config is in force")
        assert ask(proxy)["error"] is None


def test_46_a_tool_s_own_key_that_is_refused(vendor: VendorThread, tmp_path: Path) -> None:
    vendor.always(REFUSED)
    with proxied(vendor, tmp_path, {}) as proxy:
        error = ask(proxy)["error"]
    assert (error["type"], error["status"]) == ("AuthenticationError", 401)
    assert "Incorrect API key provided" in error["text"]

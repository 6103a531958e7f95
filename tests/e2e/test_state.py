"""What is known of keys outlives the proxy, and is known to all proxies on one folder: real mitmdumps."""

import json
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from pathlib import Path

import pytest

from tests.e2e.proxy import Proxy
from tests.e2e.talk import client
from tests.vendor import VendorThread, chat_error

KEYS = {"OPENAI_API_KEY_1": "sk-pool-that-is-first-1", "OPENAI_API_KEY_2": "sk-pool-that-is-second-2"}
ONE, TWO = KEYS.values()
CONFIG = """
[providers.openai]
base_url = "{url}"
"""
LIMITED = chat_error(429, "rate_limit_exceeded", "Slow down", (("retry-after", "600"),))
BODY = {"model": "gpt-4o", "messages": [{"role": "user", "content": "hi"}]}
PATIENCE = 15.0
"""Seconds; bounds a failing test, no passing one."""

type Start = Callable[[str], Proxy]


@pytest.fixture
def vendor() -> Iterator[VendorThread]:
    with VendorThread() as running:
        yield running


@pytest.fixture
def state(tmp_path: Path) -> Path:
    return tmp_path / "state"


@pytest.fixture
def start(vendor: VendorThread, tmp_path: Path, state: Path) -> Iterator[Start]:
    """Starts a proxy of that name on the folder; it is stopped at the end."""
    with ExitStack() as stack:

        def started(name: str) -> Proxy:
            folder = tmp_path / name
            folder.mkdir()
            options = ("--set", f"rotator_state={state}")
            config = CONFIG.format(url=vendor.base_url)
            return stack.enter_context(Proxy(folder, config, keys=KEYS, options=options))

        yield started


def ask(proxy: Proxy) -> int:
    with client(proxy) as http:
        url = "https://api.openai.com/v1/chat/completions"
        return http.post(url, json=BODY, headers={"authorization": "Bearer sk-of-the-client"}).status_code


def used(vendor: VendorThread) -> list[str]:
    return [one.credential for one in vendor.requests]


def until(condition: Callable[[], bool]) -> None:
    due = time.monotonic() + PATIENCE
    while not condition():
        assert time.monotonic() < due
        time.sleep(0.02)


def kept(state: Path) -> list[dict[str, object]]:
    """The cooldowns in the folder."""
    file = state / "pool" / "credentials.json"
    entries = json.loads(file.read_bytes())["entries"] if file.exists() else []
    return [one for one in entries if one["kind"] == "cooldown"]


def test_a_restart_keeps_cooldowns(vendor: VendorThread, start: Start) -> None:
    vendor.on(key=ONE).reply(LIMITED)
    first = start("first")
    assert ask(first) == 200
    first.stop()
    assert ask(start("second")) == 200
    assert used(vendor) == [ONE, TWO, TWO]


def test_what_a_proxy_knew_that_was_killed_is_kept(vendor: VendorThread, start: Start, state: Path) -> None:
    vendor.on(key=ONE).reply(LIMITED)
    first = start("first")
    assert ask(first) == 200
    until(lambda: bool(kept(state)))
    first.process.kill()
    first.wait_exit()
    assert ask(start("second")) == 200
    assert used(vendor) == [ONE, TWO, TWO]


def test_proxies_on_one_folder_know_each_others_cooldowns(
    vendor: VendorThread, start: Start, state: Path
) -> None:
    first, second = start("first"), start("second")
    vendor.on(key=ONE).reply(LIMITED)
    assert [ask(first), used(vendor)] == [200, [ONE, TWO]]

    def knows() -> bool:
        ask(second)
        return used(vendor)[-1] == TWO

    until(knows)
    assert ask(second) == 200
    assert used(vendor)[-1] == TWO


def test_a_damaged_file_stops_nothing(vendor: VendorThread, start: Start, state: Path) -> None:
    (state / "pool").mkdir(parents=True)
    (state / "pool" / "credentials.json").write_bytes(b'{"version": 1, "entries": [')
    vendor.on(key=ONE).reply(LIMITED)
    first = start("first")
    assert ask(first) == 200
    until(lambda: bool(kept(state)))
    log = first.wait_log("it is damaged")
    assert log.count("credentials.damaged") == 1
    assert "Traceback" not in log


def test_no_key_is_in_the_folder(vendor: VendorThread, start: Start, state: Path) -> None:
    for key in (ONE, TWO):
        vendor.on(key=key).reply(chat_error(401, "invalid_api_key", f"Incorrect API key provided: {key}."))
    first = start("first")
    assert ask(first) == 401
    first.stop()
    written = b"".join(file.read_bytes() for file in state.rglob("*") if file.is_file())
    assert b"Incorrect API key provided" in written
    assert not [key for key in (*KEYS.values(), "sk-of-the-client") if key.encode() in written]

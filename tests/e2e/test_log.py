"""The log as a user reads it: a line a call, in the layout that was asked for."""

import json
from pathlib import Path

from tests.e2e import sdk
from tests.e2e.proxy import Proxy
from tests.vendor import VendorThread, chat_error

CONFIG = """
[providers.openai]
base_url = "{url}"
credentials = [{{ name = "work", key = "env:ONE" }}, {{ name = "spare", key = "env:TWO" }}]
"""
KEYS = {"ONE": "sk-pool-one", "TWO": "sk-pool-two"}


def log_of_two_calls(folder: Path, *options: str) -> list[str]:
    """What a proxy says of a call that a spare key answers, and of one that goes straight."""
    with VendorThread() as vendor:
        vendor.on(key="sk-pool-one").reply(chat_error(429, "rate_limit_exceeded", "slow down"))
        config = CONFIG.format(url=vendor.base_url)
        with Proxy(folder, config, keys=KEYS, options=options) as proxy:
            for _ in range(2):
                answer = sdk.run("openai-current", "openai_chat", proxy.environment(), request={})
                assert answer["error"] is None
    return proxy.log.splitlines()


def test_in_columns_a_quiet_proxy_says_a_line_a_call(tmp_path: Path) -> None:
    lines = log_of_two_calls(tmp_path, "--set", "rotator_log=columns", "--set", "rotator_quiet=true")
    up = next(at for at, line in enumerate(lines) if "listening at" in line)
    first, second, *summary = lines[up + 1 :]
    assert first.split()[1:4] == ["spare", "gpt-4o", "work>spare"]
    assert first.endswith("work 429 rate")
    assert second.split()[1:3] == ["ok", "gpt-4o"]
    assert all(line[9:].startswith("info      summary: ") for line in summary)


def test_as_json_each_line_that_is_logged_is_an_object(tmp_path: Path) -> None:
    lines = log_of_two_calls(tmp_path, "--set", "rotator_log=json", "--set", "rotator_quiet=true")
    assert "Loading script" in lines.pop(0)  # before the add-on is there
    calls = [said for line in lines if "call" in (said := json.loads(line))]
    assert [(each["verdict"], each["tokens_in"]) for each in calls] == [("spare", 12), ("ok", 12)]


def test_a_bare_mitmdump_says_what_it_always_says_of_connections_and_flows(tmp_path: Path) -> None:
    log = "\n".join(log_of_two_calls(tmp_path))
    assert "client connect" in log
    assert " << 200 OK" in log


def test_a_layout_that_there_is_not_ends_the_start(tmp_path: Path) -> None:
    proxy = Proxy(tmp_path, options=("--set", "rotator_log=xml")).start(expect_exit=True)
    assert proxy.wait_exit() == 1
    assert "--set rotator_log: must be auto, columns, logfmt or json" in proxy.log

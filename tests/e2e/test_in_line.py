"""Calls that find no free key, through a real mitmdump: they wait in line, in order, and one by one."""

import json
from collections.abc import Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path

import httpx
import pytest

from tests.e2e.proxy import Proxy
from tests.e2e.talk import client
from tests.vendor import Reply, VendorThread, WaitFor, chat_answer, chat_error, whole

CONFIG = """
[providers.openai]
base_url = "{url}"
queue_limit = {limit}
credentials = [{{ name = "one", key = "env:ONE"{more} }}]
"""
ONE_AT_A_TIME = ", max_concurrency = 1"
SERVED = whole(chat_answer("Hello"))
LIMITED = chat_error(429, "rate_limit_exceeded", "slow down", (("retry-after", "6"),))
LIMITED_A_MOMENT = chat_error(429, "rate_limit_exceeded", "slow down", (("retry-after", "1"),))


@pytest.fixture
def vendor() -> Iterator[VendorThread]:
    with VendorThread() as running:
        yield running


@pytest.fixture
def calls() -> Iterator[ThreadPoolExecutor]:
    with ThreadPoolExecutor(12) as pool:
        yield pool


@contextmanager
def proxy(folder: Path, vendor: VendorThread, more: str = "", limit: int = 100) -> Iterator[Proxy]:
    config = CONFIG.format(url=vendor.base_url, limit=limit, more=more)
    with Proxy(folder, config, keys={"ONE": "sk-pool-number-one"}) as running:
        yield running
    assert "Traceback" not in running.log


def ask(proxy: Proxy, name: str) -> httpx.Response:
    body = {"model": "gpt-4o", "messages": [{"role": "user", "content": name}]}
    with client(proxy) as http:
        return http.post("https://api.openai.com/v1/chat/completions", json=body)


def in_line(proxy: Proxy, calls: ThreadPoolExecutor, *names: str) -> list[Future[httpx.Response]]:
    """Calls that come one after another, each when the one before waits."""
    found, before = [], proxy.log.count("waits in line")
    for count, name in enumerate(names, before + 1):
        found.append(calls.submit(ask, proxy, name))
        proxy.wait_log("waits in line", count=count)
    return found


def asked(vendor: VendorThread) -> list[str]:
    return [json.loads(one.body)["messages"][0]["content"] for one in vendor.requests]


def test_a_key_serves_one_call_after_another_in_the_order_in_which_they_came(
    tmp_path: Path, vendor: VendorThread, calls: ThreadPoolExecutor
) -> None:
    vendor.reply(replace(SERVED, before=(WaitFor("first"),)))
    vendor.always(SERVED)
    with proxy(tmp_path, vendor, ONE_AT_A_TIME) as running:
        first = calls.submit(ask, running, "first")
        vendor.wait_requests(1)
        others = in_line(running, calls, "a", "b", "c")
        assert "waits in line for a key: openai/one has 1 of 1 calls" in running.log
        assert asked(vendor) == ["first"]
        vendor.release("first")
        assert [one.result().status_code for one in (first, *others)] == [200] * 4
    assert asked(vendor) == ["first", "a", "b", "c"]


def test_a_key_that_comes_back_is_asked_by_one_alone(
    tmp_path: Path, vendor: VendorThread, calls: ThreadPoolExecutor
) -> None:
    """It is still over its rate; then it serves all."""
    vendor.reply(LIMITED)
    vendor.reply(LIMITED_A_MOMENT)
    vendor.always(SERVED)
    with proxy(tmp_path, vendor) as running:
        waiting = in_line(running, calls, *"abcdefgh")
        assert [one.result().status_code for one in waiting] == [200] * 8
    assert asked(vendor) == ["a", "a", *"abcdefgh"]


def test_no_more_wait_than_may(tmp_path: Path, vendor: VendorThread, calls: ThreadPoolExecutor) -> None:
    vendor.reply(replace(SERVED, before=(WaitFor("first"),)))
    vendor.always(SERVED)
    with proxy(tmp_path, vendor, ONE_AT_A_TIME, limit=1) as running:
        first = calls.submit(ask, running, "first")
        vendor.wait_requests(1)
        (second,) = in_line(running, calls, "second")
        third = ask(running, "third")
        assert (third.status_code, third.headers["retry-after"]) == (429, "1")
        assert "as many calls as may wait already" in third.text
        vendor.release("first")
        assert [one.result().status_code for one in (first, second)] == [200, 200]


def test_a_client_that_leaves_the_line_is_not_asked_for(
    tmp_path: Path, vendor: VendorThread, calls: ThreadPoolExecutor
) -> None:
    vendor.reply(replace(SERVED, before=(WaitFor("first"),)))
    vendor.always(SERVED)
    with proxy(tmp_path, vendor, ONE_AT_A_TIME) as running:
        first = calls.submit(ask, running, "first")
        vendor.wait_requests(1)
        with client(running) as http:
            body = {"model": "gpt-4o", "messages": [{"role": "user", "content": "leaves"}]}
            with pytest.raises(httpx.ReadTimeout):
                http.post("https://api.openai.com/v1/chat/completions", json=body, timeout=1.0)
        running.wait_log("end=abandoned")
        (last,) = in_line(running, calls, "last")
        vendor.release("first")
        assert [one.result().status_code for one in (first, last)] == [200, 200]
    assert asked(vendor) == ["first", "last"]


@pytest.mark.parametrize("wait", ["200", "3600"])
def test_what_is_not_due_in_time_is_answered_at_once(tmp_path: Path, vendor: VendorThread, wait: str) -> None:
    vendor.reply(Reply(429, (("retry-after", wait),), LIMITED.steps))
    with proxy(tmp_path, vendor) as running:
        for _ in range(2):
            answer = ask(running, "a")
            assert (answer.status_code, answer.headers["retry-after"]) == (429, "60")
            assert answer.headers["x-should-retry"] == "false"
    assert asked(vendor) == ["a"]

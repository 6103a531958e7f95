"""Limits through the whole proxy: who serves when a window is full, and what answers teach."""

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from ssl import create_default_context

import httpx
import pytest

from tests.e2e.proxy import Proxy
from tests.vendor import VendorThread, chat_error
from tests.vendor.script import whole

ONE, TWO = "sk-the-first-key-of-two", "sk-the-second-key-of-two"
CONFIG = """
[providers.openai]
base_url = "{url}"
{more}
credentials = [{{ name = "one", key = "env:ONE", {limits} }}, {{ name = "two", key = "env:TWO" }}]
"""
SPENT = (
    ("x-ratelimit-limit-requests", "500"),
    ("x-ratelimit-remaining-requests", "0"),
    ("x-ratelimit-reset-requests", "10m0s"),
)
ANSWER = b'{"id":"c","object":"chat.completion","model":"m","choices":[{"index":0,"finish_reason":"stop",'
ANSWER += (
    b'"message":{"role":"assistant","content":"hi"}}],"usage":{"prompt_tokens":3,"completion_tokens":4}}'
)


@pytest.fixture
def vendor() -> Iterator[VendorThread]:
    with VendorThread() as running:
        yield running


@contextmanager
def client(
    vendor: VendorThread, folder: Path, limits: str = "priority = 1", more: str = ""
) -> Iterator[httpx.Client]:
    config = CONFIG.format(url=vendor.base_url, limits=limits, more=more)
    with Proxy(folder, config, keys={"ONE": ONE, "TWO": TWO}) as proxy:
        context = create_default_context(cafile=str(proxy.ca))
        with httpx.Client(proxy=proxy.url, verify=context, timeout=30) as found:
            yield found
    assert "Traceback" not in proxy.log


def ask(found: httpx.Client, model: str = "gpt-4o") -> int:
    """Of a conversation of its own."""
    body = {"model": model, "messages": [{"role": "user", "content": "hello"}]}
    headers = {"authorization": "Bearer sk-of-the-client-itself"}
    url = "https://api.openai.com/v1/chat/completions"
    return found.post(url, json=body, headers=headers).status_code


def keys(vendor: VendorThread) -> list[str]:
    return ["one" if one.credential == ONE else "two" for one in vendor.requests]


def test_a_full_window_rotates_before_the_provider_refuses(vendor: VendorThread, tmp_path: Path) -> None:
    window = 'windows = [{ unit = "requests", limit = 2, per = "day", zone = "Europe/Berlin" }]'
    with client(vendor, tmp_path, window) as found:
        for model in ("gpt-4o", "gpt-4o", "gpt-4o", "gpt-4.1"):
            vendor.reply(whole(ANSWER))
            assert ask(found, model) == 200
    assert keys(vendor) == ["one", "one", "two", "one"]


def test_tokens_are_counted_when_the_answer_is_there(vendor: VendorThread, tmp_path: Path) -> None:
    window = 'windows = [{ unit = "tokens", limit = 10, per = 3600 }]'
    with client(vendor, tmp_path, window) as found:
        for _ in range(3):
            vendor.reply(whole(ANSWER))
            assert ask(found) == 200
    assert keys(vendor) == ["one", "one", "two"]


def test_a_key_is_asked_later_before_it_fails(vendor: VendorThread, tmp_path: Path) -> None:
    with client(vendor, tmp_path) as found:
        vendor.reply(whole(ANSWER, headers=SPENT))
        vendor.reply(whole(ANSWER), 2)
        assert [ask(found), ask(found), ask(found, "gpt-4.1")] == [200] * 3
    assert keys(vendor) == ["one", "two", "one"]


def test_what_passes_through_teaches_too(vendor: VendorThread, tmp_path: Path) -> None:
    with client(vendor, tmp_path) as found:
        refusal = chat_error(429, "rate_limit_exceeded", "slow down", (("retry-after", "300"),))
        vendor.on(path="/v1/files").reply(refusal)
        vendor.on(path="/v1/chat/completions").reply(whole(ANSWER))
        headers = {"authorization": "Bearer sk-of-the-client-itself"}
        assert found.get("https://api.openai.com/v1/files", headers=headers).status_code == 429
        assert ask(found) == 200
    assert keys(vendor) == ["one", "two"]


def test_models_of_a_group_share_a_rate_limit(vendor: VendorThread, tmp_path: Path) -> None:
    group = 'models = [{ match = "gpt-5*", quota_group = "five" }]'
    with client(vendor, tmp_path, more=group) as found:
        vendor.reply(chat_error(429, "rate_limit_exceeded", "slow down", (("retry-after", "300"),)))
        vendor.reply(whole(ANSWER), 3)
        assert [ask(found, model) for model in ("gpt-5", "gpt-5-mini", "gpt-4o")] == [200] * 3
    assert keys(vendor) == ["one", "two", "two", "one"]

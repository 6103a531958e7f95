"""What a call was made of is free when it is over: nothing of it waits for Python's collector."""

import json
import ssl
import time
import urllib.request
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import httpx
import pytest

from tests.e2e import inside
from tests.e2e.proxy import ADDON, Proxy
from tests.vendor import Pause, Reply, Send, VendorThread, chat_error, chat_stream, messages_stream

CONFIG = """
[providers.openai]
base_url = "{url}"
credentials = [{{ name = "one", key = "env:ONE" }}]
[providers.anthropic]
base_url = "{url}"
credentials = [{{ name = "one", key = "env:ONE" }}]
[[routes]]
match = {{ provider = "mistral" }}
to = ["anthropic/claude-sonnet-4-5"]
"""
UNTOUCHED = "https://api.openai.com/v1/chat/completions"
TRANSLATED = "https://api.mistral.ai/v1/chat/completions"
REQUEST = {"model": "gpt-4o", "stream": True, "messages": [{"role": "user", "content": "Hello"}]}
KEY = {"authorization": "Bearer sk-client-0123456789"}
SOON = 5.0
"""Seconds in which what is held while a turn of the event loop lasts is gone."""


@pytest.fixture
def vendor() -> Iterator[VendorThread]:
    with VendorThread() as vendor:
        yield vendor


@pytest.fixture
def proxy(tmp_path: Path, vendor: VendorThread) -> Iterator[Proxy]:
    scripts = (ADDON, Path(inside.__file__))
    config = CONFIG.format(url=vendor.base_url)
    with Proxy(tmp_path, config, keys={"ONE": "sk-pool-one"}, scripts=scripts) as proxy:
        yield proxy


@pytest.fixture
def client(proxy: Proxy) -> Iterator[httpx.Client]:
    trust = ssl.create_default_context(cafile=str(proxy.ca))
    with httpx.Client(proxy=proxy.url, verify=trust, trust_env=False, timeout=30, headers=KEY) as client:
        yield client


def streamed(events: Sequence[bytes], *then: Pause) -> Reply:
    return Reply(200, (("content-type", "text/event-stream"),), (*map(Send, events), *then))


def asked(proxy: Proxy, what: str) -> dict[str, Any]:
    handler = urllib.request.ProxyHandler({"http": proxy.url})
    with urllib.request.build_opener(handler).open(f"http://{inside.HOST}/{what}", timeout=30) as answer:
        found: dict[str, Any] = json.loads(answer.read())
    return found


def held(proxy: Proxy) -> int:
    """How much is left of calls and of their flows, at the latest after SOON."""
    end = time.monotonic() + SOON
    while (left := _held(proxy)) and time.monotonic() < end:
        pass
    return left


def _held(proxy: Proxy) -> int:
    found = asked(proxy, "held")
    return int(found["calls"]) + int(found["flows"])


@pytest.mark.parametrize("url", [UNTOUCHED, TRANSLATED])
def test_a_call_is_free_when_its_answer_has_ended(
    vendor: VendorThread, proxy: Proxy, client: httpx.Client, url: str
) -> None:
    vendor.on(path="/v1/chat/completions").always(streamed(chat_stream(["a ", "b"])))
    vendor.on(path="/v1/messages").always(streamed(messages_stream(["a ", "b"])))
    client.post(url, json=REQUEST).raise_for_status()
    asked(proxy, "uncollected")
    for _ in range(3):
        client.post(url, json=REQUEST).raise_for_status()
    assert held(proxy) == 0


def test_a_call_is_free_when_its_provider_has_refused_it(
    vendor: VendorThread, proxy: Proxy, client: httpx.Client
) -> None:
    vendor.on().always(chat_error(400, "invalid_request_error", "no"))
    assert client.post(UNTOUCHED, json=REQUEST).status_code == 400
    asked(proxy, "uncollected")
    assert client.post(UNTOUCHED, json=REQUEST).status_code == 400
    assert held(proxy) == 0


def test_a_call_is_free_when_its_client_has_left(
    vendor: VendorThread, proxy: Proxy, client: httpx.Client
) -> None:
    role, word, *_ = chat_stream(["a "])
    vendor.on().always(streamed([role, word], Pause(60)))
    asked(proxy, "uncollected")
    with client.stream("POST", UNTOUCHED, json=REQUEST) as answer:
        assert answer.status_code == 200
        assert _held(proxy) > 0
    assert held(proxy) == 0

"""The pages of a real proxy: what runs now, and how long it waits for what."""

import json
import sqlite3
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing
from pathlib import Path
from typing import Any

import httpx
import pytest

from addons.runtime.version import VERSION
from tests.e2e.proxy import Proxy
from tests.e2e.talk import PATIENCE, Http1, ask, client, post, tunnel
from tests.vendor import Send, VendorThread, WaitFor, chat_error, chat_stream, streamed

KEY = "sk-pool-number-one-0001"
CONFIG = """
[providers.openai]
base_url = "{url}"
credentials = [{{ name = "one", key = "env:ONE" }}]
"""
HOST, CHAT = "api.openai.com", "/v1/chat/completions"
PAGES = ("/", "/status", "/usage?by=provider,model,credential,user,day", "/metrics", "/health", "/statusline")
TEXT = chat_stream(["Hello", " there"])
LIMITED = chat_error(429, "rate_limit_exceeded", "slow down", (("retry-after", "9"),))


@pytest.fixture
def vendor() -> Iterator[VendorThread]:
    with VendorThread() as running:
        yield running


@pytest.fixture
def proxy(vendor: VendorThread, tmp_path: Path) -> Iterator[Proxy]:
    with Proxy(tmp_path, CONFIG.format(url=vendor.base_url), keys={"ONE": KEY}) as running:
        yield running
    assert "Traceback" not in running.log


@pytest.fixture
def pages(proxy: Proxy) -> Iterator[httpx.Client]:
    with httpx.Client(
        proxy=proxy.url, base_url="http://rotator.local", trust_env=False, timeout=PATIENCE
    ) as http:
        yield http


def calls(pages: httpx.Client) -> list[dict[str, Any]]:
    found: list[dict[str, Any]] = pages.get("/status").raise_for_status().json()["calls"]
    return found


def events(lines: Iterator[str]) -> Iterator[tuple[str, Any]]:
    """What a page gets, without comments."""
    event = ""
    for line in lines:
        name, _, value = line.partition(": ")
        if name == "event":
            event = value
        elif name == "data":
            yield event, json.loads(value)


def test_the_proxy_says_that_it_serves_and_where_it_is(proxy: Proxy, pages: httpx.Client) -> None:
    said = pages.get("/health").raise_for_status().json()
    assert said == {
        "status": "ok",
        "version": VERSION,
        "pid": said["pid"],
        "port": proxy.port,
        "config": str(proxy.config),
        "bundle": "",
        "authority": str(proxy.ca),
        "web": "",
    }
    assert said["pid"] > 0


def test_a_call_that_streams_is_shown_until_it_is_over(
    proxy: Proxy, pages: httpx.Client, vendor: VendorThread
) -> None:
    vendor.on(path=CHAT).reply(streamed(TEXT[:2], WaitFor("look"), *map(Send, TEXT[2:])))
    with Http1(tunnel(proxy, HOST)) as us:
        us.send(post(CHAT, HOST, ask("gpt-4o"), []))
        us.until(b"Hello")
        (call,) = calls(pages)
        vendor.release("look")
        us.until(b"[DONE]")
    proxy.wait_log("end=completed")
    assert (call["provider"], call["model"], call["credential"]) == ("openai", "gpt-4o", "one")
    assert (call["state"], call["why"], call["seconds"], call["attempts"]) == ("streams", "", None, 1)
    assert 0 <= call["since"] < PATIENCE
    assert calls(pages) == []


def test_a_call_that_waits_says_for_how_long_and_for_what(
    proxy: Proxy, pages: httpx.Client, vendor: VendorThread
) -> None:
    vendor.on(path=CHAT).reply(LIMITED)
    with ThreadPoolExecutor(1) as pool, client(proxy) as http:
        asked = pool.submit(http.post, f"https://{HOST}{CHAT}", content=ask("gpt-4o"), timeout=3)
        proxy.wait_log("waits")
        (call,) = calls(pages)
        assert isinstance(asked.exception(), httpx.ReadTimeout)
    assert (call["state"], call["model"]) == ("waits", "gpt-4o")
    assert 5 < call["seconds"] <= 9
    assert "one" in call["why"]


def test_who_looks_gets_what_changes_until_the_proxy_ends(proxy: Proxy, pages: httpx.Client) -> None:
    with pages.stream("GET", "/events") as answer:
        assert answer.headers["content-type"] == "text/event-stream"
        found = events(answer.iter_lines())
        assert [next(found)[0] for _ in range(3)] == ["hello", "status", "ended"]
        proxy.process.terminate()
        assert {event for event, _ in found} <= {"status", "ended"}


def test_a_call_counts_as_soon_as_somebody_looks_and_after_the_end_of_the_proxy(
    vendor: VendorThread, tmp_path: Path
) -> None:
    """Though calls are counted together, a while after they are over."""
    file = tmp_path / "usage.sqlite"
    options = ("--set", f"rotator_usage={file}")
    with Proxy(tmp_path, CONFIG.format(url=vendor.base_url), keys={"ONE": KEY}, options=options) as proxy:
        vendor.on(path=CHAT).always(streamed(TEXT))
        with client(proxy) as http, httpx.Client(proxy=proxy.url, trust_env=False) as pages:
            for number in (1, 2, 3):
                http.post(f"https://{HOST}{CHAT}", content=ask()).raise_for_status()
                proxy.wait_log("verdict=ok", count=number)
                text = pages.get("http://rotator.local/metrics").text
                assert f'rotator_calls_total{{provider="openai",verdict="ok"}} {number}.0' in text
            http.post(f"https://{HOST}{CHAT}", content=ask()).raise_for_status()
            proxy.wait_log("verdict=ok", count=4)
    assert "one: 4 completed" in proxy.log
    with closing(sqlite3.connect(file)) as found:
        assert found.execute("SELECT count(*) FROM call").fetchone() == (4,)


def test_no_page_has_a_key(proxy: Proxy, pages: httpx.Client, vendor: VendorThread) -> None:
    """Neither one of the pool, nor a client's own, though it stands where a model belongs."""
    own = "sk-proj-own-key-of-the-client-000000000001"
    vendor.on(path=CHAT).reply(streamed(TEXT), 9)
    with client(proxy) as http:
        for model in ("gpt-4o", KEY, own):
            http.post(f"https://{HOST}{CHAT}", content=ask(model), headers={"authorization": f"Bearer {own}"})
    said = [pages.get(path).raise_for_status().text for path in PAGES]
    with pages.stream("GET", "/events") as answer:
        found = events(answer.iter_lines())
        said += [str(next(found)) for _ in range(3)]
    assert "gpt-4o" in said[PAGES.index("/metrics")]
    assert "gpt-4o" in said[-1]
    assert [text for text in said if KEY in text or own in text] == []


def test_nothing_of_it_leaves_for_a_web_page(pages: httpx.Client) -> None:
    evil = {"origin": "https://evil.example"}
    assert [pages.get(path, headers=evil).status_code for path in ("/status", "/events", "/health")] == [
        403
    ] * 3
    assert pages.post("/cool", headers=evil, json={}).status_code == 403
    assert pages.post("/cool", json={}).status_code == 403
    assert pages.post("/cool", content=iter([b"{", b"}"])).status_code == 411

"""What calls cost, in the log of a real proxy: as the provider states it, by one's own prices, by a list."""

import json
from collections.abc import Iterator
from contextlib import suppress
from typing import Any

import httpx
import pytest

from tests.e2e.proxy import Proxy
from tests.e2e.talk import client
from tests.vendor import VendorThread, chat_answer, chat_stream
from tests.vendor.answers import dump
from tests.vendor.script import Answer, Reset, streamed, whole

CONFIG = """
[prices]
file = "prices.toml"
[providers.openai]
base_url = "{url}"
credentials = [{{ name = "work", key = "env:ONE" }}]
"""
OWN = '["openai/mine"]\ninput = {price}\noutput = 0\n'
URL = "https://api.openai.com/v1/chat/completions"
USAGE = {"prompt_tokens": 1000, "completion_tokens": 100, "total_tokens": 1100}
CACHED = {**USAGE, "prompt_tokens_details": {"cached_tokens": 400}}
LIES = (
    *(b'"cost": %b' % number for number in (b"1e308", b"-1e308", b"1e999", b"NaN", b"-3", b"9" * 400)),
    *(b'"%b": %b' % (name, b"9" * 400) for name in (b"cost_in_usd_ticks", b"total_tokens", b"prompt_tokens")),
    b'"cost": {"input_cost": 1e308, "output_cost": 1e308}',
    b'"prompt_tokens": 1e308',
    b'"prompt_tokens": -7',
)
STATED = b': cost {"request_cost_usd": 0.125, "allowance_remaining_usd": 3.5}\n\n'


@pytest.fixture(scope="module")
def vendor() -> Iterator[VendorThread]:
    with VendorThread() as running:
        yield running


@pytest.fixture(scope="module")
def proxy(vendor: VendorThread, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Proxy]:
    folder = tmp_path_factory.mktemp("costs")
    (folder / "prices.toml").write_text(OWN.format(price=10))
    options = ("--set", "rotator_log=json")
    keys = {"ONE": "sk-pool-one-one-one"}
    with Proxy(folder, CONFIG.format(url=vendor.base_url), keys=keys, options=options) as running:
        yield running


def recorded(
    proxy: Proxy, vendor: VendorThread, model: str, answer: Answer, *, stream: bool
) -> dict[str, Any]:
    """What the log says of a call that is answered so."""
    vendor.on().reply(answer)
    before = proxy.log.count('"verdict"')
    request = {"model": model, "stream": stream, "messages": [{"role": "user", "content": "Hello"}]}
    with client(proxy) as http, suppress(httpx.HTTPError):
        http.post(URL, json=request, headers={"authorization": "Bearer sk-own"})
    log = proxy.wait_log('"verdict"', count=before + 1)
    found = [json.loads(line) for line in log.splitlines() if '"verdict"' in line]
    last: dict[str, Any] = found[-1]
    return last


def cost(said: dict[str, Any]) -> tuple[object, object]:
    return said.get("cost"), said.get("cost_source")


def answer(model: str, usage: dict[str, Any]) -> Answer:
    return whole(dump({**json.loads(b"".join(chat_answer("Hello", model=model))), "usage": usage}))


def test_the_list_that_ships_prices_what_the_provider_says_it_served(
    proxy: Proxy, vendor: VendorThread
) -> None:
    said = recorded(proxy, vendor, "gpt-4o", answer("gpt-4o-2024-08-06", CACHED), stream=False)
    assert cost(said) == (pytest.approx((600 * 2.5 + 400 * 1.25 + 100 * 10) / 1e6), "prices")


def test_a_stream_that_passes_untouched_has_a_cost_too(proxy: Proxy, vendor: VendorThread) -> None:
    events = chat_stream(["Hello", " world"], model="gpt-4o", usage=USAGE)
    said = recorded(proxy, vendor, "gpt-4o", streamed(events), stream=True)
    assert cost(said) == (pytest.approx((1000 * 2.5 + 100 * 10) / 1e6), "prices")
    stated = recorded(proxy, vendor, "gpt-4o", streamed([*events[:-1], STATED, events[-1]]), stream=True)
    assert cost(stated) == (0.125, "provider")


def test_a_stream_that_is_cut_is_estimated(proxy: Proxy, vendor: VendorThread) -> None:
    events = chat_stream(["Hello", " world"], model="gpt-4o", finish=None, done=False)
    said = recorded(proxy, vendor, "gpt-4o", streamed(events, Reset()), stream=True)
    assert said["verdict"] == "truncated"
    assert said["usage_estimated"]
    assert cost(said)[0]


def test_a_stream_whose_usage_its_client_did_not_ask_for_is_an_estimate_in_each_place(
    proxy: Proxy, vendor: VendorThread
) -> None:
    events = chat_stream(["Hello", " world"], model="gpt-4o")
    said = recorded(proxy, vendor, "gpt-4o", streamed(events), stream=True)
    assert said["verdict"] == "ok"
    assert said["usage_estimated"]
    assert said["tokens_in"] > 0
    assert said["tokens_out"] > 0
    assert cost(said)[1] == "prices"


def test_a_model_without_a_price_has_tokens_and_no_cost(proxy: Proxy, vendor: VendorThread) -> None:
    said = recorded(proxy, vendor, "no-such", answer("no-such", USAGE), stream=False)
    assert cost(said) == (None, None)
    assert said["tokens_in"] == 1000


def lying(lie: bytes, *, stream: bool) -> Answer:
    """An answer whose usage ends with `lie`."""
    usage = b'"usage": {"prompt_tokens": 7, "completion_tokens": 5, %b}' % lie
    if not stream:
        return whole(b'{"object": "chat.completion", "model": "lies", "choices": [], %b}' % usage)
    *events, last = chat_stream(["Hello"], model="lies")
    return streamed(
        [*events, b'data: {"object": "chat.completion.chunk", "choices": [], %b}\n\n' % usage, last]
    )


@pytest.mark.parametrize("stream", [False, True])
def test_usage_that_cannot_be_is_none_and_spoils_no_sum(
    proxy: Proxy, vendor: VendorThread, *, stream: bool
) -> None:
    """Neither the line of its call, nor the page, nor the metrics."""
    for lie in LIES:
        said = recorded(proxy, vendor, "lies", lying(lie, stream=stream), stream=stream)
        assert cost(said) in ((None, None), (0.0, "provider")), lie
        assert said["tokens_in"] in (None, 7), lie
    with httpx.Client(proxy=proxy.url, base_url="http://rotator.local", trust_env=False) as pages:
        samples = pages.get("/metrics").raise_for_status().text
        with pages.stream("GET", "/events") as shown:
            minutes = next(line for line in shown.iter_lines() if '"minutes"' in line)
    assert 'rotator_calls_total{provider="openai",verdict="ok"}' in samples
    assert "Infinity" not in minutes
    assert "NaN" not in minutes
    assert "Error" not in proxy.log


def test_own_prices_are_read_again_when_they_change(proxy: Proxy, vendor: VendorThread) -> None:
    said = recorded(proxy, vendor, "mine", answer("mine", USAGE), stream=False)
    assert cost(said) == (0.01, "own")
    (proxy.folder / "prices.toml").write_text(OWN.format(price=20))
    proxy.wait_log("the changed config is in force")
    said = recorded(proxy, vendor, "mine", answer("mine", USAGE), stream=False)
    assert cost(said) == (0.02, "own")


def test_a_broken_file_of_prices_leaves_the_former_ones_in_force(proxy: Proxy, vendor: VendorThread) -> None:
    (proxy.folder / "prices.toml").write_text('["mine"]\n')
    log = proxy.wait_log("names no provider")
    assert "prices.toml: " in next(line for line in log.splitlines() if "names no provider" in line)
    assert recorded(proxy, vendor, "mine", answer("mine", USAGE), stream=False)["cost_source"] == "own"

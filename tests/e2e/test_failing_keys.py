"""Keys whose provider answers with errors, while others of the pool serve or none does."""

from collections.abc import Iterator
from typing import Any

import pytest

from tests.e2e import sdk
from tests.e2e.proxy import Proxy
from tests.vendor import VendorThread, chat_error

KEYS = {"OPENAI_API_KEY_1": "sk-pool-that-fails-1", "OPENAI_API_KEY_2": "sk-pool-that-fails-2"}
HEALTHY = {"OPENAI_API_KEY_3": "sk-pool-that-serves"}
ONE, TWO, THREE = (*KEYS.values(), *HEALTHY.values())
CONFIG = """
[providers.openai]
base_url = "{url}"
"""
DOWN = chat_error(500, "server_error", "Internal error")


@pytest.fixture
def vendor() -> Iterator[VendorThread]:
    with VendorThread() as running:
        yield running


@pytest.fixture
def proxy(
    vendor: VendorThread, tmp_path_factory: pytest.TempPathFactory, request: pytest.FixtureRequest
) -> Iterator[Proxy]:
    config = CONFIG.format(url=vendor.base_url)
    with Proxy(tmp_path_factory.mktemp("failing"), config, keys=request.param) as running:
        yield running
    assert "Traceback" not in running.log


def ask(proxy: Proxy, *words: str) -> list[dict[str, Any]]:
    """What the SDK, asked once each, gets for requests with these words."""
    results = []
    for word in words:
        request = {"stream": True, "messages": [{"role": "user", "content": word}]}
        job = {"client": {"max_retries": 0}, "request": request}
        results += sdk.run("openai-current", "openai_chat", proxy.environment(), jobs=[job])["results"]
    return results


@pytest.mark.parametrize("proxy", [KEYS | HEALTHY], indirect=True)
def test_an_error_goes_to_each_other_key_and_one_that_keeps_failing_is_asked_last(
    proxy: Proxy, vendor: VendorThread
) -> None:
    for key in (ONE, TWO):
        vendor.on(key=key).reply(DOWN, 3)
    assert [one["error"] for one in ask(proxy, "a", "b", "c", "d")] == [None] * 4
    assert [one.credential for one in vendor.requests] == [ONE, TWO, THREE] * 3 + [THREE]
    log = proxy.wait_log("end=completed", count=4)
    for number in (1, 2):
        key = f"openai/OPENAI_API_KEY_{number} for model gpt-4o"
        assert log.count(f"{key} failed 3 times in a row while other keys served; it is asked last") == 1


@pytest.mark.parametrize("proxy", [KEYS], indirect=True)
def test_three_requests_that_no_key_can_serve_do_not_pause_the_only_provider(
    proxy: Proxy, vendor: VendorThread
) -> None:
    vendor.on().reply(DOWN, 9)
    bad = ask(proxy, "poison", "venom", "bane")
    assert [one["error"]["status"] for one in bad] == [500, 500, 500]
    assert [one["error"] for one in ask(proxy, "good")] == [None]
    assert [one.credential for one in vendor.requests] == [ONE, TWO, TWO] * 3 + [ONE]

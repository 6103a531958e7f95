"""A provider that is away for a while: whoever asks waits for it, and pays for nothing."""

import itertools
from pathlib import Path

import pytest

from tests.e2e.outage import outage
from tests.e2e.proxy import Proxy
from tests.e2e.talk import ask, client
from tests.vendor import Vendor, VendorThread, whole

CONFIG = """
[providers.openai]
base_url = "https://127.0.0.1:{port}"
credentials = [{{ name = "one", key = "env:ONE" }}]
[retry]
max_attempts = 1
"""
HEADERS = {"authorization": "Bearer sk-own", "x-stainless-retry-count": "1"}


@pytest.mark.parametrize(
    ("path", "times"),
    [("chat/completions", 3), ("embeddings", 2)],
)
def test_an_outage_is_waited_for_though_no_attempt_is_left(tmp_path: Path, path: str, times: int) -> None:
    """Also of a call that is cheap to ask again, and of a client that asks again itself."""
    tries = itertools.count()
    with VendorThread(Vendor(tls=True)) as vendor, outage(vendor, lambda: next(tries) < times) as port:
        trusted = ("--set", f"ssl_verify_upstream_trusted_ca={vendor.ca_path}")
        vendor.on(path="/v1/embeddings").reply(whole(b'{"object":"list","data":[]}'))
        with (
            Proxy(tmp_path, CONFIG.format(port=port), keys={"ONE": "sk-pool-one"}, options=trusted) as proxy,
            client(proxy) as http,
        ):
            url = f"https://api.openai.com/v1/{path}"
            answer = http.post(url, headers=HEADERS, content=ask(stream=False, input="x"))
            log = proxy.wait_log("end=completed")
        assert answer.status_code == 200, answer.text
        assert log.count("unreachable(TLS") == times, log
        assert len(vendor.requests) == 1


def test_a_client_may_ask_again_where_nothing_was_sent(tmp_path: Path) -> None:
    config = CONFIG.format(port=9).replace("https:", "http:") + "deadline = 0.1\n"
    with Proxy(tmp_path, config, keys={"ONE": "sk-pool-one"}) as proxy, client(proxy) as http:
        answer = http.post("https://api.openai.com/v1/chat/completions", headers=HEADERS, content=ask())
    assert answer.status_code == 502
    assert "cannot connect" in answer.text
    assert "x-should-retry" not in answer.headers

"""What is said to a person while it matters: at the proxy's own address, for want of trust, during a wait,
and at the end."""

import signal
import threading
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path

import httpx
import pytest

from tests.e2e.proxy import Proxy
from tests.e2e.talk import ask, client, curl
from tests.vendor import VendorThread, chat_error

URL = "https://api.openai.com/v1/chat/completions"
OWN = {"authorization": "Bearer sk-own-key"}
KEY = "sk-pool-number-one"
CONFIG = """
[providers.openai]
base_url = "{}"
credentials = [{{ name = "one", key = "env:ONE" }}]
"""


@pytest.fixture
def vendor() -> Iterator[VendorThread]:
    with VendorThread() as running:
        yield running


def test_who_takes_a_wrong_way_is_shown_the_right_one(tmp_path: Path) -> None:
    with Proxy(tmp_path) as proxy:
        called = httpx.post(f"{proxy.url}/v1/messages", content=b"{}", trust_env=False)
        page = httpx.get(proxy.url, headers={"accept": "text/html"}, trust_env=False)
        untrusting = [curl(proxy, URL, "--cacert", "/etc/hosts") for _ in range(2)]
        https = curl(proxy, URL, "-x", proxy.url.replace("http:", "https:"))
        proxy.wait_log("begin HTTPS_PROXY with http://")
        log = proxy.log
    assert called.status_code == page.status_code == 403
    assert called.json()["type"] == "error"
    assert f"set HTTPS_PROXY={proxy.url}" in called.json()["error"]["message"]
    assert "is rotator, a proxy for LLM tools" in page.text
    assert all(each.returncode for each in (*untrusting, https))
    assert log.count("this proxy's certificate for api.openai.com: it does not trust our authority") == 1
    assert f"paste where it runs: unset SSL_CERT_DIR; export HTTPS_PROXY={proxy.url} " in log
    assert f" SSL_CERT_FILE={proxy.ca} " in log


def test_a_wait_is_said_and_a_call_that_is_open_at_the_end_leaves_its_record(
    tmp_path: Path, vendor: VendorThread
) -> None:
    vendor.reply(chat_error(429, "rate_limit_exceeded", "slow", (("retry-after", "30"),)))
    with Proxy(tmp_path, CONFIG.format(vendor.base_url), keys={"ONE": KEY}) as proxy:
        asking = threading.Thread(target=_ask, args=(proxy,))
        asking.start()
        proxy.wait_log(
            "model=gpt-4o: waits in line for a key, which is due in 30 s: openai/one is rate-limited"
        )
        proxy.process.send_signal(signal.SIGINT)
        assert proxy.wait_exit() == 0
        asking.join(15)
        log = proxy.log
    assert 'end=abandoned detail="the proxy was stopped"' in log
    assert log.index("summary: 1 call") > log.index("end=abandoned")
    assert "summary: openai/one: 1 rejected (429 rate)" in log
    assert "Traceback" not in log


def _ask(proxy: Proxy) -> None:
    with client(proxy) as http, suppress(httpx.HTTPError):  # the proxy is stopped
        http.post(URL, headers=OWN, content=ask())

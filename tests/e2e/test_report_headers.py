"""Headers by which answers say how they came about."""

from collections.abc import Iterator, Mapping
from pathlib import Path

import httpx
import pytest

from tests.e2e.proxy import Proxy
from tests.e2e.talk import client
from tests.vendor import VendorThread, chat_error

CONFIG = """
[report]
headers = {headers}
[providers.openai]
base_url = "{url}"
credentials = [{{ name = "work", key = "env:ONE" }}, {{ name = "spare", key = "env:TWO" }}]
[[routes]]
match = {{ model = "elsewhere" }}
to = ["anthropic/claude"]
[browsers]
allow = ["https://known.example.com"]
"""
KEYS = {"ONE": "sk-pool-one-one-one", "TWO": "sk-pool-two-two-two"}
URL = "https://api.openai.com/v1/chat/completions"
LIMITED = chat_error(429, "rate_limit_exceeded", "slow down")


@pytest.fixture(scope="module")
def vendor() -> Iterator[VendorThread]:
    with VendorThread() as running:
        yield running


@pytest.fixture(scope="module")
def proxy(vendor: VendorThread, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Proxy]:
    config = CONFIG.format(url=vendor.base_url, headers="true")
    with Proxy(tmp_path_factory.mktemp("headers"), config, keys=KEYS) as running:
        yield running


def said(answer: httpx.Response) -> dict[str, str]:
    """What the answer says in our headers, by the end of their names; of the call's id, its length."""
    found = {name[10:]: value for name, value in answer.headers.items() if name.startswith("x-rotator-")}
    return {name: str(len(value)) if name == "call" else value for name, value in found.items()}


def ask(proxy: Proxy, model: str, headers: Mapping[str, str] | None = None, **body: object) -> httpx.Response:
    request = {"model": model, "messages": [{"role": "user", "content": "Hello"}], **body}
    with client(proxy) as http:
        answer: httpx.Response = http.post(
            URL, json=request, headers={"authorization": "Bearer sk-own", **(headers or {})}
        )
    return answer


@pytest.mark.parametrize("stream", [True, False])
def test_an_answer_says_who_answered_and_at_which_attempt(
    proxy: Proxy, vendor: VendorThread, *, stream: bool
) -> None:
    model = f"gpt-4o-{stream}\u00e9"
    vendor.on(key=KEYS["ONE"]).reply(LIMITED)
    answer = ask(proxy, model, stream=stream)
    assert answer.status_code == 200
    call = {"call": "8", "provider": "openai", "model": f"gpt-4o-{stream}?"}
    assert said(answer) == {**call, "attempts": "2", "credential": "spare"}


def test_a_refusal_says_so_too(proxy: Proxy, vendor: VendorThread) -> None:
    vendor.on().reply(chat_error(400, "invalid_request_error", "no"))
    answer = ask(proxy, "gpt-bad")
    assert answer.status_code == 400
    assert said(answer).items() >= {"attempts": "1", "credential": "work", "model": "gpt-bad"}.items()


def test_a_call_that_nobody_could_be_asked_about_says_its_id(proxy: Proxy) -> None:
    answer = ask(proxy, "elsewhere", logprobs=True, n=3)
    assert answer.status_code >= 400
    assert said(answer).items() >= {"call": "8", "attempts": "0"}.items()


@pytest.mark.parametrize(
    ("origin", "known"), [("https://a.example.com", False), ("https://known.example.com", True)]
)
def test_a_web_page_learns_nothing_unless_the_config_names_it(
    proxy: Proxy, origin: str, *, known: bool
) -> None:
    page = {"origin": origin, "sec-fetch-site": "cross-site"}
    assert bool(said(ask(proxy, "gpt-4o-page", page))) == known


def test_what_passes_through_gets_none(proxy: Proxy) -> None:
    with client(proxy) as http:
        assert said(http.get("https://api.openai.com/v1/files")) == {}


def test_by_default_there_are_none(vendor: VendorThread, tmp_path: Path) -> None:
    config = CONFIG.format(url=vendor.base_url, headers="false")
    with Proxy(tmp_path, config, keys=KEYS) as proxy:
        assert said(ask(proxy, "gpt-4o")) == {}

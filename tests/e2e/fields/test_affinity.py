"""Rules that keep a conversation where it is cached, and the one that continues a stored response."""

from collections.abc import Iterator, Mapping
from itertools import count
from pathlib import Path
from typing import Any

import pytest

from tests.e2e.proxy import Proxy
from tests.e2e.talk import client
from tests.vendor import Received, VendorThread

KEYS = {"KEY": "sk-pool-key-of-affinity"}
PROVIDERS = ("openai", "xai", "fireworks")
CHAT_AT = {
    "openai": "https://api.openai.com/v1/chat/completions",
    "xai": "https://api.x.ai/v1/chat/completions",
    "fireworks": "https://api.fireworks.ai/inference/v1/chat/completions",
}
RESPONSES = "https://api.openai.com/v1/responses"
CONFIG = "".join(
    f"""
    [providers.{name}]
    base_url = "{{url}}"
    credentials = [{{{{ name = "one", key = "env:KEY" }}}}]
    """
    for name in PROVIDERS
)
PREVIOUS = """
[[providers.openai.field_cache]]
name = "previous_response_id"
match = {{ protocol = "openai_responses" }}
source = "response"
path = "id"
mode = "last"
scope = ["provider", "model", "credential", "session"]
inject = {{ path = "previous_response_id" }}
"""
"""As docs/field_cache.md has it."""

_sessions = (f"session-number-{number}" for number in count())


@pytest.fixture(scope="module")
def vendor() -> Iterator[VendorThread]:
    with VendorThread() as running:
        yield running


@pytest.fixture(scope="module")
def proxy(vendor: VendorThread, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Proxy]:
    with Proxy(tmp_path_factory.mktemp("affinity"), CONFIG.format(url=vendor.base_url), keys=KEYS) as running:
        yield running


@pytest.fixture
def session() -> str:
    return next(_sessions)


def send(proxy: Proxy, vendor: VendorThread, url: str, session: str, **body: Any) -> Received:
    """The request as the provider got it."""
    headers: Mapping[str, str] = {"X-Session-Id": session} if session else {}
    with client(proxy) as http:
        answer = http.post(url, json={"model": "m-1", **body}, headers=headers)
    assert answer.status_code == 200, answer.text
    return vendor.requests[-1]


def chat(text: str = "hi") -> dict[str, Any]:
    return {"messages": [{"role": "user", "content": text}]}


@pytest.mark.parametrize(
    ("provider", "header"), [("xai", "x-grok-conv-id"), ("fireworks", "x-session-affinity")]
)
def test_a_header_says_which_conversation_it_is(
    provider: str, header: str, proxy: Proxy, vendor: VendorThread, session: str
) -> None:
    url = CHAT_AT[provider]
    assert send(proxy, vendor, url, session, **chat()).header(header) is None
    assert send(proxy, vendor, url, session, **chat(), prompt_cache_key="key-1").header(header) == "key-1"
    assert send(proxy, vendor, url, session, **chat()).header(header) == "key-1"
    assert send(proxy, vendor, url, f"not-{session}", **chat()).header(header) is None
    assert send(proxy, vendor, url, "", **chat(), prompt_cache_key="key-2").header(header) == "key-2"
    assert send(proxy, vendor, url, "", **chat()).header(header) is None


@pytest.mark.parametrize(("url", "body"), [(CHAT_AT["openai"], chat()), (RESPONSES, {"input": "hi"})])
def test_a_conversation_keeps_its_key(
    url: str, body: dict[str, Any], proxy: Proxy, vendor: VendorThread, session: str
) -> None:
    send(proxy, vendor, url, session, **body, prompt_cache_key="key-1")
    assert send(proxy, vendor, url, session, **body).json() == {
        "model": "m-1",
        **body,
        "prompt_cache_key": "key-1",
    }
    own = send(proxy, vendor, url, session, **body, prompt_cache_key="another")
    assert own.json()["prompt_cache_key"] == "another"
    assert "prompt_cache_key" not in send(proxy, vendor, url, f"not-{session}", **body).json()


def test_a_stored_response_is_not_continued_by_itself(
    proxy: Proxy, vendor: VendorThread, session: str
) -> None:
    send(proxy, vendor, RESPONSES, session, input="hi")
    assert send(proxy, vendor, RESPONSES, session, input="more").json() == {"model": "m-1", "input": "more"}


def test_a_stored_response_is_continued_where_the_config_says_so(
    vendor: VendorThread, session: str, tmp_path: Path
) -> None:
    with Proxy(tmp_path, (CONFIG + PREVIOUS).format(url=vendor.base_url), keys=KEYS) as proxy:
        send(proxy, vendor, RESPONSES, session, input="hi")
        more = send(proxy, vendor, RESPONSES, session, input="more").json()
        assert more == {"model": "m-1", "input": "more", "previous_response_id": "resp_1"}
        own = send(proxy, vendor, RESPONSES, session, input="more", previous_response_id="resp_own").json()
        assert own["previous_response_id"] == "resp_own"
        other = send(proxy, vendor, RESPONSES, f"not-{session}", input="hi").json()
        assert "previous_response_id" not in other


def test_the_documented_rule_is_the_one_that_was_tried() -> None:
    text = (Path(__file__).parents[3] / "docs" / "field_cache.md").read_text(encoding="utf-8")
    assert PREVIOUS.format() in text

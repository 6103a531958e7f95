"""Fields of a provider's answers that go back to it with the next call of the same session, through a real
proxy: who gets them, and who never does."""

import json
from collections.abc import Iterator
from itertools import count
from typing import Any

import pytest

from tests.e2e import sdk
from tests.e2e.proxy import Proxy
from tests.vendor import Reply, VendorThread, chat_answer, chat_stream, streamed, whole

CHAT = "/v1/chat/completions"
KEYS = {"ONE": "sk-pool-number-one", "TWO": "sk-pool-number-two"}
CONFIG = """
[providers.openai]
base_url = "{url}"
credentials = [{{ name = "one", key = "env:ONE" }}]
[[providers.openai.field_cache]]
name = "state"
match = {{ model = "gpt-4o*" }}
source = "response"
path = "x_state"
mode = "last"
scope = ["provider", "model", "session"]
inject = {{ target = "request", path = "x_state" }}
"""

_sessions = (f"session-number-{number}" for number in count())


@pytest.fixture(scope="module")
def vendor() -> Iterator[VendorThread]:
    with VendorThread() as running:
        yield running


@pytest.fixture(scope="module")
def proxy(vendor: VendorThread, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Proxy]:
    folder = tmp_path_factory.mktemp("fields")
    with Proxy(folder, CONFIG.format(url=vendor.base_url), keys=KEYS) as running:
        yield running
    assert "Traceback" not in running.log


@pytest.fixture
def session() -> str:
    return next(_sessions)


def whole_with(**fields: object) -> Reply:
    """A whole answer of Chat with `fields` besides."""
    (body,) = chat_answer("Hello")
    return whole(json.dumps({**json.loads(body), **fields}).encode())


def streamed_with(**fields: object) -> Reply:
    """The same as a stream, whose second chunk has them."""
    first, second, *others = chat_stream(["Hel", "lo"])
    chunk = json.loads(second.removeprefix(b"data: "))
    return streamed([first, b"data: %b\n\n" % json.dumps({**chunk, **fields}).encode(), *others])


def bodies(vendor: VendorThread, count: int) -> list[dict[str, Any]]:
    """Those of the first `count` requests, which are forgotten."""
    found = [json.loads(received.body) for received in vendor.wait_requests(count)[:count]]
    vendor.requests.clear()
    return found


@pytest.mark.parametrize("stream", [False, True], ids=["whole", "streamed"])
def test_what_an_answer_says_goes_back_with_the_next_call_of_the_session(
    proxy: Proxy, vendor: VendorThread, session: str, stream: bool
) -> None:
    vendor.on(path=CHAT).reply((streamed_with if stream else whole_with)(x_state={"turn": 1}), times=2)
    request = {"stream": stream, "extra_headers": {"X-Session-Id": session}}
    result = sdk.run("openai-current", "openai_chat", proxy.environment(), calls=2, request=request)
    assert (result["error"], result["text"]) == (None, "Hello")
    first, second = bodies(vendor, 2)
    assert "x_state" not in first
    assert second == {**first, "x_state": {"turn": 1}}

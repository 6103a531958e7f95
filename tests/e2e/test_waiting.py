"""SDKs that are shown life before anything is known of their answer."""

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.e2e import sdk
from tests.e2e.proxy import Proxy
from tests.vendor import Hang, Pause, Reply, VendorThread, chat_error, messages_error

CONFIG = """
[providers.openai]
base_url = "{url}"
[providers.anthropic]
base_url = "{url}"
[retry]
max_attempts = 2
[streaming]
first_event_timeout = 2.5
slow_start_timeout = 2.5
heartbeat_interval = 0.2
heartbeat_before_commit = true
"""
IMPATIENT = {"timeout": 1.5, "max_retries": 0}
"""Seconds that the SDK waits for a byte: less than the answer takes to begin."""


@pytest.fixture(scope="module")
def vendor() -> Iterator[VendorThread]:
    with VendorThread() as running:
        yield running


@pytest.fixture(scope="module")
def proxy(vendor: VendorThread, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Proxy]:
    with Proxy(Path(tmp_path_factory.mktemp("waiting")), CONFIG.format(url=vendor.base_url)) as running:
        yield running


def late(error: Reply) -> Reply:
    return Reply(error.status, error.headers, error.steps, error.framing, before=(Pause(0.5),))


def ask(proxy: Proxy, name: str, client: str, **options: Any) -> dict[str, Any]:
    job = {"request": {"stream": True}, "client": options}
    (result,) = sdk.run(name, client, proxy.environment(), jobs=[job])["results"]
    return dict(result)


@pytest.mark.parametrize(
    ("name", "client"),
    [("openai-current", "openai_chat"), ("anthropic-current", "anthropic_messages")],
)
def test_a_second_attempt_comes_in_time(vendor: VendorThread, proxy: Proxy, name: str, client: str) -> None:
    vendor.requests.clear()
    vendor.reply(Hang())
    answer = ask(proxy, name, client, **IMPATIENT)
    assert answer["error"] is None
    assert answer["finish"]
    assert len(vendor.requests) == 2


def test_a_failure_is_raised_out_of_the_stream(vendor: VendorThread, proxy: Proxy) -> None:
    vendor.reply(late(chat_error(400, "bad", "no such thing")))
    chat = ask(proxy, "openai-current", "openai_chat")
    vendor.reply(late(messages_error(400, "invalid_request_error", "no such thing")))
    messages = ask(proxy, "anthropic-current", "anthropic_messages")
    assert chat["error"] is not None
    assert messages["error"] is not None
    assert "no such thing" in chat["error"]["text"]
    assert "no such thing" in messages["error"]["text"]

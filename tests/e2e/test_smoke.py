"""The thinnest path through all layers: two SDKs, a key that is exhausted, and nobody notices."""

from pathlib import Path

from tests.e2e import sdk
from tests.e2e.proxy import Proxy
from tests.vendor import VendorThread, chat_error, messages_error

CONFIG = """
[providers.openai]
base_url = "{url}"
credentials = [{{ name = "one", key = "env:ONE" }}, {{ name = "two", key = "env:TWO" }}]
[providers.anthropic]
base_url = "{url}"
credentials = [{{ name = "one", key = "env:ONE" }}, {{ name = "two", key = "env:TWO" }}]
"""
KEYS = {"ONE": "sk-pool-one", "TWO": "sk-pool-two"}


def test_a_rotation_is_not_noticed(tmp_path: Path) -> None:
    with (
        VendorThread() as vendor,
        Proxy(tmp_path, CONFIG.format(url=vendor.base_url), keys=KEYS, forked=False) as proxy,
    ):
        vendor.on(key="sk-pool-one").reply(chat_error(429, "rate_limit_exceeded", "slow down"))
        chat = sdk.run("openai-current", "openai_chat", proxy.environment(), request={"stream": True})
        vendor.on(key="sk-pool-one").reply(messages_error(429, "rate_limit_error", "slow down"))
        messages = sdk.run(
            "anthropic-current", "anthropic_messages", proxy.environment(), request={"stream": True}
        )
        credentials = [request.credential for request in vendor.requests]
    assert chat["error"] is None
    assert chat["finish"] == [[0, "stop"]]
    assert messages["error"] is None
    assert messages["finish"] == "end_turn"
    assert credentials == ["sk-pool-one", "sk-pool-two"] * 2

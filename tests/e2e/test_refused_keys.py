"""Keys that their provider refuses: what a tool prints, and what the log says, once."""

from collections.abc import Iterator
from typing import Any

import httpx
import pytest

from tests.e2e import sdk
from tests.e2e.proxy import ADDON, Proxy
from tests.vendor import VendorThread, chat_error

KEYS = {"OPENAI_API_KEY_1": "sk-pool-that-was-revoked", "OPENAI_API_KEY_2": "sk-pool-that-is-good"}
ONE, TWO = KEYS.values()
CONFIG = """
[providers.openai]
base_url = "{url}"
"""
NO_KEY = chat_error(401, "invalid_api_key", "Incorrect API key provided", (("x-request-id", "req_1"),))


COMMANDS = """
from mitmproxy import ctx, exceptions, http

def request(flow):
    if flow.request.host == "command.test":
        try:
            ctx.master.commands.call_strings("rotator.resume", list(flow.request.query.values()))
        except exceptions.CommandError as error:
            flow.response = http.Response.make(400, str(error))
        else:
            flow.response = http.Response.make(200)
"""
"""A script with which a test has mitmproxy's command run, as a person does in mitmweb."""


@pytest.fixture
def vendor() -> Iterator[VendorThread]:
    with VendorThread() as running:
        yield running


@pytest.fixture
def proxy(
    vendor: VendorThread, tmp_path_factory: pytest.TempPathFactory, request: pytest.FixtureRequest
) -> Iterator[Proxy]:
    keys = dict(list(KEYS.items())[: request.param])
    config = CONFIG.format(url=vendor.base_url)
    folder = tmp_path_factory.mktemp("refused")
    (folder / "commands.py").write_text(COMMANDS)
    with Proxy(folder, config, keys=keys, scripts=(ADDON, folder / "commands.py")) as running:
        yield running
    assert "Traceback" not in running.log


def ask(proxy: Proxy, calls: int, model: str = "gpt-4o") -> dict[str, Any]:
    """The last of so many calls of the SDK as it comes."""
    request = {"stream": True, "model": model}
    return sdk.run("openai-current", "openai_chat", proxy.environment(), calls=calls, request=request)


@pytest.mark.parametrize("proxy", [1], indirect=True)
def test_a_tool_sees_the_refusal_in_every_call_and_is_never_made_to_wait(
    proxy: Proxy, vendor: VendorThread
) -> None:
    vendor.on(key=ONE).reply(NO_KEY)
    first, third = ask(proxy, 1), ask(proxy, 2)
    for result in (first, third):
        assert (result["error"]["type"], result["error"]["status"]) == ("AuthenticationError", 401)
        assert "Incorrect API key provided" in result["error"]["text"]
        assert result["headers"]["x-request-id"] == "req_1"
    assert "openai/OPENAI_API_KEY_1 was refused (401 invalid_api_key); it is tried again in" in third["body"]
    assert [one.credential for one in vendor.requests] == [ONE]
    log = proxy.wait_log("end=rejected", count=3)
    assert log.count("check the key; it is tried again in 300 s") == 1
    assert "rate-limited" not in log


@pytest.mark.parametrize("proxy", [2], indirect=True)
def test_a_key_that_dies_beside_a_good_one_is_named_in_the_log_once(
    proxy: Proxy, vendor: VendorThread
) -> None:
    vendor.on(key=ONE).reply(NO_KEY)
    assert ask(proxy, 3)["error"] is None
    assert [one.credential for one in vendor.requests] == [ONE, TWO, TWO, TWO]
    log = proxy.wait_log("end=completed", count=3)
    assert log.count("openai/OPENAI_API_KEY_1 was refused (401 invalid_api_key") == 1
    assert 'attempts="OPENAI_API_KEY_1:rejected(401 auth) OPENAI_API_KEY_2:completed"' in log


@pytest.mark.parametrize("proxy", [1], indirect=True)
def test_a_mended_key_is_resumed_by_a_command(proxy: Proxy, vendor: VendorThread) -> None:
    vendor.on(key=ONE).reply(NO_KEY)
    assert ask(proxy, 1)["error"]["status"] == 401
    with httpx.Client(proxy=proxy.url, trust_env=False) as http:
        unknown = http.get("http://command.test/", params={"which": "openai/three"})
        resumed = http.get("http://command.test/", params={"which": "openai/OPENAI_API_KEY_1"})
    assert (unknown.status_code, resumed.status_code) == (400, 200)
    assert "there is no key of openai/three" in unknown.text
    assert ask(proxy, 1)["error"] is None
    assert [one.credential for one in vendor.requests] == [ONE, ONE]
    proxy.wait_log("resumed: openai/OPENAI_API_KEY_1 may be used at once")

"""Where a request goes is the config's to say: no path and no host of a client sends a key elsewhere."""

import json
from collections.abc import Iterator
from pathlib import Path

import pytest
from mitmproxy import http
from mitmproxy.io import FlowWriter
from mitmproxy.test import tflow

from tests.e2e.proxy import ADDON, Proxy
from tests.e2e.talk import PROBE, Http1, Http2, Listener, ask, curl, order, tunnel, wait_order
from tests.vendor import VendorThread

POOL = "sk-pool-number-one"
CONFIG = """
[providers.openai]
base_url = "{url}"
credentials = [{{ name = "one", key = "env:ONE" }}]
[providers.anthropic]
base_url = "{url}"
credentials = [{{ name = "one", key = "env:ONE" }}]
websocket = "pass"
"""
CHAT = "/v1/chat/completions"


@pytest.fixture(scope="module")
def vendor() -> Iterator[VendorThread]:
    with VendorThread() as running:
        yield running


@pytest.fixture(scope="module")
def evil() -> Iterator[Listener]:
    """Where no request may arrive."""
    with Listener() as listener:
        yield listener
        assert not listener.was_called()


@pytest.fixture(scope="module")
def proxy(vendor: VendorThread, evil: Listener, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Proxy]:
    config = CONFIG.format(url=vendor.base_url)
    folder = tmp_path_factory.mktemp("targets")
    with Proxy(folder, config, keys={"ONE": POOL}, scripts=(ADDON, PROBE)) as running:
        yield running
    assert "Traceback" not in running.log


@pytest.mark.parametrize("rest", [CHAT, "/v1/files", "/v1/responses?x=1"], ids=["call", "passed", "query"])
@pytest.mark.parametrize(
    "form",
    ["@127.0.0.1:{port}", ":x@127.0.0.1:{port}", ".127.0.0.1.nip.test:{port}", "http://127.0.0.1:{port}", ""],
)
def test_a_path_that_is_none_is_refused(
    proxy: Proxy, vendor: VendorThread, evil: Listener, form: str, rest: str
) -> None:
    path = form.format(port=evil.port) + rest if form else f"*{rest}"
    with Http2(proxy, "api.openai.com") as client:
        answer = client.finished(client.post(path, ask(), {"content-type": "application/json"}))
    assert answer.headers[b":status"] == b"400"
    error = json.loads(answer.data)["error"]
    assert (error["type"], "begin with /" in error["message"]) == ("invalid_request_error", True)
    assert not vendor.requests


@pytest.mark.parametrize("path", ["/v1/chat/completions#x", "/v1/x\x7f", "/v1/caf\xe9"])
def test_what_no_url_has_is_refused(proxy: Proxy, vendor: VendorThread, path: str) -> None:
    with Http1(tunnel(proxy, "api.anthropic.com")) as client:
        client.send(f"GET {path} HTTP/1.1\r\nHost: api.anthropic.com\r\n\r\n".encode())
        assert client.until(b"\r\n\r\n").startswith(b"HTTP/1.1 400")
    assert not vendor.requests


@pytest.mark.parametrize(("named", "status"), [("evil.test", 400), ("api.anthropic.com", 404)])
def test_a_target_in_absolute_form_is_a_path_of_the_same_host(
    proxy: Proxy, vendor: VendorThread, named: str, status: int
) -> None:
    with Http1(tunnel(proxy, "api.anthropic.com")) as client:
        client.send(f"GET https://{named}/v1/files HTTP/1.1\r\nHost: api.anthropic.com\r\n\r\n".encode())
        assert client.until(b"\r\n\r\n").startswith(f"HTTP/1.1 {status}".encode())
    paths = [received.target.partition("/v1")[1:] for received in vendor.requests]
    assert paths == ([("/v1", "/files")] if status == 404 else [])
    vendor.requests.clear()


def test_a_handshake_is_no_exception(proxy: Proxy, vendor: VendorThread) -> None:
    with Http1(tunnel(proxy, "api.anthropic.com")) as client:
        head = "Connection: Upgrade\r\nUpgrade: websocket\r\nSec-WebSocket-Version: 13\r\n"
        key = "Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n"
        client.send(f"GET * HTTP/1.1\r\nHost: api.anthropic.com\r\n{head}{key}\r\n".encode())
        assert client.until(b"\r\n\r\n").startswith(b"HTTP/1.1 400")
    assert not vendor.requests


@pytest.mark.parametrize(
    "host",
    ["x@{evil}", "{evil}/.openai.azure.com", "{evil}?.openai.azure.com", "{evil}#.openai.azure.com", "a b"],
)
def test_a_host_that_is_none_is_refused(
    proxy: Proxy, vendor: VendorThread, evil: Listener, host: str
) -> None:
    """Taken as text, its end would fit the pattern of a provider, and its beginning would be called."""
    named = host.format(evil=f"127.0.0.1:{evil.port}")
    with Http1(tunnel(proxy, "x.openai.azure.com")) as client:
        client.send(f"POST {CHAT} HTTP/1.1\r\nHost: {named}\r\nContent-Length: 0\r\n\r\n".encode())
        assert client.until(b"\r\n\r\n").startswith(b"HTTP/1.1 400")
    assert not vendor.requests


def test_curl_gets_a_message_that_says_what_is_wrong(proxy: Proxy, vendor: VendorThread) -> None:
    options = ("--http2", "--request-target", "@127.0.0.1:1/v1/messages", "-d", "{}")
    answer = curl(proxy, "https://api.anthropic.com/v1/messages", *options)
    assert json.loads(answer.stdout)["error"]["type"] == "invalid_request_error"
    assert not vendor.requests


def test_a_replay_of_an_edited_flow_goes_nowhere_else(
    proxy: Proxy, vendor: VendorThread, evil: Listener, tmp_path: Path
) -> None:
    """What a file of flows says is no more to be trusted than a client."""
    flow = tflow.tflow()
    flow.request = http.Request.make("POST", f"https://api.openai.com{CHAT}", ask())
    flow.request.path = path = f"@127.0.0.1:{evil.port}{CHAT}"
    with (tmp_path / "edited").open("wb") as file:
        FlowWriter(file).add(flow)  # type: ignore[no-untyped-call]  # mitmproxy has no types here
    order(proxy, "replay_file", file=str(tmp_path / "edited"))
    found = wait_order(proxy, lambda found: found and found[0]["status"], "seen", path=path)
    assert found[0]["status"] == 400
    assert not vendor.requests


def test_a_request_to_the_proxy_itself_keeps_no_key(proxy: Proxy) -> None:
    own = "sk-own-key-of-the-client"
    headers = ("-H", f"Authorization: Bearer {own}", "-H", f"Cookie: a={own}")
    curl(proxy, f"http://127.0.0.1:{proxy.port}/itself?key={own}", *headers)
    (found,) = order(proxy, "seen", path="/itself")
    assert (found["status"], own in found["text"]) == (403, False)

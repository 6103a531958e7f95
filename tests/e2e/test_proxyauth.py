"""A proxy with a password: without it nothing is answered, whoever would have answered it."""

import socket
from base64 import b64encode
from collections.abc import Iterator

import pytest

from tests.e2e.proxy import Proxy
from tests.e2e.talk import Http1
from tests.vendor import VendorThread, whole

CONFIG = """
[providers.openai]
base_url = "{url}"
websocket = "bridge"
credentials = [{{ name = "one", key = "env:ONE" }}]
"""
HOST, OWN = "api.openai.com", "sk-own-key-of-somebody"
HANDSHAKE = (
    "Upgrade: websocket\r\nConnection: Upgrade\r\n"
    "Sec-WebSocket-Version: 13\r\nSec-WebSocket-Key: AAAAAAAAAAAAAAAAAAAAAA==\r\n"
)
SECRET = "open-sesame-for-users"
PASSWORD = f"Proxy-Authorization: Basic {b64encode(f'user:{SECRET}'.encode()).decode()}\r\n"


@pytest.fixture(scope="module")
def vendor() -> Iterator[VendorThread]:
    with VendorThread() as running:
        yield running


@pytest.fixture(scope="module")
def proxy(vendor: VendorThread, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Proxy]:
    folder = tmp_path_factory.mktemp("proxyauth")
    options = ("--set", f"proxyauth=user:{SECRET}", "-w", str(folder / "flows"))
    config, keys = CONFIG.format(url=vendor.base_url), {"ONE": "sk-pool-number-one"}
    with Proxy(folder, config, keys=keys, options=options) as running:
        yield running
    assert "Traceback" not in running.log
    saved = (folder / "flows").read_bytes()
    assert b"proxyauth" in saved
    assert SECRET.encode() not in saved


def asked(proxy: Proxy, target: str, headers: str, host: str = HOST) -> bytes:
    """The head of the answer to a request in the clear."""
    head = f"GET {target} HTTP/1.1\r\nHost: {host}\r\nAuthorization: Bearer {OWN}\r\n{headers}\r\n"
    with Http1(socket.create_connection(("127.0.0.1", proxy.port))) as us:
        us.send(head.encode())
        return us.until(b"\r\n\r\n")


@pytest.mark.parametrize(
    ("path", "headers", "with_password"),
    [
        ("/v1/responses", HANDSHAKE, b"101"),
        (f"/v1/responses/resp_rot{0:024x}", "", b"404"),
        ("/v1/files", "", b"200"),
        ("/v1/chat/completions#", "", b"400"),
    ],
    ids=["bridge", "kept-response", "passed", "refused"],
)
def test_without_the_password_nothing_is_answered(
    proxy: Proxy, vendor: VendorThread, path: str, headers: str, with_password: bytes
) -> None:
    vendor.on(path="/v1/files").reply(whole(b"{}"))
    target = f"http://{HOST}{path}"
    assert asked(proxy, target, headers).startswith(b"HTTP/1.1 407 ")
    assert vendor.requests == []
    assert asked(proxy, target, headers + PASSWORD).startswith(b"HTTP/1.1 " + with_password)
    vendor.requests.clear()


def test_the_proxy_s_own_page_is_not_shown_either(proxy: Proxy) -> None:
    """It names folders of this machine."""
    assert b" 407 " in asked(proxy, f"http://127.0.0.1:{proxy.port}/", "")
    assert b" 407 " not in asked(proxy, f"http://127.0.0.1:{proxy.port}/", PASSWORD)


@pytest.mark.parametrize("page", ["", "status", "events", "usage", "metrics"])
def test_nor_are_the_pages_at_its_own_host(proxy: Proxy, page: str) -> None:
    target, host = f"http://rotator.local/{page}", "rotator.local"
    assert b" 407 " in asked(proxy, target, "", host)
    assert b" 200 " in asked(proxy, target, PASSWORD, host)


def test_a_load_balancer_needs_no_password(proxy: Proxy) -> None:
    """By a request for the host of the pages, or for the proxy itself."""
    own = f"127.0.0.1:{proxy.port}"
    for target, host in (("http://rotator.local/health", "rotator.local"), ("/health", own)):
        with Http1(socket.create_connection(("127.0.0.1", proxy.port))) as us:
            us.send(f"GET {target} HTTP/1.1\r\nHost: {host}\r\n\r\n".encode())
            answer = us.until(b"ok\n")
            assert answer.startswith(b"HTTP/1.1 200 ")
            assert b"version" not in answer

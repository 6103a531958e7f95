"""Which proxy a command asks."""

import json
import threading
from base64 import b64encode
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

import pytest

from rotator.found import Address, addresses, ask, find, parsed

HEALTH = {"status": "ok", "version": "9.9", "pid": 7, "port": 1, "config": "", "bundle": "/b", "web": None}


class Handler(BaseHTTPRequestHandler):
    """Answers as a proxy that speaks for its own host, and keeps what it was asked."""

    said: object = HEALTH
    asked: list[tuple[str, str | None]]

    def do_GET(self) -> None:
        self.asked.append((self.path, self.headers["proxy-authorization"]))
        self.send_response(200)
        self.end_headers()
        self.wfile.write(json.dumps(self.said).encode())

    def log_message(self, format: str, *args: object) -> None:
        """Silent."""


@pytest.fixture
def handler() -> type[Handler]:
    return type("Own", (Handler,), {"asked": []})


@pytest.fixture
def port(handler: type[Handler]) -> Iterator[int]:
    with ThreadingHTTPServer(("127.0.0.1", 0), handler) as server:
        thread = threading.Thread(target=server.serve_forever, args=(0.01,))
        thread.start()
        yield server.server_port
        server.shutdown()
        thread.join()


def test_the_proxy_of_the_variable_is_found(port: int, handler: type[Handler]) -> None:
    found = find(environment={"HTTPS_PROXY": f"http://me:p%40ss@127.0.0.1:{port}"})
    assert found is not None
    assert (found.version, found.pid, found.bundle, found.web) == ("9.9", 7, "/b", "")
    assert found.address.url == f"http://127.0.0.1:{port}"
    assert handler.asked == [
        ("http://rotator.local/health", f"Basic {b64encode(b'me:p@ss').decode()}"),
    ]


@pytest.mark.parametrize("said", [[], {"status": "ok"}, "no"])
def test_another_server_is_none(port: int, handler: type[Handler], said: object) -> None:
    handler.said = said
    assert find(port, {}) is None


def test_nobody_there_is_none(port: int) -> None:
    assert ask(Address(port=1), "/health", timeout=0.5) is None


PASTED, DEFAULT = Address(port=8097), Address()


@pytest.mark.parametrize(
    ("port", "variable", "where"),
    [
        (None, "", [DEFAULT]),
        (None, "http://127.0.0.1:8097", [PASTED, DEFAULT]),
        (None, "http://proxy.example.com:3128", [DEFAULT]),
        (8097, "http://127.0.0.1:8080", [PASTED]),
        (8097, "http://u:p@localhost:8097", [Address("localhost", 8097, "u:p")]),
    ],
)
def test_where_it_is_looked_for(port: int | None, variable: str, where: list[Address]) -> None:
    assert list(addresses(port, {"https_proxy": variable})) == where


@pytest.mark.parametrize("url", ["", "http://", "http://127.0.0.1", "http://127.0.0.1:x", "http://[::1:80"])
def test_what_is_no_address(url: str) -> None:
    assert parsed(url) is None


def test_an_address_of_ipv6() -> None:
    address = parsed("[::1]:8097")
    assert address is not None
    assert (address.host, address.url) == ("::1", "http://[::1]:8097")

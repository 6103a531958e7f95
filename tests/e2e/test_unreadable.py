"""Bytes that are no HTTP, from either side: what mitmproxy says of them shows no key of theirs."""

from collections.abc import Iterator

import pytest

from tests.e2e.proxy import Proxy
from tests.e2e.talk import Http1, Http2, Listener, connect, tunnel

CONFIG = """
[providers.raw]
base_url = "http://127.0.0.1:{raw}"
hosts = ["raw.test"]
protocols = ["openai_chat"]
credentials = [{{ name = "one", key = "env:ONE" }}]
"""
POOL = "sk-pool-number-one"
OWN = "own-key-of-a-client"


@pytest.fixture(scope="module")
def raw() -> Iterator[Listener]:
    with Listener() as listener:
        yield listener


@pytest.fixture(scope="module")
def proxy(raw: Listener, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Proxy]:
    folder = tmp_path_factory.mktemp("unreadable")
    flows = folder / "flows"
    with Proxy(
        folder, CONFIG.format(raw=raw.port), keys={"ONE": POOL}, options=("-w", str(flows))
    ) as running:
        yield running
    assert not [word for word in ("Traceback", "crashed", POOL, OWN) if word in running.log], running.log
    assert not [word for word in (POOL, OWN) if word.encode() in flows.read_bytes()]


ANSWERS = [
    f"HTTP/1.1 200 OK\r\n{POOL}\r\n\r\n",
    f"HTTP/1.1 {POOL} OK\r\n\r\n",
    f"HTTP/1.1 200 OK\r\nContent-Length: {POOL}\r\n\r\n",
    f"HTTP/1.1 200 OK\r\nTransfer-Encoding: {POOL}\r\n\r\n",
    f"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n{POOL}\r\n",
    f"HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n{POOL}",
    POOL,
]


@pytest.mark.parametrize("answer", ANSWERS)
def test_an_answer_that_cannot_be_read(proxy: Proxy, raw: Listener, answer: str) -> None:
    with Http1(tunnel(proxy, "raw.test")) as us:
        us.send(b"GET /v1/files HTTP/1.1\r\nHost: raw.test\r\nAuthorization: Bearer sk-own\r\n")
        us.send(b"Connection: close\r\n\r\n")
        with raw.accept() as provider:
            provider.until(POOL.encode())
            provider.send(answer.encode())
        received = us.rest()
    assert received.startswith(b"HTTP/1.1 ")
    assert POOL.encode() not in received


@pytest.mark.parametrize("line", [f"x-api-key {OWN}\r\n\r\n", f"x-api-key: {OWN}\r\n"])
def test_a_request_that_cannot_be_read(proxy: Proxy, line: str) -> None:
    before = proxy.log.count("(not shown)")
    sock, _ = connect(proxy, "raw.test:80")
    with Http1(sock) as us:
        us.send(f"GET /v1/files HTTP/1.1\r\nHost: raw.test\r\n{line}".encode())
    proxy.wait_log("(not shown)", count=before + 1)


@pytest.mark.parametrize(
    "field", ["X-A: b\rHost: c", "X-A: b\r\n c", "X-A: b\0", f"Authorization: Bearer\r\n {OWN}"]
)
def test_a_header_that_servers_read_in_two_ways(proxy: Proxy, raw: Listener, field: str) -> None:
    with Http1(tunnel(proxy, "raw.test")) as us:
        us.send(f"GET /v1/files HTTP/1.1\r\nHost: raw.test\r\n{field}\r\nConnection: close\r\n\r\n".encode())
        assert us.rest().startswith(b"HTTP/1.1 400 ")
    assert not raw.was_called()


def test_trailers_of_a_request_are_dropped(proxy: Proxy, raw: Listener) -> None:
    with Http1(tunnel(proxy, "raw.test")) as us:
        us.send(b"POST /v1/files HTTP/1.1\r\nHost: raw.test\r\nTransfer-Encoding: chunked\r\n\r\n")
        us.send(f"2\r\nhi\r\n0\r\nX-Api-Key: {OWN}\r\n\r\n".encode())
        answered(raw)
        us.until(b"ok")
    with Http2(proxy, "raw.test") as h2:
        answered_to = h2.post("/v1/files", b"hi", {}, trailers={"x-api-key": OWN})
        answered(raw)
        assert h2.finished(answered_to).headers[b":status"] == b"200"


def answered(raw: Listener) -> None:
    with raw.accept() as provider:
        provider.until(b"2\r\nhi\r\n0\r\n\r\n")
        provider.send(b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\nConnection: close\r\n\r\nok")


@pytest.mark.parametrize(
    "asked", ["", "Upgrade: websocket\r\nConnection: Upgrade\r\nSec-WebSocket-Key: x\r\n"]
)
def test_a_change_of_protocol_that_no_handshake_asked_for(proxy: Proxy, raw: Listener, asked: str) -> None:
    with Http1(tunnel(proxy, "raw.test")) as us:
        us.send(f"POST /v1/realtime HTTP/1.1\r\nHost: raw.test\r\n{asked}".encode())
        us.send(b"Authorization: Bearer sk-own\r\nContent-Length: 0\r\n\r\n")
        with raw.accept() as provider:
            provider.until(POOL.encode())
            provider.send(
                b"HTTP/1.1 101 Switching\r\nUpgrade: x\r\nConnection: Upgrade\r\n\r\n" + POOL.encode()
            )
            received = us.until(b"could not be searched for keys")
    assert received.startswith(b"HTTP/1.1 502 ")
    assert POOL.encode() not in received

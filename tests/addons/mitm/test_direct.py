"""The short way of body bytes: who has it, and that nothing is other by it."""

import logging
import os
import socket
from http.client import HTTPConnection
from pathlib import Path

import pytest
from mitmproxy.proxy.layer import Layer
from mitmproxy.proxy.layers.http import HttpLayer
from OpenSSL import SSL

from addons.mitm import direct
from tests.addons import http3
from tests.addons.mitm.calls import SCRIPT, get, settled
from tests.addons.mitm.stream_script import BLOCK
from tests.addons.mitmdump import PATIENCE, H2Client, Mitmdump, curl, tls_client

BODY = b"one\ntwo\n" + BLOCK
SHORT, LAYERS = [True] * 3, [False] * 3


def taken(proxy: Mitmdump, name: str) -> object:
    """Which pieces of an answer went the short way, once it is over."""
    ways = proxy.wait("ways", name)["taken"]
    settled(proxy, name, "response")
    assert proxy.order("flow", name=name)["kept"] == len(BODY)
    return ways


def test_http1_in_the_clear_and_in_tls(proxy: Mitmdump, http1: HTTPConnection, name: str) -> None:
    assert get(http1, f"/ways?name={name}").read() == BODY
    assert taken(proxy, name) == SHORT


def test_http2(proxy: Mitmdump, http2: H2Client, name: str) -> None:
    assert http2.finished(http2.request(f"/ways?name={name}")).data == BODY
    assert taken(proxy, name) == SHORT


def test_http2_holds_back_what_its_window_does_not_take(proxy: Mitmdump, http2: H2Client, name: str) -> None:
    http2.reading = False
    number = http2.request(f"/ways?name={name}")
    http2.until(lambda: len(http2.streams[number].data) == 65535)
    http2.read_on()
    assert http2.finished(number).data == BODY
    assert taken(proxy, name) == SHORT


@pytest.mark.parametrize(
    ("mode", "url", "version"),
    [
        ("reverse:http://api.test:1", "http://127.0.0.1:{}", "--http1.1"),
        ("reverse:https://api.test:1", "https://api.test:{}", "--http1.1"),
        ("reverse:https://api.test:1", "https://api.test:{}", "--http2"),
        ("socks5", "https://api.test", "--http1.1"),
        ("socks5", "http://api.test", "--http1.1"),
        ("upstream:http://127.0.0.1:1", "https://api.test", "--http2"),
        ("upstream:http://127.0.0.1:1", "http://api.test", "--http1.0"),
        ("regular", "https://api.test", "--http1.0"),
    ],
)
def test_other_ways_in(confdir: Path, name: str, mode: str, url: str, version: str) -> None:
    with Mitmdump(SCRIPT, confdir, "--mode", mode, "--ssl-insecure") as other:
        port = str(other.port)
        way = {
            "reverse": ("--noproxy", "*", "--resolve", f"api.test:{port}:127.0.0.1"),
            "socks5": ("-x", f"socks5h://127.0.0.1:{port}"),
        }.get(mode.partition(":")[0], ())
        answer = curl(other, url.format(port) + f"/ways?name={name}", version, *way, "-o", "/dev/null")
        assert answer.returncode == 0, answer.stderr
        assert other.wait("ways", name)["taken"] == SHORT


def raw_answer(proxy: Mitmdump, path: str) -> bytes:
    """All bytes of an answer over HTTP/1.1, in the clear."""
    with socket.create_connection(("127.0.0.1", proxy.port), PATIENCE) as sock:
        request = f"GET http://api.test{path} HTTP/1.1\r\nHost: api.test\r\nConnection: close\r\n\r\n"
        sock.sendall(request.encode())
        return b"".join(iter(lambda: sock.recv(1 << 16), b""))


def test_both_ways_write_the_same(proxy: Mitmdump, name: str) -> None:
    short = raw_answer(proxy, f"/ways?name={name}-1")
    long = raw_answer(proxy, f"/ways?name={name}-2&layers=1")
    assert short == long
    assert (taken(proxy, f"{name}-1"), taken(proxy, f"{name}-2")) == (SHORT, LAYERS)


def test_an_answer_that_is_kept_for_editing_has_none(
    proxy: Mitmdump, http1: HTTPConnection, name: str
) -> None:
    assert get(http1, f"/ways?name={name}&buffer=60").read() == BODY
    assert taken(proxy, name) == LAYERS


def test_tls_in_tls_has_none(proxy: Mitmdump, name: str) -> None:
    answer = curl(
        proxy,
        f"https://api.test/ways?name={name}",
        *("-x", f"https://127.0.0.1:{proxy.port}", "--proxy-insecure", "-o", "/dev/null"),
    )
    assert answer.returncode == 0, answer.stderr
    assert taken(proxy, name) == LAYERS


async def test_http3_has_none(confdir: Path, name: str) -> None:
    with Mitmdump(SCRIPT, confdir, "--mode", "reverse:http3://api.test:1") as other:
        assert await http3.get(other.port, "api.test", f"/ways?name={name}") == (b"200", BODY)
        assert other.wait("ways", name)["taken"] == LAYERS


@pytest.mark.skipif(
    SSL.OPENSSL_VERSION_NUMBER < 0x40000000, reason="OpenSSL 3 writes on after a broken record"
)
def test_a_client_that_breaks_its_tls_has_left(proxy: Mitmdump, name: str) -> None:
    client = tls_client(proxy)
    response = get(client, f"/pace?name={name}")
    assert response.read(7) == b"part 0\n"
    os.write(client.sock.fileno(), b"\x17\x03\x03\x00\x20" + b"no record that was ever encrypted")
    proxy.order("status")  # by then it is read
    proxy.order("open", name=f"{name}-1")
    proxy.wait("cancelled", name)
    assert proxy.wait("error", name)["error"] == "Client disconnected."
    settled(proxy, name, "error")
    client.close()


def test_mitmproxy_is_as_we_know_it() -> None:
    assert direct.missing() == []


def test_nobody_has_one_in_another_mitmproxy(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    gone = (*direct._ATTRIBUTES, (HttpLayer, "renamed"), (Layer, "_renamed"))
    monkeypatch.setattr(direct, "_ATTRIBUTES", gone)
    direct.is_expected.cache_clear()
    try:
        assert not direct.is_expected()
        with caplog.at_level(logging.WARNING):
            direct.check()
    finally:
        direct.is_expected.cache_clear()
    (line,) = caplog.messages
    assert (
        line == "answers go through all layers of mitmproxy, which has no HttpLayer.renamed, Layer._renamed"
    )

"""What a body may come to, through a real mitmdump: requests, answers and errors, compressed or not."""

import gzip
import json
from collections.abc import Iterator

import httpx
import pytest

from addons.mitm.client_http1 import LONGEST_AHEAD, LONGEST_HEAD, MOST_LINES
from protocols.model.wirejson import MOST_VALUES
from tests.e2e.proxy import ADDON, Proxy
from tests.e2e.talk import PROBE, Http1, Http2, ask, client, connect, tunnel, wait_order
from tests.e2e.talk import post as request
from tests.vendor import SPEECHES, Framing, Reply, Said, Send, VendorThread, WaitFor

LONGEST = 4 << 20
ERROR = 1 << 20
CONFIG = """
[providers.openai]
base_url = "{url}"
credentials = [{{ name = "one", key = "env:ONE" }}, {{ name = "two", key = "env:TWO" }}]
[providers.anthropic]
base_url = "{url}"
[limits]
body = 4194304
"""
KEYS = {"ONE": "sk-pool-number-one", "TWO": "sk-pool-number-two"}
CHAT, MESSAGES = "/v1/chat/completions", "/v1/messages"
HOSTS = {CHAT: "api.openai.com", MESSAGES: "api.anthropic.com"}
IDLE = {"responders": 0, "drivers": 0, "in_flight": {}, "intercepted": []}
GROWN = b" " * (20 * LONGEST)
BOMB = gzip.compress(GROWN)


@pytest.fixture(scope="module")
def vendor() -> Iterator[VendorThread]:
    with VendorThread() as running:
        yield running


@pytest.fixture(scope="module")
def proxy(vendor: VendorThread, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Proxy]:
    folder = tmp_path_factory.mktemp("bounds")
    with Proxy(folder, CONFIG.format(url=vendor.base_url), keys=KEYS, scripts=(ADDON, PROBE)) as running:
        yield running
    assert not [word for word in ("Traceback", "crashed", "never retrieved") if word in running.log], (
        running.log
    )


@pytest.fixture(autouse=True)
def _all_is_idle(vendor: VendorThread, proxy: Proxy) -> Iterator[None]:
    vendor.requests.clear()
    yield
    wait_order(proxy, lambda state: state == IDLE, "state")


def post(proxy: Proxy, path: str, body: bytes, **headers: str) -> httpx.Response:
    named = {name.replace("_", "-"): value for name, value in headers.items()}
    with client(proxy) as http:
        return http.post(f"https://{HOSTS[path]}{path}", content=body, headers=named)


def is_too_long(answer: httpx.Response) -> bool:
    return answer.status_code == 413 and "[limits] body" in answer.json()["error"]["message"]


@pytest.mark.parametrize("path", [CHAT, MESSAGES])
def test_a_request_that_says_that_it_is_too_long_is_answered_before_it_is_sent(
    proxy: Proxy, vendor: VendorThread, path: str
) -> None:
    head = f"POST {path} HTTP/1.1\r\nHost: {HOSTS[path]}\r\nContent-Length: {LONGEST + 1}\r\n\r\n{{"
    with Http1(tunnel(proxy, HOSTS[path])) as us:
        us.send(head.encode())
        received = us.until(b"[limits] body")
    assert received.startswith(b"HTTP/1.1 413 ")
    assert (b'"type":"error"' in received) is (path == MESSAGES)
    assert vendor.requests == []


def test_a_request_that_grows_too_long_is_answered_while_it_grows(proxy: Proxy, vendor: VendorThread) -> None:
    head = f"POST {CHAT} HTTP/1.1\r\nHost: {HOSTS[CHAT]}\r\nTransfer-Encoding: chunked\r\n\r\n"
    piece = b"10000\r\n" + b" " * 0x10000 + b"\r\n"
    with Http1(tunnel(proxy, HOSTS[CHAT])) as us:
        us.send(head.encode() + piece * (LONGEST // 0x10000) + b"1\r\n \r\n")
        assert us.until(b"[limits] body").startswith(b"HTTP/1.1 413 ")
    assert vendor.requests == []


def test_a_request_that_is_not_too_long_is_served(proxy: Proxy, vendor: VendorThread) -> None:
    body = ask(stream=False).ljust(LONGEST)
    assert post(proxy, CHAT, body).status_code == 200
    assert [one.body for one in vendor.requests] == [body]


def test_a_request_that_grows_when_it_is_decoded(proxy: Proxy, vendor: VendorThread) -> None:
    assert is_too_long(post(proxy, CHAT, BOMB, content_encoding="gzip"))
    twice = post(proxy, CHAT, gzip.compress(BOMB), content_encoding="gzip, gzip")
    assert is_too_long(twice)
    assert vendor.requests == []


def test_a_compressed_request_is_read_and_leaves_as_it_came(proxy: Proxy, vendor: VendorThread) -> None:
    vendor.on(path=CHAT).reply(SPEECHES["openai_chat"].whole(Said(("Hello",)), model="gpt-compressed"))
    body = gzip.compress(ask(model="gpt-compressed", stream=False))
    answer = post(proxy, CHAT, body, content_encoding="gzip")
    assert answer.status_code == 200
    assert [one.body for one in vendor.requests] == [body]
    proxy.wait_log("model=gpt-compressed ")


@pytest.mark.parametrize("coding", ["", "gzip"])
def test_a_request_of_too_many_values_is_not_parsed(proxy: Proxy, vendor: VendorThread, coding: str) -> None:
    body = b'{"model": "m", "messages": [' + b"{}," * (MOST_VALUES // 2 + 1) + b"{}]}"
    sent = gzip.compress(body) if coding else body
    answer = post(proxy, CHAT, sent, **({"content_encoding": coding} if coding else {}))
    assert answer.status_code == 413
    assert f"{MOST_VALUES} values" in answer.json()["error"]["message"]
    assert vendor.requests == []


def test_an_answer_that_grows_when_it_is_decoded_is_asked_for_once(
    proxy: Proxy, vendor: VendorThread
) -> None:
    headers = (("content-type", "application/json"),)
    reply = Reply(200, headers, (Send(b'{"id": "'), Send(GROWN)), Framing.CHUNKED, encoding="gzip")
    vendor.on(path=CHAT).reply(reply)
    answer = post(proxy, CHAT, ask(stream=False))
    assert (answer.status_code, answer.headers["x-should-retry"]) == (502, "false")
    assert "[limits] body" in answer.json()["error"]["message"]
    assert len(vendor.requests) == 1


def test_an_event_without_an_end_is_stopped(proxy: Proxy, vendor: VendorThread) -> None:
    headers = (("content-type", "text/event-stream"),)
    vendor.on(path=MESSAGES).reply(Reply(200, headers, (Send(b"data: " + GROWN),), Framing.CHUNKED))
    answer = post(proxy, MESSAGES, ask())
    assert answer.status_code == 502
    assert "[limits] body" in answer.json()["error"]["message"]


def test_an_error_is_kept_from_its_start(proxy: Proxy, vendor: VendorThread) -> None:
    said = json.dumps({"error": {"message": "What is this?", "type": "invalid_request_error"}}).encode()
    headers = (("content-type", "application/json"),)
    reply = Reply(400, headers, (Send(said + GROWN),), Framing.CHUNKED, encoding="gzip")
    vendor.on(path=CHAT).reply(reply)
    answer = post(proxy, CHAT, ask())
    assert (answer.status_code, len(answer.content)) == (400, ERROR)
    assert answer.content.startswith(said)
    assert len(vendor.requests) == 1


# -- heads, and what comes ahead of its turn -----------------------------------------------------------------

FILES = b"POST /v1/files HTTP/1.1\r\nHost: api.openai.com\r\n"
HEADS = {
    "a long value": FILES + b"x: " + b"a" * LONGEST_HEAD,
    "a long target": b"POST /v1/files?" + b"a&" * LONGEST_HEAD,
    "many lines": FILES + b"a:b\r\n" * MOST_LINES + b"\r\n",
    "many lines without end": FILES + b"a:b\r\n" * (MOST_LINES + 1),
}


@pytest.mark.parametrize("what", HEADS)
def test_a_head_that_is_too_long_is_refused_while_it_comes(
    proxy: Proxy, vendor: VendorThread, what: str
) -> None:
    with Http1(tunnel(proxy, "api.openai.com")) as us:
        us.send(HEADS[what])
        assert us.rest().startswith(b"HTTP/1.1 431 ")
    with Http1(connect(proxy, "api.openai.com:80")[0]) as plain:
        plain.send(HEADS[what])
        assert plain.rest().startswith(b"HTTP/1.1 431 ")
    assert vendor.requests == []


def test_a_long_head_is_served(proxy: Proxy, vendor: VendorThread) -> None:
    field = "a" * (LONGEST_HEAD - 1000)
    assert post(proxy, CHAT, ask(stream=False), x_long=field).status_code == 200
    assert vendor.requests[-1].header("x-long") == field


def test_a_chunk_whose_length_never_ends(proxy: Proxy, vendor: VendorThread) -> None:
    with Http1(tunnel(proxy, HOSTS[CHAT])) as us:
        us.send(f"POST {CHAT} HTTP/1.1\r\nHost: {HOSTS[CHAT]}\r\nTransfer-Encoding: chunked\r\n\r\n".encode())
        us.send(b"1;" + b"a" * (LONGEST_HEAD + 1))
        assert us.rest() == b""
    assert vendor.requests == []


def test_a_client_that_sends_without_end_ahead_of_its_answer(proxy: Proxy, vendor: VendorThread) -> None:
    vendor.on(path=CHAT).reply(Reply(before=(WaitFor("never"),)))
    with Http1(connect(proxy, f"{HOSTS[CHAT]}:80")[0]) as us:
        us.send(request(CHAT, HOSTS[CHAT], ask()))
        vendor.wait_gate("never")
        us.send(b"a" * LONGEST_AHEAD)
        assert not vendor.requests[0].closed_by_client.is_set()
        us.send(b"a")
        vendor.run(vendor.requests[0].closed_by_client.wait())


RECORD = b"\x16\x03\x01\x40\x00"
HELLO = b"\x01\xff\xff\xff"
PART = b"a" * 0x4000
GET = b"GET /v1/files HTTP/1.1"
BEGINNINGS = {
    "spaces": (GET + b"\r\nHost: " + b" " * 60_000, b"api.openai.com\r\n\r\n", b"HTTP/1.1 404 "),
    "bare line feeds": (GET + b"\nHost: api.openai.com\n", b"\n", b"HTTP/1.1 404 "),
    "one line": (GET, b"a" * 2 * LONGEST_HEAD, b"HTTP/1.1 431 "),
    "half a client hello": (RECORD + HELLO + PART[4:], (RECORD + PART) * 4, b"HTTP/1.1 431 "),
}


@pytest.mark.parametrize("what", BEGINNINGS)
def test_how_a_tunnel_begins_is_known_soon(proxy: Proxy, what: str) -> None:
    beginning, following, answer = BEGINNINGS[what]
    with Http1(connect(proxy, "api.openai.com:80")[0]) as us:
        us.send(beginning)
        us.send(following)
        assert us.until(b"\r\n").startswith(answer)


def test_an_http2_client_that_opens_and_resets(proxy: Proxy, vendor: VendorThread) -> None:
    before = proxy.log.count("stream reset by client")
    with Http2(proxy, HOSTS[CHAT]) as flooding, pytest.raises((AssertionError, ConnectionError)):
        flooding.finished(flooding.flood(CHAT, 2_000))
    assert proxy.log.count("stream reset by client") - before < 1_000
    assert vendor.requests == []

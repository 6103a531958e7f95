"""What is decrypted, what is passed through, and how: over real TLS, with clients that see every byte."""

import gzip
import ssl
from collections.abc import Iterator
from pathlib import Path

import pytest
from wsproto import ConnectionType, WSConnection
from wsproto.events import AcceptConnection, CloseConnection, Event, Request, TextMessage

from tests.e2e.proxy import Proxy
from tests.e2e.talk import Http1, Listener, client, curl, post, trusting_anyone, tunnel
from tests.vendor import Framing, Reply, Send, Upgrade, Vendor, VendorThread, WaitFor, chat_error, whole

CONFIG = """
[providers.openai]
base_url = "{url}"
credentials = [{{ name = "one", key = "env:ONE" }}, {{ name = "two", key = "env:TWO" }}]
[providers.anthropic]
base_url = "{url}"
credentials = [{{ name = "one", key = "env:ONE" }}, {{ name = "two", key = "env:TWO" }}]
[providers.raw]
base_url = "http://127.0.0.1:{raw}/prefix"
hosts = ["raw.test"]
protocols = ["openai_chat"]
credentials = [{{ name = "one", key = "env:ONE" }}]
"""
ONE, TWO = "sk-pool-number-one", "sk-pool-number-two"
KEYS = {"ONE": ONE, "TWO": TWO}
CHAT = "/v1/chat/completions"


@pytest.fixture(scope="module")
def vendor() -> Iterator[VendorThread]:
    with VendorThread() as running:
        yield running


@pytest.fixture(scope="module")
def raw() -> Iterator[Listener]:
    with Listener() as listener:
        yield listener


@pytest.fixture(scope="module")
def proxy(vendor: VendorThread, raw: Listener, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Proxy]:
    config = CONFIG.format(url=vendor.base_url, raw=raw.port)
    with Proxy(tmp_path_factory.mktemp("interception"), config, keys=KEYS) as running:
        yield running
    assert "Traceback" not in running.log


@pytest.fixture(autouse=True)
def _no_requests(vendor: VendorThread) -> None:
    vendor.requests.clear()


@pytest.fixture(scope="module")
def stranger() -> Iterator[VendorThread]:
    """A TLS host that belongs to no provider."""
    with VendorThread(Vendor(tls=True)) as running:
        yield running


def shown(proxy: Proxy, host: str, port: int) -> bytes:
    """The certificate that a client sees."""
    with tunnel(proxy, host, port, context=trusting_anyone()) as sock:
        certificate = sock.getpeercert(binary_form=True)
    assert certificate
    return certificate


def test_a_strangers_tls_is_left_alone(proxy: Proxy, stranger: VendorThread) -> None:
    direct = ssl.get_server_certificate(("127.0.0.1", stranger.port))
    assert shown(proxy, "localhost", stranger.port) == ssl.PEM_cert_to_DER_cert(direct)


def test_a_providers_tls_is_opened(proxy: Proxy) -> None:
    with tunnel(proxy, "api.openai.com") as sock:
        certificate = sock.getpeercert()
    assert certificate
    assert (("commonName", "mitmproxy"),) in certificate["issuer"]


def test_all_are_opened_when_asked_for(tmp_path: Path, stranger: VendorThread) -> None:
    options = (
        "--set",
        "rotator_intercept=all",
        "--set",
        f"ssl_verify_upstream_trusted_ca={stranger.ca_path}",
    )
    with Proxy(tmp_path, options=options) as proxy:
        direct = ssl.get_server_certificate(("127.0.0.1", stranger.port))
        assert shown(proxy, "localhost", stranger.port) != ssl.PEM_cert_to_DER_cert(direct)
        # and it is still mitmproxy that forwards it, with the client's own key
        answer = curl(
            proxy,
            f"https://localhost:{stranger.port}/x",
            "-H",
            "Authorization: Bearer sk-own",
            "-w",
            "%{http_code}",
        )
    assert answer.stdout.endswith(b"404"), answer
    assert stranger.requests[-1].credential == "sk-own"


# -- passed through -----------------------------------------------------------------------------------


def test_a_request_body_is_streamed(proxy: Proxy, raw: Listener) -> None:
    with Http1(tunnel(proxy, "raw.test")) as us:
        us.send(
            b"POST /v1/files?purpose=batch HTTP/1.1\r\nHost: raw.test\r\nTransfer-Encoding: chunked\r\n\r\n"
        )
        us.send(b"5\r\nfirst\r\n")
        with raw.accept() as provider:
            # The rest is not written yet: what is here was not waited for.
            head = provider.until(b"first")
            us.send(b"6\r\nsecond\r\n0\r\n\r\n")
            provider.until(b"0\r\n\r\n")
            provider.send(b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok")
            assert us.until(b"ok").endswith(b"\r\n\r\nok")
    assert head.startswith(b"POST /prefix/v1/files?purpose=batch HTTP/1.1\r\n")
    assert f"\r\nHost: 127.0.0.1:{raw.port}\r\n".encode() in head


def test_an_answer_is_streamed(proxy: Proxy, raw: Listener) -> None:
    with Http1(tunnel(proxy, "raw.test")) as us:
        us.send(
            b"GET /v1/files/1/content HTTP/1.1\r\nHost: raw.test\r\nAuthorization: Bearer sk-own-key\r\n\r\n"
        )
        with raw.accept() as provider:
            asked = provider.until(b"\r\n\r\n")
            provider.send(b"HTTP/1.1 200 Fine\r\nX-Odd-CASE:  kept\r\nContent-Length: 11\r\n\r\nfirst")
            head = us.until(b"first")
            provider.send(b"second")
            us.until(b"second")
    assert f"Authorization: Bearer {ONE}\r\n".encode() in asked
    assert b"sk-own-key" not in asked
    assert head.startswith(b"HTTP/1.1 200 Fine\r\nX-Odd-CASE: kept\r\nContent-Length: 11\r\n\r\n")


@pytest.mark.parametrize("path", ["/v1/files/1/content", "/v1/messages/batches/1/results"])
def test_coding_and_length_are_kept(proxy: Proxy, vendor: VendorThread, path: str) -> None:
    body = gzip.compress(b"the results" * 100)
    headers = (("content-type", "application/x-jsonl"), ("content-encoding", "gzip"))
    vendor.on(path=path).reply(Reply(200, headers, (Send(body),), Framing.LENGTH))
    host = "api.anthropic.com" if "messages" in path else "api.openai.com"
    with client(proxy) as http, http.stream("GET", f"https://{host}{path}") as answer:
        assert b"".join(answer.iter_raw()) == body
    assert answer.headers["content-encoding"] == "gzip"
    assert answer.headers["content-length"] == str(len(body))
    assert "transfer-encoding" not in answer.headers


ACCOUNT = [
    ("POST", "https://api.openai.com/v1/files"),
    ("POST", "https://api.openai.com/v1/batches"),
    ("GET", "https://api.openai.com/v1/files/file-1"),
    ("POST", "https://api.openai.com/v1/responses/resp_1/cancel"),
    ("POST", "https://api.anthropic.com/v1/messages/batches"),
    ("GET", "https://api.anthropic.com/v1/messages/batches/b1"),
    ("POST", "https://api.anthropic.com/v1/files"),
]


@pytest.mark.parametrize(("method", "url"), ACCOUNT)
def test_what_belongs_to_an_account_stays_with_it(
    proxy: Proxy, vendor: VendorThread, method: str, url: str
) -> None:
    """Always the same credential, though it is rejected here and rotated elsewhere."""
    own = {"authorization": "Bearer sk-own-key"}
    with client(proxy) as http:
        path = http.build_request(method, url).url.path
        vendor.on(key=ONE, path=path).reply(chat_error(401, "invalid_api_key", "no"), 3)
        statuses = [http.request(method, url, headers=own, content=b"{}").status_code for _ in range(4)]
        vendor.on(key=ONE, path=CHAT).reply(chat_error(429, "rate_limit_exceeded", "slow"))
        rotated = http.post(f"https://api.openai.com{CHAT}", headers=own, json={"model": url})
        again = http.request(method, url, headers=own, content=b"{}")
    assert statuses == [401, 401, 401, 404]
    assert (rotated.status_code, again.status_code) == (200, 404)
    assert [one.credential for one in vendor.requests] == [ONE] * 4 + [ONE, TWO] + [ONE]


def test_an_answer_that_is_made_in_the_background_stays_with_the_account(
    proxy: Proxy, vendor: VendorThread
) -> None:
    """Its answer is fetched later, so that no other key may have asked for it; nothing is tried again."""
    vendor.on(key=ONE, path="/v1/responses").reply(chat_error(429, "rate_limit_exceeded", "slow"))
    body = {"model": "gpt-5", "input": "hi", "background": True}
    with client(proxy) as http:
        own = {"authorization": "Bearer sk-own-key"}
        answer = http.post("https://api.openai.com/v1/responses", headers=own, json=body)
    assert answer.status_code == 429
    assert [one.credential for one in vendor.requests] == [ONE]
    assert "verdict=refused" in proxy.wait_log("model=gpt-5 ")


OWN = [
    "https://api.openai.com/v1/organization/usage/completions",
    "https://api.openai.com/v1/me",
    "https://api.anthropic.com/api/hello",
    "https://api.anthropic.com/v1/organizations/me",
    "https://api.anthropic.com/v1/oauth/token",
]


@pytest.mark.parametrize("url", OWN)
def test_the_accounts_own_affairs_keep_the_clients_key(proxy: Proxy, vendor: VendorThread, url: str) -> None:
    with client(proxy) as http:
        http.get(url, headers={"authorization": "Bearer sk-own-key"})
    assert [one.credential for one in vendor.requests] == ["sk-own-key"]


@pytest.mark.parametrize("path", ["/v1/files", "/v1/me", "/v1/responses", "/"])
def test_who_brings_no_key_is_given_none(proxy: Proxy, vendor: VendorThread, path: str) -> None:
    with client(proxy) as http:
        http.get(f"https://api.openai.com{path}")
    assert [one.credential for one in vendor.requests] == [""]


# -- echoes -------------------------------------------------------------------------------------------


def test_an_echoed_key_is_blacked_out_where_it_is_passed_through(proxy: Proxy, vendor: VendorThread) -> None:
    """Also where the key is cut between two pieces of the body, and in the headers; lengths stay."""
    key = ONE.encode()
    steps = (Send(b"you are " + key[:7]), WaitFor("cut"), Send(key[7:] + b" and " + key))
    headers = (("x-you-are", ONE), ("content-type", "text/plain"))
    vendor.on(path="/v1/echo").reply(Reply(200, headers, steps, Framing.LENGTH))
    with client(proxy) as http:
        asked = http.stream(
            "GET", "https://api.openai.com/v1/echo", headers={"authorization": "Bearer sk-own-key"}
        )
        with asked as answer:
            pieces = answer.iter_raw()
            first = next(pieces)
            vendor.release("cut")
            body = first + b"".join(pieces)
    assert first == b"you are "
    assert body == b"you are " + b"*" * len(key) + b" and " + b"*" * len(key)
    assert answer.headers["x-you-are"] == "*" * len(ONE)


def test_a_key_is_found_in_a_compressed_error_too(proxy: Proxy, vendor: VendorThread) -> None:
    body = (Send(b"Incorrect API key provided: " + ONE.encode()),)
    vendor.on(path="/v1/echo").reply(Reply(401, (("content-type", "text/plain"),), body, encoding="gzip"))
    with client(proxy) as http:
        answer = http.get("https://api.openai.com/v1/echo", headers={"authorization": "Bearer sk-own-key"})
    assert answer.content == b"Incorrect API key provided: " + b"*" * len(ONE)


@pytest.mark.parametrize("stream", [False, True])
def test_an_echoed_key_is_blacked_out_where_it_is_answered(
    proxy: Proxy, vendor: VendorThread, stream: bool
) -> None:
    model = f"echo-{stream}"
    vendor.on(path=CHAT).reply(
        whole(b'{"error": {"message": "bad: %s"}}' % ONE.encode(), 400, (("x-you-are", ONE),))
    )
    with client(proxy) as http:
        answer = http.post(
            f"https://api.openai.com{CHAT}",
            headers={"authorization": "Bearer sk-own-key"},
            json={"model": model, "stream": stream},
        )
    assert answer.status_code == 400
    assert answer.json()["error"]["message"] == "bad: " + "*" * len(ONE)
    assert answer.headers["x-you-are"] == "*" * len(ONE)


# -- WebSocket ----------------------------------------------------------------------------------------


def test_a_websocket_leaves_with_the_pools_key(proxy: Proxy, vendor: VendorThread) -> None:
    vendor.on(path="/v1/realtime").reply(Upgrade())
    ws = WSConnection(ConnectionType.CLIENT)
    handshake = Request(
        host="api.openai.com",
        target="/v1/realtime?model=gpt-realtime",
        extra_headers=[(b"Authorization", b"Bearer sk-own-key")],
    )
    with Http1(tunnel(proxy, "api.openai.com")) as us:
        us.send(ws.send(handshake))
        assert isinstance(next_event(us, ws), AcceptConnection)
        us.send(ws.send(TextMessage("hello")))
        echo = next_event(us, ws)
        us.send(ws.send(CloseConnection(1000)))
        next_event(us, ws)
    assert isinstance(echo, TextMessage)
    assert echo.data == "hello"
    assert [one.credential for one in vendor.requests] == [ONE]


def next_event(us: Http1, ws: WSConnection) -> Event:
    while True:
        for event in ws.events():
            return event
        data = us.sock.recv(65536)
        assert data, "closed"
        ws.receive_data(data)


def test_malformed_json_reaches_the_provider_as_it_is(proxy: Proxy, vendor: VendorThread) -> None:
    body = b'{"model": "gpt-4o", "messages": [oops'
    answer = chat_error(400, "invalid_json", "what is this?")
    vendor.on(path=CHAT).reply(answer)
    with Http1(tunnel(proxy, "api.openai.com")) as us:
        us.send(post(CHAT, "api.openai.com", body, [("Authorization", "Bearer sk-own-key")]))
        received = us.until(b"what is this?")
    assert received.startswith(b"HTTP/1.1 400 ")
    assert [one.body for one in vendor.requests] == [body]

"""Beside other add-ons and mitmproxy's own features: nothing gets past us, and edits take effect."""

import gzip
import json
import socket
import ssl
import threading
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path

import httpx
import pytest
from wsproto.events import BytesMessage, TextMessage

from tests.e2e.proxy import ADDON, Proxy
from tests.e2e.sockets import WebSocket, from_provider
from tests.e2e.talk import (
    PROBE,
    Http1,
    Http2,
    Listener,
    ask,
    client,
    connect,
    curl,
    order,
    post,
    trusting,
    tunnel,
    wait_order,
)
from tests.vendor import (
    Framing,
    Raw,
    Reply,
    Send,
    Upgrade,
    VendorThread,
    chat_answer,
    chat_stream,
    streamed,
    whole,
)

CONFIG = """
[providers.openai]
base_url = "{url}"
credentials = [{{ name = "one", key = "env:ONE" }}]
[providers.anthropic]
base_url = "{url}"
[providers.raising]
base_url = "{url}"
hosts = ["raising.test"]
protocols = ["openai_chat"]
credentials = [{{ name = "one", key = "env:ONE" }}]
[providers.down]
base_url = "http://127.0.0.1:{closed}"
hosts = ["down.test"]
protocols = ["openai_chat", "anthropic_messages"]
[[routes]]
match = {{ model = "whole-*" }}
stream = false
"""
ONE = "sk-pool/number-one+1"
OWN = "sk-own-key-of-the-client"
AUTH = {"authorization": f"Bearer {OWN}"}
CHAT, FILES = "/v1/chat/completions", "/v1/files"
HERE = Path(__file__).parent
SCRIPTS = (HERE / "meddler_before.py", ADDON, HERE / "meddler_after.py", PROBE)
IDLE = {"responders": 0, "drivers": 0, "in_flight": {}, "intercepted": []}


@pytest.fixture(scope="module")
def vendor() -> Iterator[VendorThread]:
    with VendorThread() as running:
        yield running


@pytest.fixture(scope="module")
def neighbour() -> Iterator[VendorThread]:
    """A server of no provider."""
    with VendorThread() as running:
        running.always(whole(b"of the neighbour"))
        yield running


@pytest.fixture(scope="module")
def proxy(
    vendor: VendorThread, neighbour: VendorThread, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Proxy]:
    refusing = socket.socket()  # nobody listens, and nobody else gets the port
    refusing.bind(("127.0.0.1", 0))
    closed = refusing.getsockname()[1]
    folder = tmp_path_factory.mktemp("beside")
    (folder / "local").write_text("a local file")
    options = (
        *("--map-local", f"|//api.openai.com/v1/[a-z/]*local|{folder / 'local'}"),
        *("--set", "block_list=/~u blocked/418"),
        *("--set", f"neighbour_port={neighbour.port}"),
        *("--modify-body", "@~q & ~u modified@before@after"),
        *("--modify-body", "@~s & ~u edited=@Hello@Edited"),
        *("--set", "rotator_buffer=~u buffered"),
        *("--map-remote", f"|//api.openai.com/mapped|//api.openai.com{CHAT}"),
    )
    running = Proxy(
        folder,
        CONFIG.format(url=vendor.base_url, closed=closed),
        keys={"ONE": ONE},
        options=options,
        scripts=SCRIPTS,
    )
    with refusing, running:
        order(running, "state")  # an error that is logged while mitmdump starts would end it
        yield running
    assert not [word for word in (ONE, OWN, "has crashed") if word in running.log], running.log


@pytest.fixture(autouse=True)
def _all_is_idle(vendor: VendorThread, neighbour: VendorThread, proxy: Proxy) -> Iterator[None]:
    vendor.requests.clear()
    neighbour.requests.clear()
    yield
    wait_order(proxy, lambda state: state == IDLE, "state")


def call(proxy: Proxy, path: str, *, host: str = "api.openai.com", body: bytes = b"") -> httpx.Response:
    with client(proxy) as http:
        return http.post(f"https://{host}{path}", headers=AUTH, content=body or ask())


# -- a provider's flow leaves through us or not at all ------------------------------------------------


@pytest.mark.parametrize("meddle", ["raise", "raise-and-stream"])
@pytest.mark.parametrize("path", [CHAT, FILES])
def test_what_was_not_admitted_does_not_leave(
    proxy: Proxy, vendor: VendorThread, neighbour: VendorThread, path: str, meddle: str
) -> None:
    """As the proxy is configured in one line. The client named the neighbour's port, which must not be
    asked."""
    lines = proxy.log.count("was not forwarded")
    with client(proxy) as http:
        url = f"http://api.openai.com:{neighbour.port}{path}?meddle={meddle}&n={lines}"
        answer = http.post(url, headers=AUTH, content=ask())
    assert answer.status_code == 502
    assert "load rotator before other scripts" in answer.text
    proxy.wait_log("was not forwarded", count=lines + 1)
    assert vendor.requests == neighbour.requests == []
    (seen,) = order(proxy, "seen", path=path) or [{"text": ""}]
    assert OWN not in seen["text"]


def test_nor_over_http2_or_for_curl(proxy: Proxy, vendor: VendorThread) -> None:
    with Http2(proxy, "api.openai.com") as us:
        answer = us.finished(us.post(f"{CHAT}?meddle=raise-and-stream", ask(), AUTH))
    assert answer.headers[b":status"] == b"502"
    for version in ("--http1.1", "--http2"):
        url = f"https://api.openai.com{CHAT}?meddle=raise-and-stream"
        got = curl(proxy, url, version, "--data-binary", ask().decode(), "-w", "%{http_code}")
        assert got.stdout.endswith(b"502"), got
    assert vendor.requests == []


def test_a_layer_that_another_script_spoils_is_ours_all_the_same(proxy: Proxy, vendor: VendorThread) -> None:
    vendor.on(path=CHAT).reply(streamed(chat_stream(["a"])))
    assert call(proxy, CHAT, host="raising.test").status_code == 200
    assert [one.credential for one in vendor.requests] == [ONE]


def test_a_call_that_another_script_streams_is_answered(proxy: Proxy, vendor: VendorThread) -> None:
    vendor.on(path=CHAT).reply(streamed(chat_stream(["a"])))
    assert call(proxy, f"{CHAT}?meddle=stream").status_code == 200
    assert [one.credential for one in vendor.requests] == [ONE]


def test_a_stream_that_became_a_call_does_not_leave(proxy: Proxy, vendor: VendorThread) -> None:
    with client(proxy) as http:
        pieces = iter([ask()])  # of unsaid length
        answer = http.post("https://api.openai.com/v1/files?meddle=to-a-call", headers=AUTH, content=pieces)
    assert (answer.status_code, vendor.requests) == (502, [])


def test_an_answer_that_is_taken_away_lets_nothing_out(proxy: Proxy, vendor: VendorThread) -> None:
    """Of a request to the proxy itself, and of one that failed in our own hook."""
    with client(proxy) as http:
        own = http.get(f"http://127.0.0.1:{proxy.port}/", headers={"meddle": "unanswer"})
        order(proxy, "fault", place="admit")
        failed = http.post(f"https://api.openai.com{CHAT}", headers={"meddle": "unanswer"}, content=ask())
        order(proxy, "mend")
    assert (own.status_code, failed.status_code, vendor.requests) == (502, 502, [])
    assert "before rotator saw it" in own.text
    assert "before rotator saw it" in failed.text


def test_a_request_that_is_moved_away_has_no_key(
    proxy: Proxy, vendor: VendorThread, neighbour: VendorThread
) -> None:
    answer = call(proxy, f"{CHAT}?meddle=away")
    assert (answer.content, vendor.requests) == (b"of the neighbour", [])
    assert [(one.credential, one.path) for one in neighbour.requests] == [("", CHAT)]
    proxy.wait_log("moved a request to 127.0.0.1")


def test_a_request_that_is_moved_here_is_kept(
    proxy: Proxy, vendor: VendorThread, neighbour: VendorThread
) -> None:
    with client(proxy) as http:
        url = f"http://127.0.0.1:{neighbour.port}{CHAT}?meddle=here"
        assert http.post(url, headers=AUTH, content=ask()).status_code == 502
    assert vendor.requests == neighbour.requests == []


def test_a_request_that_is_moved_to_another_provider_loses_its_clients_key(
    proxy: Proxy, vendor: VendorThread
) -> None:
    """Which was meant for the first; the other has no pool."""
    vendor.on(path="/v1/messages").reply(whole(b"{}"))
    call(proxy, "/v1/messages?meddle=to-another")
    assert {one.credential for one in vendor.requests} == {""}


# -- edits ----------------------------------------------------------------------------------------------


@pytest.mark.parametrize("path", [f"{CHAT}?meddle=edit", f"{CHAT}?modified", "/mapped"])
def test_an_edit_takes_effect(proxy: Proxy, vendor: VendorThread, path: str) -> None:
    """By a script after ours, by --modify-body and by --map-remote, which makes a call of what was none."""
    vendor.on(path=CHAT).reply(streamed(chat_stream(["a"])))
    answer = call(proxy, path, body=ask("gpt-before"))
    (received,) = vendor.requests
    assert json.loads(received.body)["model"] == ("gpt-before" if path == "/mapped" else "gpt-after")
    assert (answer.status_code, received.credential) == (200, ONE)
    assert "end=completed" in proxy.wait_log(f"model={json.loads(received.body)['model']} ")


@pytest.mark.parametrize("path", [CHAT, FILES])
def test_what_mitmproxy_answers_itself_asks_nobody(proxy: Proxy, vendor: VendorThread, path: str) -> None:
    lines = proxy.log.count(" end=")
    local, blocked = call(proxy, f"{path}/local"), call(proxy, f"{path}?blocked")
    assert (local.content, blocked.status_code) == (b"a local file", 418)
    assert vendor.requests == []
    assert proxy.log.count(" end=") == lines


@pytest.mark.parametrize(
    ("path", "model"), [("?edited=buffered", "gpt"), ("?edited=route", "whole-gpt"), ("?edited=no", "gpt")]
)
@pytest.mark.parametrize("stream", [True, False])
def test_an_answer_can_be_edited_where_it_is_whole(
    proxy: Proxy, vendor: VendorThread, path: str, model: str, stream: bool
) -> None:
    """By the option or by the route; where it is streamed, the inspector shows what the client got."""
    answer = streamed(chat_stream(["Hello"])) if stream else whole(b"".join(chat_answer("Hello")))
    vendor.on(path=CHAT).reply(answer)
    path = f"{CHAT}{path}-{stream}"
    got = call(proxy, path, body=ask(model, stream=stream))
    wanted = "Hello" if "=no" in path else "Edited"
    assert wanted in got.text
    (seen,) = wait_order(proxy, lambda found: found and not found[0]["live"], "seen", path=path)
    assert seen["body"] == got.text
    assert ("was taken back" in seen["comment"]) == ("=no" in path)


def test_a_filter_that_is_none_ends_the_start(tmp_path: Path) -> None:
    proxy = Proxy(tmp_path, options=("--set", "rotator_buffer=~nonsense ("))
    proxy.start(expect_exit=True)
    assert proxy.wait_exit() != 0
    assert "--set rotator_buffer=~nonsense (: " in proxy.log
    assert "Traceback" not in proxy.log


# -- echoes ---------------------------------------------------------------------------------------------

ESCAPED = ONE.replace("/", "\\/").encode()
QUOTED = b"sk-pool%2Fnumber-one%2B1"
WS_KEY = "dGhlIHNhbXBsZSBub25jZQ=="


@pytest.mark.parametrize("meddle", ["", "stream-answer", "raise-on-answer"])
@pytest.mark.parametrize("status", [200, 401])
def test_an_echo_is_found_whatever_scripts_do(
    proxy: Proxy, vendor: VendorThread, meddle: str, status: int
) -> None:
    """In names, values, the reason and the body, as it is, in JSON and in a URL."""
    body = b" ".join([ONE.encode(), ESCAPED, QUOTED, QUOTED.lower()])
    lines = f"HTTP/1.1 {status} is {ONE}\r\nx-you: {ONE}\r\nx-url: {QUOTED.decode()}\r\n"
    vendor.on(path="/v1/echo").reply(Raw((Send(lines.encode() + b"\r\n" + body),)))
    with Http1(tunnel(proxy, "api.openai.com")) as us:
        head = [*AUTH.items(), ("Connection", "close")]
        us.send(post(f"/v1/echo?meddle={meddle}", "api.openai.com", b"{}", head))
        answer = us.rest()
    stars = [b"*" * len(each) for each in (ONE, ESCAPED, QUOTED, QUOTED)]
    assert answer.startswith(b"HTTP/1.1 %d is %s\r\n" % (status, stars[0]))
    assert answer.endswith(b"\r\n\r\n" + b" ".join(stars))
    assert b"x-you: " + stars[0] in answer
    assert b"x-url: " + stars[2] in answer


def test_an_echo_is_found_where_it_is_answered(proxy: Proxy, vendor: VendorThread) -> None:
    lines = f"HTTP/1.1 400 is {ONE}\r\nx-url: {QUOTED.decode()}\r\ncontent-type: text/plain\r\n\r\n"
    vendor.on(path=CHAT).reply(Raw((Send(lines.encode() + ESCAPED),)))
    with Http1(tunnel(proxy, "api.openai.com")) as us:
        us.send(post(CHAT, "api.openai.com", ask("echo"), [*AUTH.items(), ("Connection", "close")]))
        answer = us.rest()
    assert answer.startswith(b"HTTP/1.1 400 is " + b"*" * len(ONE))
    assert b"x-url: " + b"*" * len(QUOTED) in answer
    assert b"*" * len(ESCAPED) + b"\r\n" in answer


def test_an_echo_in_a_compressed_answer_breaks_it(proxy: Proxy, vendor: VendorThread) -> None:
    packed = gzip.compress(b"you are " + ONE.encode())
    headers = (("content-encoding", "gzip"),)
    vendor.on(path="/v1/echo").reply(Reply(200, headers, (Send(packed),), Framing.LENGTH))
    with client(proxy) as http, pytest.raises(httpx.RemoteProtocolError):
        http.get("https://api.openai.com/v1/echo", headers=AUTH)


@pytest.mark.parametrize("meddle", ["", "raise-on-message"])
def test_an_echo_in_messages_is_found_whatever_scripts_do(
    proxy: Proxy, vendor: VendorThread, meddle: str
) -> None:
    """Across the frames of a message too, and before any script sees it."""
    path = f"/v1/realtime?meddle={meddle}"
    pieces = (f"you are {ONE[:9]}", ONE[9:-1], f"{ONE[-1]} and \u00e4")
    said = [TextMessage(one, message_finished=one is pieces[-1]) for one in pieces]
    vendor.on(path="/v1/realtime").reply(Upgrade(said=from_provider(*said, BytesMessage(QUOTED))))
    with WebSocket(proxy, "api.openai.com", path) as us:
        assert us.text() == "you are " + "*" * len(ONE) + " and \u00e4"
        binary = us.next()
        assert isinstance(binary, BytesMessage)
        assert binary.data == b"*" * len(QUOTED)
        us.close()
    (seen,) = wait_order(proxy, lambda found: not found[0]["live"], "seen", path=path)
    assert [form for form in (ONE, QUOTED.decode()) if form in seen["text"]] == []
    assert "LookupError: in websocket_message" in proxy.log or not meddle


@pytest.mark.parametrize("upgrade", ["", "upgrade: echo\r\n"])
def test_no_tunnel_opens_that_nobody_searches(proxy: Proxy, vendor: VendorThread, upgrade: str) -> None:
    """A handshake in order that the provider answers with a change to something else."""
    lines = f"HTTP/1.1 101 Switching Protocols\r\nconnection: upgrade\r\n{upgrade}\r\n"
    vendor.on(path="/v1/realtime").reply(Raw((Send(lines.encode() + b"you are " + ONE.encode()),)))
    asked = (
        "Connection: Upgrade",
        "Upgrade: websocket",
        "Sec-WebSocket-Version: 13",
        f"Sec-WebSocket-Key: {WS_KEY}",
    )
    head = "\r\n".join(
        ("GET /v1/realtime HTTP/1.1", "Host: api.openai.com", f"Authorization: Bearer {OWN}", *asked)
    )
    with Http1(tunnel(proxy, "api.openai.com")) as us:
        us.send(f"{head}\r\n\r\n".encode())
        answer = us.until(b"could not be searched for keys")
    assert answer.startswith(b"HTTP/1.1 502")
    assert ONE.encode() not in answer


# -- what passes through ----------------------------------------------------------------------------------


def test_a_provider_that_is_down_is_reported_in_the_protocol(proxy: Proxy) -> None:
    answer = call(proxy, FILES, host="down.test")
    assert (answer.status_code, answer.json()["error"]["type"]) == (502, "server_error")
    assert "down gave no answer" in answer.json()["error"]["message"]


def test_a_refusal_of_half_an_upload_reaches_the_client(tmp_path: Path) -> None:
    """The provider hangs up after it, with bytes unread that are still being sent."""
    with Listener() as provider:
        config = f'[providers.openai]\nbase_url = "http://127.0.0.1:{provider.port}"\n'
        refusing = threading.Thread(target=refuse, args=(provider,))
        refusing.start()
        with Proxy(tmp_path, config) as running, client(running) as http:
            url = f"https://api.openai.com{FILES}"
            answer = http.post(url, content=bytes(8 << 20), headers={"authorization": "Bearer sk-own"})
        refusing.join()
    assert (answer.status_code, answer.text) == (413, "too large")


def refuse(provider: Listener) -> None:
    with provider.accept() as them:
        them.until(b"\r\n\r\n")
        them.send(b"HTTP/1.1 413 Too Large\r\nContent-Length: 9\r\n\r\ntoo large")


def test_a_body_of_unsaid_length_is_no_second_request(proxy: Proxy, vendor: VendorThread) -> None:
    smuggled = b"POST /v1/organization/admin_api_keys HTTP/1.1\r\nHost: x\r\n\r\n"
    with Http2(proxy, "api.openai.com") as us:
        us.finished(us.post(FILES, smuggled, AUTH))
    assert [(one.path, one.body) for one in vendor.requests] == [(FILES, smuggled)]


# -- a request in small pieces ----------------------------------------------------------------------------


def test_a_request_in_pieces_is_no_raw_tunnel(proxy: Proxy, vendor: VendorThread) -> None:
    """Within CONNECT, in the clear: the first byte alone looks like nothing that mitmproxy knows."""
    raw, _ = connect(proxy, "api.openai.com:80")
    request = post(FILES, "api.openai.com", b"{}", [*AUTH.items(), ("Connection", "close")])
    with Http1(raw) as us:
        for piece in (request[:1], request[1:2], request[2:]):
            us.send(piece)
            order(proxy, "state")  # the piece has been read by then
        us.rest()
    assert [one.credential for one in vendor.requests] == [ONE]


def test_tls_in_pieces_is_opened(proxy: Proxy, vendor: VendorThread) -> None:
    raw, _ = connect(proxy, "api.openai.com:443")
    incoming, outgoing = ssl.MemoryBIO(), ssl.MemoryBIO()
    tls = trusting(proxy).wrap_bio(incoming, outgoing, server_hostname="api.openai.com")
    with pytest.raises(ssl.SSLWantReadError):
        tls.do_handshake()
    hello = outgoing.read()
    with raw:
        for piece in (hello[:1], hello[1:2], hello[2:]):
            raw.sendall(piece)
            order(proxy, "state")
        while tls.version() is None:
            incoming.write(raw.recv(65536))
            with suppress(ssl.SSLWantReadError):
                tls.do_handshake()
        certificate = tls.getpeercert()
    assert certificate
    assert (("commonName", "mitmproxy"),) in certificate["issuer"]


def test_what_the_user_leaves_alone_is_left_alone(tmp_path: Path, vendor: VendorThread) -> None:
    config = CONFIG.format(url=vendor.base_url, closed=1) + "[providers.raw]\n"
    config += f'base_url = "{vendor.base_url}"\nhosts = ["raw.test"]\nprotocols = ["openai_chat"]\n'
    options = ("--tcp-hosts", rf"127\.0\.0\.1:{vendor.port}")
    with Proxy(tmp_path, config, keys={"ONE": ONE}, options=options, scripts=(ADDON, PROBE)) as running:
        raw, _ = connect(running, f"127.0.0.1:{vendor.port}")
        with Http1(raw) as us:
            us.send(b"P")
            order(running, "state")
            us.send(post(FILES, "x", b"{}", [*AUTH.items(), ("Connection", "close")])[1:])
            us.rest()
    assert [one.credential for one in vendor.requests] == [OWN]

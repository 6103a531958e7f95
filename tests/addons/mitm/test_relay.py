"""The relay inside a real mitmdump, seen by real clients."""

import itertools
import socket
import struct
from collections.abc import Iterator
from contextlib import closing
from http.client import HTTPConnection, HTTPResponse, HTTPSConnection, IncompleteRead, RemoteDisconnected
from pathlib import Path

import pytest
from wsproto import ConnectionType, WSConnection
from wsproto.events import AcceptConnection, CloseConnection, Event, Request, TextMessage

from addons.mitm.relay import BODY_LIMIT
from tests.addons import http3
from tests.addons.mitm.relay_script import BLOCK, CREDENTIAL
from tests.addons.mitmdump import PATIENCE, H2Client, Mitmdump, curl, plain_client, tls_client
from tests.vendor import (
    Authority,
    Framing,
    Reply,
    Send,
    Upgrade,
    Vendor,
    VendorThread,
    WaitFor,
    streamed,
    whole,
)

SCRIPT = Path(__file__).with_name("relay_script.py")
BROKEN = (RemoteDisconnected, IncompleteRead, ConnectionError)

_numbers = itertools.count(1)


@pytest.fixture(scope="module")
def confdir(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("confdir")


@pytest.fixture(scope="module")
def proxy(confdir: Path) -> Iterator[Mitmdump]:
    with Mitmdump(SCRIPT, confdir) as running:
        yield running


@pytest.fixture
def name() -> str:
    return f"call-{next(_numbers)}"


@pytest.fixture(params=["plain", "tls"])
def http1(request: pytest.FixtureRequest, proxy: Mitmdump) -> Iterator[HTTPConnection]:
    """A client in the clear, and one through CONNECT and TLS."""
    client = plain_client(proxy) if request.param == "plain" else tls_client(proxy)
    yield client
    client.close()


@pytest.fixture
def http2(proxy: Mitmdump) -> Iterator[H2Client]:
    client = H2Client(proxy)
    yield client
    client.close()


def get(client: HTTPConnection, path: str) -> HTTPResponse:
    ask(client, path)
    return client.getresponse()


def ask(client: HTTPConnection, path: str, method: str = "GET", body: bytes | None = None) -> None:
    client.request(method, target(client, path), body)


def target(client: HTTPConnection, path: str) -> str:
    """What the request line names: to a proxy the whole URL, through a tunnel the path."""
    return path if client.default_port == HTTPSConnection.default_port else f"http://api.test{path}"


def settled(proxy: Mitmdump, name: str, hook: str) -> None:
    """Exactly that one of the response and error hooks has run, nothing is left, and the flow is over."""
    proxy.wait(hook, name)
    proxy.wait_order(lambda flow: not flow["live"] and not flow["patched"], "flow", name=name)
    left = proxy.wait_order(lambda status: not status["active"], "status")
    assert [path for path in left["streams"] if name in path] == []
    assert left["collected"] == 0
    assert {each: len(proxy.seen(each, name)) for each in ("response", "error")} == {
        "response": int(hook == "response"),
        "error": int(hook == "error"),
    }


# A whole response, over every way in.


@pytest.mark.parametrize(
    ("url", "version", "status"),
    [
        ("https://api.test/", "--http1.1", "HTTP/1.1 200 Fine"),
        ("https://api.test/", "--http2", "HTTP/2 200"),
        ("http://api.test/", "--http1.1", "HTTP/1.1 200 Fine"),
        ("http://api.test/", "--http1.0", "HTTP/1.1 200 Fine"),
    ],
)
def test_curl_gets_the_whole_response(
    proxy: Mitmdump, name: str, url: str, version: str, status: str
) -> None:
    answer = curl(proxy, f"{url}hello?name={name}", version, "-D", "-", "--suppress-connect-headers")
    assert answer.returncode == 0, answer.stderr
    head, _, body = answer.stdout.partition("\n\n")
    lines = head.replace("\r", "").splitlines()
    assert lines[0].strip() == status
    assert body == "hello world" or answer.stdout.endswith("hello world")
    assert ("transfer-encoding: chunked" in lines) == (version == "--http1.1")
    settled(proxy, name, "response")


def test_a_declared_length_is_kept(proxy: Mitmdump, http1: HTTPConnection, name: str) -> None:
    response = get(http1, f"/sized?name={name}")
    assert response.headers.items() == [("content-type", "text/plain"), ("Content-Length", "5")]
    assert response.read() == b"sized"
    settled(proxy, name, "response")


def test_no_body_where_http_allows_none(proxy: Mitmdump, http1: HTTPConnection, name: str) -> None:
    response = get(http1, f"/empty?name={name}")
    assert (response.status, response.headers.items(), response.read()) == (204, [], b"")
    ask(http1, f"/hello?name={name}-head", "HEAD")
    assert http1.getresponse().read() == b""
    assert get(http1, f"/hello?name={name}-next").read() == b"hello world"
    settled(proxy, f"{name}-head", "response")


def test_parts_arrive_as_they_are_sent(proxy: Mitmdump, http1: HTTPConnection, name: str) -> None:
    response = get(http1, f"/drip?name={name}")
    assert response.readline() == b"part 0\n"
    assert proxy.order("flow", name=name) == {
        "live": True,
        "status": 200,
        "request": 0,
        "error": None,
        "kept": None,
        "comment": "",
        "truncated": False,
        "patched": True,
        "authorization": None,
        "host": "api.test",
    }
    proxy.order("open", name=f"{name}-1")
    assert response.readline() == b"part 1\n"
    proxy.order("open", name=f"{name}-2")
    assert response.read() == b"part 2\n"
    settled(proxy, name, "response")
    assert proxy.order("flow", name=name)["kept"] == len("part 0\npart 1\npart 2\n")


def test_several_calls_on_one_connection(proxy: Mitmdump, http1: HTTPConnection, name: str) -> None:
    for number in range(3):
        assert get(http1, f"/hello?name={name}-{number}").read() == b"hello world"
        sock = http1.sock
        settled(proxy, f"{name}-{number}", "response")
        assert http1.sock is sock


def test_http2_streams_are_apart(proxy: Mitmdump, http2: H2Client, name: str) -> None:
    kept, left, other = (http2.request(f"/drip?name={name}-{each}") for each in ("kept", "left", "other"))
    http2.until(lambda: all(each.data == b"part 0\n" for each in http2.streams.values()))
    http2.reset(left)
    proxy.wait("cancelled", f"{name}-left")
    for each in ("other-1", "kept-1", "kept-2", "other-2"):
        proxy.order("open", name=f"{name}-{each}")
    assert http2.finished(kept).data == http2.finished(other).data == b"part 0\npart 1\npart 2\n"
    assert not proxy.seen("cancelled", f"{name}-kept")
    settled(proxy, f"{name}-left", "error")
    settled(proxy, f"{name}-kept", "response")
    settled(proxy, f"{name}-other", "response")


@pytest.mark.parametrize(
    "mode", ["reverse:http://api.test:1", "reverse:https://api.test:1", "upstream:http://127.0.0.1:1"]
)
def test_other_modes(confdir: Path, name: str, mode: str) -> None:
    with Mitmdump(SCRIPT, confdir, "--mode", mode) as other:
        if mode.startswith("reverse"):
            client = plain_client(other)
            client.request("GET", f"/hello?name={name}")
            assert client.getresponse().read() == b"hello world"
            client.close()
        else:
            assert curl(other, f"https://api.test/hello?name={name}", "--http2").stdout == "hello world"
            assert curl(other, f"http://api.test/hello?name={name}").stdout == "hello world"


async def test_http3(confdir: Path, name: str) -> None:
    with Mitmdump(SCRIPT, confdir, "--mode", "reverse:http3://api.test:1") as other:
        answer = await http3.get(other.port, "api.test", f"/hello?name={name}")
        other.wait("response", name)
    assert answer == (b"200", b"hello world")


# The client leaves.


@pytest.mark.parametrize("path", ["mute", "silence", "drip"])
def test_a_client_that_leaves_cancels(proxy: Mitmdump, http1: HTTPConnection, name: str, path: str) -> None:
    ask(http1, f"/{path}?name={name}")
    proxy.wait("started", name)
    response = None if path == "mute" else http1.getresponse()
    leave(http1)
    proxy.wait("cancelled", name)
    settled(proxy, name, "error")
    if response is not None:
        response.close()


def leave(client: HTTPConnection) -> None:
    """As a killed process leaves."""
    assert client.sock is not None
    client.sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
    client.sock.shutdown(socket.SHUT_RDWR)
    client.close()


def test_a_client_that_half_closes_has_left(proxy: Mitmdump, name: str) -> None:
    sock = socket.create_connection(("127.0.0.1", proxy.port), PATIENCE)
    sock.sendall(b"GET http://api.test/silence?name=%s HTTP/1.1\r\nHost: api.test\r\n\r\n" % name.encode())
    proxy.wait("first", name)
    sock.shutdown(socket.SHUT_WR)
    proxy.wait("cancelled", name)
    settled(proxy, name, "error")
    sock.close()


@pytest.mark.parametrize("hook", ["request", "responseheaders"])
def test_a_client_that_leaves_during_a_paused_hook(
    proxy: Mitmdump, http1: HTTPConnection, name: str, hook: str
) -> None:
    ask(http1, f"/silence?name={name}&pause={hook}")
    proxy.wait(hook, name)
    if hook == "responseheaders":
        proxy.wait("first", name)
    leave(http1)
    if hook == "responseheaders":
        proxy.wait("cancelled", name)
    proxy.order("resume", name=name)
    settled(proxy, name, "error")
    assert len(proxy.seen("started", name)) == int(hook == "responseheaders")


def test_a_client_that_leaves_in_the_response_hook(proxy: Mitmdump, http1: HTTPConnection, name: str) -> None:
    response = get(http1, f"/bookkeeper?name={name}&pause=response")
    proxy.wait("ended", name)
    proxy.wait("response", name)
    leave(http1)
    response.close()
    proxy.order("resume", name=name)
    proxy.wait_order(lambda flow: not flow["live"], "flow", name=name)
    proxy.order("open", name=name)
    proxy.wait("after", name)
    settled(proxy, name, "response")
    assert not proxy.seen("cancelled", name)


def test_a_stubborn_responder_sends_to_nobody(proxy: Mitmdump, http1: HTTPConnection, name: str) -> None:
    response = get(http1, f"/stubborn?name={name}")
    proxy.wait("first", name)
    leave(http1)
    response.close()
    proxy.wait("after", name)
    settled(proxy, name, "error")


def test_an_http2_connection_that_goes_takes_its_responders(
    proxy: Mitmdump, http2: H2Client, name: str
) -> None:
    http2.request(f"/mute?name={name}-1")
    http2.request(f"/silence?name={name}-2")
    proxy.wait("first", f"{name}-2")
    http2.close()
    for each in (f"{name}-1", f"{name}-2"):
        proxy.wait("cancelled", each)
        settled(proxy, each, "error")


# Back-pressure and the kept body.


def test_a_slow_client_holds_the_responder_back(proxy: Mitmdump, http1: HTTPConnection, name: str) -> None:
    response = get(http1, f"/big?name={name}&blocks=400")
    proxy.wait("draining", name)
    assert response.read() == BLOCK * 400
    settled(proxy, name, "response")
    flow = proxy.order("flow", name=name)
    assert (flow["kept"], flow["truncated"]) == (BODY_LIMIT, True)


def test_the_http2_window_holds_the_responder_back(proxy: Mitmdump, http2: H2Client, name: str) -> None:
    http2.reading = False
    slow = http2.request(f"/big?name={name}&blocks=4")
    proxy.wait("draining", name)
    assert proxy.order("status")["active"] == 1
    http2.until(lambda: len(http2.streams[slow].data) == 65535)
    http2.read_on()
    assert http2.finished(slow).data == BLOCK * 4
    settled(proxy, name, "response")
    flow = proxy.order("flow", name=name)
    assert (flow["kept"], flow["truncated"]) == (len(BLOCK) * 4, False)


def test_a_client_that_leaves_under_back_pressure(proxy: Mitmdump, http1: HTTPConnection, name: str) -> None:
    response = get(http1, f"/big?name={name}&blocks=4000")
    proxy.wait("draining", name)
    leave(http1)
    response.close()
    proxy.wait("cancelled", name)
    settled(proxy, name, "error")
    flow = proxy.order("flow", name=name)
    assert flow["kept"] <= BODY_LIMIT


def test_an_http2_client_that_leaves_under_back_pressure(proxy: Mitmdump, http2: H2Client, name: str) -> None:
    http2.reading = False
    number = http2.request(f"/big?name={name}&blocks=4")
    proxy.wait("draining", name)
    http2.reset(number)
    proxy.wait("cancelled", name)
    settled(proxy, name, "error")
    http2.read_on()
    assert http2.finished(http2.request(f"/hello?name={name}-next")).data == b"hello world"


# A head that another add-on changes.


@pytest.mark.parametrize("buffer", [0, 60])
def test_an_answer_ends_where_it_ends_whatever_its_head_becomes(
    proxy: Mitmdump, http1: HTTPConnection, name: str, buffer: int
) -> None:
    """Else what is left of it would be the answer to the next request."""
    got = get(http1, f"/hello?name={name}&edit=responseheaders&buffer={buffer}")
    assert (got.status, got.headers.get("content-length"), got.read()) == (201, None, b"hello world")
    settled(proxy, name, "response")
    assert get(http1, f"/hello?name={name}-next").read() == b"hello world"


def test_nor_is_a_stream_of_http2_broken(proxy: Mitmdump, http2: H2Client, name: str) -> None:
    got = http2.finished(http2.request(f"/hello?name={name}&edit=responseheaders"))
    assert (got.data, got.headers.get(b"content-length")) == (b"hello world", None)
    settled(proxy, name, "response")


# An answer that hooks get whole.


def test_a_buffered_answer_can_be_edited(proxy: Mitmdump, http1: HTTPConnection, name: str) -> None:
    for number in (1, 2):
        proxy.order("open", name=f"{name}-{number}")
    response = get(http1, f"/drip?name={name}&buffer=60&edit=response")
    assert (response.status, response.headers["x-edited"], response.read()) == (201, "yes", b"edited")
    settled(proxy, name, "response")


def test_an_edit_of_what_was_streamed_is_taken_back(
    proxy: Mitmdump, http1: HTTPConnection, name: str
) -> None:
    assert get(http1, f"/hello?name={name}&edit=response").read() == b"hello world"
    settled(proxy, name, "response")
    flow = proxy.order("flow", name=name)
    assert (flow["status"], flow["kept"]) == (200, len("hello world"))
    assert "was taken back" in flow["comment"]


def test_an_answer_is_buffered_no_longer_than_its_client_waits(
    proxy: Mitmdump, http1: HTTPConnection, name: str
) -> None:
    response = get(http1, f"/silence?name={name}&buffer=0.01")
    assert response.read(5) == b"first"
    proxy.order("kill", name=name)
    with pytest.raises(BROKEN):
        response.read()
    settled(proxy, name, "error")


def test_what_is_too_large_is_not_buffered(proxy: Mitmdump, http1: HTTPConnection, name: str) -> None:
    response = get(http1, f"/big?name={name}&blocks=400&buffer=60&edit=response")
    assert response.read() == BLOCK * 400
    settled(proxy, name, "response")
    assert proxy.order("flow", name=name)["truncated"]


@pytest.mark.parametrize("path", ["abort", "crash"])
def test_a_buffered_answer_that_breaks_is_broken(
    proxy: Mitmdump, http1: HTTPConnection, name: str, path: str
) -> None:
    with pytest.raises(BROKEN):
        get(http1, f"/{path}?name={name}&buffer=60").read()
    settled(proxy, name, "error")


@pytest.mark.parametrize("buffer", ["0", "60"])
def test_what_is_forwarded_can_be_edited_if_it_is_buffered(
    proxy: Mitmdump, http1: HTTPConnection, name: str, buffer: str
) -> None:
    with VendorThread() as vendor:
        vendor.reply(whole(b"theirs"))
        path = f"/files?name={name}&port={vendor.port}&edit=response&buffer={buffer}"
        assert get(http1, path).read() == (b"edited" if buffer == "60" else b"theirs")
    proxy.wait_order(lambda flow: not flow["live"], "flow", name=name)
    assert proxy.order("flow", name=name)["status"] == (201 if buffer == "60" else 200)


# Intercept and kill.


@pytest.mark.parametrize("hook", ["request", "responseheaders", "response"])
def test_intercept_and_resume_lose_nothing(
    proxy: Mitmdump, http1: HTTPConnection, name: str, hook: str
) -> None:
    for number in (1, 2):
        proxy.order("open", name=f"{name}-{number}")
    ask(http1, f"/drip?name={name}&pause={hook}")
    proxy.wait(hook, name)
    proxy.order("resume", name=name)
    assert http1.getresponse().read() == b"part 0\npart 1\npart 2\n"
    settled(proxy, name, "response")


@pytest.mark.parametrize("order", ["kill", "kill-by-command", "kill-by-error"])
@pytest.mark.parametrize("path", ["mute", "silence"])
def test_kill_in_silence(proxy: Mitmdump, http1: HTTPConnection, name: str, path: str, order: str) -> None:
    ask(http1, f"/{path}?name={name}")
    proxy.wait("started" if path == "mute" else "first", name)
    proxy.order(order, name=name)
    proxy.wait("cancelled", name)
    with pytest.raises(BROKEN):
        http1.getresponse().read()
    settled(proxy, name, "error")
    assert proxy.wait("error", name)["error"] == "Connection killed."


@pytest.mark.parametrize("order", ["kill", "kill-by-command", "kill-by-error"])
@pytest.mark.parametrize("hook", ["request", "responseheaders", "response"])
def test_kill_while_a_hook_is_paused(
    proxy: Mitmdump, http1: HTTPConnection, name: str, hook: str, order: str
) -> None:
    path = "hello" if hook == "response" else "silence"
    ask(http1, f"/{path}?name={name}&pause={hook}")
    proxy.wait(hook, name)
    proxy.order(order, name=name)
    with pytest.raises(BROKEN):
        http1.getresponse().read()
    settled(proxy, name, "response" if hook == "response" else "error")
    assert len(proxy.seen("cancelled", name)) == int(hook == "responseheaders")


@pytest.mark.parametrize("hook", ["request", "responseheaders"])
def test_kill_by_another_hook(proxy: Mitmdump, http1: HTTPConnection, name: str, hook: str) -> None:
    with pytest.raises(BROKEN):
        get(http1, f"/silence?name={name}&kill={hook}")
    settled(proxy, name, "error")
    assert len(proxy.seen("started", name)) == len(proxy.seen("cancelled", name)) == int(hook != "request")


def test_what_is_killed_is_cancelled_once(proxy: Mitmdump, http1: HTTPConnection, name: str) -> None:
    response = get(http1, f"/tidy?name={name}")
    proxy.wait("first", name)
    proxy.order("kill", name=name)
    with pytest.raises(BROKEN):
        response.read()
    proxy.wait_order(lambda flow: not flow["patched"], "flow", name=name)
    assert proxy.order("status")["active"] == 1
    proxy.order("open", name=name)
    proxy.wait("after", name)
    settled(proxy, name, "error")


def test_kill_resets_one_http2_stream(proxy: Mitmdump, http2: H2Client, name: str) -> None:
    killed, kept = http2.request(f"/silence?name={name}"), http2.request(f"/drip?name={name}-kept")
    proxy.wait("first", name)
    proxy.order("kill", name=name)
    assert http2.finished(killed).reset
    for number in (1, 2):
        proxy.order("open", name=f"{name}-kept-{number}")
    assert http2.finished(kept).ended
    settled(proxy, name, "error")


# Responders that fail.


@pytest.mark.parametrize("path", ["crash", "abort", "forget", "headless", "desert"])
def test_a_failure_is_visible_over_http1(
    proxy: Mitmdump, http1: HTTPConnection, name: str, path: str
) -> None:
    with pytest.raises(BROKEN):
        get(http1, f"/{path}?name={name}").read()
    settled(proxy, name, "error")


@pytest.mark.parametrize("path", ["crash", "abort"])
def test_a_failure_before_the_head_is_visible(
    proxy: Mitmdump, http1: HTTPConnection, name: str, path: str
) -> None:
    with pytest.raises(BROKEN):
        get(http1, f"/{path}?name={name}&early=1")
    settled(proxy, name, "error")


@pytest.mark.parametrize("path", ["crash", "abort", "forget", "headless", "desert"])
def test_a_failure_resets_one_http2_stream(proxy: Mitmdump, http2: H2Client, name: str, path: str) -> None:
    assert http2.finished(http2.request(f"/{path}?name={name}")).reset
    settled(proxy, name, "error")
    assert http2.finished(http2.request(f"/hello?name={name}-next")).data == b"hello world"


def test_an_abort_says_why_and_lets_the_responder_go_on(
    proxy: Mitmdump, http1: HTTPConnection, name: str
) -> None:
    response = get(http1, f"/abort?name={name}")
    with pytest.raises(IncompleteRead) as broken:
        response.read()
    assert broken.value.partial == b"half"
    proxy.wait("after", name)
    assert proxy.wait("error", name)["error"] == "the provider is gone"
    assert proxy.order("flow", name=name)["kept"] == len("half")
    settled(proxy, name, "error")


def test_a_crash_is_logged_once_without_its_text(confdir: Path, name: str) -> None:
    with Mitmdump(SCRIPT, confdir) as other, closing(plain_client(other)) as client:
        with pytest.raises(BROKEN):
            get(client, f"/crash?name={name}&key=secret").read()
        line = other.wait_log("responder for GET api.test/crash failed: LookupError in ")
        settled(other, name, "error")
        client.close()
        with pytest.raises(BROKEN):
            get(client, f"/forget?name={name}-2").read()
        other.wait_log("responder for GET api.test/forget returned without end() or abort()")
    assert [each for each in other.log if "crash" in each] == [line]
    assert not [each for each in other.log if CREDENTIAL in each or "secret" in each]


def test_the_end_of_the_proxy_cancels(confdir: Path, name: str) -> None:
    with Mitmdump(SCRIPT, confdir) as other:
        client = plain_client(other)
        response = get(client, f"/silence?name={name}")
        other.wait("first", name)
        assert other.stop() == 0
        assert other.seen("cancelled", name)
        with pytest.raises(IncompleteRead):
            response.read()
        client.close()


# Registrations that are not used.


def test_an_answer_by_another_addon_wins(proxy: Mitmdump, http1: HTTPConnection, name: str) -> None:
    assert get(http1, f"/hello?name={name}&answered=1").read() == b"another add-on"
    settled(proxy, name, "response")
    assert not proxy.seen("started", name)


def test_a_replayed_flow_leaves_nothing(proxy: Mitmdump, name: str) -> None:
    with VendorThread() as vendor:
        vendor.always(whole(b"from the server"))
        client = plain_client(proxy)
        client.request("GET", f"{vendor.base_url}/hello?name={name}")
        assert client.getresponse().read() == b"hello world"
        client.close()
        proxy.order("replay", name=name)
        vendor.wait_requests(1)
        proxy.wait_order(lambda flow: flow["kept"] == len("from the server"), "flow", name=name)
        status = proxy.wait_order(lambda now: not now["collected"], "status")
    assert status["active"] == 0
    assert len(proxy.seen("started", name)) == 1
    assert not proxy.order("flow", name=name)["patched"]


# Forwarding.


def test_forward_changes_the_head_of_a_copy_only(confdir: Path, tmp_path: Path, name: str) -> None:
    flows = tmp_path / "flows"
    with VendorThread() as vendor, Mitmdump(SCRIPT, confdir, "-w", str(flows)) as other:
        vendor.reply(streamed([b"data: 1\n\n"], WaitFor("more"), Send(b"data: 2\n\n")))
        client = tls_client(other)
        body = b"x" * 100_000
        client.request(
            "POST", f"/files?name={name}&port={vendor.port}", body, {"Authorization": "Bearer mine"}
        )
        response = client.getresponse()
        assert response.read(9) == b"data: 1\n\n"
        assert other.order("flow", name=name)["authorization"] == "Bearer mine"
        vendor.release("more")
        assert response.read() == b"data: 2\n\n"
        client.close()
        (received,) = vendor.requests
    assert received.body == body
    assert (received.header("host"), received.credential) == ("elsewhere.test", CREDENTIAL)
    saved = flows.read_bytes()
    assert b"api.test" in saved
    assert b"Bearer mine" in saved
    assert CREDENTIAL.encode() not in saved


def test_forward_streams_the_request(proxy: Mitmdump, http1: HTTPConnection, name: str) -> None:
    """The upstream answers part by part while the request is still being sent."""
    with socket.create_server(("127.0.0.1", 0)) as listener:
        listener.settimeout(PATIENCE)
        port = listener.getsockname()[1]
        http1.putrequest("POST", target(http1, f"/echo?name={name}&port={port}"))
        http1.putheader("Transfer-Encoding", "chunked")
        http1.endheaders()
        upstream, _ = listener.accept()
        with upstream, upstream.makefile("rwb") as wire:
            head = list(iter(wire.readline, b"\r\n"))
            assert f"authorization: Bearer {CREDENTIAL}\r\n".encode() in head
            wire.write(b"HTTP/1.1 200 OK\r\ncontent-length: 10\r\n\r\n")
            http1.send(b"5\r\nfirst\r\n")
            assert (wire.readline(), wire.readline()) == (b"5\r\n", b"first\r\n")
            wire.write(b"first")
            wire.flush()
            response = http1.getresponse()
            assert response.read(5) == b"first"
            http1.send(b"4\r\nlast\r\n0\r\n\r\n")
            assert (wire.readline(), wire.readline()) == (b"4\r\n", b"last\r\n")
            wire.write(b"-last")
            wire.flush()
            assert response.read() == b"-last"
    proxy.wait_order(lambda flow: not flow["live"], "flow", name=name)


def test_forward_from_http2_to_tls(confdir: Path, tmp_path: Path, name: str) -> None:
    with VendorThread(Vendor(tls=Authority(tmp_path))) as vendor:
        trust = f"ssl_verify_upstream_trusted_ca={vendor.ca_path}"
        with Mitmdump(SCRIPT, confdir, "--set", trust) as other:
            vendor.always(whole(b"{}"))
            client = H2Client(other)
            streams = [
                client.request(f"/v1/files?name={name}-{each}&port={vendor.port}&tls=1") for each in "ab"
            ]
            assert [client.finished(each).data for each in streams] == [b"{}", b"{}"]
            client.close()
        assert [each.credential for each in vendor.requests] == [CREDENTIAL, CREDENTIAL]


@pytest.mark.parametrize("body", [None, b"a body"])
def test_forward_to_nowhere_is_answered(
    proxy: Mitmdump, http1: HTTPConnection, name: str, body: bytes | None
) -> None:
    with socket.create_server(("127.0.0.1", 0)) as listener:
        closed = listener.getsockname()[1]
    ask(http1, f"/files?name={name}&port={closed}", "POST", body)
    answer = http1.getresponse()
    assert (answer.status, answer.read()[:11]) == (502, b"no answer: ")
    settled(proxy, name, "response")
    assert get(http1, f"/hello?name={name}-next").read() == b"hello world"


def test_forward_to_who_says_nothing_is_answered(proxy: Mitmdump, http1: HTTPConnection, name: str) -> None:
    """It closes in the middle of the request, whose rest is of no use then."""
    with socket.create_server(("127.0.0.1", 0)) as listener:
        listener.settimeout(PATIENCE)
        http1.putrequest("POST", target(http1, f"/echo?name={name}&port={listener.getsockname()[1]}"))
        http1.putheader("Transfer-Encoding", "chunked")
        http1.endheaders(b"5\r\nfirst\r\n")
        upstream, _ = listener.accept()
        assert upstream.recv(1)
        upstream.close()
    proxy.wait_order(lambda flow: flow["status"] == 502, "flow", name=name)
    http1.send(b"4\r\nlast\r\n0\r\n\r\n")
    assert http1.getresponse().read().startswith(b"no answer: ")
    settled(proxy, name, "response")


def test_what_is_forwarded_is_screened(proxy: Mitmdump, http1: HTTPConnection, name: str) -> None:
    with VendorThread() as vendor:
        steps = (Send(b"ax"), WaitFor("more"), Send(b"xbx"))
        vendor.reply(Reply(200, (("x-mark", "fox"),), steps, Framing.LENGTH))
        response = get(http1, f"/files?name={name}&port={vendor.port}")
        assert (response.headers["x-mark"], response.read(1)) == ("foX", b"a")
        vendor.release("more")
        assert response.read() == b"XXbX"
    proxy.wait_order(lambda flow: not flow["live"], "flow", name=name)


@pytest.mark.parametrize(("mark", "body"), [("Y", b"fine"), ("fine", b"Y")])
def test_what_cannot_be_screened_is_withheld(
    proxy: Mitmdump, http1: HTTPConnection, name: str, mark: str, body: bytes
) -> None:
    """Before the head with an answer that says so, after it with a broken one. The server has not ended its
    answer by then, and what becomes of it changes nothing."""
    with VendorThread() as vendor:
        steps = (Send(body), WaitFor("more"), Send(b"more"))
        vendor.reply(Reply(200, (("x-mark", mark),), steps, Framing.LENGTH))
        response = get(http1, f"/files?name={name}&port={vendor.port}")
        if mark == "Y":
            assert (response.status, response.read()[:11]) == (502, b"no answer: ")
        else:
            with pytest.raises(BROKEN):
                response.read()
    settled(proxy, name, "response" if mark == "Y" else "error")
    assert not [each for each in proxy.log if CREDENTIAL in each]


# A stream that somebody asked for.


def test_what_is_not_to_be_streamed_is_collected(proxy: Mitmdump, http1: HTTPConnection, name: str) -> None:
    ask(http1, f"/hello?name={name}&streamed=1", "POST", b"x" * 100_000)
    assert http1.getresponse().read() == b"hello world"
    settled(proxy, name, "response")
    assert proxy.order("flow", name=name)["request"] == 100_000


def test_an_answer_to_half_a_request(proxy: Mitmdump, http1: HTTPConnection, name: str) -> None:
    """What follows of the request is read and thrown away, and the connection lives on."""
    http1.putrequest("POST", target(http1, f"/sized?name={name}&streamed=1&hasty=1"))
    http1.putheader("Transfer-Encoding", "chunked")
    http1.endheaders(b"5\r\nfirst\r\n")
    response = http1.getresponse()
    assert response.read() == b"sized"
    assert http1.sock is not None
    http1.sock.sendall(b"4\r\nlast\r\n0\r\n\r\n")
    settled(proxy, name, "response")
    assert get(http1, f"/hello?name={name}-next").read() == b"hello world"


def test_large_bodies_are_collected_though_mitmproxy_would_stream_them(confdir: Path, name: str) -> None:
    with (
        Mitmdump(SCRIPT, confdir, "--set", "stream_large_bodies=1k") as other,
        closing(plain_client(other)) as client,
    ):
        for denied in ("-a", "-b&denied=1"):
            client.request(
                "POST",
                f"http://api.test/hello?name={name}{denied}",
                iter([b"x" * 3000] * 3),
                encode_chunked=True,
            )
            assert client.getresponse().read() == (b"denied" if "=" in denied else b"hello world")
            settled(other, name + denied[:2], "response")


def test_a_body_of_unsaid_length_leaves_in_chunks(proxy: Mitmdump, http2: H2Client, name: str) -> None:
    with VendorThread() as vendor:
        vendor.always(whole(b"{}"))
        smuggled = b"GET /smuggled HTTP/1.1\r\nHost: api.test\r\n\r\n"
        number = http2.request(f"/files?name={name}&port={vendor.port}", body=smuggled)
        assert http2.finished(number).data == b"{}"
        (received,) = vendor.requests
    assert received.body == smuggled


def test_forward_gives_way_to_an_answer_by_another_addon(
    proxy: Mitmdump, http1: HTTPConnection, name: str
) -> None:
    ask(http1, f"/files?name={name}&port=1&denied=1", "POST", b"body")
    assert http1.getresponse().status == 407
    settled(proxy, name, "response")


def next_event(sock: socket.socket, talk: WSConnection) -> Event:
    while True:
        for event in talk.events():
            return event
        talk.receive_data(sock.recv(65536))


def test_forward_carries_a_websocket(proxy: Mitmdump, http1: HTTPConnection, name: str) -> None:
    with VendorThread() as vendor:
        vendor.reply(Upgrade())
        http1.connect()
        assert http1.sock is not None
        talk = WSConnection(ConnectionType.CLIENT)
        path = target(http1, f"/realtime?name={name}&port={vendor.port}")
        http1.sock.sendall(talk.send(Request(host="api.test", target=path)))
        assert isinstance(next_event(http1.sock, talk), AcceptConnection)
        http1.sock.sendall(talk.send(TextMessage("there and back")))
        assert next_event(http1.sock, talk) == TextMessage("there and back")
        http1.sock.sendall(talk.send(CloseConnection(1000)))
        assert isinstance(next_event(http1.sock, talk), CloseConnection)
        (received,) = vendor.requests
    assert received.credential == CREDENTIAL
    proxy.wait_order(lambda flow: not flow["live"], "flow", name=name)

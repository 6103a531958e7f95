"""Responses that are streamed inside a real mitmdump, seen by real clients."""

import socket
import struct
from contextlib import closing
from http.client import HTTPConnection, IncompleteRead
from pathlib import Path

import pytest
from mitmproxy.connection import Client
from mitmproxy.options import Options
from mitmproxy.proxy.context import Context

from addons.mitm.sink import BODY_LIMIT
from addons.mitm.stream import forked
from tests.addons import http3
from tests.addons.mitm.calls import BROKEN, SCRIPT, ask, get, settled
from tests.addons.mitm.stream_script import BLOCK, CREDENTIAL
from tests.addons.mitmdump import PATIENCE, H2Client, Mitmdump, curl, plain_client

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
    response = get(http1, f"/pace?name={name}")
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
    kept, left, other = (http2.request(f"/pace?name={name}-{each}") for each in ("kept", "left", "other"))
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


@pytest.mark.parametrize("path", ["mute", "silence", "pace"])
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


def test_a_paused_hook_holds_the_responder_back(proxy: Mitmdump, http1: HTTPConnection, name: str) -> None:
    ask(http1, f"/big?name={name}&blocks=100&pause=responseheaders")
    proxy.wait("draining", name)
    proxy.order("resume", name=name)
    assert http1.getresponse().read() == BLOCK * 100
    settled(proxy, name, "response")


def test_a_client_that_leaves_a_paused_answer(proxy: Mitmdump, http1: HTTPConnection, name: str) -> None:
    ask(http1, f"/big?name={name}&blocks=100&pause=responseheaders")
    proxy.wait("draining", name)
    http1.close()
    proxy.wait("cancelled", name)
    proxy.order("resume", name=name)
    settled(proxy, name, "error")


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


def test_a_client_that_leaves_is_noticed_though_its_connection_could_not_report_that(
    proxy: Mitmdump, http1: HTTPConnection, name: str
) -> None:
    response = get(http1, f"/big?name={name}&blocks=4000")
    proxy.wait("draining", name)
    proxy.order("interrupt", name=name)
    leave(http1)
    response.close()
    proxy.wait("cancelled", name)
    settled(proxy, name, "error")


def test_so_is_one_that_leaves_while_its_http2_window_is_closed(
    proxy: Mitmdump, http2: H2Client, name: str
) -> None:
    http2.reading = False
    http2.request(f"/big?name={name}&blocks=4")
    proxy.wait("draining", name)
    proxy.order("interrupt", name=name)
    proxy.wait("cancelled", name)
    settled(proxy, name, "error")


# An answer that hooks get whole.


def test_a_buffered_answer_can_be_edited(proxy: Mitmdump, http1: HTTPConnection, name: str) -> None:
    for number in (1, 2):
        proxy.order("open", name=f"{name}-{number}")
    response = get(http1, f"/pace?name={name}&buffer=60&edit=response")
    assert (response.status, response.headers["x-edited"], response.read()) == (201, "yes", b"edited")
    settled(proxy, name, "response")


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


def test_an_abort_says_why_and_lets_the_responder_continue(
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


# A request that is longer than mitmproxy would collect.


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


def test_a_context_is_forked_as_mitmproxy_does_it() -> None:
    context = Context(Client(peername=("", 0), sockname=("", 0)), Options())
    theirs, ours = context.fork(), forked(context)
    assert vars(ours) == vars(theirs)
    assert ours.server is theirs.server
    assert ours.layers is not context.layers

"""A client that leaves, at every stage of a call, or that does not read: nothing is left running."""

import re
import select
import socket
import threading
from collections.abc import Callable, Iterator, Sequence
from itertools import count

import pytest

from tests.e2e.proxy import ADDON, Proxy
from tests.e2e.talk import PROBE, Http1, Http2, Listener, ask, client, post, tunnel, wait_order
from tests.vendor import (
    SPEECHES,
    Answer,
    Hang,
    Received,
    Reply,
    Reset,
    Said,
    Send,
    VendorThread,
    WaitFor,
    chat_error,
    chat_stream,
    chat_tool_stream,
    streamed,
)

RESET_REPORT = re.compile(
    r"\[[\d:.]+\] Unhandled error in task\.\nTraceback \(most recent call last\):\n"
    r'  File "[^"]*/mitmproxy/proxy/server\.py", line \d+, in handle_connection\n'
    r"(?:    .*\n|  File \"[^\"]*/asyncio/.*\n)*ConnectionResetError: .*"
)
"""Seen on Python 3.13: a client's reset, raised where mitmproxy reads from it; no frame of ours is in it."""

CONFIG = """
[providers.openai]
base_url = "{url}"
credentials = [{{ name = "one", key = "env:ONE" }}, {{ name = "two", key = "env:TWO" }}]
[providers.anthropic]
base_url = "{url}"
[providers.gemini]
base_url = "{url}"
[providers.ollama_cloud]
base_url = "{url}"
[providers.poolless]
base_url = "{url}"
hosts = ["poolless.test"]
protocols = ["openai_chat"]
[providers.deaf]
base_url = "https://127.0.0.1:{deaf}"
hosts = ["deaf.test"]
protocols = ["openai_chat"]
credentials = [{{ name = "one", key = "env:ONE" }}]
[providers.raw]
base_url = "http://127.0.0.1:{raw}"
hosts = ["raw.test"]
protocols = ["openai_chat"]
credentials = [{{ name = "one", key = "env:ONE" }}]
[[routes]]
match = {{ model = "goes-on-*" }}
on_truncation = "continue"
[[routes]]
match = {{ model = "held-*" }}
hold_tool_calls = true
[[routes]]
match = {{ model = "gathered-*" }}
force_upstream_stream = true
[streaming]
stall_timeout = 0.5
"""
ONE, TWO = "sk-pool-number-one", "sk-pool-number-two"
CHAT, FILES = "/v1/chat/completions", "/v1/files"
IDLE = {"responders": 0, "drivers": 0, "in_flight": {}, "intercepted": []}
OWN = {"authorization": "Bearer sk-own-key"}
TEXT = chat_stream(["Hello", " there"])

_models = (f"gpt-4o-{number}" for number in count())

type Ways = Callable[[str, str, bytes], "Way"]


@pytest.fixture(scope="module")
def vendor() -> Iterator[VendorThread]:
    with VendorThread() as running:
        yield running


@pytest.fixture(scope="module")
def deaf() -> Iterator[Listener]:
    """Takes connections and never shakes hands."""
    with Listener() as listener:
        yield listener


@pytest.fixture(scope="module")
def raw() -> Iterator[Listener]:
    with Listener() as listener:
        yield listener


@pytest.fixture(scope="module")
def proxy(
    vendor: VendorThread, deaf: Listener, raw: Listener, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Proxy]:
    config = CONFIG.format(url=vendor.base_url, deaf=deaf.port, raw=raw.port)
    folder = tmp_path_factory.mktemp("clients_leave")
    with Proxy(folder, config, keys={"ONE": ONE, "TWO": TWO}, scripts=(ADDON, PROBE)) as running:
        yield running
    log = RESET_REPORT.sub("", running.log)
    assert not [word for word in ("Traceback", "crashed", "never retrieved") if word in log], running.log


@pytest.fixture(autouse=True)
def _all_is_idle(vendor: VendorThread, proxy: Proxy) -> Iterator[None]:
    vendor.requests.clear()
    yield
    wait_order(proxy, lambda state: state == IDLE, "state")


@pytest.fixture
def model() -> str:
    return next(_models)


class Way:
    """A client that has asked, over any version of HTTP."""

    def __init__(self, proxy: Proxy, version: str, host: str, path: str, body: bytes) -> None:
        self._version = version
        if version.startswith("h2"):
            self._h2 = Http2(proxy, host)
            self._number = self._h2.post(path, body, OWN)
        else:
            self._h1 = Http1(tunnel(proxy, host))
            self._h1.send(post(path, host, body, [("Authorization", "Bearer sk-own-key")]))

    def until(self, text: bytes) -> None:
        if self._version.startswith("h2"):
            self._h2.until(self._number, text)
        else:
            self._h1.until(text)

    def leave(self) -> None:
        match self._version:
            case "h1":
                self._h1.leave()
            case "h1-reset":
                self._h1.vanish()
            case "h2":
                self._h2.close()
            case "h2-stream":
                self._h2.reset(self._number)

    def close(self) -> None:
        if self._version.startswith("h2"):
            self._h2.close()
        else:
            self._h1.leave()


@pytest.fixture(params=["h1", "h1-reset", "h2", "h2-stream"])
def ask_for(request: pytest.FixtureRequest, proxy: Proxy) -> Iterator[Ways]:
    ways = []

    def make(host: str, path: str, body: bytes) -> Way:
        ways.append(Way(proxy, request.param, host, path, body))
        return ways[-1]

    yield make
    for way in ways:
        way.close()


def abandoned(proxy: Proxy, model: str) -> str:
    """The record of an abandoned call, once there is one."""
    log = proxy.wait_log(f"model={model} end=abandoned")
    return next(line for line in log.splitlines() if f"model={model} end=abandoned" in line)


def closed(vendor: VendorThread, received: Received) -> None:
    vendor.run(received.closed_by_client.wait())


STAGES: dict[str, tuple[Answer, bytes]] = {
    "waiting for the head": (Hang(), b""),
    "held": (streamed(TEXT[:1], WaitFor("never")), b""),
    "streaming": (streamed(TEXT[:2], WaitFor("never")), b"Hello"),
    "an error body": (Reply(500, (), (Send(b"{"), WaitFor("never"))), b""),
}


@pytest.mark.parametrize("stage", STAGES)
@pytest.mark.parametrize("host", ["api.openai.com", "poolless.test"])
def test_the_attempt_is_closed_at_once(
    proxy: Proxy, vendor: VendorThread, ask_for: Ways, model: str, stage: str, host: str
) -> None:
    answer, seen = STAGES[stage]
    vendor.on(path=CHAT).reply(answer)
    way = ask_for(host, CHAT, ask(model))
    (received,) = vendor.wait_requests(1)
    if stage in ("held", "an error body"):
        vendor.wait_gate("never")
    way.until(seen)
    way.leave()
    closed(vendor, received)
    record = abandoned(proxy, model)
    assert "attempts=one:abandoned" in record or "attempts=client:abandoned" in record
    assert len(vendor.requests) == 1


LATER = streamed(TEXT[:2], WaitFor("never"))
HALF_A_CALL = chat_tool_stream("weather", ('{"city":', '"Paris"}'))[:3]
UNSEEN: dict[str, tuple[str, Sequence[Answer], bytes]] = {
    "a continuation is waited for": ("goes-on", (streamed(TEXT[:2], Reset()), Hang()), b"Hello"),
    "a continuation comes": (
        "goes-on",
        (streamed(TEXT[:2], Reset()), streamed(chat_stream(["more"])[:2], WaitFor("never"))),
        b"more",
    ),
    "half a call is held": ("held", (streamed(HALF_A_CALL, WaitFor("never")),), b""),
    "a stream is gathered": ("gathered", (LATER,), b""),
}


@pytest.mark.parametrize("stage", UNSEEN)
def test_what_the_client_sees_nothing_of_is_closed_as_well(
    proxy: Proxy, vendor: VendorThread, ask_for: Ways, model: str, stage: str
) -> None:
    """Not a single attempt is made for nobody."""
    kind, answers, seen = UNSEEN[stage]
    queue, name = vendor.on(path=CHAT), f"{kind}-{model}"
    for answer in answers:
        queue.reply(answer)
    way = ask_for("api.openai.com", CHAT, ask(name, stream=kind != "gathered"))
    *_, last = vendor.wait_requests(len(answers))
    if answers[-1] != Hang():
        vendor.wait_gate("never")
    way.until(seen)
    way.leave()
    closed(vendor, last)
    assert f"{'two' if kind == 'goes-on' else 'one'}:abandoned" in abandoned(proxy, name)
    assert len(vendor.requests) == len(answers)


PLACES = {
    "openai_responses": ("api.openai.com", "/v1/responses"),
    "anthropic_messages": ("api.anthropic.com", "/v1/messages"),
    "gemini_generate": ("generativelanguage.googleapis.com", "/v1beta/models/{model}:streamGenerateContent"),
    "ollama_chat": ("ollama.com", "/api/chat"),
}


@pytest.mark.parametrize("stage", ["waiting for the head", "streaming"])
@pytest.mark.parametrize("protocol", PLACES)
def test_in_every_other_protocol_too(
    proxy: Proxy, vendor: VendorThread, model: str, protocol: str, stage: str
) -> None:
    speech, (host, place) = SPEECHES[protocol], PLACES[protocol]
    path = place.format(model=model)
    begun = speech.cut(Said(("Hello", "there")), "Hello", WaitFor("never"), model=model)
    vendor.on(path=path).reply(begun if stage == "streaming" else Hang())
    target = f"{path}?alt=sse" if protocol == "gemini_generate" else path
    with Http1(tunnel(proxy, host)) as us:
        us.send(post(target, host, ask(model), [("Authorization", "Bearer sk-own-key")]))
        (received,) = vendor.wait_requests(1)
        us.until(b"Hello" if stage == "streaming" else b"")
    closed(vendor, received)
    abandoned(proxy, model)
    assert len(vendor.requests) == 1


@pytest.mark.parametrize(("host", "keys"), [("api.openai.com", 2), ("poolless.test", 1)])
def test_no_attempt_follows_a_back_off(
    proxy: Proxy, vendor: VendorThread, ask_for: Ways, model: str, host: str, keys: int
) -> None:
    vendor.on(path=CHAT).reply(chat_error(503, "server_error", "busy", (("retry-after", "20"),)), keys)
    way = ask_for(host, CHAT, ask(model))
    received = vendor.wait_requests(keys)[-1]
    vendor.run(received.finished.wait())
    wait_order(proxy, lambda state: state["in_flight"] == {}, "state")
    way.leave()
    assert "rejected(503 server)" in abandoned(proxy, model)
    assert len(vendor.requests) == keys


def test_a_wait_for_a_free_credential_ends(
    proxy: Proxy, vendor: VendorThread, ask_for: Ways, model: str
) -> None:
    slow = chat_error(429, "rate_limit_exceeded", "slow down", (("retry-after", "20"),))
    vendor.on(path=CHAT).reply(slow, 2)
    way = ask_for("api.openai.com", CHAT, ask(model))
    received = vendor.wait_requests(2)[1]
    vendor.run(received.finished.wait())
    wait_order(proxy, lambda state: state["in_flight"] == {}, "state")
    way.leave()
    abandoned(proxy, model)
    assert len(vendor.requests) == 2


def test_a_connection_that_is_being_made_is_given_up(
    proxy: Proxy, deaf: Listener, ask_for: Ways, model: str
) -> None:
    way = ask_for("deaf.test", CHAT, ask(model))
    with deaf.accept() as provider:
        assert provider.sock.recv(65536).startswith(b"\x16")  # a ClientHello, which is never answered
        way.leave()
        assert provider.rest() == b""
    abandoned(proxy, model)


@pytest.mark.parametrize("stage", ["waiting for the head", "streaming"])
def test_what_is_passed_through_is_closed_as_well(vendor: VendorThread, ask_for: Ways, stage: str) -> None:
    steps = (Send(b"Hello"), WaitFor("never"))
    answer: Answer = Hang() if stage == "waiting for the head" else Reply(200, (), steps)
    vendor.on(path=FILES).reply(answer)
    way = ask_for("api.openai.com", FILES, b"{}")
    (received,) = vendor.wait_requests(1)
    if stage == "streaming":
        way.until(b"Hello")
    way.leave()
    closed(vendor, received)
    assert len(vendor.requests) == 1


def test_a_request_that_is_taken_back_in_one_write_asks_nothing(proxy: Proxy, vendor: VendorThread) -> None:
    with Http2(proxy, "api.openai.com") as us:
        us.take_back(CHAT, ask("taken-back"), OWN)
        us.finished(us.post(CHAT, ask("kept"), OWN))
        assert [received.json()["model"] for received in vendor.requests] == ["kept"]
        us.take_back(CHAT, ask("taken-back"), OWN, closing=True)
        us.ended()
    assert len(vendor.requests) == 1


def test_a_client_that_leaves_inside_its_request_asks_nothing(proxy: Proxy, vendor: VendorThread) -> None:
    with Http1(tunnel(proxy, "api.openai.com")) as us:
        us.send(post(CHAT, "api.openai.com", ask(), [("Authorization", "Bearer sk-own-key")])[:-9])
    with client(proxy) as http:
        http.get("https://api.openai.com/v1/files")
    assert [one.path for one in vendor.requests] == ["/v1/files"]


# -- several calls on one connection ------------------------------------------------------------------


def test_one_of_two_streams_is_reset_and_the_other_continues(
    proxy: Proxy, vendor: VendorThread, model: str
) -> None:
    first, second = f"{model}-a", f"{model}-b"
    vendor.on(path=CHAT).reply(streamed(TEXT[:2], WaitFor("never")))
    vendor.on(path=CHAT).reply(streamed([*TEXT[:2]], WaitFor("other"), *map(Send, TEXT[2:])))
    with Http2(proxy, "api.openai.com") as us:
        one = us.post(CHAT, ask(first), OWN)
        us.until(one, b"Hello")
        two = us.post(CHAT, ask(second), OWN)
        us.until(two, b"Hello")
        us.reset(one)
        closed(vendor, vendor.requests[0])
        abandoned(proxy, first)
        vendor.release("other")
        whole = us.finished(two)
    assert (whole.ended, bytes(whole.data)) == (True, b"".join(TEXT))
    proxy.wait_log(f"model={second} status=200 end=completed")


def test_many_streams_at_once(proxy: Proxy, vendor: VendorThread, model: str) -> None:
    with Http2(proxy, "api.openai.com") as us:
        numbers = [us.post(CHAT, ask(f"{model}-{number}"), OWN) for number in range(20)]
        answers = [us.finished(number) for number in numbers]
    assert all(answer.ended and answer.data.endswith(b"data: [DONE]\n\n") for answer in answers)
    assert len(vendor.requests) == 20


def test_a_connection_serves_call_after_call(proxy: Proxy, vendor: VendorThread, model: str) -> None:
    request = post(CHAT, "api.openai.com", ask(model), [("Authorization", "Bearer sk-own-key")])
    with Http1(tunnel(proxy, "api.openai.com")) as us:
        for _ in range(3):
            us.received.clear()
            us.send(request)
            assert us.until(b"\r\n0\r\n\r\n").startswith(b"HTTP/1.1 200 OK\r\n")
    assert len({received.connection for received in vendor.requests}) == 1


MANY = 60
"""Calls on one connection; the soak (scripts/soak) has the rest of a hundred thousand."""


def test_nothing_is_left_of_calls_that_are_over(proxy: Proxy, vendor: VendorThread, model: str) -> None:
    def calls(name: str, *answers: Answer) -> None:
        for answer in answers * (MANY // len(answers)):
            vendor.on(path=CHAT).reply(answer)
        with Http2(proxy, "api.openai.com") as us:
            for number in range(MANY):
                us.finished(us.post(CHAT, ask(f"{model}-{name}-{number}"), OWN))

    refused = chat_error(400, "invalid_value", "no")
    calls("warm", streamed(TEXT))
    before: dict[str, int] = wait_order(proxy, lambda found: found["calls"] == 0, "held")
    calls("whole", streamed(TEXT))
    calls("cut", streamed(TEXT[:2], Reset()))
    calls("refused", refused)

    def settled(found: dict[str, int]) -> bool:
        """What belongs to a connection ends with that, some turns after its last call. Less is left
        where idle connections have expired meanwhile."""
        return found["timers"] == 0 and all(number <= before[name] for name, number in found.items())

    wait_order(proxy, settled, "held")


# -- a client that does not read ----------------------------------------------------------------------

EVENT = b'data: {"choices":[{"index":0,"delta":{"content":"' + b"x" * 65_000 + b'"}}]}\n\n'
EVENTS = 800
HEAD = b"HTTP/1.1 200 OK\r\nContent-Type: text/event-stream\r\nConnection: close\r\n\r\n"


def takes_more(sock: socket.socket) -> bool:
    """Whether there is room for another byte within a time that is longer than the stall timeout."""
    return bool(select.select((), (sock,), (), 1.0)[1])


def send_and_leave(provider: Http1, data: bytes) -> None:
    provider.send(data)
    provider.leave()


def test_upstream_is_read_no_faster_than_the_client_reads(proxy: Proxy, raw: Listener, model: str) -> None:
    with Http1(tunnel(proxy, "raw.test")) as us:
        us.send(post(CHAT, "raw.test", ask(model), [("Connection", "close")]))
        with raw.accept() as provider:
            provider.until(ask(model))
            provider.send(HEAD)
            sent = 0
            provider.sock.setblocking(False)
            rest = EVENT * EVENTS + TEXT[-2] + TEXT[-1]
            while takes_more(provider.sock):
                sent += provider.sock.send(rest[sent : sent + len(EVENT)])
            provider.sock.setblocking(True)
            sender = threading.Thread(target=send_and_leave, args=(provider, rest[sent:]))
            sender.start()
            received = us.rest()
            sender.join()
    assert sent < 16_000_000
    record = next(
        line for line in proxy.wait_log(f"model={model} ").splitlines() if f"model={model} " in line
    )
    assert "status=200 end=completed" in record
    assert len(received) > len(rest)
    assert received.endswith(b"\r\n0\r\n\r\n")
    assert b'"finish_reason":"stop"' in received


def test_what_is_passed_through_waits_for_the_client_too(proxy: Proxy, raw: Listener) -> None:
    size = len(EVENT) * EVENTS
    with Http1(tunnel(proxy, "raw.test")) as us:
        us.send(b"GET /v1/files/1/content HTTP/1.1\r\nHost: raw.test\r\nConnection: close\r\n\r\n")
        with raw.accept() as provider:
            provider.until(b"\r\n\r\n")
            provider.send(b"HTTP/1.1 200 OK\r\nContent-Length: %d\r\n\r\n" % size)
            sent = 0
            provider.sock.setblocking(False)
            while takes_more(provider.sock):
                sent += provider.sock.send(EVENT[: size - sent])
    assert 0 < sent < 16_000_000

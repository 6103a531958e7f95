"""Faults of our own: closed on credentials, open on an answer that is under way; nothing leaks."""

from collections.abc import Iterator

import httpx
import pytest

from tests.e2e.proxy import ADDON, Proxy
from tests.e2e.talk import PROBE, Http1, ask, client, order, post, tunnel, wait_order
from tests.vendor import (
    Framing,
    Reply,
    Send,
    VendorThread,
    WaitFor,
    chat_stream,
    messages_stream,
    streamed,
    whole,
)

CONFIG = """
[providers.openai]
base_url = "{url}"
credentials = [{{ name = "one", key = "env:ONE" }}, {{ name = "two", key = "env:TWO" }}]
[providers.anthropic]
base_url = "{url}"
credentials = [{{ name = "one", key = "env:ONE" }}, {{ name = "two", key = "env:TWO" }}]
"""
ONE, TWO = "sk-pool-number-one", "sk-pool-number-two"
OWN = "sk-own-key-of-the-client"
CHAT, MESSAGES, FILES = "/v1/chat/completions", "/v1/messages", "/v1/files"
URLS = {
    CHAT: f"https://api.openai.com{CHAT}",
    MESSAGES: f"https://api.anthropic.com{MESSAGES}",
    FILES: f"https://api.openai.com{FILES}",
}
IDLE = {"responders": 0, "drivers": 0, "in_flight": {}, "intercepted": []}


@pytest.fixture(scope="module")
def vendor() -> Iterator[VendorThread]:
    with VendorThread() as running:
        yield running


@pytest.fixture(scope="module")
def proxy(vendor: VendorThread, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Proxy]:
    folder = tmp_path_factory.mktemp("own_faults")
    running = Proxy(
        folder,
        CONFIG.format(url=vendor.base_url),
        keys={"ONE": ONE, "TWO": TWO},
        options=("-v",),
        scripts=(ADDON, PROBE),
    )
    with running:
        yield running
    assert not [word for word in ("Traceback", "crashed", ONE, TWO, OWN, "quotes") if word in running.log], (
        running.log
    )


@pytest.fixture(autouse=True)
def _mended(vendor: VendorThread, proxy: Proxy) -> Iterator[None]:
    """Each test leaves nothing behind: no fault, no responder, no credential in use."""
    vendor.requests.clear()
    yield
    order(proxy, "mend")
    wait_order(proxy, lambda state: state == IDLE, "state")


def call(proxy: Proxy, path: str, *, stream: bool = True) -> httpx.Response:
    with client(proxy) as http:
        return http.post(URLS[path], headers={"authorization": f"Bearer {OWN}"}, content=ask(stream=stream))


def is_refused(answer: httpx.Response, path: str) -> bool:
    """A 502 in the form that the protocol's SDKs raise on, and do not repeat."""
    error = answer.json()["error"]
    own_form = answer.json().get("type") == "error" if path == MESSAGES else "code" in error
    return answer.status_code == 502 and own_form and "fault of the proxy" in error["message"]


BEFORE = [
    ("admit", "", CHAT),
    ("written", "", CHAT),
    ("acquire", "", CHAT),
    ("handle", "Start", CHAT),
    ("handle", "Acquired", MESSAGES),
    ("forwarding", "", FILES),
    ("forwarded_head", "", FILES),
]


@pytest.mark.parametrize(("place", "event", "path"), BEFORE)
def test_nothing_leaves_before_an_attempt_is_open(
    proxy: Proxy, vendor: VendorThread, place: str, event: str, path: str
) -> None:
    order(proxy, "fault", place=place, event=event)
    answer = call(proxy, path)
    if place == "admit":  # what it would have been is not known
        assert (answer.status_code, OWN in answer.text) == (502, False)
    else:
        assert is_refused(answer, path), answer.text
        assert answer.headers.get("x-should-retry") == "false"
    assert vendor.requests == []


@pytest.mark.parametrize("event", ["UpstreamStarted", "UpstreamData", "UpstreamClosed", "TimerFired"])
@pytest.mark.parametrize("path", [CHAT, MESSAGES])
def test_an_open_answer_reaches_the_client(proxy: Proxy, vendor: VendorThread, path: str, event: str) -> None:
    events = chat_stream(["Hel", "lo"]) if path == CHAT else messages_stream(["Hel", "lo"])
    vendor.on(path=path).reply(streamed(events, headers=(("x-mark", "theirs"),)))
    order(proxy, "fault", place="handle", event=event)
    answer = call(proxy, path)
    assert (answer.status_code, answer.headers["x-mark"]) == (200, "theirs")
    assert answer.content == b"".join(events)
    assert len(vendor.requests) == 1


@pytest.mark.parametrize("event", ["UpstreamData", "UpstreamClosed"])
def test_a_whole_answer_reaches_the_client(proxy: Proxy, vendor: VendorThread, event: str) -> None:
    vendor.on(path=CHAT).reply(whole(b'{"id": "1", "choices": []}'))
    order(proxy, "fault", place="handle", event=event)
    assert call(proxy, CHAT, stream=False).content == b'{"id": "1", "choices": []}'


def test_an_answer_that_began_continues(proxy: Proxy, vendor: VendorThread) -> None:
    """Half of it went out by the rules; the rest follows byte for byte, and no key with it."""
    events = chat_stream(["Hel", "lo"])
    torn = [events[2][:9], events[2][9:], *events[3:]]
    before = [*events[:2], torn[0]]
    after = [*torn[1:-1], ONE[:9].encode()]
    last = map(Send, [ONE[9:].encode(), torn[-1]])
    torn_answer = streamed(before, WaitFor("broken"), *map(Send, after), WaitFor("torn"), *last)
    vendor.on(path=CHAT).reply(torn_answer)
    with client(proxy) as http:
        asked = http.stream("POST", URLS[CHAT], headers={"authorization": f"Bearer {OWN}"}, content=ask())
        with asked as answer:
            pieces = answer.iter_raw()
            got = b""
            while b"Hel" not in got:
                got += next(pieces)
            order(proxy, "fault", place="handle", event="UpstreamData")
            vendor.release("broken")
            vendor.release("torn")
            got += b"".join(pieces)
    assert got == b"".join(events[:-1]) + b"*" * len(ONE) + events[-1]


def test_an_error_body_that_was_open_reaches_the_client(proxy: Proxy, vendor: VendorThread) -> None:
    vendor.on(path=CHAT).reply(whole(b'{"error": {"message": "theirs"}}', 418))
    order(proxy, "fault", place="handle", event="UpstreamClosed")
    answer = call(proxy, CHAT)
    assert (answer.status_code, answer.content) == (418, b'{"error": {"message": "theirs"}}')


def test_a_fault_when_the_client_leaves_leaves_nothing(proxy: Proxy, vendor: VendorThread) -> None:
    vendor.on(path=CHAT).reply(streamed(chat_stream(["a"])[:2], WaitFor("never")))
    order(proxy, "fault", place="handle", event="ClientGone")
    with Http1(tunnel(proxy, "api.openai.com")) as us:
        us.send(post(CHAT, "api.openai.com", ask(), [("Authorization", f"Bearer {OWN}")]))
        us.until(b'"a"')
        (received,) = vendor.wait_requests(1)
    vendor.run(received.closed_by_client.wait())


@pytest.mark.parametrize(
    ("place", "ending"), [("journal", ()), ("release", ()), ("release", (WaitFor("never"),))]
)
def test_a_fault_in_the_records_costs_the_records_alone(
    proxy: Proxy, vendor: VendorThread, place: str, ending: tuple[WaitFor, ...]
) -> None:
    """Whether the provider closes after its last frame or not."""
    events = chat_stream(["a"])
    vendor.on(path=CHAT).reply(streamed(events, *ending))
    order(proxy, "fault", place=place)
    answer = call(proxy, CHAT)
    order(proxy, "reset")
    assert (answer.status_code, answer.content) == (200, b"".join(events))
    assert len(vendor.requests) == 1


@pytest.mark.parametrize("path", [CHAT, FILES])
def test_what_cannot_be_blacked_out_does_not_go_out(proxy: Proxy, vendor: VendorThread, path: str) -> None:
    vendor.on(path=path).reply(Reply(200, (("x-you-are", ONE),), (Send(ONE.encode()),), Framing.LENGTH))
    order(proxy, "fault", place="blackout")
    with Http1(tunnel(proxy, "api.openai.com")) as us:
        us.send(
            post(path, "api.openai.com", ask(), [("Authorization", f"Bearer {OWN}"), ("Connection", "close")])
        )
        assert ONE.encode() not in us.rest()
    order(proxy, "reset")  # what the pool keeps of a refusal is blacked out as well

"""WebSockets that sessions of ours answer inside a real mitmdump, seen by clients that know the protocol."""

import itertools
import socket
import struct
from collections.abc import Iterator
from contextlib import closing, contextmanager
from http.client import HTTPConnection
from pathlib import Path
from typing import Any

import pytest
from mitmproxy.connection import Client
from mitmproxy.options import Options
from mitmproxy.proxy.context import Context
from mitmproxy.proxy.events import DataReceived
from wsproto import ConnectionType, WSConnection
from wsproto.events import (
    AcceptConnection,
    BytesMessage,
    CloseConnection,
    Event,
    Ping,
    Pong,
    RejectConnection,
    Request,
    TextMessage,
)
from wsproto.extensions import Extension, PerMessageDeflate

from addons.mitm.websocket_limits import KEPT_MESSAGES, MOST_SILENT
from addons.mitm.websocket_server import MOST_LATE, WebSocketServerLayer
from tests.addons.mitm.websocket_script import FRAME, LONGEST, WAITING
from tests.addons.mitmdump import PATIENCE, Mitmdump, plain_client, tls_client

SCRIPT = Path(__file__).with_name("websocket_script.py")
LINGER_ZERO = struct.pack("ii", 1, 0)

_numbers = itertools.count(1)


@pytest.fixture(scope="module")
def proxy(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Mitmdump]:
    with Mitmdump(SCRIPT, tmp_path_factory.mktemp("confdir")) as running:
        yield running


@pytest.fixture
def name() -> str:
    return f"socket-{next(_numbers)}"


class Talk:
    """A client's WebSocket over `http1`, which is through CONNECT and TLS or not."""

    def __init__(self, http1: HTTPConnection, path: str, extensions: list[Extension] | None = None) -> None:
        http1.connect()
        assert http1.sock is not None
        self.sock: socket.socket = http1.sock
        self.sock.settimeout(PATIENCE)
        self._ws = WSConnection(ConnectionType.CLIENT)
        target = path if http1.default_port == 443 else f"http://api.test{path}"
        self.send(Request(host="api.test", target=target, extensions=extensions or []))
        self.answer = self.next()

    def send(self, *events: Event) -> None:
        self.sock.sendall(b"".join(self._ws.send(event) for event in events))

    def say(self, text: str) -> None:
        self.send(TextMessage(text))

    def next(self) -> Event:
        """The next event; the end of the connection is an EOFError."""
        while True:
            for event in self._ws.events():
                return event
            data = self.sock.recv(65536)
            if not data:
                raise EOFError
            self._ws.receive_data(data)

    def text(self) -> str:
        """The next message, whole."""
        text = ""
        while True:
            event = self.next()
            assert isinstance(event, TextMessage), event
            text += event.data
            if event.message_finished:
                return text

    def closed(self) -> int:
        """The code of a close, which is answered, and the end of the connection after it."""
        event = self.next()
        assert isinstance(event, CloseConnection), event
        self.send(event.response())
        assert self.sock.recv(1) == b""
        return event.code


@pytest.fixture(params=["plain", "tls"])
def http1(request: pytest.FixtureRequest, proxy: Mitmdump) -> Iterator[HTTPConnection]:
    with closing(plain_client(proxy) if request.param == "plain" else tls_client(proxy)) as client:
        yield client


@pytest.fixture
def plain(proxy: Mitmdump) -> Iterator[HTTPConnection]:
    with closing(plain_client(proxy)) as client:
        yield client


def settled(proxy: Mitmdump, name: str) -> dict[str, Any]:
    """The session was cancelled, nothing is left, and the flow is over."""
    proxy.wait("cancelled", name)
    proxy.wait("websocket_end", name)
    proxy.wait_order(lambda status: status == {"active": 0, "open": 0}, "status")
    flow: dict[str, Any] = proxy.wait_order(lambda flow: not flow["live"], "flow", name=name)
    assert not flow["patched"]
    assert len(proxy.seen("websocket_start", name)) == len(proxy.seen("websocket_end", name)) == 1
    return flow


def test_messages_go_there_and_back_and_the_client_closes(
    proxy: Mitmdump, http1: HTTPConnection, name: str
) -> None:
    talk = Talk(http1, f"/echo?name={name}")
    assert isinstance(talk.answer, AcceptConnection)
    for text in ("hello", "wörld", ""):
        talk.say(text)
        assert talk.text() == text
    talk.send(CloseConnection(1000, "bye"))
    assert talk.next() == CloseConnection(1000, "bye")
    flow = settled(proxy, name)
    assert (flow["code"], flow["by_client"], flow["messages"]) == (1000, True, 6)


def test_what_is_sent_right_after_the_handshake_is_not_lost(
    proxy: Mitmdump, plain: HTTPConnection, name: str
) -> None:
    """The 101 is not awaited."""
    plain.connect()
    assert plain.sock is not None
    key = "Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\nSec-WebSocket-Version: 13\r\n"
    head = f"GET http://api.test/echo?name={name} HTTP/1.1\r\nHost: api.test\r\n"
    frame = WSConnection(ConnectionType.CLIENT)
    frame.send(Request(host="api.test", target="/"))
    unmasked_ping = bytes([0x89, 0x80, 0, 0, 0, 0])
    plain.sock.sendall(
        f"{head}Connection: Upgrade\r\nUpgrade: websocket\r\n{key}\r\n".encode() + unmasked_ping
    )
    received = b""
    while not received.endswith(bytes([0x8A, 0])):
        received += plain.sock.recv(100)
    plain.sock.close()
    settled(proxy, name)


def test_compression(proxy: Mitmdump, http1: HTTPConnection, name: str) -> None:
    talk = Talk(http1, f"/echo?name={name}", [PerMessageDeflate()])
    assert isinstance(talk.answer, AcceptConnection)
    assert [type(each) for each in talk.answer.extensions] == [PerMessageDeflate]
    for _ in range(2):  # the second is compressed in terms of the first
        talk.say("again and " * 1000)
        assert talk.text() == "again and " * 1000
    talk.send(CloseConnection(1000))
    talk.next()
    settled(proxy, name)


def test_a_message_in_pieces_is_one_and_a_ping_between_them_is_answered(
    proxy: Mitmdump, plain: HTTPConnection, name: str
) -> None:
    talk = Talk(plain, f"/echo?name={name}")
    talk.send(TextMessage("one ", message_finished=False), Ping(b"?"), TextMessage("message"))
    assert talk.next() == Pong(b"?")
    assert talk.text() == "one message"
    plain.close()
    settled(proxy, name)


def test_a_long_message_of_ours_comes_in_frames(proxy: Mitmdump, plain: HTTPConnection, name: str) -> None:
    talk = Talk(plain, f"/echo?name={name}")
    talk.say("x" * (FRAME + 1))
    received = [talk.next()]
    while not (isinstance(received[-1], TextMessage) and received[-1].message_finished):
        received.append(talk.next())
    pieces = [each.data for each in received if isinstance(each, TextMessage)]
    assert "".join(pieces) == "x" * (FRAME + 1)
    ends = [each.frame_finished for each in received if isinstance(each, TextMessage)]
    assert sum(ends) == 2
    plain.close()
    settled(proxy, name)


def test_a_session_may_ping(proxy: Mitmdump, plain: HTTPConnection, name: str) -> None:
    talk = Talk(plain, f"/ping?name={name}")
    assert isinstance(talk.next(), Ping)
    talk.send(Pong(), CloseConnection(1000))
    assert isinstance(talk.next(), CloseConnection)
    settled(proxy, name)


@pytest.mark.parametrize("way", ["close", "reset"])
def test_a_client_that_leaves_cancels_the_session(
    proxy: Mitmdump, http1: HTTPConnection, name: str, way: str
) -> None:
    talk = Talk(http1, f"/deaf?name={name}")
    proxy.wait("started", name)
    if way == "reset":
        talk.sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, LINGER_ZERO)
    talk.sock.close()
    assert settled(proxy, name)["code"] == 1006


def test_a_client_that_leaves_while_a_message_is_held_cancels_the_session(
    proxy: Mitmdump, plain: HTTPConnection, name: str
) -> None:
    talk = Talk(plain, f"/echo?name={name}")
    talk.say("hold on")
    proxy.wait("held", name)
    talk.sock.close()
    proxy.wait("cancelled", name)
    proxy.order("resume", name=name)
    settled(proxy, name)


def test_a_client_that_does_not_read_stops_the_session_from_writing(
    proxy: Mitmdump, plain: HTTPConnection, name: str
) -> None:
    talk = Talk(plain, f"/talkative?name={name}")
    assert talk.text() == "x" * 10_000
    proxy.wait("full", name)
    assert proxy.order("flow", name=name)["live"]
    assert proxy.seen("overrun", name) == []
    talk.sock.close()
    settled(proxy, name)


def test_a_client_that_leaves_while_it_is_written_to_cancels_the_session(
    proxy: Mitmdump, plain: HTTPConnection, name: str
) -> None:
    talk = Talk(plain, f"/talkative?name={name}")
    assert talk.text() == "x" * 10_000
    talk.sock.close()
    settled(proxy, name)


def test_a_session_waits_until_its_message_is_written(
    proxy: Mitmdump, plain: HTTPConnection, name: str
) -> None:
    talk = Talk(plain, f"/patient?name={name}")
    proxy.wait("held", name)
    assert proxy.order("flow", name=name)["messages"] == 1
    assert proxy.seen("after", name) == []
    proxy.order("resume", name=name)
    assert talk.text() == "hold this"
    proxy.wait("after", name)
    plain.close()
    settled(proxy, name)


# -- closes of ours ---------------------------------------------------------------------------------------


@pytest.mark.parametrize("pieces", [1, 4])
def test_a_message_that_is_too_long_closes(
    proxy: Mitmdump, plain: HTTPConnection, name: str, pieces: int
) -> None:
    talk = Talk(plain, f"/echo?name={name}")
    text = "ö" * (LONGEST // 2 // pieces + 1)
    talk.send(*(TextMessage(text, message_finished=False) for _ in range(pieces)))
    assert talk.closed() == 1009
    flow = settled(proxy, name)
    assert (flow["messages"], flow["by_client"]) == (0, False)


def test_the_longest_message_is_taken(proxy: Mitmdump, plain: HTTPConnection, name: str) -> None:
    talk = Talk(plain, f"/echo?name={name}")
    talk.say("x" * LONGEST)
    assert talk.text() == "x" * LONGEST
    talk.say("x" * LONGEST)
    assert talk.text() == "x" * LONGEST
    plain.close()
    settled(proxy, name)


@pytest.mark.parametrize(("count", "length"), [(WAITING + 1, 6), (2, LONGEST // 2 + 1)])
def test_messages_that_nobody_takes_close(
    proxy: Mitmdump, plain: HTTPConnection, name: str, count: int, length: int
) -> None:
    talk = Talk(plain, f"/deaf?name={name}")
    for _ in range(count):
        talk.say("x" * length)
    assert talk.closed() == 1008
    settled(proxy, name)


def test_what_is_sent_long_after_a_close_is_not_looked_at() -> None:
    client = Client(peername=("127.0.0.1", 1), sockname=("127.0.0.1", 2), timestamp_start=0)
    answered: Any = None
    ours = WebSocketServerLayer(Context(client, Options()), answered, [], answered, answered, answered)
    messages = b"\x81\x82\0\0\0\0{}" * (MOST_LATE // 8)
    their_close = b"\x88\x82\0\0\0\0\x03\xe8"
    assert len(list(ours._close(1008, "too much"))) == 2
    assert list(ours._handle_event(DataReceived(client, messages))) == []
    assert list(ours._handle_event(DataReceived(client, messages + their_close))) == []


def test_binary_messages_close(proxy: Mitmdump, plain: HTTPConnection, name: str) -> None:
    talk = Talk(plain, f"/echo?name={name}")
    talk.send(BytesMessage(b"\x00"))
    assert talk.closed() == 1003
    settled(proxy, name)


def test_nonsense_closes(proxy: Mitmdump, plain: HTTPConnection, name: str) -> None:
    talk = Talk(plain, f"/echo?name={name}")
    talk.sock.sendall(b"\xff\xff\xff\xff")
    event = talk.next()
    assert isinstance(event, CloseConnection)
    assert event.code == 1002
    assert talk.sock.recv(1) == b""
    settled(proxy, name)


def test_a_session_that_fails_closes(proxy: Mitmdump, plain: HTTPConnection, name: str) -> None:
    talk = Talk(plain, f"/crash?name={name}")
    talk.say("the words of a secret")
    assert talk.closed() == 1011
    proxy.wait_order(lambda status: status == {"active": 0, "open": 0}, "status")
    proxy.wait_log("a session failed: LookupError")
    assert not [line for line in proxy.log if "secret" in line]


def test_a_close_that_is_not_answered_ends_all_the_same(
    proxy: Mitmdump, plain: HTTPConnection, name: str
) -> None:
    talk = Talk(plain, f"/echo?name={name}")
    talk.send(BytesMessage(b"\x00"))
    assert isinstance(talk.next(), CloseConnection)
    assert talk.sock.recv(1) == b""
    assert settled(proxy, name)["code"] == 1006


def test_a_user_kills_it(proxy: Mitmdump, http1: HTTPConnection, name: str) -> None:
    talk = Talk(http1, f"/deaf?name={name}")
    proxy.wait("started", name)
    proxy.order("kill", name=name)
    assert talk.closed() == 1001
    settled(proxy, name)


@contextmanager
def pings_every(seconds: float, proxy: Mitmdump) -> Iterator[None]:
    proxy.order("interval", seconds=str(seconds))
    try:
        yield
    finally:
        proxy.order("interval", seconds="60")


def test_a_client_that_does_not_answer_is_gone(proxy: Mitmdump, plain: HTTPConnection, name: str) -> None:
    with pings_every(0.01, proxy):
        talk = Talk(plain, f"/deaf?name={name}")
        assert [talk.next() for _ in range(MOST_SILENT)] == [Ping()] * MOST_SILENT
        with pytest.raises(EOFError):
            talk.next()
    assert settled(proxy, name)["code"] == 1006


def test_a_client_that_answers_stays(proxy: Mitmdump, plain: HTTPConnection, name: str) -> None:
    """The interval is long enough for a client that another process holds up."""
    with pings_every(0.5, proxy):
        talk = Talk(plain, f"/echo?name={name}")
        for _ in range(MOST_SILENT + 1):
            assert talk.next() == Ping()
            talk.send(Pong())
    talk.say("still here")
    while isinstance(event := talk.next(), Ping):
        pass
    assert event == TextMessage("still here")
    plain.close()
    settled(proxy, name)


@pytest.mark.parametrize(
    ("events", "code"),
    [([Ping()] * 200, 1008), ([TextMessage("", message_finished=False)] * 1100, 1008)],
)
def test_what_floods_closes(
    proxy: Mitmdump, plain: HTTPConnection, name: str, events: list[Event], code: int
) -> None:
    talk = Talk(plain, f"/echo?name={name}")
    talk.send(*events)
    while isinstance(event := talk.next(), Pong):
        pass
    assert isinstance(event, CloseConnection)
    assert event.code == code
    plain.close()
    settled(proxy, name)


def test_a_message_that_grows_when_it_is_opened_closes(
    proxy: Mitmdump, plain: HTTPConnection, name: str
) -> None:
    talk = Talk(plain, f"/echo?name={name}", [PerMessageDeflate()])
    talk.say("x" * (LONGEST + 1))
    event = talk.next()
    assert isinstance(event, CloseConnection)
    assert event.code == 1009
    settled(proxy, name)


# -- other add-ons ----------------------------------------------------------------------------------------


def test_other_addons_change_and_drop_messages(proxy: Mitmdump, plain: HTTPConnection, name: str) -> None:
    talk = Talk(plain, f"/echo?name={name}")
    talk.say("drop this")
    talk.say("a red one")
    assert talk.text() == "a blue one"
    plain.close()
    settled(proxy, name)


def test_dropped_messages_of_ours_are_left_out(proxy: Mitmdump, plain: HTTPConnection, name: str) -> None:
    talk = Talk(plain, f"/thrice?name={name}")
    proxy.order("inject", name=name, to="server", text="all right")
    assert [talk.text() for _ in range(3)] == ["all right"] * 3
    proxy.order("inject", name=name, to="client", text="drop this")
    proxy.order("inject", name=name, to="client", text="but not this")
    assert talk.text() == "but not this"
    last = proxy.order("flow", name=name)["last"]
    assert last == [[False, "drop this", True], [False, "but not this", True]]
    plain.close()
    settled(proxy, name)


def test_another_addons_answer_takes_the_place_of_the_101(
    proxy: Mitmdump, plain: HTTPConnection, name: str
) -> None:
    talk = Talk(plain, f"/echo?name={name}&replaced=1")
    assert isinstance(talk.answer, RejectConnection)
    assert talk.answer.status_code == 403
    proxy.wait_order(lambda flow: not flow["live"], "flow", name=name)
    assert proxy.order("status") == {"active": 0, "open": 0}
    assert proxy.seen("websocket_start", name) == []


# -- what stays in the flow -------------------------------------------------------------------------------


def test_a_flow_keeps_the_last_messages(proxy: Mitmdump, plain: HTTPConnection, name: str) -> None:
    talk = Talk(plain, f"/talkative?name={name}")
    for _ in range(KEPT_MESSAGES * 2):
        talk.text()
    assert proxy.order("flow", name=name)["messages"] == KEPT_MESSAGES
    talk.sock.close()
    settled(proxy, name)

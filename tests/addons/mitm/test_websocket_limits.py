"""What one side of a WebSocket may send."""

import zlib
from collections.abc import Iterable

import pytest
from mitmproxy.websocket import WebSocketData, WebSocketMessage
from wsproto.connection import Connection, ConnectionType
from wsproto.events import BytesMessage, CloseConnection, Event, Ping, Pong, TextMessage
from wsproto.frame_protocol import CloseReason, Opcode

from addons.mitm import websocket_limits
from addons.mitm.websocket_limits import (
    CONTROL_BURST,
    CONTROL_RATE,
    KEPT_BYTES,
    KEPT_MESSAGES,
    MOST_SILENT,
    Deflate,
    Inbound,
    Liveness,
    TooMuch,
    forget_old,
)

LONGEST = 100_000


@pytest.fixture(autouse=True)
def _short(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(websocket_limits, "LONGEST_MESSAGE", LONGEST)


def read(events: Iterable[Event], now: float = 0.0) -> list[Event | TooMuch]:
    return list(Inbound().read(events, now))


def test_the_pieces_of_a_frame_are_one_event() -> None:
    pieces = [TextMessage("a", False, False), TextMessage("b", True, False), TextMessage("c")]
    assert read(pieces) == [TextMessage("ab", True, False), TextMessage("c")]
    binary = [BytesMessage(b"a", False, False), BytesMessage(b"b")]
    assert read([*binary, *pieces[2:]]) == [BytesMessage(b"ab"), TextMessage("c")]


@pytest.mark.parametrize("letter", ["x", "ö"])
def test_a_message_has_a_longest_size_in_bytes(letter: str) -> None:
    piece = TextMessage(letter * (LONGEST // len(letter.encode()) // 2), True, False)
    last = TextMessage("", True, True)
    assert len(read([piece, piece, last, piece, piece, last])) == 6
    *_, found = read([piece, piece, TextMessage("!", False, False), Ping()])
    assert found == TooMuch(CloseReason.MESSAGE_TOO_BIG, f"more than {LONGEST} bytes")


def test_a_message_may_not_come_in_nothing_but_small_fragments() -> None:
    *_, found = read([TextMessage("", True, False)] * 1025)
    assert found == TooMuch(CloseReason.POLICY_VIOLATION, "a message in too many fragments")
    many = [*[TextMessage("x", True, False)] * 1023, TextMessage("x")]
    assert len(read(many * 2)) == len(many) * 2
    assert len(read([TextMessage("x" * 256, True, False)] * 200)) == 200


@pytest.mark.parametrize("event", [Ping(b"?"), Pong(b"!")])
def test_pings_that_come_at_once_are_bounded(event: Event) -> None:
    found = read([event] * 10_000)
    assert found[:-1] == [event] * CONTROL_BURST
    assert found[-1] == TooMuch(CloseReason.POLICY_VIOLATION, "too many pings")


def test_pings_for_long_are_not() -> None:
    inbound = Inbound()
    for number in range(1000):
        assert list(inbound.read([Ping()], number / CONTROL_RATE)) == [Ping()]


def compressed(payload: bytes, *, fin: bool = True) -> bytes:
    """A server's frame."""
    engine = zlib.compressobj(wbits=-15)
    data = engine.compress(payload) + engine.flush(zlib.Z_SYNC_FLUSH)
    data = data.removesuffix(b"\x00\x00\xff\xff") if fin else data
    assert len(data) < 126
    return bytes([(0x80 if fin else 0) | 0x40 | 0x02, len(data)]) + data


def test_what_is_compressed_is_stopped_at_the_bound() -> None:
    deflate = Deflate()
    deflate.finalize("permessage-deflate; server_no_context_takeover")
    connection = Connection(ConnectionType.CLIENT, [deflate])
    for _ in range(2):
        connection.receive_data(compressed(b"\0" * (LONGEST // 2)))
        (message,) = connection.events()
        assert isinstance(message, BytesMessage)
        assert len(message.data) == LONGEST // 2
    connection.receive_data(compressed(b"\0" * (LONGEST + 1)))
    (closed,) = connection.events()
    assert isinstance(closed, CloseConnection)
    assert closed.code == CloseReason.MESSAGE_TOO_BIG


def test_corrupt_compression_closes() -> None:
    deflate = Deflate()
    deflate.finalize("permessage-deflate")
    connection = Connection(ConnectionType.CLIENT, [deflate])
    connection.receive_data(bytes([0xC2, 2, 0xFF, 0xFF]))
    (closed,) = connection.events()
    assert isinstance(closed, CloseConnection)
    assert closed.code == CloseReason.INVALID_FRAME_PAYLOAD_DATA


def test_who_is_silent_is_asked_and_gone_after_a_while() -> None:
    side = Liveness()
    assert [side.passed() for _ in range(MOST_SILENT + 1)] == [False, *[True] * MOST_SILENT]
    assert not side.is_gone
    side.heard()
    assert [side.passed(), side.passed()] == [False, True]
    for _ in range(MOST_SILENT):
        side.passed()
    assert side.is_gone


def sizes(*lengths: int) -> list[int]:
    """What stays of messages of these lengths."""
    data = WebSocketData([WebSocketMessage(Opcode.TEXT, True, b"x" * length) for length in lengths])
    forget_old(data)
    return [len(message.content) for message in data.messages]


def test_the_last_messages_stay() -> None:
    assert sizes() == []
    assert sizes(1, 2, 3) == [1, 2, 3]
    assert sizes(*range(KEPT_MESSAGES + 5)) == list(range(5, KEPT_MESSAGES + 5))


def test_large_messages_go_but_for_the_last() -> None:
    assert sizes(1, KEPT_BYTES - 1, 1) == [KEPT_BYTES - 1, 1]
    assert sizes(1, KEPT_BYTES + 1) == [KEPT_BYTES + 1]
    assert sizes(KEPT_BYTES + 1, 1, 2) == [1, 2]

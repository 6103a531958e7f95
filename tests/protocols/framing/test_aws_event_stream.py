"""AWS's framing of event streams: read whole however it is cut, and never more than it is."""

import struct
from zlib import crc32

import pytest
from hypothesis import given
from hypothesis import strategies as st

from protocols.framing.aws_event_stream import (
    LONGEST_PAYLOAD,
    Message,
    MessageDecoder,
    MessageFramer,
    unframed,
)
from protocols.framing.sse import SseDecoder
from protocols.model.errors import MalformedStream
from protocols.model.http import Head
from tests.vendor.bedrock import KIND, message

TEXTS = st.dictionaries(st.text("abc:-", min_size=1, max_size=9), st.text(max_size=20), max_size=4)
MESSAGES = st.lists(st.tuples(TEXTS, st.binary(max_size=60)), max_size=4)


def written(messages: list[tuple[dict[str, str], bytes]]) -> bytes:
    return b"".join(message(headers, payload) for headers, payload in messages)


def prelude(size: int, headers: int) -> bytes:
    data = struct.pack(">II", size, headers)
    return data + struct.pack(">I", crc32(data))


def with_headers(data: bytes) -> bytes:
    head = prelude(16 + len(data), len(data)) + data
    return head + struct.pack(">I", crc32(head))


@given(MESSAGES, st.lists(st.integers(0, 200)))
def test_messages_are_read_however_they_are_cut(
    messages: list[tuple[dict[str, str], bytes]], cuts: list[int]
) -> None:
    data, framer = written(messages), MessageFramer()
    found: list[Message] = []
    ends = [*sorted(cuts), len(data)]
    for start, end in zip([0, *ends], ends, strict=False):
        more, why = framer.feed(data[start:end])
        assert not why
        found += more
    assert [(each.headers, each.payload) for each in found] == messages
    assert not framer.begun


@given(MESSAGES, st.data())
def test_a_byte_that_is_another_is_noticed(
    messages: list[tuple[dict[str, str], bytes]], data: st.DataObject
) -> None:
    whole = written([*messages, ({"a": "b"}, b"payload")])
    at = data.draw(st.integers(0, len(whole) - 1))
    bad = whole[:at] + bytes([whole[at] ^ data.draw(st.integers(1, 255))]) + whole[at + 1 :]
    framer = MessageFramer()
    found, why = framer.feed(bad)
    read = [(each.headers, each.payload) for each in found]
    assert why
    assert read == messages[: len(read)]


@given(st.binary(max_size=300))
def test_no_bytes_break_it(data: bytes) -> None:
    framer = MessageFramer()
    for at in range(0, len(data), 7):
        _, why = framer.feed(data[at : at + 7])
        if why:
            break


@given(st.binary(max_size=80))
def test_no_headers_break_it(data: bytes) -> None:
    """Of a message whose checksums are right."""
    found, why = MessageFramer().feed(with_headers(data))
    assert bool(found) is not bool(why)


@pytest.mark.parametrize(
    ("size", "headers"), [(15, 0), (0, 0), (20, 5), (LONGEST_PAYLOAD + 17, 0), (1 << 20, 1 << 18)]
)
def test_lengths_that_no_message_has_are_refused_before_it_comes(size: int, headers: int) -> None:
    assert MessageFramer().feed(prelude(size, headers)) == (
        [],
        "a message has lengths that no message can have",
    )


def test_values_of_every_type_are_passed_over() -> None:
    values = b"".join(
        b"\x01" + name + bytes([kind]) + value
        for name, kind, value in (
            (b"a", 0, b""),
            (b"b", 1, b""),
            (b"c", 2, b"\x01"),
            (b"d", 3, b"\0\x01"),
            (b"e", 4, b"\0" * 4),
            (b"f", 5, b"\0" * 8),
            (b"g", 6, b"\0\x02xy"),
            (b"h", 7, b"\0\x02xy"),
            (b"i", 8, b"\0" * 8),
            (b"j", 9, b"\0" * 16),
        )
    )
    found, why = MessageFramer().feed(with_headers(values))
    assert (found, why) == ([Message({"h": "xy"}, b"")], "")


def payload_of(found: Message) -> bytes:
    if found.payload == b"bad":
        raise MalformedStream("bad")
    return b'data: {"n":%b}\n\n' % found.payload


def decoder() -> MessageDecoder:
    return MessageDecoder(SseDecoder(b"end", lambda event, raw: ()), payload_of)


def test_what_came_before_a_broken_message_is_given_out() -> None:
    for broken in (message({}, b"bad"), b"\0" * 12):
        one = decoder()
        assert [each.raw for each in one.feed(message({}, b"1") + broken)] == [b'data: {"n":1}\n\n']
        with pytest.raises(MalformedStream):
            one.feed(message({}, b"2"))
        with pytest.raises(MalformedStream):
            one.eof()


def test_a_broken_message_alone_is_an_error_at_once() -> None:
    with pytest.raises(MalformedStream, match="bad"):
        decoder().feed(message({}, b"bad"))


def test_half_a_message_is_the_beginning_of_an_event() -> None:
    one = decoder()
    assert not one.feed(message({}, b"1")[:9])
    assert not one.eof()
    assert one.remainder() == b"data: "


def test_a_client_gets_a_stream_of_events() -> None:
    head = Head(200, (("X-Id", "1"), ("Content-Type", KIND)))
    assert unframed(head).headers == (("content-type", "text/event-stream; charset=utf-8"), ("X-Id", "1"))
    other = Head(200, (("content-type", "application/json"),))
    assert unframed(other) is other

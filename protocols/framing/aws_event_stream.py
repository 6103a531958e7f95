"""AWS's framing of event streams (application/vnd.amazon.eventstream): messages of headers and a payload.

A message is its length and that of its headers (four bytes each, big-endian, the first of the whole message),
the CRC-32 of those eight bytes, headers, payload, and the CRC-32 of all before. A header is its name (after
its length, one byte), the type of its value (one byte) and the value. Documented by AWS.
"""

import struct
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from zlib import crc32

from protocols.base import Skimmer
from protocols.framing.sse import SseDecoder, SseEncoder
from protocols.model.errors import MalformedStream
from protocols.model.http import Head, header
from protocols.model.parts import StreamPart
from protocols.model.segment import Segment

CONTENT_TYPE = "application/vnd.amazon.eventstream"

LONGEST_HEADERS = 1 << 17
"""Bytes, as AWS documents."""
LONGEST_PAYLOAD = 24 << 20
"""Bytes, as AWS's own clients have it."""

_PRELUDE, _CRC = struct.Struct(">III"), struct.Struct(">I")
_AROUND = _PRELUDE.size + _CRC.size
"""Bytes of a message besides headers and payload."""
_FIXED = {0: 0, 1: 0, 2: 1, 3: 2, 4: 4, 5: 8, 8: 8, 9: 16}
"""By the type of a header's value its length, where all have one: booleans, integers, a time, a UUID."""
_BYTES, _TEXT = 6, 7
_HALF = b"data: "


@dataclass(frozen=True, slots=True)
class Message:
    """One message of a stream."""

    headers: Mapping[str, str]
    """Those that are texts."""
    payload: bytes
    """What it is about."""


class MessageFramer:
    """Bytes to messages: what is not whole waits in a buffer."""

    def __init__(self) -> None:
        self._buffer = bytearray()

    @property
    def begun(self) -> bool:
        """Whether some of a message has come that is not whole."""
        return bool(self._buffer)

    def feed(self, data: bytes) -> tuple[list[Message], str]:
        """The messages that `data` completes, and what is wrong with what follows them; empty: nothing."""
        buffer = self._buffer
        buffer += data
        found: list[Message] = []
        start, why = 0, ""
        try:
            while size := _size(buffer, start):
                if len(buffer) - start < size:
                    break
                found.append(_message(bytes(buffer[start : start + size])))
                start += size
        except MalformedStream as fault:
            why = str(fault)
        del buffer[:start]
        return found, why


def _size(buffer: bytearray, start: int) -> int:
    """Of the message that begins there; 0 where its prelude is not whole. Raises MalformedStream."""
    if len(buffer) - start < _PRELUDE.size:
        return 0
    size, headers, check = _PRELUDE.unpack_from(buffer, start)
    if crc32(buffer[start : start + 8]) != check:
        raise MalformedStream("the prelude of a message has another checksum than it says")
    payload = size - headers - _AROUND
    if not (headers <= LONGEST_HEADERS and 0 <= payload <= LONGEST_PAYLOAD):
        raise MalformedStream("a message has lengths that no message can have")
    return int(size)


def _message(raw: bytes) -> Message:
    """Raises MalformedStream."""
    (check,) = _CRC.unpack_from(raw, len(raw) - _CRC.size)
    if crc32(memoryview(raw)[: -_CRC.size]) != check:
        raise MalformedStream("a message has another checksum than it says")
    end = _PRELUDE.size + _PRELUDE.unpack_from(raw)[1]
    try:
        return Message(_headers(raw[_PRELUDE.size : end]), raw[end : -_CRC.size])
    except (struct.error, IndexError, UnicodeDecodeError):
        raise MalformedStream("a message has headers that are none") from None


def _headers(data: bytes) -> dict[str, str]:
    """Raises IndexError, struct.error, and UnicodeDecodeError."""
    found: dict[str, str] = {}
    at = 0
    while at < len(data):
        name_end = at + 1 + data[at]
        name, kind = data[at + 1 : name_end], data[name_end]
        at = name_end + 1
        if kind in (_BYTES, _TEXT):
            (length,) = struct.unpack_from(">H", data, at)
            at += 2
        else:
            length = _FIXED[kind] if kind in _FIXED else len(data) + 1
        value = data[at : at + length]
        if len(value) < length:
            raise IndexError
        at += length
        if kind == _TEXT:
            found[name.decode()] = value.decode()
    return found


def is_message_stream(head: Head) -> bool:
    """Whether an answer comes in this framing, by its content type."""
    return (header(head.headers, "content-type") or "").lower().startswith(CONTENT_TYPE)


def unframed(head: Head) -> Head:
    """The head of such an answer for a client, which reads server-sent events; any other as it is."""
    if not is_message_stream(head):
        return head
    kept = tuple(pair for pair in head.headers if pair[0].lower() != "content-type")
    return replace(head, headers=(("content-type", SseEncoder.content_type), *kept))


class MessageDecoder(Skimmer):
    """A decoder of server-sent events that come in this framing: each message becomes the event that it
    holds, or none. What follows a message that is broken is not read."""

    def __init__(self, inner: SseDecoder, write: Callable[[Message], bytes]) -> None:
        """`write`: the event of a message as server-sent events have it. Raises MalformedStream."""
        self._inner, self._write = inner, write
        self._framer = MessageFramer()
        self._why = ""

    def feed(self, data: bytes) -> Sequence[Segment]:
        return self._inner.feed(self._events(data))

    def skim(self, data: bytes) -> Sequence[Segment]:
        return self._inner.skim(self._events(data))

    def eof(self) -> Sequence[Segment]:
        if self._why:
            raise MalformedStream(self._why)
        return self._inner.eof()

    def read(self, segment: Segment) -> Sequence[StreamPart]:
        return self._inner.read(segment)

    def remainder(self) -> bytes:
        """Of a message that is not whole, the beginning of an event."""
        return _HALF if self._framer.begun else self._inner.remainder()

    def _events(self, data: bytes) -> bytes:
        """Those before a message that is broken are given out first."""
        if self._why:
            raise MalformedStream(self._why)
        messages, self._why = self._framer.feed(data)
        events = bytearray()
        try:
            for message in messages:
                events += self._write(message)
        except MalformedStream as fault:
            self._why = str(fault)
        if self._why and not events:
            raise MalformedStream(self._why)
        return bytes(events)

"""Framing of server-sent events, named after the points of the WHATWG grammar."""

import re
from typing import Any

import pytest

from protocols.framing import sse
from protocols.framing.sse import (
    DONE,
    Event,
    SseDecoder,
    SseFramer,
    is_event_stream,
    parse_event,
    write_event,
)
from protocols.model.call import Call, Operation
from protocols.model.errors import MalformedStream
from protocols.model.http import Head
from protocols.model.parts import StreamEnd, Usage, UsageReport
from protocols.model.segment import Segment


def framed(*pieces: bytes) -> list[bytes]:
    """The events that `pieces` make, end of input included."""
    framer = SseFramer(DONE)
    found = [segment for piece in pieces for segment in framer.feed(piece)]
    return [segment.raw for segment in [*found, *framer.eof()]]


def one(data: bytes) -> Segment:
    framer = SseFramer(DONE)
    (segment,) = framer.feed(data)
    return segment


# -- lines ----------------------------------------------------------------------------------------------


@pytest.mark.parametrize("end", [b"\n", b"\r\n", b"\r"], ids=["LF", "CRLF", "CR"])
def test_each_line_end_ends_lines_and_events(end: bytes) -> None:
    first, second = b"event: e" + end + b"data: 1" + end * 2, b"data: 2" + end * 2
    assert framed(first + second) == [first, second]
    assert parse_event(first) == Event("e", b"1")


@pytest.mark.parametrize("blank", [b"\n\r\n", b"\r\n\n", b"\n\r", b"\r\r\n", b"\r\n\r", b"\r\r"], ids=repr)
def test_line_ends_may_be_mixed(blank: bytes) -> None:
    first, second = b"data: 1" + blank, b"data: 2\n\n"
    assert framed(first + second) == [first, second]
    assert parse_event(first) == Event(None, b"1")


def test_crlf_is_one_line_end() -> None:
    assert framed(b"data: 1\r\ndata: 2\r\n\r\n") == [b"data: 1\r\ndata: 2\r\n\r\n"]


def test_a_trailing_cr_waits_for_the_next_bytes() -> None:
    framer = SseFramer(DONE)
    assert framer.feed(b"data: 1\r\n\r") == []
    assert framer.remainder() == b"data: 1\r\n\r"
    assert [segment.raw for segment in framer.feed(b"\ndata: 2")] == [b"data: 1\r\n\r\n"]
    assert framer.remainder() == b"data: 2"


def test_a_trailing_cr_is_a_line_end_when_no_lf_follows() -> None:
    framer = SseFramer(DONE)
    assert framer.feed(b"data: 1\r\r") == []
    assert [segment.raw for segment in framer.feed(b"data: 2")] == [b"data: 1\r\r"]


@pytest.mark.parametrize("other", ["\u2028", "\u2029", "\u0085", "\x0b", "\x0c", "\x1e"])
def test_no_other_character_ends_a_line(other: str) -> None:
    raw = f'data: {{"text":"a{other}{other}b"}}\n\n'.encode()
    assert framed(raw) == [raw]
    assert parse_event(raw) == Event(None, raw[6:-2])


def test_blank_lines_between_events_are_segments_of_their_own() -> None:
    assert framed(b"\n\r\ndata: 1\n\n\n\rdata: 2\n\n") == [
        b"\n",
        b"\r\n",
        b"data: 1\n\n",
        b"\n",
        b"\r",
        b"data: 2\n\n",
    ]


# -- fields ---------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("raw", "event"),
    [
        (b"data: x\n\n", Event(None, b"x")),
        (b"data:x\n\n", Event(None, b"x")),
        (b"data:  x\n\n", Event(None, b" x")),
        (b"data\n\n", Event(None, b"")),
        (b"data:\n\n", Event(None, b"")),
        (b"data: a\ndata: b\n\n", Event(None, b"a\nb")),
        (b"data: a\n: note\ndata:\ndata: b\n\n", Event(None, b"a\n\nb")),
        (b"data: a: b\n\n", Event(None, b"a: b")),
        (b"event: e\n\n", Event("e", None)),
        (b"event:e\nevent: f\ndata: x\n\n", Event("f", b"x")),
        (b"data: x\nevent: e\n\n", Event("e", b"x")),
        (b"event: \xff\ndata: \xff\n\n", Event("\ufffd", b"\xff")),
        (b": comment\n\n", Event(None, None)),
        (b":\n\n", Event(None, None)),
        (b"id: 1\nretry: 10\nodd: x\nData: x\n\n", Event(None, None)),
        (b" data: x\n\n", Event(None, None)),
        (b"\n", Event(None, None)),
    ],
)
def test_fields_of_an_event(raw: bytes, event: Event) -> None:
    assert framed(raw) == [raw]
    assert parse_event(raw) == event


def test_a_byte_order_mark_may_open_the_stream() -> None:
    raw = b"\xef\xbb\xbfdata: 1\n\n"
    assert framed(*[raw[at : at + 1] for at in range(len(raw))]) == [raw]
    assert parse_event(raw) == Event(None, b"1")


def test_a_comment_is_an_event_without_data() -> None:
    assert framed(b": OPENROUTER PROCESSING\n\ndata: 1\n\n") == [
        b": OPENROUTER PROCESSING\n\n",
        b"data: 1\n\n",
    ]


# -- guesses --------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("raw", "last", "idle"),
    [
        (b"data: [DONE]\n\n", True, False),
        (b'data: {"a":1}\n\n', False, False),
        (b": ping\n\n", False, True),
        (b"\n", False, True),
        (b"\r\n", False, True),
        (b'event: ping\ndata: {"type": "ping"}\n\n', False, True),
        (b'data: {"content":"shopping"}\n\n', False, False),
        (b"data: " + b"x" * 300 + b"[DONE]\n\n", False, False),
    ],
)
def test_what_a_segment_looks_like(raw: bytes, last: bool, idle: bool) -> None:
    found = one(raw)
    assert (found.raw, found.last, found.idle) == (raw, last, idle)


# -- the end of input -----------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("raw", "whole"),
    [
        (b"data: [DONE]", b"data: [DONE]\n\n"),
        (b"data: [DONE]\n", b"data: [DONE]\n\n"),
        (b"data: [DONE]\r\n", b"data: [DONE]\r\n\n"),
        (b"data: [DONE]\r", b"data: [DONE]\r\n\n"),
        (b"data: [DONE]\r\r", b"data: [DONE]\r\r"),
        (b'event: e\ndata: {"a": 1}', b'event: e\ndata: {"a": 1}\n\n'),
        (b'data: {"a":\ndata: 1}', b'data: {"a":\ndata: 1}\n\n'),
        (b": ping\r\r", b": ping\r\r"),
        (b"\r", b"\r"),
    ],
)
def test_an_event_that_lacks_only_its_blank_line_gets_it(raw: bytes, whole: bytes) -> None:
    assert framed(raw) == [whole]


@pytest.mark.parametrize(
    "half",
    [
        b"da",
        b"data: ",
        b"data: [DON",
        b'data: {"a": 1',
        b'data: {"a": "\xc3',
        b"event: e\n",
        b"data: 1",
        b": pi",
    ],
)
def test_half_an_event_is_dropped_and_kept_as_the_rest(half: bytes) -> None:
    framer = SseFramer(DONE)
    assert [segment.raw for segment in framer.feed(b"data: 1\n\n" + half)] == [b"data: 1\n\n"]
    assert framer.eof() == []
    assert framer.remainder() == half


def test_the_end_of_nothing_is_nothing() -> None:
    assert framed() == framed(b"") == []


# -- work -----------------------------------------------------------------------------------------------


class Counting:
    """A pattern that counts the bytes that it looked at, or may have."""

    def __init__(self, pattern: re.Pattern[bytes]) -> None:
        self._pattern = pattern
        self.bytes = 0

    def search(self, buffer: bytearray, start: int) -> re.Match[bytes] | None:
        match = self._pattern.search(buffer, start)
        self.bytes += (match.end() if match else len(buffer)) - start
        return match


class CountingBuffer(bytearray):
    """One that counts the bytes that were looked at for its pieces, of which there are two in each event."""

    looked = 0

    def find(self, piece: Any, start: Any = None, end: Any = None) -> int:
        at = super().find(piece, start, end)
        self.looked += (at if at >= 0 else len(self) if end is None else end) - (start or 0)
        return at


each_end = pytest.mark.parametrize("end", [b"\n", b"\r\n", b"\r"], ids="LF CRLF CR".split())


@pytest.mark.parametrize(
    ("event", "count"), [(b'data: {"text":"%b"}' % (b"x" * (1 << 20)), 1), (b'data: {"text":"x"}', 5000)]
)
@pytest.mark.parametrize("size", [1400, 65536, 1 << 23])
@each_end
def test_no_byte_is_searched_again_and_again(
    event: bytes, count: int, size: int, end: bytes, monkeypatch: pytest.MonkeyPatch
) -> None:
    counting = Counting(sse._EVENT_END)
    monkeypatch.setattr(sse, "_EVENT_END", counting)
    framer = SseFramer(DONE)
    framer._buffer = buffer = CountingBuffer()
    raw = (event + end + end) * count + b":" + end
    pieces = [raw[at : at + size] for at in range(0, len(raw), size)]
    assert len([segment for piece in pieces for segment in framer.feed(piece)]) == count
    assert buffer.looked + counting.bytes < 2.2 * len(raw) + 2 * size


# -- writing --------------------------------------------------------------------------------------------


def test_a_written_event_has_a_space_and_lf() -> None:
    assert write_event({"a": "é\u2028"}) == 'data: {"a":"é\u2028"}\n\n'.encode()
    assert write_event({}, "error") == b"event: error\ndata: {}\n\n"


def test_a_written_event_is_read_back() -> None:
    raw = write_event({"text": "two\nlines"}, "e")
    assert framed(raw) == [raw]
    assert parse_event(raw) == Event("e", b'{"text":"two\\nlines"}')


# -- which answers are streams --------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("kind", "streamed", "expected"),
    [
        ("text/event-stream; charset=utf-8", True, True),
        ("Text/Event-Stream", False, True),
        ("application/json", True, False),
        ("text/html; charset=utf-8", True, False),
        ("text/plain", True, True),
        (None, True, True),
        (None, False, False),
    ],
)
def test_an_unnamed_stream_is_still_one(kind: str | None, streamed: bool, expected: bool) -> None:
    call = Call("1", "any", Operation.GENERATE, "m", streamed, ())
    headers = (("Content-Type", kind),) if kind else ()
    assert is_event_stream(Head(200, headers), call) is expected


def test_an_event_without_end_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sse, "LONGEST_EVENT", 100)
    framer = SseFramer(DONE)
    framer.feed(b"data: " + b"x" * 90)
    with pytest.raises(MalformedStream, match="100 bytes"):
        framer.feed(b"y" * 10)


# -- what comments say ----------------------------------------------------------------------------------


def _reading(*_: object) -> tuple[StreamEnd]:
    return (StreamEnd(),)


@pytest.mark.parametrize(
    ("raw", "cost"),
    [
        (b': cost {"request_cost_usd": 0.25, "allowance_remaining_usd": 14.8}\n\n', 0.25),
        (b':cost{"request_cost_usd": 1}\r\n\r\n', 1.0),
        (b': energy {"energy_kwh": 5e-05}\n: cost {"request_cost_usd": 0.25}\ndata: [DONE]\n\n', 0.25),
        (b': cost {"request_cost_usd": "much"}\n\n', None),
        (b': cost {"request_cost_usd": -1}\n\n', None),
        (b': cost {"request_cost_usd": 1e308}\n\n', None),
        (b': cost {"request_cost_usd": NaN}\n\n', None),
        (b": cost {half\n\n", None),
        (b': costly {"request_cost_usd": 1}\n\n', None),
        (b": ping\n\n", None),
        (b'data: {"text": ": cost {\\"request_cost_usd\\": 1}"}\n\n', None),
    ],
)
def test_a_comment_may_say_what_the_answer_cost(raw: bytes, cost: float | None) -> None:
    decoder = SseDecoder(b"[DONE]", _reading)
    (segment,) = decoder.feed(raw)
    stated = [] if cost is None else [UsageReport(Usage(cost=cost))]
    assert [*decoder.read(segment)] == [*stated, StreamEnd()]


def test_a_cost_in_a_stream_that_is_skimmed_is_read() -> None:
    stream = b'data: {"n": 1}\n\ndata: {"n": 2}\n\n: cost {"request_cost_usd": 0.25}\n\ndata: [DONE]\n\n'
    decoder = SseDecoder(b"[DONE]", _reading)
    parts = [part for segment in decoder.skim(stream) for part in decoder.read(segment)]
    assert parts.count(UsageReport(Usage(cost=0.25))) == 1

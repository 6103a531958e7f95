"""Framing does not depend on how the bytes were cut, whatever the bytes are."""

import re
from itertools import pairwise
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from protocols.base import WireProtocol
from protocols.framing.sse import DONE, Event, SseFramer, parse_event
from protocols.model.parts import StreamPart
from tests.contract import FRAMINGS, PROTOCOLS, Framing, Sample, call, parts, samples, streams
from tests.examples import share
from tests.oracle import protocol_of, recorded

BY_NAME = {protocol.name: protocol for protocol in PROTOCOLS}
LINES = [sample for sample in streams() if not sample.array]
"""Streams whose frames end with lines: in an array, a bracket too many moves the end of all that follows."""

WORDS = [
    *(b"\n", b"\r", b"\r\n", b"\n\n", b"data: ", b"data:", b"event: ", b"event: e", b": c", b":", b" "),
    *(b"[DONE]", b'{"a":1}', b"{", "\u2028".encode(), b"\xef\xbb\xbf", b"\xc3", b"\x00", b"x" * 300),
]
STREAMS = st.lists(st.sampled_from(WORDS), max_size=30).map(b"".join)
DIGITS = st.integers(0, 99)
PLACES = st.tuples(DIGITS, DIGITS).map(lambda digits: digits[0] / 100 + digits[1] / 9900)
"""Fractions from 0 to 1, each as likely as any other: wide ranges of integers are drawn near zero."""

CUTS = st.lists(PLACES, max_size=12)


def pieces(data: bytes, cuts: list[float]) -> list[bytes]:
    """`data` cut at these fractions of its length."""
    places = sorted({0, len(data), *(round(cut * len(data)) for cut in cuts)})
    return [data[start:end] for start, end in pairwise(places)]


def events(data: bytes) -> list[Event]:
    """The events with data, by a plain reading of the grammar: line by line, whole ones only.

    We drop a byte order mark before any event; the grammar drops the one before the stream.
    """
    found: list[Event] = []
    name: str | None = None
    lines: list[bytes] = []
    first = True
    for each in re.split(rb"\r\n|\n|\r", data)[:-1]:
        line = each.removeprefix(b"\xef\xbb\xbf") if first else each
        first = not each
        field, _, value = line.partition(b":")
        if not line and lines:
            found.append(Event(name, b"\n".join(lines)))
        if not line:
            name, lines = None, []
        elif field == b"data":
            lines.append(value.removeprefix(b" "))
        elif field == b"event":
            name = value.removeprefix(b" ").decode("utf-8", "replace")
    return found


@given(STREAMS, CUTS)
def test_any_cut_of_any_bytes_gives_the_same_segments(data: bytes, cuts: list[float]) -> None:
    whole, cut = SseFramer(DONE), SseFramer(DONE)
    expected = [*whole.feed(data), *whole.eof()]
    assert [*(s for piece in pieces(data, cuts) for s in cut.feed(piece)), *cut.eof()] == expected
    assert cut.remainder() == whole.remainder()


@given(STREAMS, CUTS)
def test_nothing_is_lost_or_invented_before_the_end(data: bytes, cuts: list[float]) -> None:
    framer = SseFramer(DONE)
    out = b"".join(segment.raw for piece in pieces(data, cuts) for segment in framer.feed(piece))
    assert out + framer.remainder() == data


@given(STREAMS)
def test_the_events_are_those_of_the_grammar(data: bytes) -> None:
    framer = SseFramer(DONE)
    read = [parse_event(segment.raw) for segment in framer.feed(data + b"x")]
    assert [event for event in read if event.data is not None] == events(data)


@given(st.sampled_from(samples()), CUTS)
def test_any_cut_of_a_golden_answer_gives_the_same_segments(sample: Sample, cuts: list[float]) -> None:
    assert sample.segments(pieces(sample.data, cuts)) == sample.segments([sample.data])


@given(st.sampled_from(PROTOCOLS), st.sampled_from(list(FRAMINGS.values())), STREAMS)
def test_any_bytes_are_read(protocol: WireProtocol, framing: Framing, data: bytes) -> None:
    found = parts(protocol, framing.head, [data], call(protocol, stream=framing.stream))
    assert all(isinstance(part, StreamPart.__value__) for part in found)


@given(st.sampled_from(LINES), PLACES, st.binary(min_size=1, max_size=5))
def test_damage_in_one_frame_stays_there(sample: Sample, place: float, damage: bytes) -> None:
    """Bytes that end no line, put into a frame, change the parts of that frame alone."""
    damage = re.sub(rb"[\r\n]", b"?", damage)
    at = round(place * len(sample.data))
    before = [segment.raw for segment in sample.segments([sample.data])]
    after = [s.raw for s in sample.segments([sample.data[:at] + damage + sample.data[at:]])]
    changed = [raw for raw in after if raw not in before]
    assert len(changed) <= 2


RECORDED = [
    each
    for text in LINES
    if Path(text.name).stem == "text"
    for each in recorded(text.protocol.name, f"*{Path(text.name).suffix}")
]


@pytest.mark.parametrize("file", RECORDED)
def test_any_cut_of_a_recorded_stream_gives_the_same_segments(file: Path) -> None:
    protocol = BY_NAME[protocol_of(file)]
    sample = Sample(protocol, file.name, file.read_bytes())
    whole = sample.segments([sample.data])

    @share(8)
    @given(CUTS)
    def cut(cuts: list[float]) -> None:
        assert sample.segments(pieces(sample.data, cuts)) == whole

    cut()

"""Framing of lines: LF alone ends one, and what is whole at the end of input is not lost."""

import json
import re

import pytest
from hypothesis import given
from hypothesis import strategies as st

from protocols.framing import sse
from protocols.framing.ndjson import LineDecoder, LineFramer, is_line_stream, write_line
from protocols.model.call import Call, Operation
from protocols.model.errors import MalformedStream
from protocols.model.http import Head
from protocols.model.parts import Opaque, Ping, StreamEnd
from protocols.model.segment import Segment
from protocols.ollama_chat import PROTOCOL
from tests.contract import JSON, NDJSON, call

LAST = re.compile(rb'"done":true')
BYTES = st.lists(
    st.sampled_from([b"\n", b"\r\n", b'{"a":1}', b"{", b" ", b'"done":true', b"\x00", "\u2028".encode()])
).map(b"".join)


def framed(*pieces: bytes) -> list[bytes]:
    """The lines that `pieces` make, end of input included."""
    framer = LineFramer(LAST)
    found = [segment for piece in pieces for segment in framer.feed(piece)]
    return [segment.raw for segment in [*found, *framer.eof()]]


def test_a_line_is_a_segment_with_its_end() -> None:
    assert framed(b'{"a":1}\n{"b":2}\r\n') == [b'{"a":1}\n', b'{"b":2}\r\n']


def test_a_line_waits_for_its_end() -> None:
    framer = LineFramer(LAST)
    assert framer.feed(b'{"a":') == []
    assert framer.feed(b"1}") == []
    assert framer.remainder() == b'{"a":1}'
    assert framer.feed(b'\n{"b"') == [Segment(b'{"a":1}\n')]
    assert framer.remainder() == b'{"b"'


def test_nothing_else_ends_a_line() -> None:
    line = '{"a":"\u2028\u0085\u2029\x0b\x0c"}\r\n'.encode()
    assert framed(line) == [line]


def test_blank_lines_are_segments_of_their_own() -> None:
    framer = LineFramer(LAST)
    assert framer.feed(b"\n\r\n{}\n") == [
        Segment(b"\n", idle=True, broken=True),
        Segment(b"\r\n", idle=True, broken=True),
        Segment(b"{}\n"),
    ]


def test_the_last_line_is_guessed() -> None:
    framer = LineFramer(LAST)
    assert [segment.last for segment in framer.feed(b'{"done":false}\n{"done":true}\n')] == [False, True]


def test_a_whole_last_line_gets_its_end() -> None:
    framer = LineFramer(LAST)
    framer.feed(b'{"a":1}\n{"done":true}')
    assert framer.eof() == [Segment(b'{"done":true}\n', last=True)]
    assert framer.remainder() == b""


@pytest.mark.parametrize("half", [b'{"a":1', b"12", b'{"a":1} {', b'"text"'])
def test_half_a_line_is_dropped(half: bytes) -> None:
    framer = LineFramer(LAST)
    framer.feed(b'{"a":1}\n' + half)
    assert framer.eof() == []
    assert framer.remainder() == half


def test_white_space_at_the_end_passes_as_it_is() -> None:
    assert framed(b"{}\n", b" \r") == [b"{}\n", b" \r"]


def test_a_line_without_end_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sse, "LONGEST_EVENT", 8)
    framer = LineFramer(LAST)
    assert framer.feed(b"12345678") == []
    with pytest.raises(MalformedStream, match="a line of more than 8 bytes"):
        framer.feed(b"9")


@given(BYTES, st.data())
def test_any_cut_of_any_bytes_gives_the_same_lines(data: bytes, draw: st.DataObject) -> None:
    at = draw.draw(st.integers(0, len(data)))
    assert framed(data[:at], data[at:]) == framed(data)
    framer = LineFramer(LAST)
    out = b"".join(segment.raw for piece in (data[:at], data[at:]) for segment in framer.feed(piece))
    assert out + framer.remainder() == data


def test_a_line_is_read_once_and_what_is_none_is_kept() -> None:
    read: list[object] = []

    def reader(line: object) -> tuple[StreamEnd]:
        read.append(line)
        return (StreamEnd(),)

    decoder = LineDecoder(LAST, reader)
    first, blank, array = decoder.feed(b'{"a":1}\n\n[1]\n')
    assert decoder.read(first) == (StreamEnd(),)
    assert decoder.read(blank) == (Ping(),)
    assert decoder.read(array) == (Opaque(b"[1]\n"),)
    assert read == [{"a": 1}]


# -- writing --------------------------------------------------------------------------------------------


def test_a_written_line_is_one_for_every_reader_of_lines() -> None:
    value = {"text": "é\n\r\u0085\u2028\u2029\x0b\x0c\x1c\ud83d 𝄞"}
    data = write_line(value)
    assert data.endswith(b"\n")
    assert len(data.decode("utf-8", "surrogatepass").splitlines()) == 1
    assert json.loads(data) == value


def test_ordinary_text_is_written_as_it_is() -> None:
    assert write_line({"text": "é 𝄞"}) == '{"text":"é 𝄞"}\n'.encode()


def test_there_is_no_heartbeat() -> None:
    assert PROTOCOL.encoder(call(PROTOCOL)).heartbeat() == b""


# -- which answers are lines ----------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("kind", "stream", "lines"),
    [
        ("application/x-ndjson", True, True),
        ("Application/X-NDJSON; charset=utf-8", False, True),
        ("application/json", True, True),
        ("application/json; charset=utf-8", False, False),
        ("text/plain", True, True),
        ("text/html", True, False),
        ("application/problem+json", True, False),
    ],
)
def test_lines_are_known_by_their_type_and_by_what_was_asked_for(
    kind: str, stream: bool, lines: bool
) -> None:
    call = Call("id", "any", Operation.GENERATE, "m", stream, ())
    assert is_line_stream(Head(200, (("Content-Type", kind),)), call) is lines


def test_without_a_type_it_is_what_was_asked_for() -> None:
    call = Call("id", "any", Operation.GENERATE, "m", True, ())
    assert is_line_stream(Head(200, ()), call)
    assert is_line_stream(NDJSON, call)
    assert is_line_stream(JSON, call)

"""A streamed array: cut into items wherever its bytes are cut, and joined again byte for byte."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from protocols.framing.json_array import END, ArrayDecoder, ArrayFramer, first_item, next_item
from protocols.framing.sse import LONGEST_EVENT
from protocols.model.errors import MalformedStream
from protocols.model.parts import Opaque, Ping, StreamEnd, StreamError, StreamPart
from protocols.model.segment import Segment
from protocols.model.wirejson import JsonObject, dump

ITEMS = b'[{"a": "}]{["}\n,\r\n{"b": [[1], {"c": "\\"]\\\\"}]}\n,\r\n{}\n]\n'


def framed(*pieces: bytes) -> list[Segment]:
    framer = ArrayFramer()
    return [segment for piece in pieces for segment in framer.feed(piece)] + framer.eof()


def raws(*pieces: bytes) -> list[bytes]:
    return [segment.raw for segment in framed(*pieces)]


def test_an_item_keeps_the_separators_before_it() -> None:
    assert raws(ITEMS) == [
        b'[{"a": "}]{["}',
        b'\n,\r\n{"b": [[1], {"c": "\\"]\\\\"}]}',
        b"\n,\r\n{}",
        b"\n]",
        b"\n",
    ]


def test_the_bracket_is_the_last_and_what_is_after_it_is_idle() -> None:
    found = framed(ITEMS)
    assert [segment.last for segment in found] == [False, False, False, True, False]
    assert [segment.idle for segment in found] == [False, False, False, False, True]


def test_segments_do_not_depend_on_how_the_bytes_were_cut() -> None:
    whole = framed(ITEMS)
    assert framed(*(ITEMS[at : at + 1] for at in range(len(ITEMS)))) == whole
    for at in range(len(ITEMS)):
        assert framed(ITEMS[:at], ITEMS[at:]) == whole


def test_an_item_is_there_with_its_last_byte() -> None:
    framer = ArrayFramer()
    assert framer.feed(b'[{"a": 1') == []
    assert framer.feed(b"}") == [Segment(b'[{"a": 1}')]


@pytest.mark.parametrize("half", [b',{"a": "x', b',{"a": {}', b",", b'\n,\r\n{"a": "\\'])
def test_half_an_item_is_dropped_at_the_end_of_input(half: bytes) -> None:
    framer = ArrayFramer()
    assert framer.feed(b"[{}" + half) == [Segment(b"[{}")]
    assert framer.eof() == []
    assert framer.remainder() == half


def test_what_follows_the_array_is_not_of_it() -> None:
    framer = ArrayFramer()
    assert [segment.raw for segment in framer.feed(b"[{}]\n{}")] == [b"[{}", b"]"]
    assert [segment.raw for segment in framer.eof()] == [b"\n"]
    assert framer.remainder() == b"{}"


def test_a_bare_object_is_one_segment() -> None:
    assert framed(b' {"error": {"a": []}}\n') == [
        Segment(b' {"error": {"a": []}}', last=True),
        Segment(b"\n", idle=True),
    ]


@pytest.mark.parametrize("strange", [b"<html>[{}]</html>", b"null", b"\x00\xff", b'"[{}]"'])
def test_what_is_neither_comes_whole_at_the_end(strange: bytes) -> None:
    framer = ArrayFramer()
    assert framer.feed(strange[:3]) == framer.feed(strange[3:]) == []
    assert framer.eof() == [Segment(strange)]


def test_an_endless_item_is_malformed() -> None:
    with pytest.raises(MalformedStream):
        ArrayFramer().feed(b'[{"a": "' + b"x" * LONGEST_EVENT)


values = st.recursive(
    st.none() | st.booleans() | st.integers() | st.text(),
    lambda inner: st.lists(inner) | st.dictionaries(st.text(), inner),
    max_leaves=8,
)


@given(st.lists(st.dictionaries(st.text(), values), min_size=1, max_size=4), st.integers(1, 7))
def test_any_items_are_cut_apart(items: list[dict[str, object]], size: int) -> None:
    data = b"\n,\r\n".join(map(dump, items)).join((b"[", b"\n]"))
    found = raws(*(data[at : at + size] for at in range(0, len(data), size)))
    assert b"".join(found) == data
    assert [raw.lstrip(b"[,\r\n") for raw in found] == [*map(dump, items), b"]"]


# -- reading --------------------------------------------------------------------------------------------


def named(item: JsonObject) -> list[StreamPart]:
    return [StreamError("", str(item["error"]))] if "error" in item else [Opaque(dump(item))]


def read(data: bytes) -> list[StreamPart]:
    decoder = ArrayDecoder(named)
    return [part for segment in [*decoder.feed(data), *decoder.eof()] for part in decoder.read(segment)]


def test_the_bracket_ends_the_stream() -> None:
    assert read(b'[{"a":1}\n,\r\n{"b":2}\n]\n') == [
        Opaque(b'{"a":1}'),
        Opaque(b'{"b":2}'),
        StreamEnd(),
        Ping(),
    ]
    assert read(b"[]") == [StreamEnd()]


def test_a_bare_object_is_a_whole_answer_or_an_error() -> None:
    assert read(b'{"a":1}') == [Opaque(b'{"a":1}'), StreamEnd()]
    assert read(b'{"error":"no"}') == [StreamError("", "no")]
    assert read(b'[{"error":"no"}]') == [StreamError("", "no"), StreamEnd()]


@pytest.mark.parametrize("strange", [b"[1, 2]", b"<html>", b'["a"]', b"{]"])
def test_what_makes_no_sense_is_opaque(strange: bytes) -> None:
    assert read(strange) == [Opaque(strange)]


def test_what_is_written_is_read() -> None:
    data = first_item({"a": 1}) + next_item({"b": 2}) + END
    assert read(data) == [Opaque(b'{"a":1}'), Opaque(b'{"b":2}'), StreamEnd()]

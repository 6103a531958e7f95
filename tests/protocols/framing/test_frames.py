"""Segments to objects and back: the framing of each stays what it was."""

import json

import pytest

from protocols.framing.frames import BareFrame, EventFrame, Frame, FrameWriter, frame_of


def framed(raw: bytes) -> Frame:
    frame = frame_of(raw)
    assert frame is not None
    return frame


@pytest.mark.parametrize(
    ("raw", "written"),
    [
        (b'data: {"a": 1}\n\n', b'data: {"b":2}\n\n'),
        (b'data:{"a": 1}\r\n\r\n', b'data: {"b":2}\r\n\r\n'),
        (b'data: {"a": 1}\r\r', b'data: {"b":2}\r\r'),
        (b'event: x\ndata: {"a": 1}\n\n', b'event: x\ndata: {"b":2}\n\n'),
        (b'id: 7\r\ndata: {"a": 1}\r\n: c\r\n\r\n', b'id: 7\r\ndata: {"b":2}\r\n: c\r\n\r\n'),
        (b'data: {"a":\ndata: 1}\n\n', b'data: {"b":2}\n\n'),
        (b'\xef\xbb\xbfdata: {"a": 1}\n\n', b'\xef\xbb\xbfdata: {"b":2}\n\n'),
    ],
    ids=["lf", "crlf", "cr", "named", "other lines", "two lines", "mark"],
)
def test_an_event_keeps_its_lines_and_their_ends(raw: bytes, written: bytes) -> None:
    frame = framed(raw)
    assert isinstance(frame, EventFrame)
    assert frame.event == {"a": 1}
    assert frame.write({"b": 2}) == written


@pytest.mark.parametrize(
    ("name", "kind", "written"),
    [("ping", "pong", "pong"), ("other", "pong", "other"), ("ping", "", "ping"), ("ping", "a\nb", "ping")],
)
def test_an_event_that_is_named_by_its_type_follows_it(name: str, kind: str, written: str) -> None:
    frame = framed(f'event: {name}\ndata: {{"type": "ping"}}\n\n'.encode())
    assert isinstance(frame, EventFrame)
    value = {"type": kind} if kind else {}
    data = json.dumps(value, separators=(",", ":"))
    assert frame.write(value) == f"event: {written}\ndata: {data}\n\n".encode()


@pytest.mark.parametrize(
    ("raw", "before", "after"),
    [
        (b'{"a": 1}\n', b"", b"\n"),
        (b'{"a": 1}', b"", b""),
        (b'[{"a": 1}\n', b"[", b"\n"),
        (b',\r\n{"a": 1}', b",\r\n", b""),
        (b',{"a": 1}\n]\n', b",", b"\n]\n"),
        (b' \n{"a":\n\n 1}\n', b" \n", b"\n"),
    ],
)
def test_a_bare_object_has_its_surroundings(raw: bytes, before: bytes, after: bytes) -> None:
    frame = framed(raw)
    assert isinstance(frame, BareFrame)
    assert (frame.event, frame.before, frame.after) == ({"a": 1}, before, after)


@pytest.mark.parametrize(
    "raw",
    [
        b"",
        b"\n",
        b"[",
        b"\n]",
        b"data: [DONE]\n\n",
        b": c\n\n",
        b"data: [1]\n\n",
        b"{half\n",
        b"event: x\n\n",
        b"hm",
    ],
)
def test_other_segments_hold_no_object(raw: bytes) -> None:
    assert frame_of(raw) is None


@pytest.mark.parametrize("raw", [b'data: {"a": 1.0}\n\n', b'{"a": 1.0}\n', b',\n{ "a":1.0}'])
def test_an_object_that_did_not_change_keeps_its_bytes(raw: bytes) -> None:
    frame = framed(raw)
    writer = FrameWriter()
    writer.write(framed(b"[{}"), [{}]) if raw.startswith(b",") else None
    assert writer.write(frame, [frame.event]) == [raw]
    first, second = writer.write(frame, [{"b": 1}, frame.event])
    assert b'{"b":1}' in first
    assert raw.strip(b",\n") in second


def test_lines_may_become_more_or_none() -> None:
    writer = FrameWriter()
    assert writer.write(framed(b'{"a":1}\n'), [{"b": 1}, {"c": 1}]) == [b'{"b":1}\n', b'{"c":1}\n']
    assert writer.write(framed(b'{"a":1}\n'), []) == []
    assert writer.write(framed(b'{"a":1}'), [{"b": 1}]) == [b'{"b":1}']
    assert writer.write(framed(b'{"a":1}'), [{"b": 1}, {"c": 1}]) == [b'{"b":1}\n', b'{"c":1}\n']
    assert writer.more(framed(b'{"a":1}\n'), [{"d": 1}]) == [b'{"d":1}\n']


@pytest.mark.parametrize(
    "kept", [(), (0,), (1,), (2,), (0, 1), (0, 2), (1, 2), (0, 1, 2), (1, 1), (0, 0, 2, 2)]
)
@pytest.mark.parametrize(
    "units",
    [
        (b'[{"n":0}', b'\n,\r\n{"n":1}', b'\n,\r\n{"n":2}', b"\n]"),
        (b'[{"n":0}\n', b',{"n":1}\n', b',{"n":2}\n]\n', b""),
    ],
    ids=["brackets apart", "brackets along"],
)
def test_an_array_stays_one_whatever_becomes_of_its_items(
    units: tuple[bytes, ...], kept: tuple[int, ...]
) -> None:
    writer = FrameWriter()
    written = b""
    for unit in units:
        frame = frame_of(unit)
        number = frame.event["n"] if frame else None
        values = [{"m": number} for one in kept if one == number]
        written += b"".join(writer.write(frame, values)) if frame else unit
    assert json.loads(written) == [{"m": number} for number in kept]


def test_more_items_follow_the_last() -> None:
    writer = FrameWriter()
    last = framed(b'[{"n":0}')
    written = b"".join(
        writer.write(last, [last.event]) + writer.more(last, []) + writer.more(last, [{"m": 1}])
    )
    assert written + b"]" == b'[{"n":0},{"m":1}]'

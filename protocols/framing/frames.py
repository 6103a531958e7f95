"""One segment of a stream as the JSON object in it and the framing around it, and back.

Known by their looks: an event of server-sent events, and a bare object between whitespace and the commas
and brackets of an array, which is a line of NDJSON, an item of a streamed array, or a whole answer.
"""

import re
from collections.abc import Sequence
from dataclasses import dataclass, replace

from protocols.framing.sse import parse_event
from protocols.model.wirejson import JsonObject, dump, load_object, text_at

_BOM = b"\xef\xbb\xbf"
_LINES = re.compile(rb"([^\r\n]*)(\r\n|\n|\r)")
_BEFORE, _AFTER = b" \t\r\n,[" + _BOM, b" \t\r\n,]"


@dataclass(frozen=True, slots=True)
class EventFrame:
    """One event of server-sent events."""

    raw: bytes
    """All of its bytes."""
    event: JsonObject
    """What its data says."""
    name: str | None
    """Its `event` field. None: it has none."""

    def write(self, value: JsonObject) -> bytes:
        """The event with `value` as its data, in one line; its other lines and its line ends stay."""
        written, replaced = bytearray(_BOM if self.raw.startswith(_BOM) else b""), False
        for line, end in _LINES.findall(self.raw.removeprefix(_BOM)):
            field = line.partition(b":")[0]
            if field == b"event":
                written += b"event: " + self._name_of(value).encode() + end
            elif field != b"data":
                written += line + end
            elif not replaced:
                written += b"data: " + dump(value) + end
                replaced = True
        return bytes(written)

    def _name_of(self, value: JsonObject) -> str:
        """An event that is named by its type, as clients of Anthropic need it, is named by the new one."""
        name, kind = self.name or "", text_at(value, "type")
        follows = name == text_at(self.event, "type") and kind.isprintable()
        return kind if kind and follows else name


@dataclass(frozen=True, slots=True)
class BareFrame:
    """One object that stands in no event."""

    raw: bytes
    """All of its bytes."""
    event: JsonObject
    """The object."""
    before: bytes
    """The bytes before it: whitespace, a comma, a bracket."""
    after: bytes
    """The bytes after it."""


type Frame = EventFrame | BareFrame


def name_of(frame: Frame) -> str:
    """That of its event; empty: it has none."""
    return (frame.name or "") if isinstance(frame, EventFrame) else ""


def frame_of(raw: bytes) -> Frame | None:
    """None: it holds no JSON object (a comment, `[DONE]`, a bracket, what makes no sense)."""
    inner = raw.lstrip(_BEFORE)
    if inner.startswith(b"{"):
        return _bare(raw, inner)
    name, data = parse_event(raw)
    event = None if data is None else load_object(data)
    return None if event is None else EventFrame(raw, event, name)


def _bare(raw: bytes, inner: bytes) -> BareFrame | None:
    text = inner.rstrip(_AFTER)
    event = load_object(text)
    before = len(raw) - len(inner)
    return None if event is None else BareFrame(raw, event, raw[:before], inner[len(text) :])


class FrameWriter:
    """The frames of one stream, in order, to the bytes in their place.

    Counts the items of an array, since their commas depend on what was dropped before; they are expected
    before each item but the first.
    """

    def __init__(self) -> None:
        self._in_array = False
        self._empty = True

    def write(self, frame: Frame, values: Sequence[JsonObject]) -> list[bytes]:
        """One unit for each of `values`; a `values` of the frame's own event alone gives its own bytes."""
        if isinstance(frame, EventFrame):
            return [frame.raw if value is frame.event else frame.write(value) for value in values]
        self._in_array = self._in_array or b"[" in frame.before
        return self._items(frame, values) if self._in_array else _lines(frame, values)

    def _items(self, frame: BareFrame, values: Sequence[JsonObject]) -> list[bytes]:
        """Items with their separators; the brackets of an item that is dropped stay."""
        if not values:
            brackets = bytes(byte for byte in frame.before + frame.after if byte in b"[]")
            return [brackets] if brackets else []
        first = frame.before.replace(b",", b"") if self._empty else frame.before
        self._empty = False
        units = [b"," + _text(frame, value) for value in values]
        units[0] = first + units[0].removeprefix(b",")
        units[-1] += frame.after
        return units

    def more(self, frame: Frame, values: Sequence[JsonObject]) -> list[bytes]:
        """Units for `values` after `frame`, which is written already."""
        if not values:
            return []
        if isinstance(frame, BareFrame):
            frame = replace(frame, before=b"," if self._in_array else b"")
        return self.write(frame, values)


def _lines(frame: BareFrame, values: Sequence[JsonObject]) -> list[bytes]:
    """Lines; also the last one ends where another follows."""
    end = frame.after if len(values) < 2 or b"\n" in frame.after else frame.after + b"\n"
    return [frame.before + _text(frame, value) + end for value in values]


def _text(frame: BareFrame, value: JsonObject) -> bytes:
    """The bytes of an object that did not change stay."""
    if value is not frame.event:
        return dump(value)
    return frame.raw[len(frame.before) : len(frame.raw) - len(frame.after)]

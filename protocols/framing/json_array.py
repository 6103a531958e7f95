"""A JSON array that is streamed, its items one after another: cut into segments of one item each.

The separators before an item belong to it (`[{...}`, then `,{...}`), the closing bracket is a segment of
its own, and so is white space after it; joined they are the bytes that came. Only what nests is looked
at, by two patterns that pass over everything between two brackets and over the inside of a text. A bare
object in the array's place (an error, an answer that is whole) is one segment; what begins with neither
is given as it is at the end of input.
"""

import re
from collections.abc import Callable, Sequence

from protocols.framing.sse import LONGEST_EVENT
from protocols.model.errors import MalformedStream
from protocols.model.parts import Opaque, Ping, StreamEnd, StreamError, StreamPart
from protocols.model.segment import Segment
from protocols.model.wirejson import JsonObject, dump, is_json, load_object

_BETWEEN_BRACKETS = re.compile(rb'(?:[^"{}\[\]]++|"(?:[^"\\]++|\\.)*+")*+', re.DOTALL)
_INSIDE_TEXT = re.compile(rb'(?:[^"\\]++|\\.)*+', re.DOTALL)
_FIRST = re.compile(rb"[ \t\r\n]*+([^ \t\r\n])")
_SPACE = re.compile(rb"[ \t\r\n]*+")
_QUOTE, _OPENING = ord('"'), frozenset(b"[{")
_SEPARATORS = b" \t\r\n,["
_ENDS = b" \t\r\n]"


class ArrayFramer:
    """Bytes to segments of one item each. `last` is the closing bracket, or the one object that came."""

    def __init__(self) -> None:
        self._buffer = bytearray()
        self._at = 0
        self._depth = 0
        self._item_depth = 1
        self._in_text = self._begun = self._over = self._strange = False

    def feed(self, data: bytes) -> list[Segment]:
        self._buffer += data
        if len(self._buffer) > LONGEST_EVENT:
            raise MalformedStream(f"an item of more than {LONGEST_EVENT} bytes")
        return self._cut() if self._begin() else []

    def _begin(self) -> bool:
        """Whether there is an array or an object to cut; its first byte says which."""
        if not self._begun and (found := _FIRST.match(self._buffer)):
            self._begun = True
            self._strange = found[1] not in (b"[", b"{")
            self._item_depth = 1 if found[1] == b"[" else 0
        return self._begun and not (self._over or self._strange)

    def _cut(self) -> list[Segment]:
        segments: list[Segment] = []
        start = 0
        while not self._over and self._step():
            if self._depth <= self._item_depth:
                segments.append(self._segment(bytes(self._buffer[start : self._at])))
                start, self._over = self._at, self._depth == 0
        del self._buffer[:start]
        self._at -= start
        return segments

    def _segment(self, raw: bytes) -> Segment:
        inner = raw.lstrip(_SEPARATORS).rstrip(_ENDS)
        return Segment(raw, last=self._depth == 0, broken=bool(inner) and not is_json(inner))

    def _step(self) -> bool:
        """To after the next closing bracket; False where it has not come yet."""
        while (at := self._to_bracket()) < len(self._buffer):
            self._at = at + 1
            if self._buffer[at] in _OPENING:
                self._depth += 1
            else:
                self._depth -= 1
                return True
        return False

    def _to_bracket(self) -> int:
        """The offset of the next bracket, or of the end of what has come, where the next bytes continue."""
        buffer, at = self._buffer, self._at
        while at < len(buffer):
            if not self._in_text:
                at = _matched_to(_BETWEEN_BRACKETS, buffer, at)
                if at == len(buffer) or buffer[at] != _QUOTE:
                    break
                at, self._in_text = at + 1, True
            at = _matched_to(_INSIDE_TEXT, buffer, at)
            if at == len(buffer) or buffer[at] != _QUOTE:
                self._at = at
                return len(buffer)
            at, self._in_text = at + 1, False
        self._at = at
        return at

    def eof(self) -> list[Segment]:
        """What is strange is given whole, and white space after the end; half an item is dropped."""
        end = len(self._buffer) if self._strange else 0
        if self._over:
            end = _matched_to(_SPACE, self._buffer, 0)
        remainder = bytes(self._buffer[:end])
        del self._buffer[:end]
        self._at = max(0, self._at - end)
        return [Segment(remainder, idle=not remainder.strip())] if remainder else []

    def remainder(self) -> bytes:
        return bytes(self._buffer)


def _matched_to(pattern: re.Pattern[bytes], buffer: bytearray, at: int) -> int:
    found = pattern.match(buffer, at)
    return found.end() if found else at


class ArrayDecoder:
    """A framer and a protocol's reader of one item: what `protocols.base.Decoder` asks for.

    The closing bracket reads as the end of the stream, and so does the end of a bare object that is no
    error: it is a whole answer.
    """

    def __init__(self, read: Callable[[JsonObject], Sequence[StreamPart]]) -> None:
        framer = ArrayFramer()
        self.feed = framer.feed
        self.eof = framer.eof
        self.remainder = framer.remainder
        self._read = read

    def read(self, segment: Segment) -> Sequence[StreamPart]:
        inner = segment.raw.lstrip(_SEPARATORS)
        if not inner.strip(_ENDS):
            return (StreamEnd(),) if segment.last else (Ping(),)
        item = load_object(inner)
        parts = (Opaque(segment.raw),) if item is None else self._read(item)
        failed = item is None or any(isinstance(part, StreamError) for part in parts)
        return parts if failed or not segment.last else (*parts, StreamEnd())


def first_item(value: object) -> bytes:
    return b"[" + dump(value)


def next_item(value: object) -> bytes:
    return b",\r\n" + dump(value)


END = b"]"
"""What closes the array; nothing separates it from the last item."""

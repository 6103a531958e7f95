"""JSON objects one to a line: cut a stream into lines, write one line.

LF ends a line and nothing else does; a CR before it is white space of the JSON. Measured: the Python client
of Ollama fails on blank lines, so that nothing can be sent that means nothing.
"""

import re
from collections.abc import Callable, Sequence

from protocols.framing.sse import Framer, SseEncoder
from protocols.model.call import Call
from protocols.model.http import Head, header
from protocols.model.parts import Opaque, Ping, StreamPart
from protocols.model.segment import Segment
from protocols.model.wirejson import JsonObject, dump, is_json, load_object

_PAGES = ("application/problem+json", "text/html")
_ESCAPES = {0x85: "\\u0085", 0x2028: "\\u2028", 0x2029: "\\u2029"}


def is_line_stream(head: Head, call: Call) -> bool:
    """By its content type; a streamed call's answer also under any other name but that of a page. A whole
    answer to a streamed call is one line."""
    kind = (header(head.headers, "content-type") or "").lower()
    return "ndjson" in kind or (call.stream and not kind.startswith(_PAGES))


class LineFramer(Framer):
    """A segment for each line, its LF included."""

    unit = "a line"

    def __init__(self, last: re.Pattern[bytes]) -> None:
        """`last` is a pattern by which the protocol's final line is guessed."""
        super().__init__()
        self._last = last

    def _end_of_unit(self, start: int, search: int) -> int:
        return self._buffer.find(b"\n", max(start, search)) + 1

    def _segment(self, raw: bytes) -> Segment:
        blank = not raw.strip()
        return Segment(raw, self._last.search(raw) is not None, blank, broken=blank or not is_json(raw))

    def eof(self) -> list[Segment]:
        """A last line that lacks only its LF gets it; half a line is dropped."""
        remainder = bytes(self._buffer)
        blank = not remainder.strip()
        if not remainder or not (blank or load_object(remainder) is not None):
            return []
        self._buffer.clear()
        self._searched = 0
        return [self._segment(remainder if blank else remainder + b"\n")]


class LineDecoder:
    """A framer and a protocol's reader of one object: what `protocols.base.Decoder` asks for."""

    def __init__(self, last: re.Pattern[bytes], read: Callable[[JsonObject], Sequence[StreamPart]]) -> None:
        framer = LineFramer(last)
        self.feed = framer.feed
        self.eof = framer.eof
        self.remainder = framer.remainder
        self._read = read

    def read(self, segment: Segment) -> Sequence[StreamPart]:
        if not segment.raw.strip():
            return (Ping(),)
        line = load_object(segment.raw)
        return (Opaque(segment.raw),) if line is None else self._read(line)


def write_line(value: object) -> bytes:
    """One line with `value` as JSON.

    Measured: httpx, which Ollama's Python client reads lines with, ends one at what Unicode calls a line
    end too, so these are written as escapes.
    """
    data = dump(value)
    return (data if data.isascii() else data.decode().translate(_ESCAPES).encode()) + b"\n"


class LineEncoder(SseEncoder):
    """What every protocol of lines encodes alike."""

    content_type = "application/x-ndjson"

    def heartbeat(self) -> bytes:
        """None is harmless: see the module's docstring."""
        return b""

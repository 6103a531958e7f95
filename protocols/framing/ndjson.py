"""JSON objects one to a line: cut a stream into lines, write one line.

LF ends a line and nothing else does; a CR before it is white space of the JSON. Measured: the Python client
of Ollama fails on blank lines, so that nothing can be sent that means nothing.
"""

import re
from collections.abc import Callable, Sequence

from protocols.base import Encoder, Resume
from protocols.framing.sse import LONGEST_EVENT
from protocols.model.call import Call
from protocols.model.errors import MalformedStream
from protocols.model.http import Head, header
from protocols.model.parts import Opaque, Ping, StreamPart
from protocols.model.progress import Progress
from protocols.model.segment import Segment
from protocols.model.wirejson import JsonObject, dump, is_json, load_object

_PAGES = ("application/problem+json", "text/html")
_ESCAPES = {0x85: "\\u0085", 0x2028: "\\u2028", 0x2029: "\\u2029"}


def is_line_stream(head: Head, call: Call) -> bool:
    """By its content type; a streamed call's answer also under any other name but that of a page. A whole
    answer to a streamed call is one line."""
    kind = (header(head.headers, "content-type") or "").lower()
    return "ndjson" in kind or (call.stream and not kind.startswith(_PAGES))


class LineFramer:
    """Bytes to segments of one line each, its LF included.

    `last` is a pattern by which the protocol's final line is guessed.
    """

    def __init__(self, last: re.Pattern[bytes]) -> None:
        self._last = last
        self._buffer = bytearray()
        self._searched = 0

    def feed(self, data: bytes) -> list[Segment]:
        buffer = self._buffer
        buffer += data
        if len(buffer) > LONGEST_EVENT:
            raise MalformedStream(f"a line of more than {LONGEST_EVENT} bytes")
        segments: list[Segment] = []
        start, search = 0, self._searched
        while end := buffer.find(b"\n", search) + 1:
            segments.append(self._segment(bytes(buffer[start:end])))
            start = search = end
        del buffer[:start]
        self._searched = len(buffer)
        return segments

    def _segment(self, raw: bytes) -> Segment:
        blank = not raw.strip()
        return Segment(raw, self._last.search(raw) is not None, blank, broken=blank or not is_json(raw))

    def eof(self) -> list[Segment]:
        """A last line that lacks only its LF gets it; half a line is dropped."""
        rest = bytes(self._buffer)
        blank = not rest.strip()
        if not rest or not (blank or load_object(rest) is not None):
            return []
        self._buffer.clear()
        self._searched = 0
        return [self._segment(rest if blank else rest + b"\n")]

    def rest(self) -> bytes:
        return bytes(self._buffer)


class LineDecoder:
    """A framer and a protocol's reader of one object: what `protocols.base.Decoder` asks for."""

    def __init__(self, last: re.Pattern[bytes], read: Callable[[JsonObject], Sequence[StreamPart]]) -> None:
        framer = LineFramer(last)
        self.feed = framer.feed
        self.eof = framer.eof
        self.rest = framer.rest
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


class LineEncoder(Encoder):
    """What every protocol of lines encodes alike; `resume` is the protocol's own."""

    content_type = "application/x-ndjson"

    def __init__(self, call: Call, resume: Resume) -> None:
        self._call, self._resume = call, resume

    def close(self, parts: Sequence[StreamPart], progress: Progress) -> bytes:
        return self._resume(self._call, progress).write(parts) if parts else b""

    def heartbeat(self) -> bytes:
        """None is harmless: see the module's docstring."""
        return b""

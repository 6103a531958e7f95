"""Server-sent events on bytes: cut a stream into events, read one event, write one event.

By the WHATWG grammar: LF, CRLF and lone CR end a line, a blank line ends an event, U+2028 is no
newline, a byte-order mark may open the stream. A CR at the end of what has arrived waits for the next
bytes, so that the segments do not depend on how the bytes were cut.

An event is plain if it is `data: {...}` in one line, or that after an `event: ` line, of JSON; LF ends its
lines. Almost all are.
"""

import re
from collections.abc import Callable, Iterator, Sequence
from typing import ClassVar, NamedTuple

from protocols.base import Encoder, Resume, Skimmer
from protocols.model.call import Call
from protocols.model.errors import MalformedStream
from protocols.model.http import Head, header
from protocols.model.parts import StreamPart, Usage, UsageReport
from protocols.model.progress import Progress
from protocols.model.segment import Segment
from protocols.model.wirejson import MOST_COST, are_json, dump, is_json, load_object, number_at

_LINE_END = rb"(?>\r\n|\n|\r)"
_EVENT_END = re.compile(_LINE_END + _LINE_END)
_ENDED = re.compile(_LINE_END + _LINE_END + rb"\Z")
_BLANK = re.compile(_LINE_END)
_BLANKS = re.compile(rb"\n*")
_FIELD = re.compile(rb"(?:\A|[\r\n])(?:event|id|retry):")
_LONGEST_MARK = 256
_LONGEST_END = 3
"""Bytes at the end of what has come that may be the first of an end."""
_FEW = 1024
"""Bytes of so few events that these are looked at one by one."""
_LF, _BLANK_LINE = 0x0A, b"\n\n"
_COST = re.compile(rb"(?>:[^\r\n]*[\r\n]+)*?: ?cost ?(\{[^\r\n]*\})")
"""A comment in which Neuralwatt says what an answer cost, before its last frame. Documented, not measured."""
_BEGINS_DATA, _BEGINS_NAMED = b"data: {", b"event: "
_DATA = len(b"data: ")
_BETWEEN_DATA = b"\n\ndata: "
_IDLE = b'"ping"'
DONE = b"[DONE]"
LONGEST_EVENT = 1 << 26
"""Bytes that one event may have; an answer without an end of line would fill the memory."""

_OTHER_KINDS = ("application/json", "application/problem+json", "text/html")


class Event(NamedTuple):
    """`name` is the event field, `data` the data lines joined by LF (UTF-8), None without any."""

    name: str | None
    data: bytes | None


def is_event_stream(head: Head, call: Call) -> bool:
    """By its content type; a streamed call's answer also where the provider does not name a type of text."""
    kind = (header(head.headers, "content-type") or "").lower()
    return "text/event-stream" in kind or (call.stream and not kind.startswith(_OTHER_KINDS))


class Framer:
    """Bytes to segments of one unit each, an event or a line: what is not whole waits in a buffer."""

    unit: ClassVar[str]
    """What it is called in an error."""

    def __init__(self) -> None:
        self._buffer = bytearray()
        self._searched = 0

    def feed(self, data: bytes) -> list[Segment]:
        buffer = self._buffer
        buffer += data
        if len(buffer) > LONGEST_EVENT:
            raise MalformedStream(f"{self.unit} of more than {LONGEST_EVENT} bytes")
        segments: list[Segment] = []
        start, search = 0, self._searched
        while start < len(buffer) and (end := self._end_of_unit(start, search)):
            segments.append(self._segment(bytes(buffer[start:end])))
            start = search = end
        if start:
            del buffer[:start]
        self._searched = max(0, len(buffer) - _LONGEST_END)
        return segments

    def remainder(self) -> bytes:
        return bytes(self._buffer)

    def _end_of_unit(self, start: int, search: int) -> int:
        """The offset after the unit that begins at `start`, where there is a byte; 0 when it is not whole
        yet. Before `search` it does not end."""
        raise NotImplementedError

    def _segment(self, raw: bytes) -> Segment:
        raise NotImplementedError


class SseFramer(Framer):
    """A segment for each event; blank lines between events are segments of their own."""

    unit = "an event"

    def __init__(self, last: bytes, *, named: bool = False, marks: Sequence[bytes] = ()) -> None:
        """`last` is a byte string by which the protocol's final event is guessed; `named`: clients of the
        protocol pass over events without a name; `marks`: other byte strings of events that are not plain."""
        super().__init__()
        self._last = last
        self._named = named
        self._marks = (last, _IDLE, *marks)
        self._has_cr = False

    def skim(self, data: bytes) -> list[Segment]:
        """What `feed` gives, with plain events that follow one another as one segment, and so blank lines."""
        buffer = self._buffer
        if self._has_cr or b"\r" in data or (buffer and not self._completes(data)):
            return self.feed(data)
        if buffer:
            data = bytes(buffer) + data
            buffer.clear()
        self._searched = 0
        return self._skimmed(data)

    def _completes(self, data: bytes) -> bool:
        """Whether the event that has begun ends in it; it is not copied for less."""
        return _BLANK_LINE in data or (data[:1] == b"\n" and self._buffer[-1] == _LF)

    def _skimmed(self, data: bytes) -> list[Segment]:
        segments: list[Segment] = []
        marks = [mark for mark in self._marks if mark in data]
        marked = min(map(data.find, marks)) if marks else len(data)
        run, start = 0, self._plain_until(data, marked) if marked > _FEW else 0
        while (end := data.find(_BLANK_LINE, start)) >= 0:
            if data.startswith(b"\n", start):
                end = _after_blanks(data, start)
                others = [Segment(data[start:end], idle=True)]
            else:
                event, end = data[start:end], end + len(_BLANK_LINE)
                apart = (end > marked and any(mark in event for mark in marks)) or not self._is_plain(event)
                others = self.feed(data[start:end]) if apart else []
            if others:
                if run < start:
                    segments.append(Segment(data[run:start], run=True))
                segments += others
                run = end
            start = end
        if run < start:
            segments.append(Segment(data[run:start], run=True))
        return segments + self.feed(data[start:]) if start < len(data) else segments

    def _plain_until(self, data: bytes, marked: int) -> int:
        """The end of the events before `marked` if all are plain and without names; else 0."""
        end = data.rfind(_BLANK_LINE, 0, marked) + len(_BLANK_LINE)
        events = data_of(data[:end])
        return end if events and are_json(events) else 0

    def _is_plain(self, event: bytes) -> bool:
        """`event` is without its end."""
        line = event.find(b"\n") + 1 if event.startswith(_BEGINS_NAMED) else 0
        is_one = event.startswith(_BEGINS_DATA, line) and event.find(b"\n", line) < 0
        return is_one and is_json(event[line + _DATA :])

    def _end_of_unit(self, start: int, search: int) -> int:
        """Without a CR, which few send, it is found without a pattern."""
        buffer, search = self._buffer, max(start, search)
        if self._has_cr:
            return self._end_by_grammar(start, search)
        if buffer[start] == _LF:
            return start + 1
        end = buffer.find(_BLANK_LINE, search)
        if buffer.find(b"\r", search, len(buffer) if end < 0 else end) < 0:
            return end + len(_BLANK_LINE) if end >= 0 else 0
        self._has_cr = True
        return self._end_by_grammar(start, search)

    def _end_by_grammar(self, start: int, search: int) -> int:
        buffer = self._buffer
        found = _BLANK.match(buffer, start) or _EVENT_END.search(buffer, search)
        if found is None:
            return 0
        end = found.end()
        waits_for_lf = end == len(buffer) and buffer[end - 1] == 0x0D
        return 0 if waits_for_lf else end

    def _segment(self, raw: bytes) -> Segment:
        broken = not _looks_whole(raw) and self._is_broken(raw)
        if len(raw) >= _LONGEST_MARK:
            return Segment(raw, broken=broken)
        empty = broken and not (parse_event(raw).data or b"").strip()
        idle = raw[0] in b":\r\n" or b'"ping"' in raw or empty
        return Segment(raw, self._last in raw, idle, broken=broken)

    def _is_broken(self, raw: bytes) -> bool:
        """Measured: SDKs raise a bare error of their JSON parser on such an event, on an empty one too, be it
        a name, an id or a time to retry alone. An event with an object in each line lacks its blank lines
        only, and is read by some."""
        name, data = parse_event(raw)
        if data is None:
            return _FIELD.search(raw) is not None
        if data.strip() == DONE or (self._named and name is None):
            return False
        return not (is_json(data) or all(map(is_json, data.split(b"\n"))))

    def eof(self) -> list[Segment]:
        """Measured: SDKs drop a last event that lacks its blank line, so a whole one gets it here. A CR
        that ends it is half of a CRLF with the LF that follows."""
        remainder = bytes(self._buffer)
        self._buffer.clear()
        self._searched = 0
        if not remainder.strip(b"\r\n") or _ENDED.search(remainder):
            return [self._segment(remainder)] if remainder else []
        data = parse_event(remainder).data
        if data is None or not (data.strip() == DONE or load_object(data) is not None):
            self._buffer += remainder
            return []
        return [self._segment(remainder + (b"\n" if remainder.endswith(b"\n") else b"\n\n"))]


def _looks_whole(raw: bytes) -> bool:
    """Whether an event's data is JSON in one line, its last, as it mostly is."""
    if raw.startswith(_BEGINS_DATA):
        return is_json(raw[_DATA:])
    line = raw.find(b"\n" + _BEGINS_DATA, 0, _LONGEST_MARK) + 1
    return line > 0 and is_json(raw[line + _DATA :])


type Read = Callable[[Event, bytes], Sequence[StreamPart]]
"""What an event says; it gets its bytes too."""

type ReadText = Callable[[bytes, bool], Sequence[StreamPart] | None]
"""The same of an event's data, where it is of the form that most events have; None of any other, which is
read in full. The flag: it has a name."""


type ReadTexts = Callable[[Sequence[bytes]], Sequence[StreamPart] | None]
"""The same of the data of several events without names, with deltas that follow one another as one; None:
they are read one by one."""


def in_full(_data: bytes, _named: bool) -> None:
    """For protocols of which no form is known."""


def one_by_one(_run: Sequence[bytes]) -> None:
    """For protocols that read no events together."""


class SseDecoder(SseFramer, Skimmer):
    """A framer with a protocol's readers of an event."""

    def __init__(
        self,
        last: bytes,
        read: Read,
        read_text: ReadText = in_full,
        read_texts: ReadTexts = one_by_one,
        *,
        named: bool = False,
        marks: Sequence[bytes] = (),
    ) -> None:
        """The readers, and what the framer asks for."""
        super().__init__(last, named=named, marks=marks)
        self._read, self._read_text, self._read_texts = read, read_text, read_texts

    def read(self, segment: Segment) -> Sequence[StreamPart]:
        raw = segment.raw
        if segment.run:
            return self._read_run(raw)
        event = parse_event(raw)
        said = None if event.data is None else self._read_text(event.data, event.name is not None)
        said = self._read(event, raw) if said is None else said
        return (*_stated(raw), *said) if raw[:1] == b":" else said

    def _read_run(self, raw: bytes) -> Sequence[StreamPart]:
        parts: list[StreamPart] = []
        if events := data_of(raw):
            if (together := self._read_texts(events)) is not None:
                return together
            for data in events:
                said = self._read_text(data, False)
                parts += self._read(Event(None, data), b"data: %b\n\n" % data) if said is None else said
            return parts
        end = 0
        while end < len(raw):
            start, end = end, after_event(raw, end)
            line = start if raw.startswith(_BEGINS_DATA, start) else raw.index(b"\n", start) + 1
            said = self._read_text(raw[line + _DATA : end], line > start)
            if said is None:
                event = raw[start:end]
                said = self._read(parse_event(event), event)
            parts += said
        return parts


def _stated(raw: bytes) -> Iterator[UsageReport]:
    """What the comments before an event say that the answer cost."""
    found = _COST.match(raw)
    said = load_object(found[1]) if found else None
    cost = number_at(said, "request_cost_usd") if said else None
    if cost is not None and 0 <= cost <= MOST_COST:
        yield UsageReport(Usage(cost=float(cost)))


def data_of(run: bytes) -> Sequence[bytes]:
    """The data of whole events, if each is `data: {...}` in one line; else nothing."""
    if not (run.startswith(_BEGINS_DATA) and run.endswith(_BLANK_LINE)):
        return ()
    events = run[_DATA : -len(_BLANK_LINE)].split(_BETWEEN_DATA)
    if b"\n" in b"".join(events):  # they are long: to search takes a tenth of the time of counting
        return ()
    return events if {event[:1] for event in events} == {b"{"} else ()


def _after_blanks(data: bytes, start: int) -> int:
    """The offset after the blank lines that begin at `start`."""
    found = _BLANKS.match(data, start)
    return found.end() if found else start


def after_event(run: bytes, start: int) -> int:
    """The offset after the plain event that begins at `start`."""
    return run.index(_BLANK_LINE, start) + len(_BLANK_LINE)


def parse_event(raw: bytes) -> Event:
    """The fields of one event; unknown fields and comments are skipped."""
    name: str | None = None
    data: list[bytes] = []
    for line in raw.removeprefix(b"\xef\xbb\xbf").splitlines():
        field, _, value = line.partition(b":")
        value = value.removeprefix(b" ")
        if field == b"data":
            data.append(value)
        elif field == b"event":
            name = value.decode("utf-8", "replace")
    return Event(name, b"\n".join(data) if data else None)


def write_event(value: object, name: str | None = None) -> bytes:
    """One event with `value` as JSON, LF line ends, and a space after `data:` (clients need it)."""
    prefix = f"event: {name}\n".encode() if name else b""
    return prefix + b"data: " + dump(value) + b"\n\n"


class SseEncoder(Encoder):
    """What every protocol over server-sent events encodes alike; `resume` is the protocol's own."""

    content_type = "text/event-stream; charset=utf-8"

    def __init__(self, call: Call, resume: Resume) -> None:
        self._call, self._resume = call, resume

    def close(self, parts: Sequence[StreamPart], progress: Progress, *, begun: bool = False) -> bytes:
        return self._resume(self._call, progress).write(parts) if parts else b""

    def heartbeat(self) -> bytes:
        """Measured: a bare newline is the one form that every SSE client survives."""
        return b"\n"

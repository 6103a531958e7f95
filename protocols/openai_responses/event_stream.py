"""Events over server-sent events: the one module that knows the framing.

An event is named by the `type` in its data; the stream has no mark of its end but the last event.
Measured: OpenRouter adds `[DONE]`; an event without a blank line at the end of input is lost to clients.
"""

import re
from collections.abc import Iterable, Sequence

from msgspec import structs

from protocols.framing.sse import DONE, Event, SseDecoder, write_event
from protocols.model.call import Call, Reply
from protocols.model.parts import Opaque, Ping, StreamPart
from protocols.model.progress import Progress
from protocols.model.segment import Segment
from protocols.model.wirejson import JsonObject, load_object, text_at
from protocols.openai_responses.answer_read import EventReader
from protocols.openai_responses.answer_write import EventWriter, response_object
from protocols.openai_responses.answer_write_resumed import ResumedEventWriter

_LAST = rb"response\.(?:completed|incomplete|failed|cancelled)"
_TERMINAL = re.compile(rb'(?:event: ?|data: ?\{[^{}]{0,80}?"type": ?")' + _LAST + rb"\b")
_TERMINAL_BEHIND = re.compile(rb"[\r\n]event: ?" + _LAST + rb"[\r\n]+\Z")
_LONGEST_NAME = 40
_KEEPALIVE = (b"event: keepalive", b'data: {"type":"keepalive"', b'data: {"type": "keepalive"')
_MARKS = (
    b"response.completed",
    b"response.incomplete",
    b"response.failed",
    b"response.cancelled",
    b"keepalive",
)
"""Some of them are in every event that is known as the last one, or as idle."""


class ResponsesDecoder(SseDecoder):
    """Frames to parts; the last frames are long, so they are known by how they begin."""

    def __init__(self) -> None:
        super().__init__(DONE, self._read_event, marks=_MARKS)
        self._reader = EventReader()

    def _segment(self, raw: bytes) -> Segment:
        return _marked(super()._segment(raw))

    def _read_event(self, event: Event, raw: bytes) -> Sequence[StreamPart]:
        if event.data is None or event.data.strip() == DONE:
            return (Ping(),)
        value = load_object(event.data)
        if value is None:
            return (Opaque(raw),)
        return self._reader.read(typed(value, event), raw)


def _marked(segment: Segment) -> Segment:
    """Measured: Bedrock puts the name of an event after its data."""
    raw = segment.raw
    if _TERMINAL.match(raw) or _TERMINAL_BEHIND.search(raw, max(0, len(raw) - _LONGEST_NAME)):
        return structs.replace(segment, last=True)
    return structs.replace(segment, idle=True) if raw.startswith(_KEEPALIVE) else segment


def typed(value: JsonObject, event: Event) -> JsonObject:
    """The name stands in for a type that is missing."""
    return value if "type" in value or not event.name else {**value, "type": event.name}


def _framed(events: Iterable[JsonObject]) -> bytes:
    return b"".join(write_event(event, text_at(event, "type")) for event in events)


class ResponsesWriter:
    """What `protocols.base.Writer` asks for."""

    def __init__(self, writer: EventWriter) -> None:
        self._writer = writer

    def write(self, parts: Sequence[StreamPart]) -> bytes:
        return _framed(self._writer.write(parts))


def writer(call: Call, reply: Reply) -> ResponsesWriter:
    return ResponsesWriter(EventWriter(response_object(call, reply), reply.id))


def resumed_writer(_call: Call, progress: Progress) -> ResponsesWriter:
    """Goes on with the stream's own items, see `protocols.openai_responses.answer_write_resumed`."""
    return ResponsesWriter(ResumedEventWriter(progress))

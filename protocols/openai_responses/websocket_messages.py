"""Events over the messages of a WebSocket: the Responses API's other transport.

Documented: a client says `response.create` with the fields of a request, less `stream` and `background`;
each event of the answer is one text message with the JSON that a stream has after `data:`; a request that
fails is an `error` event with the HTTP status; `generate: false` prepares a turn and is answered without
output; `stream_id` names a stream, and stands in each event of its turns. Measured with codex 0.169.0: the
headers of an error (retry-after above all) are read from `headers`, an error without a status is passed
over, and `response.processed` is a receipt that nothing answers.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from protocols.framing.sse import DONE, Event, SseFramer, parse_event
from protocols.model.errors import Fault
from protocols.model.http import Headers
from protocols.model.parts import Usage
from protocols.model.segment import Segment
from protocols.model.wirejson import (
    MOST_VALUES,
    JsonObject,
    dump,
    encoded,
    is_crowded,
    load_object,
    object_at,
    objects_at,
    text_at,
)
from protocols.openai_responses.answer_write import usage_object
from protocols.openai_responses.error_words import error_object
from protocols.openai_responses.event_stream import typed

CREATE = "response.create"
_RECEIPTS = frozenset({"response.processed"})
_OWN_FIELDS = frozenset({"type", "generate", "stream_id", "stream", "background"})
_TOLD = ("x-", "retry-after", "openai-")
"""How the headers begin that are sent with an error."""

_ITEM_DONE = "response.output_item.done"
_ENDS = frozenset({f"response.{end}" for end in ("completed", "incomplete", "failed", "cancelled")})
_ERROR = "error"
_REMEMBERED = _ENDS | {_ITEM_DONE, _ERROR}
_STATUSES = {
    "invalid_request_error": 400,
    "rate_limit_error": 429,
    "rate_limit_exceeded": 429,
    "insufficient_quota": 429,
    "invalid_prompt": 400,
    "context_length_exceeded": 400,
    "server_is_overloaded": 503,
}
"""By the type or the code of an error, which a stream has without one; the others are the provider's."""


@dataclass(frozen=True, slots=True)
class Create:
    """A turn that the client asks for."""

    body: JsonObject
    """The fields of a request's body."""
    generate: bool = True
    """Whether it is answered. If not, it is prepared only."""
    stream_id: str = ""
    """Which stream of the connection it is in; empty for none."""


@dataclass(frozen=True, slots=True)
class Receipt:
    """Something that needs no answer."""


def read_message(text: str) -> Create | Receipt | Fault:
    """What a client says; a Fault for what is not understood."""
    data = encoded(text)
    if is_crowded(data):
        return Fault(413, "request_too_large", f"more than {MOST_VALUES} values", should_retry=False)
    message = load_object(data)
    if message is None:
        return _fault("expected a JSON object")
    kind = text_at(message, "type")
    if kind in _RECEIPTS:
        return Receipt()
    if kind != CREATE:
        return _fault(f"expected a message of the type {CREATE}")
    if message.get("background") is True:
        return _fault("background is not supported over a WebSocket")
    body = {name: value for name, value in message.items() if name not in _OWN_FIELDS}
    return Create(body, message.get("generate") is not False, text_at(message, "stream_id"))


def _fault(message: str) -> Fault:
    return Fault(400, "invalid_request", message, should_retry=False)


@dataclass(frozen=True, slots=True)
class EventMessage:
    """One event as a message."""

    text: str
    """The JSON text that is sent."""
    item: JsonObject | None = None
    """The item of output that it ends. None: it ends none."""
    response: JsonObject | None = None
    """The response that it ends. None: it ends none."""
    error: JsonObject | None = None
    """The error that it is. None: it is none."""


class EventMessages:
    """The bytes of a stream of server-sent events to messages; one for each answer."""

    def __init__(self, stream_id: str) -> None:
        self._framer = SseFramer(DONE)
        self._stream_id = stream_id

    def feed(self, data: bytes) -> list[EventMessage]:
        """Raises MalformedStream if the bytes cannot be framed."""
        return list(self._messages(self._framer.feed(data)))

    def eof(self) -> list[EventMessage]:
        return list(self._messages(self._framer.eof()))

    def _messages(self, segments: Sequence[Segment]) -> Iterator[EventMessage]:
        for segment in segments:
            event = parse_event(segment.raw)
            if event.data is None or event.data.strip() == DONE:
                continue
            value = load_object(event.data) if self._stream_id or _is_read(event) else None
            if value is not None:
                text = "" if self._stream_id or "type" not in value else event.data.decode("utf-8", "replace")
                yield event_message(typed(value, event), self._stream_id, text)
            elif not _is_read(event):
                yield EventMessage(event.data.decode("utf-8", "replace"))


def _is_read(event: Event) -> bool:
    """Most events are passed on unread: those whose name says that nothing of them is to be remembered."""
    return event.name is None or event.name in _REMEMBERED


def event_message(event: JsonObject, stream_id: str = "", text: str = "") -> EventMessage:
    """An event object as a message; `text` is its JSON where that is known."""
    kind = text_at(event, "type")
    item = object_at(event, "item") if kind == _ITEM_DONE else None
    response = object_at(event, "response") if kind in _ENDS else None
    error = (object_at(event, "error") or event) if kind == _ERROR else None
    marked = {**event, "stream_id": stream_id} if stream_id else event
    return EventMessage(text or dump(marked).decode(), item, response, error)


def failed_event(error: JsonObject, headers: Headers = ()) -> JsonObject:
    """What fails a turn whose stream ended with `error`: clients pass over one that has no status."""
    said = error.get("status")
    words = (text_at(error, name) for name in ("type", "code"))
    known = next((_STATUSES[word] for word in words if word in _STATUSES), 502)
    return error_event(said if isinstance(said, int) else known, headers, dump({"error": error}))


def error_event(status: int, headers: Headers, body: bytes) -> JsonObject:
    """An answer that is an error as an event: what its client would have read of it over HTTP."""
    said = load_object(body) or {}
    error = object_at(said, "error") or _worded(status, said, body)
    rendered_headers = {name.lower(): value for name, value in headers if name.lower().startswith(_TOLD)}
    return {"type": "error", "status": status, "error": error, "headers": rendered_headers}


def _worded(status: int, said: JsonObject, body: bytes) -> JsonObject:
    """For an answer in another form than the protocol's."""
    words = text_at(said, "error") or text_at(said, "message") or body[:200].decode("utf-8", "replace")
    return error_object("provider_error", words or f"the provider answered {status}", status)


def events_of(response: JsonObject) -> Iterator[JsonObject]:
    """A response that came whole, as the least of events that say all of it."""
    yield {"type": "response.created", "response": {**response, "status": "in_progress", "output": []}}
    for index, item in enumerate(objects_at(response, "output")):
        yield {"type": "response.output_item.added", "output_index": index, "item": item}
        yield {"type": "response.output_item.done", "output_index": index, "item": item}
    yield {"type": f"response.{text_at(response, 'status') or 'completed'}", "response": response}


def prepared(response_id: str, create: Create, created: int) -> Iterator[JsonObject]:
    """The answer to a turn that is prepared only; `created` in epoch seconds."""
    response = {
        "id": response_id,
        "object": "response",
        "created_at": created,
        "status": "completed",
        "background": False,
        "error": None,
        "incomplete_details": None,
        "instructions": create.body.get("instructions"),
        "model": create.body.get("model"),
        "output": [],
        "parallel_tool_calls": create.body.get("parallel_tool_calls") is not False,
        "previous_response_id": create.body.get("previous_response_id"),
        "store": create.body.get("store") is not False,
        "tool_choice": create.body.get("tool_choice") or "auto",
        "tools": create.body.get("tools") or [],
        "usage": usage_object(Usage()),
    }
    for number, event in enumerate(events_of(response)):
        yield {**event, "sequence_number": number}

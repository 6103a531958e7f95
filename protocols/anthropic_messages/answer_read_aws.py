"""Events of Messages in AWS's framing, as Bedrock sends them.

A chunk's payload is `{"bytes": BASE64}` of one event's JSON. An exception in the middle of the stream is a
message of its own, with its name in a header. Documented by AWS, and read so by Anthropic's own client.
"""

import binascii
from base64 import b64decode

from protocols.framing.aws_event_stream import Message
from protocols.framing.sse import write_event
from protocols.model.errors import MalformedStream
from protocols.model.wirejson import JsonObject, load_object, text_at

_ERRORS = {
    "throttlingexception": "rate_limit_error",
    "validationexception": "invalid_request_error",
    "serviceunavailableexception": "overloaded_error",
    "modeltimeoutexception": "timeout_error",
}
"""From the exceptions of InvokeModelWithResponseStream to the types of Messages; all others are api_error."""


def write_message(message: Message) -> bytes:
    """The event that `message` holds; empty for one that holds none. Raises MalformedStream."""
    kind = message.headers.get(":message-type", "event")
    if kind == "event":
        return _event(message) if message.headers.get(":event-type", "chunk") == "chunk" else b""
    error = {"type": "error", "error": _exception(message) if kind == "exception" else _error(message)}
    return write_event(error, "error")


def _event(message: Message) -> bytes:
    payload = load_object(message.payload)
    try:
        data = b64decode(text_at(payload or {}, "bytes"), validate=True)
    except (binascii.Error, ValueError):
        data = b""
    event = load_object(data)
    if event is None:
        raise MalformedStream("a chunk holds no event")
    name = text_at(event, "type")
    if b"\n" in data or b"\r" in data or not name.isprintable():
        return write_event(event, name if name.isprintable() else None)
    return b"event: %b\ndata: %b\n\n" % (name.encode(), data)


def _exception(message: Message) -> JsonObject:
    name = message.headers.get(":exception-type", "")
    body = load_object(message.payload) or {}
    text = text_at(body, "message") or text_at(body, "originalMessage") or name
    return {"type": _ERRORS.get(name.lower(), "api_error"), "message": text}


def _error(message: Message) -> JsonObject:
    """One that no model of the service has."""
    headers = message.headers
    text = headers.get(":error-message") or headers.get(":error-code") or "an error in mid-stream"
    return {"type": "api_error", "message": text}

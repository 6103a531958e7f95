"""The words of Responses for what every protocol says: finish, usage, errors, seals, media."""

from collections.abc import Mapping

from protocols.model.parts import ErrorKind, FinishReason, Seal, StreamError, Usage
from protocols.model.wirejson import (
    NOT_JSON,
    JsonObject,
    count_at,
    dump,
    encoded,
    load_object,
    object_at,
    objects_at,
    text_at,
)
from protocols.shared.arguments import text_of, value_of
from protocols.shared.signatures import CARRIER, is_carrier

ENCRYPTED = "encrypted"
"""The form of a seal that this protocol makes: the JSON text of a reasoning item, as it is sent back."""

BLANK_LINE = "\n\n"
"""Between the parts of a summary, which are one block."""

INCOMPLETE_REASONS: Mapping[str, FinishReason] = {
    "max_output_tokens": FinishReason.LENGTH,
    "max_messages": FinishReason.LENGTH,
    "content_filter": FinishReason.CONTENT_FILTER,
    "steered": FinishReason.STOP,
}


def incomplete(event: JsonObject) -> JsonObject:
    """The last event of a response that was completed only by its name: there was no room for all of it."""
    response = incomplete_response(object_at(event, "response"))
    return {**event, "type": "response.incomplete", "response": response}


def incomplete_response(response: JsonObject) -> JsonObject:
    why = {"reason": "max_output_tokens"}
    return {**response, "status": "incomplete", "incomplete_details": why}


def is_half(item: JsonObject) -> bool:
    """Whether an item is a call with half of its arguments. Measured: llama.cpp calls a response that ended
    at its limit completed, and such an item too."""
    function = text_at(item, "type") == "function_call"
    return function and value_of(text_of(item.get("arguments"))) is NOT_JSON


_REPLAYED = ("id", "summary", "content", "encrypted_content")


def usage_of(usage: JsonObject) -> Usage:
    """Counts are inclusive on both sides."""
    details = object_at(usage, "input_tokens_details")
    return Usage(
        input=count_at(usage, "input_tokens"),
        output=count_at(usage, "output_tokens"),
        cache_read=count_at(details, "cached_tokens"),
        cache_write=count_at(details, "cache_write_tokens"),
        reasoning=count_at(object_at(usage, "output_tokens_details"), "reasoning_tokens"),
    )


def usage_object(usage: Usage | None) -> JsonObject | None:
    """Clients ask for every count; one that nobody told is 0."""
    if usage is None:
        return None
    read, written = usage.cache_read or 0, usage.cache_write or 0
    return {
        "input_tokens": usage.input or 0,
        "input_tokens_details": {"cached_tokens": read, "cache_write_tokens": written},
        "output_tokens": usage.output or 0,
        "output_tokens_details": {"reasoning_tokens": usage.reasoning or 0},
        "total_tokens": (usage.input or 0) + (usage.output or 0),
    }


# -- reasoning --------------------------------------------------------------------------------------------


def reasoning_text(item: JsonObject) -> str:
    """The summary of a reasoning item and what it shows besides, as one text."""
    shown = [*objects_at(item, "summary"), *objects_at(item, "content")]
    return BLANK_LINE.join(text for piece in shown if (text := text_at(piece, "text")))


def seal_of(item: JsonObject) -> Seal | None:
    """What is to be sent back of a reasoning item; None of one that is not encrypted.

    Its id goes back with it: providers that keep nothing (`store: false`) take the item under its own id.
    """
    encrypted = text_at(item, "encrypted_content")
    if is_carrier(encrypted):
        return Seal(CARRIER, encrypted)
    if not encrypted:
        return None
    replayed = {name: item[name] for name in _REPLAYED if item.get(name) is not None}
    return Seal(ENCRYPTED, dump(replayed).decode())


def encrypted_content(seal: Seal) -> str:
    """What stands in `encrypted_content` of the reasoning item that carries `seal`; empty: nothing does."""
    if seal.form != ENCRYPTED:
        return seal.value
    return text_at(load_object(encoded(seal.value)) or {}, "encrypted_content")


# -- errors -----------------------------------------------------------------------------------------------

_ERRORS: Mapping[str, tuple[str, str]] = {
    ErrorKind.INVALID_REQUEST: ("invalid_request_error", "invalid_request"),
    ErrorKind.AUTHENTICATION: ("invalid_request_error", "invalid_api_key"),
    ErrorKind.PERMISSION: ("invalid_request_error", "permission_denied"),
    ErrorKind.NOT_FOUND: ("invalid_request_error", "not_found"),
    ErrorKind.TOO_LARGE: ("invalid_request_error", "request_too_large"),
    ErrorKind.QUOTA: ("insufficient_quota", "insufficient_quota"),
    ErrorKind.RATE_LIMIT: ("rate_limit_error", "rate_limit_exceeded"),
    ErrorKind.OVERLOADED: ("server_error", "server_is_overloaded"),
}
"""Type and code by kind; any other kind is the server's, and its own code."""

_FIRST_SERVER_STATUS = 500


def error_object(kind: str, message: str, status: int = _FIRST_SERVER_STATUS) -> JsonObject:
    """`status` says whose fault it is where `kind` is a word of nobody's."""
    by_status = "server_error" if status >= _FIRST_SERVER_STATUS else "invalid_request_error"
    type_, code = _ERRORS.get(kind, (by_status, kind))
    return {"message": message, "type": type_, "param": None, "code": code}


def flat_error(event: JsonObject) -> StreamError:
    """The documented form of an `error` event. Measured: SDKs raise on the nested form alone."""
    code = text_at(event, "code")
    return StreamError(code, text_at(event, "message"), code or None, native=False)


def failure(response: JsonObject) -> StreamError:
    """The error of a failed response."""
    error = object_at(response, "error")
    code = text_at(error, "code")
    return StreamError(code, text_at(error, "message"), code or None)


# -- media ------------------------------------------------------------------------------------------------


def image_payload(item: JsonObject) -> JsonObject:
    """What an image generation call resulted in, as the payload of a MEDIA block."""
    media_type = f"image/{text_at(item, 'output_format') or 'png'}"
    return {"media_type": media_type, "data": text_at(item, "result")}

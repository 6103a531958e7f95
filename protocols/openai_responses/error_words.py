"""The words of Responses for how an answer ended, and for its errors."""

from collections.abc import Mapping

from protocols.model.parts import ErrorKind, FinishReason, StreamError
from protocols.model.wirejson import NOT_JSON, JsonObject, object_at, text_at
from protocols.shared import openai_errors
from protocols.shared.arguments import text_of, value_of
from protocols.shared.openai_errors import COMMON_ERRORS

FINISH_REASONS: Mapping[str, FinishReason] = {
    "max_output_tokens": FinishReason.LENGTH,
    "max_messages": FinishReason.LENGTH,
    "content_filter": FinishReason.CONTENT_FILTER,
    "steered": FinishReason.STOP,
}
"""By the reason of a response that is incomplete."""


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


# -- errors -----------------------------------------------------------------------------------------------

_ERRORS: Mapping[str, tuple[str, str]] = {
    **COMMON_ERRORS,
    ErrorKind.PERMISSION: ("invalid_request_error", "permission_denied"),
    ErrorKind.NOT_FOUND: ("invalid_request_error", "not_found"),
    ErrorKind.OVERLOADED: ("server_error", "server_is_overloaded"),
}
"""Type and code by kind; any other kind is the server's, and its own code."""

_FIRST_SERVER_STATUS = 500


def error_object(kind: str, message: str, status: int = _FIRST_SERVER_STATUS) -> JsonObject:
    """`status` says whose fault it is where `kind` is a word of nobody's."""
    by_status = "server_error" if status >= _FIRST_SERVER_STATUS else "invalid_request_error"
    return openai_errors.error_object(_ERRORS, kind, message, by_status)


def flat_error(event: JsonObject) -> StreamError:
    """The documented form of an `error` event. Measured: SDKs raise on the nested form alone."""
    code = text_at(event, "code")
    return StreamError(code, text_at(event, "message"), code or None, native=False, said=event)


def failure(response: JsonObject) -> StreamError:
    """The error of a failed response; ChatGPT has a type for some, and no code."""
    error = object_at(response, "error")
    code = text_at(error, "code")
    return StreamError(code or text_at(error, "type"), text_at(error, "message"), code or None, said=error)

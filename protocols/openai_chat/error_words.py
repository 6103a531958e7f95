"""The words for how an answer ended, and errors as OpenAI writes them: SDKs raise by the HTTP status,
programs look at `type` and `code`."""

from collections.abc import Mapping

from protocols.model.parts import ErrorKind, FinishReason
from protocols.model.wirejson import JsonObject
from protocols.shared import openai_errors
from protocols.shared.openai_errors import COMMON_ERRORS

FINISH_REASONS: Mapping[str, FinishReason] = {
    "stop": FinishReason.STOP,
    "eos": FinishReason.STOP,
    "length": FinishReason.LENGTH,
    "model_length": FinishReason.LENGTH,
    "tool_calls": FinishReason.TOOL_CALLS,
    "function_call": FinishReason.TOOL_CALLS,
    "content_filter": FinishReason.CONTENT_FILTER,
    "error": FinishReason.ERROR,
    "insufficient_system_resource": FinishReason.ERROR,
}
"""`eos` is Together's, `model_length` Mistral's, `error` OpenRouter's, the last DeepSeek's."""

FINISH_WORDS: Mapping[FinishReason, str] = {
    FinishReason.STOP: "stop",
    FinishReason.LENGTH: "length",
    FinishReason.TOOL_CALLS: "tool_calls",
    FinishReason.CONTENT_FILTER: "content_filter",
    FinishReason.PAUSE: "stop",
    FinishReason.ERROR: "error",
}
"""`error` is OpenRouter's, in whole answers; a stream says it as an error, which SDKs raise on. Lost: that
a pause is one, and the stop sequence."""


# -- errors -------------------------------------------------------------------------------------------

_ERRORS: Mapping[str, tuple[str, str]] = {
    **COMMON_ERRORS,
    ErrorKind.PERMISSION: ("permission_error", "permission_denied"),
    ErrorKind.NOT_FOUND: ("invalid_request_error", "model_not_found"),
}
"""Type and code where OpenAI has a word."""

_TYPES: Mapping[int, str] = {
    402: "insufficient_quota",
    403: "permission_error",
    408: "server_error",
    409: "server_error",
    429: "rate_limit_error",
}
"""By status, where the kind says nothing; any other 4xx blames the request, the rest the server."""


def error_object(kind: str, message: str, status: int = 500) -> JsonObject:
    """The value of `error`; `status` says the type of a kind without a word of OpenAI's."""
    return openai_errors.error_object(_ERRORS, kind, message, _type_of(status))


def _type_of(status: int) -> str:
    return _TYPES.get(status, "invalid_request_error" if 400 <= status < 500 else "server_error")

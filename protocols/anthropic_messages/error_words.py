"""The protocol's own words: why a message stopped, and what kind of error one is; both ways."""

from collections.abc import Mapping

from protocols.model.parts import ErrorKind, FinishReason
from protocols.model.wirejson import JsonObject

FINISH_REASONS: Mapping[str, FinishReason] = {
    "end_turn": FinishReason.STOP,
    "stop_sequence": FinishReason.STOP,
    "max_tokens": FinishReason.LENGTH,
    "model_context_window_exceeded": FinishReason.LENGTH,
    "tool_use": FinishReason.TOOL_CALLS,
    "pause_turn": FinishReason.PAUSE,
    "compaction": FinishReason.PAUSE,
    "refusal": FinishReason.CONTENT_FILTER,
}
FINISH_WORDS: Mapping[FinishReason, str] = {
    FinishReason.STOP: "end_turn",
    FinishReason.LENGTH: "max_tokens",
    FinishReason.TOOL_CALLS: "tool_use",
    FinishReason.CONTENT_FILTER: "refusal",
    FinishReason.PAUSE: "pause_turn",
    FinishReason.OTHER: "end_turn",
}
"""What is written for each reason. An error is none of them: it is an error event."""

_BY_KIND: Mapping[str, str] = {
    ErrorKind.INVALID_REQUEST: "invalid_request_error",
    ErrorKind.AUTHENTICATION: "authentication_error",
    ErrorKind.PERMISSION: "permission_error",
    ErrorKind.NOT_FOUND: "not_found_error",
    ErrorKind.TOO_LARGE: "request_too_large",
    ErrorKind.QUOTA: "billing_error",
    ErrorKind.RATE_LIMIT: "rate_limit_error",
    ErrorKind.TIMEOUT: "timeout_error",
    ErrorKind.OVERLOADED: "overloaded_error",
    ErrorKind.SERVER: "api_error",
}
_BY_STATUS: Mapping[int, str] = {
    400: "invalid_request_error",
    401: "authentication_error",
    402: "billing_error",
    403: "permission_error",
    404: "not_found_error",
    413: "request_too_large",
    422: "invalid_request_error",
    429: "rate_limit_error",
    504: "timeout_error",
    529: "overloaded_error",
}
_SAYS_NOTHING = "upstream_error"


def error_object(kind: str, message: str, status: int | None = None) -> JsonObject:
    """An error as the provider writes it: its type is that of `kind`, else `kind` itself where it is the
    provider's own word (it ends in `_error`), else that of the status, else `api_error`."""
    return {"type": "error", "error": {"type": _error_type(kind, status), "message": message}}


def _error_type(kind: str, status: int | None) -> str:
    if kind in _BY_KIND:
        return _BY_KIND[kind]
    if kind.endswith("_error") and kind != _SAYS_NOTHING:
        return kind
    return _BY_STATUS.get(status or 0, "api_error")

"""Errors as OpenAI writes them: SDKs raise by the HTTP status, programs look at `type` and `code`."""

from collections.abc import Mapping

from protocols.model.parts import ErrorKind
from protocols.model.wirejson import JsonObject

_WORDS: Mapping[str, tuple[str, str]] = {
    ErrorKind.INVALID_REQUEST: ("invalid_request_error", "invalid_request"),
    ErrorKind.AUTHENTICATION: ("invalid_request_error", "invalid_api_key"),
    ErrorKind.PERMISSION: ("permission_error", "permission_denied"),
    ErrorKind.NOT_FOUND: ("invalid_request_error", "model_not_found"),
    ErrorKind.TOO_LARGE: ("invalid_request_error", "request_too_large"),
    ErrorKind.QUOTA: ("insufficient_quota", "insufficient_quota"),
    ErrorKind.RATE_LIMIT: ("rate_limit_error", "rate_limit_exceeded"),
}
"""Type and code where OpenAI has a word; a key that it does not know is an invalid request of code
`invalid_api_key`, and an empty account differs from a rate limit by type and code alone (both are 429)."""

_TYPES: Mapping[int, str] = {
    402: "insufficient_quota",
    403: "permission_error",
    408: "server_error",
    409: "server_error",
    429: "rate_limit_error",
}
"""By status, where the kind says nothing; any other 4xx blames the request, the rest the server."""


def error_object(kind: str, message: str, status: int = 500) -> JsonObject:
    """The value of `error`; a kind without a word of OpenAI's is its own code."""
    kind_of_error, code = _WORDS.get(kind, (_type_of(status), kind))
    return {"message": message, "type": kind_of_error, "param": None, "code": code}


def _type_of(status: int) -> str:
    return _TYPES.get(status, "invalid_request_error" if 400 <= status < 500 else "server_error")

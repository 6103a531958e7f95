"""Errors as OpenAI writes them, in Chat and in Responses."""

from collections.abc import Mapping

from protocols.model.parts import ErrorKind
from protocols.model.wirejson import JsonObject

COMMON_ERRORS: Mapping[str, tuple[str, str]] = {
    ErrorKind.INVALID_REQUEST: ("invalid_request_error", "invalid_request"),
    ErrorKind.AUTHENTICATION: ("invalid_request_error", "invalid_api_key"),
    ErrorKind.TOO_LARGE: ("invalid_request_error", "request_too_large"),
    ErrorKind.QUOTA: ("insufficient_quota", "insufficient_quota"),
    ErrorKind.RATE_LIMIT: ("rate_limit_error", "rate_limit_exceeded"),
}
"""Type and code by kind, as both protocols write them. An unknown key is an invalid request of
code `invalid_api_key`; an empty account differs from a rate limit by type and code alone (both are 429)."""


def error_object(
    errors: Mapping[str, tuple[str, str]], kind: str, message: str, usual_type: str
) -> JsonObject:
    """The value of `error`. A kind that is not in `errors` has the type `usual_type`, and is its own code."""
    error_type, code = errors.get(kind, (usual_type, kind))
    return {"message": message, "type": error_type, "param": None, "code": code}

"""The words of the protocol for how an answer ended, and for its errors; both ways."""

from collections.abc import Mapping

from protocols.model.errors import Fault
from protocols.model.parts import ErrorKind, FinishReason, StreamError
from protocols.model.wirejson import JsonObject, objects_at, text_at

FINISH_REASONS: Mapping[str, FinishReason] = {
    "STOP": FinishReason.STOP,
    "MAX_TOKENS": FinishReason.LENGTH,
    "SAFETY": FinishReason.CONTENT_FILTER,
    "RECITATION": FinishReason.CONTENT_FILTER,
    "BLOCKLIST": FinishReason.CONTENT_FILTER,
    "PROHIBITED_CONTENT": FinishReason.CONTENT_FILTER,
    "SPII": FinishReason.CONTENT_FILTER,
    "IMAGE_SAFETY": FinishReason.CONTENT_FILTER,
    "IMAGE_PROHIBITED_CONTENT": FinishReason.CONTENT_FILTER,
    "IMAGE_RECITATION": FinishReason.CONTENT_FILTER,
    "MODEL_ARMOR": FinishReason.CONTENT_FILTER,
    "CONTINUATION": FinishReason.PAUSE,
    "LANGUAGE": FinishReason.ERROR,
    "OTHER": FinishReason.ERROR,
    "IMAGE_OTHER": FinishReason.ERROR,
    "NO_IMAGE": FinishReason.ERROR,
    "MALFORMED_FUNCTION_CALL": FinishReason.ERROR,
    "UNEXPECTED_TOOL_CALL": FinishReason.ERROR,
    "TOO_MANY_TOOL_CALLS": FinishReason.ERROR,
    "MISSING_THOUGHT_SIGNATURE": FinishReason.ERROR,
    "MALFORMED_RESPONSE": FinishReason.ERROR,
    "ESCALATION": FinishReason.ERROR,
    "PUP_LIMITED_DISABLED": FinishReason.ERROR,
}
"""`STOP` is also how a candidate with function calls ends."""

FINISH_WORDS: Mapping[FinishReason, str] = {
    FinishReason.STOP: "STOP",
    FinishReason.LENGTH: "MAX_TOKENS",
    FinishReason.TOOL_CALLS: "STOP",
    FinishReason.CONTENT_FILTER: "SAFETY",
    FinishReason.PAUSE: "STOP",
    FinishReason.ERROR: "OTHER",
    FinishReason.OTHER: "STOP",
}
"""Loss: that a provider only paused is written as its end. A word that nobody knows is an end too: clients
take "OTHER" for a failure."""

_STATUSES: Mapping[str, tuple[int, str]] = {
    "invalid_request": (400, "INVALID_ARGUMENT"),
    "too_large": (400, "INVALID_ARGUMENT"),
    "authentication": (401, "UNAUTHENTICATED"),
    "permission": (403, "PERMISSION_DENIED"),
    "not_found": (404, "NOT_FOUND"),
    "insufficient_quota": (429, "RESOURCE_EXHAUSTED"),
    "rate_limit_exceeded": (429, "RESOURCE_EXHAUSTED"),
    "server_error": (500, "INTERNAL"),
    "upstream_error": (500, "INTERNAL"),
    "proxy_fault": (500, "INTERNAL"),
    "upstream_cut": (502, "UNAVAILABLE"),
    "unreachable": (502, "UNAVAILABLE"),
    "overloaded": (503, "UNAVAILABLE"),
    "timeout": (504, "DEADLINE_EXCEEDED"),
}
"""Of an error's kind, the HTTP status and the name of google.rpc.Code: SDKs raise by the number."""

_NAMES: Mapping[int, str] = dict(_STATUSES.values()) | {
    409: "ABORTED",
    499: "CANCELLED",
}


def fault_object(fault: Fault) -> JsonObject:
    """Measured: gemini-cli waits as `google.rpc.RetryInfo` says, and reads no header. It asks no more only
    where the quota that is used up is one of a day."""
    name = _STATUSES.get(fault.kind, (0, ""))[1] or _name_of(fault.status)
    error: dict[str, object] = {"code": fault.status, "message": fault.message, "status": name}
    if fault.kind == ErrorKind.QUOTA and not fault.should_retry:
        violation = {"quotaId": "RequestsPerDay", "description": fault.message}
        kind = "type.googleapis.com/google.rpc.QuotaFailure"
        error["details"] = [{"@type": kind, "violations": [violation]}]
    elif fault.retry_after is not None:
        kind = "type.googleapis.com/google.rpc.RetryInfo"
        error["details"] = [{"@type": kind, "retryDelay": f"{fault.retry_after:g}s"}]
    return {"error": error}


def _name_of(status: int) -> str:
    return _NAMES.get(status, "INVALID_ARGUMENT" if 400 <= status < 500 else "INTERNAL")


def error_object(part: StreamError) -> JsonObject:
    """A type in capitals is the provider's own word."""
    code, name = _STATUSES.get(part.type, (part.status or 500, ""))
    own = part.type if part.type.isupper() else _name_of(code)
    return {"error": {"code": code, "message": part.message, "status": name or own}}


def error_code(error: JsonObject) -> str | None:
    """The reason that `google.rpc.ErrorInfo` gives: a bad key is a 400 that only this sets apart."""
    return next(
        (reason for each in objects_at(error, "details") if (reason := text_at(each, "reason"))), None
    )

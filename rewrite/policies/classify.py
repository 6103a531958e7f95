"""What a rejection blames: the HTTP status first, then what the body says of key, account or binding."""

import re
from collections.abc import Mapping
from dataclasses import replace

from protocols.model.http import WireResponse
from protocols.model.parts import StreamError
from protocols.model.wirejson import JsonObject, load_first, object_at, objects_at, stream_error, text_at
from rewrite.policies.retry_after import retry_after
from rewrite.values.outcome import ErrorFacts, Kind, Rejected

STATUS_KINDS: Mapping[int, Kind] = {
    400: Kind.REQUEST,
    401: Kind.AUTH,
    402: Kind.QUOTA,
    403: Kind.FORBIDDEN,
    404: Kind.REQUEST,
    405: Kind.REQUEST,
    408: Kind.SERVER,
    409: Kind.SERVER,
    413: Kind.REQUEST,
    422: Kind.REQUEST,
    425: Kind.SERVER,
    429: Kind.RATE,
}
_BLAME_KEY_OR_ACCOUNT = frozenset({Kind.AUTH, Kind.QUOTA})
_REQUEST_TYPES = frozenset({"invalid_request_error", "not_found_error", "request_too_large"})
LONGEST_MESSAGE = 300
"""Characters of a message that are kept."""
_LONGEST_CODE = 100
_QUOTED = re.compile(r""""[^"]*"|(?<=[\s:(])'[^']*'""")
"""What a message quotes is the client's: its words blame nobody."""

_IN_BAND_STATUS: Mapping[Kind, int] = {
    Kind.REQUEST: 400,
    Kind.AUTH: 401,
    Kind.QUOTA: 402,
    Kind.FORBIDDEN: 403,
    Kind.RATE: 429,
    Kind.BINDING: 400,
    Kind.MODEL: 404,
}


def by_status(status: int) -> Kind:
    """The kind of a status alone: unlisted 5xx are the server's fault, anything else the request's."""
    return STATUS_KINDS.get(status, Kind.SERVER if status >= 500 else Kind.REQUEST)


def rejection(answer: WireResponse, facts: ErrorFacts, now: float) -> Rejected:
    """Classify an HTTP answer with an error status; `now` is epoch seconds, for dates in Retry-After."""
    body = load_first(answer.body) or {}
    error = _error_of(body)
    kind = by_status(answer.status)
    blamed = _blamed(error, facts)
    if blamed in _BLAME_KEY_OR_ACCOUNT or (blamed is Kind.BINDING and kind is Kind.REQUEST):
        kind = blamed
    elif answer.status == 404 and (blamed is Kind.MODEL or (blamed is None and _names_a_model(error))):
        kind = Kind.MODEL
    wait = retry_after(answer.headers, body, now, windows=kind is Kind.RATE)
    return Rejected(answer.status, kind, error.message[:LONGEST_MESSAGE], wait, answer)


def in_band(error: StreamError, facts: ErrorFacts, answer: WireResponse | None = None) -> Rejected:
    """Classify an error inside a stream by its own words; the server's fault where they say nothing."""
    kind = _blamed(error, facts) or _by_type(error)
    status = error.status or _IN_BAND_STATUS.get(kind, 500)
    return Rejected(status, kind, error.message[:LONGEST_MESSAGE], None, answer)


def code_of(answer: WireResponse) -> str:
    """The word for an error that the body of `answer` has; empty where it has none."""
    error = _error_of(load_first(answer.body) or {})
    return (error.code or error.type)[:_LONGEST_CODE]


def _by_type(error: StreamError) -> Kind:
    """By the status that the error names, else by the types that blame the request when nothing else does."""
    if error.status:
        return by_status(error.status)
    return Kind.REQUEST if error.type in _REQUEST_TYPES else Kind.SERVER


def _error_of(body: JsonObject) -> StreamError:
    """OpenAI, Anthropic and Gemini nest the error; Ollama's is a string; some answer flat.

    Gemini gives the reason of a 400 in the details, and answers a stream of its own with an array.
    """
    nested = object_at(body, "error")
    error = stream_error(nested or body.get("error") or body)
    reason = next((text_at(detail, "reason") for detail in objects_at(nested, "details")), "")
    return replace(error, code=error.code or reason or None)


def _names_a_model(error: StreamError) -> bool:
    """What is not found is the model, and no path or file."""
    return "model" in _unquoted(error.message)


def _blamed(error: StreamError, facts: ErrorFacts) -> Kind | None:
    words = (facts.codes.get(word.lower()) for word in (error.code, error.type) if word)
    message = _unquoted(error.message)
    phrases = (kind for phrase, kind in facts.phrases if phrase in message)
    return next((kind for kind in (*words, *phrases) if kind), None)


def _unquoted(message: str) -> str:
    return " ".join(_QUOTED.sub("", message).lower().split())

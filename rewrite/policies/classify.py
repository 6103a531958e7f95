"""What a rejection blames: the HTTP status first, then what the body says of key, account or binding."""

import re
from collections.abc import Mapping
from dataclasses import replace

from protocols.model.http import WireResponse
from protocols.model.parts import StreamError
from protocols.model.wirejson import JsonObject, load_first, object_at, objects_at, stream_error, text_at
from rewrite.policies.retry_after import retry_after
from rewrite.values.decision import QUOTAS
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
_OVERRULES: Mapping[Kind, frozenset[Kind]] = {
    Kind.AUTH: frozenset(Kind),
    Kind.QUOTA: frozenset(Kind),
    Kind.MODEL_QUOTA: frozenset({Kind.RATE, Kind.QUOTA, Kind.FORBIDDEN}),
    Kind.TOO_LARGE: frozenset({Kind.RATE, Kind.QUOTA}),
    Kind.RATE: frozenset({Kind.FORBIDDEN}),
    Kind.SERVER: frozenset({Kind.RATE}),
    Kind.BINDING: frozenset({Kind.REQUEST}),
}
"""Of what a body blames, which kinds of a status it is stronger than. No other word of a body changes what a
status says: clients can make providers say many."""
_SPECIFIC = frozenset({Kind.MODEL_QUOTA, Kind.TOO_LARGE})
"""What a message alone says; code and type are those of any rate limit."""
_REQUEST_TYPES = frozenset({"invalid_request_error", "not_found_error", "request_too_large"})
LONGEST_MESSAGE = 300
"""Characters of a message that are kept."""
_LONGEST_CODE = 100
_STATUS = re.compile("[45][0-9]{2}")
_QUOTED = re.compile(r""""[^"]*"|(?<=[\s:(])'[^']*'""")
"""What a message quotes is the client's: its words blame nobody."""

_IN_BAND_STATUS: Mapping[Kind, int] = {
    Kind.REQUEST: 400,
    Kind.AUTH: 401,
    Kind.QUOTA: 402,
    Kind.MODEL_QUOTA: 429,
    Kind.TOO_LARGE: 429,
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
    error, kind = _error_of(body), by_status(answer.status)
    by_id = _by_quota_id(object_at(body, "error"), facts)
    blamed = _by_header(answer, facts) or by_id or _blamed(error, facts)
    if blamed is not None and kind in _OVERRULES.get(blamed, ()):
        kind = blamed
    elif answer.status == 404 and (blamed is Kind.MODEL or (blamed is None and _names_a_model(error))):
        kind = Kind.MODEL
    wait = retry_after(
        answer.headers,
        body,
        now,
        windows=kind is Kind.RATE,
        retry_info=by_id is not kind,  # measured: RetryInfo is of seconds, also where a day is used up
        longest=kind in QUOTAS,
    )
    return Rejected(answer.status, kind, error.message[:LONGEST_MESSAGE], wait, answer)


def in_band(
    error: StreamError, facts: ErrorFacts, now: float, answer: WireResponse | None = None
) -> Rejected:
    """Classify an error inside a stream by its own words; the server's fault where they say nothing. `now` is
    epoch seconds, for the moments that it names."""
    own = _error_of({"error": error.said}) if error.said else error
    status = error.status or own.status or _as_status(own.code)
    kind = _blamed(own, facts) or (by_status(status) if status else None)
    kind = kind or _blamed(error, facts) or _by_type(error)
    by_id = _by_quota_id(error.said, facts)
    kind = by_id if by_id is not None and kind in _OVERRULES.get(by_id, ()) else kind
    status = status or _IN_BAND_STATUS.get(kind, 500)
    said = error.said or {"message": error.message}
    wait = retry_after((), said, now, retry_info=by_id is not kind, longest=kind in QUOTAS)
    return Rejected(status, kind, error.message[:LONGEST_MESSAGE], wait, answer)


def code_of(answer: WireResponse) -> str:
    """The word for an error that the body of `answer` has; empty where it has none."""
    error = _error_of(load_first(answer.body) or {})
    return (error.code or error.type)[:_LONGEST_CODE]


def _as_status(code: str | None) -> int | None:
    """Some write the status as a text."""
    return int(code) if code is not None and _STATUS.fullmatch(code) else None


def _by_type(error: StreamError) -> Kind:
    """By the types that blame the request when nothing else does."""
    return Kind.REQUEST if error.type in _REQUEST_TYPES else Kind.SERVER


def _error_of(body: JsonObject) -> StreamError:
    """OpenAI, Anthropic and Gemini nest the error; Ollama's is a string; some answer flat.

    Gemini gives the reason of a 400 in the details, and answers a stream of its own with an array.
    """
    nested = object_at(body, "error")
    error = stream_error(nested or body.get("error") or body)
    reason = next((text_at(detail, "reason") for detail in objects_at(nested, "details")), "")
    return replace(error, code=error.code or reason or None)


def _by_header(answer: WireResponse, facts: ErrorFacts) -> Kind | None:
    """What the head of a 429 says; providers send such headers with every answer."""
    if answer.status != 429 or not facts.headers:
        return None
    sent = {(name.lower(), value.lower()) for name, value in answer.headers}
    return next((kind for name, value, kind in facts.headers if (name, value) in sent), None)


def _by_quota_id(error: JsonObject, facts: ErrorFacts) -> Kind | None:
    """What the ids of the quotas say that google.rpc.QuotaFailure names."""
    if not facts.quotas:
        return None
    details = objects_at(error, "details")
    ids = [text_at(one, "quotaId").lower() for each in details for one in objects_at(each, "violations")]
    return next((kind for part, kind in facts.quotas if any(part in one for one in ids)), None)


def _names_a_model(error: StreamError) -> bool:
    """What is not found is the model, and no path or file."""
    return "model" in _unquoted(error.message)


def _blamed(error: StreamError, facts: ErrorFacts) -> Kind | None:
    words = (facts.codes.get(word.lower()) for word in (error.code, error.type) if word)
    message = _unquoted(error.message)
    phrases = [kind for phrase, kind in facts.phrases if phrase in message]
    specific = (kind for kind in phrases if kind in _SPECIFIC)
    return next((kind for kind in (*specific, *words, *phrases) if kind), None)


def _unquoted(message: str) -> str:
    return " ".join(_QUOTED.sub("", message).lower().split())

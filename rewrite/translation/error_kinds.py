"""What an error of one protocol is called in all of them."""

from collections.abc import Mapping
from dataclasses import replace

from protocols.base import WireProtocol
from protocols.model.call import Call
from protocols.model.http import Head, WireResponse
from protocols.model.parts import ErrorKind, StreamError
from protocols.model.progress import Progress

_BY_STATUS: Mapping[int, ErrorKind] = {
    401: ErrorKind.AUTHENTICATION,
    402: ErrorKind.QUOTA,
    403: ErrorKind.PERMISSION,
    404: ErrorKind.NOT_FOUND,
    408: ErrorKind.TIMEOUT,
    413: ErrorKind.TOO_LARGE,
    429: ErrorKind.RATE_LIMIT,
    503: ErrorKind.OVERLOADED,
    504: ErrorKind.TIMEOUT,
    529: ErrorKind.OVERLOADED,
}
_BY_WORD: Mapping[str, ErrorKind] = {
    **{kind.value: kind for kind in ErrorKind},
    "invalid_request_error": ErrorKind.INVALID_REQUEST,
    "invalid_prompt": ErrorKind.INVALID_REQUEST,
    "context_length_exceeded": ErrorKind.INVALID_REQUEST,
    "invalid_argument": ErrorKind.INVALID_REQUEST,
    "failed_precondition": ErrorKind.INVALID_REQUEST,
    "authentication_error": ErrorKind.AUTHENTICATION,
    "invalid_api_key": ErrorKind.AUTHENTICATION,
    "unauthenticated": ErrorKind.AUTHENTICATION,
    "permission_error": ErrorKind.PERMISSION,
    "permission_denied": ErrorKind.PERMISSION,
    "not_found_error": ErrorKind.NOT_FOUND,
    "model_not_found": ErrorKind.NOT_FOUND,
    "request_too_large": ErrorKind.TOO_LARGE,
    "billing_error": ErrorKind.QUOTA,
    "billing_hard_limit_reached": ErrorKind.QUOTA,
    "rate_limit_error": ErrorKind.RATE_LIMIT,
    "resource_exhausted": ErrorKind.RATE_LIMIT,
    "timeout_error": ErrorKind.TIMEOUT,
    "deadline_exceeded": ErrorKind.TIMEOUT,
    "overloaded_error": ErrorKind.OVERLOADED,
    "unavailable": ErrorKind.OVERLOADED,
    "api_error": ErrorKind.SERVER,
    "internal": ErrorKind.SERVER,
}
"""The words of OpenAI, Anthropic and Gemini, in small letters."""


def kind_of(error: StreamError, status: int | None = None) -> str:
    """The kind by the words of `error`, then by the HTTP status; our own words stay as they are."""
    words = (word.lower() for word in (error.code, error.type) if word)
    named = next((_BY_WORD[word] for word in words if word in _BY_WORD), None)
    if named is not None:
        return named.value
    if status is not None and status >= 400:
        return _by_status(status).value
    return error.type if error.type.startswith("upstream_") else ErrorKind.SERVER.value


def message_of(error: StreamError) -> str:
    """What an error says; of one without a message, what it is called."""
    name = error.type or error.code or error.status
    return error.message or "the provider reported an error without a message" + (f": {name}" if name else "")


def for_client(error: StreamError) -> StreamError:
    """An error of a provider in words that a client of any protocol knows."""
    kind, message = kind_of(error, error.status), message_of(error)
    return replace(error, type=kind, message=message, code=None, native=True)


def _by_status(status: int) -> ErrorKind:
    """Of those that stand for themselves; else a 4xx is the request's fault and a 5xx the server's."""
    return _BY_STATUS.get(status, ErrorKind.INVALID_REQUEST if status < 500 else ErrorKind.SERVER)


def error_of(protocol: WireProtocol, call: Call, answer: WireResponse) -> StreamError:
    """What an answer with an error status says, read in its protocol; its status in words where nothing."""
    decoder = protocol.decoder(call, Head(answer.status, (("content-type", "application/json"),)))
    progress = Progress()
    for segment in [*decoder.feed(answer.body), *decoder.eof()]:
        progress.fold(decoder.read(segment))
    if progress.error and progress.error.message:
        return progress.error
    return StreamError("", f"the provider answered with status {answer.status}")

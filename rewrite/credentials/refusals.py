"""A credential that its provider refused: what was said, and what a later call is answered with meanwhile."""

from collections.abc import Mapping
from dataclasses import replace

from protocols.model.errors import Fault
from protocols.model.http import Headers, WireResponse
from protocols.model.parts import ErrorKind
from protocols.model.wirejson import dump, load_object, object_at
from rewrite.policies.classify import code_of
from rewrite.policies.retry_after import LONGEST_RETRY_AFTER
from rewrite.values.key_refusal import KeyRefusal, StandingRefusal
from rewrite.values.outcome import Kind, Rejected

LONGEST_ANSWER = 16_384
"""Bytes of a body that are kept; of a longer answer the message alone is."""

_MESSAGES = ("error", "message", "detail")
"""Where an error that is not nested has its message."""

_KEPT_HEADERS = frozenset({"content-type", "www-authenticate", "x-request-id", "request-id"})

_FAULTS: Mapping[Kind, ErrorKind] = {
    Kind.AUTH: ErrorKind.AUTHENTICATION,
    Kind.QUOTA: ErrorKind.QUOTA,
    Kind.MODEL_QUOTA: ErrorKind.QUOTA,
    Kind.FORBIDDEN: ErrorKind.PERMISSION,
    Kind.MODEL: ErrorKind.NOT_FOUND,
}


def key_refusal(outcome: Rejected, credential: str, protocol: str, now: float, until: float) -> KeyRefusal:
    """`outcome` of `credential` as it is kept."""
    answer = outcome.answer
    kept = replace(answer, headers=_kept(answer.headers)) if answer and _fits_any_call(answer) else None
    code = code_of(answer) if answer is not None else ""
    return KeyRefusal(
        credential, outcome.status, outcome.kind, outcome.message, code, now, until, protocol, kept
    )


def _fits_any_call(answer: WireResponse) -> bool:
    """Not a stream that an error came in, nor the array that some streams are, nor what is too long."""
    whole = answer.status >= 400 and not answer.body.lstrip().startswith(b"[")
    return whole and len(answer.body) <= LONGEST_ANSWER


def _kept(headers: Headers) -> Headers:
    return tuple(pair for pair in headers if pair[0].lower() in _KEPT_HEADERS)


def answer_of(refused: StandingRefusal, protocol: str) -> WireResponse | Fault:
    """What a client of `protocol` gets while every credential is refused: the provider's status and message,
    and with them which key that is and when it is tried again."""
    said, wait, note = refused.refusal, refused.wait, refused.note
    soon = wait <= LONGEST_RETRY_AFTER
    if said.answer is None or said.protocol != protocol:
        message = f"{said.message} ({note})" if said.message else note
        return Fault(said.status, _FAULTS[said.kind], message, wait if soon else None, should_retry=soon)
    again = ("retry-after", str(max(1, round(wait)))) if soon else ("x-should-retry", "false")
    body = _noted(said.answer.body, note)
    return replace(said.answer, headers=(*said.answer.headers, again), body=body)


def _noted(body: bytes, note: str) -> bytes:
    """`body` with `note` after its message; as it is where it has none that is known."""
    whole = load_object(body) or {}
    error = object_at(whole, "error")
    if isinstance(error.get("message"), str):
        whole = {**whole, "error": {**error, "message": f"{error['message']} ({note})"}}
    elif name := next((name for name in _MESSAGES if isinstance(whole.get(name), str)), None):
        whole = {**whole, name: f"{whole[name]} ({note})"}
    else:
        return body
    return dump(whole)

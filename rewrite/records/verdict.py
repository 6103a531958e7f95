"""What came of a call, in one word that the log, the comment, the usage and the page share."""

from enum import StrEnum

from rewrite.values.events import Summary
from rewrite.values.outcome import Kind, Rejected


class Verdict(StrEnum):
    OK = "ok"
    """The first attempt answered."""
    RETRIED = "retried"
    """A later attempt with the same credential answered."""
    SPARE = "spare"
    """Another credential answered."""
    FALLBACK = "fallback"
    """Another target answered."""
    CONTINUED = "continued"
    """A cut answer was continued to its end."""
    TRUNCATED = "truncated"
    """A cut answer ended with the protocol's "length"."""
    FAILED = "failed"
    """The client got an error after an answer had begun, or since nobody answered, or a server's own."""
    REFUSED = "refused"
    """The client got the provider's refusal, or one of ours: no provider could be asked."""
    LEFT = "left"
    """The client left before the end, or the user killed the flow."""

    __hash__ = str.__hash__
    """That of an Enum is a call, and each call that is over looks up a few."""


_ENDS = {
    "truncated": Verdict.TRUNCATED,
    "failed": Verdict.FAILED,
    "error": Verdict.FAILED,
    "refused": Verdict.REFUSED,
    "abandoned": Verdict.LEFT,
    "killed": Verdict.LEFT,
}
"""By `Summary.end`, where that says it."""

_SERVERS = frozenset({Kind.SERVER, Kind.FOREIGN})
"""Rejections that say nothing about the request or the key."""


def verdict_of(summary: Summary) -> Verdict:
    """What came of a call that is over."""
    if found := _ENDS.get(summary.end):
        return found
    return _answered(summary) if summary.end == "completed" else _rejected(summary)


def _answered(summary: Summary) -> Verdict:
    if summary.continued:
        return Verdict.CONTINUED
    if summary.target:
        return Verdict.FALLBACK
    if len(summary.attempts) < 2:
        return Verdict.OK
    first, last = summary.attempts[0], summary.attempts[-1]
    return Verdict.RETRIED if first.credential == last.credential else Verdict.SPARE


def _rejected(summary: Summary) -> Verdict:
    """Of an error that the client got in place of an answer."""
    if not summary.attempts:
        return Verdict.REFUSED
    last = summary.attempts[-1].outcome
    is_refusal = isinstance(last, Rejected) and last.kind not in _SERVERS
    return Verdict.REFUSED if is_refusal else Verdict.FAILED

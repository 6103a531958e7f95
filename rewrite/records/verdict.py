"""What came of a call, in one word that the log, the comment, the usage and the page share."""

from enum import StrEnum


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
    """The client got an error after an answer had begun, or since nobody answered."""
    REFUSED = "refused"
    """The client got the provider's refusal, or one of ours: no provider could be asked."""
    LEFT = "left"
    """The client left before the end, or the user killed the flow."""

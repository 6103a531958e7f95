"""How an attempt ended: every way in which a provider can answer or fail to, as one of six values."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from enum import StrEnum

from protocols.model.http import WireResponse
from rewrite.values.timer import Timer


class Kind(StrEnum):
    """What a rejection blames."""

    REQUEST = "request"
    AUTH = "auth"
    QUOTA = "quota"
    FORBIDDEN = "forbidden"
    SERVER = "server"
    RATE = "rate"
    FOREIGN = "foreign"
    """A whole answer with a status of success that is none of its protocol: a page, other JSON, nothing."""
    MODEL = "model"
    """A 404 that says that the model is unknown: it may be so to one key alone."""
    BINDING = "binding"
    """A 400 over a signature, encrypted content, file or response id: bound to another credential."""


@dataclass(frozen=True, slots=True)
class Completed:
    pass


@dataclass(frozen=True, slots=True)
class Rejected:
    """The provider said no: over HTTP (`answer` is what it said) or inside the stream (`answer` None)."""

    status: int
    kind: Kind
    message: str = ""
    retry_after: float | None = None
    answer: WireResponse | None = None


@dataclass(frozen=True, slots=True)
class Stalled:
    """A silence, or an answer that came too slowly."""

    timer: Timer
    """Which one ended the attempt."""
    waited: float
    """Seconds."""


@dataclass(frozen=True, slots=True)
class Truncated:
    """The answer ended without a proper end; `cause` in words."""

    cause: str


@dataclass(frozen=True, slots=True)
class Unreachable:
    """No answer began: DNS, connect, TLS, or a reset before the headers.

    `sent`: the request had been, so that the provider may be at work on it. `connected` False: nothing of it
    was, so that another attempt costs nothing. `lasting`: nor could any be until a person acts.
    """

    cause: str
    sent: bool = False
    connected: bool = True
    lasting: bool = False


@dataclass(frozen=True, slots=True)
class Abandoned:
    """The client left, or we failed: says nothing about the credential."""


type Outcome = Completed | Rejected | Stalled | Truncated | Unreachable | Abandoned


def describe(outcome: Outcome) -> str:
    """One word or two for a log line."""
    match outcome:
        case Completed():
            return "completed"
        case Rejected(status=status, kind=kind):
            return f"rejected({status} {kind})"
        case Stalled(timer=timer, waited=waited):
            return f"stalled({timer} {waited:.1f}s)"
        case Truncated(cause=cause):
            return f"truncated({cause})"
        case Unreachable(cause=cause):
            return f"unreachable({cause})"
        case Abandoned():
            return "abandoned"


def never_connected(outcome: Outcome) -> bool:
    """Whether nothing was sent, so that another attempt costs nothing."""
    return isinstance(outcome, Unreachable) and not outcome.connected


def is_lasting(outcome: Outcome) -> bool:
    """Whether another attempt is in vain until a person acts."""
    return isinstance(outcome, Unreachable) and outcome.lasting


def is_away(outcome: Outcome) -> bool:
    """Whether nothing was sent, and the next attempt may get through."""
    return never_connected(outcome) and not is_lasting(outcome)


@dataclass(frozen=True, slots=True)
class ErrorFacts:
    """What a provider's error words mean: `words` by error type or code, `phrases` found in messages."""

    words: Mapping[str, Kind] = field(default_factory=dict)
    phrases: Sequence[tuple[str, Kind]] = ()

    def merged(self, other: "ErrorFacts") -> "ErrorFacts":
        return ErrorFacts({**self.words, **other.words}, (*other.phrases, *self.phrases))

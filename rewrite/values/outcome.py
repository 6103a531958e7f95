"""How an attempt ended: every way in which a provider can answer or fail to, as one of six values."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from enum import StrEnum
from typing import ClassVar

from protocols.model.http import WireResponse
from rewrite.values.timer import Timer


class Kind(StrEnum):
    """What a rejection blames."""

    REQUEST = "request"
    AUTH = "auth"
    QUOTA = "quota"
    """What the account may use is used up."""
    MODEL_QUOTA = "model_quota"
    """What the account may use of this model is used up."""
    TOO_LARGE = "too_large"
    """This one call is more than the credential may use at once: a smaller one would be served."""
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
    """The provider answered, and the answer has its proper end."""

    label: ClassVar[str] = "completed"


@dataclass(frozen=True, slots=True)
class Rejected:
    """The provider said no: over HTTP or inside the stream."""

    status: int
    """The status over HTTP; for an error inside a stream the one that its words come to."""
    kind: Kind
    message: str = ""
    """The provider's own."""
    retry_after: float | None = None
    """Seconds until the provider may be asked again, None if it does not say."""
    answer: WireResponse | None = None
    """What the provider answered, for the client; None where it is no answer of its own."""

    @property
    def label(self) -> str:
        return f"rejected({self.status} {self.kind})"


@dataclass(frozen=True, slots=True)
class Stalled:
    """A silence, or an answer that came too slowly."""

    timer: Timer
    """Which one ended the attempt."""
    waited: float
    """Seconds."""

    @property
    def label(self) -> str:
        return f"stalled({self.timer} {self.waited:.1f}s)"


@dataclass(frozen=True, slots=True)
class Truncated:
    """The answer ended without a proper end."""

    cause: str
    """A message."""

    @property
    def label(self) -> str:
        return f"truncated({self.cause})"


@dataclass(frozen=True, slots=True)
class Unreachable:
    """No answer began: DNS, connect, TLS, or a reset before the headers."""

    cause: str
    """A message."""
    sent: bool = False
    """The request had left, so that the provider may be at work on it."""
    connected: bool = True
    """False: nothing had left, so that another attempt costs nothing."""
    lasting: bool = False
    """No attempt can connect until a person acts."""

    @property
    def label(self) -> str:
        return f"unreachable({self.cause})"


@dataclass(frozen=True, slots=True)
class Abandoned:
    """The client left, or we failed: says nothing about the credential."""

    label: ClassVar[str] = "abandoned"


type Outcome = Completed | Rejected | Stalled | Truncated | Unreachable | Abandoned
"""The `label` of each is a word or two for a log line."""


def never_connected(outcome: Outcome) -> bool:
    """Whether nothing was sent, so that another attempt costs nothing."""
    return isinstance(outcome, Unreachable) and not outcome.connected


def is_lasting(outcome: Outcome) -> bool:
    """Whether another attempt is in vain until a person acts."""
    return isinstance(outcome, Unreachable) and outcome.lasting


def is_away(outcome: Outcome) -> bool:
    """Whether nothing was sent, and the next attempt may get through."""
    return never_connected(outcome) and not is_lasting(outcome)


def was_silent(outcome: Outcome) -> bool:
    """Whether silence ended an attempt; one that was merely slow did not make anybody wait in vain."""
    return isinstance(outcome, Stalled) and outcome.timer is not Timer.THROUGHPUT


@dataclass(frozen=True, slots=True)
class ErrorFacts:
    """What a provider's errors mean."""

    codes: Mapping[str, Kind] = field(default_factory=dict)
    """By error type or code, in lower case."""
    phrases: Sequence[tuple[str, Kind]] = ()
    """By a phrase of the message, in lower case."""
    quotas: Sequence[tuple[str, Kind]] = ()
    """By a part of the id of a quota that Google says is violated, in lower case."""
    headers: Sequence[tuple[str, str, Kind]] = ()
    """Of a 429, by the name and the value of a header, in lower case."""

    def merged(self, other: "ErrorFacts") -> "ErrorFacts":
        return ErrorFacts(
            {**self.codes, **other.codes},
            (*other.phrases, *self.phrases),
            (*other.quotas, *self.quotas),
            (*other.headers, *self.headers),
        )

"""What is done about an outcome, and what a policy may look at to decide it."""

from dataclasses import dataclass

from protocols.base import Fault, Operation, WireResponse
from rewrite.limits import Limits
from rewrite.outcome import Outcome


@dataclass(frozen=True, slots=True)
class Accept:
    pass


@dataclass(frozen=True, slots=True)
class Retry:
    """Another attempt after `delay` seconds. `rotate`: rather on another credential; `credential`: on that
    one, though it cools; `fresh`: on a connection that was never used before."""

    delay: float = 0.0
    rotate: bool = False
    credential: str | None = None
    fresh: bool = False


@dataclass(frozen=True, slots=True)
class Repair:
    """After the commit point: close the answer with the protocol's "length"."""


@dataclass(frozen=True, slots=True)
class Fail:
    """After the commit point: close the answer with the protocol's in-band error."""

    message: str


@dataclass(frozen=True, slots=True)
class GiveUp:
    """Before the commit point: the provider's own answer as it was, or a fault of ours."""

    answer: WireResponse | Fault


type Decision = Accept | Retry | Repair | Fail | GiveUp


@dataclass(frozen=True, slots=True)
class Ended:
    """One attempt that ended; `at` in seconds on the machine's clock."""

    number: int
    credential: str
    outcome: Outcome
    at: float


@dataclass(frozen=True, slots=True)
class History:
    """One call so far. `pooled`: there is a pool to rotate in; `former`: the credential that served the
    conversation before this call; `latest_start`: no attempt may begin after it, or the client is gone;
    `jitter`: a random number in [0, 1)."""

    ended: tuple[Ended, ...]
    limits: Limits
    operation: Operation
    pooled: bool
    acting: bool
    former: str | None
    latest_start: float
    jitter: float

    @property
    def last_answer(self) -> WireResponse | None:
        """The provider's last answer in this call."""
        answers = (getattr(one.outcome, "answer", None) for one in reversed(self.ended))
        return next((answer for answer in answers if answer is not None), None)

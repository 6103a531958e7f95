"""What is done about an outcome, and what a policy may look at to decide it."""

from dataclasses import dataclass
from math import inf

from msgspec import Struct

from protocols.model.call import Operation, Rendered
from protocols.model.errors import Fault
from protocols.model.http import WireResponse
from protocols.model.parts import Usage
from rewrite.values.outcome import Kind, Outcome, Rejected
from rewrite.values.timeouts import Limits

QUOTAS = frozenset({Kind.QUOTA, Kind.MODEL_QUOTA})
"""Something is used up that does not come back in a minute."""

REFUSALS = frozenset({Kind.AUTH, Kind.FORBIDDEN}) | QUOTAS
"""What a rejection says of a key, for which somebody has to act."""

NOT_AGAIN = REFUSALS | {Kind.MODEL}
"""What asking a key again does not change, for a while."""

NOT_IN_THIS_CALL = NOT_AGAIN | {Kind.TOO_LARGE}
"""What asking a key again in the same call does not change."""


SHORT_WAIT = 5.0
"""Seconds for which a conversation rather waits for its credential than goes to another one, which knows
neither its prompt nor its signatures."""


@dataclass(frozen=True, slots=True)
class GiveUp:
    """Before the commit point: this target is not asked again."""

    answer: WireResponse | Fault
    """What the client gets: the provider's own answer as it was, or an error of ours."""
    detail: str = ""
    """A message for the record; empty: what `answer` says by itself."""


@dataclass(frozen=True, slots=True)
class Retry:
    """Another attempt."""

    delay: float = 0.0
    """Seconds before it."""
    rotate: bool = False
    """Rather on another credential."""
    credential: str | None = None
    """On the one of this name, though it has a cooldown."""
    awaits: str | None = None
    """On the one of this name as soon as it is free, where that is in a moment."""
    fresh: bool = False
    """On a connection that was never used before."""
    otherwise: "Retry | GiveUp | None" = None
    """What follows where no credential is free that the call has not asked yet. None: one that it has asked
    will do too."""


@dataclass(frozen=True, slots=True)
class Wait:
    """No attempt before a credential is free."""

    seconds: float
    """How long at most."""


@dataclass(frozen=True, slots=True)
class Repair:
    """After the commit point: close the answer with the protocol's "length"."""


@dataclass(frozen=True, slots=True)
class Fail:
    """After the commit point: close the answer with the protocol's in-band error."""

    message: str
    """For the client."""


@dataclass(frozen=True, slots=True)
class Continue:
    """After the commit point: ask again for the rest, and splice it in."""


class Ended(Struct, frozen=True):
    """One attempt that ended."""

    number: int
    credential: str
    """Its name."""
    outcome: Outcome
    at: float
    """When it ended, in seconds on the machine's clock."""
    target: int = 0
    """The index of the target that was asked."""
    sent: float | None = None
    """When all of its request had left, on the same clock. None: it never had."""
    instead: Rendered | None = None
    """What was asked in place of what the target is asked otherwise."""
    asked_last: tuple[str, ...] = ()
    """Keys that were free and not asked, since they fail while others serve."""
    reason: str = ""
    """Why it was this credential: a sentence. Empty: there is no pool."""
    usage: Usage | None = None
    """What is known of what it used, without other attempts. None: nothing."""
    estimated: bool = False
    """Some of `usage` is not the provider's count, but what the texts come to."""
    given: bool = False
    """The client got something of its answer."""
    served: str = ""
    """The model that answered, as the provider names it. Empty: it named none."""


@dataclass(frozen=True, slots=True)
class History:
    """One call at one target so far."""

    ended: tuple[Ended, ...]
    """The attempts at this target, in order."""
    limits: Limits
    operation: Operation
    pooled: bool
    """There is a pool to rotate in."""
    acting: bool
    """The request sets something in motion at the provider."""
    former: str | None
    """The credential that served the conversation before this call."""
    latest_start: float
    """No attempt may begin after it, or the client is gone. Times are seconds on the machine's clock."""
    jitter: float
    """A random number in [0, 1)."""
    failing_since: float | None = None
    """When the first attempt of the call failed, or found no free credential, at whichever target."""
    elsewhere: tuple[Ended, ...] = ()
    """The attempts at other targets."""
    others_wait: bool = False
    """There are targets to fall back on."""
    turn_ends: float = inf
    """When this target has had its share of the client's patience."""
    host: str = ""
    """Where the target is, for messages."""

    @property
    def refused(self) -> frozenset[str]:
        """The keys that this call may not ask again."""
        return frozenset(name for name, kind in self._rejected if kind in NOT_IN_THIS_CALL)

    @property
    def resting(self) -> frozenset[str]:
        """The keys whose last word in this call was that their rate is used up: only after a wait."""
        last = {one.credential: one.outcome for one in self.ended}
        return frozenset(
            name for name, said in last.items() if isinstance(said, Rejected) and said.kind is Kind.RATE
        )

    @property
    def rate_limited(self) -> bool:
        return any(kind is Kind.RATE for _, kind in self._rejected)

    @property
    def asked_again(self) -> tuple[bool, ...]:
        """Of each attempt, whether its key had named itself as the fault before in this call."""
        named: set[str] = set()
        again = []
        for one in self.ended:
            again.append(one.credential in named)
            if isinstance(one.outcome, Rejected) and one.outcome.kind in NOT_IN_THIS_CALL | {Kind.RATE}:
                named.add(one.credential)
        return tuple(again)

    @property
    def over_quota(self) -> int:
        """How many keys said that a quota does not allow this call."""
        return len({name for name, kind in self._rejected if kind in QUOTAS | {Kind.TOO_LARGE}})

    @property
    def last_rejection(self) -> Rejected | None:
        """The last one in this call that the provider worded."""
        said = (one.outcome for one in reversed(self.ended))
        return next((each for each in said if isinstance(each, Rejected) and each.answer), None)

    @property
    def unknown_model(self) -> WireResponse | None:
        """The first answer that said that the model is unknown."""
        said = (one.outcome for one in self.ended if isinstance(one.outcome, Rejected))
        return next((each.answer for each in said if each.kind is Kind.MODEL and each.answer), None)

    @property
    def _rejected(self) -> tuple[tuple[str, Kind], ...]:
        return tuple(
            (one.credential, one.outcome.kind) for one in self.ended if isinstance(one.outcome, Rejected)
        )

"""What happens to a call (events) and what is done about it (commands); see rewrite.exchange.exchange.

All carry the number of their attempt, counted from 1; `CALL` stands for the call as a whole.
"""

from dataclasses import dataclass

from protocols.model.call import Rendered
from protocols.model.http import Head
from protocols.model.progress import Progress
from rewrite.values.decision import Ended
from rewrite.values.key_refusal import StandingRefusal
from rewrite.values.outcome import Outcome
from rewrite.values.timer import Timer

CALL = 0


@dataclass(frozen=True, slots=True)
class Summary:
    """What happened to a call.

    `end` in one word, `words` for a reader; `began` on the machine's clock, `seconds` and `first_token`
    counted from it; `status` as sent to the client; `estimated`: the output count of a truncated answer is
    ours, and in part that of one that was gone on with; `target`: the one that the call ended at, counted
    from 0; `head`: that of what the client got, None if nothing; `body`: the whole of an answer that no
    attempt was committed to.
    """

    end: str
    words: str
    attempts: tuple[Ended, ...]
    progress: Progress
    began: float
    seconds: float
    first_token: float | None = None
    status: int | None = None
    estimated: bool = False
    target: int = 0
    head: Head | None = None
    body: bytes = b""


@dataclass(frozen=True, slots=True)
class Start:
    pass


@dataclass(frozen=True, slots=True)
class Acquired:
    """`former`: the credential that served the conversation before; `asked_last`: see `Ended`."""

    attempt: int
    credential: str
    former: str | None = None
    asked_last: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class NoneFree:
    """No credential may serve now. The other fields are those of `rotation.Unavailable`."""

    attempt: int
    wait: float | None
    paused: bool = False
    refused: StandingRefusal | None = None
    keys: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class UpstreamSent:
    attempt: int


@dataclass(frozen=True, slots=True)
class UpstreamStarted:
    attempt: int
    head: Head


@dataclass(frozen=True, slots=True)
class UpstreamData:
    attempt: int
    data: bytes


@dataclass(frozen=True, slots=True)
class UpstreamClosed:
    """`cause` None: the message ended properly by HTTP's own framing; else why it broke, in words.
    `connected` False: there never was a connection; `lasting`: nor will there be until a person acts."""

    attempt: int
    cause: str | None = None
    connected: bool = True
    lasting: bool = False


@dataclass(frozen=True, slots=True)
class TimerFired:
    attempt: int
    timer: Timer


@dataclass(frozen=True, slots=True)
class ClientDrained:
    """A client that read too slowly has caught up: the silence meanwhile was not upstream's."""


@dataclass(frozen=True, slots=True)
class ClientGone:
    pass


type Event = (
    Start
    | Acquired
    | NoneFree
    | UpstreamSent
    | UpstreamStarted
    | UpstreamData
    | UpstreamClosed
    | TimerFired
    | ClientDrained
    | ClientGone
)


@dataclass(frozen=True, slots=True)
class Acquire:
    """`prefer` with `insist`: that credential or none, though it cools; `avoid`: only if no other is free,
    and with `only_others` not even then.

    `refused`: never, it refused this call; `resting`: it was rate-limited in this call, so only after a wait.
    `target`: of which one, counted from 0.
    """

    attempt: int
    avoid: frozenset[str] = frozenset()
    prefer: str | None = None
    insist: bool = False
    refused: frozenset[str] = frozenset()
    resting: frozenset[str] = frozenset()
    target: int = 0
    only_others: bool = False


@dataclass(frozen=True, slots=True)
class Release:
    attempt: int
    outcome: Outcome


@dataclass(frozen=True, slots=True)
class OpenUpstream:
    """`rendered` takes the place of what the target is asked otherwise."""

    attempt: int
    fresh: bool = False
    rendered: Rendered | None = None


@dataclass(frozen=True, slots=True)
class CancelUpstream:
    attempt: int


@dataclass(frozen=True, slots=True)
class SetTimer:
    attempt: int
    timer: Timer
    seconds: float


@dataclass(frozen=True, slots=True)
class SendHeaders:
    attempt: int
    head: Head


@dataclass(frozen=True, slots=True)
class SendData:
    """`beat`: a heartbeat of ours, in place of nothing that upstream sent."""

    attempt: int
    data: bytes
    beat: bool = False


@dataclass(frozen=True, slots=True)
class EndResponse:
    attempt: int


@dataclass(frozen=True, slots=True)
class Report:
    summary: Summary


type Command = (
    Acquire
    | Release
    | OpenUpstream
    | CancelUpstream
    | SetTimer
    | SendHeaders
    | SendData
    | EndResponse
    | Report
)

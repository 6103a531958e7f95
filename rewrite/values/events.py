"""What happens to a call (events) and what is done about it (commands); see rewrite.exchange.exchange.

All carry the number of their attempt, counted from 1; `CALL` stands for the call as a whole. Where nothing
copies them with changes they are Structs, which are made in a fifth of the time of a dataclass.
"""

from dataclasses import dataclass, field

from msgspec import Struct

from protocols.model.call import Rendered
from protocols.model.http import Head
from protocols.model.parts import Usage
from protocols.model.progress import Progress
from rewrite.fields.call_fields import CallFields
from rewrite.values.decision import Ended
from rewrite.values.key_refusal import StandingRefusal
from rewrite.values.outcome import Outcome
from rewrite.values.timer import Timer

CALL = 0


@dataclass(frozen=True, slots=True)
class Summary:
    """What happened to a call."""

    end: str
    """How it ended, in one word."""
    detail: str
    """A message for a reader."""
    attempts: tuple[Ended, ...]
    """Those that ended, in order."""
    progress: Progress
    """What the client got of an answer."""
    began: float
    """When the call did, in seconds on the machine's clock."""
    seconds: float
    """How long it took."""
    first_token: float | None = None
    """Seconds from its beginning to the first visible part. None: there was none."""
    status: int | None = None
    """The one that the client got."""
    estimated: bool = False
    """The output count is ours, at least in part: the answer was truncated or continued."""
    continued: bool = False
    """The answer was cut, and its rest asked for."""
    target: int = 0
    """The index of the target that the call ended at."""
    head: Head | None = None
    """The head that the client got. None: it got nothing."""
    body: bytes = b""
    """The whole of an answer that no attempt was committed to."""
    fields: tuple[CallFields, ...] = field(default=(), repr=False, compare=False)
    """What the attempts that the client got something of have for the field cache, in order."""


class Start(Struct, frozen=True):
    pass


class Acquired(Struct, frozen=True):
    """An attempt has a credential."""

    attempt: int
    credential: str
    """Its name."""
    former: str | None = None
    """The credential that served the conversation before."""
    asked_last: tuple[str, ...] = ()
    """See `Ended`."""
    reason: str = ""
    """See `Ended`."""
    identity: str | None = None
    """What distinguishes it from other credentials, whatever their names; for the field cache. None: there is
    none, or nobody asks."""


@dataclass(frozen=True, slots=True)
class NoneFree:
    """No credential may serve now."""

    attempt: int
    """The one that asked for it."""
    wait: float | None
    """Seconds until the soonest may. None: none ever may."""
    paused: bool = False
    """Whether the provider is paused."""
    refused: StandingRefusal | None = None
    """The last refusal, where every credential is refused."""
    keys: tuple[str, ...] = ()
    """For a reader: of each credential why it does not serve, and when it is tried again."""
    full: bool = False
    """A credential would serve but for the calls that it serves already: any of them may end."""
    own: bool = False
    """The credential of the conversation is due in `wait`; others may be free."""
    final: bool = False
    """It was waited for in vain, or too many calls wait already."""


class UpstreamSent(Struct, frozen=True):
    attempt: int


class UpstreamStarted(Struct, frozen=True):
    attempt: int
    head: Head


class UpstreamData(Struct, frozen=True, gc=False):
    attempt: int
    data: bytes


class UpstreamClosed(Struct, frozen=True):
    """The answer, or the connection, has ended."""

    attempt: int
    cause: str | None = None
    """Why it broke, a message. None: it ended properly by HTTP's own framing."""
    connected: bool = True
    """False: there never was a connection."""
    lasting: bool = False
    """There will be none until a person acts."""


class TimerFired(Struct, frozen=True):
    attempt: int
    timer: Timer


class ClientDrained(Struct, frozen=True):
    """A client that read too slowly has caught up: the silence meanwhile was not upstream's."""


class ClientGone(Struct, frozen=True):
    pass


class Shutdown(Struct, frozen=True):
    """The proxy ends, and waits for the call no longer."""


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
    | Shutdown
)


class Acquire(Struct, frozen=True):
    """An attempt asks for a credential. Credentials are called by their names."""

    attempt: int
    avoid: frozenset[str] = frozenset()
    """Only if no other is free."""
    prefer: str | None = None
    """Rather this one."""
    insist: bool = False
    """`prefer` or none, though it is rate-limited."""
    refused: frozenset[str] = frozenset()
    """Never these: they refused this call."""
    resting: frozenset[str] = frozenset()
    """Only after a wait: they were rate-limited in this call."""
    target: int = 0
    """The index of the target that they are of."""
    only_others: bool = False
    """None of `avoid`, though no other is free."""
    hurried: bool = False
    """Another one at once, though that of the conversation is due in a moment."""


@dataclass(frozen=True, slots=True)
class AwaitCredential:
    """Wait in line for what `asked` asks for, which no credential serves now; answered as `Acquire` is."""

    attempt: int
    asked: Acquire
    seconds: float
    """How long at most."""


@dataclass(frozen=True, slots=True)
class Release:
    """The credential of an attempt is given back."""

    attempt: int
    outcome: Outcome
    progress: Progress | None = field(default=None, compare=False)
    """What the attempt said, for its usage; of a continuation with all that came before it. None: nothing."""
    before: Usage | None = field(default=None, compare=False)
    """What of the usage in `progress` is that of attempts before."""


class OpenUpstream(Struct, frozen=True):
    """Send the request of an attempt."""

    attempt: int
    fresh: bool = False
    """On a connection that was never used before."""
    rendered: Rendered | None = None
    """Takes the place of what the target is asked otherwise."""
    fields: CallFields | None = None
    """What the field cache has for its headers. None: no rule of it is for the call."""


class CancelUpstream(Struct, frozen=True):
    attempt: int


class SetTimer(Struct, frozen=True):
    attempt: int
    timer: Timer
    seconds: float


class SendHeaders(Struct, frozen=True):
    attempt: int
    head: Head


class SendData(Struct, frozen=True, gc=False):
    """Bytes for the client."""

    attempt: int
    data: bytes
    heartbeat: bool = False
    """A heartbeat of ours, in place of nothing that upstream sent."""


class EndResponse(Struct, frozen=True):
    attempt: int


class Report(Struct, frozen=True):
    summary: Summary


type Command = (
    Acquire
    | AwaitCredential
    | Release
    | OpenUpstream
    | CancelUpstream
    | SetTimer
    | SendHeaders
    | SendData
    | EndResponse
    | Report
)

"""One attempt of a call: what came of it so far, which of its silences are watched, and what it used."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from math import inf

from msgspec import structs

from protocols.model.call import Call, Operation, Rendered
from protocols.model.http import Head, WireResponse
from protocols.model.parts import Usage
from protocols.model.progress import Progress
from protocols.shared.costs import header_cost
from rewrite.policies import classify
from rewrite.targets.fields import AttemptFields
from rewrite.targets.reading import Gate, Reading, Silence
from rewrite.targets.target import Target
from rewrite.usage.tokens import known
from rewrite.values.events import SetTimer, UpstreamClosed
from rewrite.values.outcome import Rejected, Stalled, Unreachable
from rewrite.values.timeouts import Timing
from rewrite.values.timer import Timer

LONGEST_ERROR_BODY = 1 << 20


@dataclass(slots=True)
class Attempt:
    """One attempt, from its credential to its end. Times are seconds on the machine's clock."""

    number: int
    """Counted from 1."""
    fresh: bool = False
    """On a connection that was never used before."""
    latest: float = inf
    """When the patience of a client is over that has nothing yet."""
    credential: str | None = None
    """The name of the one that it holds. None: it has none yet, or has ended."""
    open: bool = False
    """Upstream may say more."""
    sent_at: float | None = None
    """When all of its request had left."""
    alive: bool = False
    """A byte of the answer came."""
    head: Head | None = None
    reading: Reading | None = None
    """Its answer. None before the head, and for an error."""
    gate: Gate = field(default_factory=Gate)
    stall: Silence = field(default_factory=Silence)
    """The silence in the middle of an answer."""
    watched: bool = False
    """The stall is watched before the commit point."""
    instead: Rendered | None = None
    """What is asked in place of what the target is asked otherwise."""
    asked_last: tuple[str, ...] = ()
    """See `Ended`."""
    reason: str = ""
    """See `Ended`."""
    error_body: bytearray = field(default_factory=bytearray)
    kept: int = 0
    """Bytes that came since the client got any, as they are in memory when they are parsed."""
    before: Usage | None = None
    """What the attempts had used whose answer it continues. None: it continues none."""
    said: int = 0
    """The characters of these answers."""
    committed: bool = False
    """The client got something of its answer, unless it continues one."""
    fields: AttemptFields | None = None
    """Its field cache. None: no rule of it is for the call, or the client got nothing of the attempt."""

    @property
    def progress(self) -> Progress | None:
        """What its answer has said, as far as it was read. None: it had none."""
        reading = self.reading
        if reading is None:
            return None
        return reading.gathering.progress if reading.gathering else reading.progress

    @property
    def given(self) -> bool:
        """The client got something of its answer."""
        adds = self.before is not None and self.reading is not None and self.reading.adds
        return self.committed or adds

    def used(self, call: Call, *, whole: bool) -> tuple[Usage | None, bool]:
        """See `sums.known`; nothing is estimated of what no client has got."""
        reading, progress = self.reading, self.progress
        counted = reading.counted if reading else None
        if counted is not None and counted.cost is None and self.head is not None:
            cost = header_cost(self.head.headers)
            counted = counted if cost is None else structs.replace(counted, cost=cost)
        if progress is None or call.operation is not Operation.GENERATE or not (counted or self.given):
            return counted, False
        return known(counted, progress.characters - self.said, call.text_bytes, whole=whole)

    def keep(self, data: bytes) -> None:
        """Some of the body of an error."""
        self.error_body += data[: LONGEST_ERROR_BODY - len(self.error_body)]

    def unanswered(self, closed: UpstreamClosed | None, target: Target, now: float) -> Rejected | Unreachable:
        """What it came to without an answer: an error status with its body, or nothing at all."""
        head = self.head
        if head is None:
            return self._unreachable(closed)
        answer = WireResponse(head.status, head.headers, bytes(self.error_body), head.reason)
        answer = target.hooks.error(answer) if target.hooks else answer
        return classify.rejection(answer, target.errors, now + target.terms.epoch)

    def _unreachable(self, closed: UpstreamClosed | None) -> Unreachable:
        sent = self.sent_at is not None
        if closed is None or closed.cause is None:
            return Unreachable("closed without an answer", sent)
        return Unreachable(closed.cause, sent, closed.connected or sent, closed.lasting and not sent)

    def arm(self, timer: Timer, seconds: float, now: float) -> Sequence[SetTimer]:
        """A silence timer, 0: off; none outlives the patience of the client."""
        return (SetTimer(self.number, timer, self._in_time(seconds, now)),) if seconds else ()

    def watch(self, now: float) -> Sequence[SetTimer]:
        """The stall is watched from now on, if it was not already."""
        return (SetTimer(self.number, Timer.STALL, self.stall.left(now)),) if self.stall.longest else ()

    def overhear(self, timing: Timing, now: float) -> Iterator[SetTimer]:
        """More came of a stream that is gathered; it is watched as if the client saw it."""
        current = self.reading
        gathered = current.gathering if current else None
        if current is None or gathered is None:
            return
        self.gate.note(current, now)
        if gathered.signs.is_alive() or timing.any_byte_keeps_alive:
            self.stall.since = now
        if not (current.first_token_is_due or self.watched):
            self.watched = True
            yield from self.watch(now)

    def fired(self, timer: Timer, now: float) -> SetTimer | Stalled | None:
        """What it means that `timer` fired: watched on, over, or nothing any more."""
        match timer:
            case Timer.STALL:
                left = self.stall.left(now)
                if left > 0:
                    return SetTimer(self.number, timer, left)
                return Stalled(timer, self.stall.lasted(now))
            case Timer.FIRST_EVENT:
                return None if self.alive else self._silent(timer, now)
            case Timer.FIRST_TOKEN:
                return self._no_token(now)
            case Timer.THROUGHPUT:
                shown_at = self.gate.shown_at
                return None if shown_at is None else Stalled(timer, now - shown_at)
            case _:
                return self._silent(timer, now)

    def _no_token(self, now: float) -> SetTimer | Stalled | None:
        """Signs of hidden work set no timer: the one that is set asks when it fires. Where no token is due it
        is the timer of the response that counts, or that of a stall."""
        if self.gate.shown_at is not None:
            return None
        if self.reading is not None:
            self.reading.settle()
            self.gate.note(self.reading, now)
        left = self._in_time(self.gate.token.left(now), now)
        if left > 0:
            return SetTimer(self.number, Timer.FIRST_TOKEN, left)
        due = self.reading is None or self.reading.first_token_is_due
        return self._silent(Timer.FIRST_TOKEN, now) if due else None

    def _silent(self, timer: Timer, now: float) -> Stalled:
        return Stalled(timer, now - (self.sent_at or 0.0))

    def _in_time(self, seconds: float, now: float) -> float:
        return max(min(seconds, self.latest - now), 0.0)

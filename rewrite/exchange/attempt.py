"""One attempt of a call: what came of it, when it commits, and which silences are watched meanwhile."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from enum import Enum
from math import inf

from protocols.model.call import Rendered
from protocols.model.http import Head, WireResponse
from protocols.model.parts import BlockKind
from rewrite.policies import classify
from rewrite.targets.reading import Reading
from rewrite.targets.target import Target
from rewrite.values.events import SetTimer, UpstreamClosed
from rewrite.values.outcome import Outcome, Rejected, Stalled, Unreachable
from rewrite.values.timeouts import Timing
from rewrite.values.timer import Timer


@dataclass(slots=True)
class Silence:
    """A silence under watch.

    What breaks it is written to `since` and sets no timer: the one that is set asks, when it fires, what is
    `left`, and is set again for that.
    """

    longest: float
    """Seconds; 0: nobody watches."""
    since: float = 0.0
    """When it began, in seconds on the machine's clock."""

    def lasted(self, now: float) -> float:
        return now - self.since

    def left(self, now: float) -> float:
        return self.longest - self.lasted(now)


def was_silent(outcome: Outcome) -> bool:
    """Whether silence ended an attempt; one that was merely slow did not make anybody wait in vain."""
    return isinstance(outcome, Stalled) and outcome.timer is not Timer.THROUGHPUT


def before_commit(
    timing: Timing, *, stream: bool, stalls: int, gathered: bool = False, longest: float = inf
) -> Sequence[tuple[Timer, float]]:
    """The timers of an attempt from the moment its request is sent; 0: off.

    `stalls`: attempts that silence ended; each makes the next one wait twice as long, so that a provider that
    is slow for everybody is not given up again and again. `gathered`: the client gets the stream as one whole
    answer, and waits for that as for any. `longest`: what a silence may last where other targets wait; how
    long a whole answer takes says nothing, so that it is not cut short.
    """
    if not stream:
        return ((Timer.RESPONSE, timing.response),)
    first_event = timing.first_event * 2**stalls
    first_token = timing.first_token and max(timing.first_token, first_event)
    whole = ((Timer.RESPONSE, timing.response),) if gathered else ()
    silences = ((Timer.FIRST_EVENT, first_event), (Timer.FIRST_TOKEN, first_token))
    return (*((timer, min(seconds, longest)) for timer, seconds in silences), *whole)


_NEVER_TWICE = frozenset({BlockKind.HOSTED, BlockKind.MEDIA})
"""What a provider's own tools did is not to be done again, and media have no characters to count."""


class Verdict(Enum):
    """What becomes of the frames that are held."""

    HOLD = "hold"
    WATCH = "watch"
    """They are held until it is known whether the answer is fast enough."""
    COMMIT = "commit"


@dataclass(slots=True)
class Gate:
    """Decides when an answer commits.

    A model that thinks where nobody sees it is no stall, so each sign of that begins the wait again. Events
    that only say that the answer was begun, pings and comments are no such sign.
    """

    token: Silence = field(default_factory=lambda: Silence(0.0))
    """The wait for the first visible part."""
    shown_at: float | None = None
    """When that part came, in seconds on the machine's clock. None: it has not."""

    def note(self, reading: Reading, now: float) -> None:
        """Some of the answer was read."""
        if reading.has_worked():
            self.token.since = now

    def shown(self, now: float) -> None:
        """Something visible came."""
        self.shown_at = now if self.shown_at is None else self.shown_at

    def judge(self, reading: Reading, timing: Timing, now: float) -> Verdict:
        """The verdict on all that is held."""
        self.note(reading, now)
        if reading.properly_ended:
            return Verdict.COMMIT
        if not reading.progress.visible:
            return Verdict.HOLD
        first = self.shown_at is None
        self.shown(now)
        if _is_enough(reading, timing):
            return Verdict.COMMIT
        return Verdict.WATCH if first else Verdict.HOLD


def _is_enough(reading: Reading, timing: Timing) -> bool:
    """Whether as much came as is asked of the whole window, or something that may not come twice; or an
    error in the same frame as a text, which nothing that follows mends."""
    progress = reading.progress
    if progress.error or progress.characters >= timing.min_throughput * timing.throughput_window:
        return True
    return any(block.kind in _NEVER_TWICE for block in progress.blocks.values())


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
    stall: Silence = field(default_factory=lambda: Silence(0.0))
    """The silence in the middle of an answer."""
    watched: bool = False
    """The stall is watched before the commit point."""
    instead: Rendered | None = None
    """What is asked in place of what the target is asked otherwise."""
    asked_last: tuple[str, ...] = ()
    """See `Ended`."""
    error_body: bytearray = field(default_factory=bytearray)
    kept: int = 0
    """Bytes that came since the client got any, as they are in memory when they are parsed."""

    def keep(self, data: bytes) -> None:
        """Some of the body of an error."""
        self.error_body += data[: LONGEST_ERROR_BODY - len(self.error_body)]

    def unanswered(self, closed: UpstreamClosed | None, target: Target, now: float) -> Rejected | Unreachable:
        """What it came to without an answer: an error status with its body, or nothing at all."""
        head = self.head
        if head is None:
            return self._unreachable(closed)
        answer = WireResponse(head.status, head.headers, bytes(self.error_body), head.reason)
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

"""One attempt of a call: what came of it, and which silences are watched while more is to come."""

from collections.abc import Iterator
from dataclasses import dataclass, field
from math import inf

from protocols.model.call import Rendered
from protocols.model.http import Head, WireResponse
from rewrite.exchange.commit_gate import Gate
from rewrite.exchange.timers import Silence
from rewrite.policies import classify
from rewrite.target.reading import Reading
from rewrite.target.target import Target
from rewrite.values.events import SetTimer, UpstreamClosed
from rewrite.values.outcome import Rejected, Stalled, Unreachable
from rewrite.values.timeouts import Timing
from rewrite.values.timer import Timer

LONGEST_ERROR_BODY = 1 << 20


@dataclass(slots=True)
class Attempt:
    """`latest`: when the patience of the client is over, which has nothing yet; `credential`: the one that it
    holds, None before it has one and behind its end; `open`: upstream may say more; `sent_at`: when all of
    its request had left; `alive`: a byte came; `reading`: its answer, None before its head and for an error;
    `stall`: the silence in the middle of an answer, and whether it is `watched` before the commit point;
    `instead`: what it asks in place of what its target is asked otherwise; `asked_last`: see `Ended`; `kept`:
    the bytes that came of it since the client got any, as they are in memory when they are parsed.
    """

    number: int
    fresh: bool = False
    latest: float = inf
    credential: str | None = None
    open: bool = False
    sent_at: float | None = None
    alive: bool = False
    head: Head | None = None
    reading: Reading | None = None
    gate: Gate = field(default_factory=Gate)
    stall: Silence = field(default_factory=lambda: Silence(0.0))
    watched: bool = False
    instead: Rendered | None = None
    asked_last: tuple[str, ...] = ()
    error_body: bytearray = field(default_factory=bytearray)
    kept: int = 0

    def keep(self, data: bytes) -> None:
        """Some of the body of an error."""
        self.error_body += data[: LONGEST_ERROR_BODY - len(self.error_body)]

    def refused(self, closed: UpstreamClosed | None, target: Target, now: float) -> Rejected | Unreachable:
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

    def arm(self, timer: Timer, seconds: float, now: float) -> Iterator[SetTimer]:
        """A silence timer, 0: off; none outlives the patience of the client."""
        if seconds:
            yield SetTimer(self.number, timer, self._in_time(seconds, now))

    def watch(self, now: float) -> Iterator[SetTimer]:
        """The stall is watched from now on, or goes on to be."""
        if self.stall.longest:
            yield SetTimer(self.number, Timer.STALL, self.stall.left(now))

    def overhear(self, timing: Timing, now: float) -> Iterator[SetTimer]:
        """More came of a stream that is gathered unseen; it is watched as if the client saw it."""
        current = self.reading
        unseen = current.gathering if current else None
        if current is None or unseen is None:
            return
        self.gate.note(current, now)
        if unseen.signs.lively() or timing.any_byte_is_life:
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

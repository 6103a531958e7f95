"""One attempt of a call: what came of it, and which silences are watched while more is to come."""

from collections.abc import Iterator
from dataclasses import dataclass, field

from protocols.base import Head, WireResponse
from rewrite import classify
from rewrite.events import SetTimer
from rewrite.gate import Gate
from rewrite.limits import Timing
from rewrite.outcome import Phase, Rejected, Stalled, Unreachable
from rewrite.reading import Reading
from rewrite.terms import Terms
from rewrite.timers import Silence

LONGEST_ERROR_BODY = 1 << 20


@dataclass(slots=True)
class Attempt:
    """`credential`: the one that it holds, None before it has one and behind its end; `open`: upstream may
    say more; `sent_at`: when all of its request had left; `alive`: a byte came; `reading`: its answer, None
    before its head and for an error; `stall`: the silence in the middle of an answer, and whether it is
    `watched` before the commit point.
    """

    number: int
    fresh: bool = False
    credential: str | None = None
    open: bool = False
    sent_at: float | None = None
    alive: bool = False
    head: Head | None = None
    reading: Reading | None = None
    gate: Gate = field(default_factory=Gate)
    stall: Silence = field(default_factory=lambda: Silence(0.0))
    watched: bool = False
    error_body: bytearray = field(default_factory=bytearray)

    def keep(self, data: bytes) -> None:
        """Some of the body of an error."""
        self.error_body += data[: LONGEST_ERROR_BODY - len(self.error_body)]

    def refused(self, cause: str | None, terms: Terms, now: float) -> Rejected | Unreachable:
        """What it came to without an answer: an error status with its body, or nothing at all."""
        head = self.head
        if head is None:
            return Unreachable(cause or "closed without an answer", self.sent_at is not None)
        answer = WireResponse(head.status, head.headers, bytes(self.error_body), head.reason)
        return classify.rejection(answer, terms.errors, now + terms.epoch)

    def watch(self, now: float) -> Iterator[SetTimer]:
        """The stall is watched from now on, or goes on to be."""
        if self.stall.longest:
            yield SetTimer(self.number, Phase.STALL, self.stall.left(now))

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

    def silent(self, phase: Phase, now: float) -> Stalled | None:
        """What it is that `phase` is over; None if it means nothing any more. A first event is any byte; the
        first token's timer is later that of the response, or of a stall."""
        if phase is Phase.FIRST_EVENT and self.alive:
            return None
        if phase is Phase.FIRST_TOKEN and self.reading and not self.reading.first_token_is_due:
            return None
        return Stalled(phase, now - (self.sent_at or 0.0))

"""What the client has got of its answer, and the life that it is shown while nothing comes."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from protocols.base import WireProtocol
from protocols.model.call import Call
from protocols.model.http import Head
from protocols.model.progress import Progress
from rewrite.exchange.attempt import Attempt
from rewrite.exchange.attempts import Attempts
from rewrite.exchange.timers import Silence
from rewrite.exchange.waiting import waiting
from rewrite.target.reading import Reading
from rewrite.target.target import Target
from rewrite.values.events import CALL, Command, SendData, SetTimer, Summary
from rewrite.values.timeouts import Timing
from rewrite.values.timer import Timer

LINGER = 5.0
"""Seconds that a stream may stay open behind its last frame."""


@dataclass(frozen=True, slots=True)
class Over:
    """How a call ended, for the record; the fields are those of `Summary`."""

    end: str
    words: str
    status: int | None
    head: Head | None
    body: bytes = b""


class Delivery:
    """Of one call. `began`: when it did, on the machine's clock; `committed`: an answer began to go out,
    `head` is its head; `first_token`: when something visible did, on the same clock; `waiting`: what the
    client is shown before."""

    def __init__(self, call: Call, protocol: WireProtocol, timing: Timing, began: float) -> None:
        self.began = began
        self.waiting = waiting(call, protocol, timing)
        self.committed = False
        self.head: Head | None = None
        self.first_token: float | None = None
        self._hold = timing.hold if call.stream else 0.0
        self._beat = protocol.encoder(call).heartbeat()
        self._silence = Silence(timing.heartbeat if self._beat else 0.0)

    def latest(self, target: Target) -> float:
        """When the patience is over of a client that has nothing yet."""
        return self.began + self.waiting.patience(target.terms.timing.patience)

    def start(self) -> Iterator[Command]:
        if self._hold:
            yield SetTimer(CALL, Timer.HOLD, self._hold)
        yield from self.waiting.watch()

    def commit(self, attempt: Attempt, current: Reading, now: float) -> Iterator[Command]:
        """The head of the answer and all that was held of it; its silences are watched from now on."""
        self.committed, self.head = True, current.head
        held = current.release()
        yield from self.waiting.head(attempt.number, current.head)
        yield from self.send(attempt.number, current.encoder.encode(held), now)
        attempt.stall.since = now
        self.note_first_token(attempt, current, now)
        if current.streamed:
            yield from attempt.watch(now)
            yield from self.watch(attempt.number, now)
        if held[-1].last:
            yield SetTimer(attempt.number, Timer.LINGER, LINGER)

    def send(self, attempt: int, data: bytes, now: float) -> Sequence[Command]:
        if not data:  # a frame of another protocol may say nothing in the client's
            return ()
        self._silence.since = now
        return (SendData(attempt, data),)

    def note_first_token(self, attempt: Attempt, current: Reading, now: float) -> None:
        visible = current.settle().visible
        attempt.gate.note(current, now)
        if visible:
            self.first_token = now
            attempt.gate.shown(now)

    def drained(self, now: float) -> None:
        """The client has read all that went out."""
        self._silence.since = now

    def watch(self, attempt: int, now: float) -> Iterator[Command]:
        """The client is shown life in a silence from now on, or goes on to be."""
        if self._silence.longest:
            yield SetTimer(attempt, Timer.HEARTBEAT, max(self._silence.left(now), 0.0))

    def beat(self, attempt: int, now: float) -> Iterator[Command]:
        """Only whole frames go out, so that this stands between two. It is no life of upstream's."""
        if self._silence.left(now) <= 0:
            self._silence.since = now
            yield SendData(attempt, self._beat, beat=True)
        yield from self.watch(attempt, now)

    def whole(self, attempt: int, head: Head, body: bytes) -> Iterator[Command]:
        """An answer that no attempt was committed to."""
        yield from self.waiting.head(attempt, head)
        if body:
            yield SendData(attempt, body)

    def summary(
        self, over: Over, attempts: Attempts, progress: Progress, now: float, *, went_on: bool = False
    ) -> Summary:
        """The record of the call, which ends now; `progress`: what the client was told; `went_on`: by several
        answers, not all of which were counted."""
        first_token = self.first_token
        return Summary(
            end=over.end,
            words=over.words,
            attempts=attempts.ended,
            route=attempts.route,
            progress=progress,
            began=self.began,
            seconds=now - self.began,
            first_token=None if first_token is None else first_token - self.began,
            status=over.status,
            estimated=over.end == "truncated" or went_on,
            head=over.head,
            body=over.body,
        )

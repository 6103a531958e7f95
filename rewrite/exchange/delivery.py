"""What the client has got: heartbeats while it waits, an answer that is passed on, or one whole answer.

Where the user wants it, the head that promises a stream goes out with the first heartbeat. What comes to
nothing later can only be said inside that stream. The client still sees nothing of attempts that failed.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace

from protocols.base import WireProtocol
from protocols.framing.sse import is_event_stream
from protocols.model.call import Call, Operation
from protocols.model.errors import Fault
from protocols.model.http import Head, WireResponse, header
from protocols.model.parts import StreamError
from protocols.model.progress import Progress
from rewrite.exchange.attempt import Attempt
from rewrite.exchange.ledger import Ledger
from rewrite.targets.reading import Reading, Silence
from rewrite.targets.target import Target
from rewrite.translation.error_kinds import error_of, kind_of
from rewrite.values.decision import GiveUp
from rewrite.values.events import CALL, Command, SendData, SendHeaders, SetTimer, Summary
from rewrite.values.outcome import Outcome, Stalled, Truncated
from rewrite.values.timeouts import PATIENCE_MARGIN, UNKNOWN_PATIENCE, OnTruncation, Timing
from rewrite.values.timer import Timer


@dataclass(slots=True)
class Waiting:
    """What a client gets until the commit point of its call."""

    call: Call
    protocol: WireProtocol
    """The client's."""
    interval: float
    """Seconds between heartbeats; 0: there are none."""
    heartbeat: bytes
    begun: bool = False
    """The head went out."""

    def watch(self) -> Iterator[Command]:
        if self.interval:
            yield SetTimer(CALL, Timer.HEARTBEAT_BEFORE_COMMIT, self.interval)

    def fired(self) -> Iterator[Command]:
        """The timer did, and the call is not committed: nothing has reached the client since it was set."""
        if not self.begun:
            self.begun = True
            kind = self.protocol.encoder(self.call).content_type
            yield SendHeaders(CALL, Head(200, (("content-type", kind),)))
        yield SendData(CALL, self.heartbeat, heartbeat=True)
        yield from self.watch()

    def patience(self, stated: float) -> float:
        """Seconds that the client waits where it says `stated`: what it waits for is a byte, and gets one.
        Not where it says how long all of it may take."""
        if not self.interval or header(self.call.headers, "x-server-timeout"):
            return stated
        return max(stated, UNKNOWN_PATIENCE - PATIENCE_MARGIN)

    def head(self, attempt: int, head: Head) -> Iterator[Command]:
        """The head of the answer, if none went out before it; else what it says is lost."""
        if not self.begun:
            yield SendHeaders(attempt, head)

    def in_stream(self, answer: WireResponse | Fault) -> bytes:
        """The bytes that say inside the stream what `answer` would have said in its place."""
        if isinstance(answer, WireResponse) and self._is_stream(answer):
            return answer.body
        error = self._error(answer)
        return self.protocol.encoder(self.call).close((error,), Progress())

    def _is_stream(self, answer: WireResponse) -> bool:
        return answer.status < 300 and is_event_stream(Head(answer.status, answer.headers), self.call)

    def _error(self, answer: WireResponse | Fault) -> StreamError:
        if isinstance(answer, Fault):
            return StreamError(answer.kind, answer.message, status=answer.status)
        if answer.status < 300:
            return StreamError(
                "upstream_error", "the provider's answer is not one of this protocol", status=502
            )
        said = error_of(self.protocol, self.call, answer)
        return replace(said, type=kind_of(said, answer.status), status=answer.status, native=True)


def waiting(call: Call, protocol: WireProtocol, timing: Timing) -> Waiting:
    """Only a generation that is streamed, to a client whose protocol has a harmless heartbeat, has one."""
    heartbeat = protocol.encoder(call).heartbeat()
    wanted = timing.heartbeat_before_commit and call.stream and call.operation is Operation.GENERATE
    return Waiting(call, protocol, timing.heartbeat if wanted and heartbeat else 0.0, heartbeat)


LINGER = 5.0
"""Seconds that a stream may stay open after its last frame."""


@dataclass(frozen=True, slots=True)
class Over:
    """How a call ended, for the record."""

    end: str
    """In one word."""
    detail: str
    """A message for a reader; may be empty."""
    status: int | None
    """Of HTTP, as the client got it. None: it got none."""
    head: Head | None
    """The head that the client got. None: it got nothing."""
    body: bytes = b""
    """The whole of an answer that no attempt was committed to."""


class Delivery:
    """What the client of one call has got."""

    def __init__(self, call: Call, protocol: WireProtocol, timing: Timing, began: float) -> None:
        self.began = began
        """When the call did, in seconds on the machine's clock."""
        self.waiting = waiting(call, protocol, timing)
        """What the client gets before the commit point."""
        self.committed = False
        """An answer began to go out."""
        self.head: Head | None = None
        """That of this answer."""
        self.first_token: float | None = None
        """When something visible went out, on the same clock."""
        self._hold = timing.hold if call.stream else 0.0
        self.silence = Silence(timing.heartbeat if self.waiting.heartbeat else 0.0)
        """What the client has had to wait since it got anything."""

    def latest(self, target: Target) -> float:
        """When the patience is over of a client that has nothing yet."""
        return self.began + self.waiting.patience(target.terms.timing.patience)

    def start(self) -> Iterator[Command]:
        if self._hold:
            yield SetTimer(CALL, Timer.HOLD, self._hold)
        yield from self.waiting.watch()

    def commit(self, attempt: Attempt, current: Reading, now: float) -> Sequence[Command]:
        """The head of the answer and all that was held of it; its silences are watched from now on."""
        self.committed, self.head = True, current.head
        data, is_last = current.release()
        attempt.stall.since = now
        if current.progress.visible:
            self.first_token = now
            attempt.gate.shown(now)
        out = [*self.waiting.head(attempt.number, current.head), *self.send(attempt.number, data, now)]
        if current.streamed:
            if attempt.stall.longest:
                out.append(SetTimer(attempt.number, Timer.STALL, attempt.stall.longest))
            out += self.watch(attempt.number, now)
        if is_last:
            out.append(SetTimer(attempt.number, Timer.LINGER, LINGER))
        return out

    def send(self, attempt: int, data: bytes, now: float) -> Sequence[Command]:
        if not data:  # a frame of another protocol may say nothing in the client's
            return ()
        self.silence.since = now
        return (SendData(attempt, data),)

    def note_first_token(self, attempt: Attempt, current: Reading, now: float) -> None:
        visible = current.settle().visible
        attempt.gate.note(current, now)
        if visible:
            self.first_token = now
            attempt.gate.shown(now)

    def drained(self, now: float) -> None:
        """The client has read all that went out."""
        self.silence.since = now

    def watch(self, attempt: int, now: float) -> Sequence[Command]:
        """The client gets heartbeats in a silence from now on, if it did not already."""
        silence = self.silence
        if not silence.longest:
            return ()
        left = silence.longest - (now - silence.since)
        return (SetTimer(attempt, Timer.HEARTBEAT, max(left, 0.0)),)

    def heartbeat(self, attempt: int, now: float) -> Iterator[Command]:
        """Only whole frames go out, so that this stands between two. It is no life of upstream's."""
        if self.silence.left(now) <= 0:
            self.silence.since = now
            yield SendData(attempt, self.waiting.heartbeat, heartbeat=True)
        yield from self.watch(attempt, now)

    def whole(self, attempt: int, head: Head, body: bytes) -> Iterator[Command]:
        """An answer that no attempt was committed to."""
        yield from self.waiting.head(attempt, head)
        if body:
            yield SendData(attempt, body)

    def summary(
        self, over: Over, ledger: Ledger, progress: Progress, now: float, *, continued: bool = False
    ) -> Summary:
        """The record of the call, which ends now; `progress`: what the client got; `went_on`: by several
        answers, not all of which were counted."""
        first_token = self.first_token
        return Summary(
            end=over.end,
            detail=over.detail,
            attempts=ledger.ended,
            target=ledger.target.index,
            progress=progress,
            began=self.began,
            seconds=now - self.began,
            first_token=None if first_token is None else first_token - self.began,
            status=over.status,
            estimated=over.end == "truncated" or continued,
            continued=continued,
            head=over.head,
            body=over.body,
            fields=tuple(ledger.fields),
        )


@dataclass(frozen=True, slots=True)
class Whole:
    """An answer that no attempt was committed to."""

    head: Head
    """Goes out unless the client has got one."""
    body: bytes
    """The bytes that the client gets. Where it was promised a stream they say in a frame what the record
    has."""
    over: Over
    """What is recorded."""


def error_response(given: GiveUp, protocol: WireProtocol, waiting: Waiting) -> Whole:
    """The provider's own answer as it was, or a fault of ours in the words of `protocol`."""
    answer = given.answer
    response = protocol.error(answer) if isinstance(answer, Fault) else answer
    detail = given.detail or (answer.message if isinstance(answer, Fault) else "the provider's own answer")
    head = Head(response.status, response.headers, response.reason)
    body, status = response.body, head.status
    if waiting.begun:
        body, status = waiting.in_stream(answer), 200
    return Whole(head, body, Over("rejected", detail, status, head, response.body))


def misfit(protocol: WireProtocol, waiting: Waiting) -> Whole:
    """Of a whole answer, where the client was promised a stream."""
    message = "the provider answered whole where a stream was asked for"
    fault = Fault(502, "upstream_error", message, should_retry=False)
    return error_response(GiveUp(fault), protocol, waiting)


def cut_answer(current: Reading | None, outcome: Outcome, mode: OnTruncation) -> Whole | None:
    """What was gathered of an answer that was cut for good: as "length" it says that it was. None
    where there is nothing to report, or it is not wanted."""
    cut = isinstance(outcome, Truncated | Stalled) and mode is not OnTruncation.ERROR
    body = current.partial() if current and cut else b""
    if not current or not body:
        return None
    detail, head = f'cut: {outcome.label}; ended with finish_reason "length"', current.head
    return Whole(head, body, Over("truncated", detail, head.status, head, body))

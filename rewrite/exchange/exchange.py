"""One call as a state machine: events in, commands out; no sockets, no clock, no secrets.

Nothing reaches the client before the commit point: the first visible part, or a proper end. Before it
an attempt that fails is followed by another one and the client does not notice; after it the answer is only
passed on, and closed honestly when it is cut.

`TRANSITIONS`, at the end, is the specification: what may happen in which state, who handles it, and which
states that may lead to. docs/exchange.md is drawn from it. Two rules come before the table: an event of an
attempt that is over is dropped, by its number, and so is every event after the end of the call. Anything
else that the table does not have is a fault of ours (`UnexpectedEvent`).

Everything that changes the state is in this file. What is known stands beside it: in `Ledger` who was
asked and who is next, with the one `Attempt` that is under way; in `Delivery` what the client has got; in
`Continuation` how the rest of a cut answer is asked for.
"""

import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from enum import Enum
from typing import Any, assert_never

from protocols.base import Encoder, WireProtocol
from protocols.model.call import Call, Operation
from protocols.model.errors import Fault, InternalError
from protocols.model.http import Head
from protocols.model.parts import ErrorKind
from protocols.model.progress import Progress
from protocols.model.segment import Segment
from protocols.model.wirejson import parsed_size
from rewrite.continuation.continuation import ClientStream, Continuation, blames_the_request, can_continue
from rewrite.continuation.continued_answer import ContinuedReading, continued_reading
from rewrite.exchange.attempt import Attempt
from rewrite.exchange.delivery import LINGER, Delivery, Over, Whole, cut_answer, error_response, misfit
from rewrite.exchange.ending import (
    COMPLETED,
    PROXY_STOPPED,
    STOPPED,
    TRUNCATED,
    Cut,
    Empty,
    Ending,
    completeness,
    ending,
    errored,
    with_left_out,
)
from rewrite.exchange.ledger import Ledger
from rewrite.policies import classify
from rewrite.targets.reading import FRAME_COST, NO_END, EventByEvent, Reading, Verdict
from rewrite.targets.target import Target
from rewrite.translation import repair
from rewrite.translation.choices import choices_asked
from rewrite.values.decision import GiveUp, Retry
from rewrite.values.events import (
    CALL,
    Acquired,
    AwaitCredential,
    ClientDrained,
    ClientGone,
    Command,
    EndResponse,
    Event,
    NoneFree,
    OpenUpstream,
    Report,
    SendData,
    SetTimer,
    Shutdown,
    Start,
    TimerFired,
    UpstreamClosed,
    UpstreamData,
    UpstreamSent,
    UpstreamStarted,
)
from rewrite.values.outcome import (
    Abandoned,
    Completed,
    Kind,
    Outcome,
    Rejected,
    Stalled,
    Truncated,
    Unreachable,
    is_away,
)
from rewrite.values.timer import Timer

type Trigger = type[object] | Timer
"""What happens: an event, or one of the timers, all of which come as one event."""

_ERROR_WORD = b"error"
_ERROR_MARK = re.compile(rb'"error"|event: ?error')
"""What an error has as its type, its key or the name of its event, and a text that has the word has not."""


class State(Enum):
    """Where a call is; the value says so to a reader."""

    NEW = "not started"
    ACQUIRING = "asks for a credential"
    WAITING = "waits in line for a credential"
    CONNECTING = "the request is on its way"
    AWAITING_HEAD = "the request has left"
    READING_ERROR = "an error comes"
    HOLDING = "an answer comes and is held"
    COMMITTED = "the answer is passed on"
    CONTINUING = "the rest of a cut answer is passed on"
    BACKING_OFF = "a pause before the next attempt"
    OVER = "the end"


STOPPED_RETRY = 1.0
"""Seconds after which a client may ask again of which the proxy has ended."""

_READING = (State.HOLDING, State.COMMITTED, State.CONTINUING)


class UnexpectedEvent(InternalError):
    """A fault of ours: what happened cannot happen in this state."""

    def __init__(self, trigger: Trigger, state: State) -> None:
        super().__init__(f"{name_of(trigger)} in state {state.name}")


def name_of(trigger: Trigger) -> str:
    """An event by its type, a timer by its value."""
    return trigger.value if isinstance(trigger, Timer) else trigger.__name__


def trigger_of(event: Event) -> Trigger:
    return event.timer if isinstance(event, TimerFired) else type(event)


def _size(data: bytes, segments: Sequence[Segment]) -> int:
    """What `data` comes to in memory, as so many frames."""
    return parsed_size(data) + FRAME_COST * len(segments)


class Exchange:
    """`handle` is the whole interface; after the end of the call it answers every event with nothing."""

    def __init__(self, call: Call, protocol: WireProtocol, targets: Sequence[Target], now: float) -> None:
        """`targets` in the order in which they are asked, at least one."""
        self.state = State.NEW
        self._call, self._protocol = call, protocol
        self._now = now
        self._delivery = Delivery(call, protocol, targets[0].terms.timing, now)
        self._waiting = self._delivery.waiting
        self._ledger = Ledger(call, protocol, targets, self._delivery.latest)
        self._continuation: Continuation | None = None
        self._generates = call.operation is Operation.GENERATE
        self._hold_over = False
        self._out: list[Command] = []

    def handle(self, event: Event, now: float) -> Sequence[Command]:
        """What is to be done about `event`, in order; `now` in seconds on the machine's clock.

        Raises UnexpectedEvent.
        """
        self._now, self._out = now, []
        if not self._over and self._concerns(event):
            trigger = trigger_of(event)
            transition = TRANSITIONS[self.state].get(trigger)
            if transition is None:
                raise UnexpectedEvent(trigger, self.state)
            transition.handler(self, event)
        return self._out

    def _concerns(self, event: Event) -> bool:
        if isinstance(event, Start | ClientDrained | ClientGone | Shutdown):
            return True
        return event.attempt in (self._ledger.current.number, CALL)

    # -- for who looks meanwhile ----------------------------------------------------------------------

    @property
    def began(self) -> float:
        """When the call did, in seconds on the machine's clock."""
        return self._delivery.began

    @property
    def attempts(self) -> int:
        """The number of the attempt that is under way, or comes next."""
        return self._ledger.current.number

    @property
    def credential(self) -> str:
        """The name of the one that the attempt holds. Empty: none."""
        return self._ledger.current.credential or ""

    @property
    def silent_since(self) -> float | None:
        """When the request had left to which nothing has come, in seconds on the machine's clock. None: no
        attempt waits so."""
        current = self._ledger.current
        waits = self.state in (State.AWAITING_HEAD, State.HOLDING) and not current.alive
        return current.sent_at if waits else None

    @property
    def target(self) -> Target:
        """Which is asked, or is asked next."""
        return self._ledger.target

    # -- what happens ---------------------------------------------------------------------------------

    @property
    def _over(self) -> bool:
        return self.state is State.OVER

    @property
    def _epoch(self) -> float:
        """The present, in epoch seconds."""
        return self._now + self._ledger.target.terms.epoch

    @property
    def _attempt(self) -> Attempt:
        return self._ledger.current

    @property
    def _reading(self) -> Reading:
        """The answer that comes; only in the states in which one does."""
        reading = self._ledger.current.reading
        assert reading is not None
        return reading

    # -- before the answer ----------------------------------------------------------------------------

    def _start(self, _: Start) -> None:
        self.state = State.ACQUIRING
        self._out += (*self._delivery.start(), self._ledger.acquire)

    def _acquire(self) -> None:
        self.state = State.ACQUIRING
        self._out.append(self._ledger.acquire)

    def _acquired(self, found: Acquired) -> None:
        self.state = State.CONNECTING
        self._ledger.acquired(found)
        attempt = self._ledger.current
        fields, continuation = attempt.fields, self._continuation
        attempt.instead = fields.instead if fields else None
        if continuation is not None:
            attempt.instead = continuation.request(self._ledger.target, attempt.instead)
        if fields is not None:
            fields.continues = continuation is not None
        own = fields.own if fields else None
        self._out.append(OpenUpstream(attempt.number, attempt.fresh, attempt.instead, own))

    def _none_free(self, none: NoneFree) -> None:
        ledger = self._ledger
        if self._continuation is not None:
            self._none_free_to_continue(self._continuation, none)
        elif none.own:
            self._await_own(none)
        elif decision := ledger.without_other():
            self._none_other(decision)
        elif not ledger.acquire.insist and ledger.skip_to_next(self._now, none):
            self._acquire()
        else:
            self._wait_or_give(ledger.without_credential(none, self._now))

    def _none_free_to_continue(self, continuation: Continuation, none: NoneFree) -> None:
        if wanted := self._ledger.await_rest(none):
            self._wait_or_give(wanted)
        else:
            self._continuation_failed(continuation, Unreachable("no credential is free"))

    def _await_own(self, none: NoneFree) -> None:
        if wanted := self._ledger.await_own(none, self._now):
            self._wait_or_give(wanted)
        else:
            self._acquire()

    def _wait_or_give(self, decision: AwaitCredential | GiveUp) -> None:
        if isinstance(decision, GiveUp):
            self._retry_or_give(decision)
        else:
            self.state = State.WAITING
            self._out.append(decision)

    def _none_other(self, decision: Retry | GiveUp) -> None:
        if isinstance(decision, GiveUp):
            self._give_up(decision)
        else:
            self._retry_or_give(decision)

    def _sent(self, _: UpstreamSent) -> None:
        self.state = State.AWAITING_HEAD
        self._out += self._ledger.sent(self._now)

    def _headed(self, started: UpstreamStarted) -> None:
        head = started.head
        self._attempt.head = head
        if not 200 <= head.status < 300:
            self.state = State.READING_ERROR
        elif self._continuation is not None:
            self._begin_continuation(self._continuation.client_stream, head)
        else:
            self._begin_answer(head)

    def _begin_answer(self, head: Head) -> None:
        self.state = State.HOLDING
        ledger = self._ledger
        current = ledger.current.reading = ledger.target.reading(head, ledger.current.fields)
        if ledger.target.call.stream and not (current.streamed or current.gathering):
            response = ledger.target.terms.timing.response  # it has no first token
            self._out += ledger.current.arm(Timer.RESPONSE, response, self._now)

    def _begin_continuation(self, client_stream: ClientStream, head: Head) -> None:
        self.state = State.CONTINUING
        ledger = self._ledger
        fields = ledger.current.fields
        ledger.current.reading = continued_reading(client_stream, ledger.target, head, fields)
        ledger.current.stall.since = self._now
        self._out += ledger.current.watch(self._now) if ledger.target.call.stream else ()

    # -- an error comes -------------------------------------------------------------------------------

    def _read_error(self, event: UpstreamData) -> None:
        attempt = self._ledger.current
        attempt.alive = True
        attempt.kept += parsed_size(event.data)
        attempt.keep(event.data)
        if self._is_too_large:
            self._fail(self._ledger.unanswered(None, self._now))

    def _closed_unanswered(self, closed: UpstreamClosed) -> None:
        self._attempt.open = False
        self._fail(self._ledger.unanswered(closed, self._now))

    # -- an answer comes, and is held -----------------------------------------------------------------

    def _hold(self, event: UpstreamData) -> None:
        attempt, current = self._ledger.current, self._reading
        attempt.alive = True
        segments = current.feed(event.data)
        held = self._examine(current, segments)
        if self.state is State.HOLDING:
            attempt.kept += parsed_size(event.data) + FRAME_COST * held
            if current.gathering is not None:
                self._out += attempt.overhear(self._ledger.target.terms.timing, self._now)
        if current.malformed or attempt.kept > self._ledger.target.terms.limits.body:
            self._check_sound(current)

    def _examine(self, current: Reading, segments: Sequence[Segment]) -> int:
        """Hold frames until one commits the answer or fails the attempt; how many were looked at."""
        frames = EventByEvent(segments)
        for segment in frames:
            self._hold_one(current, segment, frames)
            if self.state is not State.HOLDING:
                return frames.taken
        if self._hold_over and not self._waiting.begun and current.streamed and current.held:
            self._commit(current)
        return frames.taken

    def _hold_one(self, current: Reading, segment: Segment, following: EventByEvent) -> None:
        if error := current.hold(segment):
            rejected = classify.in_band(error, self._ledger.target.errors, self._epoch)
            self._fail(replace(rejected, answer=current.error_response(error, rejected.status)))
            return
        attempt, timing = self._ledger.current, self._ledger.target.terms.timing
        verdict = attempt.gate.judge(current, timing, self._now)
        if verdict is Verdict.COMMIT and self._generates and current.says_nothing:
            self._fail(current.foreign())
        elif verdict is Verdict.COMMIT:
            self._commit(current)
            if others := following.remainder():
                self._pass_on(current, others)
        elif verdict is Verdict.WATCH:
            self._out += attempt.arm(Timer.THROUGHPUT, timing.throughput_window, self._now)

    def _commit(self, current: Reading) -> None:
        if self._waiting.begun and current.comes_whole:
            self._end(Completed())
            self._give(misfit(self._protocol, self._waiting))
        else:
            self.state = State.COMMITTED
            self._attempt.kept, self._attempt.committed = 0, True
            self._out += self._delivery.commit(self._attempt, current, self._now)

    def _closed_held(self, closed: UpstreamClosed) -> None:
        self._attempt.open = False
        current = self._reading
        self._examine(current, current.eof())
        if self.state is State.HOLDING and not current.damaged:
            self._lose(current, current.came_to_nothing(closed.cause))
        self._close(current, closed.cause)

    def _lose(self, current: Reading, outcome: Outcome) -> None:
        """The attempt fails, but for what it has shown already where no other one would follow."""
        if current.progress.visible and not self._ledger.would_follow(outcome, self._now):
            self._commit(current)
        else:
            self._fail(outcome)

    # -- the answer is passed on ----------------------------------------------------------------------

    def _pass(self, event: UpstreamData) -> None:
        attempt, current = self._ledger.current, self._reading
        attempt.alive = True
        segments = current.feed(event.data)
        if self._ledger.target.terms.timing.any_byte_keeps_alive:
            attempt.stall.since = self._now
        if not self._pass_on(current, segments):
            attempt.kept += _size(event.data, segments)
        if current.malformed or attempt.kept > self._ledger.target.terms.limits.body:
            self._check_sound(current)

    def _pass_on(self, current: Reading, segments: Sequence[Segment]) -> bool:
        """The hot path: whole frames, unread, in one write; whether anything went out."""
        if self._over or not segments:
            return False
        attempt, delivery = self._ledger.current, self._delivery
        data = current.pass_on(segments)
        if data:  # a frame of another protocol may say nothing in the client's
            attempt.kept, delivery.silence.since = 0, self._now
            self._out.append(SendData(attempt.number, data))
        if not (segments[-1].idle and all(segment.idle for segment in segments)):
            attempt.stall.since = self._now
        if delivery.first_token is None:
            delivery.note_first_token(attempt, current, self._now)
        if _ERROR_WORD in data and _ERROR_MARK.search(data):
            self._check_error(current)
        if segments[-1].last and self.state is not State.OVER:
            self._out.append(SetTimer(attempt.number, Timer.LINGER, LINGER))
        return bool(data)

    def _check_error(self, current: Reading) -> None:
        """An error in a form that the client's SDKs ignore is followed by the one that they raise on."""
        progress = current.settle()
        error = progress.error
        if error and not error.native:
            found = errored(error, self._ledger.target.errors, self._epoch, repair.raising(error))
            self._finish(current.encoder, found, progress)

    def _closed_passing(self, closed: UpstreamClosed) -> None:
        self._attempt.open = False
        current = self._reading
        self._pass_on(current, current.eof())
        self._close(current, closed.cause)

    # -- it cannot continue --------------------------------------------------------------------------

    def _check_sound(self, current: Reading) -> None:
        """What came may be too much, or nothing that can be framed."""
        if self.state not in _READING:
            return
        if self._is_too_large:
            self._too_large(current)
        elif current.malformed:
            self._unframeable(current)

    @property
    def _is_too_large(self) -> bool:
        return self._attempt.kept > self._ledger.target.terms.limits.body

    def _too_large(self, current: Reading) -> None:
        """Another attempt would be as large, and may have to be paid for."""
        longest = self._ledger.target.terms.limits.body
        excess = f"more than {longest} bytes in memory that cannot be passed on in pieces ([limits] body)"
        if self.state is not State.HOLDING:
            self._cut(current, Truncated(excess))
            return
        self._end(Rejected(current.head.status, Kind.REQUEST, excess))
        fault = Fault(502, "upstream_error", f"the provider's answer has {excess}", should_retry=False)
        self._give(error_response(GiveUp(fault), self._protocol, self._waiting))

    def _unframeable(self, current: Reading) -> None:
        if self.state is State.HOLDING:
            broken = Truncated(current.malformed)
            self._lose(current, current.came_to_nothing(None) if current.damaged else broken)
        if self.state in _READING:
            self._broken_off(current, Truncated(current.malformed))

    def _broken_off(self, current: Reading, outcome: Truncated) -> None:
        """What follows an event that was none cannot be joined to what came before: an error, and no
        "length". After a proper end it means nothing."""
        if current.damaged and self.state is State.COMMITTED and not current.settle().over:
            detail = f"{outcome.cause}; ended with an error"
            found = Ending(outcome, "failed", detail, repair.failing(outcome.cause))
            self._finish(current.encoder, found, current.progress)
        else:
            self._cut(current, outcome)

    def _close(self, current: Reading, cause: str | None) -> None:
        """Upstream has ended the answer, all of which was read; unless that made an end of the attempt."""
        if self.state not in _READING:
            return
        if current.damaged:
            self._unframeable(current)
        else:
            self._conclude(current, Truncated(cause or NO_END), clean=cause is None)

    # -- a committed answer ends ----------------------------------------------------------------------

    def _cut(self, current: Reading, outcome: Outcome, *, was_over: bool = False) -> None:
        """The answer is waited for no longer; what came of it is read to its end."""
        self._pass_on(current, current.eof())
        if self.state in _READING:
            self._conclude(current, outcome, clean=was_over, was_over=was_over)

    def _conclude(self, current: Reading, otherwise: Outcome, *, clean: bool, was_over: bool = False) -> None:
        """The committed answer is over: properly, with an error of its own, or cut as `otherwise` says.

        `clean`: nothing broke it off, so that a choice that never began was never meant to. `was_over`: the
        client has its end, and does not get what upstream began after that.
        """
        progress, target = current.settle(), self._ledger.target
        left_out = current.left_out if current.calls else ()
        if isinstance(current, ContinuedReading) and current.failed:
            otherwise = classify.in_band(current.failed, target.errors, self._epoch)
        if not clean:
            progress.expect(choices_asked(self._call))
        if progress.ended and progress.error is None:
            self._finish(current.encoder, COMPLETED, progress, left_out)
            return
        end = completeness(progress)
        # What can be continued is read off the whole prompt: only a cut asks.
        more = not was_over and isinstance(end, Cut | Empty) and self._is_continuable(current, progress)
        now, streamed = self._epoch, current.streamed
        found = ending(end, progress, otherwise, target, now, streamed=streamed, can_continue=more)
        if isinstance(found, Ending):
            self._finish(current.encoder, found, progress, left_out)
        else:
            self._continue(self._cut_once_more(current), otherwise)

    def _is_continuable(self, current: Reading, progress: Progress) -> bool:
        most = self._ledger.target.terms.continuations
        if self._continuation is not None:
            return self._continuation.possible(progress, most, current)
        return most > 0 and current.streamed and can_continue(self._call, self._protocol, progress)

    def _cut_once_more(self, current: Reading) -> Continuation:
        if self._continuation is None:
            self._continuation = Continuation.after(current, self._call, self._protocol)
        self._continuation.cut(current)
        return self._continuation

    def _finish(
        self, encoder: Encoder, found: Ending, progress: Progress, left_out: Sequence[str] = ()
    ) -> None:
        """The end of a committed answer, of which the client has got `progress`, closed by its parts."""
        number = self._ledger.current.number
        self._serve_fields(found, progress)
        if found.parts:
            closing = encoder.close(found.parts, progress, begun=True)
            self._out += self._delivery.send(number, closing, self._now)
        self._out += self._ledger.end(found.outcome, self._now)
        detail = with_left_out(found.detail, left_out) if left_out else found.detail
        if self._continuation is not None:
            detail = self._continuation.detail(detail)
        head = self._delivery.head
        assert head is not None
        self._report(Over(found.end, detail, head.status, head), progress)
        self._out.append(EndResponse(number))

    def _serve_fields(self, found: Ending, progress: Progress) -> None:
        """What the field cache gets of an answer that ended as `found`: of a cut one what its events said,
        each of which is whole; of one that ends with an error nothing, as its client has no answer."""
        if found.end == COMPLETED.end:
            self._served(progress)
        elif found.end == TRUNCATED:
            self._served()
        else:
            self._ledger.fields.clear()

    def _served(self, progress: Progress | None = None) -> None:
        """See `Ledger.served`."""
        self._ledger.served(progress)

    def _continue(self, continuation: Continuation, outcome: Outcome) -> None:
        """Ask for the rest of an answer that was cut."""
        self._served()
        self._end(outcome)
        continuation.times += 1
        self._ask_to_continue()

    def _ask_to_continue(self, delay: float = 0.0) -> None:
        self._ledger.begin_continuation()
        self._retry_or_give(Retry(delay=delay))
        self._out += self._delivery.watch(self._attempt.number, self._now)

    def _continuation_failed(self, continuation: Continuation, outcome: Outcome) -> None:
        """A continuation came to nothing: another one, or the end of what there is."""
        client_stream, target = continuation.client_stream, self._ledger.target
        delay = self._ledger.continuation_delay(self._now) if is_away(outcome) else None
        if delay is not None:
            self._ask_to_continue(delay)
            return
        more = continuation.possible(self._progress(), target.terms.continuations, None)
        if more and (self._ledger.has_next or not blames_the_request(outcome)):
            self._continue(continuation, outcome)
            return
        progress = client_stream.progress
        found = ending(completeness(progress), progress, outcome, target, self._epoch, streamed=True)
        assert isinstance(found, Ending)
        self._finish(client_stream, found, self._progress())

    # -- the client -----------------------------------------------------------------------------------

    def _left(self, _: ClientGone) -> None:
        self._end(Abandoned())
        self._report(Over("abandoned", "the client left", None, self._delivery.head), self._progress())

    def _left_in_answer(self, gone: ClientGone) -> None:
        """Measured: SDKs hang up on the last frame, without the end of the body, and on an error; that call
        is complete, or has failed."""
        current = self._reading
        if current.settle().over:
            self._cut(current, Truncated(NO_END), was_over=True)
        else:
            self._served()
            self._left(gone)

    def _drained(self, _: ClientDrained) -> None:
        self._attempt.stall.since = self._now
        self._delivery.drained(self._now)

    # -- the proxy ends -------------------------------------------------------------------------------

    def _stopped(self, _: Shutdown) -> None:
        """Its client can ask again where another proxy listens, or this one once it is back."""
        self._end(Abandoned())
        if self._continuation is not None:
            self._finish(self._continuation.client_stream, STOPPED, self._progress())
        else:
            fault = Fault(503, ErrorKind.SERVER, PROXY_STOPPED, retry_after=STOPPED_RETRY)
            self._give(error_response(GiveUp(fault), self._protocol, self._waiting))

    def _stopped_in_answer(self, _: Shutdown) -> None:
        """An error, whatever a cut answer ends with: what asked for it can ask again at once."""
        current = self._reading
        if current.settle().over:
            self._cut(current, Truncated(NO_END), was_over=True)
            return
        self._pass_on(current, current.eof())
        if self.state in _READING:
            self._finish(current.encoder, STOPPED, current.settle())

    # -- the attempt came to nothing ------------------------------------------------------------------

    def _fail(self, outcome: Outcome) -> None:
        """It showed the client nothing."""
        self._attempt.fields = None
        self._end(outcome)
        if self._continuation is not None:
            self._continuation_failed(self._continuation, outcome)
            return
        decision = self._ledger.decision(self._now)
        if isinstance(decision, GiveUp):
            self._give_up(decision, outcome)
            return
        self._ledger.again(decision)
        self._retry_or_give(decision)

    def _give_up(self, decision: GiveUp, outcome: Outcome | None = None) -> None:
        """The target came to nothing: the next one is asked, or the client gets what there is."""
        terms = self._ledger.target.terms
        if self._ledger.skip_to_next(self._now):
            self._acquire()
        elif outcome and (answer := cut_answer(self._attempt.reading, outcome, terms.on_truncation)):
            self._ledger.gave_last()
            self._give(answer)
        else:
            self._retry_or_give(decision)

    def _retry_or_give(self, decision: Retry | GiveUp) -> None:
        match decision:
            case Retry(delay=delay) if delay:
                self.state = State.BACKING_OFF
                self._out.append(SetTimer(self._attempt.number, Timer.BACKOFF, delay))
            case Retry():
                self._acquire()
            case GiveUp():
                self._give(error_response(decision, self._protocol, self._waiting))
            case _:
                assert_never(decision)

    def _end(self, outcome: Outcome) -> None:
        self._out += self._ledger.end(outcome, self._now)

    def _give(self, answer: Whole) -> None:
        """The end of a call that never committed."""
        self._out += self._delivery.whole(self._attempt.number, answer.head, answer.body)
        self._report(answer.over, self._progress())
        self._out.append(EndResponse(self._attempt.number))

    # -- timers ---------------------------------------------------------------------------------------

    def _backed_off(self, _: TimerFired) -> None:
        self._acquire()

    def _due(self, timer: Timer) -> Stalled | None:
        """What ended the attempt, if its silence has lasted; it is watched on if it has not."""
        found = self._attempt.fired(timer, self._now)
        if isinstance(found, SetTimer):
            self._out.append(found)
            return None
        return found

    def _due_in_error(self, fired: TimerFired) -> None:
        if self._due(fired.timer):
            self._fail(self._ledger.unanswered(None, self._now))

    def _due_before_commit(self, fired: TimerFired) -> None:
        if stalled := self._due(fired.timer):
            self._fail(stalled)

    def _slow_held(self, fired: TimerFired) -> None:
        if stalled := self._due(fired.timer):
            self._lose(self._reading, stalled)

    def _stalled_held(self, fired: TimerFired) -> None:
        """What was gathered may be all of the answer."""
        stalled, current = self._due(fired.timer), self._reading
        if stalled is None:
            return
        self._examine(current, current.eof())
        if self.state is State.HOLDING:
            self._fail(stalled)
        elif self.state is State.COMMITTED:
            self._conclude(current, stalled, clean=False)

    def _stalled_passing(self, fired: TimerFired) -> None:
        if stalled := self._due(fired.timer):
            self._cut(self._reading, stalled)

    def _due_passing(self, fired: TimerFired) -> None:
        """After the commit point a silence that is no stall ends an answer that has said nothing."""
        stalled, current = self._due(fired.timer), self._reading
        if stalled is None:
            return
        if not current.adds:
            self._fail(stalled)
        elif not (current.settle().visible or current.call_under_way):
            self._cut(current, stalled)

    def _hold_ended(self, _: TimerFired) -> None:
        """Clients give up on headers: what comes from now on is committed without a token. Not where they
        have a head already."""
        self._hold_over = not self._waiting.begun

    def _hold_ended_held(self, fired: TimerFired) -> None:
        self._hold_ended(fired)
        if self._hold_over and self._reading.held:
            self._commit(self._reading)

    def _lingered(self, _: TimerFired) -> None:
        """The last frame came, the connection stayed: done is done."""
        current = self._reading
        if current.settle().ended:
            self._cut(current, Truncated(NO_END), was_over=True)

    def _heartbeat(self, _: TimerFired) -> None:
        self._out += self._delivery.heartbeat(self._attempt.number, self._now)

    def _heartbeat_before_commit(self, _: TimerFired) -> None:
        self._out += () if self._delivery.committed else self._waiting.fired()

    def _ignore(self, _: Event) -> None:
        """It means nothing any more."""

    # -- the record -----------------------------------------------------------------------------------

    def _progress(self) -> Progress:
        """What the client has got of an answer."""
        current = self._attempt.reading
        if self._continuation is not None:
            return self._continuation.progress(current)
        return current.settle() if current else Progress()

    def _report(self, over: Over, progress: Progress) -> None:
        self.state = State.OVER
        continued = self._continuation is not None
        record = self._delivery.summary(over, self._ledger, progress, self._now, continued=continued)
        self._out.append(Report(record))


# -- the table --------------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class Transition:
    """What is done about something that happens in a state."""

    handler: Callable[[Exchange, Any], None]
    to: frozenset[State]
    """The states that it may lead to; empty: it stays in the one that it was in."""


def _on[E: Event](
    event: type[E], handler: Callable[[Exchange, E], None], *to: State
) -> tuple[Trigger, Transition]:
    return event, Transition(handler, frozenset(to))


def _at(
    timer: Timer, handler: Callable[[Exchange, TimerFired], None], *to: State
) -> tuple[Trigger, Transition]:
    return timer, Transition(handler, frozenset(to))


def _rows(*rows: tuple[Trigger, Transition]) -> Mapping[Trigger, Transition]:
    """Raises ValueError where two are of the same trigger."""
    found = dict(rows)
    if len(found) < len(rows):
        raise ValueError("two transitions of one trigger")
    return found


_FAILED = (State.ACQUIRING, State.BACKING_OFF, State.OVER)
"""An attempt came to nothing: another one at once, another one later, or the end."""

_CUT = (State.ACQUIRING, State.OVER)
"""An answer was cut, or too slow: another attempt at once, or the end."""

_CALL = (
    _on(ClientDrained, Exchange._drained),
    _at(Timer.HEARTBEAT_BEFORE_COMMIT, Exchange._heartbeat_before_commit),
)
_CALL_UNANSWERED = (
    *_CALL,
    _on(ClientGone, Exchange._left, State.OVER),
    _on(Shutdown, Exchange._stopped, State.OVER),
    _at(Timer.HOLD, Exchange._hold_ended),
    _at(Timer.HEARTBEAT, Exchange._heartbeat),  # the rest of an answer is asked for
)
_CALL_ANSWERED = (
    *_CALL,
    _on(ClientGone, Exchange._left_in_answer, State.OVER),
    _on(Shutdown, Exchange._stopped_in_answer, State.OVER),
    _at(Timer.HOLD, Exchange._ignore),
    _at(Timer.HEARTBEAT, Exchange._heartbeat),
)

TRANSITIONS: Mapping[State, Mapping[Trigger, Transition]] = {
    State.NEW: _rows(
        _on(Start, Exchange._start, State.ACQUIRING),
        _on(ClientGone, Exchange._left, State.OVER),
    ),
    State.ACQUIRING: _rows(
        *_CALL_UNANSWERED,
        _on(Acquired, Exchange._acquired, State.CONNECTING),
        _on(NoneFree, Exchange._none_free, State.ACQUIRING, State.WAITING, *_FAILED),
    ),
    State.WAITING: _rows(
        *_CALL_UNANSWERED,
        _on(Acquired, Exchange._acquired, State.CONNECTING),
        _on(NoneFree, Exchange._none_free, State.ACQUIRING, State.WAITING, *_FAILED),
    ),
    State.CONNECTING: _rows(
        *_CALL_UNANSWERED,
        _on(UpstreamSent, Exchange._sent, State.AWAITING_HEAD),
        _on(UpstreamClosed, Exchange._closed_unanswered, *_FAILED),
    ),
    State.AWAITING_HEAD: _rows(
        *_CALL_UNANSWERED,
        _on(UpstreamStarted, Exchange._headed, State.HOLDING, State.READING_ERROR, State.CONTINUING),
        _on(UpstreamClosed, Exchange._closed_unanswered, *_FAILED),
        _at(Timer.FIRST_EVENT, Exchange._due_before_commit, *_CUT),
        _at(Timer.FIRST_TOKEN, Exchange._due_before_commit, State.AWAITING_HEAD, *_CUT),
        _at(Timer.RESPONSE, Exchange._due_before_commit, *_CUT),
    ),
    State.READING_ERROR: _rows(
        *_CALL_UNANSWERED,
        _on(UpstreamData, Exchange._read_error, State.READING_ERROR, *_FAILED),
        _on(UpstreamClosed, Exchange._closed_unanswered, *_FAILED),
        _at(Timer.FIRST_EVENT, Exchange._due_in_error, State.READING_ERROR, *_FAILED),
        _at(Timer.FIRST_TOKEN, Exchange._due_in_error, State.READING_ERROR, *_FAILED),
        _at(Timer.RESPONSE, Exchange._due_in_error, *_FAILED),
    ),
    State.HOLDING: _rows(
        *_CALL,
        _on(ClientGone, Exchange._left, State.OVER),
        _on(Shutdown, Exchange._stopped, State.OVER),
        _at(Timer.HOLD, Exchange._hold_ended_held, State.HOLDING, State.COMMITTED),
        _on(UpstreamData, Exchange._hold, State.HOLDING, State.COMMITTED, *_FAILED),
        _on(UpstreamClosed, Exchange._closed_held, *_FAILED),
        _at(Timer.FIRST_EVENT, Exchange._due_before_commit, State.HOLDING, *_CUT),
        _at(Timer.FIRST_TOKEN, Exchange._due_before_commit, State.HOLDING, *_CUT),
        _at(Timer.THROUGHPUT, Exchange._slow_held, State.COMMITTED, State.ACQUIRING),
        _at(Timer.STALL, Exchange._stalled_held, State.HOLDING, *_CUT),
        _at(Timer.RESPONSE, Exchange._due_before_commit, State.OVER),
    ),
    State.COMMITTED: _rows(
        *_CALL_ANSWERED,
        _on(UpstreamData, Exchange._pass, State.COMMITTED, *_CUT),
        _on(UpstreamClosed, Exchange._closed_passing, *_CUT),
        _at(Timer.FIRST_EVENT, Exchange._ignore),
        _at(Timer.FIRST_TOKEN, Exchange._due_passing, State.COMMITTED, *_CUT),
        _at(Timer.THROUGHPUT, Exchange._ignore),
        _at(Timer.RESPONSE, Exchange._due_passing, State.COMMITTED, State.OVER),
        _at(Timer.STALL, Exchange._stalled_passing, State.COMMITTED, *_CUT),
        _at(Timer.LINGER, Exchange._lingered, State.COMMITTED, State.OVER),
    ),
    State.CONTINUING: _rows(
        *_CALL_ANSWERED,
        _on(UpstreamData, Exchange._pass, State.CONTINUING, *_CUT),
        _on(UpstreamClosed, Exchange._closed_passing, *_CUT),
        _at(Timer.FIRST_EVENT, Exchange._due_passing, State.CONTINUING, *_CUT),
        _at(Timer.FIRST_TOKEN, Exchange._due_passing, State.CONTINUING, *_CUT),
        _at(Timer.RESPONSE, Exchange._due_passing, State.CONTINUING, *_CUT),
        _at(Timer.STALL, Exchange._stalled_passing, State.CONTINUING, *_CUT),
        _at(Timer.LINGER, Exchange._lingered, State.OVER),
    ),
    State.BACKING_OFF: _rows(*_CALL_UNANSWERED, _at(Timer.BACKOFF, Exchange._backed_off, State.ACQUIRING)),
    State.OVER: {},
}

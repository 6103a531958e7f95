"""One call as a state machine: events in, commands out; no sockets, no clock, no secrets.

Nothing reaches the client before the commit point: the first visible part, or a proper end. Before it
an attempt that fails is followed by another one and the client cannot tell; after it the answer is only
passed on, and closed honestly when it is cut. Every event and command carries its attempt's number, so
late bytes of a cancelled attempt are dropped by construction. One attempt, in order:

    Acquire -> Acquired -> OpenUpstream -> UpstreamSent -> UpstreamStarted -> UpstreamData* -> UpstreamClosed

Here events are told apart and commands put in order. What is known stands beside: `Attempts`, who was asked
and who is next, with the one `Attempt` that is under way; `Delivery`, what the client has got;
`Continuation`, how the rest of a cut answer is asked for.
"""

from collections.abc import Sequence
from dataclasses import replace
from typing import assert_never

from protocols.base import Encoder, WireProtocol
from protocols.model.call import Call, Operation
from protocols.model.errors import Fault
from protocols.model.http import Head
from protocols.model.progress import Progress
from protocols.model.segment import Segment
from protocols.model.wirejson import parsed_size
from rewrite.continuation.continuation import Continuation, blames_the_request
from rewrite.continuation.continued_answer import Rest, rest
from rewrite.exchange.attempt import Attempt
from rewrite.exchange.attempts import Attempts
from rewrite.exchange.commit_gate import Verdict
from rewrite.exchange.delivery import LINGER, Delivery, Over
from rewrite.exchange.ending import Ending, ending, errored, with_left_out
from rewrite.exchange.uncommitted import Whole, misfit, partial, refusal
from rewrite.policies import classify
from rewrite.policies.stream_end import Cut, Empty, verdict
from rewrite.target.reading import FRAME_COST, NO_END, Reading
from rewrite.target.target import Target
from rewrite.translation import repair
from rewrite.translation.choices import choices_asked
from rewrite.values.decision import GiveUp, Retry
from rewrite.values.events import (
    CALL,
    Acquired,
    ClientDrained,
    ClientGone,
    Command,
    EndResponse,
    Event,
    NoneFree,
    OpenUpstream,
    Report,
    SetTimer,
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

_ERROR_MARK = b'"error"'
_OF_THE_CALL = (Start, ClientDrained, ClientGone)


class Exchange:
    """`handle` is the whole interface; after the end of the call it answers every event with nothing."""

    def __init__(self, call: Call, protocol: WireProtocol, targets: Sequence[Target], now: float) -> None:
        """`targets` in the order in which they are asked, at least one."""
        self._call, self._protocol = call, protocol
        self._now = now
        self._delivery = Delivery(call, protocol, targets[0].terms.timing, now)
        self._waiting = self._delivery.waiting
        self._attempts = Attempts(call, protocol, targets, self._delivery.latest)
        self._going_on = Continuation(call, protocol)
        self._generates = call.operation is Operation.GENERATE
        self._done = self._hold_over = False
        self._out: list[Command] = []

    @property
    def committed(self) -> bool:
        return self._delivery.committed

    def handle(self, event: Event, now: float) -> Sequence[Command]:
        """What is to be done about `event`, in order; `now` in seconds on the machine's clock."""
        self._now, self._out = now, []
        if not self._done and self._concerns(event):
            self._dispatch(event)
        return self._out

    def _concerns(self, event: Event) -> bool:
        if isinstance(event, _OF_THE_CALL):
            return True
        return event.attempt in (self._attempts.current.number, CALL)

    def _dispatch(self, event: Event) -> None:
        match event:
            case UpstreamData(data=data):
                self._data(data)
            case TimerFired(timer=timer):
                self._timer(timer)
            case Start():
                self._out += (*self._delivery.start(), self._attempts.wish)
            case Acquired():
                self._acquired(event)
            case NoneFree():
                self._none_free(event)
            case UpstreamSent():
                self._out += self._attempts.sent(self._now)
            case UpstreamStarted(head=head):
                self._headers(head)
            case UpstreamClosed():
                self._closed(event)
            case ClientDrained():
                self._attempt.stall.since = self._now
                self._delivery.drained(self._now)
            case ClientGone():
                self._client_gone()
            case _:
                assert_never(event)

    @property
    def _attempt(self) -> Attempt:
        return self._attempts.current

    # -- before the answer ----------------------------------------------------------------------------

    def _acquired(self, found: Acquired) -> None:
        self._attempts.acquired(found)
        attempt = self._attempt
        attempt.instead = self._going_on.request(self._attempts.target)
        self._out.append(OpenUpstream(attempt.number, attempt.fresh, attempt.instead))

    def _none_free(self, none: NoneFree) -> None:
        if self._going_on.line is not None:
            self._rest_failed(Unreachable("no credential is free"))
        elif decision := self._attempts.without_other():
            self._none_other(decision)
        elif not self._attempts.wish.insist and self._attempts.passed_over(self._now, none.refused):
            self._out.append(self._attempts.wish)
        else:
            self._retry_or_give(self._attempts.without_credential(none, self._now))

    def _none_other(self, decision: Retry | GiveUp) -> None:
        if isinstance(decision, GiveUp):
            self._give_up(decision)
        else:
            self._retry_or_give(decision)

    def _headers(self, head: Head) -> None:
        self._out += self._attempts.sent(self._now)
        attempt, target, line = self._attempt, self._attempts.target, self._going_on.line
        attempt.head = head
        if not 200 <= head.status < 300:
            return
        if line is not None:
            attempt.reading = rest(line, target, head)
            attempt.stall.since = self._now
            self._out += attempt.watch(self._now) if self._attempts.streams else ()
            return
        current = attempt.reading = target.reading(head)
        if self._attempts.streams and not (current.streamed or current.gathering):
            response = self._attempts.terms.timing.response  # it has no first token
            self._out += attempt.arm(Timer.RESPONSE, response, self._now)

    # -- the answer comes -----------------------------------------------------------------------------

    def _data(self, data: bytes) -> None:
        attempt = self._attempts.current
        attempt.alive = True
        attempt.kept += parsed_size(data)
        current = attempt.reading
        if current is None:
            attempt.keep(data)
            if self._is_too_large:
                self._fail(self._attempts.refused(None, self._now))
            return
        segments = current.feed(data)
        attempt.kept += FRAME_COST * len(segments)
        if self._delivery.committed:
            if self._attempts.terms.timing.any_byte_is_life:
                attempt.stall.since = self._now
            self._pass_on(current, segments)
        elif not self._examine(current, segments):
            self._out += attempt.overhear(self._attempts.terms.timing, self._now)
        if self._is_too_large and not self._done:
            self._too_large(current)
        elif current.malformed and not self._done:
            self._unframeable(current)

    @property
    def _is_too_large(self) -> bool:
        return self._attempt.kept > self._attempts.terms.limits.body

    def _too_large(self, current: Reading) -> None:
        """Another attempt would be as large, and may have to be paid for."""
        longest = self._attempts.terms.limits.body
        told = f"more than {longest} bytes in memory that cannot be passed on in pieces ([limits] body)"
        if self.committed:
            self._conclude(current, Truncated(told))
            return
        outcome = Rejected(current.head.status, Kind.REQUEST, told)
        self._end(outcome)
        if self._going_on.line is not None:
            self._rest_failed(outcome)
        else:
            fault = Fault(502, "upstream_error", f"the provider's answer has {told}", should_retry=False)
            self._give(refusal(GiveUp(fault), self._protocol, self._waiting))

    def _unframeable(self, current: Reading) -> None:
        if not self.committed:
            broken = Truncated(current.malformed)
            self._lose(current, current.came_to_nothing(None) if current.damaged else broken)
        if self.committed and not self._done:
            self._broken_off(current, Truncated(current.malformed))

    def _broken_off(self, current: Reading, outcome: Truncated) -> None:
        """What follows an event that was none cannot be joined to what came before: an error, and no
        "length". Behind a proper end it means nothing."""
        if current.damaged and self._going_on.line is None and not current.settle().over:
            words = f"{outcome.cause}; ended with an error"
            self._finish(current.encoder, Ending(outcome, "failed", words, repair.failing(outcome.cause)))
        else:
            self._conclude(current, outcome)

    def _examine(self, current: Reading, segments: Sequence[Segment]) -> bool:
        """Hold frames until one commits the answer or fails the attempt; whether one did."""
        terms = self._attempts.terms
        for position, segment in enumerate(segments):
            if error := current.hold(segment):
                rejected = classify.in_band(error, self._attempts.target.errors)
                self._fail(replace(rejected, answer=current.refusal(error, rejected.status)))
                return True
            verdict = self._attempt.gate.judge(current, terms.timing, self._now)
            if verdict is Verdict.OPEN and self._generates and current.says_nothing:
                self._fail(current.foreign())
                return True
            if verdict is Verdict.OPEN:
                self._commit(current)
                self._pass_on(current, segments[position + 1 :])
                return True
            if verdict is Verdict.WATCH:
                window = terms.timing.throughput_window
                self._out += self._attempt.arm(Timer.THROUGHPUT, window, self._now)
        if self._hold_over and not self._waiting.begun and current.streamed and current.held:
            self._commit(current)
        return self.committed

    def _commit(self, current: Reading) -> None:
        if self._waiting.begun and current.comes_whole:
            self._end(Completed())
            self._give(misfit(self._protocol, self._waiting))
        else:
            self._attempt.kept = 0
            self._out += self._delivery.commit(self._attempt, current, self._now)

    def _pass_on(self, current: Reading, segments: Sequence[Segment]) -> None:
        """The hot path: whole frames, unread, in one write."""
        if not segments:
            return
        attempt, delivery = self._attempts.current, self._delivery
        data = current.encoder.encode(segments)
        attempt.kept = 0 if data else attempt.kept
        self._out += delivery.send(attempt.number, data, self._now)
        current.passed_on(segments, len(data))
        if not all(segment.idle for segment in segments):
            attempt.stall.since = self._now
        if delivery.first_token is None:
            delivery.note_first_token(attempt, current, self._now)
        if _ERROR_MARK in data:
            self._check_error(current)
        if segments[-1].last and not self._done:
            self._out.append(SetTimer(attempt.number, Timer.LINGER, LINGER))

    def _check_error(self, current: Reading) -> None:
        """An error in a form that the client's SDKs ignore is followed by the one that they raise on."""
        error = current.settle().error
        if error and not error.native:
            self._finish(current.encoder, errored(error, self._attempts.target.errors, repair.raising(error)))

    # -- it ends --------------------------------------------------------------------------------------

    def _closed(self, closed: UpstreamClosed) -> None:
        self._attempt.open = False
        cause = closed.cause
        current = self._attempt.reading
        if current is None:
            self._fail(self._attempts.refused(closed, self._now))
            return
        segments = current.eof()
        if self.committed:
            self._pass_on(current, segments)
        elif not (self._examine(current, segments) or current.damaged):
            self._lose(current, current.came_to_nothing(cause))
        if current.damaged and not self._done:
            self._unframeable(current)
        elif self.committed:
            self._conclude(current, Truncated(cause or NO_END), clean=cause is None)

    def _conclude(self, current: Reading, otherwise: Outcome, *, clean: bool = False) -> None:
        """The committed answer is over: properly, with an error of its own, or cut as `otherwise` says.

        `clean`: nothing broke it off, so that a choice that never began was never meant to.
        """
        if not self._done:
            self._pass_on(current, current.eof())
        if self._done:
            return
        progress, target = current.settle(), self._attempts.target
        if isinstance(current, Rest) and current.failed:
            otherwise = classify.in_band(current.failed, target.errors)
        if not clean:
            progress.expect(choices_asked(self._call))
        end = verdict(progress)
        # What can be gone on with is read off the whole prompt: only a cut asks.
        more = isinstance(end, Cut | Empty) and self._going_on.possible(
            progress, target.terms.continuations, current
        )
        found = ending(end, progress, otherwise, target, streamed=current.streamed, can_go_on=more)
        if isinstance(found, Ending):
            self._finish(current.encoder, found, current.left_out)
        else:
            self._going_on.cut(current)
            self._go_on(otherwise)

    def _finish(self, encoder: Encoder, found: Ending, left_out: Sequence[str] = ()) -> None:
        """The end of a committed answer, closed by its parts."""
        closing = encoder.close(found.parts, self._progress())
        self._out += self._delivery.send(self._attempt.number, closing, self._now)
        self._end(found.outcome)
        words = self._going_on.told(with_left_out(found.words, left_out))
        head = self._delivery.head
        assert head is not None
        self._report(Over(found.end, words, head.status, head))
        self._out.append(EndResponse(self._attempt.number))

    def _go_on(self, outcome: Outcome) -> None:
        """Ask for the rest of an answer that was cut."""
        self._end(outcome)
        self._going_on.times += 1
        self._ask_for_the_rest()

    def _ask_for_the_rest(self, delay: float = 0.0) -> None:
        self._attempts.for_the_rest()
        self._retry_or_give(Retry(delay=delay))
        self._out += self._delivery.watch(self._attempt.number, self._now)

    def _rest_failed(self, outcome: Outcome) -> None:
        """A continuation came to nothing: another one, or the end of what there is."""
        line, target = self._going_on.line, self._attempts.target
        assert line is not None
        delay = self._attempts.rest_delayed(self._now) if is_away(outcome) else None
        if delay is not None:
            self._ask_for_the_rest(delay)
            return
        more = self._going_on.possible(self._progress(), target.terms.continuations, None)
        if more and (self._attempts.has_next or not blames_the_request(outcome)):
            self._go_on(outcome)
            return
        found = ending(verdict(line.progress), line.progress, outcome, target, streamed=True)
        assert isinstance(found, Ending)
        self._finish(line, found)

    def _client_gone(self) -> None:
        """Measured: SDKs hang up on the last frame, without the end of the body, and on an error; that call
        is complete, or has failed."""
        current = self._attempt.reading
        if current and self.committed and current.settle().over:
            self._conclude(current, Truncated(NO_END), clean=True)
            return
        self._end(Abandoned())
        self._report(Over("abandoned", "the client left", None, self._delivery.head))

    # -- the attempt came to nothing ------------------------------------------------------------------

    def _fail(self, outcome: Outcome) -> None:
        """It showed the client nothing."""
        self._end(outcome)
        if self._going_on.line is not None:
            self._rest_failed(outcome)
            return
        decision = self._attempts.decision(self._now)
        if isinstance(decision, GiveUp):
            self._give_up(decision, outcome)
            return
        self._attempts.again(decision)
        self._retry_or_give(decision)

    def _give_up(self, decision: GiveUp, outcome: Outcome | None = None) -> None:
        """The target came to nothing: the next one is asked, or the client gets what there is."""
        terms = self._attempts.terms
        if self._attempts.passed_over(self._now):
            self._out.append(self._attempts.wish)
        elif outcome and (told := partial(self._attempt.reading, outcome, terms.on_truncation)):
            self._give(told)
        else:
            self._retry_or_give(decision)

    def _retry_or_give(self, decision: Retry | GiveUp) -> None:
        match decision:
            case Retry(delay=delay) if delay:
                self._out.append(SetTimer(self._attempt.number, Timer.BACKOFF, delay))
            case Retry():
                self._out.append(self._attempts.wish)
            case GiveUp():
                self._give(refusal(decision, self._protocol, self._waiting))
            case _:
                assert_never(decision)

    def _lose(self, current: Reading, outcome: Outcome) -> None:
        """The attempt fails, but for what it has shown already where no other one would follow."""
        if current.progress.visible and not self._attempts.would_follow(outcome, self._now):
            self._commit(current)
        else:
            self._fail(outcome)

    def _end(self, outcome: Outcome) -> None:
        self._out += self._attempts.end(outcome, self._now)

    def _give(self, answer: Whole) -> None:
        """The end of a call that never committed."""
        self._out += self._delivery.whole(self._attempt.number, answer.head, answer.told)
        self._report(answer.over)
        self._out.append(EndResponse(self._attempt.number))

    # -- timers ---------------------------------------------------------------------------------------

    def _timer(self, timer: Timer) -> None:
        match timer:
            case Timer.BACKOFF:
                self._out.append(self._attempts.wish)
            case Timer.HOLD:
                self._release_preamble()
            case Timer.HEARTBEAT_BEFORE_COMMIT:
                self._out += () if self.committed else self._waiting.fired()
            case Timer.LINGER:
                self._lingered()
            case Timer.HEARTBEAT:
                self._out += self._delivery.beat(self._attempt.number, self._now)
            case _:
                self._due(timer)

    def _due(self, timer: Timer) -> None:
        match self._attempt.fired(timer, self._now):
            case SetTimer() as again:
                self._out.append(again)
            case Stalled() as stalled:
                self._silent(stalled)
            case None:
                pass

    def _silent(self, stalled: Stalled) -> None:
        current = self._attempt.reading
        if current is None:
            self._fail(self._attempts.refused(None, self._now) if self._attempt.head else stalled)
        elif self.committed:
            self._silent_behind(current, stalled)
        elif stalled.timer is Timer.THROUGHPUT:
            self._lose(current, stalled)
        elif stalled.timer is Timer.STALL:
            self._stalled_unseen(current, stalled)
        else:
            self._fail(stalled)

    def _stalled_unseen(self, current: Reading, stalled: Stalled) -> None:
        """What was gathered may be all of the answer."""
        if not self._examine(current, current.eof()):
            self._fail(stalled)
        elif self.committed:
            self._conclude(current, stalled)

    def _silent_behind(self, current: Reading, stalled: Stalled) -> None:
        """Behind the commit point a stall ends any answer, another silence one that has said nothing."""
        if stalled.timer is Timer.STALL:
            self._conclude(current, stalled)
        elif not current.adds:
            self._fail(stalled)
        elif not (current.settle().visible or current.call_under_way):
            self._conclude(current, stalled)

    def _release_preamble(self) -> None:
        """Upstream shows life, and clients give up on headers: the call is committed without a token. Not
        where they have a head already."""
        if self._waiting.begun:
            return
        self._hold_over = True
        current = self._attempt.reading
        if current and current.held and not self.committed:
            self._commit(current)

    def _lingered(self) -> None:
        """The last frame came, the connection stayed: done is done."""
        current = self._attempt.reading
        if current and self.committed and current.settle().ended:
            self._conclude(current, Truncated(NO_END), clean=True)

    # -- the record -----------------------------------------------------------------------------------

    def _progress(self) -> Progress:
        return self._going_on.progress(self._attempt.reading)

    def _report(self, over: Over) -> None:
        self._done = True
        went_on = self._going_on.line is not None
        progress = self._progress()
        record = self._delivery.summary(over, self._attempts, progress, self._now, went_on=went_on)
        self._out.append(Report(record))

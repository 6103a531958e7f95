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

from protocols.base import Call, Encoder, Fault, Head, Segment, WireProtocol, WireResponse
from protocols.parts import Progress
from rewrite import classify, repair, waiting
from rewrite.attempt import Attempt
from rewrite.attempts import Attempts
from rewrite.choices import choices_asked
from rewrite.continuation import Continuation
from rewrite.decision import GiveUp, Retry
from rewrite.delivery import LINGER, Delivery
from rewrite.ending import Ending, ending, errored, with_left_out
from rewrite.events import (
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
    Summary,
    TimerFired,
    UpstreamClosed,
    UpstreamData,
    UpstreamSent,
    UpstreamStarted,
)
from rewrite.gate import Verdict
from rewrite.limits import OnTruncation
from rewrite.outcome import (
    Abandoned,
    Completed,
    Outcome,
    Phase,
    Stalled,
    Truncated,
    Unreachable,
    describe,
)
from rewrite.reading import NO_END, Reading
from rewrite.rest import rest
from rewrite.terms import Terms

_ERROR_MARK = b'"error"'
_OF_THE_CALL = (Start, ClientDrained, ClientGone)


class Exchange:
    """`handle` is the whole interface; after the end of the call it answers every event with nothing."""

    def __init__(
        self, call: Call, protocol: WireProtocol, terms: Terms, now: float, others: Sequence[Terms] = ()
    ) -> None:
        """`terms` are those of the first target, `others` those of the targets to fall back on, in order."""
        self._call, self._protocol = call, protocol
        self._began = self._now = now
        self._delivery = Delivery(call, protocol, terms.timing)
        self._waiting = self._delivery.waiting
        self._attempts = Attempts(call, protocol, (terms, *others), self._latest)
        self._going_on = Continuation(call, protocol)
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
            case TimerFired(name=name):
                self._timer(name)
            case Start():
                self._out += (*self._delivery.start(), self._attempts.wish)
            case Acquired(credential=credential, former=former):
                self._acquired(credential, former)
            case NoneFree(wait=wait, paused=paused):
                self._none_free(wait, paused)
            case UpstreamSent():
                self._request_sent()
            case UpstreamStarted(head=head):
                self._headers(head)
            case UpstreamClosed(cause=cause):
                self._closed(cause)
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

    def _acquired(self, credential: str, former: str | None) -> None:
        self._attempts.acquired(credential, former)
        rendered = self._going_on.request(self._attempts.leg)
        self._out.append(OpenUpstream(self._attempt.number, self._attempt.fresh, rendered))

    def _none_free(self, wait: float | None, paused: bool) -> None:
        if self._going_on.line is not None:
            self._rest_failed(Unreachable("no credential is free"))
        elif not self._attempts.wish.insist and self._attempts.passed_over(self._now):
            self._out.append(self._attempts.wish)
        else:
            self._retry_or_give(self._attempts.without_credential(wait, self._now, paused=paused))

    def _request_sent(self) -> None:
        for phase, seconds in self._attempts.sent(self._now):
            self._arm(phase, seconds)

    def _arm(self, phase: Phase, seconds: float) -> None:
        """A silence timer of this attempt; none outlives the patience of a client that has nothing yet."""
        if seconds:
            left = seconds if self._going_on.line else max(min(seconds, self._patience), 0.0)
            self._out.append(SetTimer(self._attempt.number, phase, left))

    @property
    def _patience(self) -> float:
        """Seconds of the client's that are left."""
        return self._attempts.latest - self._now

    def _latest(self, terms: Terms) -> float:
        """When the client's patience is over."""
        return self._began + self._waiting.patience(terms.timing.patience)

    def _headers(self, head: Head) -> None:
        self._request_sent()
        attempt, leg, line = self._attempt, self._attempts.leg, self._going_on.line
        attempt.head = head
        if not 200 <= head.status < 300:
            return
        if line is not None:
            attempt.reading = rest(line, leg, head)
            attempt.stall.since = self._now
            self._out += attempt.watch(self._now)
            return
        current = attempt.reading = leg.reading(head)
        if self._attempts.streams and not (current.streamed or current.gathering):
            self._arm(Phase.RESPONSE, self._attempts.terms.timing.response)  # it has no first token

    # -- the answer comes -----------------------------------------------------------------------------

    def _data(self, data: bytes) -> None:
        attempt = self._attempts.current
        attempt.alive = True
        current = attempt.reading
        if current is None:
            attempt.keep(data)
            return
        segments = current.feed(data)
        if self._delivery.committed:
            if self._attempts.terms.timing.any_byte_is_life:
                attempt.stall.since = self._now
            self._pass_on(current, segments)
        elif not self._examine(current, segments):
            self._out += attempt.overhear(self._attempts.terms.timing, self._now)
        if current.malformed and not self._done:
            self._unframeable(current)

    def _unframeable(self, current: Reading) -> None:
        if not self.committed:
            self._lose(current, Truncated(current.malformed))
        if self.committed:
            self._conclude(current, Truncated(current.malformed))

    def _examine(self, current: Reading, segments: Sequence[Segment]) -> bool:
        """Hold frames until one commits the answer or fails the attempt; whether one did."""
        terms = self._attempts.terms
        for position, segment in enumerate(segments):
            if error := current.hold(segment):
                rejected = classify.in_band(error, terms.errors)
                self._fail(replace(rejected, answer=current.refusal(error, rejected.status)))
                return True
            verdict = self._attempt.gate.judge(current, terms.timing, self._now)
            if verdict is Verdict.OPEN:
                self._commit(current)
                self._pass_on(current, segments[position + 1 :])
                return True
            if verdict is Verdict.WATCH:
                self._arm(Phase.THROUGHPUT, terms.timing.throughput_window)
        if self._hold_over and not self._waiting.begun and current.streamed and current.held:
            self._commit(current)
        return self.committed

    def _commit(self, current: Reading) -> None:
        if self._waiting.begun and current.comes_whole:
            self._misfit()
        else:
            self._out += self._delivery.commit(self._attempt, current, self._now)

    def _misfit(self) -> None:
        """A whole answer, where the client was promised a stream."""
        self._end(Completed())
        told = "the provider answered whole where a stream was asked for"
        self._give(Fault(502, "upstream_error", told, should_retry=False))

    def _pass_on(self, current: Reading, segments: Sequence[Segment]) -> None:
        """The hot path: whole frames, unread, in one write."""
        if not segments:
            return
        attempt, delivery = self._attempts.current, self._delivery
        data = current.encoder.encode(segments)
        self._out += delivery.send(attempt.number, data, self._now)
        current.passed_on(segments, len(data))
        if not all(segment.idle for segment in segments):
            attempt.stall.since = self._now
        if delivery.first_token is None:
            delivery.note_first_token(attempt, current, self._now)
        if _ERROR_MARK in data:
            self._check_error(current)
        if segments[-1].last and not self._done:
            self._out.append(SetTimer(attempt.number, "linger", LINGER))

    def _check_error(self, current: Reading) -> None:
        """An error in a form that the client's SDKs ignore is followed by the one that they raise on."""
        error = current.settle().error
        if error and not error.native:
            self._finish(current.encoder, errored(error, self._attempts.terms.errors, repair.raising(error)))

    # -- it ends --------------------------------------------------------------------------------------

    def _closed(self, cause: str | None) -> None:
        self._attempt.open = False
        current = self._attempt.reading
        if current is None:
            self._fail(self._attempts.refused(cause, self._now))
            return
        segments = current.eof()
        if self.committed:
            self._pass_on(current, segments)
        elif not self._examine(current, segments):
            self._lose(current, current.came_to_nothing(cause))
        if self.committed:
            self._conclude(current, Truncated(cause or NO_END), clean=cause is None)

    def _conclude(self, current: Reading, otherwise: Truncated | Stalled, *, clean: bool = False) -> None:
        """The committed answer is over: properly, with an error of its own, or cut as `otherwise` says.

        `clean`: nothing broke it off, so that a choice that never began was never meant to.
        """
        if not self._done:
            self._pass_on(current, current.eof())
        if self._done:
            return
        progress, terms = current.settle(), self._attempts.terms
        if not clean:
            progress.expect(choices_asked(self._call))
        more = self._going_on.possible(progress, terms.continuations, current)
        found = ending(progress, otherwise, terms, streamed=current.streamed, can_go_on=more)
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
        self._report(found.end, words, head.status, head)
        self._out.append(EndResponse(self._attempt.number))

    def _go_on(self, outcome: Outcome) -> None:
        """Ask for the rest of an answer that was cut."""
        self._end(outcome)
        self._going_on.times += 1
        self._attempts.for_the_rest()
        self._out.append(self._attempts.wish)
        self._out += self._delivery.watch(self._attempt.number, self._now)

    def _rest_failed(self, outcome: Outcome) -> None:
        """A continuation came to nothing: another one, or the end of what there is."""
        line, terms = self._going_on.line, self._attempts.terms
        assert line is not None
        if self._going_on.possible(self._progress(), terms.continuations, None):
            self._go_on(outcome)
            return
        found = ending(line.progress, outcome, terms, streamed=True)
        assert isinstance(found, Ending)
        self._finish(line, found)

    def _client_gone(self) -> None:
        """Measured: SDKs hang up on the last frame, without the end of the body; that call is complete."""
        current = self._attempt.reading
        if current and self.committed and current.settle().complete:
            self._conclude(current, Truncated(NO_END), clean=True)
            return
        self._end(Abandoned())
        self._report("abandoned", "the client left", None, self._delivery.head)

    # -- the attempt came to nothing ------------------------------------------------------------------

    def _fail(self, outcome: Outcome) -> None:
        """It showed the client nothing."""
        self._end(outcome)
        if self._going_on.line is not None:
            self._rest_failed(outcome)
            return
        decision = self._attempts.decision(self._now)
        if isinstance(decision, Retry):
            self._attempts.again(decision)
        elif self._attempts.passed_over(self._now):
            self._out.append(self._attempts.wish)
            return
        elif self._gave_partial(outcome):
            return
        self._retry_or_give(decision)

    def _retry_or_give(self, decision: Retry | GiveUp) -> None:
        match decision:
            case Retry(delay=delay) if delay:
                self._out.append(SetTimer(self._attempt.number, "backoff", delay))
            case Retry():
                self._out.append(self._attempts.wish)
            case GiveUp(answer=answer):
                self._give(answer)
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

    def _gave_partial(self, outcome: Outcome) -> bool:
        """What was gathered unseen of an answer that was cut for good: as "length" it says that it was."""
        current = self._attempt.reading
        mode = self._attempts.terms.on_truncation
        cut = isinstance(outcome, Truncated | Stalled) and mode is not OnTruncation.ERROR
        body = current.partial() if current and cut else b""
        if not current or not body:
            return False
        words = f"cut: {describe(outcome)}; ended with the protocol's length"
        self._whole("repaired", words, current.head, body, body)
        return True

    def _give(self, answer: WireResponse | Fault) -> None:
        """The end of a call that never committed."""
        response = self._protocol.error(answer) if isinstance(answer, Fault) else answer
        told = self._waiting.told(answer) if self._waiting.begun else response.body
        words = answer.message if isinstance(answer, Fault) else "the provider's own answer"
        head = Head(response.status, response.headers, response.reason)
        self._whole("rejected", words, head, response.body, told)

    def _whole(self, end: str, words: str, head: Head, body: bytes, told: bytes) -> None:
        """An answer of which `told` reaches the client, since no attempt was committed to."""
        self._out += self._delivery.whole(self._attempt.number, head, told)
        self._report(end, words, 200 if self._waiting.begun else head.status, head, body)
        self._out.append(EndResponse(self._attempt.number))

    # -- timers ---------------------------------------------------------------------------------------

    def _timer(self, name: str) -> None:
        match name:
            case "backoff":
                self._out.append(self._attempts.wish)
            case "hold":
                self._release_preamble()
            case waiting.TIMER:
                self._out += () if self.committed else self._waiting.fired()
            case "linger":
                self._lingered()
            case "heartbeat":
                self._out += self._delivery.beat(self._attempt.number, self._now)
            case _:
                self._due(Phase(name))

    def _due(self, phase: Phase) -> None:
        match phase:
            case Phase.STALL:
                self._maybe_stalled()
            case Phase.FIRST_TOKEN:
                self._no_token()
            case Phase.THROUGHPUT:
                self._slow()
            case Phase.FIRST_EVENT | Phase.RESPONSE:
                self._silent(phase)
            case _:
                assert_never(phase)

    def _release_preamble(self) -> None:
        """Upstream shows life, and clients give up on headers: the call is committed without a token. Not
        where they have a head already."""
        if self._waiting.begun:
            return
        self._hold_over = True
        current = self._attempt.reading
        if current and current.held and not self.committed:
            self._commit(current)

    def _no_token(self) -> None:
        """Signs of hidden work set no timer: the one that is set asks when it fires."""
        gate, current, going_on = self._attempt.gate, self._attempt.reading, self._going_on.line is not None
        if going_on:
            self._progress()
            if current is not None:
                gate.note(current, self._now)
        elif gate.shown_at is not None or self._delivery.first_token is not None:
            return
        left = gate.token.left(self._now) if going_on else min(gate.token.left(self._now), self._patience)
        if left > 0:
            self._arm(Phase.FIRST_TOKEN, left)
        else:
            self._silent(Phase.FIRST_TOKEN)

    def _slow(self) -> None:
        """The window is over, and not enough came."""
        current, shown_at = self._attempt.reading, self._attempt.gate.shown_at
        if current and shown_at is not None and not self.committed:
            self._lose(current, Stalled(Phase.THROUGHPUT, self._now - shown_at))

    def _silent(self, phase: Phase) -> None:
        current = self._attempt.reading
        outcome = self._attempt.silent(phase, self._now)
        if outcome is None:
            return
        if self._attempt.head and current is None:
            self._fail(self._attempts.refused(None, self._now))
        elif not self.committed or current is None or not current.adds:
            self._fail(outcome)
        elif not (current.settle().visible or current.call_under_way):
            self._conclude(current, outcome)

    def _maybe_stalled(self) -> None:
        silence, current = self._attempt.stall, self._attempt.reading
        if silence.left(self._now) > 0:
            self._out += self._attempt.watch(self._now)
        elif current is not None:
            stalled = Stalled(Phase.STALL, silence.lasted(self._now))
            if not (self.committed or self._examine(current, current.eof())):
                self._fail(stalled)
            elif self.committed:
                self._conclude(current, stalled)

    def _lingered(self) -> None:
        """The last frame came, the connection stayed: done is done."""
        current = self._attempt.reading
        if current and self.committed and current.settle().ended:
            self._conclude(current, Truncated(NO_END), clean=True)

    # -- the record -----------------------------------------------------------------------------------

    def _progress(self) -> Progress:
        current, line = self._attempt.reading, self._going_on.line
        if current is None:
            return line.progress if line else Progress()
        return current.settle()

    def _report(self, end: str, words: str, status: int | None, head: Head | None, body: bytes = b"") -> None:
        self._done = True
        first_token = self._delivery.first_token
        summary = Summary(
            end=end,
            words=words,
            attempts=self._attempts.ended,
            route=self._attempts.route,
            progress=self._progress(),
            began=self._began,
            seconds=self._now - self._began,
            first_token=None if first_token is None else first_token - self._began,
            status=status,
            estimated=end == "repaired",
            head=head,
            body=body,
        )
        self._out.append(Report(summary))

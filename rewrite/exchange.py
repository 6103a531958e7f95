"""One call as a state machine: events in, commands out; no sockets, no clock, no secrets.

Nothing reaches the client before the commit point: the first visible part, or a proper end. Before it
an attempt that fails is followed by another one and the client cannot tell; after it the answer is only
passed on, and closed honestly when it is cut. Every event and command carries its attempt's number, so
late bytes of a cancelled attempt are dropped by construction. One attempt, in order:

    Acquire -> Acquired -> OpenUpstream -> UpstreamSent -> UpstreamStarted -> UpstreamData* -> UpstreamClosed
"""

from collections.abc import Sequence
from dataclasses import replace
from typing import assert_never

from protocols.base import Call, Encoder, Fault, Head, Segment, WireProtocol, WireResponse
from protocols.parts import Progress
from rewrite import classify, repair, timers, waiting
from rewrite.choices import choices_asked
from rewrite.continuation import Line, Rest, blames_the_request, can_go_on, line_of, request, rest
from rewrite.decision import Ended, GiveUp, History, Retry
from rewrite.ending import Ending, ending, errored, with_left_out
from rewrite.events import (
    CALL,
    Acquire,
    Acquired,
    CancelUpstream,
    ClientDrained,
    ClientGone,
    Command,
    EndResponse,
    Event,
    NoneFree,
    OpenUpstream,
    Release,
    Report,
    SendData,
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
from rewrite.leg import Leg
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
from rewrite.policies import exhausted, fallback, following, retry
from rewrite.reading import NO_END, Reading
from rewrite.terms import Attempt, Terms
from rewrite.wishes import next_wish

LINGER = 5.0
"""Seconds that a stream may stay open behind its last frame."""

LONGEST_ERROR_BODY = 1 << 20
_ERROR_MARK = b'"error"'


class Exchange:
    """`handle` is the whole interface; after the end of the call it answers every event with nothing."""

    def __init__(
        self, call: Call, protocol: WireProtocol, terms: Terms, now: float, others: Sequence[Terms] = ()
    ) -> None:
        """`terms` are those of the first target, `others` those of the targets to fall back on, in order."""
        self._call, self._protocol, self._terms = call, protocol, terms
        self._targets, self._route = (terms, *others), 0
        self._began = self._now = now
        self._beat_bytes = protocol.encoder(call).heartbeat()
        beats = terms.timing.heartbeat if self._beat_bytes else 0.0
        self._upstream_silence = timers.Silence(terms.timing.stall)
        self._client_silence = timers.Silence(beats)
        self._waiting = waiting.waiting(call, protocol, terms.timing)
        self._attempt = Attempt(1)
        self._former: str | None = None
        self._error_body = bytearray()
        self._committed = self._done = self._hold_over = False
        self._first_token: float | None = None
        self._ended: tuple[Ended, ...] = ()
        self._line: Line | None = None
        self._going_on = 0
        self._head: Head | None = None
        self._wish = Acquire(1)
        self._out: list[Command] = []

    @property
    def committed(self) -> bool:
        return self._committed

    def handle(self, event: Event, now: float) -> Sequence[Command]:
        """What is to be done about `event`, in order; `now` in seconds on the machine's clock."""
        self._now, self._out = now, []
        if not self._done and self._concerns(event):
            self._dispatch(event)
        return self._out

    def _concerns(self, event: Event) -> bool:
        if isinstance(event, Start | ClientDrained | ClientGone):
            return True
        return event.attempt in (self._attempt.number, CALL)

    def _dispatch(self, event: Event) -> None:
        match event:
            case UpstreamData(data=data):
                self._data(data)
            case TimerFired(name=name):
                self._timer(name)
            case Start():
                self._start()
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
                self._upstream_silence.since = self._client_silence.since = self._now
            case ClientGone():
                self._client_gone()
            case _:
                assert_never(event)

    # -- before the answer ----------------------------------------------------------------------------

    def _start(self) -> None:
        if self._call.stream and self._terms.timing.hold:
            self._out.append(SetTimer(CALL, "hold", self._terms.timing.hold))
        self._out += self._waiting.watch()
        self._out.append(self._wish)

    def _acquired(self, credential: str, former: str | None) -> None:
        self._attempt.credential = credential
        self._attempt.open = True
        self._former = self._former or former
        rendered = None
        if self._line is not None:
            leg = self._terms.leg or Leg(self._call, self._protocol)
            rendered = request(leg, self._call, self._line)
        self._out.append(OpenUpstream(self._attempt.number, self._attempt.fresh, rendered))

    def _none_free(self, wait: float | None, paused: bool) -> None:
        if self._line is not None:
            self._rest_failed(self._line, Unreachable("no credential is free"))
            return
        decision = exhausted.decide(self._history(), self._terms.provider, wait, paused, self._now)
        if not self._wish.insist and self._passed_over():
            return
        match decision:
            case Retry(delay=delay):
                self._wish = replace(self._wish, resting=frozenset())
                self._wait(delay)
            case GiveUp(answer=answer):
                self._give(answer)

    def _request_sent(self) -> None:
        if self._attempt.sent:
            return
        self._attempt.sent, self._attempt.sent_at = True, self._now
        stalls = sum(timers.was_silent(one.outcome) for one in self._ended)
        stream = self._streams
        unseen = stream and not self._call.stream
        due = timers.before_commit(self._terms.timing, stream=stream, stalls=stalls, unseen=unseen)
        for phase, seconds in due:
            self._arm(phase, seconds)
            if phase is Phase.FIRST_TOKEN:
                self._attempt.gate.token = timers.Silence(seconds, self._now)

    @property
    def _streams(self) -> bool:
        """Whether upstream was asked to stream."""
        return self._terms.leg.call.stream if self._terms.leg else self._call.stream

    def _arm(self, phase: Phase, seconds: float) -> None:
        """A silence timer of this attempt; none outlives the patience of a client that has nothing yet."""
        if seconds:
            left = seconds if self._line else max(min(seconds, self._patience), 0.0)
            self._out.append(SetTimer(self._attempt.number, phase, left))

    @property
    def _patience(self) -> float:
        """Seconds of the client's that are left."""
        return self._latest - self._now

    @property
    def _latest(self) -> float:
        """When the client's patience is over."""
        return self._began + self._waiting.patience(self._terms.timing.patience)

    def _headers(self, head: Head) -> None:
        self._request_sent()
        self._attempt.head = head
        if not 200 <= head.status < 300:
            return
        leg = self._terms.leg or Leg(self._call, self._protocol)
        if self._line is not None:
            self._attempt.reading = rest(self._line, leg, head)
            self._upstream_silence.since = self._now
            if self._streams:
                self._watch(Phase.STALL, self._upstream_silence)
            return
        current = self._attempt.reading = leg.reading(head)
        if self._streams and not (current.streamed or current.gathering):  # a whole answer has no first token
            self._arm(Phase.RESPONSE, self._terms.timing.response)

    # -- the answer comes -----------------------------------------------------------------------------

    def _data(self, data: bytes) -> None:
        current = self._attempt.reading
        self._attempt.alive = True
        if current is None:
            self._error_body += data[: LONGEST_ERROR_BODY - len(self._error_body)]
            return
        segments = current.feed(data)
        if self._committed:
            if self._terms.timing.any_byte_is_life:
                self._upstream_silence.since = self._now
            self._pass_on(current, segments)
        elif not self._examine(current, segments):
            self._overhear(current)
        if current.malformed and not self._done:
            self._unframeable(current)

    def _unframeable(self, current: Reading) -> None:
        if not self._committed:
            self._lose(current, Truncated(current.malformed))
        if self.committed:
            self._conclude(current, Truncated(current.malformed))

    def _examine(self, current: Reading, segments: Sequence[Segment]) -> bool:
        """Hold frames until one commits the answer or fails the attempt; whether one did."""
        for position, segment in enumerate(segments):
            if error := current.hold(segment):
                rejected = classify.in_band(error, self._terms.errors)
                self._fail(replace(rejected, answer=current.refusal(error, rejected.status)))
                return True
            verdict = self._attempt.gate.judge(current, self._terms.timing, self._now)
            if verdict is Verdict.OPEN:
                self._commit(current)
                self._pass_on(current, segments[position + 1 :])
                return True
            if verdict is Verdict.WATCH:
                self._arm(Phase.THROUGHPUT, self._terms.timing.throughput_window)
        if self._hold_over and current.streamed and current.held:
            self._commit(current)
        return self._committed

    def _overhear(self, current: Reading) -> None:
        """A stream that is gathered unseen is watched as if the client saw it."""
        unseen = current.gathering
        if unseen is None:
            return
        if unseen.lively() or self._terms.timing.any_byte_is_life:
            self._upstream_silence.since = self._now
        if not (current.first_token_is_due or self._attempt.watched):
            self._attempt.watched = True
            self._watch(Phase.STALL, self._upstream_silence)

    def _commit(self, current: Reading) -> None:
        if self._waiting.begun and current.comes_whole:
            self._misfit()
            return
        self._committed = True
        number = self._attempt.number
        held = current.release()
        self._head = current.head
        self._out += self._waiting.head(number, current.head)
        self._send(current.encoder.encode(held))
        self._upstream_silence.since = self._now
        self._note_first_token(current)
        if current.streamed:
            self._watch(Phase.STALL, self._upstream_silence)
            self._watch("heartbeat", self._client_silence)
        if held[-1].last:
            self._out.append(SetTimer(number, "linger", LINGER))

    def _misfit(self) -> None:
        """A whole answer, where the client was promised a stream."""
        self._cancel()
        self._release(Completed())
        told = "the provider answered whole where a stream was asked for"
        self._give(Fault(502, "upstream_error", told, should_retry=False))

    def _send(self, data: bytes, *, beat: bool = False) -> None:
        if data:  # a frame of another protocol may say nothing in the client's
            self._out.append(SendData(self._attempt.number, data, beat))
            self._client_silence.since = self._now

    def _watch(self, name: str, silence: timers.Silence) -> None:
        if silence.longest:
            self._out.append(SetTimer(self._attempt.number, name, max(silence.left(self._now), 0.0)))

    def _pass_on(self, current: Reading, segments: Sequence[Segment]) -> None:
        """The hot path: whole frames, unread, in one write."""
        if not segments:
            return
        data = current.encoder.encode(segments)
        self._send(data)
        current.passed_on(segments, len(data))
        if not all(segment.idle for segment in segments):
            self._upstream_silence.since = self._now
        if self._first_token is None:
            self._note_first_token(current)
        if _ERROR_MARK in data:
            self._check_error(current)
        if segments[-1].last and not self._done:
            self._out.append(SetTimer(self._attempt.number, "linger", LINGER))

    def _note_first_token(self, current: Reading) -> None:
        visible = current.settle().visible
        self._attempt.gate.note(current, self._now)
        if visible:
            self._first_token = self._now - self._began

    def _check_error(self, current: Reading) -> None:
        """An error in a form that the client's SDKs ignore is followed by the one that they raise on."""
        error = current.settle().error
        if error and not error.native:
            self._finish(current.encoder, errored(error, self._terms.errors, repair.raising(error)))

    # -- it ends --------------------------------------------------------------------------------------

    def _closed(self, cause: str | None) -> None:
        self._attempt.open = False
        current = self._attempt.reading
        if current is None:
            self._rejected(cause)
            return
        segments = current.eof()
        if self._committed:
            self._pass_on(current, segments)
        elif not self._examine(current, segments):
            self._lose(current, current.came_to_nothing(cause))
        if self.committed:
            self._conclude(current, Truncated(cause or NO_END), clean=cause is None)

    def _rejected(self, cause: str | None) -> None:
        """An error status with its body, or nothing at all."""
        head = self._attempt.head
        if head is None:
            self._fail(Unreachable(cause or "closed without an answer", self._attempt.sent))
            return
        answer = WireResponse(head.status, head.headers, bytes(self._error_body), head.reason)
        rejected = classify.rejection(answer, self._terms.errors, self._now + self._terms.epoch)
        if self._terms.leg and self._terms.leg.translation:
            rejected = replace(rejected, answer=self._terms.leg.translation.error(answer))
        self._fail(rejected)

    def _conclude(self, current: Reading, otherwise: Outcome, *, clean: bool = False) -> None:
        """The committed answer is over: properly, with an error of its own, or cut as `otherwise` says.

        `clean`: nothing broke it off, so that a choice that never began was never meant to.
        """
        if not self._done:
            self._pass_on(current, current.eof())
        if self._done:
            return
        progress = current.settle()
        if isinstance(current, Rest) and current.failed:
            otherwise = classify.in_band(current.failed, self._terms.errors)
        if not clean:
            progress.expect(choices_asked(self._call))
        found = ending(
            progress,
            otherwise,
            self._terms,
            streamed=current.streamed,
            can_go_on=self._can_go_on(current),
        )
        if isinstance(found, Ending):
            self._finish(current.encoder, found, current.left_out)
        else:
            self._line = self._line or line_of(current)
            self._line.lost = next(iter(current.left_out), None)
            self._go_on(otherwise)

    def _finish(self, encoder: Encoder, found: Ending, left_out: Sequence[str] = ()) -> None:
        """The end of a committed answer, closed by its parts."""
        self._send(encoder.close(found.parts, self._progress()))
        self._cancel()
        self._release(found.outcome)
        words = with_left_out(found.words, left_out)
        if self._going_on:
            times = "time" if self._going_on == 1 else "times"
            words = f"went on {self._going_on} {times}; {words}".removesuffix("; ")
        assert self._head is not None
        self._report(found.end, words, self._head.status, self._head)
        self._out.append(EndResponse(self._attempt.number))

    # -- the rest of an answer that was cut ---------------------------------------------------------------

    def _can_go_on(self, current: Reading | None) -> bool:
        """A continuation that only repeated would do so again."""
        if self._going_on == self._terms.continuations or (isinstance(current, Rest) and current.repeats):
            return False
        if self._line is not None and self._line.acted:
            return False
        return (current is None or current.streamed) and can_go_on(
            self._call, self._protocol, self._progress()
        )

    def _go_on(self, outcome: Outcome) -> None:
        """Ask for the rest: of the next target of the group, else on another key, where there is one."""
        self._cancel()
        self._release(outcome)
        self._going_on += 1
        if self._route + 1 < len(self._targets):
            self._next_target()
        self._attempt = Attempt(self._attempt.number + 1, fresh=True)
        self._error_body.clear()
        asked = frozenset(one.credential for one in self._ended if one.route == self._route)
        refused = self._history().refused
        self._wish = Acquire(self._attempt.number, avoid=asked, refused=refused, route=self._route)
        self._out.append(self._wish)
        self._watch("heartbeat", self._client_silence)

    def _rest_failed(self, line: Line, outcome: Outcome) -> None:
        """A continuation came to nothing: another one, or the end of what there is."""
        more_targets = self._route + 1 < len(self._targets)
        if self._can_go_on(None) and (more_targets or not blames_the_request(outcome)):
            self._go_on(outcome)
            return
        found = ending(line.progress, outcome, self._terms, streamed=True)
        assert isinstance(found, Ending)
        self._finish(line, found)

    def _give(self, answer: WireResponse | Fault) -> None:
        """The end of a call that never committed."""
        response = self._protocol.error(answer) if isinstance(answer, Fault) else answer
        number, begun = self._attempt.number, self._waiting.begun
        head = Head(response.status, response.headers, response.reason)
        self._out += self._waiting.head(number, head)
        if body := self._waiting.told(answer) if begun else response.body:
            self._out.append(SendData(number, body))
        words = answer.message if isinstance(answer, Fault) else "the provider's own answer"
        self._report("rejected", words, 200 if begun else response.status, head, response.body)
        self._out.append(EndResponse(number))

    def _client_gone(self) -> None:
        """Measured: SDKs hang up on the last frame, without the end of the body; that call is complete."""
        current = self._attempt.reading
        if current and self._committed and current.settle().complete:
            self._conclude(current, Truncated(NO_END), clean=True)
            return
        self._cancel()
        self._release(Abandoned())
        self._report("abandoned", "the client left", None, self._head)

    # -- attempts -------------------------------------------------------------------------------------

    def _fail(self, outcome: Outcome) -> None:
        """The attempt came to nothing that the client could see."""
        self._cancel()
        self._release(outcome)
        if self._line is not None:
            self._rest_failed(self._line, outcome)
            return
        decision = retry.decide(self._history(), self._now)
        match decision:
            case Retry():
                self._again(decision)
            case GiveUp(answer=answer):
                if not (self._passed_over() or self._gave_partial(outcome)):
                    self._give(answer)
            case _:
                assert_never(decision)

    def _gave_partial(self, outcome: Outcome) -> bool:
        """What was gathered unseen of an answer that was cut for good: as "length" it says that it was."""
        current = self._attempt.reading
        cut = isinstance(outcome, Truncated | Stalled) and self._terms.on_truncation is not OnTruncation.ERROR
        body = current.partial() if current and cut else b""
        if not current or not body:
            return False
        number = self._attempt.number
        head = current.head
        self._out += (*self._waiting.head(number, head), SendData(number, body))
        words = f"cut: {describe(outcome)}; ended with the protocol's length"
        self._report("repaired", words, head.status, head, body)
        self._out.append(EndResponse(number))
        return True

    def _lose(self, current: Reading, outcome: Outcome) -> None:
        """The attempt fails, but for what it has shown already where no other one would follow."""
        if current.progress.visible and not self._followed(outcome):
            self._commit(current)
        else:
            self._fail(outcome)

    def _followed(self, outcome: Outcome) -> bool:
        history = self._history(self._as_ended(outcome))
        more_targets = self._route + 1 < len(self._targets)
        return following.follows(
            history, self._now, more_targets=more_targets, next_on_auth=self._terms.next_on_auth
        )

    def _passed_over(self) -> bool:
        """Whether the call goes on at the next target of its group, this one having come to nothing."""
        last = self._route + 1 == len(self._targets)
        if last or not fallback.decide(self._history(), self._now, next_on_auth=self._terms.next_on_auth):
            return False
        self._next_target()
        asked = any(one.number == self._attempt.number for one in self._ended)
        self._attempt = Attempt(self._attempt.number + asked)
        self._error_body.clear()
        self._wish = Acquire(self._attempt.number, route=self._route)
        self._out.append(self._wish)
        return True

    def _next_target(self) -> None:
        self._route += 1
        self._terms = self._targets[self._route]
        self._upstream_silence.longest = self._terms.timing.stall
        self._former = None

    def _again(self, decision: Retry) -> None:
        self._attempt = Attempt(self._attempt.number + 1, fresh=decision.fresh)
        self._error_body.clear()
        wish = next_wish(self._attempt.number, self._history(), decision)
        self._wish = replace(wish, route=self._route)
        self._wait(decision.delay)

    def _wait(self, delay: float) -> None:
        self._out.append(SetTimer(self._attempt.number, "backoff", delay) if delay else self._wish)

    def _cancel(self) -> None:
        if self._attempt.open:
            self._attempt.open = False
            self._out.append(CancelUpstream(self._attempt.number))

    def _release(self, outcome: Outcome) -> None:
        attempt = self._attempt
        if attempt.credential is None:
            return
        self._ended += self._as_ended(outcome)
        self._out.append(Release(attempt.number, outcome))
        attempt.credential = None

    def _as_ended(self, outcome: Outcome) -> tuple[Ended, ...]:
        attempt = self._attempt
        sent = attempt.sent_at if attempt.sent else None
        return (Ended(attempt.number, attempt.credential or "", outcome, self._now, self._route, sent),)

    def _history(self, more: tuple[Ended, ...] = ()) -> History:
        """`more`: what would have ended too."""
        terms, ended = self._terms, self._ended + more
        return History(
            ended=tuple(one for one in ended if one.route == self._route),
            failing_since=ended[0].at if ended else None,
            limits=terms.limits,
            operation=self._call.operation,
            pooled=terms.pooled,
            acting=self._call.acting,
            former=self._former,
            latest_start=self._latest,
            jitter=terms.jitter,
        )

    # -- timers ---------------------------------------------------------------------------------------

    def _timer(self, name: str) -> None:
        match name:
            case "backoff":
                self._out.append(self._wish)
            case "hold":
                self._release_preamble()
            case waiting.TIMER:
                self._out += () if self._committed else self._waiting.fired()
            case "linger":
                self._lingered()
            case "heartbeat":
                self._beat()
            case _:
                self._due(Phase(name))

    def _due(self, phase: Phase) -> None:
        match phase:
            case Phase.STALL:
                self._maybe_stalled()
            case Phase.FIRST_EVENT:
                if not self._attempt.alive:
                    self._silent(phase)
            case Phase.FIRST_TOKEN:
                self._no_token()
            case Phase.THROUGHPUT:
                self._slow()
            case Phase.RESPONSE:
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
        if current and current.held and not self._committed:
            self._commit(current)

    def _no_token(self) -> None:
        """Signs of hidden work set no timer: the one that is set asks when it fires."""
        gate, current = self._attempt.gate, self._attempt.reading
        if isinstance(current, Rest):
            current.settle()
            gate.note(current, self._now)
        elif gate.shown_at is not None or self._first_token is not None:
            return
        left = gate.token.left(self._now) if self._line else min(gate.token.left(self._now), self._patience)
        if left > 0:
            self._arm(Phase.FIRST_TOKEN, left)
        else:
            self._silent(Phase.FIRST_TOKEN)

    def _slow(self) -> None:
        """The window is over, and not enough came."""
        current, shown_at = self._attempt.reading, self._attempt.gate.shown_at
        if current and shown_at is not None and not self._committed:
            self._lose(current, Stalled(Phase.THROUGHPUT, self._now - shown_at))

    def _silent(self, phase: Phase) -> None:
        current = self._attempt.reading
        outcome = Stalled(phase, self._now - self._attempt.sent_at)
        if self._attempt.head and current is None:
            self._rejected(None)
        elif phase is Phase.FIRST_TOKEN and current and not current.first_token_is_due:
            pass  # its timer is that of the response, or of a stall
        elif not self._committed or current is None or (isinstance(current, Rest) and not current.adds):
            self._fail(outcome)
        elif not (current.settle().visible or current.call_under_way):
            self._conclude(current, outcome)

    def _maybe_stalled(self) -> None:
        silence = self._upstream_silence
        if silence.left(self._now) > 0:
            self._watch(Phase.STALL, silence)
        elif current := self._attempt.reading:
            stalled = Stalled(Phase.STALL, silence.lasted(self._now))
            if not (self._committed or self._examine(current, current.eof())):
                self._fail(stalled)
            elif self._committed:
                self._conclude(current, stalled)

    def _beat(self) -> None:
        """Only whole frames go out, so that this stands between two. It is no life of upstream's."""
        if self._client_silence.left(self._now) <= 0:
            self._send(self._beat_bytes, beat=True)
        self._watch("heartbeat", self._client_silence)

    def _lingered(self) -> None:
        """The last frame came, the connection stayed: done is done."""
        current = self._attempt.reading
        if current and self._committed and current.settle().ended:
            self._conclude(current, Truncated(NO_END), clean=True)

    # -- the record -----------------------------------------------------------------------------------

    def _progress(self) -> Progress:
        current = self._attempt.reading
        if current is None:
            return self._line.progress if self._line else Progress()
        return current.settle()

    def _report(self, end: str, words: str, status: int | None, head: Head | None, body: bytes = b"") -> None:
        self._done = True
        progress = self._progress()
        summary = Summary(
            end=end,
            words=words,
            attempts=self._ended,
            route=self._route,
            progress=progress,
            began=self._began,
            seconds=self._now - self._began,
            first_token=self._first_token,
            status=status,
            estimated=end == "repaired" or self._line is not None,
            head=head,
            body=body,
        )
        self._out.append(Report(summary))

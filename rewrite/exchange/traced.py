"""The exchange of a traced call: it decides as any does, and notes what happened and why.

What leaves and what comes in bytes is noted by whoever drives it.
"""

from collections.abc import Sequence
from typing import assert_never

from protocols.base import Encoder, WireProtocol
from protocols.model.call import Call, Rendered
from protocols.model.errors import Fault
from protocols.model.progress import Progress
from protocols.model.wirejson import JsonObject, given
from rewrite.exchange.ending import Ending
from rewrite.exchange.exchange import Exchange, State
from rewrite.records.passes import Asked, CallTrace, Direction, Stage, fields_of
from rewrite.records.rendering import rendered_parts
from rewrite.records.verdict import verdict_of
from rewrite.targets.target import Target
from rewrite.values.decision import GiveUp, Retry
from rewrite.values.events import (
    Acquired,
    AwaitCredential,
    ClientGone,
    Command,
    Event,
    NoneFree,
    OpenUpstream,
    Report,
    SendData,
    Summary,
    UpstreamData,
    UpstreamStarted,
)
from rewrite.values.outcome import Outcome, Rejected, Stalled, Truncated


class TracedExchange(Exchange):
    """See `Exchange`."""

    def __init__(
        self, call: Call, protocol: WireProtocol, targets: Sequence[Target], now: float, trace: CallTrace
    ) -> None:
        super().__init__(call, protocol, targets, now)
        self._trace = trace
        self._outcome: Outcome | None = None
        self._answered = 0  # the attempt whose first byte has come
        self._shown = False

    def handle(self, event: Event, now: float) -> Sequence[Command]:
        self._trace.now = now
        if self.state is not State.OVER and self._concerns(event):
            self._note_event(event)
        commands = super().handle(event, now)
        if not self._shown and self._delivery.first_token is not None:
            self._shown = True
            self._stream("stream_first_visible", {"seconds": self._since_began(now)})
        for command in commands:
            self._note_command(command)
        return commands

    def _since_began(self, now: float) -> float:
        return round(now - self._delivery.began, 3)

    def _stream(self, name: str, data: object = None, *, stage: Stage = Stage.PROXY) -> None:
        """A pass that only streams have."""
        if self._call.stream or self._ledger.target.call.stream:
            self._trace.note(name, Direction.STREAM, stage, data)

    # -- what happens ---------------------------------------------------------------------------------

    def _note_event(self, event: Event) -> None:
        match event:
            case Acquired():
                self._note_acquired(event)
            case NoneFree():
                self._note_none_free(event)
            case UpstreamStarted():
                self._note_head(event)
            case UpstreamData() if self._answered != event.attempt:
                self._answered = event.attempt
                if self._attempt.reading is not None:
                    self._stream("stream_first_byte", stage=Stage.PROVIDER)
            case ClientGone():
                self._stream("stream_cancelled", {"seconds": self._since_began(self._trace.now)})
            case _:
                pass

    def _note_acquired(self, found: Acquired) -> None:
        self._trace.asks(self._asked(found.attempt, found.credential))
        said = given(
            chosen=found.credential,
            reason=found.reason or None,
            former=found.former,
            asked_last=list(found.asked_last) or None,
        )
        self._decided("selection", said)

    def _asked(self, attempt: int, credential: str) -> Asked:
        target = self._ledger.target
        provider, model = target.provider.name, target.route.model or ""
        return Asked(target.protocol.name, provider, model, attempt, credential)

    def _note_none_free(self, none: NoneFree) -> None:
        refused = none.refused.note if none.refused else None
        wait = None if none.wait is None else round(none.wait, 3)
        self._none_chosen(given(wait=wait, keys=list(none.keys), refused=refused))

    def _none_chosen(self, why: JsonObject) -> None:
        """Of the keys of the target that an attempt would ask."""
        about = self._asked(self._ledger.current.number, "")
        data = {"chosen": None, **why}
        self._trace.note("selection", Direction.REQUEST, Stage.PROXY, data, about=about)

    def _note_head(self, started: UpstreamStarted) -> None:
        head = started.head
        data = {"status": head.status, "headers": fields_of(head.headers)}
        self._trace.note("raw_response", Direction.RESPONSE, Stage.PROVIDER, data, changed=True)
        if 200 <= head.status < 300:
            self._stream("stream_started", stage=Stage.PROVIDER)

    # -- what is decided ------------------------------------------------------------------------------

    def _decided(self, name: str, data: JsonObject) -> None:
        self._trace.note(name, Direction.REQUEST, Stage.PROXY, data)

    def _end(self, outcome: Outcome) -> None:
        self._note_outcome(outcome)
        super()._end(outcome)

    def _finish(
        self, encoder: Encoder, found: Ending, progress: Progress, left_out: Sequence[str] = ()
    ) -> None:
        self._note_outcome(found.outcome)
        super()._finish(encoder, found, progress, left_out)

    def _note_outcome(self, outcome: Outcome) -> None:
        """What came of the attempt that ends now, if there is one."""
        if self._attempt.credential is None:
            return
        self._outcome = outcome
        match outcome:
            case Stalled(timer=timer, waited=waited):
                self._stream("stream_stall", {"timer": timer.value, "seconds": round(waited, 3)})
            case Truncated(cause=cause):
                self._stream("stream_cut", {"cause": cause})
            case _:
                pass

    def _retry_or_give(self, decision: Retry | GiveUp) -> None:
        said = {**_said(decision), **self._after()}
        if self._continuation is not None and isinstance(decision, Retry):
            said["decision"] = "continue"
        self._decided("retry", said)
        super()._retry_or_give(decision)

    def _give_up(self, decision: GiveUp, outcome: Outcome | None = None) -> None:
        before = self._ledger.target
        super()._give_up(decision, outcome)
        if self._ledger.target is not before and self.state is State.ACQUIRING:
            label = self._ledger.target.label
            self._decided("retry", {"decision": "fallback", "target": label, **self._after()})

    def _after(self) -> JsonObject:
        """What came of the last attempt."""
        last = self._outcome
        message = last.message or None if isinstance(last, Rejected) else None
        return given(after=last.label if last else None, message=message)

    # -- what is done ---------------------------------------------------------------------------------

    def _note_command(self, command: Command) -> None:
        match command:
            case SendData(heartbeat=True):
                self._stream("stream_heartbeat", stage=Stage.CLIENT)
            case OpenUpstream(rendered=rendered):
                self._note_request(rendered)
            case AwaitCredential(seconds=seconds):
                self._none_chosen({"waits_in_line": seconds})
            case Report(summary=summary):
                self._note_parts(summary)
            case _:
                pass

    def _note_request(self, instead: Rendered | None) -> None:
        trace = self._ledger.target.trace
        if trace is not None:
            trace.asked()
        if self._continuation is not None and instead is not None:
            data = {"path": instead.path, "body": instead.body}
            self._trace.note("stream_continuation", Direction.STREAM, Stage.PROXY, data, changed=True)

    def _served(self, progress: Progress | None = None) -> None:
        fields = self._attempt.fields
        super()._served(progress)
        if fields is not None:
            fields.note_found()

    def _note_parts(self, summary: Summary) -> None:
        """Of a stream all that it said, put together."""
        if self._delivery.committed and self._call.stream:
            parts = rendered_parts(summary.progress)
            self._trace.note("parsed_response", Direction.STREAM, Stage.PROXY, parts)


def _said(decision: Retry | GiveUp) -> JsonObject:
    match decision:
        case Retry():
            names = ("credential", "awaits")
            named = given(**{name: getattr(decision, name) for name in names})
            return {"decision": "retry", "delay": round(decision.delay, 3), "fresh": decision.fresh, **named}
        case GiveUp(answer=Fault() as fault):
            return {"decision": "give up", "detail": decision.detail or fault.message}
        case GiveUp():
            return {"decision": "give up", "detail": decision.detail or "the provider's own answer"}
        case _:
            assert_never(decision)


# -- the end of any call ----------------------------------------------------------------------------------


def note_end(trace: CallTrace, call: Call, summary: Summary, head: JsonObject) -> None:
    """`call` is over, as `summary` says. `head`: status and headers as they went to the client."""
    verdict = verdict_of(summary).value
    data = {**head, "verdict": verdict, "end": summary.end, "detail": summary.detail}
    trace.note("sent_response", Direction.RESPONSE, Stage.CLIENT, data, changed=True)
    if call.stream and summary.end in _STREAMED and summary.attempts:
        trace.note("stream_completed", Direction.STREAM, Stage.CLIENT, _metrics(summary))


_STREAMED = frozenset({"completed", "truncated", "failed", "error"})
"""How a call may end of whose answer the client got something."""


def _metrics(summary: Summary) -> JsonObject:
    """Seconds are counted from the beginning of the call."""
    usage, first = summary.progress.usage, summary.first_token
    return given(
        end=summary.end,
        seconds=round(summary.seconds, 3),
        first_token=None if first is None else round(first, 3),
        attempts=len(summary.attempts),
        usage=usage.said() if usage else None,
        usage_estimated=summary.estimated,
    )

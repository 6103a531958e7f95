"""Drives one Exchange: performs its commands, feeds it what happens, and tidies up whatever the end is.

Nobody waits here for what comes next. What happens is handled in the call that says so: bytes go from the
socket of a provider into that of the client in one turn of the event loop. What happens while something else
is handled comes after it. Where the client has to read first, or others are to have their turn, all of it
waits.
"""

import asyncio
from collections import deque
from dataclasses import replace
from functools import partial
from typing import assert_never

from pydantic import SecretStr

from addons.call.arrivals import MOST_ENDS, Answer, in_pieces
from addons.call.live import NO_WAIT, LiveCall, Wait, live_call
from addons.call.renewing import Renewing
from addons.call.report_headers import reported
from addons.call.request import OWN, Leases, outgoing
from addons.call.response import Response, give
from addons.call.work import Work
from addons.credentials.lease import Lease
from addons.mitm.messages import head_for_client
from addons.runtime.clock import Timers
from addons.secrets.redaction import Blackout
from addons.upstream.client import Attempt, Receiver
from addons.upstream.failure import Cause
from addons.upstream.network import Reached
from protocols.model.errors import Fault
from protocols.model.http import Head, UpstreamRequest
from rewrite.credentials.learning import REPORTS
from rewrite.exchange.exchange import State
from rewrite.hooks.calling import HookFailed
from rewrite.responses.store import PROTOCOL as RESPONSES
from rewrite.targets.target import Target
from rewrite.values.events import (
    Acquire,
    AwaitCredential,
    CancelUpstream,
    ClientDrained,
    ClientGone,
    Command,
    EndResponse,
    Event,
    OpenUpstream,
    Release,
    Report,
    SendData,
    SendHeaders,
    SetTimer,
    Shutdown,
    Start,
    Summary,
    TimerFired,
    UpstreamClosed,
    UpstreamData,
    UpstreamSent,
    UpstreamStarted,
)
from rewrite.values.outcome import Abandoned
from rewrite.values.timer import Timer

LONG_WAIT = 3.0
"""Seconds of an attempt that failed, or between two, from which on a person has to know why nothing comes."""

SILENT, SILENT_WHOLE = 5.0, 30.0
"""Seconds without a byte of an answer that has been asked for, of a stream and of a whole answer, from which
on a person has to know who is silent."""

SLOW_DRAIN = 0.1
"""Seconds after which a client that did not read has made upstream's silence meaningless."""

LARGEST = 256 * 1024
"""Bytes that may wait before upstream is read no further."""

_SILENCES = {Timer.FIRST_EVENT, Timer.FIRST_TOKEN, Timer.RESPONSE}
"""Timers that end an attempt nothing came of."""

_NOTHING_HIDDEN = Blackout(())


class _FaultsRecorded:
    """A fault of ours in here is recorded, and costs the client nothing."""

    __slots__ = ("_work",)

    def __init__(self, work: Work) -> None:
        self._work = work

    def __enter__(self) -> None:
        pass

    def __exit__(self, _: object, error: BaseException | None, __: object) -> bool:
        if not isinstance(error, Exception):
            return False
        self.note(error)
        return True

    def note(self, error: BaseException) -> None:
        record = self._work.record
        self._work.journal.failed(f"call {record.call.id} to {record.provider}", error)


class Driver:
    """One call, and the receiver of its attempts. Cancelling `run`, or `client_gone`, ends everything at
    once."""

    _response: Response
    _done: asyncio.Future[None]

    def __init__(self, work: Work) -> None:
        self._work, self._recorded = work, _FaultsRecorded(work)
        self._arrived: list[Event] = [Start()]
        self._events: deque[Event] = deque()
        self._commands: deque[Command] = deque()
        self._answer = Answer()
        self._attempt: Attempt | None = None
        self._leases = Leases(work)
        self._hidden: list[SecretStr] = []
        self._blackout = _NOTHING_HIDDEN
        self._timers = Timers(work.clock, self._put)
        self._wanted: list[tuple[Event, float]] = []  # timers that are set when all is handled
        self._handling = self._waits = self._silence_noted = False
        self._waiting_for: asyncio.Task[None] | asyncio.Handle | None = None
        self._bytes = 0
        self._paused = self._over = self._broken = False
        self.is_answered = False
        """Whether the client gets the end of its answer; then `run` ends."""
        self._status = 0
        self._last = self._why = ""
        self._wait = NO_WAIT
        self._now = self._opened_at = self._took = 0.0

    async def run(self, response: Response) -> None:
        """Answer the call into `response`."""
        self._response = response
        self._done = asyncio.get_running_loop().create_future()
        try:
            self._pump()
            await self._done
        finally:
            self.client_gone()

    def client_gone(self) -> None:
        """Stop everything now; nothing if the call is over."""
        if not self._over:
            self._over = True
            with self._faults_recorded():  # the client has left: nobody gets a message
                self._now = self._work.clock()
                self._tidy_up_all()  # what waits for the client to read
                self._commands.extend(self._work.exchange.handle(ClientGone(), self._now))
                self._tidy_up_all()
        self._stop()

    def stop(self, why: str) -> None:
        """As `client_gone`, but it was not the client that ended the call."""
        self._why = why
        self.client_gone()

    def shut_down(self) -> None:
        """The proxy ends: the client gets an error that says so, in its stream where that has begun."""
        if not self._over and self._work.exchange.state is not State.NEW:
            self._put(Shutdown())

    @property
    def is_over(self) -> bool:
        return self._over

    def live(self) -> LiveCall | None:
        """What the call does now. None: it is over."""
        if self._over:
            return None
        return live_call(self._work.record, self._work.exchange, self._wait, self._work.clock())

    def note_silence(self) -> None:
        """Record, once in a call, that its provider is silent and has been for long."""
        since = self._work.exchange.silent_since
        if self._over or self._silence_noted or since is None:
            return
        seconds = self._work.clock() - since
        if seconds >= (SILENT if self._work.exchange.target.call.stream else SILENT_WHOLE):
            self._silence_noted = True
            exchange, left = self._work.exchange, self._timers.left(_ends_silence)
            key = "the tool's own key" if exchange.credential == OWN else exchange.credential
            with self._faults_recorded():
                self._work.journal.silent(self._work.record, key, seconds, left)

    def _stop(self) -> None:
        self._cancel_attempt()
        if self._waiting_for is not None:
            self._waiting_for.cancel()
        if self._leases.leave is not None:
            self._leases.leave_line()
        for attempt in tuple(self._leases.held):  # only after a fault of ours
            self._release(Release(attempt, Abandoned()))
        self._timers.cancel()
        if self._work.watched is not None:
            with self._faults_recorded():
                self._work.watched.over()

    def _cancel_attempt(self) -> None:
        if self._attempt is not None:
            self._attempt.cancel()
            self._attempt = None

    # -- what happens ---------------------------------------------------------------------------------

    def sent(self) -> None:
        self._put(UpstreamSent(self._answer.attempt))

    def started(self, head: Head, reached: Reached) -> None:
        answer = self._answer
        answer.head = head
        with self._faults_recorded():
            target, lease = self._leases.held[answer.attempt]
            if lease.ticket or (lease.pooled and _says_limits(head)):
                self._leases.answered(answer.attempt, head)
            self._work.journal.reached(self._work.record.flow, target.origin, reached)
        self._put(UpstreamStarted(answer.attempt, head))

    def received(self, data: bytes) -> None:
        answer = self._answer
        if answer.untouched:
            answer.unsent += data
        self._bytes += len(data)
        if self._bytes >= LARGEST and (self._handling or self._waits):
            self._pause()
        self._put(UpstreamData(answer.attempt, data))

    def closed(self, cause: Cause | None) -> None:
        self._answer.ended, self._answer.cause = True, cause
        self._attempt = None
        self._put(_closed(self._answer.attempt, cause))

    def _put(self, event: Event) -> None:
        self._arrived.append(event)
        if not (self._handling or self._waits):
            self._pump()

    # -- the loop -------------------------------------------------------------------------------------

    def _pump(self) -> None:
        """Handle what has happened, as far as it may be handled now."""
        self._handling = True
        try:
            if self._broken:
                self._pass_on()
            else:
                self._handle_all()
        except Exception as error:  # noqa: BLE001  # the one boundary after which a fault of ours is an answer
            self._fail(error)
        finally:
            self._handling = False
        self._set_timers()

    def _set_timers(self) -> None:
        """All that were wanted, unless the call is over by now."""
        if self._wanted and not self._over:
            self._timers.set(self._wanted, self._now)
        self._wanted.clear()

    def _handle_all(self) -> None:
        if not self._events:
            self._take()
        self._now = self._work.clock()
        if self._commands:
            self._perform_all()
        while not (self._waits or self._over) and (self._events or self._take()):
            self._commands.extend(self._work.exchange.handle(self._events.popleft(), self._now))
            self._perform_all()
            if self._events and isinstance(self._events[0], UpstreamData):
                self._give_others_a_turn()

    def _take(self) -> bool:
        """What has arrived is handled next; whether there is any."""
        arrived = self._arrived
        if not arrived:
            return False
        is_plain = len(arrived) == 1 and self._bytes <= MOST_ENDS
        self._events.extend(arrived if is_plain else in_pieces(arrived))
        self._arrived, self._bytes = [], 0
        if self._paused:
            self._resume()
        return True

    def _give_others_a_turn(self) -> None:
        if not self._waits:
            self._waits = True
            self._waiting_for = asyncio.get_running_loop().call_soon(self._continue)

    def _wait_for_client(self) -> None:
        if not self._waits:
            self._waits = True
            self._waiting_for = asyncio.get_running_loop().create_task(self._drain())

    async def _drain(self) -> None:
        clock = self._work.clock
        began = clock()
        try:
            await self._response.drained()
        except Exception as error:  # noqa: BLE001
            self._fail(error)
        if clock() - began > SLOW_DRAIN:
            self._events.appendleft(ClientDrained())  # ahead of a timer that fired meanwhile
        self._continue()

    def _continue(self) -> None:
        self._waits = False
        if not self._handling:
            self._pump()

    def _pause(self) -> None:
        if self._attempt is not None and not self._paused:
            self._paused = True
            self._attempt.pause()

    def _resume(self) -> None:
        self._paused = False
        if self._attempt is not None:
            self._attempt.resume()

    # -- commands -------------------------------------------------------------------------------------

    def _perform_all(self) -> None:
        while self._commands and not self._waits:
            self._perform(self._commands.popleft())

    def _perform(self, command: Command) -> None:
        match command:
            case SendData(heartbeat=True):
                self._send(command.data)
            case SendData():
                self._pass(command)
            case SetTimer():
                self._want_timer(command)
            case SendHeaders(attempt=attempt, head=head):
                self._start(head, attempt)
            case Acquire():
                self._leases.acquire(command, self._put)
            case AwaitCredential():
                self._stand_in_line(command)
            case OpenUpstream():
                self._open(command)
            case EndResponse():
                self._over = self.is_answered = True
                self._response.end()
                self._finish()
            case CancelUpstream() | Release() | Report():
                self._tidy_up(command)
            case _:
                assert_never(command)

    def _tidy_up_all(self) -> None:
        while self._commands:
            self._tidy_up(self._commands.popleft())

    def _tidy_up(self, command: Command) -> None:
        """Perform what is to be done whether a client is there or not."""
        match command:
            case CancelUpstream():
                self._cancel_attempt()
                self._answer = Answer(self._answer.attempt)
            case Release(attempt=attempt, outcome=outcome):
                self._last = f"{self._leases.held[attempt][1].name}: {outcome.label}"
                self._took = self._now - self._opened_at
                self._release(command)
            case Report(summary=summary):
                self._report(summary)
            case _:
                pass

    def _want_timer(self, wanted: SetTimer) -> None:
        self._wanted.append((TimerFired(wanted.attempt, wanted.timer), wanted.seconds))
        if wanted.timer is Timer.BACKOFF:
            self._wait = Wait(self._now + wanted.seconds, self._last)
        if wanted.timer is Timer.BACKOFF and wanted.seconds > LONG_WAIT:
            with self._faults_recorded():
                self._work.journal.waiting(self._work.record, wanted.seconds, self._last)

    def _finish(self) -> None:
        if not self._done.done():  # `run` may have been cancelled
            self._done.set_result(None)

    # -- credentials ----------------------------------------------------------------------------------

    def _stand_in_line(self, command: AwaitCredential) -> None:
        none = self._leases.stand_in_line(command, self._put)
        due = None if none.full or none.wait is None else self._now + none.wait
        self._wait = Wait(due, "; ".join(none.keys))
        if none.full or (none.wait or 0.0) > LONG_WAIT:
            with self._faults_recorded():
                wait = None if none.full else none.wait
                self._work.journal.in_line(self._work.record, wait, self._wait.why)

    def _release(self, release: Release) -> None:
        target, lease = self._leases.held.pop(release.attempt)
        if lease.pooled:
            work, provider = self._work, target.provider.name
            with self._faults_recorded():
                work.pool.release(provider, lease, target.call, release.outcome, work.asker, release)

    # -- the record -----------------------------------------------------------------------------------

    def _faults_recorded(self) -> "_FaultsRecorded":
        return self._recorded

    def _failed(self, error: BaseException) -> None:
        self._recorded.note(error)

    def _report(self, summary: Summary) -> None:
        summary = replace(summary, detail=self._why) if self._why else summary
        work = self._work
        with self._faults_recorded():
            work.journal.end(work.record, summary)
        if summary.fields:
            with self._faults_recorded():
                work.fields.keep(summary.fields)
        if work.asker.found:
            provider = work.record.targets[summary.target].provider.name
            with self._faults_recorded():
                work.pool.answered(provider, summary, work.asker)
        if work.turn.call.protocol == RESPONSES:
            with self._faults_recorded():
                work.reports.over(work.record, summary, work.turn, work.intercepted.own)

    # -- upstream -------------------------------------------------------------------------------------

    def _open(self, wanted: OpenUpstream) -> None:
        target, lease = self._leases.held[wanted.attempt]
        if self._took > LONG_WAIT:
            with self._faults_recorded():
                self._work.journal.asked_again(self._work.record, self._took, self._last)
        self._opened_at = self._now
        self._answer = Answer(wanted.attempt, target.untouched)
        if lease.source is None:
            self._attempt = self._ask(wanted, lease, self)
        else:
            ask = partial(self._ask, wanted)
            upstream, origin = self._work.upstream, target.origin
            self._attempt = Renewing(lease, lease.source, upstream, origin, ask, self).begin()

    def _ask(self, wanted: OpenUpstream, lease: Lease, receiver: Receiver) -> Attempt | None:
        """Ask the provider on `lease`, which a login may have another token for than when it was acquired."""
        target, _ = self._leases.held[wanted.attempt]
        self._leases.held[wanted.attempt] = target, lease
        if lease.pooled:
            self._hidden.append(lease.secret)
            self._blackout = Blackout(self._hidden)
        request = self._outgoing(target, lease, wanted)
        if (watched := self._work.watched) is not None:
            with self._faults_recorded():
                receiver = watched.asks(wanted.attempt, target, lease, request, receiver)
        connect = target.terms.timing.connect
        try:
            return self._work.upstream.open(request, receiver, fresh=wanted.fresh, connect_timeout=connect)
        except Exception as error:  # noqa: BLE001  # ends the attempt like one of the network
            self.broken(error)
            return None

    def _outgoing(self, target: Target, lease: Lease, wanted: OpenUpstream) -> UpstreamRequest:
        return outgoing(self._work.request, target, self._work.intercepted, lease, wanted)

    def renewed(self, head: Head, body: bytes) -> None:
        """An attempt is asked again with another token: nothing has come of it yet."""

    def refused(self, fault: Fault) -> None:
        """There is no token to ask with: an answer of ours, as the provider would write it."""
        target, _ = self._leases.held[self._answer.attempt]
        answer = target.protocol.error(fault)
        self._answer.head = Head(answer.status, answer.headers, answer.reason)
        self.sent()
        self._put(UpstreamStarted(self._answer.attempt, self._answer.head))
        self.received(answer.body)
        self.closed(None)

    def broken(self, error: BaseException) -> None:
        """A fault of ours ended the attempt, or code of the provider's own, which ends the call."""
        if isinstance(error, HookFailed):
            self._fail(error)
            return
        self._failed(error)
        self._put(UpstreamClosed(self._answer.attempt, "a fault of the proxy"))

    # -- the client -----------------------------------------------------------------------------------

    def _start(self, head: Head, attempt: int) -> None:
        self._status = head.status
        head = self._blackout.head(head)
        if self._work.reports_headers:
            head = reported(head, self._work.record.call, attempt, self._leases.asked)
        if not self._response.start(*head_for_client(head)):
            self._wait_for_client()

    def _pass(self, command: SendData) -> None:
        """What follows at once goes out in the same write."""
        data, commands = command.data, self._commands
        while commands and isinstance(following := commands[0], SendData):
            data += following.data
            commands.popleft()
        del self._answer.unsent[: len(data)]
        self._send(self._redacted(data))

    def _redacted(self, data: bytes) -> bytes:
        """Most often nothing is found, and nobody called."""
        for form in self._blackout.forms:
            if form in data:
                return self._blackout.whole(data)
        return data

    def _send(self, data: bytes) -> None:
        if not self._response.send(data):
            self._wait_for_client()

    # -- faults of ours -------------------------------------------------------------------------------

    def _fail(self, error: Exception) -> None:
        """Open where an answer of the client's own protocol is under way: its bytes are passed on. Else a
        502. Code of the provider's own that failed is named in the flow."""
        self._over = True
        self._failed(error)
        if isinstance(error, HookFailed):
            record = {"end": "failed", "status": self._status or 502, "detail": str(error)}
            self._work.journal.begin(self._work.record.flow, record)
        self._timers.cancel()
        self._commands.clear()
        try:
            self._make_up(error)
        except Exception as another:  # noqa: BLE001  # it fails here too: closed, with nothing more said
            self._failed(another)
            self._break_off("a fault of the proxy")

    def _make_up(self, error: Exception) -> None:
        head = self._answer.head
        if head is not None and self._answer.continues(self._status) and not self._broken:
            self._broken = True
            if not self._status:
                self._start(head, self._answer.attempt)
            self._pass_on()
        elif self._status:
            self._break_off("a fault of the proxy")
        else:
            self._send_error_response(error)

    def _send_error_response(self, error: Exception) -> None:
        ours = "a fault of the proxy, not of the provider"
        message = str(error) if isinstance(error, HookFailed) else ours
        fault = Fault(502, "proxy_fault", message, should_retry=False)
        self._status = fault.status
        give(self._work.protocol.error(fault), self._response)
        self._finish()

    def _pass_on(self) -> None:
        """What came of the answer since the client got any."""
        self._take()
        self._events.clear()
        answer = self._answer
        data = self._blackout.feed(answer.take())
        if answer.ended:
            data += self._blackout.remainder()
        if data:
            self._send(data)
        if answer.ended and not self._waits:
            self._end_passed(answer.cause)

    def _end_passed(self, cause: Cause | None) -> None:
        if cause is not None:
            self._break_off(cause.text)
        else:
            self._response.end()
            self._finish()

    def _break_off(self, message: str) -> None:
        self._response.abort(message)
        self._finish()


def _ends_silence(event: Event) -> bool:
    return isinstance(event, TimerFired) and event.timer in _SILENCES


def _says_limits(head: Head) -> bool:
    return REPORTS.search("\n".join([name for name, _ in head.headers])) is not None


def _closed(attempt: int, cause: Cause | None) -> UpstreamClosed:
    if cause is None:
        return UpstreamClosed(attempt)
    return UpstreamClosed(attempt, cause.text, cause.connected, cause.is_lasting)

"""Drives one Exchange: performs its commands, feeds it what happens, and tidies up whatever the end is."""

import asyncio
from collections import deque
from collections.abc import Iterator
from contextlib import aclosing, contextmanager
from dataclasses import dataclass, field, replace
from functools import partial
from typing import assert_never

from mitmproxy import http
from pydantic import SecretStr

from addons.call.passing import Response, begin, give
from addons.call.recognition import Intercepted
from addons.call.reports import Reports
from addons.call.request import outgoing, own_lease
from addons.credentials.pool import NO_LEASE, Asker, Lease, Pool
from addons.records.journal import Journal, Record
from addons.responses.kept import Turn
from addons.runtime.clock import Handle, Time
from addons.secrets.redaction import Blackout
from addons.upstream.client import Closed, Data, Sent, Started, Upstream, UpstreamEvent
from addons.upstream.failure import Cause
from protocols.base import WireProtocol
from protocols.model.errors import Fault
from protocols.model.http import Head, UpstreamRequest
from protocols.model.origin import Origin
from rewrite.credentials.rotation import Unavailable
from rewrite.exchange.exchange import Exchange
from rewrite.targets.target import Target
from rewrite.values.events import (
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
    SendHeaders,
    SetTimer,
    Start,
    Summary,
    TimerFired,
    UpstreamClosed,
    UpstreamData,
    UpstreamSent,
    UpstreamStarted,
)
from rewrite.values.outcome import Abandoned, Outcome
from rewrite.values.timer import Timer

LONG_WAIT = 3.0
"""Seconds of an attempt that failed, or between two, from which on a person has to know why nothing comes."""

SLOW_DRAIN = 0.1
"""Seconds after which a client that did not read has made upstream's silence meaningless."""

LARGEST = 256 * 1024
"""Bytes that may wait before upstream is read no further."""

MOST_ENDS = 1024
"""Bytes in one piece that may end a frame: what is made of a piece holds the event loop."""

_ENDS = (b"\n", b"\r", b"}")


@dataclass(frozen=True, slots=True)
class Work:
    """One call, and what its driver needs of its surroundings."""

    record: Record
    """The call, its targets, and the flow that it is shown in."""
    turn: Turn
    """The call with the turns that it continues."""
    intercepted: Intercepted
    """Whose call it is, with the credential of the client."""
    request: http.Request
    """A copy of the client's, which is written again for each attempt."""
    protocol: WireProtocol
    """In which the client gets its answer."""
    exchange: Exchange
    asker: Asker
    pool: Pool
    upstream: Upstream
    journal: Journal
    reports: Reports
    clock: Time


@dataclass(slots=True)
class Answer:
    """What came of the open attempt and has not left, for a fault of ours."""

    attempt: int = 0
    """Its number."""
    untouched: bool = True
    """Whether what comes is what the client gets, so that it can continue without us."""
    head: Head | None = None
    unsent: bytearray = field(default_factory=bytearray)
    """Bytes as they came."""
    closed: UpstreamClosed | None = None

    def note(self, event: Event) -> None:
        match event:
            case UpstreamData(attempt=self.attempt, data=data) if self.untouched:
                self.unsent += data
            case UpstreamStarted(attempt=self.attempt, head=head):
                self.head = head
            case UpstreamClosed(attempt=self.attempt):
                self.closed = event
            case _:
                pass

    def take(self) -> bytes:
        data = bytes(self.unsent)
        self.unsent.clear()
        return data


class Driver:
    """One call. Cancelling `run`, or `client_gone`, ends everything at once."""

    _response: Response

    def __init__(self, work: Work) -> None:
        self._work = work
        self._mailbox = Mailbox()
        self._events: deque[Event] = deque((Start(),))
        self._answer = Answer()
        self._leases: dict[int, tuple[Target, Lease]] = {}
        self._hidden: list[SecretStr] = []
        self._blackout = Blackout(())
        self._reader: asyncio.Task[None] | None = None
        self._timers: list[Handle] = []
        self._started = self._over = False
        self._status = 0
        self._last = self._why = ""
        self._now = self._opened_at = self._took = 0.0

    async def run(self, response: Response) -> None:
        """Answer the call into `response`."""
        self._response = response
        try:
            await self._drive()
        except Exception as error:  # noqa: BLE001  # the one boundary after which a fault of ours is an answer
            await self._fail(error)
        finally:
            self.client_gone()

    def client_gone(self) -> None:
        """Stop everything now; nothing if the call is over."""
        if not self._over:
            self._over = True
            with self._faults_recorded():  # the client has left: nobody gets a message
                self._now = self._work.clock()
                for command in self._work.exchange.handle(ClientGone(), self._now):
                    self._perform_at_once(command)
        self._stop()

    def stop(self, why: str) -> None:
        """As `client_gone`, but it was not the client that ended the call."""
        self._why = why
        self.client_gone()

    def _stop(self) -> None:
        for timer in self._timers:
            timer.cancel()
        self._timers.clear()
        self._cancel_reader()
        while self._leases:  # only after a fault of ours
            _, (target, lease) = self._leases.popitem()
            self._release(target, lease, Abandoned())

    def _cancel_reader(self) -> None:
        if self._reader is not None:
            self._reader.cancel()
            self._reader = None

    # -- the loop -------------------------------------------------------------------------------------

    async def _drive(self) -> None:
        while not self._over:
            await self._handle(await self._next())

    async def _next(self) -> Event:
        if not self._events:
            self._events.extend(await self._mailbox.take())
        elif isinstance(self._events[0], UpstreamData):
            await asyncio.sleep(0)  # between two pieces others have their turn
        return self._events.popleft()

    async def _handle(self, event: Event) -> None:
        self._answer.note(event)
        self._now = self._work.clock()
        for command in self._work.exchange.handle(event, self._now):
            match command:
                case SendData(data=data, heartbeat=heartbeat):
                    if not heartbeat:
                        del self._answer.unsent[: len(data)]
                    await self._send(data)
                case SendHeaders(head=head):
                    await self._start(head)
                case EndResponse():
                    self._over = True
                    self._response.end()
                case _:
                    self._perform_at_once(command)

    def _perform_at_once(self, command: Command) -> None:
        match command:
            case Acquire():
                self._acquire(command)
            case OpenUpstream():
                self._open(command)
            case CancelUpstream():
                self._cancel_reader()
            case Release(attempt=attempt, outcome=outcome):
                self._last = f"{self._leases[attempt][1].name}: {outcome.label}"
                self._took = self._now - self._opened_at
                self._release(*self._leases.pop(attempt), outcome)
            case SetTimer(attempt=attempt, timer=timer, seconds=seconds):
                fired = partial(self._mailbox.put, TimerFired(attempt, timer))
                self._timers.append(self._work.clock.call_later(seconds, fired))
                if timer is Timer.BACKOFF and seconds > LONG_WAIT:
                    with self._faults_recorded():
                        self._work.journal.waiting(self._work.record, seconds, self._last)
            case Report(summary=summary):
                self._report(summary)
            case SendHeaders() | SendData() | EndResponse():
                pass  # to nobody: the client has left
            case _:
                assert_never(command)

    # -- credentials ----------------------------------------------------------------------------------

    def _acquire(self, command: Acquire) -> None:
        target = self._work.record.targets[command.target]
        match self._lease(target, command):
            case Lease() as lease:
                self._leases[command.attempt] = target, lease
                self._mailbox.put(Acquired(command.attempt, lease.name, lease.former, lease.asked_last))
            case Unavailable() as none:
                self._mailbox.put(NoneFree(command.attempt, none.wait, none.paused, none.refused, none.keys))

    def _lease(self, target: Target, command: Acquire) -> Lease | Unavailable:
        if target.terms.pooled:
            fallback = target.index + 1 < len(self._work.record.targets)
            return self._work.pool.acquire(target.provider.name, target.call, command, fallback=fallback)
        return own_lease(self._work.intercepted) if target.route.original else NO_LEASE

    def _release(self, target: Target, lease: Lease, outcome: Outcome) -> None:
        if lease.pooled:
            with self._faults_recorded():
                pool, asker = self._work.pool, self._work.asker
                pool.release(target.provider.name, lease, target.call, outcome, asker)

    # -- the record -----------------------------------------------------------------------------------

    @contextmanager
    def _faults_recorded(self) -> Iterator[None]:
        """A fault of ours in here is recorded, and costs the client nothing."""
        try:
            yield
        except Exception as error:  # noqa: BLE001
            self._failed(error)

    def _failed(self, error: BaseException) -> None:
        record = self._work.record
        self._work.journal.failed(f"call {record.call.id} to {record.provider}", error)

    def _report(self, summary: Summary) -> None:
        summary = replace(summary, detail=self._why) if self._why else summary
        work = self._work
        with self._faults_recorded():
            work.reports.over(work.record, summary, work.turn, work.intercepted.own)

    # -- upstream -------------------------------------------------------------------------------------

    def _open(self, wanted: OpenUpstream) -> None:
        target, lease = self._leases[wanted.attempt]
        if self._took > LONG_WAIT:
            with self._faults_recorded():
                self._work.journal.asked_again(self._work.record, self._took, self._last)
        self._opened_at = self._now
        if lease.pooled:
            self._hidden.append(lease.secret)
            self._blackout = Blackout(self._hidden)
        request = outgoing(self._work.request, target, self._work.intercepted, lease, wanted.rendered)
        self._answer = Answer(wanted.attempt, target.untouched)
        reading = self._read(wanted, request, target.terms.timing.connect)
        self._reader = asyncio.get_running_loop().create_task(reading)

    async def _read(self, wanted: OpenUpstream, request: UpstreamRequest, connect_timeout: float) -> None:
        """A fault of ours in reading ends the attempt like one of the network."""
        upstream = self._work.upstream
        try:
            stream = upstream.stream(request, fresh=wanted.fresh, connect_timeout=connect_timeout)
            async with aclosing(stream) as events:
                async for event in events:
                    await self._received(wanted.attempt, request.origin, event)
        except Exception as error:  # noqa: BLE001
            self._failed(error)
            self._mailbox.put(UpstreamClosed(wanted.attempt, "a fault of the proxy"))

    async def _received(self, attempt: int, origin: Origin, event: UpstreamEvent) -> None:
        mailbox = self._mailbox
        match event:
            case Data(data=data):
                mailbox.put(UpstreamData(attempt, data))
                if mailbox.is_full:
                    await mailbox.room()
            case Sent():
                mailbox.put(UpstreamSent(attempt))
            case Started(head=head, reached=reached):
                if reached is not None:
                    with self._faults_recorded():
                        self._work.journal.reached(self._work.record.flow, origin, reached)
                mailbox.put(UpstreamStarted(attempt, head))
            case Closed(cause=cause):
                mailbox.put(_closed(attempt, cause))

    # -- the client -----------------------------------------------------------------------------------

    async def _start(self, head: Head) -> None:
        self._started, self._status = True, head.status
        if not begin(self._response, head, self._blackout):
            await self._response.drained()

    async def _send(self, data: bytes) -> None:
        if self._response.send(self._blackout.whole(data)):
            return
        await self._response.drained()
        before, self._now = self._now, self._work.clock()
        if self._now - before > SLOW_DRAIN:
            self._events.appendleft(ClientDrained())  # ahead of a timer that fired meanwhile

    # -- faults of ours -------------------------------------------------------------------------------

    async def _fail(self, error: Exception) -> None:
        self._over = True
        self._failed(error)
        try:
            await self._make_up()
        except Exception as another:  # noqa: BLE001  # it fails here too: closed, with nothing more said
            self._failed(another)
            self._response.abort("a fault of the proxy")

    async def _make_up(self) -> None:
        """Open where an answer of the client's own protocol is under way: its bytes are passed on. Else a
        502."""
        head = self._answer.head
        fits = head is not None and (not self._started or head.status == self._status)
        if head is not None and fits and self._reader is not None and self._answer.untouched:
            await self._pass_rest(head)
        elif self._started:
            self._response.abort("a fault of the proxy")
        else:
            self._send_error_response()

    def _send_error_response(self) -> None:
        fault = Fault(502, "proxy_fault", "a fault of the proxy, not of the provider", should_retry=False)
        self._started = True
        give(self._work.protocol.error(fault), self._response)

    async def _pass_rest(self, head: Head) -> None:
        if not self._started:
            await self._start(head)
        while self._answer.closed is None:
            if not self._response.send(self._blackout.feed(self._answer.take())):
                await self._response.drained()
            self._answer.note(await self._next())
        self._response.send(self._blackout.feed(self._answer.take()) + self._blackout.remainder())
        if self._answer.closed.cause is None:
            self._response.end()
        else:
            self._response.abort(self._answer.closed.cause)


def _closed(attempt: int, cause: Cause | None) -> UpstreamClosed:
    if cause is None:
        return UpstreamClosed(attempt)
    return UpstreamClosed(attempt, cause.text, cause.connected, cause.is_lasting)


class Mailbox:
    """The events of one call on their way to its Exchange, in order and bounded, for one consumer.

    Data that arrived together is taken as one event, so that it goes out in one write; not
    so a flood of tiny frames."""

    def __init__(self) -> None:
        self._events: deque[Event] = deque()
        self._bytes = 0
        self._filled = asyncio.Event()
        self._emptied = asyncio.Event()

    def put(self, event: Event) -> None:
        self._events.append(event)
        if isinstance(event, UpstreamData):
            self._bytes += len(event.data)
        self._filled.set()

    async def room(self) -> None:
        """Return once less than LARGEST bytes wait."""
        while self._bytes >= LARGEST:
            self._emptied.clear()
            await self._emptied.wait()

    @property
    def is_full(self) -> bool:
        return self._bytes >= LARGEST

    async def take(self) -> list[Event]:
        """All that waits, at least one event."""
        await self._filled.wait()
        self._filled.clear()
        events = list(_merged(self._events))
        self._events.clear()
        self._bytes = 0
        self._emptied.set()
        return events


def _merged(events: deque[Event]) -> Iterator[Event]:
    pending: list[UpstreamData] = []
    for event in events:
        if isinstance(event, UpstreamData) and (not pending or pending[0].attempt == event.attempt):
            pending.append(event)
            continue
        yield from _joined(pending)
        pending = [event] if isinstance(event, UpstreamData) else []
        if not pending:
            yield event
    yield from _joined(pending)


def _joined(pending: list[UpstreamData]) -> Iterator[Event]:
    if len(pending) == 1:
        yield from _pieces(pending[0])
    elif pending:
        yield from _pieces(UpstreamData(pending[0].attempt, b"".join([event.data for event in pending])))


def _pieces(event: UpstreamData) -> Iterator[UpstreamData]:
    """A flood of tiny frames in several pieces, anything else as it is."""
    attempt, data = event.attempt, event.data
    if sum(map(data.count, _ENDS)) <= MOST_ENDS:
        yield event
        return
    half = len(data) // 2
    yield from _pieces(UpstreamData(attempt, data[:half]))
    yield from _pieces(UpstreamData(attempt, data[half:]))

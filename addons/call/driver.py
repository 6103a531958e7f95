"""Drives one Exchange: performs its commands, feeds it what happens, and tidies up whatever the end is."""

import asyncio
from collections import deque
from collections.abc import Callable
from contextlib import aclosing
from dataclasses import dataclass, field, replace
from functools import partial
from typing import Protocol, assert_never

from pydantic import SecretStr

from addons.call.mailbox import Inbox
from addons.credentials.pool import Lease
from addons.mitm.messages import for_client
from addons.runtime.clock import Handle, Time
from addons.secrets.redaction import Blackout
from addons.upstream.client import Closed, Data, Sent, Started, Upstream
from addons.upstream.failure import Cause
from addons.upstream.network import Reached
from protocols.base import WireProtocol
from protocols.model.call import Call, Rendered
from protocols.model.errors import Fault
from protocols.model.http import Head, UpstreamRequest, WireResponse
from protocols.model.origin import Origin
from rewrite.credentials.rotation import Unavailable
from rewrite.exchange.exchange import Exchange
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
from rewrite.values.outcome import Abandoned, Outcome, describe
from rewrite.values.timer import Timer

LONG_WAIT = 3.0
"""Seconds of an attempt that failed, or between two, from which on a person has to know why nothing comes."""

SLOW_DRAIN = 0.1
"""Seconds after which a client that did not read has made upstream's silence meaningless."""


class Response(Protocol):
    """Where an answer goes: the sink of the stream layer, or a turn of a WebSocket."""

    @property
    def draining(self) -> bool: ...

    async def start(self, status: int, reason: bytes, headers: list[tuple[bytes, bytes]]) -> None: ...

    async def send(self, data: bytes) -> None: ...

    async def end(self) -> None: ...

    async def abort(self, message: str) -> None: ...


@dataclass(frozen=True, slots=True)
class Work:
    """What a driver needs of its surroundings, for one call.

    `acquire` and `release` are the pool's (or the client's own credential's), `request` writes a credential
    on what goes to a target, or on what is rendered in its place; they get the number of the target's route.
    `untouched`: whether the client gets its answers as they come. `reached` is told who answers an attempt,
    over which connection. `report` keeps the record, `waiting` says how long nothing is asked and why,
    `asked_again` how long the attempt before took and what came of it, `failed` reports a fault of ours.
    """

    call: Call
    protocol: WireProtocol
    exchange: Exchange
    upstream: Upstream
    connect_timeout: float
    acquire: Callable[[Acquire], Lease | Unavailable]
    release: Callable[[int, Lease, Outcome], None]
    request: Callable[[int, Lease, Rendered | None], UpstreamRequest]
    untouched: Callable[[int], bool]
    reached: Callable[[Origin, Reached], None]
    report: Callable[[Summary], None]
    waiting: Callable[[float, str], None]
    asked_again: Callable[[float, str], None]
    failed: Callable[[BaseException], None]
    clock: Time


@dataclass(slots=True)
class Answer:
    """What came of the open attempt and has not left, for a fault of ours; the bytes are as they came.

    `untouched`: what comes is what the client gets, so that it can go on without us.
    """

    attempt: int = 0
    untouched: bool = True
    head: Head | None = None
    unsent: bytearray = field(default_factory=bytearray)
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
        self._inbox = Inbox()
        self._events: deque[Event] = deque((Start(),))
        self._answer = Answer()
        self._leases: dict[int, tuple[int, Lease]] = {}
        self._hidden: list[SecretStr] = []
        self._blackout = Blackout(())
        self._reader: asyncio.Task[None] | None = None
        self._timers: list[Handle] = []
        self._started = self._over = False
        self._status = 0
        self._last = self._why = ""
        self._opened_at = self._took = 0.0

    async def run(self, response: Response) -> None:
        """Answer the call into `response`."""
        self._response = response
        try:
            await self._drive()
        except Exception as error:  # noqa: BLE001  # the one boundary behind which a fault of ours is an answer
            await self._fail(error)
        finally:
            self.client_gone()

    def client_gone(self) -> None:
        """Stop everything now; nothing if the call is over."""
        if not self._over:
            self._over = True
            try:
                for command in self._work.exchange.handle(ClientGone(), self._work.clock()):
                    self._perform_at_once(command)
            except Exception as error:  # noqa: BLE001  # the client has left: nobody else to tell
                self._work.failed(error)
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
            _, (route, lease) = self._leases.popitem()
            self._record(partial(self._work.release, route, lease, Abandoned()))

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
            self._events.extend(await self._inbox.take())
        elif isinstance(self._events[0], UpstreamData):
            await asyncio.sleep(0)  # between two pieces others have their turn
        return self._events.popleft()

    async def _handle(self, event: Event) -> None:
        self._answer.note(event)
        for command in self._work.exchange.handle(event, self._work.clock()):
            match command:
                case SendData(data=data, beat=beat):
                    if not beat:
                        del self._answer.unsent[: len(data)]
                    await self._send(data)
                case SendHeaders(head=head):
                    await self._start(head)
                case EndResponse():
                    self._over = True
                    await self._response.end()
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
                self._last = f"{self._leases[attempt][1].name}: {describe(outcome)}"
                self._took = self._work.clock() - self._opened_at
                self._record(partial(self._work.release, *self._leases.pop(attempt), outcome))
            case SetTimer(attempt=attempt, timer=timer, seconds=seconds):
                fired = partial(self._inbox.put, TimerFired(attempt, timer))
                self._timers.append(self._work.clock.call_later(seconds, fired))
                if timer is Timer.BACKOFF and seconds > LONG_WAIT:
                    self._record(partial(self._work.waiting, seconds, self._last))
            case Report(summary=summary):
                told = replace(summary, words=self._why) if self._why else summary
                self._record(partial(self._work.report, told))
            case SendHeaders() | SendData() | EndResponse():
                pass  # to nobody: the client has left
            case _:
                assert_never(command)

    def _record(self, write: Callable[[], None]) -> None:
        """A fault in our records is told, and costs the client nothing."""
        try:
            write()
        except Exception as error:  # noqa: BLE001
            self._work.failed(error)

    def _acquire(self, wish: Acquire) -> None:
        match self._work.acquire(wish):
            case Lease() as lease:
                self._leases[wish.attempt] = wish.route, lease
                self._inbox.put(Acquired(wish.attempt, lease.name, lease.former, lease.asked_last))
            case Unavailable() as none:
                self._inbox.put(NoneFree(wish.attempt, none.wait, none.paused, none.refused, none.keys))

    # -- upstream -------------------------------------------------------------------------------------

    def _open(self, wanted: OpenUpstream) -> None:
        attempt = wanted.attempt
        route, lease = self._leases[attempt]
        if self._took > LONG_WAIT:
            self._record(partial(self._work.asked_again, self._took, self._last))
        self._opened_at = self._work.clock()
        if lease.pooled:
            self._hidden.append(lease.secret)
            self._blackout = Blackout(self._hidden)
        request = self._work.request(route, lease, wanted.rendered)
        self._answer = Answer(attempt, self._work.untouched(route))
        self._reader = asyncio.get_running_loop().create_task(
            self._read(attempt, request, fresh=wanted.fresh)
        )
        self._reader.add_done_callback(partial(self._read_out, attempt))

    async def _read(self, attempt: int, request: UpstreamRequest, *, fresh: bool) -> None:
        stream = self._work.upstream.stream(request, fresh=fresh, connect_timeout=self._work.connect_timeout)
        inbox = self._inbox
        async with aclosing(stream) as events:
            async for event in events:
                match event:
                    case Data(data=data):
                        inbox.put(UpstreamData(attempt, data))
                        if inbox.is_full:
                            await inbox.room()
                    case Sent():
                        inbox.put(UpstreamSent(attempt))
                    case Started(head=head, reached=reached):
                        if reached is not None:
                            self._record(partial(self._work.reached, request.origin, reached))
                        inbox.put(UpstreamStarted(attempt, head))
                    case Closed(cause=cause):
                        inbox.put(_closed(attempt, cause))

    def _read_out(self, attempt: int, reader: asyncio.Task[None]) -> None:
        """A fault of ours in reading ends the attempt like one of the network."""
        error = None if reader.cancelled() else reader.exception()
        if error is not None:
            self._work.failed(error)
            self._inbox.put(UpstreamClosed(attempt, "a fault of the proxy"))

    # -- the client -----------------------------------------------------------------------------------

    async def _start(self, head: Head) -> None:
        self._started, self._status = True, head.status
        headers = self._blackout.headers(for_client(head.headers))
        reason = self._blackout.text(head.reason)
        await self._response.start(head.status, _bytes(reason), [(_bytes(n), _bytes(v)) for n, v in headers])

    async def _send(self, data: bytes) -> None:
        before = self._work.clock()
        await self._response.send(self._blackout.whole(data))
        if self._work.clock() - before > SLOW_DRAIN:
            self._events.appendleft(ClientDrained())  # ahead of a timer that fired meanwhile

    # -- faults of ours -------------------------------------------------------------------------------

    async def _fail(self, error: Exception) -> None:
        self._over = True
        self._work.failed(error)
        try:
            await self._make_up()
        except Exception as another:  # noqa: BLE001  # it fails here too: closed, with nothing more said
            self._work.failed(another)
            await self._response.abort("a fault of the proxy")

    async def _make_up(self) -> None:
        """Open where an answer of the client's own protocol is under way: its bytes go on. Else a 502."""
        head = self._answer.head
        fits = head is not None and (not self._started or head.status == self._status)
        if head is not None and fits and self._reader is not None and self._answer.untouched:
            await self._pass_rest(head)
        elif self._started:
            await self._response.abort("a fault of the proxy")
        else:
            await self._refuse()

    async def _refuse(self) -> None:
        fault = Fault(502, "proxy_fault", "a fault of the proxy, not of the provider", should_retry=False)
        self._started = True
        await give(self._work.protocol.error(fault), self._response)

    async def _pass_rest(self, head: Head) -> None:
        if not self._started:
            await self._start(head)
        while self._answer.closed is None:
            await self._response.send(self._blackout.feed(self._answer.take()))
            self._answer.note(await self._next())
        await self._response.send(self._blackout.feed(self._answer.take()) + self._blackout.rest())
        if self._answer.closed.cause is None:
            await self._response.end()
        else:
            await self._response.abort(self._answer.closed.cause)


async def give(answer: WireResponse, response: Response) -> None:
    """An answer of ours, whole."""
    headers = [(_bytes(name), _bytes(value)) for name, value in answer.headers]
    await response.start(answer.status, _bytes(answer.reason), headers)
    await response.send(answer.body)
    await response.end()


async def pass_once(
    upstream: Upstream,
    request: UpstreamRequest,
    connect_timeout: float,
    blackout: Blackout,
    response: Response,
) -> None:
    """One attempt, its answer as it is but for what is blacked out: for a path that is not ours to answer."""
    async with aclosing(upstream.stream(request, fresh=False, connect_timeout=connect_timeout)) as events:
        async for event in events:
            match event:
                case Started(head=head):
                    headers = blackout.headers(for_client(head.headers))
                    pairs = [(_bytes(name), _bytes(value)) for name, value in headers]
                    await response.start(head.status, _bytes(blackout.text(head.reason)), pairs)
                case Data(data=data):
                    await response.send(blackout.feed(data))
                case Closed(cause=None):
                    await response.send(blackout.rest())
                    await response.end()
                case Closed(cause=cause):
                    await response.abort(cause.text if cause else "")
                case Sent():
                    pass


def _closed(attempt: int, cause: Cause | None) -> UpstreamClosed:
    if cause is None:
        return UpstreamClosed(attempt)
    return UpstreamClosed(attempt, cause.text, cause.connected, cause.is_lasting)


def _bytes(text: str) -> bytes:
    return text.encode("utf-8", "surrogateescape")

"""Answers without an exchange: one of ours, and what passes as it is."""

import time
from collections.abc import Awaitable, Callable
from contextlib import aclosing
from dataclasses import dataclass
from typing import Protocol

from addons.call.reports import Reports
from addons.call.response import Response, give
from addons.call.tracing import TracedResponse, note_heads
from addons.credentials.carriers import ClientCredential
from addons.mitm.messages import head_for_client
from addons.records.record import Record
from addons.secrets.redaction import Blackout
from addons.upstream.client import Upstream
from addons.upstream.events import Closed, Data, Sent, Started, UpstreamEvent, events
from protocols.model.errors import Fault
from protocols.model.http import Head, UpstreamRequest, WireResponse
from protocols.model.progress import Progress
from rewrite.exchange.traced import note_end
from rewrite.policies.classify import rejection
from rewrite.records.passes import CallTrace
from rewrite.values.decision import Ended
from rewrite.values.events import Summary
from rewrite.values.outcome import Abandoned, Completed, ErrorFacts, Outcome, Truncated, Unreachable


@dataclass(frozen=True, slots=True)
class ErrorResponse:
    """In the place of a driver: an answer of ours, which no provider is asked about."""

    answer: WireResponse
    """What the client gets."""
    fault: Fault
    """What `answer` says, for the record."""
    record: Record
    own: ClientCredential | None
    """The credential of the client, which is kept out of the record."""
    reports: Reports

    async def run(self, response: Response) -> None:
        summary, trace = self._summary(time.monotonic()), self.record.trace
        self.reports.not_asked(self.record, summary, self.own)
        if trace is None:
            give(self.answer, response)
            return
        traced = TracedResponse(response, trace)
        give(self.answer, traced)
        note_end(trace, self.record.call, summary, traced.head)
        trace.close()

    def _summary(self, now: float) -> Summary:
        answer, fault = self.answer, self.fault
        head = Head(answer.status, answer.headers, answer.reason)
        return Summary(
            "refused",
            fault.message,
            (),
            Progress(),
            now,
            0.0,
            status=fault.status,
            head=head,
            body=answer.body,
        )


class Made(Protocol):
    """What answers a call."""

    async def run(self, response: Response) -> None: ...


@dataclass(frozen=True, slots=True)
class Fetching:
    """In the place of a driver, while what the call continues is fetched."""

    made: Callable[[], Awaitable[Made]]
    """Gives what answers the call then."""

    async def run(self, response: Response) -> None:
        made = await self.made()
        await made.run(response)


@dataclass(frozen=True, slots=True)
class Passing:
    """In the place of a driver: one attempt, its answer as it is but for what is blacked out."""

    upstream: Upstream
    request: UpstreamRequest
    connect_timeout: float
    """In seconds."""
    blackout: Blackout
    heard: Callable[[Head], None]
    """Gets the head of the answer."""
    report: Callable[[Summary], None]
    """Gets what came of it."""
    credential: str
    """The name of the one that it is asked with."""
    trace: CallTrace | None = None
    """Has the heads, and no body. None: the request is not traced."""

    async def run(self, response: Response) -> None:
        passed = Passed(time.monotonic())
        try:
            await self._run(response, passed)
        finally:
            self.report(passed.summary(self.credential, time.monotonic(), time.time()))
            if self.trace is not None:
                self.trace.close()

    async def _run(self, response: Response, passed: "Passed") -> None:
        coming = events(self.upstream, self.request, fresh=False, connect_timeout=self.connect_timeout)
        async with aclosing(coming):
            async for event in coming:
                passed.note(event)
                if not self._passed(event, response):
                    await response.drained()

    def _passed(self, event: UpstreamEvent, response: Response) -> bool:
        """Pass it on; whether the next may follow at once."""
        match event:
            case Started(head=head):
                self.heard(head)
                given = self.blackout.head(head)
                if self.trace is not None:
                    note_heads(self.trace, head, given)
                return response.start(*head_for_client(given))
            case Data(data=data):
                return response.send(self.blackout.feed(data))
            case Closed(cause=None):
                response.send(self.blackout.remainder())
                response.end()
            case Closed(cause=cause):
                response.abort(cause.text if cause else "")
            case Sent():
                pass
        return True


@dataclass(slots=True)
class Passed:
    """What came of what is passed on."""

    began: float
    """Monotonic seconds."""
    head: Head | None = None
    closed: Closed | None = None
    """None: the client left before the end."""

    def note(self, event: UpstreamEvent) -> None:
        match event:
            case Started(head=head):
                self.head = head
            case Closed():
                self.closed = event
            case _:
                pass

    def summary(self, credential: str, now: float, epoch: float) -> Summary:
        """`now` in monotonic seconds, `epoch` the same in seconds since the epoch."""
        end, outcome = self._outcome(epoch)
        attempt = Ended(1, credential, outcome, now)
        status = self.head.status if self.head else None
        detail = "passed on as it is: the answer is made later" if end == "completed" else ""
        return Summary(end, detail, (attempt,), Progress(), self.began, now - self.began, status=status)

    def _outcome(self, epoch: float) -> tuple[str, Outcome]:
        """How it ended, as `Summary.end`, and what its attempt came to."""
        if self.closed is None:
            return "abandoned", Abandoned()
        if self.closed.cause is not None:
            cause = self.closed.cause.text
            return "failed", Truncated(cause) if self.head else Unreachable(cause)
        if self.head is None or self.head.status < 400:
            return "completed", Completed()
        answer = WireResponse(self.head.status, self.head.headers, b"", self.head.reason)
        return "rejected", rejection(answer, ErrorFacts(), epoch)

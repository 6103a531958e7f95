"""Answers without an exchange: one of ours, and what passes as it is."""

import time
from collections.abc import Callable
from contextlib import aclosing
from dataclasses import dataclass

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
from rewrite.records.passes import CallTrace
from rewrite.values.events import Summary


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
    trace: CallTrace | None = None
    """Has the heads, and no body. None: the request is not traced."""

    async def run(self, response: Response) -> None:
        try:
            await self._run(response)
        finally:
            if self.trace is not None:
                self.trace.close()

    async def _run(self, response: Response) -> None:
        coming = events(self.upstream, self.request, fresh=False, connect_timeout=self.connect_timeout)
        async with aclosing(coming):
            async for event in coming:
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

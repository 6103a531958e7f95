"""Answers without an exchange: one of ours, and what passes as it is."""

import time
from collections.abc import Callable
from contextlib import aclosing
from dataclasses import dataclass
from typing import Protocol

from addons.call.reports import Reports
from addons.credentials.carriers import ClientCredential
from addons.mitm.messages import bytes_of, fields_of, head_for_client
from addons.records.journal import Record
from addons.secrets.redaction import Blackout
from addons.upstream.client import Upstream
from addons.upstream.events import Closed, Data, Sent, Started, UpstreamEvent, events
from protocols.model.errors import Fault
from protocols.model.http import Head, UpstreamRequest, WireResponse
from protocols.model.progress import Progress
from rewrite.values.events import Summary


class Response(Protocol):
    """Where an answer goes: the sink of the stream layer, or a turn of a WebSocket.

    What is written goes out in order, and nothing of it is lost.
    """

    def start(self, status: int, reason: bytes, headers: list[tuple[bytes, bytes]]) -> bool:
        """Send the head; whether more may be sent before `drained` was waited for."""
        ...

    def send(self, data: bytes) -> bool:
        """Send body bytes; whether more may be sent before `drained` was waited for."""
        ...

    def end(self) -> None: ...

    def abort(self, message: str) -> None:
        """Break the answer; `message` says why."""
        ...

    async def drained(self) -> None:
        """Wait until the client has taken enough for more to be sent."""
        ...


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
        self.reports.not_asked(self.record, self._summary(time.monotonic()), self.own)
        give(self.answer, response)

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

    async def run(self, response: Response) -> None:
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
                return response.start(*head_for_client(self.blackout.head(head)))
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


def give(answer: WireResponse, response: Response) -> None:
    """An answer of ours, whole."""
    response.start(answer.status, bytes_of(answer.reason), fields_of(answer.headers))
    response.send(answer.body)
    response.end()

"""Answers without an exchange: one of ours, what passes as it is, and the bytes that are left of an attempt
where the exchange itself is at fault."""

import time
from contextlib import aclosing
from dataclasses import dataclass, field
from typing import Protocol

from addons.call.reports import Reports
from addons.credentials.carriers import ClientCredential
from addons.mitm.messages import for_client
from addons.records.journal import Record
from addons.secrets.redaction import Blackout
from addons.upstream.client import Closed, Data, Sent, Started, Upstream
from protocols.model.errors import Fault
from protocols.model.http import Head, UpstreamRequest, WireResponse
from protocols.model.progress import Progress
from rewrite.values.events import Event, Summary, UpstreamClosed, UpstreamData, UpstreamStarted


class Response(Protocol):
    """Where an answer goes: the sink of the stream layer, or a turn of a WebSocket."""

    @property
    def draining(self) -> bool: ...

    async def start(self, status: int, reason: bytes, headers: list[tuple[bytes, bytes]]) -> None: ...

    async def send(self, data: bytes) -> None: ...

    async def end(self) -> None: ...

    async def abort(self, message: str) -> None: ...


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
        await give(self.answer, response)

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

    async def run(self, response: Response) -> None:
        timeout = self.connect_timeout
        async with aclosing(
            self.upstream.stream(self.request, fresh=False, connect_timeout=timeout)
        ) as events:
            async for event in events:
                match event:
                    case Started(head=head):
                        await begin(response, head, self.blackout)
                    case Data(data=data):
                        await response.send(self.blackout.feed(data))
                    case Closed(cause=None):
                        await response.send(self.blackout.rest())
                        await response.end()
                    case Closed(cause=cause):
                        await response.abort(cause.text if cause else "")
                    case Sent():
                        pass


@dataclass(slots=True)
class Answer:
    """What came of the open attempt and has not left, for a fault of ours."""

    attempt: int = 0
    """Its number."""
    untouched: bool = True
    """Whether what comes is what the client gets, so that it can go on without us."""
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


async def begin(response: Response, head: Head, blackout: Blackout) -> None:
    """The head of a provider's answer, as the client gets it."""
    headers = blackout.headers(for_client(head.headers))
    pairs = [(_bytes(name), _bytes(value)) for name, value in headers]
    await response.start(head.status, _bytes(blackout.text(head.reason)), pairs)


async def give(answer: WireResponse, response: Response) -> None:
    """An answer of ours, whole."""
    headers = [(_bytes(name), _bytes(value)) for name, value in answer.headers]
    await response.start(answer.status, _bytes(answer.reason), headers)
    await response.send(answer.body)
    await response.end()


def _bytes(text: str) -> bytes:
    return text.encode("utf-8", "surrogateescape")

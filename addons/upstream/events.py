"""What comes of an attempt as events that are asked for, where nothing depends on the speed of it."""

import asyncio
from collections import deque
from collections.abc import AsyncGenerator
from dataclasses import dataclass, field

from addons.upstream.client import Attempt, Upstream
from addons.upstream.failure import Cause
from addons.upstream.network import Reached
from protocols.model.http import Head, UpstreamRequest


@dataclass(frozen=True, slots=True)
class Sent:
    """The request is on the wire, as far as the system's buffers show."""


@dataclass(frozen=True, slots=True)
class Started:
    """The final answer has begun; 1xx are skipped."""

    head: Head
    """Names and values as received, decoded as UTF-8 with surrogateescape. Content-Encoding is left out where
    the body is decoded here, while Content-Length stays that of the encoded body."""
    reached: Reached | None = field(default=None, compare=False)
    """The connection that it came over."""


@dataclass(frozen=True, slots=True)
class Data:
    """Content-decoded bytes of the body, never empty."""

    data: bytes


@dataclass(frozen=True, slots=True)
class Closed:
    """The end."""

    cause: Cause | None
    """None where the message ended properly by HTTP framing and content coding. A body that only the
    connection's close delimits ends properly with any orderly close, with a TLS close_notify or without, as
    many servers leave that out."""


type UpstreamEvent = Sent | Started | Data | Closed


async def events(
    upstream: Upstream, request: UpstreamRequest, *, fresh: bool, connect_timeout: float
) -> AsyncGenerator[UpstreamEvent]:
    """One attempt: Sent, Started, any number of Data, and Closed, which always comes, and comes last.

    As `Upstream.open` otherwise. Closing the iterator closes the connection at once. Nothing more is read
    while an event waits.
    """
    queue = _Queue()
    attempt = upstream.open(request, queue, fresh=fresh, connect_timeout=connect_timeout)
    try:
        while True:
            event = await queue.next(attempt)
            yield event
            if isinstance(event, Closed):
                break
    finally:
        attempt.cancel()


class _Queue:
    """A receiver that keeps what comes, and has no more read while something waits."""

    def __init__(self) -> None:
        self._events: deque[UpstreamEvent] = deque()
        self._changed = asyncio.Event()

    async def next(self, attempt: Attempt) -> UpstreamEvent:
        if not self._events:
            attempt.resume()
            self._changed.clear()
            await self._changed.wait()
            attempt.pause()
        return self._events.popleft()

    def sent(self) -> None:
        self._put(Sent())

    def started(self, head: Head, reached: Reached) -> None:
        self._put(Started(head, reached))

    def received(self, data: bytes) -> None:
        self._put(Data(data))

    def closed(self, cause: Cause | None) -> None:
        self._put(Closed(cause))

    def _put(self, event: UpstreamEvent) -> None:
        self._events.append(event)
        self._changed.set()

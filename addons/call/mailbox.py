"""The events of one call on their way to its Exchange, in order and bounded."""

import asyncio
from collections import deque
from collections.abc import Iterator

from rewrite.values.events import Event, UpstreamData

LARGEST = 256 * 1024
"""Bytes that may wait before upstream is read no further."""

MOST_ENDS = 1024
"""Bytes in one piece that may end a frame: what is made of a piece holds the event loop."""

_ENDS = (b"\n", b"\r", b"}")


class Inbox:
    """One consumer. Data that arrived together is taken as one event, so that it goes out in one write; not
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

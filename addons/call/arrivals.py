"""What came of the attempts of a call and waits: for its turn, or for the client."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field

from addons.upstream.failure import Cause
from protocols.model.http import Head
from rewrite.values.events import Event, UpstreamData

MOST_ENDS = 1024
"""Bytes in one piece that may end a frame: what is made of a piece holds the event loop."""

_ENDS = (b"\n", b"\r", b"}")


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
    ended: bool = False
    cause: Cause | None = None
    """Why it ended improperly."""

    def continues(self, status: int) -> bool:
        """Whether it can go to a client that has got `status`; 0: nothing."""
        return self.head is not None and self.untouched and status in (0, self.head.status)

    def take(self) -> bytes:
        """What has not left, which now leaves."""
        data = bytes(self.unsent)
        self.unsent.clear()
        return data


def is_flood(event: Event) -> bool:
    """Whether tiny frames come in one event that would hold the event loop."""
    if not isinstance(event, UpstreamData) or len(event.data) <= MOST_ENDS:
        return False
    return sum(map(event.data.count, _ENDS)) > MOST_ENDS


def in_pieces(events: Sequence[Event]) -> Iterator[Event]:
    """In order. Data that arrived together is one event, so that it goes out in one write; not so a flood of
    tiny frames."""
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


def _joined(pending: Sequence[UpstreamData]) -> Iterator[UpstreamData]:
    if len(pending) == 1:
        yield from _pieces(pending[0])
    elif pending:
        yield from _pieces(UpstreamData(pending[0].attempt, b"".join([event.data for event in pending])))


def _pieces(event: UpstreamData) -> Iterator[UpstreamData]:
    if not is_flood(event):
        yield event
        return
    attempt, data = event.attempt, event.data
    half = len(data) // 2
    yield from _pieces(UpstreamData(attempt, data[:half]))
    yield from _pieces(UpstreamData(attempt, data[half:]))

"""The answer of one attempt while it comes: framed at once, read before the commit point, later on demand."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field

from protocols.base import Call, Decoder, Head, Segment, WireProtocol, WireResponse
from protocols.parts import Opaque, Progress, StreamError, visible

LARGEST_UNREAD = 1 << 20
"""Bytes of frames kept unread after the commit point before they are read and let go."""


@dataclass(slots=True)
class Reading:
    """`held`: frames that wait for the commit point; `unread`: frames that were passed on unread."""

    head: Head
    decoder: Decoder
    progress: Progress = field(default_factory=Progress)
    held: list[Segment] = field(default_factory=list)
    unparsable: bool = False
    _unread: list[Segment] = field(default_factory=list)
    _unread_bytes: int = 0

    @property
    def properly_ended(self) -> bool:
        """Done by its own words. Where frames made no sense, a bare last frame is no such word."""
        return self.progress.complete and (bool(self.progress.finished) or not self.unparsable)

    def hold(self, segment: Segment) -> StreamError | None:
        """Read one frame before the commit point and keep it; the error that it carries, if any."""
        parts = self.decoder.read(segment)
        self.held.append(segment)
        self.progress.fold(parts)
        self.unparsable = self.unparsable or any(isinstance(part, Opaque) for part in parts)
        if any(visible(part) for part in parts):
            return None
        return next((part for part in parts if isinstance(part, StreamError)), None)

    def passed_on(self, segments: Sequence[Segment], size: int) -> None:
        """Frames of `size` bytes that went to the client unread."""
        self._unread += segments
        self._unread_bytes += size
        if self._unread_bytes > LARGEST_UNREAD:
            self.settle()

    def settle(self) -> Progress:
        """Read what was passed on unread."""
        for segment in self._unread:
            self.progress.fold(self.decoder.read(segment))
        self._unread.clear()
        self._unread_bytes = 0
        return self.progress

    def release(self) -> list[Segment]:
        held, self.held = self.held, []
        return held

    def answer(self) -> WireResponse:
        """What is held, as a whole answer."""
        return WireResponse(self.head.status, self.head.headers, joined(self.held), self.head.reason)


def joined(segments: Iterable[Segment]) -> bytes:
    return b"".join([segment.raw for segment in segments])


def reading(protocol: WireProtocol, call: Call, head: Head) -> Reading:
    return Reading(head, protocol.decoder(call, head))

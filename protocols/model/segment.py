"""One wire unit of a streamed answer."""

from collections.abc import Sequence

from msgspec import Struct

from protocols.model.parts import StreamPart


class Segment(Struct, frozen=True, gc=False):
    """One wire unit with its separators: what an untouched stream passes on byte for byte.

    Its parts are decoded on demand, by `Decoder.read`. A Struct, since there is one for each event: it is
    made in a fifth of the time of a dataclass.
    """

    raw: bytes
    """Its bytes, separators included."""
    last: bool = False
    """It looks like the protocol's final frame: a cheap guess, confirmed by reading it."""
    idle: bool = False
    """It looks like a keep-alive without content."""
    parts: Sequence[StreamPart] | None = None
    """Known already where the segment was written from them."""
    broken: bool = False
    """Clients parse it, and it is no JSON. Where it is idle too, it is empty, and means no more than if it
    had not come."""
    run: bool = False
    """It is one event or more, each plain as `protocols.framing.sse` says; none is last, idle or broken."""

    @property
    def garbled(self) -> bool:
        """Something was said that nobody can read."""
        return self.broken and not self.idle

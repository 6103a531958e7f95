"""One wire unit of a streamed answer."""

from collections.abc import Sequence
from dataclasses import dataclass

from protocols.model.parts import StreamPart


@dataclass(frozen=True, slots=True)
class Segment:
    """One wire unit with its separators: what an untouched stream passes on byte for byte.

    Its parts are decoded on demand, by `Decoder.read`. `last`: it looks like the protocol's final frame
    (a cheap guess, confirmed by reading it); `idle`: it looks like a keep-alive without content. `parts`
    are known already where the segment was written from them. `broken`: clients parse it, and it is no JSON;
    if it is idle besides, it is empty, and says as much as if it had not come.
    """

    raw: bytes
    last: bool = False
    idle: bool = False
    parts: Sequence[StreamPart] | None = None
    broken: bool = False

    @property
    def garbled(self) -> bool:
        """Something was said that nobody can read."""
        return self.broken and not self.idle

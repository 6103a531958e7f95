"""Provider block ids to ascending indexes, for protocols whose blocks begin and end without saying so."""

from collections.abc import Hashable, Iterator
from dataclasses import dataclass, field

from protocols.model.parts import BlockDelta, BlockKind, BlockStart, BlockStop, StreamPart


@dataclass(slots=True)
class ImplicitBlocks:
    """Blocks of one choice: the first mention of a key opens one, `close` ends all that are open."""

    choice: int
    _open: dict[Hashable, int] = field(default_factory=dict)
    _next: int = 0

    def delta(self, key: Hashable, kind: BlockKind, text: str) -> Iterator[StreamPart]:
        if key not in self._open:
            yield from self.start(key, kind)
        yield BlockDelta(self.choice, self._open[key], kind, text)

    def start(
        self, key: Hashable, kind: BlockKind, tool_id: str | None = None, tool_name: str | None = None
    ) -> Iterator[StreamPart]:
        self._open[key] = self._next
        yield BlockStart(self.choice, self._next, kind, tool_id, tool_name)
        self._next += 1

    def __contains__(self, key: Hashable) -> bool:
        return key in self._open

    def close(self) -> Iterator[StreamPart]:
        for index in self._open.values():
            yield BlockStop(self.choice, index)
        self._open.clear()

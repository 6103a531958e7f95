"""The order of parts that writers rely on, checked: what `Writer` in protocols.base promises them."""

from collections.abc import Iterable
from dataclasses import dataclass, field
from typing import assert_never

from protocols.model.parts import (
    Annotation,
    BlockDelta,
    BlockStart,
    BlockStop,
    ChoiceStart,
    Finish,
    MessageStart,
    Opaque,
    Ping,
    StreamEnd,
    StreamError,
    StreamPart,
    UsageReport,
)


@dataclass
class Order:
    """Raises AssertionError at the first part that comes out of order."""

    started: bool = False
    over: bool = False
    next_index: dict[int, int] = field(default_factory=dict)
    open: dict[int, BlockStart] = field(default_factory=dict)
    finished: set[int] = field(default_factory=set)

    def check(self, parts: Iterable[StreamPart]) -> "Order":
        for part in parts:
            assert not self.over, f"{part} after the end"
            self._check(part)
        return self

    def _check(self, part: StreamPart) -> None:
        match part:
            case MessageStart():
                assert not self.started
                self.started = True
            case ChoiceStart(choice=choice):
                assert self.started
                assert choice not in self.next_index
                self.next_index[choice] = 0
            case BlockStart() | BlockDelta() | BlockStop() | Annotation():
                assert part.choice not in self.finished
                self._block(part)
            case Finish(choice=choice):
                assert choice in self.next_index
                assert choice not in self.open
                assert choice not in self.finished
                self.finished.add(choice)
            case StreamEnd():
                assert self.finished == self.next_index.keys()
                self.over = True
            case StreamError():
                self.over = True
            case UsageReport():
                assert self.started
            case Ping() | Opaque():
                pass
            case _:
                assert_never(part)

    def _block(self, part: BlockStart | BlockDelta | BlockStop | Annotation) -> None:
        if isinstance(part, BlockStart):
            assert part.choice not in self.open, f"{part} inside {self.open[part.choice]}"
            assert part.index == self.next_index[part.choice]
            self.next_index[part.choice] += 1
            self.open[part.choice] = part
            return
        current = self.open[part.choice]
        assert part.index == current.index
        if isinstance(part, BlockDelta):
            assert part.kind is current.kind
            assert part.text
        if isinstance(part, BlockStop):
            del self.open[part.choice]

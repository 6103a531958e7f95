"""How the stream of an answer ended, told from all that it said."""

import pytest

from protocols.model.parts import (
    BlockDelta,
    BlockKind,
    BlockStart,
    BlockStop,
    ChoiceStart,
    Finish,
    FinishReason,
    MessageStart,
    StreamEnd,
    StreamError,
    StreamPart,
)
from protocols.model.progress import Progress
from rewrite.policies.stream_end import Complete, Cut, Empty, Failed, Verdict, verdict

TEXT, THOUGHT, TOOL, HOSTED = BlockKind.TEXT, BlockKind.REASONING, BlockKind.TOOL, BlockKind.HOSTED
HEAD = (MessageStart("m", "model"), ChoiceStart(0))
ERROR = StreamError("overloaded", "busy")
CALL = (BlockStart(0, 1, TOOL, "t", "weather"), BlockDelta(0, 1, TOOL, '{"ci'))


def said(kind: BlockKind, index: int = 0) -> tuple[StreamPart, ...]:
    return BlockStart(0, index, kind), BlockDelta(0, index, kind, "Hm")


@pytest.mark.parametrize(
    ("parts", "found"),
    [
        ((*said(TEXT), Finish(0, FinishReason.STOP, "stop")), Complete()),
        ((*said(TEXT), StreamEnd()), Complete()),
        ((Finish(0, FinishReason.LENGTH, "length"), StreamEnd()), Complete()),
        ((*said(TEXT), ERROR), Failed(ERROR)),
        ((*said(TEXT), ERROR, StreamEnd()), Failed(ERROR)),
        ((), Empty()),
        ((BlockStart(0, 0, TEXT),), Empty()),
        (said(TEXT), Cut(TEXT)),
        (said(THOUGHT), Cut(THOUGHT)),
        ((*said(THOUGHT), BlockStop(0, 0)), Cut(TEXT)),
        ((*said(THOUGHT), BlockStop(0, 0), *said(TEXT, 1)), Cut(TEXT)),
        ((*said(TEXT), *CALL), Cut(TOOL, "weather")),
        ((*said(TEXT), *CALL[:1]), Cut(TOOL, "weather")),
        ((BlockStart(0, 0, TOOL),), Cut(TOOL)),
        ((*CALL, BlockStop(0, 1)), Cut(TEXT)),
        ((*CALL, *HEAD, *said(TEXT, 1)), Cut(TOOL, "weather")),
        ((BlockStart(0, 0, HOSTED, "h", "search"),), Cut(HOSTED)),
    ],
)
def test_the_table(parts: tuple[StreamPart, ...], found: Verdict) -> None:
    progress = Progress()
    progress.fold((*HEAD, *parts))
    assert verdict(progress) == found

"""What a part means by itself."""

import pytest

from protocols.model.parts import (
    BlockDelta,
    BlockKind,
    BlockStart,
    ChoiceStart,
    Finish,
    FinishReason,
    MessageStart,
    Opaque,
    Ping,
    StreamEnd,
    StreamError,
    StreamPart,
    visible,
)
from protocols.model.progress import Progress


@pytest.mark.parametrize(
    ("part", "shown"),
    [
        *((BlockDelta(0, 0, kind, "x"), True) for kind in BlockKind),
        *((BlockDelta(0, 0, kind, ""), False) for kind in BlockKind),
        *((BlockStart(0, 0, kind), True) for kind in (BlockKind.TOOL, BlockKind.HOSTED, BlockKind.MEDIA)),
        *(
            (BlockStart(0, 0, kind), False)
            for kind in (BlockKind.TEXT, BlockKind.REASONING, BlockKind.REFUSAL)
        ),
        *((part, False) for part in (MessageStart("", ""), ChoiceStart(0), StreamEnd(), Ping(), Opaque(b""))),
        (Finish(0, FinishReason.STOP, "stop"), False),
        (StreamError("", ""), False),
    ],
)
def test_what_is_visible(part: StreamPart, shown: bool) -> None:
    assert visible(part) is shown
    so_far = Progress()
    so_far.fold([part])
    assert so_far.visible is shown

"""What the parts of a stream add up to."""

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
    Opaque,
    Ping,
    StreamEnd,
    StreamError,
    StreamPart,
    Usage,
    UsageReport,
)
from protocols.model.progress import Block, Progress, visible


def folded(*parts: StreamPart) -> Progress:
    so_far = Progress()
    so_far.fold(parts)
    return so_far


def test_once_visible_always_visible() -> None:
    assert folded(BlockDelta(0, 0, BlockKind.TEXT, "x"), Ping(), StreamEnd()).visible


def test_blocks_are_open_until_they_stop() -> None:
    so_far = folded(
        BlockStart(0, 0, BlockKind.TEXT), BlockStart(0, 1, BlockKind.TOOL, "t", "f"), BlockStop(0, 0)
    )
    assert so_far.open == {(0, 1): Block(BlockStart(0, 1, BlockKind.TOOL, "t", "f"))}


TEXT = Block(BlockStart(0, 0, BlockKind.TEXT))
TOOL = Block(BlockStart(0, 1, BlockKind.TOOL, "t", "f"))
OPEN = (MessageStart("m1", ""), BlockStart(0, 0, BlockKind.TEXT), BlockStart(0, 1, BlockKind.TOOL, "t", "f"))


def test_what_was_open_when_a_stream_began_anew_was_torn_and_stays_open_until_its_number_is_taken() -> None:
    again = folded(*OPEN, MessageStart("m2", ""))
    assert (again.open, again.torn) == ({(0, 0): TEXT, (0, 1): TOOL}, [TEXT, TOOL])
    taken = folded(*OPEN, MessageStart("m2", ""), BlockStart(0, 1, BlockKind.TEXT), BlockStop(0, 1))
    assert (taken.open, taken.torn) == ({(0, 0): TEXT}, [TEXT, TOOL])


def test_what_was_done_when_a_stream_began_anew_is_void() -> None:
    done = (ChoiceStart(0), Finish(0, FinishReason.STOP, "stop"), StreamEnd())
    assert folded(MessageStart("m1", ""), *done).complete
    assert not folded(MessageStart("m1", ""), *done, MessageStart("m2", "")).complete


def test_a_choice_that_was_expected_and_never_began_is_unfinished() -> None:
    so_far = folded(ChoiceStart(0), Finish(0, FinishReason.STOP, "stop"))
    before = so_far.complete
    so_far.expect(3)
    assert (before, so_far.complete, so_far.unfinished) == (True, False, [1, 2])


def test_the_first_error_counts() -> None:
    assert folded(StreamError("a", ""), StreamError("b", "")).error == StreamError("a", "")


def test_later_usage_replaces_what_it_says_and_keeps_the_rest() -> None:
    first, last = Usage(input=3, output=1, cache_read=2), Usage(output=9, reasoning=4)
    assert folded(UsageReport(first), UsageReport(last)).usage == Usage(3, 9, 2, None, 4)
    assert folded().usage is None


def test_nothing_is_not_complete() -> None:
    assert not folded().complete
    assert not folded(MessageStart("", "")).complete


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

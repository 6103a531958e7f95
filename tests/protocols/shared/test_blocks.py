"""Blocks that begin and end without saying so."""

from protocols.model.parts import BlockDelta, BlockKind, BlockStart, BlockStop
from protocols.shared.blocks import ImplicitBlocks

TEXT, TOOL = BlockKind.TEXT, BlockKind.TOOL


def test_the_first_mention_of_a_key_opens_its_block() -> None:
    blocks = ImplicitBlocks(3)
    assert [*blocks.delta("a", TEXT, "1"), *blocks.delta("b", TOOL, "2"), *blocks.delta("a", TEXT, "3")] == [
        BlockStart(3, 0, TEXT),
        BlockDelta(3, 0, TEXT, "1"),
        BlockStart(3, 1, TOOL),
        BlockDelta(3, 1, TOOL, "2"),
        BlockDelta(3, 0, TEXT, "3"),
    ]


def test_a_block_may_open_by_name() -> None:
    blocks = ImplicitBlocks(0)
    assert [*blocks.start("t", TOOL, "id", "name")] == [BlockStart(0, 0, TOOL, "id", "name")]
    assert "t" in blocks
    assert "u" not in blocks


def test_closing_ends_all_and_indexes_are_never_used_again() -> None:
    blocks = ImplicitBlocks(0)
    assert len([*blocks.delta("a", TEXT, "1"), *blocks.delta("b", TEXT, "1")]) == 4
    assert [*blocks.close()] == [BlockStop(0, 0), BlockStop(0, 1)]
    assert [*blocks.close()] == []
    assert [*blocks.start("a", TEXT)] == [BlockStart(0, 2, TEXT)]

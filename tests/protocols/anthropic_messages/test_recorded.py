"""What the provider really sent, read and written again: nothing of it is a riddle, nothing changes."""

from pathlib import Path

import pytest

from protocols.anthropic_messages import PROTOCOL
from protocols.model.call import Call, Operation, Reply
from protocols.model.http import Head
from protocols.model.parts import BlockKind, MessageStart, Opaque, StreamPart
from protocols.model.progress import Block, Progress
from tests.contract import JSON, SSE, parts, progress
from tests.oracle import recorded

CALL = Call("id", PROTOCOL.name, Operation.GENERATE, "m", True, ())
REPLY = Reply("x1", "claude", 7)
SAID = frozenset({BlockKind.TEXT, BlockKind.TOOL, BlockKind.REASONING})

each_stream = pytest.mark.parametrize("file", recorded(PROTOCOL.name, "*.sse"))
each_answer = pytest.mark.parametrize("file", recorded(PROTOCOL.name, "*.json"))


def read(file: Path, head: Head) -> list[StreamPart]:
    return parts(PROTOCOL, head, [file.read_bytes()])


def said(found: Progress) -> list[tuple[object, ...]]:
    """The blocks that have a place in any answer. A text without words has none (compaction reads as one),
    and its space goes with the next; nor has thinking that is neither shown nor signed."""
    kept = list[tuple[object, ...]]()
    blank = ""
    for each in found.blocks.values():
        blank = blank if each.kind is BlockKind.TEXT else ""
        if each.kind in SAID and is_kept(each):
            kept.append((each.kind, each.start.tool_id, each.tool_name, blank + each.text))
        blank = "" if each.text.strip() else blank + each.text
    return kept


def is_kept(block: Block) -> bool:
    return block.kind is BlockKind.TOOL or bool(block.text.strip() or (block.stop and block.stop.signature))


def same(found: Progress, again: Progress) -> None:
    assert said(again) == said(found)
    if found.error:
        assert again.error
        assert (again.error.type, again.error.message) == (found.error.type, found.error.message)
    else:
        assert [each.reason for each in again.finished.values()] == [
            each.reason for each in found.finished.values()
        ]


@each_stream
def test_a_recorded_stream_holds_no_riddle(file: Path) -> None:
    assert not [part for part in read(file, SSE) if isinstance(part, Opaque)]


@each_stream
def test_a_recorded_stream_is_the_same_when_it_is_written_again(file: Path) -> None:
    found = read(file, SSE)
    if sum(isinstance(part, MessageStart) for part in found) > 1:
        pytest.skip("several messages in one stream: a writer gets one")
    if not progress(found).complete:
        pytest.skip("a stream that was cut has no end to compare")
    written = PROTOCOL.translator.writer(CALL, REPLY).write(found)
    same(progress(found), progress(parts(PROTOCOL, SSE, [written])))


@each_answer
def test_a_recorded_answer_is_the_same_when_it_is_written_again(file: Path) -> None:
    found = read(file, JSON)
    assert not [part for part in found if isinstance(part, Opaque)]
    whole = PROTOCOL.translator.write_answer(CALL, REPLY, progress(found))
    same(progress(found), progress(parts(PROTOCOL, JSON, [whole])))

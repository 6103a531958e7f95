"""After the commit point: how a cut answer is ended."""

import pytest

from protocols.parts import (
    BlockDelta,
    BlockKind,
    BlockStart,
    BlockStop,
    ChoiceStart,
    MessageStart,
    Progress,
    StreamPart,
)
from rewrite.decision import Fail, Repair
from rewrite.limits import OnTruncation
from rewrite.policies.truncation import cut_tool, decide

AUTO, REPAIR, ERROR = OnTruncation.AUTO, OnTruncation.REPAIR, OnTruncation.ERROR
PREAMBLE = (MessageStart("m", "model"), ChoiceStart(0))
TEXT = (BlockStart(0, 0, BlockKind.TEXT), BlockDelta(0, 0, BlockKind.TEXT, "Hi"))
THOUGHT = (BlockStart(0, 0, BlockKind.REASONING), BlockDelta(0, 0, BlockKind.REASONING, "Hm"))
HOSTED = (BlockStart(0, 0, BlockKind.HOSTED, "h", "web_search"),)
TOOL = (BlockStart(0, 1, BlockKind.TOOL, "t", "weather"), BlockDelta(0, 1, BlockKind.TOOL, '{"ci'))
ANEW = (MessageStart("again", "model"), ChoiceStart(0))
CALLED = (*TOOL, BlockStop(0, 1))


def progress(*parts: StreamPart) -> Progress:
    so_far = Progress()
    so_far.fold((*PREAMBLE, *parts))
    return so_far


@pytest.mark.parametrize(
    ("parts", "mode", "discards", "decision"),
    [
        (TEXT, AUTO, False, Repair),
        (THOUGHT, AUTO, False, Repair),
        (HOSTED, AUTO, False, Repair),
        ((*TEXT, *CALLED), AUTO, False, Repair),
        ((*TOOL, *ANEW), AUTO, False, Fail),
        ((*TOOL, *ANEW, *CALLED), AUTO, False, Fail),
        ((*TOOL, *ANEW, *TEXT), AUTO, True, Repair),
        ((*CALLED, *ANEW, *TEXT), AUTO, False, Repair),
        ((*TEXT, *ANEW, *TEXT), AUTO, False, Repair),
        (TOOL, AUTO, False, Fail),
        ((*TEXT, *TOOL), AUTO, False, Fail),
        (TOOL[:1], AUTO, False, Fail),
        (TOOL, AUTO, True, Repair),
        ((), AUTO, False, Fail),
        ((), AUTO, True, Fail),
        (TEXT, REPAIR, False, Repair),
        (TOOL, REPAIR, False, Repair),
        ((), REPAIR, False, Fail),
        (TEXT, ERROR, False, Fail),
        (TOOL, ERROR, True, Fail),
        (CALLED, ERROR, False, Fail),
    ],
)
def test_the_table(
    parts: tuple[StreamPart, ...], mode: OnTruncation, discards: bool, decision: type[Repair | Fail]
) -> None:
    assert isinstance(decide(progress(*parts), "why", mode, discards_cut_calls=discards), decision)


def test_the_error_names_the_cause_and_the_tool() -> None:
    in_tool = decide(progress(*TOOL), "reset", AUTO, discards_cut_calls=False)
    assert isinstance(in_tool, Fail)
    assert all(word in in_tool.message for word in ("'weather'", "reset", "do not run"))
    assert decide(progress(*TEXT), "reset", ERROR, discards_cut_calls=False) == Fail(
        "the answer was cut (reset)"
    )


def test_a_tool_call_without_a_name_is_one_too() -> None:
    assert cut_tool(progress(BlockStart(0, 0, BlockKind.TOOL))) == ""
    assert cut_tool(progress(*TEXT, *CALLED)) is None

"""After the commit point: how a cut answer is ended."""

from dataclasses import replace

import pytest

from protocols.model.parts import (
    BlockDelta,
    BlockKind,
    BlockStart,
    BlockStop,
    ChoiceStart,
    MessageStart,
    StreamPart,
)
from protocols.model.progress import Progress
from rewrite.policies.stream_end import Cut, Empty, verdict
from rewrite.policies.truncation import decide
from rewrite.values.decision import Continue, Fail, Repair
from rewrite.values.timeouts import OnTruncation
from tests.rewrite.scenes import TERMS, own

AUTO, REPAIR, ERROR = OnTruncation.AUTO, OnTruncation.REPAIR, OnTruncation.ERROR
CONTINUE = OnTruncation.CONTINUE
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
    for can_go_on in (True, False):
        assert isinstance(decided(*parts, mode=mode, discards=discards, can_go_on=can_go_on), decision)


def decided(
    *parts: StreamPart,
    mode: OnTruncation = AUTO,
    discards: bool = False,
    cut_text: OnTruncation = REPAIR,
    can_go_on: bool = False,
) -> Repair | Fail | Continue:
    terms = replace(TERMS, on_truncation=mode, discards_cut_calls=discards, cut_text=cut_text)
    cut = verdict(progress(*parts))
    assert isinstance(cut, Cut | Empty)
    return decide(cut, "reset", own(terms=terms), can_go_on=can_go_on)


@pytest.mark.parametrize(
    ("parts", "mode", "cut_text", "can_go_on", "decision"),
    [
        (TEXT, AUTO, ERROR, False, Fail),
        (TEXT, AUTO, CONTINUE, True, Continue),
        (TEXT, AUTO, CONTINUE, False, Repair),
        (TEXT, REPAIR, ERROR, True, Repair),
        (TOOL, AUTO, CONTINUE, True, Fail),
        (TOOL, AUTO, REPAIR, True, Fail),
        (TEXT, CONTINUE, REPAIR, True, Continue),
        (TEXT, CONTINUE, REPAIR, False, Repair),
        (TOOL, CONTINUE, REPAIR, False, Fail),
        ((), AUTO, CONTINUE, False, Fail),
    ],
)
def test_what_the_client_s_facts_and_a_wish_to_go_on_come_to(
    parts: tuple[StreamPart, ...],
    mode: OnTruncation,
    cut_text: OnTruncation,
    can_go_on: bool,
    decision: type[Repair | Fail | Continue],
) -> None:
    assert isinstance(decided(*parts, mode=mode, cut_text=cut_text, can_go_on=can_go_on), decision)


def test_the_error_names_the_cause_and_the_tool() -> None:
    in_tool = decided(*TOOL)
    assert isinstance(in_tool, Fail)
    assert all(word in in_tool.message for word in ("'weather'", "reset", "do not run"))
    assert decided(*TEXT, mode=ERROR) == Fail("the answer was cut (reset)")

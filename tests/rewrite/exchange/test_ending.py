"""How the stream of an answer ended, and how a committed answer is closed."""

import pytest
from msgspec import structs

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
from rewrite.exchange.ending import (
    Complete,
    Completeness,
    Cut,
    Empty,
    Ending,
    Failed,
    after_cut,
    completeness,
    ending,
    errored,
    formality,
)
from rewrite.values.decision import Continue, Fail, Repair
from rewrite.values.outcome import Completed, Kind, Rejected, Truncated
from rewrite.values.timeouts import OnTruncation
from tests.rewrite.scenes import FACTS, TERMS, own

HEAD = (MessageStart("m", "model"), ChoiceStart(0))
BUSY = StreamError("overloaded_error", "busy")
CALL = (BlockStart(0, 1, BlockKind.TOOL, "t", "weather"), BlockDelta(0, 1, BlockKind.TOOL, '{"ci'))


def progress(*parts: StreamPart) -> Progress:
    so_far = Progress()
    so_far.fold((*HEAD, *parts))
    return so_far


def said(kind: BlockKind, index: int = 0) -> tuple[StreamPart, ...]:
    return BlockStart(0, index, kind), BlockDelta(0, index, kind, "Hm")


@pytest.mark.parametrize(
    ("parts", "found"),
    [
        ((*said(BlockKind.TEXT), Finish(0, FinishReason.STOP, "stop")), Complete()),
        ((*said(BlockKind.TEXT), StreamEnd()), Complete()),
        ((Finish(0, FinishReason.LENGTH, "length"), StreamEnd()), Complete()),
        ((*said(BlockKind.TEXT), BUSY), Failed(BUSY)),
        ((*said(BlockKind.TEXT), BUSY, StreamEnd()), Failed(BUSY)),
        ((), Empty()),
        ((BlockStart(0, 0, BlockKind.TEXT),), Empty()),
        (said(BlockKind.TEXT), Cut(BlockKind.TEXT)),
        (said(BlockKind.REASONING), Cut(BlockKind.REASONING)),
        ((*said(BlockKind.REASONING), BlockStop(0, 0)), Cut(BlockKind.TEXT)),
        ((*said(BlockKind.REASONING), BlockStop(0, 0), *said(BlockKind.TEXT, 1)), Cut(BlockKind.TEXT)),
        ((*said(BlockKind.TEXT), *CALL), Cut(BlockKind.TOOL, "weather")),
        ((*said(BlockKind.TEXT), *CALL[:1]), Cut(BlockKind.TOOL, "weather")),
        ((BlockStart(0, 0, BlockKind.TOOL),), Cut(BlockKind.TOOL)),
        ((*CALL, BlockStop(0, 1)), Cut(BlockKind.TEXT)),
        ((*CALL, *HEAD, *said(BlockKind.TEXT, 1)), Cut(BlockKind.TOOL, "weather")),
        ((BlockStart(0, 0, BlockKind.HOSTED, "h", "search"),), Cut(BlockKind.HOSTED)),
    ],
)
def test_how_complete_it_is(parts: tuple[StreamPart, ...], found: Completeness) -> None:
    assert completeness(progress(*parts)) == found


# -- what follows a cut -----------------------------------------------------------------------------------

AUTO, REPAIR, ERROR = OnTruncation.AUTO, OnTruncation.REPAIR, OnTruncation.ERROR
CONTINUE = OnTruncation.CONTINUE
TEXT = (BlockStart(0, 0, BlockKind.TEXT), BlockDelta(0, 0, BlockKind.TEXT, "Hi"))
THOUGHT = (BlockStart(0, 0, BlockKind.REASONING), BlockDelta(0, 0, BlockKind.REASONING, "Hm"))
HOSTED = (BlockStart(0, 0, BlockKind.HOSTED, "h", "web_search"),)
TOOL = (BlockStart(0, 1, BlockKind.TOOL, "t", "weather"), BlockDelta(0, 1, BlockKind.TOOL, '{"ci'))
AGAIN = (MessageStart("again", "model"), ChoiceStart(0))
CALLED = (*TOOL, BlockStop(0, 1))


@pytest.mark.parametrize(
    ("parts", "mode", "discards", "decision"),
    [
        (TEXT, AUTO, False, Repair),
        (THOUGHT, AUTO, False, Repair),
        (HOSTED, AUTO, False, Repair),
        ((*TEXT, *CALLED), AUTO, False, Repair),
        ((*TOOL, *AGAIN), AUTO, False, Fail),
        ((*TOOL, *AGAIN, *CALLED), AUTO, False, Fail),
        ((*TOOL, *AGAIN, *TEXT), AUTO, True, Repair),
        ((*CALLED, *AGAIN, *TEXT), AUTO, False, Repair),
        ((*TEXT, *AGAIN, *TEXT), AUTO, False, Repair),
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
def test_what_follows_a_cut(
    parts: tuple[StreamPart, ...], mode: OnTruncation, discards: bool, decision: type[Repair | Fail]
) -> None:
    for can_continue in (True, False):
        assert isinstance(decided(*parts, mode=mode, discards=discards, can_continue=can_continue), decision)


def decided(
    *parts: StreamPart,
    mode: OnTruncation = AUTO,
    discards: bool = False,
    cut_text: OnTruncation = REPAIR,
    can_continue: bool = False,
) -> Repair | Fail | Continue:
    terms = structs.replace(TERMS, on_truncation=mode, discards_cut_calls=discards, cut_text=cut_text)
    cut = completeness(progress(*parts))
    assert isinstance(cut, Cut | Empty)
    return after_cut(cut, "reset", own(terms=terms), can_continue=can_continue)


@pytest.mark.parametrize(
    ("parts", "mode", "cut_text", "can_continue", "decision"),
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
def test_what_the_client_s_facts_and_a_rule_to_continue_come_to(
    parts: tuple[StreamPart, ...],
    mode: OnTruncation,
    cut_text: OnTruncation,
    can_continue: bool,
    decision: type[Repair | Fail | Continue],
) -> None:
    assert isinstance(decided(*parts, mode=mode, cut_text=cut_text, can_continue=can_continue), decision)


def test_the_error_names_the_cause_and_the_tool() -> None:
    in_tool = decided(*TOOL)
    assert isinstance(in_tool, Fail)
    assert all(word in in_tool.message for word in ("'weather'", "reset", "do not run"))
    assert decided(*TEXT, mode=ERROR) == Fail("the answer was cut (reset)")


# -- the end ----------------------------------------------------------------------------------------------

CUT = Truncated("reset")
FINISH = Finish(0, FinishReason.STOP, "stop")


def ended(*parts: StreamPart, streamed: bool = True, mode: OnTruncation = OnTruncation.AUTO) -> Ending:
    so_far, terms = progress(*parts), structs.replace(TERMS, on_truncation=mode)
    found = ending(completeness(so_far), so_far, CUT, own(terms=terms), 0.0, streamed=streamed)
    assert isinstance(found, Ending)
    return found


def test_an_answer_that_said_it_was_done_gets_the_last_frame_it_lacks() -> None:
    assert ended(*TEXT, FINISH) == Ending(Completed(), "completed", parts=(StreamEnd(),))
    assert ended(*TEXT, FINISH, StreamEnd()) == Ending(Completed(), "completed")


def test_an_answer_that_came_whole_gets_no_frame() -> None:
    assert ended(*TEXT, FINISH, streamed=False) == Ending(Completed(), "completed")


def test_a_cut_in_text_is_repaired() -> None:
    found = ended(*TEXT)
    assert (found.outcome, found.end) == (CUT, "truncated")
    assert "truncated(reset)" in found.detail
    assert Finish(0, FinishReason.LENGTH, "") in found.parts


def test_a_cut_in_a_tool_call_fails() -> None:
    found = ended(*TOOL)
    assert (found.outcome, found.end) == (CUT, "failed")
    assert [type(part) for part in found.parts] == [StreamError]
    assert ended(*TOOL, mode=OnTruncation.REPAIR).end == "truncated"


def test_an_error_of_its_own_is_its_end_and_is_not_said_twice() -> None:
    rejected = Rejected(500, Kind.SERVER, "busy")
    assert ended(*TEXT, BUSY, FINISH, StreamEnd()) == Ending(rejected, "error", "busy")
    assert errored(BUSY, FACTS, 0.0, (BUSY,)) == Ending(rejected, "error", "busy", (BUSY,))


def test_what_is_done_lacks_at_most_its_last_frame() -> None:
    assert formality(Progress()) == (StreamEnd(),)
    assert formality(Progress(ended=True)) == ()

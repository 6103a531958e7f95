"""How a committed answer ends."""

from dataclasses import replace

from protocols.model.parts import (
    BlockDelta,
    BlockKind,
    BlockStart,
    ChoiceStart,
    Finish,
    FinishReason,
    StreamEnd,
    StreamError,
    StreamPart,
)
from protocols.model.progress import Progress
from rewrite.exchange.ending import Ending, ending, errored
from rewrite.policies.stream_end import verdict
from rewrite.values.outcome import Completed, Kind, Rejected, Truncated
from rewrite.values.timeouts import OnTruncation
from tests.rewrite.scenes import FACTS, TERMS, own

CUT = Truncated("reset")
TEXT = (ChoiceStart(0), BlockStart(0, 0, BlockKind.TEXT), BlockDelta(0, 0, BlockKind.TEXT, "Hi"))
TOOL = (ChoiceStart(0), BlockStart(0, 0, BlockKind.TOOL, "t", "weather"))
FINISH = Finish(0, FinishReason.STOP, "stop")
BUSY = StreamError("overloaded_error", "busy")


def ended(*parts: StreamPart, streamed: bool = True, mode: OnTruncation = OnTruncation.AUTO) -> Ending:
    so_far = Progress()
    so_far.fold(parts)
    terms = replace(TERMS, on_truncation=mode)
    found = ending(verdict(so_far), so_far, CUT, own(terms=terms), streamed=streamed)
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
    assert "truncated(reset)" in found.words
    assert Finish(0, FinishReason.LENGTH, "") in found.parts


def test_a_cut_in_a_tool_call_fails() -> None:
    found = ended(*TOOL)
    assert (found.outcome, found.end) == (CUT, "failed")
    assert [type(part) for part in found.parts] == [StreamError]
    assert ended(*TOOL, mode=OnTruncation.REPAIR).end == "truncated"


def test_an_error_of_its_own_is_its_end_and_is_not_said_twice() -> None:
    rejected = Rejected(500, Kind.SERVER, "busy")
    assert ended(*TEXT, BUSY, FINISH, StreamEnd()) == Ending(rejected, "error", "busy")
    assert errored(BUSY, FACTS, (BUSY,)) == Ending(rejected, "error", "busy", (BUSY,))

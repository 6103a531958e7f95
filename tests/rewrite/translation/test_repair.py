"""The parts that close an answer whose stream did not."""

from protocols.model.parts import (
    BlockKind,
    BlockStart,
    BlockStop,
    ChoiceStart,
    Finish,
    FinishReason,
    MessageStart,
    StreamEnd,
    StreamError,
)
from protocols.model.progress import Progress
from rewrite.translation.repair import closing, failing, raising


def test_open_blocks_stop_and_unfinished_choices_end_with_length() -> None:
    so_far = Progress()
    so_far.fold([ChoiceStart(0), BlockStart(0, 0, BlockKind.TEXT), BlockStart(1, 2, BlockKind.TEXT)])
    so_far.fold([BlockStop(0, 0), Finish(0, FinishReason.STOP, "stop")])
    assert closing(so_far) == (BlockStop(1, 2), Finish(1, FinishReason.LENGTH, ""), StreamEnd())


def test_a_providers_error_is_said_again_in_the_clients_own_form() -> None:
    busy = StreamError("overloaded_error", "busy", code="c", status=529, native=False)
    assert raising(busy) == (StreamError("overloaded_error", "busy", code="c", status=529),)
    assert raising(StreamError("", "busy", native=False)) == (StreamError("upstream_error", "busy"),)


def test_what_was_torn_and_is_still_open_stops_too() -> None:
    so_far = Progress()
    so_far.fold([MessageStart("m1", ""), ChoiceStart(0), BlockStart(0, 1, BlockKind.TEXT)])
    so_far.fold([MessageStart("m2", ""), BlockStart(0, 0, BlockKind.TEXT)])
    stops = {part for part in closing(so_far) if isinstance(part, BlockStop)}
    assert stops == {BlockStop(0, 0), BlockStop(0, 1)}


def test_a_failure_is_an_error_in_the_clients_own_form() -> None:
    assert failing("why") == (StreamError("upstream_cut", "why", native=True),)


def test_a_providers_error_without_a_message_gets_one() -> None:
    (error,) = raising(StreamError("overloaded_error", ""))
    assert isinstance(error, StreamError)
    assert "overloaded_error" in error.message

"""The answer of one attempt: held and read before the commit point, read on demand behind it."""

import pytest

from protocols.base import Segment, WireResponse
from protocols.parts import StreamError
from rewrite.reading import LARGEST_UNREAD, Reading, reading
from tests.rewrite.scenes import (
    ANTHROPIC,
    CHAT,
    DONE,
    MESSAGE,
    ROLE,
    SSE,
    call,
    ending,
    error_chunk,
    event,
    finishes,
    says,
)

GARBAGE = b"data: {oops\n\n"


def holding(*frames: bytes) -> Reading:
    found = reading(CHAT, call(), SSE)
    for frame in frames:
        found.hold(Segment(frame))
    return found


def test_what_is_held_is_an_answer_until_it_is_released() -> None:
    held = holding(ROLE, says("Hi"))
    assert held.answer() == WireResponse(200, SSE.headers, ROLE + says("Hi"))
    assert [segment.raw for segment in held.release()] == [ROLE, says("Hi")]
    assert held.answer().body == b""


def test_an_error_is_told_unless_its_frame_shows_something_too() -> None:
    assert holding().hold(Segment(error_chunk("no"))) == StreamError("", "no")
    both = says("Hi").replace(b'{"id"', b'{"error":{"message":"no"},"id"')
    assert holding().hold(Segment(both)) is None


def test_what_was_passed_on_is_read_when_it_is_asked_for() -> None:
    passed = holding(says("Hi"))
    passed.passed_on([Segment(says(" you")), Segment(finishes("stop"))], 100)
    assert not passed.progress.complete
    assert passed.settle().complete
    assert passed.settle().characters == len("Hi you")


def test_a_long_answer_is_read_before_it_fills_the_memory() -> None:
    passed = holding(says("Hi"))
    for _ in range(3):
        passed.passed_on([Segment(says("x" * (LARGEST_UNREAD // 2)))], LARGEST_UNREAD // 2 + 1)
    assert passed.progress.characters == len("Hi") + LARGEST_UNREAD
    assert passed.settle().characters == len("Hi") + 3 * (LARGEST_UNREAD // 2)


@pytest.mark.parametrize(
    ("frames", "ended"),
    [
        ([ROLE, finishes("stop")], True),
        ([ROLE, DONE], True),
        ([GARBAGE, ROLE, finishes("stop")], True),
        ([GARBAGE, DONE], False),
        ([ROLE], False),
    ],
    ids="finish done garbage-and-finish garbage-and-done neither".split(),
)
def test_behind_garbage_a_bare_last_frame_is_no_proper_end(frames: list[bytes], ended: bool) -> None:
    assert holding(*frames).properly_ended is ended


def test_an_unknown_event_does_not_spoil_the_end_of_a_message() -> None:
    held = reading(ANTHROPIC, call(ANTHROPIC), SSE)
    for frame in (MESSAGE, event("brand_new"), ending("end_turn")):
        held.hold(Segment(frame))
    assert held.properly_ended

"""What is noted of answers: the whole ones, and the events that reach the client as others."""

from collections.abc import Sequence
from typing import Any

import pytest

from protocols.model.http import Head
from protocols.model.segment import Segment
from rewrite.records.passes import Direction, Entry, TargetTrace
from rewrite.targets.streaming_mode import OtherMode
from rewrite.targets.target import Target
from rewrite.targets.traced import Before, Formatted
from tests.rewrite.asks import REPLY
from tests.rewrite.records.traces import Kept, trace_of
from tests.rewrite.scenes import CHAT, DONE, JSON, ROLE, SSE, call, finishes, own, says

WHOLE = (
    b'{"id":"c1","model":"model","choices":[{"index":0,"message":{"role":"assistant","content":"Hi"},'
    b'"finish_reason":"stop"}]}'
)
STREAM = [ROLE, says("Hi"), finishes("stop"), DONE]


def read(kept: Kept, head: Head, pieces: Sequence[bytes], **fields: Any) -> bytes:
    """What the client gets of an answer that comes in pieces."""
    target: Target = own(call(stream=fields.pop("stream", True)), trace=TargetTrace(trace_of(kept)), **fields)
    reading = target.reading(head)
    segments = [segment for piece in pieces for segment in reading.feed(piece)] + [*reading.eof()]
    return b"".join(segment.raw for segment in segments)


def named(kept: Kept, name: str) -> list[Entry]:
    return [entry for entry in kept.entries if entry.name == name]


def test_a_whole_answer_is_noted_as_it_was_read_and_as_it_is_written() -> None:
    kept = Kept()
    assert read(kept, JSON, [WHOLE[:20], WHOLE[20:]], stream=False) == WHOLE
    parsed, written = kept.entries
    assert (parsed.name, parsed.direction, written.name) == (
        "parsed_response",
        Direction.RESPONSE,
        "formatted_response",
    )
    assert isinstance(parsed.data, dict)
    assert (parsed.data["id"], written.data, written.changed) == ("c1", WHOLE, False)


def test_a_whole_answer_that_is_no_json_is_noted_as_it_is() -> None:
    kept = Kept()
    read(kept, JSON, [b"<html>"], stream=False)
    assert kept.entries[0].data == b"<html>"


def test_of_a_stream_that_is_passed_on_nothing_is_noted() -> None:
    kept = Kept()
    assert read(kept, SSE, STREAM) == b"".join(STREAM)
    assert kept.entries == []


def test_of_a_stream_whose_calls_are_held_what_stays_the_same_is_not_noted() -> None:
    kept = Kept()
    assert read(kept, SSE, STREAM, hold_tool_calls=True) == b"".join(STREAM)
    assert kept.entries == []


def test_a_stream_that_is_put_together_is_one_whole_answer() -> None:
    kept = Kept()
    mode = OtherMode(call(stream=False), CHAT, REPLY)
    body = read(kept, SSE, STREAM, other_mode=mode)
    (written,) = kept.entries
    assert (written.name, written.direction, written.data) == (
        "formatted_response",
        Direction.RESPONSE,
        body,
    )
    assert written.changed


def test_a_whole_answer_that_is_streamed_is_noted_before_and_after() -> None:
    kept = Kept()
    mode = OtherMode(call(stream=True), CHAT, REPLY)
    body = read(kept, JSON, [WHOLE], stream=False, other_mode=mode)
    (written,) = named(kept, "formatted_response")
    assert written.data == {"before": WHOLE, "after": body}
    assert written.direction is Direction.STREAM


class Given:
    """A decoder that gives, for each piece, so many segments."""

    def __init__(self, *given: list[bytes]) -> None:
        self._given = list(given)

    def feed(self, data: bytes) -> Sequence[Segment]:
        return [Segment(raw) for raw in self._given.pop(0)]

    def eof(self) -> Sequence[Segment]:
        return ()

    def read(self, segment: Segment) -> Sequence[Any]:
        return ()

    def remainder(self) -> bytes:
        return b""


@pytest.mark.parametrize(
    ("before", "after", "pairs"),
    [
        ([b"a", b"b"], [b"a", b"B"], [(b"b", b"B")]),
        ([b"a", b"b"], [b"AB"], [(b"ab", b"AB")]),
        ([b"a", b"b"], [], [(b"ab", b"")]),
        ([], [], []),
    ],
)
def test_events_are_noted_one_by_one_where_there_are_as_many_as_before(
    before: list[bytes], after: list[bytes], pairs: list[tuple[bytes, bytes]]
) -> None:
    kept = Kept()
    inner = Before(Given(before))
    formatted = Formatted(Given(after), inner, trace_of(kept), stream=True)
    inner.feed(b"")
    assert [segment.raw for segment in formatted.feed(b"")] == after
    assert [entry.data for entry in kept.entries] == [{"before": one, "after": new} for one, new in pairs]

"""The answer of one attempt: held and read before the commit point, read on demand after it."""

from collections.abc import Sequence

import pytest

from protocols.framing.whole import WholeDecoder
from protocols.model.errors import MalformedStream
from protocols.model.http import Head, WireResponse
from protocols.model.parts import StreamError
from protocols.model.segment import Segment
from rewrite.targets.reading import FRAME_COST, LARGEST_UNREAD, NO_END, EventByEvent, Reading, Silence
from rewrite.values.outcome import Kind, Outcome, Rejected, Truncated
from tests.rewrite.asks import ask, target_at
from tests.rewrite.edges import AZURE
from tests.rewrite.scenes import (
    ANTHROPIC,
    CHAT,
    DONE,
    JSON,
    MESSAGE,
    PING,
    ROLE,
    SSE,
    call,
    ending,
    error_chunk,
    event,
    finishes,
    message_error,
    own,
    says,
)

GARBAGE = b"data: {oops\n\n"
ODD = b'data: {"type":"odd"}\n\n'
FOREIGN = "the provider's answer is not one of this protocol"


def holding(*frames: bytes) -> Reading:
    found = own(call(), CHAT).reading(SSE)
    for frame in frames:
        found.hold(Segment(frame))
    return found


def test_what_is_held_is_an_answer_until_it_is_released() -> None:
    held = holding(ROLE, says("Hi"))
    assert held.answer() == WireResponse(200, SSE.headers, ROLE + says("Hi"))
    assert held.release() == (ROLE + says("Hi"), False)
    assert held.answer().body == b""


def test_events_that_come_together_are_passed_on_as_one() -> None:
    found = own(call(), CHAT).reading(SSE)
    together = says("Hi") + says(" there")
    (run,) = found.feed(together)
    assert (run.raw, run.run) == (together, True)


@pytest.mark.parametrize(
    ("stream", "head", "streamed"), [(True, SSE, True), (False, SSE, True), (True, JSON, False)]
)
def test_whether_it_comes_as_a_stream_is_for_the_answer_to_say(
    stream: bool, head: Head, streamed: bool
) -> None:
    assert own(call(stream=stream), CHAT).reading(head).streamed is streamed


class Overfull(WholeDecoder):
    """A decoder whose limit the first bytes break, though it could say more at the end."""

    def feed(self, data: bytes) -> Sequence[Segment]:
        super().feed(data)
        raise MalformedStream("a frame without an end")


def test_what_cannot_be_framed_is_reported_once_and_gives_nothing_more() -> None:
    found = Reading(SSE, Overfull(lambda _: ()), CHAT.encoder(call()), streamed=True)
    assert (found.feed(b"{}"), found.malformed) == ((), "a frame without an end")
    assert (found.feed(b"{}"), found.eof()) == ((), ())
    assert found.decoder.remainder() == b"{}"


def test_an_error_goes_back_in_a_form_that_clients_raise_on() -> None:
    held = own(call(ANTHROPIC), ANTHROPIC).reading(SSE)
    held.hold(Segment(MESSAGE))
    assert held.error_response(StreamError("api_error", "no"), 500).body == MESSAGE
    refused = held.error_response(StreamError("api_error", "no", native=False), 500)
    assert refused.body == MESSAGE + message_error("api_error", "no")


@pytest.mark.parametrize(
    ("frame", "cause", "outcome"),
    [
        (ROLE, None, Truncated(NO_END)),
        (ROLE, "reset", Truncated("reset")),
        (GARBAGE, "reset", Truncated("reset")),
        (GARBAGE, None, Rejected(200, Kind.FOREIGN, FOREIGN)),
        (ROLE + GARBAGE, None, Rejected(200, Kind.SERVER, FOREIGN)),
        (ODD, None, Rejected(200, Kind.FOREIGN, FOREIGN, None, WireResponse(200, SSE.headers, ODD))),
        (ODD, "reset", Truncated("reset")),
        (b"", None, Rejected(200, Kind.FOREIGN, FOREIGN, None, WireResponse(200, SSE.headers))),
        (
            b"<html>",
            None,
            Rejected(200, Kind.FOREIGN, FOREIGN, None, WireResponse(200, SSE.headers, b"<html>")),
        ),
        (b'data: {"choi', None, Truncated(NO_END)),
        (PING, None, Truncated(NO_END)),
        (AZURE, None, Truncated(NO_END)),
    ],
)
def test_what_nothing_to_commit_means(frame: bytes, cause: str | None, outcome: Outcome) -> None:
    reading = holding()
    for segment in [*reading.feed(frame), *reading.eof()]:
        reading.hold(segment)
    assert reading.came_to_nothing(cause) == outcome


@pytest.mark.parametrize(
    ("body", "outcome"),
    [
        (b"", Rejected(200, Kind.FOREIGN, FOREIGN, None, WireResponse(200, JSON.headers))),
        (b"OK", Rejected(200, Kind.FOREIGN, FOREIGN, None, WireResponse(200, JSON.headers, b"OK"))),
        (b'{"choices":[', Truncated(NO_END)),
    ],
    ids="nothing text half".split(),
)
def test_what_it_means_of_a_whole_answer(body: bytes, outcome: Outcome) -> None:
    reading = own(call(stream=False), CHAT).reading(JSON)
    for segment in [*reading.feed(body), *reading.eof()]:
        reading.hold(segment)
    assert reading.came_to_nothing(None) == outcome


@pytest.mark.parametrize(
    ("body", "says_nothing"),
    [
        (b'{"odd":1}', True),
        (b"[]", True),
        (b'{"id":"c1","choices":[]}', False),
        (b'{"choices":[{"index":0,"message":{"content":""},"finish_reason":"stop"}]}', False),
    ],
)
def test_what_json_is_no_answer(body: bytes, says_nothing: bool) -> None:
    reading = own(call(stream=False), CHAT).reading(JSON)
    for segment in [*reading.feed(body), *reading.eof()]:
        reading.hold(segment)
    assert reading.says_nothing is says_nothing


@pytest.mark.parametrize("stream", [True, False])
@pytest.mark.parametrize(
    ("head", "body"), [(SSE, ODD), (JSON, b'{"odd":1}'), (JSON, b"[]"), (JSON, b"")], ids=str
)
def test_nothing_of_another_protocol_is_handed_to_a_client(stream: bool, head: Head, body: bytes) -> None:
    """Neither as it came nor as an empty answer."""
    reading = target_at(ask("openai_chat", stream=stream), "anthropic_messages").reading(head)
    for segment in [*reading.feed(body), *reading.eof()]:
        reading.hold(segment)
    assert not reading.properly_ended
    assert reading.came_to_nothing(None) == Rejected(200, Kind.FOREIGN, FOREIGN)


def test_an_error_is_reported_unless_its_frame_shows_something_too() -> None:
    assert holding().hold(Segment(error_chunk("no"))) == StreamError("", "no")
    both = says("Hi").replace(b'{"id"', b'{"error":{"message":"no"},"id"')
    assert holding().hold(Segment(both)) is None


def test_what_was_passed_on_is_read_when_it_is_asked_for() -> None:
    passed = holding(says("Hi"))
    assert passed.pass_on([Segment(says(" you")), Segment(finishes("stop"))]) == says(" you") + finishes(
        "stop"
    )
    assert not passed.progress.complete
    assert passed.settle().complete
    assert passed.settle().characters == len("Hi you")


def test_a_flood_of_frames_is_read_before_it_fills_the_memory() -> None:
    passed = holding(says("Hi"))
    passed.pass_on([Segment(says("x"))])
    for _ in range(LARGEST_UNREAD // FRAME_COST):
        passed.pass_on([Segment(b"\n")])
    assert passed.progress.characters == len("Hi") + 1


def test_a_long_answer_is_read_before_it_fills_the_memory() -> None:
    passed = holding(says("Hi"))
    for _ in range(3):
        passed.pass_on([Segment(says("x" * (LARGEST_UNREAD // 2)))])
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
def test_after_garbage_a_bare_last_frame_is_no_proper_end(frames: list[bytes], ended: bool) -> None:
    assert holding(*frames).properly_ended is ended


def test_an_unknown_event_does_not_spoil_the_end_of_a_message() -> None:
    held = own(call(ANTHROPIC), ANTHROPIC).reading(SSE)
    for frame in (MESSAGE, event("brand_new"), ending("end_turn")):
        held.hold(Segment(frame))
    assert held.properly_ended


def test_the_events_of_a_run_are_held_one_by_one_and_what_follows_stays_one() -> None:
    run = Segment(says("a") + says("b") + says("c"), run=True)
    frames = EventByEvent([Segment(ROLE), run, Segment(PING)])
    assert [next(frames).raw for _ in range(3)] == [ROLE, says("a"), says("b")]
    assert frames.taken == 3
    assert frames.remainder() == [Segment(says("c"), run=True), Segment(PING)]


def test_all_of_them_may_be_taken() -> None:
    frames = EventByEvent([Segment(says("a") + says("b"), run=True)])
    assert [segment.raw for segment in frames] == [says("a"), says("b")]
    assert (frames.taken, frames.remainder()) == (2, [])


def test_a_silence_counts_from_what_broke_it_last() -> None:
    silence = Silence(30.0)
    assert (silence.lasted(20.0), silence.left(20.0)) == (20.0, 10.0)
    silence.since = 15.0
    assert (silence.lasted(20.0), silence.left(20.0)) == (5.0, 25.0)

"""What waits is joined, and a flood of tiny frames is not taken at once."""

import pytest

from addons.call.arrivals import MOST_ENDS, Answer, in_pieces, is_flood
from protocols.model.http import Head
from rewrite.values.events import Event, TimerFired, UpstreamClosed, UpstreamData, UpstreamSent
from rewrite.values.timer import Timer


def test_data_that_arrived_together_is_one_event() -> None:
    events: list[Event] = [
        UpstreamSent(1),
        UpstreamData(1, b"a"),
        UpstreamData(1, b"b"),
        TimerFired(1, Timer.STALL),
        UpstreamData(1, b"c"),
        UpstreamData(2, b"d"),
        UpstreamClosed(2),
    ]
    assert list(in_pieces(events)) == [
        UpstreamSent(1),
        UpstreamData(1, b"ab"),
        TimerFired(1, Timer.STALL),
        UpstreamData(1, b"c"),
        UpstreamData(2, b"d"),
        UpstreamClosed(2),
    ]


def test_a_flood_of_tiny_frames_comes_in_pieces() -> None:
    flood = b"\n" * (3 * MOST_ENDS)
    large = b"x" * (1 << 18)
    *pieces, closed = in_pieces([UpstreamData(1, large), UpstreamData(1, flood), UpstreamClosed(1)])
    assert closed == UpstreamClosed(1)
    data = [piece.data for piece in pieces if isinstance(piece, UpstreamData)]
    assert b"".join(data) == large + flood
    assert max(piece.count(b"\n") for piece in data) <= MOST_ENDS


@pytest.mark.parametrize("end", [b"\n", b"\r", b"}"])
def test_what_is_large_is_no_flood_by_that(end: bytes) -> None:
    assert not is_flood(UpstreamData(1, b"x" * (1 << 18) + end * MOST_ENDS))
    assert is_flood(UpstreamData(1, end * (MOST_ENDS + 1)))
    assert not is_flood(UpstreamClosed(1))


@pytest.mark.parametrize(
    ("head", "untouched", "status", "expected"),
    [
        (None, True, 0, False),
        (Head(200, ()), True, 0, True),
        (Head(200, ()), True, 200, True),
        (Head(429, ()), True, 200, False),
        (Head(200, ()), False, 0, False),
    ],
)
def test_an_answer_continues_where_the_client_can_read_it(
    head: Head | None, untouched: bool, status: int, expected: bool
) -> None:
    answer = Answer(1, untouched, head)
    assert answer.continues(status) is expected


def test_what_has_not_left_is_taken_once() -> None:
    answer = Answer(1, unsent=bytearray(b"ab"))
    assert (answer.take(), answer.take()) == (b"ab", b"")

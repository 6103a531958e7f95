"""When silence means something."""

from dataclasses import replace

import pytest

from rewrite.exchange.timers import Silence, before_commit, was_silent
from rewrite.values.outcome import Outcome, Stalled, Truncated
from rewrite.values.timer import Timer
from tests.rewrite.scenes import QUIET

TIMING = replace(QUIET, first_event=30.0, first_token=60.0, response=600.0)


def test_a_silence_counts_from_what_broke_it_last() -> None:
    silence = Silence(30.0)
    assert (silence.lasted(20.0), silence.left(20.0)) == (20.0, 10.0)
    silence.since = 15.0
    assert (silence.lasted(20.0), silence.left(20.0)) == (5.0, 25.0)


@pytest.mark.parametrize(
    ("stalls", "first_event", "first_token"), [(0, 30.0, 60.0), (1, 60.0, 60.0), (2, 120.0, 120.0)]
)
def test_each_stall_doubles_the_wait_for_an_event(
    stalls: int, first_event: float, first_token: float
) -> None:
    expected = ((Timer.FIRST_EVENT, first_event), (Timer.FIRST_TOKEN, first_token))
    assert before_commit(TIMING, stream=True, stalls=stalls) == expected


@pytest.mark.parametrize(
    ("outcome", "silent"),
    [
        (Stalled(Timer.FIRST_TOKEN, 60.0), True),
        (Stalled(Timer.THROUGHPUT, 10.0), False),
        (Truncated("reset"), False),
    ],
)
def test_what_ended_in_silence(outcome: Outcome, silent: bool) -> None:
    assert was_silent(outcome) is silent


def test_a_call_that_is_not_streamed_waits_for_its_response_alone() -> None:
    assert before_commit(TIMING, stream=False, stalls=2) == ((Timer.RESPONSE, 600.0),)


def test_a_silence_lasts_no_longer_than_the_turn_of_its_target() -> None:
    expected = ((Timer.FIRST_EVENT, 30.0), (Timer.FIRST_TOKEN, 40.0), (Timer.RESPONSE, 600.0))
    assert before_commit(TIMING, stream=True, stalls=0, unseen=True, longest=40.0) == expected


def test_a_timer_that_is_off_stays_off() -> None:
    off = before_commit(replace(TIMING, first_token=0.0), stream=True, stalls=3)
    assert dict(off)[Timer.FIRST_TOKEN] == 0.0

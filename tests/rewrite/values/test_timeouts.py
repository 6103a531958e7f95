"""What the user's numbers come to for one call."""

from dataclasses import replace

import pytest
from msgspec import structs

from protocols.model.call import Call, Operation, Reasoning
from rewrite.values.timeouts import (
    Deadlines,
    Limits,
    Timeouts,
    Timing,
    before_commit,
    limits_for,
    patience,
    timeouts_for,
    timing,
)
from rewrite.values.timer import Timer
from tests.rewrite.scenes import QUIET

CALL = Call("call", "openai_chat", Operation.GENERATE, "model", True, ())
DEFAULTS = Timeouts()
HIGH = Deadlines("openai", "gpt-5*", "high", {"first_token": 400.0})
FAST = replace(CALL, reasoning=Reasoning.OFF)


def timers(
    call: Call = FAST,
    timeouts: Timeouts = DEFAULTS,
    *,
    reasons: bool | None = None,
    lifecycle: bool = False,
) -> Timing:
    return timing(timeouts, call, reasons=reasons, lifecycle=lifecycle, known_patience=None)


def saying(**headers: str) -> Call:
    return replace(CALL, headers=tuple((name.replace("_", "-"), value) for name, value in headers.items()))


@pytest.mark.parametrize(
    ("call", "known", "seconds"),
    [
        (CALL, None, 590.0),
        (CALL, 120.0, 110.0),
        (saying(X_Stainless_Read_Timeout="600"), None, 590.0),
        (saying(x_stainless_read_timeout="30"), 120.0, 20.0),
        (saying(x_stainless_timeout="60"), None, 50.0),
        (saying(x_server_timeout="45", x_stainless_timeout="60"), None, 35.0),
        (saying(x_stainless_read_timeout="12"), None, 6.0),
        (saying(x_stainless_read_timeout="NOT_GIVEN"), 120.0, 110.0),
        (saying(x_stainless_read_timeout="0"), None, 590.0),
        (saying(x_stainless_read_timeout="-1"), None, 590.0),
        (saying(x_stainless_read_timeout="inf"), None, 590.0),
    ],
)
def test_patience(call: Call, known: float | None, seconds: float) -> None:
    assert patience(call, known) == seconds


def test_a_call_that_does_not_think_has_the_plain_timers() -> None:
    assert timers() == Timing(
        connect=10.0,
        first_event=30.0,
        first_token=60.0,
        hold=120.0,
        stall=120.0,
        response=590.0,
        patience=590.0,
        any_byte_keeps_alive=False,
        heartbeat=15.0,
    )


@pytest.mark.parametrize(
    ("reasoning", "reasons", "slow"),
    [
        (Reasoning.UNSAID, None, True),
        (Reasoning.UNSAID, True, True),
        (Reasoning.UNSAID, False, False),
        (Reasoning.ON, False, True),
        (Reasoning.OFF, True, False),
        (Reasoning.OFF, None, False),
    ],
)
def test_what_may_think_is_slow_to_start(reasoning: Reasoning, reasons: bool | None, slow: bool) -> None:
    found = timers(replace(CALL, reasoning=reasoning), reasons=reasons)
    assert (found.first_token, found.stall, found.any_byte_keeps_alive) == (
        (300.0, 300.0, True) if slow else (60.0, 120.0, False)
    )


@pytest.mark.parametrize(("lifecycle", "first_event"), [(True, 30.0), (False, 300.0)])
def test_early_silence_is_a_fault_only_where_streams_open_with_an_event(
    lifecycle: bool, first_event: float
) -> None:
    assert timers(CALL, lifecycle=lifecycle).first_event == first_event


def test_hosted_tools_make_any_byte_count_as_life() -> None:
    found = timers(replace(FAST, hosted=True))
    assert (found.stall, found.any_byte_keeps_alive, found.first_token) == (300.0, True, 60.0)


@pytest.mark.parametrize(("size", "bonus"), [(0, 0.0), (100_000, 10.0), (250_000, 25.0), (9_000_000, 120.0)])
def test_long_requests_get_more_time_before_the_first_token(size: int, bonus: float) -> None:
    found = timers(replace(FAST, text_bytes=size))
    assert found.first_event == pytest.approx(30.0 + bonus)
    assert found.first_token == pytest.approx(60.0 + bonus)
    assert found.stall == 120.0


def test_no_timer_outlives_the_clients_patience() -> None:
    found = timers(saying(x_stainless_read_timeout="110"))
    assert (found.hold, found.stall, found.response, found.patience) == (50.0, 100.0, 100.0, 100.0)


def test_a_heart_beats_within_the_clients_patience_or_not_at_all() -> None:
    assert timers(saying(x_stainless_read_timeout="20")).heartbeat == 5.0
    assert timers(timeouts=Timeouts(heartbeat=0)).heartbeat == 0.0


def test_a_floor_under_the_throughput_is_taken_over() -> None:
    found = timers(timeouts=Timeouts(min_throughput=7.0, throughput_window=3.0))
    assert (found.min_throughput, found.throughput_window) == (7.0, 3.0)


def test_zero_turns_each_timer_off() -> None:
    off = Timeouts(first_event=0, first_token=0, hold_limit=0, stall=0, response=0, slow_start=0)
    for call in (FAST, replace(CALL, text_bytes=500_000)):
        found = timers(call, off)
        assert found.first_event == found.first_token == found.hold == found.stall == found.response == 0


def test_a_stall_timeout_that_is_off_stays_off_where_the_call_may_think() -> None:
    assert timers(CALL, Timeouts(stall=0)).stall == 0


@pytest.mark.parametrize(("count", "attempts"), [("0", 5), ("1", 1), ("2", 1), ("many", 5)])
def test_a_client_that_retries_by_itself_leaves_one_costly_attempt(count: str, attempts: int) -> None:
    limits = limits_for(Limits(max_attempts=5, deadline=7.0), saying(x_stainless_retry_count=count))
    assert limits == Limits(attempts, 7.0)


# -- timeouts of some calls alone -----------------------------------------------------------------------


@pytest.mark.parametrize(
    ("deadlines", "fits"),
    [
        (Deadlines(), True),
        (HIGH, True),
        (Deadlines(provider="open*"), True),
        (Deadlines(provider="azure"), False),
        (Deadlines(model="GPT-5*"), False),
        (Deadlines(model="gpt-5"), False),
        (Deadlines(effort="high"), True),
        (Deadlines(effort="low"), False),
        (replace(HIGH, provider="azure"), False),
    ],
    ids=str,
)
def test_all_of_a_match_has_to_fit(deadlines: Deadlines, fits: bool) -> None:
    assert deadlines.fits("openai", "gpt-5.1", "high") is fits


def test_a_call_that_does_not_say_how_hard_fits_where_any_does() -> None:
    assert not HIGH.fits("openai", "gpt-5", "")
    assert Deadlines(model="gpt-5").fits("openai", "gpt-5", "")


def test_the_first_that_fits_holds_alone() -> None:
    listed = (replace(HIGH, effort="low"), HIGH, Deadlines(seconds={"first_token": 1.0, "stall": 1.0}))
    found = timeouts_for(listed, DEFAULTS, "openai", "gpt-5", "high")
    assert (found.first_token, found.stall) == (400.0, DEFAULTS.stall)
    assert timeouts_for(listed, DEFAULTS, "openai", None, "").stall == 1.0
    assert timeouts_for(listed[:2], DEFAULTS, "openai", "gpt-4o", "high") is DEFAULTS


def thinking(seconds: dict[str, float]) -> Timing:
    """Of a call to a model that thinks, in a protocol whose streams do not open with an event."""
    asked = Call("call", "openai_chat", Operation.GENERATE, "gpt-5", True, (), reasoning=Reasoning.ON)
    timeouts = timeouts_for([Deadlines(seconds=seconds)], DEFAULTS, "openai", "gpt-5", "high")
    return timing(timeouts, asked, reasons=True, lifecycle=False, known_patience=None)


def test_what_is_said_for_a_model_that_thinks_is_meant_as_it_is_said() -> None:
    plain = thinking({})
    assert (plain.first_event, plain.first_token, plain.stall, plain.response) == (300.0, 300.0, 300.0, 590.0)
    assert thinking({"first_token": 40.0}) == structs.replace(plain, first_token=40.0)
    assert thinking({"first_event": 4.0}) == structs.replace(plain, first_event=4.0)
    assert thinking({"stall": 20.0}) == structs.replace(plain, stall=20.0)
    assert thinking({"response": 100.0}) == structs.replace(plain, response=100.0)


def test_a_slow_start_of_their_own_stands_in_for_the_others() -> None:
    found = thinking({"slow_start": 90.0, "first_token": 40.0})
    assert (found.first_event, found.first_token, found.stall) == (90.0, 90.0, 90.0)


def test_zero_turns_one_off_for_such_calls() -> None:
    assert thinking({"first_token": 0.0, "stall": 0.0}) == structs.replace(
        thinking({}), first_token=0.0, stall=0.0
    )


def test_what_a_general_place_says_exactly_stays_exact() -> None:
    known = Deadlines(seconds={"first_token": 400.0}).over(DEFAULTS)
    assert Deadlines(seconds={"stall": 5.0}).over(known).exact == {"first_token", "stall"}
    assert Deadlines(seconds={"slow_start": 5.0}).over(known).exact == frozenset()


# -- the timers of an attempt -----------------------------------------------------------------------------

TIMING = structs.replace(QUIET, first_event=30.0, first_token=60.0, response=600.0)


@pytest.mark.parametrize(
    ("stalls", "first_event", "first_token"), [(0, 30.0, 60.0), (1, 60.0, 60.0), (2, 120.0, 120.0)]
)
def test_each_stall_doubles_the_wait_for_an_event(
    stalls: int, first_event: float, first_token: float
) -> None:
    expected = ((Timer.FIRST_EVENT, first_event), (Timer.FIRST_TOKEN, first_token))
    assert before_commit(TIMING, stream=True, stalls=stalls) == expected


def test_a_call_that_is_not_streamed_waits_for_its_response_alone() -> None:
    assert before_commit(TIMING, stream=False, stalls=2) == ((Timer.RESPONSE, 600.0),)


def test_a_silence_lasts_no_longer_than_the_turn_of_its_target() -> None:
    expected = ((Timer.FIRST_EVENT, 30.0), (Timer.FIRST_TOKEN, 40.0), (Timer.RESPONSE, 600.0))
    assert before_commit(TIMING, stream=True, stalls=0, gathered=True, longest=40.0) == expected


def test_a_timer_that_is_off_stays_off() -> None:
    off = before_commit(structs.replace(TIMING, first_token=0.0), stream=True, stalls=3)
    assert dict(off)[Timer.FIRST_TOKEN] == 0.0

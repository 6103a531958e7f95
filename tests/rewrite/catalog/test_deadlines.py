"""Whose timeouts hold for a call at one target."""

from dataclasses import replace

import pytest

from protocols.model.call import Call, Operation, Reasoning
from rewrite.catalog.deadlines import Deadlines, timeouts_for
from rewrite.values.limits import Timeouts, Timing, timing

DEFAULTS = Timeouts()
HIGH = Deadlines("openai", "gpt-5*", "high", {"first_token": 400.0})


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


def timers(seconds: dict[str, float]) -> Timing:
    """Of a call to a model that thinks, in a protocol whose streams do not open with an event."""
    asked = Call("call", "openai_chat", Operation.GENERATE, "gpt-5", True, (), reasoning=Reasoning.ON)
    timeouts = timeouts_for([Deadlines(seconds=seconds)], DEFAULTS, "openai", "gpt-5", "high")
    return timing(timeouts, asked, reasons=True, lifecycle=False, known_patience=None)


def test_what_is_said_for_a_model_that_thinks_is_meant_as_it_is_said() -> None:
    plain = timers({})
    assert (plain.first_event, plain.first_token, plain.stall, plain.response) == (300.0, 300.0, 300.0, 590.0)
    assert timers({"first_token": 40.0}) == replace(plain, first_token=40.0)
    assert timers({"first_event": 4.0}) == replace(plain, first_event=4.0)
    assert timers({"stall": 20.0}) == replace(plain, stall=20.0)
    assert timers({"response": 100.0}) == replace(plain, response=100.0)


def test_a_slow_start_of_their_own_stands_in_for_the_others() -> None:
    found = timers({"slow_start": 90.0, "first_token": 40.0})
    assert (found.first_event, found.first_token, found.stall) == (90.0, 90.0, 90.0)


def test_zero_turns_one_off_for_such_calls() -> None:
    assert timers({"first_token": 0.0, "stall": 0.0}) == replace(timers({}), first_token=0.0, stall=0.0)

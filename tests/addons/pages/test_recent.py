"""The last calls, numbered, and the minutes in which calls ended; both bounded."""

from addons.pages.recent import LAST, MINUTE, MINUTES, Recent
from rewrite.records.verdict import Verdict
from rewrite.usage.entry import Tokens
from tests.addons.entries import ended

BEGAN = 999_960
"""The beginning of a minute."""


def test_calls_are_numbered_and_given_once() -> None:
    recent = Recent()
    for name in "abc":
        recent.take([ended(call=name)])
    assert [(row["number"], row["call"]) for row in recent.last(2)] == [(2, "b"), (3, "c")]
    assert [row["call"] for row in recent.last(200, after=1)] == ["b", "c"]
    assert recent.last(200, after=3) == []


def test_a_row_says_what_a_call_came_to() -> None:
    recent = Recent()
    recent.take([ended(verdict=Verdict.SPARE, attempts=2)])
    (row,) = recent.last(1)
    assert (row["verdict"], row["attempts"], row["input"], row["output"]) == ("spare", 2, 1000, 50)
    assert (row["seconds"], row["first_token"], row["cost"]) == (2.5, 0.4, 0.25)


def test_minutes_add_up() -> None:
    recent = Recent()
    recent.take([ended(at=BEGAN + 1.0)])
    recent.take([ended(at=BEGAN + 59.0, verdict=Verdict.RETRIED, attempts=3, cost=None, failed_cost=0.5)])
    recent.take([ended(at=BEGAN + 61.0, tokens=None, first_token=None, cost=None)])
    last, first = recent.minutes(0)
    assert first == {
        "at": BEGAN,
        "verdicts": {"ok": 1, "retried": 1},
        "retries": 2,
        "input": 200,
        "cached": 1800,
        "output": 100,
        "cost": 0.75,
        "first": {9: 2},
    }
    assert (last["at"], last["verdicts"], last["first"]) == (BEGAN + MINUTE, {"ok": 1}, {})
    assert list(recent.minutes(BEGAN + MINUTE)) == [last]


def test_written_to_a_cache_is_not_read_from_it() -> None:
    recent = Recent()
    recent.take([ended(tokens=Tokens(input=1, cache_read=2, cache_write=4, cache_write_1h=8, output=16))])
    (minute,) = recent.minutes(0)
    assert (minute["input"], minute["cached"], minute["output"]) == (13, 2, 16)


def test_a_first_token_of_any_time_is_counted() -> None:
    recent = Recent()
    for seconds in (0.0, 0.05, 0.06, 3600.0):
        recent.take([ended(first_token=seconds)])
    (minute,) = recent.minutes(0)
    assert minute["first"] == {0: 3, 40: 1}


def test_a_clock_that_is_set_back_costs_nothing() -> None:
    recent = Recent()
    recent.take([ended(at=BEGAN + 600.0)])
    recent.take([ended(at=BEGAN + 1.0)])
    (minute,) = recent.minutes(0)
    assert minute["verdicts"] == {"ok": 2}


def test_of_many_calls_the_last_are_kept() -> None:
    recent = Recent()
    for count in range(10_000):
        recent.take([ended(at=BEGAN + 60.0 * count)])
    assert recent.count == 10_000
    assert len(recent.last(10_000)) == LAST
    assert len(list(recent.minutes(0))) == MINUTES

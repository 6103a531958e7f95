"""Windows: what counts, until when, and what may be used of a reported limit."""

from datetime import UTC, datetime
from itertools import accumulate
from zoneinfo import ZoneInfo

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from rewrite.credentials.windows import (
    STEPS,
    Cap,
    Counts,
    Period,
    Unit,
    Window,
    added,
    apart,
    full_until,
    taken_back,
    use_of,
    used,
)

BERLIN = ZoneInfo("Europe/Berlin")
ROUNDING = 1e-9
"""Seconds that sums of the times here are not exact by."""


def at(text: str) -> float:
    return datetime.fromisoformat(text).timestamp()


CALENDAR = [
    (Period.DAY, UTC, "2026-11-22T20:13:00+00:00", "2026-11-23T00:00:00+00:00"),
    (Period.DAY, BERLIN, "2026-11-22T23:30:00+00:00", "2026-11-24T00:00:00+01:00"),
    (Period.DAY, UTC, "2026-11-23T00:00:00+00:00", "2026-11-24T00:00:00+00:00"),
    (Period.WEEK, UTC, "2026-11-22T23:59:59+00:00", "2026-11-23T00:00:00+00:00"),
    (Period.WEEK, UTC, "2026-11-23T00:00:00+00:00", "2026-11-30T00:00:00+00:00"),
    (Period.MONTH, UTC, "2026-12-31T12:00:00+00:00", "2027-01-01T00:00:00+00:00"),
    (Period.MONTH, UTC, "2028-02-29T12:00:00+00:00", "2028-03-01T00:00:00+00:00"),
    # A day of 25 hours and one of 23: summer time ends and begins.
    (Period.DAY, BERLIN, "2026-10-25T00:30:00+02:00", "2026-10-26T00:00:00+01:00"),
    (Period.DAY, BERLIN, "2026-03-29T00:30:00+01:00", "2026-03-30T00:00:00+02:00"),
    # Where clocks go back from 1:00 to 0:00, the day has begun at the first midnight.
    (Period.DAY, ZoneInfo("America/Havana"), "2026-10-31T12:00:00-04:00", "2026-11-01T00:00:00-04:00"),
    (Period.DAY, ZoneInfo("America/Havana"), "2026-11-01T00:30:00-05:00", "2026-11-02T00:00:00-05:00"),
]


@pytest.mark.parametrize(("per", "zone", "now", "until"), CALENDAR)
def test_a_calendar_window_ends_at_midnight_of_its_zone(
    per: Period, zone: ZoneInfo, now: str, until: str
) -> None:
    assert Window(Unit.REQUESTS, 1, per, zone).until(at(now)) == at(until)


def test_a_calendar_window_is_free_again_when_it_ends() -> None:
    window = Window(Unit.TOKENS, 100, Period.DAY)
    now, midnight = at("2026-11-22T20:13:00+00:00"), at("2026-11-23T00:00:00+00:00")
    counts = added(window, added(window, (), 60, now), 60, now + 60)
    assert (counts, used(counts, now)) == (((midnight, 120.0),), 120.0)
    assert full_until(window, counts, now) == midnight
    assert full_until(window, counts, midnight) is None
    assert added(window, counts, 5, midnight) == ((midnight + 86400, 5),)


def test_a_rolling_window_is_free_again_piece_by_piece() -> None:
    window = Window(Unit.REQUESTS, 2, 60.0)
    counts = added(window, added(window, (), 1, 600.0), 1, 630.0)
    assert full_until(window, counts, 650.0) == 661.0
    assert full_until(window, counts, 661.0) is None
    assert used(counts, 691.0) == 0.0


@given(
    st.lists(st.floats(0, 20), max_size=200),
    st.integers(1, 8),
    st.floats(0.5, 100),
)
@example([13.827697535090106, 19.827697535090106, 16.827697535090106], 1, 16.827697535090106)
def test_never_more_than_the_limit_within_a_rolling_window(
    gaps: list[float], limit: int, seconds: float
) -> None:
    """Whenever calls come, and at most a step too few."""
    window = Window(Unit.REQUESTS, limit, seconds)
    counts: Counts = ()
    served: list[float] = []
    for now in accumulate(gaps):
        until = full_until(window, counts, now)
        if until is None:
            counts = added(window, counts, 1, now)
            served.append(now)
            assert sum(then > now - seconds + ROUNDING for then in served) <= limit
        else:
            assert now < until <= now + seconds + seconds / STEPS + ROUNDING
            assert full_until(window, counts, until) is None
            assert sum(then > now - seconds - seconds / STEPS for then in served) >= limit
        assert len(counts) <= STEPS + 2


@given(st.lists(st.tuples(st.floats(0, 5), st.floats(0.01, 9)), max_size=40))
def test_what_is_taken_back_was_never_counted(amounts: list[tuple[float, float]]) -> None:
    window, now = Window(Unit.COST, 5, 60.0), 0.0
    counts: Counts = ()
    for gap, amount in amounts:
        now += gap
        again = taken_back(added(window, counts, amount, now), amount)
        assert used(again, now) == pytest.approx(used(counts, now))
        counts = added(window, counts, amount, now)


def test_nothing_is_taken_back_of_nothing() -> None:
    assert taken_back((), 1) == ()


def test_sums_of_costs_fill_a_window_though_they_are_not_exact() -> None:
    window = Window(Unit.COST, 0.3, 60.0)
    counts = added(window, added(window, added(window, (), 0.1, 0.0), 0.1, 0.0), 0.1 - 1e-12, 0.0)
    assert full_until(window, counts, 0.0) == 61.0


def test_windows_are_distinguished_by_what_they_count_and_for_how_long() -> None:
    keys = [
        Window(Unit.REQUESTS, 5, 60.0).key,
        Window(Unit.REQUESTS, 5, 3600.0).key,
        Window(Unit.COST, 5, 60.0).key,
        Window(Unit.COST, 5, Period.DAY).key,
        Window(Unit.COST, 5, Period.DAY, BERLIN).key,
    ]
    assert len(set(keys)) == len(keys)
    assert Window(Unit.REQUESTS, 9, 60.0).key == keys[0]


def test_titles_are_for_readers() -> None:
    assert Window(Unit.REQUESTS, 100, Period.DAY).title() == "100 requests per day"
    assert Window(Unit.TOKENS, 40000, 60.0).title() == "40000 tokens per 60 s"
    assert Window(Unit.COST, 2.5, Period.MONTH).title() == "$2.5 per month"
    assert Cap(Unit.REQUESTS, 3).title() == "3 requests"
    assert Cap(Unit.REQUESTS, -8).title() == "all requests but 8"
    assert Cap(Unit.TOKENS, share=0.5).title() == "50% of the tokens"


CAPS = [
    (Cap(Unit.REQUESTS, 3), 50.0, 3.0),
    (Cap(Unit.REQUESTS, 80), 50.0, 50.0),
    (Cap(Unit.REQUESTS, -8), 50.0, 42.0),
    (Cap(Unit.REQUESTS, -80), 50.0, 0.0),
    (Cap(Unit.REQUESTS, share=0.5), 50.0, 25.0),
]


@pytest.mark.parametrize(("cap", "limit", "allowed"), CAPS)
def test_a_cap_is_a_number_a_distance_or_a_share(cap: Cap, limit: float, allowed: float) -> None:
    assert cap.of(limit) == allowed


def test_a_share_holds_for_a_percentage_too_and_a_number_does_not() -> None:
    assert Cap(Unit.REQUESTS, share=0.5).concerns(Unit.PERCENT)
    assert not Cap(Unit.REQUESTS, 3).concerns(Unit.PERCENT)
    assert not Cap(Unit.REQUESTS, 3).concerns(Unit.TOKENS)


def test_a_fixed_number_is_counted_by_days_where_no_limit_is_reported() -> None:
    assert Cap(Unit.REQUESTS, 3).own == Window(Unit.REQUESTS, 3, Period.DAY)
    assert Cap(Unit.REQUESTS, -8).own is None
    assert Cap(Unit.REQUESTS, share=0.5).own is None


def test_the_use_of_a_window_is_shown_once_there_is_some() -> None:
    window = Window(Unit.REQUESTS, 5, 60.0)
    assert [*use_of(window, "model:m", (), 0.0)] == []
    (shown,) = use_of(window, "model:m", added(window, (), 2, 0.0), 10.0)
    assert (shown.unit, shown.scope, shown.used, shown.limit) == (Unit.REQUESTS, "model:m", 2, 5)
    assert (shown.resets_in, shown.source) == (51.0, "config")


MOMENTS, AMOUNTS = st.integers(1, 12).map(float), st.integers(1, 3).map(float)
STEPS_OF_COUNTS = st.dictionaries(MOMENTS, AMOUNTS, max_size=8).map(
    lambda found: tuple(sorted(found.items()))
)


@given(STEPS_OF_COUNTS, STEPS_OF_COUNTS)
def test_what_two_counts_differ_by_is_found(counts: Counts, former: Counts) -> None:
    more, less = apart(counts, former)
    assert {*counts} - {*former} <= {*more} <= {*counts}
    assert {*former} - {*counts} <= {*less} <= {*former}


def test_of_counts_that_go_on_only_the_ends_differ() -> None:
    window = Window(Unit.REQUESTS, 1e9, 60.0)
    former: Counts = ()
    for second in range(60):
        former = added(window, former, 5.0, 1000.0 + second)
    counts = added(window, added(window, former, 1.0, 1059.5), 1.0, 1060.0)
    more, less = apart(counts, former)
    assert (len(more), len(less)) == (2, 1)

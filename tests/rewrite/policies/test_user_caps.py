"""How much a user may use a day, and what more is answered with."""

from math import inf

import pytest

from protocols.model.parts import ErrorKind
from rewrite.policies.user_caps import Caps, Use, day_of, left_of_day, refusal

NOON = 1_795_435_200.0  # 2026-11-23 12:00 UTC


@pytest.mark.parametrize(
    ("caps", "use", "reached"),
    [
        (Caps(), Use(10**9, 10**12, 1e9), ""),
        (Caps(requests=2), Use(1), ""),
        (Caps(requests=2), Use(2), "calls a day: 2"),
        (Caps(tokens=2e6), Use(tokens=1_999_999), ""),
        (Caps(tokens=2e6), Use(tokens=2_000_000), "tokens a day: 2,000,000"),
        (Caps(cost=5), Use(cost=4.99), ""),
        (Caps(cost=5), Use(cost=5.0), "cost a day: $5"),
        (Caps(2, 100, 5), Use(2, 100, 5.0), "calls a day: 2"),
    ],
)
def test_a_cap_is_reached_once_nothing_is_left(caps: Caps, use: Use, reached: str) -> None:
    assert caps.reached(use) == reached


def test_caps_are_named() -> None:
    assert [*Caps(2, 2e6, 0.5).titles()] == ["calls a day: 2", "tokens a day: 2,000,000", "cost a day: $0.5"]
    assert [*Caps().titles()] == []
    assert Caps(tokens=5).given() == {"tokens": 5}
    assert Caps(inf, inf, inf).given() == {}


def test_uses_add_up() -> None:
    assert Use(1, 20, 0.5) + Use(2, 1, 0.25) == Use(3, 21, 0.75)


def test_a_day_begins_at_midnight_in_utc() -> None:
    assert (day_of(NOON), left_of_day(NOON)) == ("2026-11-23", 43_200)
    assert day_of(NOON + 43_199.9) == "2026-11-23"
    assert (day_of(NOON + 43_200), left_of_day(NOON + 43_200)) == ("2026-11-24", 86_400)


def test_a_refusal_says_when_it_is_over_and_asks_for_no_retry() -> None:
    fault = refusal("alice", "calls a day: 2", NOON + 61)
    assert (fault.status, fault.kind, fault.retry_after) == (429, ErrorKind.QUOTA, 60.0)
    assert fault.message == (
        "alice has used all that this proxy allows (calls a day: 2); "
        "more from 2026-11-24 00:00 UTC, in 11 h 59 min"
    )
    assert not fault.should_retry


def test_shortly_before_midnight_a_client_may_wait() -> None:
    fault = refusal("alice", "cost a day: $5", NOON + 43_200 - 12)
    assert (fault.retry_after, fault.should_retry) == (12.0, True)
    assert "in 1 min" in fault.message

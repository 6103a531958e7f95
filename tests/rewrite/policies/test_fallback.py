"""Which failures of a target lead to the next one of the group."""

from dataclasses import replace

import pytest

from rewrite.policies.fallback import decide
from rewrite.values.outcome import Abandoned, Completed, Kind, Outcome, Rejected, Stalled, Unreachable
from rewrite.values.timer import Timer
from tests.rewrite.histories import AWAY, CUT, LOST, STALLED, history, rejected

IN_BAND = Rejected(529, Kind.SERVER, "busy")


@pytest.mark.parametrize(
    ("outcome", "falls_back"),
    [
        *((rejected(kind), True) for kind in (Kind.RATE, Kind.QUOTA, Kind.SERVER, Kind.FOREIGN)),
        *((rejected(kind), True) for kind in (Kind.MODEL_QUOTA, Kind.TOO_LARGE)),
        *((rejected(kind), False) for kind in (Kind.REQUEST, Kind.BINDING, Kind.AUTH, Kind.FORBIDDEN)),
        (IN_BAND, True),
        (LOST, True),
        (AWAY, True),
        (Unreachable("reset", sent=True), True),
        (CUT, True),
        (STALLED, True),
        (Stalled(Timer.FIRST_EVENT, 30.0), True),
        (Stalled(Timer.THROUGHPUT, 10.0), True),
        (Stalled(Timer.RESPONSE, 600.0), False),
        (Completed(), False),
        (Abandoned(), False),
    ],
    ids=str,
)
def test_what_is_the_target_s_own_trouble(outcome: Outcome, falls_back: bool) -> None:
    assert decide(history(("a", outcome)), 1.0, next_on_auth=False) is falls_back


@pytest.mark.parametrize(
    ("kind", "falls_back"),
    [(Kind.AUTH, True), (Kind.FORBIDDEN, True), (Kind.REQUEST, False), (Kind.BINDING, False)],
)
def test_a_refusal_of_the_last_key_counts_where_the_group_says_so(kind: Kind, falls_back: bool) -> None:
    assert decide(history(("a", rejected(kind))), 1.0, next_on_auth=True) is falls_back


@pytest.mark.parametrize(
    ("outcome", "falls_back"),
    [
        (STALLED, False),
        (CUT, False),
        (Unreachable("reset", sent=True), False),
        (LOST, True),
        (rejected(Kind.SERVER, 500), True),
        (rejected(Kind.RATE, 429), True),
    ],
    ids=str,
)
def test_tools_that_act_are_never_set_to_work_twice(outcome: Outcome, falls_back: bool) -> None:
    assert decide(history(("a", outcome), acting=True), 1.0, next_on_auth=False) is falls_back


def test_the_last_outcome_decides() -> None:
    request = rejected(Kind.REQUEST)
    assert not decide(history(("a", CUT), ("b", request)), 2.0, next_on_auth=False)
    assert decide(history(("a", rejected(Kind.AUTH)), ("b", CUT)), 2.0, next_on_auth=False)


def test_the_deadline_stops_no_target_that_can_still_be_asked_in_time() -> None:
    here = history(("a", CUT))
    assert decide(here, 500.0, next_on_auth=False)
    assert decide(replace(here, failing_since=0.5), 590.0, next_on_auth=False)


@pytest.mark.parametrize(("now", "falls_back"), [(10.0, True), (10.1, False)])
def test_never_after_the_client_has_lost_its_patience(now: float, falls_back: bool) -> None:
    assert decide(history(("a", CUT), latest_start=10.0), now, next_on_auth=False) is falls_back


@pytest.mark.parametrize(
    ("failing_since", "now", "falls_back"), [(None, 500.0, True), (1.0, 500.0, True), (1.0, 591.0, False)]
)
def test_a_target_without_a_free_credential_is_skipped(
    failing_since: float | None, now: float, falls_back: bool
) -> None:
    none_yet = replace(history(), failing_since=failing_since)
    assert decide(none_yet, now, next_on_auth=False) is falls_back


@pytest.mark.parametrize(
    ("refused", "next_on_auth", "falls_back"),
    [
        (None, False, True),
        (Kind.QUOTA, False, True),
        (Kind.AUTH, False, False),
        (Kind.FORBIDDEN, False, False),
        (Kind.AUTH, True, True),
    ],
)
def test_keys_that_an_earlier_call_found_refused_count_like_those_of_this_one(
    refused: Kind | None, *, next_on_auth: bool, falls_back: bool
) -> None:
    assert decide(history(), 1.0, next_on_auth=next_on_auth, refused=refused) is falls_back

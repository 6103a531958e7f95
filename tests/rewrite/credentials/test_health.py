"""Which credentials fail while others serve, and when a provider is paused."""

import pytest

from rewrite.credentials.choosing import Chosen, Unavailable, choose, probing
from rewrite.credentials.health import MOST_SCOPES, PAUSE_LONGEST
from rewrite.credentials.rules import CredentialRequest
from rewrite.credentials.state import PoolState
from rewrite.values.outcome import Abandoned, Completed, Kind, Outcome, Truncated, Unreachable
from tests.rewrite.credentials.pools import (
    DOWN,
    ELSEWHERE,
    NO_CONNECTION,
    STALLED,
    WITH_FALLBACK,
    M,
    after,
    chosen,
    pool,
    probe,
    rejected,
    suspected,
)


def failing(name: str = "a", times: int = 3, other: Outcome = Completed()) -> PoolState:  # noqa: B008
    """After so many failures of one key, each followed by this outcome of the other one."""
    events = [(at / 10, *one) for at in range(times) for one in ((name, DOWN), ("b", other))]
    return after(pool("a", "b", "c"), *events)


@pytest.mark.parametrize(
    "outcome", [DOWN, STALLED, Truncated("reset"), Unreachable("reset", sent=True)], ids=str
)
def test_a_key_that_fails_three_times_in_a_row_while_others_serve_is_asked_last_for_a_minute(
    outcome: Outcome,
) -> None:
    state = after(failing(times=2), (0.3, "a", outcome))
    assert choose(state, M, 0.3) == Chosen(state.credentials[1], ("a",))
    assert chosen(state, CredentialRequest("m", prefer="a"), 0.3) == "b"
    assert chosen(state, CredentialRequest("m", avoid=frozenset("bc"), only_others=True), 0.3) == "a"
    assert chosen(state, CredentialRequest("m", prefer="a", insist=True), 0.3) == "a"
    assert chosen(state, M, 60.3) == chosen(state, CredentialRequest("other"), 0.3) == "a"


@pytest.mark.parametrize(
    "state",
    [
        failing(times=2),
        failing(other=DOWN),
        failing(other=rejected(Kind.RATE, 0.01)),
        after(failing(times=2), (0.3, "a", Completed()), (0.4, "a", DOWN)),
        after(failing(times=2), (0.3, "a", rejected(Kind.REQUEST)), (0.4, "a", Abandoned())),
        after(failing(times=2), (0.3, "a", Unreachable("no route", connected=False))),
    ],
    ids="two nobody-serves rated success request outage".split(),
)
def test_what_makes_no_key_the_last(state: PoolState) -> None:
    assert chosen(state, M, 30.0) == "a"


def test_the_success_of_another_key_may_come_after_the_third_failure() -> None:
    state = after(pool("a", "b"), *[(float(at), "a", DOWN) for at in range(3)])
    assert chosen(state, M, 2.0) == "a"
    assert chosen(after(state, (3.0, "b", Completed())), M, 62.0) == "b"


def test_one_more_failure_after_the_minute_makes_it_the_last_again_and_a_success_does_not() -> None:
    assert chosen(after(failing(), (61.0, "a", DOWN)), M, 61.0) == "b"
    served = after(failing(), (61.0, "a", Completed()), (62.0, "a", DOWN), (62.1, "b", Completed()))
    assert chosen(served, M, 63.0) == "a"


def test_streaks_are_bounded_and_pruned() -> None:
    state = pool("a")
    for number in range(2 * MOST_SCOPES):
        state = after(state, (number / 1000, "a", STALLED), model=f"m{number}")
    assert len(state.state("a").streaks) == MOST_SCOPES
    assert len(after(state, (9999.0, "a", STALLED)).state("a").streaks) == 1


# -- the pause of a provider --------------------------------------------------------------------------


def test_after_server_faults_of_two_keys_and_clients_a_single_probe_decides() -> None:
    state = suspected()
    assert choose(state, WITH_FALLBACK, 2.0) == Chosen(state.credentials[0], probe=True)
    asked = probing(state, "m", 2.0)
    assert choose(asked, WITH_FALLBACK, 3.0) == Unavailable(29.0, paused=True)
    assert choose(asked, ELSEWHERE, 3.0) == Chosen(state.credentials[0])
    assert choose(asked, WITH_FALLBACK, 32.0) == Chosen(state.credentials[0], probe=True)


def test_a_probe_that_fails_pauses_the_model_and_one_that_succeeds_ends_it() -> None:
    state = probe(suspected(), DOWN, 2.0)
    assert choose(state, WITH_FALLBACK, 2.0) == Unavailable(30.0, paused=True)
    assert chosen(state, ELSEWHERE, 2.0) == "a"
    assert chosen(probe(state, Completed(), 32.0), WITH_FALLBACK, 32.0) == "a"
    assert probe(state, Completed(), 32.0).health == {}


def test_a_call_without_another_target_is_never_kept_away() -> None:
    state = probe(suspected(), DOWN, 2.0)
    assert choose(state, M, 3.0) == Chosen(state.credentials[0])
    served = after(state, (4.0, "a", Completed()))
    assert choose(served, WITH_FALLBACK, 4.0) == Chosen(state.credentials[0])
    assert choose(after(state, (4.0, "a", DOWN)), WITH_FALLBACK, 4.0) == Unavailable(28.0, paused=True)


@pytest.mark.parametrize("outcome", [rejected(Kind.REQUEST), rejected(Kind.RATE, 1.0), rejected(Kind.AUTH)])
def test_a_probe_that_the_provider_answers_properly_proves_that_it_is_up(outcome: Outcome) -> None:
    assert probe(suspected(), outcome, 2.0).health == {}


@pytest.mark.parametrize(
    "outcome", [Abandoned(), STALLED, Truncated("reset"), Unreachable("", connected=False)]
)
def test_a_probe_that_says_nothing_is_followed_by_another(outcome: Outcome) -> None:
    found = choose(probe(suspected(), outcome, 2.0), WITH_FALLBACK, 2.0)
    assert isinstance(found, Chosen)
    assert found.probe


@pytest.mark.parametrize(
    "events",
    [
        [(0.0, "a", DOWN), (1.0, "b", DOWN)],
        [(0.0, "a", DOWN), (1.0, "a", DOWN), (2.0, "a", DOWN)],
        [(0.0, "a", DOWN), (1.0, "b", DOWN), (61.0, "b", DOWN)],
        [(0.0, "a", DOWN), (1.0, "b", DOWN), (2.0, "a", Completed()), (3.0, "b", DOWN)],
        [(0.0, "a", STALLED), (1.0, "b", STALLED), (2.0, "a", STALLED)],
        [(0.0, "a", NO_CONNECTION), (1.0, "b", NO_CONNECTION), (2.0, "a", NO_CONNECTION)],
        [(0.0, "a", rejected(Kind.REQUEST)), (1.0, "b", rejected(Kind.REQUEST)), (2.0, "a", DOWN)],
    ],
    ids="two one-key spread success silence outage requests".split(),
)
def test_what_makes_no_provider_suspected(events: list[tuple[float, str, Outcome]]) -> None:
    found = choose(suspected(*events), WITH_FALLBACK, events[-1][0])
    assert isinstance(found, Chosen)
    assert not found.probe


def test_three_kinds_of_one_client_s_request_are_not_three_witnesses() -> None:
    events = [(float(at), "ab"[at % 2], DOWN) for at in range(9)]
    found = choose(after(pool("a", "b"), *events, talk="one client"), WITH_FALLBACK, 9.0)
    assert isinstance(found, Chosen)
    assert not found.probe


def test_pauses_double_up_to_their_longest_until_a_success() -> None:
    state, now, pauses = suspected(), 2.0, []
    for _ in range(6):
        state = probe(state, DOWN, now)
        found = choose(state, WITH_FALLBACK, now)
        assert isinstance(found, Unavailable)
        assert found.wait is not None
        pauses.append(found.wait)
        now += found.wait
    assert pauses == [30.0, 60.0, 120.0, 240.0, PAUSE_LONGEST, PAUSE_LONGEST]
    served = after(probe(state, Completed(), now), *[(now, name, DOWN) for name in "aba"])
    assert choose(probe(served, DOWN, now), WITH_FALLBACK, now) == Unavailable(30.0, paused=True)


def test_what_is_known_of_models_is_bounded_and_pruned() -> None:
    state = pool("a")
    for number in range(2 * MOST_SCOPES):
        state = after(state, (number / 1000, "a", DOWN), model=f"m{number}")
    assert len(state.health) == MOST_SCOPES
    assert len(after(state, (9999.0, "a", DOWN)).health) == 1

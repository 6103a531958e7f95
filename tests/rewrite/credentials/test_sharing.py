"""What the answers of the store, and its silence, do to a snapshot."""

from dataclasses import replace

import pytest

from rewrite.credentials.choosing import Chosen, Unavailable, choose, started
from rewrite.credentials.credential import Credential
from rewrite.credentials.health import Health
from rewrite.credentials.rules import PLACE_WAIT, CredentialRequest
from rewrite.credentials.sharing import (
    STILL_HELD,
    Claim,
    Full,
    Granted,
    Probed,
    Spent,
    any_scarce,
    claim_of,
    given_up,
    heeded,
    held_by_all,
    is_scarce,
    left_alone,
    nothing_elsewhere,
    parts_used,
    together,
)
from rewrite.credentials.state import PoolState
from rewrite.credentials.stored import Subject
from rewrite.credentials.windows import Cap, Period, Unit, Window, extrapolated

NOW = 1_795_000_000.0
REQUESTS, TOKENS = Window(Unit.REQUESTS, 3, Period.DAY), Window(Unit.TOKENS, 100, 60.0)
SIX = Credential("one", "p", max_concurrency=6)
BOTH = Credential("one", "p", windows=(REQUESTS, TOKENS))
FOR_M = CredentialRequest("model:m", model="m")
WHO = Subject("p", "one", "ab")


def begun(one: Credential, pool: PoolState | None = None) -> tuple[PoolState, Claim]:
    """An attempt with `one`, and what it takes."""
    pool = pool or PoolState((one,))
    chosen = choose(pool, FOR_M, NOW)
    assert isinstance(chosen, Chosen)
    after, _ = started(pool, chosen, FOR_M, NOW)
    return after, claim_of(after, chosen, FOR_M, WHO, 0.0, NOW)


def may_serve(pool: PoolState, now: float = NOW) -> bool:
    return isinstance(choose(pool, FOR_M, now), Chosen)


@pytest.mark.parametrize(
    ("one", "scarce"),
    [
        (Credential("one", "p"), False),
        (Credential("one", "p", target_concurrency=1), False),
        (SIX, True),
        (BOTH, True),
        (Credential("one", "p", caps=(Cap(Unit.REQUESTS, 5),)), True),
        (Credential("one", "p", caps=(Cap(Unit.REQUESTS, share=0.5),)), False),
    ],
)
def test_what_has_a_limit_of_the_config_is_scarce(one: Credential, scarce: bool) -> None:
    assert is_scarce(Chosen(one)) is scarce
    assert any_scarce(PoolState((one,))) is scarce
    assert is_scarce(Chosen(one, probe=True))


def test_an_attempt_takes_a_request_and_is_held_to_all_windows() -> None:
    _, claim = begun(BOTH)
    requests, tokens = claim.parts
    assert (requests.amount, requests.until, requests.is_held) == (1.0, REQUESTS.until(NOW), True)
    assert (tokens.amount, tokens.is_held) == (0.0, True)
    assert not claim.is_for_a_place


def test_what_is_denied_is_as_if_it_had_never_begun() -> None:
    pool, claim = begun(BOTH)
    assert given_up(pool, claim).state("one").in_flight == 0
    assert given_up(pool, claim).state("one").used == {(REQUESTS.key, "model:m"): ()}


def test_tokens_are_counted_when_the_attempt_is_over() -> None:
    pool, claim = begun(BOTH)
    assert parts_used(claim, pool.state("one"), {Unit.TOKENS: 7.0}) == []
    used = {**pool.state("one").used, (TOKENS.key, "model:m"): ((NOW + 60, 7.0),)}
    state = type(pool.state("one"))(used=used)
    (part,) = parts_used(claim, state, {Unit.TOKENS: 7.0, Unit.COST: 1.0})
    assert (part.window, part.until, part.amount) == (TOKENS, NOW + 60, 7.0)


def test_places_that_others_hold_count_for_a_second() -> None:
    pool, claim = begun(SIX)
    granted = heeded(pool, claim, Granted(5), NOW)
    assert not may_serve(granted)
    assert may_serve(granted, NOW + PLACE_WAIT)
    assert may_serve(held_by_all(granted, SIX, 5, NOW))
    assert may_serve(nothing_elsewhere(granted))


def test_no_place_is_looked_for_where_the_store_has_none() -> None:
    pool, claim = begun(SIX)
    assert not may_serve(heeded(pool, claim, Full(0), NOW)), "though nobody is known to hold any"


def test_a_window_that_is_full_stays_so_until_some_of_it_is_free() -> None:
    pool, claim = begun(BOTH)
    denied = heeded(pool, claim, Spent(claim.parts[0], ((NOW + 50, 1.0), (NOW + 90, 2.0))), NOW)
    none = choose(denied, FOR_M, NOW)
    assert isinstance(none, Unavailable)
    assert none.wait == 50.0
    assert may_serve(denied, NOW + 50)
    assert isinstance(choose(denied, CredentialRequest("model:other", model="other"), NOW), Chosen)


def test_who_does_not_probe_waits_for_who_does() -> None:
    pool = PoolState((Credential("one", "p"),), health={"model:m": Health(suspected=True)})
    pool, claim = begun(Credential("one", "p"), pool)
    assert claim.probe
    denied = heeded(pool, claim, Probed(12.0), NOW)
    assert denied.health["model:m"].wait(NOW) == 12.0
    assert given_up(pool, claim).health["model:m"].wants_probe(NOW)


# -- without the store -------------------------------------------------------------------------------------


def test_alone_each_has_a_share_and_one_place_at_least() -> None:
    pool = left_alone(PoolState((SIX,)), 3, NOW)
    for _ in range(2):
        pool, _ = begun(SIX, pool)
    assert not may_serve(pool)
    assert may_serve(together(pool))
    assert may_serve(left_alone(PoolState((SIX,)), 99, NOW))
    assert not may_serve(left_alone(PoolState((SIX,)), 0, NOW)), "nobody knows how many there are"


def test_what_others_held_counts_for_a_while_after_the_store_was_lost() -> None:
    pool, claim = begun(SIX)
    alone = left_alone(given_up(heeded(pool, claim, Granted(5), NOW), claim), 3, NOW)
    assert not may_serve(alone, NOW + STILL_HELD - 0.1)
    assert may_serve(alone, NOW + STILL_HELD)


def test_alone_it_is_assumed_that_others_use_as_much() -> None:
    pool = left_alone(PoolState((BOTH,)), 3, NOW)
    pool, _ = begun(BOTH, pool)
    assert not may_serve(pool), "1 x 3 of 3"
    assert may_serve(together(pool))


def test_only_what_is_used_since_is_assumed_of_others() -> None:
    before = ((10.0, 2.0), (20.0, 1.0))
    after = ((20.0, 4.0), (30.0, 5.0))
    assert extrapolated(after, before, 3) == ((20.0, 10.0), (30.0, 15.0))
    assert extrapolated(before, before, 3) == before


def test_nothing_is_known_of_keys_without_limits() -> None:
    pool = PoolState((replace(SIX, max_concurrency=None),))
    assert left_alone(pool, 3, NOW) is pool
    assert together(pool) is pool

"""What is known of credentials, as entries and back: nothing is lost, shortened or counted twice."""

from collections.abc import Iterator
from dataclasses import fields, is_dataclass, replace

import pytest
from hypothesis import given
from hypothesis import strategies as st
from msgspec import Struct, structs

from rewrite.credentials.credential import Credential
from rewrite.credentials.entries import NOTHING, Clearing, Entries, Entry, Key, Kind, Value, merged
from rewrite.credentials.health import AttemptFailure, Health, Streak
from rewrite.credentials.learning import Reported
from rewrite.credentials.limits import learnt
from rewrite.credentials.settling import Attempted, settle
from rewrite.credentials.state import (
    NEVER_USED,
    WHOLE,
    Alone,
    Cooldown,
    CredentialState,
    Elsewhere,
    LastOutcome,
    PoolState,
)
from rewrite.credentials.stored import Subject, adopted, changed, cleared, moved, moved_entries
from rewrite.credentials.stored_file import Moment, Stored, read, written
from rewrite.credentials.windows import Unit
from rewrite.values.key_refusal import KeyRefusal
from rewrite.values.outcome import Completed, Outcome, Rejected
from rewrite.values.outcome import Kind as Fault

NOW = 1_000_000.0
ONE, PROVIDER = Subject("p", "one", "m"), Subject("p")
EMPTY = PoolState((Credential("one", "p"), Credential("two", "p")))

TIMES = st.integers(int(NOW) + 10, int(NOW) + 50_000).map(float)
EARLIER = st.integers(int(NOW) - 5000, int(NOW)).map(float)
SCOPES = st.sampled_from([WHOLE, "model:a", "model:b/c", "operation:models"])
REFUSALS = st.sampled_from([Fault.AUTH, Fault.QUOTA, Fault.FORBIDDEN, Fault.MODEL])


@st.composite
def cooldowns(draw: st.DrawFn) -> Cooldown:
    until, at, said = draw(TIMES), draw(EARLIER), draw(st.none() | REFUSALS)
    refusal = (
        KeyRefusal("p/one", 401, said, draw(st.text(max_size=3)), "code", at, until, "x", None)
        if said
        else None
    )
    note = "" if refusal else draw(st.sampled_from(["", "is paused by a command"]))
    return Cooldown(until, refusal, at, note)


WINDOWS = st.sampled_from(["requests/60.0", "tokens/day Europe/Berlin", "cost/month UTC"])
MODELS = st.sampled_from(["", WHOLE, "model:a", "model:odd\nname"])
NAMES = st.sampled_from(["anthropic-ratelimit-requests", "x-codex-primary"])
AMOUNTS = st.integers(1, 1000).map(float)
NEXT = st.integers(int(NOW) + 10, int(NOW) + 100).map(float)
COUNTS = st.dictionaries(NEXT, AMOUNTS, min_size=1, max_size=3).map(
    lambda found: tuple(sorted(found.items()))
)
REPORTED = st.builds(Reported, st.just(""), st.sampled_from(Unit), AMOUNTS, AMOUNTS, TIMES, st.booleans())


def named(found: dict[tuple[str, str], Reported]) -> dict[tuple[str, str], Reported]:
    return {key: replace(one, name=key[0]) for key, one in found.items()}


STATES = st.builds(
    CredentialState,
    cooldowns=st.dictionaries(SCOPES, cooldowns(), max_size=4),
    auth_failures=st.integers(1, 9),
    auth_until=TIMES,
    retired=st.booleans(),
    last=st.none() | st.builds(LastOutcome, st.text(max_size=4), EARLIER),
    used=st.dictionaries(st.tuples(WINDOWS, MODELS), COUNTS, max_size=3),
    learnt=st.dictionaries(st.tuples(NAMES, MODELS), REPORTED, max_size=3).map(named),
)
PAUSED = st.dictionaries(
    SCOPES,
    st.builds(Health, suspected=st.just(True), paused_until=TIMES, pause=st.floats(30, 300)),
    max_size=3,
)
CYCLES = st.dictionaries(
    SCOPES, st.sets(st.sampled_from(["one", "two"]), min_size=1).map(frozenset), max_size=2
)
POOLS = st.builds(
    lambda state, health, cycles: structs.replace(
        EMPTY, states={"one": state}, health=health, exhausted=cycles
    ),
    STATES,
    PAUSED,
    CYCLES,
)


def all_of(pool: PoolState, known: Entries = NOTHING, now: float = NOW) -> dict[Key, Entry]:
    return {**changed(ONE, pool, known, now), **changed(PROVIDER, pool, known, now)}


def adopt(pool: PoolState, found: Entries, now: float = NOW) -> PoolState:
    return adopted(adopted(pool, ONE, found, now), PROVIDER, found, now)


@given(POOLS)
def test_what_is_kept_comes_back(pool: PoolState) -> None:
    now = Moment(NOW, 5.0, "a")
    found = read(written(Stored(all_of(pool), "ab"), now), now).entries
    assert adopt(EMPTY, found) == pool


@given(POOLS)
def test_nothing_new_is_no_change(pool: PoolState) -> None:
    assert all_of(pool, all_of(pool)) == {}
    assert all_of(adopt(EMPTY, all_of(pool)), all_of(pool)) == {}


@given(POOLS)
def test_a_cooldown_that_is_known_no_more_is_no_change(pool: PoolState) -> None:
    """It ends by its time, or by a clearing: what was said with it stays."""
    state = structs.replace(pool.state("one"), cooldowns={})
    assert all_of(pool.with_state("one", state), all_of(pool), NOW + 1) == {}


@given(POOLS, POOLS)
def test_what_changed_is_all_that_others_need(before: PoolState, after: PoolState) -> None:
    """But for cooldowns that went without having been cleared, which they do not."""
    known = all_of(before)
    own = after.state("one")
    longer = adopt(after, {key: one for key, one in known.items() if key.kind is Kind.COOLDOWN})
    news = all_of(longer, known, NOW + 1)
    found = adopt(before, news, NOW + 1)
    assert found.state("one").cooldowns.keys() >= own.cooldowns.keys()
    assert structs.replace(found.state("one"), cooldowns={}, last=None) == structs.replace(
        own, cooldowns={}, last=None
    )
    assert all(found.health[scope].paused_until == one.paused_until for scope, one in after.health.items())
    assert found.health.keys() == after.health.keys()
    assert found.exhausted == after.exhausted


@given(POOLS, POOLS)
def test_no_cooldown_is_shortened_by_what_others_know(own: PoolState, other: PoolState) -> None:
    found = adopt(own, all_of(other))
    for pool in (own, other):
        for scope, cooldown in pool.state("one").cooldowns.items():
            assert found.state("one").cooldowns[scope].until >= cooldown.until


@given(POOLS)
def test_what_was_resumed_is_resumed_for_all(pool: PoolState) -> None:
    marks = {**cleared(ONE, Clearing.RESUMED, NOW + 1), **cleared(PROVIDER, Clearing.RESUMED, NOW + 1)}
    assert not {Kind.COOLDOWN, Kind.AUTH, Kind.RETIRED, Kind.PAUSE} & {
        key.kind for key in merged(all_of(pool), marks)
    }
    found = adopt(pool, marks)
    one = pool.state("one")
    assert found.health == {}
    assert found.state("one") == CredentialState(last=one.last, used=one.used, learnt=one.learnt)


def test_a_changed_config_ends_refusals_for_all() -> None:
    pool = structs.replace(
        EMPTY,
        states={
            "one": CredentialState(
                {WHOLE: refused(NOW + 100), "model:a": Cooldown(NOW + 50, at=NOW)}, 2, NOW + 100
            )
        },
    )
    marks = cleared(ONE, Clearing.FORGIVEN, NOW + 1)
    expected = CredentialState({"model:a": Cooldown(NOW + 50, at=NOW)})
    assert adopt(pool, marks).state("one") == expected
    assert adopt(EMPTY, merged(all_of(pool), marks)).state("one") == expected


def refused(until: float) -> Cooldown:
    return Cooldown(until, KeyRefusal("p/one", 401, Fault.AUTH, "no", "code", NOW, until, "x", None), NOW)


def test_what_is_over_is_not_kept() -> None:
    pool = structs.replace(
        EMPTY, states={"one": CredentialState({"model:a": Cooldown(NOW), "model:b": refused(NOW)})}
    )
    assert all_of(pool) == {}


def test_a_limit_of_some_models_comes_back_as_one() -> None:
    limit = Reported("7d_opus", Unit.PERCENT, 100.0, 100.0, NOW + 60, models="*opus*")
    state = learnt(CredentialState(), "", [limit], NOW)
    pool = EMPTY.with_state("one", state)
    found = adopted(EMPTY, ONE, changed(ONE, pool, {}, NOW), NOW)
    assert found.state("one").learnt == {("7d_opus", "models:*opus*"): limit}


def test_calls_in_flight_and_streaks_are_not_kept() -> None:
    state = CredentialState(
        in_flight=3, streaks={"model:a": Streak(3, others_served=True, at=NOW, last_until=NOW + 9)}
    )
    pool = structs.replace(EMPTY, states={"one": state})
    assert all_of(pool) == {}
    later = {ONE.key(Kind.COOLDOWN, WHOLE): Entry(NOW, NOW + 9)}
    assert adopt(pool, later).state("one") == structs.replace(
        state, cooldowns={WHOLE: Cooldown(NOW + 9, at=NOW)}
    )


def test_a_success_ends_the_pause_and_the_failures_for_all() -> None:
    paused = Health(suspected=True, paused_until=NOW + 30, pause=30.0)
    failing = CredentialState(auth_failures=3, auth_until=NOW)
    before = structs.replace(EMPTY, states={"one": failing}, health={"model:a": paused})
    after = settle(before, Attempted("one", "model:a", "w"), Completed(), NOW + 1)
    found = adopt(before, all_of(after, all_of(before), NOW + 1), NOW + 1)
    assert (found.health, found.state("one").auth_failures) == ({}, 0)


@pytest.mark.parametrize(
    ("outcome", "scope"),
    [
        (Rejected(429, Fault.RATE, retry_after=30.0), "model:a"),
        (Rejected(401, Fault.AUTH), WHOLE),
        (Rejected(429, Fault.QUOTA, retry_after=86_400.0), WHOLE),
        (Rejected(403, Fault.FORBIDDEN), "model:a"),
    ],
)
def test_what_a_rejection_cools_is_cooled_for_all(outcome: Outcome, scope: str) -> None:
    after = settle(EMPTY, Attempted("one", "model:a", "w", "x"), outcome, NOW)
    found = adopt(EMPTY, all_of(after), NOW)
    assert found.state("one").cooldowns[scope] == after.state("one").cooldowns[scope]
    assert found.state("one").free_at("model:a") == after.state("one").free_at("model:a") > NOW


@given(POOLS, POOLS)
def test_what_two_count_adds_up_once(own: PoolState, other: PoolState) -> None:
    one, two = adopt(own, all_of(other)), adopt(other, all_of(own))
    for pool in (one, two):
        for key in {*own.state("one").used, *other.state("one").used}:
            expected = sum(sum(dict(each.state("one").used.get(key, ())).values()) for each in (own, other))
            assert sum(dict(pool.state("one").used[key]).values()) == expected
    assert one.state("one").used == two.state("one").used


def test_what_is_taken_back_is_taken_back_for_all() -> None:
    key = ("requests/60.0", WHOLE)
    before = structs.replace(EMPTY, states={"one": CredentialState(used={key: ((NOW + 60, 2.0),)})})
    for left in ((), ((NOW + 60, 1.0),)):
        after = structs.replace(EMPTY, states={"one": CredentialState(used={key: left})})
        found = adopt(before, all_of(after, all_of(before)))
        assert found.state("one").used.get(key, ()) == left


def test_a_rolling_window_is_not_counted_by_a_clock_that_it_cannot_be_of() -> None:
    found = {ONE.key(Kind.USED, f"{NOW + 1e6!r}\nrequests/60.0\nwhole"): Entry(NOW, NOW + 1e6, 5.0)}
    assert adopt(EMPTY, found).state("one").used == {}


def test_another_key_of_that_name_is_another_credential() -> None:
    found = all_of(structs.replace(EMPTY, states={"one": CredentialState({WHOLE: refused(NOW + 9)})}))
    for other in (Subject("p", "one", "other"), Subject("p", "two", "m")):
        assert adopted(EMPTY, other, found, NOW).state(other.credential) == NEVER_USED


@given(
    st.dictionaries(
        st.sampled_from(Kind), st.none() | st.floats(-1e9, 1e9) | st.text() | st.just({"status": "x"})
    )
)
def test_odd_values_do_no_harm(values: dict[Kind, Value]) -> None:
    found = {ONE.key(kind, "s"): Entry(NOW, NOW + 9, value) for kind, value in values.items()}
    found |= {PROVIDER.key(kind, "s"): Entry(NOW, NOW + 9, value) for kind, value in values.items()}
    adopt(EMPTY, found)


DURATIONS = {"pause", "weight", "cost_rank", "wheel"}
"""Numbers of a pool's state that are no times."""


def times(of: object) -> Iterator[float]:
    match of:
        case float():
            yield from () if of == 0.5 else (of,)  # which stands for amounts
        case dict():
            for each in of.values():
                yield from times(each)
        case tuple():
            for each in of:
                yield from times(each)
        case _ if is_dataclass(of) or isinstance(of, Struct):
            names = of.__struct_fields__ if isinstance(of, Struct) else [each.name for each in fields(of)]
            for name in names:
                if name not in DURATIONS:
                    yield from times(getattr(of, name))
        case _:
            pass


FULL = CredentialState(
    {WHOLE: refused(NOW), "model:a": Cooldown(NOW, at=NOW, note="is paused by a command")},
    2,
    NOW,
    3,
    {"model:a": Streak(3, others_served=True, at=NOW, last_until=NOW)},
    retired=True,
    last=LastOutcome("completed", NOW),
    used={("requests/60.0", WHOLE): ((NOW, 0.5),)},
    learnt={("n", WHOLE): Reported("n", Unit.REQUESTS, 0.5, 0.5, NOW)},
    elsewhere=Elsewhere(1, NOW, NOW),
    alone=Alone(2, {("requests/60.0", WHOLE): ((NOW, 0.5),)}),
    spent={("requests/60.0", WHOLE): NOW},
)


def test_a_clock_that_was_set_moves_every_time() -> None:
    health = Health((AttemptFailure(NOW, "one", "w"),), True, NOW, NOW, 30.0)
    pool = structs.replace(EMPTY, states={"one": FULL}, health={"model:a": health})
    after = moved(pool, 500.0)
    assert {*times(pool)} == {NOW}
    assert {*times(after)} == {NOW + 500.0}
    assert moved(after, -500.0) == pool
    assert all_of(after, moved_entries(all_of(pool, now=NOW - 1), 500.0), NOW + 499) == {}


def test_a_day_ends_by_the_calendar_though_a_clock_was_set() -> None:
    used = {("tokens/day UTC", WHOLE): ((NOW + 9, 5.0),), ("tokens/60.0", WHOLE): ((NOW + 9, 5.0),)}
    pool = structs.replace(EMPTY, states={"one": CredentialState(used=used)})
    found = moved(pool, 500.0).state("one").used
    assert [counts[0][0] for counts in found.values()] == [NOW + 9, NOW + 509]


@pytest.mark.parametrize(
    "scope", ["", "x", "x\ntokens/60.0\nm", "nan\ntokens/60.0\nm", "inf\ntokens/day UTC\n"]
)
def test_a_use_at_no_moment_counts_nowhere(scope: str) -> None:
    used = {ONE.key(Kind.USED, scope): Entry(NOW, NOW + 60, 5.0)}
    assert adopted(EMPTY, ONE, used, NOW).state("one").used == {}
    assert moved_entries(used, 500.0) == {ONE.key(Kind.USED, scope): Entry(NOW + 500, NOW + 560, 5.0)}


@given(STATES, STATES, st.integers(0, 200).map(float))
def test_what_changed_since_a_state_is_what_changed_of_all(
    former: CredentialState, state: CredentialState, later: float
) -> None:
    before, after = EMPTY.with_state("one", former), EMPTY.with_state("one", state)
    known = merged(NOTHING, changed(ONE, before, NOTHING, NOW))
    every = changed(ONE, after, known, NOW + later)
    assert changed(ONE, after, known, NOW + later, former) == every

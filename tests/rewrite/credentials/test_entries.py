"""Entries and their laws: what several proxies know becomes one, whoever wrote first."""

from collections.abc import Iterable
from dataclasses import replace
from itertools import permutations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from rewrite.credentials.entries import (
    CLEARS,
    LAWS,
    LONGER_IS_NEWS,
    MOST,
    NOTHING,
    Clearing,
    Entries,
    Entry,
    Key,
    Kind,
    Value,
    amount,
    bounded,
    changes,
    clearing,
    merged,
    of_credential,
    says_more,
)

COOLED = Key(Kind.COOLDOWN, "p", "one", "m", "model:x")
USED = Key(Kind.USED, "p", "one", "m", "minute|7")
REFUSED: Value = {"status": 401}


def all_of(*entries: Entries) -> Entries:
    found: Entries = NOTHING
    for each in entries:
        found = merged(found, each)
    return found


def orders(*entries: Entries) -> Iterable[Entries]:
    return (all_of(*each) for each in permutations(entries))


def test_every_kind_has_a_law_and_a_bound() -> None:
    assert set(LAWS) == set(MOST) == set(Kind)


def test_the_longer_cooldown_holds_whoever_comes_first() -> None:
    long, short = {COOLED: Entry(1, 100)}, {COOLED: Entry(5, 50)}
    assert list(orders(long, short)) == [long, long]


def test_what_is_counted_is_added_up() -> None:
    one, two = {USED: Entry(1, 60, 3.0)}, {USED: Entry(2, 60, 4.0)}
    assert list(orders(one, two)) == [{USED: Entry(2, 60, 7.0)}] * 2


@pytest.mark.parametrize("kind", [kind for kind in Kind if kind not in (Kind.COOLDOWN, Kind.USED)])
def test_of_all_else_the_later_one_holds(kind: Kind) -> None:
    key = Key(kind, "p", "one", "m", Clearing.RESUMED if kind is Kind.CLEARED else "s")
    early, late = {key: Entry(1, 100, "a")}, {key: Entry(2, 50, None)}
    assert list(orders(early, late)) == [late, late]


def test_a_clearing_wins_over_what_was_before_it_and_over_nothing_since() -> None:
    cleared = {clearing(COOLED, Clearing.RESUMED): Entry(10, 99)}
    before, since = {COOLED: Entry(9, 1000)}, {COOLED: Entry(11, 50)}
    assert list(orders(before, cleared)) == [cleared, cleared]
    assert list(orders(since, cleared)) == [{**cleared, **since}] * 2
    assert merged(merged(before, cleared), since) == {**cleared, **since}
    assert merged(before, {**cleared, **since}) == {**cleared, **since}


def test_a_clearing_is_about_one_credential_and_one_key_of_it() -> None:
    cleared = {clearing(COOLED, Clearing.RESET): Entry(10, 99)}
    for other in (
        COOLED._replace(credential="two"),
        COOLED._replace(mark="other"),
        COOLED._replace(provider="q"),
    ):
        assert merged({other: Entry(1, 100)}, cleared)[other] == Entry(1, 100)


@pytest.mark.parametrize("how", Clearing)
@pytest.mark.parametrize("kind", [kind for kind in Kind if kind is not Kind.CLEARED])
def test_what_a_clearing_clears(how: Clearing, kind: Kind) -> None:
    key = COOLED._replace(kind=kind)
    held = {key: Entry(1, 100, REFUSED)}
    assert (key not in merged(held, {clearing(key, how): Entry(10, 99)})) == (kind in CLEARS[how])


def test_a_changed_config_forgives_refusals_alone() -> None:
    forgiven = {clearing(COOLED, Clearing.FORGIVEN): Entry(10, 99)}
    rate, refusal = {COOLED: Entry(1, 100)}, {COOLED: Entry(1, 100, REFUSED)}
    rests = {COOLED: Entry(1, 100, {"note": "is paused by a command"})}
    assert COOLED in merged(rate, forgiven)
    assert COOLED in merged(rests, forgiven)
    assert COOLED not in merged(refusal, forgiven)


def test_what_was_counted_before_a_reset_and_comes_after_it_does_not_count() -> None:
    reset = {clearing(USED, Clearing.RESET): Entry(10, 99)}
    held = all_of({USED: Entry(5, 60, 100.0)}, reset, {USED: Entry(12, 60, 1.0)})
    assert amount(merged(held, {USED: Entry(8, 60, 50.0)})[USED]) == 1.0


TIMES = st.integers(0, 20).map(float)
VALUES: st.SearchStrategy[Value] = st.one_of(
    st.none(), st.integers(0, 9).map(float), st.sampled_from(["a", "b"])
)
KEYS = st.builds(
    Key,
    st.sampled_from([kind for kind in Kind if kind is not Kind.CLEARED]),
    st.just("p"),
    st.sampled_from(["", "one"]),
    st.just("m"),
    st.sampled_from(["s", "t"]),
)
ENTRIES = st.dictionaries(KEYS, st.builds(Entry, TIMES, TIMES, VALUES), max_size=6)


@given(st.lists(ENTRIES, max_size=4), st.randoms(use_true_random=False))
def test_the_order_in_which_proxies_write_does_not_matter(each: list[Entries], order: object) -> None:
    shuffled = list(each)
    order.shuffle(shuffled)  # type: ignore[attr-defined]
    assert all_of(*each) == all_of(*shuffled)


@given(ENTRIES, ENTRIES)
def test_changes_bring_one_who_knows_less_up_to_date(before: Entries, own: Entries) -> None:
    after = merged(before, own)
    said = merged(before, changes(before, after))
    assert {key: (one.at, one.until) for key, one in said.items()} == {
        key: (one.at, one.until) for key, one in after.items()
    }
    assert all(amount(said[key]) == amount(after[key]) for key in after if key.kind is Kind.USED)


@given(ENTRIES, ENTRIES)
def test_no_cooldown_is_shortened(held: Entries, new: Entries) -> None:
    after = merged(held, new)
    for key in (key for key in (*held, *new) if key.kind is Kind.COOLDOWN):
        assert after[key].until == max(one[key].until for one in (held, new) if key in one)


@given(ENTRIES, ENTRIES, TIMES)
def test_nothing_that_was_cleared_comes_back(held: Entries, late: Entries, at: float) -> None:
    mark = {clearing(COOLED, Clearing.RESET): Entry(at, 99)}
    for found in orders(held, mark, late):
        gone = [key for key, _ in of_credential(found, "p", "one", "m") if key.kind in CLEARS[Clearing.RESET]]
        assert all(found[key].at > at for key in gone)


def test_what_says_more() -> None:
    retired, news = COOLED._replace(kind=Kind.RETIRED), LONGER_IS_NEWS[Kind.RETIRED]
    known = Entry(1, 100, "one")
    assert says_more(COOLED, known, None)
    assert not says_more(COOLED, replace(known, at=2), known)
    assert says_more(COOLED, replace(known, until=101), known)
    assert says_more(COOLED, replace(known, value="two"), known)
    assert not says_more(retired, replace(known, until=100 + news), known)
    assert says_more(retired, replace(known, until=101 + news), known)
    assert says_more(retired, replace(known, value="two"), known)


def test_what_is_over_goes_and_of_too_many_what_is_over_first() -> None:
    most = MOST[Kind.COOLDOWN]
    held = {COOLED._replace(scope=str(n)): Entry(0, n) for n in range(most + 20)}
    assert len(bounded(held, 0.0)) == most
    assert min(one.until for one in bounded(held, 0.0).values()) == 20
    assert len(bounded({**held, USED: Entry(0, 1, 2.0)}, 19.0)) == most
    assert USED in bounded({USED: Entry(0, 20, 2.0)}, 19.0)

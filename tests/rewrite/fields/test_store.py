"""The store: its limits hold, the least recently used goes first, and no key sees what is another's."""

from collections.abc import Sequence

from hypothesis import given
from hypothesis import strategies as st

from protocols.model.wirejson import dump
from rewrite.fields.rule import Mode, Rule
from rewrite.fields.store import Key, Store, key_of
from tests.rewrite.fields.rules import rule
from tests.rewrite.fields.values import JSON

A, B, C = (key_of(name) for name in "abc")
STEPS = st.lists(
    st.tuples(st.integers(0, 4), st.lists(JSON, max_size=3), st.integers(0, 1), st.booleans()), max_size=30
)


def held(store: Store, one: Rule) -> dict[Key, tuple[object, ...]]:
    return {key: slot.values for key, slot in store.held(one)}


@given(STEPS, st.integers(1, 6), st.integers(1, 60))
def test_limits_hold_and_keys_are_kept_apart(
    steps: Sequence[tuple[int, list[object], int, bool]], most: int, size: int
) -> None:
    store, last = Store(), dict[tuple[int, int], list[object]]()
    rules = [rule(name=name, max_values=most, max_bytes=size) for name in ("one", "other")]
    for now, (key, values, number, reads) in enumerate(steps):
        one, name = rules[number], key_of(str(key))
        if reads:
            store.get(one, name, now)
        else:
            store.put(one, name, values, now)
            last[number, key] = values
        kept = held(store, one)
        assert sum(map(len, kept.values())) <= most
        assert sum(len(dump(value)) for each in kept.values() for value in each) <= size
        for (owner, whose), own in last.items():
            found = store.get(rules[owner], key_of(str(whose)), now)
            assert list(found) == own[len(own) - len(found) :]


def test_the_least_recently_used_goes_first() -> None:
    store, one = Store(), rule(max_values=2)
    store.put(one, A, ["a"], 0)
    store.put(one, B, ["b"], 1)
    assert store.get(one, A, 2) == ("a",)
    store.put(one, C, ["c"], 3)
    assert held(store, one) == {A: ("a",), C: ("c",)}


def test_of_too_many_values_of_one_key_the_first_go() -> None:
    store, one = Store(), rule(mode=Mode.ALL, max_values=2)
    store.put(one, A, [1, 2, 3], 0)
    assert store.get(one, A, 0) == (2, 3)


def test_what_is_above_the_bound_alone_takes_no_place() -> None:
    store, one = Store(), rule(max_bytes=10)
    store.put(one, A, ["short"], 0)
    store.put(one, B, ["longer than ten bytes"], 0)
    assert held(store, one) == {A: ("short",)}
    store.put(one, A, ["longer than ten bytes"], 0)
    assert held(store, one) == {}


def test_a_value_lasts_as_long_as_its_rule_says() -> None:
    store, one, for_ever = Store(), rule(ttl=10.0), rule(name="for ever", ttl=0.0)
    store.put(one, A, ["a"], 0)
    store.put(for_ever, A, ["a"], 0)
    assert store.get(one, A, 9.9) == ("a",)
    assert store.get(one, A, 10.0) == ()
    assert held(store, one) == {}
    assert store.get(for_ever, A, 1e12) == ("a",)


def test_what_json_cannot_say_is_not_kept() -> None:
    store, one = Store(), rule()
    deep: object = 0
    for _ in range(100_000):
        deep = [deep]
    store.put(one, A, [deep], 0)
    store.put(one, B, [object()], 0)
    assert held(store, one) == {}


def test_what_holds_a_secret_is_not_kept_nor_what_it_follows() -> None:
    store, one = Store(lambda text: "secret" in text), rule(mode=Mode.ALL)
    store.put(one, A, ["a", {"k": ["a secret"]}, {"secret": 1}, "b"], 0)
    assert held(store, one) == {A: ("a", "b")}
    store.put(one, A, ["secret"], 0)
    assert held(store, one) == {}


def test_rules_that_are_gone_are_forgotten_and_the_others_keep_what_they_hold() -> None:
    store, one, other = Store(), rule(), rule(name="other")
    store.put(one, A, ["a"], 0)
    store.put(other, A, ["o"], 0)
    store.retain([rule(ttl=5.0)])
    assert held(store, one) == {A: ("a",)}
    assert held(store, other) == {}


def test_no_part_of_a_key_runs_into_the_next() -> None:
    assert len({key_of("ab", "c"), key_of("a", "bc"), key_of("abc"), key_of("abc", "")}) == 4

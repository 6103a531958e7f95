"""Entries as texts of a store that is shared."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from rewrite.credentials.entries import Entry, Key, Kind
from rewrite.credentials.packed import can_be_kept, law, packed, unpacked, written

TEXTS = st.text() | st.just("half a character: \ud800")
KEYS = st.builds(
    Key, st.sampled_from([kind for kind in Kind if kind is not Kind.USED]), TEXTS, TEXTS, TEXTS, TEXTS
)
VALUES = st.none() | st.floats(-9, 9) | st.dictionaries(st.just("note"), TEXTS) | st.just("completed")
TIMES = st.floats(0, 4e9)


@given(KEYS, st.builds(Entry, TIMES, TIMES, VALUES))
def test_what_was_packed_is_unpacked(key: Key, entry: Entry) -> None:
    name, text = packed(key), written(key, entry)
    assert unpacked(name.encode(), text.encode()) == (key, entry)


def test_a_key_has_one_name() -> None:
    assert packed(Key(Kind.MARK, "p", scope="ff")) == '["mark","p","","","ff"]'
    assert packed(Key(Kind.LEARNT, "p", scope="ü")) == '["learnt","p","","","ü"]'
    assert packed(Key(Kind.LEARNT, "p", scope="\ud800")) == r'["learnt","p","","","\ud800"]'


def test_what_a_provider_said_is_not_kept() -> None:
    said = {"status": 429.0, "kind": "rate", "message": "secret", "code": "secret", "protocol": "openai_chat"}
    text = written(Key(Kind.COOLDOWN, "p"), Entry(1.0, 2.0, said))
    assert "secret" not in text
    assert "429" in text
    for label in ("truncated(secret)", "unreachable(secret)"):
        assert "secret" not in written(Key(Kind.LAST, "p"), Entry(1.0, 2.0, label))


@pytest.mark.parametrize(
    ("name", "text"),
    [
        ('["mark","p","",""]', "[1,2,null]"),
        ('["of a later version","p","","",""]', "[1,2,null]"),
        ('["mark","p","","",7]', "[1,2,null]"),
        ('[[],"p","","",""]', "[1,2,null]"),
        ('["mark","p","","",""]', "[1,2]"),
        ('["mark","p","","",""]', '["1",2,null]'),
        ('["mark","p","","",""]', "[1,1e999,null]"),
        ('["mark","p","","",""]', f"[1,1{'0' * 400},null]"),
        ('["mark","p","","",""]', "[1,1e12,null]"),
        ('["turn","p","a","","x"]', "[1,2,NaN]"),
        ('["turn","p","a","","x"]', "[1,2,1e999]"),
        ('["turn","p","a","","x"]', f"[1,2,1{'0' * 400}]"),
        ('["used","p","a","","m"]', "[1,2,3]"),
        ('["mark","p","","",""]', "[1,2,[]]"),
        ("{", "{"),
        ("null", "null"),
        ("[" * 100_000, "[1,2,null]"),
    ],
)
def test_what_is_no_entry_is_passed_over(name: str, text: str) -> None:
    assert unpacked(name, text) is None


def test_the_store_knows_by_which_law_two_become_one() -> None:
    laws = {kind: law(Key(kind, "p")) for kind in Kind}
    assert laws.pop(Kind.COOLDOWN) == "longer"
    conversations = {kind for kind in laws if laws[kind] == "conversation"}
    assert conversations == {Kind.BINDING, Kind.MARK, Kind.MAKER}
    assert {laws[kind] for kind in laws.keys() - conversations} == {"later"}


def test_only_times_that_json_has_can_be_kept() -> None:
    assert can_be_kept(Entry(1.0, 2.0))
    assert not can_be_kept(Entry(1.0, float("inf")))

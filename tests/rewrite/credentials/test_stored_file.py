"""State as a file: every version can be read, whatever the clocks of writer and reader say."""

import json
from contextlib import suppress
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from rewrite.credentials.entries import Entries, Entry, Key, Kind
from rewrite.credentials.stored_file import (
    HORIZON,
    READERS,
    VERSION,
    Moment,
    OfLaterVersion,
    Stored,
    Unreadable,
    ahead,
    read,
    written,
)

FIXTURES = Path(__file__).parents[2] / "fixtures" / "state"
NOW = Moment(1_800_000_000.0, 5000.0, "a")
HELD: Entries = {
    Key(Kind.COOLDOWN, "openai", "work", "3f9a0c", "model:gpt-5"): Entry(NOW.epoch - 20, NOW.epoch + 40),
    Key(Kind.COOLDOWN, "openai", "spare", "77b1e2", "whole"): Entry(
        NOW.epoch - 9,
        NOW.epoch + 291,
        {"status": 401, "kind": "auth", "message": "Incorrect API key", "code": "invalid_api_key"},
    ),
    Key(Kind.AUTH, "openai", "spare", "77b1e2"): Entry(NOW.epoch - 9, NOW.epoch + 900, 2.0),
    Key(Kind.USED, "openai", "work", "3f9a0c", "tokens|day|2027-01-15"): Entry(
        NOW.epoch - 1, NOW.epoch + 86_400, 1234.5
    ),
    Key(Kind.CLEARED, "openai", "", "", "resumed"): Entry(NOW.epoch - 60, NOW.epoch + 3540),
    Key(Kind.BINDING, "openai", "", "", "5f0e"): Entry(NOW.epoch, NOW.epoch + 3600, "work"),
}


@pytest.mark.parametrize("version", READERS)
def test_a_file_of_every_version_is_read(version: int) -> None:
    data = (FIXTURES / f"{version}.json").read_bytes()
    assert json.loads(data)["version"] == version
    assert read(data, NOW) == Stored(HELD, "00ff")


def test_the_file_of_this_version_is_as_it_always_was() -> None:
    assert max(READERS) == VERSION
    assert json.loads(written(Stored(HELD, "00ff"), NOW)) == json.loads(
        (FIXTURES / f"{VERSION}.json").read_bytes()
    )


TEXT = st.text(st.characters(exclude_categories=["Cs"]), max_size=5)
TIME = st.floats(0, NOW.epoch)
JSON: st.SearchStrategy[object] = st.recursive(
    st.none() | st.booleans() | st.floats(allow_nan=False, allow_infinity=False) | TEXT,
    lambda inner: st.lists(inner, max_size=2) | st.dictionaries(TEXT, inner, max_size=2),
    max_leaves=4,
)
VALUE = (
    st.none()
    | st.floats(allow_nan=False, allow_infinity=False)
    | TEXT
    | st.dictionaries(TEXT, JSON, max_size=2)
)
KEY = st.builds(Key, st.sampled_from(Kind), TEXT, TEXT, TEXT, TEXT)


@given(st.dictionaries(KEY, st.builds(Entry, TIME, TIME, VALUE), max_size=5))
def test_what_is_written_is_read(held: Entries) -> None:
    assert read(written(Stored(held, "ab"), NOW), NOW) == Stored(held, "ab")


@pytest.mark.parametrize(
    "data",
    [
        b"",
        b"{",
        b"null",
        b"[]",
        b'{"version": "1"}',
        b'{"version": 0}',
        b'{"version": 1}',
        b'{"version": 1, "moment": {"epoch": 1, "steady": 1}, "salt": "", "entries": [{}]}',
        b'{"version": 1, "moment": {"epoch": 1, "steady": 1}, "salt": "", "entries": [{"kind": "odd"}]}',
        b"\xff\xfe",
        b"[" * 100_000,
        bytes(200),
    ],
)
def test_what_is_no_file_of_ours_is_said_to_be_none(data: bytes) -> None:
    with pytest.raises(Unreadable) as raised:
        read(data, NOW)
    assert type(raised.value) is Unreadable


@given(st.binary(max_size=60), st.integers(0, 400))
def test_damage_is_noticed_or_does_no_harm(junk: bytes, at: int) -> None:
    data = written(Stored(HELD, "ab"), NOW)
    with suppress(Unreadable):
        read(data[:at] + junk + data[at + len(junk) :], NOW)


def test_a_later_version_is_distinguished_from_damage() -> None:
    with pytest.raises(OfLaterVersion, match=f"version {VERSION + 1}"):
        read(b'{"version": %d, "what": "ever"}' % (VERSION + 1), NOW)


@pytest.mark.parametrize(
    ("own", "other", "expected"),
    [
        (Moment(1100, 600, "a"), Moment(1000, 500, "a"), 0),
        # Its wall clock was set a day ahead, or back, between our start and its.
        (Moment(1100 + 86_400, 600, "a"), Moment(1000, 500, "a"), 86_400),
        (Moment(1100 - 86_400, 600, "a"), Moment(1000, 500, "a"), -86_400),
        # The machine was started again: it was off for an hour, as far as the clock says.
        (Moment(4600, 10, "b"), Moment(1000, 500, "a"), 0),
        # The clock was set back meanwhile.
        (Moment(400, 10, "b"), Moment(1000, 500, "a"), -600),
        # Nobody says which start of the machine it was.
        (Moment(1100, 600), Moment(1000, 500), 0),
        (Moment(400, 600), Moment(1000, 500), -600),
    ],
)
def test_how_far_a_clock_is_ahead_of_that_of_the_writer(own: Moment, other: Moment, expected: float) -> None:
    assert ahead(own, other) == expected


@pytest.mark.parametrize("jump", [-1e6, -3600.0, 0.0, 3600.0, 1e6])
def test_a_restart_with_a_clock_that_jumped_leaves_cooldowns_as_long_as_they_were(jump: float) -> None:
    data = written(Stored(HELD, "ab"), NOW)
    later = Moment(NOW.epoch + 10 + jump, NOW.steady + 10, NOW.boot)
    found = read(data, later).entries
    for key, entry in HELD.items():
        assert found[key].until - later.epoch == pytest.approx(entry.until - NOW.epoch - 10)
        assert found[key].at - later.epoch == pytest.approx(entry.at - NOW.epoch - 10)


def test_nothing_is_from_the_future_or_for_ever() -> None:
    key = Key(Kind.COOLDOWN, "p", "one")
    found = read(written(Stored({key: Entry(NOW.epoch + 99, 1e300)}, ""), NOW), NOW).entries
    assert found[key] == Entry(NOW.epoch, NOW.epoch + HORIZON)

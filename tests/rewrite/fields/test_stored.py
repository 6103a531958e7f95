"""Values as the bytes of a file."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from rewrite.fields import stored
from rewrite.fields.stored import Kept, Unreadable, bounded, read, written

RULE, OTHER, KEY = bytes(16), bytes([1] * 16), bytes([2] * 16)


def test_what_is_written_is_read_again() -> None:
    entries = {(RULE, KEY): Kept(1.5, None, b'[{"a":"\\u00e4"}]'), (OTHER, KEY): Kept(2.0, 9.0, b"[1]")}
    assert read(written(entries)) == entries


@pytest.mark.parametrize(
    ("data", "why"),
    [
        (b"", "damaged"),
        (b"[]", "damaged"),
        (b"\xff", "damaged"),
        (b'{"version": 2, "rows": []}', "of version 2, which this rotator does not know"),
        (
            b'{"version": 1, "rows": [{"rule": "x", "key": "", "at": 1, "until": null, "values": []}]}',
            "damaged",
        ),
    ],
)
def test_what_is_no_file_of_ours(data: bytes, why: str) -> None:
    with pytest.raises(Unreadable, match=why):
        read(data)


@given(st.binary(max_size=200))
def test_any_bytes_are_read_or_unreadable(data: bytes) -> None:
    try:
        assert isinstance(read(data), dict)
    except Unreadable:
        return


def test_what_is_over_goes_and_then_what_is_oldest(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(stored, "MOST", 6)
    names = [(RULE, bytes([number] * 16)) for number in range(4)]
    kept = [
        Kept(3.0, 10.0, b"[1]"),
        Kept(1.0, None, b"[2]"),
        Kept(2.0, None, b"[3]"),
        Kept(0.0, None, b"[4]"),
    ]
    entries = dict(zip(names, kept, strict=True))
    assert list(bounded(entries, 9.0)) == [names[0], names[2]]
    assert list(bounded(entries, 10.0)) == [names[2]]

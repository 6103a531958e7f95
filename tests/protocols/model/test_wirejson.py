"""Reading JSON that anyone may have written."""

import re
from typing import SupportsIndex

import pytest
from hypothesis import given
from hypothesis import strategies as st

from protocols.model import wirejson
from protocols.model.errors import Fault
from protocols.model.http import header
from protocols.model.parts import StreamError
from protocols.model.wirejson import (
    MOST_VALUES,
    count_at,
    dump,
    error_answer,
    is_crowded,
    is_json,
    load_object,
    object_at,
    objects_at,
    parsed_size,
    stream_error,
    text_at,
    text_size,
)

ODD: dict[str, object] = {
    "n": 1,
    "f": 1.5,
    "b": True,
    "s": "x",
    "o": {"a": 1},
    "l": [{"a": 1}, 2, None],
    "z": None,
}


@pytest.mark.parametrize("data", [b"", b"[]", b"1", b"null", b"{", b"\xff", b'{"a":1}x', b'"{}"'])
def test_only_objects_are_objects(data: bytes) -> None:
    assert load_object(data) is None


@pytest.mark.parametrize("data", [b"{}", b' {"a": 1}\n'])
def test_objects_are_read(data: bytes) -> None:
    assert load_object(data) is not None


@pytest.mark.parametrize(("data", "json"), [(b"[]", True), (b" 1 ", True), (b"<html>", False), (b"", False)])
def test_what_is_json_at_all(data: bytes, json: bool) -> None:
    assert is_json(data) is json


@pytest.mark.parametrize(
    ("data", "size"),
    [
        (b'"some text, as it is"', 21),
        (b"{},{}", 2 * 64 + 8),
        (b"[1,2,3]", 64 + 2 * 8),
        (b'{"k":1,"l":2}', 3 * 64 + 8),
        (b"-0.01234567,", 12),
    ],
)
def test_json_of_many_values_is_larger_once_it_is_parsed(data: bytes, size: int) -> None:
    assert parsed_size(data) == size


def test_fields_of_another_type_are_as_good_as_missing() -> None:
    assert {name: text_at(ODD, name) for name in (*ODD, "missing")} == {
        name: "x" if name == "s" else "" for name in (*ODD, "missing")
    }
    assert {name for name in (*ODD, "missing") if count_at(ODD, name) is not None} == {"n"}
    assert {name for name in (*ODD, "missing") if object_at(ODD, name)} == {"o"}
    assert {name: objects_at(ODD, name) for name in (*ODD, "missing") if objects_at(ODD, name)} == {
        "l": [{"a": 1}]
    }


@pytest.mark.parametrize(
    ("value", "error"),
    [
        ("text", StreamError("", "text")),
        ({"type": "t", "message": "m", "code": "c"}, StreamError("t", "m", "c")),
        ({"code": 429, "message": "m"}, StreamError("", "m", None, 429)),
        ({"code": "c", "status_code": 400}, StreamError("", "", "c", 400)),
        ({"code": 404, "status": "NOT_FOUND", "message": "m"}, StreamError("NOT_FOUND", "m", None, 404)),
        ({}, StreamError("", "")),
        (None, StreamError("", "None")),
    ],
)
def test_errors_as_providers_write_them(value: object, error: StreamError) -> None:
    assert stream_error(value) == error


@pytest.mark.parametrize(
    "data",
    [b'{"a": "\\ud83d"}', b'\xef\xbb\xbf{"a": 1}', b'{"a":' + b"[" * 300 + b"]" * 300 + b"}"],
    ids=["a lone surrogate", "a byte-order mark", "deep"],
)
def test_legal_json_that_is_rare_is_read(data: bytes) -> None:
    assert is_json(data)
    assert load_object(data) is not None


def test_a_lone_surrogate_can_be_written_again() -> None:
    assert load_object(dump({"a": "\ud83d", "b": "é"})) == {"a": "\ud83d", "b": "é"}


def test_images_are_no_text() -> None:
    text = b'{"text": "hello", "image": "' + b"QUJD" * 1000 + b'"}'
    assert text_size(text) == len(text) - 4000


_RUNS = st.builds(bytes.__mul__, st.sampled_from([b"A", b"+/="]), st.sampled_from([0, 1, 76, 333, 334, 999]))
_RUNS |= st.builds(lambda more: b"Q" * (1000 + more), st.integers(-200, 70_000))


@given(st.lists(st.tuples(_RUNS, st.sampled_from([b"", b" ", b"\n", b'",', "é".encode()])), max_size=12))
def test_what_is_long_and_base64_is_no_text(pieces: list[tuple[bytes, bytes]]) -> None:
    body = b"".join(run + after for run, after in pieces)
    runs = re.split(rb"[^A-Za-z0-9+/=]", body)
    assert text_size(body) == len(body) - sum(len(run) for run in runs if len(run) >= 1000)


class Counted(bytes):
    """Bytes that count how many of them are read."""

    read = 0

    def __getitem__(self, part: SupportsIndex | slice) -> bytes:  # type: ignore[override]  # of slices alone
        assert isinstance(part, slice)
        found = super().__getitem__(part)
        self.read += len(found)
        return found


class Windows:
    """A pattern that counts what it is given of a body."""

    def __init__(self, pattern: re.Pattern[bytes]) -> None:
        self._pattern = pattern

    def match(self, body: Counted, at: int, end: int) -> re.Match[bytes] | None:
        body.read += end - at
        return self._pattern.match(body, at, end)


@pytest.mark.parametrize(
    "piece",
    [
        b"A" * 999 + b" ",
        b" " + b"A" * 999,
        b" " + b"A" * 998,
        b"A" * 1000 + b" ",
        b"A" * 76 + b"\\n",
        b"A",
        b" ",
    ],
    ids=["almost", "almost, late", "one more", "just so", "lines", "one run", "blanks"],
)
def test_no_byte_of_a_request_is_looked_at_often_for_its_text(
    piece: bytes, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(wirejson, "_LAST_OTHER", Windows(wirejson._LAST_OTHER))
    body = Counted(piece * (1_000_000 // len(piece)))
    text_size(body)
    assert body.read < 4 * len(body)


@pytest.mark.parametrize(("seconds", "said"), [(0.2, "1"), (1.4, "2"), (60.0, "60")])
def test_no_retry_after_is_too_early(seconds: float, said: str) -> None:
    answer = error_answer(Fault(429, "rate", "slow", seconds), {})
    assert header(answer.headers, "retry-after") == said


@pytest.mark.parametrize(("value", "count"), [(12, 12), (12.0, 12), (12.5, None), (True, None), ("12", None)])
def test_a_count_may_be_written_with_a_point(value: object, count: int | None) -> None:
    assert count_at({"n": value}, "n") == count


@pytest.mark.parametrize(
    ("body", "crowded"),
    [
        (b"[" + b"0," * MOST_VALUES + b"0]", True),
        (b"{" + b'"k":1,' * (MOST_VALUES // 2) + b'"k":1}', True),
        (b'"' + b"some words, " * (MOST_VALUES // 2) + b'"', False),
        (b" " * MOST_VALUES + b"," * MOST_VALUES, False),
        (b" " * MOST_VALUES + b"," * (MOST_VALUES + 1), True),
        (b"," * (MOST_VALUES + 1), True),
    ],
    ids=["numbers", "keys", "text", "as many as may be", "one more, late", "nothing else"],
)
def test_a_request_of_too_many_values_is_known_before_it_is_parsed(body: bytes, crowded: bool) -> None:
    assert is_crowded(body) is crowded


def test_a_request_is_not_counted_to_its_end_where_that_changes_nothing() -> None:
    short, long = Counted(b"," * MOST_VALUES), Counted(b"words " * MOST_VALUES)
    assert not is_crowded(short)
    assert not is_crowded(long)
    assert short.read == 0
    assert len(long) - MOST_VALUES <= long.read < len(long) - MOST_VALUES + 100_000

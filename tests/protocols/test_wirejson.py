"""Reading JSON that anyone may have written."""

import pytest

from protocols.parts import StreamError
from protocols.wirejson import count_at, is_json, load_object, object_at, objects_at, stream_error, text_at

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

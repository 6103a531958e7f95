"""Reading JSON that anyone may have written."""

import json
import math
import re
import sys
from typing import SupportsIndex

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st
from msgspec import Raw, Struct
from msgspec.json import Decoder
from pydantic_core import from_json

from protocols.model import wirejson
from protocols.model.call import Operation
from protocols.model.errors import Fault, MalformedRequest
from protocols.model.http import WireRequest, header
from protocols.model.parts import StreamError
from protocols.model.wirejson import (
    MOST_COUNTED,
    MOST_TEXT,
    MOST_VALUES,
    NOT_JSON,
    JsonObject,
    LazyObject,
    are_json,
    count_at,
    dump,
    error_answer,
    in_form,
    is_crowded,
    is_json,
    json_call,
    load_lazily,
    load_object,
    load_value,
    number_at,
    object_at,
    objects_at,
    parsed_size,
    stream_error,
    text_at,
    text_size,
    used_at,
    whole,
)
from rewrite.values.timeouts import LONGEST_TEXT_BONUS, SECONDS_PER_TEXT_BYTE

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


@pytest.mark.parametrize(
    ("data", "expected"), [(b"[]", True), (b" 1 ", True), (b"<html>", False), (b"", False)]
)
def test_what_is_json_at_all(data: bytes, expected: bool) -> None:
    assert is_json(data) is expected


class Form(Struct):
    a: str


FORM, ANY_FORM = Decoder(Form), Decoder(Raw)
NESTED = b'{"a":' + b"[" * 1900 + b"]" * 1900 + b"}"
SNIPPETS = [
    *(
        b'"a"',
        b'"',
        b"\\",
        b"{",
        b"}",
        b"[",
        b"]",
        b",",
        b":",
        b"-",
        b"0",
        b"1",
        b".",
        b"e5",
        b"E+",
        b"\\u12",
        b"/",
    ),
    *(
        b"\xff",
        b"\xc3\xa9",
        b"\xed\xa0\x80",
        rb"\ud800",
        rb"\u00e9",
        b"\x00",
        b"\x1f",
        b"\n",
        b"\t",
        b"\xc2\xa0",
        b" ",
    ),
    *(b"null", b"true", b"NaN", b"Infinity", b"9" * 4301, b"x"),
]


@given(st.sampled_from([b'{"a":"b"}', b'[1,{"c":[]},"d"]', b"", NESTED]), st.data())
def test_what_has_a_form_is_json(data: bytes, draw: st.DataObject) -> None:
    for at, snippet, over in draw.draw(
        st.lists(st.tuples(st.integers(0, 16), st.sampled_from(SNIPPETS), st.integers(0, 2)), max_size=8)
    ):
        data = data[:at] + snippet + data[at + over :]
    parsed = load_value(data)
    assert in_form(ANY_FORM, data) is None or parsed is not NOT_JSON
    found = in_form(FORM, data)
    assert found is None or (isinstance(parsed, dict) and parsed["a"] == found.a)


@given(st.lists(st.sampled_from([b'{"a":"b"}', b'["%b"]' % (b"x" * 5000), NESTED, *SNIPPETS]), max_size=5))
def test_several_are_json_if_each_is(pieces: list[bytes]) -> None:
    assert are_json(pieces) == all(map(is_json, pieces))
    assert not are_json([*pieces, b'{"b":"\xff","a":""}'])


@pytest.mark.parametrize(
    "data",
    [
        b"{}",
        b"[]",
        b'{"a":[1.5,-2e3,null,true,"\xc3\xa9"]}\n\n',
        b"[" * 100 + b"]" * 100,
        pytest.param(
            NESTED,
            marks=pytest.mark.skipif(sys.version_info < (3, 13), reason="Python 3.12 nests less deeply in C"),
        ),
    ],
)
def test_json_mostly_has_one(data: bytes) -> None:
    assert in_form(ANY_FORM, data) is not None


@pytest.mark.parametrize("data", [b'{"b":"\xff","a":""}', b'{"b":%b,"a":""}' % (b"9" * 4301)])
def test_values_that_nobody_asks_for_have_to_be_json_too(data: bytes) -> None:
    assert in_form(FORM, data) is None
    assert not is_json(data)


@pytest.mark.parametrize(
    "data", [rb'{"a":"\ud800"}', b'{"a":NaN}', b"\xef\xbb\xbf{}", b'["%b"]' % (b"x" * 5000)]
)
def test_what_is_rare_is_json_without_a_form(data: bytes) -> None:
    assert in_form(ANY_FORM, data) is None
    assert is_json(data)


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


# -- a request, of which each field is parsed when it is asked for ----------------------------------------

_TEXTS = st.text(max_size=6) | st.sampled_from(["model", "stream", "tools", "\ud83d", "é", "\x7f"])
_VALUES = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | _TEXTS,
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(_TEXTS, inner, max_size=3),
    max_leaves=8,
)
_FIELDS = st.lists(st.tuples(_TEXTS, _VALUES), max_size=5)


def _written(fields: list[tuple[str, object]], ascii_only: bool, after: str) -> bytes:
    """An object that may name a field twice."""
    said = (json.dumps(part, ensure_ascii=ascii_only) for field in fields for part in field)
    pairs = (f"{name}{after}:{after}{value}" for name, value in zip(said, said, strict=True))
    return f"{after}{{{','.join(pairs)}}}{after}".encode("utf-8", "surrogatepass")


_OBJECTS = st.builds(_written, _FIELDS, st.booleans(), st.sampled_from(["", " ", "\r\n\t"]))
_SPOILS = st.sampled_from(
    [b"", b",", b"}", b"]", b'"', b"\\", b"\\u", b"\xff", b"\xc3", b"\x00", b"0", b".", b"e"]
)
_SPOILS |= st.sampled_from([b"{", b"[", b"\xed\xa0\x80", b"\xef\xbb\xbf", b"NaN", b"-Infinity", b"9" * 5000])


@st.composite
def _spoilt(draw: st.DrawFn) -> bytes:
    body = draw(_OBJECTS)
    for _ in range(draw(st.integers(1, 3))):
        at = draw(st.integers(0, len(body)))
        body = body[:at] + draw(_SPOILS) + body[at + draw(st.integers(0, 2)) :]
    return body


def _as_read(found: JsonObject | None) -> str | None:
    """With its order, and a NaN the same as another."""
    return None if found is None else repr(dict(found))


@given(_OBJECTS | _spoilt() | st.binary(max_size=12))
def test_a_request_says_the_same_when_its_fields_are_read_one_by_one(body: bytes) -> None:
    lazy, full = load_lazily(body), load_object(body)
    assert _as_read(lazy) == _as_read(full)
    if lazy is not None and full is not None:
        assert repr(whole(lazy)) == repr(full)
        assert (list(lazy), len(lazy), bool(lazy)) == (list(full), len(full), bool(full))
        assert all(name in lazy and repr(lazy.get(name)) == repr(full.get(name)) for name in full)


@pytest.mark.parametrize(
    "body",
    [
        b'{"model":"a","model":"b"}',
        b'{"model":"a","mod\\u0065l":"b"}',
        b'{"model":"a","model":null}',
        b'{"a":"\xff"}',
        b'{"a":{"\xc0\x80":1}}',
        b'{"a":"\xed\xa0\x80"}',
        b'{"a":"\\ud800"}',
        b'{"\\ud800":1}',
        b'{"a":NaN,"b":-Infinity}',
        b'{"a":1e999,"b":-0.0,"c":1E+2}',
        b'{"a":' + b"9" * 4300 + b"}",
        b'{"a":[' + b"9" * 4301 + b"]}",
        b'{"a":-' + b"9" * 100_000 + b"}",
        b'{"a":0.' + b"9" * 100_000 + b"}",
        b'{"a":"' + b"9" * 100_000 + b'"}',
        '{"a":"ü"}'.encode("utf-16"),
        '{"a":1}'.encode("utf-32"),
        b'\xef\xbb\xbf{"a":1}',
        b'{"a":' + b"[" * 201 + b"]" * 201 + b"}",
        b'{"a":' + b"[" * 100_000 + b"]" * 100_000 + b"}",
        b'[{"a":1}]',
        b"null",
        b'{"a":1}{"a":2}',
        b'{"a":01}',
        b'{"a":"\x01"}',
        b"{'a':1}",
    ],
    ids=lambda body: repr(body[:24]),
)
def test_what_parsers_may_read_in_several_ways_is_read_as_ever(body: bytes) -> None:
    assert _as_read(load_lazily(body)) == _as_read(load_object(body))


def test_fields_that_nobody_asks_for_are_not_parsed(monkeypatch: pytest.MonkeyPatch) -> None:
    parsed: list[bytes] = []

    def load(data: bytes) -> object:
        parsed.append(data)
        return from_json(data)

    monkeypatch.setattr(wirejson, "load_value", load)
    body = load_lazily(b'{"model": "m", "messages": [{"role": "user", "content": "Hi"}]}')
    assert body is not None
    assert (body["model"], body["model"], "messages" in body, body.get("stream")) == ("m", "m", True, None)
    assert parsed == [b'"m"']


def test_a_field_that_is_nested_too_deeply_is_a_fault_of_the_request() -> None:
    """The parsers agree but for a level or two on how deep they go."""
    deep = b"[" * 100_000 + b"]" * 100_000
    found = LazyObject(b'{"a":%b}' % deep, {"a": msgspec.Raw(deep)})
    with pytest.raises(RecursionError, match="nested"):
        found["a"]
    with pytest.raises(RecursionError, match="nested"):
        whole(found)


def test_a_request_that_was_read_lazily_can_be_written() -> None:
    body = b'{"b":[1,{"c":"\\ud83d"}],"a":null}'
    assert dump(load_lazily(body)) == dump(load_object(body))


def test_a_lone_surrogate_can_be_written_again() -> None:
    assert load_object(dump({"a": "\ud83d", "b": "é"})) == {"a": "\ud83d", "b": "é"}


def test_images_are_no_text() -> None:
    text = b'{"text": "hello", "image": "' + b"QUJD" * 1000 + b'"}'
    assert text_size(text) == len(text) - 4000


_RUNS = st.builds(bytes.__mul__, st.sampled_from([b"A", b"+/="]), st.sampled_from([0, 1, 76, 333, 334, 999]))
_RUNS |= st.builds(lambda more: b"Q" * (1000 + more), st.integers(-200, 70_000))


@given(
    st.lists(st.tuples(_RUNS, st.sampled_from([b"", b" ", b"\n", b"\\n", b'",', "é".encode()])), max_size=12)
)
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

    def rfind(self, sub: bytes, start: int, end: int) -> int:  # type: ignore[override]  # as it is called
        found = super().rfind(sub, start, end)
        self.read += end - max(found, start)
        return found


@pytest.mark.parametrize(
    "piece",
    [
        b"A" * 999 + b" ",
        b" " + b"A" * 999,
        b" " + b"A" * 998,
        b"A" * 1000 + b" ",
        b"A" * 76 + b"\\n",
        b"A" * 76 + b",",
        b"A",
        b" ",
    ],
    ids=["almost", "almost, late", "one more", "just so", "lines", "other lines", "one run", "blanks"],
)
def test_no_byte_of_a_request_is_looked_at_often_for_its_text(piece: bytes) -> None:
    body = Counted(piece * (1_000_000 // len(piece)))
    text_size(body)
    assert 0 < body.read < 4 * len(body)


def test_the_text_of_a_request_is_counted_no_further_than_it_matters() -> None:
    body = Counted(b"some words, " * MOST_TEXT)
    assert text_size(body) == MOST_TEXT
    assert body.read < 2 * MOST_TEXT
    assert MOST_TEXT * SECONDS_PER_TEXT_BYTE >= LONGEST_TEXT_BONUS


@pytest.mark.parametrize(("seconds", "said"), [(0.2, "1"), (1.4, "2"), (60.0, "60")])
def test_no_retry_after_is_too_early(seconds: float, said: str) -> None:
    answer = error_answer(Fault(429, "rate", "slow", seconds), {})
    assert header(answer.headers, "retry-after") == said


@pytest.mark.parametrize(("value", "count"), [(12, 12), (12.0, 12), (12.5, None), (True, None), ("12", None)])
def test_a_count_may_be_written_with_a_point(value: object, count: int | None) -> None:
    assert count_at({"n": value}, "n") == count


@pytest.mark.parametrize(
    ("value", "used"),
    [(12, 12), (12.0, 12), (0, 0), (MOST_COUNTED, MOST_COUNTED), (-1, None), (1e308, None), (10**400, None)],
)
def test_nobody_counts_less_than_nothing_or_more_than_there_is(value: object, used: int | None) -> None:
    assert used_at({"n": value}, "n") == used


@pytest.mark.parametrize("value", [math.nan, math.inf, -math.inf, 10**400, -(10**400)])
def test_what_nobody_can_reckon_with_is_no_number(value: object) -> None:
    assert number_at({"n": value}, "n") is None


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


def asking(body: bytes) -> WireRequest:
    return WireRequest("POST", "/ask", (("A", "1"),), body)


def test_a_body_says_model_and_stream() -> None:
    call = json_call("p", "1", Operation.GENERATE, asking(b'{"model": "m", "stream": true, "x": 1}'))
    assert (call.id, call.protocol, call.model, call.stream) == ("1", "p", "m", True)
    assert call.body == {"model": "m", "stream": True, "x": 1}
    assert call.headers == (("A", "1"),)
    assert call.text_bytes == 38


def test_only_a_generation_is_streamed() -> None:
    assert not json_call("p", "1", Operation.COUNT_TOKENS, asking(b'{"stream": true}')).stream


def test_a_list_of_models_has_no_body() -> None:
    assert json_call("p", "1", Operation.MODELS, asking(b"")).body == {}


def test_any_other_body_is_malformed() -> None:
    with pytest.raises(MalformedRequest, match="JSON object"):
        json_call("p", "1", Operation.GENERATE, asking(b"[]"))

"""Values hidden in bytes by the names of their fields, however these come."""

import json
import re
from collections.abc import Iterator

import pytest
from hypothesis import given
from hypothesis import strategies as st

from addons.secrets import fields
from addons.secrets.fields import Fields
from addons.secrets.names import Kind, kind
from protocols.shared.signatures import MARK


def show(_kind: Kind, _value: bytes, _is_string: bool) -> bytes | None:
    return b"X"


def hidden(data: bytes) -> bytes:
    return Fields(show).whole(data)


def in_pieces(data: bytes, size: int) -> bytes:
    filtered = Fields(show)
    pieces = [filtered.feed(data[at : at + size]) for at in range(0, len(data), size)]
    return b"".join([*pieces, filtered.remainder()])


DEEP = json.dumps({"password": 'a"b\\', "n": json.dumps({"api_key": 'z"\\', "jwt": [1]}), "k": 2})

CASES = {
    "a string": (b'{"password":"p\\"q\\\\","a":1}', b'{"password":"X","a":1}'),
    "spaces": (b'{"access_token" :\n "t", "b": "c"}', b'{"access_token" :\n "X", "b": "c"}'),
    "a number": (b'{"password":-12.5e3,"input_tokens":7}', b'{"password":"X","input_tokens":7}'),
    "null": (b'{"password":null,"secret":true}', b'{"password":null,"secret":true}'),
    "an object": (b'{"client_secret":{"v":"a}\\"b","w":[1]},"c":1}', b'{"client_secret":"X","c":1}'),
    "a list": (b'{"cookies":["a]",["b"]],"c":1}', b'{"cookies":"X","c":1}'),
    "counts": (b'{"max_tokens":5,"key":"k"}', b'{"max_tokens":5,"key":"k"}'),
    "JSON in JSON": (
        json.dumps({"arguments": DEEP}).encode(),
        json.dumps(
            {
                "arguments": json.dumps(
                    {"password": "X", "n": json.dumps({"api_key": "X", "jwt": "X"}), "k": 2}
                )
            }
        ).encode(),
    ),
    "events": (
        b'data: {"signature":"abc"}\n\ndata: {"text":"password"}\n\n',
        b'data: {"signature":"X"}\n\ndata: {"text":"password"}\n\n',
    ),
    "a line that ends a string": (b'{"secret":"ab\n\n{"c":"d"}', b'{"secret":"X\n\n{"c":"d"}'),
    "half a string": (b'{"secret":"abc', b'{"secret":"X'),
    "half an object": (b'{"secret":{"a":"abc', b'{"secret":"X"'),
    "an envelope": (f'{{"id":"{MARK}YWJj","x":1}}'.encode(), b'{"id":"X","x":1}'),
    "no JSON": (b'the "password" is: "a" \\" \\\\', b'the "password" is: "a" \\" \\\\'),
    "nothing": (b"", b""),
}


@pytest.mark.parametrize(("data", "expected"), CASES.values(), ids=CASES)
def test_values_are_hidden_wherever_they_are_cut(data: bytes, expected: bytes) -> None:
    assert hidden(data) == expected
    assert {in_pieces(data, size) for size in range(1, len(data) + 1)} <= {expected}


_NAMES = st.text(max_size=5).filter(lambda name: kind(name) is Kind.PLAIN)
_JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.text(max_size=9),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(_NAMES, inner, max_size=3),
    max_leaves=12,
)


@given(_JSON, st.booleans())
def test_what_has_no_such_name_stays(value: object, ascii_only: bool) -> None:
    data = json.dumps(value, ensure_ascii=ascii_only).encode("utf-8", "surrogatepass")
    assert hidden(data) == data


@given(_JSON, st.booleans())
def test_what_is_hidden_leaves_the_rest_as_it_is(value: object, ascii_only: bool) -> None:
    whole = {
        "before": value,
        "password": value if isinstance(value, dict | list | str) else "x",
        "after": value,
    }
    data = json.dumps(whole, ensure_ascii=ascii_only).encode("utf-8", "surrogatepass")
    assert json.loads(hidden(data)) == {**whole, "password": "X"}
    assert in_pieces(data, 3) == hidden(data)


@given(st.binary(max_size=60) | st.text(alphabet='"\\:{}[]\n pasword', max_size=60).map(str.encode))
def test_any_bytes_are_taken(data: bytes) -> None:
    assert in_pieces(data, 1) == hidden(data)


def test_a_value_that_is_too_long_ends_what_is_shown(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(fields, "LONGEST_VALUE", 10)
    filtered = Fields(show)
    assert filtered.feed(b'{"a":1,"secret":"' + b"s" * 20) == b'{"a":1,"secret":"' + fields._CUT
    assert filtered.feed(b's","b":2}') + filtered.remainder() == b""


@pytest.mark.parametrize("data", [b'{"secret":"' + b"\\" * 200_000, b'{"secret":[' + b"[\\" * 100_000])
def test_backslashes_are_looked_through_once(data: bytes) -> None:
    """From each of them on again, these would take minutes, in which nothing else runs."""
    assert hidden(data).startswith(b'{"secret":"X')
    assert in_pieces(data, 1000) == hidden(data)


def test_a_value_that_comes_slowly_is_looked_through_once(monkeypatch: pytest.MonkeyPatch) -> None:
    tokens = 0

    def counted(value: fields._Value, pattern: re.Pattern[bytes], data: bytes) -> Iterator[re.Match[bytes]]:
        nonlocal tokens
        for token in looked_for(value, pattern, data):
            tokens += 1
            yield token

    looked_for = fields._Value._tokens
    monkeypatch.setattr(fields._Value, "_tokens", counted)
    data = b'{"secret":[' + b"[1,2]," * 1000 + b'3],"a":1}'
    assert in_pieces(data, 10) == b'{"secret":"X","a":1}'
    assert tokens == 2 * 1000 + 2

"""What a trace may say: no secret, however it is written or called; no signature; all else as it is."""

import json
import re
from base64 import b64encode
from dataclasses import dataclass
from enum import StrEnum
from urllib.parse import quote

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import SecretStr

from addons.records import cleaning
from addons.records.cleaning import CUT, DEEPEST, LARGEST, TOO_DEEP, Cleaning
from protocols.model.parts import Signature
from protocols.model.wirejson import dump, load_lazily
from protocols.shared.signatures import wrapped

POOL, OWN = 'the/secret "of" a pool\\1', "own.key/of-the-client-0a1b2c3d4e5f"
HIDDEN = "[redacted]"


def of(*, signatures: bool = False, pool: tuple[str, ...] = (POOL,)) -> Cleaning:
    return Cleaning(lambda: pool, [SecretStr(OWN), SecretStr("short")], signatures=signatures)


def in_pieces(data: bytes, size: int) -> bytes:
    stream = of().stream()
    fed = [stream.feed(data[at : at + size]) for at in range(0, len(data), size)]
    return b"".join([*fed, stream.remainder()])


def forms(secret: str) -> dict[str, str]:
    """How each is written in a text."""
    in_json = json.dumps(secret)[1:-1]
    return {
        "plain": secret,
        "JSON": in_json,
        "JSON of PHP": in_json.replace("/", "\\/"),
        "JSON in JSON": json.dumps(in_json)[1:-1],
        "URL": quote(secret, safe=""),
        "URL in small letters": re.sub("%..", lambda found: found[0].lower(), quote(secret, safe="")),
        "base64": b64encode(secret.encode()).decode(),
        "Basic": "Basic " + b64encode(f"user:{secret}".encode()).decode(),
    }


FORMS = [(secret, name, text) for secret in (POOL, OWN) for name, text in forms(secret).items()]


# -- by value -------------------------------------------------------------------------------------------


@pytest.mark.parametrize(("secret", "form", "text"), FORMS)
def test_no_secret_is_in_data(secret: str, form: str, text: str) -> None:
    said = f"it is {text}, really"
    data = {"text": said, text: 1, "list": [said], "bytes": said.encode(), "body": dump({"error": said})}
    found = of().data(data)
    assert text not in str(found)
    assert text not in json.dumps(found)
    assert isinstance(found, dict)
    assert found["text"].startswith("it is ")
    assert found["text"].endswith(", really")


@pytest.mark.parametrize(("secret", "form", "text"), FORMS)
def test_no_secret_is_in_bytes_however_they_are_cut(secret: str, form: str, text: str) -> None:
    data = f'data: {{"delta":"it is {text}, really"}}\n\nevent: end\n\n'.encode()
    whole = in_pieces(data, len(data))
    assert text.encode() not in whole
    assert whole.startswith(b'data: {"delta":"it is ')
    assert whole.endswith(b', really"}\n\nevent: end\n\n')
    assert {in_pieces(data, size) for size in range(1, 40)} == {whole}


def test_a_token_that_came_later_is_known() -> None:
    known: list[tuple[str, ...]] = [(POOL,)]
    cleaned = Cleaning(lambda: known[0], [], signatures=False)
    stream, later = cleaned.stream(), "a-token-that-came-later"
    data = stream.feed(b"before ")
    known[0] = (POOL, later)
    assert cleaned.data(later) == HIDDEN
    assert later.encode() not in data + stream.feed(f"{later} {POOL}".encode()) + stream.remainder()


def test_a_short_key_is_a_word() -> None:
    assert of().data("a short text") == "a short text"


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("is sk-abcdefgh1234 right?", "is [redacted] right?"),
        ("Authorization: Bearer abcdef", "Authorization: [redacted]"),
        ("https://a.test/v1?alt=sse&key=abc", "https://a.test/v1?alt=sse&key=[redacted]"),
        ("/v1?X-Amz-Signature=abc&b=c", "/v1?X-Amz-Signature=[redacted]&b=c"),
        ("client_secret=abc&grant_type=code", "client_secret=[redacted]&grant_type=code"),
        ("max_tokens=5&a=b", "max_tokens=5&a=b"),
        ("see http://me:pass-word@host:1/x", "see http://me:[redacted]@host:1/x"),
        ('said "api_key=abc" to', 'said "api_key=[redacted]" to'),
    ],
)
def test_what_looks_like_a_key_is_hidden(text: str, expected: str) -> None:
    assert of().data(text) == expected
    assert {in_pieces(text.encode(), size) for size in range(1, 20)} == {expected.encode()}


# -- by name --------------------------------------------------------------------------------------------


def test_fields_are_hidden_at_any_depth() -> None:
    data = {
        "api_key": "k",
        "nested": [
            {"password": 1234, "access_token": "t", "refresh_token": "r", "client_secret": {"value": "v"}}
        ],
        "arguments": json.dumps({"password": "p", "city": "Bern"}),
        "secret": None,
        "credentials": {"name": "one"},
    }
    assert of().data(data) == {
        "api_key": HIDDEN,
        "nested": [
            {
                "password": HIDDEN,
                "access_token": HIDDEN,
                "refresh_token": HIDDEN,
                "client_secret": {"value": HIDDEN},
            }
        ],
        "arguments": json.dumps({"password": HIDDEN, "city": "Bern"}),
        "secret": None,
        "credentials": {"name": "one"},
    }


def test_counts_and_schemas_stay() -> None:
    data = {
        "usage": {"input_tokens": 5, "completion_tokens_details": {"reasoning_tokens": 1}},
        "max_tokens": 9,
        "logprobs": [{"token": " Hello", "logprob": -0.1}],
        "prompt_cache_key": "mine",
        "tools": [{"properties": {"password": {"type": "string", "description": "of the user"}}}],
        "first_token": 0.5,
        "image": {"type": "base64", "data": "aGVsbG8="},
    }
    assert of().data(data) == data


def test_a_value_among_properties_is_no_schema() -> None:
    assert of().data({"properties": {"password": "p"}}) == {"properties": {"password": HIDDEN}}


@pytest.mark.parametrize(
    "headers", [[["Authorization", "x"], ["accept", "y"]], (("Authorization", "x"), ("accept", "y"))]
)
def test_headers_in_pairs(headers: object) -> None:
    assert of().data({"headers": headers}) == {"headers": [["Authorization", HIDDEN], ["accept", "y"]]}


def test_all_of_a_secret_is_hidden() -> None:
    assert of().data({"auth": {"headers": {"x-a": "b"}, "properties": {"c": "d"}, "n": [1, True]}}) == {
        "auth": {"headers": {"x-a": HIDDEN}, "properties": {"c": HIDDEN}, "n": [HIDDEN, True]}
    }


def test_headers_in_a_mapping() -> None:
    headers = {"Set-Cookie": ["a=b"], "x-goog-api-key": "k", "x-ratelimit-remaining-tokens": "5"}
    assert of().data({"response_headers": headers}) == {
        "response_headers": {**headers, "Set-Cookie": [HIDDEN], "x-goog-api-key": HIDDEN}
    }


# -- signatures -----------------------------------------------------------------------------------------

SIGNED = {
    "thinking": {"type": "thinking", "signature": "c2ln+/="},
    "redacted": {"type": "redacted_thinking", "data": "opaque"},
    "gemini": {"thoughtSignature": "c2ln+/="},
    "responses": {"type": "reasoning", "encrypted_content": "gAAA" * 50},
    "openrouter": {"type": "reasoning.encrypted", "data": "opaque"},
    "envelope": {"anything": wrapped(Signature("signature", "c2ln"), "p").value},
    "in JSON": {"arguments": json.dumps({"signature": "c2ln"})},
    "part": {"part": Signature("encrypted", "c2ln")},
}


@pytest.mark.parametrize("name", SIGNED)
def test_signatures_are_shortened(name: str) -> None:
    value = SIGNED[name]
    found = str(of().data(value))
    assert "[signature sha256:" in found
    assert [secret for secret in ("c2ln", "opaque", "gAAAgAAA") if secret in found] == []
    assert "signature sha256" not in str(of(signatures=True).data(value))


@pytest.mark.parametrize(
    "value", [f"is {OWN}", f"[signature {OWN}", wrapped(Signature("s", "v"), "p").value + OWN]
)
def test_a_secret_in_the_place_of_a_signature_is_hidden(value: str) -> None:
    for data in ({"signature": value}, {"data": value}, Signature("encrypted", value)):
        for signatures in (True, False):
            assert OWN not in str(of(signatures=signatures).data(data))


def test_a_hash_is_the_same_wherever_the_signature_is() -> None:
    signature = "c2ln+/=" * 3
    (one,) = of().data({"signature": signature}).values()  # type: ignore[attr-defined]
    for escaped in (signature, signature.replace("/", "\\/"), signature.replace("=", "\\u003d")):
        assert one in in_pieces(b'data: {"signature":"%b"}\n\n' % escaped.encode(), 5).decode()
    assert one.endswith(", 21 characters]")


def test_signatures_in_bytes_are_shortened_and_long_data_too() -> None:
    data = dump(
        {"type": "redacted_thinking", "data": "A" * 99, "encrypted_content": "B" * 99, "short": {"data": "C"}}
    )
    found = in_pieces(data, 7)
    assert (b"AAA" in found, b"BBB" in found, b'"data":"C"' in found) == (False, False, True)
    stream = of(signatures=True).stream()
    assert stream.feed(data) + stream.remainder() == data


# -- what it is made of ---------------------------------------------------------------------------------


class Colour(StrEnum):
    RED = "red"


@dataclass(frozen=True)
class Point:
    x: int
    colour: Colour
    password: str = "p"


def test_dataclasses_and_other_values() -> None:
    assert of().data((Point(1, Colour.RED), SecretStr("a"), {1: 2.5}, object())) == [
        {"class": "Point", "x": 1, "colour": "red", "password": HIDDEN},
        HIDDEN,
        {"1": 2.5},
        "[object]",
    ]


def test_bytes_are_what_they_come_to() -> None:
    assert of().data(b'{"a":[1,null]}') == {"a": [1, None]}
    assert of().data(b"no JSON") == "no JSON"
    assert of().data(b"\x1f\x8b\x00\xff" * 9) == "[36 bytes that are no text]"
    assert of().data(load_lazily(b'{"a":{"password":"p"}}')) == {"a": {"password": HIDDEN}}
    assert of().data("a\ud800b") == "a?b"


@pytest.mark.parametrize("levels", [DEEPEST + 1, 5000])
def test_what_is_nested_too_deep_is_left_out(levels: int) -> None:
    nested: object = POOL
    for _ in range(levels):
        nested = [nested]
    assert TOO_DEEP in str(of().data(nested))
    text = b"[" * levels + dump(POOL) + b"]" * levels
    assert POOL not in json.dumps(of().data(text))


def test_what_is_too_long_is_cut_after_its_secrets(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(cleaning, "LARGEST", 1000)
    found = of().data({"text": "a" * 980 + OWN + "b" * 99, "more": "c", "and": [1] * 99})
    assert OWN[:4] not in str(found)
    assert CUT in str(found)
    assert "b" not in str(found["text"])  # type: ignore[index]
    assert len(dump(of().data(["abc"] * 5000))) < 2000


@given(
    st.recursive(
        st.none() | st.booleans() | st.integers() | st.text() | st.floats(allow_nan=False) | st.binary(),
        lambda inner: st.lists(inner) | st.dictionaries(st.text(), inner),
    )
)
def test_any_data_can_be_written(data: object) -> None:
    assert len(dump(of().data(data))) < 2 * LARGEST


@given(
    st.lists(st.sampled_from([POOL, OWN, " ", '"', "{", "Bearer ", "sk-", "\\", "ä", '"data":"', "a", "\n"])),
    st.data(),
)
def test_no_secret_comes_out_however_it_is_cut(pieces: list[str], data: st.DataObject) -> None:
    whole = "".join(pieces).encode()
    size = data.draw(st.integers(1, 50))
    found = in_pieces(whole, size)
    assert POOL.encode() not in found
    assert OWN.encode() not in found

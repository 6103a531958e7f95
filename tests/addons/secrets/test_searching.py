"""Texts and bytes searched for many secrets, each in many forms."""

import time
from base64 import b64encode

import pytest
from pydantic import SecretStr

from addons.secrets.searching import Search, Stream, without_lookalikes

OWN = "own.key/of-the-client-0a1b2c3d4e5f"
MANY = tuple(f"sk-pool-number-{number:04}-0123456789abcdef" for number in range(300))


def text_of(search: Search, text: str) -> str:
    return search.without_secrets(text, lambda _: "X")


@pytest.mark.parametrize("pool", [MANY[:1], MANY], ids=["one", "many"])
def test_secrets_are_found_wherever_they_are(pool: tuple[str, ...]) -> None:
    search = Search(lambda: pool, [SecretStr(OWN)])
    for secret in (pool[0], pool[-1], OWN):
        for length in range(20):
            assert text_of(search, f"{'a' * length} {secret}b") == f"{'a' * length} Xb"
    assert text_of(search, "nothing of it") == "nothing of it"


def test_a_secret_that_is_no_ascii_is_found_in_bytes() -> None:
    secret = "schlüssel-schlüssel-schlüssel"
    stream = Stream(lambda *_: None, Search(lambda: (secret,), []))
    data = f"a {secret} b {secret.encode('latin-1').decode('latin-1')}".encode()
    found = stream.feed(data) + stream.remainder()
    assert secret.encode() not in found
    assert found.startswith(b"a ***")


def test_whole_lines_are_not_kept() -> None:
    stream = Stream(lambda *_: None, Search(lambda: MANY, []))
    assert stream.feed(b"data: 1\n\ndata: sk") == b"data: 1\n\n"
    assert stream.feed(b"ate\n") == b"data: skate\n"
    assert stream.feed(b"last") + stream.remainder() == b"last"


def test_a_secret_with_a_line_in_it_is_found() -> None:
    secret = "-----BEGIN-----\nof a private key\n-----"
    stream = Stream(lambda *_: None, Search(lambda: (secret,), []))
    pieces = [stream.feed(bytes([each])) for each in f"a\n{secret}\nb\n".encode()]
    assert b"".join([*pieces, stream.remainder()]) == b"a\n" + b"*" * len(secret) + b"\nb\n"


def test_short_ones_are_not_searched_for() -> None:
    assert text_of(Search(tuple, [SecretStr("short")]), "a short one") == "a short one"


def test_parameters_and_what_looks_like_a_key() -> None:
    assert without_lookalikes("?a=b&key=c&d=e sk-0123456789") == "?a=b&key=[redacted]&d=e [redacted]"
    assert without_lookalikes('{"said": "api_key=secret&a=b"}') == '{"said": "api_key=[redacted]&a=b"}'
    for plain in ("https://user@host/a:b@c", "see: mail me: a@b.example", "https://host:8080/@name"):
        assert without_lookalikes(plain) == plain
    assert without_lookalikes("http://me:pass-word@host:1/x") == "http://me:[redacted]@host:1/x"


def test_many_secrets_cost_little_where_none_is_found() -> None:
    stream = Stream(lambda *_: None, Search(lambda: MANY, [SecretStr(OWN)]))
    event = b'data: {"choices":[{"index":0,"delta":{"content":"Hello there"}}]}\n\n'
    stream.feed(event)
    began = time.process_time()
    for _ in range(200):
        stream.feed(event)
    assert time.process_time() - began < 0.2, "0.5 ms an event would be a search for each form of each"


def test_base64_is_found_in_a_stream() -> None:
    stream = Stream(lambda *_: None, Search(lambda: MANY, []))
    code = b64encode(f"user:{MANY[7]}".encode())
    assert b"Basic " + code[8:40] not in stream.feed(b"Basic " + code + b"\n")

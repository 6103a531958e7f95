"""An answer that passes through, searched for the pool's key."""

import gzip
import zlib

import pytest
from mitmproxy import http
from pydantic import SecretStr

from addons.credentials.screen import LONGEST_ERROR, MOST_AT_ONCE, Echo, KeyScreen
from addons.upstream.encodings import DecodeError

KEY = "sk-pool-number-one-of-two"
STARS = b"*" * len(KEY)


def screened(status: int, coding: str = "") -> tuple[KeyScreen, http.Response]:
    headers = {"x-you": KEY, KEY: "a name", "content-length": "7"}
    response = http.Response.make(status, b"", headers | ({"content-encoding": coding} if coding else {}))
    response.reason = f"is {KEY}"
    screen = KeyScreen(SecretStr(KEY), chunks=True)
    screen.head(response)
    return screen, response


@pytest.mark.parametrize("status", [200, 401])
@pytest.mark.parametrize("coding", ["", "identity", "of-nobody"])
def test_a_plain_answer_keeps_its_length(status: int, coding: str) -> None:
    screen, response = screened(status, coding)
    assert (response.headers["x-you"], response.headers[STARS.decode()]) == (STARS.decode(), "a name")
    assert response.reason == f"is {STARS.decode()}"
    assert screen.feed(b"you are " + KEY[:4].encode()) == b"you are "
    assert screen.feed(KEY[4:].encode() + b" sk-") == STARS + b" "
    assert screen.remainder() == b"sk-"
    assert "transfer-encoding" not in response.headers


def test_trailers_are_searched() -> None:
    screen, _ = screened(200)
    trailers = screen.trailers(http.Headers([(b"x-sum", KEY.encode())]))
    assert trailers["x-sum"] == STARS.decode()


def test_a_compressed_error_is_opened() -> None:
    screen, response = screened(401, "gzip")
    assert response.headers["transfer-encoding"] == "chunked"
    assert not {"content-encoding", "content-length"} & set(response.headers)
    assert screen.feed(gzip.compress(b"you are " + KEY.encode())) == b"you are " + STARS


def test_a_compressed_error_is_not_opened_without_end() -> None:
    screen, _ = screened(500, "gzip")
    with pytest.raises(DecodeError):
        screen.feed(gzip.compress(bytes(LONGEST_ERROR + 1)))


@pytest.mark.parametrize("cut", [1, 20, 40])
def test_a_compressed_answer_keeps_its_bytes_and_breaks_on_an_echo(cut: int) -> None:
    fine, echo = gzip.compress(b"you are a guest"), gzip.compress(b"you are " + KEY.encode())
    screen, response = screened(200, "gzip")
    assert response.headers["content-encoding"] == "gzip"
    assert screen.feed(fine[:cut]) + screen.feed(fine[cut:]) + screen.remainder() == fine
    screen, _ = screened(200, "gzip")
    with pytest.raises(Echo):
        screen.feed(screen.feed(echo[:cut]) and echo[cut:])


@pytest.mark.parametrize("body", [b"no gzip at all", gzip.compress(bytes(MOST_AT_ONCE + (1 << 20)))])
def test_what_cannot_be_searched_is_the_clients_as_it_is(body: bytes) -> None:
    """A part of a file, or one that grows out of all proportion: no echo looks so."""
    screen, _ = screened(206, "gzip")
    assert screen.feed(body) + screen.feed(b"more") + screen.remainder() == body + b"more"


def test_a_key_is_found_in_a_file_that_grows() -> None:
    packer = zlib.compressobj(wbits=31)
    screen, _ = screened(200, "gzip")
    for _ in range(3):
        piece = packer.compress(bytes(MOST_AT_ONCE // 2)) + packer.flush(zlib.Z_SYNC_FLUSH)
        assert screen.feed(piece) == piece
    with pytest.raises(Echo):
        screen.feed(packer.compress(KEY.encode()) + packer.flush())

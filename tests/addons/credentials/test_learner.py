"""An answer that passes through, and what is heard of it."""

import gzip

import pytest
from mitmproxy import http
from pydantic import SecretStr

from addons.credentials.learner import LONGEST_REFUSAL, Learner
from addons.credentials.screen import KeyScreen
from protocols.model.http import Headers
from protocols.model.wirejson import JsonObject

KEY = "sk-pool-number-one-of-two"
SAID = b'{"error": {"message": "slow down, ' + KEY.encode() + b'"}}'


class Ears:
    def __init__(self) -> None:
        self.heard: list[tuple[int, Headers, JsonObject]] = []
        self.learner = Learner(KeyScreen(SecretStr(KEY), chunks=True), self.hear)

    def hear(self, status: int, headers: Headers, body: JsonObject) -> None:
        self.heard.append((status, headers, body))

    def passes(self, status: int, *pieces: bytes, coding: str = "identity") -> bytes:
        response = http.Response.make(status, b"", {"x-a": "1", "content-encoding": coding})
        self.learner.head(response)
        return b"".join([*(self.learner.feed(piece) for piece in pieces), self.learner.remainder()])


def test_the_head_of_an_answer_is_heard_at_once() -> None:
    ears = Ears()
    assert ears.passes(200, b"one ", b"two") == b"one two"
    ((status, headers, body),) = ears.heard
    assert (status, ("x-a", "1") in headers, body) == (200, True, {})


@pytest.mark.parametrize("coding", ["identity", "gzip"])
def test_a_429_is_heard_with_its_body_without_the_key(coding: str) -> None:
    ears = Ears()
    sent = gzip.compress(SAID) if coding == "gzip" else SAID
    passed = ears.passes(429, sent[:20], sent[20:], coding=coding)
    ((status, _, body),) = ears.heard
    assert (status, body) == (429, {"error": {"message": f"slow down, {'*' * len(KEY)}"}})
    assert KEY.encode() not in passed


@pytest.mark.parametrize("body", [b"", b"busy", b"[" * 10, b" " * (2 * LONGEST_REFUSAL) + b"{}"])
def test_a_429_of_another_form_is_heard_without(body: bytes) -> None:
    ears = Ears()
    assert ears.passes(429, body) == body
    assert [(status, said) for status, _, said in ears.heard] == [(429, {})]

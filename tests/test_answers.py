"""Our reader of answers reads as h11 does, and the comparison sees where one does not."""

import random
import re

import pytest

from addons.upstream import http1
from scripts.answers import METHODS, answer, cut, difference, differences, main

COUNT = 10_000


@pytest.mark.parametrize("seed", [1, random.SystemRandom().randrange(1 << 32)], ids=["same", "new"])
def test_ten_thousand_answers_are_read_alike(seed: int) -> None:
    assert next(differences(COUNT // 2, seed), "") == "", f"seed {seed}"


@pytest.mark.parametrize(
    ("name", "lenient"),
    [
        ("_CHUNK", rb"[ \t]*([0-9A-Fa-f]{1,20})(?:;.*)?[ \t]*\r\n"),
        ("_STATUS", rb"HTTP/([0-9]\.[0-9])[ ]+([0-9]{3})(?: ((?:[ \t]|[^\x00\s])*))?"),
        ("_FIELD", rb"([!-9;-~]+)[ \t]*:[ \t]*([^\x00\n]*)"),
        ("_LENGTH", rb"[0-9]{1,30}"),
        ("_BLANK", rb"\r\n\r\n"),
    ],
)
def test_a_reader_that_is_not_strict_is_found(
    monkeypatch: pytest.MonkeyPatch, name: str, lenient: bytes
) -> None:
    pattern = re.compile(lenient)
    monkeypatch.setattr(
        http1, name, getattr(pattern, {"_BLANK": "search", "_CHUNK": "match"}.get(name, "fullmatch"))
    )
    assert next(differences(COUNT, seed=1), "")


@pytest.mark.parametrize("name", ["LARGEST_HEAD", "MOST_INTERIM"])
def test_a_limit_that_is_off_by_a_little_is_found(monkeypatch: pytest.MonkeyPatch, name: str) -> None:
    monkeypatch.setattr(http1, name, getattr(http1, name) + 1)
    start = b"HTTP/1.1 102 Processing\r\n\r\n" * 255 + b"HTTP/1.1 102 Processing\r\n\r\n" * 2
    long = b"HTTP/1.1 200 OK\r\nx: ".ljust(100 * 1024 + 1, b"x")
    assert difference("GET", [start if name == "MOST_INTERIM" else long])


def test_pieces_are_the_whole() -> None:
    dice = random.Random(3)
    for _ in range(100):
        made = answer(dice)
        pieces = list(cut(made, dice))
        assert b"".join(pieces) == made
        assert all(pieces)
    assert {"HEAD", "CONNECT", "POST"} <= set(METHODS)


def test_it_runs(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["--count", "50", "--seed", "2"]) == 0
    assert capsys.readouterr().out == "50 answers read alike\n"

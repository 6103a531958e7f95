"""Plain data as YAML: a parser reads the same out of it, and a person can."""

import time
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from ruamel.yaml import YAML

from rewrite.views.yaml_text import LONGEST_TEXT, yaml_text

LETTERS = st.characters(codec="utf-8", exclude_characters="\r\x85\u2028\u2029")
TEXTS = st.text(LETTERS, max_size=90).map(lambda text: text.rstrip("\n"))
"""Without line breaks of other kinds, which become plain ones, and without those at an end, which go."""
SCALARS = TEXTS | st.integers() | st.floats(allow_nan=False, allow_infinity=False) | st.booleans() | st.none()
DATA = st.recursive(
    SCALARS, lambda inner: st.lists(inner, max_size=4) | st.dictionaries(TEXTS, inner, max_size=4)
)


def read(text: str) -> Any:
    return YAML(typ="safe", pure=True).load(text)


@pytest.mark.parametrize(
    ("value", "text"),
    [
        ({"model": "gpt-5"}, "model: gpt-5\n"),
        ({"said": "one\ntwo"}, "said: |-\n  one\n  two\n"),
        ({"user": ["hi", {"call f": {"x": 1}}]}, "user:\n  - hi\n  - call f:\n      x: 1\n"),
        ({"a": {}, "b": [], "c": None, "d": True}, "a: {}\nb: []\nc: null\nd: true\n"),
        ({"took": "0.05 s", "id": "12e3", "yes": "no"}, 'took: 0.05 s\nid: "12e3"\n"yes": "no"\n'),
    ],
)
def test_it_reads_like_a_page(value: object, text: str) -> None:
    assert yaml_text(value) == text


@given(st.dictionaries(TEXTS, DATA, max_size=4))
def test_a_parser_reads_what_was_said(value: dict[str, object]) -> None:
    assert read(yaml_text(value)) == value


def test_long_lines_are_broken_at_blanks() -> None:
    text = yaml_text({"said": "word " * 50 + "x" * 150 + " end"})
    lines = text.splitlines()[1:]
    assert max(map(len, lines)) == len("  ") + 150
    assert [len(line) for line in lines[:2]] == [101, 101]
    assert " ".join(line.strip() for line in lines) == "word " * 50 + "x" * 150 + " end"


def test_long_texts_are_shortened_and_say_so() -> None:
    text = yaml_text({"said": "x " * LONGEST_TEXT})
    assert len(text) < LONGEST_TEXT * 1.1
    assert f"[... {LONGEST_TEXT:,} characters more]" in text


def test_all_of_it_is_bounded() -> None:
    began = time.process_time()
    text = yaml_text({"all": ["word " * 100] * 100_000}, longest=10_000)
    assert len(text) < 10_200
    assert text.endswith("all of it\n")
    assert time.process_time() - began < 1

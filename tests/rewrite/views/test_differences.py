"""Differences of two values as lines."""

import time

import pytest

from rewrite.views.differences import LONGEST_LINE, MOST_LINES, differences


@pytest.mark.parametrize(
    ("before", "after", "lines"),
    [
        ({"a": 1}, {"a": 1}, []),
        (
            {"a": 1, "b": 2},
            {"a": 3, "b": 2},
            ["  ...", "  {", '-   "a": 1,', '+   "a": 3,', '    "b": 2', "  }"],
        ),
        ("one\ntwo", "one\nthree", ["  ...", "  one", "- two", "+ three"]),
        ("", "new", ["  ...", "- ", "+ new"]),
        ("--- x", "+++ y", ["  ...", "- --- x", "+ +++ y"]),
    ],
)
def test_what_is_other(before: object, after: object, lines: list[str]) -> None:
    assert differences(before, after) == lines


def test_long_lines_are_shortened() -> None:
    (_, _, line) = differences("a", "b" * (LONGEST_LINE + 5))
    assert line.endswith("characters more]")
    assert len(line) < LONGEST_LINE + 40


def test_one_change_in_a_long_request_is_found_at_once() -> None:
    turns = [{"role": "user", "content": f"turn {number}"} for number in range(20_000)]
    began = time.process_time()
    lines = differences({"messages": turns, "model": "a"}, {"messages": turns, "model": "b"})
    assert ('-   "model": "a"' in lines, '+   "model": "b"' in lines) == (True, True)
    assert time.process_time() - began < 1


def test_what_is_wholly_other_is_not_compared() -> None:
    old, new = ("\n".join(f"{word} {n}" for n in range(MOST_LINES + 1)) for word in ("old", "new"))
    assert differences(old, new) == ["  3,001 lines became 3,001: too much to compare"]

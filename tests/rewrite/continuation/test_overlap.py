"""Where a continuation begins to be new: joins that neither repeat nor break words."""

import pytest

from rewrite.continuation.overlap import Join

SAID = "The quick brown fox jumps over the la"
CODE = "def f():\n    return 1\n\n\ndef g():\n    ret"


def joined(said: str, *pieces: str) -> str:
    join = Join(said)
    return "".join([join.feed(piece) for piece in pieces]) + join.close()


def check(said: str, second: str, new: str, size: int) -> None:
    assert joined(said, *(second[at : at + size] for at in range(0, len(second), size))) == new


by_size = pytest.mark.parametrize("size", [1, 3, 1000])


@by_size
@pytest.mark.parametrize(
    ("said", "second", "new"),
    [
        (SAID, "zy dog.", "zy dog."),
        (SAID, " The end.", " The end."),
        (SAID, "A slow red hen", "A slow red hen"),
        ("I saw a", "apple", "apple"),
        ("ha ha", " ha", " ha"),
        ("It was said that", " that is so", " that is so"),
        ("", "anything", "anything"),
        ("Hi", "   ", "   "),
        ("A list:\n- one\n- two\n", "- three\n", "- three\n"),
        ("| a | b |\n|---|", "---|\n| 1 | 2 |", "---|\n| 1 | 2 |"),
        ("[[0, 0, 0, 0, 0, ", "0, 0, 0]", "0, 0, 0]"),
        ("0000000000", "00000001", "00000001"),
        ("# Title\n----------", "----------\ntext", "----------\ntext"),
        (CODE, "urn 2\n", "urn 2\n"),
        ("def f(x):\n    ", "return x", "return x"),
        ("He said: ", '"No." Then', '"No." Then'),
        ("Wait", "... what?", "... what?"),
        ("Run:\n", "```sh\nls\n```", "```sh\nls\n```"),
        ("日本", "語です", "語です"),
        ("cafe", "\u0301 au lait", "\u0301 au lait"),
        ("👩", "\u200d🚀 flies", "\u200d🚀 flies"),
        ("half \ud83d", "\ude00 of it", "\ude00 of it"),
    ],
)
def test_what_is_new_is_sent(said: str, second: str, new: str, size: int) -> None:
    check(said, second, new, size)


@by_size
@pytest.mark.parametrize(
    ("said", "second", "new"),
    [
        (SAID, SAID + "zy dog.", "zy dog."),
        (SAID, "jumps over the lazy dog.", "zy dog."),
        (SAID, "\n\njumps over the lazy dog.", "zy dog."),
        (SAID, "jumps over the la", ""),
        (SAID, "The quick brown fox", ""),
        (SAID, "...jumps over the lazy dog.", "zy dog."),
        (SAID, "\u2026 over the lazy dog.", "zy dog."),
        (SAID, '"jumps over the lazy dog.', "zy dog."),
        (SAID, "`brown fox jumps over the lazy dog.", "zy dog."),
        ("He was qui", "quick.", "ck."),
        ("He was qui", " quick.", "ck."),
        ("He was qui", "quit", "t"),
        ("A quick brown fox", "fox jumps", " jumps"),
        ("Hello", "Hello world", " world"),
        ("a long line\na long line\n", "a long line\n", ""),
        (CODE, "def g():\n    return 2\n", "urn 2\n"),
        (CODE, CODE + "urn 2\n", "urn 2\n"),
        ("日本語は難しいです。", "語は難しいです。しかし", "しかし"),
    ],
)
def test_what_repeats_is_left_out(said: str, second: str, new: str, size: int) -> None:
    check(said, second, new, size)


@by_size
@pytest.mark.parametrize(
    ("said", "second", "new"),
    [
        ("I", "I am", " am"),
        ("I", " I am", " am"),
        ("I ", "I am", "am"),
        ("1.", "1. First\n2. Second", " First\n2. Second"),
        ("1", "1. First", ". First"),
        ("#", "# Title", " Title"),
        ("I", "t is", "t is"),
        ("Yes", "Yes", ""),
        ("  I", "  I am", " am"),
        ("\n\n", "\n\nHello", "Hello"),
        ("\n", "Hello", "Hello"),
        ("\n", "\n    indented", "    indented"),
        (" \n", "   x", "  x"),
    ],
)
def test_very_little_was_said(said: str, second: str, new: str, size: int) -> None:
    check(said, second, new, size)


@by_size
def test_what_stands_in_the_text_but_not_at_its_end_is_no_repetition(size: int) -> None:
    """A refrain, say: all of it was said, and it is the rest nevertheless."""
    said = "First verse.\nRow, row, row your boat.\nSecond verse.\n"
    check(said, "Row, row, row your boat.\n", "Row, row, row your boat.\n", size)


def test_another_wording_cannot_be_distinguished_from_news() -> None:
    second = "Sure, continuing: jumps over the lazy dog."
    assert joined(SAID, second) == second


def test_what_is_new_is_not_held() -> None:
    join = Join(SAID)
    assert [join.feed(text) for text in ("zy", " dog", ".")] == ["zy", " dog", "."]


def test_how_much_was_left_out_is_known() -> None:
    join = Join(SAID)
    assert (join.feed("\njumps over the la"), join.decided, join.repeats) == ("", False, True)
    assert (join.feed("zy"), join.decided, join.repeats) == ("zy", True, False)
    assert join.left_out == len("\njumps over the la")


def test_a_long_repetition_is_found_in_time() -> None:
    """Work grows with the text, not with its square."""
    said = "".join(f"line {number} of many\n" for number in range(20_000))
    assert joined(said, *(said[at : at + 50] for at in range(0, len(said), 50)), "the rest") == "the rest"

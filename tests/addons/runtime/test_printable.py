"""Text of others, as people may read it."""

import logging

import pytest

from addons.runtime.printable import LONGEST_LINE, LONGEST_NAME, Lines, bounded, escaped, shortened, unquoted


@pytest.mark.parametrize(
    ("text", "told"),
    [
        ("gpt-5", "gpt-5"),
        ("naïve 模型 🙂", "naïve 模型 🙂"),
        ("\x1b[31mred\x07", r"\x1b[31mred\x07"),
        ("one\r\ncall=2", r"one\x0d\x0acall=2"),
        ("a\u202eb\u2028c\u2066d", r"a\u202eb\u2028c\u2066d"),
        ("\x7f\x9b1m", r"\x7f\x9b1m"),
        ("lone \ud800", r"lone \ud800"),
    ],
)
def test_what_a_terminal_obeys_is_escaped(text: str, told: str) -> None:
    assert escaped(text) == told


def test_what_is_missing_is_counted() -> None:
    assert shortened("abcdef", 6) == "abcdef"
    assert shortened("abcdefg", 6) == "abcdef... (1 more)"


def test_a_record_keeps_its_shape_and_has_bounds() -> None:
    record = {"model": "m" * 9_999, "words": "w" * 9_999, "n": 1, "attempts": [{"target": "t" * 9_999}]}
    told = bounded(record)
    assert told["n"] == 1
    assert len(told["model"]) < LONGEST_NAME + 20  # type: ignore[arg-type]
    assert len(told["words"]) < LONGEST_LINE + 20  # type: ignore[arg-type]
    assert told["attempts"][0]["target"].startswith("t" * LONGEST_NAME + "...")  # type: ignore[index]
    assert list(bounded({"k" * 9_999: "v"})) == ["k" * LONGEST_NAME + "... (9799 more)"]


def test_each_record_of_a_logger_is_one_line(caplog: pytest.LogCaptureFixture) -> None:
    log = logging.Logger("alone")  # noqa: LOG001  # nobody else's
    log.addFilter(Lines())
    log.addHandler(caplog.handler)
    log.warning("%s of %d: %s", "\x1b[2J", 3, "x" * 5_000)
    (record,) = caplog.records
    assert record.getMessage().startswith(r"\x1b[2J of 3: xxx")
    assert len(record.getMessage()) < LONGEST_LINE + 20


@pytest.mark.parametrize(
    ("message", "kept"),
    [
        ("Invalid header line: b'x-api-key sk-1'", "Invalid header line: (not shown)"),
        ("illegal chunk header: bytearray(b'sk-1')", "illegal chunk header: (not shown)"),
        ('additional_data:b"it\'s sk-1">', "additional_data:(not shown)"),
        ("unknown transfer-encoding header: 'sk-1'", "unknown transfer-encoding header: (not shown)"),
        ("the client's stream was reset (CANCEL)", "the client's stream was reset (CANCEL)"),
    ],
)
def test_a_message_without_what_it_quotes(message: str, kept: str) -> None:
    assert unquoted(message) == kept

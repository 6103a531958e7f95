"""What others wrote, in lines for people: without control characters, and not too long.

A model's name or a provider's message may hold what a terminal obeys, or a line that looks like ours.
"""

import logging
import re
from collections.abc import Mapping

LONGEST_LINE = 2048
LONGEST_NAME = 200
"""Characters of a model's name, or of a target that has one in it."""

_NAMES = frozenset({"model", "target"})
_QUOTED = re.compile(r"""(?<!\w)(?:bytearray\()?b?['"].*""", re.DOTALL)
_UNPRINTABLE = re.compile("[\x00-\x1f\x7f-\x9f\u061c\u200e\u200f\u2028-\u202e\u2066-\u2069\ud800-\udfff]")


def escaped(text: str) -> str:
    r"""`text` with control characters, marks of direction and line separators as `\x1b`, `\u202e`, ..."""
    return _UNPRINTABLE.sub(_escape, text)


def shortened(text: str, longest: int) -> str:
    """At most `longest` characters of `text`, and how many are missing."""
    return text if len(text) <= longest else f"{text[:longest]}... ({len(text) - longest} more)"


def unquoted(message: str) -> str:
    """A message about bytes that could not be read, without these: a key may be among them."""
    return _QUOTED.sub("(not shown)", message)


def line(text: str, longest: int = LONGEST_LINE) -> str:
    return escaped(shortened(text, longest))


def fault(error: BaseException) -> str:
    """The type and place of what was raised, never its text, which may quote what was read."""
    trace = error.__traceback__
    while trace is not None and trace.tb_next is not None:
        trace = trace.tb_next
    where = f"{trace.tb_frame.f_code.co_name}:{trace.tb_lineno}" if trace else "unknown"
    return f"{type(error).__name__} in {where}"


def bounded[T](record: T) -> T:
    """A record of plain data whose texts are lines, those of names short ones."""
    return _bounded(record, LONGEST_LINE)  # type: ignore[return-value]  # same shape, other strings


def _bounded(value: object, longest: int) -> object:
    match value:
        case str():
            return line(value, longest)
        case Mapping():
            return {
                line(str(key), LONGEST_NAME): _bounded(each, LONGEST_NAME if key in _NAMES else LONGEST_LINE)
                for key, each in value.items()
            }
        case list() | tuple():
            return [_bounded(each, longest) for each in value]
        case _:
            return value


class Lines(logging.Filter):
    """Makes a line of each record of a logger."""

    def filter(self, record: logging.LogRecord) -> bool:
        record.msg, record.args = line(record.getMessage()), None
        return True


def _escape(found: re.Match[str]) -> str:
    number = ord(found[0])
    return f"\\x{number:02x}" if number < 0x100 else f"\\u{number:04x}"

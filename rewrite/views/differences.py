"""What became of a value, as lines of a diff: of JSON, written out, or of texts."""

import json
from collections.abc import Iterator, Sequence
from difflib import unified_diff
from itertools import islice

from rewrite.views.yaml_text import shortened

LONGEST_LINE = 400
"""Characters of a line that are shown."""

MOST_LINES = 3_000
"""Lines between the first and the last difference that are compared with one another. More take seconds."""

_AROUND = 2
"""Lines that stand around a difference."""


def differences(before: object, after: object) -> list[str]:
    """Lines that begin with `-`, `+` or a space. None where both are the same."""
    old, new = lines_of(before), lines_of(after)
    same_first = _alike(old, new)
    same_last = _alike(old[same_first:][::-1], new[same_first:][::-1])
    first, last = max(0, same_first - _AROUND), max(0, same_last - _AROUND)
    old, new = old[first : len(old) - last], new[first : len(new) - last]
    if max(len(old), len(new)) > MOST_LINES:
        return [f"  {len(old):,} lines became {len(new):,}: too much to compare"]
    return [shortened_line(each) for each in _hunks(old, new)]


def _alike(old: Sequence[str], new: Sequence[str]) -> int:
    """How many lines at the beginning are the same."""
    return next(
        (at for at, (one, other) in enumerate(zip(old, new, strict=False)) if one != other),
        min(len(old), len(new)),
    )


def _hunks(old: Sequence[str], new: Sequence[str]) -> Iterator[str]:
    """Without the names of files and the numbers of lines."""
    for line in islice(unified_diff(old, new, n=_AROUND, lineterm=""), 2, None):
        if line.startswith("@@"):
            yield "  ..."
        else:
            yield f"{line[0]} {line[1:]}"


def lines_of(value: object) -> list[str]:
    """A text line by line, anything else as JSON."""
    text = value if isinstance(value, str) else json.dumps(value, indent=2, ensure_ascii=False)
    return text.split("\n")


def shortened_line(line: str) -> str:
    return shortened(line, LONGEST_LINE).replace("\n", " ")

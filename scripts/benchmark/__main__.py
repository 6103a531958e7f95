"""Compares and prints: python -m scripts.benchmark [--quick] [--only TEXT] [--ways NAME ...] [--write]"""

import argparse
import asyncio
import sys
import tempfile
from collections.abc import Sequence
from pathlib import Path

from scripts.benchmark import selection, stated
from scripts.benchmark.comparison import Comparison
from scripts.benchmark.report import is_worse, table
from scripts.benchmark.rows import chosen
from scripts.benchmark.ways import WAYS, Lab

ROUNDS = 5
QUICK_ROUNDS = 3


def run(comparison: Comparison, rounds: int, *, write: bool) -> Sequence[str]:
    """Measure all and print the table; the titles of the rows that are worse than the document says."""
    with tempfile.TemporaryDirectory() as name, Lab(Path(name)) as lab:
        asyncio.run(comparison.run(lab, rounds))
    text = stated.DOCUMENT.read_text(encoding="utf-8")
    rows, said = comparison.rows(), stated.ratios(text)
    print(*table(rows, said), sep="\n")
    print(*(f"not measured: {reason}" for reason in comparison.missing), sep="\n")
    if write:
        stated.DOCUMENT.write_text(stated.written(text, rows), encoding="utf-8")
        return []
    return [row.title for row in rows if is_worse(row, said)]


def select(texts: Sequence[str]) -> bool:
    """Whether it takes too long to select a credential, if that is asked for; it is measured in this process,
    and beside nothing."""
    if texts and not any(text in selection.TITLE for text in texts):
        return False
    found = selection.measured()
    print(*selection.lines(found), sep="\n")
    return selection.is_worse(found)


def main() -> None:
    parser = argparse.ArgumentParser(
        prog="scripts/bench", description="What rotator costs beside a bare mitmdump."
    )
    parser.add_argument("--quick", action="store_true", help="few rounds of few calls, without 500 streams")
    parser.add_argument("--rounds", type=int, help=f"interleaved rounds ({ROUNDS}, or {QUICK_ROUNDS})")
    parser.add_argument(
        "--only",
        action="append",
        default=[],
        metavar="TEXT",
        help="rows whose title has TEXT; may come again",
    )
    parser.add_argument("--ways", nargs="+", choices=WAYS, default=list(WAYS), help="these ways alone")
    parser.add_argument(
        "--write", action="store_true", help="put the figures into docs/measurements.md, fail never"
    )
    asked = parser.parse_args()
    if sys.platform != "linux":
        parser.error("the CPU and memory of another process are read as Linux gives them")
    comparison = Comparison(chosen(asked.only, quick=asked.quick), asked.ways)
    too_slow = select(asked.only)
    worse = run(comparison, asked.rounds or (QUICK_ROUNDS if asked.quick else ROUNDS), write=asked.write)
    if worse:
        sys.exit(f"more than 15 % worse than docs/measurements.md says: {'; '.join(worse)}")
    if too_slow:
        sys.exit(f"slower than it may be: {selection.TITLE}")


if __name__ == "__main__":
    main()

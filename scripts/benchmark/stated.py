"""The tables in docs/measurements.md that say what rotator costs: the one place where the figures are.

A table whose first column is called `load` has a row for each that is measured, by its title. The columns
after it are called by ways. The last one is what a comparison is held to; where it is empty, to nothing.
"""

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from statistics import median

from scripts.benchmark.report import Row, number

DOCUMENT = Path(__file__).parents[2] / "docs" / "measurements.md"
_LOAD = "load"


@dataclass(frozen=True, slots=True)
class Line:
    """A row of a table."""

    index: int
    """Of its line in the text."""
    ways: Sequence[str]
    """The first words of the columns between the first and the last."""
    cells: Sequence[str]

    @property
    def title(self) -> str:
        return self.cells[0]


def ratios(text: str) -> Mapping[str, float]:
    """By title, the ratio of each row that has one."""
    return {line.title: float(line.cells[-1]) for line in _lines(text) if line.cells[-1]}


def titles(text: str) -> list[str]:
    """Those of all rows, in their order."""
    return [line.title for line in _lines(text)]


def written(text: str, rows: Iterable[Row]) -> str:
    """`text` with the medians of these rows in their places. What was not measured stays."""
    measured = {row.title: row for row in rows if row.ratio is not None}
    lines = text.splitlines(keepends=True)
    for line in _lines(text):
        if line.title in measured:
            lines[line.index] = _written(measured[line.title], line)
    return "".join(lines)


def _written(row: Row, line: Line) -> str:
    values = [row.values.get(way) for way in line.ways]
    cells = [f"{number(median(value))} {row.unit}" if value else "" for value in values]
    return f"| {row.title} | {' | '.join(cells)} | {row.ratio:.2f} |\n".replace("|  |", "| |")


def _lines(text: str) -> Iterator[Line]:
    ways: Sequence[str] | None = None
    for index, line in enumerate(text.splitlines()):
        cells = [cell.strip() for cell in line.strip().removeprefix("|").removesuffix("|").split("|")]
        if not line.startswith("|"):
            ways = None
        elif cells[0] == _LOAD:
            ways = [cell.split()[0] for cell in cells[1:-1]]
        elif ways is not None and cells[0].strip("-"):
            yield Line(index, ways, cells)

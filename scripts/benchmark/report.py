"""What was measured, for a person: medians with their spread, and the last way beside the one before it."""

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from statistics import median

MOST = 1.15
"""How often a row may cost what it costs according to docs/measurements.md."""


@dataclass(frozen=True, slots=True)
class Row:
    """A number that is to be small, by way."""

    title: str
    unit: str
    ways: Sequence[str]
    """Their names; the last is compared with the one before it."""
    values: Mapping[str, Sequence[float]] = field(default_factory=dict)
    """By way: of each round, in their order."""

    @property
    def ratios(self) -> list[float]:
        """The last way beside the one before it, in each round by itself, so that drift cancels."""
        other, ours = (self.values.get(name, ()) for name in self.ways[-2:])
        return [one / two for one, two in zip(ours, other, strict=False) if two]

    @property
    def ratio(self) -> float | None:
        """The median over the rounds."""
        return median(self.ratios) if self.ratios else None


def is_worse(row: Row, said: Mapping[str, float]) -> bool:
    """`said`: by title, the ratio that docs/measurements.md states."""
    return row.ratio is not None and row.title in said and row.ratio > said[row.title] * MOST


def percentile(values: Sequence[float], share: float) -> float:
    """The value that `share` of all are not above."""
    ordered = sorted(values)
    return ordered[min(int(share * len(ordered)), len(ordered) - 1)]


def number(value: float) -> str:
    """Three digits that say something."""
    return f"{value:.{max(0, 2 - len(str(int(value))) + 1) if value >= 1 else 3}f}"


def table(rows: Sequence[Row], said: Mapping[str, float]) -> Iterator[str]:
    """Lines of text; rows of the same ways stand under one heading."""
    ways: Sequence[str] = ()
    for row in rows:
        if row.ways != ways:
            ways = row.ways
            yield _line("", ways, (f"{ways[-1]} / {ways[-2]}", "stated"))
        shown = [_spread(row.values.get(name, ()), row.unit) for name in ways]
        stated = f"{said[row.title]:.2f}" if row.title in said else "-"
        yield _line(row.title, shown, (_spread(row.ratios), stated + " WORSE" * is_worse(row, said)))


def _line(title: str, cells: Iterable[str], compared: Iterable[str]) -> str:
    return f"{title:<63}" + "".join(f"{cell:>26}" for cell in (*cells, *compared)).rstrip()


def _spread(values: Sequence[float], unit: str = "") -> str:
    if not values:
        return "-"
    shown = number if unit else "{:.2f}".format
    said = f"{shown(median(values))} {unit}".rstrip()
    return f"{said} ({shown(min(values))}..{shown(max(values))})"

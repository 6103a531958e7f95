"""What was measured, as a table for a person: medians over the rounds, and rotator beside the bare proxy."""

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from statistics import median

type Samples = Mapping[str, Sequence[float]]
"""By target (direct, bare, rotator): the value of each round, in the order of the rounds."""


@dataclass(frozen=True, slots=True)
class Row:
    """One quantity. `columns`: two or three names of targets, the last compared with the one before it."""

    title: str
    samples: Samples
    columns: Sequence[str] = ("direct", "bare", "rotator")

    @property
    def ratio(self) -> float | None:
        """The median over the rounds of the ratio within each round, so that drift cancels."""
        ours, other = (self.samples.get(name, ()) for name in (self.columns[-1], self.columns[-2]))
        pairs = list(zip(ours, other, strict=True))
        return median(one / two for one, two in pairs) if pairs else None


TRANSLATED = ("rotator", "translated")
MOST_FOR_TRANSLATION = 3.0
"""What an event may cost that is translated, beside one that is passed on."""


def too_dear(rows: Iterable[Row]) -> list[str]:
    """The titles of the rows in which a translated event costs too much."""
    events = [row for row in rows if row.columns == TRANSLATED and "per event" in row.title]
    return [row.title for row in events if row.ratio is not None and row.ratio >= MOST_FOR_TRANSLATION]


def percentile(values: Sequence[float], share: float) -> float:
    """The value that `share` of all are not above."""
    ordered = sorted(values)
    return ordered[min(int(share * len(ordered)), len(ordered) - 1)]


def table(rows: Sequence[Row]) -> Iterator[str]:
    """Lines of text; rows with the same columns stand under one heading."""
    columns: Sequence[str] = ()
    for row in rows:
        if row.columns != columns:
            columns = row.columns
            yield _line("", columns, f"{columns[-1]}/{columns[-2]}")
        shown = [_value(row.samples.get(name, ())) for name in columns]
        yield _line(row.title, shown, "-" if row.ratio is None else f"{row.ratio:.2f}")


def _line(title: str, cells: Sequence[str], ratio: str) -> str:
    return f"{title:<46}" + "".join(f"{cell:>12}" for cell in cells) + f"{ratio:>16}"


def _value(values: Sequence[float]) -> str:
    return f"{median(values):.3f}" if values else "-"

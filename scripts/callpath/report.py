"""What the steps of one call come to, and how that is shown."""

import json
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass

from scripts.callpath.probe import Pair


@dataclass(frozen=True, slots=True)
class Way:
    """The way of one call."""

    pairs: Mapping[Pair, int]
    """How often one step came right after another."""

    @classmethod
    def read(cls, text: str) -> "Way":
        """From what the probe prints after its mark."""
        return cls({(tuple(before), tuple(step)): times for (before, step), times in json.loads(text)})

    @property
    def entered(self) -> Counter[str]:
        """How often a function of each file started or was resumed."""
        return _summed((step[0], times) for (_, step), times in self.pairs.items())

    @property
    def moves(self) -> Counter[str]:
        """How often control went from one file to another."""
        return _summed((f"{before[0]} -> {step[0]}", times) for (before, step), times in self._moves())

    @property
    def functions(self) -> Counter[str]:
        """How often control went from a function of one file to a function of another."""
        between = ((":".join(before), ":".join(step), times) for (before, step), times in self._moves())
        return _summed((f"{before} -> {step}", times) for before, step, times in between)

    def _moves(self) -> Iterator[tuple[Pair, int]]:
        for (before, step), times in self.pairs.items():
            if before[0] not in ("", step[0]):
                yield (before, step), times


def _summed(counted: Iterable[tuple[str, int]]) -> Counter[str]:
    total: Counter[str] = Counter()
    for name, times in counted:
        total[name] += times
    return total


def table(title: str, way: Way, most: int, *, functions: bool) -> Iterator[str]:
    """`most`: how many moves are named, the most frequent first; `functions`: name these, not their files."""
    entered, moves = way.entered, way.functions if functions else way.moves
    yield f"{title}: {len(entered)} files, {moves.total()} moves"
    yield "\n  steps  file"
    yield from _rows(entered.most_common())
    yield f"\n  moves  from -> to ({min(most, len(moves))} of {len(moves)})"
    yield from _rows(moves.most_common(most))


def _rows(counted: Iterable[tuple[str, int]]) -> Iterator[str]:
    # Equal ones by name: the same way gives the same table.
    for name, times in sorted(counted, key=lambda row: (-row[1], row[0])):
        yield f"  {times:5}  {name}"

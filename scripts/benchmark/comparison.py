"""Rounds of measurements, and what they have yielded."""

import sys
from collections import defaultdict
from collections.abc import Collection, Sequence

from scripts.benchmark.measures import NotMeasured
from scripts.benchmark.report import Row
from scripts.benchmark.rows import Group
from scripts.benchmark.ways import Lab


class Comparison:
    """Some groups of rows on some ways."""

    def __init__(self, groups: Sequence[Group], ways: Collection[str]) -> None:
        self._groups, self._ways = groups, ways
        self._values: dict[tuple[str, str], list[float]] = defaultdict(list)
        self.missing: set[str] = set()
        """Why something could not be measured."""

    async def run(self, lab: Lab, rounds: int) -> None:
        """So many rounds, each of which takes every group on every way."""
        for number in range(rounds):
            for group in self._groups:
                if number < group.most_rounds:
                    print(f"round {number + 1} of {rounds}: {group.rows[0].title}", file=sys.stderr)
                    await self._round(lab, group, number)

    async def _round(self, lab: Lab, group: Group, number: int) -> None:
        for name in turned([name for name in group.ways if name in self._ways], number):
            try:
                taken = await group.measure.take(lab, name)
            except NotMeasured as error:
                self.missing.add(str(error))
                return
            for quantity, value in zip(group.rows, taken, strict=False):
                self._values[quantity.title, name].append(value)

    def rows(self) -> list[Row]:
        """All that was asked for, measured or not."""
        return [
            Row(
                each.title,
                each.unit,
                group.columns,
                {way: self._values[each.title, way] for way in group.ways},
            )
            for group in self._groups
            for each in group.rows
        ]


def turned[T](items: Sequence[T], by: int) -> list[T]:
    """Another one is first in each round."""
    start = by % len(items) if items else 0
    return [*items[start:], *items[:start]]

"""Runs the comparison and prints it: python -m scripts.benchmark [--rounds N] [--quick]"""

import argparse
import asyncio
import sys
import tempfile
from collections import defaultdict
from collections.abc import Sequence
from contextlib import AsyncExitStack
from dataclasses import dataclass
from pathlib import Path
from statistics import median

from scripts.benchmark.client import Client, Seen
from scripts.benchmark.provider import Load
from scripts.benchmark.report import MOST_FOR_TRANSLATION, TRANSLATED, Row, percentile, table, too_dear
from scripts.benchmark.targets import Target, provider, targets

LONG = Load(events=2000)
SLOW = Load(events=3600, gap=1.0)
STREAMS = 200
PATIENCE = 60.0
"""Seconds that the calls of one scenario may take in a round before the run is given up."""


@dataclass(frozen=True, slots=True)
class Scenario:
    """`calls` one after the other on one connection, in each round."""

    name: str
    load: Load
    calls: int

    @property
    def events(self) -> int:
        return self.calls * self.load.events


SCENARIOS = (
    Scenario("short", Load(events=20), calls=50),
    Scenario("one by one", LONG, calls=1),
    Scenario("bursts", Load(events=2000, burst=50), calls=5),
)
QUICK = (
    Scenario("short", Load(events=20), calls=20),
    Scenario("one by one", Load(events=500), calls=1),
    Scenario("bursts", Load(events=2000, burst=50), calls=1),
)


class Samples:
    """What the rounds have yielded, by quantity and target."""

    def __init__(self) -> None:
        self._values: dict[str, dict[str, list[float]]] = defaultdict(lambda: defaultdict(list))

    def add(self, title: str, target: str, value: float) -> None:
        self._values[title][target].append(value)

    def rows(self, columns: Sequence[str], about: str = "") -> list[Row]:
        """Those whose title holds `about`."""
        return [Row(title, values, columns) for title, values in self._values.items() if about in title]


async def compare(ways: Sequence[Target], scenarios: Sequence[Scenario], rounds: int) -> list[Row]:
    """All rounds of all scenarios, interleaved."""
    samples = Samples()
    for way in ways:
        await _call(way, scenarios[0])  # warm: certificates, imports, the first connection
    for number in range(rounds):
        for scenario in scenarios:
            for way in _turned(ways, number):
                await _measure(way, scenario, samples)
    return [*samples.rows(("direct", "bare", "rotator")), *samples.rows(TRANSLATED, "CPU")]


def _turned[T](items: Sequence[T], by: int) -> list[T]:
    start = by % len(items)
    return [*items[start:], *items[:start]]


async def _measure(way: Target, scenario: Scenario, samples: Samples) -> None:
    before = way.cpu() if way.tunnel else 0.0
    seen = await _call(way, scenario)
    if way.tunnel:
        used = (way.cpu() - before) * 1000
        samples.add(f"{scenario.name}: CPU ms per event", way.name, used / scenario.events)
        samples.add(f"{scenario.name}: CPU ms per call", way.name, used / scenario.calls)
    if scenario.calls > 1:
        first = [one.first_token * 1000 for one in seen]
        samples.add(f"{scenario.name}: first token ms, median", way.name, median(first))
        samples.add(f"{scenario.name}: first token ms, p95", way.name, percentile(first, 0.95))
    # 1 where each event came by itself: else costs per event are not comparable.
    reads = sum(one.reads for one in seen) / scenario.events
    samples.add(f"{scenario.name}: reads per event", way.name, reads)


async def _call(way: Target, scenario: Scenario) -> list[Seen]:
    async with asyncio.timeout(PATIENCE), await Client.connect(way) as client:
        return [await client.call(scenario.load) for _ in range(scenario.calls)]


async def memory(ways: Sequence[Target]) -> list[Row]:
    """Resident memory of fresh proxies, before anything and with many slow streams open."""
    samples = Samples()
    for way in ways:
        if way.tunnel and way.name != "translated":
            samples.add("memory MB, idle", way.name, way.resident())
            samples.add(f"memory MB, {STREAMS} slow streams", way.name, await _with_streams(way))
    return samples.rows(("direct", "bare", "rotator"))


async def _with_streams(way: Target) -> float:
    async with asyncio.timeout(PATIENCE), AsyncExitStack() as stack:
        for _ in range(STREAMS):
            client = await stack.enter_async_context(await Client.connect(way))
            await client.first_token(SLOW)
        return way.resident()


def run(scenarios: Sequence[Scenario], rounds: int) -> list[str]:
    """Measure all and print the table; the titles of the rows that are above what they may cost."""
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        with provider(folder) as served, targets(folder, served) as ways:
            rows = asyncio.run(memory(ways))
            rows += asyncio.run(compare(ways, scenarios, rounds))
    print(*table(rows), sep="\n")
    return too_dear(rows)


def main() -> None:
    parser = argparse.ArgumentParser(
        prog="scripts/bench", description="What rotator costs beside a bare mitmdump."
    )
    parser.add_argument("--rounds", type=int, default=5, help="interleaved rounds (default 5)")
    parser.add_argument("--quick", action="store_true", help="two rounds of shorter streams")
    chosen = parser.parse_args()
    if sys.platform != "linux":
        parser.error("the CPU and memory of another process are read as Linux gives them")
    dear = run(QUICK if chosen.quick else SCENARIOS, 2 if chosen.quick else chosen.rounds)
    if dear:
        sys.exit(f"translating costs {MOST_FOR_TRANSLATION:g} times as much as passing on, or more: {dear}")


if __name__ == "__main__":
    main()

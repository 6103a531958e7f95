"""Runs it and prints a table and a verdict:

python -m scripts.soaking [--minutes N] [--streams N] [--trace-memory]
"""

import argparse
import asyncio
import json
import logging
import re
import ssl
import sys
import tempfile
import time
import urllib.request
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from addons.mitm.flows import QUIET
from scripts.soaking.client import Tally, Worker
from scripts.soaking.faults import Provider
from scripts.soaking.judging import checker
from scripts.soaking.verdict import (
    HEADING,
    JUDGED,
    WARM_UP,
    Leftovers,
    Sample,
    minute,
    of_leftovers,
    of_memory,
)
from tests.e2e import inside
from tests.e2e.proxy import ADDON, Proxy
from tests.vendor import Vendor, VendorThread

MINUTE = 60.0
LONGER = 3
"""How many times as long as was asked for a run may take, until it has made enough calls."""

TRACED = {"PYTHONTRACEMALLOC": "4"}
"""How many callers are named of a place that takes memory. It doubles what the process takes."""

ROUNDS = 4
"""At the end of each all clients leave, and memory is read. The first is the warm-up."""

SETTLING = 45.0
"""Seconds in which all has to be gone after the last client."""

REST = 2 * QUIET + 2
"""Seconds after which memory was given back that is not used."""

_NAMES = ("openai", "anthropic", "gemini", "ollama_cloud")
_CONFIG = """
[streaming]
first_event_timeout = 2
first_token_timeout = 2
slow_start_timeout = 2
stall_timeout = 2
heartbeat_interval = 1
[retry]
deadline = 10
"""
_RESIDENT = re.compile(r"VmRSS:\s+(\d+) kB")


@dataclass(slots=True)
class Soak:
    """One run against one proxy: a sample `every` so many seconds, and so many of `rest` after each round."""

    proxy: Proxy
    vendor: VendorThread
    minutes: float
    streams: int
    every: float = 5.0
    rest: float = REST
    traced: bool = False
    tally: Tally = field(default_factory=Tally)
    rests: list[Sample] = field(default_factory=list)
    """What was read when all clients had left."""
    lines: int = 0

    async def run(self) -> int:
        """The exit status."""
        check, judge = checker()
        print(f"{self.streams} streams at once for {self.minutes:g} minutes, judged by {judge}\n{HEADING}")
        before = after = await self._leftovers()
        trust = ssl.create_default_context(cafile=str(self.proxy.ca))
        made = (self.proxy.port, trust, check, self.tally)
        workers = [Worker(*made, seed) for seed in range(self.streams)]
        for number in range(1, ROUNDS + 1):
            await self._round(workers, number)
            after = await self._rest(before, number)
        await self._show_memory("when all are gone")
        return self._verdict(before, after)

    async def _round(self, workers: Sequence[Worker], number: int) -> None:
        over = asyncio.Event()
        async with asyncio.TaskGroup() as group:
            for worker in workers:
                group.create_task(worker.run(over))
            await self._watch(number)
            if number == ROUNDS:
                await self._show_memory("while all streams run")
            over.set()

    async def _rest(self, before: Leftovers, number: int) -> Leftovers:
        """What is left when all clients have left, and the memory that is still taken."""
        leftovers = await self._settled(before)
        await asyncio.sleep(self.rest)
        self.rests.append(await self._sample())
        print(f"{'rest':>6}{self.tally.calls:>9}{self.rests[-1].resident:>11.1f}", flush=True)
        return leftovers

    async def _show_memory(self, when: str) -> None:
        """What holds memory, as Python sees it; the remainder is TLS's, and what the allocator keeps."""
        if self.traced:
            answer = await self._ask("memory")
            seen, all_of_it = answer["traced"] / 1e6, self._resident()
            print(f"memory {when}: {seen:.0f} MB of Python's objects, {all_of_it:.0f} MB resident")
            print(*answer["top"], sep="\n")

    async def _watch(self, number: int) -> None:
        """Until the round of this number is over, with a line for each minute."""
        began, samples = time.monotonic(), list[Sample]()
        while self._goes_on(time.monotonic() - began, number):
            await asyncio.sleep(self.every)
            samples.append(await self._sample())
            self.vendor.requests.clear()
            if len(samples) * self.every >= MINUTE:
                self._minute(samples)
        if samples:
            self._minute(samples)

    def _minute(self, samples: list[Sample]) -> None:
        self.lines += 1
        print(minute(self.lines, samples, self.tally.calls), flush=True)
        samples.clear()

    def _goes_on(self, seconds: float, number: int) -> bool:
        enough = self.tally.calls >= WARM_UP + JUDGED * (number - 1) / (ROUNDS - 1)
        return seconds < self.minutes * MINUTE / ROUNDS * (1 if enough else LONGER)

    async def _sample(self) -> Sample:
        answer = await self._ask("tasks")
        return Sample(self._resident(), self._descriptors(), answer["tasks"], self.tally.calls)

    def _resident(self) -> float:
        found = _RESIDENT.search(Path(f"/proc/{self.proxy.process.pid}/status").read_text())
        return int(found[1]) / 1024 if found else 0.0

    def _descriptors(self) -> int:
        return sum(1 for _ in Path(f"/proc/{self.proxy.process.pid}/fd").iterdir())

    async def _ask(self, what: str) -> dict[str, Any]:
        return await asyncio.to_thread(_asked, self.proxy.url, what)

    async def _leftovers(self) -> Leftovers:
        answer = await self._ask("calls")
        return Leftovers(self._descriptors(), answer["tasks"], answer["calls"], self.vendor.open_connections)

    async def _settled(self, before: Leftovers) -> Leftovers:
        """What is left once nothing more goes, or in the end."""
        end = time.monotonic() + SETTLING
        leftovers = await self._leftovers()
        while list(of_leftovers(before, leftovers, self.streams)) and time.monotonic() < end:
            leftovers = await self._leftovers()
        return leftovers

    def _verdict(self, before: Leftovers, after: Leftovers) -> int:
        ends = ", ".join(f"{how} {number}" for how, number in sorted(self.tally.ends.items()))
        print(f"{self.tally.calls} calls: {ends}; {len(self.tally.failures)} were not as they have to be")
        print(f"before: {before}\nafter:  {after}")
        found = [
            *of_memory(self.rests),
            *of_leftovers(before, after, self.streams),
            *self.tally.failures[:5],
        ]
        print(*(found or ["memory is flat, nothing is left, no frame is corrupt"]), sep="\n")
        return 1 if found else 0


def _asked(proxy: str, what: str) -> dict[str, Any]:
    handler = urllib.request.ProxyHandler({"http": proxy})
    with urllib.request.build_opener(handler).open(f"http://{inside.HOST}/{what}", timeout=30) as answer:
        found: dict[str, Any] = json.loads(answer.read())
    return found


def config(base_url: str) -> str:
    """The providers of all protocols at the fake one, with two keys each."""
    keys = '{ name = "one", key = "env:ONE" }, { name = "two", key = "env:TWO" }'
    tables = (f'[providers.{name}]\nbase_url = "{base_url}"\ncredentials = [{keys}]\n' for name in _NAMES)
    return _CONFIG + "".join(tables)


def soak(
    minutes: float, streams: int, every: float = 5.0, rest: float = REST, *, traced: bool = False
) -> int:
    """The exit status of a run."""
    # The fake provider's loop warns of every client that left while it was writing.
    logging.getLogger("asyncio").setLevel(logging.ERROR)
    with tempfile.TemporaryDirectory() as name, VendorThread(Vendor(tls=True, default=Provider())) as vendor:
        options = ("--set", f"ssl_verify_upstream_trusted_ca={vendor.ca_path}", "--set", "flow_detail=0")
        scripts = (ADDON, Path(inside.__file__))
        keys = {"ONE": "sk-pool-one", "TWO": "sk-pool-two"} | (TRACED if traced else {})
        with Proxy(
            Path(name), config(vendor.base_url), keys=keys, options=options, scripts=scripts, forked=False
        ) as proxy:
            return asyncio.run(Soak(proxy, vendor, minutes, streams, every, rest, traced).run())


def main(arguments: Sequence[str] | None = None) -> int:
    parser = argparse.ArgumentParser(prog="scripts/soak", description="Flat memory under mixed faults.")
    parser.add_argument("--minutes", type=float, default=10.0, help="how long at least (default 10)")
    parser.add_argument("--streams", type=int, default=100, help="how many at once (default 100)")
    parser.add_argument("--trace-memory", action="store_true", help="print what holds memory (slower)")
    chosen = parser.parse_args(arguments)
    if sys.platform != "linux":
        parser.error("the memory of another process is read as Linux gives it")
    if not 0 < chosen.minutes <= 240:
        parser.error("--minutes is more than 0 and at most 240")
    return soak(chosen.minutes, chosen.streams, traced=chosen.trace_memory)


if __name__ == "__main__":
    sys.exit(main())

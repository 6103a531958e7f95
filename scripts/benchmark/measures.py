"""What is measured on one way in one round."""

import asyncio
import json
from collections.abc import Sequence
from dataclasses import dataclass
from statistics import median
from typing import Protocol

from scripts import sdks
from scripts.benchmark.client import Client
from scripts.benchmark.loads import NOTHING, Bulk, Load
from scripts.benchmark.ways import Door, Lab, Way
from tests.e2e.proxy import ROOT

PATIENCE = 120.0
"""Seconds that the calls of one measurement may take before the run is given up."""
SDK = "openai-current"
_SDK_USER = ROOT / "tests" / "e2e" / "clients" / "first_token.py"


class NotMeasured(Exception):
    """Something that it needs is missing; the text says what."""


class Measure(Protocol):
    """Yields a value for each row of its group, or for the first of them."""

    async def take(self, lab: Lab, name: str) -> Sequence[float]:
        """Of the way of this name. Raises NotMeasured."""
        ...


@dataclass(frozen=True, slots=True)
class Cpu:
    """Milliseconds of the proxy's CPU for a call, or for an event of it."""

    load: Load
    calls: int
    """One after the other."""
    bulk: Bulk = NOTHING
    an_event: bool = False
    """The cost of an event, not of a call."""
    secure: bool = False
    """The provider is on TLS."""
    kept: bool = True
    """All calls on one connection of the client, which is open before."""

    async def take(self, lab: Lab, name: str) -> Sequence[float]:
        way = lab.way(name)
        door = way.secure if self.secure else way.plain
        async with asyncio.timeout(PATIENCE):
            used = await (self._on_one(way, door) if self.kept else self._on_many(way, door))
        return [used * 1000 / self.calls / (self.load.events if self.an_event else 1)]

    async def _on_one(self, way: Way, door: Door) -> float:
        async with await Client.connect(door) as client:
            await client.call(self.load, self.bulk)
            before = way.cpu()
            for _ in range(self.calls):
                await client.call(self.load, self.bulk)
            return way.cpu() - before

    async def _on_many(self, way: Way, door: Door) -> float:
        before = way.cpu()
        for _ in range(self.calls):
            async with await Client.connect(door) as client:
                await client.call(self.load, self.bulk)
        return way.cpu() - before


@dataclass(frozen=True, slots=True)
class CpuAndMemory:
    """Milliseconds of CPU, and the MB that the process has afterwards."""

    cpu: Cpu

    async def take(self, lab: Lab, name: str) -> Sequence[float]:
        return [*await self.cpu.take(lab, name), lab.way(name).resident()]


@dataclass(frozen=True, slots=True)
class FirstToken:
    """Milliseconds until a call's first token: the median over calls on one kept connection."""

    load: Load
    calls: int

    async def take(self, lab: Lab, name: str) -> Sequence[float]:
        async with asyncio.timeout(PATIENCE), await Client.connect(lab.way(name).plain) as client:
            await client.call(self.load, NOTHING)
            return [median([await client.call(self.load, NOTHING) for _ in range(self.calls)]) * 1000]


@dataclass(frozen=True, slots=True)
class OfficialSdk:
    """Milliseconds until the first token that a user of the openai SDK gets: the median over calls."""

    calls: int
    kept: bool
    """All calls in one tunnel; else each in a new one."""

    async def take(self, lab: Lab, name: str) -> Sequence[float]:
        door = lab.way(name).secure
        try:
            python = sdks.interpreter(SDK)
        except sdks.SdkMissing as error:
            raise NotMeasured(str(error)) from None
        proxy = f"http://127.0.0.1:{door.port}" if door.tunnel else ""
        url = f"https://{door.tunnel or f'{door.host}:{door.port}'}/v1"
        arguments = (url, str(door.ca), proxy, str(self.calls), "kept" if self.kept else "new")
        process = await asyncio.create_subprocess_exec(
            python, _SDK_USER, *arguments, stdout=asyncio.subprocess.PIPE, env={}
        )
        async with asyncio.timeout(PATIENCE):
            said, _ = await process.communicate()
        return [median(json.loads(said)) * 1000]

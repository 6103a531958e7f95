"""Many slow streams at once: how late their events are, and what a stream costs."""

import asyncio
import re
import time
from collections.abc import Sequence
from contextlib import AsyncExitStack
from dataclasses import dataclass, field
from typing import Self

from scripts.benchmark.client import Client
from scripts.benchmark.loads import NOTHING, Load
from scripts.benchmark.measures import PATIENCE
from scripts.benchmark.report import percentile
from scripts.benchmark.ways import Door, Lab

AT_ONCE = 10
"""Streams that are opened together."""
REST = 1.0
"""Seconds between the last one's begin and the measurement."""
_STAMP = re.compile(rb"@(\d{19})")


@dataclass(frozen=True, slots=True)
class Streams:
    """Many slow streams at once on a fresh proxy.

    Yields the milliseconds on their way that 99 % of the events are below. Of a proxy also the milliseconds
    of CPU for an event, the KiB for a stream, and the MB before there was any.
    """

    streams: int
    gap: float
    """Seconds between two events of a stream."""
    seconds: float
    """How long they are watched once all are open."""

    async def take(self, lab: Lab, name: str) -> Sequence[float]:
        with lab.fresh(name) as way:
            idle = way.resident()
            async with AsyncExitStack() as stack, Watch() as watch:
                await self._open(stack, way.plain, watch)
                await asyncio.sleep(REST)
                before = way.cpu()
                delays = await watch.during(self.seconds)
                used, resident = way.cpu() - before, way.resident()
        late = percentile(delays, 0.99) * 1000
        if not way.pid:
            return [late]
        return [late, used * 1000 / len(delays), (resident - idle) * 1024 / self.streams, idle]

    async def _open(self, stack: AsyncExitStack, door: Door, watch: "Watch") -> None:
        async with asyncio.timeout(PATIENCE):
            while len(watch.readers) < self.streams:
                clients = await asyncio.gather(*(self._stream(door) for _ in range(AT_ONCE)))
                for client in clients:
                    await stack.enter_async_context(client)
                    watch.readers.append(asyncio.create_task(watch.read(client)))

    async def _stream(self, door: Door) -> Client:
        client = await Client.connect(door)
        await client.begin(Load(1 << 20, gap=self.gap, stamped=True), NOTHING)
        return client


@dataclass(slots=True)
class Watch:
    """How long the events of open streams were on their way."""

    delays: list[float] = field(default_factory=list)
    """Seconds."""
    readers: list[asyncio.Task[None]] = field(default_factory=list)

    async def during(self, seconds: float) -> list[float]:
        """Those of the events that arrive while so much time passes."""
        self.delays.clear()
        await asyncio.sleep(seconds)
        return list(self.delays)

    async def read(self, client: Client) -> None:
        while True:
            data = await client.read()
            now = time.monotonic_ns()
            self.delays.extend((now - int(stamp)) / 1e9 for stamp in _STAMP.findall(data))

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(self, *_: object) -> None:
        for reader in self.readers:
            reader.cancel()
        await asyncio.gather(*self.readers, return_exceptions=True)

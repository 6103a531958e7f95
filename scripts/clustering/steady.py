"""Clients that call on and on while something happens."""

import asyncio
import threading
import time
from collections.abc import Iterator
from dataclasses import dataclass, field
from itertools import count
from types import TracebackType
from typing import Self

from scripts.clustering.client import PATIENCE, Clients, Job
from scripts.clustering.cluster import Cluster
from scripts.clustering.pools import BOUNDED, CONVERSING, HOSTS

CONVERSATIONS = 40


@dataclass(slots=True)
class Steady:
    """`with Steady(cluster, "name") as load:` while inside, so many calls of conversations are under way, and
    so many on keys with few places. At the end all are waited for. `name` is of its conversations."""

    cluster: Cluster
    name: str
    conversing: int = 20
    bounded: int = 60
    clients: Clients = field(init=False)
    _over: threading.Event = field(default_factory=threading.Event)
    _thread: threading.Thread = field(init=False)

    def __enter__(self) -> Self:
        self.clients = self.cluster.clients()
        self._thread = threading.Thread(target=asyncio.run, args=(self._run(),), daemon=True)
        self._thread.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._over.set()
        self._thread.join()

    def wait_begun(self) -> None:
        """Until each conversation was answered once, by which all proxies know where it stays. Raises
        TimeoutError."""
        end = time.monotonic() + PATIENCE
        while (
            len({one.job.conversation for one in self.clients.seen if not one.fault} - {""}) < CONVERSATIONS
        ):
            if time.monotonic() > end:
                raise TimeoutError("there are conversations without an answer")
            time.sleep(0.05)

    async def _run(self) -> None:
        async with asyncio.TaskGroup() as group:
            group.create_task(self.clients.make(self._conversations(), self.conversing))
            group.create_task(self.clients.make(self._others(), self.bounded))

    def _conversations(self) -> Iterator[Job]:
        for number in count():
            if self._over.is_set():
                return
            yield Job(HOSTS[CONVERSING], f"{self.name}-{number % CONVERSATIONS}")

    def _others(self) -> Iterator[Job]:
        while not self._over.is_set():
            yield Job(HOSTS[BOUNDED])

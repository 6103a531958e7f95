"""What is done again and again while the event loop runs."""

import asyncio
from collections.abc import Awaitable, Callable

INTERVAL = 1.0


class Repeated:
    """Awaits `work` every `interval` seconds, between its start and its stop."""

    def __init__(self, work: Callable[[], Awaitable[None]], interval: float = INTERVAL) -> None:
        self._work, self._interval = work, interval
        self._task: asyncio.Task[None] | None = None

    def start(self) -> None:
        """The event loop runs."""
        if self._task is None:
            self._task = asyncio.get_running_loop().create_task(self._repeat())

    def stop(self) -> None:
        if self._task is not None:
            self._task.cancel()
            self._task = None

    async def _repeat(self) -> None:
        while True:
            await asyncio.sleep(self._interval)
            await self._work()

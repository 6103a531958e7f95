"""Says of calls, while they wait, that their provider is silent. All are looked at once a second."""

import asyncio
from collections.abc import Callable, Iterable

from addons.call.driver import Driver

INTERVAL = 1.0


class Silences:
    """Of the calls that are under way."""

    def __init__(self, drivers: Callable[[], Iterable[Driver]], interval: float = INTERVAL) -> None:
        self._drivers, self._interval = drivers, interval
        self._task: asyncio.Task[None] | None = None

    def start(self) -> None:
        """The event loop runs."""
        if self._task is None:
            self._task = asyncio.get_running_loop().create_task(self._look())

    def stop(self) -> None:
        if self._task is not None:
            self._task.cancel()
            self._task = None

    async def _look(self) -> None:
        while True:
            await asyncio.sleep(self._interval)
            self._note()

    def _note(self) -> None:
        """Apart, since a task holds what its own names stand for while it sleeps."""
        for driver in list(self._drivers()):
            driver.note_silence()

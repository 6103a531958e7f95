"""Says of calls, while they wait, that their provider is silent. All are looked at once a second."""

from collections.abc import Callable, Iterable

from addons.call.driver import Driver
from addons.runtime.repeated import Repeated


class Silences(Repeated):
    """Of the calls that are under way."""

    def __init__(self, drivers: Callable[[], Iterable[Driver]]) -> None:
        super().__init__(self._look)
        self._drivers = drivers

    async def _look(self) -> None:
        """A task holds what its own names stand for while it sleeps: those of this one are gone by then."""
        for driver in list(self._drivers()):
            driver.note_silence()

"""What calls of all proxies used and cost, as the store has it."""

import asyncio
from collections.abc import Callable, Sequence
from contextlib import closing
from dataclasses import dataclass

from addons.store.connection import Connection
from addons.store.line import StoreError
from addons.store.roster import Roster
from addons.team.totals import SLOTS_KEPT, Totals, keys_of, rows_of
from addons.usage.queries import Usage, usage
from addons.usage.schema import SLOT, open_to_write
from addons.usage.store import Kind, write_sums
from rewrite.policies.user_caps import DAY, day_of

PATIENCE = 10.0
"""Seconds for an answer of the store."""

FRESH, LASTING = 2.0, 60.0
"""Seconds for which what was read of the present day is used again, and of days before."""

type Sums = tuple[int, Kind, list[float]]
"""When, in half hours since the epoch; a kind; SUMS of its calls."""


@dataclass(frozen=True, slots=True)
class TeamUsage:
    """What several proxies used."""

    usage: Usage
    kept: str
    """The name of the store."""
    proxies: int
    """How many there are now."""


class Team:
    """Reads the store for those who look."""

    def __init__(
        self, connection: Connection, roster: Roster, totals: Totals, clock: Callable[[], float]
    ) -> None:
        self._connection, self._roster, self._totals, self._clock = connection, roster, totals, clock
        self._loop: asyncio.AbstractEventLoop | None = None
        self._read: dict[str, tuple[float, list[Sums]]] = {}
        connection.on_up(self._is_up)

    @property
    def is_alone(self) -> bool:
        """Whether there should be others, and cannot be asked for."""
        return self._connection.is_configured and not self._connection.is_up

    def usage(self, since: float, by: Sequence[str]) -> TeamUsage | None:
        """As `queries.usage`, in a thread: it waits for the event loop. None: no store answers."""
        if self._loop is None or not self._connection.is_up:
            return None
        asked = asyncio.run_coroutine_threadsafe(self._sums(since), self._loop)
        try:
            found = asked.result(PATIENCE)
        except (StoreError, TimeoutError):
            return None
        with closing(open_to_write(None)) as ledger:
            write_sums(ledger, found)
            return TeamUsage(usage(ledger, since, by), self._connection.name, self._roster.peers)

    async def _is_up(self) -> None:
        self._loop = asyncio.get_running_loop()
        self._read.clear()

    async def _sums(self, since: float) -> list[Sums]:
        """Raises StoreError."""
        self._totals.flush()
        now = self._clock()
        today = int(now // DAY)
        days = range(int(since // DAY), today + 1)
        found = await asyncio.gather(*(self._of_day(day, today, now) for day in days))
        return [sums for each in found for sums in each if sums[0] >= int(since) // SLOT]

    async def _of_day(self, day: int, today: int, now: float) -> list[Sums]:
        """Of a day long past there is one sum, which stands at its noon."""
        whole = today - day >= SLOTS_KEPT - 1
        key = keys_of(self._connection.prefix, day_of(day * DAY))[whole]
        read_at, sums = self._read.get(key, (0.0, []))
        if now - read_at > (FRESH if day == today else LASTING):
            rows = rows_of(await self._connection.command("HGETALL", key))
            noon = int(day * DAY + DAY / 2) // SLOT
            sums = [(noon if whole else slot, kind, found) for slot, kind, found in rows]
            self._read[key] = now, sums
        return sums

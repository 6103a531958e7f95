"""Which proxies are there: each says every few seconds that it is alive, and who has not for long is removed.

Who is removed no longer holds places of `max_concurrency`. A proxy removes others only after it was in time
itself for a while: after the store stood still everybody is late, and nobody is gone.
"""

import asyncio
from collections.abc import Callable
from contextlib import suppress
from time import time

from addons.store.connection import Connection
from addons.store.line import Answer, StoreError, StoreLost
from addons.store.script import script

HEARTBEAT, ALIVE = 3.0, 10.0
"""Seconds between two heartbeats, and for which one holds."""

_STEADY = 4
"""So many heartbeats in a row that were in time, until others are removed."""

_AFTER = 0.01
"""Seconds after which one that is over is looked for."""

_HEARTBEAT, _LEAVE = script("heartbeat"), script("leave")
_GONE = "gone"


class Roster:
    """Of the proxies at one store. To be made before all others who use the connection: they find it up to
    date."""

    def __init__(self, connection: Connection, clock: Callable[[], float]) -> None:
        """`clock` is that of the connection."""
        self.peers = 1
        """How many proxies there are, this one among them, as far as it is known."""
        self.rank = 0
        """Of this one among them, from 0."""
        self._connection, self._clock = connection, clock
        self._steady = 0
        self._has_left = False
        self._is_due = asyncio.Event()
        self._wait = HEARTBEAT
        self._on_gone: list[Callable[[], None]] = []
        self._on_return: list[Callable[[], None]] = []
        connection.subscribe(_GONE, self._hear)
        connection.on_up(self._first)
        connection.during(self._go_on)

    @property
    def is_steady(self) -> bool:
        """Whether it was in time for long enough to remove others."""
        return self._steady >= _STEADY

    def on_gone(self, callback: Callable[[], None]) -> None:
        """Called when others ended or were removed, and what they held is free."""
        self._on_gone.append(callback)

    def on_return(self, callback: Callable[[], None]) -> None:
        """Called when this one was late, and may have been removed with what it holds."""
        self._on_return.append(callback)

    def status(self) -> dict[str, object]:
        """How the store does, as plain data. Empty: there is none."""
        connection = self._connection
        if not connection.is_configured:
            return {}
        since = time() - connection.alone_since
        alone = {} if connection.is_up else {"alone": round(since, 1), "reason": connection.reason}
        facts = {"server": connection.name, "is_up": connection.is_up, "proxies": self.peers}
        return {**facts, **alone, "commands": connection.sent}

    async def leave(self) -> None:
        """This proxy ends."""
        self._has_left = True
        connection = self._connection
        keys = [self._proxies, f"{connection.prefix}held:{connection.proxy}"]
        with suppress(StoreError):  # then it is removed as one that is silent
            await connection.call(_LEAVE, keys, [connection.proxy, connection.channel])

    @property
    def _proxies(self) -> str:
        return f"{self._connection.prefix}proxies"

    async def _first(self) -> None:
        self._steady = 0
        await self._heartbeat()

    async def _go_on(self) -> None:
        while not self._has_left:
            early = await self._until_due()
            was_known = await self._heartbeat()
            self._steady = self._steady + (not early) if was_known else 0
            if not was_known:
                _call(self._on_return)

    async def _until_due(self) -> bool:
        """Whether it is before its time: another has left, or is over before that."""
        self._is_due.clear()
        try:
            async with asyncio.timeout(self._wait):
                return await self._is_due.wait()
        except TimeoutError:
            return self._wait < HEARTBEAT

    async def _heartbeat(self) -> bool:
        """Whether it was known to be alive. Raises StoreError."""
        connection, began = self._connection, self._clock()
        removes = int(self.is_steady)
        keys = [self._proxies, f"{connection.prefix}meta"]
        alive = int(ALIVE * 1000)
        found = await connection.call(
            _HEARTBEAT, keys, [connection.proxy, alive, removes, connection.prefix, connection.channel]
        )
        connection.time_is(found, began, self._clock())
        return self._heed(found)

    def _heed(self, found: Answer) -> bool:
        match found:
            case [_, _, int(peers), int(rank), int(was_known), int(has_meta), int(over), *gone]:
                self.peers, self.rank = max(peers, 1), rank
                self._wait = min(HEARTBEAT, over / 1000 + _AFTER) if over >= 0 else HEARTBEAT
            case _:
                raise StoreLost("it answers what no script of ours does")
        if not has_meta:
            raise StoreLost("it was emptied")
        if gone:
            _call(self._on_gone)
        return bool(was_known)

    def _hear(self, gone: object) -> None:
        if isinstance(gone, list):
            self._is_due.set()
            _call(self._on_gone)


def _call(callbacks: list[Callable[[], None]]) -> None:
    for callback in callbacks:
        callback()

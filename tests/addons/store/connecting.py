"""Connections to a server, as proxies have them."""

import asyncio
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from dataclasses import replace
from time import time
from typing import Any

from addons.config.shared_state import SharedState, address
from addons.store.connection import Connection

PATIENCE = 10.0


def failed(what: str, error: Exception) -> None:
    raise AssertionError(f"{what}: {error!r}") from error


def shared(url: str, **more: Any) -> SharedState:
    return replace(SharedState(address(url)), **more)


def made(url: str, *, clock: Callable[[], float] = time, **more: Any) -> Connection:
    """One that has not begun."""
    connection = Connection(clock, failed)
    connection.configure(shared(url, **more))
    return connection


@asynccontextmanager
async def running(connection: Connection) -> AsyncIterator[Connection]:
    connection.start()
    try:
        yield connection
    finally:
        await connection.stop()


@asynccontextmanager
async def connected(url: str, **more: Any) -> AsyncIterator[Connection]:
    async with running(made(url, **more)) as connection:
        await until(lambda: connection.is_up)
        yield connection


async def until(holds: Callable[[], bool]) -> None:
    """Wait until that is so."""
    async with asyncio.timeout(PATIENCE):
        while not holds():  # noqa: ASYNC110  # of others, who signal nothing
            await asyncio.sleep(0.002)

"""Locks between processes as tools have them: a folder that is there while somebody is at work.

Who made it sets its time every `SIGN_INTERVAL` seconds. One whose time is further away than `STALE`
is nobody's any more: its owner ended, or the clock jumped.
"""

import asyncio
import os
import random
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress
from pathlib import Path

SIGN_INTERVAL = 5.0
"""Seconds between two signs of life."""

STALE = 60.0
"""Seconds without one after which a lock is nobody's."""

_POLL = 0.05
"""Seconds between two looks at a lock that another has."""


class Busy(Exception):
    """Another process has the lock."""


@asynccontextmanager
async def locked(folder: Path, wait: float) -> AsyncIterator[None]:
    """Have `folder` for as long as the block runs. Raises Busy after `wait` seconds, and OSError."""
    await _take(folder, wait)
    keeping = asyncio.get_running_loop().create_task(_keep(_SignsOfLife(folder)))
    try:
        yield
    finally:
        is_ours = not keeping.done()
        keeping.cancel()
        if is_ours:
            _remove(folder)


async def _take(folder: Path, wait: float) -> None:
    end = time.monotonic() + wait
    while not _made(folder):
        if time.monotonic() >= end:
            raise Busy
        await asyncio.sleep(_POLL * (1 + random.random()))  # spreads those who wait; nothing secret


def _made(folder: Path) -> bool:
    """Whether it is ours now."""
    try:
        folder.mkdir()
    except FileExistsError:
        if not _is_stale(folder):
            return False
        _clear(folder)
        return False
    return True


def _is_stale(folder: Path) -> bool:
    try:
        return abs(time.time() - folder.stat().st_mtime) > STALE
    except FileNotFoundError:
        return False


def _clear(folder: Path) -> None:
    """Put it aside first: another may have cleared it and made one of its own since it was looked at."""
    aside = folder.with_name(f"{folder.name}.{os.getpid()}.{random.getrandbits(32):08x}")
    with suppress(OSError):
        folder.rename(aside)
        if _is_stale(aside):
            aside.rmdir()
        else:
            aside.rename(folder)


def _remove(folder: Path) -> None:
    """Whatever is in it by now: what was done under it is done."""
    with suppress(OSError):
        folder.rmdir()


class _SignsOfLife:
    """The signs of life of one lock."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._at = folder.stat().st_mtime_ns

    def give(self) -> bool:
        """Give one; whether the lock is still ours."""
        try:
            if self._folder.stat().st_mtime_ns != self._at:
                return False
            os.utime(self._folder)
            self._at = self._folder.stat().st_mtime_ns
        except OSError:
            return False
        return True


async def _keep(signs: _SignsOfLife) -> None:
    """Ends when the lock is not ours any more."""
    while True:
        await asyncio.sleep(SIGN_INTERVAL)
        if not signs.give():
            return

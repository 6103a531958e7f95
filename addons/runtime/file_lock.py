"""One process at a time: a lock on a file, which the system takes from a process that ends."""

import os
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

if sys.platform == "win32":
    import msvcrt
else:
    import fcntl

PATIENCE, STEP = 2.0, 0.01
"""Seconds for which a lock is tried, and between two tries."""

_NO_LINK = getattr(os, "O_NOFOLLOW", 0)


@contextmanager
def locked(file: Path, patience: float = PATIENCE) -> Iterator[None]:
    """While no other process has `file` locked; waits in this thread. Raises OSError: TimeoutError where
    another one keeps it. None is made through a link."""
    descriptor = os.open(file, os.O_RDWR | os.O_CREAT | _NO_LINK, 0o600)
    try:
        _lock(descriptor, file, time.monotonic() + patience)
        yield
    finally:
        os.close(descriptor)  # which ends the lock


def _lock(descriptor: int, file: Path, due: float) -> None:
    while not _try(descriptor):
        if time.monotonic() >= due:
            raise TimeoutError(0, "another process keeps it locked", str(file))
        time.sleep(STEP)


def _try(descriptor: int) -> bool:
    try:
        if sys.platform == "win32":
            msvcrt.locking(descriptor, msvcrt.LK_NBLCK, 1)
        else:
            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except (BlockingIOError, PermissionError):
        return False
    return True

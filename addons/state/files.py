"""Reading and writing the files of the state folder: whole at any time, and for their owner alone."""

import os
import stat
from contextlib import suppress
from pathlib import Path

LONGEST = 1 << 26
"""Bytes of a file that are read: several times as many as we ever write."""

_OURS_ALONE = 0o600
_NO_WAITING = getattr(os, "O_NONBLOCK", 0)
"""A pipe that nobody writes to would hold up the start for ever."""


class NotOurs(Exception):
    """What cannot be a file of ours; says why."""


def content(file: Path) -> bytes:
    """What is in it. Raises NotOurs and OSError."""
    with open(file, "rb", opener=_open) as opened:  # Path.open has no opener
        found = os.fstat(opened.fileno())
        if not stat.S_ISREG(found.st_mode):
            raise NotOurs("it is not a regular file")
        if hasattr(os, "geteuid") and found.st_uid not in (os.geteuid(), 0):
            raise NotOurs("it belongs to another user")
        data = opened.read(LONGEST + 1)
    if len(data) > LONGEST:
        raise NotOurs(f"it is larger than {LONGEST} bytes")
    return data


def _open(path: str, flags: int) -> int:
    return os.open(path, flags | _NO_WAITING)


def write_whole(file: Path, data: bytes) -> None:
    """All of it or nothing. Raises OSError."""
    unfinished = file.with_suffix(".part")
    try:
        unfinished.unlink(missing_ok=True)  # it may be a link to another file
        descriptor = os.open(unfinished, os.O_WRONLY | os.O_CREAT | os.O_EXCL, _OURS_ALONE)
        with os.fdopen(descriptor, "wb") as opened:
            opened.write(data)
        unfinished.replace(file)
    except OSError:
        with suppress(OSError):
            unfinished.unlink()
        raise

"""What the system holds for sockets of this process, in bytes: sent and not taken, arrived and not read."""

import fcntl
import stat
import struct
import termios
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path


def queued() -> int:
    """Bytes in the system's buffers of all sockets that this process has."""
    return sum(
        _length(number, what) for number in _sockets() for what in (termios.FIONREAD, termios.TIOCOUTQ)
    )


def _sockets() -> Iterator[int]:
    for entry in Path("/dev/fd").iterdir():
        with suppress(OSError):
            if stat.S_ISSOCK(entry.stat().st_mode):
                yield int(entry.name)


def _length(descriptor: int, what: int) -> int:
    with suppress(OSError):  # one that listens has no queues
        length: int = struct.unpack("i", fcntl.ioctl(descriptor, what, b"\0\0\0\0"))[0]
        return length
    return 0

"""A program in the background that is nobody's child: who becomes another program has none to wait for."""

import fcntl
import os
import select
import signal
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

_STANDARD = 2
"""The last of their numbers."""


@dataclass(frozen=True, slots=True)
class Detached:
    pid: int
    _alive: int
    """Where its end can be read: it has the other end of the pipe."""

    def ended(self, seconds: float) -> bool:
        """Whether it is over, after at most so many seconds."""
        return bool(select.select([self._alive], [], [], seconds)[0])

    def stop(self) -> None:
        try:
            os.kill(self.pid, signal.SIGTERM)
        except ProcessLookupError:
            return


def detached(line: list[str], environment: Mapping[str, str], log: Path) -> Detached:
    """Starts `line` in a session of its own: no key that is pressed reaches it. What it prints goes to the
    end of `log`."""
    reader, writer = map(_beyond_standard, os.pipe())
    output = _beyond_standard(os.open(log, os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o600))
    between = os.fork()
    if between == 0:
        _begin(line, environment, output, writer)
    os.close(writer)
    os.close(output)
    os.waitpid(between, 0)
    return Detached(int(os.read(reader, 20)), reader)


def _beyond_standard(descriptor: int) -> int:
    """The same, above the numbers of the standard streams, which the caller may have closed."""
    if descriptor > _STANDARD:
        return descriptor
    moved = fcntl.fcntl(descriptor, fcntl.F_DUPFD_CLOEXEC, _STANDARD + 1)
    os.close(descriptor)
    return moved


def _begin(line: list[str], environment: Mapping[str, str], output: int, writer: int) -> None:
    """In the child, which leaves the program an orphan. It never returns into what it was copied from."""
    try:
        os.setsid()
        if os.fork() == 0:
            os.write(writer, str(os.getpid()).encode())
            os.set_inheritable(writer, True)
            os.dup2(os.open(os.devnull, os.O_RDONLY), 0)
            os.dup2(output, 1)
            os.dup2(output, 2)
            os.execve(line[0], line, environment)
    finally:
        os._exit(0)

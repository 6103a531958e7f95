"""Programs of the system that a cluster needs, as processes on free ports of loopback."""

import shutil
import socket
import subprocess
import time
from collections.abc import Sequence
from contextlib import suppress
from pathlib import Path
from signal import SIGCONT, SIGKILL, SIGTERM, Signals
from types import TracebackType
from typing import Self

NEEDED = {"redis-server": "redis-server", "haproxy": "haproxy"}
"""Programs, and the packages of Debian and Ubuntu that have them."""

PATIENCE = 20.0
"""Seconds until a program listens, or has ended."""


def missing() -> str:
    """What is not on PATH, as a message with what to do. Empty: nothing."""
    absent = [name for name in NEEDED if shutil.which(name) is None]
    if not absent:
        return ""
    packages = " ".join(NEEDED[name] for name in absent)
    return f"not on PATH: {', '.join(absent)} (Debian, Ubuntu: apt-get install {packages})"


def free_port() -> int:
    """One that nobody listens on."""
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port: int = taken.getsockname()[1]
        return port


class Program:
    """A process that listens on `port`. Its output goes to a file `NAME.log` in `folder`."""

    def __init__(self, folder: Path, port: int) -> None:
        self.folder, self.port = folder, port
        self._process: subprocess.Popen[bytes] | None = None

    def command(self) -> Sequence[str]:
        """The program and its arguments."""
        raise NotImplementedError

    def start(self) -> Self:
        """Begin it, and wait until it listens. Raises RuntimeError with its output if it does not."""
        command = self.command()
        log = self.folder / f"{command[0]}.log"
        with log.open("ab") as output:
            self._process = subprocess.Popen(
                command, cwd=self.folder, stdin=subprocess.DEVNULL, stdout=output, stderr=output
            )
        end = time.monotonic() + PATIENCE
        while not self._listens():
            if self._process.poll() is not None or time.monotonic() > end:
                raise RuntimeError(f"{command[0]} does not listen:\n{log.read_text(errors='replace')}")
            time.sleep(0.02)
        return self

    def _listens(self) -> bool:
        with suppress(OSError), socket.create_connection(("127.0.0.1", self.port), 1):
            return True
        return False

    def signal(self, number: Signals) -> None:
        if self._process is not None:
            self._process.send_signal(number)

    def kill(self) -> None:
        """End it at once, as a crash does."""
        self._end(SIGKILL)

    def stop(self) -> None:
        self.signal(SIGCONT)
        self._end(SIGTERM)

    def _end(self, number: Signals) -> None:
        process, self._process = self._process, None
        if process is None:
            return
        process.send_signal(number)
        try:
            process.wait(PATIENCE)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()

    def __enter__(self) -> Self:
        return self.start()

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.stop()

"""A real redis-server of a test's own, on a port of this machine. Tests skip where there is none on PATH."""

import os
import shutil
import signal
import socket
import subprocess
import time
from pathlib import Path
from types import TracebackType
from typing import Any, Self

import pytest
import redis

PROGRAM = "redis-server"
WITHOUT = pytest.mark.skipif(shutil.which(PROGRAM) is None, reason=f"no {PROGRAM} on PATH")


_HIGHEST = 55_000
"""Of ports: a node of a cluster takes the one that is 10,000 above too."""


def free_port() -> int:
    while True:
        with socket.socket() as found:
            found.bind(("127.0.0.1", 0))
            port = int(found.getsockname()[1])
        if port <= _HIGHEST:
            return port


class RedisServer:
    """`with RedisServer(tmp_path) as server:`; it forgets all when it ends, unless `keeps`.

    `options` are further ones of redis-server: `("--requirepass", "x")`.
    """

    def __init__(self, folder: Path, *options: str, keeps: bool = False) -> None:
        self._folder, self.port = folder, free_port()
        kept = ("--appendonly", "yes") if keeps else ("--appendonly", "no")
        self._options = ("--save", "", *kept, *options)

    @property
    def url(self) -> str:
        return f"redis://127.0.0.1:{self.port}"

    def start(self) -> Self:
        """At the port that it had before, too."""
        place = ("--bind", "127.0.0.1", "--port", str(self.port), "--dir", str(self._folder))
        self.process = subprocess.Popen(
            (PROGRAM, *place, "--loglevel", "warning", *self._options), stdout=subprocess.DEVNULL
        )
        end = time.monotonic() + 10
        while not self._answers():
            assert self.process.poll() is None, "redis-server ended"
            assert time.monotonic() < end, "redis-server does not answer"
            time.sleep(0.005)
        return self

    def _answers(self) -> bool:
        """Whether it has read what it kept; with a password it says that it wants that."""
        try:
            with socket.create_connection(("127.0.0.1", self.port), 1) as asked:
                asked.sendall(b"PING\r\n")
                return not asked.recv(99).startswith(b"-LOADING")
        except OSError:
            return False

    def client(self, **options: Any) -> redis.Redis:
        """Decodes texts."""
        return redis.Redis(port=self.port, decode_responses=True, protocol=2, **options)

    def kill(self) -> None:
        """As by kill -9."""
        self.process.kill()
        self.process.wait(10)

    def pause(self) -> None:
        """It stands still."""
        os.kill(self.process.pid, signal.SIGSTOP)

    def resume(self) -> None:
        os.kill(self.process.pid, signal.SIGCONT)

    def __enter__(self) -> Self:
        return self.start()

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.kill()

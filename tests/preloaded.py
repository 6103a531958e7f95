"""mitmdump and mitmweb as processes of their own, forked from one that has imported all that they need.

A start is most of the cost of a test that needs a proxy, and imports are most of a start. The program that
runs is mitmproxy's own, from its command line to its exit status. What begins before it, the interpreter with
its path, is left to the tests of scripts/start and to those that ask for the program itself.
"""

import multiprocessing
import os
import shutil
import signal
import subprocess
import sys
import tempfile
import threading
from collections.abc import Mapping, Sequence
from functools import cache
from io import TextIOWrapper
from multiprocessing.connection import Connection, wait
from pathlib import Path

from mitmproxy.certs import CertStore
from mitmproxy.tools import main

_BITS = 2048
_FORKING = multiprocessing.get_context("forkserver")
_FORKING.set_forkserver_preload(
    [
        "mitmproxy.tools.dump",
        "mitmproxy.tools.web.master",
        "addons.call.departure",
        "addons.mitm.front",
        "addons.reload",
        "addons.websocket.hooks",
        __name__,
    ]
)
_STATUS = threading.Lock()
"""An exit status can be read once: a second reader would take its absence for a status."""

_PROGRAMS = {"mitmdump": main.mitmdump, "mitmweb": main.mitmweb}


class Process:
    """As `subprocess.Popen`, as far as the tests of a proxy need it; both outputs come in `stdout`."""

    def __init__(
        self, program: str, options: Sequence[str], *, cwd: Path, environment: Mapping[str, str]
    ) -> None:
        reader, writer = _FORKING.Pipe(duplex=False)
        self.stdout = os.fdopen(os.dup(reader.fileno()), encoding="utf-8", errors="replace")
        self._process = _FORKING.Process(
            target=_run, args=(program, options, cwd, dict(environment), writer), daemon=True
        )
        with _STATUS:
            self._process.start()
        reader.close()
        writer.close()

    @property
    def pid(self) -> int:
        assert self._process.pid is not None
        return self._process.pid

    @property
    def returncode(self) -> int | None:
        with _STATUS:
            return self._process.exitcode

    def poll(self) -> int | None:
        return self.returncode

    def wait(self, timeout: float) -> int:
        """Raises TimeoutError."""
        wait([self._process.sentinel], timeout)
        status = self.returncode
        if status is None:
            raise TimeoutError(f"the proxy did not end within {timeout} s")
        return status

    def send_signal(self, number: int) -> None:
        if self.returncode is None:
            os.kill(self.pid, number)

    def terminate(self) -> None:
        self.send_signal(signal.SIGTERM)

    def kill(self) -> None:
        self.send_signal(signal.SIGKILL)


def _run(
    program: str, options: Sequence[str], cwd: Path, environment: Mapping[str, str], output: Connection
) -> None:
    os.dup2(output.fileno(), 1)
    os.dup2(output.fileno(), 2)
    output.close()
    sys.stdout, sys.stderr = _unbuffered(1), _unbuffered(2)
    os.chdir(cwd)
    os.environ.clear()
    os.environ.update(environment)
    sys.path[:0] = filter(None, environment.get("PYTHONPATH", "").split(os.pathsep))
    sys.argv = [program, *options]
    sys.exit(_PROGRAMS[program]())


def _unbuffered(number: int) -> TextIOWrapper:
    return open(number, "w", encoding="utf-8", buffering=1, closefd=False)


def begun(
    program: str, options: Sequence[str], *, cwd: Path, environment: Mapping[str, str]
) -> subprocess.Popen[str]:
    """The same from the beginning: the program that is installed beside this Python."""
    return subprocess.Popen(
        [Path(sys.executable).with_name(program), *options],
        cwd=cwd,
        env={**environment, "PYTHONUNBUFFERED": "1"},
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
    )


def give_certificates(confdir: Path) -> None:
    """An authority for a proxy that has none yet: to make one takes as long as the remainder of a start."""
    if not confdir.exists():
        shutil.copytree(_authority(), confdir)


@cache
def _authority() -> Path:
    folder = Path(tempfile.mkdtemp(prefix="authority-"))
    CertStore.create_store(folder, "mitmproxy", _BITS)
    return folder

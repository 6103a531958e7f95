"""The command on a terminal of its own, which is read as it is written."""

import os
import pty
import signal
import subprocess
import sys
import threading
from pathlib import Path

from tests.rotator.command import ROOT


class Screen:
    """The command on a terminal of its own."""

    def __init__(self, home: Path, *arguments: str, **variables: str) -> None:
        self._control, terminal = pty.openpty()
        environment = {
            "PATH": os.environ["PATH"],
            "HOME": str(home),
            "PYTHONPATH": str(ROOT),
            "TERM": "xterm-256color",
            **variables,
        }
        self.process = subprocess.Popen(
            [sys.executable, "-m", "rotator", *arguments],
            stdin=terminal,
            stdout=terminal,
            stderr=terminal,
            env=environment,
            cwd=home,
            start_new_session=True,
        )
        os.close(terminal)
        self._text, self._changed = "", threading.Condition()
        self._reader = threading.Thread(target=self._read, daemon=True)
        self._reader.start()

    def _read(self) -> None:
        while True:
            try:
                data = os.read(self._control, 65_536)
            except OSError:
                data = b""
            with self._changed:
                self._text += data.decode(errors="replace")
                self._changed.notify_all()
            if not data:
                return

    @property
    def text(self) -> str:
        """All that it wrote."""
        return self._text

    def wait(self, text: str, *, after: int = 0) -> int:
        """Until `text` was written; where it ends. `after`: where to look from."""
        with self._changed:
            assert self._changed.wait_for(lambda: text in self._text[after:], 30), self._text[after:]
            return self._text.index(text, after) + len(text)

    def interrupt(self) -> tuple[int, str]:
        """By Ctrl-C; its exit status, and all that it wrote."""
        self.process.send_signal(signal.SIGINT)
        return self.ended(), self.text

    def ended(self) -> int:
        """The exit status, once it has ended."""
        status = self.process.wait(30)
        self._reader.join(30)
        os.close(self._control)
        return status

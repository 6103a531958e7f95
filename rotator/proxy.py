"""mitmdump or mitmweb: `python proxy.py [--while PID] mitmdump OPTION...`, a program of its own, begun by its
path. Not by the script of that name, which lies elsewhere in each way to install it.

`--while PID`: it ends when that process does, however that ends.
"""

import os
import select
import signal
import sys
import threading
import time

from mitmproxy.tools import main

PROGRAMS = {"mitmdump": main.mitmdump, "mitmweb": main.mitmweb}
_STEP = 0.2
"""Seconds between two looks at a process."""

_DRAIN, _PATIENCE = 90.0, 20.0
"""Seconds in which other processes of the tool may finish its calls, and then to end in."""


def _end_with(pid: int) -> None:
    _wait(pid)
    for seconds in (_DRAIN, _PATIENCE):
        os.kill(os.getpid(), signal.SIGTERM)
        time.sleep(seconds)
    os._exit(1)


def _wait(pid: int) -> None:
    """For the end of a process that is no child of ours."""
    try:
        if hasattr(os, "pidfd_open"):
            select.select([os.pidfd_open(pid)], [], [])
            return
        while True:
            os.kill(pid, 0)
            time.sleep(_STEP)
    except OSError:
        return


if __name__ == "__main__":
    del sys.argv[0]
    if sys.argv[0] == "--while":
        threading.Thread(target=_end_with, args=(int(sys.argv[1]),), daemon=True).start()
        del sys.argv[:2]
    PROGRAMS[sys.argv[0]]()

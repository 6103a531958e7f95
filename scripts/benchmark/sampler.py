"""A script for mitmdump that counts where the process spends its CPU, user and system, sample by sample.

It writes a file of JSON to the path in `SAMPLES` when the proxy ends: how often each line of Python was found
running, as [file, line, function]. What a line calls in C, a send or a cipher, counts for that line.
"""

import json
import os
import signal
from collections import Counter
from pathlib import Path
from types import FrameType

SAMPLES = "BENCHMARK_SAMPLES"
"""The environment variable that names the file."""
EVERY = 0.001
"""Seconds of the process's CPU between two samples. Kernels round it up, commonly to four milliseconds."""


class Sampler:
    """Counts from when the proxy runs until it ends."""

    def __init__(self) -> None:
        self._found: Counter[tuple[str, int, str]] = Counter()

    def running(self) -> None:
        signal.signal(signal.SIGPROF, self._sample)
        signal.setitimer(signal.ITIMER_PROF, EVERY, EVERY)

    def done(self) -> None:
        signal.setitimer(signal.ITIMER_PROF, 0)
        found = [[list(where), times] for where, times in self._found.items()]
        Path(os.environ[SAMPLES]).write_text(json.dumps(found), encoding="utf-8")

    def _sample(self, _: int, frame: FrameType | None) -> None:
        if frame is not None:
            code = frame.f_code
            self._found[code.co_filename, frame.f_lineno, code.co_qualname] += 1


addons = [Sampler()]

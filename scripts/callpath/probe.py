"""The script in front of rotator: counts the steps of each call, and prints them when the call is over.

A step is a start or a resumption of a function of ours. A move is two steps in different files, one right
after the other. A return is no step: who follows a call opens the file that is called, and comes back without
looking. Code of other packages is not seen, nor what `dataclass` generates (its file is "<string>"), nor what
other threads do meanwhile.
"""

import asyncio
import json
import sys
import threading
from collections import Counter
from collections.abc import Iterable, Iterator
from pathlib import Path
from types import CodeType
from typing import Any

MARK = "steps of a call: "
"""How the printed line begins. JSON follows: pairs, each with how often it came."""

SETTLED = 0.1
"""Seconds after a response from which nothing more is expected of its call."""

ROOT = Path(__file__).parents[2]
_LAYERS = ("addons", "rewrite", "protocols")
_BY_THE_CLOCK = frozenset({"watch.py", "silences.py", "repeated.py"})
"""These look at the config, and at all calls, once a second, whatever calls there are."""

type Step = tuple[str, ...]
"""A file, and the qualified name of a function in it. Both are empty before the first step."""

type Pair = tuple[Step, Step]
"""Two steps, one right after the other."""


def our_files() -> Iterator[Path]:
    """Those whose functions count."""
    for layer in _LAYERS:
        yield from (file for file in (ROOT / layer).rglob("*.py") if file.name not in _BY_THE_CLOCK)


class Steps:
    """Counts pairs of steps between `start` and `stop`."""

    def __init__(self, files: Iterable[Path], root: Path = ROOT) -> None:
        """The files are named as they lie under `root`."""
        self.pairs: Counter[Pair] = Counter()
        self._names = {str(file): str(file.relative_to(root)) for file in files}
        self._last: Step = ("", "")
        self._thread = 0

    def start(self) -> None:
        self._thread = threading.get_ident()
        monitoring, tool = sys.monitoring, sys.monitoring.PROFILER_ID
        counted = (monitoring.events.PY_START, monitoring.events.PY_RESUME, monitoring.events.PY_THROW)
        monitoring.use_tool_id(tool, "callpath")
        for event in counted:
            monitoring.register_callback(tool, event, self._step)
        monitoring.set_events(tool, sum(counted))

    def stop(self) -> None:
        sys.monitoring.set_events(sys.monitoring.PROFILER_ID, 0)
        sys.monitoring.free_tool_id(sys.monitoring.PROFILER_ID)

    def _step(self, code: CodeType, *_: object) -> None:
        name = self._names.get(code.co_filename)
        if name and threading.get_ident() == self._thread:
            step = name, code.co_qualname
            self.pairs[self._last, step] += 1
            self._last = step


class Probe:
    """Counts from a request's head to what comes after its response. Calls come one by one."""

    def __init__(self) -> None:
        self._steps = Steps(())

    def requestheaders(self, flow: Any) -> None:
        self._steps = Steps(our_files())
        self._steps.start()

    def response(self, flow: Any) -> None:
        asyncio.get_running_loop().call_later(SETTLED, self._report)

    def _report(self) -> None:
        self._steps.stop()
        sys.stdout.write(f"{MARK}{json.dumps([*self._steps.pairs.items()])}\n")


addons = [Probe()]

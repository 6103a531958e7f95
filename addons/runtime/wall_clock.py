"""The time of day, by a clock that may be wrong for a while: nothing is thrown away over one reading."""

import sys
import time
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path

DOUBT = 3600.0
"""Seconds for which a clock that jumped ahead has to stay there before it is believed."""

_SLACK = 60.0
"""Seconds that it may gain at once, when it is set by a time server or a machine has slept a little."""


class WallTime:
    """Called, it gives epoch seconds: those of `wall`, but a jump ahead is left out until it has lasted for
    `DOUBT`. A jump back is followed at once: it makes nothing older."""

    def __init__(self, wall: Callable[[], float], steady: Callable[[], float], known: float | None) -> None:
        """`steady` gives monotonic seconds. `known`: a moment that was the present not long ago, such as the
        time of the newest file; None if there is none."""
        self._wall, self._steady = wall, steady
        self._said = wall() if known is None else min(known, wall())
        self._said_at = steady()
        self._doubted_since: float | None = None

    def __call__(self) -> float:
        steady = self._steady()
        self._said = self._believed(self._wall(), self._said + steady - self._said_at, steady)
        self._said_at = steady
        return self._said

    def _believed(self, wall: float, expected: float, steady: float) -> float:
        if wall <= expected + _SLACK:
            self._doubted_since = None
            return wall
        if self._doubted_since is None:
            self._doubted_since = steady
        return wall if steady - self._doubted_since >= DOUBT else expected


OFF, STAYS_OFF = 5.0, 600.0
"""Seconds by which the wall clock has to be off, and for which it has to stay so, to be followed."""


def since_start() -> float:
    """Monotonic seconds that go on while the machine sleeps, on the same scale in all its processes."""
    if sys.platform == "linux":
        return time.clock_gettime(time.CLOCK_BOOTTIME)
    elif sys.platform == "darwin":  # noqa: RET505  # as mypy reads platforms
        return time.clock_gettime(time.CLOCK_MONOTONIC)
    else:
        return time.monotonic()


def start_id() -> str:
    """Which start of which machine this is; empty where the system does not say."""
    with suppress(OSError):
        return Path("/proc/sys/kernel/random/boot_id").read_text("ascii").strip()
    return ""


class EpochClock:
    """Called, it gives epoch seconds that pass evenly: those of the wall clock at the start, and what has
    passed since. No jump of the wall clock makes a cooldown longer or shorter."""

    def __init__(
        self, wall: Callable[[], float] = time.time, steady: Callable[[], float] = since_start
    ) -> None:
        self._wall, self.steady = wall, steady
        self._base = wall() - steady()
        self._off_since: float | None = None

    def __call__(self) -> float:
        return self._base + self.steady()

    def follow(self) -> float:
        """Follow a wall clock that was set and stayed so. To be called now and then; gives the seconds by
        which all readings are later from now on, for which who holds such times has to move them."""
        off = self._wall() - self()
        if abs(off) <= OFF:
            self._off_since = None
            return 0.0
        if self._off_since is None:
            self._off_since = self.steady()
        if self.steady() - self._off_since < STAYS_OFF:
            return 0.0
        self._base += off
        self._off_since = None
        return off

"""A clock that runs while this process runs, and timers by it; and one of epoch seconds that pass evenly.

While the process is stopped, the machine sleeps or something else has the processor, the world does not: what
providers send waits in the sockets. Such a gap is no silence of theirs. The clock stands still in it, and
after it no timer fires before there was time to read what waits.

A gap is noticed by whoever reads the clock first: while a timer is set, a tick reads it every `TICK` seconds,
so that a longer time between two readings is time in which we did not run.
"""

import asyncio
import sys
import time
from collections.abc import Callable, Iterable
from contextlib import suppress
from heapq import heappop, heappush
from math import inf
from pathlib import Path
from typing import Protocol

TICK = 0.5
LONGEST_PASS = 1.0
"""Seconds between two readings up to which we were merely busy."""

SETTLING = 0.5
"""Seconds after a gap in which no timer fires."""


class Handle(Protocol):
    """Of a timer that is set."""

    def cancel(self) -> None: ...


class Time(Protocol):
    """What a call needs of a clock."""

    def __call__(self) -> float: ...

    def call_later(self, seconds: float, callback: Callable[[], None]) -> Handle: ...


type Later = Callable[[float, Callable[[], None]], Handle]


def by_the_loop(seconds: float, callback: Callable[[], None]) -> Handle:
    """A timer in real seconds."""
    return asyncio.get_running_loop().call_later(seconds, callback)


class Clock:
    """Called, it gives the seconds in which we ran, from a beginning of its own."""

    def __init__(self, real: Callable[[], float] = time.monotonic, later: Later = by_the_loop) -> None:
        """`real` gives monotonic seconds, `later` sets a timer by them."""
        self._real, self._later = real, later
        self._read_at = self._settled_at = real()
        self._lost = 0.0
        self._pending: set[Alarm] = set()
        self._ticks = False

    def __call__(self) -> float:
        return self._read() - self._lost

    def call_later(self, seconds: float, callback: Callable[[], None]) -> "Alarm":
        """Call back once we have run for `seconds`, unless the alarm is cancelled."""
        alarm = Alarm(self, self() + seconds, callback)
        self._pending.add(alarm)
        alarm.arm(seconds)
        self._tick()
        return alarm

    def left(self, due: float) -> float:
        """Seconds until a timer may fire that is `due` on this clock."""
        return max(due - self(), self._settled_at - self._read_at)

    def arm(self, seconds: float, callback: Callable[[], None]) -> Handle:
        """For an alarm of this clock: a look at it in so many real seconds."""
        return self._later(seconds, callback)

    def forget(self, alarm: "Alarm") -> None:
        """It has fired, or was cancelled."""
        self._pending.discard(alarm)

    def _read(self) -> float:
        """The real seconds; a gap since the last reading, less a tick, is lost to the clock."""
        real = self._real()
        gap = real - self._read_at
        if self._ticks and gap > LONGEST_PASS:
            self._lost += gap - TICK
            if self._read_at >= self._settled_at:  # else a machine that is slow all the time would fire none
                self._settled_at = real + SETTLING
        self._read_at = real
        return real

    def _tick(self) -> None:
        if not self._ticks and self._pending:
            self._read()
            self._ticks = True
            self._later(TICK, self._ticked)

    def _ticked(self) -> None:
        self._read()
        self._ticks = False
        self._tick()


class Alarm:
    """Set by `Clock.call_later`."""

    def __init__(self, clock: Clock, due: float, callback: Callable[[], None]) -> None:
        self._clock, self._due, self._callback = clock, due, callback
        self._handle: Handle | None = None

    def arm(self, seconds: float) -> None:
        self._handle = self._clock.arm(seconds, self._look)

    def cancel(self) -> None:
        """Nothing if it has fired."""
        self._clock.forget(self)
        if self._handle is not None:
            self._handle.cancel()
            self._handle = None

    def _look(self) -> None:
        left = self._clock.left(self._due)
        if left > 0:
            self.arm(left)
            return
        self._handle = None
        self._clock.forget(self)
        self._callback()


def _to_nobody(_: object) -> None:
    """In the place of a user that is gone."""


class Timers[T]:
    """All that one user waits for, with one alarm, which is set for the earliest."""

    def __init__(self, clock: Time, fire: Callable[[T], None]) -> None:
        """`fire` gets what is due, in the order of when it was."""
        self._clock, self._fire = clock, fire
        self._pending: list[tuple[float, int, T]] = []  # a heap: when, and which of several at once
        self._count = 0
        self._alarm: Handle | None = None
        self._alarm_at = inf

    def set(self, wanted: Iterable[tuple[T, float]], now: float) -> None:
        """Fire each of them in so many seconds from `now` on the clock."""
        for what, seconds in wanted:
            self._count += 1
            heappush(self._pending, (now + seconds, self._count, what))
        if self._pending and self._pending[0][0] < self._alarm_at:
            self._arm(self._pending[0][0])

    def left(self, wanted: Callable[[T], bool]) -> float | None:
        """The seconds until the first of those `wanted` is due. None: none is set."""
        due = min((when for when, _, what in self._pending if wanted(what)), default=None)
        return None if due is None else max(due - self._clock(), 0.0)

    def cancel(self) -> None:
        """Nothing is waited for any more, for good: the user is let go of, which holds us too."""
        self._pending.clear()
        self._disarm()
        self._fire = _to_nobody

    def _arm(self, due: float) -> None:
        self._disarm()
        self._alarm_at = due
        self._alarm = self._clock.call_later(max(due - self._clock(), 0.0), self._rang)

    def _disarm(self) -> None:
        if self._alarm is not None:
            self._alarm.cancel()
        self._alarm, self._alarm_at = None, inf

    def _rang(self) -> None:
        self._alarm, self._alarm_at = None, inf
        self._fire(heappop(self._pending)[2])  # which may set others, or cancel all
        if self._pending and self._pending[0][0] < self._alarm_at:
            self._arm(self._pending[0][0])


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
        self.is_led = False
        """Whether it follows another clock than the wall clock of this machine."""

    def __call__(self) -> float:
        return self._base + self.steady()

    def lead(self, seconds: float) -> None:
        """Another clock that several machines have in common is ahead by so much: this is it from now on."""
        self._base += seconds
        self.is_led = True

    def follow(self) -> float:
        """Follow a wall clock that was set and stayed so. To be called now and then; gives the seconds by
        which all readings are later from now on, for which who holds such times has to move them."""
        off = 0.0 if self.is_led else self._wall() - self()
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

"""The time of day, by a clock that may be wrong for a while: nothing is thrown away over one reading."""

from collections.abc import Callable

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

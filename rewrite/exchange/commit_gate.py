"""Before the commit point of one attempt: which frame opens the way, how long the first token may take."""

from dataclasses import dataclass, field
from enum import Enum

from protocols.model.parts import BlockKind
from rewrite.exchange.timers import Silence
from rewrite.target.reading import Reading
from rewrite.values.timeouts import Timing

_NEVER_TWICE = frozenset({BlockKind.HOSTED, BlockKind.MEDIA})
"""What a provider's own tools did is not to be done again, and media have no characters to count."""


class Verdict(Enum):
    """WATCH: held from now on until it is known whether the answer is fast enough."""

    HOLD = "hold"
    WATCH = "watch"
    OPEN = "open"


@dataclass(slots=True)
class Gate:
    """`token` is the wait for the first visible part, in seconds; its `longest` 0: nobody waits. `shown_at`:
    when that part came.

    A model that thinks where nobody sees it is no stall, so each sign of that begins the wait anew. Events
    that only say that the answer was begun, pings and comments are no such sign.
    """

    token: Silence = field(default_factory=lambda: Silence(0.0))
    shown_at: float | None = None

    def note(self, reading: Reading, now: float) -> None:
        """Some of the answer was read."""
        if reading.took_work():
            self.token.since = now

    def shown(self, now: float) -> None:
        """Something visible came."""
        self.shown_at = now if self.shown_at is None else self.shown_at

    def judge(self, reading: Reading, timing: Timing, now: float) -> Verdict:
        """The verdict on all that is held."""
        self.note(reading, now)
        if reading.properly_ended:
            return Verdict.OPEN
        if not reading.progress.visible:
            return Verdict.HOLD
        first = self.shown_at is None
        self.shown(now)
        if _is_enough(reading, timing):
            return Verdict.OPEN
        return Verdict.WATCH if first else Verdict.HOLD


def _is_enough(reading: Reading, timing: Timing) -> bool:
    """Whether as much came as is asked of the whole window, or something that may not come twice; or an
    error in the same frame as a text, which nothing that follows mends."""
    progress = reading.progress
    if progress.error or progress.characters >= timing.min_throughput * timing.throughput_window:
        return True
    return any(block.kind in _NEVER_TWICE for block in progress.blocks.values())

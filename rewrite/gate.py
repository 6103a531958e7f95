"""Before the commit point of one attempt: how long its first token may take."""

from dataclasses import dataclass, field

from rewrite.reading import Reading
from rewrite.timers import Silence


@dataclass(slots=True)
class Gate:
    """`token` is the wait for the first visible part, in seconds; its `longest` 0: nobody waits.

    A model that thinks where nobody sees it is no stall, so each sign of that begins the wait anew. Events
    that only say that the answer was begun, pings and comments are no such sign.
    """

    token: Silence = field(default_factory=lambda: Silence(0.0))

    def note(self, reading: Reading, now: float) -> None:
        """Some of the answer was read."""
        if reading.took_work():
            self.token.since = now

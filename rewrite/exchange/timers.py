"""When silence means something: the timers of an attempt, and one that re-arms itself for what is left."""

from collections.abc import Sequence
from dataclasses import dataclass
from math import inf

from rewrite.values.outcome import Outcome, Stalled
from rewrite.values.timeouts import Timing
from rewrite.values.timer import Timer


@dataclass(slots=True)
class Silence:
    """A silence under watch, in seconds; `longest` 0: nobody watches.

    What breaks it is written to `since` and sets no timer: the one that is set asks, when it fires, what is
    `left`, and is set anew for that.
    """

    longest: float
    since: float = 0.0

    def lasted(self, now: float) -> float:
        return now - self.since

    def left(self, now: float) -> float:
        return self.longest - self.lasted(now)


def was_silent(outcome: Outcome) -> bool:
    """Whether silence ended an attempt; one that was merely slow did not make anybody wait in vain."""
    return isinstance(outcome, Stalled) and outcome.timer is not Timer.THROUGHPUT


def before_commit(
    timing: Timing, *, stream: bool, stalls: int, unseen: bool = False, longest: float = inf
) -> Sequence[tuple[Timer, float]]:
    """The timers of an attempt from the moment its request is sent; 0: off.

    `stalls`: attempts that silence ended; each makes the next one wait twice as long, so that a provider that
    is slow for everybody is not given up again and again. `unseen`: the client gets the stream as one whole
    answer, and waits for that as for any. `longest`: what a silence may last where other targets wait; how
    long a whole answer takes says nothing, so that it is not cut short.
    """
    if not stream:
        return ((Timer.RESPONSE, timing.response),)
    first_event = timing.first_event * 2**stalls
    first_token = timing.first_token and max(timing.first_token, first_event)
    whole = ((Timer.RESPONSE, timing.response),) if unseen else ()
    silences = ((Timer.FIRST_EVENT, first_event), (Timer.FIRST_TOKEN, first_token))
    return (*((timer, min(seconds, longest)) for timer, seconds in silences), *whole)

"""Which credential the next attempt of a call is to have."""

from rewrite.decision import History, Retry
from rewrite.events import Acquire


def next_wish(attempt: int, history: History, decision: Retry) -> Acquire:
    """The wish of attempt number `attempt`, which `decision` calls for after all that is in `history`."""
    last = history.ended[-1].credential
    asked = frozenset(one.credential for one in history.ended)
    return Acquire(
        attempt,
        avoid=asked if decision.rotate else frozenset(),
        prefer=decision.credential or (None if decision.rotate else last),
        insist=decision.credential is not None,
        refused=history.refused,
        resting=history.resting,
    )

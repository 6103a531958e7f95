"""Which credential the next attempt asks for, after a decision to make one."""

from collections import Counter

from rewrite.values.decision import History, Retry
from rewrite.values.events import Acquire


def acquire(attempt: int, history: History, decision: Retry) -> Acquire:
    """The command for attempt number `attempt`, which `decision` calls for after all that is in `history`.

    No key is asked twice before each was asked once, nor three times before each was twice.
    """
    last = history.ended[-1].credential
    asked = Counter(one.credential for one in history.ended)
    more_often = frozenset(name for name, times in asked.items() if times > min(asked.values()))
    avoid = frozenset(asked) if decision.rotate or decision.awaits else more_often
    return Acquire(
        attempt,
        avoid=avoid - {decision.awaits},
        prefer=decision.credential or (None if decision.rotate else last),
        insist=decision.credential is not None,
        refused=history.refused,
        resting=history.resting - {decision.awaits},
        only_others=decision.otherwise is not None,
    )

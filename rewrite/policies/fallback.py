"""Before the commit point, when a target came to nothing: whether the next one of the group is asked."""

from typing import assert_never

from rewrite.decision import History
from rewrite.outcome import (
    Abandoned,
    Completed,
    Kind,
    Outcome,
    Phase,
    Rejected,
    Stalled,
    Truncated,
    Unreachable,
)
from rewrite.policies.retry import latest_start


def decide(history: History, now: float, *, next_on_auth: bool) -> bool:
    """After all that is in `history` at this target; with nothing in it, no credential was free.

    Never for a fault of the request, which the next provider would be asked in vain, nor after the time
    in which a new attempt may begin. `next_on_auth`: a refusal of the last key counts as the target's.
    """
    if not history.ended:
        return history.failing_since is None or now <= latest_start(history)
    last = history.ended[-1].outcome
    return now <= latest_start(history) and _is_the_targets(last, history, next_on_auth=next_on_auth)


def _is_the_targets(outcome: Outcome, history: History, *, next_on_auth: bool) -> bool:
    match outcome:
        case Rejected(kind=kind):
            return kind in _PASSED_OVER or (next_on_auth and kind in _OF_THE_KEY)
        case Stalled(phase=phase):
            return phase is not Phase.RESPONSE and not history.acting
        case Truncated() | Unreachable(sent=True):
            return not history.acting  # the provider may be at work, and another would do everything twice
        case Unreachable():
            return True
        case Completed() | Abandoned():
            return False
        case _:
            assert_never(outcome)


_PASSED_OVER = frozenset({Kind.RATE, Kind.QUOTA, Kind.SERVER})
_OF_THE_KEY = frozenset({Kind.AUTH, Kind.FORBIDDEN})

"""Before the commit point, when a target came to nothing: whether the next one of the group is asked."""

from typing import assert_never

from rewrite.values.decision import QUOTAS, History
from rewrite.values.outcome import (
    Abandoned,
    Completed,
    Kind,
    Outcome,
    Rejected,
    Stalled,
    Truncated,
    Unreachable,
)
from rewrite.values.timer import Timer


def decide(history: History, now: float, *, next_on_auth: bool, refused: Kind | None = None) -> bool:
    """After all that is in `history` at this target; with nothing in it, no credential was free.

    Never for a fault of the request, which the next provider would be asked in vain, nor when the patience of
    the client is over; the deadline is about asking the same target again. `next_on_auth`: a refusal of the
    last key counts as the target's, also one of an earlier call; `refused`: what that was about, where every
    key is refused since.
    """
    if now > history.latest_start:
        return False
    if not history.ended:
        return next_on_auth or refused not in _OF_THE_KEY
    return _is_the_targets(history.ended[-1].outcome, history, next_on_auth=next_on_auth)


def _is_the_targets(outcome: Outcome, history: History, *, next_on_auth: bool) -> bool:
    match outcome:
        case Rejected(kind=kind):
            return kind in _PASSED_OVER or (next_on_auth and kind in _OF_THE_KEY)
        case Stalled(timer=timer):
            return timer is not Timer.RESPONSE and not history.acting
        case Truncated() | Unreachable(sent=True):
            return not history.acting  # the provider may be at work, and another would do everything twice
        case Unreachable():
            return True
        case Completed() | Abandoned():
            return False
        case _:
            assert_never(outcome)


_PASSED_OVER = frozenset({Kind.RATE, Kind.TOO_LARGE, Kind.SERVER, Kind.FOREIGN}) | QUOTAS
_OF_THE_KEY = frozenset({Kind.AUTH, Kind.FORBIDDEN})

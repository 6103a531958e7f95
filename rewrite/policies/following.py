"""Whether another attempt would follow the one that is under way, if it were given up.

What the provider has shown before the commit point, slow or cut, is better than no answer: the last attempt
of a call is not given up for it.
"""

from rewrite.policies import fallback, retry
from rewrite.values.decision import History, Retry


def follows(history: History, now: float, *, next_on_auth: bool) -> bool:
    """`history` with the attempt as it would have ended."""
    if isinstance(retry.decide(history, now), Retry):
        return True
    return history.others_wait and fallback.decide(history, now, next_on_auth=next_on_auth)

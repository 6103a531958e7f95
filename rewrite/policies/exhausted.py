"""No credential is free: wait for one, give the last rejection back, or say when one will be."""

from protocols.base import Fault
from rewrite.decision import GiveUp, History, Retry
from rewrite.outcome import Kind, Rejected
from rewrite.policies.retry import latest_start

LONGEST_RETRY_AFTER = 60.0
_SAYS_IT_BETTER = frozenset({Kind.AUTH, Kind.QUOTA, Kind.FORBIDDEN})


def decide(history: History, provider: str, wait: float | None, paused: bool, now: float) -> Retry | GiveUp:
    """`wait`: seconds until the soonest credential is free, None if none ever is."""
    if paused and history.last_answer is not None:
        return GiveUp(history.last_answer)
    if paused:
        return GiveUp(_unavailable(503, "overloaded", f"{provider} is failing and rests", wait))
    last = history.ended[-1].outcome if history.ended else None
    if isinstance(last, Rejected):
        if last.kind is Kind.RATE and wait is not None and _fits(history, wait, now):
            return Retry(delay=wait)
        if last.kind in _SAYS_IT_BETTER and last.answer is not None:
            return GiveUp(last.answer)
    said = f" (the last one was told: {last.message})" if isinstance(last, Rejected) and last.message else ""
    reason = f"every credential of {provider} is cooling{said}"
    return GiveUp(_unavailable(429, "rate_limit_exceeded", reason, wait))


def _fits(history: History, wait: float, now: float) -> bool:
    """Each key is tried once for nothing; asking one again counts."""
    asked = sum(one.credential == history.ended[-1].credential for one in history.ended)
    return asked < history.limits.max_attempts and now + wait <= latest_start(history)


def _unavailable(status: int, kind: str, reason: str, wait: float | None) -> Fault:
    """SDKs obey any Retry-After (measured: sleeping on 200 s), so a long one is only put in words."""
    if wait is None:
        return Fault(status, kind, f"{reason}; none comes back by itself: check the keys", 60.0, False)
    stated = min(wait, LONGEST_RETRY_AFTER)
    message = f"{reason}; the soonest is free in {wait:.0f} s"
    return Fault(status, kind, message, stated, should_retry=wait <= LONGEST_RETRY_AFTER)

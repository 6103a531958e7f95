"""No credential is free: wait for one, give the last rejection back, or say when one will be."""

from collections.abc import Sequence

from protocols.model.errors import Fault
from rewrite.policies.retry import give_up, latest_start, spent
from rewrite.policies.retry_after import LONGEST_RETRY_AFTER, clamped
from rewrite.values.decision import NOT_IN_THIS_CALL, GiveUp, History, Retry
from rewrite.values.outcome import Kind, Rejected


def decide(
    history: History,
    provider: str,
    wait: float | None,
    paused: bool,
    now: float,
    refused: GiveUp | None = None,
    keys: Sequence[str] = (),
) -> Retry | GiveUp:
    """`wait`: seconds until the soonest credential is free that may serve this call, None if none ever is;
    `refused`: what says that every one is refused, where that is so;
    `keys`: of each why it does not serve."""
    last = history.ended[-1].outcome if history.ended else None
    if (paused and history.last_rejection) or (isinstance(last, Rejected) and last.kind is Kind.BINDING):
        return give_up(history)
    if paused:
        return GiveUp(_unavailable(503, "overloaded", f"{provider} fails and is paused", wait))
    if wait is not None and history.rate_limited:
        # Clients take a refusal for final, and a key that is merely over its rate comes back.
        if _fits(history, wait, now):
            return Retry(delay=wait)
    elif history.unknown_model:
        return GiveUp(history.unknown_model)
    elif isinstance(last, Rejected) and last.kind in NOT_IN_THIS_CALL and last.answer is not None:
        return give_up(history)
    elif refused is not None:
        return refused
    said = f" (the provider: {last.message})" if isinstance(last, Rejected) and last.message else ""
    reason = "; ".join((f"no key of {provider} can be used now{said}", *keys))
    return GiveUp(_unavailable(429, "rate_limit_exceeded", reason, wait))


def _fits(history: History, wait: float, now: float) -> bool:
    """Each key is tried once for nothing; asking one again counts, as does all that cost time."""
    asked = 1 + sum(history.asked_again)
    in_budget = max(asked, spent(history)) < history.limits.max_attempts
    return in_budget and now + wait <= latest_start(history)


def _unavailable(status: int, kind: str, reason: str, wait: float | None) -> Fault:
    """SDKs obey any Retry-After (measured: sleeping on 200 s), so a long one is only put in words."""
    if wait is None:
        return Fault(status, kind, f"{reason}; none comes back by itself: check the keys", 60.0, False)
    message = f"{reason}; try again in {wait:.0f} s"
    return Fault(status, kind, message, clamped(wait), should_retry=wait <= LONGEST_RETRY_AFTER)

"""No credential is free: wait in line for one, give the last rejection back, or say when one will be."""

from protocols.model.errors import Fault
from rewrite.policies.retry import give_up, latest_start, spent
from rewrite.policies.retry_after import LONGEST_RETRY_AFTER, clamped
from rewrite.values.decision import NOT_IN_THIS_CALL, SHORT_WAIT, GiveUp, History, Wait
from rewrite.values.events import NoneFree
from rewrite.values.outcome import Kind, Outcome, Rejected


def decide(
    history: History, provider: str, none: NoneFree, now: float, refused: GiveUp | None = None
) -> Wait | GiveUp:
    """`refused`: what says that every credential is refused, where that is so."""
    last = history.ended[-1].outcome if history.ended else None
    if (none.paused and history.last_rejection) or (isinstance(last, Rejected) and last.kind is Kind.BINDING):
        return give_up(history)
    if none.paused:
        return GiveUp(_unavailable(503, "overloaded", f"{provider} fails and is paused", none.wait))
    # Clients take a refusal for final, and a key that is merely over its rate comes back.
    comes_back = none.wait is not None and history.rate_limited
    lasting = not comes_back and (refused is not None or history.unknown_model is not None)
    if not lasting and _is_due(history, none, now):
        return Wait(latest_start(history) - now)
    said = None if comes_back else _refusal(history, last, refused)
    return said or GiveUp(_none_free(provider, none, last))


def awaits_own(history: History, none: NoneFree, now: float) -> Wait | None:
    """Whether the credential of the conversation is waited for, though others may be free."""
    return Wait(SHORT_WAIT) if none.own and _is_due(history, none, now) else None


def _refusal(history: History, last: Outcome | None, refused: GiveUp | None) -> GiveUp | None:
    """What a provider said that means more than that no key is free."""
    if history.unknown_model:
        return GiveUp(history.unknown_model)
    if isinstance(last, Rejected) and last.kind in NOT_IN_THIS_CALL and last.answer:
        return give_up(history)
    return refused


def _is_due(history: History, none: NoneFree, now: float) -> bool:
    """Each key is tried once for nothing; asking one again counts, as does all that cost time."""
    if none.final or none.wait is None or now + none.wait > latest_start(history):
        return False
    return not history.ended or _asked(history) < history.limits.max_attempts


def _asked(history: History) -> int:
    return max(1 + sum(history.asked_again), spent(history))


def _none_free(provider: str, none: NoneFree, last: Outcome | None) -> Fault:
    said = f" (the provider: {last.message})" if isinstance(last, Rejected) and last.message else ""
    reason = "; ".join((f"no key of {provider} can be used now{said}", *none.keys))
    return _unavailable(429, "rate_limit_exceeded", reason, none.wait)


def _unavailable(status: int, kind: str, reason: str, wait: float | None) -> Fault:
    """SDKs obey any Retry-After (measured: sleeping on 200 s), so a long one is only put in words."""
    if wait is None:
        return Fault(status, kind, f"{reason}; none comes back by itself: check the keys", 60.0, False)
    message = f"{reason}; try again in {wait:.0f} s"
    return Fault(status, kind, message, clamped(wait), should_retry=wait <= LONGEST_RETRY_AFTER)

"""Before the commit point: what an attempt's outcome leads to.

A rejection that names the key is free, since every key is tried once; whatever costs the user time is
counted against `max_attempts` and must begin before the deadline.
"""

from typing import assert_never

from protocols.base import Fault, Operation
from rewrite.decision import Accept, Decision, Ended, GiveUp, History, Retry
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

FIRST_BACKOFF = 0.5
LONGEST_BACKOFF = 8.0


def decide(history: History, now: float) -> Decision:
    """The decision over the last outcome in `history`; `now` is on the clock of `Ended.at`."""
    last = history.ended[-1]
    match last.outcome:
        case Completed():
            return Accept()
        case Rejected():
            return _rejected(last, last.outcome, history, now)
        case Stalled(phase=Phase.RESPONSE):
            return give_up(history)
        case Stalled():
            return give_up(history) if history.acting else _again(history, now, rotate=True)
        case Truncated():
            return _again(history, now, rotate=True)
        case Unreachable():
            return _server(last.outcome, history, now)
        case Abandoned():
            return give_up(history)
        case _:
            assert_never(last.outcome)


def _rejected(last: Ended, outcome: Rejected, history: History, now: float) -> Decision:
    match outcome.kind:
        case Kind.REQUEST:
            return give_up(history)
        case Kind.BINDING:
            return _bound(last, history)
        case Kind.AUTH | Kind.QUOTA | Kind.FORBIDDEN | Kind.RATE:
            return Retry(rotate=True) if history.pooled else give_up(history)
        case Kind.SERVER:
            return _server(outcome, history, now)
        case _:
            assert_never(outcome.kind)


def _bound(last: Ended, history: History) -> Retry | GiveUp:
    """The content belongs to the credential that served before: back to it, or back to what it said."""
    former = history.former or history.ended[0].credential
    if former == last.credential:
        return give_up(history)
    said = [one.outcome for one in history.ended if one.credential == former]
    if not said:
        return Retry(credential=former)
    answers = [one.answer for one in said if isinstance(one, Rejected) and one.answer]
    return GiveUp(answers[-1]) if answers else give_up(history)


def _server(outcome: Rejected | Unreachable, history: History, now: float) -> Decision:
    """Once on the same key after a back-off, then rotate."""
    earlier = sum(_is_server(one.outcome) for one in history.ended) - 1
    delay = min(FIRST_BACKOFF * 2**earlier, LONGEST_BACKOFF) * (1 - history.jitter / 4)
    if isinstance(outcome, Rejected) and outcome.retry_after is not None:
        delay = max(delay, outcome.retry_after)
    return _again(history, now, rotate=earlier > 0, delay=delay)


def _is_server(outcome: Outcome) -> bool:
    return isinstance(outcome, Unreachable) or (isinstance(outcome, Rejected) and outcome.kind is Kind.SERVER)


def _again(history: History, now: float, *, rotate: bool, delay: float = 0.0) -> Decision:
    """Another attempt that costs time, if the budget has one left."""
    costly = sum(_is_costly(one.outcome) for one in history.ended)
    if costly >= _most_attempts(history) or now + delay > latest_start(history):
        return give_up(history)
    return Retry(delay=delay, rotate=rotate and history.pooled, fresh=True)


def _most_attempts(history: History) -> int:
    """Anything but a generation is cheap to ask again by the client itself: one retry when unreachable."""
    if history.operation is Operation.GENERATE:
        return history.limits.max_attempts
    return 2 if isinstance(history.ended[-1].outcome, Unreachable) else 1


def _is_costly(outcome: Outcome) -> bool:
    return _is_server(outcome) or isinstance(outcome, Stalled | Truncated)


def latest_start(history: History) -> float:
    """The moment after which no new attempt may begin."""
    return min(history.ended[0].at + history.limits.deadline, history.latest_start)


def give_up(history: History) -> GiveUp:
    """The provider's last answer; where there was none, a fault that tells SDKs not to multiply ours."""
    if history.last_answer is not None:
        return GiveUp(history.last_answer)
    attempts = f"{len(history.ended)} attempt{'s' if len(history.ended) > 1 else ''}"
    match history.ended[-1].outcome:
        case Stalled(waited=waited):
            message = f"the provider sent no answer within {waited:.0f} s ({attempts})"
            return GiveUp(Fault(504, "timeout", message, should_retry=False))
        case Unreachable(cause=cause) | Truncated(cause=cause):
            return GiveUp(Fault(502, "unreachable", f"no answer: {cause} ({attempts})", should_retry=False))
        case Rejected(message=message):
            return GiveUp(Fault(502, "upstream_error", f"{message} ({attempts})", should_retry=False))
        case _:
            return GiveUp(Fault(502, "upstream_error", f"no answer ({attempts})", should_retry=False))

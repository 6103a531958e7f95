"""Before the commit point: what an attempt's outcome leads to.

A rejection that names the key is free, since every key is tried once, and so is an attempt that never
connected; whatever costs the user time is counted against `max_attempts`. Nothing begins after the deadline
or the client's patience, nor where the next target of a group can do better.
"""

from collections.abc import Sequence
from dataclasses import replace
from itertools import takewhile
from math import inf
from typing import assert_never

from protocols.model.call import Operation
from protocols.model.errors import Fault
from rewrite.policies.giving_back import given_back
from rewrite.values.decision import SHORT_WAIT, Ended, GiveUp, History, Retry
from rewrite.values.outcome import (
    Abandoned,
    Completed,
    Kind,
    Outcome,
    Rejected,
    Stalled,
    Truncated,
    Unreachable,
    is_lasting,
    never_connected,
)
from rewrite.values.timer import Timer

FIRST_BACKOFF = 0.5
LONGEST_BACKOFF = 8.0
MOST_WHILE_OTHERS_WAIT = 2
"""Attempts at a target that fails, connected or not, before the next target of its group is asked."""
MOST_OVER_QUOTA = 3
"""Keys that say that a quota does not allow a call, before no other is asked."""


def decide(history: History, now: float) -> Retry | GiveUp:
    """The decision over the last outcome in `history`, a failure; `now` is on the clock of `Ended.at`."""
    last = history.ended[-1]
    match last.outcome:
        case Rejected():
            return _rejected(last, last.outcome, history, now)
        case Stalled(timer=Timer.RESPONSE):
            return give_up(history)
        case Stalled() | Truncated() | Unreachable(sent=True) if history.acting:
            return give_up(history)  # the provider may be at work, and would do everything twice
        case Stalled() | Truncated():
            return _again(history, now, rotate=True)
        case Unreachable(lasting=True):
            return give_up(history)
        case Unreachable(connected=False):
            return _never_connected(history, now)
        case Unreachable():
            return _server(last.outcome, history, now)
        case Completed() | Abandoned():
            raise AssertionError(f"nothing to decide about: {last.outcome}")
        case _:
            assert_never(last.outcome)


def _rejected(last: Ended, outcome: Rejected, history: History, now: float) -> Retry | GiveUp:
    match outcome.kind:
        case Kind.REQUEST:
            return give_up(history)
        case Kind.BINDING:
            return _bound(last, history, now)
        case Kind.AUTH | Kind.FORBIDDEN:
            return _on_another_key(history, now)
        case Kind.RATE:
            return _back_in_a_moment(last, outcome, history, now) or _on_another_key(history, now)
        case Kind.QUOTA | Kind.MODEL_QUOTA | Kind.TOO_LARGE:
            return _over_quota(history, now)
        case Kind.MODEL:
            return _unknown_model(history, now)
        case Kind.SERVER:
            return _server(outcome, history, now)
        case Kind.FOREIGN:
            return _foreign(history, now)
        case _:
            assert_never(outcome.kind)


def _on_another_key(history: History, now: float) -> Retry | GiveUp:
    in_time = now <= latest_start(history)
    return Retry(rotate=True) if history.pooled and in_time else give_up(history)


def _back_in_a_moment(last: Ended, outcome: Rejected, history: History, now: float) -> Retry | None:
    """A conversation waits for its own key, where that is short, and once."""
    wait, times = outcome.retry_after, sum(one.credential == last.credential for one in history.ended)
    is_short = wait is not None and wait <= SHORT_WAIT and now + wait <= latest_start(history)
    own = history.pooled and last.credential == history.former and times == 1
    return Retry(awaits=last.credential) if own and is_short else None


def _over_quota(history: History, now: float) -> Retry | GiveUp:
    """What the quotas of so many keys do not allow is too much for the others too, and would use them up."""
    if history.over_quota < MOST_OVER_QUOTA:
        return _on_another_key(history, now)
    detail = f"{MOST_OVER_QUOTA} keys are over a quota: the call may be too large"
    return replace(give_up(history), detail=detail)


def _unknown_model(history: History, now: float) -> Retry | GiveUp:
    """Each other key once, since the model may be unknown to one alone; if all say so, the first is right."""
    answer = history.unknown_model
    first = GiveUp(answer) if answer else give_up(history)
    if not history.pooled or now > latest_start(history):
        return first
    return Retry(rotate=True, otherwise=first)


def _foreign(history: History, now: float) -> Retry | GiveUp:
    """Once more, on another key where there is one; what comes twice is what the provider says."""
    delay = _backoff(0, history)
    times = sum(_is_foreign(one.outcome) for one in history.ended)
    left = times < 2 and spent(history) < history.limits.max_attempts and not history.acting
    in_time = now + delay <= latest_start(history) and not _others_turn(history, now + delay)
    return Retry(delay=delay, rotate=history.pooled, fresh=True) if left and in_time else give_up(history)


def _never_connected(history: History, now: float) -> Retry | GiveUp:
    """Nothing was sent: again and again on the same key, until the outage is over or the time is."""
    delay = outage_backoff(history)
    if _others_turn(history, now + delay) or now + delay > latest_start(history):
        return give_up(history)
    return Retry(delay=delay, fresh=True)


def _others_turn(history: History, start: float) -> bool:
    """Whether those which wait come first: this target has failed so often, or what began at `start` and took
    as long as the last one would end after its turn."""
    last = history.ended[-1]
    took = 0.0 if last.sent is None else last.at - last.sent
    failed = sum(never_connected(one.outcome) or _is_costly(one.outcome) for one in history.ended)
    return history.others_wait and (failed >= MOST_WHILE_OTHERS_WAIT or start + took > history.turn_ends)


def outage_backoff(history: History) -> float:
    """Seconds before the next attempt where the last ones never connected."""
    return _backoff(len(outage(history.ended)) - 1, history)


def outage(ended: Sequence[Ended]) -> Sequence[Ended]:
    """The last attempts of `ended`, so many as in a row never connected."""
    return tuple(takewhile(lambda one: never_connected(one.outcome), reversed(ended)))[::-1]


def _backoff(earlier: int, history: History) -> float:
    """Seconds before the next attempt after `earlier` failures of the same kind and one more."""
    return min(FIRST_BACKOFF * 2.0**earlier, LONGEST_BACKOFF) * (1 - history.jitter / 4)


def _bound(last: Ended, history: History, now: float) -> Retry | GiveUp:
    """The content belongs to the credential that served before: once back to it, or back to what it said."""
    former = history.former or history.ended[0].credential
    said = [one.outcome for one in history.ended if one.credential == former]
    if former == last.credential:
        return give_up(history)
    if not said and not _bound_before(history):
        return Retry(credential=former)
    if said and _is_server(said[-1]) and not _bound_before(history):
        return _back_to(former, history, now)
    answers = (given_back(one, history) for one in reversed(said) if isinstance(one, Rejected))
    answer = next((each for each in answers if each is not None), None)
    return give_up(history) if answer is None else GiveUp(answer)


def _back_to(former: str, history: History, now: float) -> Retry | GiveUp:
    """It failed in this call, and no other key can take its place."""
    again = _again(history, now, rotate=False, delay=_backoff(0, history))
    return replace(again, credential=former) if isinstance(again, Retry) else again


def _bound_before(history: History) -> bool:
    earlier = (one.outcome for one in history.ended[:-1])
    return any(isinstance(each, Rejected) and each.kind is Kind.BINDING for each in earlier)


def _server(outcome: Rejected | Unreachable, history: History, now: float) -> Retry | GiveUp:
    """To another free key at once; where there is none, after a back-off.

    The wait that a provider asks for is kept. One that does not fit belongs to that key: it is asked again
    after the usual back-off, where there is a pool.
    """
    backoff = _backoff(sum(_is_server(one.outcome) for one in history.ended) - 1, history)
    wait = (isinstance(outcome, Rejected) and outcome.retry_after) or 0.0
    fits = now + wait <= latest_start(history) or not history.pooled
    later = _again(history, now, rotate=not fits, delay=max(backoff, wait) if fits else backoff)
    return _elsewhere(outcome, history, now, later) if history.pooled else later


def _elsewhere(
    outcome: Rejected | Unreachable, history: History, now: float, later: Retry | GiveUp
) -> Retry | GiveUp:
    """On a key that was not asked yet, else `later`. An error that was answered was not paid for, so that
    twice as many attempts are made; a connection that was lost may have been.
    """
    most = _most_attempts(history) * (2 if isinstance(outcome, Rejected) else 1)
    if history.operation is not Operation.GENERATE or spent(history) >= most:
        return later
    if _others_turn(history, now) or now > latest_start(history):
        return later
    return Retry(rotate=True, fresh=True, otherwise=later)


def _is_foreign(outcome: Outcome) -> bool:
    return isinstance(outcome, Rejected) and outcome.kind is Kind.FOREIGN


def _is_server(outcome: Outcome) -> bool:
    if isinstance(outcome, Unreachable):
        return outcome.connected
    return isinstance(outcome, Rejected) and outcome.kind is Kind.SERVER


def _again(history: History, now: float, *, rotate: bool, delay: float = 0.0) -> Retry | GiveUp:
    """Another attempt that costs time, if the budget has one left."""
    if _others_turn(history, now + delay) or now + delay > latest_start(history):
        return give_up(history)
    if history.others_wait and delay > LONGEST_BACKOFF:
        return give_up(history)
    if spent(history) >= _most_attempts(history):
        return give_up(history)
    return Retry(delay=delay, rotate=rotate and history.pooled, fresh=True)


def _most_attempts(history: History) -> int:
    """Anything but a generation is cheap to ask again by the client itself: one retry when unreachable."""
    if history.operation is Operation.GENERATE:
        return history.limits.max_attempts
    return 2 if isinstance(history.ended[-1].outcome, Unreachable) else 1


def spent(history: History) -> int:
    """The attempts that cost time: those that came to nothing, and those with a key asked once more."""
    asked = zip(history.ended, history.asked_again, strict=True)
    return sum(
        (again and not never_connected(one.outcome)) or _is_costly(one.outcome) for one, again in asked
    )


def _is_costly(outcome: Outcome) -> bool:
    return _is_server(outcome) or _is_foreign(outcome) or isinstance(outcome, Stalled | Truncated)


def latest_start(history: History) -> float:
    """The moment after which no new attempt may begin."""
    since = history.failing_since
    if since is None:
        since = history.ended[0].at if history.ended else inf
    return min(since + history.limits.deadline, history.latest_start)


def give_up(history: History) -> GiveUp:
    """The provider's last answer; where there was none, an error that asks SDKs not to multiply what may be
    paid for."""
    last = history.last_rejection
    if last is not None and (answer := given_back(last, history)):
        return GiveUp(answer, f"{last.message}; passed on as it came" if _is_foreign(last) else "")
    status, kind, message = _fault(history)
    paid = any(_is_paid(one.outcome) for one in (*history.elsewhere, *history.ended))
    hopeless = is_lasting(history.ended[-1].outcome)
    return GiveUp(Fault(status, kind, message, should_retry=not (paid or hopeless)))


def _is_paid(outcome: Outcome) -> bool:
    """Whether a provider may have to be paid for an attempt that gave the client nothing."""
    match outcome:
        case Stalled() | Truncated() | Unreachable(sent=True):
            return True
        case Rejected(status=status):
            return status < 300
        case _:
            return False


def _fault(history: History) -> tuple[int, str, str]:
    """Status, kind and message of a fault of ours."""
    attempts = f"{len(history.ended)} attempt{'s' if len(history.ended) > 1 else ''}"
    match history.ended[-1].outcome:
        case Stalled(timer=Timer.THROUGHPUT):
            return 504, "timeout", f"the provider's answer came too slowly ({attempts})"
        case Stalled(waited=waited):
            return 504, "timeout", f"the provider sent no answer within {waited:.0f} s ({attempts})"
        case Unreachable(cause=cause) | Truncated(cause=cause):
            where = f" from {history.host}" if history.host else ""
            return 502, "unreachable", f"no answer{where}: {cause} ({attempts})"
        case Rejected(message=message):
            return 502, "upstream_error", f"{message} ({attempts})"
        case _:
            return 502, "upstream_error", f"no answer ({attempts})"

"""What an outcome does to a credential and to its provider. Pure, over a snapshot.

What a rejection cools, and for how long, is a table: `COOLDOWNS`.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from enum import Enum
from math import inf

from msgspec import structs

from rewrite.catalog.providers import FairCycle
from rewrite.credentials.fairness import exhausted
from rewrite.credentials.health import (
    HEALTHY,
    MEMORY,
    MOST_SCOPES,
    AttemptFailure,
    Streak,
    failed,
    latest,
    overtaken,
    paused,
    undecided,
    worse,
)
from rewrite.credentials.limits import counted, given_back, limited
from rewrite.credentials.refusals import key_refusal
from rewrite.credentials.state import WHOLE, Cooldown, CredentialState, LastOutcome, PoolState
from rewrite.credentials.windows import Unit
from rewrite.policies.retry_after import clamped
from rewrite.values.decision import NOT_AGAIN
from rewrite.values.key_refusal import KeyRefusal
from rewrite.values.outcome import Completed, Kind, Outcome, Rejected, Stalled, Truncated, Unreachable


class Extent(Enum):
    """How much of a credential cools."""

    WHOLE = "the whole credential"
    SCOPE = "the credential for that model"


@dataclass(frozen=True, slots=True)
class CooldownRule:
    """What a rejection of one kind cools, and for how long, in seconds."""

    extent: Extent
    unstated: float
    """Where the provider does not say how long."""
    heeds: bool = False
    """Whether it is as long as the provider says, where it does."""
    shortest: float = 0.0
    """What the provider says is lengthened to it. 0: that it says 0 says nothing."""
    longest: float = inf
    """What the provider says is shortened to it."""
    doubles: bool = False
    """Whether each in a row lasts twice as long as the one before, up to `longest`."""
    grouped: bool = False
    """Whether it cools the credential for the quota group of the model, where that is in one."""


LONGEST_QUOTA = 31 * 86_400.0
"""Seconds of the longest period that a quota is for. What is stated beyond that is a mistake."""

COOLDOWNS: Mapping[Kind, CooldownRule] = {
    Kind.AUTH: CooldownRule(Extent.WHOLE, 300.0, longest=21_600.0, doubles=True),
    Kind.QUOTA: CooldownRule(Extent.WHOLE, 3600.0, heeds=True, longest=LONGEST_QUOTA, grouped=True),
    Kind.MODEL_QUOTA: CooldownRule(Extent.SCOPE, 3600.0, heeds=True, longest=LONGEST_QUOTA, grouped=True),
    Kind.FORBIDDEN: CooldownRule(Extent.SCOPE, 300.0),
    Kind.RATE: CooldownRule(Extent.SCOPE, 60.0, heeds=True, shortest=1.0, longest=1800.0, grouped=True),
    Kind.MODEL: CooldownRule(Extent.SCOPE, 0.0),
}
"""A model that a credential does not know cools it only once another one serves it: see `MODEL_COOLDOWN`."""

MODEL_COOLDOWN = 3600.0
"""Seconds for which a credential that does not know a model is not used for it, once another served it."""


@dataclass(frozen=True, slots=True)
class Attempted:
    """What is known of an attempt that ended, besides its outcome."""

    name: str
    """The credential's."""
    scope: str
    """What it was asked for."""
    witness: str
    """Whose call it was."""
    protocol: str = ""
    """The client's, in which it gets answers."""
    probe: bool = False
    """See `Chosen`."""
    quota: str = ""
    """See `CredentialRequest`."""
    used: Mapping[Unit, float] = field(default_factory=dict)
    """The tokens and the cost of it, where these are counted."""


def settle(pool: PoolState, one: Attempted, outcome: Outcome, now: float) -> PoolState:
    """The pool after the attempt `one` came to `outcome`."""
    state, last = pool.state(one.name), LastOutcome(outcome.label, now)
    pool = pool.with_state(one.name, structs.replace(state, in_flight=max(0, state.in_flight - 1), last=last))
    pool = _streaks(_judged(_settled(pool, one, outcome, now), one, outcome, now), one, outcome, now)
    return _limits(pool, one, outcome, now)


def _limits(pool: PoolState, one: Attempted, outcome: Outcome, now: float) -> PoolState:
    """What was used of limits, and whether the credential has had its turn."""
    found = next((each for each in pool.credentials if each.name == one.name), None)
    if found is None or not (found.counted or pool.fair_cycle is not FairCycle.OFF):
        return pool
    scope = one.quota or one.scope
    state = given_back(found, pool.state(one.name), scope, outcome)
    state = counted(found, state, scope, one.used, now)
    pool = pool.with_state(one.name, state)
    refused = isinstance(outcome, Rejected) and outcome.kind in _EXHAUSTED
    return exhausted(pool, found, scope) if refused or limited(found, state, scope, now) else pool


_EXHAUSTED = frozenset({Kind.RATE, Kind.QUOTA, Kind.MODEL_QUOTA})


def is_news(before: PoolState, after: PoolState) -> bool:
    """Whether an attempt changed more of the credentials than how many calls they are in."""
    pairs = ((before.state(c.name), after.state(c.name)) for c in after.credentials)
    return any((was.cooldowns, was.streaks) != (now.cooldowns, now.streaks) for was, now in pairs)


def _settled(pool: PoolState, one: Attempted, outcome: Outcome, now: float) -> PoolState:
    """The cooldowns of the credential."""
    state = pool.state(one.name)
    match outcome:
        case Completed():
            return pool.with_state(one.name, _served(state, one, now))
        case Rejected(kind=kind) if kind in COOLDOWNS:
            return pool.with_state(one.name, _cooled(pool, _counted(state, outcome, now), one, outcome, now))
        case _:
            return pool


def _judged(pool: PoolState, one: Attempted, outcome: Outcome, now: float) -> PoolState:
    """The health of the provider."""
    health = pool.health.get(one.scope, HEALTHY)
    match outcome:
        case Rejected(kind=Kind.SERVER) | Unreachable(connected=True) if one.probe:
            return pool.with_health(one.scope, paused(health, now))
        case Rejected(kind=Kind.SERVER) | Unreachable(connected=True):
            recent = {key: each for key, each in pool.health.items() if not each.is_old(now)}
            after = worse(health, AttemptFailure(now, one.name, one.witness))
            return structs.replace(pool, health=latest({**recent, one.scope: after}))
        case Completed():
            return pool.without_health(one.scope)
        case Rejected(kind=kind) if one.probe and kind is not Kind.FOREIGN:
            return pool.without_health(one.scope)
        case _:
            return pool.with_health(one.scope, undecided(health)) if one.probe else pool


def _streaks(pool: PoolState, one: Attempted, outcome: Outcome, now: float) -> PoolState:
    """Which credentials fail in a row while others serve."""
    match outcome:
        case Completed():
            states = {name: _beside(name, state, one, now) for name, state in pool.states.items()}
            changed = any(states[name] is not state for name, state in pool.states.items())
            return structs.replace(pool, states=states) if changed else pool
        case Rejected(kind=Kind.SERVER) | Unreachable(connected=True) | Stalled() | Truncated():
            state = pool.state(one.name)
            recent = {key: each for key, each in state.streaks.items() if each.at > now - MEMORY}
            streak = failed(recent.pop(one.scope, Streak()), now)
            return pool.with_state(
                one.name, structs.replace(state, streaks=latest({**recent, one.scope: streak}))
            )
        case _:
            return pool


def _beside(name: str, state: CredentialState, one: Attempted, now: float) -> CredentialState:
    """The state of credential `name`, after `one` completed."""
    if name == one.name:
        if one.scope not in state.streaks:
            return state
        streaks = {key: each for key, each in state.streaks.items() if key != one.scope}
        return structs.replace(state, streaks=streaks)
    streak, cooldown = state.streaks.get(one.scope), state.cooldowns.get(one.scope)
    if streak is not None:
        state = structs.replace(state, streaks={**state.streaks, one.scope: overtaken(streak, now)})
    if cooldown is not None and cooldown.refusal and _lacks_model(cooldown.refusal, now):
        refusal = replace(cooldown.refusal, until=now + MODEL_COOLDOWN)
        lasting = Cooldown(now + MODEL_COOLDOWN, refusal, now)
        state = structs.replace(state, cooldowns={**state.cooldowns, one.scope: lasting})
    return state


def _lacks_model(said: KeyRefusal, now: float) -> bool:
    """The credential said lately that it does not know a model, and has no cooldown for it."""
    return said.kind is Kind.MODEL and said.until <= now <= said.at + MEMORY


def _served(state: CredentialState, one: Attempted, now: float) -> CredentialState:
    """It works. A call that began before its credential was refused says nothing about that."""
    known = {WHOLE, one.scope, one.quota} & state.cooldowns.keys()
    over = [key for key in known if state.cooldowns[key].until <= now]
    cooldowns = {key: value for key, value in state.cooldowns.items() if key not in over}
    failures = 0 if state.auth_until <= now else state.auth_failures
    if not over and failures == state.auth_failures:
        return state
    return structs.replace(state, cooldowns=cooldowns, auth_failures=failures)


def _counted(state: CredentialState, outcome: Rejected, now: float) -> CredentialState:
    """Calls that were under way together and are refused together are one failure of the key."""
    if outcome.kind is not Kind.AUTH or now < state.auth_until:
        return state
    failures = state.auth_failures + 1
    return structs.replace(
        state, auth_failures=failures, auth_until=now + _doubled(COOLDOWNS[Kind.AUTH], failures)
    )


def _doubled(rule: CooldownRule, times: int) -> float:
    return min(rule.unstated * 2.0 ** (min(times, _ENOUGH_TO_BE_LONGEST) - 1), rule.longest)


_ENOUGH_TO_BE_LONGEST = 20


def _cooled(
    pool: PoolState, state: CredentialState, one: Attempted, outcome: Rejected, now: float
) -> CredentialState:
    """A cooldown is never shortened; the longer one keeps what was said with it."""
    key, until = _cooldown(state, outcome, one, now)
    former = state.cooldowns.get(key)
    if former is not None and former.until > until:
        return state
    refused = outcome.kind in NOT_AGAIN
    said = key_refusal(outcome, pool.title(one.name), one.protocol, now, until) if refused else None
    cooldowns = {**_recent(state.cooldowns, now), key: Cooldown(until, said, now)}
    return structs.replace(state, cooldowns=cooldowns)


def _recent(cooldowns: Mapping[str, Cooldown], now: float) -> dict[str, Cooldown]:
    """Without what is over, and not more than so many."""
    kept = {key: one for key, one in cooldowns.items() if one.until > now or one.refusal}
    latest = sorted(kept, key=lambda key: kept[key].until)[-(MOST_SCOPES - 1) :]
    return {key: kept[key] for key in latest}


def _cooldown(state: CredentialState, outcome: Rejected, one: Attempted, now: float) -> tuple[str, float]:
    """What has the cooldown (WHOLE, the scope, or the quota group), and until when."""
    rule = COOLDOWNS[outcome.kind]
    key = WHOLE if rule.extent is Extent.WHOLE else one.scope
    key = one.quota or key if rule.grouped else key
    if rule.doubles:
        return key, state.auth_until
    stated = outcome.retry_after if rule.heeds else None
    if stated is None or stated == rule.shortest == 0.0:
        return key, now + rule.unstated
    return key, now + clamped(stated, rule.shortest, rule.longest)

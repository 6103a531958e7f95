"""Which credential serves next, and what an outcome does to it. Pure, over a snapshot.

A credential's identity (`Credential`) stands apart from its state; the secret is not known here. Times
are seconds on a monotonic clock.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field, replace

from protocols.base import Call
from rewrite.outcome import Completed, Kind, Outcome, Rejected, Unreachable
from rewrite.providers import Rotation

WHOLE = "whole"
"""The scope of a whole credential; no other scope equals it, whatever a client calls its model."""

AUTH_COOLDOWN = FORBIDDEN_COOLDOWN = 300.0
QUOTA_COOLDOWN = 3600.0
RATE_COOLDOWN = 60.0
RATE_SHORTEST, RATE_LONGEST = 1.0, 1800.0
AUTH_FAILURES_TO_RETIRE = 3
PAUSE_FAILURES, PAUSE_WINDOW = 3, 60.0
PAUSE_SHORTEST, PAUSE_LONGEST = 30.0, 300.0


@dataclass(frozen=True, slots=True)
class Credential:
    """`priority`: lower serves first; equal ones in the order of the config."""

    name: str
    provider: str
    priority: int = 1


@dataclass(frozen=True, slots=True)
class CredentialState:
    """`cooldowns`: by scope, until when; `auth_failures`: in a row, each after the cooldown of the one
    before, which ends at `auth_until`."""

    cooldowns: Mapping[str, float] = field(default_factory=dict)
    auth_failures: int = 0
    auth_until: float = 0.0
    retired: bool = False
    in_flight: int = 0

    def free_at(self, scope: str) -> float:
        """The moment from which the credential may serve `scope`."""
        return max(self.cooldowns.get(WHOLE, 0.0), self.cooldowns.get(scope, 0.0))


@dataclass(frozen=True, slots=True)
class Failure:
    at: float
    credential: str
    conversation: str


@dataclass(frozen=True, slots=True)
class Health:
    """Server failures of one scope since its last success, and the pause that they led to."""

    failures: tuple[Failure, ...] = ()
    paused_until: float = 0.0
    pause: float = 0.0


@dataclass(frozen=True, slots=True)
class PoolState:
    """One provider's credentials in serving order. `last`: the name that served last, for round robin."""

    credentials: tuple[Credential, ...]
    rotation: Rotation = Rotation.SEQUENTIAL
    states: Mapping[str, CredentialState] = field(default_factory=dict)
    health: Mapping[str, Health] = field(default_factory=dict)
    last: str | None = None

    def state(self, name: str) -> CredentialState:
        return self.states.get(name, CredentialState())

    def with_state(self, name: str, state: CredentialState) -> "PoolState":
        return replace(self, states={**self.states, name: state})


@dataclass(frozen=True, slots=True)
class Wish:
    """`prefer`: serve it if it is free; `insist`: it or none, though it cools; `avoid`: only if no other is.

    `refused`: never, whatever is free; `resting`: not now, but worth waiting for.
    """

    scope: str = ""
    prefer: str | None = None
    insist: bool = False
    avoid: frozenset[str] = frozenset()
    refused: frozenset[str] = frozenset()
    resting: frozenset[str] = frozenset()


@dataclass(frozen=True, slots=True)
class Chosen:
    credential: Credential


@dataclass(frozen=True, slots=True)
class NoneFree:
    """`wait`: seconds until the soonest is free that may serve, None if none ever is; `paused`: the provider
    rests."""

    wait: float | None
    paused: bool = False


def scope_of(call: Call) -> str:
    """What a rate limit or a refusal of `call` is about: its model, or its operation where it names none."""
    return f"model:{call.model}" if call.model else f"operation:{call.operation}"


def serving_order(credentials: tuple[Credential, ...]) -> tuple[Credential, ...]:
    return tuple(sorted(credentials, key=lambda credential: credential.priority))


def choose(pool: PoolState, wish: Wish, now: float) -> Chosen | NoneFree:
    """The credential that serves `wish`, or how long there is none."""
    health = pool.health.get(wish.scope, Health())
    if health.paused_until > now:
        return NoneFree(health.paused_until - now, paused=True)
    usable = [c for c in pool.credentials if not pool.state(c.name).retired and c.name not in wish.refused]
    waits = {c: max(0.0, pool.state(c.name).free_at(wish.scope) - now) for c in usable}
    free = [c for c in usable if not waits[c] and c.name not in wish.resting]
    preferred = _preferred(usable if wish.insist else free, wish)
    if preferred:
        return Chosen(preferred)
    if wish.insist:
        return NoneFree(None)
    if not free:
        return NoneFree(min(waits.values(), default=None))
    others = [c for c in free if c.name not in wish.avoid]
    return Chosen(_next_in_turn(pool, others or free))


def _preferred(candidates: list[Credential], wish: Wish) -> Credential | None:
    if wish.prefer in wish.avoid:
        return None
    return next((c for c in candidates if c.name == wish.prefer), None)


def _next_in_turn(pool: PoolState, free: list[Credential]) -> Credential:
    """Sequential: the first, which keeps prompt caches warm. Round robin: the one behind the last, among
    those of the same priority."""
    if pool.rotation is not Rotation.ROUND_ROBIN:
        return free[0]
    names = [c.name for c in pool.credentials]
    turn = names.index(pool.last) + 1 if pool.last in names else 0
    return min(free, key=lambda c: (c.priority, (names.index(c.name) - turn) % len(names)))


def account(pool: PoolState) -> Credential | None:
    """The one credential for what belongs to an account (files, batches, caches): always the same."""
    return pool.credentials[0] if pool.credentials else None


def taken(pool: PoolState, name: str) -> PoolState:
    state = pool.state(name)
    return replace(pool.with_state(name, replace(state, in_flight=state.in_flight + 1)), last=name)


def settle(
    pool: PoolState, name: str, scope: str, conversation: str, outcome: Outcome, now: float
) -> PoolState:
    """The pool after an attempt of `conversation` at `scope` with credential `name` came to `outcome`."""
    state = pool.state(name)
    state = replace(state, in_flight=max(0, state.in_flight - 1))
    match outcome:
        case Completed():
            health = {k: v for k, v in pool.health.items() if k != scope}
            return replace(pool.with_state(name, replace(state, auth_failures=0)), health=health)
        case Rejected(kind=kind) if kind in _COOLING:
            return pool.with_state(name, _cooled(_counted(state, outcome, now), outcome, scope, now))
        case Rejected(kind=Kind.SERVER) | Unreachable(connected=True):
            failure = Failure(now, name, conversation)
            health = {**pool.health, scope: _worse(pool.health.get(scope, Health()), failure)}
            return replace(pool.with_state(name, state), health=health)
        case _:
            return pool.with_state(name, state)


_COOLING = frozenset({Kind.AUTH, Kind.QUOTA, Kind.FORBIDDEN, Kind.RATE})


def _counted(state: CredentialState, outcome: Rejected, now: float) -> CredentialState:
    """Calls that were under way together and are refused together are one failure of the key."""
    if outcome.kind is not Kind.AUTH or now < state.auth_until:
        return state
    failures = state.auth_failures + 1
    retired = state.retired or failures >= AUTH_FAILURES_TO_RETIRE
    return replace(state, auth_failures=failures, auth_until=now + AUTH_COOLDOWN, retired=retired)


def _cooled(state: CredentialState, outcome: Rejected, scope: str, now: float) -> CredentialState:
    key, seconds = _cooldown(outcome, scope)
    until = max(state.cooldowns.get(key, 0.0), now + seconds)
    return replace(state, cooldowns={**state.cooldowns, key: until})


def _cooldown(outcome: Rejected, scope: str) -> tuple[str, float]:
    """What cools (WHOLE, or the scope) and for how many seconds."""
    match outcome.kind:
        case Kind.AUTH:
            return WHOLE, AUTH_COOLDOWN
        case Kind.QUOTA:
            return WHOLE, outcome.retry_after or QUOTA_COOLDOWN
        case Kind.FORBIDDEN:
            return scope, FORBIDDEN_COOLDOWN
        case _:
            stated = RATE_COOLDOWN if outcome.retry_after is None else outcome.retry_after
            return scope, min(max(stated, RATE_SHORTEST), RATE_LONGEST)


def _worse(health: Health, failure: Failure) -> Health:
    """One key's or one poisonous request's failures never pause a provider."""
    recent = (*(f for f in health.failures if failure.at - f.at <= PAUSE_WINDOW), failure)
    keys, conversations = {f.credential for f in recent}, {f.conversation for f in recent}
    if len(recent) < PAUSE_FAILURES or len(keys) < 2 or len(conversations) < 2:
        return replace(health, failures=recent)
    pause = min(health.pause * 2, PAUSE_LONGEST) if health.pause else PAUSE_SHORTEST
    return Health((), failure.at + pause, pause)

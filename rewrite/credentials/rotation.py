"""Which credential serves next, and what an outcome does to it. Pure, over a snapshot.

A credential's identity (`Credential`) stands apart from its state; the secret is not known here. Times
are seconds on a monotonic clock.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field, replace

from protocols.model.call import Call
from rewrite.catalog.providers import Rotation
from rewrite.credentials.health import (
    HEALTHY,
    MEMORY,
    MOST_SCOPES,
    AttemptFailure,
    Health,
    Streak,
    failed,
    latest,
    overtaken,
    paused,
    probed,
    undecided,
    worse,
)
from rewrite.credentials.refusals import key_refusal
from rewrite.policies.retry_after import clamped
from rewrite.values.decision import NOT_AGAIN
from rewrite.values.key_refusal import REMEDIES, KeyRefusal, StandingRefusal
from rewrite.values.outcome import Completed, Kind, Outcome, Rejected, Stalled, Truncated, Unreachable

WHOLE = "whole"
"""The scope of a whole credential; no other scope equals it, whatever a client calls its model."""

FORBIDDEN_COOLDOWN = 300.0
AUTH_SHORTEST, AUTH_LONGEST = 300.0, 21_600.0
QUOTA_COOLDOWN = 3600.0
MODEL_COOLDOWN = 3600.0
RATE_COOLDOWN = 60.0
RATE_SHORTEST, RATE_LONGEST = 1.0, 1800.0
MOST_NAMED = 8
"""Of how many credentials a message says why they do not serve."""


@dataclass(frozen=True, slots=True)
class Credential:
    """One credential of a pool. The key itself is not known here."""

    name: str
    """Unique in its pool."""
    provider: str
    """The name of the provider that it is for."""
    priority: int = 1
    """Lower serves first; equal ones in the order of the config."""


@dataclass(frozen=True, slots=True)
class Cooldown:
    """A time in which a credential is not used."""

    until: float
    """When it is over."""
    refusal: KeyRefusal | None = None
    """What the provider said, where it refused the credential. It is kept after that time, until the
    credential serves again."""


@dataclass(frozen=True, slots=True)
class CredentialState:
    """What is known of a credential at a time."""

    cooldowns: Mapping[str, Cooldown] = field(default_factory=dict)
    """By scope."""
    auth_failures: int = 0
    """How many refusals (401) came in a row, each after the cooldown of the one before."""
    auth_until: float = 0.0
    """When the cooldown of the last of these ends."""
    in_flight: int = 0
    """How many attempts it is in use for."""
    streaks: Mapping[str, Streak] = field(default_factory=dict)
    """By scope."""

    def free_at(self, scope: str) -> float:
        """The moment from which the credential may serve `scope`."""
        return max(one.until for one in (self._cooldown(WHOLE), self._cooldown(scope)))

    def is_last(self, scope: str, now: float) -> bool:
        """Whether it is asked for `scope` after all others."""
        streak = self.streaks.get(scope)
        return streak is not None and streak.last_until > now

    def refusal(self, scope: str, now: float) -> KeyRefusal | None:
        """What was said of a credential that is not used for `scope` since it was refused."""
        found = (self._cooldown(WHOLE), self._cooldown(scope))
        return next((one.refusal for one in found if one.refusal and one.until > now), None)

    def why(self, scope: str, now: float) -> str:
        """For a reader: what keeps the credential from serving `scope`, and when it is tried again."""
        last = max((self._cooldown(WHOLE), self._cooldown(scope)), key=lambda one: one.until)
        said, wait = last.refusal, last.until - now
        again = f"is tried again in {wait:.0f} s" if wait > 0 else "may be tried again"
        if said is None:
            return f"is rate-limited and {again}" if wait > 0 else again
        return f"was refused ({said.said}) and {again}: {REMEDIES[said.kind]}"

    def _cooldown(self, scope: str) -> Cooldown:
        return self.cooldowns.get(scope, _NO_COOLDOWN)


_NO_COOLDOWN = Cooldown(0.0)
_NEVER_USED = CredentialState()


@dataclass(frozen=True, slots=True)
class PoolState:
    """A snapshot of one provider's credentials."""

    credentials: tuple[Credential, ...]
    """In serving order."""
    rotation: Rotation = Rotation.SEQUENTIAL
    """How they take turns."""
    states: Mapping[str, CredentialState] = field(default_factory=dict)
    """By the name of the credential."""
    health: Mapping[str, Health] = field(default_factory=dict)
    """The provider's, by scope."""
    last: str | None = None
    """The name of the credential that served last, for round robin."""

    def state(self, name: str) -> CredentialState:
        return self.states.get(name, _NEVER_USED)

    def title(self, name: str) -> str:
        """How a credential is called in messages: provider/name."""
        return "/".join((*(c.provider for c in self.credentials if c.name == name), name))

    def without_health(self, scope: str) -> "PoolState":
        if scope not in self.health:
            return self
        return replace(self, health={key: one for key, one in self.health.items() if key != scope})

    def with_health(self, scope: str, health: Health) -> "PoolState":
        return replace(self, health={**self.health, scope: health})

    def with_state(self, name: str, state: CredentialState) -> "PoolState":
        if state is self.states.get(name):
            return self
        return replace(self, states={**self.states, name: state})


@dataclass(frozen=True, slots=True)
class CredentialRequest:
    """What an attempt wants of a pool. Credentials are named."""

    scope: str = ""
    """What it is for, see `scope_of`."""
    prefer: str | None = None
    """Which is to serve if it is free."""
    insist: bool = False
    """Whether it is that one or none, though it has a cooldown."""
    avoid: frozenset[str] = frozenset()
    """Those that serve only if no other is free."""
    refused: frozenset[str] = frozenset()
    """Those that never serve, whatever is free."""
    resting: frozenset[str] = frozenset()
    """Those that do not serve now, but are worth waiting for."""
    only_others: bool = False
    """Whether those of `avoid` do not serve even if no other is free."""
    fallback: bool = False
    """Whether the call has another target, so that it keeps away from a provider that is paused."""


@dataclass(frozen=True, slots=True)
class Chosen:
    """The credential that serves."""

    credential: Credential
    """Which it is."""
    asked_last: tuple[str, ...] = ()
    """The names of those that were free and come after it, since they fail."""
    probe: bool = False
    """Whether what comes of it decides if the provider is paused."""


@dataclass(frozen=True, slots=True)
class Unavailable:
    """No credential may serve now."""

    wait: float | None
    """Seconds until the soonest may. None: none ever may."""
    paused: bool = False
    """Whether the provider is paused."""
    refused: StandingRefusal | None = None
    """The last refusal, where every credential is refused."""
    keys: tuple[str, ...] = field(default=(), compare=False)
    """For a reader: of each credential why it does not serve, and when it is tried again."""


def scope_of(call: Call) -> str:
    """What a rate limit or a refusal of `call` is about: its model, or its operation where it names none."""
    return f"model:{call.model}" if call.model else f"operation:{call.operation}"


def serving_order(credentials: tuple[Credential, ...]) -> tuple[Credential, ...]:
    return tuple(sorted(credentials, key=lambda credential: credential.priority))


def choose(pool: PoolState, request: CredentialRequest, now: float) -> Chosen | Unavailable:
    """The credential that serves `request`, or for how long none may."""
    health = pool.health.get(request.scope)
    if health and request.fallback and (away := health.wait(now)):
        return Unavailable(away, paused=True)
    probe = health is not None and health.wants_probe(now)
    usable = [c for c in pool.credentials if c.name not in request.refused]
    if request.insist:
        preferred = _preferred(usable, request)
        return Chosen(preferred, probe=probe) if preferred else Unavailable(None)
    waits = {c: max(0.0, pool.state(c.name).free_at(request.scope) - now) for c in usable}
    candidates = _candidates([c for c in usable if not waits[c] and c.name not in request.resting], request)
    if not candidates:
        refused, keys = _refused(pool, request.scope, now), _why(pool, request.scope, now)
        return Unavailable(min(waits.values(), default=None), refused=refused, keys=keys)
    last = [c for c in candidates if pool.state(c.name).is_last(request.scope, now)]
    steady = [c for c in candidates if c not in last] or candidates
    found = _preferred(steady, request) or _next_in_turn(pool, steady)
    return Chosen(found, tuple(c.name for c in last if c is not found), probe)


def _candidates(free: list[Credential], request: CredentialRequest) -> list[Credential]:
    others = [c for c in free if c.name not in request.avoid]
    return others if others or request.only_others else free


def _refused(pool: PoolState, scope: str, now: float) -> StandingRefusal | None:
    """The last refusal, if each credential has one."""
    found = [pool.state(c.name).refusal(scope, now) for c in pool.credentials]
    said = [one for one in found if one is not None]
    if not said or len(said) < len(found):
        return None
    last = max(said, key=lambda one: one.at)
    return StandingRefusal(last, last.until - now)


def _why(pool: PoolState, scope: str, now: float) -> tuple[str, ...]:
    """Of each credential why it does not serve `scope`, the soonest first."""
    soonest = sorted(pool.credentials, key=lambda c: pool.state(c.name).free_at(scope))
    shown = [f"{pool.title(c.name)} {pool.state(c.name).why(scope, now)}" for c in soonest[:MOST_NAMED]]
    more = len(soonest) - len(shown)
    return (*shown, f"and {more} more") if more else tuple(shown)


def _preferred(candidates: list[Credential], request: CredentialRequest) -> Credential | None:
    if request.prefer in request.avoid:
        return None
    return next((c for c in candidates if c.name == request.prefer), None)


def _next_in_turn(pool: PoolState, free: list[Credential]) -> Credential:
    """Sequential: the first, which keeps prompt caches warm. Round robin: the one after the last, among
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
    states = {**pool.states, name: replace(state, in_flight=state.in_flight + 1)}
    return replace(pool, states=states, last=name)


def probing(pool: PoolState, scope: str, now: float) -> PoolState:
    """What was chosen as a probe is under way."""
    return pool.with_health(scope, probed(pool.health.get(scope, HEALTHY), now))


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


def settle(pool: PoolState, one: Attempted, outcome: Outcome, now: float) -> PoolState:
    """The pool after the attempt `one` came to `outcome`."""
    state = pool.state(one.name)
    pool = pool.with_state(one.name, replace(state, in_flight=max(0, state.in_flight - 1)))
    return _streaks(_judged(_settled(pool, one, outcome, now), one, outcome, now), one, outcome, now)


def is_news(before: PoolState, after: PoolState) -> bool:
    """Whether an attempt changed more of the credentials than how many calls they are in."""
    pairs = ((before.state(c.name), after.state(c.name)) for c in after.credentials)
    return any((was.cooldowns, was.streaks) != (now.cooldowns, now.streaks) for was, now in pairs)


def _settled(pool: PoolState, one: Attempted, outcome: Outcome, now: float) -> PoolState:
    """The cooldowns of the credential."""
    state = pool.state(one.name)
    match outcome:
        case Completed():
            return pool.with_state(one.name, _served(state, one.scope, now))
        case Rejected(kind=kind) if kind in _WITH_COOLDOWN:
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
            return replace(pool, health=latest({**recent, one.scope: after}))
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
            for name, state in pool.states.items():
                pool = pool.with_state(name, _beside(name, state, one, now))
            return pool
        case Rejected(kind=Kind.SERVER) | Unreachable(connected=True) | Stalled() | Truncated():
            state = pool.state(one.name)
            recent = {key: each for key, each in state.streaks.items() if each.at > now - MEMORY}
            streak = failed(recent.pop(one.scope, Streak()), now)
            return pool.with_state(one.name, replace(state, streaks=latest({**recent, one.scope: streak})))
        case _:
            return pool


def _beside(name: str, state: CredentialState, one: Attempted, now: float) -> CredentialState:
    """The state of credential `name`, after `one` completed."""
    if name == one.name:
        if one.scope not in state.streaks:
            return state
        streaks = {key: each for key, each in state.streaks.items() if key != one.scope}
        return replace(state, streaks=streaks)
    streak, cooldown = state.streaks.get(one.scope), state.cooldowns.get(one.scope)
    if streak is not None:
        state = replace(state, streaks={**state.streaks, one.scope: overtaken(streak, now)})
    if cooldown is not None and cooldown.refusal and _lacks_model(cooldown.refusal, now):
        lasting = Cooldown(now + MODEL_COOLDOWN, replace(cooldown.refusal, until=now + MODEL_COOLDOWN))
        state = replace(state, cooldowns={**state.cooldowns, one.scope: lasting})
    return state


def _lacks_model(said: KeyRefusal, now: float) -> bool:
    """The credential said lately that it does not know a model, and has no cooldown for it."""
    return said.kind is Kind.MODEL and said.until <= now <= said.at + MEMORY


_WITH_COOLDOWN = NOT_AGAIN | {Kind.RATE}


def _served(state: CredentialState, scope: str, now: float) -> CredentialState:
    """It works. A call that began before its credential was refused says nothing about that."""
    over = [key for key in (WHOLE, scope) if key in state.cooldowns and state.cooldowns[key].until <= now]
    cooldowns = {key: value for key, value in state.cooldowns.items() if key not in over}
    failures = 0 if state.auth_until <= now else state.auth_failures
    if not over and failures == state.auth_failures:
        return state
    return replace(state, cooldowns=cooldowns, auth_failures=failures)


def _counted(state: CredentialState, outcome: Rejected, now: float) -> CredentialState:
    """Calls that were under way together and are refused together are one failure of the key."""
    if outcome.kind is not Kind.AUTH or now < state.auth_until:
        return state
    failures = state.auth_failures + 1
    return replace(state, auth_failures=failures, auth_until=now + _auth_cooldown(failures))


def _auth_cooldown(failures: int) -> float:
    return min(AUTH_SHORTEST * 2.0 ** (min(failures, _ENOUGH_TO_BE_LONGEST) - 1), AUTH_LONGEST)


_ENOUGH_TO_BE_LONGEST = 20


def _cooled(
    pool: PoolState, state: CredentialState, one: Attempted, outcome: Rejected, now: float
) -> CredentialState:
    """A cooldown is never shortened; the longer one keeps what was said with it."""
    key, until = _cooldown(state, outcome, one.scope, now)
    former = state.cooldowns.get(key)
    if former is not None and former.until > until:
        return state
    refused = outcome.kind in NOT_AGAIN
    said = key_refusal(outcome, pool.title(one.name), one.protocol, now, until) if refused else None
    cooldowns = {**_recent(state.cooldowns, now), key: Cooldown(until, said)}
    return replace(state, cooldowns=cooldowns)


def _recent(cooldowns: Mapping[str, Cooldown], now: float) -> dict[str, Cooldown]:
    """Without what is over, and not more than so many."""
    kept = {key: one for key, one in cooldowns.items() if one.until > now or one.refusal}
    latest = sorted(kept, key=lambda key: kept[key].until)[-(MOST_SCOPES - 1) :]
    return {key: kept[key] for key in latest}


def _cooldown(state: CredentialState, outcome: Rejected, scope: str, now: float) -> tuple[str, float]:
    """What has the cooldown (WHOLE, or the scope), and until when."""
    match outcome.kind:
        case Kind.AUTH:
            return WHOLE, state.auth_until
        case Kind.QUOTA:
            return WHOLE, now + (outcome.retry_after or QUOTA_COOLDOWN)
        case Kind.FORBIDDEN:
            return scope, now + FORBIDDEN_COOLDOWN
        case Kind.MODEL:
            return scope, now  # a cooldown begins once another credential serves the model
        case _:
            stated = RATE_COOLDOWN if outcome.retry_after is None else outcome.retry_after
            return scope, now + clamped(stated, RATE_SHORTEST, RATE_LONGEST)


def resumed(pool: PoolState, name: str | None = None) -> PoolState:
    """Every cooldown and pause is over: of the credential `name`, or of all and of the provider."""
    names = {name} if name else set(pool.states)
    states = {
        each: CredentialState(in_flight=state.in_flight) if each in names else state
        for each, state in pool.states.items()
    }
    return replace(pool, states=states, health={})


def forgiven(state: CredentialState) -> CredentialState:
    """Without its refusals: the user changed something, which may be what they were about."""
    cooldowns = {key: one for key, one in state.cooldowns.items() if one.refusal is None}
    return replace(state, cooldowns=cooldowns, auth_failures=0, auth_until=0.0)

"""What is known of the credentials of a pool at a time: a snapshot, from which one serves and which an
outcome changes. Times are seconds on one clock that never goes back.

What is copied for each call is a Struct: to copy one (`structs.replace`) takes a thirtieth of the time.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field
from fnmatch import fnmatchcase

import msgspec
from msgspec import Struct, structs

from rewrite.catalog.providers import FairCycle, Rotation
from rewrite.credentials.allowance import Allowance, Memo, Shares
from rewrite.credentials.credential import Credential
from rewrite.credentials.health import Health, Streak
from rewrite.credentials.learning import Reported
from rewrite.credentials.windows import Counts
from rewrite.values.key_refusal import REMEDIES, KeyRefusal
from rewrite.values.outcome import Kind

WHOLE = "whole"
"""The scope of a whole credential; no other scope equals it, whatever a client calls its model."""


@dataclass(frozen=True, slots=True)
class Cooldown:
    """A time in which a credential is not used."""

    until: float
    """When it is over."""
    refusal: KeyRefusal | None = None
    """What the provider said, where it refused the credential. It is kept after that time, until the
    credential serves again."""
    at: float = 0.0
    """When it began."""
    note: str = ""
    """What a reader is shown where the provider said nothing. Empty: that its rate is used up."""


_NO_COOLDOWN = Cooldown(0.0)


@dataclass(frozen=True, slots=True)
class LastOutcome:
    """What came of the last attempt with a credential."""

    label: str
    """For a reader."""
    at: float
    """When it ended."""


@dataclass(frozen=True, slots=True)
class Elsewhere:
    """How many places of a credential other proxies hold."""

    places: int = 0
    until: float = 0.0
    """When that is known no more."""
    full_until: float = 0.0
    """Until when it counts that all places were held a moment ago, should the store be lost."""

    def at(self, now: float) -> int:
        return self.places if self.until > now else 0


NOWHERE = Elsewhere()


@dataclass(frozen=True, slots=True)
class Alone:
    """The store that several proxies share does not answer: each goes on with its share."""

    peers: int
    """How many proxies there are, this one included. 0: the store is asked for the first time, so that nobody
    knows yet."""
    used: Mapping[tuple[str, str], Counts]
    """What was used when it last answered, as in `CredentialState`."""


class CredentialState(Struct, frozen=True):
    """What is known of a credential at a time."""

    cooldowns: Mapping[str, Cooldown] = {}
    """By scope."""
    auth_failures: int = 0
    """How many refusals (401) came in a row, each after the cooldown of the one before."""
    auth_until: float = 0.0
    """When the cooldown of the last of these ends."""
    in_flight: int = 0
    """How many attempts it is in use for."""
    streaks: Mapping[str, Streak] = {}
    """By scope."""
    retired: bool = False
    """Whether a person took it out of use."""
    last: LastOutcome | None = None
    """None: it has not been asked yet."""
    used: Mapping[tuple[str, str], Counts] = {}
    """What is used of the limits of the config, by the key of the window and scope."""
    learnt: Mapping[tuple[str, str], Reported] = {}
    """The limits that its provider reported, by name and scope."""
    allowances: Memo[Allowance] = msgspec.field(default_factory=Memo)
    """By scope: what was worked out of these two. Who replaces them makes a new one."""
    elsewhere: Elsewhere = NOWHERE
    """What other proxies use it for."""
    alone: Alone | None = None
    """None: the store answers, or there is none."""
    spent: Mapping[tuple[str, str], float] = {}
    """Until when nothing is left of a limit of the config, as the store says; by the key of the window and
    scope."""

    def free_at(self, scope: str, quota: str = "") -> float:
        """The moment from which no cooldown keeps the credential from `scope`, nor from the quota group
        `quota` that it is in."""
        cooldowns, until = self.cooldowns, 0.0
        for key in (WHOLE, scope, quota):
            one = cooldowns.get(key)
            if one is not None and one.until > until:
                until = one.until
        return until

    def is_last(self, scope: str, now: float) -> bool:
        """Whether it is asked for `scope` after all others, since it fails."""
        streak = self.streaks.get(scope)
        return streak is not None and streak.last_until > now

    def refusal(self, scope: str, now: float, quota: str = "") -> KeyRefusal | None:
        """What was said of a credential that is not used for `scope` since it was refused; the longest."""
        found = [one for one in self._all(scope, quota) if one.refusal and one.until > now]
        return max(found, key=lambda one: one.until).refusal if found else None

    def why(self, scope: str, now: float, quota: str = "") -> str:
        """For a reader: which cooldown keeps the credential from `scope`, and when it is tried again."""
        last = max(self._all(scope, quota), key=lambda one: one.until)
        said, wait = last.refusal, last.until - now
        again = f"is tried again in {wait:.0f} s" if wait > 0 else "may be tried again"
        if said is None:
            return f"{last.note or 'is rate-limited'} and {again}" if wait > 0 else again
        return f"was refused ({said.said}) and {again}: {REMEDIES[said.kind]}"

    def _all(self, scope: str, quota: str) -> tuple[Cooldown, Cooldown, Cooldown]:
        return self._cooldown(WHOLE), self._cooldown(scope), self._cooldown(quota)

    def _cooldown(self, scope: str) -> Cooldown:
        return self.cooldowns.get(scope, _NO_COOLDOWN)


NEVER_USED = CredentialState()


@dataclass(frozen=True, slots=True)
class Wheel:
    """Whose turn it is. It turns when a conversation that has no credential gets one."""

    used: tuple[Credential, ...] = ()
    """Those that have had a turn, the one whose last turn is the longest ago first."""
    time: float = 0.0
    """When the last turn began, in a time that passes by turns: see `order`."""
    ends: Mapping[str, float] = field(default_factory=dict)
    """When the last turn of each credential ended in that time, by its name."""


UNTURNED = Wheel()


class PoolState(Struct, frozen=True):
    """A snapshot of one provider's credentials."""

    credentials: tuple[Credential, ...]
    """In serving order."""
    rotation: Rotation = Rotation.SEQUENTIAL
    """How they take turns."""
    states: Mapping[str, CredentialState] = {}
    """By the name of the credential."""
    health: Mapping[str, Health] = {}
    """The provider's, by scope."""
    wheel: Wheel = UNTURNED
    """Whose turn it is."""
    groups: tuple[tuple[str, str], ...] = ()
    """Globs of models, each with the quota group that they share a limit in."""
    fair_cycle: FairCycle = FairCycle.OFF
    """Whether an exhausted credential waits for the others."""
    exhausted: Mapping[str, frozenset[str]] = {}
    """By scope, the names of those that have had their turn in this cycle."""
    shares: Memo[Shares] = msgspec.field(default_factory=Memo)
    """By scope: what was worked out of limits."""

    def quota_of(self, model: str | None) -> str:
        """The scope of the quota group that `model` is in; empty: it is in none."""
        if not self.groups or model is None:
            return ""
        name = model.lower()
        group = next((group for glob, group in self.groups if fnmatchcase(name, glob)), "")
        return f"group:{group}" if group else ""

    def state(self, name: str) -> CredentialState:
        return self.states.get(name, NEVER_USED)

    def title(self, name: str) -> str:
        """How a credential is called in messages: provider/name."""
        return "/".join((*(c.provider for c in self.credentials if c.name == name), name))

    def without_health(self, scope: str) -> "PoolState":
        if scope not in self.health:
            return self
        return structs.replace(self, health={key: one for key, one in self.health.items() if key != scope})

    def with_health(self, scope: str, health: Health) -> "PoolState":
        return structs.replace(self, health={**self.health, scope: health})

    def with_state(self, name: str, state: CredentialState) -> "PoolState":
        if state is self.states.get(name):
            return self
        return structs.replace(self, states={**self.states, name: state})


def is_unauthorised(state: CredentialState) -> bool:
    """Whether its key, or its token, was refused as such and has not served since."""
    cooldown = state.cooldowns.get(WHOLE)
    return cooldown is not None and cooldown.refusal is not None and cooldown.refusal.kind is Kind.AUTH


def forgiven(state: CredentialState) -> CredentialState:
    """Without its refusals: the user changed something, which may be what they were about."""
    cooldowns = {key: one for key, one in state.cooldowns.items() if one.refusal is None}
    return structs.replace(state, cooldowns=cooldowns, auth_failures=0, auth_until=0.0)


def resumed(pool: PoolState, name: str = "") -> PoolState:
    """What keeps the credential `name` from serving is over, or what keeps all of them, and every pause. What
    they have used of their limits stays."""
    for each in [name] if name else [*pool.states]:
        state = pool.state(each)
        clear = structs.replace(
            state, cooldowns={}, auth_failures=0, auth_until=0.0, streaks={}, retired=False
        )
        pool = pool.with_state(each, clear)
    turns = {scope: names - {name} for scope, names in pool.exhausted.items() if name and names - {name}}
    return structs.replace(pool, health={}, exhausted=turns)

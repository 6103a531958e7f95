"""What an attempt takes of what all proxies share, and what the answer of their store says of it. Pure.

A place under `max_concurrency`, a request in a window of the config and the single probe of a provider are
scarce: the store is asked for them before the attempt begins. By then they are taken in the copy of this
proxy, so that nothing else is chosen for them meanwhile; what is denied is given back there, and the copy
knows why.
"""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import assert_never

from msgspec import Struct, structs

from rewrite.credentials.choosing import Chosen, not_started
from rewrite.credentials.credential import Credential
from rewrite.credentials.entries import Key
from rewrite.credentials.health import HEALTHY
from rewrite.credentials.limits import held_to
from rewrite.credentials.rules import PLACE_WAIT, CredentialRequest
from rewrite.credentials.state import NOWHERE, Alone, CredentialState, Elsewhere, PoolState
from rewrite.credentials.stored import Subject, used
from rewrite.credentials.windows import Counts, Unit, Window, full_until


class Part(Struct, frozen=True):
    """What is counted in one window."""

    window: Window
    scope: str
    """What it is counted for."""
    until: float
    """Until when it counts."""
    amount: float
    is_held: bool = True
    """Whether the window keeps the credential from serving once it is full."""


class Claim(Struct, frozen=True):
    """What one attempt takes."""

    credential: Credential
    request: CredentialRequest
    of: Subject | None = None
    """Who the credential is in the store. None: the store was not reached yet."""
    parts: tuple[Part, ...] = ()
    probe: bool = False
    """Whether it is the probe of its provider for the scope of `request`."""
    since: float = 0.0
    """Since when its call stands in line, in epoch seconds; 0: it does not. Who has waited longest comes
    first, at whichever proxy."""

    @property
    def is_for_a_place(self) -> bool:
        return self.credential.max_concurrency is not None


def counted_by(claim: Claim) -> Iterator[Key]:
    """What `claim` is counted in."""
    if claim.of is not None:
        for part in claim.parts:
            yield used(claim.of, part.until, part.window.key, part.scope)


def is_scarce(chosen: Chosen) -> bool:
    """Whether an attempt with what was `chosen` takes anything that all proxies share."""
    return chosen.probe or _is_scarce(chosen.credential)


def any_scarce(pool: PoolState) -> bool:
    """Whether any attempt does, be it no probe."""
    return any(map(_is_scarce, pool.credentials))


def _is_scarce(credential: Credential) -> bool:
    return credential.max_concurrency is not None or bool(credential.counted)


def claim_of(
    pool: PoolState, chosen: Chosen, request: CredentialRequest, of: Subject | None, since: float, now: float
) -> Claim:
    """What an attempt takes that has begun in `pool` with what was `chosen` for `request`; `of` is who that
    is in the store, `since` as in `Claim`."""
    one, state = chosen.credential, pool.state(chosen.credential.name)
    held = held_to(one, state, request.limits, now) if one.counted else frozenset()
    parts = tuple(_part(each, state, request.limits, now, is_held=each.key in held) for each in one.counted)
    return Claim(one, request, of, parts, chosen.probe, since)


def _part(window: Window, state: CredentialState, scope: str, now: float, *, is_held: bool) -> Part:
    """Counted when the attempt begins: the request, if it is one of requests."""
    counts = state.used.get((window.key, scope), ())
    if window.unit is not Unit.REQUESTS or not counts:
        return Part(window, scope, window.until(now), 0.0, is_held)
    return Part(window, scope, counts[-1][0], 1.0, is_held)


def parts_used(claim: Claim, state: CredentialState, used: Mapping[Unit, float]) -> Sequence[Part]:
    """What is counted when the attempt of `claim` is over, which left `state` and used so much."""
    found = [(part, state.used.get((part.window.key, part.scope), ())) for part in claim.parts]
    return [
        structs.replace(part, until=counts[-1][0], amount=used[part.window.unit])
        for part, counts in found
        if counts and used.get(part.window.unit) and part.window.unit is not Unit.REQUESTS
    ]


# -- the answers of the store ------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class Granted:
    """All of it is taken."""

    elsewhere: int
    """How many places other proxies hold."""


@dataclass(frozen=True, slots=True)
class Full:
    """No place is free, and nothing is taken."""

    elsewhere: int
    """How many places other proxies hold."""
    others: tuple[tuple[Credential, int], ...] = ()
    """How many they hold of other credentials of the provider."""


@dataclass(frozen=True, slots=True)
class Spent:
    """A window is full, and nothing is taken."""

    part: Part
    counts: Counts
    """What all proxies have used of it."""


@dataclass(frozen=True, slots=True)
class Probed:
    """Another proxy probes the provider, and nothing is taken."""

    seconds: float
    """For how long its answer is waited for at most."""


type Verdict = Granted | Full | Spent | Probed


def heeded(pool: PoolState, claim: Claim, verdict: Verdict, now: float) -> PoolState:
    """The pool after the store answered `verdict` to `claim`."""
    name = claim.credential.name
    match verdict:
        case Granted(elsewhere=places) if claim.is_for_a_place:
            return held_elsewhere(pool, claim.credential, places, now)
        case Granted():
            return pool
        case Full(elsewhere=places, others=others):
            pool = _full_elsewhere(given_up(pool, claim), others, now)
            left = (claim.credential.max_concurrency or 0) - pool.state(name).in_flight
            return held_elsewhere(pool, claim.credential, max(places, left), now)
        case Spent():
            pool = given_up(pool, claim)
            return pool.with_state(name, _spent(pool.state(name), verdict, now))
        case Probed(seconds=seconds):
            pool = given_up(pool, claim)
            scope = claim.request.scope
            health = pool.health.get(scope, HEALTHY)
            return pool.with_health(scope, replace(health, probe_until=now + seconds))
        case _:
            assert_never(verdict)


def given_up(pool: PoolState, claim: Claim) -> PoolState:
    """The pool as if the attempt of `claim` had never begun."""
    return not_started(pool, claim.credential, claim.request, probe=claim.probe)


def _full_elsewhere(pool: PoolState, held: Sequence[tuple[Credential, int]], now: float) -> PoolState:
    """These are not asked for in vain."""
    for one, places in held:
        if one.max_concurrency and places + pool.state(one.name).in_flight >= one.max_concurrency:
            pool = held_elsewhere(pool, one, places, now)
    return pool


def _spent(state: CredentialState, said: Spent, now: float) -> CredentialState:
    window, scope = said.part.window, said.part.scope
    until = full_until(window, said.counts, now) or now + PLACE_WAIT
    current = {key: each for key, each in state.spent.items() if each > now}
    return structs.replace(state, spent={**current, (window.key, scope): until})


def held_by_all(pool: PoolState, one: Credential, places: int, now: float) -> PoolState:
    """All proxies together hold so many places of `one`, or these are promised to others."""
    return held_elsewhere(pool, one, max(0, places - pool.state(one.name).in_flight), now)


def held_elsewhere(pool: PoolState, one: Credential, places: int, now: float) -> PoolState:
    """Other proxies hold so many. That is looked at again after a while, whatever was heard of it."""
    state = pool.state(one.name)
    is_full = places > 0 and places + state.in_flight >= (one.max_concurrency or 0)
    full_until = now + PLACE_WAIT if is_full else state.elsewhere.full_until
    known = Elsewhere(places, now + PLACE_WAIT, full_until)
    return pool.with_state(one.name, structs.replace(state, elsewhere=known))


def nothing_elsewhere(pool: PoolState) -> PoolState:
    """What other proxies hold is not known any more."""
    for name, state in pool.states.items():
        if state.elsewhere is not NOWHERE:
            pool = pool.with_state(name, structs.replace(state, elsewhere=NOWHERE))
    return pool


# -- without the store -------------------------------------------------------------------------------------


def left_alone(pool: PoolState, peers: int, now: float) -> PoolState:
    """The store does not answer, which so many proxies share: see `Alone`."""
    for one in pool.credentials:
        state = pool.state(one.name)
        used = state.alone.used if state.alone else state.used
        if one.counted or one.max_concurrency is not None:
            elsewhere = _still_held(state.elsewhere, now)
            alone = structs.replace(state, alone=Alone(peers, used), elsewhere=elsewhere)
            pool = pool.with_state(one.name, alone)
    return pool


STILL_HELD = 2.0
"""Seconds for which it is assumed that others hold what they held when the store was lost."""


def _still_held(known: Elsewhere, now: float) -> Elsewhere:
    """Where all were held, those that are free meanwhile may be taken by others."""
    later = now + STILL_HELD
    until = later if known.at(now) else known.until
    return replace(known, until=until, full_until=later if known.full_until > now else known.full_until)


def together(pool: PoolState) -> PoolState:
    """It answers again."""
    for name, state in pool.states.items():
        if state.alone is not None:
            pool = pool.with_state(name, structs.replace(state, alone=None))
    return pool

"""Whose turn it is among credentials that may all serve: the modes of rotation, a table of them.

A mode ranks the credentials of one priority: the lowest rank serves first, and equal ones serve in the order
of the config.
"""

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, replace
from itertools import groupby
from operator import attrgetter

from rewrite.catalog.providers import Rotation
from rewrite.credentials.credential import Credential
from rewrite.credentials.limits import left
from rewrite.credentials.state import NEVER_USED, PoolState, Wheel

type Rank = Callable[[Credential], float]
"""A float, and not several: a pool may have a hundred credentials, and they are ranked for each call."""


@dataclass(frozen=True, slots=True)
class Mode:
    """One way to take turns."""

    why: str
    """Of the one that serves: what follows its name in a sentence."""
    ranks: Callable[[PoolState, str, float], tuple[Rank, ...]]
    """The first decides, and the next among equals."""


def _by_config(_pool: PoolState, _scope: str, _now: float) -> tuple[Rank, ...]:
    return ()


def _by_turn(pool: PoolState, _scope: str, _now: float) -> tuple[Rank, ...]:
    taken = pool.wheel.taken
    return (lambda one: taken.get(one.name, 0),)


def _by_what_is_left(pool: PoolState, scope: str, now: float) -> tuple[Rank, ...]:
    """To a percent, and equal ones by turn."""
    turns = _by_turn(pool, scope, now)
    limited = any(one.windows or pool.state(one.name).learnt for one in pool.credentials)
    return (lambda one: _used(pool, one, scope, now), *turns) if limited else turns


def _used(pool: PoolState, one: Credential, scope: str, now: float) -> float:
    state = pool.states.get(one.name, NEVER_USED)
    return 1.0 - round(left(one, state, scope, now), 2) if one.windows or state.learnt else 0.0


def _by_cost(pool: PoolState, scope: str, now: float) -> tuple[Rank, ...]:
    return (lambda one: one.cost_rank, *_by_turn(pool, scope, now))


def _by_weight(pool: PoolState, _scope: str, _now: float) -> tuple[Rank, ...]:
    ends, time = pool.wheel.ends, pool.wheel.time
    return (lambda one: end if (end := ends.get(one.name, 0.0)) > time else time,)


def _start(one: Credential, wheel: Wheel) -> float:
    """Where its next turn begins in a time that passes by turns: each takes 1 / weight of it. One that did
    not serve for a while has not saved up any (start-time fair queueing)."""
    return max(wheel.ends.get(one.name, 0.0), wheel.time)


MODES: Mapping[Rotation, Mode] = {
    Rotation.SEQUENTIAL: Mode("is the first that is free", _by_config),
    Rotation.ROUND_ROBIN: Mode("is the next in turn", _by_turn),
    Rotation.BALANCED: Mode("has the most left, and is the least recently used of those", _by_what_is_left),
    Rotation.WEIGHTED: Mode("is the next in turn by weight", _by_weight),
    Rotation.CHEAPEST: Mode("is the cheapest, and the least recently used of those", _by_cost),
}


def turned(wheel: Wheel, one: Credential) -> Wheel:
    """The wheel after a turn of `one`."""
    turns, time = wheel.turns + 1, _start(one, wheel)
    ends = {**wheel.ends, one.name: time + 1 / one.weight}
    return replace(wheel, turns=turns, taken={**wheel.taken, one.name: turns}, time=time, ends=ends)


def kept(wheel: Wheel, names: frozenset[str]) -> Wheel:
    """The wheel of a pool that has these credentials now."""
    return replace(
        wheel,
        taken={name: turn for name, turn in wheel.taken.items() if name in names},
        ends={name: end for name, end in wheel.ends.items() if name in names},
    )


def in_order(pool: PoolState, scope: str, now: float) -> Iterator[Credential]:
    """The credentials of a pool, those first that serve first; `scope` is what limits are counted for."""
    ranks = MODES[pool.rotation].ranks(pool, scope, now)
    if not ranks:
        yield from pool.credentials
        return
    for _, tier in groupby(pool.credentials, attrgetter("priority")):
        ranked = list(tier)
        for rank in reversed(ranks):
            ranked.sort(key=rank)
        yield from ranked

"""Whose turn it is among credentials that may all serve: the modes of rotation, a table of them.

A mode ranks credentials: those first that serve first. A pool may have a hundred, and they are ranked for
each call, so that little is done for each.
"""

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from operator import attrgetter

from rewrite.catalog.providers import Rotation
from rewrite.credentials.credential import Credential
from rewrite.credentials.limits import used_shares
from rewrite.credentials.state import PoolState, Wheel

_PRIORITY, _COST, _COUNTED, _LEARNT = map(attrgetter, ("priority", "cost_rank", "counted", "learnt"))


@dataclass(frozen=True, slots=True)
class Mode:
    """One way to take turns."""

    why: str
    """Of the one that serves: what follows its name in a sentence."""
    ranked: Callable[[PoolState, str, float], Sequence[Credential]]
    """The credentials of a pool, whatever their priority; equal ones as they were used last or as the config
    has them. The text is what limits are counted for."""


def _by_config(pool: PoolState, _scope: str, _now: float) -> Sequence[Credential]:
    return pool.credentials


def _by_turn(pool: PoolState, _scope: str, _now: float) -> Sequence[Credential]:
    """The one whose last turn is the longest ago."""
    used = pool.wheel.used
    return used if len(used) == len(pool.credentials) else _in_turn(used, pool.credentials)


def _in_turn(used: Sequence[Credential], credentials: Sequence[Credential]) -> Sequence[Credential]:
    """Those first that have had none."""
    turns = {one.name: turn for turn, one in enumerate(used)}
    return sorted(credentials, key=lambda one: turns.get(one.name, -1))


def _by_what_is_left(pool: PoolState, scope: str, now: float) -> Sequence[Credential]:
    """To a percent."""
    turns = _by_turn(pool, scope, now)
    if not any(map(_COUNTED, pool.credentials)) and not any(map(_LEARNT, pool.states.values())):
        return turns
    shares = used_shares(pool, scope, now)
    return sorted(turns, key=lambda one: shares[one.name])


def _by_cost(pool: PoolState, scope: str, now: float) -> Sequence[Credential]:
    return sorted(_by_turn(pool, scope, now), key=_COST)


def _by_weight(pool: PoolState, _scope: str, _now: float) -> Sequence[Credential]:
    ends, time = pool.wheel.ends, pool.wheel.time
    return sorted(pool.credentials, key=lambda one: end if (end := ends.get(one.name, 0.0)) > time else time)


MODES: Mapping[Rotation, Mode] = {
    Rotation.SEQUENTIAL: Mode("is the first that is free", _by_config),
    Rotation.ROUND_ROBIN: Mode("is the next in turn", _by_turn),
    Rotation.BALANCED: Mode("has the most left, and is the least recently used of those", _by_what_is_left),
    Rotation.WEIGHTED: Mode("is the next in turn by weight", _by_weight),
    Rotation.CHEAPEST: Mode("is the cheapest, and the least recently used of those", _by_cost),
}


def in_order(pool: PoolState, scope: str, now: float) -> Sequence[Credential]:
    """The credentials of a pool that has some, those first that serve first: by priority, and then as the
    mode says. `scope` is what limits are counted for."""
    ranked = MODES[pool.rotation].ranked(pool, scope, now)
    first, last = pool.credentials[0], pool.credentials[-1]
    return ranked if first.priority == last.priority else sorted(ranked, key=_PRIORITY)


def turned(pool: PoolState, one: Credential) -> Wheel:
    """The wheel after a turn of `one`. Each turn takes some of a time that passes by turns, and one that did
    not serve for a while has not saved up any (start-time fair queueing). Where all turns are equally long
    that is the order in which they had them, but for turns that other proxies gave."""
    wheel = pool.wheel
    used = (*[each for each in _by_turn(pool, "", 0.0) if each.name != one.name], one)
    time = max(wheel.ends.get(one.name, 0.0), wheel.time)
    end = time + length(pool, one)
    ends = {**wheel.ends, one.name: end}
    is_last = all(other <= end for other in ends.values())
    return Wheel(used if is_last else sorted_by_turn(used, ends, time), time, ends)


def length(pool: PoolState, one: Credential) -> float:
    """Of a turn: of one that is worth twice as much it is half as long."""
    return 1 / one.weight if pool.rotation is Rotation.WEIGHTED else 1.0


def sorted_by_turn(
    used: Iterable[Credential], ends: Mapping[str, float], time: float
) -> tuple[Credential, ...]:
    """Those first whose turns ended first, if not before `time`; equal ones as they are."""
    return tuple(sorted(used, key=lambda one: max(ends.get(one.name, 0.0), time)))


def kept(wheel: Wheel, credentials: Sequence[Credential]) -> Wheel:
    """The wheel of a pool that has these credentials now."""
    had = {one.name for one in wheel.used}
    used = _in_turn(wheel.used, [one for one in credentials if one.name in had])
    names = {one.name for one in credentials}
    ends = {name: end for name, end in wheel.ends.items() if name in names}
    return Wheel(tuple(used), wheel.time, ends)

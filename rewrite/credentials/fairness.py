"""A fair cycle: a credential that was exhausted waits until all others have had their turn. Pure.

It is exhausted when its provider says that its rate or its quota is used up, or when a limit of the config
is. It waits only while another serves: where none is free whose turn it is, the next cycle begins.
"""

from collections.abc import Sequence

from msgspec import structs

from rewrite.catalog.providers import FairCycle
from rewrite.credentials.credential import Credential
from rewrite.credentials.health import latest
from rewrite.credentials.state import PoolState


def in_turn(pool: PoolState, free: list[Credential], scope: str) -> list[Credential]:
    """Those of `free` whose turn it is; they stand in the order of their priority."""
    had_theirs = pool.exhausted.get(scope)
    if not had_theirs:
        return free
    peers = _peers(pool, free[0], free)
    waiting = [one for one in peers if one.name not in had_theirs]
    return [one for one in free if one in waiting or one not in peers] if waiting else free


def exhausted(pool: PoolState, one: Credential, scope: str) -> PoolState:
    """`one` was: it has had its turn. After the last of all, the next cycle begins."""
    if pool.fair_cycle is FairCycle.OFF:
        return pool
    had_theirs = pool.exhausted.get(scope, frozenset()) | {one.name}
    peers = {each.name for each in _peers(pool, one, pool.credentials)}
    return _with(pool, scope, had_theirs - peers if peers <= had_theirs else had_theirs)


def chosen(pool: PoolState, one: Credential, scope: str) -> PoolState:
    """`one` serves; if it has had its turn, no other was free, and the next cycle begins."""
    had_theirs = pool.exhausted.get(scope)
    if not had_theirs or one.name not in had_theirs:
        return pool
    return _with(pool, scope, had_theirs - {each.name for each in _peers(pool, one, pool.credentials)})


def _peers(pool: PoolState, one: Credential, among: Sequence[Credential]) -> Sequence[Credential]:
    """Those of its tier, or all."""
    if pool.fair_cycle is FairCycle.ALL:
        return among
    return [each for each in among if each.priority == one.priority]


def _with(pool: PoolState, scope: str, names: frozenset[str]) -> PoolState:
    others = {key: each for key, each in pool.exhausted.items() if key != scope}
    return structs.replace(pool, exhausted=latest({**others, scope: names}) if names else others)

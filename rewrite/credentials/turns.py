"""Whose turn it was, where several proxies share credentials: how many each proxy gave to each. Pure.

Two proxies may give a credential a turn at the same moment, and neither knows of the other. Both turns count,
so that the next ones go to others.
"""

from collections.abc import Iterable
from typing import NamedTuple

from msgspec import structs

from rewrite.credentials.entries import Entry, Key, Kind, amount
from rewrite.credentials.order import length, sorted_by_turn
from rewrite.credentials.state import PoolState, Wheel
from rewrite.credentials.stored import Subject

LASTS = 3600.0
"""Seconds for which it is kept how many turns a proxy gave."""

MOST_OWED = 4
"""So many turns a credential is behind at most: where others were asked by many while it was away, it is not
asked by all now."""


class Turns(NamedTuple):
    """What a proxy gave to one credential since it was heard before."""

    credential: str
    """Its name."""
    number: int
    at: float
    """When it had the last one."""


def given(subject: Subject, proxy: str, known: Entry | None, count: int, at: float) -> dict[Key, Entry]:
    """`proxy` gave so many more, the last one at `at`. `known`: what it said before."""
    total = (amount(known) if known else 0.0) + count
    return {turns_key(subject, proxy): Entry(at, at + LASTS, total)}


def turns_key(subject: Subject, proxy: str) -> Key:
    """What is said of the turns that `proxy` gave to a credential."""
    return subject.key(Kind.TURN, proxy)


def more_turns(known: Entry | None, heard: Entry) -> int:
    """How many of them are news. A proxy that has begun to count again has given all that it says."""
    before, total = (amount(known) if known else 0.0), amount(heard)
    if known is not None and heard.at <= known.at:
        return 0
    return int(total - before if total >= before else total)


def with_turns(pool: PoolState, turns: Iterable[Turns]) -> PoolState:
    """`pool`, of whose credentials others gave these turns."""
    wheel = pool.wheel
    ends, time, used = dict(wheel.ends), wheel.time, [*wheel.used]
    known = {one.name: one for one in pool.credentials}
    for each in sorted(turns, key=lambda one: one.at):
        if one := known.get(each.credential):
            took = length(pool, one)
            ends[one.name] = max(ends.get(one.name, 0.0), time) + each.number * took
            time = max(time, ends[one.name] - MOST_OWED * took)
            used = [*(other for other in used if other.name != one.name), one]
    return structs.replace(pool, wheel=Wheel(sorted_by_turn(used, ends, time), time, ends))

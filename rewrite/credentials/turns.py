"""Whose turn it was, where several proxies share credentials: when each had its last one. Pure."""

from collections.abc import Mapping
from math import inf
from operator import attrgetter

from msgspec import structs

from rewrite.credentials.entries import Entry, Key, Kind, amount
from rewrite.credentials.state import PoolState, Wheel
from rewrite.credentials.stored import DAY, Subject

_name = attrgetter("name")


def turn(subject: Subject, pool: PoolState, at: float) -> dict[Key, Entry]:
    """The turn that one had just now, at `at`, with the time by weight at which it ended."""
    return {subject.key(Kind.TURN): Entry(at, at + DAY, pool.wheel.ends.get(subject.credential, 0.0))}


def with_turns(pool: PoolState, turns: Mapping[str, Entry]) -> PoolState:
    """`pool`, of which these are the last turns of credentials by name: its own and those that others know.
    Time by weight passes for all: to where the last of these turns began."""
    wheel = pool.wheel
    known = {one.name: place for place, one in enumerate(wheel.used)}
    had = [one for one in pool.credentials if one.name in known or one.name in turns]
    order = {
        one.name: (turns[one.name].at if one.name in turns else -inf, known.get(one.name, -1)) for one in had
    }
    ends, time = dict(wheel.ends), wheel.time
    for one in had:
        if one.name in turns and (end := amount(turns[one.name])) > ends.get(one.name, 0.0):
            ends[one.name], time = end, max(time, end - 1 / one.weight)
    used = tuple(sorted(had, key=lambda one: order[one.name]))
    return structs.replace(pool, wheel=Wheel(used, time, ends))

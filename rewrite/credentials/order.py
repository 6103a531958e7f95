"""Whose turn it is among credentials that may all serve: one function for each mode of rotation.

Each takes the candidates, which have the same priority and stand in the order of the config, and the wheel.
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace

from rewrite.catalog.providers import Rotation
from rewrite.credentials.credential import Credential
from rewrite.credentials.state import Wheel


@dataclass(frozen=True, slots=True)
class Turn:
    """Who serves."""

    credential: Credential
    reason: str
    """A clause for a reader."""
    wheel: Wheel | None
    """After this turn. None: it was not by turns."""


type Mode = Callable[[Sequence[Credential], Wheel], Turn]


def sequential(candidates: Sequence[Credential], wheel: Wheel) -> Turn:
    """The first, always: prompt caches stay warm, and the others are spares."""
    return Turn(candidates[0], "it is the first that is free", wheel)


def round_robin(candidates: Sequence[Credential], wheel: Wheel) -> Turn:
    """One after another."""
    found = _longest_ago(candidates, wheel)
    return Turn(found, "it is the next in turn", _turned(wheel, found))


def balanced(candidates: Sequence[Credential], wheel: Wheel) -> Turn:
    """The one of which the most use is left; among equals the least recently used."""
    found = _longest_ago(candidates, wheel)
    return Turn(found, "it is the least recently used", _turned(wheel, found))


def weighted(candidates: Sequence[Credential], wheel: Wheel) -> Turn:
    """By shares, spread evenly: smooth weighted round robin, as nginx does it."""
    credit = dict(wheel.credit)
    for one in candidates:
        credit[one.name] = credit.get(one.name, 0.0) + one.weight
    found = max(candidates, key=lambda one: credit[one.name])
    total = sum(one.weight for one in candidates)
    credit[found.name] -= total
    reason = f"it is next by its weight ({found.weight:g} of {total:g})"
    return Turn(found, reason, replace(_turned(wheel, found), credit=credit))


def cheapest(candidates: Sequence[Credential], wheel: Wheel) -> Turn:
    """The one that costs the least; among equals the least recently used."""
    least = min(one.cost_rank for one in candidates)
    found = _longest_ago([one for one in candidates if one.cost_rank == least], wheel)
    return Turn(found, f"it is the cheapest (rank {least:g})", _turned(wheel, found))


def _longest_ago(candidates: Sequence[Credential], wheel: Wheel) -> Credential:
    return min(candidates, key=lambda one: wheel.taken.get(one.name, 0))


def _turned(wheel: Wheel, found: Credential) -> Wheel:
    turns = wheel.turns + 1
    return replace(wheel, turns=turns, taken={**wheel.taken, found.name: turns})


MODES: Mapping[Rotation, Mode] = {
    Rotation.SEQUENTIAL: sequential,
    Rotation.ROUND_ROBIN: round_robin,
    Rotation.BALANCED: balanced,
    Rotation.WEIGHTED: weighted,
    Rotation.CHEAPEST: cheapest,
}

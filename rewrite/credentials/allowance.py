"""How much of its limits a credential has left for a scope, and for how long that is true. Pure.

A pool of a hundred credentials is looked through for each new conversation, and since the last time a few of
them have changed. So what was worked out is kept beside a snapshot. It is no part of it: without it the same
comes out, later.
"""

from collections.abc import Sequence
from dataclasses import dataclass, field
from math import inf
from operator import is_
from typing import NamedTuple

from rewrite.credentials.credential import Credential


@dataclass(frozen=True, slots=True)
class Limited:
    """A limit that is used up."""

    said: str
    """For a reader: what follows the credential's name in a sentence."""
    until: float
    """When some of it is free again."""

    def why(self, now: float) -> str:
        """For a reader, with when it may be used again."""
        return f"{self.said}, and may be used again in {self.until - now:.0f} s"


class Allowance(NamedTuple):
    """What one credential has left, while it uses nothing more and its provider reports nothing."""

    of: tuple[object, ...] = ()
    """What it was worked out of."""
    since: float = -inf
    """It holds from then on, in epoch seconds."""
    until: float = inf
    """And until before that."""
    used: float = 0.0
    """Of the limit of which the least is left, from 0 to 1, to a percent; 0 where none is known."""
    limited: Limited | None = None
    """What keeps the credential from serving for longest."""

    def holds(self, of: tuple[object, ...], now: float) -> bool:
        """Whether the same would come out of `of`."""
        return self.since <= now < self.until and all(map(is_, self.of, of))


@dataclass(slots=True)
class Shares:
    """How much each credential of a pool has used, for one scope."""

    credentials: tuple[Credential, ...]
    used: dict[str, float] = field(init=False)
    """By name, in the order of `credentials`; see `Allowance`."""
    states: Sequence[object] = field(init=False)
    """What was known of each then."""
    since: float = -inf
    until: float = inf

    def __post_init__(self) -> None:
        self.used = {one.name: 0.0 for one in self.credentials}
        self.states = (None,) * len(self.used)


_MOST_KEPT = 16
"""Clients name any models they like."""


class Memo[T](dict[str, T]):
    """What was worked out of a snapshot, by scope. Snapshots do not differ by it."""

    __hash__ = None

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Memo)

    def keep(self, scope: str, found: T) -> T:
        """`found`, which is kept in the place of others."""
        if len(self) >= _MOST_KEPT:
            self.clear()
        self[scope] = found
        return found

"""Timeouts that hold for some calls alone: by provider, model, and how hard the model is to think."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field, replace
from fnmatch import fnmatchcase
from types import MappingProxyType
from typing import Any

from rewrite.values.limits import Timeouts

_SLOW = "slow_start"


@dataclass(frozen=True, slots=True)
class Deadlines:
    """`provider` and `model` are globs (fnmatchcase) over the target's, `effort` is a word of
    `prompt.Effort`; empty: any. `seconds`: what replaces fields of `Timeouts`, by their names.
    """

    provider: str = ""
    model: str = ""
    effort: str = ""
    seconds: Mapping[str, float] = field(default_factory=lambda: MappingProxyType({}))

    def fits(self, provider: str, model: str, effort: str) -> bool:
        """`effort` as the call says it; one that does not say fits only where any does."""
        globs = ((self.provider, provider), (self.model, model))
        return self.effort in ("", effort) and all(fnmatchcase(value, glob) for glob, value in globs if glob)

    def over(self, timeouts: Timeouts) -> Timeouts:
        """What is said for such a model is meant as it is said: `slow_start` takes its place only if that is
        said here too."""
        exact = frozenset[str]() if _SLOW in self.seconds else frozenset(self.seconds)
        said: dict[str, Any] = {"exact": exact, **self.seconds}
        return replace(timeouts, **said)


def timeouts_for(
    deadlines: Iterable[Deadlines], timeouts: Timeouts, provider: str, model: str | None, effort: str
) -> Timeouts:
    """`timeouts` with those of the first of `deadlines` that fits a call at one target."""
    found = (one for one in deadlines if one.fits(provider, model or "", effort))
    first = next(found, None)
    return first.over(timeouts) if first else timeouts

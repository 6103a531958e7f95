"""Whether the config's routes are used: one that no call ever fits is most often misspelt."""

from collections.abc import Iterator, Sequence
from difflib import get_close_matches

from rewrite.catalog.routes import Match, Rule

ENOUGH = 50
"""Calls after which a route that none of them fitted is named."""

_MODELS = 100


class RouteUse:
    """Counts the calls that name a model, under one set of rules."""

    def __init__(self, rules: Sequence[Rule]) -> None:
        self._rules, self._calls = rules, 0
        self._used: set[int] = set()
        self._models: dict[str, None] = {}

    def note(self, rule: Rule, model: str | None) -> Iterator[str]:
        """A call for `model` went by `rule`. When that were enough, a line for each rule without a call."""
        if model is None or not self._rules or self._calls >= ENOUGH:
            return
        self._calls += 1
        self._used.add(next((at for at, each in enumerate(self._rules) if each is rule), -1))
        if len(self._models) < _MODELS:
            self._models[model] = None
        if self._calls == ENOUGH:
            yield from (self._unused(at) for at in range(len(self._rules)) if at not in self._used)

    def _unused(self, at: int) -> str:
        match = self._rules[at].match
        close = get_close_matches(match.model, list(self._models), n=1, cutoff=0.4) if match.model else []
        meant = f"; a model that was asked for is called {close[0]}" if close else ""
        remedy = f"correct it, or take the route out{meant}"
        return f"routes[{at}]: none of {ENOUGH} calls fitted match = {_shown(match)}: {remedy}"


def _shown(match: Match) -> str:
    globs = {name: getattr(match, name) for name in ("model", "provider", "protocol", "path")}
    said = [f'{name} = "{glob}"' for name, glob in globs.items() if glob]
    said += [f'header.{name} = "{glob}"' for name, glob in match.headers.items()]
    return f"{{ {', '.join(said)} }}" if said else "{}"

"""What is asked of what is known of models: the facts of one, their quota groups, whose they are."""

import re
from collections.abc import Iterable
from fnmatch import fnmatchcase

from rewrite.catalog.providers import ModelFacts, Provider

_SHORTEST = 3
"""Characters of a model's name that say whose it is."""


def quota_groups(provider: Provider) -> tuple[tuple[str, str], ...]:
    """Globs of models in lower case, each with the quota group of those; the first that fits holds."""
    return tuple((row.match, row.quota_group) for row in provider.models if row.quota_group)


def facts_of(provider: Provider, model: str | None) -> ModelFacts:
    """What is known of `model`: for each fact, the first matching entry of `models` that says it.

    `match` of the result is the model's name in lower case.
    """
    name = (model or "").lower()
    rows = [row for row in provider.models if fnmatchcase(name, row.match)]
    return ModelFacts(
        name,
        reasoning=_first(row.reasoning for row in rows),
        max_output=_first(row.max_output for row in rows),
        thinking=_first(row.thinking for row in rows),
        quota_group=_first(row.quota_group for row in rows),
        default_output=_first(row.default_output for row in rows),
        protocol=_first(row.protocol for row in rows),
        refuses=_first(row.refuses for row in rows),
        adapters=_first(row.adapters for row in rows),
        timeouts={key: seconds for row in reversed(rows) for key, seconds in row.timeouts.items()},
    )


def other_owner(providers: Iterable[Provider], asked: Provider, glob: str) -> str:
    """The name of the provider that has most models of the name `glob`, where `asked`, as far as its facts
    go, has none; "" where that is not known."""
    beginning = _beginning(glob)
    if len(beginning) < _SHORTEST or not asked.models or _models_of(asked, beginning, 0):
        return ""
    found = [(each, _models_of(each, beginning, _SHORTEST)) for each in providers if each.origin]
    owner, models = max(found, key=lambda each: each[1], default=(asked, 0))
    return owner.name if models else ""


def _models_of(provider: Provider, beginning: str, shortest: int) -> int:
    """How many facts are about such models, of those that say at least `shortest` characters of a name."""
    known = [_beginning(row.match) for row in provider.models]
    long_enough = [each for each in known if len(each) >= shortest]
    return sum(each.startswith(beginning) or beginning.startswith(each) for each in long_enough)


def _beginning(glob: str) -> str:
    """What stands before the first wildcard, in lower case."""
    return re.split(r"[*?[]", glob.lower(), maxsplit=1)[0]


def _first[T](values: Iterable[T | None]) -> T | None:
    return next((value for value in values if value is not None), None)

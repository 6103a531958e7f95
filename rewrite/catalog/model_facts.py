"""What is asked of what is known of models: the facts of one, their quota groups, whose they are."""

import re
from collections.abc import Iterable
from difflib import get_close_matches
from fnmatch import fnmatchcase

from rewrite.catalog.providers import ModelFacts, Provider

_SHORTEST = 3
"""Characters of a model's name that say whose it is."""

_FAMILY = re.compile(r"[a-z]{3,}")
_ALIKE = 0.8
"""How alike a misspelt name of a family and the one that was meant are at least: two letters of six that
changed places are."""


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


def meant(providers: Iterable[Provider], glob: str) -> str:
    """`glob` with the name of a family of models that it seems to misspell; "" where that is not so."""
    named = _FAMILY.match(glob.lower())
    beginnings = (_FAMILY.match(_beginning(row.match)) for each in providers for row in each.models)
    families = {found[0] for found in beginnings if found}
    if named is None or any(each.startswith(named[0]) or named[0].startswith(each) for each in families):
        return ""
    close = get_close_matches(named[0], sorted(families), n=1, cutoff=_ALIKE)
    return close[0] + glob[named.end() :] if close else ""


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

"""The rules of the field cache in a config, over those of a provider's file."""

from collections.abc import Mapping, Sequence
from fnmatch import fnmatchcase

from addons.config.errors import ConfigErrors
from addons.config.tables import Loc, Tree
from rewrite.catalog.layers import layered
from rewrite.fields.rule_tables import RuleError, rule


def field_rules(known: object, tables: Sequence[Tree], loc: Loc, errors: ConfigErrors) -> list[object]:
    """The `known` rules, and those of `tables`, which stand at `loc`: one of the same name says what is
    different about a known one, key by key. What is no rule is an error, and left out."""
    found = {each["name"]: each for each in known} if isinstance(known, list) else {}
    own = set[object]()
    for number, table in enumerate(tables):
        whole = layered(found.get(_name(table), {}), table)
        try:
            name = rule(whole).name
        except RuleError as error:
            errors.add((*loc, number, *error.loc), error.message)
            continue
        if name in own:
            errors.add((*loc, number, "name"), "is the name of another rule: write another")
        own.add(name)
        found[name] = whole
    return list(found.values())


def check_spoken(tables: Sequence[Tree], spoken: Sequence[str], loc: Loc, errors: ConfigErrors) -> None:
    """Note rules of `tables`, which stand at `loc`, for a protocol that is not spoken with their provider."""
    for number, table in enumerate(tables):
        match = table.get("match")
        named = match.get("protocol") if isinstance(match, Mapping) else None
        if isinstance(named, str) and not any(fnmatchcase(each, named) for each in spoken) and named:
            text = f"no protocol of that name is spoken there: write one of {', '.join(spoken)}, or a glob"
            errors.add((*loc, number, "match", "protocol"), text)


def _name(table: Mapping[str, object]) -> object:
    """A text, or what is equal to none."""
    name = table.get("name")
    return name if isinstance(name, str) else None

"""What is said of models of a provider, checked: each row with its place."""

from collections.abc import Iterator, Sequence

from addons.config.errors import ConfigErrors
from addons.config.provider_files import Said
from addons.config.rules import adapters, protocol_name
from addons.config.tables import Loc, ModelTable, Tree
from protocols.registry import Registry
from rewrite.catalog.provider_tables import refused

_NO_MATCH = 'is missing: write a glob over names of models, such as "gpt-5*"'
_NOTHING = "says nothing of its models: add {names}, or take it out"
_OF_ITS_ROW = "is that of the row around it: take it out, or write the rule under the provider"
_FACTS = tuple(sorted(ModelTable.model_fields.keys() - {"match"}))


def rows(said: Said, registry: Registry) -> list[Tree]:
    """The rows of `said` that are good, as facts of models. What is wrong is reported there."""
    places = [("providers", said.name, "models", number) for number in range(len(said.table.models or ()))]
    for loc, row in zip(places, said.table.models or (), strict=True):
        _check(row, loc, registry, said.errors)
    good = [not said.errors.under(loc) for loc in places]
    given = (row.given() for row in said.table.models or ())
    return [_without_rules(row) for row, is_good in zip(given, good, strict=True) if is_good]


def _without_rules(row: Tree) -> Tree:
    return {name: value for name, value in row.items() if name != "field_cache"}


def rules(said: Said) -> Iterator[tuple[Loc, list[Tree]]]:
    """The rules of the field cache in rows of models, each with the models of its row and named after them;
    and where they stand."""
    for number, row in enumerate(said.table.models or ()):
        loc = ("providers", said.name, "models", number, "field_cache")
        yield loc, [_of_models(rule, row.match) for rule in row.field_cache or ()]


def _of_models(rule: Tree, glob: str) -> Tree:
    match, name = rule.get("match", {}), rule.get("name")
    named = {"name": f"{name} ({glob})"} if isinstance(name, str) else {}
    return {**rule, **named, "match": {**match, "model": glob} if isinstance(match, dict) else match}


def _check(row: ModelTable, loc: Loc, registry: Registry, errors: ConfigErrors) -> None:
    if errors.under(loc):
        return
    if not row.match:
        errors.add((*loc, "match"), _NO_MATCH)
    elif not row.given().keys() & set(_FACTS):
        errors.add(loc, _NOTHING.format(names=", ".join(_FACTS)))
    if row.protocol:
        row.protocol = protocol_name(row.protocol, registry, (*loc, "protocol"), errors)
    for position, param in enumerate(row.refuses or ()):
        try:
            refused(param)
        except ValueError:
            text = "is no path of a parameter such as seed or reasoning.effort"
            errors.add((*loc, "refuses", position), text)
    adapters(row.adapters or (), (*loc, "adapters"), errors)
    for position, rule in enumerate(row.field_cache or ()):
        match = rule.get("match")
        if isinstance(match, dict) and "model" in match:
            errors.add((*loc, "field_cache", position, "match", "model"), _OF_ITS_ROW)


def check_protocols(said: Said, spoken: Sequence[str]) -> None:
    """A model is asked in a protocol that its provider speaks."""
    for number, row in enumerate(said.table.models or ()):
        loc = ("providers", said.name, "models", number)
        if row.protocol and row.protocol not in spoken and not said.errors.under(loc):
            text = f"{said.name} does not speak {row.protocol}: write one of {', '.join(spoken)}"
            said.errors.add((*loc, "protocol"), text)

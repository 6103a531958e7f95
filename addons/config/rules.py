"""The config's routes and adapters, checked and in the terms of those who follow them."""

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from difflib import get_close_matches

from addons.config.errors import ConfigErrors
from addons.config.tables import AdapterSpec, DeadlineTable, Loc, MatchTable, RouteTable
from protocols.registry import Registry
from rewrite.adapters.base import Adapter
from rewrite.adapters.chain import parse_adapters
from rewrite.adapters.registry import discover
from rewrite.catalog.providers import Provider
from rewrite.catalog.routes import Match, Rule, RuleTarget, rule_target
from rewrite.catalog.translatable import impossible
from rewrite.values.timeouts import Deadlines, OnTruncation

_GLOB = frozenset("*?[")


@dataclass(frozen=True, slots=True)
class Rules:
    """Reads routes and deadlines."""

    providers: Mapping[str, Provider]
    """All there are, by name."""
    registry: Registry
    errors: ConfigErrors
    """Where to report what is wrong."""

    def read(self, tables: Sequence[RouteTable]) -> Iterator[Rule]:
        for number, table in enumerate(tables):
            yield self._rule(("routes", number), table)

    def deadlines(self, tables: Sequence[DeadlineTable], fields: Mapping[str, str]) -> Iterator[Deadlines]:
        """Reads deadlines in the same way; `fields` are those of `Timeouts` by their names in the config."""
        for number, table in enumerate(tables):
            match, given = table.match, table.given()
            self._check_glob(("deadlines", number, "match", "provider"), match.provider)
            seconds = {fields[name]: given[name] for name in given.keys() & fields.keys()}
            yield Deadlines(match.provider, match.model, match.reasoning or "", seconds)

    def _rule(self, loc: Loc, table: RouteTable) -> Rule:
        to = tuple(rule_target(text) for text in table.to)
        rule = Rule(
            match=self._match((*loc, "match"), table.match),
            to=tuple(self._known((*loc, "to"), to)),
            protocol=self._protocol((*loc, "protocol"), table.protocol, to),
            adapters=adapters(table.adapters, (*loc, "adapters"), self.errors),
            on_truncation=_truncation(table),
            next_on_auth=table.next_on_auth,
            upstream_model=table.report_model == "upstream",
            hold_tool_calls=table.hold_tool_calls if "hold_tool_calls" in table.model_fields_set else None,
            force_stream=table.force_upstream_stream,
            stream=table.stream,
            trace=table.trace if "trace" in table.model_fields_set else None,
        )
        for why in impossible(rule, self.providers, self.registry):
            self.errors.add((*loc, "to"), why)
        return rule

    def _match(self, loc: Loc, table: MatchTable) -> Match:
        self._check_glob((*loc, "provider"), table.provider)
        protocol = table.protocol
        if protocol and not _GLOB & set(protocol):
            protocol = protocol_name(protocol, self.registry, (*loc, "protocol"), self.errors) or protocol
        return Match(table.model, table.provider, protocol, table.path, table.header)

    def _known(self, loc: Loc, to: Iterable[RuleTarget]) -> Iterator[RuleTarget]:
        for position, one in enumerate(to):
            if self._check_provider((*loc, position), one.provider):
                self._check_address((*loc, position), one.provider)
                yield one

    def _check_address(self, loc: Loc, name: str) -> None:
        if not self.providers[name].base_url:
            where = f"providers.{name}.base_url"
            self.errors.add(loc, f"{name} is elsewhere for each of its customers: add {where}")

    def _check_glob(self, loc: Loc, provider: str) -> None:
        if provider and not _GLOB & set(provider):
            self._check_provider(loc, provider)

    def _check_provider(self, loc: Loc, name: str) -> bool:
        if name not in self.providers:
            known = "the config and the built-in ones have"
            self.errors.add(loc, _unknown("provider", name, self.providers, known))
        return name in self.providers

    def _protocol(self, loc: Loc, name: str, to: Iterable[RuleTarget]) -> str:
        """The name of a protocol that every target speaks."""
        if not name:
            return ""
        found = protocol_name(name, self.registry, loc, self.errors)
        for one in to:
            provider = self.providers.get(one.provider)
            if found and provider and found not in provider.protocols:
                spoken = ", ".join(provider.protocols)
                self.errors.add(loc, f"{one.provider} does not speak {found}: write one of {spoken}")
        return found or ""


def protocol_name(name: str, registry: Registry, loc: Loc, errors: ConfigErrors) -> str | None:
    """The protocol's own name for `name` or an alias of it; None, and an error, if there is none."""
    if name in registry:
        return registry[name].name
    errors.add(loc, _unknown("protocol", name, [each.name for each in registry], "there are"))
    return None


def adapters(specs: Sequence[AdapterSpec], loc: Loc, errors: ConfigErrors) -> tuple[Adapter, ...]:
    """The adapters that can be made; what cannot be is an error of its own."""
    found: list[Adapter] = []
    for position, spec in enumerate(specs):
        try:
            found += parse_adapters([spec])
        except ValueError as error:
            errors.add((*loc, position), f"{_unquoted(str(error), spec)}: correct it or take it out")
    return tuple(found)


def _unquoted(text: str, spec: AdapterSpec) -> str:
    """`text` without the values of `spec`, any of which may be a secret in the wrong place."""
    for value in set(_texts(spec)) - discover().keys():
        text = text.replace(repr(value), "'...'")
    return text


def _texts(value: object) -> Iterator[str]:
    match value:
        case str():
            yield value
        case Mapping():
            for each in value.values():
                yield from _texts(each)
        case list():
            for each in value:
                yield from _texts(each)


def _truncation(table: RouteTable) -> OnTruncation | None:
    return OnTruncation(table.on_truncation) if "on_truncation" in table.model_fields_set else None


def _unknown(what: str, name: str, known: Iterable[str], listing: str) -> str:
    close = get_close_matches(name, list(known), n=1)
    hint = f"did you mean {close[0]}?" if close else f"{listing} {', '.join(sorted(known))}"
    return f"no {what} of that name: {hint}"

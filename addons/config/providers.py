"""The providers of a config: what is known of each, what the config says in its place, and its pool."""

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from difflib import get_close_matches
from functools import reduce

from addons.config.credentials import Keys, PoolCredential, with_checks
from addons.config.errors import ConfigErrors
from addons.config.field_rules import check_spoken, field_rules
from addons.config.limits import check
from addons.config.models import check_protocols, rows, rules
from addons.config.provider_files import Said, common_facts, own_facts
from addons.config.rules import adapters, protocol_name
from addons.config.tables import Loc, ProviderTable, Tables, Tree
from protocols.registry import Registry
from rewrite.catalog.hosts import is_exact
from rewrite.catalog.layers import BadExtends, Facts, facts_for, lineage, over
from rewrite.catalog.provider_tables import BadFact, provider
from rewrite.catalog.providers import Provider
from rewrite.hooks.calling import ProviderHooks

_NEEDED = ("base_url", "hosts", "protocols")
_APART = {"credentials", "check", "field_cache"}
"""What is said of a provider that is read by itself."""

_NOWHERE = (
    "would go to whatever host a client names: add providers.{name}.base_url, "
    "or providers.{name}.hosts without * and ?"
)
_ELSEWHERE = "names a provider without an address of its own: add base_url, or hosts"
_TAKEN = "is the variable of {owner}, whose keys would go here too: name another, or list credentials"


@dataclass(frozen=True, slots=True)
class Configured:
    """A provider as it is configured."""

    provider: Provider
    credentials: tuple[PoolCredential, ...] = ()
    """Its pool, in the order of the config; without one clients keep their own keys."""

    hooks: ProviderHooks | None = None
    """Code of its own. None: it has none."""

    @property
    def signs(self) -> bool:
        """Whether its requests are signed, so that none can carry a key that is passed through."""
        return self.hooks is not None and self.hooks.signs

    def serves(self, client: str) -> bool:
        """Whether its pool has a credential for calls of the tool `client`."""
        clients = (one.credential.clients for one in self.credentials)
        return any(names is None or client in names for names in clients)


def configured(
    tables: Tables, keys: Keys, registry: Registry, elsewhere: Sequence[Said] = ()
) -> list[Configured]:
    """The providers, custom ones first, and last those that copy the address of another, to which its calls
    go; one that does not say enough is an error. `elsewhere`: what is said outside the config, the most
    general first."""
    places = _Places(tables, keys.errors, registry, elsewhere)
    listed = {name: tuple(keys.listed(name, table.credentials)) for name, table in tables.providers.items()}
    pools = _Pools(tables, keys, places.built_in, listed)
    found = {name: one for name in places.names if (one := places.provider(name))}
    places.check_variables(found.values())
    return [Configured(one, pools.of(one, places.places[name])) for name, one in found.items()]


class _Places:
    """What is said of providers, in all places."""

    def __init__(
        self, tables: Tables, errors: ConfigErrors, registry: Registry, elsewhere: Sequence[Said]
    ) -> None:
        self._errors, self._common = errors, common_facts()
        known = own_facts()
        names = (*tables.providers, *(one.name for one in elsewhere))
        custom = (name for name in names if name not in known)
        self.places: dict[str, list[Said]] = {name: [] for name in (*custom, *known)}
        for one in elsewhere:
            self.places[one.name].append(one)
        for name, table in tables.providers.items():
            self.places[name].append(Said(name, table, errors))
        self.built_in = frozenset(known)
        self._known_rules = {name: facts.get("field_cache") for name, facts in known.items()}
        self._said: dict[str, Facts] = {
            name: reduce(over, (_own(each, registry) for each in places), known.get(name, {}))
            for name, places in self.places.items()
        }

    @property
    def names(self) -> list[str]:
        """In the order in which hosts are theirs."""
        return sorted(self.places, key=lambda name: (self._copies_address(name), name in self.built_in))

    def _copies_address(self, name: str) -> bool:
        said = self._said[name]
        return "extends" in said and "base_url" not in said

    def provider(self, name: str) -> Provider | None:
        """None where what is said is not enough, or wrong."""
        try:
            facts = facts_for(name, self._said, self._common)
        except BadExtends as error:
            self._reporter(error.name).add(("providers", error.name, "extends"), str(error))
            return None
        if not self._says_enough(name, facts, self._reporter(name)):
            return None
        try:
            found = provider(name, {"hosts": [], **facts, "field_cache": self._rules(name)})
        except ValueError as error:
            self._report(name, error)
            return None
        self._check_spoken(found)
        return found

    def _report(self, name: str, error: ValueError) -> None:
        """A fact that does not fit, unless what is wrong is reported where it was said."""
        if any(map(self._is_wrong, lineage(name, self._said))):
            return
        key = (error.key,) if isinstance(error, BadFact) else ()
        text = error.why if isinstance(error, BadFact) else str(error)
        self._reporter(name).add(("providers", name, *key), text)

    def _check_spoken(self, found: Provider) -> None:
        """Whatever names a protocol names one that the provider speaks."""
        for place in self.places[found.name]:
            check_protocols(place, found.protocols)
            for loc, tables in _rule_tables(place):
                check_spoken(tables, found.protocols, loc, place.errors)

    def _is_wrong(self, name: str) -> bool:
        """Whether something that is said of the provider is known to be wrong."""
        places = [self._errors, *(place.errors for place in self.places[name])]
        return any(errors.under(("providers", name)) for errors in places)

    def _rules(self, name: str) -> list[object]:
        """The rules of its field cache: those of who it extends, then its own, the provider's before those of
        its models."""
        found: list[object] = []
        for each in reversed(lineage(name, self._said)):
            loc, known = ("providers", each, "field_cache"), self._known_rules.get(each)
            found = field_rules(found, known if isinstance(known, list) else (), loc, self._errors)
            for place in self.places[each]:
                for where, tables in _rule_tables(place):
                    found = field_rules(found, tables, where, place.errors)
        return found

    def _reporter(self, name: str) -> ConfigErrors:
        """Where to report what no place says alone."""
        places = self.places[name]
        return places[-1].errors if places else self._errors

    def _says_enough(self, name: str, facts: Facts, errors: ConfigErrors) -> bool:
        if self._said[name].get("extends"):
            if not (facts.get("base_url") or facts.get("hosts")):
                errors.add(("providers", name, "extends"), _ELSEWHERE)
            return not errors.under(("providers", name))
        if errors.under(("providers", name, "extends")):
            return False  # what it would have is not known
        missing = [key for key in _NEEDED if key not in facts or (key != "base_url" and not facts[key])]
        unsaid = [key for key in missing if not errors.under(("providers", name, key))]
        if unsaid:
            close = get_close_matches(name, list(self.built_in), n=1)
            suggestion = f" (did you mean {close[0]}?)" if close else ""
            needed = f"is not built in{suggestion} and must state base_url, hosts and protocols"
            errors.add(("providers", name), f"{needed}: add {', '.join(unsaid)}")
        return not missing

    def check_variables(self, providers: Iterable[Provider]) -> None:
        """The numbered keys of a variable are one provider's."""
        owners: dict[str, str] = {}
        for one in sorted(providers, key=lambda each: "environment" in self._own_of(each.name)):
            owner = owners.setdefault(one.environment, one.name)
            if one.environment and owner != one.name:
                loc = ("providers", one.name, "environment")
                self._reporter(one.name).add(loc, _TAKEN.format(owner=owner))

    def _own_of(self, name: str) -> set[str]:
        """The keys that the user says of a provider."""
        return {key for place in self.places[name] for key in place.table.model_fields_set}


def _rule_tables(place: Said) -> Iterator[tuple[Loc, Sequence[Tree]]]:
    """The rules of the field cache that a place has, those of models last, and where they stand."""
    yield ("providers", place.name, "field_cache"), place.table.field_cache or ()
    yield from rules(place)


def _own(said: Said, registry: Registry) -> dict[str, object]:
    """What is said, as facts, without what is wrong in it."""
    _resolve_protocols(said.name, said.table, registry, said.errors)
    loc = ("providers", said.name)
    adapters(said.table.adapters, (*loc, "adapters"), said.errors)
    given: dict[str, object] = {**said.table.given()}
    if said.table.models is not None:
        given["models"] = rows(said, registry)
    wrong = {key for key in given if key != "models" and said.errors.under((*loc, key))}
    return {key: value for key, value in given.items() if key not in wrong | _APART}


def _resolve_protocols(name: str, table: ProviderTable, registry: Registry, errors: ConfigErrors) -> None:
    """Aliases become names; what is no protocol is an error."""
    loc: Loc = ("providers", name)
    if table.protocols:
        places = [(*loc, "protocols", at) for at in range(len(table.protocols))]
        named = [
            protocol_name(each, registry, place, errors)
            for each, place in zip(table.protocols, places, strict=True)
        ]
        table.protocols = [each for each in named if each]
    table.paths = _by_protocol(table.paths, (*loc, "paths"), registry, errors)
    table.protocol_errors = _by_protocol(table.protocol_errors, (*loc, "protocol_errors"), registry, errors)


def _by_protocol[T](
    given: dict[str, T] | None, loc: Loc, registry: Registry, errors: ConfigErrors
) -> dict[str, T] | None:
    """The same without aliases of protocols."""
    if not given:
        return given
    return {
        protocol_name(each, registry, (*loc, each), errors) or each: value for each, value in given.items()
    }


@dataclass(frozen=True, slots=True)
class _Pools:
    """Reads the credentials of providers."""

    tables: Tables
    keys: Keys
    built_in: frozenset[str]
    """The names of those providers."""
    listed: Mapping[str, tuple[PoolCredential, ...]]
    """The credentials of the config, by provider."""

    def of(self, known: Provider, places: Sequence[Said]) -> tuple[PoolCredential, ...]:
        name = known.name
        table = self.tables.providers.get(name, ProviderTable())
        pool = self.listed[name] if table.credentials else tuple(self.keys.numbered(known))
        if pool and known.origin is None and not _is_told_apart(known, places):
            self.keys.errors.add(("providers", name, "credentials"), _NOWHERE.format(name=name))
        check(known, table, self.keys.errors, built_in=name in self.built_in)
        return with_checks(pool, table)


def _is_told_apart(known: Provider, places: Sequence[Said]) -> bool:
    """Whether the user says which hosts are the provider's, each by its name."""
    return any(place.table.hosts for place in places) and all(map(is_exact, known.hosts))

"""The providers of a config: what is known of each, what the config says in its place, and its pool."""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from difflib import get_close_matches

from addons.config.credentials import Keys, PoolCredential, with_checks
from addons.config.errors import ConfigErrors
from addons.config.field_rules import field_rules
from addons.config.limits import check, model_facts
from addons.config.provider_files import built_in, common_facts
from addons.config.rules import adapters, protocol_name
from addons.config.tables import ProviderTable, Tables
from protocols.registry import Registry
from rewrite.adapters.base import Adapter
from rewrite.catalog.hosts import is_exact
from rewrite.catalog.provider_tables import layered, provider
from rewrite.catalog.providers import Provider
from rewrite.hooks.calling import ProviderHooks

_NEEDED = ("base_url", "hosts", "protocols")
_NOWHERE = (
    "would go to whatever host a client names: add providers.{name}.base_url, "
    "or providers.{name}.hosts without * and ?"
)


@dataclass(frozen=True, slots=True)
class Configured:
    """A provider as it is configured."""

    provider: Provider
    credentials: tuple[PoolCredential, ...] = ()
    """Its pool, in the order of the config; without one clients keep their own keys."""
    adapters: tuple[Adapter, ...] = ()
    """Applied in this order, before those of a route."""
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


def configured(tables: Tables, keys: Keys, registry: Registry) -> Iterator[Configured]:
    """The providers, custom ones first; one that does not say enough is an error."""
    facts = built_in()
    for name, table in tables.providers.items():
        if name in facts:
            continue
        _resolve_protocols(name, table, registry, keys.errors)
        credentials = tuple(keys.listed(name, table.credentials))
        adapted = adapters(table.adapters, ("providers", name, "adapters"), keys.errors)
        if _says_enough(name, table, list(facts), keys.errors):
            known = _provider(name, common_facts(), table, keys.errors)
            check(known, table, keys.errors, built_in=False)
            yield Configured(known, with_checks(credentials, table), adapted)
    for name, mapping in facts.items():
        table = tables.providers.get(name, ProviderTable())
        _resolve_protocols(name, table, registry, keys.errors)
        known = _provider(name, mapping, table, keys.errors)
        pool = tuple(keys.listed(name, table.credentials) if table.credentials else keys.numbered(known))
        if pool and known.origin is None and not all(map(is_exact, table.hosts or ("*",))):
            keys.errors.add(("providers", name, "credentials"), _NOWHERE.format(name=name))
        adapted = adapters(table.adapters, ("providers", name, "adapters"), keys.errors)
        check(known, table, keys.errors, built_in=True)
        yield Configured(known, with_checks(pool, table), adapted)


def _resolve_protocols(name: str, table: ProviderTable, registry: Registry, errors: ConfigErrors) -> None:
    """Aliases become names; what is no protocol is an error."""
    if table.protocols:
        loc = ("providers", name, "protocols")
        named = [protocol_name(each, registry, (*loc, at), errors) for at, each in enumerate(table.protocols)]
        table.protocols = [each for each in named if each]
    if table.paths:
        loc = ("providers", name, "paths")
        table.paths = {
            protocol_name(each, registry, (*loc, each), errors) or each: path
            for each, path in table.paths.items()
        }


def _says_enough(name: str, table: ProviderTable, known: list[str], errors: ConfigErrors) -> bool:
    missing = [key for key in _NEEDED if not getattr(table, key)]
    unsaid = [key for key in missing if not errors.under(("providers", name, key))]
    if unsaid:
        close = get_close_matches(name, known, n=1)
        suggestion = f" (did you mean {close[0]}?)" if close else ""
        needed = f"is not built in{suggestion} and must state base_url, hosts and protocols"
        errors.add(("providers", name), f"{needed}: add {', '.join(unsaid)}")
    return not missing


def _provider(name: str, facts: Mapping[str, object], table: ProviderTable, errors: ConfigErrors) -> Provider:
    """The provider of `facts`, with what the config has in their place."""
    given = table.given()
    own: dict[str, object] = {key: given[key] for key in given.keys() - {"credentials", "adapters", "check"}}
    if own.get("auth", facts.get("auth")) != facts.get("auth"):
        own["accepts"] = []  # what it took besides was true of the form that it took before
    if table.models:
        known = facts.get("models")
        own["models"] = [*model_facts(table.models), *(known if isinstance(known, list) else ())]
    if table.field_cache:
        loc = ("providers", name, "field_cache")
        own["field_cache"] = field_rules(facts.get("field_cache", ()), table.field_cache, loc, errors)
    return provider(name, layered(facts, own))

"""An example call for each route, and what becomes of it. Pure."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from fnmatch import fnmatchcase

from addons.config.providers import Configured
from addons.config.settings import Settings
from protocols.model.call import Call, Operation
from rewrite.catalog.model_facts import facts_of
from rewrite.catalog.providers import Carrier, Provider
from rewrite.catalog.routes import Route, Rule, candidates, rule_for

type Models = Mapping[str, Sequence[str]]
"""Names of models by provider, as far as they are known."""

_WILDCARD = "example"
"""What stands for a wildcard in the name of a model that nobody knows."""


@dataclass(frozen=True, slots=True)
class Example:
    """One call that a route fits, if it stood alone."""

    provider: str
    """Whom the client calls."""
    url: str
    """Where."""
    protocol: str
    model: str
    taken_by: int
    """The number of the route that it goes by: an earlier one may fit it too."""
    targets: tuple[tuple[str, str], ...]
    """Where the call goes, in order, each with why it is skipped; "" where it is not."""


def example(settings: Settings, number: int, models: Models) -> Example | None:
    """A call for the route of that number: one that reaches it, if there is any. None: no call fits it."""
    first: Example | None = None
    for call, provider in _calls(settings, settings.rules[number], models):
        found = _example(settings, call, provider)
        if found.taken_by == number:
            return found
        first = first or found
    return first


def _calls(settings: Settings, rule: Rule, models: Models) -> Iterator[tuple[Call, Provider]]:
    """Calls that fit `rule`, those to the provider first whose models it names."""
    providers = [one.provider for one in settings.providers]
    owned = {one.name: bool(_fitting(models.get(one.name, ()), rule.match.model)) for one in providers}
    for provider in sorted(providers, key=lambda one: not (owned[one.name] and one.origin)):
        for protocol in provider.protocols:
            for model in _models(rule, models.get(provider.name, ())):
                call = _call(rule, provider, protocol, model)
                if rule_for([rule], call, provider) is rule:
                    yield call, provider


def _models(rule: Rule, known: Sequence[str]) -> list[str]:
    glob = rule.match.model
    filled = glob.replace("*", _WILDCARD).replace("?", "x") if glob else _WILDCARD
    return [*(_fitting(known, glob) if glob else ()), filled]


def _fitting(known: Sequence[str], glob: str) -> list[str]:
    return [name for name in known if fnmatchcase(name, glob or "*")]


def _call(rule: Rule, provider: Provider, protocol: str, model: str) -> Call:
    path = provider.paths.get(protocol, "").replace("{model}", model)
    path = path.replace("{method}", "streamGenerateContent").replace("*", _WILDCARD)
    prefix = provider.origin.prefix if provider.origin else ""
    headers = tuple((name, glob.replace("*", _WILDCARD)) for name, glob in rule.match.headers.items())
    return Call("", protocol, Operation.GENERATE, model, True, headers, target=prefix + path)


def _example(settings: Settings, call: Call, provider: Provider) -> Example:
    by_name = {one.provider.name: one for one in settings.providers}
    providers = {name: one.provider for name, one in by_name.items()}
    rule = rule_for(settings.rules, call, provider)
    routes = candidates(rule, call, provider, providers, lambda name, model: facts_of(providers[name], model))
    targets = tuple(
        (_target(route, call), _why_skipped(route, by_name[route.provider.name])) for route in routes
    )
    host = provider.hosts[0] if provider.hosts else ""
    number = next(at for at, each in enumerate(settings.rules) if each is rule)
    url = f"https://{host}{call.target}"
    return Example(provider.name, url, call.protocol, call.model or "", number, targets)


def _target(route: Route, call: Call) -> str:
    translated = "" if route.protocol == call.protocol else f", translated to {route.protocol}"
    return f"{route.label}{translated}"


def _why_skipped(route: Route, pool: Configured) -> str:
    """ "" for the provider that the client called: its own key serves there where no other does."""
    provider = pool.provider
    if provider.origin is None:
        return f"add providers.{provider.name}.base_url"
    serving = [one for one in pool.credentials if one.credential.models.serves(route.model)]
    if serving or route.original or provider.auth is Carrier.NONE:
        return ""
    if pool.credentials:
        return f"none of its keys may serve {route.model}"
    variable = f"set {provider.environment}_1, or " if provider.environment else ""
    return f"it has no key: {variable}add providers.{provider.name}.credentials"

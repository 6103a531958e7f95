"""Which targets of a route no call of it can go to: a protocol that is only passed on is not translated."""

from collections.abc import Iterator, Mapping, Sequence
from fnmatch import fnmatchcase

from protocols.registry import Registry
from rewrite.catalog.model_facts import facts_of
from rewrite.catalog.providers import Provider
from rewrite.catalog.routes import Rule, RuleTarget, spoken_by


def impossible(rule: Rule, providers: Mapping[str, Provider], registry: Registry) -> Iterator[str]:
    """Why a target of `rule` cannot be asked, with what is to be done about it."""
    called = [one for name, one in providers.items() if fnmatchcase(name, rule.match.provider or "*")]
    for to in rule.to:
        yield from _impossible(rule, to, called, providers[to.provider], registry)
    for one in () if rule.to else called:
        yield from _impossible(rule, RuleTarget(one.name), [one], one, registry)


def _impossible(
    rule: Rule, to: RuleTarget, called: Sequence[Provider], provider: Provider, registry: Registry
) -> Iterator[str]:
    """Of one target, for clients that call one of `called`."""
    if not provider.protocols:
        return  # that is reported where it is read
    wanted = rule.match.protocol or "*"
    clients = {name for one in called for name in one.protocols if fnmatchcase(name, wanted)}
    refused = [why for own in sorted(clients) if (why := _refused(rule, to, own, provider, registry))]
    if refused and (len(refused) == len(clients) or _is_passed_on(rule, provider, registry)):
        yield refused[0]


def _is_passed_on(rule: Rule, provider: Provider, registry: Registry) -> bool:
    """Whether whatever `provider` is asked is in a protocol that is not translated."""
    asked = {rule.protocol} & set(provider.protocols) or set(provider.protocols)
    return all(registry[name].translator is None for name in asked)


def _refused(rule: Rule, to: RuleTarget, own: str, provider: Provider, registry: Registry) -> str:
    """Why a call in the protocol `own` cannot go to `to`; empty if it can."""
    model = facts_of(provider, to.model).protocol if to.model else None
    asked = spoken_by(provider.protocols, rule.protocol or model or "", own)
    if asked == own:
        fixed = to.model and registry[own].editor is None
        return f"the model of a call in {own} cannot be changed: leave {to.model} out" if fixed else ""
    untranslated = [name for name in (own, asked) if registry[name].translator is None]
    if not untranslated:
        return ""
    passed = f"{untranslated[0]} is passed on as it is and not translated, so that a call in {own}"
    return f'{passed} cannot be asked in {asked}: write match = {{ protocol = "{asked}" }}, or take it out'

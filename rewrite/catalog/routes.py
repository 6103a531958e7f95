"""Where a call goes: the first rule that fits it, and the targets of that rule in order.

Whether the rules are used is counted: one that no call ever fits is most often misspelt.
"""

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from difflib import get_close_matches
from fnmatch import fnmatchcase

from protocols.model.call import Call, Operation
from protocols.model.http import header
from rewrite.adapters.base import Adapter
from rewrite.catalog.providers import ModelFacts, Provider
from rewrite.values.timeouts import OnTruncation

ENOUGH = 50
"""Calls after which a route that none of them fitted is named."""

_MODELS = 100


@dataclass(frozen=True, slots=True)
class Match:
    """Which calls a rule is about: all its globs (fnmatchcase) have to fit. Empty: any."""

    model: str = ""
    """The model that the client asks for."""
    provider: str = ""
    """The provider that the client called."""
    protocol: str = ""
    """The client's protocol."""
    path: str = ""
    """The path that the client called, without the query."""
    headers: Mapping[str, str] = field(default_factory=dict)
    """Headers of the client by name, each with a glob over its value."""


@dataclass(frozen=True, slots=True)
class RuleTarget:
    """Where a rule sends a call."""

    provider: str
    """By name."""
    model: str = ""
    """Empty: the one that the client asks for."""


@dataclass(frozen=True, slots=True)
class Rule:
    """A route of the config."""

    match: Match = field(default_factory=Match)
    """Which calls it is about."""
    to: tuple[RuleTarget, ...] = ()
    """Its targets in order. Empty: the provider that the client called."""
    protocol: str = ""
    """In which a target is asked. Empty: the client's own, if the provider speaks it."""
    adapters: tuple[Adapter, ...] = ()
    """What edits requests and answers, after the adapters of the provider."""
    on_truncation: OnTruncation | None = None
    """What follows a cut after the commit point. None: what the config says of all calls."""
    next_on_auth: bool = False
    """Whether the next target is asked after one that refused every key."""
    upstream_model: bool = False
    """Whether an answer names the model that served, not the one that the client asked for."""
    hold_tool_calls: bool | None = None
    """Whether a tool call is held until it is whole. None: what the config says of all calls."""
    force_stream: bool = False
    """Whether the provider is asked for a stream where the client wants a whole answer."""
    stream: bool = True
    """Whether an answer is passed on as it comes. If not, other add-ons get it whole before the client
    does."""
    trace: bool | None = None
    """Whether calls are traced. None: if the config says so of all calls."""


_ANY = Rule()


@dataclass(frozen=True, slots=True)
class Route:
    """One candidate."""

    provider: Provider
    """Whom it asks."""
    protocol: str
    """In which it is asked."""
    model: str | None
    """Which model it is asked for. None: the call names none."""
    original: bool
    """Whether it is the provider that the client called."""

    @property
    def label(self) -> str:
        return f"{self.provider.name}/{self.model}" if self.model else self.provider.name


def rule_target(text: str) -> RuleTarget:
    """`provider` or `provider/model`, where the model may have slashes of its own."""
    provider, _, model = text.partition("/")
    return RuleTarget(provider, model)


def rule_for(rules: Iterable[Rule], call: Call, original: Provider) -> Rule:
    """The first rule that fits; one that says nothing where none does, or where no model is asked."""
    if call.model is None:
        return _ANY
    return next((rule for rule in rules if _fits(rule.match, call, original)), _ANY)


def _fits(match: Match, call: Call, original: Provider) -> bool:
    path = call.target.partition("?")[0]
    globs = (
        (match.model, call.model or ""),
        (match.provider, original.name),
        (match.protocol, call.protocol),
        (match.path, path),
        *((glob, header(call.headers, name) or "") for name, glob in match.headers.items()),
    )
    return all(fnmatchcase(value, glob) for glob, value in globs if glob)


type Facts = Callable[[str, str | None], ModelFacts]
"""What is known of a model of a provider, by their names."""


def candidates(
    rule: Rule, call: Call, original: Provider, providers: Mapping[str, Provider], facts: Facts
) -> tuple[Route, ...]:
    """The candidates in order; the model that the client asked for comes first if it is among them."""
    to = rule.to or (RuleTarget(original.name),)
    routes = [_route(rule, one, call, original, providers[one.provider], facts) for one in to]
    return tuple(sorted(routes, key=lambda route: bool(rule.to) and not _asked_for(route, call)))


def _asked_for(route: Route, call: Call) -> bool:
    return route.model == call.model


def _route(
    rule: Rule, to: RuleTarget, call: Call, original: Provider, provider: Provider, facts: Facts
) -> Route:
    """A model has a protocol of its own for what it generates: counts and lists are each protocol's own."""
    model = to.model or call.model
    own = facts(provider.name, model).protocol if call.operation is Operation.GENERATE else None
    protocol = spoken_by(provider.protocols, rule.protocol or own or "", call.protocol)
    return Route(provider, protocol, model, provider.name == original.name)


def spoken_by(protocols: Sequence[str], wanted: str, own: str) -> str:
    """The protocol in which a provider that speaks `protocols` is asked: what is wanted, else the client's
    own, else the provider's first."""
    return next((name for name in (wanted, own) if name in protocols), protocols[0])


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
        nearest = f"; a model that was asked for is called {close[0]}" if close else ""
        remedy = f"correct it, or take the route out{nearest}"
        return f"routes[{at}]: none of {ENOUGH} calls fitted match = {shown(match)}: {remedy}"


def shown(match: Match) -> str:
    """As the config has it."""
    globs = {name: getattr(match, name) for name in ("model", "provider", "protocol", "path")}
    said = [f'{name} = "{glob}"' for name, glob in globs.items() if glob]
    said += [f'header.{name} = "{glob}"' for name, glob in match.headers.items()]
    return f"{{ {', '.join(said)} }}" if said else "{}"

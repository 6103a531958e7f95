"""Where a call goes: the first rule that fits it, and the targets of that rule in order."""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from fnmatch import fnmatchcase

from protocols.model.call import Call
from protocols.model.http import header
from rewrite.adapters.base import Adapter
from rewrite.catalog.providers import Provider
from rewrite.values.limits import OnTruncation


@dataclass(frozen=True, slots=True)
class Match:
    """Globs (fnmatchcase), empty: anything. `path` is without the query; `headers` by name, all must fit."""

    model: str = ""
    provider: str = ""
    protocol: str = ""
    path: str = ""
    headers: Mapping[str, str] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Destination:
    """A provider by name, and a model of its own; empty: the one that the client names."""

    provider: str
    model: str = ""


@dataclass(frozen=True, slots=True)
class Rule:
    """`to` empty: the provider that the call was meant for. `protocol` empty: the client's own if the
    provider speaks it. `on_truncation` None: the default's. `next_on_auth`: a target that refuses every key
    is passed over. `upstream_model`: the answer names the model that served. `hold_tool_calls` None: the
    default's. `force_stream`: also what its client wants whole is streamed upstream. `stream`: an answer goes
    on as it comes; if not, other add-ons get it whole before the client does."""

    match: Match = field(default_factory=Match)
    to: tuple[Destination, ...] = ()
    protocol: str = ""
    adapters: tuple[Adapter, ...] = ()
    on_truncation: OnTruncation | None = None
    next_on_auth: bool = False
    upstream_model: bool = False
    hold_tool_calls: bool | None = None
    force_stream: bool = False
    stream: bool = True


@dataclass(frozen=True, slots=True)
class Route:
    """One candidate. `meant`: it is the provider that the client called."""

    provider: Provider
    protocol: str
    model: str | None
    meant: bool

    @property
    def label(self) -> str:
        return f"{self.provider.name}/{self.model}" if self.model else self.provider.name


def destination(text: str) -> Destination:
    """`provider` or `provider/model`, where the model may have slashes of its own."""
    provider, _, model = text.partition("/")
    return Destination(provider, model)


def rule_for(rules: Iterable[Rule], call: Call, meant: Provider) -> Rule:
    """The first rule that fits; one that says nothing where none does, or where no model is asked."""
    if call.model is None:
        return Rule()
    return next((rule for rule in rules if _fits(rule.match, call, meant)), Rule())


def _fits(match: Match, call: Call, meant: Provider) -> bool:
    path = call.target.partition("?")[0]
    globs = (
        (match.model, call.model or ""),
        (match.provider, meant.name),
        (match.protocol, call.protocol),
        (match.path, path),
        *((glob, header(call.headers, name) or "") for name, glob in match.headers.items()),
    )
    return all(fnmatchcase(value, glob) for glob, value in globs if glob)


def plan(rule: Rule, call: Call, meant: Provider, providers: Mapping[str, Provider]) -> tuple[Route, ...]:
    """The candidates in order; the model that the client asked for comes first if it is among them."""
    to = rule.to or (Destination(meant.name),)
    routes = [_route(rule, one, call, meant, providers[one.provider]) for one in to]
    return tuple(sorted(routes, key=lambda route: bool(rule.to) and not _asked_for(route, call)))


def _asked_for(route: Route, call: Call) -> bool:
    return route.model == call.model


def _route(rule: Rule, to: Destination, call: Call, meant: Provider, provider: Provider) -> Route:
    protocol = _protocol(rule.protocol, call.protocol, provider.protocols)
    return Route(provider, protocol, to.model or call.model, provider.name == meant.name)


def _protocol(wanted: str, own: str, spoken: Sequence[str]) -> str:
    """What is wanted, if the provider speaks it; else the client's own, else the provider's first."""
    return next((name for name in (wanted, own) if name in spoken), spoken[0])

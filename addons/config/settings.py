"""Settings: one config file, the environment and the built-in facts of providers and clients, made one.

The file is `rotator.toml` or `.json`; variables such as ROTATOR__RETRY__MAX_ATTEMPTS=5 override it. All
that is wrong is reported at once, as ConfigError. What this version cannot do yet is a warning where leaving
it out is harmless, and an error where it would cost safety or money.
"""

import os
import tomllib
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path

from addons.config import tracing
from addons.config.code import Code
from addons.config.credentials import Keys, PoolCredential, without_secret
from addons.config.errors import PREFIX, ConfigErrors, checked, line, overrides
from addons.config.finding import config_file
from addons.config.prices import prices_in
from addons.config.provider_files import Said, data, files_of, in_folder, installed, own_facts
from addons.config.providers import Configured, configured
from addons.config.rules import Rules
from addons.config.shared_state import SharedState, key_files, shared_state
from addons.config.tables import ResponsesTable, StreamingTable, Tables, TraceTable, Tree
from addons.config.tracing import Tracing
from addons.config.trees import Unreadable, read_tree
from addons.config.users import caps_of
from addons.secrets.keys import key_file, located, numbered, unnumbered
from addons.secrets.redaction import SHORTEST_SECRET, is_searched_for
from protocols.registry import Registry, discover
from rewrite.catalog.clients import ClientFacts, client_facts
from rewrite.catalog.layers import layered
from rewrite.catalog.model_facts import meant, other_owner
from rewrite.catalog.providers import Carrier, Provider
from rewrite.catalog.routes import Rule, rule_target
from rewrite.policies.user_caps import Caps
from rewrite.responses.store import Bounds
from rewrite.usage.own_prices import OwnPrices
from rewrite.values.timeouts import TIMEOUTS, Deadlines, Limits, OnTruncation, Timeouts

_YAML = frozenset({".yaml", ".yml"})
_NOT_YAML = "YAML is not read: write it as rotator.toml or rotator.json"


class ConfigError(Exception):
    """A config that cannot be used."""

    def __init__(self, *lines: str) -> None:
        super().__init__("\n".join(lines))
        self.lines = lines
        """One for each error, with its source, key and remedy."""


@dataclass(frozen=True, slots=True)
class Settings:
    """The whole config, in the terms of those who follow it."""

    providers: tuple[Configured, ...] = ()
    """Custom ones first: a host that a built-in one claims too is theirs."""
    rules: tuple[Rule, ...] = ()
    """The routes. The first that fits holds."""
    limits: Limits = field(default_factory=Limits)
    timeouts: Timeouts = field(default_factory=Timeouts)
    deadlines: tuple[Deadlines, ...] = ()
    """Timeouts of some calls, in place of `timeouts`. The first that fits holds."""
    on_truncation: OnTruncation = OnTruncation.AUTO
    """How a cut stream ends, where its route does not say."""
    hold_tool_calls: bool = False
    """Whether tool calls reach clients whole or not at all, where their route does not say."""
    continuations: int = 3
    """How often a cut answer may be continued."""
    responses: Bounds = field(default_factory=Bounds)
    """How much is kept of responses that no provider keeps."""
    shares_responses: bool = False
    """Whether these are shared with other proxies."""
    trace: Tracing = field(default_factory=Tracing)
    """Which calls leave traces, and where."""
    users: Mapping[str, Caps] = field(default_factory=dict)
    """How much users may use a day, by their names, see `users.folded`."""
    own_prices: Sequence[OwnPrices] = ()
    """What the user says of prices."""
    price_file: Path | None = None
    """The file that says so. None: there is none."""
    usage_kept: float = 400 * 86_400.0
    """Seconds for which is kept what a call used and cost."""
    drain_timeout: float = 60.0
    """Seconds in which calls may end by themselves when the proxy is asked to end."""
    upstream_proxy: str = field(default="", repr=False)
    """The URL of a proxy towards the providers, which may hold a password; empty: none."""
    shared: SharedState | None = None
    """The server that state is shared through with other proxies. None: it is not shared."""
    browsers: frozenset[str] = frozenset()
    """Origins of web pages that may use the pools, in lower case."""
    report_headers: bool = False
    """Whether answers say in headers how they came about."""
    clients: tuple[ClientFacts, ...] = ()
    """What is known of clients. The first that fits holds."""
    warnings: tuple[str, ...] = ()
    """One line each."""
    source: Path | None = None
    """The config file; None without one."""
    key_files: tuple[Path, ...] = ()
    """The files that keys were read from."""
    code_files: tuple[Path, ...] = ()
    """The files that code of providers was read from."""
    providers_folder: Path | None = None
    """The folder of files of providers; None: there is none."""


def load(option: str, environ: Mapping[str, str], cwd: Path, providers: str = "") -> Settings:
    """Settings from the file at `option`, or the first of ./rotator.toml, ./rotator.json and the user's own.

    `providers` is a folder with files of providers, empty for none. `environ` holds overrides, keys and what
    cmd: keys run with; relative paths start at `cwd`, those of keys at the file's folder. Blocks while cmd:
    keys run. Raises ConfigError.
    """
    return _loaded(config_file(option, cwd), environ, cwd, located(providers, cwd) if providers else None)


def load_again(former: Settings, environ: Mapping[str, str], cwd: Path) -> Settings:
    """As `load`, from the file that `former` came from, or from none: no other takes its place."""
    if former.source and not os.path.lexists(former.source):
        raise ConfigError(f"{former.source}: is gone: put it back, or restart without it")
    if former.source and _is_empty(former.source):  # an editor empties a file for a moment before it writes
        raise ConfigError(f"{former.source}: is empty: write the config, or restart to continue without one")
    return _loaded(former.source, environ, cwd, former.providers_folder)


def traced_to(option: str, environ: Mapping[str, str], cwd: Path) -> Path | None:
    """The folder of traces that the config names, which is found as `load` does; None: it names none. No key
    is read. Raises ConfigError."""
    source = config_file(option, cwd)
    errors = ConfigErrors(str(source or "environment"), _override_names(environ))
    tables = _tables(source, environ, errors)
    return _tracing(tables.trace, source.parent if source else cwd).directory


def _is_empty(source: Path) -> bool:
    try:
        return source.stat().st_size == 0
    except OSError:  # reported with its cause where it is read
        return False


def _loaded(
    source: Path | None, environ: Mapping[str, str], cwd: Path, providers_folder: Path | None
) -> Settings:
    errors = ConfigErrors(str(source or "environment"), _override_names(environ))
    tables = _tables(source, environ, errors)
    folder = source.parent if source else cwd
    keys = Keys(environ, folder, errors)
    registry = known_protocols()
    elsewhere = _elsewhere(providers_folder, errors)
    said = [*elsewhere, *(Said(name, table, errors) for name, table in tables.providers.items())]
    code = Code(folder, errors, said)
    providers = tuple(
        replace(one, hooks=code.of(one.provider, one.credentials))
        for one in configured(tables, keys, registry, elsewhere)
    )
    by_name = {one.provider.name: one.provider for one in providers}
    reader = Rules(by_name, registry, errors)
    rules = tuple(reader.read(tables.routes))
    deadlines = tuple(reader.deadlines(tables.deadlines, TIMEOUTS))
    users = caps_of(tables.users, errors)
    shared = shared_state(tables.state, keys)
    if tables.responses.shared and not tables.state.url:
        errors.add(("responses", "shared"), 'needs a store: write url = "redis://HOST:6379" into [state]')
    price_file = located(tables.prices.file, folder) if tables.prices.file else None
    own_prices = prices_in(price_file, errors) if price_file else ()
    if lines := [line for each in (errors, *(said.errors for said in elsewhere)) for line in each.lines()]:
        raise ConfigError(*lines)
    return Settings(
        providers=providers,
        rules=rules,
        limits=Limits(tables.retry.max_attempts, tables.retry.deadline, tables.limits.body),
        timeouts=_timeouts(tables.streaming),
        deadlines=deadlines,
        on_truncation=OnTruncation(tables.streaming.on_truncation),
        hold_tool_calls=tables.streaming.hold_tool_calls,
        continuations=tables.streaming.continuation_attempts,
        responses=_kept(tables.responses),
        shares_responses=tables.responses.shared,
        trace=_tracing(tables.trace, folder),
        usage_kept=tables.usage.keep * 86_400.0,
        users=users,
        own_prices=own_prices,
        price_file=price_file,
        drain_timeout=tables.shutdown.drain_timeout,
        upstream_proxy=tables.upstream.proxy,
        shared=shared,
        browsers=frozenset(tables.browsers.allow),
        report_headers=tables.report.headers,
        clients=known_clients(),
        warnings=(*_unread(source, cwd), *_warnings(tables, keys, providers, environ)),
        source=source,
        key_files=tuple(_key_files(tables, folder)),
        code_files=tuple(code.files(one.provider for one in providers)),
        providers_folder=providers_folder,
    )


def _elsewhere(folder: Path | None, errors: ConfigErrors) -> list[Said]:
    """What is said of providers outside the config. Raises ConfigError where some of it cannot be read: what
    seems to be missing may stand there."""
    before = len(errors.lines())
    found = [*installed(errors), *(in_folder(folder, errors) if folder else ())]
    if len(errors.lines()) > before:
        raise ConfigError(*errors.lines())
    return found


def watched(settings: Settings) -> tuple[Path, ...]:
    """The files whose change asks for `load_again`: the config that was found at the start, its keys, prices,
    the code that it names, the files of providers, and their folder, which changes when one comes or goes."""
    folder = settings.providers_folder
    files = (*settings.key_files, *settings.code_files, *((folder, *files_of(folder)) if folder else ()))
    return tuple(dict.fromkeys((*filter(None, [settings.source, settings.price_file]), *files)))


def known_protocols() -> Registry:
    """The protocols that exist, installed ones of others too. Raises ConfigError for one that is broken."""
    try:
        return discover()
    except ValueError as error:
        raise ConfigError(f"protocols: {error}: mend it, or take it out of the environment") from None


def known_clients() -> tuple[ClientFacts, ...]:
    """The facts of the clients that are known."""
    return client_facts(tomllib.loads(data("clients.toml")))


def _override_names(environ: Mapping[str, str]) -> dict[str, str]:
    return {name.upper(): name for name in environ if name.upper().startswith(PREFIX)}


def _tables(source: Path | None, environ: Mapping[str, str], errors: ConfigErrors) -> Tables:
    """The tables of file and environment together, less what is wrong in either."""
    from_file = checked(_read(source), errors, str(source)) if source else Tables()
    from_environment = checked(overrides(environ, errors), errors)
    return Tables.model_validate(layered(from_file.given(), from_environment.given()))


def _read(source: Path) -> Tree:
    if source.suffix.lower() in _YAML:
        raise ConfigError(f"{source}: {_NOT_YAML}")
    try:
        return read_tree(source)
    except Unreadable as error:
        raise ConfigError(f"{source}: {error}") from None


def _kept(table: ResponsesTable) -> Bounds:
    """Within the bounds that were given."""
    return Bounds(**{name: value for name, value in table.given().items() if name != "shared"})


def _tracing(table: TraceTable, folder: Path) -> Tracing:
    """`folder`: where relative paths start."""
    bounds = {name: value for name, value in table.given().items() if name.startswith("max_")}
    directory = located(table.directory, folder) if table.directory else None
    return Tracing(directory, table.signatures, tracing.Bounds(**bounds))


def _timeouts(streaming: StreamingTable) -> Timeouts:
    seconds = streaming.given()
    return Timeouts(**{name: seconds[key] for key, name in TIMEOUTS.items() if key in seconds})


def _key_files(tables: Tables, folder: Path) -> Iterator[Path]:
    for table in tables.providers.values():
        for credential in table.credentials:
            if path := key_file(credential.key, folder):
                yield path
    yield from key_files(tables.state, folder)


def _short_keys(providers: Sequence[Configured]) -> Iterator[str]:
    """They are placeholders mostly; if one is not, its user has to know."""
    short = [
        f"{pool.provider.name}/{one.name}" for pool in providers for one in pool.credentials if _is_short(one)
    ]
    if short:
        yield (
            f"keys: {', '.join(short)}: shorter than {SHORTEST_SECRET} characters, so that answers and "
            "records are not searched for them: use longer ones where they are secrets"
        )


def _is_short(credential: PoolCredential) -> bool:
    return not is_searched_for(credential.secret)


def _warnings(
    tables: Tables, keys: Keys, providers: Sequence[Configured], environ: Mapping[str, str]
) -> Iterator[str]:
    """What of a config does not do what its user may think."""
    by_name = {one.provider.name: one.provider for one in providers}
    yield from _ignored_numbers(tables, keys, providers)
    yield from _left_alone(providers, environ)
    yield from _without_keys(tables, keys.errors, providers)
    yield from _of_other_models(tables, keys.errors, by_name)
    yield from _misspelt(tables, keys.errors, by_name)
    yield from _short_keys(providers)
    yield from _hosts_of_others(one.provider for one in providers)
    for pool in providers:
        yield from without_secret(pool.credentials)


def _hosts_of_others(providers: Iterable[Provider]) -> Iterator[str]:
    """Hosts that somebody gave to two providers, of which one would wait for calls in vain."""
    owners: dict[str, str] = {}
    built_in = own_facts().keys()
    for one in providers:
        for host in one.hosts:
            owner = owners.setdefault(host.lower(), one.name)
            if owner != one.name and one.name not in built_in:
                text = f"{host}: calls to it are those of {owner}: give it another, or reach it by routes"
                yield f"providers.{one.name}.hosts: {text}"


def _unread(source: Path | None, cwd: Path) -> Iterator[str]:
    """A config that somebody wrote and nobody reads."""
    if source is None:
        named = (cwd / f"rotator{suffix}" for suffix in sorted(_YAML))
        yield from (f"{path}: {_NOT_YAML}" for path in named if os.path.lexists(path))


def _left_alone(providers: Sequence[Configured], environ: Mapping[str, str]) -> Iterator[str]:
    """Variables that look like a pool and make none."""
    for one in providers:
        variable = one.provider.environment
        if found := [] if one.credentials else unnumbered(variable, environ):
            names = " and ".join(found)
            yield f"environment: {names}: left to your tools: a key for rotator to use is {variable}_1"


def _without_keys(tables: Tables, errors: ConfigErrors, providers: Sequence[Configured]) -> Iterator[str]:
    """Targets that name a model are for calls to other providers, whose keys do not go there."""
    keyless = {
        one.provider.name: one.provider
        for one in providers
        if not one.credentials and one.provider.auth is not Carrier.NONE
    }
    for number, route in enumerate(tables.routes):
        for position, text in enumerate(route.to):
            to, loc = rule_target(text), ("routes", number, "to", position)
            if to.model and to.provider in keyless and route.match.provider != to.provider:
                yield line(errors.source(loc), loc, _without_key(keyless[to.provider]))


def _without_key(provider: Provider) -> str:
    variable = f"set {provider.environment}_1, or " if provider.environment else ""
    remedy = f"{variable}add providers.{provider.name}.credentials"
    return (
        f"{provider.name} has no credentials: this target is skipped for calls to other providers: {remedy}"
    )


def _of_other_models(
    tables: Tables, errors: ConfigErrors, providers: Mapping[str, Provider]
) -> Iterator[str]:
    """Targets that name no model, for models that another provider has and theirs does not."""
    for number, route in enumerate(tables.routes):
        glob = route.match.model
        for position, target in enumerate(route.to):
            to, loc = rule_target(target), ("routes", number, "to", position)
            owner = "" if to.model else other_owner(providers.values(), providers[to.provider], glob)
            if owner:
                text = (
                    f"{to.provider} would be asked for {glob}, which {owner} has: write {to.provider}/MODEL"
                )
                yield line(errors.source(loc), loc, text)


def _misspelt(tables: Tables, errors: ConfigErrors, providers: Mapping[str, Provider]) -> Iterator[str]:
    """Globs that fit no model that is known, where one of nearly that name is."""
    for number, route in enumerate(tables.routes):
        loc = ("routes", number, "match", "model")
        if nearest := meant(providers.values(), route.match.model):
            text = f"no model is known whose name fits {route.match.model}: did you mean {nearest}?"
            yield line(errors.source(loc), loc, text)


def _ignored_numbers(tables: Tables, keys: Keys, providers: Sequence[Configured]) -> Iterator[str]:
    for one in providers:
        name = one.provider.name
        listed = tables.providers[name].credentials if name in tables.providers else []
        named = {credential.key for credential in listed}
        variables = numbered(one.provider.environment, keys.environ).values()
        ignored = [each for each in variables if f"env:{each}" not in named]
        if ignored and listed:
            listing = keys.errors.source(("providers", name, "credentials"))
            yield f"environment: {', '.join(ignored)}: ignored, since {listing} lists credentials"

"""What is known of a provider: where it is, what it speaks, how it takes a key, what its words mean.

Beside that, what is known of its models: whether they think, how a request says so, how much they can say.

Facts are data: `provider` reads them from a mapping, which `layered` lays over more general ones. The
built-in ones are in `provider_data/`, one TOML file each over `_common.toml`.
"""

import re
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field, fields
from enum import StrEnum
from fnmatch import fnmatchcase
from string import Formatter

from protocols.model.http import Origin, parsed
from rewrite.catalog.checks import QuotaCheck, quota_check
from rewrite.values.outcome import ErrorFacts, Kind


class Carrier(StrEnum):
    """Where a request carries its key: a header of this name, with `bearer` in Authorization, with
    `subprotocol` among those that a WebSocket offers."""

    BEARER = "bearer"
    X_API_KEY = "x-api-key"
    X_GOOG_API_KEY = "x-goog-api-key"
    API_KEY = "api-key"
    SUBPROTOCOL = "subprotocol"
    NONE = "none"


class Rotation(StrEnum):
    """In which order a pool's credentials serve."""

    SEQUENTIAL = "sequential"
    ROUND_ROBIN = "round_robin"
    BALANCED = "balanced"
    WEIGHTED = "weighted"
    CHEAPEST = "cheapest"


class FairCycle(StrEnum):
    """For whom an exhausted credential waits until they have had their turn."""

    OFF = "off"
    """For none."""
    TIER = "tier"
    """Those of its priority."""
    ALL = "all"
    """All of its pool."""


class WebSocket(StrEnum):
    """What becomes of a WebSocket on the path of a provider's Responses API."""

    REFUSE = "refuse"
    """It is answered 426 at once, and clients ask over HTTP."""
    PASS = "pass"
    """It goes to the provider, with a credential of the pool."""
    BRIDGE = "bridge"
    """It is answered here, each of its turns as a call over HTTP."""


class ThinkingStyle(StrEnum):
    """How a request says how much a model is to think.

    EFFORT is what its protocol calls so: `reasoning_effort` in a chat, `reasoning.effort` in Responses,
    adaptive thinking with `output_config.effort` in Messages, `thinkingLevel` for Gemini.
    """

    BUDGET = "budget"
    """By a number of tokens."""
    EFFORT = "effort"
    """By a level."""
    SUFFIX = "suffix"
    """By the end of the model's name: -low or -high."""
    NONE = "none"
    """It takes neither, though it may think all the same."""


_TLS_PORT = 443
_SHORTEST = 3
"""Characters of a model's name that say whose it is."""


@dataclass(frozen=True, slots=True)
class ModelFacts:
    """What is known of some models. None: these facts do not say."""

    match: str
    """A glob (fnmatchcase) over the model's name in lower case."""
    reasoning: bool | None = None
    """Whether they think before they speak."""
    max_output: int | None = None
    """The most tokens that one answer can have."""
    thinking: ThinkingStyle | None = None
    """How a request says how much they are to think."""
    quota_group: str | None = None
    """What they are called together with other models that share a limit with them."""


@dataclass(frozen=True, slots=True)
class Provider:
    """What the config and the built-in facts say of one provider."""

    name: str
    """As the config calls it."""
    base_url: str
    """Absolute, without a slash at its end. Empty where each customer or region has a host of its own: then a
    call goes to the host that its client called, and none goes there that was meant for another provider."""
    hosts: tuple[str, ...]
    """Names or globs (fnmatchcase), with or without a port."""
    protocols: tuple[str, ...]
    """Their names. The first is the one that is asked where neither route nor client names another."""
    auth: Carrier = Carrier.BEARER
    """Where a key of the pool is written."""
    accepts: tuple[Carrier, ...] = ()
    """Where it may be written too. It stands where the client's key stood, if that is one of these."""
    oauth_prefixes: tuple[str, ...] = ()
    """How a client's token begins that belongs to a login or a subscription. The empty text: all do."""
    own_key_prefixes: tuple[str, ...] = ()
    """How a client's key begins that is of another kind than the pool's. It is never replaced."""
    own_credential_paths: tuple[str, ...] = ()
    """Globs (fnmatchcase, without the query) of paths that keep the client's own credential wherever they are
    passed through, in any case and however they are encoded."""
    account_headers: tuple[str, ...] = ()
    """Headers, in lower case, that name an account of the client's. None goes beside a key of the pool."""
    errors: ErrorFacts = field(default_factory=ErrorFacts)
    """What its errors mean."""
    models: tuple[ModelFacts, ...] = ()
    """What is known of its models. The first entry that says something of a model holds."""
    paths: Mapping[str, str] = field(default_factory=dict)
    """By protocol, the path of calls that generate, under `base_url`. `{model}` and `{method}` stand for what
    some protocols put there."""
    max_tokens_field: str = "max_tokens"
    """What a chat request calls the most tokens that it wants."""
    rotation: Rotation = Rotation.SEQUENTIAL
    """In which order its credentials serve."""
    spread_subagents: bool = False
    """Whether the agents of one session may be served by different credentials."""
    replace_oauth: bool = False
    """Whether a key of the pool takes the place of a token of a login too."""
    queue_limit: int = 100
    """How many calls may wait for a credential."""
    environment: str = ""
    """The variable of its key, whose numbered forms make a pool. Empty: none."""
    streams: bool = True
    """Whether it can stream its answers. If not, it is asked for whole ones."""
    websocket: WebSocket = WebSocket.REFUSE
    """What becomes of a WebSocket on the path of its Responses API."""
    quota_check: QuotaCheck | None = None
    """How it is asked what a credential has used. None: it has no endpoint that tells."""
    states_cost: bool = False
    """Whether its answers say what they cost."""
    fair_cycle: FairCycle = FairCycle.OFF
    """Whether an exhausted credential waits until others have had their turn."""
    origin: Origin | None = field(init=False, repr=False)
    """`base_url`, parsed once. None where that is empty."""
    places: tuple[tuple[str, int | None], ...] = field(init=False, repr=False)
    """`hosts`, parsed once: the glob of a name, and a port or None for any."""

    def __post_init__(self) -> None:
        object.__setattr__(self, "origin", parsed(self.base_url) if self.base_url else None)
        object.__setattr__(self, "places", tuple(_place(entry) for entry in self.hosts))


def layered(general: Mapping[str, object], special: Mapping[str, object]) -> dict[str, object]:
    """`special` over `general`: tables merge at every depth, special keys first; all else is replaced."""
    result = dict(special)
    for key, under in general.items():
        over = result.setdefault(key, under)
        if isinstance(under, Mapping) and isinstance(over, Mapping):
            result[key] = layered(under, over)
    return result


def provider(name: str, mapping: Mapping[str, object]) -> Provider:
    """The provider that `mapping` describes, with the field names of `Provider` as its keys.

    `errors` holds the tables of `ErrorFacts`, from lower-case text to the name of a kind, and `headers` from
    lines such as `name: value`; `protocol_errors` the same by protocol, which hold for a provider that speaks
    it, under its own. Raises ValueError, naming provider and key, where a key is missing, unknown or of
    another type.
    """
    known = {each.name for each in fields(Provider) if each.init} - {"name"} | {"protocol_errors"}
    if unknown := sorted(mapping.keys() - known):
        raise ValueError(f"provider {name}: unknown keys {', '.join(unknown)}")
    if missing := [key for key in ("base_url", "hosts", "protocols") if key not in mapping]:
        raise ValueError(f"provider {name}: missing keys {', '.join(missing)}")
    protocols = _read(name, mapping, "protocols", _texts)
    return Provider(
        name=name,
        base_url=_read(name, mapping, "base_url", _text).rstrip("/"),
        hosts=_read(name, mapping, "hosts", _texts),
        protocols=protocols,
        auth=_read(name, mapping, "auth", _carrier, "bearer"),
        accepts=_read(name, mapping, "accepts", _carriers, ()),
        oauth_prefixes=_read(name, mapping, "oauth_prefixes", _texts, ()),
        own_key_prefixes=_read(name, mapping, "own_key_prefixes", _texts, ()),
        own_credential_paths=_read(name, mapping, "own_credential_paths", _texts, ()),
        account_headers=_read(name, mapping, "account_headers", _texts, ()),
        errors=_read(name, mapping, "protocol_errors", _errors_of(protocols), {}).merged(
            _read(name, mapping, "errors", _errors, {})
        ),
        models=_read(name, mapping, "models", _models, ()),
        paths=_read(name, mapping, "paths", _paths, {}),
        max_tokens_field=_read(name, mapping, "max_tokens_field", _text, "max_tokens"),
        rotation=_read(name, mapping, "rotation", _rotation, "sequential"),
        spread_subagents=_read(name, mapping, "spread_subagents", _flag, False),
        replace_oauth=_read(name, mapping, "replace_oauth", _flag, False),
        queue_limit=_read(name, mapping, "queue_limit", _whole, 100),
        environment=_read(name, mapping, "environment", _text, ""),
        streams=_read(name, mapping, "streams", _flag, True),
        websocket=_read(name, mapping, "websocket", _websocket, "refuse"),
        quota_check=_read(name, mapping, "quota_check", _quota_check, None),
        states_cost=_read(name, mapping, "states_cost", _flag, False),
        fair_cycle=_read(name, mapping, "fair_cycle", _fair_cycle, False),
    )


def other_owner(providers: Iterable[Provider], asked: Provider, glob: str) -> str:
    """The name of the provider that has most models of the name `glob`, where `asked`, as far as its facts
    go, has none; "" where that is not known."""
    beginning = _beginning(glob)
    if len(beginning) < _SHORTEST or not asked.models or _models_of(asked, beginning, 0):
        return ""
    found = [(each, _models_of(each, beginning, _SHORTEST)) for each in providers if each.origin]
    owner, models = max(found, key=lambda each: each[1], default=(asked, 0))
    return owner.name if models else ""


def _models_of(provider: Provider, beginning: str, shortest: int) -> int:
    """How many facts are about such models, of those that say at least `shortest` characters of a name."""
    known = [_beginning(row.match) for row in provider.models]
    long_enough = [each for each in known if len(each) >= shortest]
    return sum(each.startswith(beginning) or beginning.startswith(each) for each in long_enough)


def _beginning(glob: str) -> str:
    """What stands before the first wildcard, in lower case."""
    return re.split(r"[*?[]", glob.lower(), maxsplit=1)[0]


def quota_groups(provider: Provider) -> tuple[tuple[str, str], ...]:
    """Globs of models in lower case, each with the quota group of those; the first that fits holds."""
    return tuple((row.match, row.quota_group) for row in provider.models if row.quota_group)


def facts_of(provider: Provider, model: str | None) -> ModelFacts:
    """What is known of `model`: for each fact, the first matching entry of `models` that says it.

    `match` of the result is the model's name in lower case.
    """
    name = (model or "").lower()
    rows = [row for row in provider.models if fnmatchcase(name, row.match)]
    return ModelFacts(
        name,
        reasoning=_first(row.reasoning for row in rows),
        max_output=_first(row.max_output for row in rows),
        thinking=_first(row.thinking for row in rows),
        quota_group=_first(row.quota_group for row in rows),
    )


def serves(provider: Provider, host: str, port: int) -> bool:
    """Whether `host` (a name or an address, any case, no brackets) and `port` are the provider's.

    They are if an entry of `hosts` matches, on any port unless it states one, or if they are the
    authority of `base_url`.
    """
    named, own = host.lower().rstrip("."), provider.origin
    if own and named == own.host and port == own.port:
        return True
    return any(wanted in (None, port) and fnmatchcase(named, glob) for glob, wanted in provider.places)


def is_exact(host: str) -> bool:
    """Whether an entry of `hosts` names one host, not a pattern of them."""
    return not set("*?") & set(host)


def pool_origin(provider: Provider, host: str, port: int) -> Origin | None:
    """Where a key of the pool goes when a client calls `host`; None: nowhere.

    It is the config's to say: by `base_url`, or by an entry of `hosts` that is exact, which is called over
    TLS. What a client says of the scheme and the port decides nothing.
    """
    if provider.origin:
        return provider.origin
    named = host.lower().rstrip(".")
    ports = [
        wanted
        for entry, (name, wanted) in zip(provider.hosts, provider.places, strict=True)
        if is_exact(entry) and name == named and wanted in (None, port)
    ]
    return Origin("https", named, ports[0] or _TLS_PORT) if ports else None


def _first[T](values: Iterable[T | None]) -> T | None:
    return next((value for value in values if value is not None), None)


def _place(entry: str) -> tuple[str, int | None]:
    """Host and port of an entry of `hosts`; brackets are those of an IPv6 address, not of a glob."""
    host, _, port = entry.lower().rpartition(":")
    if host and port.isdecimal() and (host.endswith("]") or ":" not in host):
        return host.strip("[]"), int(port)
    return entry.lower().strip("[]"), None


def _read[T](
    name: str, mapping: Mapping[str, object], key: str, reader: Callable[[object], T], default: object = None
) -> T:
    try:
        return reader(mapping.get(key, default))
    except ValueError as error:
        raise ValueError(f"provider {name}: {key}: {error}") from None


def _expected(what: str) -> ValueError:
    return ValueError(f"expected {what}")


def _text(value: object) -> str:
    if not isinstance(value, str):
        raise _expected("a text")
    return value


def _websocket(value: object) -> WebSocket:
    return WebSocket(_text(value))


def _quota_check(value: object) -> QuotaCheck | None:
    return None if value is None else quota_check(_table(value))


def _fair_cycle(value: object) -> FairCycle:
    if isinstance(value, bool):
        return FairCycle.TIER if value else FairCycle.OFF
    return FairCycle(_text(value))


def _flag(value: object) -> bool:
    if not isinstance(value, bool):
        raise _expected("true or false")
    return value


def _list(value: object) -> list[object]:
    if not isinstance(value, list | tuple):
        raise _expected("a list")
    return list(value)


def _table(value: object) -> Mapping[str, object]:
    if not isinstance(value, Mapping):
        raise _expected("a table")
    return value


def _texts(value: object) -> tuple[str, ...]:
    return tuple(_text(each) for each in _list(value))


def _carrier(value: object) -> Carrier:
    return Carrier(_text(value))


def _carriers(value: object) -> tuple[Carrier, ...]:
    return tuple(_carrier(each) for each in _list(value))


def _rotation(value: object) -> Rotation:
    return Rotation(_text(value))


def _count(value: object) -> int:
    if not isinstance(value, int) or isinstance(value, bool) or value < 1:
        raise _expected("a number above 0")
    return value


def _whole(value: object) -> int:
    return 0 if value == 0 and value is not False else _count(value)


def _thinking(value: object) -> ThinkingStyle:
    return ThinkingStyle(_text(value))


def _models(value: object) -> tuple[ModelFacts, ...]:
    return tuple(_model(_table(each)) for each in _list(value))


def _model(table: Mapping[str, object]) -> ModelFacts:
    if unknown := sorted(table.keys() - {each.name for each in fields(ModelFacts)}):
        raise ValueError(f"unknown keys {', '.join(unknown)}")
    return ModelFacts(
        match=_text(table.get("match")).lower(),
        reasoning=_unless_none(_flag, table.get("reasoning")),
        max_output=_unless_none(_count, table.get("max_output")),
        thinking=_unless_none(_thinking, table.get("thinking")),
        quota_group=_unless_none(_text, table.get("quota_group")),
    )


def _unless_none[T](reader: Callable[[object], T], value: object) -> T | None:
    return None if value is None else reader(value)


_PLACEHOLDERS = frozenset({"model", "method"})


def _paths(value: object) -> dict[str, str]:
    return {protocol: _path(path) for protocol, path in _table(value).items()}


def _path(value: object) -> str:
    path = _text(value)
    names = {name for _, name, _, _ in Formatter().parse(path) if name is not None}
    if not path.startswith("/") or not names <= _PLACEHOLDERS:
        raise _expected("a path from / on, in which {model} and {method} alone may stand for something")
    return path


def _errors(value: object) -> ErrorFacts:
    tables = _table(value)
    headers = _kinds(tables.get("headers", {})).items()
    return ErrorFacts(
        codes=_kinds(tables.get("codes", {})),
        phrases=tuple(_kinds(tables.get("phrases", {})).items()),
        quotas=tuple(_kinds(tables.get("quotas", {})).items()),
        headers=tuple((*_header(text), kind) for text, kind in headers),
    )


def _header(text: str) -> tuple[str, str]:
    """Name and value of a line of a head."""
    name, colon, value = text.partition(":")
    if not colon:
        raise _expected(f"`name: value` in place of {text!r}")
    return name.strip(), value.strip()


def _errors_of(protocols: Iterable[str]) -> Callable[[object], ErrorFacts]:
    """Reads the facts of these protocols out of a table of all."""

    def read(value: object) -> ErrorFacts:
        tables, found = _table(value), ErrorFacts()
        for protocol in protocols:
            found = found.merged(_errors(tables.get(protocol, {})))
        return found

    return read


def _kinds(value: object) -> dict[str, Kind]:
    return {text.lower(): Kind(_text(kind)) for text, kind in _table(value).items()}

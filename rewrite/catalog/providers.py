"""What is known of a provider: where it is, what it speaks, how it takes a key, what its words mean.

Beside that, what is known of its models: whether they think, how they are told to, how much they can say.

Facts are data: `provider` reads them from a mapping, which `layered` lays over more general ones. The
built-in ones are in `provider_data/`, one TOML file each over `_common.toml`.
"""

import re
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field, fields
from enum import StrEnum
from fnmatch import fnmatchcase
from string import Formatter

from protocols.model.origin import Origin, parsed
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


class WebSocket(StrEnum):
    """What becomes of a WebSocket on the path of a provider's Responses API."""

    REFUSE = "refuse"
    """It is answered 426 at once, and clients ask over HTTP."""
    PASS = "pass"
    """It goes to the provider, with a credential of the pool."""
    BRIDGE = "bridge"
    """It is answered here, each of its turns as a call over HTTP."""


class Thinking(StrEnum):
    """How a request tells a model how much to think.

    EFFORT is what its protocol calls so: `reasoning_effort` in a chat, `reasoning.effort` in Responses,
    adaptive thinking with `output_config.effort` in Messages, `thinkingLevel` for Gemini.
    """

    BUDGET = "budget"
    """By a number of tokens."""
    EFFORT = "effort"
    """By a level."""
    NONE = "none"
    """It takes neither, though it may think all the same."""


_TLS_PORT = 443
_TELLING = 3
"""Characters of a model's name that say whose it is."""


@dataclass(frozen=True, slots=True)
class ModelFacts:
    """What holds for models whose lower-case name matches the glob `match`; None: this says nothing of it.

    `reasoning`: whether they think before they speak. `max_output`: the most tokens that one answer can
    have. `thinking`: how they are told how much to think.
    """

    match: str
    reasoning: bool | None = None
    max_output: int | None = None
    thinking: Thinking | None = None


@dataclass(frozen=True, slots=True)
class Provider:
    """One provider.

    `base_url` is absolute and has no slash at its end; empty where each customer or region has a host of
    its own: then a call goes to the host that the client called, and none can be sent there that was meant
    for another provider. `origin` is `base_url`, parsed once; None where that is empty. `hosts` are names or
    globs, with or without a port. `paths` are those of calls that generate, under `base_url`, by protocol;
    `{model}` and `{method}` stand for what some protocols put
    there. `max_tokens_field` is what a chat request calls the most tokens that it wants. A pool key is
    written as `auth`, or in the client's own form if that is in `accepts`. A client token that begins with
    one of `oauth_prefixes` belongs to a login or a subscription; with an empty prefix all do.
    `account_headers`, in lower case, name an account of the client's: none goes beside a key of the pool.
    One that begins with one of `own_key_prefixes` is of another kind than the pool's, and never replaced.
    `own_credential_paths` are globs (fnmatchcase, without the query) of paths that keep the client's own
    credential wherever they are passed through, in any case and however they are encoded. `environment` names
    the variable of its key, whose numbered
    forms make a pool; empty: none. `streams`: it can stream its answers; else they are asked for whole.
    `websocket` says what becomes of one on the path of its Responses API.
    """

    name: str
    base_url: str
    hosts: tuple[str, ...]
    protocols: tuple[str, ...]
    auth: Carrier = Carrier.BEARER
    accepts: tuple[Carrier, ...] = ()
    oauth_prefixes: tuple[str, ...] = ()
    own_key_prefixes: tuple[str, ...] = ()
    own_credential_paths: tuple[str, ...] = ()
    account_headers: tuple[str, ...] = ()
    errors: ErrorFacts = field(default_factory=ErrorFacts)
    models: tuple[ModelFacts, ...] = ()
    paths: Mapping[str, str] = field(default_factory=dict)
    max_tokens_field: str = "max_tokens"
    rotation: Rotation = Rotation.SEQUENTIAL
    replace_oauth: bool = False
    environment: str = ""
    streams: bool = True
    websocket: WebSocket = WebSocket.REFUSE
    origin: Origin | None = field(init=False, repr=False)

    def __post_init__(self) -> None:
        object.__setattr__(self, "origin", parsed(self.base_url) if self.base_url else None)


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

    `errors` holds two tables, `words` and `phrases`, from lower-case text to the name of a kind;
    `protocol_errors` the same by protocol, which hold for a provider that speaks it, under its own. Raises
    ValueError, naming provider and key, where a key is missing, unknown or of another type.
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
        replace_oauth=_read(name, mapping, "replace_oauth", _flag, False),
        environment=_read(name, mapping, "environment", _text, ""),
        streams=_read(name, mapping, "streams", _flag, True),
        websocket=_read(name, mapping, "websocket", _websocket, "refuse"),
    )


def path_of_protocol(provider: Provider, protocol: str) -> str | None:
    """The path of a call that generates; None: the provider does not speak it, or its place is not known."""
    return provider.paths.get(protocol) if protocol in provider.protocols else None


def other_owner(providers: Iterable[Provider], asked: Provider, glob: str) -> str:
    """The name of the provider that has most models of the name `glob`, where `asked`, as far as its facts
    go, has none; "" where that is not known."""
    beginning = _beginning(glob)
    if len(beginning) < _TELLING or not asked.models or _models_of(asked, beginning, 0):
        return ""
    found = [(each, _models_of(each, beginning, _TELLING)) for each in providers if each.origin]
    owner, models = max(found, key=lambda each: each[1], default=(asked, 0))
    return owner.name if models else ""


def _models_of(provider: Provider, beginning: str, telling: int) -> int:
    """How many facts are about such models, of those that say at least `telling` characters of a name."""
    known = [_beginning(row.match) for row in provider.models]
    told = [each for each in known if len(each) >= telling]
    return sum(each.startswith(beginning) or beginning.startswith(each) for each in told)


def _beginning(glob: str) -> str:
    """What stands before the first wildcard, in lower case."""
    return re.split(r"[*?[]", glob.lower(), maxsplit=1)[0]


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
    )


def reasons(provider: Provider, model: str | None) -> bool | None:
    """Whether `model` is known to think before it speaks; None: unknown."""
    return facts_of(provider, model).reasoning


def serves(provider: Provider, host: str, port: int) -> bool:
    """Whether `host` (a name or an address, any case, no brackets) and `port` are the provider's.

    They are if an entry of `hosts` matches, on any port unless it states one, or if they are the
    authority of `base_url`.
    """
    named = host.lower().rstrip(".")
    if provider.origin and (named, port) == provider.origin.address:
        return True
    entries = (_entry(entry) for entry in provider.hosts)
    return any(fnmatchcase(named, glob) and wanted in (None, port) for glob, wanted in entries)


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
    found = [_entry(entry) for entry in provider.hosts if is_exact(entry)]
    ports = [wanted for name, wanted in found if name == named and wanted in (None, port)]
    return Origin("https", named, ports[0] or _TLS_PORT) if ports else None


def _first[T](values: Iterable[T | None]) -> T | None:
    return next((value for value in values if value is not None), None)


def _entry(entry: str) -> tuple[str, int | None]:
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


def _thinking(value: object) -> Thinking:
    return Thinking(_text(value))


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
    return ErrorFacts(_kinds(tables.get("words", {})), tuple(_kinds(tables.get("phrases", {})).items()))


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

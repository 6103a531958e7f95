"""Providers as mappings: `provider` reads one.

The built-in ones are in `provider_data/`, one TOML file each over `_common.toml` (see `layers`).
"""

from collections.abc import Callable, Iterable, Mapping
from dataclasses import fields
from functools import partial
from string import Formatter

from protocols.model.http import is_origin_form
from rewrite.adapters.base import Adapter
from rewrite.adapters.chain import parse_adapters
from rewrite.catalog.checks import QuotaCheck, quota_check
from rewrite.catalog.providers import (
    Carrier,
    FairCycle,
    ModelFacts,
    Provider,
    Refused,
    Rotation,
    ThinkingStyle,
    WebSocket,
)
from rewrite.fields.rule import Rule
from rewrite.fields.rule_tables import rules
from rewrite.values.outcome import ErrorFacts, Kind
from rewrite.values.timeouts import TIMEOUTS


class BadFact(ValueError):
    """A key of a provider that says what it cannot."""

    def __init__(self, name: str, key: str, why: str) -> None:
        super().__init__(f"provider {name}: {key}: {why}")
        self.key, self.why = key, why


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
        adapters=_read(name, mapping, "adapters", _adapters, ()),
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
        price_list=_read(name, mapping, "price_list", partial(_unless_none, _text)),
        fair_cycle=_read(name, mapping, "fair_cycle", _fair_cycle, False),
        code=_read(name, mapping, "code", _text, ""),
        field_cache=_read(name, mapping, "field_cache", _field_rules, ()),
    )


def _read[T](
    name: str, mapping: Mapping[str, object], key: str, reader: Callable[[object], T], default: object = None
) -> T:
    try:
        return reader(mapping.get(key, default))
    except ValueError as error:
        raise BadFact(name, key, str(error)) from None


def _expected(what: str) -> ValueError:
    return ValueError(f"expected {what}")


def _text(value: object) -> str:
    if not isinstance(value, str):
        raise _expected("a text")
    return value


def _field_rules(value: object) -> tuple[Rule, ...]:
    return rules(_table(each) for each in _list(value))


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
        default_output=_unless_none(_count, table.get("default_output")),
        thinking=_unless_none(_thinking, table.get("thinking")),
        quota_group=_unless_none(_text, table.get("quota_group")),
        protocol=_unless_none(_text, table.get("protocol")),
        refuses=_unless_none(_refused, table.get("refuses")),
        adapters=_unless_none(_adapters, table.get("adapters")),
        timeouts=_timeouts(table.get("timeouts", {})),
    )


def _adapters(value: object) -> tuple[Adapter, ...]:
    return parse_adapters(_list(value))


def _refused(value: object) -> tuple[Refused, ...]:
    return tuple(refused(_text(each)) for each in _list(value))


def refused(param: str) -> Refused:
    """A parameter that is left out, as the adapter `drop_params` does it. Raises ValueError for no path."""
    (adapter,) = parse_adapters([{"name": "drop_params", "params": [param]}])
    return Refused(param, adapter)


def _timeouts(value: object) -> dict[str, float]:
    table = _table(value)
    if unknown := sorted(table.keys() - TIMEOUTS.keys()):
        raise ValueError(f"unknown keys {', '.join(unknown)}")
    return {TIMEOUTS[name]: _seconds(seconds) for name, seconds in table.items()}


def _seconds(value: object) -> float:
    if not isinstance(value, int | float) or value < 0:
        raise _expected("a number that is not below 0")
    return value


def _unless_none[T](reader: Callable[[object], T], value: object) -> T | None:
    return None if value is None else reader(value)


_PLACEHOLDERS = frozenset({"model", "method"})


def _paths(value: object) -> dict[str, str]:
    return {protocol: _path(path) for protocol, path in _table(value).items()}


def _path(value: object) -> str:
    path = _text(value)
    if not is_path(path):
        raise _expected("a path from / on, in which {model} and {method} alone may stand for something")
    return path


def is_path(text: str) -> bool:
    """Whether `text` is a path from / on, in which {model} and {method} alone stand for something; it is
    written as it is sent."""
    try:
        found = list(Formatter().parse(text))
    except ValueError:  # a brace alone
        return False
    plain = "".join(before for before, _, _, _ in found).encode("utf-8", "replace")
    names = {name for _, name, _, _ in found if name is not None}
    return text.startswith("/") and is_origin_form(plain) and names <= _PLACEHOLDERS


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

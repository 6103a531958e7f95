"""The config file's form: its tables, their names, and what each value has to be."""

import re
from collections.abc import Mapping
from typing import Annotated, Any, Literal
from urllib.parse import urlsplit
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError

from pydantic import AfterValidator, BaseModel, Field

from protocols.model.http import parsed

type Loc = tuple[str | int, ...]
"""Where a value stands: names of keys and numbers of list items, from the outermost inwards."""

_HOST = re.compile(r"(\[[0-9A-Fa-f:.]+\]|[A-Za-z0-9*?._-]+)(:[0-9]{1,5})?")
_ORIGIN = re.compile(r"[A-Za-z][A-Za-z0-9+.-]*://[A-Za-z0-9._:\[\]-]+")
_PERIODS = frozenset({"day", "week", "month"})
_SHORTEST_PERIOD, _LONGEST_PERIOD = 1.0, 366 * 86_400.0
_MOST = 1e15
"""As far as can be counted in parts."""
_SHARE = re.compile(r"[0-9]{1,3}(\.[0-9]+)?%")
_CODE = re.compile(r"[^\0]+\.py:[^\W\d]\w*|[a-z0-9]+([._-][a-z0-9]+)*")
_PROVIDER_NAME = re.compile(r"[a-z0-9]+([._-][a-z0-9]+)*")


def _base_url(url: str) -> str:
    try:
        parsed(url)
    except ValueError:
        raise ValueError(
            "must be an address such as https://api.example.com, without user, query and fragment"
        ) from None
    return url


def _proxy(url: str) -> str:
    try:
        good = not url or (urlsplit(url).scheme in {"http", "https"} and bool(urlsplit(url).hostname))
        good = good and urlsplit(url).port != 0
    except ValueError:
        good = False
    if not good:
        raise ValueError("must be an address such as http://proxy.example.com:3128, or empty for none")
    return url


def _host(host: str) -> str:
    if not _HOST.fullmatch(host) or not re.search(r"[A-Za-z0-9]", host.rpartition(":")[0] or host):
        raise ValueError(
            "must be a host such as api.example.com, *.example.com or localhost:8080, "
            "without https:// and path"
        )
    return host


def _page_origin(origin: str) -> str:
    if not _ORIGIN.fullmatch(origin):
        raise ValueError("must be the origin of a page such as https://app.example.com, without path and *")
    return origin.lower()


def _provider_name(name: str) -> str:
    if not _PROVIDER_NAME.fullmatch(name):
        raise ValueError("a provider's name is of small letters and digits, with - . _ between them")
    return name


def _credential_name(name: str) -> str:
    if not 0 < len(name) <= 32 or not name.isprintable():
        raise ValueError("must be a name of 1 to 32 printable characters")
    return name


def _model_glob(glob: str) -> str:
    if not glob.removeprefix("!").strip():
        raise ValueError("must be a glob over names of models such as gpt-5*, or !*-pro for none of these")
    return glob


def _limit(limit: object) -> float:
    if isinstance(limit, int | float) and not isinstance(limit, bool) and 0 < limit <= _MOST:
        return float(limit)
    raise ValueError(f"must be a number above 0 and at most {_MOST:g}")


def _period(per: object) -> float | str:
    if isinstance(per, str) and per in _PERIODS:
        return per
    if (
        isinstance(per, int | float)
        and not isinstance(per, bool)
        and _SHORTEST_PERIOD <= per <= _LONGEST_PERIOD
    ):
        return float(per)
    raise ValueError('must be seconds, at least 1 and at most a year, or "day", "week" or "month"')


def _zone(name: str) -> str:
    try:
        ZoneInfo(name)
    except (ValueError, OSError, ZoneInfoNotFoundError):  # a folder of the database is an OSError
        raise ValueError('must be a time zone such as "Europe/Berlin" or "UTC"') from None
    return name


def _cap(value: object) -> int | str:
    if isinstance(value, int) and not isinstance(value, bool) and 0 < abs(value) <= _MOST:
        return value
    if isinstance(value, str) and _SHARE.fullmatch(value) and 0 < float(value[:-1]) <= 100:
        return value
    raise ValueError('must be a number such as 3, one such as -8 (below the limit), or a share such as "50%"')


def _glob(glob: str) -> str:
    if not glob.strip() or glob.startswith("!"):
        raise ValueError("must be a glob over names of models such as gpt-5*")
    return glob


def _group(name: str) -> str:
    if not 0 < len(name) <= 64 or not name.isprintable():
        raise ValueError("must be a name of 1 to 64 printable characters")
    return name


def _fair_cycle(value: object) -> bool | str:
    if isinstance(value, bool) or value in ("tier", "all"):
        return value
    raise ValueError('must be true, false, "tier" or "all"')


def _path(path: str) -> str:
    if not path.startswith("/") or "?" in path:
        raise ValueError("must be a path such as /v1/chat/completions, without a query")
    return path


def _code(reference: str) -> str:
    if not _CODE.fullmatch(reference):
        raise ValueError('must be a file and a class in it, such as "quirks.py:Acme", or a registered name')
    return reference


def _folder(path: str) -> str:
    if "\0" in path:
        raise ValueError("must be the path of a folder")
    return path


def _destination(text: str) -> str:
    provider, slash, model = text.partition("/")
    if not provider or (slash and not model):
        raise ValueError('must be "provider" or "provider/model"')
    return text


type Tree = dict[str, Any]
"""A config as it is read: tables in tables."""

type Seconds = Annotated[float, Field(ge=0, allow_inf_nan=False)]
type AdapterSpec = str | dict[str, Any]
"""An adapter by name, or a table of `name` and its options."""

type Truncation = Literal["auto", "repair", "error", "continue"]


class Table(BaseModel, extra="forbid", hide_input_in_errors=True):
    """One table; a name that is none of its own is refused."""

    def given(self) -> Tree:
        """The names that were given, with their values; null gives none."""
        return self.model_dump(exclude_unset=True, exclude_none=True)


class WindowTable(Table):
    """What is missing is noted where the provider is known, so that one error does not hide another."""

    unit: Literal["requests", "tokens", "cost"] = "requests"
    limit: Annotated[Any, AfterValidator(_limit)] = 1.0
    per: Annotated[Any, AfterValidator(_period)] = 60.0
    zone: Annotated[str, AfterValidator(_zone)] = "UTC"


class CapsTable(Table):
    """How much of a limit that a provider reports may be used: a number, one below the limit, or a share."""

    requests: Annotated[Any, AfterValidator(_cap)] = None
    tokens: Annotated[Any, AfterValidator(_cap)] = None


class ModelTable(Table):
    """Models that share a limit."""

    match: Annotated[str, AfterValidator(_glob)] = ""
    quota_group: Annotated[str, AfterValidator(_group)] = ""


class CredentialTable(Table):
    """Name and key are demanded where the key is resolved, so that one error does not hide another.

    With `oauth` it is a login, which has a file in the place of a key.
    """

    name: Annotated[str, AfterValidator(_credential_name)] = ""
    key: str = ""
    oauth: str = ""
    file: str = ""
    token_url: str = ""
    client_id: str = ""
    client_secret: str = ""
    any_client: bool = False
    priority: int = 1
    weight: Annotated[float, Field(gt=0, allow_inf_nan=False)] = 1.0
    cost_rank: Annotated[float, Field(ge=0, allow_inf_nan=False)] = 0.0
    max_concurrency: Annotated[int, Field(ge=1)] | None = None
    target_concurrency: Annotated[int, Field(ge=1)] | None = None
    models: list[Annotated[str, AfterValidator(_model_glob)]] = []
    windows: list[WindowTable] = []
    caps: CapsTable = CapsTable()
    check: bool = False


class ProviderTable(Table):
    base_url: Annotated[str, AfterValidator(_base_url)] | None = None
    hosts: list[Annotated[str, AfterValidator(_host)]] | None = None
    protocols: list[str] | None = None
    paths: dict[str, Annotated[str, AfterValidator(_path)]] | None = None
    max_tokens_field: Literal["max_tokens", "max_completion_tokens"] | None = None
    auth: Literal["bearer", "x-api-key", "x-goog-api-key", "api-key", "none"] | None = None
    rotation: Literal["sequential", "round_robin", "balanced", "weighted", "cheapest"] | None = None
    queue_limit: Annotated[int, Field(ge=0)] | None = None
    spread_subagents: bool | None = None
    replace_oauth: bool | None = None
    streams: bool | None = None
    websocket: Literal["refuse", "pass", "bridge"] | None = None
    fair_cycle: Annotated[Any, AfterValidator(_fair_cycle)] = None
    models: list[ModelTable] | None = None
    code: Annotated[str, AfterValidator(_code)] | None = None
    field_cache: list[Tree] | None = None
    check: bool = False
    credentials: list[CredentialTable] = []
    adapters: list[AdapterSpec] = []


class MatchTable(Table):
    model: str = ""
    provider: str = ""
    protocol: str = ""
    path: str = ""
    header: dict[str, str] = {}


class RouteTable(Table):
    match: MatchTable = MatchTable()
    to: list[Annotated[str, AfterValidator(_destination)]] = []
    protocol: str = ""
    adapters: list[AdapterSpec] = []
    on_truncation: Truncation = "auto"
    next_on_auth: bool = False
    report_model: Literal["client", "upstream"] = "client"
    hold_tool_calls: bool = False
    force_upstream_stream: bool = False
    stream: bool = True
    trace: bool = False


class RetryTable(Table):
    max_attempts: Annotated[int, Field(ge=1)] = 3
    deadline: Seconds = 120.0


class StreamingTable(Table):
    """Unset ones keep the defaults of `Timeouts`."""

    connect_timeout: Seconds = 0.0
    first_event_timeout: Seconds = 0.0
    first_token_timeout: Seconds = 0.0
    slow_start_timeout: Seconds = 0.0
    hold_limit: Seconds = 0.0
    stall_timeout: Seconds = 0.0
    response_timeout: Seconds = 0.0
    heartbeat_interval: Seconds = 0.0
    min_throughput: Annotated[float, Field(ge=0, allow_inf_nan=False)] = 0.0
    throughput_window: Seconds = 0.0
    heartbeat_before_commit: bool = False
    on_truncation: Truncation = "auto"
    hold_tool_calls: bool = False
    continuation_attempts: Annotated[int, Field(ge=0)] = 3


class DeadlineMatchTable(Table):
    provider: str = ""
    model: str = ""
    reasoning: Literal["none", "minimal", "low", "medium", "high", "xhigh", "max"] | None = None


class DeadlineTable(Table):
    """Unset ones are those of `StreamingTable`."""

    match: DeadlineMatchTable = DeadlineMatchTable()
    first_event_timeout: Seconds = 0.0
    first_token_timeout: Seconds = 0.0
    slow_start_timeout: Seconds = 0.0
    stall_timeout: Seconds = 0.0
    response_timeout: Seconds = 0.0


class TraceTable(Table):
    """Unset bounds keep the defaults of `Bounds`."""

    directory: Annotated[str, AfterValidator(_folder)] = ""
    signatures: bool = False
    max_bytes: Annotated[int, Field(ge=65_536)] = 65_536
    max_calls: Annotated[int, Field(ge=1)] = 1
    max_age: Annotated[float, Field(ge=1, allow_inf_nan=False)] = 1.0


class ResponsesTable(Table):
    """Responses kept in a provider's place. Unset ones keep the defaults of `Bounds`."""

    ttl: Seconds = 0.0
    max_bytes: Annotated[int, Field(ge=0)] = 0
    max_count: Annotated[int, Field(ge=0)] = 0


class BrowsersTable(Table):
    """Origins of web pages that may use the pools."""

    allow: list[Annotated[str, AfterValidator(_page_origin)]] = []


class LimitsTable(Table):
    body: Annotated[int, Field(ge=1)] = 64 << 20


class UpstreamTable(Table):
    proxy: Annotated[str, AfterValidator(_proxy)] = ""


class Tables(Table):
    """A whole config. `model_fields_set` has the names that were given; the others have their defaults."""

    providers: dict[Annotated[str, AfterValidator(_provider_name)], ProviderTable] = {}
    routes: list[RouteTable] = []
    retry: RetryTable = RetryTable()
    streaming: StreamingTable = StreamingTable()
    deadlines: list[DeadlineTable] = []
    trace: TraceTable = TraceTable()
    responses: ResponsesTable = ResponsesTable()
    upstream: UpstreamTable = UpstreamTable()
    browsers: BrowsersTable = BrowsersTable()
    limits: LimitsTable = LimitsTable()


_SECTIONS: Mapping[Loc, type[Table]] = {
    (): Tables,
    ("providers", "*"): ProviderTable,
    ("providers", "*", "credentials", "*"): CredentialTable,
    ("providers", "*", "credentials", "*", "windows", "*"): WindowTable,
    ("providers", "*", "credentials", "*", "caps"): CapsTable,
    ("providers", "*", "models", "*"): ModelTable,
    ("routes", "*"): RouteTable,
    ("routes", "*", "match"): MatchTable,
    ("retry",): RetryTable,
    ("streaming",): StreamingTable,
    ("deadlines", "*"): DeadlineTable,
    ("deadlines", "*", "match"): DeadlineMatchTable,
    ("trace",): TraceTable,
    ("responses",): ResponsesTable,
    ("upstream",): UpstreamTable,
    ("browsers",): BrowsersTable,
    ("limits",): LimitsTable,
}


def names_at(loc: Loc) -> tuple[str, ...]:
    """The names that may stand in the table at `loc`."""
    pattern = tuple(
        "*" if isinstance(p, int) or loc[i - 1 : i] == ("providers",) else p for i, p in enumerate(loc)
    )
    return tuple(_SECTIONS[pattern].model_fields)

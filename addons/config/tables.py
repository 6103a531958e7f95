"""The config file's form: its tables, their names, and what each value has to be."""

from collections.abc import Mapping
from typing import Annotated, Any, Literal

from pydantic import AfterValidator, BaseModel, BeforeValidator, Field

from addons.config import values

type Loc = tuple[str | int, ...]
"""Where a value stands: names of keys and numbers of list items, from the outermost inwards."""


type Tree = dict[str, Any]
"""A config as it is read: tables in tables."""

type Seconds = Annotated[float, Field(ge=0, allow_inf_nan=False)]
type AdapterSpec = Annotated[str | dict[str, Any], BeforeValidator(values.adapter)]
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
    limit: Annotated[Any, AfterValidator(values.limit)] = 1.0
    per: Annotated[Any, AfterValidator(values.period)] = 60.0
    zone: Annotated[str, AfterValidator(values.zone)] = "UTC"


class CapsTable(Table):
    """How much of a limit that a provider reports may be used: a number, one below the limit, or a share."""

    requests: Annotated[Any, AfterValidator(values.cap)] = None
    tokens: Annotated[Any, AfterValidator(values.cap)] = None


class TimeoutsTable(Table):
    """Unset ones keep the defaults of `Timeouts`, or what is said in more general places."""

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


class ModelTable(Table):
    """What is said of some models of a provider."""

    match: Annotated[str, AfterValidator(values.glob)] = ""
    reasoning: bool | None = None
    thinking: Literal["budget", "effort", "suffix", "none"] | None = None
    max_output: Annotated[int, Field(ge=1)] | None = None
    default_output: Annotated[int, Field(ge=1)] | None = None
    protocol: str | None = None
    refuses: list[str] | None = None
    adapters: list[AdapterSpec] | None = None
    field_cache: list[Tree] | None = None
    timeouts: TimeoutsTable | None = None
    quota_group: Annotated[str, AfterValidator(values.group)] | None = None


type Blamed = Literal[
    "request",
    "auth",
    "quota",
    "model_quota",
    "too_large",
    "forbidden",
    "server",
    "rate",
    "foreign",
    "model",
    "binding",
]
"""The values of `Kind`."""


type Said = Annotated[str, AfterValidator(values.said)]
"""What an error says; the empty text would stand in all of them."""


class ErrorsTable(Table):
    """What the errors of a provider blame."""

    codes: dict[Said, Blamed] = {}
    phrases: dict[Said, Blamed] = {}
    quotas: dict[Said, Blamed] = {}
    headers: dict[Said, Blamed] = {}


class CredentialTable(Table):
    """Name and key are demanded where the key is resolved, so that one error does not hide another.

    With `oauth` it is a login, which has a file in the place of a key.
    """

    name: Annotated[str, AfterValidator(values.credential_name)] = ""
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
    models: list[Annotated[str, AfterValidator(values.model_glob)]] = []
    windows: list[WindowTable] = []
    caps: CapsTable = CapsTable()
    check: bool = False


type Carried = Literal["bearer", "x-api-key", "x-goog-api-key", "api-key", "subprotocol", "none"]


class ProviderTable(Table):
    extends: Annotated[str, AfterValidator(values.provider_name)] | None = None
    base_url: Annotated[str, AfterValidator(values.base_url)] | None = None
    hosts: list[Annotated[str, AfterValidator(values.host)]] | None = None
    protocols: list[str] | None = None
    paths: dict[str, Annotated[str, AfterValidator(values.path)]] | None = None
    max_tokens_field: Literal["max_tokens", "max_completion_tokens"] | None = None
    auth: Literal["bearer", "x-api-key", "x-goog-api-key", "api-key", "none"] | None = None
    accepts: list[Carried] | None = None
    oauth_prefixes: list[str] | None = None
    own_key_prefixes: list[str] | None = None
    own_credential_paths: list[str] | None = None
    account_headers: list[str] | None = None
    environment: Annotated[str, AfterValidator(values.variable)] | None = None
    errors: ErrorsTable | None = None
    protocol_errors: dict[str, ErrorsTable] | None = None
    states_cost: bool | None = None
    quota_check: Annotated[dict[str, Any], AfterValidator(values.quota_check)] | None = None
    rotation: Literal["sequential", "round_robin", "balanced", "weighted", "cheapest"] | None = None
    queue_limit: Annotated[int, Field(ge=0)] | None = None
    spread_subagents: bool | None = None
    replace_oauth: bool | None = None
    streams: bool | None = None
    websocket: Literal["refuse", "pass", "bridge"] | None = None
    fair_cycle: Annotated[Any, AfterValidator(values.fair_cycle)] = None
    models: list[ModelTable] | None = None
    code: Annotated[str, AfterValidator(values.code)] | None = None
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
    to: list[Annotated[str, AfterValidator(values.destination)]] = []
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


class StreamingTable(TimeoutsTable):
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

    directory: Annotated[str, AfterValidator(values.folder)] = ""
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

    allow: list[Annotated[str, AfterValidator(values.page_origin)]] = []


class LimitsTable(Table):
    body: Annotated[int, Field(ge=1)] = 64 << 20


class UpstreamTable(Table):
    proxy: Annotated[str, AfterValidator(values.proxy)] = ""


class Tables(Table):
    """A whole config. `model_fields_set` has the names that were given; the others have their defaults."""

    providers: dict[Annotated[str, AfterValidator(values.provider_name)], ProviderTable] = {}
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
    ("providers", "*", "models", "*", "timeouts"): TimeoutsTable,
    ("providers", "*", "errors"): ErrorsTable,
    ("providers", "*", "protocol_errors", "*"): ErrorsTable,
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


_NAMED = (("providers",), ("protocol_errors",))
"""Tables whose names are the user's."""


def names_at(loc: Loc) -> tuple[str, ...]:
    """The names that may stand in the table at `loc`."""
    pattern = tuple("*" if isinstance(p, int) or loc[i - 1 : i] in _NAMED else p for i, p in enumerate(loc))
    return tuple(_SECTIONS[pattern].model_fields)

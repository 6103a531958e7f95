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
    """What is counted. `cost` counts US dollars, as the provider states them."""
    limit: Annotated[Any, AfterValidator(values.limit)] = 1.0
    """How much may be used within the window. Needed."""
    per: Annotated[Any, AfterValidator(values.period)] = 60.0
    """The window: seconds, which roll, or `"day"`, `"week"`, `"month"`, which begin at midnight. Needed."""
    zone: Annotated[str, AfterValidator(values.zone)] = "UTC"
    """The time zone of that midnight."""


class CapsTable(Table):
    """How much of a limit that a provider reports may be used: a number, one below the limit, or a share."""

    requests: Annotated[Any, AfterValidator(values.cap)] = None
    """Of requests: a number, `"90%"`, or a number below 0 for so many less than the limit."""
    tokens: Annotated[Any, AfterValidator(values.cap)] = None
    """The same of tokens."""


class TimeoutsTable(Table):
    """Unset ones keep the defaults of `Timeouts`, or what is said in more general places."""

    connect_timeout: Seconds = 0.0
    """Seconds to connect to a provider, TLS included."""
    first_event_timeout: Seconds = 0.0
    """Seconds from the sent request to the first event. A second attempt waits twice as long, a third four
    times."""
    first_token_timeout: Seconds = 0.0
    """Seconds to the first visible part, of models that are known not to think first."""
    slow_start_timeout: Seconds = 0.0
    """The same of all other models."""
    hold_limit: Seconds = 0.0
    """Seconds for which the first events are held back while nothing is visible."""
    stall_timeout: Seconds = 0.0
    """Seconds of silence after the first visible part."""
    response_timeout: Seconds = 0.0
    """Seconds to wait for a call that is not streamed."""
    heartbeat_interval: Seconds = 0.0
    """Seconds of silence after which a waiting client of a stream gets a heartbeat."""
    min_throughput: Annotated[float, Field(ge=0, allow_inf_nan=False)] = 0.0
    """Characters a second: an answer that begins slower is asked for again. 0: off."""
    throughput_window: Seconds = 0.0
    """Seconds from the first token in which that is measured, and nothing goes out."""
    heartbeat_before_commit: bool = False
    """Heartbeats before the first token too. The status is then 200, whatever comes."""


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
    """What the log and the commands call it."""
    key: str = ""
    """`env:NAME`, `file:PATH` or `cmd:COMMAND`. Never the key itself."""
    oauth: str = ""
    """The kind of a login, in place of a key: see [logins.md](logins.md)."""
    file: str = ""
    """The file of that login."""
    token_url: str = ""
    """Where a `generic` login is refreshed."""
    client_id: str = ""
    """Of a login: in place of the tool's own."""
    client_secret: str = ""
    """The same: `env:`, `file:` or `cmd:`."""
    any_client: bool = False
    """The login serves every client, not its own tool alone."""
    priority: int = 1
    """Lower numbers serve first."""
    weight: Annotated[float, Field(gt=0, allow_inf_nan=False)] = 1.0
    """Its share under `rotation = "weighted"`."""
    cost_rank: Annotated[float, Field(ge=0, allow_inf_nan=False)] = 0.0
    """Lower ones serve first under `rotation = "cheapest"`."""
    max_concurrency: Annotated[int, Field(ge=1)] | None = None
    """Calls at once, at most. None: as many as there are."""
    target_concurrency: Annotated[int, Field(ge=1)] | None = None
    """Calls at once above which other keys are preferred."""
    models: list[Annotated[str, AfterValidator(values.model_glob)]] = []
    """Globs of the models that it serves; `!` before one takes those out. Empty: all."""
    windows: list[WindowTable] = []
    """Limits of your own, a table each: see `windows`."""
    caps: CapsTable = CapsTable()
    """Shares of the provider's limits: see `caps`."""
    check: bool = False
    """Its provider is asked what it has used, at the start and now and then."""


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
    price_list: str | None = None
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
    """A glob over the model that the client asks for. Empty: any."""
    provider: str = ""
    """A glob over the name of the provider that it calls."""
    protocol: str = ""
    """A glob over the protocol that it speaks."""
    path: str = ""
    """A glob over the path."""
    header: dict[str, str] = {}
    """Globs over headers, by name."""


class RouteTable(Table):
    match: MatchTable = MatchTable()
    """Which calls it is for: see `match`. Empty: all."""
    to: list[Annotated[str, AfterValidator(values.destination)]] = []
    """Targets, in order: `"provider"` or `"provider/model"`. Empty: the provider that was called."""
    protocol: str = ""
    """The one that the provider is asked in. Empty: the client's own if it can."""
    adapters: list[AdapterSpec] = []
    """Adapters after those of the provider."""
    on_truncation: Truncation = "auto"
    """In place of the one in `[streaming]`."""
    next_on_auth: bool = False
    """The next target is asked too when a provider refuses the last of its keys."""
    report_model: Literal["client", "upstream"] = "client"
    """What an answer names: the model that was asked for, or the one that served."""
    hold_tool_calls: bool = False
    """In place of the one in `[streaming]`."""
    force_upstream_stream: bool = False
    """What the client wants whole is streamed upstream, so that silence is noticed."""
    stream: bool = True
    """`false`: other add-ons get the answer whole, and may edit it, before the client."""
    trace: bool = False
    """Whether these calls are traced, in place of whether `[trace]` names a folder."""


class RetryTable(Table):
    max_attempts: Annotated[int, Field(ge=1)] = 3
    """Attempts at a target that cost time: silence, a provider's failure, a cut."""
    deadline: Seconds = 120.0
    """Seconds after the first failure in which a new attempt may begin."""


class StreamingTable(TimeoutsTable):
    on_truncation: Truncation = "auto"
    """How a cut stream ends: see [calls.md](calls.md). `repair`: always as "length"."""
    hold_tool_calls: bool = False
    """A tool call reaches the client whole, and late, or not at all."""
    continuation_attempts: Annotated[int, Field(ge=0)] = 3
    """How often a continuation is asked for."""


class DeadlineMatchTable(Table):
    provider: str = ""
    """A glob over the provider that is asked."""
    model: str = ""
    """A glob over the model that is asked."""
    reasoning: Literal["none", "minimal", "low", "medium", "high", "xhigh", "max"] | None = None
    """How hard the model is to think. None: however hard."""


class DeadlineTable(Table):
    """Unset ones are those of `StreamingTable`."""

    match: DeadlineMatchTable = DeadlineMatchTable()
    """Which calls these times are for: see `match`."""
    first_event_timeout: Seconds = 0.0
    """Each in place of the one in `[streaming]`."""
    first_token_timeout: Seconds = 0.0
    """Also where `slow_start_timeout` would take its place."""
    slow_start_timeout: Seconds = 0.0
    """As in `[streaming]`."""
    stall_timeout: Seconds = 0.0
    """As in `[streaming]`."""
    response_timeout: Seconds = 0.0
    """As in `[streaming]`."""


class TraceTable(Table):
    """Unset bounds keep the defaults of `Bounds`."""

    directory: Annotated[str, AfterValidator(values.folder)] = ""
    """A folder for traces; a relative path starts at the config's folder. Empty: off."""
    signatures: bool = False
    """Signatures and encrypted reasoning in full, not as a hash."""
    max_bytes: Annotated[int, Field(ge=65_536)] = 65_536
    """Of all traces. The oldest go first."""
    max_calls: Annotated[int, Field(ge=1)] = 1
    """How many traces are kept."""
    max_age: Annotated[float, Field(ge=1, allow_inf_nan=False)] = 1.0
    """Seconds since a call began after which its trace goes."""


class UsageTable(Table):
    """What is kept of what calls used and cost."""

    keep: Annotated[float, Field(ge=1, le=36_500)] = 400
    """Days for which a call is kept."""


class UserTable(Table):
    """How much one user may use a day, which begins at midnight in UTC. Who calls is known by the name that
    `proxyauth` asks for; that in upper case is the same."""

    requests: Annotated[int, Field(ge=1)] | None = None
    """Calls. None: as many as there are."""
    tokens: Annotated[float, Field(gt=0, allow_inf_nan=False)] | None = None
    """Tokens of prompts and answers, those from a cache included. They are known after a call, so that calls
    under way may pass the limit."""
    cost: Annotated[float, Field(gt=0, allow_inf_nan=False)] | None = None
    """US dollars, of the calls whose cost is known."""


class PricesTable(Table):
    """What calls cost whose provider does not say so itself."""

    file: str = ""
    """Prices of your own, which go before the list: a TOML file, see [prices.md](prices.md)."""


class ResponsesTable(Table):
    """Responses kept in a provider's place. Unset ones keep the defaults of `Bounds`."""

    ttl: Seconds = 0.0
    """Seconds for which a response is kept."""
    max_bytes: Annotated[int, Field(ge=0)] = 0
    """Of all responses."""
    max_count: Annotated[int, Field(ge=0)] = 0
    """Of each client's credential at each provider."""
    shared: bool = False
    """Whether they are in the store of `[state]` as well, where other proxies find them: what was said, as it
    is."""


class StateTable(Table):
    """Several proxies that share what they know through a server of Redis or Valkey."""

    url: Annotated[str, AfterValidator(values.state_url)] = ""
    """`redis://HOST:6379`, `rediss://` with TLS, or `unix:///path/of/the.sock`. Empty: nothing is shared."""
    user: str = ""
    """Whom it is asked as. Empty: the server's default user."""
    password: str = ""
    """`env:NAME`, `file:PATH` or `cmd:COMMAND`. Never the password itself."""
    database: Annotated[int, Field(ge=0)] = 0
    """The number of the database, which may stand in the URL instead."""
    prefix: Annotated[str, AfterValidator(values.state_prefix)] = "rotator:"
    """What the names of all keys there begin with. Proxies of one prefix share what they know."""
    oauth_tokens: Literal["off", "shared"] = "off"
    """Whether the tokens of logins are kept there, encrypted."""
    key: str = ""
    """What they are encrypted with: `env:NAME`, `file:PATH` or `cmd:COMMAND`."""


class BrowsersTable(Table):
    """Origins of web pages that may use the pools."""

    allow: list[Annotated[str, AfterValidator(values.page_origin)]] = []
    """Origins of web pages that may use the keys: `"https://app.example.com"`."""


class ReportTable(Table):
    """What clients get to know of their calls."""

    headers: bool = False
    """Whether answers of calls say in headers how they came about: `x-rotator-call`, `x-rotator-attempts`,
    `x-rotator-provider`, `x-rotator-model` and `x-rotator-credential`, as known when the answer begins. Not
    to web pages that are not in `[browsers] allow`."""


class LimitsTable(Table):
    body: Annotated[int, Field(ge=1)] = 64 << 20
    """Bytes, decoded, of a request and of what is kept of an answer before it goes out."""


class ShutdownTable(Table):
    """How the proxy ends when it is asked to (SIGTERM)."""

    drain_timeout: Seconds = 60.0
    """Seconds in which calls that are under way may end by themselves, while no connection is accepted. Then
    they end with an error. A second SIGTERM, or Ctrl-C, ends the proxy at once."""


class UpstreamTable(Table):
    proxy: Annotated[str, AfterValidator(values.proxy)] = ""
    """A proxy towards the providers: `http://proxy.example.com:3128`. Empty: that of the environment."""


class Tables(Table):
    """A whole config. `model_fields_set` has the names that were given; the others have their defaults."""

    providers: dict[Annotated[str, AfterValidator(values.provider_name)], ProviderTable] = {}
    routes: list[RouteTable] = []
    retry: RetryTable = RetryTable()
    streaming: StreamingTable = StreamingTable()
    deadlines: list[DeadlineTable] = []
    trace: TraceTable = TraceTable()
    usage: UsageTable = UsageTable()
    users: dict[Annotated[str, AfterValidator(values.user_name)], UserTable] = {}
    prices: PricesTable = PricesTable()
    responses: ResponsesTable = ResponsesTable()
    upstream: UpstreamTable = UpstreamTable()
    state: StateTable = StateTable()
    browsers: BrowsersTable = BrowsersTable()
    report: ReportTable = ReportTable()
    limits: LimitsTable = LimitsTable()
    shutdown: ShutdownTable = ShutdownTable()


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
    ("usage",): UsageTable,
    ("users", "*"): UserTable,
    ("prices",): PricesTable,
    ("responses",): ResponsesTable,
    ("upstream",): UpstreamTable,
    ("state",): StateTable,
    ("browsers",): BrowsersTable,
    ("report",): ReportTable,
    ("limits",): LimitsTable,
    ("shutdown",): ShutdownTable,
}


_NAMED = (("providers",), ("protocol_errors",), ("users",))
"""Tables whose names are the user's."""


def names_at(loc: Loc) -> tuple[str, ...]:
    """The names that may stand in the table at `loc`."""
    pattern = tuple("*" if isinstance(p, int) or loc[i - 1 : i] in _NAMED else p for i, p in enumerate(loc))
    return tuple(_SECTIONS[pattern].model_fields)

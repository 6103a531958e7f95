"""What is known of a provider: where it is, what it speaks, how it takes a key, what its error codes mean.

Beside that, what is known of its models: whether they think, how a request says so, how much they can say.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import StrEnum

from protocols.model.http import Origin, parsed
from rewrite.adapters.base import Adapter
from rewrite.catalog.checks import QuotaCheck
from rewrite.fields.rule import Rule
from rewrite.values.outcome import ErrorFacts


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


@dataclass(frozen=True, slots=True)
class Refused:
    """A parameter that a model refuses."""

    param: str
    """Its path in the request, in the protocol that the model is asked in."""
    adapter: Adapter
    """What takes it out of a request."""


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
    default_output: int | None = None
    """How many tokens are asked for where a client states no limit."""
    protocol: str | None = None
    """The one in which they are asked, of those that the provider speaks."""
    refuses: tuple[Refused, ...] | None = None
    """What is left out of requests for them."""
    adapters: tuple[Adapter, ...] | None = None
    """Applied in this order, after those of the provider and before those of a route."""
    timeouts: Mapping[str, float] = field(default_factory=dict)
    """In place of fields of `Timeouts`, by their names. Each is a fact of its own."""


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
    adapters: tuple[Adapter, ...] = ()
    """Applied in this order, before those of a model and of a route."""
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
    price_list: str | None = None
    """What the list of prices calls it. None: what the list calls the one at `base_url`. Empty: no price of
    the list is for it."""
    fair_cycle: FairCycle = FairCycle.OFF
    """Whether an exhausted credential waits until others have had their turn."""
    code: str = ""
    """What it needs that no data can say: a class in a file of the config's, as "quirks.py:Acme", or the name
    under which it is registered. Empty: nothing, or what is registered under its own name."""
    field_cache: tuple[Rule, ...] = ()
    """Which fields of its requests and answers are kept, and put into later requests."""
    origin: Origin | None = field(init=False, repr=False)
    """`base_url`, parsed once. None where that is empty."""
    places: tuple[tuple[str, int | None], ...] = field(init=False, repr=False)
    """`hosts`, parsed once: the glob of a name, and a port or None for any."""

    def __post_init__(self) -> None:
        object.__setattr__(self, "origin", parsed(self.base_url) if self.base_url else None)
        object.__setattr__(self, "places", tuple(_place(entry) for entry in self.hosts))


def _place(entry: str) -> tuple[str, int | None]:
    """Host and port of an entry of `hosts`; brackets are those of an IPv6 address, not of a glob."""
    host, _, port = entry.lower().rpartition(":")
    if host and port.isdecimal() and (host.endswith("]") or ":" not in host):
        return host.strip("[]"), int(port)
    return entry.lower().strip("[]"), None

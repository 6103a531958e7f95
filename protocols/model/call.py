"""One call of a client: how it is read, and what it becomes for the target that is asked."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from enum import Enum, StrEnum

from protocols.model.http import Headers


class Operation(StrEnum):
    """What a recognised path does. Only these are ever answered by us; all other paths pass through."""

    GENERATE = "generate"
    COUNT_TOKENS = "count_tokens"
    EMBEDDINGS = "embeddings"
    MODELS = "models"


class Reasoning(Enum):
    """Whether the request itself says that the model will think before it speaks."""

    ON = "on"
    OFF = "off"
    UNSAID = "unsaid"


@dataclass(frozen=True, slots=True)
class Call:
    """One recognised call of a client."""

    id: str
    """Ours, for logs and traces."""
    protocol: str
    """The name of the client's."""
    operation: Operation
    """What its path asks for."""
    model: str | None
    """As the client names it."""
    stream: bool
    """Whether the client asked for a stream."""
    headers: Headers
    """The client's, in the order in which they came."""
    body: Mapping[str, object] = field(default_factory=dict)
    """The parsed JSON object, unknown fields kept; empty when the bytes are none (the provider is still
    asked)."""
    session: str | None = None
    """The explicit id of the conversation."""
    reasoning: Reasoning = Reasoning.UNSAID
    """Whether the request says that the model is to think."""
    hosted: bool = False
    """The request declares tools that the provider runs."""
    acting: bool = False
    """Some of them have side effects (mcp, shell, code)."""
    background: bool = False
    """The answer is made later, and is the provider's to keep."""
    text_bytes: int = 0
    """The bytes of the request, but for what is base64 in it; `MOST_TEXT` where they are more."""
    target: str = ""
    """The path with its query."""
    effort: str = ""
    """How hard the model is to think, in a word of `prompt.Effort`; empty where the request is silent."""


@dataclass(frozen=True, slots=True)
class Destination:
    """Where a rendered request goes."""

    provider: str
    """Its name."""
    model: str
    """Its name there."""
    path: str = ""
    """May hold `{model}` and `{method}`; empty: the protocol's own."""
    max_output: int | None = None
    """Tokens that the model can give; None where unknown."""
    thinking: str = ""
    """How the model is asked to think ("budget", "effort", "suffix", "none"); empty where unknown."""
    max_tokens_field: str = "max_tokens"
    """What Chat calls its limit there."""
    default_output: int | None = None
    """Tokens to ask for where the client states no limit; None: a limit is left out where it may be."""


@dataclass(frozen=True, slots=True)
class Rendered:
    """A request in a protocol's own form."""

    path: str
    """What follows the base URL, with its query."""
    body: Mapping[str, object]
    """The JSON object."""
    headers: Headers = ()
    """Those that the protocol asks for besides the content type (a version)."""
    losses: Sequence[tuple[str, str]] = ()
    """Fields of the prompt, or topics of the protocol's losses, that this one request could not be given as
    they are, each with what became of it (see `protocols.shared.losses`)."""


@dataclass(frozen=True, slots=True)
class Reply:
    """What an answer of another protocol is to be called."""

    id: str
    """Without a prefix."""
    model: str
    """As the client is to read it."""
    created: int
    """In epoch seconds."""
    previous: str | None = None
    """The answer that it continues, as the client named it."""
    own: bool = False
    """The id is its maker's, and is written as it is."""

    def named(self, prefix: str) -> str:
        """The id as it is written by a protocol whose ids begin with `prefix`."""
        return self.id if self.own and self.id else prefix + self.id

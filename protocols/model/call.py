"""One call of a client, and what it becomes for the target that is asked."""

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
    """One recognised call of a client.

    `body` is the parsed JSON object with unknown fields kept, empty when the bytes are not one (the
    provider is still asked). `target` is its path with the query. `session` is the conversation's
    explicit id. `hosted`: the request declares tools that the provider runs; `acting`: some of them have
    side effects (mcp, shell, code). `background`: the answer is made later, and is the provider's to keep.
    `effort`: how hard the model is to think, in a word of `prompt.Effort`; empty where the request is silent.
    """

    id: str
    protocol: str
    operation: Operation
    model: str | None
    stream: bool
    headers: Headers
    body: Mapping[str, object] = field(default_factory=dict)
    session: str | None = None
    reasoning: Reasoning = Reasoning.UNSAID
    hosted: bool = False
    acting: bool = False
    background: bool = False
    text_bytes: int = 0
    target: str = ""
    effort: str = ""


@dataclass(frozen=True, slots=True)
class Destination:
    """Where a rendered request goes. `path` may hold `{model}` and `{method}`, empty: the protocol's own.

    `max_output`: tokens that the model can give, None where unknown; `thinking`: how it is told to think
    ("budget", "effort", "none"), empty where unknown; `max_tokens_field`: what Chat calls its limit there.
    """

    provider: str
    model: str
    path: str = ""
    max_output: int | None = None
    thinking: str = ""
    max_tokens_field: str = "max_tokens"


@dataclass(frozen=True, slots=True)
class Rendered:
    """A prompt in a protocol's own form. `path` is what follows the base URL, with its query; `headers` are
    those that the protocol asks for besides the content type (a version). `losses`: fields of the prompt, or
    topics of the protocol's losses, that this one request could not be given as they are, each with what
    became of it (see protocols.shared.losses)."""

    path: str
    body: Mapping[str, object]
    headers: Headers = ()
    losses: Sequence[tuple[str, str]] = ()


@dataclass(frozen=True, slots=True)
class Reply:
    """What an answer of another protocol is to be called: `id` (no prefix), `model` as the client is to read
    it, `created` in epoch seconds. `previous`: the answer that it goes on from, as the client named it.
    `own`: the id is its maker's, and is written as it is."""

    id: str
    model: str
    created: int
    previous: str | None = None
    own: bool = False

    def named(self, prefix: str) -> str:
        """The id as it is written by a protocol whose ids begin with `prefix`."""
        return self.id if self.own and self.id else prefix + self.id

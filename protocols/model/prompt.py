"""The unified request: what a client asks for, whatever protocol it asks in.

A protocol's `ask` reads one from a call, another protocol's `render` writes it. Same-protocol traffic
never goes through it. None, or nothing in a tuple, is "the client did not say". Text is `str`, media is
base64 text or an address, a tool call's arguments are JSON text exactly as the model wrote them.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import StrEnum

from protocols.model.parts import Signature, ToolKind


class Role(StrEnum):
    """Whose message it is; tool results are part of the user's, as blocks."""

    SYSTEM = "system"
    USER = "user"
    ASSISTANT = "assistant"


class MediaKind(StrEnum):
    IMAGE = "image"
    AUDIO = "audio"
    FILE = "file"


class MediaForm(StrEnum):
    """How media comes: in the request (base64), by address, or by the id of an upload to an account."""

    DATA = "data"
    URL = "url"
    FILE_ID = "file_id"


@dataclass(frozen=True, slots=True)
class Text:
    """What is said in words."""

    text: str
    """What it says."""
    cache: bool = False
    """The client asked for a cache breakpoint after it."""


@dataclass(frozen=True, slots=True)
class Media:
    """An image, a sound or a file."""

    kind: MediaKind
    """What it is."""
    form: MediaForm
    """How it comes."""
    value: str
    """Base64 text, an address or an id, as `form` says."""
    media_type: str = ""
    """Empty where unsaid."""
    name: str = ""
    """A file's."""
    detail: str = ""
    """How closely an image is to be looked at (low, high, auto)."""
    at: str = field(default="", compare=False, kw_only=True)
    """Where it stands in the client's request (`input[1].content[0]`)."""


@dataclass(frozen=True, slots=True)
class ToolCall:
    """A call that the model made."""

    id: str
    """As the client gives it back with the result."""
    name: str
    """Of the tool."""
    arguments: str
    """JSON text of an object; of a CUSTOM tool, free text."""
    kind: ToolKind = ToolKind.FUNCTION
    """What the tool takes."""
    namespace: str = ""
    """Groups tools (Responses); empty: none."""


@dataclass(frozen=True, slots=True)
class ToolResult:
    """What the client's tool gave back."""

    id: str
    """Of the call."""
    content: tuple["Text | Media", ...] = ()
    """Its texts and media, in order."""
    name: str = ""
    """Of the tool; empty where the protocol does not say."""
    error: bool = False
    """The tool failed."""
    kind: ToolKind = ToolKind.FUNCTION
    """What the tool took."""


@dataclass(frozen=True, slots=True)
class Thought:
    """Reasoning that the model showed, and what its maker asks to have back with it."""

    text: str
    """With a signature and no text, it stands right before what it signs (Gemini signs calls and texts)."""
    signature: Signature | None = None
    """What its maker asks to have back. None: nothing."""


@dataclass(frozen=True, slots=True)
class Refusal:
    text: str
    """What the model said."""


type Content = Text | Media | ToolCall | ToolResult | Thought | Refusal


@dataclass(frozen=True, slots=True)
class Message:
    """One turn. A SYSTEM message may stand between others; what opens a request is in `Prompt.system`."""

    role: Role
    """Whose turn it is."""
    content: tuple[Content, ...]
    """What it says, in order."""


@dataclass(frozen=True, slots=True)
class Tool:
    """A tool that the client runs."""

    name: str
    """By which the model calls it."""
    description: str = ""
    """For the model; empty where there is none."""
    parameters: Mapping[str, object] | None = None
    """A JSON schema; None where there is none."""
    strict: bool | None = None
    """The schema is followed to the letter; None: unsaid."""
    kind: ToolKind = ToolKind.FUNCTION
    """What it takes."""
    namespace: str = ""
    """Groups tools (Responses); empty: none."""
    grammar: Mapping[str, object] | None = None
    """The format of a CUSTOM tool's free text as its protocol states it; None for any text."""
    cache: bool = False
    """The client asked for a cache breakpoint after it."""


class ToolMode(StrEnum):
    AUTO = "auto"
    NONE = "none"
    REQUIRED = "required"


@dataclass(frozen=True, slots=True)
class ToolChoice:
    """Whether tools are called."""

    mode: ToolMode
    """Whether the model may, must or must not call one."""
    names: tuple[str, ...] = ()
    """With REQUIRED, one of these must be called; with AUTO, only these may be. Empty: any."""


@dataclass(frozen=True, slots=True)
class ResponseFormat:
    """An answer in JSON."""

    schema: Mapping[str, object] | None = None
    """None: JSON of any form."""
    name: str = ""
    """Of the schema; empty where it has none."""
    description: str = ""
    """Of the schema; empty where it has none."""
    strict: bool | None = None
    """Whether the schema is followed to the letter; None: unsaid."""


class Effort(StrEnum):
    """How hard the model is to think, in the words of the field, least first."""

    NONE = "none"
    MINIMAL = "minimal"
    LOW = "low"
    MEDIUM = "medium"
    HIGH = "high"
    XHIGH = "xhigh"
    MAX = "max"


@dataclass(frozen=True, slots=True)
class Thinking:
    """How the model is to think. A client sets one of effort and budget."""

    effort: Effort | None = None
    """NONE: not at all; None: unsaid."""
    budget: int | None = None
    """Tokens; -1: as the model likes; 0: not at all; None: unsaid."""
    shown: bool | None = None
    """Whether the client wants to read the thoughts; None: unsaid."""

    @property
    def off(self) -> bool:
        return self.effort is Effort.NONE or self.budget == 0


@dataclass(frozen=True, slots=True)
class Prompt:
    """One request."""

    model: str
    """As the client names it."""
    messages: tuple[Message, ...] = ()
    """The turns, in order."""
    system: tuple[Text, ...] = ()
    """What opens the request."""
    tools: tuple[Tool, ...] = ()
    """Those that the client runs."""
    tool_choice: ToolChoice | None = None
    """Whether they are called. None: unsaid."""
    parallel_tool_calls: bool | None = None
    """Whether one answer may hold several calls; None: unsaid."""
    stream: bool = False
    """Whether the answer is to be streamed."""
    usage_in_stream: bool = True
    """Whether a stream is to report its usage."""
    max_output: int | None = None
    """Tokens."""
    temperature: float | None = None
    """None: unsaid; so for each number below."""
    top_p: float | None = None
    """The share of probability that tokens are chosen from."""
    top_k: int | None = None
    """How many tokens are chosen from."""
    frequency_penalty: float | None = None
    """On tokens by how often they came."""
    presence_penalty: float | None = None
    """On tokens that came."""
    seed: int | None = None
    """Of the random choice of tokens."""
    choices: int | None = None
    """How many answers are asked for."""
    logprobs: int | None = None
    """How many probabilities are asked for with each token."""
    stop: tuple[str, ...] = ()
    """Texts that end the answer."""
    response_format: ResponseFormat | None = None
    """None: text."""
    thinking: Thinking | None = None
    """None: unsaid."""
    verbosity: str | None = None
    """How much is said ("low", "medium", "high"); None: unsaid."""
    user: str | None = None
    """The client's word for its end user; None: unsaid."""
    metadata: Mapping[str, object] | None = None
    """What the client wants kept with the call; None: unsaid."""
    service_tier: str | None = None
    """By the provider's name for it; None: unsaid."""
    cache_key: str | None = None
    """Requests with the same one share a cache."""
    extensions: Mapping[str, object] = field(default_factory=dict)
    """What only the protocol that it came from knows, by its field's name."""


BUDGETS: Mapping[Effort, int] = {
    Effort.NONE: 0,
    Effort.MINIMAL: 1_024,
    Effort.LOW: 4_096,
    Effort.MEDIUM: 8_192,
    Effort.HIGH: 16_384,
    Effort.XHIGH: 32_768,
    Effort.MAX: 65_536,
}
"""Reasoning effort as a budget in tokens, where a model takes only one of them. A budget becomes the
lowest effort whose number is not below it; -1 (as the model likes) says nothing of effort."""


def budget_of(thinking: Thinking) -> int | None:
    """The budget that is said, or that the effort comes to; None: nothing is said."""
    if thinking.budget is not None:
        return thinking.budget
    return None if thinking.effort is None else BUDGETS[thinking.effort]


def effort_of(thinking: Thinking) -> Effort | None:
    """The effort that is said, or that the budget comes to; None: nothing is said."""
    if thinking.effort is not None or thinking.budget is None or thinking.budget < 0:
        return thinking.effort
    enough = (effort for effort, tokens in BUDGETS.items() if tokens >= thinking.budget)
    return next(enough, Effort.MAX)


def effort_said(thinking: Thinking | None) -> str:
    """The word for the effort that a request asks for, by word or by budget; empty: it does not say."""
    return (effort_of(thinking) or "") if thinking else ""

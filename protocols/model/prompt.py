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
    """`cache`: the client asked for a cache breakpoint behind it."""

    text: str
    cache: bool = False


@dataclass(frozen=True, slots=True)
class Media:
    """`value` is base64 text, an address or an id, as `form` says; `media_type` empty where unsaid.

    `name` is a file's name, `detail` how closely an image is to be looked at (low, high, auto), `at` where it
    stands in the client's request (`input[1].content[0]`).
    """

    kind: MediaKind
    form: MediaForm
    value: str
    media_type: str = ""
    name: str = ""
    detail: str = ""
    at: str = field(default="", compare=False, kw_only=True)


@dataclass(frozen=True, slots=True)
class ToolCall:
    """A call that the model made. `arguments` is JSON text of an object; of a CUSTOM tool, free text.

    `namespace` groups tools (Responses); empty: none.
    """

    id: str
    name: str
    arguments: str
    kind: ToolKind = ToolKind.FUNCTION
    namespace: str = ""


@dataclass(frozen=True, slots=True)
class ToolResult:
    """What the client's tool gave back for the call `id`; `name` empty where the protocol does not say."""

    id: str
    content: tuple["Text | Media", ...] = ()
    name: str = ""
    error: bool = False
    kind: ToolKind = ToolKind.FUNCTION


@dataclass(frozen=True, slots=True)
class Thought:
    """Reasoning that the model showed, and what its maker asks to have back with it.

    With an empty `text` and a signature it stands right before what it signs (Gemini signs calls and texts).
    """

    text: str
    signature: Signature | None = None


@dataclass(frozen=True, slots=True)
class Refusal:
    text: str


type Content = Text | Media | ToolCall | ToolResult | Thought | Refusal


@dataclass(frozen=True, slots=True)
class Message:
    """One turn. A SYSTEM message may stand between others; what opens a request is in `Prompt.system`."""

    role: Role
    content: tuple[Content, ...]


@dataclass(frozen=True, slots=True)
class Tool:
    """A tool that the client runs. `parameters` is a JSON schema, None where there is none.

    `grammar` is the format of a CUSTOM tool's free text as its protocol states it, None for any text.
    """

    name: str
    description: str = ""
    parameters: Mapping[str, object] | None = None
    strict: bool | None = None
    kind: ToolKind = ToolKind.FUNCTION
    namespace: str = ""
    grammar: Mapping[str, object] | None = None
    cache: bool = False


class ToolMode(StrEnum):
    AUTO = "auto"
    NONE = "none"
    REQUIRED = "required"


@dataclass(frozen=True, slots=True)
class ToolChoice:
    """`names`: with REQUIRED, one of these must be called; with AUTO, only these may be. Empty: any."""

    mode: ToolMode
    names: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class ResponseFormat:
    """JSON: of `schema`, or of any form where that is None."""

    schema: Mapping[str, object] | None = None
    name: str = ""
    description: str = ""
    strict: bool | None = None


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
    """`effort` or `budget` (tokens; -1: as the model likes), whichever the client said; `shown`: whether it
    wants to read the thoughts. Effort NONE and budget 0 both turn it off."""

    effort: Effort | None = None
    budget: int | None = None
    shown: bool | None = None

    @property
    def off(self) -> bool:
        return self.effort is Effort.NONE or self.budget == 0


@dataclass(frozen=True, slots=True)
class Prompt:
    """One request. `extensions` holds what only the protocol it came from knows, by its field's name."""

    model: str
    messages: tuple[Message, ...] = ()
    system: tuple[Text, ...] = ()
    tools: tuple[Tool, ...] = ()
    tool_choice: ToolChoice | None = None
    parallel_tool_calls: bool | None = None
    stream: bool = False
    usage_in_stream: bool = True
    max_output: int | None = None
    temperature: float | None = None
    top_p: float | None = None
    top_k: int | None = None
    frequency_penalty: float | None = None
    presence_penalty: float | None = None
    seed: int | None = None
    choices: int | None = None
    logprobs: int | None = None
    stop: tuple[str, ...] = ()
    response_format: ResponseFormat | None = None
    thinking: Thinking | None = None
    verbosity: str | None = None
    user: str | None = None
    metadata: Mapping[str, object] | None = None
    service_tier: str | None = None
    cache_key: str | None = None
    extensions: Mapping[str, object] = field(default_factory=dict)


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

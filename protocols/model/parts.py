"""The unified parts of a streamed answer; what they add up to is in `protocols.model.progress`.

A part is what one provider event means, whatever the protocol: a block opens, grows, closes; a choice
finishes; usage is reported; something failed. Decoders make parts, `Progress` folds them, repair makes
closing parts, encoders write them. Text is `str` (already decoded), counts are tokens.
"""

from collections.abc import Container, Mapping
from dataclasses import dataclass, field, replace
from enum import StrEnum

from msgspec import Struct, structs


class BlockKind(StrEnum):
    """What a block carries. HOSTED is a tool that the provider runs; TOOL is one that the client runs."""

    TEXT = "text"
    REASONING = "reasoning"
    TOOL = "tool_input"
    REFUSAL = "refusal"
    MEDIA = "media"
    HOSTED = "hosted"


class ToolKind(StrEnum):
    """What a tool of the client takes: the JSON of an object, or free text (OpenAI's custom tools)."""

    FUNCTION = "function"
    CUSTOM = "custom"


class ErrorKind(StrEnum):
    """What an error says, in words that every protocol has its own for; used in `StreamError.type` and
    `Fault.kind` when a protocol writes an error that another one said."""

    INVALID_REQUEST = "invalid_request"
    AUTHENTICATION = "authentication"
    PERMISSION = "permission"
    NOT_FOUND = "not_found"
    TOO_LARGE = "too_large"
    QUOTA = "insufficient_quota"
    RATE_LIMIT = "rate_limit_exceeded"
    TIMEOUT = "timeout"
    OVERLOADED = "overloaded"
    SERVER = "server_error"


@dataclass(frozen=True, slots=True)
class Signature:
    """What a provider asks to have back, unchanged, with its reasoning; the client cannot read it."""

    form: str
    """Which of the provider's fields `value` was in, so that it can be put back there: "signature"
    (Anthropic, Gemini), "redacted" (Anthropic), "encrypted" (Responses), "details" (the JSON text of
    OpenRouter's reasoning_details), or "envelope" (see `protocols.shared.signatures`)."""
    value: str
    """As the provider wrote it, or the envelope of it."""


class FinishReason(StrEnum):
    """Why a choice ended, in the canonical words; the provider's own word stays beside it."""

    STOP = "stop"
    LENGTH = "length"
    TOOL_CALLS = "tool_calls"
    CONTENT_FILTER = "content_filter"
    PAUSE = "pause"
    ERROR = "error"
    OTHER = "other"


CUT_SHORT = frozenset({FinishReason.LENGTH, FinishReason.CONTENT_FILTER, FinishReason.ERROR})
"""Ends after which a tool call may be half of one, whatever its provider calls it."""


class Usage(Struct, frozen=True, gc=False):
    """Tokens as the provider counted them; None where it said nothing.

    A Struct, since some providers count in each event: it is made in a twentieth of the time of a dataclass.
    """

    input: int | None = None
    """Reads and writes of a cache included."""
    output: int | None = None
    """Reasoning included."""
    cache_read: int | None = None
    """Of the input, those read from a cache."""
    cache_write: int | None = None
    """Of the input, those written to a cache."""
    reasoning: int | None = None
    """Of the output, those of reasoning."""
    cost: float | None = None
    """US dollars that the answer cost."""
    cache_write_1h: int | None = None
    """Of the writes to a cache, those to one that holds for an hour."""
    input_audio: int | None = None
    """Of the input, those of audio."""
    output_audio: int | None = None
    """Of the output, those of audio."""
    output_image: int | None = None
    """Of the output, those of images."""
    searches: int | None = None
    """No tokens: searches of the web that are paid for one by one."""
    tier: str | None = None
    """On which terms the provider served, in its word: `flex`, `priority`, `batch`, `fast`."""
    besides: tuple["OtherUsage", ...] = ()
    """What is paid for besides, and is in none of the counts above: other passes of the provider's own."""

    def said(self) -> dict[str, object]:
        """What is known, as plain data."""
        found = {name: value for name, value in structs.asdict(self).items() if value not in (None, ())}
        if self.besides:
            found["besides"] = [{"model": one.model, **one.usage.said()} for one in self.besides]
        return found


class OtherUsage(Struct, frozen=True, gc=False):
    """A pass of the provider's own on the way to an answer."""

    model: str
    """The one that was asked. Empty: the one that answers."""
    usage: Usage


@dataclass(frozen=True, slots=True)
class MessageStart:
    """An answer begins."""

    id: str
    """As its maker wrote it."""
    model: str
    """As the provider names it."""
    template: Mapping[str, object] = field(default_factory=dict)
    """The top-level fields that every synthesised frame of the stream repeats."""


@dataclass(frozen=True, slots=True)
class ChoiceStart:
    choice: int
    """Its number, from 0."""


@dataclass(frozen=True, slots=True)
class BlockStart:
    """A block of a choice begins."""

    choice: int
    """The number of the choice that it is in."""
    index: int
    """Counts the blocks of a choice from 0; a decoder never uses one twice."""
    kind: BlockKind
    """What it carries."""
    tool_id: str | None = None
    """Of a call; None where the provider gives none."""
    tool_name: str | None = None
    """Of a call; None where there is none."""
    tool_kind: ToolKind = ToolKind.FUNCTION
    """What the tool of a call takes."""
    namespace: str = ""
    """Groups tools (Responses); empty: none."""
    payload: Mapping[str, object] | None = None
    """The provider's own object where the block is more than its text: of MEDIA `{"media_type": ..., "data":
    base64}` or `{"url": ...}`, of HOSTED the item as it came."""


class BlockDelta(Struct, frozen=True, gc=False):
    """More of a block. A Struct, since there is one for each event: it is made in a fifth of the time of a
    dataclass."""

    choice: int
    """The number of the choice."""
    index: int
    """That of the block."""
    kind: BlockKind
    """That of the block."""
    text: str
    """What is added to it; of a call, to its arguments."""


@dataclass(frozen=True, slots=True)
class BlockStop:
    """A block ends."""

    choice: int
    """The number of the choice."""
    index: int
    """That of the block."""
    signature: Signature | None = None
    """What the provider asks back with a block of reasoning. A block with nothing but a signature stands
    right before the one that it signs (Gemini signs calls and texts)."""


@dataclass(frozen=True, slots=True)
class Annotation:
    """A source that a block of text cites."""

    choice: int
    """The number of the choice."""
    index: int
    """That of the block."""
    url: str
    """Where the source is."""
    title: str = ""
    """Of the source; empty where it has none."""
    start: int | None = None
    """Offset in the text, in characters; None where the provider does not say."""
    end: int | None = None
    """Offset in the text, in characters; None where the provider does not say."""


@dataclass(frozen=True, slots=True)
class Finish:
    """A choice ended."""

    choice: int
    """The number of the choice."""
    reason: FinishReason
    """Why, in the canonical words."""
    native: str
    """The provider's own word."""
    detail: str = ""
    """What it says besides: the stop sequence, the reason of a refusal."""


@dataclass(frozen=True, slots=True)
class UsageReport:
    usage: Usage
    """The counts so far."""


@dataclass(frozen=True, slots=True)
class StreamEnd:
    """The protocol's own last frame."""


@dataclass(frozen=True, slots=True)
class Ping:
    """Life without content: a keep-alive event, a comment, a blank line."""

    working: bool = False
    """The model is at work on what it does not show (reasoning that is hidden, or only signed)."""


@dataclass(frozen=True, slots=True)
class StreamError:
    """An error inside the stream."""

    type: str
    """The provider's own word, or an ErrorKind."""
    message: str
    """For the client to read."""
    code: str | None = None
    """The provider's own code. None: it gave none."""
    status: int | None = None
    """Of HTTP."""
    native: bool = True
    """In the form that the protocol's own clients raise on."""
    said: Mapping[str, object] = field(default_factory=dict, compare=False, repr=False)
    """The provider's own object, where there is one: it may say when to ask again."""


@dataclass(frozen=True, slots=True)
class Opaque:
    """A frame that this version does not understand; it passes as it is."""

    raw: bytes
    """Its bytes."""


type StreamPart = (
    MessageStart
    | ChoiceStart
    | BlockStart
    | BlockDelta
    | BlockStop
    | Annotation
    | Finish
    | UsageReport
    | StreamEnd
    | Ping
    | StreamError
    | Opaque
)

type BlockPart = BlockStart | BlockDelta | BlockStop | Annotation
type BlockKey = tuple[int, int]
"""A block by its choice and its index."""


def at_index(part: BlockPart, index: int) -> BlockPart:
    """`part` of a block with another index."""
    if isinstance(part, BlockDelta):
        return BlockDelta(part.choice, index, part.kind, part.text)
    return replace(part, index=index)


def key_of(part: BlockPart) -> BlockKey:
    return part.choice, part.index


def is_of(part: StreamPart, blocks: Container[BlockKey]) -> bool:
    """Whether a part says something of one of these blocks."""
    return isinstance(part, BlockStart | BlockDelta | BlockStop | Annotation) and key_of(part) in blocks

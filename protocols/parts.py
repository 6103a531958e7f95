"""The unified parts of a streamed answer, and what they add up to.

A part is what one provider event means, whatever the protocol: a block opens, grows, closes; a choice
finishes; usage is reported; something failed. Decoders make parts, `Progress` folds them, repair makes
closing parts, encoders write them. Text is `str` (already decoded), counts are tokens.
"""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from enum import StrEnum
from typing import assert_never


class BlockKind(StrEnum):
    """What a block carries. HOSTED is a tool that the provider runs; TOOL is one that the client runs."""

    TEXT = "text"
    REASONING = "reasoning"
    TOOL = "tool_input"
    REFUSAL = "refusal"
    MEDIA = "media"
    HOSTED = "hosted"


class FinishReason(StrEnum):
    """Why a choice ended, in the canonical words; the provider's own word stays beside it."""

    STOP = "stop"
    LENGTH = "length"
    TOOL_CALLS = "tool_calls"
    CONTENT_FILTER = "content_filter"
    PAUSE = "pause"
    ERROR = "error"
    OTHER = "other"


@dataclass(frozen=True, slots=True)
class Usage:
    """Tokens as the provider counted them; None where it said nothing. Inclusive counts:

    `input` includes cache reads and writes, `output` includes reasoning.
    """

    input: int | None = None
    output: int | None = None
    cache_read: int | None = None
    cache_write: int | None = None
    reasoning: int | None = None

    def updated(self, other: "Usage") -> "Usage":
        """Later reports are cumulative: a count that is given replaces the earlier one, never adds."""
        return Usage(
            input=self.input if other.input is None else other.input,
            output=self.output if other.output is None else other.output,
            cache_read=self.cache_read if other.cache_read is None else other.cache_read,
            cache_write=self.cache_write if other.cache_write is None else other.cache_write,
            reasoning=self.reasoning if other.reasoning is None else other.reasoning,
        )


@dataclass(frozen=True, slots=True)
class MessageStart:
    """`template` holds the top-level fields that every synthesised frame of the stream repeats."""

    id: str
    model: str
    template: Mapping[str, object] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class ChoiceStart:
    choice: int


@dataclass(frozen=True, slots=True)
class BlockStart:
    choice: int
    index: int
    kind: BlockKind
    tool_id: str | None = None
    tool_name: str | None = None


@dataclass(frozen=True, slots=True)
class BlockDelta:
    choice: int
    index: int
    kind: BlockKind
    text: str


@dataclass(frozen=True, slots=True)
class BlockStop:
    choice: int
    index: int


@dataclass(frozen=True, slots=True)
class Finish:
    choice: int
    reason: FinishReason
    native: str


@dataclass(frozen=True, slots=True)
class UsageReport:
    usage: Usage


@dataclass(frozen=True, slots=True)
class StreamEnd:
    """The protocol's own last frame."""


@dataclass(frozen=True, slots=True)
class Ping:
    """Life without content: a keep-alive event, a comment, a blank line."""


@dataclass(frozen=True, slots=True)
class StreamError:
    """An error inside the stream. `native`: in the form that the protocol's own clients raise on."""

    type: str
    message: str
    code: str | None = None
    status: int | None = None
    native: bool = True


@dataclass(frozen=True, slots=True)
class Opaque:
    """A frame that this version does not understand; it passes as it is."""

    raw: bytes


type StreamPart = (
    MessageStart
    | ChoiceStart
    | BlockStart
    | BlockDelta
    | BlockStop
    | Finish
    | UsageReport
    | StreamEnd
    | Ping
    | StreamError
    | Opaque
)

_SHOWN_AT_START = frozenset({BlockKind.TOOL, BlockKind.HOSTED, BlockKind.MEDIA})


def visible(part: StreamPart) -> bool:
    """Whether a part commits the answer: something a client can show, run, or pay for."""
    match part:
        case BlockDelta(text=text):
            return bool(text)
        case BlockStart(kind=kind):
            return kind in _SHOWN_AT_START
        case _:
            return False


@dataclass(slots=True)
class OpenBlock:
    kind: BlockKind
    tool_name: str | None = None


@dataclass(slots=True)
class Progress:
    """What a stream has said so far: the fold of its parts, mutated by `fold` and `expect` alone.

    `open`: blocks that a client takes for open, by choice and index; `torn`: those that were open when the
    stream began anew.
    """

    head: MessageStart | None = None
    open: dict[tuple[int, int], OpenBlock] = field(default_factory=dict)
    torn: list[OpenBlock] = field(default_factory=list)
    seen: set[int] = field(default_factory=set)
    finished: dict[int, Finish] = field(default_factory=dict)
    usage: Usage | None = None
    error: StreamError | None = None
    ended: bool = False
    visible: bool = False
    characters: int = 0

    @property
    def complete(self) -> bool:
        """The stream said that it was done, be it without a last formality.

        Measured: `[DONE]` without any finish reason exists, and a finish reason without `[DONE]`.
        """
        return self.ended or (bool(self.seen) and self.seen <= self.finished.keys())

    @property
    def unfinished(self) -> list[int]:
        return sorted(self.seen - self.finished.keys())

    def expect(self, choices: int) -> None:
        """So many choices were asked for: where the stream broke, one that never began is unfinished too."""
        self.seen.update(range(choices))

    def fold(self, parts: Iterable[StreamPart]) -> None:
        for part in parts:
            self._fold(part)
            self.visible = self.visible or visible(part)

    def _fold(self, part: StreamPart) -> None:
        match part:
            case MessageStart():
                self._start(part)
            case ChoiceStart(choice=choice):
                self.seen.add(choice)
            case BlockStart():
                self._open_block(part)
            case BlockDelta(choice=choice, text=text):
                self.seen.add(choice)
                self.characters += len(text)
            case BlockStop(choice=choice, index=index):
                self.open.pop((choice, index), None)
            case Finish(choice=choice):
                self.seen.add(choice)
                self.finished[choice] = part
            case UsageReport(usage=usage):
                self.usage = self.usage.updated(usage) if self.usage else usage
            case StreamEnd():
                self.ended = True
            case StreamError():
                self.error = self.error or part
            case Ping() | Opaque():
                pass
            case _:
                assert_never(part)

    def _start(self, part: MessageStart) -> None:
        """A second start is an upstream that began anew inside one answer: what was done is void.

        Measured: the second answer numbers its blocks from 0 again. What the first left open stays open
        for the client until the second takes its number; a tool call among it was torn in two either way,
        and counts as cut if the second answer does not end properly. A proper end passes untouched.
        """
        self.torn += self.open.values()
        self.finished.clear()
        self.ended = False
        self.head = part

    def _open_block(self, part: BlockStart) -> None:
        self.seen.add(part.choice)
        self.open[part.choice, part.index] = OpenBlock(part.kind, part.tool_name)

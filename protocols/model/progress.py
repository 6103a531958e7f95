"""What the parts of a streamed answer add up to: the fold of `protocols.model.parts`, block by block."""

from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from typing import assert_never

from protocols.model.parts import (
    Annotation,
    BlockDelta,
    BlockKind,
    BlockStart,
    BlockStop,
    ChoiceStart,
    Finish,
    MessageStart,
    Opaque,
    Ping,
    StreamEnd,
    StreamError,
    StreamPart,
    Usage,
    UsageReport,
)

_CHARACTERS_PER_TOKEN = 4
_SHOWN_AT_START = frozenset({BlockKind.TOOL, BlockKind.HOSTED, BlockKind.MEDIA})


def estimated_tokens(characters: int) -> int:
    """What a text comes to where nobody counted its tokens."""
    return -(-characters // _CHARACTERS_PER_TOKEN)


def visible(part: StreamPart) -> bool:
    """Whether a part commits the answer: something a client can show, run, or pay for."""
    match part:
        case BlockDelta(text=text):
            return bool(text)
        case BlockStart(kind=kind):
            return kind in _SHOWN_AT_START
        case _:
            return False


def says_anything(parts: Iterable[StreamPart]) -> bool:
    """Whether `parts` are of an answer; see `Progress.said`."""
    progress = Progress()
    progress.fold(parts)
    return progress.said


def updated(usage: Usage | None, later: Usage) -> Usage:
    """Reports are cumulative: a count that is given replaces the earlier one, never adds."""
    if usage is None:
        return later
    return Usage(
        input=usage.input if later.input is None else later.input,
        output=usage.output if later.output is None else later.output,
        cache_read=usage.cache_read if later.cache_read is None else later.cache_read,
        cache_write=usage.cache_write if later.cache_write is None else later.cache_write,
        reasoning=usage.reasoning if later.reasoning is None else later.reasoning,
        cost=usage.cost if later.cost is None else later.cost,
        cache_write_1h=usage.cache_write_1h if later.cache_write_1h is None else later.cache_write_1h,
        input_audio=usage.input_audio if later.input_audio is None else later.input_audio,
        output_audio=usage.output_audio if later.output_audio is None else later.output_audio,
        output_image=usage.output_image if later.output_image is None else later.output_image,
        searches=usage.searches if later.searches is None else later.searches,
        tier=usage.tier if later.tier is None else later.tier,
        besides=later.besides or usage.besides,
    )


@dataclass(slots=True)
class Block:  # noqa: PLW1641  # a dataclass that changes has no hash
    """What a block has come to."""

    start: BlockStart
    """How it began."""
    pieces: list[str] = field(default_factory=list)
    """Of its text."""
    annotations: list[Annotation] = field(default_factory=list)
    """The sources that it cites, in order."""
    stop: BlockStop | None = None
    """None: it has not stopped."""

    def __eq__(self, other: object) -> bool:
        """In how many pieces the text came is not what it says."""
        if not isinstance(other, Block):
            return NotImplemented
        return (self.start, self.text, self.annotations, self.stop) == (
            other.start,
            other.text,
            other.annotations,
            other.stop,
        )

    @property
    def kind(self) -> BlockKind:
        return self.start.kind

    @property
    def tool_name(self) -> str | None:
        return self.start.tool_name

    @property
    def text(self) -> str:
        return "".join(self.pieces)

    def parts(self) -> Iterator[BlockStart | BlockDelta | Annotation | BlockStop]:
        """The block once more, its text in one piece; one that is open is stopped."""
        start = self.start
        yield start
        if text := self.text:
            yield BlockDelta(start.choice, start.index, start.kind, text)
        yield from self.annotations
        yield self.stop or BlockStop(start.choice, start.index)


@dataclass(slots=True)
class Progress:
    """What a stream has said so far: the fold of its parts, mutated by `fold` and `expect` alone."""

    head: MessageStart | None = None
    """How the answer began. None: it has not."""
    blocks: dict[tuple[int, int], Block] = field(default_factory=dict)
    """All of them in order, by choice and index."""
    open: dict[tuple[int, int], Block] = field(default_factory=dict)
    """Those that a client takes for open."""
    torn: list[Block] = field(default_factory=list)
    """Those that were open when the stream began again."""
    seen: set[int] = field(default_factory=set)
    """The choices that began."""
    finished: dict[int, Finish] = field(default_factory=dict)
    """By choice."""
    usage: Usage | None = None
    """The counts of all reports, the last ones hold. None: there was no report."""
    error: StreamError | None = None
    """The error in it. None: there was none."""
    ended: bool = False
    """The last frame came."""
    visible: bool = False
    """Something came that a client can show, run or pay for."""
    characters: int = 0
    """Of all blocks."""

    @property
    def complete(self) -> bool:
        """The stream said that it was done, be it without a last formality.

        Measured: `[DONE]` without any finish reason exists, and a finish reason without `[DONE]`.
        """
        return self.ended or (bool(self.seen) and self.seen <= self.finished.keys())

    @property
    def said(self) -> bool:
        """Whether anything in it is of an answer; frames of another shape, and pings, say nothing."""
        named = self.head is not None and bool(self.head.id or self.head.model)
        return named or bool(self.blocks or self.finished or self.usage or self.error)

    @property
    def over(self) -> bool:
        """Nothing that counts can follow: the stream said that it was done, or that it failed."""
        return self.complete or self.error is not None

    @property
    def ordered(self) -> list[Block]:
        """The blocks by choice, then by index."""
        return [self.blocks[key] for key in sorted(self.blocks)]

    @property
    def unfinished(self) -> list[int]:
        return sorted(self.seen - self.finished.keys())

    def expect(self, choices: int) -> None:
        """So many choices were asked for: where the stream broke, one that never began is unfinished too."""
        self.seen.update(range(choices))

    def fold(self, parts: Iterable[StreamPart]) -> None:
        for part in parts:
            if isinstance(part, BlockDelta):
                self._grow(part)
            else:
                self._fold(part)
                self.visible = self.visible or visible(part)

    def _grow(self, part: BlockDelta) -> None:
        """What most parts are."""
        self.seen.add(part.choice)
        if not (text := part.text):
            return
        self.characters += len(text)
        self.visible = True
        if block := self.blocks.get((part.choice, part.index)):
            block.pieces.append(text)

    def _fold(self, part: StreamPart) -> None:
        match part:
            case BlockDelta():
                self._grow(part)
            case BlockStart() | BlockStop() | Annotation():
                self._fold_block(part)
            case MessageStart():
                self._start(part)
            case ChoiceStart(choice=choice):
                self.seen.add(choice)
            case Finish(choice=choice):
                self.seen.add(choice)
                self.finished[choice] = part
            case UsageReport(usage=usage):
                self.usage = updated(self.usage, usage)
            case StreamEnd():
                self.ended = True
            case StreamError():
                self.error = self.error or part
            case Ping() | Opaque():
                pass
            case _:
                assert_never(part)

    def _fold_block(self, part: BlockStart | BlockStop | Annotation) -> None:
        block = self.blocks.get((part.choice, part.index))
        match part:
            case BlockStart():
                self._open_block(part)
            case BlockStop(choice=choice, index=index):
                self.open.pop((choice, index), None)
                if block:
                    block.stop = part
            case Annotation():
                if block:
                    block.annotations.append(part)
            case _:
                assert_never(part)

    def _start(self, part: MessageStart) -> None:
        """A second start is an upstream that began again inside one answer: what was done is void.

        Measured: the second answer numbers its blocks from 0 again. What the first left open stays open
        for the client until the second takes its number; a tool call among it was torn in two either way,
        and counts as cut if the second answer does not end properly. A proper end passes untouched.
        """
        self.torn += self.open.values()
        self.blocks = dict(self.open)
        self.finished.clear()
        self.ended = False
        self.head = part

    def _open_block(self, part: BlockStart) -> None:
        self.seen.add(part.choice)
        self.blocks[part.choice, part.index] = self.open[part.choice, part.index] = Block(part)

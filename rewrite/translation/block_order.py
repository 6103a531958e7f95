"""The blocks of one choice in the order that any client's protocol can be written in: one at a time.

A block of text ends where another begins. A tool call has its turn until its arguments are whole, and what
begins meanwhile waits; a call that is held on request goes out whole or not at all.
"""

from collections.abc import Callable, Generator, Iterator
from dataclasses import dataclass, field, replace

from protocols.model.parts import (
    CUT_SHORT,
    Annotation,
    BlockDelta,
    BlockKind,
    BlockStart,
    BlockStop,
    Finish,
    FinishReason,
    Signature,
    StreamPart,
    ToolKind,
)
from protocols.model.wirejson import NOT_JSON, encoded, load_object
from protocols.shared.arguments import NONE_GIVEN, value_of
from protocols.shared.signatures import UNSIGNED


@dataclass(slots=True)
class _Block:
    """A block of upstream's while it is open or waits for its turn."""

    start: BlockStart
    """How it began."""
    held: bool = False
    """Whether it goes out whole or not at all."""
    plain: bool = False
    """Whether its text goes out as it comes. Of a function's arguments their first character says so."""
    text: list[str] = field(default_factory=list)
    """The pieces of its text so far."""
    waiting: list[Annotation] = field(default_factory=list)
    """The annotations that came while it waited."""
    stop: BlockStop | None = None
    """Its end. None: it has not come."""

    @property
    def whole(self) -> bool:
        """Its arguments are a JSON object, so that nothing can follow in it."""
        return load_object(encoded("".join(self.text))) is not None

    def due(self, text: str) -> str:
        """What may go out of it now that `text` came. What is no object may have to become one first."""
        if not self.plain:
            text = "".join(self.text)
            of_function = self.start.kind is BlockKind.TOOL and self.start.tool_kind is ToolKind.FUNCTION
            self.plain = not self.held and (not of_function or text.lstrip().startswith("{"))
        return text if self.plain else ""


@dataclass(frozen=True, slots=True)
class _Ending:
    """A call that upstream ended without whole arguments."""

    block: _Block
    """The block of the call."""
    empty: bool
    """Whether it has no arguments at all. If not, it has half of them."""


@dataclass(frozen=True, slots=True)
class CallRules:
    """The rules for tool calls of the client's protocol and request."""

    name: Callable[[BlockStart], BlockStart]
    """The start of a tool's block under the names that the client knows."""
    hold: Callable[[BlockStart], bool]
    """Whether its call goes out whole or not at all."""
    arguments: Callable[[BlockStart, str], str | None]
    """What its text becomes; None if that is not whole."""
    tool_id: Callable[[int], str]
    """One for the n-th call that has none."""
    choices: int = 1
    """How many the client can be given."""
    at_once: bool = False
    """The client gets nothing before the end of the answer."""


@dataclass(slots=True)
class ChoiceSequencer:
    """The blocks of one choice."""

    number: int
    """That of the choice, from 0."""
    rules: CallRules
    """The rules for its tool calls."""
    current: _Block | None = None
    """The block that is going out. None: none is."""
    queue: list[_Block] = field(default_factory=list)
    """The blocks that wait for their turn, in order."""
    closed: dict[int, BlockKind] = field(default_factory=dict)
    """Upstream's indexes of blocks that were ended to begin another."""
    index: int = -1
    """That of the last block that went out. -1: none did."""
    tools: int = 0
    """How many tool calls began."""
    called: bool = False
    """Whether a tool call went out."""
    broken: str | None = None
    """The name of a call that was half of one."""
    seen: bool = False
    """The client has a part of it, or of something before it."""
    left_out: list[str] = field(default_factory=list)
    """The names of held calls that were cut."""
    unstopped: "_Ending | None" = None
    """A call that upstream ended with half of its arguments or none, until it is known what that means."""
    finish: Finish | None = None
    """What upstream said of its end. None: nothing yet."""

    # -- one part of upstream's ---------------------------------------------------------------------------

    def start(self, part: BlockStart) -> Iterator[StreamPart]:
        self.closed.pop(part.index, None)
        if part.kind is BlockKind.HOSTED:
            return  # what a provider does by itself has no form elsewhere
        block = self._named(part)
        if self.current is not None:
            yield from self._make_room()
        if self.current is None:
            yield from self._open(block)
        else:
            self.queue.append(block)

    def _named(self, part: BlockStart) -> _Block:
        if part.kind is not BlockKind.TOOL:
            return _Block(part)
        self.tools += 1
        named = self.rules.name(replace(part, tool_id=part.tool_id or self.rules.tool_id(self.tools)))
        return _Block(named, held=self.rules.hold(named))

    def delta(self, part: BlockDelta) -> Iterator[StreamPart]:
        block = self._of(part.index)
        if block is None and part.index in self.closed and part.text:
            block = yield from self._resumed(part)
        if block is None:
            return
        if block.start.kind is BlockKind.TOOL or block is not self.current:
            block.text.append(part.text)
        if block is self.current and (text := block.due(part.text)):
            yield BlockDelta(self.number, self.index, part.kind, text)

    def _resumed(self, part: BlockDelta) -> Generator[StreamPart, None, _Block | None]:
        """More of a block that was ended to begin another. A call was whole then: what is more tears it."""
        if self.closed[part.index] is BlockKind.TOOL:
            if part.text.strip():
                self.broken, self.seen = "", True
            return None
        yield from self.start(BlockStart(part.choice, part.index, part.kind))
        return self._of(part.index)

    def annotation(self, part: Annotation) -> Iterator[StreamPart]:
        block = self._of(part.index)
        if block is not None and block is self.current and not block.held:
            yield replace(part, index=self.index)
        elif block is not None:
            block.waiting.append(part)

    def stop(self, part: BlockStop) -> Iterator[StreamPart]:
        block = self._of(part.index)
        if block is None:
            yield from self._late_signature(part)
        elif block is self.current:
            yield from self._close(part.signature)
            yield from self._promote()
        else:
            block.stop = part

    def end(self) -> Iterator[StreamPart]:
        """Nothing more comes: what is open stops, what waits goes out."""
        while self.current is not None:
            yield from self._close(None)
            yield from self._promote()

    def cut(self) -> Iterator[StreamPart]:
        """Nothing more comes, and upstream did not say that it was done: of what waits, half a call is left
        out. What the client has seen the beginning of stays as it is."""
        if self.unstopped is not None and self.unstopped.block.held:
            yield from self.settle()
        while (block := self.current) is not None:
            if block.held and not block.whole:
                self.current = None
                self.left_out.append(block.start.tool_name or "")
            elif block.held or (self.queue and block.start.kind is not BlockKind.TOOL):
                yield from self._close(None)
            else:
                return
            yield from self._promote()

    @property
    def waiting(self) -> bool:
        """A call that is held is not whole yet."""
        return self.current is not None and self.current.held

    # -- one block of ours at a time ----------------------------------------------------------------------

    def _of(self, index: int) -> _Block | None:
        current = self.current
        if current is not None and current.start.index == index:
            return current
        return next((each for each in self.queue if each.start.index == index), None)

    def _make_room(self) -> Iterator[StreamPart]:
        """Text ends where something else begins; a tool call only when its arguments are whole."""
        current = self.current
        assert current is not None
        if current.start.kind is BlockKind.TOOL and not current.whole:
            return
        self.closed[current.start.index] = current.start.kind
        yield from self._close(None)
        yield from self._promote()

    def _open(self, block: _Block) -> Iterator[StreamPart]:
        self.current = block
        if block.held:
            return
        yield from self.settle()
        self.index += 1
        self.called = self.called or block.start.kind is BlockKind.TOOL
        yield replace(block.start, choice=self.number, index=self.index)
        if text := block.due("".join(block.text)):
            yield BlockDelta(self.number, self.index, block.start.kind, text)
        for annotation in block.waiting:
            yield replace(annotation, choice=self.number, index=self.index)

    def _close(self, signature: Signature | None) -> Iterator[StreamPart]:
        block, self.current = self.current, None
        assert block is not None
        if block.start.kind is BlockKind.TOOL:
            yield from self._close_tool(block)
        elif block.start.kind is BlockKind.REASONING:
            yield BlockStop(self.number, self.index, signature or UNSIGNED)
        else:
            yield BlockStop(self.number, self.index)

    def _close_tool(self, block: _Block) -> Iterator[StreamPart]:
        """A whole call stops, or goes out if it is held. What half a call or none means is seen later."""
        yield from self.settle()
        whole = self._arguments(block)
        if whole == NONE_GIVEN and not block.whole:
            self.unstopped = _Ending(block, empty=True)
        elif whole is None:
            self.broken = block.start.tool_name or ""
            out = not block.held or self.index >= 0
            self.seen = self.seen or (out and not self.rules.at_once)
            self.unstopped = _Ending(block, empty=False)
        elif block.held:
            yield from self._give(block, whole)
        else:
            if whole and not block.plain:
                yield BlockDelta(self.number, self.index, BlockKind.TOOL, whole)
            yield BlockStop(self.number, self.index)

    def _arguments(self, block: _Block) -> str | None:
        """What the client is given as the arguments of a call that ended; None: they are half of some."""
        text = "".join(block.text)
        if block.start.tool_kind is ToolKind.FUNCTION:
            if not text.strip():
                return NONE_GIVEN
            if value_of(text) is NOT_JSON:
                return None
        return text if block.plain else self.rules.arguments(block.start, text)

    def settle(self, *, whole: bool = True) -> Iterator[StreamPart]:
        """What waits stops where something follows it, and not before an error: clients run what stopped.

        A call without arguments is one with an empty object, if upstream continued after it or called it
        done (`whole`); else it was cut after its name.
        """
        ending, self.unstopped = self.unstopped, None
        if ending is None:
            return
        block, empty = ending.block, ending.empty and whole
        if block.held:
            arguments = self.rules.arguments(block.start, "{}") if empty else None
            if arguments is None:
                self.left_out.append(block.start.tool_name or "")
            else:
                yield from self._give(block, arguments)
            return
        if empty:
            yield BlockDelta(self.number, self.index, BlockKind.TOOL, "{}")
        yield BlockStop(self.number, self.index)

    def _give(self, block: _Block, text: str) -> Iterator[StreamPart]:
        yield from self.settle()
        self.index += 1
        self.called = True
        yield replace(block.start, choice=self.number, index=self.index)
        if text:
            yield BlockDelta(self.number, self.index, BlockKind.TOOL, text)
        yield BlockStop(self.number, self.index)

    def _promote(self) -> Iterator[StreamPart]:
        while self.current is None and self.queue:
            block = self.queue.pop(0)
            yield from self._open(block)
            if block.stop is not None:
                yield from self._close(block.stop.signature)

    def _late_signature(self, part: BlockStop) -> Iterator[StreamPart]:
        """A block that was ended early is signed now: a block without text carries the signature."""
        kind = self.closed.pop(part.index, None)
        if kind is not BlockKind.REASONING or part.signature in (None, UNSIGNED):
            return
        if self.current is not None:
            return  # inside another block there is no place; measured nowhere
        yield from self.settle()
        self.index += 1
        yield BlockStart(self.number, self.index, BlockKind.REASONING)
        yield BlockStop(self.number, self.index, part.signature)

    # -- how it ends --------------------------------------------------------------------------------------

    def finished(self, *, done: bool) -> Finish | None:
        """The finish that goes out; None where none was said and the stream did not say it was `done`."""
        said = self.finish
        if said is not None and self.broken is not None and said.reason not in CUT_SHORT:
            return replace(said, choice=self.number, reason=FinishReason.LENGTH, detail="")
        if said is None or (said.reason is FinishReason.OTHER and not said.native):
            return self._supplied() if done or said else None
        if said.reason is FinishReason.STOP and self.called:
            return replace(said, choice=self.number, reason=FinishReason.TOOL_CALLS)
        return said

    def _supplied(self) -> Finish:
        reason = FinishReason.TOOL_CALLS if self.called else FinishReason.STOP
        return Finish(self.number, reason, "")

    @property
    def half_a_call(self) -> str | None:
        """The name of a call that upstream calls done and that is not whole. Where the client has nothing
        yet, "length" is honest, and nobody asks again."""
        if self.finish is None and self.unstopped is not None:
            return self.unstopped.block.start.tool_name or ""
        return self.broken if self.finish is None or (self.calls_done and self.seen) else None

    @property
    def calls_done(self) -> bool:
        """Upstream said that its calls are to be run."""
        return self.finish is not None and self.finish.reason in (FinishReason.TOOL_CALLS, FinishReason.STOP)

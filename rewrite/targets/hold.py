"""Tool calls that reach a client whole or not at all, within one protocol.

Frames are read as they come. From the one in which a call opens they wait until every call that opened
since is known to be whole, and go out as the bytes that they were. A call that turns out to be cut is taken
out of the frames that waited; what else they said is kept.

A call is whole when its arguments are a JSON object, since nothing can follow in it, and when upstream
stopped it and continued or called its answer done. Where upstream ended its answer for want of room
("length") the arguments decide: providers stop the block of half a call as they stop a whole one. Some say
so under a name that clients take for an end, which becomes the protocol's "length" then. A last
frame after half a call, without any finish, does not go out: that answer was cut, and ends as such.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field, replace
from enum import Enum, auto
from typing import Protocol

from msgspec import structs

from protocols.base import Decoder, Pruner
from protocols.framing.frames import FrameWriter, frame_of
from protocols.model.errors import MalformedStream
from protocols.model.parts import (
    CUT_SHORT,
    BlockDelta,
    BlockKey,
    BlockKind,
    BlockStart,
    BlockStop,
    Finish,
    FinishReason,
    MessageStart,
    Ping,
    StreamEnd,
    StreamError,
    StreamPart,
    ToolKind,
    is_of,
    key_of,
)
from protocols.model.segment import Segment
from protocols.model.wirejson import NOT_JSON, encoded, load_object
from protocols.shared.arguments import value_of

AT_WORK = Segment(b"", parts=(Ping(working=True),))
"""What is given for a frame that waits: upstream lives."""


class HeldCalls(Protocol):
    """What is known of the calls that are held."""

    @property
    def left_out(self) -> Sequence[str]:
        """The names of those that the client did not get."""

    @property
    def under_way(self) -> bool:
        """Whether one waits to become whole."""


class _End(Enum):
    """How far upstream came with what it said: to a finish of the choice, to one that says that there was
    no room for more, to its last frame without any, to an error, or no further."""

    FINISHED = auto()
    CUT_SHORT = auto()
    DONE = auto()
    FAILED = auto()
    CUT = auto()


@dataclass(slots=True)
class _Call:
    """A call that is not known to be whole."""

    start: BlockStart
    """The part that opened it."""
    frame: int
    """The number of the frame that it opened in, counted from 1."""
    pieces: list[str] = field(default_factory=list)
    """Its arguments so far."""
    stopped: bool = False
    """Upstream stopped its block."""

    @property
    def whole(self) -> bool:
        """By its arguments. Free text does not show it."""
        text = "".join(self.pieces)
        is_json = self.start.tool_kind is ToolKind.FUNCTION and text.rstrip().endswith("}")
        return is_json and load_object(encoded(text)) is not None

    def survives(self, end: _End) -> bool:
        half = self.start.tool_kind is ToolKind.FUNCTION and value_of("".join(self.pieces)) is NOT_JSON
        match end:
            case _End.FINISHED:
                return True
            case _End.CUT_SHORT:
                return self.whole
            case _End.DONE:
                return self.whole or not half
            case _End.FAILED:
                return False
            case _End.CUT:
                return self.whole or (self.stopped and not half)


class _Calls:
    """The calls of one answer that are not known to be whole, and those that are not."""

    def __init__(self) -> None:
        self.open: dict[BlockKey, _Call] = {}
        self.cut: dict[BlockKey, str] = {}
        self._finished: set[int] = set()

    @property
    def unexplained(self) -> bool:
        """A call is cut of a choice that has no finish to say so."""
        return any(choice not in self._finished for choice, _ in self.cut)

    @property
    def cut_choices(self) -> set[int]:
        return {choice for choice, _ in self.cut}

    def note(self, part: StreamPart, frame: int) -> None:
        match part:
            case BlockStart():
                self._began(part, frame)
            case BlockDelta(kind=BlockKind.TOOL) if call := self.open.get(key_of(part)):
                call.pieces.append(part.text)
                self._check_others(key_of(part))
            case BlockDelta():
                self._check_others(key_of(part))
            case BlockStop() if call := self.open.get(key_of(part)):
                call.stopped = True
                self._settle_if(call.whole, key_of(part))
            case Finish(choice=choice, reason=reason):
                self._finished.add(choice)
                self.end(_End.CUT_SHORT if reason in CUT_SHORT else _End.FINISHED, choice)
            case StreamEnd():
                self.end(_End.DONE)
            case StreamError():
                self.end(_End.FAILED)
            case _:
                pass

    def _began(self, start: BlockStart, frame: int) -> None:
        """Upstream continued after what it stopped before."""
        for key, call in tuple(self.open.items()):
            self._settle_if(call.stopped and key[0] == start.choice, key)
        if start.kind is BlockKind.TOOL:
            self.open[key_of(start)] = _Call(start, frame)

    def _check_others(self, growing: BlockKey) -> None:
        for key, call in tuple(self.open.items()):
            self._settle_if(key != growing and call.whole, key)

    def _settle_if(self, known: bool, key: BlockKey) -> None:
        if known:
            del self.open[key]

    def end(self, end: _End, choice: int | None = None) -> None:
        """No more comes of the calls of `choice`, or of any."""
        for key, call in tuple(self.open.items()):
            if choice in (None, key[0]):
                del self.open[key]
                if not call.survives(end):
                    self.cut[key] = call.start.tool_name or ""


class HoldingDecoder:
    """See the module's docstring. A decoder whose segments carry their parts; `pruner` is one answer's."""

    def __init__(self, inner: Decoder, pruner: Pruner) -> None:
        self._inner, self._pruner = inner, pruner
        self._writer = FrameWriter()
        self._calls = _Calls()
        self._former: list[str] = []
        self._waiting: list[Segment] = []
        self._released = 0
        self._head: MessageStart | None = None
        self._unframeable = False
        self.remainder = inner.remainder

    @property
    def left_out(self) -> Sequence[str]:
        return [*self._former, *self._calls.cut.values()]

    @property
    def under_way(self) -> bool:
        return bool(self._calls.open)

    def feed(self, data: bytes) -> Sequence[Segment]:
        try:
            framed = self._inner.feed(data)
        except MalformedStream:
            self._unframeable = True
            raise
        return [new for segment in framed for new in self._taken(segment)]

    def eof(self) -> Sequence[Segment]:
        """What is whole goes out, also after bytes that could not be framed."""
        framed = () if self._unframeable else self._inner.eof()
        return [*(new for segment in framed for new in self._taken(segment)), *self._all(_End.CUT)]

    def read(self, segment: Segment) -> Sequence[StreamPart]:
        return segment.parts or ()

    def _taken(self, segment: Segment) -> Iterator[Segment]:
        parts = self._inner.read(segment)
        head = next((part for part in parts if isinstance(part, MessageStart)), None)
        if head is not None:
            yield from self._begun(head)
        self._waiting.append(structs.replace(segment, parts=parts))
        for part in parts:
            self._calls.note(part, self._released + len(self._waiting))
        yield from self._known()
        if self._waiting and not segment.idle:
            yield AT_WORK

    def _begun(self, head: MessageStart) -> Iterator[Segment]:
        """An upstream that begins again numbers its blocks from 0 again; what waits is of its first
        answer."""
        yield from self._all(_End.CUT)
        self._former += self._calls.cut.values()
        self._calls.cut.clear()
        self._head = head

    def _all(self, end: _End) -> Iterator[Segment]:
        self._calls.end(end)
        yield from self._known()

    def _known(self) -> Iterator[Segment]:
        """The frames before the one in which the first call opens that is not known to be whole."""
        first = min((call.frame for call in self._calls.open.values()), default=None)
        count = len(self._waiting) if first is None else first - self._released - 1
        ready, self._waiting = self._waiting[:count], self._waiting[count:]
        self._released += count
        for segment in ready:
            yield from self._shown(segment) if self._calls.cut else (segment,)

    def _honest(self, part: StreamPart) -> StreamPart:
        """A choice of which a call was cut has not ended as its provider says."""
        if not isinstance(part, Finish) or part.choice not in self._calls.cut_choices:
            return part
        return part if part.reason in CUT_SHORT else replace(part, reason=FinishReason.LENGTH)

    def _shown(self, segment: Segment) -> Iterator[Segment]:
        """A frame without the calls that are cut. Parts that no bytes say any more still count: an answer
        has begun also if the frame that said so is gone."""
        said, cut = segment.parts or (), self._calls.cut.keys()
        if self._calls.unexplained and any(isinstance(part, StreamEnd) for part in said):
            return
        kept = tuple(self._honest(part) for part in said if not is_of(part, cut))
        frame = frame_of(segment.raw)
        if frame is None:
            yield segment if len(kept) == len(said) else Segment(b"", parts=kept)
            return
        event = self._pruner.prune(frame.event, said, cut, self._head)
        if event is not None and any(isinstance(part, Finish) for part in said):
            event = self._pruner.short(event, self._calls.cut_choices)
        raw = b"".join(self._writer.write(frame, () if event is None else (event,)))
        if raw or kept:
            yield structs.replace(segment, raw=raw, parts=kept)

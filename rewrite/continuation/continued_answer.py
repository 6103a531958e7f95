"""The rest of an answer that was cut: what comes of an attempt that continues it, read as a part of it."""

from collections.abc import Sequence
from dataclasses import dataclass, field, replace

from protocols.base import Decoder
from protocols.model.http import Head
from protocols.model.parts import (
    BlockKind,
    BlockStart,
    MessageStart,
    Ping,
    StreamEnd,
    StreamError,
    StreamPart,
)
from protocols.model.segment import Segment
from rewrite.continuation.continuation import Line
from rewrite.continuation.splice import Splicer
from rewrite.target.reading import Reading
from rewrite.target.target import Target
from rewrite.translation.block_order import CallRules
from rewrite.translation.fitting import ToolNames
from rewrite.translation.sequence import Sequencer
from rewrite.translation.translate import Recognising

_OWN_NAMES = ToolNames(functions_only=False, flat={}, tools={})
"""Within one protocol tools are called what the client called them."""


@dataclass(slots=True)
class Rest(Reading):
    """The reading of a continuation: its progress is that of the whole line. An error in it breaks it off."""

    spliced: "SplicedDecoder" = field(kw_only=True)

    def feed(self, data: bytes) -> Sequence[Segment]:
        segments = Reading.feed(self, data)
        self._break()
        return segments

    def eof(self) -> Sequence[Segment]:
        segments = Reading.eof(self)
        self._break()
        return segments

    def _break(self) -> None:
        if self.failed and not self.malformed:
            self.malformed = f"the provider said: {self.failed.message or self.failed.type}"

    @property
    def failed(self) -> StreamError | None:
        """What the provider said of a failure."""
        return self.spliced.splicer.failed

    @property
    def repeats(self) -> bool:
        """Whether all that came was said before."""
        return self.spliced.splicer.repeats

    @property
    def first_token_is_due(self) -> bool:
        """What is repeated took its time too, and is not shown."""
        return not self.spliced.splicer.spoke

    @property
    def adds(self) -> bool:
        """Whether anything new came of it."""
        return self.spliced.splicer.added


def rest(line: Line, target: Target, head: Head) -> Rest:
    """The reading of an answer that begins with `head`. One that comes whole is sent as a stream is."""
    decoder, _ = target.upstream(head)
    spliced = SplicedDecoder(Recognising(decoder), target, line)
    calls = spliced.sequencer
    return Rest(head, spliced, line, True, target.translation, calls, progress=line.progress, spliced=spliced)


class SplicedDecoder:
    """Segments of the client's stream out of `inner`'s, a decoder of the protocol of `target`."""

    def __init__(self, inner: Decoder, target: Target, line: Line) -> None:
        self._inner, self._target, self._line = inner, target, line
        self.sequencer = _sequencer(target)
        self.splicer = Splicer(line.progress)
        self.remainder = inner.remainder

    def feed(self, data: bytes) -> Sequence[Segment]:
        return [self._spliced(segment) for segment in self._inner.feed(data) if not self.splicer.failed]

    def eof(self) -> Sequence[Segment]:
        last = [self._spliced(segment) for segment in self._inner.eof() if not self.splicer.failed]
        ending = [] if self.splicer.failed else self.sequencer.end() or self._cut()
        return [*last, self._segment(ending)] if ending else last

    def _cut(self) -> Sequence[StreamPart]:
        """What it had used counts too."""
        return [*self.sequencer.cut(), *self.sequencer.closing(())]

    def read(self, segment: Segment) -> Sequence[StreamPart]:
        return segment.parts or ()

    def _spliced(self, segment: Segment) -> Segment:
        said = self._inner.read(segment)
        self._line.acted = self._line.acted or any(_acts(part) for part in said)
        found = self._segment(self.sequencer.feed(said))
        idle = not found.raw and all(part == Ping() for part in said)
        return replace(found, idle=idle, broken=segment.garbled)

    def _segment(self, sequenced: Sequence[StreamPart]) -> Segment:
        parts = self.splicer.feed(self._target.wrapped(sequenced))
        if self.splicer.failed:
            parts = [*parts, *self.splicer.feed(self.sequencer.closing(()))]
        ends = any(isinstance(part, StreamEnd) for part in parts)
        return Segment(self._line.writer.write(parts), ends, parts=parts)


def _acts(part: StreamPart) -> bool:
    return isinstance(part, BlockStart) and part.kind is BlockKind.HOSTED


def _always(_: BlockStart) -> bool:
    return True


def _sequencer(target: Target) -> Sequencer:
    """A tool call reaches the client whole or not at all, so that a cut in one can be continued."""
    if target.translation is not None:
        return replace(target.translation, hold_tool_calls=True).sequencer()
    rules = CallRules(
        _OWN_NAMES.known_by_client,
        _always,
        _OWN_NAMES.unwrapped,
        lambda number: f"call_{target.call.id}_{number}",
    )
    return Sequencer(MessageStart("", ""), rules, lambda error: error)

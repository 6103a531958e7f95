"""The rest of an answer that was cut: what comes of an attempt that continues it, read as a part of it."""

from collections.abc import Sequence
from dataclasses import dataclass, field, replace

from msgspec import structs

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
from rewrite.continuation.continuation import ClientStream
from rewrite.continuation.splice import Splicer
from rewrite.targets.fields import AttemptFields
from rewrite.targets.reading import Reading
from rewrite.targets.target import Target
from rewrite.targets.traced import Before, noted
from rewrite.translation.answer import Recognising, Sequencer
from rewrite.translation.block_order import CallRules
from rewrite.translation.translate import ToolNames

_OWN_NAMES = ToolNames(functions_only=False, flat={}, tools={})
"""Within one protocol tools are called what the client called them."""


@dataclass(slots=True)
class ContinuedReading(Reading):
    """The reading of a continuation: its progress is that of all that the client has got. An error in it
    breaks it off."""

    spliced: "SplicedDecoder" = field(kw_only=True)
    """The decoder, which knows what is new in the answer."""

    def feed(self, data: bytes) -> Sequence[Segment]:
        segments = Reading.feed(self, data)
        self._break_off()
        return segments

    def eof(self) -> Sequence[Segment]:
        segments = Reading.eof(self)
        self._break_off()
        return segments

    def _break_off(self) -> None:
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


def continued_reading(
    client_stream: ClientStream, target: Target, head: Head, fields: AttemptFields | None = None
) -> ContinuedReading:
    """The reading of an answer that begins with `head`. One that comes whole is sent as a stream is. What it
    says goes to `fields` too."""
    decoder, _ = target.upstream(head, fields)
    before = Before(decoder) if target.trace else None
    found = _continued(client_stream, target, head, before or decoder)
    found.hear = fields.hear if fields else None
    return noted(found, before, target.trace.call) if before and target.trace else found


def _continued(client_stream: ClientStream, target: Target, head: Head, decoder: Decoder) -> ContinuedReading:
    spliced = SplicedDecoder(Recognising(decoder), target, client_stream)
    calls = spliced.sequencer
    return ContinuedReading(
        head,
        spliced,
        client_stream,
        True,
        target.translation,
        calls,
        counts=calls,
        progress=client_stream.progress,
        spliced=spliced,
    )


class SplicedDecoder:
    """Segments of the client's stream out of `inner`'s, a decoder of the protocol of `target`."""

    def __init__(self, inner: Decoder, target: Target, client_stream: ClientStream) -> None:
        self._inner, self._target, self._client_stream = inner, target, client_stream
        self.sequencer = _sequencer(target)
        self.splicer = Splicer(client_stream.progress)
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
        self._client_stream.acted = self._client_stream.acted or any(_acts(part) for part in said)
        found = self._segment(self.sequencer.feed(said))
        idle = not found.raw and all(part == Ping() for part in said)
        return structs.replace(found, idle=idle, broken=segment.garbled)

    def _segment(self, sequenced: Sequence[StreamPart]) -> Segment:
        parts = self.splicer.feed(self._target.wrapped(sequenced))
        if self.splicer.failed:
            parts = [*parts, *self.splicer.feed(self.sequencer.closing(()))]
        ends = any(isinstance(part, StreamEnd) for part in parts)
        return Segment(self._client_stream.writer.write(parts), ends, parts=parts)


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

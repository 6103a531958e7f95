"""The answer of a traced call: what was read of it, and what the client gets in its place.

A whole answer is noted once it is there. Of a stream that is more than passed on, each event that reaches the
client as another one is noted, before and after.
"""

from collections.abc import Sequence
from dataclasses import replace

from protocols.base import Decoder
from protocols.framing.whole import WholeDecoder
from protocols.model.parts import StreamPart
from protocols.model.segment import Segment
from protocols.model.wirejson import load_object
from rewrite.records.passes import CallTrace, Direction, Stage
from rewrite.targets.reading import Reading


class ParsedWhole(WholeDecoder):
    """A whole answer, which `inner` collects and reads."""

    def __init__(self, inner: WholeDecoder, trace: CallTrace) -> None:
        self._inner, self._trace = inner, trace

    def feed(self, data: bytes) -> Sequence[Segment]:
        return self._inner.feed(data)

    def eof(self) -> Sequence[Segment]:
        segments = self._inner.eof()
        for segment in segments:
            found = load_object(segment.raw)
            data = segment.raw if found is None else found
            self._trace.note("parsed_response", Direction.RESPONSE, Stage.PROXY, data)
        return segments

    def read(self, segment: Segment) -> Sequence[StreamPart]:
        return self._inner.read(segment)

    def remainder(self) -> bytes:
        return self._inner.remainder()


class Before:
    """What `inner` gives, with the bytes of all of it kept until they are taken."""

    def __init__(self, inner: Decoder) -> None:
        self._inner = inner
        self._given: list[bytes] = []
        self.read, self.remainder = inner.read, inner.remainder

    def feed(self, data: bytes) -> Sequence[Segment]:
        return self._kept(self._inner.feed(data))

    def eof(self) -> Sequence[Segment]:
        return self._kept(self._inner.eof())

    def _kept(self, segments: Sequence[Segment]) -> Sequence[Segment]:
        self._given += [segment.raw for segment in segments]
        return segments

    def take(self) -> Sequence[bytes]:
        """What was given since the last time of asking."""
        given, self._given = self._given, []
        return given


class Formatted:
    """What `made` writes for the client of that which `before` gives it."""

    def __init__(self, made: Decoder, before: Before, trace: CallTrace, *, stream: bool) -> None:
        """`stream`: the client gets one."""
        self._made, self._before, self._trace, self._stream = made, before, trace, stream
        self.read, self.remainder = made.read, made.remainder

    def feed(self, data: bytes) -> Sequence[Segment]:
        return self._noted(self._made.feed(data))

    def eof(self) -> Sequence[Segment]:
        return self._noted(self._made.eof())

    def _noted(self, segments: Sequence[Segment]) -> Sequence[Segment]:
        after = [segment.raw for segment in segments]
        if self._stream:
            self._note_events(self._before.take(), after)
        elif any(after):
            before, whole = b"".join(self._before.take()), b"".join(after)
            self._note(Direction.RESPONSE, whole, changed=whole != before)
        return segments

    def _note_events(self, before: Sequence[bytes], after: Sequence[bytes]) -> None:
        """One by one where there are as many as before."""
        if len(before) == len(after):
            pairs = [(one, new) for one, new in zip(before, after, strict=True) if one != new]
        else:
            pairs = [(b"".join(before), b"".join(after))]
        for one, new in pairs:
            self._note(Direction.STREAM, {"before": one, "after": new}, changed=True)

    def _note(self, direction: Direction, data: object, *, changed: bool) -> None:
        self._trace.note("formatted_response", direction, Stage.PROXY, data, changed=changed)


def noted[R: Reading](reading: R, before: Before, trace: CallTrace) -> R:
    """`reading`, which reads what `before` gives, with what it writes noted."""
    stream = reading.sent_as_stream or (reading.streamed and reading.gathering is None)
    return replace(reading, decoder=Formatted(reading.decoder, before, trace, stream=stream))

"""After a cut: the request for the rest of an answer, and how what comes is read as a part of the first.

The client's stream stays the one that it began as: a `Line` writes all that comes after the cut under the
ids and indexes that the client has seen, whoever the rest comes from.
"""

import re
from collections.abc import Sequence
from dataclasses import dataclass, field, replace

from protocols.base import Call, Decoder, Encoder, Head, Rendered, Segment, WireProtocol, Writer
from protocols.errors import Untranslatable
from protocols.parts import (
    BlockKind,
    BlockStart,
    MessageStart,
    Ping,
    Progress,
    StreamEnd,
    StreamError,
    StreamPart,
)
from rewrite.choices import choices_asked
from rewrite.leg import Leg
from rewrite.outcome import Kind, Outcome, Rejected
from rewrite.reading import Reading
from rewrite.sequence import Sequencer, Wishes
from rewrite.splice import Splicer, said_text
from rewrite.tool_names import ToolNames

_GO_ON = (
    "Your answer was interrupted and ended like this: {tail!r}. Go on exactly where it stopped: begin with "
    "the very next character, repeat nothing of it, and say nothing about the interruption."
)
_SMALLER = (
    "You had begun to call the tool {name!r}; that call was lost, since its arguments were not whole. Call "
    "it again with smaller pieces, in several calls if need be."
)
_TAIL = 200
_LINKED = frozenset({BlockKind.TOOL, BlockKind.HOSTED, BlockKind.MEDIA, BlockKind.REFUSAL})
"""What nothing is appended to: a call may be running already, and the rest is no text."""


def can_go_on(call: Call, protocol: WireProtocol, progress: Progress) -> bool:
    """Whether the rest can be asked for: of one answer that began, so far nothing but text and thoughts, to a
    request that sets nothing in motion at the provider, and that does not bind each answer to a form."""
    if not call.stream or call.acting or choices_asked(call) > 1 or len(progress.seen) > 1:
        return False
    if progress.head is None:
        return False
    if _has_a_form(call, protocol):
        return False
    return not progress.torn and all(block.kind not in _LINKED for block in progress.blocks.values())


def blames_the_request(outcome: Outcome) -> bool:
    """Whether the rest would be refused of any key of the provider."""
    return isinstance(outcome, Rejected) and outcome.kind in (Kind.REQUEST, Kind.BINDING)


def _has_a_form(call: Call, protocol: WireProtocol) -> bool:
    """A model that is held to a schema begins a new object. What nobody else could do is no form."""
    try:
        return protocol.ask(call).response_format is not None
    except Untranslatable as refused:
        named = re.split(r"[.\[]", refused.field, maxsplit=1)[0]
        rest = {name: value for name, value in call.body.items() if name != named}
        return len(rest) < len(call.body) and _has_a_form(replace(call, body=rest), protocol)


_OWN_NAMES = ToolNames(functions_only=False, flat={}, tools={})
"""Within one protocol tools are called what the client called them."""


@dataclass(slots=True)
class Line:
    """The stream that the client reads, across the attempts that feed it. An encoder, for what is spliced.

    `lost`: the tool call that was cut last and that the client has not seen; `acted`: a tool of the
    provider's was at work, which is not to be set to work again.
    """

    progress: Progress
    writer: Writer
    heartbeats: Encoder
    lost: str | None = None
    acted: bool = False

    def encode(self, segments: Sequence[Segment]) -> bytes:
        return b"".join([segment.raw for segment in segments])

    def resume(self, progress: Progress) -> Writer:
        return self.writer

    def close(self, parts: Sequence[StreamPart], progress: Progress) -> bytes:
        return self.writer.write(parts) if parts else b""

    def heartbeat(self) -> bytes:
        return self.heartbeats.heartbeat()


def line_of(reading: Reading) -> Line:
    """The line of a call whose first answer was cut. What it had used is known, if not told as yet, where it
    was translated."""
    progress = reading.settle()
    if isinstance(reading.calls, Sequencer):
        progress.fold(reading.calls.closing(()))
    return Line(progress, reading.encoder.resume(progress), reading.encoder)


def request(leg: Leg, call: Call, line: Line) -> Rendered | None:
    """The request of `leg` with the answer so far, and the wish for its rest; None, for the same one as
    before, where nothing was said yet, nor a call lost. Half of a character is not sent, since no provider
    takes it."""
    asked = leg.rendered or Rendered(call.target, call.body)
    said = said_text(line.progress).encode("utf-8", "ignore").decode()
    wish = _wish(said, line.lost)
    return replace(asked, body=leg.protocol.continued(asked.body, said, wish)) if wish else None


def _wish(said: str, lost: str | None) -> str:
    rest = [_GO_ON.format(tail=said[-_TAIL:])] if said.strip() else []
    call = [_SMALLER.format(name=lost)] if lost else []
    return " ".join([*rest, *call])


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


def rest(line: Line, leg: Leg, head: Head) -> Rest:
    """The reading of an answer that begins with `head`. One that comes whole is told as a stream is."""
    decoder, _ = leg.upstream(head)
    spliced = SplicedDecoder(decoder, leg, line)
    calls = spliced.sequencer
    return Rest(head, spliced, line, True, leg.translation, calls, progress=line.progress, spliced=spliced)


class SplicedDecoder:
    """Segments of the client's stream out of `inner`'s, a decoder of the protocol of `leg`."""

    def __init__(self, inner: Decoder, leg: Leg, line: Line) -> None:
        self._inner, self._leg, self._line = inner, leg, line
        self.sequencer = _sequencer(leg)
        self.splicer = Splicer(line.progress)
        self.rest = inner.rest

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
        return replace(found, idle=not found.raw and all(part == Ping() for part in said))

    def _segment(self, sequenced: Sequence[StreamPart]) -> Segment:
        parts = self.splicer.feed(self._leg.sealed(sequenced))
        if self.splicer.failed:
            parts = [*parts, *self.splicer.feed(self.sequencer.closing(()))]
        ends = any(isinstance(part, StreamEnd) for part in parts)
        return Segment(self._line.writer.write(parts), ends, parts=parts)


def _acts(part: StreamPart) -> bool:
    return isinstance(part, BlockStart) and part.kind is BlockKind.HOSTED


def _always(_: BlockStart) -> bool:
    return True


def _sequencer(leg: Leg) -> Sequencer:
    """A tool call reaches the client whole or not at all, so that a cut in one can be gone on from."""
    if leg.translation is not None:
        return replace(leg.translation, hold_tool_calls=True).sequencer()
    wishes = Wishes(
        _OWN_NAMES.known_by_client,
        _always,
        _OWN_NAMES.unwrapped,
        lambda number: f"call_{leg.call.id}_{number}",
    )
    return Sequencer(MessageStart("", ""), wishes, lambda error: error)

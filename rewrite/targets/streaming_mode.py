"""A call that is asked for the other way than its client asked: streamed in place of whole, or the reverse.

Its answer comes back as the client asked for it. Within one protocol a stream is put together natively (see
`translation.aggregate`), so that nothing of it is lost; a whole answer is written as a stream from its parts.
"""

from collections.abc import Sequence
from dataclasses import dataclass, replace

from protocols.base import Decoder, WireProtocol, editor_of
from protocols.model.call import Call, Reply
from protocols.model.errors import Fault
from protocols.model.http import Head, WireResponse
from protocols.model.parts import MessageStart, Opaque, StreamError, StreamPart, UsageReport
from protocols.model.progress import says_anything
from protocols.model.segment import Segment
from rewrite.targets.reading import Reading
from rewrite.translation.aggregate import AggregatingDecoder
from rewrite.translation.answer import Sequencer
from rewrite.translation.block_order import CallRules
from rewrite.translation.choices import MOST_CHOICES, choices_asked
from rewrite.translation.error_kinds import for_client, kind_of, message_of
from rewrite.translation.translate import translator_of

_JSON = "application/json"
_OF_THE_BODY = frozenset({"content-type", "content-length"})


@dataclass(frozen=True, slots=True)
class OtherMode:
    """How the answer of such a call is read."""

    call: Call
    """The client's."""
    protocol: WireProtocol
    """That of the client and the provider alike."""
    reply: Reply
    """What the answer is called where it is written from its parts."""

    def reading(self, head: Head, inner: Decoder, *, streamed: bool) -> Reading:
        """The answer that begins with `head` and that `inner` reads as it came, `streamed` or not. One that
        came as the client asked in spite of all passes as it is."""
        encoder = self.protocol.encoder(self.call)
        if streamed == self.call.stream:
            return Reading(head, inner, encoder, streamed)
        if streamed:
            whole = replace(head, headers=_with_type(head, _JSON))
            reader = self.protocol.decoder(self.call, whole)
            gathered = AggregatingDecoder(
                inner, editor_of(self.protocol).fold(), reader, choices_asked(self.call)
            )
            return Reading(
                whole, gathered, encoder, False, gathering=gathered, error_writer=self.error_response
            )
        decoder = StreamingDecoder(inner, self)
        sent = replace(head, headers=_with_type(head, encoder.content_type))
        return Reading(sent, decoder, encoder, False, sent_as_stream=True, error_writer=self.error_response)

    def error_response(self, error: StreamError, status: int) -> WireResponse:
        """An error inside an answer of which the client has seen nothing."""
        return self.protocol.error(Fault(status, kind_of(error, status), message_of(error)))


def _with_type(head: Head, kind: str) -> tuple[tuple[str, str], ...]:
    kept = tuple(pair for pair in head.headers if pair[0].lower() not in _OF_THE_BODY)
    return (("content-type", kind), *kept)


class StreamingDecoder:
    """A whole answer, which `inner` reads, as one segment with the stream that its writer makes of it."""

    def __init__(self, inner: Decoder, mode: OtherMode) -> None:
        self._inner, self._mode = inner, mode
        self._translator = translator_of(mode.protocol)
        self.remainder = inner.remainder

    def feed(self, data: bytes) -> Sequence[Segment]:
        return [self._written(segment) for segment in self._inner.feed(data)]

    def eof(self) -> Sequence[Segment]:
        return [self._written(segment) for segment in self._inner.eof()]

    def read(self, segment: Segment) -> Sequence[StreamPart]:
        return segment.parts or ()

    def _written(self, segment: Segment) -> Segment:
        said = self._inner.read(segment)
        start = next((part for part in said if isinstance(part, MessageStart)), None)
        if start is None or not says_anything(said):
            return Segment(
                segment.raw, parts=[part for part in said if isinstance(part, StreamError | Opaque)]
            )
        parts = self._in_order(start, said)
        reply = replace(self._mode.reply, id=start.id, model=start.model, own=True)
        raw = self._translator.writer(self._mode.call, reply).write(parts)
        return Segment(raw, last=True, parts=parts)

    def _in_order(self, start: MessageStart, said: Sequence[StreamPart]) -> list[StreamPart]:
        """Usage first: some streams begin with a part of it."""
        rules = CallRules(
            name=lambda start: start,
            hold=lambda _: True,
            arguments=lambda _, text: text,
            tool_id=lambda number: f"call_{start.id}_{number}",
            choices=MOST_CHOICES if self._translator.abilities.several_choices else 1,
            at_once=True,
        )
        sequencer = Sequencer(start, rules, for_client)
        counts = [part for part in said if isinstance(part, UsageReport)]
        others = [part for part in said if not isinstance(part, UsageReport)]
        return [*sequencer.feed([*counts, *others]), *sequencer.end(done=True)]

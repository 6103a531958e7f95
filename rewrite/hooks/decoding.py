"""Answers as a provider's hooks read them: between the framing and the adapters."""

from collections.abc import Mapping, Sequence

from protocols.base import Decoder
from protocols.framing.frames import frame_of
from protocols.framing.whole import WholeDecoder
from protocols.model.parts import StreamEnd, StreamPart, Usage, UsageReport
from protocols.model.segment import Segment
from protocols.model.wirejson import NOT_JSON, JsonObject, dump, load_object, load_value
from rewrite.adapters.chain import AdaptedDecoder
from rewrite.hooks.calling import CallHooks


def hooked(inner: Decoder, hooks: CallHooks) -> Decoder:
    """`inner`, with what its segments say read by `hooks`; `inner` itself where they read nothing of it."""
    if not (hooks.reads_parts or hooks.reads_usage):
        return inner
    if isinstance(inner, WholeDecoder):
        return HookedWhole(inner, hooks)
    return HookedStream(inner, hooks)


class HookedWhole(WholeDecoder):
    """Of an answer that comes whole."""

    def __init__(self, inner: WholeDecoder, hooks: CallHooks) -> None:
        self._inner, self._hooks = inner, hooks

    def feed(self, data: bytes) -> Sequence[Segment]:
        return self._inner.feed(data)

    def remainder(self) -> bytes:
        return self._inner.remainder()

    def eof(self) -> Sequence[Segment]:
        return [Segment(self._changed(segment.raw)) for segment in self._inner.eof()]

    def read(self, segment: Segment) -> Sequence[StreamPart]:
        body = load_object(segment.raw) if self._hooks.reads_usage else None
        said = self._inner.read(segment)
        return said if body is None else with_usage(said, self._hooks.usage(body))

    def _changed(self, body: bytes) -> bytes:
        """What is no JSON stays, and an answer is never left out."""
        value = load_value(body)
        found: object = value
        if self._hooks.lists and value is not NOT_JSON:
            found = self._hooks.listing(value)
        elif isinstance(value, Mapping):
            found = self._hooks.part(value) or value
        return body if found is value else dump(found)


class HookedStream(AdaptedDecoder):
    """Of a stream."""

    def __init__(self, inner: Decoder, hooks: CallHooks) -> None:
        def events(event: JsonObject) -> Sequence[JsonObject]:
            found = hooks.part(event)
            return () if found is None else (found,)

        super().__init__(inner, (events,))
        self._hooks = hooks

    def read(self, segment: Segment) -> Sequence[StreamPart]:
        said = super().read(segment)
        frame = frame_of(segment.raw) if self._hooks.reads_usage else None
        return said if frame is None else with_usage(said, self._hooks.usage(frame.event))


def with_usage(said: Sequence[StreamPart], usage: Usage | None) -> Sequence[StreamPart]:
    """`said`, with a report of `usage` after the others and before the end."""
    if usage is None:
        return said
    end = next((at for at, part in enumerate(said) if isinstance(part, StreamEnd)), len(said))
    return [*said[:end], UsageReport(usage), *said[end:]]

"""The adapter chain: what a config names, parsed once, and applied in its order to all that a call moves.

Requests, whole answers and the objects of a stream pass the adapters in the order of the config. What no
adapter changed keeps its bytes.
"""

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from difflib import get_close_matches
from typing import cast

from protocols.base import Decoder
from protocols.framing.frames import Frame, FrameWriter, frame_of, name_of
from protocols.framing.sse import is_event_stream
from protocols.framing.whole import WholeDecoder
from protocols.model.call import Call
from protocols.model.http import Head
from protocols.model.parts import StreamPart
from protocols.model.segment import Segment
from protocols.model.wirejson import JsonObject
from rewrite.adapters.base import Adapter, Closing, Context, Events, Factory, Options, listed
from rewrite.adapters.registry import discover
from rewrite.adapters.traced import traced
from rewrite.records.passes import Direction, Stage, TargetTrace


def parse_adapters(
    specs: Iterable[object], factories: Mapping[str, Factory] | None = None
) -> tuple[Adapter, ...]:
    """The adapters that a config names: by name, or by a mapping of `name` and its options; also only one.

    `factories`: those that exist, by name; by default those of the package. Raises ValueError, which says
    which adapter is meant, what is wrong with it and what is known.
    """
    known = discover() if factories is None else factories
    listed_specs = (specs,) if isinstance(specs, str | Mapping) else specs
    return tuple(_parsed(spec, known) for spec in listed_specs)


def _parsed(spec: object, known: Mapping[str, Factory]) -> Adapter:
    name, options = _named(spec)
    if name not in known:
        raise ValueError(f"unknown adapter {name!r}{_suggestion(name, known)}; known are {listed(known)}")
    factory = known[name]
    _check_names(factory, options)
    try:
        return factory.make(Options(options))
    except ValueError as fault:
        raise ValueError(f"adapter {name!r}: {fault}{_known_options(factory)}") from None


def _named(spec: object) -> tuple[str, Mapping[str, object]]:
    """The name and the options of a spec."""
    match spec:
        case str(name):
            return name, {}
        case {"name": str(name), **options}:
            return name, cast(Mapping[str, object], options)
        case _:
            raise ValueError(f"adapter {spec!r} is neither a name nor a mapping with a name")


def _check_names(factory: Factory, options: Mapping[str, object]) -> None:
    if factory.options is None:
        return
    for option in options:
        if option not in factory.options:
            unknown = f"unknown option {option!r}{_suggestion(option, factory.options)}"
            raise ValueError(f"adapter {factory.name!r}: {unknown}{_known_options(factory)}")


def _known_options(factory: Factory) -> str:
    match factory.options:
        case None:
            return ""
        case ():
            return "; it has no options"
        case names:
            return f"; its options are {listed(names)}"


def _suggestion(name: str, known: Iterable[str]) -> str:
    close = get_close_matches(name, list(known), n=1)
    return f" (did you mean {close[0]!r}?)" if close else ""


type Hear = Callable[[JsonObject, str], None]
"""Gets each object that a provider says before adapters change it, with the name of its event; empty: it has
none."""


@dataclass(frozen=True, slots=True)
class Chain:
    """The adapters of one route, for one call."""

    adapters: tuple[Adapter, ...]
    context: Context
    trace: TargetTrace | None = None
    """That of the target. None: the call is not traced."""

    def request(self, body: JsonObject) -> JsonObject:
        """The body that goes to the provider; the same object: untouched, as an empty one always is."""
        for adapter in self.adapters if body else ():
            before, body = body, adapter.request(body, self.context)
            if self.trace is not None:
                changed = body is not before
                self.trace.planned(f"adapter:{adapter.name}", body if changed else None, changed=changed)
        return body

    def answer(self, body: JsonObject) -> JsonObject:
        """The body of an answer that is not streamed; the same object: untouched."""
        for adapter in self.adapters:
            before, body = body, adapter.answer(body, self.context)
            if self.trace is not None:
                name, changed = f"adapter:{adapter.name}", body is not before
                data = body if changed else None
                self.trace.call.note(name, Direction.RESPONSE, Stage.PROXY, data, changed=changed)
        return body

    def decoder(self, inner: Decoder, head: Head, call: Call, hear: Hear | None = None) -> Decoder:
        """`inner`, with what its segments say adapted; `inner` itself where there is nothing to adapt.
        `hear` gets what it says before that."""
        if not self.adapters:
            return inner
        if isinstance(inner, WholeDecoder) or not (call.stream or is_event_stream(head, call)):
            return AdaptedDecoder(inner, (lambda body: (self.answer(body),),), hear)
        events = tuple(self._events())
        return AdaptedDecoder(inner, events, hear) if events else inner

    def _events(self) -> Iterator[Events]:
        for adapter in self.adapters:
            events = adapter.stream(self.context)
            if events is not None:
                yield events if self.trace is None else traced(events, adapter.name, self.trace.call)


class AdaptedDecoder:
    """A decoder whose segments come adapted: `inner` frames them and reads them once they are.

    Only a changed object is written again. `events` is asked to close before the stream's last frame where
    that holds no object (`[DONE]`, the bracket of an array), else at the end of input.
    """

    def __init__(self, inner: Decoder, events: Sequence[Events], hear: Hear | None = None) -> None:
        """`hear` gets each object as it came."""
        self._inner = inner
        self._events = events
        self._hear = hear
        self._writer = FrameWriter()
        self._last: Frame | None = None
        self._closed = False

    def feed(self, data: bytes) -> Sequence[Segment]:
        return [new for segment in self._inner.feed(data) for new in self._adapted(segment)]

    def eof(self) -> Sequence[Segment]:
        rest = [new for segment in self._inner.eof() for new in self._adapted(segment)]
        return [*rest, *self._closing()]

    def read(self, segment: Segment) -> Sequence[StreamPart]:
        return self._inner.read(segment)

    def remainder(self) -> bytes:
        return self._inner.remainder()

    def _adapted(self, segment: Segment) -> Iterator[Segment]:
        frame = frame_of(segment.raw)
        if frame is None:
            if segment.last or segment.raw.strip() == b"]":
                yield from self._closing()
            yield segment
            return
        self._last = frame
        if self._hear is not None:
            self._hear(frame.event, name_of(frame))
        units = self._writer.write(frame, _through(self._events, frame.event))
        yield from _segments(segment, units)

    def _closing(self) -> Iterator[Segment]:
        """What was held back, framed like the last object."""
        if self._closed or self._last is None:
            return
        self._closed = True
        for unit in self._writer.more(self._last, _closed(self._events)):
            yield Segment(unit)


def _through(events: Sequence[Events], event: JsonObject) -> Sequence[JsonObject]:
    """What `event` becomes, one adapter after another."""
    found: Sequence[JsonObject] = (event,)
    for adapt in events:
        found = [new for old in found for new in adapt(old)]
    return found


def _closed(events: Sequence[Events]) -> list[JsonObject]:
    """What each still holds, through those after it; each is closed after it has seen all before it."""
    due: list[JsonObject] = []
    for adapt in events:
        due = [new for old in due for new in adapt(old)]
        if isinstance(adapt, Closing):
            due += adapt.close()
    return due


def _segments(segment: Segment, units: Sequence[bytes]) -> Iterator[Segment]:
    """`units` in the place of `segment`: the last of them ends the stream if it did, and a frame without
    content is one only as long as it stays one frame."""
    if len(units) == 1:
        unchanged = units[0] == segment.raw
        yield segment if unchanged else Segment(units[0], segment.last, segment.idle)
        return
    for at, unit in enumerate(units, 1):
        yield Segment(unit, last=segment.last and at == len(units))

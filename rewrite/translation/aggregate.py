"""A stream that is gathered and given as one whole answer of the same protocol.

`Gathering` is what a call's state machine needs to know of it: how far it is, and what to give of one that
was cut for good.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Protocol

from protocols.base import Decoder, Fold
from protocols.framing.frames import frame_of, name_of
from protocols.framing.sse import parse_event
from protocols.model.errors import NO_JSON, MalformedStream
from protocols.model.parts import BlockKind, Opaque, Ping, StreamError, StreamPart
from protocols.model.progress import Progress
from protocols.model.segment import Segment
from protocols.model.wirejson import JsonObject, dump, load_object


@dataclass(slots=True)
class Signs:
    """Signs of life in what nobody sees; each counts once."""

    _alive: bool = False
    _at_work: bool = False

    def note(self, segment: Segment, said: Sequence[StreamPart]) -> None:
        """`segment` came, and `said` is what it says."""
        self._alive = self._alive or not segment.idle
        self._at_work = self._at_work or Ping(working=True) in said

    def is_alive(self) -> bool:
        """Whether more than keep-alives came since this was asked last."""
        found, self._alive = self._alive, False
        return found

    def has_worked(self) -> bool:
        """Whether the model was at work on what it does not show, since this was asked last."""
        found, self._at_work = self._at_work, False
        return found


class Gathering(Protocol):
    """A decoder that keeps a stream to itself until it is whole. `progress`: what it has said so far."""

    @property
    def progress(self) -> Progress: ...

    @property
    def signs(self) -> Signs: ...

    def partial(self) -> Segment | None:
        """A stream that was cut, ended as "length" and without a call that was cut; None: it has no text."""
        ...


def has_text(progress: Progress) -> bool:
    return any(block.kind is BlockKind.TEXT and block.text for block in progress.blocks.values())


class AggregatingDecoder:
    """The segments of `inner`, a stream's decoder, as one segment with the whole answer, which `whole` reads.

    It comes with the last frame, or at the end of input where the stream had said that it was done. A stream
    that was cut gives none, one with an error in it the error, and what made no sense is given as such.
    """

    def __init__(self, inner: Decoder, fold: Fold, whole: Decoder, choices: int = 0) -> None:
        """`choices`: how many were asked for, 0 where the request does not say."""
        self._inner, self._fold, self._whole, self._choices = inner, fold, whole, choices
        self.progress = Progress()
        self._odd: list[StreamPart] = []
        self.signs = Signs()
        self._given = False
        self.remainder = inner.remainder

    def feed(self, data: bytes) -> Sequence[Segment]:
        self._take(self._inner.feed(data))
        return self._answer() if self.progress.ended or self.progress.error else ()

    def eof(self) -> Sequence[Segment]:
        self._take(self._inner.eof())
        if not self.progress.ended:
            self.progress.expect(self._choices)
        return self._answer()

    def read(self, segment: Segment) -> Sequence[StreamPart]:
        return self._whole.read(segment) if segment.parts is None else segment.parts

    def partial(self) -> Segment | None:
        body = self._fold.whole(done=False) if has_text(self.progress) else None
        return None if body is None else Segment(dump(body), last=True)

    def _take(self, segments: Sequence[Segment]) -> None:
        for segment in segments:
            if self.progress.ended or self.progress.error:
                return
            if segment.garbled:
                raise MalformedStream(NO_JSON)
            parts = self._inner.read(segment)
            self.progress.fold(parts)
            self._odd += [part for part in parts if isinstance(part, StreamError | Opaque)]
            self.signs.note(segment, parts)
            for event, name in events_of(segment.raw):
                self._fold.feed(event, name)

    def _answer(self) -> Sequence[Segment]:
        """By its own words it is done; where frames made no sense, a bare last frame is no such word."""
        if self._given:
            return ()
        progress = self.progress
        done = progress.complete and not progress.error and (bool(progress.finished) or not self._odd)
        body = self._fold.whole(done=True) if done else None
        if body is None:
            return (Segment(b"", parts=tuple(self._odd)),) if self._odd else ()
        self._given = True
        return (Segment(dump(body), last=True),)


def events_of(raw: bytes) -> Iterator[tuple[JsonObject, str]]:
    """The JSON objects of one frame, each with the name of its event. A gateway may leave out the blank lines
    between events, so that a frame has one in each line."""
    frame = frame_of(raw)
    if frame is not None:
        yield frame.event, name_of(frame)
        return
    for line in (parse_event(raw).data or b"").split(b"\n"):
        event = load_object(line)
        if event is not None:
            yield event, ""

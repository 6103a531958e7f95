"""The answer of one attempt while it comes: framed at once, read before the commit point, later on demand;
and the gate that says when it commits."""

from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass, field, replace
from enum import Enum
from itertools import groupby
from operator import attrgetter
from typing import Protocol

from protocols.base import Decoder, Encoder, Skimmer
from protocols.framing.sse import after_event
from protocols.model.errors import NO_JSON, MalformedStream
from protocols.model.http import Head, WireResponse
from protocols.model.parts import BlockKind, Opaque, Ping, StreamError, StreamPart, Usage
from protocols.model.progress import Progress, visible
from protocols.model.segment import Segment
from protocols.model.wirejson import is_json
from rewrite.targets.hold import HeldCalls
from rewrite.translation import repair
from rewrite.translation.aggregate import Gathering
from rewrite.translation.translate import Translation
from rewrite.values.outcome import Kind, Rejected, Truncated
from rewrite.values.timeouts import Timing

NO_END = "ended without a final event"
LARGEST_UNREAD = 1 << 13
"""Bytes of frames kept unread after the commit point before they are read and let go."""
FRAME_COST = 256
"""Bytes that a frame in memory costs besides its own: a flood of blank lines is a flood of frames."""


class Counts(Protocol):
    """What the provider says of an answer that is read in another form."""

    @property
    def usage(self) -> Usage | None: ...

    @property
    def served(self) -> str: ...


_BEGINNINGS = (b"data:", b"event:", b"id:", b":", b"{", b"[")
_BETWEEN = b"[], \t\r\n"
_FOREIGN = "the provider's answer is not one of this protocol"


@dataclass(slots=True)
class Reading:
    """One answer: its frames, and what they have said so far."""

    head: Head
    """As the client gets it."""
    decoder: Decoder
    encoder: Encoder
    """Writes what the client gets."""
    streamed: bool
    """It comes as a stream, whatever was asked for."""
    translation: Translation | None = None
    calls: HeldCalls | None = None
    """What is known of tool calls that are held."""
    gathering: Gathering | None = None
    """It comes as a stream, and the client gets it whole."""
    sent_as_stream: bool = False
    """It comes whole, and the client gets a stream."""
    error_writer: Callable[[StreamError, int], WireResponse] | None = None
    """What an error in it becomes where its frames are not the client's."""
    progress: Progress = field(default_factory=Progress)
    held: list[Segment] = field(default_factory=list)
    """Frames that wait for the commit point."""
    unparsable: bool = False
    """A frame made no sense."""
    malformed: str = ""
    """Why no more of it can be framed."""
    counts: Counts | None = None
    """Knows what the provider counted where `progress` is of other answers too, or of another form. None:
    `progress` does."""
    hear: Callable[[Sequence[StreamPart]], None] | None = None
    """Gets what was read, if somebody asks for it."""
    damaged: bool = False
    """An event of it was none."""
    _frames: Callable[[bytes], Sequence[Segment]] = field(init=False)
    _at_work: bool = False
    _unread: list[Segment] = field(default_factory=list)
    """Frames that were passed on unread."""
    _unread_bytes: int = 0

    def __post_init__(self) -> None:
        self._frames = self.decoder.skim if isinstance(self.decoder, Skimmer) else self.decoder.feed

    @property
    def comes_whole(self) -> bool:
        """What the client gets is one body, not a stream."""
        return not (self.streamed or self.sent_as_stream or self.translation)

    @property
    def counted(self) -> Usage | None:
        """What the provider counted of this answer alone."""
        return self.counts.usage if self.counts else self._progress.usage

    @property
    def served(self) -> str:
        """The model that answers, as the provider names it. Empty: it names none."""
        if self.counts:
            return self.counts.served
        head = self._progress.head
        return head.model if head else ""

    @property
    def properly_ended(self) -> bool:
        """Done by its own words. Where frames made no sense, a bare last frame is no such word."""
        progress = self.progress
        says_so = bool(progress.finished) or (progress.ended and not self.unparsable)
        return says_so and progress.complete

    @property
    def adds(self) -> bool:
        """Whether what came of it is new to the client."""
        return True

    @property
    def repeats(self) -> bool:
        """Whether all that came was said before."""
        return False

    @property
    def left_out(self) -> Sequence[str]:
        """The names of the calls that were cut, of which the client got nothing."""
        return self.calls.left_out if self.calls else ()

    @property
    def call_under_way(self) -> bool:
        """A call comes that the client sees nothing of as yet."""
        return self.calls is not None and self.calls.under_way

    def feed(self, data: bytes) -> Sequence[Segment]:
        """The frames that `data` completes, or runs of them; none any more once `malformed` says why."""
        try:
            segments = () if self.malformed else self._frames(data)
        except MalformedStream as fault:
            self._break(str(fault))
            return ()
        for segment in segments:
            if segment.broken:
                return self._sound(segments)
        return segments

    def eof(self) -> Sequence[Segment]:
        """What was whole but for its end. Of what could not be framed, nothing; but what was held before."""
        holding = self.calls is not None and self.translation is None
        if self.damaged or (self.malformed and not holding):
            return ()
        try:
            segments = self.decoder.eof()
        except MalformedStream as fault:
            self._break(str(fault))
            return ()
        return self._sound(segments) if segments else ()

    def _sound(self, segments: Sequence[Segment]) -> Sequence[Segment]:
        """The frames before the first that its clients could not parse, without empty ones."""
        at = next((at for at, segment in enumerate(segments) if segment.garbled), None)
        if at is not None:
            self._break(NO_JSON)
        return [segment for segment in segments[:at] if not segment.broken]

    def _break(self, why: str) -> None:
        self.malformed, self.damaged = why, why == NO_JSON

    def hold(self, segment: Segment) -> StreamError | None:
        """Read one frame before the commit point and keep it; the error that it carries, if any."""
        parts = self._read((segment,))
        self.held.append(segment)
        error: StreamError | None = None
        for part in parts:
            if isinstance(part, StreamError):
                error = error or part
            elif isinstance(part, Opaque):
                self.unparsable = True
        return None if error is None or any(map(visible, parts)) else error

    def pass_on(self, segments: Sequence[Segment]) -> bytes:
        """The bytes of frames that go to the client unread."""
        data = joined(segments)
        self._unread += segments
        self._unread_bytes += len(data) + FRAME_COST * len(segments)
        if self._unread_bytes > LARGEST_UNREAD:
            self.settle()
        return data

    def settle(self) -> Progress:
        """Read what was passed on unread."""
        if self._unread:
            self._read(_in_runs(self._unread))
            self._unread.clear()
            self._unread_bytes = 0
        return self.progress

    @property
    def first_token_is_due(self) -> bool:
        """Whether a stream has shown nothing yet; a whole answer has no first token."""
        gathered = self.gathering.progress if self.gathering else None
        return self.streamed if gathered is None else not (gathered.visible or gathered.complete)

    def partial(self) -> bytes:
        """What was gathered of an answer that was cut for good; empty where it is nothing to report."""
        segment = self.gathering.partial() if self.gathering else None
        if segment is None:
            return b""
        self.progress.fold(self.decoder.read(segment))
        return segment.raw

    def _read(self, segments: Iterable[Segment]) -> Sequence[StreamPart]:
        parts = [part for segment in segments for part in self.decoder.read(segment)]
        self.progress.fold(parts)
        self._at_work = self._at_work or _at_work(parts)
        if self.hear is not None:
            self.hear(parts)
        return parts

    def has_worked(self) -> bool:
        """Whether what was read since the last time of asking says that the model is at work where nobody
        sees it."""
        found, self._at_work = self._at_work, False
        return self.gathering.signs.has_worked() if self.gathering else found

    def release(self) -> tuple[bytes, bool]:
        """The bytes of what was held, which go to the client now, and whether its last frame is the last."""
        held, self.held = self.held, []
        return joined(held), held[-1].last

    def answer(self) -> WireResponse:
        """What is held, as a whole answer."""
        return WireResponse(self.head.status, self.head.headers, joined(self.held), self.head.reason)

    def error_response(self, error: StreamError, status: int) -> WireResponse:
        """What is held, `error` the last of it, as an answer that the client's SDKs raise on; `status` is
        the one that the error comes to."""
        if self.translation is not None:
            return self.translation.error_response(error, status)
        if self.error_writer is not None:
            return self.error_writer(error, status)
        answer = self.answer()
        if error.native:
            return answer
        return replace(answer, body=answer.body + self.encoder.close(repair.raising(error), self.progress))

    @property
    def says_nothing(self) -> bool:
        """Whether it is no stream, and all that came of it is none of its protocol."""
        return not (self.streamed or self._progress.said)

    def came_to_nothing(self, cause: str | None) -> Rejected | Truncated:
        """What it means that it ended, by `cause` or properly, with nothing to commit."""
        if self.damaged and not cause:
            kind = Kind.SERVER if self._progress.said else Kind.FOREIGN
            return Rejected(self.head.status, kind, _FOREIGN)
        if cause or self._broke_off:
            return Truncated(cause or NO_END)
        if not self._progress.said and (self.unparsable or self._is_empty):
            return self.foreign()
        return Rejected(self.head.status, Kind.SERVER, _FOREIGN) if self.unparsable else Truncated(NO_END)

    @property
    def _progress(self) -> Progress:
        return self.gathering.progress if self.gathering else self.progress

    @property
    def _is_empty(self) -> bool:
        """Not a stream with comments alone, which was cut while its provider was at work."""
        return not (self.held or self.gathering)

    @property
    def _broke_off(self) -> bool:
        """Whether what came last began as an event or as JSON, and is none."""
        if remainder := self.decoder.remainder():
            return remainder.lstrip().startswith(_BEGINNINGS)
        last = self.held[-1].raw.strip(_BETWEEN) if self.held else b""
        return last.startswith(b"{") and not is_json(last)

    def foreign(self) -> Rejected:
        """What an answer came to that is none of its protocol."""
        return Rejected(self.head.status, Kind.FOREIGN, _FOREIGN, None, self._as_it_came())

    def _as_it_came(self) -> WireResponse | None:
        """All of it, for the client; None where it is not in the client's protocol."""
        if self.translation or self.gathering:
            return None
        answer = self.answer()
        return replace(answer, body=answer.body + self.decoder.remainder())


@dataclass(slots=True)
class Silence:
    """A silence under watch.

    What breaks it is written to `since` and sets no timer: the one that is set asks, when it fires, what is
    `left`, and is set again for that.
    """

    longest: float = 0.0
    """Seconds; 0: nobody watches."""
    since: float = 0.0
    """When it began, in seconds on the machine's clock."""

    def lasted(self, now: float) -> float:
        return now - self.since

    def left(self, now: float) -> float:
        return self.longest - self.lasted(now)


_NEVER_TWICE = frozenset({BlockKind.HOSTED, BlockKind.MEDIA})
"""What a provider's own tools did is not to be done again, and media have no characters to count."""


class Verdict(Enum):
    """What becomes of the frames that are held."""

    HOLD = "hold"
    WATCH = "watch"
    """They are held until it is known whether the answer is fast enough."""
    COMMIT = "commit"


@dataclass(slots=True)
class Gate:
    """Decides when an answer commits.

    A model that thinks where nobody sees it is no stall, so each sign of that begins the wait again. Events
    that only say that the answer was begun, pings and comments are no such sign.
    """

    token: Silence = field(default_factory=Silence)
    """The wait for the first visible part."""
    shown_at: float | None = None
    """When that part came, in seconds on the machine's clock. None: it has not."""

    def note(self, reading: Reading, now: float) -> None:
        """Some of the answer was read."""
        if reading.has_worked():
            self.token.since = now

    def shown(self, now: float) -> None:
        """Something visible came."""
        self.shown_at = now if self.shown_at is None else self.shown_at

    def judge(self, reading: Reading, timing: Timing, now: float) -> Verdict:
        """The verdict on all that is held."""
        self.note(reading, now)
        if reading.properly_ended:
            return Verdict.COMMIT
        if not reading.progress.visible:
            return Verdict.HOLD
        first = self.shown_at is None
        self.shown(now)
        if _is_enough(reading, timing):
            return Verdict.COMMIT
        return Verdict.WATCH if first else Verdict.HOLD


def _is_enough(reading: Reading, timing: Timing) -> bool:
    """Whether as much came as is asked of the whole window, or something that may not come twice; or an
    error in the same frame as a text, which nothing that follows mends."""
    progress = reading.progress
    if progress.error or progress.characters >= timing.min_throughput * timing.throughput_window:
        return True
    return any(block.kind in _NEVER_TWICE for block in progress.blocks.values())


class EventByEvent(Iterator[Segment]):
    """Segments, but the events of a run one by one."""

    def __init__(self, segments: Iterable[Segment]) -> None:
        self._segments = iter(segments)
        self._run, self._at = b"", 0
        self.taken = 0
        """How many of them were given out."""

    def __next__(self) -> Segment:
        if self._at == len(self._run):
            segment = next(self._segments)
            self._run, self._at = segment.raw if segment.run else b"", 0
            if not segment.run:
                self.taken += 1
                return segment
        self.taken += 1
        start, self._at = self._at, after_event(self._run, self._at)
        return Segment(self._run[start : self._at], run=True)

    def remainder(self) -> Sequence[Segment]:
        """What was not given out, the events of a run as one."""
        run = self._run[self._at :]
        return [*((Segment(run, run=True),) if run else ()), *self._segments]


def _at_work(parts: Iterable[StreamPart]) -> bool:
    """Whether one of `parts` says that the model is at work."""
    return any(part.working for part in parts if isinstance(part, Ping))


def _in_runs(segments: Iterable[Segment]) -> Iterator[Segment]:
    """With runs that follow one another as one."""
    for run, group in groupby(segments, attrgetter("run")):
        if run:
            yield Segment(joined(group), run=True)
        else:
            yield from group


def joined(segments: Iterable[Segment]) -> bytes:
    return b"".join([segment.raw for segment in segments])

"""The field cache at one target: what goes into its requests, and what is heard of its answers.

Answers are heard where they are read anyhow: an object that adapters parse before they change it, any other
when its parts are read, which for what passes untouched is after it has left.
"""

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field, replace

from msgspec import Struct

from protocols.base import Decoder, Editor, Fold, Skimmer
from protocols.framing.sse import after_event
from protocols.model.call import Rendered
from protocols.model.errors import Untranslatable
from protocols.model.parts import BlockKind, StreamPart
from protocols.model.progress import Progress
from protocols.model.prompt import Prompt
from protocols.model.segment import Segment
from protocols.model.wirejson import JsonObject, LazyObject
from rewrite.fields.call_fields import CallFields
from rewrite.fields.event_filter import EventFilter
from rewrite.records.passes import CallTrace, Direction, Stage, TargetTrace
from rewrite.translation.aggregate import events_of


class Draft(Struct, frozen=True):
    """A request before the field cache and the adapters."""

    written: Rendered
    """Its body, with all that its protocol asks for."""
    finish: Callable[[Rendered], Rendered | None]
    """Adapts it. None: the client's own bytes do."""
    prompt: Prompt | None = None
    """What it was written from. None: it is in the client's protocol."""
    write: Callable[[Prompt], Rendered] | None = None
    """How it was."""
    trace: TargetTrace | None = None
    """None: the call is not traced."""

    def rendered(self, fields: CallFields | None) -> Rendered | None:
        """What the provider is asked, with the values that `fields` has for it. None: the client's own bytes.

        A request that is nested deeper than can be read goes without, and so does one that could not be
        written with them.
        """
        if self.trace is not None and self.prompt is not None:
            self.trace.planned("unified_request", self.prompt, changed=True)
        if fields is None:
            return self.finish(self.written)
        try:
            written = self._from_prompt(fields)
            body = self._noted(fields, "request", written.body, fields.request(written.body))
        except (RecursionError, Untranslatable):
            return self.finish(self.written)
        return self.finish(written if body is written.body else replace(written, body=body))

    def _from_prompt(self, fields: CallFields) -> Rendered:
        if self.prompt is None or self.write is None or not fields.reads_prompt:
            return self.written
        prompt = self._noted(fields, "unified_request", self.prompt, fields.prompt(self.prompt))
        return self.written if prompt is self.prompt else self.write(prompt)

    def _noted[T](self, fields: CallFields, source: str, before: T, after: T) -> T:
        """`after`, which is what `before` came to."""
        if self.trace is not None:
            changed = after is not before
            self.trace.planned("extraction_before", {"source": source})
            self.trace.planned("extraction_after", _counts(fields))
            state = {"before": _state(before)} if changed else {}
            self.trace.planned("injection_before", {"target": source, **state})
            self.trace.planned("injection_after", after if changed else None, changed=changed)
        return after


def _state(request: object) -> object:
    """All of a request that may not be parsed yet."""
    return request.parsed() if isinstance(request, LazyObject) else request


LARGEST_ANSWER = 8 << 20
"""Bytes of a stream that are kept to be put together at its end; of a larger one `response` says nothing."""

_CALLS = frozenset({BlockKind.TOOL, BlockKind.HOSTED})


@dataclass(slots=True)
class AttemptFields:
    """The field cache of one attempt."""

    own: CallFields
    """What the attempt gave, and gets."""
    instead: Rendered | None = None
    """What is asked in place of what the target is asked otherwise. None: that."""
    editor: Editor | None = None
    """What puts a stream together. None: nothing does."""
    continues: bool = False
    """Whether its answer continues one that was cut, so that its body is no whole answer."""
    trace: CallTrace | None = None
    """None: the call is not traced."""
    _filter: EventFilter | None = field(init=False)
    _noted: JsonObject = field(default_factory=dict, init=False)
    _streamed: bool = field(default=False, init=False)
    _fold: Fold | None = field(default=None, init=False)
    _unread: list[Segment] = field(default_factory=list, init=False)
    _size: int = field(default=0, init=False)

    def __post_init__(self) -> None:
        self._filter = self.own.event_filter
        if self.trace is not None:
            self._noted = _counts(self.own)

    def listens(self, *, streamed: bool) -> bool:
        """An answer begins, `streamed` or whole; whether a rule asks for its objects as they come."""
        reads_answer = self.own.reads_answer and not self.continues
        self._streamed = streamed
        if not streamed:
            return reads_answer
        self._fold = self.editor.fold() if self.editor and reads_answer else None
        return self._fold is not None or self.own.reads_events

    @property
    def hear(self) -> Callable[[Sequence[StreamPart]], None] | None:
        """What gets the parts of an answer; None where no rule asks for them."""
        return self.own.parts if self.own.reads_parts else None

    def object(self, said: JsonObject, name: str) -> None:
        """A whole answer, or an event of that name, which was parsed for others."""
        if not self._streamed:
            self._answer(said)
            return
        if self.own.reads_events:
            self.own.event(said)
        if self._fold is not None:
            self._fold.feed(said, name)

    def segment(self, segment: Segment) -> None:
        """One that nobody else parses: it waits for the end, where it may turn out not to be needed."""
        if self.own.reads_events or not self._streamed:
            for said, name in _objects(segment):
                self.object(said, name)
        elif self._fold is not None and (self._filter is None or self._filter(segment.raw)):
            self._size += len(segment.raw)
            self._unread.append(segment)
            if self._size > LARGEST_ANSWER:
                self._unread, self._fold = [], None

    def complete(self, progress: Progress) -> None:
        """The answer has ended properly, and come to `progress`: a stream is an answer now too."""
        if self.own.reads_calls_alone and not _has_calls(progress):
            return
        if self._fold is not None:
            self._put_together(self._fold)
        self.own.answered(progress)

    def note_found(self) -> None:
        """The attempt has served the client: what was found besides is noted too."""
        if self.trace is not None and _counts(self.own) != self._noted:
            self._note(self.trace, "events and parts")

    def _put_together(self, fold: Fold) -> None:
        for segment in self._unread:
            for event, name in _objects(segment, self._filter):
                fold.feed(event, name)
        whole = fold.whole(done=True)
        if whole is not None:
            self._answer(whole)

    def _answer(self, whole: JsonObject) -> None:
        """A whole answer, or what a stream came to."""
        self.own.answer(whole)
        if self.trace is not None:
            self._note(self.trace, "response")

    def _note(self, trace: CallTrace, source: str) -> None:
        """What rules have found by now, since `source` was read."""
        self._noted = _counts(self.own)
        trace.note("extraction_before", Direction.RESPONSE, Stage.PROXY, {"source": source})
        trace.note("extraction_after", Direction.RESPONSE, Stage.PROXY, self._noted)


def _counts(fields: CallFields) -> JsonObject:
    """How many values each rule has found."""
    return {name: len(values) for name, values in fields.found.items()}


def _has_calls(progress: Progress) -> bool:
    return any(block.kind in _CALLS for block in progress.blocks.values())


# -- hearing -----------------------------------------------------------------------------------------------


def hearing(inner: Decoder, fields: AttemptFields) -> Decoder:
    """`inner`, of whose answer `fields` gets each segment when it is read."""
    return SkimmingHearer(inner, fields) if isinstance(inner, Skimmer) else HearingDecoder(inner, fields)


class HearingDecoder:
    """See `hearing`."""

    def __init__(self, inner: Decoder, fields: AttemptFields) -> None:
        self._inner, self._fields = inner, fields
        self.feed, self.eof, self.remainder = inner.feed, inner.eof, inner.remainder

    def read(self, segment: Segment) -> Sequence[StreamPart]:
        self._fields.segment(segment)
        return self._inner.read(segment)


class SkimmingHearer(HearingDecoder):
    """Of a decoder that skims."""

    def __init__(self, inner: Skimmer, fields: AttemptFields) -> None:
        super().__init__(inner, fields)
        self.skim = inner.skim


def _objects(segment: Segment, needed: EventFilter | None = None) -> Iterator[tuple[JsonObject, str]]:
    """Those of the events of a run, or of the only one, each with the event's name; with `needed` of those
    that it finds."""
    for raw in _events(segment):
        if needed is None or needed(raw):
            yield from events_of(raw)


def _events(segment: Segment) -> Iterator[bytes]:
    raw, start = segment.raw, 0
    while segment.run and start < len(raw):
        end = after_event(raw, start)
        yield raw[start:end]
        start = end
    if not segment.run:
        yield raw

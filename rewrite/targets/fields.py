"""The field cache at one target: what goes into its requests, and what is heard of its answers.

Answers are heard where they are read anyhow: an object that adapters parse before they change it, any other
when its parts are read, which for what passes untouched is after it has left.
"""

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field, replace

from protocols.base import Decoder, Editor, Fold, Skimmer
from protocols.framing.sse import after_event
from protocols.model.call import Rendered
from protocols.model.parts import StreamPart
from protocols.model.progress import Progress
from protocols.model.prompt import Prompt
from protocols.model.segment import Segment
from protocols.model.wirejson import JsonObject
from rewrite.adapters.chain import Hear
from rewrite.fields.call_fields import CallFields
from rewrite.translation.aggregate import events_of


@dataclass(frozen=True, slots=True)
class Draft:
    """A request before the field cache and the adapters."""

    written: Rendered
    """Its body, with all that its protocol asks for."""
    finish: Callable[[Rendered], Rendered | None]
    """Adapts it. None: the client's own bytes do."""
    prompt: Prompt | None = None
    """What it was written from. None: it is in the client's protocol."""
    write: Callable[[Prompt], Rendered] | None = None
    """How it was."""

    def rendered(self, fields: CallFields | None) -> Rendered | None:
        """What the provider is asked, with the values that `fields` has for it. None: the client's own bytes.

        A request that is nested deeper than can be read goes without.
        """
        if fields is None:
            return self.finish(self.written)
        try:
            written = self._from_prompt(fields)
            body = fields.request(written.body)
        except RecursionError:
            return self.finish(self.written)
        return self.finish(written if body is written.body else replace(written, body=body))

    def _from_prompt(self, fields: CallFields) -> Rendered:
        if self.prompt is None or self.write is None or not fields.reads_prompt:
            return self.written
        prompt = fields.prompt(self.prompt)
        return self.written if prompt is self.prompt else self.write(prompt)


@dataclass(slots=True)
class AttemptFields:
    """The field cache of one attempt."""

    own: CallFields
    """What the attempt gave, and gets."""
    instead: Rendered | None = None
    """What is asked in place of what the target is asked otherwise. None: that."""
    editor: Editor | None = None
    """What puts a stream together again. None: nothing does."""
    is_rest: bool = False
    """Whether its answer is the rest of one that was cut, so that its body is no whole answer."""
    _fold: Fold | None = field(default=None, init=False)

    def hears(self, *, streamed: bool) -> Hear | None:
        """What gets the objects of an answer, `streamed` or whole, as they came; None where no rule asks for
        them."""
        reads_answer = self.own.reads_answer and not self.is_rest
        if not streamed:
            return self._answer if reads_answer else None
        self._fold = self.editor.fold() if self.editor and reads_answer else None
        return self._event if self._fold or self.own.reads_events else None

    @property
    def hear(self) -> Callable[[Sequence[StreamPart]], None] | None:
        """What gets the parts of an answer; None where no rule asks for them."""
        return self.own.parts if self.own.reads_parts else None

    def _answer(self, body: JsonObject, _: str) -> None:
        self.own.answer(body)

    def _event(self, event: JsonObject, name: str) -> None:
        if self.own.reads_events:
            self.own.event(event)
        if self._fold is not None:
            self._fold.feed(event, name)

    def complete(self, progress: Progress) -> None:
        """The answer has ended properly, and come to `progress`: a stream is an answer now too."""
        whole = self._fold.whole(done=True) if self._fold else None
        if whole is not None:
            self.own.answer(whole)
        self.own.answered(progress)


# -- hearing -----------------------------------------------------------------------------------------------


def hearing(inner: Decoder, hear: Hear) -> Decoder:
    """`inner`, of whose answer `hear` gets each object when it is read."""
    return SkimmingHearer(inner, hear) if isinstance(inner, Skimmer) else HearingDecoder(inner, hear)


class HearingDecoder:
    """See `hearing`."""

    def __init__(self, inner: Decoder, hear: Hear) -> None:
        self._inner, self._hear = inner, hear
        self.feed, self.eof, self.remainder = inner.feed, inner.eof, inner.remainder

    def read(self, segment: Segment) -> Sequence[StreamPart]:
        for raw in _each(segment):
            for event, name in events_of(raw):
                self._hear(event, name)
        return self._inner.read(segment)


class SkimmingHearer(HearingDecoder):
    """Of a decoder that skims."""

    def __init__(self, inner: Skimmer, hear: Hear) -> None:
        super().__init__(inner, hear)
        self.skim = inner.skim


def _each(segment: Segment) -> Iterator[bytes]:
    """The events of a run, or the only one."""
    raw, start = segment.raw, 0
    while segment.run and start < len(raw):
        end = after_event(raw, start)
        yield raw[start:end]
        start = end
    if not segment.run:
        yield raw

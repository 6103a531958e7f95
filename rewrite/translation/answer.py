"""An answer of any provider as a client of another protocol gets it, streamed or whole.

Providers interleave parallel calls, repeat their finish, number blocks as they like, forget a finish or a
last frame. After the `Sequencer` each choice has one block open at a time, numbered from 0 (see
`block_order`); finishes and usage come once, at the end; an error is the last thing. Nothing that a
client can show is held, except a second tool call while the first one is still being written, and calls
that are held on request.

A stream is translated as it comes, one segment of the client's protocol for each of upstream's, so that
whoever holds, counts and closes segments need not know: after `TranslatingDecoder` and
`TranslatingEncoder` an answer is one of the client's own protocol.
"""

from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass, replace
from typing import assert_never

from msgspec import structs

from protocols.base import Decoder, Encoder, Translator, Writer
from protocols.model.call import Call, Reply
from protocols.model.errors import NO_JSON, MalformedStream
from protocols.model.parts import (
    Annotation,
    BlockDelta,
    BlockKind,
    BlockStart,
    BlockStop,
    ChoiceStart,
    ErrorKind,
    Finish,
    FinishReason,
    MessageStart,
    Opaque,
    Ping,
    StreamEnd,
    StreamError,
    StreamPart,
    Usage,
    UsageReport,
)
from protocols.model.progress import Progress, says_anything, updated
from protocols.model.segment import Segment
from protocols.shared.signatures import wrapped
from rewrite.translation.aggregate import Signs, has_text
from rewrite.translation.block_order import CallRules, ChoiceSequencer
from rewrite.translation.error_kinds import for_client
from rewrite.translation.repair import closing

_BEGAN_AGAIN = "the provider began its answer again in the middle of it"
_NO_ARGUMENTS = "the provider ended the tool call {name!r} without whole arguments"


class Sequencer:
    """Stateful; one for each answer. `error`: what an error of upstream's becomes."""

    def __init__(
        self, head: MessageStart, rules: CallRules, error: Callable[[StreamError], StreamError]
    ) -> None:
        self._head, self._rules, self._error = head, rules, error
        self._started = self._shown = self._over = False
        self._choices: dict[int, ChoiceSequencer] = {}
        self.usage: Usage | None = None
        """What upstream counted so far."""
        self.served = ""
        """The model that answers, as upstream names it. Empty: it has named none."""

    @property
    def complete(self) -> bool:
        """Upstream said that every choice it began is done."""
        return bool(self._choices) and all(one.finish for one in self._choices.values())

    @property
    def left_out(self) -> list[str]:
        """The names of held calls that the client did not get."""
        return [name for one in self._choices.values() for name in one.left_out]

    @property
    def under_way(self) -> bool:
        return not self._over and any(one.waiting for one in self._choices.values())

    def closing(self, parts: Iterable[StreamPart]) -> list[StreamPart]:
        """The parts that close a cut answer, with what upstream had said already: usage, some finishes."""
        said = {choice: one.finished(done=False) for choice, one in self._choices.items()}
        closed = [(said.get(p.choice) or p) if isinstance(p, Finish) else p for p in parts]
        return [UsageReport(self.usage), *closed] if self.usage else closed

    def feed(self, parts: Iterable[StreamPart]) -> list[StreamPart]:
        """The parts that go to the client for these of upstream's."""
        found: list[StreamPart] = []
        for part in parts:
            if not (self._over or self._beyond(part)):
                found.extend(self._feed(part))
        return found

    def _beyond(self, part: StreamPart) -> bool:
        """Whether it belongs to a choice that the client did not ask for, and has no place for."""
        choice = getattr(part, "choice", 0)
        return isinstance(choice, int) and choice >= self._rules.choices

    def end(self, *, done: bool = False) -> list[StreamPart]:
        """Upstream gives no more. Closed properly if it was complete, or is `done`; else nothing."""
        if self._over or not (done or self.complete):
            return []
        return list(self._end(done=done))

    def cut(self) -> list[StreamPart]:
        """Upstream broke off. What waits and is whole goes out, calls that the client wants so among it."""
        choices = () if self._over else self._choices.values()
        return [part for choice in choices for part in choice.cut()]

    def _feed(self, part: StreamPart) -> Iterator[StreamPart]:
        match part:
            case BlockStart() | BlockDelta() | BlockStop() | Annotation():
                yield from self._block(part)
            case MessageStart():
                yield from self._message(part)
            case ChoiceStart(choice=choice):
                yield from self._begin(choice)
            case Finish(choice=choice):
                yield from self._begin(choice)
                self._choices[choice].finish = part
            case UsageReport(usage=usage):
                self.usage = updated(self.usage, usage)
            case StreamEnd():
                yield from self._end(done=True)
            case StreamError():
                yield from self._failed(part)
            case Ping() | Opaque():
                yield part
            case _:
                assert_never(part)

    def _message(self, part: MessageStart) -> Iterator[StreamPart]:
        """A second start is an upstream that began again: never two answers glued together."""
        if self._shown:
            yield from self._failed(StreamError("upstream_cut", _BEGAN_AGAIN))
            return
        self.served = part.model or self.served
        if self._started:
            self._choices = {number: ChoiceSequencer(number, self._rules) for number in self._choices}
        self._head = replace(self._head, model=self._head.model or part.model)

    def _begin(self, choice: int) -> Iterator[StreamPart]:
        if not self._started:
            self._started = True
            yield self._head
            if self.usage:
                yield UsageReport(self.usage)
        if choice not in self._choices:
            self._choices[choice] = ChoiceSequencer(choice, self._rules)
            yield ChoiceStart(choice)

    def _block(self, part: BlockStart | BlockDelta | BlockStop | Annotation) -> Iterator[StreamPart]:
        yield from self._begin(part.choice)
        choice = self._choices[part.choice]
        self._shown = self._shown or isinstance(part, BlockStart | BlockDelta)
        match part:
            case BlockDelta():
                yield from choice.delta(part)
            case BlockStart():
                yield from choice.start(part)
            case BlockStop():
                yield from choice.stop(part)
            case Annotation():
                yield from choice.annotation(part)
            case _:
                assert_never(part)

    def _failed(self, error: StreamError) -> Iterator[StreamPart]:
        self._over = True
        yield self._error(error)

    def _end(self, *, done: bool) -> Iterator[StreamPart]:
        yield from self._begin(0) if not self._choices else ()
        for choice in self._choices.values():
            yield from choice.end()
        half = next((one.half_a_call for one in self._choices.values() if one.half_a_call is not None), None)
        if half is not None:
            yield from self._failed(StreamError("upstream_cut", _NO_ARGUMENTS.format(name=half)))
        elif failed := self._failure():
            yield from self._failed(failed)
        else:
            yield from self._finishes(done=done)

    def _failure(self) -> StreamError | None:
        """A finish that is none: some providers have a finish reason in the place of an error."""
        finishes = (choice.finish for choice in self._choices.values())
        failed = (one for one in finishes if one and one.reason is FinishReason.ERROR)
        words = next((f"{one.native} {one.detail}".strip() for one in failed), None)
        if words is None:
            return None
        return StreamError(ErrorKind.SERVER, f"the provider ended its answer with an error: {words}")

    def _finishes(self, *, done: bool) -> Iterator[StreamPart]:
        self._over = True
        for choice in self._choices.values():
            yield from choice.settle(whole=choice.calls_done)
        if self.usage:
            yield UsageReport(self.usage)
        for choice in self._choices.values():
            if (finish := choice.finished(done=done)) is not None:
                yield finish
        yield StreamEnd()


@dataclass(frozen=True, slots=True)
class ClientFormat:
    """How one answer is written for its client."""

    call: Call
    """As the client made it."""
    translator: Translator
    """Of the client's protocol."""
    reply: Reply
    """What the answer is called."""
    provider: str
    """The name of the one that answers, for its signatures."""
    rules: CallRules
    """The rules for tool calls."""

    def sequencer(self) -> Sequencer:
        return Sequencer(MessageStart(self.reply.id, self.reply.model), self.rules, for_client)

    def writer(self, model: str = "") -> Writer:
        """Of a stream; `model` served."""
        return self.translator.writer(self.call, named(self.reply, model))

    def body(self, progress: Progress) -> bytes:
        """Of a whole answer."""
        model = progress.head.model if progress.head else ""
        return self.translator.write_answer(self.call, named(self.reply, model), progress)


def named(reply: Reply, model: str) -> Reply:
    """What an answer is called; `model` served, and is named where the client is to read no other."""
    return reply if reply.model else replace(reply, model=model)


class TranslatingDecoder:
    """Segments of the client's protocol, each with the parts that it was written from."""

    def __init__(self, inner: Decoder, form: ClientFormat) -> None:
        self._inner, self._form = inner, form
        self.writer = form.writer()
        self.sequencer = form.sequencer()
        self.remainder = inner.remainder

    def feed(self, data: bytes) -> Sequence[Segment]:
        return [self._translated(segment) for segment in self._inner.feed(data)]

    def eof(self) -> Sequence[Segment]:
        last = [self._translated(segment) for segment in self._inner.eof()]
        ending = self.sequencer.end() or self.sequencer.cut()
        return [*last, self._segment(ending, ending)] if ending else last

    def read(self, segment: Segment) -> Sequence[StreamPart]:
        return segment.parts or ()

    def write(self, parts: Sequence[StreamPart]) -> bytes:
        """`parts` in the client's protocol. The first ones may have to say which model served."""
        for part in parts:
            if isinstance(part, MessageStart) and not self._form.reply.model:
                self.writer = self._form.writer(part.model)
        return self.writer.write(parts)

    def _translated(self, segment: Segment) -> Segment:
        said = self._inner.read(segment)
        made = self._segment(said, self.sequencer.feed(said))
        return structs.replace(made, broken=segment.garbled) if segment.broken else made

    def _segment(self, said: Sequence[StreamPart], parts: Sequence[StreamPart]) -> Segment:
        """What the client sees is what counts; but of an error, what the provider called it."""
        raw = self.write(wrapped_parts(parts, self._form.provider))
        shown = [_original(said, part) if isinstance(part, StreamError) else part for part in parts]
        idle = not raw and all(part == Ping() for part in said)
        if not shown and self.sequencer.under_way:
            shown = [Ping(working=not idle)]
        return Segment(raw, any(isinstance(part, StreamEnd) for part in parts), idle, shown)


def _original(said: Sequence[StreamPart], error: StreamError) -> StreamError:
    found = next((part for part in said if isinstance(part, StreamError)), error)
    return replace(found, native=True)


def wrapped_parts(parts: Sequence[StreamPart], provider: str) -> Sequence[StreamPart]:
    """`parts` with the signatures of `provider` in envelopes."""
    if not any(isinstance(part, BlockStop) and part.signature for part in parts):
        return parts
    return [
        replace(part, signature=wrapped(part.signature, provider))
        if isinstance(part, BlockStop) and part.signature
        else part
        for part in parts
    ]


class Recognising:
    """An answer, which `inner` reads. The end of one that has said nothing of its protocol is given as what
    makes no sense, so that nothing is written in its place."""

    def __init__(self, inner: Decoder) -> None:
        self._inner = inner
        self._recognised = False
        self.feed, self.eof, self.remainder = inner.feed, inner.eof, inner.remainder

    def read(self, segment: Segment) -> Sequence[StreamPart]:
        said = self._inner.read(segment)
        self._recognised = self._recognised or says_anything(said)
        ends = any(isinstance(part, StreamEnd) for part in said)
        return said if self._recognised or not ends else (Opaque(segment.raw),)


class TranslatingEncoder:
    """Of one answer: what a `TranslatingDecoder` wrote continues, and its writer closes it."""

    def __init__(self, decoder: TranslatingDecoder, own: Encoder) -> None:
        self._decoder, self.heartbeat, self.content_type = decoder, own.heartbeat, own.content_type

    @property
    def writer(self) -> Writer:
        """Of all that came before: it knows where it stands."""
        return self._decoder.writer

    def close(self, parts: Sequence[StreamPart], progress: Progress, *, begun: bool = False) -> bytes:
        return self._decoder.write(self._decoder.sequencer.closing(parts)) if parts else b""


class WholeTranslator:
    """An answer that the client wants whole: nothing until its end, then one segment with the client's own
    body. `progress`: what it said so far, as the client is to get it."""

    def __init__(self, inner: Decoder, form: ClientFormat) -> None:
        self._inner, self._form = inner, form
        self.sequencer = form.sequencer()
        self.progress = Progress()
        self._parts: list[StreamPart] = []
        self._odd: list[StreamPart] = []
        self.signs = Signs()
        self._begun = self._given = False
        self.remainder = inner.remainder

    def feed(self, data: bytes) -> Sequence[Segment]:
        self._take(self._inner.feed(data))
        return self._answer() if self.progress.ended or self.progress.error else ()

    def eof(self) -> Sequence[Segment]:
        self._take(self._inner.eof())
        self._fold(self.sequencer.end())
        return self._answer()

    def partial(self) -> Segment | None:
        """What came of an answer that was cut, ended as "length", without calls that were not whole."""
        if not has_text(self.progress):
            return None
        cut = [place for place, block in self.progress.open.items() if block.kind is BlockKind.TOOL]
        self._fold(self.sequencer.closing(closing(self.progress)))
        for place in cut:
            del self.progress.blocks[place]
        return Segment(self._form.body(self.progress), last=True, parts=self._parts)

    def _take(self, segments: Sequence[Segment]) -> None:
        for segment in segments:
            if segment.garbled:
                raise MalformedStream(NO_JSON)
            said = self._inner.read(segment)
            self._begun = self._begun or bool(said)
            self.signs.note(segment, said)
            self._odd += [part for part in said if isinstance(part, StreamError | Opaque)]
            self._fold(self.sequencer.feed(said))

    def _fold(self, parts: Sequence[StreamPart]) -> None:
        self._parts += parts
        self.progress.fold(wrapped_parts(parts, self._form.provider))

    def _answer(self) -> Sequence[Segment]:
        if self._given or not self._begun:
            return ()
        self._given = True
        if self.progress.error or not self.progress.complete:
            return (Segment(b"", parts=self._odd),)
        return (Segment(self._form.body(self.progress), last=True, parts=self._parts),)

    def read(self, segment: Segment) -> Sequence[StreamPart]:
        return segment.parts or ()

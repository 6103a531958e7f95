"""A call in another protocol than its client's: the request, the whole answer, the stream, the error.

A stream is translated as it comes, one segment of the client's protocol for each of upstream's, so that
whoever holds, counts and closes segments need not know: after `TranslatingDecoder` and
`TranslatingEncoder` an answer is one of the client's own protocol.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace

from protocols.base import Decoder, Encoder, Translator, WireProtocol, Writer, translator_of
from protocols.model.call import Call, Destination, Operation, Rendered, Reply
from protocols.model.errors import NO_JSON, Fault, MalformedStream, Untranslatable
from protocols.model.http import Head, Headers, WireResponse
from protocols.model.parts import (
    BlockKind,
    BlockStart,
    BlockStop,
    MessageStart,
    Opaque,
    Ping,
    StreamEnd,
    StreamError,
    StreamPart,
    ToolKind,
)
from protocols.model.progress import Progress, says_anything
from protocols.model.prompt import Prompt
from protocols.model.segment import Segment
from protocols.shared.arguments import as_object
from protocols.shared.losses import rendered, unread
from protocols.shared.signatures import wrapped
from rewrite.translation.aggregate import Signs, has_text
from rewrite.translation.block_order import CallRules
from rewrite.translation.choices import MOST_CHOICES
from rewrite.translation.error_kinds import error_of, for_client, kind_of, message_of
from rewrite.translation.fitting import Loss, ToolNames, fitted, tool_names
from rewrite.translation.repair import closing
from rewrite.translation.sequence import Sequencer

_KEPT_ANSWER_HEADERS = frozenset({"x-request-id", "request-id", "retry-after", "retry-after-ms"})
_JSON = "application/json"


@dataclass(frozen=True, slots=True)
class Translation:
    """One call between two protocols."""

    source: WireProtocol
    """The client's."""
    translator: Translator
    """Of `source`: it writes the answer."""
    target: WireProtocol
    """The provider's."""
    call: Call
    """As the client made it."""
    upstream: Call
    """The same as the provider sees it."""
    rendered: Rendered
    """What the provider is asked."""
    provider: str
    """Its name."""
    reply: Reply
    """What the answer is called."""
    names: ToolNames
    """What tools are called here and there."""
    losses: tuple[Loss, ...] = ()
    """What the provider does not get."""
    hold_tool_calls: bool = False
    """A stream gives tool calls whole or not at all."""

    def decoder(self, inner: Decoder) -> "TranslatingDecoder | WholeTranslator":
        """The client's segments out of `inner`'s, a decoder of the target's protocol."""
        if self.call.stream:
            return TranslatingDecoder(inner, self.translator.writer(self.call, self.reply), self)
        return WholeTranslator(inner, self)

    def head(self, head: Head) -> Head:
        """The head of an answer as the client gets it; of the provider's headers, those about the call."""
        stream = self.call.stream
        kind = self.client_encoder().content_type if stream else _JSON
        return replace(head, headers=(("content-type", kind), *_kept(head.headers)))

    def error(self, answer: WireResponse) -> WireResponse:
        """A rejection by the provider in the client's own form: its status, its words, its waiting time."""
        said = error_of(self.target, self.upstream, answer)
        fault = Fault(answer.status, kind_of(said, answer.status), said.message)
        own = self.source.error(fault)
        return replace(own, headers=own.headers + _kept(answer.headers), reason=answer.reason)

    def error_response(self, error: StreamError, status: int) -> WireResponse:
        """An error inside an answer of which the client has seen nothing yet."""
        return self.source.error(Fault(status, kind_of(error, status), message_of(error)))

    def called(self, model: str) -> Reply:
        """What the answer is called; `model` served, and is named where the client is to read no other."""
        return self.reply if self.reply.model else replace(self.reply, model=model)

    def client_encoder(self) -> Encoder:
        return self.source.encoder(self.call)

    def sequencer(self) -> Sequencer:
        abilities, names = self.translator.abilities, self.names

        every = abilities.whole_tool_calls or self.hold_tool_calls or not self.call.stream

        def hold(start: BlockStart) -> bool:
            return every or names.unwraps(start)

        choices = MOST_CHOICES if abilities.several_choices else 1
        at_once = not self.call.stream
        rules = CallRules(names.known_by_client, hold, self._arguments, self._tool_id, choices, at_once)
        return Sequencer(MessageStart(self.reply.id, self.reply.model), rules, for_client)

    def _arguments(self, start: BlockStart, text: str) -> str | None:
        function = start.tool_kind is ToolKind.FUNCTION
        return as_object(text) if function else self.names.unwrapped(start, text)

    def _tool_id(self, number: int) -> str:
        return f"call_{self.reply.id}_{number}"


def _kept(headers: Headers) -> Headers:
    return tuple((name.lower(), value) for name, value in headers if name.lower() in _KEPT_ANSWER_HEADERS)


def translation(
    call: Call, source: WireProtocol, target: WireProtocol, where: Destination, reply: Reply
) -> Translation:
    """`call` as `where` can be asked for it. Raises Untranslatable, naming the client's field."""
    if call.operation is not Operation.GENERATE:
        raise Untranslatable(
            call.operation.value,
            f"{source.name} has it in its own form, and {target.name} cannot be asked for it",
        )
    reader, writer = translator_of(source), translator_of(target)
    prompt, losses = fitted(reader.read_request(call), writer.abilities, where.provider)
    names = tool_names(prompt, functions_only=not writer.abilities.custom_tools)
    losses += names.lost
    prompt = replace(names.fitted(prompt), model=where.model)
    request = rendered(writer, prompt, where)
    losses += tuple(_of_this_request(prompt, where, request))
    losses = _once((*losses, *(Loss(name, why) for name, why in unread(call, reader.abilities))))
    upstream = replace(
        call,
        protocol=target.name,
        model=where.model,
        stream=prompt.stream,
        body=request.body,
        target=request.path,
    )
    return Translation(source, reader, target, call, upstream, request, where.provider, reply, names, losses)


def _of_this_request(prompt: Prompt, where: Destination, rendered: Rendered) -> Iterator[Loss]:
    """What the protocol can say, and this model or this combination has no place for."""
    yield from (Loss(name, why) for name, why in rendered.losses)
    thinks = prompt.thinking is not None and not prompt.thinking.off
    if thinks and where.thinking == "none" and "thinking" not in dict(rendered.losses):
        yield Loss("thinking", "the model does not think")


def _once(losses: Sequence[Loss]) -> tuple[Loss, ...]:
    """Each field by what was reported of it first."""
    found: dict[str, Loss] = {}
    for loss in losses:
        found.setdefault(loss.field, loss)
    return tuple(found.values())


class TranslatingDecoder:
    """Segments of the client's protocol, each with the parts that it was written from."""

    def __init__(self, inner: Decoder, writer: Writer, translation: Translation) -> None:
        self._inner, self.writer, self._translation = inner, writer, translation
        self.sequencer = translation.sequencer()
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
        one = self._translation
        for part in parts:
            if isinstance(part, MessageStart) and not one.reply.model:
                self.writer = one.translator.writer(one.call, one.called(part.model))
        return self.writer.write(parts)

    def _translated(self, segment: Segment) -> Segment:
        said = self._inner.read(segment)
        made = self._segment(said, self.sequencer.feed(said))
        return replace(made, broken=segment.garbled) if segment.broken else made

    def _segment(self, said: Sequence[StreamPart], parts: Sequence[StreamPart]) -> Segment:
        """What the client sees is what counts; but of an error, what the provider called it."""
        raw = self.write(wrapped_parts(parts, self._translation.provider))
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

    def encode(self, segments: Sequence[Segment]) -> bytes:
        return b"".join([segment.raw for segment in segments])

    @property
    def writer(self) -> Writer:
        """Of all that came before: it knows where it stands."""
        return self._decoder.writer

    def close(self, parts: Sequence[StreamPart], progress: Progress) -> bytes:
        return self._decoder.write(self._decoder.sequencer.closing(parts)) if parts else b""


class WholeTranslator:
    """An answer that the client wants whole: nothing until its end, then one segment with the client's own
    body. `progress`: what it said so far, as the client is to get it."""

    def __init__(self, inner: Decoder, translation: Translation) -> None:
        self._inner, self._translation = inner, translation
        self.sequencer = translation.sequencer()
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
        return Segment(self._body(), last=True, parts=self._parts)

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
        self.progress.fold(wrapped_parts(parts, self._translation.provider))

    def _answer(self) -> Sequence[Segment]:
        if self._given or not self._begun:
            return ()
        self._given = True
        if self.progress.error or not self.progress.complete:
            return (Segment(b"", parts=self._odd),)
        return (Segment(self._body(), last=True, parts=self._parts),)

    def _body(self) -> bytes:
        one = self._translation
        model = self.progress.head.model if self.progress.head else ""
        return one.translator.write_answer(one.call, one.called(model), self.progress)

    def read(self, segment: Segment) -> Sequence[StreamPart]:
        return segment.parts or ()

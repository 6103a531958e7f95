"""Parts to answers of the protocol: the end of a cut stream, a stream for parts of another, a whole answer.

Losses: what a hosted tool of another provider did is left out, as are refusals as such (they become text),
log probabilities, and the places in a text that a source belongs to (the source itself stays).
"""

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass

from protocols.base import Encoder
from protocols.framing.json_array import END, first_item, next_item
from protocols.gemini_generate.error_words import FINISH_WORDS, error_object
from protocols.gemini_generate.request_forms import SSE_QUERY, in_envelope
from protocols.model.call import Call, Reply
from protocols.model.parts import (
    Annotation,
    BlockDelta,
    BlockKind,
    BlockStart,
    BlockStop,
    Finish,
    StreamEnd,
    StreamError,
    StreamPart,
    Usage,
    UsageReport,
)
from protocols.model.progress import Progress
from protocols.model.wirejson import NOT_JSON, JsonObject, dump, given, text_at
from protocols.shared.arguments import value_of, within

_STREAM_METHOD = ":streamGenerateContent"
_EMPTY_TEXT: JsonObject = {"text": ""}


@dataclass(frozen=True, slots=True)
class Form:
    """How a client reads an answer."""

    array: bool = False
    """Whether it comes as items of an array. If not, as events."""
    enveloped: bool = False
    """Whether each item is in an envelope, as Code Assist's are."""

    @property
    def content_type(self) -> str:
        return "application/json" if self.array else "text/event-stream"

    def chunk(self, value: JsonObject, *, first: bool) -> bytes:
        return self.frame({"response": value} if self.enveloped else value, first=first)

    def frame(self, value: JsonObject, *, first: bool) -> bytes:
        """One unit of the stream. Measured: clients need the space after `data:`, know of no event's name
        and no comment, and providers end lines with CRLF."""
        if self.array:
            return first_item(value) if first else next_item(value)
        return b"data: " + dump(value) + b"\r\n\r\n"

    def end(self, *, empty: bool = False) -> bytes:
        """What ends a stream; of events there is nothing that does."""
        return (b"[" + END if empty else END) if self.array else b""


def _form_of(call: Call) -> Form:
    """A stream that is asked for without `alt=sse` comes as an array."""
    path, _, query = call.target.partition("?")
    array = path.endswith(_STREAM_METHOD) and SSE_QUERY not in query.split("&")
    return Form(array, in_envelope(call.target))


class GeminiEncoder(Encoder):
    """More chunks come with the stream's own id, model and last counts."""

    def __init__(self, call: Call) -> None:
        self._form = _form_of(call)

    @property
    def content_type(self) -> str:
        return self._form.content_type

    def close(self, parts: Sequence[StreamPart], progress: Progress, *, begun: bool = False) -> bytes:
        begun = begun or progress.head is not None
        return ResumedGeminiWriter(self._form, progress, begun=begun).write(parts)

    def heartbeat(self) -> bytes:
        """Measured: a bare newline is the one form that every client of events survives. For an array none
        is proven."""
        return b"" if self._form.array else b"\n"


def writer(call: Call, reply: Reply) -> "GeminiWriter":
    return GeminiWriter(_form_of(call), _names(reply))


def resumed_writer(call: Call, progress: Progress) -> "ResumedGeminiWriter":
    return ResumedGeminiWriter(_form_of(call), progress, begun=progress.head is not None)


def candidate(
    choice: int, parts: Sequence[JsonObject], word: str | None = None, sources: Sequence[JsonObject] = ()
) -> dict[str, object]:
    """One candidate of a chunk; `word`: how it ended, `sources`: what it cites."""
    content = {"parts": parts, "role": "model"}
    grounding = {"groundingChunks": sources} if sources else None
    return given(content=content, finishReason=word, index=choice, groundingMetadata=grounding)


class CandidateParts:
    """The blocks of one choice to parts of its content, as they come.

    A signature is put on the next text or call; with none to come, on an empty text. `sources`: what its
    texts cite;
    `word`: how it ended.
    """

    def __init__(self, choice: int) -> None:
        self.choice = choice
        self.sources: list[JsonObject] = []
        self.word: str | None = None
        self._signature = ""
        self._call: BlockStart | None = None
        self._arguments: list[str] = []

    def feed(self, part: StreamPart) -> Iterator[JsonObject]:
        match part:
            case BlockStart():
                yield from self._start(part)
            case BlockDelta(kind=BlockKind.TOOL, text=text):
                self._arguments.append(text)
            case BlockDelta(kind=kind, text=text) if text:
                yield from self._text(kind, text)
            case BlockStop():
                yield from self._stop(part)
            case Annotation(url=url, title=title):
                self.sources.append({"web": {"uri": url, "title": title}})
            case Finish(reason=reason):
                self.word = FINISH_WORDS[reason]
            case _:
                pass

    def flush(self) -> list[JsonObject]:
        """A signature that still waits, where nothing comes that could bear it."""
        return [self._signed(_EMPTY_TEXT)] if self._signature else []

    def _start(self, part: BlockStart) -> Iterator[JsonObject]:
        if part.kind is BlockKind.TOOL:
            self._call = part
            self._arguments.clear()
        elif part.kind is BlockKind.REASONING:
            yield from self.flush()
        elif part.kind is BlockKind.MEDIA and (media := _media(part.payload or {})):
            yield from self.flush()
            yield media

    def _text(self, kind: BlockKind, text: str) -> Iterator[JsonObject]:
        match kind:
            case BlockKind.REASONING:
                yield {"text": text, "thought": True}
            case BlockKind.TEXT | BlockKind.REFUSAL:
                yield self._signed({"text": text})
            case _:
                pass

    def _stop(self, part: BlockStop) -> Iterator[JsonObject]:
        """A call whose arguments are no JSON was cut, and is left out: the form has no half of one."""
        if part.signature:
            self._signature = part.signature.value
        if self._call is None:
            return
        call, self._call = self._call, None
        arguments = value_of(within("".join(self._arguments)))
        if arguments is not NOT_JSON:
            function = given(id=call.tool_id, name=call.tool_name, args=arguments)
            yield self._signed({"functionCall": function})

    def _signed(self, part: JsonObject) -> JsonObject:
        signature, self._signature = self._signature, ""
        return {**part, "thoughtSignature": signature} if signature else part


def _media(payload: Mapping[str, object]) -> JsonObject | None:
    """What has neither data nor address cannot be shown."""
    kind = text_at(payload, "media_type") or None
    if data := text_at(payload, "data"):
        return {"inlineData": given(mimeType=kind, data=data)}
    if url := text_at(payload, "url"):
        return {"fileData": given(mimeType=kind, fileUri=url)}
    return None


class GeminiWriter:
    """A stream of the protocol: one chunk for each part that shows, and one that ends all candidates."""

    def __init__(self, form: Form, names: JsonObject) -> None:
        """`names`: the fields that every chunk repeats."""
        self._form = form
        self._names = names
        self._candidates: dict[int, CandidateParts] = {}
        self._usage: Usage | None = None
        self._begun = self._over = False

    def write(self, parts: Sequence[StreamPart]) -> bytes:
        """Nothing follows an error, which closes an array."""
        return b"".join([frame for part in parts if not self._over for frame in self._write(part)])

    def _write(self, part: StreamPart) -> Iterator[bytes]:
        match part:
            case BlockStart() | BlockDelta() | BlockStop() | Annotation() | Finish():
                one = self._candidate(part.choice)
                for shown in one.feed(part):
                    yield self._chunk([candidate(one.choice, [shown])])
            case UsageReport(usage=usage):
                self._usage = usage
            case StreamError():
                self._over = True
                yield self._frame(error_object(part)) + self._form.end()
            case StreamEnd():
                yield from self._end()
            case _:
                pass

    def _end(self) -> Iterator[bytes]:
        yield self._chunk([_ended(one) for one in self._candidates.values()])
        yield self._form.end()

    def _candidate(self, choice: int) -> CandidateParts:
        return self._candidates.setdefault(choice, CandidateParts(choice))

    def _chunk(self, candidates: Sequence[JsonObject]) -> bytes:
        value = _response(candidates, self._usage, self._names)
        first, self._begun = not self._begun, True
        return self._form.chunk(value, first=first)

    def _frame(self, value: JsonObject) -> bytes:
        first, self._begun = not self._begun, True
        return self._form.frame(value, first=first)


class ResumedGeminiWriter(GeminiWriter):
    """The rest of a stream of which `progress` was seen, under its own names."""

    def __init__(self, form: Form, progress: Progress, *, begun: bool) -> None:
        super().__init__(form, progress.head.template if progress.head else {})
        self._usage = progress.usage
        self._begun = begun

    def _end(self) -> Iterator[bytes]:
        """Candidates that ended before lack nothing."""
        ended = [_ended(one) for one in self._candidates.values() if one.word]
        if ended:
            yield self._chunk(ended)
        yield self._form.end(empty=not self._begun)


def _names(reply: Reply) -> JsonObject:
    return {"modelVersion": reply.model, "responseId": reply.id}


def _ended(one: CandidateParts) -> JsonObject:
    return candidate(one.choice, one.flush() or [_EMPTY_TEXT], one.word, one.sources)


def _response(candidates: Sequence[JsonObject], usage: Usage | None, names: JsonObject) -> JsonObject:
    counts = given(usageMetadata=_usage(usage) if usage else None)
    return {"candidates": candidates, **counts, **names}


def write_answer(call: Call, reply: Reply, progress: Progress) -> bytes:
    """The body of an answer that is not streamed."""
    candidates = [_whole_candidate(choice, progress) for choice in sorted(progress.seen)]
    response = _response(candidates, progress.usage, _names(reply))
    return dump({"response": response} if _form_of(call).enveloped else response)


def _whole_candidate(choice: int, progress: Progress) -> JsonObject:
    one = CandidateParts(choice)
    said = [
        part for key in sorted(progress.blocks) if key[0] == choice for part in progress.blocks[key].parts()
    ]
    parts = [*_fed(one, said)]
    if choice in progress.finished:
        parts += _fed(one, [progress.finished[choice]])
    return candidate(choice, [*parts, *one.flush()], one.word, one.sources)


def _fed(one: CandidateParts, said: Iterable[StreamPart]) -> list[JsonObject]:
    return [shown for part in said for shown in one.feed(part)]


def _usage(usage: Usage) -> dict[str, object]:
    """Loss: writes to a cache and tokens of hosted tools are in the prompt's count, without their own."""
    reasoning = usage.reasoning or None
    answer = None if usage.output is None else usage.output - (reasoning or 0)
    return given(
        promptTokenCount=usage.input,
        candidatesTokenCount=answer,
        totalTokenCount=usage.input if usage.output is None else (usage.input or 0) + usage.output,
        cachedContentTokenCount=usage.cache_read or None,
        thoughtsTokenCount=reasoning,
    )

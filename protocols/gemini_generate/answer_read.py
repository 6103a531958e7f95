"""Answers of the protocol to parts: the chunks of a stream, and whole answers, which are one chunk.

Measured over recorded streams: thoughts, texts and calls are parts of one list that continues from chunk to
chunk; a call comes whole (or as `partialArgs`, see `partial`), several parts are parallel calls; a
signature stands on what it signs, at times on an empty text at the end. `finishReason` comes last and
once, from older models on every chunk; `usageMetadata` on every chunk, cumulative. An error is a chunk
`{"error": ...}`, from Vertex also a bare JSON object between the events.
"""

import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace

from protocols.framing.sse import Event, SseDecoder, parse_event
from protocols.gemini_generate.answer_read_arguments import PartialArguments
from protocols.gemini_generate.error_words import FINISH_REASONS, error_code
from protocols.model.parts import (
    Annotation,
    BlockDelta,
    BlockKind,
    BlockStart,
    BlockStop,
    ChoiceStart,
    Finish,
    FinishReason,
    MessageStart,
    Opaque,
    Ping,
    Signature,
    StreamEnd,
    StreamError,
    StreamPart,
    Usage,
    UsageReport,
)
from protocols.model.progress import visible
from protocols.model.segment import Segment
from protocols.model.wirejson import (
    JsonObject,
    count_at,
    dump,
    load_object,
    object_at,
    objects_at,
    stream_error,
    text_at,
    used_at,
)
from protocols.shared.costs import COST_FIELDS, stated_cost
from protocols.shared.tiers import tier_of

SIGNATURE = "signature"
"""The form of a signature that was a `thoughtSignature`."""

_NO_LAST_FRAME = b"\0"
_PLAIN = re.compile(rb"(?>data: [^\r\n]*(?>\r\n|\n|\r))*(?>\r\n|\n|\r)?")
"""What Google's SDKs read: lines of data, and a blank one."""

_KNOWN = frozenset({"candidates", "promptFeedback", "usageMetadata", "modelVersion", "responseId"})
_TEMPLATE = ("modelVersion", "createTime", "responseId")
_UNSAID = "FINISH_REASON_UNSPECIFIED"
_PLAIN_PART = frozenset({"text", "thought", "thoughtSignature", "partMetadata", "videoMetadata"})


class EventDecoder(SseDecoder):
    """Events of a stream; nothing says that one is the last. A bare error object is an event too.

    Measured: Google's SDKs take every line but `data: ...` for JSON, comments and names of events too, and
    raise. An event is passed on without such lines; a blank line takes the place of what is no event.
    """

    def __init__(self) -> None:
        super().__init__(_NO_LAST_FRAME, ChunkReader().read_event)

    def _is_plain(self, event: bytes) -> bool:
        return _PLAIN.fullmatch(event + b"\n") is not None and super()._is_plain(event)

    def _segment(self, raw: bytes) -> Segment:
        if _PLAIN.fullmatch(raw) or _begins_json(raw):
            return super()._segment(raw)
        data = parse_event(raw).data
        if data is None:
            return Segment(b"\n", idle=True)
        return super()._segment(b"".join(b"data: %s\n" % line for line in data.split(b"\n")) + b"\n")

    def eof(self) -> list[Segment]:
        """Also what is whole and no event by its form: a bare object, and chunks without blank lines."""
        framed = super().eof()
        remainder = self.remainder()
        ending = None if framed else _missing_end(remainder)
        if ending is None:
            return framed
        self._buffer.clear()
        return [Segment(remainder + ending)]


def _bare_object(raw: bytes) -> JsonObject | None:
    return load_object(raw) if _begins_json(raw) else None


def _begins_json(raw: bytes) -> bool:
    return raw.lstrip().startswith(b"{")


def _missing_end(remainder: bytes) -> bytes | None:
    """What the last bytes of a stream lack to be read; None where they are half of something. An object that
    is none of the protocol is passed on as it came."""
    bare = _bare_object(remainder)
    if bare is not None and not bare.keys() & {*_KNOWN, "error", "response"}:
        return b""
    if bare is None and not _line_objects(parse_event(remainder).data or b""):
        return None
    return b"\n" if remainder.endswith(b"\n") else b"\n\n"


def _line_objects(data: bytes) -> Sequence[JsonObject]:
    """The objects of an event that has one in each line, or none. A gateway may leave out blank lines: SDKs
    read the stream line by line."""
    found = [load_object(line) for line in data.split(b"\n")]
    return () if None in found else [each for each in found if each is not None]


class ChunkReader:
    """The chunks of one answer to parts; keeps what the chunks need to know of each other."""

    def __init__(self) -> None:
        self._started = False
        self._candidates: dict[int, CandidateReader] = {}
        self._thought = 0

    def read_event(self, event: Event, raw: bytes) -> Sequence[StreamPart]:
        if event.data is None:
            chunk = _bare_object(raw)
            return (Ping(),) if chunk is None else self.read(chunk)
        chunk = load_object(event.data)
        chunks = _line_objects(event.data) if chunk is None else (chunk,)
        return [part for each in chunks for part in self.read(each)] if chunks else (Opaque(raw),)

    def read(self, chunk: JsonObject) -> Sequence[StreamPart]:
        """The parts of one chunk, in Code Assist's envelope or bare; Opaque if it is none."""
        inner = chunk
        if not chunk.keys() & _KNOWN and isinstance(chunk.get("response"), dict):
            inner = object_at(chunk, "response")
        if chunk.get("error"):
            return (_error(chunk["error"]),)
        if not inner.keys() & _KNOWN:
            return (Opaque(dump(chunk)),)
        parts = list(self._read(inner))
        works = self._works(inner) and not any(map(visible, parts))
        return [*parts, Ping(working=True)] if works else parts

    def _works(self, chunk: JsonObject) -> bool:
        """Whether the model thinks: its thoughts are counted further, or come where nobody can read them."""
        count = count_at(object_at(chunk, "usageMetadata"), "thoughtsTokenCount") or 0
        before, self._thought = self._thought, max(self._thought, count)
        contents = (object_at(candidate, "content") for candidate in objects_at(chunk, "candidates"))
        return self._thought > before or any(
            part.get("thought") is True or bool(part.get("thoughtSignature"))
            for content in contents
            for part in objects_at(content, "parts")
        )

    def _read(self, chunk: JsonObject) -> Iterator[StreamPart]:
        if not self._started:
            self._started = True
            yield _message_start(chunk)
        candidates = objects_at(chunk, "candidates")
        for candidate in candidates:
            yield from self._candidate(count_at(candidate, "index") or 0).read(candidate)
        feedback = object_at(chunk, "promptFeedback")
        if not candidates and (reason := text_at(feedback, "blockReason")):
            yield from self._candidate(0).blocked(reason, text_at(feedback, "blockReasonMessage"))
        if usage := _usage(object_at(chunk, "usageMetadata")):
            yield UsageReport(usage)

    def _candidate(self, index: int) -> "CandidateReader":
        return self._candidates.setdefault(index, CandidateReader(index))


def read_whole(body: JsonObject) -> Sequence[StreamPart]:
    """An answer that is not streamed: of a generation all its blocks, of any other operation its end."""
    parts = ChunkReader().read(body)
    if any(isinstance(part, StreamError) for part in parts):
        return parts
    return [*(part for part in parts if not isinstance(part, Opaque | Ping)), StreamEnd()]


def _error(error: object) -> StreamError:
    found = stream_error(error)
    code = error_code(error) if isinstance(error, dict) else None
    return replace(found, code=code or found.code)


def _message_start(chunk: JsonObject) -> MessageStart:
    template = {key: chunk[key] for key in _TEMPLATE if key in chunk}
    return MessageStart(text_at(chunk, "responseId"), text_at(chunk, "modelVersion"), template)


class CandidateReader:
    """The parts of one candidate to blocks: a text or a thought continues until something else comes."""

    def __init__(self, choice: int) -> None:
        self._choice = choice
        self._begun = self._called = False
        self._index = -1
        self._kind: BlockKind | None = None
        self._partial: PartialArguments | None = None
        self._cited: set[tuple[str, str]] = set()

    def read(self, candidate: JsonObject) -> Iterator[StreamPart]:
        """Sources belong to the text before the last signature, which may stand on an empty text."""
        yield from self._begin()
        parts = objects_at(object_at(candidate, "content"), "parts")
        last = len(parts) - 1 if parts and _is_bare_signature(parts[-1]) else len(parts)
        for part in parts[:last]:
            yield from self._part(part)
        yield from self._sources(candidate)
        for part in parts[last:]:
            yield from self._part(part)
        word = text_at(candidate, "finishReason")
        if word and word != _UNSAID:
            yield from self._finish(word, text_at(candidate, "finishMessage"))

    def blocked(self, reason: str, message: str) -> Iterator[StreamPart]:
        """The prompt was refused, and there is no candidate."""
        yield from self._begin()
        yield Finish(self._choice, FinishReason.CONTENT_FILTER, reason, message)

    def _begin(self) -> Iterator[StreamPart]:
        if not self._begun:
            self._begun = True
            yield ChoiceStart(self._choice)

    def _finish(self, word: str, message: str) -> Iterator[StreamPart]:
        """May come again: whoever needs one takes the last. A call that was cut short stays half."""
        reason = FINISH_REASONS.get(word, FinishReason.OTHER)
        yield from self._close(whole=reason is FinishReason.STOP)
        if reason is FinishReason.STOP and self._called:
            reason = FinishReason.TOOL_CALLS
        yield Finish(self._choice, reason, word, message)

    # -- parts of the content -----------------------------------------------------------------------------

    def _part(self, part: JsonObject) -> Iterator[StreamPart]:
        signature = text_at(part, "thoughtSignature")
        if isinstance(part.get("functionCall"), dict):
            yield from self._function_call(object_at(part, "functionCall"), signature)
        elif part.keys() <= _PLAIN_PART:
            yield from self._plain(part, signature)
        elif isinstance(part.get("inlineData"), dict) or isinstance(part.get("fileData"), dict):
            yield from self._signature(signature)
            yield from self._single(BlockKind.MEDIA, _media(part))
        else:
            yield from self._single(BlockKind.HOSTED, part)

    def _plain(self, part: JsonObject, signature: str) -> Iterator[StreamPart]:
        text = text_at(part, "text")
        if part.get("thought") is True:
            yield from self._text(BlockKind.REASONING, text, opens=bool(signature))
            if signature:
                yield from self._close(signature=Signature(SIGNATURE, signature))
            return
        yield from self._signature(signature)
        yield from self._text(BlockKind.TEXT, text)

    def _text(self, kind: BlockKind, text: str, *, opens: bool = False) -> Iterator[StreamPart]:
        if not (text or opens):
            return
        if self._kind is not kind:
            yield from self._open(kind)
        if text:
            yield BlockDelta(self._choice, self._index, kind, text)

    def _signature(self, value: str) -> Iterator[StreamPart]:
        """A signature on anything but a thought: a block of its own, right before what it signs."""
        if value:
            yield from self._open(BlockKind.REASONING)
            yield from self._close(signature=Signature(SIGNATURE, value))

    def _single(self, kind: BlockKind, payload: Mapping[str, object]) -> Iterator[StreamPart]:
        yield from self._open(kind, payload=payload)
        yield from self._close()

    # -- function calls -----------------------------------------------------------------------------------

    def _function_call(self, call: JsonObject, signature: str) -> Iterator[StreamPart]:
        if name := text_at(call, "name"):
            yield from self._close()
            yield from self._signature(signature)
            yield from self._open(BlockKind.TOOL, text_at(call, "id") or None, name)
            self._called = True
            self._partial = PartialArguments()
            self._partial.begin(call.get("args"))
        if self._partial is not None:
            self._partial.add(objects_at(call, "partialArgs"))
            if call.get("willContinue") is not True:
                yield from self._close()

    # -- blocks -------------------------------------------------------------------------------------------

    def _open(
        self,
        kind: BlockKind,
        tool_id: str | None = None,
        name: str | None = None,
        payload: Mapping[str, object] | None = None,
    ) -> Iterator[StreamPart]:
        yield from self._close()
        self._index += 1
        self._kind = kind
        yield BlockStart(self._choice, self._index, kind, tool_id, name, payload=payload)

    def _close(self, *, signature: Signature | None = None, whole: bool = True) -> Iterator[StreamPart]:
        if self._kind is None:
            return
        if self._partial is not None:
            text = self._partial.whole() if whole else self._partial.half()
            yield BlockDelta(self._choice, self._index, BlockKind.TOOL, text)
        self._kind = self._partial = None
        yield BlockStop(self._choice, self._index, signature)

    # -- sources ------------------------------------------------------------------------------------------

    def _sources(self, candidate: JsonObject) -> Iterator[StreamPart]:
        """Loss: the places that `groundingSupports` names are offsets in bytes of the whole answer."""
        if self._kind is not BlockKind.TEXT:
            return
        for url, title in _cited(candidate):
            if url and (url, title) not in self._cited:
                self._cited.add((url, title))
                yield Annotation(self._choice, self._index, url, title)


def _cited(candidate: JsonObject) -> Iterator[tuple[str, str]]:
    """Address and title of what an answer rests on, and of what it repeats word for word."""
    for chunk in objects_at(object_at(candidate, "groundingMetadata"), "groundingChunks"):
        source = object_at(chunk, "web") or object_at(chunk, "retrievedContext") or object_at(chunk, "maps")
        yield text_at(source, "uri"), text_at(source, "title")
    citations = object_at(candidate, "citationMetadata")
    for source in objects_at(citations, "citationSources") or objects_at(citations, "citations"):
        yield text_at(source, "uri"), text_at(source, "title")


def _is_bare_signature(part: JsonObject) -> bool:
    plain = part.keys() <= _PLAIN_PART and not part.get("text") and part.get("thought") is not True
    return plain and bool(part.get("thoughtSignature"))


def _media(part: JsonObject) -> Mapping[str, object]:
    """As `BlockStart.payload` has it."""
    data, file = object_at(part, "inlineData"), object_at(part, "fileData")
    if data:
        return {"media_type": text_at(data, "mimeType"), "data": text_at(data, "data")}
    return {"media_type": text_at(file, "mimeType"), "url": text_at(file, "fileUri")}


# -- usage -----------------------------------------------------------------------------------------------


def _usage(metadata: JsonObject) -> Usage | None:
    """Measured: prompt counts include the cached ones, those of hosted tools come on top; candidates do not
    include thoughts. A report may hold no counts at all."""
    prompt, tools = used_at(metadata, "promptTokenCount"), used_at(metadata, "toolUsePromptTokenCount")
    answer, thoughts = (
        used_at(metadata, "candidatesTokenCount"),
        used_at(metadata, "thoughtsTokenCount"),
    )
    usage = Usage(
        input=_sum(prompt, tools),
        output=_sum(answer, thoughts),
        cache_read=used_at(metadata, "cachedContentTokenCount"),
        reasoning=thoughts,
        cost=None if COST_FIELDS.isdisjoint(metadata) else stated_cost(metadata),
        input_audio=_counted(metadata, "promptTokensDetails", "AUDIO"),
        output_audio=_counted(metadata, "candidatesTokensDetails", "AUDIO"),
        output_image=_counted(metadata, "candidatesTokensDetails", "IMAGE"),
        tier=tier_of(metadata, name="serviceTier"),
    )
    return None if usage == Usage() else usage


def _counted(metadata: JsonObject, details: str, modality: str) -> int | None:
    """The tokens of one modality."""
    if details not in metadata:
        return None
    found = [one for one in objects_at(metadata, details) if one.get("modality") == modality]
    return sum(used_at(one, "tokenCount") or 0 for one in found) or None if found else None


def _sum(one: int | None, other: int | None) -> int | None:
    return None if one is None and other is None else (one or 0) + (other or 0)

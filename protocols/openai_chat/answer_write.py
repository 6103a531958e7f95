"""Answers of other protocols written as Chat's: a stream of chunks, or a whole body.

Blocks of a choice become deltas of its message; in a whole answer deltas are put together again.
"""

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from types import MappingProxyType
from typing import assert_never, cast

from protocols.framing.sse import DONE, write_event
from protocols.model.call import Call, Reply
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
    ToolKind,
    Usage,
    UsageReport,
)
from protocols.model.progress import Block, Progress, updated
from protocols.model.wirejson import JsonObject, dump, given, object_at, objects_at, text_at
from protocols.openai_chat.error_words import FINISH_WORDS, error_object
from protocols.openai_chat.reasoning import DETAILS, SIGNATURE, details_of, foreign_item, signed, span_id
from protocols.openai_chat.request_read import older_form
from protocols.shared.media import data_url
from protocols.shared.signatures import PLAIN

DONE_EVENT = b"data: " + DONE + b"\n\n"
_HEAD: JsonObject = {"role": "assistant", "content": ""}
_FIELDS: Mapping[BlockKind, str] = {
    BlockKind.TEXT: "content",
    BlockKind.REASONING: "reasoning_content",
    BlockKind.REFUSAL: "refusal",
}
"""Reasoning by the name that DeepSeek gave it, which most clients read; a few know `reasoning` alone."""


@dataclass(slots=True)
class Deltas:
    """What the parts of one choice say, in order. Lost: what hosted tools did, and sound."""

    older: bool = False
    """Whether the client knows `function_call` alone, so that only the first call is shown."""
    calls: int = 0
    """How many tool calls began."""
    _open: dict[int, BlockStart] = field(default_factory=dict)
    """The starts of blocks by their index."""
    _numbers: dict[int, int] = field(default_factory=dict)
    """The number of each tool call by the index of its block."""
    _text_from: dict[int, int] = field(default_factory=dict)
    """By the index of a block, the characters of text before it."""
    _text: int = 0
    """Characters of text so far."""
    _reasoned_from: int = 0
    """Characters of reasoning before the last block of reasoning."""
    _reasoned: int = 0
    """Characters of reasoning so far."""
    _items: int = 0
    """How many signatures of other protocols were written."""
    _images: int = 0
    """How many images were written."""
    _sources: int = 0
    """How many annotations were written."""
    _signature: Signature | None = None
    """A signature that waits for the next block. None: none waits."""

    @classmethod
    def resumed(cls, blocks: Iterable[Block], *, older: bool) -> "Deltas":
        """After `blocks`, in order, which were said already; what has not stopped may continue."""
        deltas = cls(older=older)
        for block in blocks:
            deltas._pass(block)
        return deltas

    def _pass(self, block: Block) -> None:
        start, length = block.start, len(block.text)
        if block.stop is None:
            self._open[start.index] = start
        match start.kind:
            case BlockKind.TOOL:
                self._numbers[start.index] = self.calls
                self.calls += 1
            case BlockKind.TEXT:
                self._text_from[start.index] = self._text
                self._text += length
            case BlockKind.REASONING:
                self._reasoned_from = self._reasoned
                self._reasoned += length
            case BlockKind.MEDIA:
                self._images += 1
            case _:
                pass
        self._sources += len(block.annotations)

    def of(self, part: BlockStart | BlockDelta | BlockStop | Annotation) -> Iterator[JsonObject]:
        match part:
            case BlockStart():
                self._open[part.index] = part
                yield from self._start(part)
            case BlockDelta(text=text) if text and part.index in self._open:
                yield from self._grow(self._open[part.index], text)
            case BlockDelta():
                pass
            case BlockStop(index=index, signature=signature):
                if signature and index in self._open:
                    yield from self._stop(signature)
            case Annotation():
                yield self._annotation(part)
            case _:
                assert_never(part)

    def remainder(self) -> Iterator[JsonObject]:
        """What waited for a block that did not come."""
        if self._signature:
            yield from self._signed(self._signature, span_id(self._reasoned, self._reasoned))
        self._signature = None

    # -- blocks -----------------------------------------------------------------------------------------

    def _start(self, start: BlockStart) -> Iterator[JsonObject]:
        match start.kind:
            case BlockKind.TOOL:
                yield from self._call(start)
                return
            case BlockKind.REASONING:
                self._reasoned_from = self._reasoned
            case BlockKind.MEDIA if image := self._image(start.payload or {}):
                yield image
            case _:
                self._text_from[start.index] = self._text
        yield from self.remainder()

    def _grow(self, start: BlockStart, text: str) -> Iterator[JsonObject]:
        match start.kind:
            case BlockKind.TOOL:
                yield from self._arguments(start, text)
            case BlockKind.TEXT | BlockKind.REASONING | BlockKind.REFUSAL:
                self._text += len(text) if start.kind is BlockKind.TEXT else 0
                self._reasoned += len(text) if start.kind is BlockKind.REASONING else 0
                yield {_FIELDS[start.kind]: text}
            case BlockKind.MEDIA | BlockKind.HOSTED:
                pass

    def _stop(self, signature: Signature) -> Iterator[JsonObject]:
        """A signature without text is that of the next block, and is given with it."""
        if self._reasoned == self._reasoned_from and signature.form != DETAILS:
            self._signature = signature
        else:
            yield from self._signed(signature, span_id(self._reasoned_from, self._reasoned))

    def _signed(self, signature: Signature, item_id: str) -> Iterator[JsonObject]:
        """One of Chat's own as it was; any other, an envelope in the first place, as an encrypted item."""
        match signature.form:
            case form if form == PLAIN:
                pass
            case form if form == DETAILS:
                yield {"reasoning_details": details_of(signature)}
            case form if form == SIGNATURE:
                yield {"extra_content": signed(signature.value)}
            case _:
                yield {"reasoning_details": [foreign_item(signature.value, item_id, self._items)]}
                self._items += 1

    # -- tool calls -------------------------------------------------------------------------------------

    def _call(self, start: BlockStart) -> Iterator[JsonObject]:
        extra: JsonObject = {}
        if self._signature and self._signature.form == SIGNATURE:
            extra = {"extra_content": signed(self._signature.value)}
        elif self._signature:
            yield from self._signed(self._signature, start.tool_id or "")
        self._signature = None
        self._numbers[start.index] = self.calls
        self.calls += 1
        yield from self._named(start, extra)

    def _named(self, start: BlockStart, extra: JsonObject) -> Iterator[JsonObject]:
        number = self._numbers[start.index]
        named = {"name": start.tool_name or "", _argument(start): ""}
        if not self.older:
            kind = start.tool_kind.value
            call = {"index": number, "id": start.tool_id, "type": kind, kind: named, **extra}
            yield {"tool_calls": [call]}
        elif number == 0:
            yield {"function_call": named}

    def _arguments(self, start: BlockStart, text: str) -> Iterator[JsonObject]:
        number = self._numbers[start.index]
        more = {_argument(start): text}
        if not self.older:
            yield {"tool_calls": [{"index": number, start.tool_kind.value: more}]}
        elif number == 0:
            yield {"function_call": more}

    # -- pictures and sources ---------------------------------------------------------------------------

    def _image(self, payload: JsonObject) -> JsonObject | None:
        """OpenRouter's form; None for anything that is no picture."""
        media_type, data = text_at(payload, "media_type"), text_at(payload, "data")
        if media_type and not media_type.startswith("image/"):
            return None
        url = data_url(media_type or "image/png", data) if data else text_at(payload, "url")
        if not url:
            return None
        self._images += 1
        image = {"type": "image_url", "image_url": {"url": url}, "index": self._images - 1}
        return {"images": [image]}

    def _annotation(self, part: Annotation) -> JsonObject:
        """Offsets in all of the message's text; a source of no place is that of its block so far.

        Measured: the helper of OpenAI's SDK raises on a second list in deltas whose entries have no index.
        """
        base = self._text_from.get(part.index, 0)
        citation = {
            "url": part.url,
            "title": part.title,
            "start_index": base + (part.start or 0),
            "end_index": self._text if part.end is None else base + part.end,
        }
        self._sources += 1
        index = self._sources - 1
        return {"annotations": [{"type": "url_citation", "index": index, "url_citation": citation}]}


def _argument(start: BlockStart) -> str:
    return "input" if start.tool_kind is ToolKind.CUSTOM else "arguments"


# -- a stream ---------------------------------------------------------------------------------------------


def resumed_writer(call: Call, progress: Progress) -> "ChatWriter":
    """More chunks come with the stream's own id, model and creation time."""
    head = progress.head.template if progress.head else {}
    choices = {choice: resumed_deltas(choice, progress, call) for choice in progress.seen}
    return ChatWriter(call, head, choices)


def resumed_deltas(choice: int, progress: Progress, call: Call) -> Deltas:
    """The deltas of a choice that the client has seen `progress` of."""
    older = older_form(call.body)
    return Deltas.resumed([block for block in progress.ordered if block.start.choice == choice], older=older)


class ChatWriter:
    """A stream of chunks. Usage comes in a chunk of its own, if the client asked for it."""

    def __init__(
        self, call: Call, head: JsonObject, choices: Mapping[int, Deltas] = MappingProxyType({})
    ) -> None:
        """`head`: the fields that every chunk repeats; `choices`: those that have begun."""
        self._counts = object_at(call.body, "stream_options").get("include_usage") is True
        self._older = older_form(call.body)
        self._head = head
        self._choices = dict(choices)
        self._usage: Usage | None = None
        self._over = False

    def write(self, parts: Sequence[StreamPart]) -> bytes:
        return b"".join(chunk for part in parts for chunk in self._write(part))

    def _write(self, part: StreamPart) -> Iterator[bytes]:
        if self._over:
            return
        match part:
            case ChoiceStart(choice=choice):
                yield from self._started(choice)
            case BlockStart() | BlockDelta() | BlockStop() | Annotation():
                yield from self._started(part.choice)
                for delta in self._choices[part.choice].of(part):
                    yield self._chunk(part.choice, delta)
            case Finish():
                yield from self._finish(part)
            case UsageReport(usage=usage):
                self._usage = updated(self._usage, usage)
            case StreamError(type=kind, message=message, status=status):
                yield self._error(kind, message, status)
            case StreamEnd():
                yield from self._end()
            case MessageStart() | Ping() | Opaque():
                pass
            case _:
                assert_never(part)

    def _started(self, choice: int) -> Iterator[bytes]:
        if choice not in self._choices:
            self._choices[choice] = Deltas(older=self._older)
            yield self._chunk(choice, _HEAD)

    def _chunk(self, choice: int, delta: JsonObject, finish: str | None = None) -> bytes:
        entry = {"index": choice, "delta": delta, "logprobs": None, "finish_reason": finish}
        return write_event({**self._head, "choices": [entry], **({"usage": None} if self._counts else {})})

    def _finish(self, finish: Finish) -> Iterator[bytes]:
        if finish.reason is FinishReason.ERROR:
            yield self._error("server_error", f"the model's answer failed: {finish.native or 'error'}", None)
            return
        yield from self._started(finish.choice)
        deltas = self._choices[finish.choice]
        for delta in deltas.remainder():
            yield self._chunk(finish.choice, delta)
        yield self._chunk(finish.choice, {}, _word(finish.reason, deltas))

    def _error(self, kind: str, message: str, status: int | None) -> bytes:
        self._over = True
        return write_event({"error": error_object(kind, message, status or 500)})

    def _end(self) -> Iterator[bytes]:
        self._over = True
        if self._counts and self._usage:
            yield write_event({**self._head, "choices": [], "usage": usage_object(self._usage)})
        yield DONE_EVENT


def write_answer(call: Call, reply: Reply, progress: Progress) -> bytes:
    """A ChatCompletion with all choices."""
    older = older_form(call.body)
    choices = [_whole_choice(choice, progress, older) for choice in sorted(progress.seen) or [0]]
    usage = usage_object(progress.usage) if progress.usage else None
    return dump({**_named(reply, "chat.completion"), "choices": choices, **given(usage=usage)})


def _whole_choice(choice: int, progress: Progress, older: bool) -> JsonObject:
    deltas = Deltas(older=older)
    blocks = [block for (of, _), block in sorted(progress.blocks.items(), key=_place) if of == choice]
    found = [delta for block in blocks for part in block.parts() for delta in deltas.of(part)]
    message = message_of([*found, *deltas.remainder()])
    finish = progress.finished.get(choice)
    word = _word(finish.reason if finish else FinishReason.OTHER, deltas)
    return {"index": choice, "message": message, "logprobs": None, "finish_reason": word}


def _place(item: tuple[tuple[int, int], Block]) -> tuple[int, int]:
    return item[0]


def writer(call: Call, reply: Reply) -> ChatWriter:
    return ChatWriter(call, _named(reply, "chat.completion.chunk"))


def _named(reply: Reply, kind: str) -> JsonObject:
    named = {"created": reply.created, "model": reply.model}
    return {"id": reply.named("chatcmpl-"), "object": kind, **named}


def _word(reason: FinishReason, deltas: Deltas) -> str:
    """Any reason that has no word here is the end, of a call if there was one."""
    if reason is FinishReason.TOOL_CALLS or (reason is FinishReason.OTHER and deltas.calls):
        return "function_call" if deltas.older else "tool_calls"
    return FINISH_WORDS.get(reason, "stop")


def usage_object(usage: Usage) -> JsonObject:
    """Inclusive counts, as OpenAI's; details only where they are known. Cache writes by OpenRouter's name."""
    prompt, completion = usage.input or 0, usage.output or 0
    read = given(cached_tokens=usage.cache_read, cache_write_tokens=usage.cache_write)
    made = given(reasoning_tokens=usage.reasoning)
    counts = {
        "prompt_tokens": prompt,
        "completion_tokens": completion,
        "total_tokens": prompt + completion,
    }
    details = given(prompt_tokens_details=read or None, completion_tokens_details=made or None)
    return {**counts, **details}


# -- whole messages -------------------------------------------------------------------------------------


def message_of(deltas: Iterable[JsonObject]) -> JsonObject:
    """The message that the deltas come to."""
    message: dict[str, object] = {"role": "assistant", "content": None, "refusal": None}
    for delta in deltas:
        message = _merged(message, delta)
    calls = [
        {name: value for name, value in call.items() if name != "index"}
        for call in objects_at(message, "tool_calls")
    ]
    return {**message, "tool_calls": calls} if calls else message


def _merged(old: Mapping[str, object], new: JsonObject) -> dict[str, object]:
    """Texts and lists grow, objects are merged; anything else is replaced."""
    merged = dict(old)
    for name, value in new.items():
        before = merged.get(name)
        if name == "tool_calls":
            merged[name] = _merged_calls(objects_at(old, name), objects_at(new, name))
        elif isinstance(before, str) and isinstance(value, str):
            merged[name] = before + value
        elif isinstance(before, list) and isinstance(value, list):
            merged[name] = [*before, *value]
        elif isinstance(before, dict) and isinstance(value, dict):
            merged[name] = _merged(before, value)
        else:
            merged[name] = value
    return merged


def _merged_calls(calls: list[JsonObject], fragments: list[JsonObject]) -> list[JsonObject]:
    """A number that is there already names the call that a fragment continues."""
    merged = list(calls)
    for fragment in fragments:
        number = cast(int, fragment["index"])
        if number < len(merged):
            merged[number] = _merged(merged[number], fragment)
        else:
            merged.append(fragment)
    return merged

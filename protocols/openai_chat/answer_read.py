"""Answers of Chat read: chunks of a stream, or a whole body, to parts."""

from collections.abc import Callable, Hashable, Iterator, Sequence
from dataclasses import dataclass, field

from protocols.framing.sse import DONE, Event
from protocols.model.parts import (
    CUT_SHORT,
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
    StreamPart,
    ToolKind,
    UsageReport,
)
from protocols.model.progress import visible
from protocols.model.wirejson import (
    JsonObject,
    count_at,
    in_form,
    in_forms,
    load_object,
    object_at,
    objects,
    objects_at,
    stream_error,
    text_at,
)
from protocols.openai_chat.answer_read_texts import TEXT_CHUNK, TEXT_CHUNKS, TextChoice, TextDelta
from protocols.openai_chat.answer_read_usage import read_usage
from protocols.openai_chat.error_words import FINISH_REASONS
from protocols.openai_chat.reasoning import Details, details_text, signature_of
from protocols.openai_chat.tool_keys import ToolKeys, tool_kind
from protocols.shared.arguments import text_of
from protocols.shared.media import from_data_url
from protocols.shared.signatures import UNSIGNED

_TEMPLATE = ("id", "object", "created", "model", "system_fingerprint", "service_tier", "provider")
_KNOWN = frozenset({"choices", "usage", "object"})
_NATIVE_LENGTHS = frozenset(
    {"length", "max_tokens", "max_output_tokens", "model_length", "model_context_window_exceeded"}
)
_REASONING, _CONTENT, _REFUSAL, _AUDIO = "reasoning", "content", "refusal", "audio"


class ChunkReader:
    """The events of one stream to parts; keeps what the parts of a choice need to know of each other."""

    def __init__(self) -> None:
        self._started = False
        self._choices: dict[int, ChoiceReader] = {}
        self._reasoned = 0

    def read_text(self, data: bytes, named: bool) -> Sequence[StreamPart] | None:
        """What `read` gives of the last event, and of a chunk of the form that most have. A name may say that
        it is an error."""
        if data == DONE:
            return (StreamEnd(),)
        chunk = None if named else in_form(TEXT_CHUNK, data)
        if chunk is None or chunk.object == "error":
            return None
        (choice,) = chunk.choices
        reader = self._choices.get(choice.index)
        return reader.read_text(choice) if reader else None

    def read_texts(self, run: Sequence[bytes]) -> Sequence[StreamPart] | None:
        """What `read_text` gives of each, with texts of one choice that follow one another as one."""
        chunks = in_forms(TEXT_CHUNKS, run)
        if chunks is None or not {chunk.choices[0].index for chunk in chunks} <= self._choices.keys():
            return None
        if "error" in {chunk.object for chunk in chunks}:
            return None
        parts: list[StreamPart] = []
        texts: list[str] = []
        at = -1
        for chunk in chunks:
            (choice,) = chunk.choices
            delta = choice.delta
            if delta.reasoning_content or delta.reasoning or choice.finish_reason or choice.index != at:
                parts += self._joined(at, texts)
                at = choice.index
                parts += self._choices[at].read_text(choice)
            elif delta.content:
                texts.append(delta.content)
        return parts + self._joined(at, texts)

    def _joined(self, choice: int, texts: list[str]) -> list[StreamPart]:
        """`texts` of a choice in one part; they are taken."""
        if not texts:
            return []
        text = "".join(texts)
        texts.clear()
        return [*self._choices[choice].text(text)]

    def read(self, event: Event, raw: bytes) -> Sequence[StreamPart]:
        if event.data is None:
            return (Ping(),)
        if event.data.strip() == DONE:
            return (StreamEnd(),)
        chunk = load_object(event.data)
        if chunk is None:
            return (Opaque(raw),)
        choices, usage = objects_at(chunk, "choices"), usage_object(chunk)
        parts = list(self._read_chunk(chunk, event.name, choices))
        if usage:
            parts.append(UsageReport(read_usage(usage, chunk)))
        if not (parts or chunk.keys() & _KNOWN):
            return (Opaque(raw),)
        works = self._works(usage, choices) and not any(map(visible, parts))
        return [*parts, Ping(working=True)] if works else parts

    def _read_chunk(
        self, chunk: JsonObject, name: str | None, choices: Sequence[JsonObject]
    ) -> Iterator[StreamPart]:
        if error := chunk.get("error"):
            yield stream_error(error)
        elif name == "error" or chunk.get("object") == "error":
            yield stream_error(chunk, native=False)
        if choices and not self._started:
            self._started = True
            yield _message_start(chunk)
        for choice in choices:
            yield from self._read_choice(choice)

    def _works(self, usage: JsonObject, choices: Sequence[JsonObject]) -> bool:
        """Whether the model thinks: its reasoning is counted further, or comes where nobody can read it."""
        counts = object_at(usage, "completion_tokens_details") if usage else {}
        count = (count_at(counts, "reasoning_tokens") or 0) if counts else 0
        before, self._reasoned = self._reasoned, max(self._reasoned, count)
        return self._reasoned > before or any(_has_details(choice) for choice in choices)

    def _read_choice(self, choice: JsonObject) -> Iterator[StreamPart]:
        index = (count_at(choice, "index") or 0) if choice.get("index") else 0
        reader = self._choices.get(index)
        if reader is None:
            reader = self._choices[index] = ChoiceReader(index)
            yield ChoiceStart(index)
        yield from reader.read(choice)


def _has_details(choice: JsonObject) -> bool:
    delta = choice.get("delta")
    if not isinstance(delta, dict):
        return False
    details = delta.get("reasoning_details") and objects_at(delta, "reasoning_details")
    return bool(details or (delta.get("extra_content") and signature_of(delta)))


def read_answer(body: JsonObject) -> Sequence[StreamPart]:
    """A whole answer: all blocks of all choices, each with one delta. Every choice has its finish."""
    choices = objects_at(body, "choices")
    if (error := body.get("error")) and not choices:
        return (stream_error(error),)
    parts: list[StreamPart] = [_message_start(body)]
    for choice in choices:
        index = count_at(choice, "index") or 0
        parts += (ChoiceStart(index), *ChoiceReader(index).read_whole(choice))
    if usage := usage_object(body):
        parts.append(UsageReport(read_usage(usage, body)))
    return [*parts, StreamEnd()]


@dataclass(slots=True)
class ChatBlocks:
    """Blocks of one choice, none of which says that it begins or ends: the first mention of a key opens one,
    `close` ends all that are open."""

    choice: int
    """Its number, from 0."""
    signatures: dict[Hashable, Signature] = field(default_factory=dict)
    """By the key of a block: what it ends with."""
    _open: dict[Hashable, int] = field(default_factory=dict)
    """The index of each open block by its key."""
    _next: int = 0
    """The index of the next block."""

    def __contains__(self, key: Hashable) -> bool:
        return key in self._open

    def index(self, key: Hashable) -> int:
        return self._open[key]

    def start(self, key: Hashable, kind: BlockKind) -> BlockStart:
        return BlockStart(self.choice, self._opened(key), kind)

    def delta(self, key: Hashable, kind: BlockKind, text: str) -> Sequence[StreamPart]:
        if key in self._open:
            return (BlockDelta(self.choice, self._open[key], kind, text),)
        return (self.start(key, kind), BlockDelta(self.choice, self._open[key], kind, text))

    def tool(self, key: Hashable, kind: ToolKind, tool_id: str | None, name: str | None) -> BlockStart:
        return BlockStart(self.choice, self._opened(key), BlockKind.TOOL, tool_id, name, kind)

    def media(self, key: Hashable, payload: JsonObject) -> BlockStart:
        return BlockStart(self.choice, self._opened(key), BlockKind.MEDIA, payload=payload)

    def hosted(self, key: Hashable, item: JsonObject) -> BlockStart:
        name = text_at(item, "type") or None
        return BlockStart(self.choice, self._opened(key), BlockKind.HOSTED, None, name, payload=item)

    def signed(self, signature: Signature) -> Sequence[StreamPart]:
        """A block of reasoning that is nothing but its signature."""
        index, self._next = self._next, self._next + 1
        return (BlockStart(self.choice, index, BlockKind.REASONING), BlockStop(self.choice, index, signature))

    def close(self) -> Sequence[StreamPart]:
        stops = [BlockStop(self.choice, index, self.signatures.get(key)) for key, index in self._open.items()]
        self._open.clear()
        return stops

    def _opened(self, key: Hashable) -> int:
        self._open[key] = self._next
        self._next += 1
        return self._open[key]


type Readers = Sequence[tuple[tuple[str, ...], Callable[["ChoiceReader", JsonObject], Iterator[StreamPart]]]]
"""Fields of a delta, and what reads them."""


class ChoiceReader:
    """One choice's deltas to blocks. A block ends with its choice: nothing earlier says that it is whole."""

    def __init__(self, choice: int) -> None:
        self._choice = choice
        self._blocks = ChatBlocks(choice)
        self._details: Details | None = None
        self._said = False
        self._tools = ToolKeys()

    def read(self, choice: JsonObject) -> Iterator[StreamPart]:
        delta = choice.get("delta")
        if isinstance(delta, dict):
            yield from self._message(delta)
        if choice.get("finish_reason") and (reason := text_at(choice, "finish_reason")):
            yield from self._finish(reason, choice.get("native_finish_reason"), choice.get("stop_reason"))

    def read_text(self, choice: TextChoice) -> Sequence[StreamPart]:
        """What `read` gives of it."""
        said = self._text(choice.delta)
        if not choice.finish_reason:
            return said
        ended = self._finish(choice.finish_reason, choice.native_finish_reason, choice.stop_reason)
        return (*said, *ended)

    def text(self, text: str) -> Sequence[StreamPart]:
        """A delta that says nothing else."""
        return self._blocks.delta(_CONTENT, BlockKind.TEXT, text) if text else ()

    def _text(self, delta: TextDelta) -> Sequence[StreamPart]:
        text, thought = delta.content, delta.reasoning_content or delta.reasoning
        if not thought:
            return self.text(text or "")
        self._said = True
        parts = self._blocks.delta(_REASONING, BlockKind.REASONING, thought)
        return (*parts, *self._blocks.delta(_CONTENT, BlockKind.TEXT, text)) if text else parts

    def read_whole(self, choice: JsonObject) -> Iterator[StreamPart]:
        """Measured: tool calls of whole messages mostly come without an index, some without an id."""
        message = object_at(choice, "message")
        calls = [{**call, "index": at} for at, call in enumerate(objects_at(message, "tool_calls"))]
        yield from self._message({**message, "tool_calls": calls})
        reason = text_at(choice, "finish_reason")
        yield from self._finish(reason, choice.get("native_finish_reason"), choice.get("stop_reason"))

    def _message(self, delta: JsonObject) -> Iterator[StreamPart]:
        """What a delta says, in the order of the table: of its fields, those that hold anything."""
        said = {name for name, value in delta.items() if value}
        for names, read in _READERS:
            if not said.isdisjoint(names):
                yield from read(self, delta)

    def _signature(self, delta: JsonObject) -> Iterator[StreamPart]:
        if signature := signature_of(delta):
            yield from self._blocks.signed(Signature("signature", signature))

    def _finish(self, reason: str, native: object, stop: object) -> Iterator[StreamPart]:
        """vLLM and its like name the stop sequence in `stop_reason`."""
        self._blocks.signatures[_REASONING] = self._details.signature() if self._details else UNSIGNED
        yield from self._blocks.close()
        yield Finish(self._choice, finish_of(reason, native), reason, stop if isinstance(stop, str) else "")

    # -- text and reasoning -----------------------------------------------------------------------------

    def _reasoning(self, delta: JsonObject) -> Iterator[StreamPart]:
        """Measured: Snowflake's reasoning is in the details alone, OpenRouter's in both places: once it is
        said by itself, the texts of the details repeat it."""
        details = objects_at(delta, "reasoning_details")
        said = text_at(delta, "reasoning_content") or text_at(delta, "reasoning")
        self._said = self._said or bool(said)
        yield from self._thought(said if self._said else details_text(details), begins=bool(details))
        if details:
            self._details = self._details or Details()
            for item in details:
                self._details.add(item)

    def _thought(self, text: str, *, begins: bool = False) -> Iterator[StreamPart]:
        if begins and _REASONING not in self._blocks:
            yield self._blocks.start(_REASONING, BlockKind.REASONING)
        if text:
            yield from self._blocks.delta(_REASONING, BlockKind.REASONING, text)

    def _refusal(self, delta: JsonObject) -> Iterator[StreamPart]:
        if refusal := text_at(delta, "refusal"):
            yield from self._blocks.delta(_REFUSAL, BlockKind.REFUSAL, refusal)

    def _content(self, delta: JsonObject) -> Iterator[StreamPart]:
        content = delta["content"]
        if isinstance(content, str):
            yield from self._blocks.delta(_CONTENT, BlockKind.TEXT, content)
        elif isinstance(content, list):
            yield from self._content_array(objects(content))

    def _content_array(self, items: Sequence[JsonObject]) -> Iterator[StreamPart]:
        """Mistral: `[{"type": "thinking", "thinking": [{"type": "text", "text": ...}]}]`."""
        for item in items:
            yield from self._thought(
                "".join(text_at(piece, "text") for piece in objects_at(item, "thinking"))
            )
            if text := text_at(item, "text"):
                yield from self._blocks.delta(_CONTENT, BlockKind.TEXT, text)

    def _annotations(self, delta: JsonObject) -> Iterator[StreamPart]:
        for annotation in objects_at(delta, "annotations"):
            yield from self._annotation(object_at(annotation, "url_citation"))

    def _annotation(self, citation: JsonObject) -> Iterator[StreamPart]:
        if not (url := text_at(citation, "url")):
            return
        if _CONTENT not in self._blocks:
            yield self._blocks.start(_CONTENT, BlockKind.TEXT)
        yield Annotation(
            self._choice,
            self._blocks.index(_CONTENT),
            url,
            text_at(citation, "title"),
            count_at(citation, "start_index"),
            count_at(citation, "end_index"),
        )

    # -- media ------------------------------------------------------------------------------------------

    def _images(self, delta: JsonObject) -> Iterator[StreamPart]:
        """OpenRouter's."""
        for image in objects_at(delta, "images"):
            url = text_at(object_at(image, "image_url"), "url")
            if url and ("image", url) not in self._blocks:
                yield self._blocks.media(("image", url), _image(url))

    def _audio(self, delta: JsonObject) -> Iterator[StreamPart]:
        """Sound comes in pieces, each base64 of its own: the first in the payload, with its id and
        transcript, the others as deltas."""
        audio = {name: value for name, value in object_at(delta, "audio").items() if value}
        if audio and _AUDIO not in self._blocks:
            yield self._blocks.media(_AUDIO, {"media_type": "audio/*", **audio})
        elif data := text_at(audio, "data"):
            yield from self._blocks.delta(_AUDIO, BlockKind.MEDIA, data)

    # -- tool calls -------------------------------------------------------------------------------------

    def _executed(self, delta: JsonObject) -> Iterator[StreamPart]:
        """Groq's own tools: measured, one is reported when it begins, and again with what came of it."""
        for at, tool in enumerate(objects_at(delta, "executed_tools")):
            key = ("executed", count_at(tool, "index") or at)
            if key not in self._blocks:
                yield self._blocks.hosted(key, tool)

    def _tool_calls(self, delta: JsonObject) -> Iterator[StreamPart]:
        for tool in objects_at(delta, "tool_calls"):
            yield from self._tool_call(tool)

    def _function_call(self, delta: JsonObject) -> Iterator[StreamPart]:
        """The older form of the only call."""
        function = object_at(delta, "function_call")
        if function.get("name") or function.get("arguments"):
            yield from self._tool_call({"index": "function_call", "function": function})

    def _tool_call(self, tool: JsonObject) -> Iterator[StreamPart]:
        kind = tool_kind(tool)
        function = object_at(tool, kind.value)
        key = self._tools.of(tool)
        if signature := signature_of(tool):
            yield from self._blocks.signed(Signature("signature", signature))
        if key not in self._blocks:
            yield self._blocks.tool(key, kind, key[1] or None, text_at(function, "name") or None)
        arguments = text_of(function.get("arguments")) or text_at(function, "input")
        yield from self._blocks.delta(key, BlockKind.TOOL, arguments)


_READERS: Readers = (
    (("extra_content",), ChoiceReader._signature),
    (("reasoning_content", "reasoning", "reasoning_details"), ChoiceReader._reasoning),
    (("refusal",), ChoiceReader._refusal),
    (("content",), ChoiceReader._content),
    (("annotations",), ChoiceReader._annotations),
    (("tool_calls",), ChoiceReader._tool_calls),
    (("function_call",), ChoiceReader._function_call),
    (("executed_tools",), ChoiceReader._executed),
    (("images",), ChoiceReader._images),
    (("audio",), ChoiceReader._audio),
)


def finish_of(reason: str, native: object) -> FinishReason:
    """Why a choice ended. OpenRouter's own provider may say beside "tool_calls" that there was no room."""
    known = FINISH_REASONS.get(reason, FinishReason.OTHER)
    if known in CUT_SHORT or not isinstance(native, str) or native.lower() not in _NATIVE_LENGTHS:
        return known
    return FinishReason.LENGTH


def _image(url: str) -> JsonObject:
    held = from_data_url(url)
    return {"media_type": held[0], "data": held[1]} if held else {"url": url}


def _message_start(chunk: JsonObject) -> MessageStart:
    template = {key: chunk[key] for key in _TEMPLATE if key in chunk}
    return MessageStart(text_at(chunk, "id"), text_at(chunk, "model"), template)


def usage_object(chunk: JsonObject) -> JsonObject:
    """Groq has it in a place of its own."""
    usage = object_at(chunk, "usage") if chunk.get("usage") else {}
    return usage or (object_at(object_at(chunk, "x_groq"), "usage") if chunk.get("x_groq") else {})

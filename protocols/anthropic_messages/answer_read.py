"""Answers of the provider to parts: the events of a stream, and a whole message."""

from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import Literal

from msgspec import Struct, structs
from msgspec.json import Decoder

from protocols.anthropic_messages.error_words import FINISH_REASONS
from protocols.framing.sse import Event
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
    OtherUsage,
    Ping,
    Signature,
    StreamEnd,
    StreamPart,
    Usage,
    UsageReport,
)
from protocols.model.progress import visible
from protocols.model.wirejson import (
    JsonObject,
    count_at,
    in_form,
    load_object,
    object_at,
    objects_at,
    stream_error,
    text_at,
    used_at,
)
from protocols.shared.arguments import NONE_GIVEN, text_of_value
from protocols.shared.costs import COST_FIELDS, stated_cost
from protocols.shared.tiers import tier_of

REDACTED = "redacted_thinking"

_BLOCK_KINDS: Mapping[str, BlockKind] = {
    "text": BlockKind.TEXT,
    "thinking": BlockKind.REASONING,
    REDACTED: BlockKind.REASONING,
    "tool_use": BlockKind.TOOL,
    "compaction": BlockKind.TEXT,
}
"""Any other block is of a tool that the provider runs: its call, its result, a change of the model."""

_DELTA_FIELDS = ("text", "thinking", "partial_json")
_CITED_URL: Mapping[str, str] = {"web_search_result_location": "url", "search_result_location": "source"}
"""Where a citation has its address. Those of documents in the request have none, and are no annotation."""


class _Said(Struct, gc=False):
    """What a delta adds to its block."""

    text: str | None = None
    thinking: str | None = None
    partial_json: str | None = None
    signature: Literal[""] | None = None
    citation: None = None


class _TextDelta(Struct, gc=False):
    """Most events."""

    type: Literal["content_block_delta"]
    delta: _Said
    index: int = 0


_TEXT_DELTA = Decoder(_TextDelta)


class EventReader:
    """The events of one stream to parts; remembers which kind each block index is, and the usage so far."""

    def __init__(self) -> None:
        self._blocks = BlockReader()
        self._counts: dict[str, object] = {}

    def read_text(self, data: bytes, _named: bool) -> Sequence[StreamPart] | None:
        """What `read` gives of an event of the form that most have, whatever its name."""
        event = in_form(_TEXT_DELTA, data)
        said = event and (event.delta.text or event.delta.thinking or event.delta.partial_json)
        return (self._blocks.text(event.index, said),) if event and said else None

    def read(self, event: Event, raw: bytes) -> Sequence[StreamPart]:
        if event.data is None:
            return (Ping(),)
        data = load_object(event.data)
        if data is None:
            return (Opaque(raw),)
        return list(self._read_event(data, event.name, raw))

    def _read_event(self, data: JsonObject, name: str | None, raw: bytes) -> Iterator[StreamPart]:
        index = (count_at(data, "index") or 0) if data.get("index") else 0
        match data.get("type"):
            case "content_block_delta":
                delta = object_at(data, "delta")
                yield from self._shown(index, delta, (self._blocks.delta(index, delta),))
            case "content_block_start":
                block = object_at(data, "content_block")
                yield from self._shown(index, block, self._blocks.start(index, block))
            case "content_block_stop":
                yield from self._blocks.stop(index)
            case "message_start":
                yield from self._message_start(object_at(data, "message"))
            case "message_delta":
                yield from self._usage_report(object_at(data, "usage"))
                yield from _finish(object_at(data, "delta"))
            case "message_stop":
                yield StreamEnd()
            case "ping":
                yield Ping()
            case _ if data.get("error"):
                yield stream_error(data["error"], native=name == "error" and data.get("type") == "error")
            case _:
                yield Opaque(raw)

    def _shown(self, index: int, native: JsonObject, parts: Iterable[StreamPart]) -> Iterator[StreamPart]:
        """`parts`, and that the model is at work where they show nothing of a thought or a compaction."""
        found = list(parts)
        yield from found
        kind = native.get("type")
        compacts = isinstance(kind, str) and kind.startswith("compaction")
        if (compacts or self._blocks.thinks(index)) and not any(map(visible, found)):
            yield Ping(working=True)

    def _message_start(self, message: JsonObject) -> Iterator[StreamPart]:
        yield MessageStart(text_at(message, "id"), text_at(message, "model"))
        yield ChoiceStart(0)
        yield from self._usage_report(object_at(message, "usage"))

    def _usage_report(self, usage: JsonObject) -> Iterator[StreamPart]:
        """A later report may leave out the cache's counts; those of the first one still hold."""
        if usage:
            self._counts |= {name: count for name, count in usage.items() if count is not None}
            yield UsageReport(_usage_of_all(self._counts))


class BlockReader:
    """Content blocks to parts, by the index that the provider gives them; one may be used again."""

    def __init__(self) -> None:
        self._kinds: dict[int, BlockKind] = {}
        self._signatures: dict[int, Signature] = {}
        self._inputs: dict[int, str] = {}

    def thinks(self, index: int) -> bool:
        return self._kinds.get(index) is BlockKind.REASONING

    def start(self, index: int, block: JsonObject) -> Iterator[StreamPart]:
        """The start of a block and what it says at once: all of it in a whole answer."""
        name = text_at(block, "type")
        kind = self._kinds[index] = _BLOCK_KINDS.get(name, BlockKind.HOSTED)
        payload = block if kind is BlockKind.HOSTED or name == REDACTED else None
        tool_id, tool_name = text_at(block, "id") or None, text_at(block, "name") or None
        self._keep(index, block)
        yield BlockStart(0, index, kind, tool_id, tool_name, payload=payload)
        if text := text_at(block, "text") or text_at(block, "thinking"):
            yield BlockDelta(0, index, kind, text)
        for citation in objects_at(block, "citations"):
            yield from _annotation(index, citation)

    def _keep(self, index: int, block: JsonObject) -> None:
        """What is said when the block stops: its signature, and an input that no delta repeats."""
        self._signatures.pop(index, None)
        self._inputs.pop(index, None)
        if signature := text_at(block, "signature"):
            self._signatures[index] = Signature("signature", signature)
        elif block.get("type") == REDACTED:
            self._signatures[index] = Signature("redacted", text_at(block, "data"))
        if "input" in block and (said := text_of_value(block["input"])) not in ("", NONE_GIVEN):
            self._inputs[index] = said

    def text(self, index: int, text: str) -> StreamPart:
        """Of a delta that says this."""
        self._inputs.pop(index, None)
        return BlockDelta(0, index, self._kinds.get(index, BlockKind.TEXT), text)

    def delta(self, index: int, delta: JsonObject) -> StreamPart:
        """Of the fields that a delta may have, it has one."""
        if delta.get("signature") and (signature := text_at(delta, "signature")):
            self._signatures[index] = Signature("signature", signature)
        said = [value for name in _DELTA_FIELDS if isinstance(value := delta.get(name), str) and value]
        if said:
            self._inputs.pop(index, None)
        if delta.get("citation") and (cited := next(_annotation(index, object_at(delta, "citation")), None)):
            return cited
        return BlockDelta(0, index, self._kinds.get(index, BlockKind.TEXT), said[0] if said else "")

    def stop(self, index: int) -> Iterator[StreamPart]:
        if given := self._inputs.pop(index, ""):
            yield BlockDelta(0, index, self._kinds[index], given)
        yield BlockStop(0, index, self._signatures.pop(index, None))


def _annotation(index: int, citation: JsonObject) -> Iterator[Annotation]:
    """The whole block of text is what cites, so there are no offsets."""
    field = _CITED_URL.get(text_at(citation, "type"))
    if field and (url := text_at(citation, field)):
        yield Annotation(0, index, url, text_at(citation, "title"))


def _finish(message: JsonObject) -> Iterator[StreamPart]:
    """From a message, or what its last delta changes of one."""
    if reason := text_at(message, "stop_reason"):
        yield Finish(0, FINISH_REASONS.get(reason, FinishReason.OTHER), reason, _detail(message))


def _detail(message: JsonObject) -> str:
    """The stop sequence that was met, or why it is a refusal: in words, else by category."""
    details = object_at(message, "stop_details")
    why = text_at(details, "explanation") or text_at(details, "category")
    return text_at(message, "stop_sequence") or why


def _usage(usage: JsonObject) -> Usage:
    """`input_tokens` excludes what was read from and written to the cache; ours includes both."""
    read, write = (
        used_at(usage, "cache_read_input_tokens"),
        used_at(usage, "cache_creation_input_tokens"),
    )
    uncached = used_at(usage, "input_tokens")
    return Usage(
        input=None if uncached is None else uncached + (read or 0) + (write or 0),
        output=used_at(usage, "output_tokens"),
        cache_read=read,
        cache_write=write,
        reasoning=used_at(object_at(usage, "output_tokens_details"), "thinking_tokens"),
        cost=None if COST_FIELDS.isdisjoint(usage) else stated_cost(usage),
        cache_write_1h=used_at(object_at(usage, "cache_creation"), "ephemeral_1h_input_tokens") or None,
        searches=used_at(object_at(usage, "server_tool_use"), "web_search_requests") or None,
        tier="fast" if usage.get("speed") == "fast" else tier_of(usage),
    )


def _usage_of_all(usage: JsonObject) -> Usage:
    """With the passes that the counts of the whole leave out. Measured: those of a compaction, and of an
    adviser."""
    passes = objects_at(usage, "iterations") if "iterations" in usage else ()
    others = [one for one in passes if text_at(one, "type") in _OTHER_PASSES]
    if not others:
        return _usage(usage)
    besides = tuple(OtherUsage(text_at(one, "model"), _usage(one)) for one in others[:_MOST_PASSES])
    return structs.replace(_usage(usage), besides=besides)


_MOST_PASSES = 100
"""Of one answer. More are no passes."""

_OTHER_PASSES = frozenset({"compaction", "advisor_message"})


def read_answer(body: JsonObject) -> Sequence[StreamPart]:
    """A whole answer: the parts that its stream would have given; or of an error."""
    if body.get("type") == "error" or ("error" in body and "content" not in body):
        return (stream_error(body.get("error")),)
    parts: list[StreamPart] = [MessageStart(text_at(body, "id"), text_at(body, "model"))]
    parts += _blocks(objects_at(body, "content"))
    parts += _finish(body)
    if usage := object_at(body, "usage"):
        parts.append(UsageReport(_usage_of_all(usage)))
    return [*parts, StreamEnd()]


def _blocks(content: Sequence[JsonObject]) -> Iterator[StreamPart]:
    blocks = BlockReader()
    if content:
        yield ChoiceStart(0)
    for index, block in enumerate(content):
        yield from blocks.start(index, block)
        yield from blocks.stop(index)

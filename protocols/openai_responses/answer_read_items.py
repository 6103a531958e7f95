"""Output items to blocks: one reader for each item of a response, whether it streams or comes whole.

Items are known by their output index: measured, GitHub Copilot gives an item another id in each event.
What an item says only when it is done is read then, so that one without a single delta is complete, and a
whole answer is read as items that are done at once.
"""

from collections.abc import Container, Iterator, Mapping, Sequence
from dataclasses import dataclass

from protocols.model.parts import (
    Annotation,
    BlockDelta,
    BlockKind,
    BlockStart,
    BlockStop,
    Signature,
    StreamPart,
    ToolKind,
)
from protocols.model.wirejson import JsonObject, count_at, object_at, objects_at, text_at
from protocols.openai_responses.layout import Item, Piece, run_by_client
from protocols.openai_responses.reasoning import BLANK_LINE, signature_of
from protocols.shared.arguments import NONE_GIVEN, text_of

_ARGUMENTS: Mapping[str, str] = {
    "function_call": "arguments",
    "custom_tool_call": "input",
    "mcp_approval_request": "arguments",
    "tool_search_call": "arguments",
    "local_shell_call": "action",
    "shell_call": "action",
    "computer_call": "action",
    "apply_patch_call": "operation",
}
"""Where a call says what it asks for."""

_STREAMED_CALLS = frozenset({"function_call", "custom_tool_call"})
_TEXT_KINDS: Mapping[str, BlockKind] = {"output_text": BlockKind.TEXT, "refusal": BlockKind.REFUSAL}
_ITS_TEXT: Mapping[str, str] = {"refusal": "refusal"}


@dataclass(slots=True)
class Counter:
    """The next free block index of a response."""

    next: int = 0

    def take(self) -> int:
        self.next += 1
        return self.next - 1


class ItemReader:
    """What the readers of all kinds of items share: blocks that open, grow and close once."""

    def __init__(self, item: Item, counter: Counter) -> None:
        self.item = item
        self._counter = counter
        self._open: dict[int, BlockKind] = {}
        self._length = 0

    def begin(self) -> Iterator[StreamPart]:
        """The item was added."""
        yield from ()

    def event(self, kind: str, event: JsonObject) -> Iterator[StreamPart]:
        """`kind` is the event's type without its `response.`; one that says nothing gives nothing."""
        yield from ()

    def end(self) -> Iterator[StreamPart]:
        """The item is done; `item.native` is its last form."""
        yield from self.stop()

    def stop(self, signature: Signature | None = None) -> Iterator[StreamPart]:
        for index in tuple(self._open):
            yield from self._stop(index, signature)

    def _placed(self, parts: Sequence[JsonObject], kinds: Container[str]) -> Iterator[tuple[int, JsonObject]]:
        """The parts of the whole item, each with the index that its events had. Measured: Bedrock counts
        these over all items, so that the first of one may have any."""
        known = sorted(piece.index for piece in self.item.pieces if piece.kind in kinds)
        return zip(known if len(known) == len(parts) else range(len(parts)), parts, strict=True)

    def _start(self, kind: BlockKind) -> BlockStart:
        index = self._counter.take()
        self._open[index] = kind
        return BlockStart(0, index, kind)

    def _stop(self, index: int, signature: Signature | None = None) -> Iterator[StreamPart]:
        if self._open.pop(index, None):
            yield BlockStop(0, index, signature)


class MessageReader(ItemReader):
    """A message: each part of its content is a block of text or of refusal."""

    def event(self, kind: str, event: JsonObject) -> Iterator[StreamPart]:
        index = count_at(event, "content_index") or 0
        match kind:
            case "content_part.added":
                yield from self._part(index, object_at(event, "part"))
            case "output_text.delta" | "refusal.delta":
                yield from self._grow(index, kind.removesuffix(".delta"), text_at(event, "delta"))
            case "output_text.done":
                yield from self._fill(index, "output_text", text_at(event, "text"))
            case "refusal.done":
                yield from self._fill(index, "refusal", text_at(event, "refusal"))
            case "output_text.annotation.added":
                yield from self._annotate(index, object_at(event, "annotation"))
            case "content_part.done":
                yield from self._whole_part(index, object_at(event, "part"))

    def end(self) -> Iterator[StreamPart]:
        parts = objects_at(self.item.native, "content")
        texts = [part for part in parts if text_at(part, "type") in _TEXT_KINDS]
        for index, part in self._placed(texts, _TEXT_KINDS):
            yield from self._whole_part(index, part)
        yield from self.stop()

    def _piece(self, index: int) -> Piece | None:
        return next((piece for piece in self.item.pieces if piece.index == index), None)

    def _part(self, index: int, part: JsonObject) -> Iterator[StreamPart]:
        kind = text_at(part, "type")
        block_kind = _TEXT_KINDS.get(kind)
        if block_kind is None or self._piece(index):
            return
        start = self._start(block_kind)
        self.item.pieces.append(Piece(kind, index, start.index))
        yield start

    def _grow(self, index: int, kind: str, text: str) -> Iterator[StreamPart]:
        if self._piece(index) is None:
            yield from self._part(index, {"type": kind})
        piece = self._piece(index)
        if piece is not None and piece.open:
            piece.length += len(text)
            yield BlockDelta(0, piece.block, _TEXT_KINDS[piece.kind], text)

    def _fill(self, index: int, kind: str, text: str) -> Iterator[StreamPart]:
        """The whole text, of which deltas said all or nothing."""
        piece = self._piece(index)
        if text and (piece is None or not piece.length):
            yield from self._grow(index, kind, text)

    def _annotate(self, index: int, annotation: JsonObject) -> Iterator[StreamPart]:
        """Citations of files and containers name what only this provider has; they stay in the layout."""
        piece = self._piece(index)
        if piece is None or not annotation:
            return
        piece.annotations.append(annotation)
        if url := text_at(annotation, "url"):
            start, end = count_at(annotation, "start_index"), count_at(annotation, "end_index")
            yield Annotation(0, piece.block, url, text_at(annotation, "title"), start, end)

    def _whole_part(self, index: int, part: JsonObject) -> Iterator[StreamPart]:
        kind = text_at(part, "type")
        if kind not in _TEXT_KINDS:
            return
        if self._piece(index) is None:
            yield from self._part(index, part)
        yield from self._fill(index, kind, text_at(part, _ITS_TEXT.get(kind, "text")))
        piece = self._piece(index)
        if piece is None:
            return
        if not piece.annotations:
            for annotation in objects_at(part, "annotations"):
                yield from self._annotate(index, annotation)
        piece.open = False
        yield from self._stop(piece.block)


class ReasoningReader(ItemReader):
    """Reasoning: one block, its summary parts and what it shows besides set apart by blank lines.

    Measured: `encrypted_content` of the added item differs from that of the done one, which is to be sent
    back.
    """

    def begin(self) -> Iterator[StreamPart]:
        start = self._start(BlockKind.REASONING)
        self.item.block = start.index
        yield start

    def event(self, kind: str, event: JsonObject) -> Iterator[StreamPart]:
        match kind:
            case "reasoning_summary_part.added":
                self._piece("summary_text", count_at(event, "summary_index") or 0)
            case "reasoning_summary_text.delta" | "reasoning_summary.delta":
                yield from self._grow("summary_text", count_at(event, "summary_index") or 0, _said(event))
            case "reasoning_text.delta" | "reasoning.delta":
                yield from self._grow("reasoning_text", count_at(event, "content_index") or 0, _said(event))
            case "reasoning_summary_part.done":
                self._piece("summary_text", count_at(event, "summary_index") or 0).open = False
            case "reasoning_summary_text.done" | "reasoning_summary.done":
                yield from self._fill("summary_text", count_at(event, "summary_index") or 0, event)
            case "reasoning_text.done" | "reasoning.done":
                yield from self._fill("reasoning_text", count_at(event, "content_index") or 0, event)

    def end(self) -> Iterator[StreamPart]:
        for field, kind in (("summary", "summary_text"), ("content", "reasoning_text")):
            for index, part in self._placed(objects_at(self.item.native, field), (kind,)):
                yield from self._fill(kind, index, part)
        yield from self.stop(signature_of(self.item.native))

    def _fill(self, kind: str, index: int, whole: JsonObject) -> Iterator[StreamPart]:
        """The whole text of a piece, of which deltas said all or nothing."""
        if not self._piece(kind, index).length:
            yield from self._grow(kind, index, text_at(whole, "text"))

    def _piece(self, kind: str, index: int) -> Piece:
        known = next((each for each in self.item.pieces if (each.kind, each.index) == (kind, index)), None)
        if known is None:
            known = Piece(kind, index, self.item.block or 0, self._length)
            self.item.pieces.append(known)
        return known

    def _grow(self, kind: str, index: int, text: str) -> Iterator[StreamPart]:
        piece = self._piece(kind, index)
        block = self.item.block or 0
        if not text:
            return
        if not piece.length:
            if self._length:
                yield BlockDelta(0, block, BlockKind.REASONING, BLANK_LINE)
                self._length += len(BLANK_LINE)
            piece.start = self._length
        piece.length += len(text)
        self._length += len(text)
        yield BlockDelta(0, block, BlockKind.REASONING, text)


def _said(event: JsonObject) -> str:
    """A gateway's older form has an object."""
    return text_at(event, "delta") or text_at(object_at(event, "delta"), "text")


class CallReader(ItemReader):
    """A call that the client runs. Those that are not of its own tools carry the item as their payload, and
    what they ask for as their arguments once they are done."""

    def begin(self) -> Iterator[StreamPart]:
        native, kind = self.item.native, self.item.kind
        own = kind in _STREAMED_CALLS
        start = self._start(BlockKind.TOOL)
        self.item.block = start.index
        yield BlockStart(
            0,
            start.index,
            BlockKind.TOOL,
            text_at(native, "call_id") or text_at(native, "id") or None,
            (text_at(native, "name") if own else kind) or None,
            ToolKind.CUSTOM if kind == "custom_tool_call" else ToolKind.FUNCTION,
            text_at(native, "namespace"),
            None if own else native,
        )

    def event(self, kind: str, event: JsonObject) -> Iterator[StreamPart]:
        match kind:
            case "function_call_arguments.delta" | "custom_tool_call_input.delta":
                yield from self._grow(text_of(event.get("delta")))
            case "function_call_arguments.done":
                yield from self._fill(text_of(event.get("arguments")))
            case "custom_tool_call_input.done":
                yield from self._fill(text_at(event, "input"))

    def end(self) -> Iterator[StreamPart]:
        said = self.item.native.get(_ARGUMENTS.get(self.item.kind, ""))
        free = self.item.kind == "custom_tool_call"
        yield from self._fill(NONE_GIVEN if said is None and not free else text_of(said))
        yield from self.stop()

    def _grow(self, text: str) -> Iterator[StreamPart]:
        self._length += len(text)
        yield BlockDelta(0, self.item.block or 0, BlockKind.TOOL, text)

    def _fill(self, text: str) -> Iterator[StreamPart]:
        if text and not self._length:
            yield from self._grow(text)


class HostedReader(ItemReader):
    """A tool that the provider runs; an image that it made is a block of media of its own."""

    def begin(self) -> Iterator[StreamPart]:
        native = self.item.native
        start = self._start(BlockKind.HOSTED)
        self.item.block = start.index
        tool_id = text_at(native, "id") or None
        yield BlockStart(0, start.index, BlockKind.HOSTED, tool_id, self.item.kind, payload=native)

    def event(self, kind: str, event: JsonObject) -> Iterator[StreamPart]:
        delta = text_at(event, "delta") if kind.endswith(".delta") else ""
        if delta and self._open:
            yield BlockDelta(0, self.item.block or 0, BlockKind.HOSTED, delta)

    def end(self) -> Iterator[StreamPart]:
        yield from self.stop()
        if self.item.kind == "image_generation_call" and text_at(self.item.native, "result"):
            start = self._start(BlockKind.MEDIA)
            yield BlockStart(0, start.index, BlockKind.MEDIA, payload=_image(self.item.native))
            yield from self.stop()


def reader_of(item: Item, counter: Counter) -> ItemReader:
    match item.kind:
        case "message":
            return MessageReader(item, counter)
        case "reasoning":
            return ReasoningReader(item, counter)
        case _ if run_by_client(item.native):
            return CallReader(item, counter)
        case _:
            return HostedReader(item, counter)


def _image(item: JsonObject) -> JsonObject:
    """What an image generation call resulted in, as the payload of a MEDIA block."""
    media_type = f"image/{text_at(item, 'output_format') or 'png'}"
    return {"media_type": media_type, "data": text_at(item, "result")}

"""The rest of a response of which its client has seen a part: more of its items, further ones, its end.

Items that their provider did not bring to an end continue, and are closed, the innermost first: all under the
provider's own ids and indexes.
"""

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import replace

from protocols.model.parts import Annotation, BlockDelta, BlockStart, BlockStop, StreamError
from protocols.model.progress import Progress
from protocols.model.wirejson import JsonObject, text_at
from protocols.openai_responses.answer_write import EventWriter
from protocols.openai_responses.answer_write_items import citation_of
from protocols.openai_responses.layout import Item, Layout, Piece, layout_of, run_by_client

_PREFIX = "resp_"
_ARGUMENTS: Mapping[str, tuple[str, str]] = {
    "function_call": ("function_call_arguments", "arguments"),
    "custom_tool_call": ("custom_tool_call_input", "input"),
    "mcp_call": ("mcp_call_arguments", "arguments"),
    "code_interpreter_call": ("code_interpreter_call_code", "code"),
}
"""The event that says all of what a call asks for, and the field that it is in."""

_PIECES: Mapping[str, tuple[str, str, str]] = {
    "output_text": ("output_text", "text", "content"),
    "refusal": ("refusal", "refusal", "content"),
    "reasoning_text": ("reasoning_text", "text", "content"),
    "summary_text": ("reasoning_summary_text", "text", "summary"),
}
"""The event that says all of a piece, the field that it is in, and the field of the item that holds it."""

_PIECED = frozenset({"message", "reasoning"})
_WRITTEN = frozenset({*_PIECED, "function_call", "custom_tool_call"})
"""What ends with its text; of any other item its provider alone could say that it is done."""

_NEVER_INCOMPLETE: Mapping[str, str] = {"image_generation_call": "failed"}


def _is_half_an_act(item: Item) -> bool:
    """A call for the client that is not done and has no field for what came of it: a patch or a command that
    closed would be one that nobody wrote. A search for tools changes nothing, and is closed."""
    acts = item.kind not in _ARGUMENTS and item.kind != "tool_search_call"
    return not item.done and acts and run_by_client(item.native)


class Inherited:
    """The items of a layout, and the texts of their blocks, as far as the client has seen them.

    A copy: what is written continues from here, whatever becomes of `progress`.
    """

    def __init__(self, layout: Layout, progress: Progress) -> None:
        self.items = [copied(item, layout.place(item.output_index)) for item in layout.reported]
        self._texts = {index: list(block.pieces) for (_, index), block in progress.blocks.items()}
        self._open = {index for _, index in progress.open}

    def holds(self, block: int) -> bool:
        """Whether a block is one of these, and has not stopped."""
        return block in self._open

    def grow(self, block: int, text: str) -> Iterator[JsonObject]:
        item = self._item_of(block)
        if item is None or not text:
            return
        if item.kind in _PIECED:
            yield from self._grow_piece(item, block, text)
        elif item.kind in _ARGUMENTS:
            event = _ARGUMENTS[item.kind][0]
            yield {"type": f"response.{event}.delta", **_place(item), "delta": text}
        self._texts.setdefault(block, []).append(text)

    def annotate(self, block: int, annotation: Annotation) -> Iterator[JsonObject]:
        item = self._item_of(block)
        piece = next((each for each in item.pieces if each.block == block), None) if item else None
        if item is None or piece is None or piece.kind != "output_text":
            return
        cited = citation_of(annotation, piece.length)
        at = {**_place(item), "content_index": piece.index, "annotation_index": len(piece.annotations)}
        piece.annotations.append(cited)
        yield {"type": "response.output_text.annotation.added", **at, "annotation": cited}

    def stop(self, block: int) -> None:
        """Nothing is written of it before it is known what follows."""
        self._open.discard(block)

    def stop_all(self) -> None:
        self._open.clear()

    def settled(self, status: str) -> Iterator[JsonObject]:
        """The items that no open block belongs to are done, with `status`."""
        for item in self.items:
            if item.done or _is_half_an_act(item) or self._open.intersection(_blocks_of(item)):
                continue
            own = status if item.kind in _WRITTEN else _unfinished(item)
            yield from self._close(item, own)

    def output(self) -> dict[int, JsonObject]:
        """The items as they are written in the last event, by their index."""
        written = (item for item in self.items if not _is_half_an_act(item))
        return {item.output_index: self._written(item) for item in written}

    def _written(self, item: Item) -> JsonObject:
        return item.native if item.done else self._native(item, _unfinished(item))

    def _item_of(self, block: int) -> Item | None:
        return next((item for item in self.items if block in _blocks_of(item)), None)

    # -- one item -----------------------------------------------------------------------------------------

    def _grow_piece(self, item: Item, block: int, text: str) -> Iterator[JsonObject]:
        piece = next((each for each in reversed(item.pieces) if each.block == block and each.open), None)
        if piece is None:
            piece = Piece("summary_text", _summaries(item), block, len(self._block_text(block)))
            item.pieces.append(piece)
            at = {**_place(item), "summary_index": piece.index}
            empty = {"type": "summary_text", "text": ""}
            yield {"type": "response.reasoning_summary_part.added", **at, "part": empty}
        piece.length += len(text)
        event, _, container = _PIECES[piece.kind]
        at = {**_place(item), f"{container}_index": piece.index}
        logprobs: JsonObject = {"logprobs": []} if piece.kind == "output_text" else {}
        yield {"type": f"response.{event}.delta", **at, "delta": text, **logprobs}

    def _close(self, item: Item, status: str) -> Iterator[JsonObject]:
        for piece in item.pieces:
            if piece.open:
                yield from self._close_piece(piece, _place(item))
        if item.kind in _ARGUMENTS:
            event, field = _ARGUMENTS[item.kind]
            name = {"name": item.native.get("name")} if item.kind == "function_call" else {}
            yield {"type": f"response.{event}.done", **_place(item), **name, field: self._text(item)}
        item.native, item.done = self._native(item, status), True
        yield {"type": "response.output_item.done", "output_index": item.output_index, "item": item.native}

    def _close_piece(self, piece: Piece, place: JsonObject) -> Iterator[JsonObject]:
        event, field, container = _PIECES[piece.kind]
        at = {**place, f"{container}_index": piece.index}
        logprobs: JsonObject = {"logprobs": []} if piece.kind == "output_text" else {}
        yield {"type": f"response.{event}.done", **at, field: self._piece_text(piece), **logprobs}
        of = "reasoning_summary" if container == "summary" else "content"
        yield {"type": f"response.{of}_part.done", **at, "part": self._part(piece)}

    def _native(self, item: Item, status: str) -> JsonObject:
        """An open item with what was said of it."""
        written: dict[str, object] = {"status": status}
        if item.kind in _ARGUMENTS:
            written[_ARGUMENTS[item.kind][1]] = self._text(item)
        for piece in sorted(item.pieces, key=lambda piece: piece.index):
            parts = written.setdefault(_PIECES[piece.kind][2], [])
            assert isinstance(parts, list)
            parts.append(self._part(piece))
        return {**item.native, **written}

    def _part(self, piece: Piece) -> JsonObject:
        part = {"type": piece.kind, _PIECES[piece.kind][1]: self._piece_text(piece)}
        if piece.kind != "output_text":
            return part
        return {**part, "annotations": list(piece.annotations), "logprobs": []}

    def _piece_text(self, piece: Piece) -> str:
        return self._block_text(piece.block)[piece.start : piece.start + piece.length]

    def _text(self, item: Item) -> str:
        return "" if item.block is None else self._block_text(item.block)

    def _block_text(self, index: int) -> str:
        return "".join(self._texts.get(index, ()))


def copied(item: Item, index: int) -> Item:
    """The item by the index that the client knows."""
    pieces = [replace(piece, annotations=list(piece.annotations)) for piece in item.pieces]
    return replace(item, output_index=index, pieces=pieces)


def _unfinished(item: Item) -> str:
    return _NEVER_INCOMPLETE.get(item.kind, "incomplete")


def _blocks_of(item: Item) -> set[int]:
    own = set() if item.block is None else {item.block}
    return own | {piece.block for piece in item.pieces}


def _place(item: Item) -> JsonObject:
    return {"item_id": text_at(item.native, "id"), "output_index": item.output_index}


def _summaries(item: Item) -> int:
    """The next free index among the parts of a summary."""
    return max((piece.index for piece in item.pieces if piece.kind == "summary_text"), default=-1) + 1


class ResumedEventWriter(EventWriter):
    """Continues as `progress` stands: under the response's id, after its last output index and its last
    number, which is none where the provider does not count. Items that were done stay as they are."""

    def __init__(self, progress: Progress) -> None:
        layout = layout_of(progress) or Layout()
        super().__init__(layout.response, progress.head.id.removeprefix(_PREFIX) if progress.head else "")
        self._inherited = Inherited(layout, progress)
        self._next = layout.place(max(layout.items, default=-1) + 1)
        self._counts = layout.sequence is not None
        self._number = (layout.sequence or 0) - layout.unsaid + 1
        self._usage = progress.usage
        self._over = layout.ended

    def _numbered(self, event: JsonObject) -> JsonObject:
        return super()._numbered(event) if self._counts else event

    def _block(self, part: BlockStart | BlockDelta | BlockStop | Annotation) -> Iterable[JsonObject]:
        if isinstance(part, BlockStart) or not self._inherited.holds(part.index):
            return super()._block(part)
        match part:
            case BlockDelta(index=index, text=text):
                return self._inherited.grow(index, text)
            case Annotation(index=index):
                return self._inherited.annotate(index, part)
            case BlockStop(index=index):
                self._inherited.stop(index)
        return ()

    def _settle(self, status: str) -> Iterator[JsonObject]:
        yield from self._inherited.settled(status)
        yield from super()._settle(status)

    def _end(self) -> Iterator[JsonObject]:
        """Without a word of how it ended there is no event that ends it."""
        if self._finish is not None:
            self._inherited.stop_all()
            yield from super()._end()

    def _failed(self, error: StreamError) -> Iterator[JsonObject]:
        """A response that never began cannot fail."""
        began = bool(self.response)
        yield from (event for event in super()._failed(error) if began or event["type"] == "error")

    def _terminal(self, status: str, **fields: object) -> JsonObject:
        self._output = {**self._inherited.output(), **self._output}
        return super()._terminal(status, **fields)

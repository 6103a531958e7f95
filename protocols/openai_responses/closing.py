"""The events that close a stream that its provider did not: the innermost first, then the response.

All under the provider's own ids, indexes and count of events.
"""

from collections.abc import Iterator, Mapping, Sequence

from protocols.openai_responses.layout import Item, Layout, Piece, layout_of, run_by_client
from protocols.openai_responses.vocabulary import error_object, usage_object
from protocols.parts import Finish, Progress, StreamError, StreamPart
from protocols.wirejson import JsonObject, text_at

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

_NEVER_INCOMPLETE: Mapping[str, str] = {"image_generation_call": "failed"}


def closing_events(parts: Sequence[StreamPart], progress: Progress) -> list[JsonObject]:
    """The event objects for the parts that close an answer; none where the last event came already."""
    layout = layout_of(progress) or Layout()
    error = next((part for part in parts if isinstance(part, StreamError)), None)
    if layout.ended or not (error or any(isinstance(part, Finish) for part in parts)):
        return []
    closing = Closing(layout, progress)
    events = closing.failed(error) if error else closing.incomplete()
    return _numbered(list(events), layout)


def _numbered(events: list[JsonObject], layout: Layout) -> list[JsonObject]:
    if layout.sequence is None:
        return events
    last = layout.sequence - layout.unsaid
    return [{**event, "sequence_number": last + 1 + offset} for offset, event in enumerate(events)]


def _is_half_an_act(item: Item) -> bool:
    """A call for the client that is not done and has no field for what came of it: a patch or a command that
    closed would be one that nobody wrote."""
    return not item.done and item.kind not in _ARGUMENTS and run_by_client(item.native)


class Closing:
    """What the stream of `layout` lacks; texts are those of `progress`."""

    def __init__(self, layout: Layout, progress: Progress) -> None:
        self._layout = layout
        self._progress = progress

    def incomplete(self) -> Iterator[JsonObject]:
        for item in self._layout.told:
            if not (item.done or _is_half_an_act(item)):
                yield from self._close(item)
        details = {"reason": "max_output_tokens"}
        yield self._terminal("incomplete", incomplete_details=details)

    def failed(self, error: StreamError) -> Iterator[JsonObject]:
        """Measured: SDKs raise on the nested error. A response that never began cannot fail."""
        told = error_object(error.type, error.message)
        yield {"type": "error", "error": told}
        if self._layout.response:
            yield self._terminal("failed", error={"code": told["code"], "message": told["message"]})

    def _terminal(self, status: str, **fields: object) -> JsonObject:
        told = (item for item in self._layout.told if not _is_half_an_act(item))
        output = [item.native if item.done else self._native(item) for item in told]
        usage = usage_object(self._progress.usage)
        response = {**self._layout.response, "status": status, **fields, "output": output, "usage": usage}
        return {"type": f"response.{status}", "response": response}

    # -- one item -----------------------------------------------------------------------------------------

    def _close(self, item: Item) -> Iterator[JsonObject]:
        index = self._layout.place(item.output_index)
        place = {"item_id": text_at(item.native, "id"), "output_index": index}
        for piece in item.pieces:
            if piece.open:
                yield from self._close_piece(piece, place)
        if item.kind in _ARGUMENTS:
            event, field = _ARGUMENTS[item.kind]
            name = {"name": item.native.get("name")} if item.kind == "function_call" else {}
            yield {"type": f"response.{event}.done", **place, **name, field: self._text(item)}
        done = {"output_index": index, "item": self._native(item)}
        yield {"type": "response.output_item.done", **done}

    def _close_piece(self, piece: Piece, place: JsonObject) -> Iterator[JsonObject]:
        event, field, container = _PIECES[piece.kind]
        at = {**place, f"{container}_index": piece.index}
        logprobs: JsonObject = {"logprobs": []} if piece.kind == "output_text" else {}
        yield {"type": f"response.{event}.done", **at, field: self._piece_text(piece), **logprobs}
        of = "reasoning_summary" if container == "summary" else "content"
        yield {"type": f"response.{of}_part.done", **at, "part": self._part(piece)}

    def _native(self, item: Item) -> JsonObject:
        """An open item with what was told of it."""
        told: dict[str, object] = {"status": _NEVER_INCOMPLETE.get(item.kind, "incomplete")}
        if item.kind in _ARGUMENTS:
            told[_ARGUMENTS[item.kind][1]] = self._text(item)
        for piece in sorted(item.pieces, key=lambda piece: piece.index):
            parts = told.setdefault(_PIECES[piece.kind][2], [])
            assert isinstance(parts, list)
            parts.append(self._part(piece))
        return {**item.native, **told}

    def _part(self, piece: Piece) -> JsonObject:
        part = {"type": piece.kind, _PIECES[piece.kind][1]: self._piece_text(piece)}
        if piece.kind != "output_text":
            return part
        return {**part, "annotations": piece.annotations, "logprobs": []}

    def _piece_text(self, piece: Piece) -> str:
        return self._block_text(piece.block)[piece.start : piece.start + piece.length]

    def _text(self, item: Item) -> str:
        return "" if item.block is None else self._block_text(item.block)

    def _block_text(self, index: int) -> str:
        block = self._progress.blocks.get((0, index))
        return block.text if block else ""

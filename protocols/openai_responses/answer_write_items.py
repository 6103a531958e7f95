"""What a block looks like as an output item: announced, growing, done."""

from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import assert_never

from protocols.model.parts import Annotation, BlockKind, BlockStart, ToolKind
from protocols.model.wirejson import JsonObject, text_at


@dataclass(slots=True)
class Open:
    """The item that is being written."""

    start: BlockStart
    """How its block began."""
    index: int
    """Its output index."""
    native: dict[str, object]
    """The item without what grows."""
    text: list[str] = field(default_factory=list)
    """The pieces of its text so far."""
    annotations: list[JsonObject] = field(default_factory=list)
    """The annotations of its text so far."""
    shown: bool = False
    """Whether its part or summary was announced."""

    @property
    def place(self) -> JsonObject:
        return {"item_id": self.native["id"], "output_index": self.index}

    @property
    def whole(self) -> str:
        return "".join(self.text)


def item_of(start: BlockStart, name: str) -> dict[str, object] | None:
    """The item that a block becomes, without what grows; None of one that has no form here."""
    match start.kind:
        case BlockKind.TEXT | BlockKind.REFUSAL:
            return {"id": f"msg_{name}", "type": "message", "role": "assistant", "content": []}
        case BlockKind.REASONING:
            return {"id": f"rs_{name}", "type": "reasoning", "summary": []}
        case BlockKind.TOOL:
            return _call_item(start, name)
        case BlockKind.MEDIA:
            return _image_item(start.payload or {}, name)
        case BlockKind.HOSTED:
            return None
        case _:
            assert_never(start.kind)


def _call_item(start: BlockStart, name: str) -> dict[str, object]:
    called = {"call_id": start.tool_id or f"call_{name}", "name": start.tool_name or ""}
    space = {"namespace": start.namespace} if start.namespace else {}
    if start.tool_kind is ToolKind.CUSTOM:
        return {"id": f"ctc_{name}", "type": "custom_tool_call", "input": "", **called, **space}
    return {"id": f"fc_{name}", "type": "function_call", "arguments": "", **called, **space}


def _image_item(payload: JsonObject, name: str) -> dict[str, object] | None:
    kind, _, form = text_at(payload, "media_type").partition("/")
    if kind != "image" or not text_at(payload, "data"):
        return None
    image = {"result": text_at(payload, "data"), "output_format": form}
    return {"id": f"ig_{name}", "type": "image_generation_call", **image}


def announced(native: JsonObject) -> JsonObject:
    """The item as it is announced: an image has no result yet."""
    empty = {"result": None} if "result" in native else {}
    return {**native, **empty, "status": "in_progress"}


def as_reported(item: Open, status: str) -> JsonObject:
    native = {**item.native, "status": status}
    match item.start.kind:
        case BlockKind.TEXT | BlockKind.REFUSAL:
            return {**native, "content": [content_of(item, item.whole)]}
        case BlockKind.REASONING if item.shown:
            return {**native, "summary": [{"type": "summary_text", "text": item.whole}]}
        case BlockKind.TOOL:
            return {**native, text_field(item.start): item.whole}
        case _:
            return native


def content_of(item: Open, text: str) -> JsonObject:
    if item.start.kind is BlockKind.REFUSAL:
        return {"type": "refusal", "refusal": text}
    return {"type": "output_text", "text": text, "annotations": list(item.annotations), "logprobs": []}


def citation_of(part: Annotation, length: int) -> JsonObject:
    """`length`: the characters of the text so far, all of which are cited where no end is given."""
    return {
        "type": "url_citation",
        "url": part.url,
        "title": part.title,
        "start_index": part.start or 0,
        "end_index": length if part.end is None else part.end,
    }


def text_field(start: BlockStart) -> str:
    match start.kind:
        case BlockKind.TOOL:
            return "input" if start.tool_kind is ToolKind.CUSTOM else "arguments"
        case BlockKind.REFUSAL:
            return "refusal"
        case _:
            return "text"


def event_of(start: BlockStart) -> str:
    match start.kind:
        case BlockKind.TEXT:
            return "output_text"
        case BlockKind.REFUSAL:
            return "refusal"
        case BlockKind.REASONING:
            return "reasoning_summary_text"
        case BlockKind.TOOL if start.tool_kind is ToolKind.CUSTOM:
            return "custom_tool_call_input"
        case BlockKind.TOOL:
            return "function_call_arguments"
        case _:
            return ""


def piece_index(item: Open) -> JsonObject:
    """Where text goes in the item, and what stands beside it in each event."""
    match item.start.kind:
        case BlockKind.TEXT:
            return {"content_index": 0, "logprobs": []}
        case BlockKind.REFUSAL:
            return {"content_index": 0}
        case BlockKind.REASONING:
            return {"summary_index": 0}
        case _:
            return {}


def part_done(item: Open) -> Iterator[JsonObject]:
    name = text_field(item.start)
    at = {**item.place, **piece_index(item)}
    yield {"type": f"response.{event_of(item.start)}.done", **at, name: item.whole}
    at.pop("logprobs", None)
    if item.start.kind is BlockKind.REASONING:
        part: JsonObject = {"type": "summary_text", "text": item.whole}
        yield {"type": "response.reasoning_summary_part.done", **at, "part": part}
    else:
        yield {"type": "response.content_part.done", **at, "part": content_of(item, item.whole)}


def call_done(item: Open) -> JsonObject:
    """Some clients ask for the function's name in it."""
    name = {"name": item.native["name"]} if item.start.tool_kind is ToolKind.FUNCTION else {}
    event, field_ = event_of(item.start), text_field(item.start)
    return {"type": f"response.{event}.done", **item.place, **name, field_: item.whole}

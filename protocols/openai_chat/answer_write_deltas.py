"""Blocks of one choice as deltas of a Chat message, and deltas put together again as a message."""

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from typing import assert_never, cast

from protocols.model.parts import (
    Annotation,
    BlockDelta,
    BlockKind,
    BlockStart,
    BlockStop,
    Signature,
    ToolKind,
)
from protocols.model.progress import Block
from protocols.model.wirejson import JsonObject, objects_at, text_at
from protocols.openai_chat.reasoning import DETAILS, SIGNATURE, details_of, foreign_item, signed, span_id
from protocols.shared.media import data_url
from protocols.shared.signatures import PLAIN

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

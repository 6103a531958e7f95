"""Event objects to parts, and a whole response to parts. Nothing here knows how events are framed."""

from collections.abc import Iterable, Iterator, Sequence

from protocols.model.parts import (
    BlockDelta,
    BlockKind,
    BlockStart,
    ChoiceStart,
    Finish,
    FinishReason,
    MessageStart,
    Opaque,
    Ping,
    StreamEnd,
    StreamPart,
    Usage,
    UsageReport,
)
from protocols.model.progress import visible
from protocols.model.wirejson import (
    JsonObject,
    count_at,
    object_at,
    objects_at,
    stream_error,
    text_at,
    used_at,
)
from protocols.openai_responses.answer_read_items import Counter, ItemReader, reader_of
from protocols.openai_responses.error_words import FINISH_REASONS, failure, flat_error, is_half
from protocols.openai_responses.layout import LAYOUT, Item, Layout, item_of, run_by_client
from protocols.shared.costs import COST_FIELDS, stated_cost
from protocols.shared.tiers import tier_of

_EVENT = "response."
_OPENING = frozenset({"created", "queued", "in_progress"})
_TERMINAL = frozenset({"completed", "incomplete", "failed", "cancelled"})


class EventReader:
    """The events of one response, each a JSON object; stateful."""

    def __init__(self) -> None:
        self._reset({})

    def _reset(self, opening: JsonObject) -> None:
        """`opening`: the response, where no event says again that it was created."""
        self._opening = opening
        self._layout = Layout()
        self._readers: dict[int, ItemReader] = {}
        self._counter = Counter()
        self._sound: int | None = None
        self._started = self._repeated = False

    def read(self, event: JsonObject, raw: bytes) -> Sequence[StreamPart]:
        """`raw` is the frame, which an event that makes no sense is kept as."""
        kind = text_at(event, "type")
        if self._begins_again(kind, event):
            self._reset(self._layout.response)
        self._count(event)
        if error := event.get("error"):
            return (stream_error(error),)
        if kind == "error":
            return (flat_error(event),)
        if kind == "keepalive":
            return (Ping(),)
        about = kind.removeprefix(_EVENT) if kind.startswith(_EVENT) else ""
        found = self._event(about, event) if about else None
        if found is None:
            return (Ping(working=True) if item_of(about) else Opaque(raw),)
        parts = list(found)
        if _is_reasoning(kind, event) and not any(map(visible, parts)):
            parts.append(Ping(working=True))
        return parts or (Ping(),)

    def _begins_again(self, kind: str, event: JsonObject) -> bool:
        """Whether an upstream begins its answer again inside one: another response, or the same one from its
        first item on. Measured: llama.cpp may say before each event that its one response was created."""
        if kind == _EVENT + "created" and self._started:
            named = text_at(object_at(event, "response"), "id")
            self._repeated = True
            return not named or named != text_at(self._layout.response, "id")
        placed = kind == _EVENT + "output_item.added" and count_at(event, "output_index") in self._readers
        return placed and self._repeated

    def _count(self, event: JsonObject) -> None:
        number = count_at(event, "sequence_number")
        if number is not None:
            self._layout.sequence = number

    def _event(self, kind: str, event: JsonObject) -> Iterable[StreamPart] | None:
        """None: it is not known."""
        if kind in _TERMINAL or kind in _OPENING:
            return self._lifecycle(object_at(event, "response"), kind)
        if kind.startswith("audio."):
            return self._audio(text_at(event, "delta") if kind == "audio.delta" else "")
        index = self._place(kind, event)
        return None if index is None else self._item_event(kind, index, event)

    def _lifecycle(self, response: JsonObject, kind: str) -> Iterator[StreamPart]:
        yield from self._begin(response)
        self._layout.response = {**self._layout.response, **response}
        if kind in _TERMINAL:
            yield from self._terminal(response, kind)

    def _begin(self, response: JsonObject) -> Iterator[StreamPart]:
        if self._started:
            return
        self._started = True
        template = {LAYOUT: self._layout}
        yield MessageStart(text_at(response, "id"), text_at(response, "model"), template)
        yield ChoiceStart(0)

    # -- items --------------------------------------------------------------------------------------------

    def _place(self, kind: str, event: JsonObject) -> int | None:
        """The output index; that of an item which is new is the next one."""
        item = object_at(event, "item")
        whole, adds = kind.startswith("output_item."), kind == "output_item.added"
        about = text_at(item, "type") if whole else item_of(kind)
        found = self._layout.find(event, None if adds else about)
        new = whole or (about is not None and bool(text_at(event, "item_id")))
        return self._layout.free if found is None and new else found

    def _item_event(self, kind: str, index: int, event: JsonObject) -> Iterable[StreamPart] | None:
        if kind == "output_item.added":
            return self._added(index, object_at(event, "item"))
        if kind == "output_item.done":
            return self._done(index, object_at(event, "item"))
        known = index in self._readers or item_of(kind)
        return self._about(kind, index, event) if known else None

    def _about(self, kind: str, index: int, event: JsonObject) -> Iterator[StreamPart]:
        """What is said about an item, which gateways may have left out to announce."""
        if index not in self._readers:
            yield from self._added(index, {"type": item_of(kind), "id": text_at(event, "item_id")})
        yield from self._readers[index].event(kind, event)

    def _audio(self, data: str) -> Iterator[StreamPart]:
        """Sound belongs to no item: it is documented without an index."""
        if self._sound is None:
            yield from self._begin(self._opening)
            self._sound = self._counter.take()
            yield BlockStart(0, self._sound, BlockKind.MEDIA, payload={"media_type": "audio/*"})
        if data:
            yield BlockDelta(0, self._sound, BlockKind.MEDIA, data)

    def _added(self, index: int, native: JsonObject) -> Iterator[StreamPart]:
        yield from self._begin(self._opening)
        if index in self._readers:
            yield from self._readers[index].stop()
        item = self._layout.items[index] = Item(index, native)
        reader = self._readers[index] = reader_of(item, self._counter)
        yield from reader.begin()

    def _done(self, index: int, native: JsonObject) -> Iterator[StreamPart]:
        """An item as it is in the end, announced before or not."""
        if index not in self._readers:
            yield from self._added(index, native)
        reader = self._readers[index]
        if not reader.item.done:
            reader.item.native = native or reader.item.native
            reader.item.done = True
            yield from reader.end()

    # -- the end ------------------------------------------------------------------------------------------

    def _terminal(self, response: JsonObject, kind: str) -> Iterator[StreamPart]:
        if kind != "failed":
            yield from self._unsaid(objects_at(response, "output"))
        for reader in self._readers.values():
            yield from reader.stop()
        self._layout.ended = True
        if usage := object_at(response, "usage"):
            yield UsageReport(_usage(usage, response))
        if kind == "failed":
            yield failure(response)
        else:
            yield self._finish(response, kind)
        yield StreamEnd()

    def _unsaid(self, output: Sequence[JsonObject]) -> Iterator[StreamPart]:
        """What only the last event says: all of the answer, or the end of an item."""
        if not self._readers:
            for index, native in enumerate(output):
                yield from self._done(index, native)
        for native in output:
            known = self._layout.find({"item": native})
            if known is not None:
                yield from self._done(known, native)

    def _finish(self, response: JsonObject, kind: str) -> Finish:
        if kind == "incomplete":
            why = text_at(object_at(response, "incomplete_details"), "reason")
            return Finish(0, FINISH_REASONS.get(why, FinishReason.OTHER), why or kind)
        if kind == "cancelled":
            return Finish(0, FinishReason.ERROR, kind)
        if kind != "completed":
            return Finish(0, FinishReason.OTHER, kind)
        if any(is_half(item.native) for item in self._layout.items.values()):
            return Finish(0, FinishReason.LENGTH, kind)
        called = any(run_by_client(item.native) for item in self._layout.items.values())
        return Finish(0, FinishReason.TOOL_CALLS if called else FinishReason.STOP, kind)

    def whole(self, response: JsonObject) -> Iterator[StreamPart]:
        """All of a response that came at once; one that runs in the background may be queued still."""
        yield from self._begin(response)
        self._layout.response = response
        for index, item in enumerate(objects_at(response, "output")):
            yield from self._done(index, item)
        yield from self._terminal(response, text_at(response, "status") or "completed")


def _is_reasoning(kind: str, event: JsonObject) -> bool:
    """Whether an event is about reasoning, shown or not."""
    return kind.startswith(_EVENT + "reasoning") or text_at(object_at(event, "item"), "type") == "reasoning"


def read_answer(body: JsonObject) -> Sequence[StreamPart]:
    """The parts of a whole body: a response, an error, or another operation's answer."""
    if text_at(body, "object") == "response" or "output" in body:
        return list(EventReader().whole(body))
    if error := body.get("error"):
        return (stream_error(error),)
    return (MessageStart(text_at(body, "id"), text_at(body, "model")), StreamEnd())


def _usage(usage: JsonObject, response: JsonObject) -> Usage:
    """That of `response`, which says on which terms it was served. Counts are inclusive on both sides."""
    details = object_at(usage, "input_tokens_details")
    return Usage(
        input=used_at(usage, "input_tokens"),
        output=used_at(usage, "output_tokens"),
        cache_read=used_at(details, "cached_tokens"),
        cache_write=used_at(details, "cache_write_tokens"),
        reasoning=used_at(object_at(usage, "output_tokens_details"), "reasoning_tokens"),
        cost=None if COST_FIELDS.isdisjoint(usage) else stated_cost(usage),
        input_audio=used_at(details, "audio_tokens") or None,
        tier=tier_of(usage, response),
    )

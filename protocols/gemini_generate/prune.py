"""Chunks of a stream without some of its function calls."""

from collections.abc import Container, Iterator, Sequence

from protocols.gemini_generate.error_words import FINISH_REASONS
from protocols.model.parts import CUT_SHORT, BlockKey, BlockKind, BlockStart, MessageStart, StreamPart, key_of
from protocols.model.wirejson import JsonObject, count_at, each_at, inside, object_at, objects_at, text_at


class ChunkPruner:
    """See `protocols.base.Pruner`. A part without a name continues the call before it. A chunk that would
    say nothing but its counts is dropped, unless it is the first."""

    def __init__(self) -> None:
        self._going_on: dict[int, BlockKey | None] = {}

    def prune(
        self,
        event: JsonObject,
        said: Sequence[StreamPart],
        cut: Container[BlockKey],
        head: MessageStart | None,
    ) -> JsonObject | None:
        enveloped = "candidates" not in event and isinstance(event.get("response"), dict)
        chunk = object_at(event, "response") if enveloped else event
        found = objects_at(chunk, "candidates")
        kept = [self._candidate(each, said, cut) for each in found]
        if all(new is old for new, old in zip(kept, found, strict=True)):
            return event
        if not any(_says_something(each) for each in kept) and not _is_first(said):
            return None
        pruned = {**chunk, "candidates": kept}
        return {**event, "response": pruned} if enveloped else pruned

    def short(self, event: JsonObject, choices: Container[int]) -> JsonObject:
        event = inside(event, "response", lambda chunk: self.short(chunk, choices))
        return each_at(event, "candidates", lambda one: _short(one, choices))

    def _candidate(
        self, candidate: JsonObject, said: Sequence[StreamPart], cut: Container[BlockKey]
    ) -> JsonObject:
        choice = count_at(candidate, "index") or 0
        content = object_at(candidate, "content")
        begun = _begun(choice, said)
        parts = objects_at(content, "parts")
        kept = [part for part in parts if self._call(choice, part, begun) not in cut]
        if len(kept) == len(parts):
            return candidate
        return {**candidate, "content": {**content, "parts": kept}}

    def _call(self, choice: int, part: JsonObject, begun: Iterator[BlockKey]) -> BlockKey | None:
        """The call that a part is of, if it is of one."""
        if not isinstance(part.get("functionCall"), dict):
            return None
        if text_at(object_at(part, "functionCall"), "name"):
            self._going_on[choice] = next(begun, None)
        return self._going_on.get(choice)


def _short(candidate: JsonObject, choices: Container[int]) -> JsonObject:
    word = text_at(candidate, "finishReason")
    honest = not word or FINISH_REASONS.get(word) in CUT_SHORT
    known = (count_at(candidate, "index") or 0) in choices
    return candidate if honest or not known else {**candidate, "finishReason": "MAX_TOKENS"}


def _begun(choice: int, said: Sequence[StreamPart]) -> Iterator[BlockKey]:
    starts = (part for part in said if isinstance(part, BlockStart) and part.kind is BlockKind.TOOL)
    return (key_of(start) for start in starts if start.choice == choice)


def _says_something(candidate: JsonObject) -> bool:
    return bool(objects_at(object_at(candidate, "content"), "parts") or text_at(candidate, "finishReason"))


def _is_first(said: Sequence[StreamPart]) -> bool:
    return any(isinstance(part, MessageStart) for part in said)

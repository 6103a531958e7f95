"""Lines of a stream without some of its tool calls."""

from collections.abc import Container, Sequence

from protocols.model.parts import (
    CUT_SHORT,
    BlockKey,
    BlockKind,
    BlockStart,
    MessageStart,
    StreamPart,
    is_of,
    key_of,
)
from protocols.model.wirejson import JsonObject, object_at, objects_at, text_at
from protocols.ollama_chat.error_words import FINISH_REASONS


class LinePruner:
    """See `protocols.base.Pruner`. Calls come whole, but for those with arguments that are a text."""

    def prune(
        self,
        event: JsonObject,
        said: Sequence[StreamPart],
        cut: Container[BlockKey],
        head: MessageStart | None,
    ) -> JsonObject | None:
        if not any(is_of(part, cut) for part in said):
            return event
        message = object_at(event, "message")
        begun = [part for part in said if isinstance(part, BlockStart) and part.kind is BlockKind.TOOL]
        calls = zip(objects_at(message, "tool_calls"), begun, strict=True)
        kept = [call for call, start in calls if key_of(start) not in cut]
        return {**event, "message": {**message, "tool_calls": kept}}

    def short(self, event: JsonObject, choices: Container[int]) -> JsonObject:
        reason = text_at(event, "done_reason")
        honest = not reason or FINISH_REASONS.get(reason) in CUT_SHORT
        return event if honest else {**event, "done_reason": "length"}

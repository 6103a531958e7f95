"""Events of a stream without some of its tool calls."""

from collections.abc import Container, Sequence

from protocols.anthropic_messages.error_words import FINISH_REASONS
from protocols.model.parts import CUT_SHORT, BlockKey, MessageStart, StreamPart, is_of
from protocols.model.wirejson import JsonObject, inside, text_at


class EventPruner:
    """See `protocols.base.Pruner`. An event is of one block at most, and a call that is cut is the last one:
    whatever begins after a block shows that it was whole."""

    def prune(
        self,
        event: JsonObject,
        said: Sequence[StreamPart],
        cut: Container[BlockKey],
        head: MessageStart | None,
    ) -> JsonObject | None:
        return None if any(is_of(part, cut) for part in said) else event

    def short(self, event: JsonObject, choices: Container[int]) -> JsonObject:
        return inside(event, "delta", _short)


def _short(delta: JsonObject) -> JsonObject:
    reason = text_at(delta, "stop_reason")
    honest = not reason or FINISH_REASONS.get(reason) in CUT_SHORT
    return delta if honest else {**delta, "stop_reason": "max_tokens"}

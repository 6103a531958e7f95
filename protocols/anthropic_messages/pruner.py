"""Events of a stream without some of its tool calls."""

from collections.abc import Container, Sequence

from protocols.parts import BlockKey, MessageStart, StreamPart, is_of
from protocols.wirejson import JsonObject


class EventPruner:
    """See `protocols.base.Pruner`. An event is of one block at most, and a call that is cut is the last one:
    whatever begins behind a block shows that it was whole."""

    def prune(
        self,
        event: JsonObject,
        said: Sequence[StreamPart],
        cut: Container[BlockKey],
        head: MessageStart | None,
    ) -> JsonObject | None:
        return None if any(is_of(part, cut) for part in said) else event

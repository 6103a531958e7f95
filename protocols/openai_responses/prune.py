"""Events of a stream without some of its items.

What is left is numbered as if they had never been: clients find an item by its place in the output.
"""

from collections.abc import Container, Sequence

from protocols.model.parts import BlockKey, MessageStart, StreamPart, is_of
from protocols.model.wirejson import JsonObject, count_at, object_at, objects_at, text_at
from protocols.openai_responses.error_words import incomplete
from protocols.openai_responses.layout import Layout, layout_at


class EventPruner:
    """See `protocols.base.Pruner`. The layout remembers what is gone, for the events that close a stream."""

    def prune(
        self,
        event: JsonObject,
        said: Sequence[StreamPart],
        cut: Container[BlockKey],
        head: MessageStart | None,
    ) -> JsonObject | None:
        layout = layout_at(head)
        index = layout.find(event)
        touched = "response" not in event and any(is_of(part, cut) for part in said)
        if touched and index is not None:
            layout.gone.add(index)
        if touched or index in layout.gone:
            layout.unsaid += count_at(event, "sequence_number") is not None
            return None
        return _numbered(event, layout)

    def short(self, event: JsonObject, choices: Container[int]) -> JsonObject:
        return incomplete(event) if text_at(event, "type") == "response.completed" else event


def _numbered(event: JsonObject, layout: Layout) -> JsonObject:
    pruned = dict(event)
    if (number := count_at(event, "sequence_number")) is not None:
        pruned["sequence_number"] = number - layout.unsaid
    if (index := count_at(event, "output_index")) is not None:
        pruned["output_index"] = layout.place(index)
    response = object_at(event, "response")
    if output := objects_at(response, "output"):
        kept = [item for place, item in enumerate(output) if place not in layout.gone]
        pruned["response"] = {**response, "output": kept}
    return pruned

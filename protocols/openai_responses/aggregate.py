"""The events of a stream put together as the response that would have come whole.

The last event holds the whole response. Measured: ChatGPT's own backend leaves its output empty, though it
sent the items; and a stream that was cut has no last event at all.
"""

from protocols.model.parts import BlockStop, Finish, FinishReason, StreamEnd
from protocols.model.progress import Progress
from protocols.model.wirejson import JsonObject, object_at, objects_at, text_at
from protocols.openai_responses.answer_read import EventReader
from protocols.openai_responses.answer_write_resumed import ResumedEventWriter
from protocols.openai_responses.error_words import incomplete_response, is_half
from protocols.openai_responses.layout import layout_of, run_by_client
from protocols.shared.arguments import text_of, within


class ResponsesFold:
    """See `protocols.base.Fold`."""

    def __init__(self) -> None:
        self._reader = EventReader()
        self._progress = Progress()

    def feed(self, event: JsonObject, name: str = "") -> None:
        typed = event if "type" in event or not name else {**event, "type": name}
        self._progress.fold(self._reader.read(typed, b""))

    def whole(self, *, done: bool) -> JsonObject | None:
        layout = layout_of(self._progress)
        if layout is None:
            return None
        if not layout.ended:
            return self._incomplete()
        output = [item.native for item in layout.ordered if item.done]
        items = [_in_text(item) for item in objects_at(layout.response, "output") or output]
        kept = [item for item in items if not is_half(item)]
        if text_at(layout.response, "status") == "completed" and len(kept) < len(items):
            return {**incomplete_response(layout.response), "output": kept}
        return {**layout.response, "output": items}

    def _incomplete(self) -> JsonObject | None:
        """What came of it, without a call that is not whole."""
        finish = Finish(0, FinishReason.LENGTH, "")
        stops = [BlockStop(choice, index) for choice, index in self._progress.open]
        ending = ResumedEventWriter(self._progress).write((*stops, finish, StreamEnd()))
        response = object_at(ending[-1], "response") if ending else {}
        kept = [item for item in objects_at(response, "output") if not _is_half_a_call(item)]
        return {**response, "output": kept} if text_at(response, "id") else None


def _in_text(item: JsonObject) -> JsonObject:
    """A call with its arguments as text, which is what clients parse."""
    if text_at(item, "type") != "function_call" or text_at(item, "status") == "incomplete":
        return item
    return {**item, "arguments": within(text_of(item.get("arguments")))}


def _is_half_a_call(item: JsonObject) -> bool:
    return run_by_client(item) and text_at(item, "status") == "incomplete"

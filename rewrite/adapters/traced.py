"""What an adapter changes of a stream, as it is noted in the trace of a call."""

from collections.abc import Sequence
from dataclasses import dataclass

from protocols.model.wirejson import JsonObject
from rewrite.adapters.base import Closing, Events
from rewrite.records.passes import CallTrace, Direction, Stage


def traced(events: Events, name: str, trace: CallTrace) -> Events:
    """`events` of the adapter `name`: each object before and after, where that changed."""
    noted = TracedEvents(events, f"adapter:{name}", trace)
    return TracedClosing(noted, events) if isinstance(events, Closing) else noted


@dataclass(frozen=True, slots=True)
class TracedEvents:
    """The objects of one stream."""

    events: Events
    name: str
    """Of the pass."""
    trace: CallTrace

    def __call__(self, event: JsonObject, /) -> Sequence[JsonObject]:
        found = self.events(event)
        if len(found) != 1 or found[0] is not event:
            self.note(event, found)
        return found

    def note(self, before: JsonObject | None, after: Sequence[JsonObject]) -> None:
        """`before`: None where the stream has ended."""
        data = {"before": before, "after": after}
        self.trace.note(self.name, Direction.STREAM, Stage.PROXY, data, changed=True)


@dataclass(frozen=True, slots=True)
class TracedClosing:
    """The same of an adapter that holds objects back."""

    noted: TracedEvents
    closing: Closing

    def __call__(self, event: JsonObject, /) -> Sequence[JsonObject]:
        return self.noted(event)

    def close(self) -> Sequence[JsonObject]:
        found = self.closing.close()
        if found:
            self.noted.note(None, found)
        return found

"""What adapters change of a stream, as a trace has it."""

from collections.abc import Sequence

from protocols.model.wirejson import JsonObject
from rewrite.adapters.base import Closing, Events
from rewrite.adapters.traced import traced
from rewrite.records.passes import Direction
from tests.rewrite.records.traces import Kept, trace_of

EVENT = {"a": 1}


def same(event: JsonObject) -> Sequence[JsonObject]:
    return (event,)


def twice(event: JsonObject) -> Sequence[JsonObject]:
    return (event, {"b": 2})


class Holding:
    """Gives what it got at the end."""

    def __init__(self) -> None:
        self._held: list[JsonObject] = []

    def __call__(self, event: JsonObject, /) -> Sequence[JsonObject]:
        self._held.append(event)
        return ()

    def close(self) -> Sequence[JsonObject]:
        return self._held


def noted(events: Events) -> tuple[Events, Kept]:
    kept = Kept()
    return traced(events, "shout", trace_of(kept)), kept


def test_what_stays_the_same_is_not_noted() -> None:
    adapt, kept = noted(same)
    (found,) = adapt(EVENT)
    assert (found is EVENT, kept.entries) == (True, [])
    assert not isinstance(adapt, Closing)


def test_what_changes_is_noted_before_and_after() -> None:
    adapt, kept = noted(twice)
    assert adapt(EVENT) == (EVENT, {"b": 2})
    (entry,) = kept.entries
    assert (entry.name, entry.direction, entry.changed) == ("adapter:shout", Direction.STREAM, True)
    assert entry.data == {"before": EVENT, "after": (EVENT, {"b": 2})}


def test_what_was_held_back_is_noted_at_the_end() -> None:
    adapt, kept = noted(Holding())
    assert isinstance(adapt, Closing)
    assert (adapt(EVENT), adapt.close()) == ((), [EVENT])
    assert [entry.data for entry in kept.entries] == [
        {"before": EVENT, "after": ()},
        {"before": None, "after": [EVENT]},
    ]


def test_an_end_at_which_nothing_is_held_is_not_noted() -> None:
    adapt, kept = noted(Holding())
    assert isinstance(adapt, Closing)
    assert (list(adapt.close()), kept.entries) == ([], [])

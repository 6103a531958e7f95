"""What is heard of an answer for the field cache, and when a stream is put together."""

from dataclasses import dataclass, field, replace

import pytest

from protocols.model.progress import Progress
from protocols.model.wirejson import JsonObject
from rewrite.fields.call_fields import Asked, CallFields
from rewrite.fields.rule import Rule, Source
from rewrite.fields.store import Store
from rewrite.targets.fields import LARGEST_ANSWER, AttemptFields, hearing
from tests.rewrite.fields.rules import at, into, per_call, rule
from tests.rewrite.scenes import CHAT, SSE, call, calls, finishes, says

STATE = rule("id")
OF_CALLS = per_call(at("x", ups=1), into("x", ups=1))
OF_EVENTS = rule("id", source=Source.STREAM_EVENT)


@dataclass(slots=True)
class Counting:
    """A fold that counts what it is fed."""

    fed: list[JsonObject] = field(default_factory=list)

    def feed(self, event: JsonObject, name: str = "") -> None:
        self.fed.append(event)

    def whole(self, *, done: bool) -> JsonObject:
        return {"id": "whole"}


def heard(fields: AttemptFields, *pieces: bytes) -> Progress:
    """What the pieces of a stream come to, all of which passed unread."""
    decoder = hearing(CHAT.decoder(call(), SSE), fields)
    progress = Progress()
    for piece in pieces:
        for segment in decoder.feed(piece):
            progress.fold(decoder.read(segment))
    return progress


def attempt(*rules: Rule) -> tuple[AttemptFields, Counting]:
    fold = Counting()
    own = CallFields(rules, Store(), Asked("vendor", "openai_chat", "model", "s"), 0.0)
    return AttemptFields(own, editor=replace(CHAT.editor, fold=lambda: fold)), fold


@pytest.mark.parametrize(
    ("of", "pieces", "fed"),
    [
        (STATE, (says("Hi"), finishes("stop")), 2),
        (OF_CALLS, (says("Hi"), finishes("stop")), 0),
        # What tells nothing of a call is not parsed again.
        (OF_CALLS, (calls("{}", "f"), finishes("tool_calls")), 1),
    ],
    ids=["of any answer", "of calls, none", "of calls"],
)
def test_a_stream_is_put_together_where_a_rule_asks_for_it(
    of: Rule, pieces: tuple[bytes, ...], fed: int
) -> None:
    fields, fold = attempt(of)
    assert fields.listens(streamed=True)
    progress = heard(fields, *pieces)
    assert not fold.fed
    fields.complete(progress)
    assert len(fold.fed) == fed
    assert fields.own.found == ({"test": ["whole"]} if of is STATE else {})


def test_what_is_parsed_for_events_is_not_parsed_again() -> None:
    fields, fold = attempt(OF_EVENTS, rule("id", into("y"), name="whole"))
    assert fields.listens(streamed=True)
    progress = heard(fields, says("Hi"), finishes("stop"))
    assert len(fold.fed) == 2
    fields.complete(progress)
    assert len(fold.fed) == 2
    assert fields.own.found == {"test": ["c1"], "whole": ["whole"]}


def test_a_stream_that_would_fill_the_memory_is_not_put_together() -> None:
    fields, fold = attempt(STATE)
    assert fields.listens(streamed=True)
    large = says("x" * (LARGEST_ANSWER // 2))
    fields.complete(heard(fields, large, large, finishes("stop")))
    assert (fold.fed, fields.own.found) == ([], {})


def test_a_continuation_is_listened_to_for_events_alone() -> None:
    fields, _ = attempt(STATE)
    fields.continues = True
    assert not fields.listens(streamed=True)
    assert not fields.listens(streamed=False)
    fields, _ = attempt(OF_EVENTS)
    fields.continues = True
    assert fields.listens(streamed=True)
    assert not fields.listens(streamed=False)

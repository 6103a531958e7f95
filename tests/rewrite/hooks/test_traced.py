"""What a trace says of a provider's own code."""

from dataclasses import replace

import pytest

from protocols.model.call import Operation, Rendered
from protocols.model.http import WireResponse
from protocols.model.parts import Usage
from protocols.model.wirejson import JsonObject
from rewrite.hooks.base import About, Hooks
from rewrite.hooks.calling import ProviderHooks
from rewrite.hooks.traced import TracedHooks
from rewrite.records.passes import Direction, TargetTrace
from tests.rewrite.records.traces import Kept, trace_of

ABOUT = About("acme", "openai_chat", "m", Operation.GENERATE, stream=True)
ASKED = Rendered("/v1/chat", {"model": "m"})
ANSWER = WireResponse(400, (), b"{}")


class Acme(Hooks):
    def prepare_request(self, request: Rendered, about: About) -> Rendered:
        return replace(request, path="/speak", headers=(("x-acme", "1"),), body={"engine": about.model})

    def read_error(self, answer: WireResponse, about: About) -> WireResponse:
        return replace(answer, body=b'{"error":{}}')

    def read_part(self, part: JsonObject, about: About) -> JsonObject | None:
        if "fails" in part:
            raise RuntimeError("secret")
        return {"new": 1} if "old" in part else part

    def read_usage(self, part: JsonObject, about: About) -> Usage | None:
        return Usage(1, 2)


def traced(kept: Kept, about: About = ABOUT, code: type[Hooks] = Acme) -> TracedHooks:
    return TracedHooks(ProviderHooks("acme", code()), about, trace=TargetTrace(trace_of(kept)))


def test_a_request_that_was_prepared_is_noted_when_it_is_asked() -> None:
    kept = Kept()
    hooks = traced(kept)
    hooks.prepared(ASKED)
    assert kept.entries == []
    hooks.trace.asked()
    (entry,) = kept.entries
    assert (entry.name, entry.direction, entry.changed) == ("hook:prepare_request", Direction.REQUEST, True)
    assert entry.data == {"path": "/speak", "headers": [["x-acme", "1"]], "body": {"engine": "m"}}


@pytest.mark.parametrize(("stream", "direction"), [(True, Direction.STREAM), (False, Direction.RESPONSE)])
def test_an_object_is_noted_before_and_after_where_it_changed(*, stream: bool, direction: Direction) -> None:
    kept = Kept()
    hooks = traced(kept, replace(ABOUT, stream=stream))
    same = {"same": 1}
    assert hooks.part(same) is same
    assert hooks.usage(same) == Usage(1, 2)
    assert kept.entries == []
    hooks.part({"old": 1})
    (entry,) = kept.entries
    assert (entry.name, entry.direction, entry.changed) == ("hook:read_part", direction, True)
    assert entry.data == {"before": {"old": 1}, "after": {"new": 1}}


def test_an_error_is_noted_before_and_after() -> None:
    kept = Kept()
    after = traced(kept).error(ANSWER)
    (entry,) = kept.entries
    assert (entry.name, entry.direction) == ("hook:read_error", Direction.RESPONSE)
    assert entry.data == {"before": ANSWER, "after": after}


def test_a_hook_that_fails_is_noted_once() -> None:
    kept = Kept()
    hooks = traced(kept)
    hooks.part({"fails": 1})
    hooks.part({"fails": 2})
    (entry,) = kept.entries
    assert (entry.name, entry.changed) == ("hook:read_part", False)
    assert entry.data == {"error": hooks.failures["read_part"]}


def test_what_a_class_does_not_have_is_not_noted() -> None:
    kept = Kept()
    hooks = traced(kept, code=Hooks)
    assert hooks.prepared(ASKED) is ASKED
    assert hooks.error(ANSWER) is ANSWER
    hooks.trace.asked()
    assert kept.entries == []

"""The field cache of a call: what its attempts say is kept where the client got it, and goes into others."""

from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from typing import Any

import pytest
from msgspec import structs

from protocols.model.call import Call, Rendered
from protocols.model.errors import Untranslatable
from protocols.model.http import Head
from protocols.model.wirejson import JsonObject, dump
from rewrite.adapters.chain import parse_adapters
from rewrite.exchange.exchange import Exchange
from rewrite.exchange.traced import TracedExchange
from rewrite.fields.call_fields import Asked, call_fields
from rewrite.fields.rule import Into, Rule, Scope, Source
from rewrite.fields.store import Store
from rewrite.hooks.base import About, Hooks
from rewrite.hooks.calling import ProviderHooks
from rewrite.records.passes import TargetTrace
from rewrite.targets.target import Target, target_of
from rewrite.targets.wanted import Terms
from rewrite.values.events import (
    Acquire,
    Acquired,
    ClientGone,
    Event,
    OpenUpstream,
    Report,
    Start,
    Summary,
    UpstreamClosed,
    UpstreamData,
    UpstreamSent,
    UpstreamStarted,
)
from rewrite.values.timeouts import OnTruncation
from tests.playbook import handled
from tests.rewrite.asks import ask, protocol, route, wanted
from tests.rewrite.fields.rules import into, rule
from tests.rewrite.records.traces import Kept, trace_of
from tests.rewrite.scenes import (
    JSON,
    SSE,
    TERMS,
    chunk,
    error_body,
    error_chunk,
    exchange_of,
    finishes,
    refused,
    says,
)

DONE = b"data: [DONE]\n\n"
PASSES = ("extraction_before", "extraction_after", "injection_before", "injection_after")
STATE = rule("x_state")
TO_PROMPT = into("cache_key", target=Into.UNIFIED_REQUEST)
CONTINUE = structs.replace(TERMS, on_truncation=OnTruncation.CONTINUE)


@dataclass(frozen=True, slots=True)
class Answered:
    """What a provider answers to one attempt."""

    pieces: Sequence[bytes]
    head: Head = SSE
    cause: str | None = None
    """Why it broke off. None: it ended properly."""
    leaves: bool = False
    """The client leaves in the middle of it."""


def stated(value: object, *more: bytes) -> Answered:
    """A chat stream one of whose chunks has a state."""
    return Answered(
        (says("Hi")[:-3] + b',"x_state":' + dump(value) + b"}\n\n", *more, finishes("stop"), DONE)
    )


def cut(one: Answered) -> Answered:
    return replace(one, pieces=one.pieces[:-2], cause="reset")


def whole(**fields: object) -> Answered:
    message = {"role": "assistant", "content": "Hi"}
    choice = {"index": 0, "message": message, "finish_reason": "stop"}
    return Answered((dump({"id": "c", "model": "m", "choices": [choice], **fields}),), JSON)


REFUSED = Answered((error_body("slow down"),), refused(429))


@dataclass(slots=True)
class Session:
    """Calls of one session."""

    rules: Sequence[Rule]
    client: str = "openai_chat"
    to: str = "openai_chat"
    model: str = "other"
    session: str | None = "s"
    adapters: Sequence[object] = ()
    terms: Terms = TERMS
    store: Store = field(default_factory=Store)
    asked: list[OpenUpstream] = field(default_factory=list)
    """One for each attempt of the last call."""
    original: bool = False
    hooks: Hooks | None = None

    def target(self, call: Call, trace: TargetTrace | None = None) -> Target:
        where = replace(route(self.to, self.model), original=self.original)
        where = replace(where, model=call.model) if self.original else where
        asked = Asked(where.provider.name, where.protocol, where.model or "", self.session)
        fields = call_fields(self.rules, self.store, asked, 0.0)
        hooks = ProviderHooks("elsewhere", self.hooks) if self.hooks else None
        more: dict[str, Any] = {"fields": fields, "terms": self.terms, "trace": trace, "hooks": hooks}
        found = wanted(where, parse_adapters(self.adapters), **more)
        return target_of(call, protocol(self.client), found)

    def call(
        self,
        *answers: Answered,
        stream: bool = True,
        keys: str = "abc",
        **body: Any,
    ) -> Summary:
        """One call whose attempts get `answers`, with these keys (a letter each)."""
        call = ask(self.client, stream=stream, **body)
        self.asked = []
        exchange = exchange_of(call, protocol(self.client), self.target(call))
        running = Running(exchange, list(answers), keys, self.asked)
        running.feed(Start())
        assert not running.answers
        for each in running.ended[0].fields:
            each.keep(0.0)
        return running.ended[0]

    def bodies(self) -> list[JsonObject]:
        """Of the attempts of the last call, where they differ from what the target is asked otherwise."""
        return [one.rendered.body for one in self.asked if one.rendered]

    def sent(self, **body: Any) -> JsonObject:
        """The body of a further call."""
        target = self.target(ask(self.client, **body))
        assert target.rendered
        return target.rendered.body


@dataclass(slots=True)
class Running:
    """One call, and its provider."""

    exchange: Exchange
    answers: list[Answered]
    keys: str
    asked: list[OpenUpstream]
    ended: list[Summary] = field(default_factory=list)

    def feed(self, event: Event) -> None:
        for command in handled(self.exchange, event, 0.0):
            match command:
                case Acquire(attempt=attempt):
                    key = self.keys[min(attempt, len(self.keys)) - 1]
                    self.feed(Acquired(attempt, key, identity=key))
                case OpenUpstream():
                    self.asked.append(command)
                    self._answer(command.attempt, self.answers.pop(0))
                case Report(summary=summary):
                    self.ended.append(summary)
                case _:
                    pass

    def _answer(self, attempt: int, answered: Answered) -> None:
        self.feed(UpstreamSent(attempt))
        self.feed(UpstreamStarted(attempt, answered.head))
        for piece in answered.pieces:
            self.feed(UpstreamData(attempt, piece))
        self.feed(ClientGone() if answered.leaves else UpstreamClosed(attempt, answered.cause))


# -- what an answer says -----------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "adapters", [(), [{"name": "drop_params", "params": ["seed"]}]], ids=["bare", "adapted"]
)
@pytest.mark.parametrize("stream", [True, False], ids=["streamed", "whole"])
def test_a_field_of_an_answer_goes_into_the_next_request(stream: bool, adapters: Sequence[object]) -> None:
    session = Session([STATE], adapters=adapters)
    session.call(stated(1) if stream else whole(x_state=1), stream=stream)
    assert session.sent()["x_state"] == 1


@pytest.mark.parametrize("stream", [True, False], ids=["streamed", "whole"])
def test_what_passes_untouched_is_read_too(stream: bool) -> None:
    session = Session([STATE], original=True)
    summary = session.call(stated(1) if stream else whole(x_state=1), stream=stream)
    (asked,) = session.asked
    assert (asked.rendered, summary.end) == (None, "completed")
    assert session.sent()["x_state"] == 1


def test_a_call_that_no_rule_changes_keeps_its_bytes() -> None:
    session = Session(
        [rule("x_other"), rule("seed", into("x"), name="b", source=Source.REQUEST, model="no*")]
    )
    session.original = True
    assert session.target(ask("openai_chat", seed=3)).rendered is None


def test_no_rule_for_a_call_leaves_no_trace_in_it() -> None:
    session = Session([replace(STATE, model="another")])
    target = session.target(ask("openai_chat"))
    assert (target.fields, target.attempted("a")) == (None, None)
    assert session.call(stated(1)).fields == ()


def test_events_are_read_each_and_the_last_one_holds() -> None:
    state = rule("x_state", source=Source.STREAM_EVENT)
    for original in (True, False):
        session = Session([state], original=original)
        session.call(stated(1, *stated(2).pieces[:1]))
        assert session.sent()["x_state"] == 2


def test_a_field_of_the_request_is_kept_with_its_answer() -> None:
    session = Session([rule("seed", into("x_seed"), source=Source.REQUEST)])
    session.call(stated(1), seed=3)
    assert session.sent()["x_seed"] == 3


@pytest.mark.parametrize("stream", [True, False], ids=["streamed", "whole"])
def test_what_the_unified_model_says_goes_into_the_prompt(stream: bool) -> None:
    text = rule("choices[0].blocks[0].text", TO_PROMPT, source=Source.UNIFIED_RESPONSE)
    session = Session([text], client="anthropic_messages")
    session.call(stated(1) if stream else whole(), stream=stream)
    assert session.sent()["prompt_cache_key"] == "Hi"


def test_parts_are_read_each() -> None:
    start = rule("id", TO_PROMPT, source=Source.UNIFIED_STREAM_EVENT)
    session = Session([start], client="anthropic_messages")
    session.call(stated(1))
    assert session.sent()["prompt_cache_key"]


# -- which attempts count ----------------------------------------------------------------------------------


def test_an_attempt_that_is_thrown_away_leaves_nothing() -> None:
    """Its error was no whole answer, but events of it came before."""
    event = rule("x_state", source=Source.STREAM_EVENT)
    opens = chunk({"role": "assistant", "content": ""})[:-3] + b',"x_state":1}\n\n'
    failed = Answered((opens, error_chunk("overloaded", type="overloaded_error")))
    session = Session([event, rule("x_state", into("x_whole"), name="whole")])
    session.call(failed, stated(2))
    assert (session.sent()["x_state"], session.sent()["x_whole"]) == (2, 2)
    session = Session([event])
    assert session.call(failed, Answered((says("Hi"), finishes("stop"), DONE))).end == "completed"
    assert "x_state" not in session.sent()


@pytest.mark.parametrize("leaves", [False, True], ids=["cut", "left"])
def test_of_a_cut_answer_what_its_events_said_is_kept_alone(leaves: bool) -> None:
    event = rule("x_state", source=Source.STREAM_EVENT)
    session = Session([event, rule("x_state", into("x_whole"), name="whole")])
    summary = session.call(replace(cut(stated(1)), leaves=leaves))
    assert summary.end == ("abandoned" if leaves else "truncated")
    assert session.sent()["x_state"] == 1
    assert "x_whole" not in session.sent()


def test_of_an_answer_that_ends_with_an_error_nothing_is_kept() -> None:
    session = Session([rule("x_state", source=Source.STREAM_EVENT)])
    pieces = (*stated(1).pieces[:1], error_chunk("overloaded", type="overloaded_error"))
    assert session.call(Answered(pieces)).end == "error"
    assert "x_state" not in session.sent()


def test_the_rest_of_a_cut_answer_is_no_whole_answer() -> None:
    text = rule("choices[0].blocks[0].text", into("x_text"), name="text", source=Source.UNIFIED_RESPONSE)
    rules = [rule("x_state", source=Source.STREAM_EVENT), rule("id", into("x_id"), name="id"), text]
    session = Session(rules, terms=CONTINUE)
    summary = session.call(cut(stated(1)), Answered((says(" there"), finishes("stop"), DONE)))
    assert (summary.end, len(summary.fields)) == ("completed", 2)
    sent = session.sent()
    assert (sent["x_state"], sent["x_text"]) == (1, "Hi there")
    assert "x_id" not in sent


# -- credentials -------------------------------------------------------------------------------------------

OF_A_KEY = replace(STATE, scope=frozenset({Scope.CREDENTIAL, Scope.SESSION}))


def test_what_is_of_a_key_goes_out_with_that_key_alone() -> None:
    session = Session([OF_A_KEY])
    session.call(stated(1), keys="a")
    assert session.bodies() == [session.sent()]
    session.call(REFUSED, stated(2), keys="ab")
    first, second = session.bodies()
    assert (first["x_state"], "x_state" in second) == (1, False)
    session.call(REFUSED, stated(3), keys="ba")
    assert [body["x_state"] for body in session.bodies()] == [2, 1]


def test_what_is_of_a_key_goes_through_adapters_and_into_prompts() -> None:
    unified = rule("choices[0].blocks[0].text", TO_PROMPT, name="text", source=Source.UNIFIED_RESPONSE)
    rules = [OF_A_KEY, replace(unified, scope=OF_A_KEY.scope)]
    adapters = [{"name": "rename_field", "from": "x_state", "to": "state"}]
    session = Session(rules, client="anthropic_messages", adapters=adapters)
    session.call(stated(1), keys="a")
    session.call(stated(2), keys="a")
    (body,) = session.bodies()
    assert (body["state"], body["prompt_cache_key"]) == (1, "Hi")
    assert session.sent().keys().isdisjoint({"state", "prompt_cache_key"})


class Stamping(Hooks):
    """Code of a provider's that has the last word."""

    def prepare_request(self, request: Rendered, about: About) -> Rendered:
        if request.body.get("x_state") == "refused":
            raise Untranslatable("x_state", "is not taken")
        return replace(request, body={**request.body, "stamp": len(request.body)})


def test_what_is_of_a_key_is_seen_by_the_providers_own_code() -> None:
    session = Session([OF_A_KEY], hooks=Stamping())
    session.call(stated(1), keys="a")
    session.call(stated("refused"), keys="a")
    (body,) = session.bodies()
    assert (body["x_state"], body["stamp"]) == (1, len(body) - 1)
    assert session.call(stated(2), keys="a").end == "completed"
    assert session.bodies() == []


def test_a_continuation_gets_what_is_of_its_key() -> None:
    session = Session([replace(OF_A_KEY, source=Source.STREAM_EVENT)], terms=CONTINUE)
    session.call(stated(1), keys="a")
    session.call(stated(2), keys="b")
    session.call(cut(stated(3)), Answered((says(" there"), finishes("stop"), DONE)), keys="ab")
    first, second = session.bodies()
    assert (first["x_state"], second["x_state"]) == (1, 2)
    assert "interrupted" in dump(second).decode()


def test_headers_are_for_those_who_open_the_attempt() -> None:
    session = Session([rule("x_state", into(target=Into.HEADERS, header="x-state"))])
    session.call(stated("s1"))
    session.call(stated("s1"))
    (asked,) = session.asked
    assert asked.fields
    assert asked.fields.headers((("accept", "*/*"),)) == (("accept", "*/*"), ("x-state", "s1"))


# -- its trace ---------------------------------------------------------------------------------------------


def test_a_traced_call_has_its_passes_in_order() -> None:
    """Those of the attempt, with its credential; and how many values were found, whatever they are."""
    session = Session([STATE, replace(OF_A_KEY, name="key", inject=into("x_key"))])
    session.call(stated(1), keys="a")
    kept = Kept()
    trace = trace_of(kept)
    target = session.target(ask("openai_chat"), trace=TargetTrace(trace))
    traced = TracedExchange(ask("openai_chat"), protocol("openai_chat"), [target], 0.0, trace)
    Running(traced, [stated(2)], "a", []).feed(Start())
    passes = [entry for entry in kept.entries if entry.name in (*PASSES, "built_request")]
    assert [entry.name for entry in passes] == [*PASSES, "built_request", *PASSES[:2]]
    (injected,) = [entry for entry in passes if entry.name == "injection_after"]
    assert injected.changed
    assert isinstance(injected.data, dict)
    assert (injected.data["x_state"], injected.data["x_key"]) == (1, 1)
    assert passes[-1].data == {"test": 1, "key": 1}

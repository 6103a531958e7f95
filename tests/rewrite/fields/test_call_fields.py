"""The field cache of one call: what is found, for whom it is kept, and where it goes."""

from copy import deepcopy
from dataclasses import replace
from itertools import product
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from protocols.model.parts import (
    BlockDelta,
    BlockKind,
    BlockStart,
    BlockStop,
    ChoiceStart,
    MessageStart,
    Signature,
)
from protocols.model.progress import Progress
from protocols.model.prompt import Prompt
from protocols.model.wirejson import JsonObject
from rewrite.fields.call_fields import Asked, CallFields, call_fields
from rewrite.fields.rule import Inject, Into, Mode, Rule, Scope, Source
from rewrite.fields.store import Store
from tests.rewrite.fields.rules import at, into, per_call, rule
from tests.rewrite.fields.values import JSON, OBJECTS

CHAT = Asked("acme", "openai_chat", "m-1", session="s", credential="c")
TOOL_RESULT = {"messages": [{"role": "user", "content": "hi"}, {"role": "tool", "content": "42"}]}
USER = {"messages": [{"role": "user", "content": "hi"}]}


class Calls:
    """Calls one after the other, a second apart."""

    def __init__(self, *rules: Rule) -> None:
        self.rules, self.store, self.now = rules, Store(), 0.0

    def begun(self, asked: Asked = CHAT) -> CallFields:
        self.now += 1.0
        found = call_fields(self.rules, self.store, asked, self.now)
        assert found is not None
        return found

    def call(self, body: JsonObject, answer: JsonObject, asked: Asked = CHAT) -> JsonObject:
        """The body that leaves; the answer serves the client."""
        call = self.begun(asked)
        sent = call.request(body)
        call.answer(answer)
        call.keep(self.now)
        return sent


def test_a_field_of_an_answer_goes_back_with_the_next_request() -> None:
    calls = Calls(rule("state.x", into("extra.x")))
    assert calls.call({"model": "m"}, {"state": {"x": [1]}}) == {"model": "m"}
    assert calls.call({"model": "m"}, {}) == {"model": "m", "extra": {"x": [1]}}
    assert calls.call({"model": "m"}, {"state": {"x": 2}}) == {"model": "m", "extra": {"x": [1]}}
    assert calls.call({"model": "m"}, {}) == {"model": "m", "extra": {"x": 2}}


def test_no_rule_no_object() -> None:
    store = Store()
    assert call_fields((), store, CHAT, 0) is None
    other = rule(protocol="gemini_*"), rule(model="n-*")
    assert call_fields(other, store, CHAT, 0) is None
    assert call_fields([rule(model="m-*", protocol="openai_*")], store, CHAT, 0) is not None


def test_what_has_no_session_or_credential_is_skipped() -> None:
    store = Store()
    assert call_fields([rule()], store, replace(CHAT, session=None), 0) is None
    keyed = rule(scope=frozenset({Scope.CREDENTIAL}))
    call = call_fields([keyed], store, replace(CHAT, session=None, credential=None), 0)
    assert call is not None
    assert call.needs_credential
    call.answer({"x": 1})
    call.keep(0)
    assert call.attempt(None).request({}) == {}
    assert not [*store.held(keyed)]


def test_a_rule_waits_for_the_credential_of_the_attempt() -> None:
    calls = Calls(rule(scope=frozenset({Scope.CREDENTIAL})))
    calls.call({}, {"x": 1})
    call = calls.begun(replace(CHAT, credential=None))
    assert call.request({}) == {}
    assert call.attempt("c").request({}) == {"x": 1}
    assert call.attempt("d").request({}) == {}
    assert not call.attempt("c").needs_credential


IDENTITIES = st.builds(
    Asked,
    st.sampled_from(["p", "q"]),
    st.just("openai_chat"),
    st.sampled_from(["m", "n"]),
    st.sampled_from(["s", "t", "", None]),
    st.sampled_from(["c", "d", None]),
)


@given(st.sets(st.sampled_from(Scope), min_size=1), st.lists(IDENTITIES, max_size=12), IDENTITIES)
def test_scopes_never_leak(scope: set[Scope], givers: list[Asked], taker: Asked) -> None:
    """A value comes back for a call that has the whole scope in common with the one that gave it."""
    store, one = Store(), rule(scope=frozenset(scope))
    given_by: dict[tuple[object, ...], int] = {}
    for number, asked in enumerate(givers):
        if call := call_fields([one], store, asked, 0):
            call.answer({"x": number})
            call.keep(0)
        if None not in (known := tuple(getattr(asked, each) for each in sorted(scope))):
            given_by[known] = number
    call = call_fields([one], store, taker, 0)
    sent = call.request({}) if call else {}
    expected = given_by.get(tuple(getattr(taker, each) for each in sorted(scope)))
    assert sent == ({} if expected is None else {"x": expected})


def test_an_attempt_that_is_thrown_away_stores_nothing() -> None:
    calls = Calls(rule())
    call = calls.begun()
    call.request({})
    call.attempt("c").answer({"x": "thrown away"})
    served = call.attempt("d")
    served.answer({"x": "served"})
    served.keep(1)
    assert calls.begun().request({}) == {"x": "served"}


@pytest.mark.parametrize(
    ("mode", "request_body", "kept"),
    [
        (Mode.LAST, USER, [2]),
        (Mode.ALL, USER, [0, 3, 1, 2]),
        (Mode.LAST_USER_TURN, TOOL_RESULT, [0, 3, 1, 2]),
        (Mode.LAST_USER_TURN, USER, [3, 1, 2]),
    ],
)
def test_of_two_calls_at_once_neither_loses_what_adds_up(
    mode: Mode, request_body: dict[str, Any], kept: list[int]
) -> None:
    """In a new turn both lose what was there before alone."""
    calls = Calls(rule("y.*", into("y", as_list=True), mode=mode))
    calls.call(USER, {"y": [0]})
    one, other = calls.begun(), calls.begun()
    one.request(request_body)
    other.request(request_body)
    other.answer({"y": [3]})
    other.keep(9)
    served = one.attempt("c")
    served.answer({"y": [1, 2]})
    served.keep(9)
    assert calls.begun().request({}) == {"y": kept}


def test_of_two_calls_at_once_what_both_say_is_kept_once() -> None:
    found = rule("messages.*.note", into("notes", as_list=True), source=Source.REQUEST, mode=Mode.ALL)
    calls = Calls(found)
    for call in (calls.begun(), calls.begun()):
        call.request({"messages": [{"note": "a"}]})
        call.keep(9)
    assert calls.begun().request({"messages": []}) == {"messages": [], "notes": ["a"]}


def test_two_attempts_of_one_call_add_up() -> None:
    """The second continued the answer of the first."""
    calls = Calls(rule("y.*", into("y", as_list=True), mode=Mode.ALL))
    call = calls.begun()
    for number in (1, 2):
        attempt = call.attempt("c")
        attempt.answer({"y": [number]})
        attempt.keep(9)
    assert calls.begun().request({}) == {"y": [1, 2]}


# -- modes -------------------------------------------------------------------------------------------------

ANSWERS = {"y": [1, 2]}, {"y": [3]}


@pytest.mark.parametrize(
    ("mode", "requests", "kept"),
    [
        (Mode.LAST, [USER, USER], [3]),
        (Mode.ALL, [USER, USER], [1, 2, 3]),
        (Mode.LAST_ASSISTANT_TURN, [USER, TOOL_RESULT], [3]),
        (Mode.LAST_USER_TURN, [USER, TOOL_RESULT], [1, 2, 3]),
        (Mode.LAST_USER_TURN, [USER, USER], [3]),
    ],
)
def test_what_a_mode_keeps(mode: Mode, requests: list[dict[str, Any]], kept: list[int]) -> None:
    calls = Calls(rule("y.*", into("y", as_list=True), mode=mode))
    for request, answer in zip(requests, ANSWERS, strict=True):
        calls.call(request, answer)
    assert calls.begun().request({}) == {"y": kept}


@pytest.mark.parametrize("source", [Source.STREAM_EVENT, Source.RESPONSE])
def test_of_very_many_calls_the_last_are_held_alone(source: Source) -> None:
    """A provider may send calls without end."""
    each = per_call(at("id"), into("x"), source=source, max_values=3)
    fields = call_fields([each], Store(), CHAT, 0.0)
    assert fields is not None
    calls = [{"id": f"call_{number:024}"} for number in range(50)]
    if source is Source.STREAM_EVENT:
        for call in calls:
            fields.event({"choices": [{"delta": {"tool_calls": [call]}}]})
    else:
        fields.answer({"choices": [{"message": {"tool_calls": calls}}]})
    assert fields.found["test"] == [call["id"] for call in calls[-3:]]


def test_an_answer_without_the_field_leaves_what_is_kept() -> None:
    calls = Calls(rule("y.*", into("y", as_list=True), mode=Mode.LAST_ASSISTANT_TURN))
    calls.call({}, {"y": [1]})
    calls.call({}, {})
    calls.call({}, {"y": [None, "", [], {}]})
    assert calls.begun().request({}) == {"y": [1]}


def test_a_request_is_a_source_for_itself_and_for_later_ones() -> None:
    calls = Calls(rule("metadata.id", into("key"), source=Source.REQUEST))
    body = {"metadata": {"id": "a"}}
    assert calls.call(body, {}) == {**body, "key": "a"}
    assert calls.call({}, {}) == {"key": "a"}


def test_what_requests_repeat_is_kept_once() -> None:
    found = rule("messages.*.note", into("notes", as_list=True), source=Source.REQUEST, mode=Mode.ALL)
    calls = Calls(found)
    calls.call({"messages": [{"note": 1}]}, {})
    calls.call({"messages": [{"note": 1}, {"note": 2}]}, {})
    assert calls.begun().request({}) == {"notes": [1, 2]}


def test_only_what_the_rule_asks_for_is_found() -> None:
    where = {"type": ["thinking", "redacted"], "n": 1}
    calls = Calls(rule("c.*", into("c", as_list=True), mode=Mode.ALL, where=where))
    items = [{"type": "thinking", "n": 1}, {"type": "text", "n": 1}, {"type": "redacted", "n": 2}, "text"]
    calls.call({}, {"c": items})
    assert calls.begun().request({}) == {"c": items[:1]}


# -- streams and the unified model -------------------------------------------------------------------------


def test_events_of_a_stream_are_a_source() -> None:
    last = rule("d.x", into("last"), source=Source.STREAM_EVENT)
    every = rule("d.x", into("all", as_list=True), name="all", source=Source.STREAM_EVENT, mode=Mode.ALL)
    calls = Calls(last, every)
    call = calls.begun()
    assert (call.reads_events, call.reads_answer, call.reads_parts, call.reads_prompt) == (
        True,
        False,
        False,
        False,
    )
    call.event({"d": {"x": 1}})
    call.event({"d": {}})
    call.event({"d": {"x": 2}})
    assert call.found == {"test": [2], "all": [1, 2]}
    call.keep(1)
    assert calls.begun().request({}) == {"last": 2, "all": [1, 2]}


PARTS = (
    MessageStart("msg_1", "m"),
    ChoiceStart(0),
    BlockStart(0, 0, BlockKind.REASONING),
    BlockDelta(0, 0, BlockKind.REASONING, "well"),
    BlockStop(0, 0, Signature("signature", "sig")),
    BlockStart(0, 1, BlockKind.TOOL, "call_1", "f"),
    BlockDelta(0, 1, BlockKind.TOOL, "{}"),
    BlockStop(0, 1),
)


def test_parts_are_a_source_one_by_one_and_put_together() -> None:
    whole = rule("choices[0].blocks[0]", into("extensions.whole"), source=Source.UNIFIED_RESPONSE)
    part = rule("signature.value", into("user"), name="part", source=Source.UNIFIED_STREAM_EVENT)
    rules = [replace(one, inject=replace(one.inject, into=Into.UNIFIED_REQUEST)) for one in (whole, part)]
    calls = Calls(*rules)
    call = calls.begun()
    assert call.reads_parts
    assert call.reads_prompt
    call.parts(PARTS[:3])
    call.parts(PARTS[3:])
    progress = Progress()
    progress.fold(PARTS)
    call.answered(progress)
    call.keep(1)
    sent = calls.begun().prompt(Prompt("m"))
    assert sent.user == "sig"
    assert sent.extensions["whole"] == {
        "type": "reasoning",
        "text": "well",
        "id": None,
        "name": None,
        "signature": {"form": "signature", "value": "sig"},
        "payload": None,
    }


def test_a_value_of_the_wrong_type_leaves_the_prompt_alone() -> None:
    calls = Calls(rule("x", Inject(Into.UNIFIED_REQUEST, at("cache_key"))))
    calls.call({}, {"x": 3})
    prompt = Prompt("m")
    assert calls.begun().prompt(prompt) is prompt


# -- headers -----------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("value", "sent"),
    [
        ("abc", "abc"),
        (3, "3"),
        (True, None),
        ("a\r\nb: c", None),
        (" a", None),
        ({"a": 1}, None),
        ("ä", None),
    ],
)
def test_a_header_takes_a_text_of_one_line(value: object, sent: str | None) -> None:
    calls = Calls(rule("x", Inject(Into.HEADERS, header="x-session")))
    calls.call({}, {"x": value})
    headers = (("host", "a"),)
    expected = headers if sent is None else (*headers, ("x-session", sent))
    assert calls.begun().headers(headers) == expected


def test_the_clients_own_header_wins_unless_the_rule_says_otherwise() -> None:
    own = (("X-Session", "mine"), ("a", "b"))
    calls = Calls(rule("x", Inject(Into.HEADERS, header="x-session")))
    calls.call({}, {"x": "cached"})
    assert calls.begun().headers(own) is own
    calls = Calls(rule("x", Inject(Into.HEADERS, header="x-session", when_missing_only=False)))
    calls.call({}, {"x": "cached"})
    assert calls.begun().headers(own) == (("a", "b"), ("x-session", "cached"))


# -- what is injected --------------------------------------------------------------------------------------


@pytest.mark.parametrize(("there", "only", "sent"), [
    ({}, True, "new"), ({"x": None}, True, "new"), ({"x": ""}, True, "new"), ({"x": "own"}, True, "own"),
    ({"x": 0}, True, 0), ({"x": False}, True, False), ({"x": "own"}, False, "new"),
])  # fmt: skip
def test_what_the_client_says_wins(there: dict[str, object], only: bool, sent: object) -> None:
    calls = Calls(rule("x", into("x", when_missing_only=only)))
    calls.call({}, {"x": "new"})
    assert calls.begun().request(there) == {"x": sent}


@given(OBJECTS, JSON)
def test_payloads_are_never_edited_in_place(body: dict[str, Any], value: object) -> None:
    rules = [
        rule("a", into("b", when_missing_only=False)),
        rule("a", into("tool_calls[0].b", when_missing_only=False), name="2"),
        rule("a", into("content", insert=0, when_missing_only=False), name="3"),
        rule("a.*", into("content", insert=-1), name="4", mode=Mode.ALL),
        per_call(at("b", 1), into("a", 1), name="5"),
    ]
    calls = Calls(*rules)
    answer = {"a": value}
    calls.call({}, answer)
    before = deepcopy(body)
    sent = calls.begun().request(body)
    assert body == before
    assert answer == {"a": value}
    if sent == before and repr(sent) == repr(before):
        assert sent is body


@pytest.mark.parametrize(
    ("at_number", "sent"),
    [(0, ["new", 1, 2]), (1, [1, "new", 2]), (9, [1, 2, "new"]), (-1, [1, "new", 2]), (-9, ["new", 1, 2])],
)
def test_a_value_is_inserted_into_a_list(at_number: int, sent: list[object]) -> None:
    calls = Calls(rule("x", into("list", insert=at_number)))
    calls.call({}, {"x": "new"})
    assert calls.begun().request({"list": [1, 2]}) == {"list": sent}
    already = {"list": ["new"]}
    assert calls.begun().request(already) is already
    assert calls.begun().request({"list": "no list"}) == {"list": "no list"}
    assert calls.begun().request({}) == {}


def test_every_pair_of_source_and_target_is_quiet_about_strange_bodies() -> None:
    for source, target in product(Source, (Into.REQUEST, Into.UNIFIED_REQUEST)):
        calls = Calls(rule("a.*", Inject(target, at("a")), source=source, mode=Mode.ALL))
        call = calls.begun()
        call.prompt(Prompt("m"))
        call.request({"a": 1})
        call.event({"a": "text"})
        call.answer({})
        call.parts(PARTS)
        call.answered(Progress())
        call.keep(0)

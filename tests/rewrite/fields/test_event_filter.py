"""The events of a stream that rules of tool calls need: with them alone an answer has the same values."""

import re
from collections.abc import Iterable, Mapping
from pathlib import Path

import pytest

from addons.config.provider_files import built_in
from protocols.anthropic_messages import PROTOCOL as MESSAGES
from protocols.base import Editor, WireProtocol
from protocols.gemini_generate import PROTOCOL as GEMINI
from protocols.ollama_chat import PROTOCOL as OLLAMA
from protocols.openai_chat import PROTOCOL as CHAT
from protocols.openai_responses import PROTOCOL as RESPONSES
from rewrite.catalog.provider_tables import provider
from rewrite.fields.call_fields import Asked, CallFields
from rewrite.fields.event_filter import event_filter
from rewrite.fields.rule import Mode, Rule, Source
from rewrite.fields.store import Store
from rewrite.translation.aggregate import events_of
from tests.oracle import recorded
from tests.rewrite.fields.rules import at, into, per_call, rule
from tests.vendor import SPEECHES, Said, Tool

PROTOCOLS: Mapping[str, WireProtocol] = {
    each.name: each for each in (CHAT, RESPONSES, MESSAGES, GEMINI, OLLAMA)
}
BUILT_IN = [rule for name, facts in built_in().items() for rule in provider(name, facts).field_cache]
STREAMS = [
    pytest.param(name, parameter.values[0], marks=parameter.marks, id=parameter.id)
    for name in PROTOCOLS
    for parameter in recorded(name, "*.ndjson" if name == "ollama_chat" else "*.sse")
]
SAID = Said(
    ("Well, ", "then."), ("Let me ", "think."), (Tool("f", ('{"a"', ":1}"), "call_gKnoVx3jEQ"),), "tools"
)


def rules_of(protocol: str) -> list[Rule]:
    """All ready-made ones that read answers of it, once."""
    joined = [one for one in BUILT_IN if one.mode is Mode.PER_TOOL_CALL and one.fits(protocol, "m")]
    return list({one.digest: one for one in joined}.values())


def values(protocol: str, rules: list[Rule], events: Iterable[bytes]) -> Mapping[str, object]:
    """What the rules find in what these events come to."""
    editor = PROTOCOLS[protocol].editor
    assert isinstance(editor, Editor)
    fold = editor.fold()
    for raw in events:
        for event, name in events_of(raw):
            fold.feed(event, name)
    fields = CallFields(rules, Store(), Asked("p", protocol, "m", "s", "c"), 0)
    whole = fold.whole(done=True)
    if whole is not None:
        fields.answer(whole)
    return fields.found


@pytest.mark.parametrize("protocol", PROTOCOLS)
def test_they_come_to_the_same_values(protocol: str) -> None:
    rules = rules_of(protocol) or [per_call(at("x", 1), into("x", 1))]
    events = SPEECHES[protocol].events(SAID, "m")
    finds = event_filter(rules, protocol)
    assert finds is not None
    found = [event for event in events if finds(event)]
    assert values(protocol, rules, found) == values(protocol, rules, events)
    assert not any(b"then." in event for event in found if b"response." not in event)


@pytest.mark.parametrize(("protocol", "file"), STREAMS)
def test_they_come_to_the_same_values_in_recorded_streams(protocol: str, file: Path) -> None:
    rules = rules_of(protocol)
    events = re.split(rb"(?<=\n\n)|(?<=\r\n\r\n)", file.read_bytes())
    finds = event_filter(rules, protocol)
    assert finds is not None
    assert values(protocol, rules, filter(finds, events)) == values(protocol, rules, events)


def test_text_that_stands_alone_tells_nothing() -> None:
    finds = event_filter(rules_of("openai_chat"), "openai_chat")
    assert finds is not None
    assert not finds(
        b'data: {"choices":[{"delta":{"content":"hi","reasoning_content": null,"tool_calls":null}}]}'
    )
    assert finds(b'data: {"choices":[{"delta":{"reasoning_content" : "hm"}}]}')
    assert finds(b'data: {"choices":[{"delta":{"tool_calls":[]}}]}')


@pytest.mark.parametrize(
    "one",
    [
        rule("x"),
        per_call(at("", before=True), into(insert=0), where={"type": "text"}),
        per_call(at("", before=True), into(insert=0)),
    ],
)
def test_other_rules_need_all_events(one: Rule) -> None:
    assert event_filter([one], "openai_chat") is None
    assert event_filter(rules_of("openai_chat"), "pigeon") is None


def test_an_answer_to_a_request_without_tools_is_not_read() -> None:
    joined = per_call(at("x", 1), into("x", 1))
    for rules, tools, reads in (
        ([joined], False, False),
        ([joined], True, True),
        ([joined, rule()], False, True),
    ):
        fields = CallFields(rules, Store(), Asked("p", "openai_chat", "m", "s", "c", tools), 0)
        assert fields.reads_answer is reads
    assert joined.source is Source.RESPONSE

"""Tool calls of each protocol: what they are known by, and which of them are anybody's."""

from copy import deepcopy
from dataclasses import replace
from typing import Any

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from rewrite.fields.rule import Beside, Scope
from rewrite.fields.tool_calls import FORMS, keyed, tool_calls
from tests.rewrite.fields.rules import at, into, per_call
from tests.rewrite.fields.test_call_fields import CHAT, Calls

OF_PROVIDERS = [
    "call_gKnoVx3jEQlwl5zC2TbCdVHW",
    "toolu_01A09q90qw90lq917835lq9",
    "call_00_A6fR64rW3nzZeNuJ64ZI0806",
    "call_0_7d6a342f-6da3-400c-a4f9-d80055fd7c74",
    "chatcmpl-tool-f227417118b24070b61554cc4416aba9",
    "call_3466696471230001",
    "brynwdxm",
    "0b3pdf3o",
    "D681PevKs",
]
"""As recorded."""
ANYBODYS = ["call_0", "call_1", "functions.get_weather:0", "get_weather:12", "get_weather", "1", "", None]


def chat(id: str | None, **message: object) -> dict[str, object]:
    call = {"id": id, "type": "function", "function": {"name": "get_weather", "arguments": '{"a": 1}'}}
    return {"role": "assistant", "tool_calls": [call], **message}


@pytest.mark.parametrize("id", OF_PROVIDERS)
def test_an_id_of_a_provider_is_one_conversations(id: str) -> None:
    assert [*keyed(tool_calls({"messages": [chat(id)]}, "openai_chat"), alone=True)]


@pytest.mark.parametrize("id", ANYBODYS)
def test_what_any_conversation_may_have_says_nothing_alone(id: str | None) -> None:
    found = tool_calls({"messages": [chat(id)]}, "openai_chat")
    assert not [*keyed(found, alone=True)]
    assert [*keyed(found, alone=False)]


@pytest.mark.parametrize(
    ("scope", "id", "back"),
    [
        ({Scope.SESSION}, "call_1", True),
        ({Scope.PROVIDER, Scope.CREDENTIAL}, "call_1", False),
        ({Scope.PROVIDER}, OF_PROVIDERS[0], True),
    ],
)
def test_a_rule_without_a_session_joins_by_ids_that_are_one_conversations(
    scope: set[Scope], id: str, back: bool
) -> None:
    calls = Calls(per_call(at("r", 1), into("r", 1), scope=frozenset(scope)))
    calls.call({}, {"choices": [{"message": chat(id, r="thought")}]})
    sent = calls.call({"messages": [chat(id)]}, {})
    assert sent == {"messages": [chat(id, r="thought") if back else chat(id)]}


_KEYS = """
    messages choices message delta tool_calls function id call_id name arguments type input output item
    response content content_block contents parts candidates functionCall args request blocks
""".split()
ANYTHING = st.recursive(
    st.sampled_from([None, 3, "", "f", "call_1", "tool_use", "function_call", "{", "[1]"]),
    lambda inner: st.one_of(
        st.lists(inner, max_size=3), st.dictionaries(st.sampled_from(_KEYS), inner, max_size=4)
    ),
    max_leaves=20,
)


@given(st.dictionaries(st.sampled_from(_KEYS), ANYTHING, max_size=4), st.sampled_from([*FORMS, "pigeon"]))
@example(
    {"content": [{"type": [], "id": {}}, {"type": "tool_use", "id": [], "name": {}, "input": []}]},
    "anthropic_messages",
)
@example({"input": [{"type": {}}, {"type": "function_call", "call_id": {}}]}, "openai_responses")
def test_no_body_is_too_strange(body: dict[str, Any], protocol: str) -> None:
    before = deepcopy(body)
    calls = Calls(
        per_call(at("", before=True), into(insert=Beside.BEFORE), name="before"),
        per_call(at("content", 1), into("content", 1, insert=0), name="inside"),
        per_call(at("id", 1), into("x.y", 1), name="around"),
    )
    asked = replace(CHAT, protocol=protocol)
    for _ in range(2):
        calls.call(body, body, asked)
        served = calls.begun(asked)
        served.event(body)
        served.keep(calls.now)
    assert body == before


# -- what counts as missing ---------------------------------------------------------------------------------


def test_a_placeholder_counts_as_missing() -> None:
    calls = Calls(per_call(at("r", 1), into("r", 1, placeholders=("lost",))))
    calls.call({}, {"choices": [{"message": chat("call_1", r="thought")}]})
    assert calls.call({"messages": [chat("call_1", r="lost")]}, {}) == {
        "messages": [chat("call_1", r="thought")]
    }
    kept = {"messages": [chat("call_1", r="own")]}
    assert calls.call(kept, {}) is kept


ITEM = {"type": "reasoning", "id": "rs_1", "summary": [], "encrypted_content": "sealed"}
CALL = {"type": "function_call", "call_id": "call_1", "name": "f", "arguments": "{}"}


@pytest.mark.parametrize(
    ("kept", "sent"),
    [
        ([], [ITEM]),
        ([ITEM], [ITEM]),
        # As codex has it, which leaves ids out.
        ([{"type": "reasoning", "encrypted_content": "sealed"}],) * 2,
        ([{"type": "reasoning", "id": "rs_1", "summary": []}], [ITEM]),
    ],
)
def test_an_item_that_is_there_is_neither_doubled_nor_given_a_name(
    kept: list[object], sent: list[object]
) -> None:
    where = {"type": "reasoning", "encrypted_content": "?*"}
    calls = Calls(per_call(at("", before=True), into(insert=Beside.BEFORE), where=where))
    asked = replace(CHAT, protocol="openai_responses")
    calls.call({}, {"output": [{**ITEM, "id": "rs_0", "encrypted_content": ""}, ITEM, CALL]}, asked)
    user = {"role": "user", "content": "hi"}
    body = {"input": [user, *kept, CALL]}
    assert calls.call(body, {}, asked) == {"input": [user, *sent, CALL]}

"""The ready-made rules of the built-in providers: what each takes of an answer, and gives to a request that
lacks it."""

from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import pytest

from addons.config.provider_files import built_in
from protocols.model.parts import BlockDelta, BlockKind, BlockStart, BlockStop, Signature
from protocols.model.progress import Progress
from protocols.model.prompt import Content, Message, Prompt, Role, Thought, ToolCall
from protocols.model.wirejson import JsonObject
from rewrite.catalog.provider_tables import provider
from rewrite.fields.call_fields import Asked, CallFields, call_fields
from rewrite.fields.rule import Into, Mode, Rule, Scope
from rewrite.fields.store import Store

RULES = {
    f"{name}-{rule.name}": (name, rule)
    for name, facts in built_in().items()
    for rule in provider(name, facts).field_cache
}
ACROSS = {name: found for name, found in RULES.items() if found[1].inject.into is Into.UNIFIED_REQUEST}
JOINED = {
    name: found for name, found in RULES.items() if found[1].mode is Mode.PER_TOOL_CALL and name not in ACROSS
}
OTHERS = {name: found for name, found in RULES.items() if name not in JOINED | ACROSS}
ID = "call_gKnoVx3jEQlwl5zC2TbCdVHW"


@dataclass(frozen=True, slots=True)
class Case:
    """An answer with a call, and the request that follows: of a client that kept all of it, and of one that
    forgot what was thought."""

    answer: JsonObject
    kept: JsonObject
    forgot: JsonObject


def chat(thought: dict[str, Any], call: dict[str, Any] | None = None) -> Case:
    made = {"id": ID, "type": "function", "function": {"name": "f", "arguments": "{}"}}
    message = {"role": "assistant", "content": None, "tool_calls": [made]}
    whole = {**message, **thought, "tool_calls": [{**made, **(call or {})}]}
    asked = {"role": "user", "content": "hi"}
    result = {"role": "tool", "tool_call_id": ID, "content": "4711"}
    return Case(
        {"choices": [{"message": whole}]},
        {"messages": [asked, whole, result]},
        {"messages": [asked, message, result]},
    )


def messages() -> Case:
    thoughts = [
        {"type": "thinking", "thinking": "hm", "signature": "s"},
        {"type": "redacted_thinking", "data": "d"},
    ]
    said = [{"type": "text", "text": "Well."}, {"type": "tool_use", "id": ID, "name": "f", "input": {}}]
    result = {"role": "user", "content": [{"type": "tool_result", "tool_use_id": ID, "content": "4711"}]}

    def request(content: list[Any]) -> JsonObject:
        return {"messages": [{"role": "assistant", "content": content}, result]}

    return Case({"content": [*thoughts, *said]}, request([*thoughts, *said]), request(said))


def gemini(mark: str = "", **id: str) -> Case:
    part = {"functionCall": {**id, "name": "f", "args": {"a": 1}}}
    result = {"role": "user", "parts": [{"functionResponse": {"name": "f", "response": {}}}]}

    def content(signature: str) -> JsonObject:
        signed = {"thoughtSignature": signature} if signature else {}
        return {"role": "model", "parts": [{"text": "Well."}, {**part, **signed}]}

    def request(signature: str) -> JsonObject:
        return {"contents": [content(signature), result]}

    return Case({"candidates": [{"content": content("sealed")}]}, request("sealed"), request(mark))


def responses() -> Case:
    thought = {"type": "reasoning", "id": "rs_1", "summary": [], "encrypted_content": "sealed"}
    call = {"type": "function_call", "id": "fc_1", "call_id": ID, "name": "f", "arguments": "{}"}
    asked, result = (
        {"role": "user", "content": "hi"},
        {"type": "function_call_output", "call_id": ID, "output": "1"},
    )
    return Case(
        {"output": [thought, call]},
        {"input": [asked, thought, call, result]},
        {"input": [asked, call, result]},
    )


CASES = {
    "reasoning_content": [chat({"reasoning_content": "hm"})],
    "reasoning_details": [chat({"reasoning_details": [{"type": "reasoning.encrypted", "data": "d"}]})],
    "chat_thought_signature": [chat({}, {"extra_content": {"google": {"thought_signature": "sealed"}}})],
    "thinking": [messages()],
    "thought_signature": [gemini(id="brynwdxm"), gemini("skip_thought_signature_validator", id="0b3pdf3o")],
    "reasoning": [responses()],
}
"""By rule."""


def begun(rule: Rule, store: Store, asked: Asked) -> CallFields:
    found = call_fields([rule], store, asked, 0)
    assert found is not None
    return found


def asked_by(name: str, rule: Rule) -> Asked:
    protocol = rule.protocol if rule.protocol != "*" else provider(name, built_in()[name]).protocols[0]
    session = "s" if Scope.SESSION in rule.scope else None
    return Asked(name, protocol, "m", session=session, credential="c")


@pytest.mark.parametrize(("name", "rule"), JOINED.values(), ids=JOINED)
def test_what_is_forgotten_comes_back_and_what_is_kept_stays(name: str, rule: Rule) -> None:
    for case in CASES[rule.name]:
        store, asked = Store(), asked_by(name, rule)
        first = begun(rule, store, asked)
        first.answer(case.answer)
        first.keep(0)
        assert begun(rule, store, asked).request(case.forgot) == case.kept
        assert begun(rule, store, asked).request(case.kept) is case.kept
        other = replace(asked, provider="other")
        assert begun(rule, store, other).request(case.forgot) is case.forgot


def test_calls_without_ids_are_joined_in_a_conversation_alone() -> None:
    name, rule = RULES["vertex-thought_signature"]
    store, case = Store(), gemini()
    first = begun(rule, store, asked_by(name, rule))
    first.answer(case.answer)
    first.keep(0)
    assert begun(rule, store, asked_by(name, rule)).request(case.forgot) == case.kept
    assert call_fields([rule], store, replace(asked_by(name, rule), session=None), 0) is None


@pytest.mark.parametrize(("name", "rule"), ACROSS.values(), ids=ACROSS)
def test_what_is_thought_comes_back_before_a_request_is_written(name: str, rule: Rule) -> None:
    store, asked = Store(), asked_by(name, rule)
    sealed = Signature("signature", "sealed")
    progress = Progress()
    progress.fold(
        [
            *(BlockStart(0, 0, BlockKind.REASONING), BlockDelta(0, 0, BlockKind.REASONING, "hm")),
            *(BlockStop(0, 0, sealed), BlockStart(0, 1, BlockKind.TOOL, ID, "f"), BlockStop(0, 1)),
        ]
    )
    first = begun(rule, store, asked)
    first.answered(progress)
    first.keep(0)

    def prompt(*thoughts: Thought) -> Prompt:
        said: tuple[Content, ...] = (*thoughts, ToolCall(ID, "f", "{}"))
        return Prompt("m", (Message(Role.ASSISTANT, said),))

    assert begun(rule, store, asked).prompt(prompt()) == prompt(Thought("hm", sealed))
    kept = prompt(Thought("hm", sealed))
    assert begun(rule, store, asked).prompt(kept) is kept


@pytest.mark.parametrize(("name", "rule"), OTHERS.values(), ids=OTHERS)
def test_the_key_of_a_cache_is_one_conversations(name: str, rule: Rule) -> None:
    store = Store()
    asked = replace(asked_by(name, rule), session="s")
    first = begun(rule, store, asked)
    first.request({"prompt_cache_key": "key"})
    first.keep(0)
    then = begun(rule, store, asked)
    sent = (then.request({}).get("prompt_cache_key"), dict(then.headers(())).get(rule.inject.header))
    assert "key" in sent
    other = begun(rule, store, replace(asked, session="t"))
    assert (other.request({}), other.headers(())) == ({}, ())


def test_what_a_rule_is_about_is_documented() -> None:
    text = (Path(__file__).parents[3] / "docs" / "field_cache.md").read_text(encoding="utf-8")
    rows = "".join(line.split("|")[1] for line in text.splitlines() if line.startswith("| `"))
    assert all(f"`{rule.name}`" in rows for _, rule in RULES.values())

"""What a provider signed, in a conversation that goes to several providers of the client's own protocol.

The client talks to the provider that it means; a route sends the call to `elsewhere`. A signature goes back
to the one that made it, as it was, and to nobody else.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

import pytest

from protocols.base import WireProtocol
from protocols.model.call import Call
from protocols.model.wirejson import JsonObject, dump, load_object
from protocols.shared.signatures import IN_PLACE, MARK, Returning, unwrapped, wrapped_by
from rewrite.targets.target import Target, target_of
from tests.rewrite.asks import REGISTRY, REPLY, ask, route, wanted
from tests.rewrite.scenes import JSON, SSE

SIGNATURE = "c2VhbGVkLXNlYWxlZA=="
CHAT, MESSAGES = "openai_chat", "anthropic_messages"
RESPONSES, GEMINI = "openai_responses", "gemini_generate"


@dataclass(frozen=True)
class Case:
    """`answer`: a whole one with a signature; `event`: one of a stream with one; `asks`: the fields of the
    next request, from what the client keeps of the answer; `left`: those of it without what was signed."""

    protocol: str
    answer: JsonObject
    event: JsonObject
    asks: Any
    left: JsonObject


HELLO: dict[str, object] = {"role": "user", "content": "hello"}
CALLED: dict[str, object] = {"id": "a", "type": "function", "function": {"name": "f", "arguments": "{}"}}
GOOGLE = {"google": {"thought_signature": SIGNATURE}}


def turn(answer: Any) -> dict[str, object]:
    return {"messages": [HELLO, answer["choices"][0]["message"]]}


def spoken(answer: Any) -> dict[str, object]:
    return {"messages": [HELLO, {"role": "assistant", "content": answer["content"]}]}


def chat(said: JsonObject, left: JsonObject) -> Case:
    message = {"role": "assistant", "content": "Hi"}
    return Case(
        CHAT,
        {"choices": [{"index": 0, "message": {**message, **said}, "finish_reason": "stop"}]},
        {"choices": [{"index": 0, "delta": said}]},
        turn,
        {"messages": [HELLO, {**message, **left}]},
    )


def messages(block: JsonObject, event: JsonObject, *left: JsonObject) -> Case:
    text = {"type": "text", "text": "Hi"}
    answer = {"type": "message", "role": "assistant", "content": [block, text], "stop_reason": "end_turn"}
    kept = {"messages": [HELLO, {"role": "assistant", "content": [*left, text]}]}
    return Case(MESSAGES, answer, event, spoken, kept)


THINKING = {"type": "thinking", "thinking": "hm", "signature": SIGNATURE}
REDACTED = {"type": "redacted_thinking", "data": SIGNATURE}
CITED = {"type": "text", "text": "So", "citations": [{"url": "u", "encrypted_index": SIGNATURE}]}
ITEM = {"type": "reasoning", "id": "rs_1", "summary": [], "encrypted_content": SIGNATURE}
SAID = {"type": "message", "role": "assistant", "content": [{"type": "output_text", "text": "Hi"}]}
SIGNED = {"functionCall": {"name": "f", "args": {}}, "thoughtSignature": SIGNATURE}
UNSIGNED = {"functionCall": {"name": "f", "args": {}}, "thoughtSignature": "skip_thought_signature_validator"}
ASKED = {"role": "user", "parts": [{"text": "hello"}]}


def candidates(*parts: JsonObject) -> JsonObject:
    return {"candidates": [{"index": 0, "content": {"role": "model", "parts": list(parts)}}]}


CASES: Mapping[str, Case] = {
    "chat, encrypted details": chat(
        {"reasoning_details": [{"type": "reasoning.encrypted", "data": SIGNATURE}]}, {}
    ),
    "chat, signed details": chat(
        {"reasoning_details": [{"type": "reasoning.text", "text": "hm", "signature": SIGNATURE}]}, {}
    ),
    "chat, Google's signature": chat({"extra_content": GOOGLE}, {}),
    "chat, signed call": chat(
        {"tool_calls": [{**CALLED, "extra_content": GOOGLE}]}, {"tool_calls": [CALLED]}
    ),
    "messages, thinking": messages(
        THINKING,
        {"type": "content_block_delta", "delta": {"type": "signature_delta", "signature": SIGNATURE}},
    ),
    "messages, redacted": messages(REDACTED, {"type": "content_block_start", "content_block": REDACTED}),
    "messages, source": messages(
        CITED,
        {
            "type": "content_block_delta",
            "delta": {"type": "citations_delta", "citation": {"encrypted_index": SIGNATURE}},
        },
        {"type": "text", "text": "So", "citations": None},
    ),
    "responses": Case(
        RESPONSES,
        {"object": "response", "status": "completed", "output": [ITEM, SAID]},
        {"type": "response.output_item.done", "output_index": 0, "item": ITEM},
        lambda answer: {"input": [HELLO, *answer["output"]]},
        {"input": [HELLO, SAID]},
    ),
    "responses, last event": Case(
        RESPONSES,
        {"object": "response", "status": "completed", "output": [ITEM, SAID]},
        {"type": "response.completed", "response": {"output": [ITEM, SAID]}},
        lambda answer: {"input": [HELLO, *answer["output"]]},
        {"input": [HELLO, SAID]},
    ),
    "gemini, thought": Case(
        GEMINI,
        candidates({"text": "hm", "thought": True, "thoughtSignature": SIGNATURE}, {"text": "Hi"}),
        candidates({"text": "", "thoughtSignature": SIGNATURE}),
        lambda answer: {"contents": [ASKED, answer["candidates"][0]["content"]]},
        {"contents": [ASKED, {"role": "model", "parts": [{"text": "Hi"}]}]},
    ),
    "gemini, call": Case(
        GEMINI,
        candidates(SIGNED),
        {"response": candidates(SIGNED)},
        lambda answer: {"contents": [ASKED, answer["candidates"][0]["content"]]},
        {"contents": [ASKED, {"role": "model", "parts": [UNSIGNED]}]},
    ),
}
cases = pytest.mark.parametrize("case", CASES.values(), ids=CASES.keys())


def target(call: Call, provider: str = "elsewhere", *, original: bool = False) -> Target:
    where = replace(route(call.protocol, "asked", provider), original=original)
    return target_of(call, protocol(call), wanted(where, (), REPLY, enveloped=True))


def protocol(call: Call) -> WireProtocol:
    return REGISTRY[call.protocol]


def got(case: Case) -> Any:
    """The whole answer of `elsewhere`, as the client gets it."""
    one = target(ask(case.protocol, stream=False))
    reading = one.reading(JSON)
    reading.feed(dump(case.answer))
    (segment,) = reading.eof()
    return load_object(segment.raw)


def sent(one: Target, fields: Sequence[str]) -> JsonObject:
    body = one.rendered.body if one.rendered else one.call.body
    return {name: body[name] for name in fields}


@cases
def test_it_comes_in_a_carrier_and_goes_back_to_its_maker_as_it_was(case: Case) -> None:
    answer = got(case)
    assert SIGNATURE.encode() not in dump(answer)
    assert MARK.encode() in dump(answer)
    again = target(ask(case.protocol, **case.asks(answer)))
    assert sent(again, list(case.left)) == case.asks(case.answer)
    assert again.losses == ()


@cases
@pytest.mark.parametrize("to", ["another", "the original provider"])
def test_it_goes_to_nobody_else(case: Case, to: str) -> None:
    asked = ask(case.protocol, **case.asks(got(case)))
    one = target(asked, to, original=to != "another")
    assert sent(one, list(case.left)) == case.left
    assert [loss.field for loss in one.losses] == ["reasoning"]


@cases
def test_what_the_one_that_was_meant_sealed_goes_to_nobody_else(case: Case) -> None:
    asked = ask(case.protocol, **case.asks(case.answer))
    one = target(asked)
    assert sent(one, list(case.left)) == case.left
    assert [loss.field for loss in one.losses] == ["reasoning"]
    assert target(asked, original=True).rendered is None


@cases
def test_in_a_stream(case: Case) -> None:
    """Other lines of the event stay, but for Gemini, whose SDKs raise on them."""
    reading = target(ask(case.protocol)).reading(SSE)
    name = b"" if case.protocol == "gemini_generate" else b"event: x\n"
    frame = name + b"data: " + dump(case.event) + b"\n\n"
    gist = b"".join(segment.raw for segment in reading.feed(frame))
    envelope = wrapped_by("elsewhere")(SIGNATURE)
    assert gist == frame.replace(SIGNATURE.encode(), envelope.encode())


def test_reasoning_that_its_provider_keeps_under_an_id_goes_to_nobody_else() -> None:
    by_id = {"type": "reasoning", "id": "rs_1", "summary": []}
    one = target(ask(RESPONSES, input=[HELLO, by_id, SAID]))
    assert sent(one, ["input"]) == {"input": [HELLO, SAID]}
    assert target(ask(RESPONSES, input=[HELLO, by_id, SAID]), original=True).rendered is None


def test_a_carrier_is_wrapped_once() -> None:
    envelope = wrapped_by("maker")(SIGNATURE)
    assert wrapped_by("another")(envelope) == envelope
    found = unwrapped(envelope)
    assert found
    assert (found[0], found[1].form, found[1].value) == ("maker", IN_PLACE, SIGNATURE)


def test_a_damaged_carrier_goes_to_nobody() -> None:
    keep = Returning("maker", native=True)
    assert (keep(wrapped_by("maker")(SIGNATURE)[:-3]), keep.dropped) == (None, 1)


TOOL_USE = {"type": "tool_use", "id": "t", "name": "f", "input": {}}
TOOL_RESULT = {"role": "user", "content": [{"type": "tool_result", "tool_use_id": "t", "content": "ok"}]}
BUDGET = {"type": "enabled", "budget_tokens": 2000}


@pytest.mark.parametrize(
    ("content", "thinking", "kept"),
    [
        ([THINKING, TOOL_USE], BUDGET, False),
        ([THINKING, TOOL_USE], {"type": "adaptive"}, True),
        ([THINKING, {"type": "text", "text": "Hi"}], BUDGET, True),
    ],
    ids=["a bare call", "adaptive", "no call"],
)
def test_thinking_by_a_budget_does_not_continue_from_a_call_that_lost_its_thinking(
    content: Sequence[JsonObject], thinking: JsonObject, kept: bool
) -> None:
    """The provider would refuse the whole request."""
    history = [HELLO, {"role": "assistant", "content": content}, TOOL_RESULT]
    one = target(ask(MESSAGES, messages=history, thinking=thinking))
    assert one.rendered is not None
    assert ("thinking" in one.rendered.body) is kept

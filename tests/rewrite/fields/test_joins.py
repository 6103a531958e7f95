"""Values that are joined to tool calls, in what each protocol sends and answers."""

from collections.abc import Callable
from dataclasses import replace
from typing import Any

import pytest

from protocols.model.parts import BlockKind, BlockStart, Signature
from protocols.model.progress import Progress
from protocols.model.prompt import Message, Prompt, Role, Text, Thought, ToolCall
from rewrite.fields.call_fields import Asked
from rewrite.fields.rule import Beside, Inject, Into, Source
from tests.rewrite.fields.rules import at, into, per_call
from tests.rewrite.fields.test_call_fields import CHAT, Calls

type Call = Callable[..., dict[str, Any]]
type Frame = Callable[[list[Any]], dict[str, Any]]


def chat_call(id: str | None, arguments: str = "{}", **more: object) -> dict[str, Any]:
    return {"id": id, "type": "function", "function": {"name": "f", "arguments": arguments}, **more}


def item_call(id: str | None, arguments: str = "{}", **more: object) -> dict[str, Any]:
    return {"type": "function_call", "id": "fc", "call_id": id, "name": "f", "arguments": arguments, **more}


def block_call(id: str | None, arguments: str = "{}", **more: object) -> dict[str, Any]:
    return {"type": "tool_use", "id": id, "name": "f", "input": {"a": arguments}, **more}


def part_call(id: str | None, arguments: str = "{}", **more: object) -> dict[str, Any]:
    named = {} if id is None else {"id": id}
    return {"functionCall": {**named, "name": "f", "args": {"a": arguments}, **more}}


def ollama_call(id: str | None, arguments: str = "{}", **more: object) -> dict[str, Any]:
    return {"function": {"name": "f", "arguments": {"a": arguments}}, **more}


def message(calls: list[Any], **more: object) -> dict[str, Any]:
    return {"role": "assistant", "content": None, "tool_calls": calls, **more}


def of_messages(calls: list[Any]) -> dict[str, Any]:
    return {"messages": [{"role": "user", "content": "hi"}, {"role": "assistant", "content": calls}]}


def of_contents(calls: list[Any]) -> dict[str, Any]:
    return {"contents": [{"role": "user", "parts": [{"text": "hi"}]}, {"role": "model", "parts": calls}]}


FORMS: dict[str, tuple[Call, Frame, Frame, Frame]] = {
    "openai_chat": (
        chat_call,
        lambda calls: {"messages": [{"role": "user"}, message(calls)]},
        lambda calls: {"choices": [{"message": message(calls)}]},
        lambda calls: {"choices": [{"index": 0, "delta": {"tool_calls": calls}}]},
    ),
    "openai_responses": (
        item_call,
        lambda calls: {"input": [{"role": "user", "content": "hi"}, *calls]},
        lambda calls: {"output": calls},
        lambda calls: {"type": "response.output_item.done", "item": calls[0]},
    ),
    "anthropic_messages": (
        block_call,
        of_messages,
        lambda calls: {"role": "assistant", "content": calls},
        lambda calls: {"type": "content_block_start", "content_block": calls[0]},
    ),
    "gemini_generate": (
        part_call,
        of_contents,
        lambda calls: {"candidates": [{"content": {"parts": calls}}]},
        lambda calls: {"candidates": [{"content": {"parts": calls}}]},
    ),
    "ollama_chat": (
        ollama_call,
        lambda calls: {"messages": [message(calls)]},
        lambda calls: {"message": message(calls)},
        lambda calls: {"message": message(calls)},
    ),
}


def asked(protocol: str) -> Asked:
    return replace(CHAT, protocol=protocol)


@pytest.mark.parametrize("protocol", FORMS)
@pytest.mark.parametrize("streamed", [False, True])
def test_a_field_of_a_call_goes_back_to_that_call(protocol: str, streamed: bool) -> None:
    call, request, answer, event = FORMS[protocol]
    source = Source.STREAM_EVENT if streamed else Source.RESPONSE
    calls = Calls(per_call(at("x"), into("x"), source=source))
    served = calls.begun(asked(protocol))
    one, other = call("call_1", "1", x="one"), call("call_2", "2", x="two")
    if streamed:
        served.event(event([one]))
        served.event(event([other]))
    else:
        served.answer(answer([one, other]))
    served.keep(1)
    bare = [call("call_2", "2"), call("call_1", "1"), call("call_3", "3")]
    sent = calls.begun(asked(protocol)).request(request(bare))
    assert sent == request([other, one, call("call_3", "3")])


@pytest.mark.parametrize("protocol", FORMS)
def test_what_stands_for_two_calls_is_skipped(protocol: str) -> None:
    call, request, answer, _ = FORMS[protocol]
    calls = Calls(per_call(at("x"), into("x")))
    calls.call({}, answer([call("call_1", "1", x="one"), call("call_2", "2", x="two")]), asked(protocol))
    twice = request([call("call_1", "1"), call("call_2", "2"), call("call_1", "1")])
    sent = calls.begun(asked(protocol)).request(twice)
    assert sent == request([call("call_1", "1"), call("call_2", "2", x="two"), call("call_1", "1")])
    calls = Calls(per_call(at("x"), into("x")))
    calls.call({}, answer([call("call_1", "1", x="one"), call("call_1", "1", x="two")]), asked(protocol))
    once = request([call("call_1", "1")])
    assert calls.begun(asked(protocol)).request(once) is once


@pytest.mark.parametrize("protocol", ["gemini_generate", "openai_chat", "anthropic_messages"])
def test_a_call_without_an_id_is_known_by_its_name_and_arguments(protocol: str) -> None:
    call, request, answer, _ = FORMS[protocol]
    calls = Calls(per_call(at("x"), into("x")))
    calls.call({}, answer([call(None, "1", x="one"), call(None, "2", x="two")]), asked(protocol))
    sent = calls.begun(asked(protocol)).request(request([call(None, "2"), call(None, "3")]))
    assert sent == request([call(None, "2", x="two"), call(None, "3")])


def test_arguments_are_compared_as_what_they_say() -> None:
    calls = Calls(per_call(at("x"), into("x")))
    calls.call({}, {"choices": [{"message": message([chat_call(None, '{"a":1,"b":2}', x="one")])}]})
    sent = calls.begun().request({"messages": [message([chat_call(None, '{"b": 2, "a": 1}')])]})
    assert sent == {"messages": [message([chat_call(None, '{"b": 2, "a": 1}', x="one")])]}


# -- around and beside the call ----------------------------------------------------------------------------


def test_the_object_around_a_call_may_be_where_a_field_is() -> None:
    calls = Calls(per_call(at("reasoning_content", 1), into("reasoning_content", 1)))
    two = [chat_call("call_1"), chat_call("call_2")]
    calls.call({}, {"choices": [{"message": message(two, reasoning_content="well")}]})
    history = [{"role": "user"}, message([chat_call("call_2"), chat_call("call_1")]), {"role": "tool"}]
    sent = calls.begun().request({"messages": history})
    assert sent["messages"] == [
        history[0],
        message([chat_call("call_2"), chat_call("call_1")], reasoning_content="well"),
        history[2],
    ]


def test_a_part_around_a_call_of_gemini_has_its_signature() -> None:
    calls = Calls(per_call(at("thoughtSignature", 1), into("thoughtSignature", 1)))
    signed = {**part_call("c1"), "thoughtSignature": "sig"}
    stream = {"candidates": [{"content": {"parts": [signed]}}]}
    calls.call({}, stream, asked("gemini_generate"))
    sent = calls.begun(asked("gemini_generate")).request(of_contents([part_call("c1")]))
    assert sent == of_contents([signed])


def test_more_objects_out_than_there_are_is_nowhere() -> None:
    calls = Calls(per_call(at("id", 2), into("x")), per_call(at("id", 1), into("x", 2), name="other"))
    calls.call({}, {"id": "resp_1", "output": [item_call("call_1")]}, asked("openai_responses"))
    body = {"input": [item_call("call_1")]}
    assert calls.begun(asked("openai_responses")).request(body) is body


def thinking(text: str) -> dict[str, Any]:
    return {"type": "thinking", "thinking": text, "signature": f"signed {text}"}


TEXT = {"type": "text", "text": "so"}


@pytest.mark.parametrize(
    ("content", "sent"),
    [
        ([block_call("t1")], [thinking("a"), block_call("t1")]),
        ([TEXT, block_call("t1")], [thinking("a"), TEXT, block_call("t1")]),
        ([thinking("a"), TEXT, block_call("t1")], [thinking("a"), TEXT, block_call("t1")]),
        (
            [{"type": "thinking", "thinking": "a", "signature": ""}, block_call("t1")],
            [thinking("a"), block_call("t1")],
        ),
        ([block_call("t1"), block_call("t2")], [thinking("a"), block_call("t1"), block_call("t2")]),
        ([block_call("t3")], [block_call("t3")]),
    ],
    ids=["dropped", "before text", "kept", "unsigned", "two calls", "another call"],
)
def test_thoughts_stand_first_in_their_message(content: list[Any], sent: list[Any]) -> None:
    rule = per_call(at("content.*", 1), into("content", 1, insert=0), where={"type": "thinking"})
    calls = Calls(rule)
    answered = [thinking("a"), TEXT, block_call("t1"), block_call("t2")]
    calls.call({}, {"content": answered}, asked("anthropic_messages"))
    body = of_messages(content)
    after = calls.begun(asked("anthropic_messages")).request(body)
    assert after == of_messages(sent)
    assert body == of_messages(content)
    assert after is body or content != sent


def reasoning(number: int) -> dict[str, Any]:
    return {"type": "reasoning", "id": f"rs_{number}", "encrypted_content": f"sealed {number}"}


@pytest.mark.parametrize("insert", [Beside.BEFORE, Beside.AFTER])
def test_what_stood_before_a_call_goes_beside_it(insert: Beside) -> None:
    rule = per_call(at("", before=True), into(insert=insert), where={"type": "reasoning"})
    calls = Calls(rule)
    one, two, three = (item_call(f"c{number}") for number in (1, 2, 3))
    output = [reasoning(0), {"type": "message"}, one, reasoning(1), reasoning(2), two, three, reasoning(3)]
    calls.call({}, {"output": output}, asked("openai_responses"))
    user = {"role": "user", "content": "hi"}
    sent = calls.begun(asked("openai_responses")).request({"input": [user, one, two, three]})
    first, second = [reasoning(0)], [reasoning(1), reasoning(2)]
    if insert is Beside.BEFORE:
        assert sent == {"input": [user, *first, one, *second, two, three]}
    else:
        assert sent == {"input": [user, one, *first, two, *second, three]}


def test_beside_the_object_around_is_in_its_list() -> None:
    calls = Calls(per_call(at("note", 1), into("", 1, insert=Beside.BEFORE)))
    note = {"role": "system", "content": "note"}
    calls.call({}, {"choices": [{"message": message([chat_call("c1")], note=note)}]})
    user, assistant = {"role": "user"}, message([chat_call("c1")])
    sent = calls.begun().request({"messages": [user, assistant]})
    assert sent == {"messages": [user, note, assistant]}


def test_beside_a_call_of_gemini_is_beside_its_part() -> None:
    calls = Calls(per_call(at("", before=True), into(insert=Beside.BEFORE), where={"thought": True}))
    thought = {"text": "hm", "thought": True}
    parts = [thought, part_call("c1")]
    calls.call({}, {"candidates": [{"content": {"parts": parts}}]}, asked("gemini_generate"))
    sent = calls.begun(asked("gemini_generate")).request(of_contents([part_call("c1")]))
    assert sent == of_contents(parts)


# -- the unified model -------------------------------------------------------------------------------------


def test_calls_are_the_same_in_the_unified_model() -> None:
    """What is found on the wire goes into the prompt, and what is found in parts goes back on the wire."""
    to_prompt = per_call(at("x"), Inject(Into.UNIFIED_REQUEST, at("name")), name="prompt")
    to_prompt = replace(to_prompt, inject=replace(to_prompt.inject, when_missing_only=False))
    of_part = per_call(at("tool_name"), into("y"), source=Source.UNIFIED_STREAM_EVENT, name="part")
    calls = Calls(to_prompt, of_part)
    call = calls.begun()
    call.answer({"choices": [{"message": message([chat_call("call_1", x="renamed")])}]})
    call.parts([BlockStart(0, 0, BlockKind.TOOL, "call_1", "g"), BlockStart(0, 1, BlockKind.TEXT)])
    call.keep(1)
    turn = Message(
        Role.ASSISTANT, (Text("so"), Thought("t", Signature("f", "v")), ToolCall("call_1", "f", "{}"))
    )
    prompt = Prompt("m", (turn,))
    later = calls.begun()
    sent = later.prompt(prompt)
    assert sent.messages[0].content[2] == ToolCall("call_1", "renamed", "{}")
    assert sent.messages[0].content[:2] == turn.content[:2]
    assert later.request({"messages": [message([chat_call("call_1")])]}) == {
        "messages": [message([chat_call("call_1", y="g")])]
    }


def test_an_answer_that_was_put_together_has_calls_too() -> None:
    rule = per_call(at("name"), into("y"), source=Source.UNIFIED_RESPONSE)
    calls = Calls(rule)
    call = calls.begun()
    progress = Progress()
    progress.fold([BlockStart(0, 0, BlockKind.TOOL, "call_1", "g")])
    call.answered(progress)
    call.keep(1)
    sent = calls.begun().request({"messages": [message([chat_call("call_1")])]})
    assert sent == {"messages": [message([chat_call("call_1", y="g")])]}


def test_a_protocol_from_elsewhere_has_no_calls_that_are_known() -> None:
    calls = Calls(per_call(at("x"), into("x")))
    calls.call({}, {"output": [item_call("c1", x=1)]}, asked("pigeon"))
    body = {"input": [item_call("c1")]}
    assert calls.begun(asked("pigeon")).request(body) is body

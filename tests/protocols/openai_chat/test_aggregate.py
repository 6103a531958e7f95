"""Chunks put together as a whole completion."""

import base64
from collections.abc import Mapping
from typing import Any

import pytest

from protocols.model.call import Call, Operation
from protocols.openai_chat import PROTOCOL
from protocols.openai_chat.aggregate import ChatFold

TOP = {"id": "c1", "object": "chat.completion.chunk", "created": 7, "model": "m"}


def delta(choice: int = 0, finish: str | None = None, **fields: object) -> dict[str, object]:
    return {**TOP, "choices": [{"index": choice, "delta": fields, "finish_reason": finish}]}


def fragment(index: int | None, tool_id: str = "", name: str = "", arguments: str = "") -> dict[str, object]:
    named = {"name": name} if name else {}
    wanted = {**({} if index is None else {"index": index}), **({"id": tool_id} if tool_id else {})}
    return {**wanted, "function": {**named, "arguments": arguments}}


def calls(*fragments: Mapping[str, object], finish: str | None = None) -> dict[str, object]:
    return delta(tool_calls=list(fragments), finish=finish)


def whole(*chunks: Mapping[str, object], done: bool = True) -> dict[str, Any]:
    fold = ChatFold()
    for chunk in chunks:
        fold.feed(chunk)
    found = fold.whole(done=done)
    assert found is not None
    return dict(found)


def choice(*chunks: Mapping[str, object], done: bool = True) -> dict[str, Any]:
    (found,) = whole(*chunks, done=done)["choices"]
    assert isinstance(found, dict)
    return found


def called(*chunks: Mapping[str, object], done: bool = True) -> list[tuple[str, str, str]]:
    tools = choice(*chunks, done=done)["message"].get("tool_calls", [])
    return [(tool.get("id"), tool["function"].get("name"), tool["function"]["arguments"]) for tool in tools]


STOP = delta(finish="stop")


def test_an_answer_is_written_as_a_completion() -> None:
    usage = {"prompt_tokens": 3, "completion_tokens": 2, "total_tokens": 5}
    found = whole(
        delta(role="assistant", content="", refusal=None),
        delta(content="Hel"),
        delta(content="lo"),
        STOP,
        {**TOP, "choices": [], "usage": usage},
    )
    message = {"role": "assistant", "content": "Hello", "refusal": None}
    ended = {"index": 0, "message": message, "logprobs": None, "finish_reason": "stop"}
    expected = {"id": "c1", "created": 7, "model": "m", "object": "chat.completion"}
    assert found == {**expected, "choices": [ended], "usage": usage}


def test_choices_that_interleave_stay_apart() -> None:
    found = whole(
        delta(1, content="b"), delta(0, content="a"), delta(1, content="d"), delta(0, content="c"),
        delta(0, "stop"), delta(1, "length"),
    )  # fmt: skip
    wanted = [(each["index"], each["message"]["content"], each["finish_reason"]) for each in found["choices"]]
    assert wanted == [(0, "ac", "stop"), (1, "bd", "length")]


@pytest.mark.parametrize(
    ("chunks", "expected"),
    [
        (
            [
                calls(fragment(0, "a", "f")),
                calls(fragment(0, arguments='{"x"')),
                calls(fragment(0, arguments=":1}")),
            ],
            [("a", "f", '{"x":1}')],
        ),
        ([calls(fragment(0, arguments="{}")), calls(fragment(0, "late", "late"))], [("late", "late", "{}")]),
        ([calls(fragment(0, "a", "f", "{")), calls(fragment(0, "a", "f", "}"))], [("a", "f", "{}")]),
        (
            [
                calls(fragment(0, "a", "f", "{")),
                calls(fragment(1, "b", "g", "{}")),
                calls(fragment(0, arguments="}")),
            ],
            [("a", "f", "{}"), ("b", "g", "{}")],
        ),
        (
            [calls(fragment(0, "a", "f", "{}"), fragment(0, "b", "g", "{}"))],
            [("a", "f", "{}"), ("b", "g", "{}")],
        ),
        ([calls(fragment(None, "a", "f", "{")), calls(fragment(None, arguments="}"))], [("a", "f", "{}")]),
    ],
    ids=["pieces", "late name and id", "repeated name and id", "interleaved", "one index", "no index"],
)
def test_calls_are_put_together(
    chunks: list[dict[str, object]], expected: list[tuple[str, str, str]]
) -> None:
    assert called(*chunks, delta(finish="tool_calls")) == expected


def test_a_call_has_its_type_and_what_else_is_said_of_it_and_no_index() -> None:
    signed = {"google": {"thought_signature": "s"}}
    (tool,) = choice(
        calls({"index": 0, "id": "a", "function": {"name": "f", "arguments": "{}"}, "extra_content": signed})
    )["message"]["tool_calls"]
    function = {"name": "f", "arguments": "{}"}
    assert tool == {"type": "function", "id": "a", "extra_content": signed, "function": function}


def test_a_custom_tool_is_asked_with_its_text() -> None:
    found = choice(
        calls({"index": 0, "id": "a", "type": "custom", "custom": {"name": "f", "input": "do "}}),
        calls({"index": 0, "custom": {"input": "it"}}),
    )
    wanted = {"type": "custom", "id": "a", "custom": {"name": "f", "input": "do it"}}
    assert (found["message"]["tool_calls"], found["finish_reason"]) == ([wanted], "tool_calls")


@pytest.mark.parametrize(
    ("chunks", "done", "reason", "kept"),
    [
        ([delta(content="a")], True, "stop", 0),
        ([delta(content="a")], False, "length", 0),
        ([calls(fragment(0, "a", "f", "{}"))], True, "tool_calls", 1),
        ([calls(fragment(0, "a", "f", "{}"))], False, "length", 1),
        ([calls(fragment(0, "a", "f", '{"x"'))], True, "length", 0),
        ([calls(fragment(0, "a", "f", '{"x"'))], False, "length", 0),
        ([calls(fragment(0, "a", "f"))], False, "length", 0),
        ([calls(fragment(0, "a", "f", '{"x"'), finish="length")], True, "length", 1),
        ([delta(function_call={"name": "f", "arguments": "{}"})], True, "function_call", 0),
    ],
)
def test_a_finish_that_is_missing_follows_from_what_came(
    chunks: list[dict[str, object]], done: bool, reason: str, kept: int
) -> None:
    found = choice(*chunks, done=done)
    assert found["finish_reason"] == reason
    assert len(found["message"].get("tool_calls", ())) == kept


def test_only_the_choice_that_was_cut_is_ended_by_us() -> None:
    found = whole(delta(0, content="a", finish="stop"), delta(1, content="b"), done=False)
    assert [each["finish_reason"] for each in found["choices"]] == ["stop", "length"]


def test_probabilities_of_text_and_refusal_pass() -> None:
    first, second, no = ({"token": token, "logprob": -1} for token in ("a", "b", "no"))
    chunks = [
        {
            **TOP,
            "choices": [
                {"index": 0, "delta": {"content": "a"}, "logprobs": {"content": [first], "refusal": None}}
            ],
        },
        {**TOP, "choices": [{"index": 0, "delta": {"content": "b"}, "logprobs": {"content": [second]}}]},
        {**TOP, "choices": [{"index": 0, "delta": {"refusal": "no"}, "logprobs": {"refusal": [no]}}]},
        {**TOP, "choices": [{"index": 0, "delta": {}, "logprobs": None, "finish_reason": "stop"}]},
    ]
    assert choice(*chunks)["logprobs"] == {"content": [first, second], "refusal": [no]}


def test_the_last_usage_holds_and_is_never_added_up() -> None:
    counted = [{**delta(content="a"), "usage": {"completion_tokens": n}} for n in (1, 2, 3)]
    assert whole(*counted, {**STOP, "usage": None})["usage"] == {"completion_tokens": 3}


def test_groq_s_usage_is_found_where_it_is() -> None:
    last = {**STOP, "x_groq": {"id": "r", "usage": {"prompt_tokens": 4}}}
    found = whole({**delta(content="a"), "x_groq": {"id": "r"}}, last)
    assert (found["usage"], found["x_groq"]) == ({"prompt_tokens": 4}, last["x_groq"])


def test_azure_s_preamble_names_nothing() -> None:
    preamble = {
        "id": "",
        "model": "",
        "created": 0,
        "object": "",
        "choices": [],
        "prompt_filter_results": [1],
    }
    found = whole(preamble, delta(content="a"), STOP)
    assert (found["id"], found["model"], found["created"]) == ("c1", "m", 7)
    assert found["prompt_filter_results"] == [1]


def test_what_only_one_vendor_says_is_kept_the_last_value_of_it() -> None:
    first = {**delta(content="a", channel="x"), "citations": ["u"], "obfuscation": "zz"}
    last = {**delta(finish="stop", channel="y"), "citations": ["u", "v"], "service_tier": None}
    last["choices"][0]["native_finish_reason"] = "STOP"  # type: ignore[index]
    found = whole({**first, "service_tier": "flex"}, last)
    (ended,) = found["choices"]
    assert (found["citations"], found["service_tier"], "obfuscation" in found) == (["u", "v"], "flex", False)
    assert (ended["message"]["channel"], ended["native_finish_reason"]) == ("y", "STOP")


def test_sources_and_pictures_are_gathered_once_each() -> None:
    source = {"type": "url_citation", "url_citation": {"url": "u"}}
    image = {"type": "image_url", "image_url": {"url": "data:"}}
    message = choice(
        delta(content="a", annotations=[source]),
        delta(annotations=[source, {**source, "n": 1}], images=[image]),
        STOP,
    )["message"]
    assert (message["annotations"], message["images"]) == ([source, {**source, "n": 1}], [image])


def test_reasoning_keeps_its_field_and_its_details() -> None:
    text = {"type": "reasoning.text", "index": 0, "text": "th", "signature": None}
    signature = {"type": "reasoning.encrypted", "index": 1, "id": "e", "data": "zzz"}
    message = choice(
        delta(reasoning="th", reasoning_details=[text]),
        delta(reasoning="ink", reasoning_details=[{**text, "text": "ink", "signature": "s"}, signature]),
        delta(content="Hi", reasoning_content="deep"),
        STOP,
    )["message"]
    assert (message["reasoning"], message["reasoning_content"], message["content"]) == ("think", "deep", "Hi")
    assert message["reasoning_details"] == [{**text, "text": "think", "signature": "s"}, signature]


def test_mistral_s_items_are_put_together_by_their_kind() -> None:
    def thought(text: str) -> dict[str, object]:
        return {"type": "thinking", "thinking": [{"type": "text", "text": text}]}

    message = choice(
        delta(content=[thought("hm")]),
        delta(content=[thought("m"), {"type": "text", "text": "He"}]),
        delta(content="y"),
        STOP,
    )["message"]
    assert message["content"] == [thought("hmm"), {"type": "text", "text": "Hey"}]


@pytest.mark.parametrize(
    ("pieces", "data"),
    [
        (
            [base64.b64encode(b"a").decode(), base64.b64encode(b"bc").decode()],
            base64.b64encode(b"abc").decode(),
        ),
        (["YW", "Jj"], "YWJj"),
    ],
    ids=["each by itself", "cut anywhere"],
)
def test_sound_is_one_again(pieces: list[str], data: str) -> None:
    chunks = [delta(audio={"id": "au", "data": piece, "transcript": "x"}) for piece in pieces]
    message = choice(*chunks, delta(audio={"expires_at": 9}), STOP)["message"]
    assert message["audio"] == {"id": "au", "transcript": "xx", "expires_at": 9, "data": data}
    assert message["content"] is None


def test_a_refusal_has_no_text_beside_it() -> None:
    message = choice(delta(content="", refusal=None), delta(refusal="I "), delta(refusal="won't"), STOP)[
        "message"
    ]
    assert message == {"role": "assistant", "content": None, "refusal": "I won't"}


def test_without_a_choice_there_is_no_answer() -> None:
    fold = ChatFold()
    fold.feed({**TOP, "choices": []})
    assert fold.whole(done=True) is None


# -- how it is asked ------------------------------------------------------------------------------------


def asked(**body: object) -> Call:
    return Call("c", PROTOCOL.name, Operation.GENERATE, "m", body.get("stream") is True, (), body)


def test_a_stream_is_asked_for_with_its_usage() -> None:
    found = PROTOCOL.editor.with_stream(asked(model="m", stream_options={"x": 1}), True)
    assert found.stream
    assert found.body == {"model": "m", "stream": True, "stream_options": {"x": 1, "include_usage": True}}


def test_a_whole_answer_is_asked_for_without_what_is_said_of_a_stream() -> None:
    found = PROTOCOL.editor.with_stream(
        asked(model="m", stream=True, stream_options={"include_usage": True}), False
    )
    assert (found.stream, found.body) == (False, {"model": "m", "stream": False})


@pytest.mark.parametrize(("form", "streamed"), [("wav", False), ("pcm16", True)])
def test_sound_that_cannot_be_streamed_is_asked_for_whole(form: str, streamed: bool) -> None:
    call = asked(model="m", audio={"format": form, "voice": "v"})
    assert (PROTOCOL.editor.with_stream(call, True) is not call) == streamed

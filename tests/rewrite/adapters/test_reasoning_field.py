"""reasoning_field: reasoning in the field of the config, from whichever form, however it was cut."""

from collections.abc import Iterable, Mapping, Sequence
from copy import deepcopy
from itertools import pairwise
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from protocols.model.wirejson import JsonObject
from rewrite.adapters.base import Closing
from tests.rewrite.adapters.bodies import CHAT, MESSAGES, OLLAMA, adapter, leaves_alone

FORMS = ("reasoning_content", "reasoning", "inline")
FIELDS = FORMS[:2]
WORDS = ["<think>", "</think>", "<think", "</", "think>", "<", ">", "a", "b\n", "é", "</th</think>"]
TEXTS = st.lists(st.sampled_from(WORDS), max_size=8).map("".join)
THOUGHTS = TEXTS.filter(lambda text: text and "</think>" not in text)
CUTS = st.sets(st.integers(0, 60))
HEAD = {"id": "c-1", "object": "chat.completion.chunk", "created": 7, "model": "m"}

type Said = tuple[str, str]
"""Reasoning and content."""


def chunk(
    delta: Mapping[str, object], reason: str | None = None, index: int = 0, **more: object
) -> JsonObject:
    return {**HEAD, "choices": [{"index": index, "delta": delta, "finish_reason": reason}], **more}


def finish(index: int = 0) -> JsonObject:
    return chunk({}, "stop", index)


def through(to: str, chunks: Iterable[JsonObject]) -> list[Any]:
    events = adapter("reasoning_field", to=to).stream(CHAT)
    assert events is not None
    given_chunks = list(chunks)
    before = deepcopy(given_chunks)
    found = [new for one in given_chunks for new in events(one)]
    assert given_chunks == before
    return [*found, *(events.close() if isinstance(events, Closing) else ())]


def said(chunks: Iterable[Any], field: str, index: int = 0) -> Said:
    """What a client that reads `field` makes of a choice."""
    choices = [choice for one in chunks for choice in one["choices"] if choice["index"] == index]
    deltas = [choice["delta"] for choice in choices]
    reasoning = "".join(delta.get(field) or "" for delta in deltas)
    return reasoning, "".join(delta.get("content") or "" for delta in deltas)


def split(text: str) -> Said:
    """The rule, over the whole text."""
    if not text.startswith("<think>"):
        return "", text
    reasoning, _, answer = text.removeprefix("<think>").partition("</think>")
    return reasoning, answer


def cut(text: str, places: set[int]) -> list[str]:
    ends = sorted({0, len(text), *(place for place in places if place < len(text))})
    return [text[start:end] for start, end in pairwise(ends)]


@pytest.mark.parametrize("field", FIELDS)
@pytest.mark.parametrize("finished", [True, False])
@given(TEXTS, st.booleans(), CUTS)
def test_tags_count_however_they_are_cut(
    field: str, finished: bool, text: str, opens: bool, places: set[int]
) -> None:
    whole = "<think>" * opens + text
    chunks = [chunk({"content": piece}) for piece in cut(whole, places)]
    found = through(field, [*chunks, *([finish()] if finished else [])])
    assert said(found, field) == split(whole)


@given(THOUGHTS, TEXTS, CUTS, CUTS)
def test_there_and_back_is_the_same(thought: str, answer: str, first: set[int], second: set[int]) -> None:
    chunks = [chunk({"reasoning": piece}) for piece in cut(thought, first)]
    chunks += [chunk({"content": piece}) for piece in cut(answer, second)]
    inline = through("inline", [*chunks, finish()])
    assert said(inline, "reasoning") == ("", f"<think>{thought}</think>{answer}")
    assert said(through("reasoning", inline), "reasoning") == (thought, answer)


@pytest.mark.parametrize("source", FORMS)
@pytest.mark.parametrize("to", FORMS)
def test_every_form_becomes_every_other(source: str, to: str) -> None:
    pieces = ("Let me ", "see."), ("Two", " it is.")
    found = through(to, [*chunks_of(source, *pieces), finish(), {**HEAD, "choices": [], "usage": {}}])
    expected = (
        ("", "<think>Let me see.</think>Two it is.") if to == "inline" else ("Let me see.", "Two it is.")
    )
    assert said(found, to) == expected
    others = set(FIELDS) - {to}
    assert not any(others & choice["delta"].keys() for one in found for choice in one["choices"])


def chunks_of(form: str, thoughts: Sequence[str], answers: Sequence[str]) -> list[JsonObject]:
    if form == "inline":
        return [chunk({"content": text}) for text in ("<think>", *thoughts, "</think>", *answers)]
    return [chunk({form: text}) for text in thoughts] + [chunk({"content": text}) for text in answers]


@pytest.mark.parametrize("to", FORMS)
@pytest.mark.parametrize(
    "untouched",
    [
        chunk({"role": "assistant", "content": None, "reasoning_content": ""}),
        chunk({"role": "assistant", "content": ""}),
        chunk({"content": "Hi <think>"}),
        chunk({"content": [{"type": "thinking", "thinking": [{"type": "text", "text": "Hm"}]}]}),
        chunk({"tool_calls": [{"index": 0, "id": "t", "function": {"name": "f", "arguments": ""}}]}),
        finish(),
        chunk({"content": "end"}, "length", usage={"total_tokens": 3}),
        {**HEAD, "choices": [], "usage": {"total_tokens": 3}},
        {"error": {"message": "no"}},
        {**HEAD, "choices": ["odd", {"index": 0}, {"index": 0, "delta": None}]},
    ],
)
def test_what_has_no_reasoning_is_left_alone(to: str, untouched: JsonObject) -> None:
    assert leaves_alone(adapter("reasoning_field", to=to), CHAT, untouched)


@pytest.mark.parametrize("field", FIELDS)
def test_reasoning_in_its_place_is_left_alone(field: str) -> None:
    assert leaves_alone(adapter("reasoning_field", to=field), CHAT, chunk({field: "Hm", "content": None}))


def test_the_default_is_the_field_of_most() -> None:
    assert adapter("reasoning_field") == adapter("reasoning_field", to="reasoning_content")


def test_a_moved_delta_keeps_its_chunk() -> None:
    before = chunk({"role": "assistant", "content": "", "reasoning": "Hm"}, x_extra=1)
    (after,) = through("reasoning_content", [before])
    assert after == chunk({"role": "assistant", "content": "", "reasoning_content": "Hm"}, x_extra=1)


def test_the_same_reasoning_in_both_fields_counts_once() -> None:
    both = chunk({"reasoning": "Hm", "reasoning_content": "Hm"})
    assert through("reasoning", [both]) == [chunk({"reasoning": "Hm"})]
    assert said(through("inline", [both, finish()]), "") == ("", "<think>Hm</think>")


def test_choices_are_separate() -> None:
    texts = [(0, "<thi"), (1, "<think>x"), (0, "nk>y</think>z"), (1, "</thi"), (1, "nk>w")]
    found = through(
        "reasoning", [*(chunk({"content": text}, None, at) for at, text in texts), finish(0), finish(1)]
    )
    assert [said(found, "reasoning", at) for at in (0, 1)] == [("y", "z"), ("x", "w")]


def test_a_tag_does_not_count_after_reasoning_in_a_field() -> None:
    found = through("reasoning", [chunk({"reasoning": "Hm"}), chunk({"content": "<think> is a tag"})])
    assert said(found, "reasoning") == ("Hm", "<think> is a tag")


def test_what_was_held_comes_with_the_finish_or_in_a_chunk_of_its_own() -> None:
    held = chunk({"content": "<think>a</thi"})
    assert through("reasoning", [held, finish()])[1] == chunk({"reasoning": "</thi"}, "stop")
    assert through("reasoning", [held])[1] == chunk({"reasoning": "</thi"})
    assert through("reasoning", [chunk({"content": "<th"})])[1] == chunk({"content": "<th"})


def test_inline_reasoning_ends_before_a_tool_call() -> None:
    call = {"tool_calls": [{"index": 0, "id": "t", "function": {"name": "f", "arguments": ""}}]}
    _, second, third = through("inline", [chunk({"reasoning": "Hm"}), chunk(call), chunk({}, "tool_calls")])
    assert second == chunk({**call, "content": "</think>"})
    assert third == chunk({}, "tool_calls")


def test_a_cut_leaves_an_inline_tag_open() -> None:
    assert said(through("inline", [chunk({"reasoning": "Hm"})]), "") == ("", "<think>Hm")


def test_reasoning_after_the_content_stays_in_its_field() -> None:
    chunks = [chunk({"content": "Two"}), chunk({"reasoning": "Hm"}), finish()]
    assert through("inline", chunks) == chunks


@pytest.mark.parametrize(
    ("to", "message", "expected"),
    [
        ("reasoning", {"content": "<think>a</think>b"}, {"content": "b", "reasoning": "a"}),
        ("reasoning", {"content": "<think>a"}, {"content": "", "reasoning": "a"}),
        ("reasoning", {"content": "b", "reasoning_content": "a"}, {"content": "b", "reasoning": "a"}),
        ("inline", {"content": "b", "reasoning_content": "a"}, {"content": "<think>a</think>b"}),
        ("inline", {"content": None, "reasoning": "a"}, {"content": "<think>a</think>"}),
        ("reasoning", {"content": None, "tool_calls": []}, {"content": None, "tool_calls": []}),
    ],
)
def test_whole_messages(to: str, message: dict[str, Any], expected: dict[str, Any]) -> None:
    def body(one: dict[str, Any]) -> Any:
        plain = {"index": 1, "message": {"role": "assistant", "content": "c"}}
        return {**HEAD, "choices": [{"index": 0, "message": one, "finish_reason": "stop"}, plain]}

    before = body(message)
    assert adapter("reasoning_field", to=to).answer(before, CHAT) == body(expected)
    assert before == body(message)


@pytest.mark.parametrize("context", [MESSAGES, OLLAMA])
def test_other_protocols_are_left_alone(context: Any) -> None:
    made = adapter("reasoning_field")
    body = {"choices": [{"message": {"reasoning": "a"}}]}
    assert made.answer(body, context) is body
    assert made.stream(context) is None

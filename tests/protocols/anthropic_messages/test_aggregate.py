"""Events put together as a whole message."""

from typing import Any

import pytest

from protocols.anthropic_messages.aggregate import MessagesFold

MESSAGE: dict[str, object] = {
    "id": "msg_1",
    "type": "message",
    "role": "assistant",
    "model": "m",
    "content": [],
    "stop_reason": None,
    "stop_sequence": None,
    "usage": {"input_tokens": 408, "cache_read_input_tokens": 5, "output_tokens": 1},
}
START: dict[str, object] = {"type": "message_start", "message": MESSAGE}


def block(index: int, **fields: object) -> dict[str, object]:
    return {"type": "content_block_start", "index": index, "content_block": fields}


def delta(index: int, kind: str, **fields: object) -> dict[str, object]:
    return {"type": "content_block_delta", "index": index, "delta": {"type": kind, **fields}}


def stop(index: int) -> dict[str, object]:
    return {"type": "content_block_stop", "index": index}


def ended(reason: str, **usage: int) -> dict[str, object]:
    return {"type": "message_delta", "delta": {"stop_reason": reason, "stop_sequence": None}, "usage": usage}


def tool(*pieces: str, closed: bool = True) -> list[dict[str, object]]:
    began = block(0, type="tool_use", id="t", name="f", input={})
    said = [delta(0, "input_json_delta", partial_json=piece) for piece in pieces]
    return [began, *said, *([stop(0)] if closed else [])]


def text(*pieces: str) -> list[dict[str, object]]:
    return [
        block(0, type="text", text=""),
        *(delta(0, "text_delta", text=piece) for piece in pieces),
        stop(0),
    ]


def whole(*events: dict[str, object], done: bool = True) -> dict[str, Any]:
    fold = MessagesFold()
    for event in events:
        fold.feed(event)
    found = fold.whole(done=done)
    assert found is not None
    return dict(found)


def test_blocks_of_every_kind_are_as_they_would_have_come() -> None:
    citation = {"type": "web_search_result_location", "url": "u"}
    found = whole(
        START,
        block(0, type="thinking", thinking="", signature=""),
        delta(0, "thinking_delta", thinking="h"),
        delta(0, "thinking_delta", thinking="m"),
        delta(0, "signature_delta", signature="sig"),
        stop(0),
        block(1, type="redacted_thinking", data="zz"),
        stop(1),
        block(2, type="text", text="", citations=[]),
        delta(2, "citations_delta", citation=citation),
        delta(2, "text_delta", text="Hi"),
        stop(2),
        block(3, type="tool_use", id="t", name="f", input={}),
        delta(3, "input_json_delta", partial_json=""),
        delta(3, "input_json_delta", partial_json='{"x": '),
        delta(3, "input_json_delta", partial_json="1}"),
        stop(3),
        block(4, type="compaction", content=None),
        delta(4, "compaction_delta", content="short"),
        stop(4),
        ended("tool_use", output_tokens=9),
    )
    assert found["content"] == [
        {"type": "thinking", "thinking": "hm", "signature": "sig"},
        {"type": "redacted_thinking", "data": "zz"},
        {"type": "text", "text": "Hi", "citations": [citation]},
        {"type": "tool_use", "id": "t", "name": "f", "input": {"x": 1}},
        {"type": "compaction", "content": "short"},
    ]
    assert (found["stop_reason"], found["stop_sequence"], found["id"]) == ("tool_use", None, "msg_1")


def test_the_last_usage_overrides_and_keeps_what_it_leaves_out() -> None:
    found = whole(START, *text("a"), ended("end_turn", output_tokens=3), ended("end_turn", input_tokens=412))
    assert found["usage"] == {"input_tokens": 412, "cache_read_input_tokens": 5, "output_tokens": 3}


def test_what_else_is_said_of_a_message_is_kept() -> None:
    last = {**ended("refusal"), "context_management": {"applied_edits": []}}
    last["delta"] = {"stop_reason": "refusal", "stop_details": {"category": "c"}, "container": {"id": "k"}}
    found = whole({**START, "message": {**MESSAGE, "service_tier": "standard"}}, last)
    assert (found["stop_details"], found["container"]) == ({"category": "c"}, {"id": "k"})
    assert (found["context_management"], found["service_tier"]) == ({"applied_edits": []}, "standard")
    assert found["content"] == []


@pytest.mark.parametrize(
    ("events", "done", "reason", "kept"),
    [
        (text("a"), True, "end_turn", 1),
        (text("a"), False, "max_tokens", 1),
        (tool("{}"), True, "tool_use", 1),
        (tool(), True, "tool_use", 1),
        (tool('{"x'), True, "max_tokens", 0),
        (tool('{"x', closed=False), False, "max_tokens", 0),
        (tool(closed=False), False, "max_tokens", 0),
        ([*tool('{"x'), ended("tool_use")], True, "max_tokens", 0),
        ([*tool('{"x'), ended("max_tokens")], True, "max_tokens", 0),
    ],
)
def test_a_finish_that_is_missing_or_untrue(
    events: list[dict[str, object]], done: bool, reason: str, kept: int
) -> None:
    found = whole(START, *events, done=done)
    assert (found["stop_reason"], len(found["content"])) == (reason, kept)


def test_an_answer_that_begins_anew_is_the_second_one() -> None:
    again = {**START, "message": {**MESSAGE, "id": "msg_2"}}
    found = whole(START, *tool('{"value": "Spark', closed=False), again, *text("Hi"), ended("end_turn"))
    assert (found["id"], found["content"]) == ("msg_2", [{"type": "text", "text": "Hi"}])


def test_before_the_first_event_there_is_no_answer() -> None:
    assert MessagesFold().whole(done=True) is None

"""Any answer as events of Responses, and as a whole response."""

import json
from collections.abc import Mapping, Sequence
from typing import Any

import pytest

from protocols.model.call import Reply
from protocols.model.parts import (
    Annotation,
    BlockDelta,
    BlockKind,
    BlockStart,
    BlockStop,
    ChoiceStart,
    Finish,
    FinishReason,
    MessageStart,
    Opaque,
    Ping,
    Signature,
    StreamEnd,
    StreamError,
    StreamPart,
    ToolKind,
    Usage,
    UsageReport,
)
from protocols.model.wirejson import JsonObject
from protocols.openai_responses import PROTOCOL
from rewrite.translation.repair import closing
from tests import oracle
from tests.contract import JSON, SSE, parts
from tests.protocols.openai_responses.frames import block, call, folded

TEXT, REASONING, REFUSAL = BlockKind.TEXT, BlockKind.REASONING, BlockKind.REFUSAL
TOOL, HOSTED, MEDIA = BlockKind.TOOL, BlockKind.HOSTED, BlockKind.MEDIA
REPLY = Reply("abc", "their-model", 1760000000)
HEAD: list[StreamPart] = [MessageStart("up", "upstream-model"), ChoiceStart(0)]
USAGE = Usage(input=10, output=20, cache_read=4, cache_write=0, reasoning=7)
SIGNED = Signature("envelope", "cm90YXRvcjEAx")


def finish(reason: FinishReason = FinishReason.STOP) -> list[StreamPart]:
    return [UsageReport(USAGE), Finish(0, reason, "theirs"), StreamEnd()]


def signed(index: int, *texts: str, signature: Signature = SIGNED) -> list[StreamPart]:
    return [*block(index, REASONING, *texts)[:-1], BlockStop(0, index, signature)]


RICH: list[StreamPart] = [
    *HEAD,
    *signed(0, "Hm. ", "So."),
    *signed(1),
    *block(2, TEXT, "See ", "this.")[:-1],
    Annotation(0, 2, "https://a.test/", "A", 0, 4),
    BlockStop(0, 2),
    *block(3, TOOL, '{"city": ', '"Paris"}', tool_id="call_1", tool_name="weather"),
    *block(4, TOOL, "{}", tool_id="call_2", tool_name="clock"),
    *block(5, TOOL, "ls ", tool_id="call_3", tool_name="exec", tool_kind=ToolKind.CUSTOM, namespace="n"),
    *block(6, REFUSAL, "I can", "not"),
]
ANSWERS: Mapping[str, list[StreamPart]] = {
    "rich": [*RICH, *finish(FinishReason.TOOL_CALLS)],
    "text": [*HEAD, *block(0, TEXT, "Hi"), *finish()],
    "empty": [*HEAD, *finish()],
    "length": [*RICH, *finish(FinishReason.LENGTH)],
    "filtered": [*HEAD, *block(0, REFUSAL, "No."), *finish(FinishReason.CONTENT_FILTER)],
    "paused": [*HEAD, *block(0, TEXT, "Hi"), *finish(FinishReason.PAUSE)],
    "no usage": [*HEAD, *block(0, TEXT, "Hi"), Finish(0, FinishReason.STOP, ""), StreamEnd()],
}
each_answer = pytest.mark.parametrize("found", ANSWERS.values(), ids=ANSWERS)


def written(found: Sequence[StreamPart], body: JsonObject | None = None) -> bytes:
    writer = PROTOCOL.translator.writer(call(body or {}), REPLY)
    return b"".join(writer.write([part]) for part in found)


def objects(data: bytes) -> list[dict[str, Any]]:
    return [json.loads(line[6:]) for line in data.splitlines() if line.startswith(b"data: ")]


def events(found: Sequence[StreamPart], body: JsonObject | None = None) -> list[dict[str, Any]]:
    return objects(written(found, body))


def kinds(found: list[dict[str, Any]]) -> list[str]:
    return [each["type"].removeprefix("response.") for each in found]


@pytest.fixture(scope="module")
def judge() -> oracle.Judge:
    return oracle.judges()[PROTOCOL.name]


# -- what the grammar says --------------------------------------------------------------------------------


@each_answer
def test_a_stream_is_well_formed(found: list[StreamPart], judge: oracle.Judge) -> None:
    data = written(found)
    judgement = judge(data)
    assert judgement["terminal"], judgement
    assert not judgement["violations"], judgement
    assert not judgement["open_items"], judgement
    assert [each["sequence_number"] for each in objects(data)] == list(range(len(objects(data))))


@each_answer
def test_a_stream_can_be_cut_and_closed_anywhere(found: list[StreamPart], judge: oracle.Judge) -> None:
    for at in range(3, len(found) - 2):
        so_far = found[:at]
        judgement = judge(written([*so_far, *closing(folded(so_far))]))
        assert judgement["terminal_event"] == "response.incomplete", judgement
        assert not judgement["violations"], judgement
        assert not judgement["open_items"], judgement


def test_an_error_at_any_point_is_well_formed(judge: oracle.Judge) -> None:
    for at in range(2, len(RICH)):
        judgement = judge(written([*RICH[:at], StreamError("overloaded", "busy")]))
        assert judgement["terminal_event"] == "response.failed", judgement
        assert judgement["error"]["message"] == "busy"
        assert not judgement["violations"], judgement


def test_an_error_before_anything_is_still_a_response(judge: oracle.Judge) -> None:
    data = written([MessageStart("up", "m"), StreamError("rate_limit_exceeded", "slow")])
    assert kinds(objects(data)) == ["created", "in_progress", "error", "failed"]
    assert not judge(data)["violations"]


# -- what it says is what was said ------------------------------------------------------------------------


@each_answer
def test_what_is_written_is_read_again(found: list[StreamPart]) -> None:
    expected, again = folded(found), folded(parts(PROTOCOL, SSE, [written(found)]))
    assert again.ended
    for one, other in zip(again.blocks.values(), expected.blocks.values(), strict=True):
        assert (one.start, one.text, one.annotations, one.stop) == (
            other.start,
            other.text,
            other.annotations,
            other.stop,
        )
    assert again.usage == expected.usage


@each_answer
def test_a_whole_response_says_the_same(found: list[StreamPart]) -> None:
    streamed = folded(parts(PROTOCOL, SSE, [written(found)]))
    whole = folded(parts(PROTOCOL, JSON, [PROTOCOL.translator.write_answer(call({}), REPLY, folded(found))]))
    assert (whole.finished, whole.usage) == (streamed.finished, streamed.usage)
    for one, other in zip(whole.blocks.values(), streamed.blocks.values(), strict=True):
        assert (one.start, one.text, one.annotations, one.stop) == (
            other.start,
            other.text,
            other.annotations,
            other.stop,
        )


@each_answer
def test_a_whole_response_is_what_the_stream_ends_with(found: list[StreamPart]) -> None:
    whole = json.loads(PROTOCOL.translator.write_answer(call({}), REPLY, folded(found)))
    assert whole == events(found)[-1]["response"]


@pytest.mark.parametrize(
    ("reason", "status", "details", "again"),
    [
        (FinishReason.STOP, "completed", None, FinishReason.STOP),
        (FinishReason.OTHER, "completed", None, FinishReason.STOP),
        (FinishReason.LENGTH, "incomplete", {"reason": "max_output_tokens"}, FinishReason.LENGTH),
        (
            FinishReason.CONTENT_FILTER,
            "incomplete",
            {"reason": "content_filter"},
            FinishReason.CONTENT_FILTER,
        ),
        (FinishReason.PAUSE, "incomplete", {"reason": None}, FinishReason.OTHER),
    ],
)
def test_how_a_response_ends(
    reason: FinishReason, status: str, details: JsonObject | None, again: FinishReason
) -> None:
    found = [*HEAD, *block(0, TEXT, "Hi"), *finish(reason)]
    response = events(found)[-1]["response"]
    assert (response["status"], response["incomplete_details"]) == (status, details)
    assert response["output"][0]["status"] == status
    assert folded(parts(PROTOCOL, SSE, [written(found)])).finished[0].reason is again


def test_a_provider_that_failed_without_a_word_is_an_error() -> None:
    assert kinds(events([*HEAD, *finish(FinishReason.ERROR)]))[-2:] == ["error", "failed"]


def test_an_error_keeps_what_was_written() -> None:
    found = events([*RICH[:-1], StreamError("insufficient_quota", "no money")])
    error, failed = found[-2:]
    assert error["error"]["code"] == "insufficient_quota"
    response = failed["response"]
    assert response["error"] == {"code": "insufficient_quota", "message": "no money"}
    assert [item["status"] for item in response["output"]] == ["completed"] * 6 + ["incomplete"]


# -- the frames -------------------------------------------------------------------------------------------


def test_text_as_its_events() -> None:
    found = written([*HEAD, *block(0, TEXT, "H", "i"), *finish()])
    assert kinds(objects(found)) == [
        "created",
        "in_progress",
        "output_item.added",
        "content_part.added",
        "output_text.delta",
        "output_text.delta",
        "output_text.done",
        "content_part.done",
        "output_item.done",
        "completed",
    ]
    assert found.startswith(b"event: response.created\ndata: {")
    assert PROTOCOL.encoder(call({})).content_type.startswith("text/event-stream")


def test_a_response_has_every_field_that_clients_ask_for() -> None:
    body = {
        "instructions": "Be brief.",
        "tools": [{"type": "function", "name": "f"}],
        "tool_choice": "required",
        "reasoning": {"effort": "low"},
        "metadata": {"a": "b"},
        "temperature": 0.5,
        "store": False,
    }
    response = events([*HEAD, *finish()], body)[0]["response"]
    assert response["id"] == "resp_abc"
    assert (response["model"], response["created_at"]) == ("their-model", 1760000000)
    assert {name: response[name] for name in body} == body
    plain = events([*HEAD, *finish()])[0]["response"]
    assert plain["parallel_tool_calls"] is plain["store"] is True
    assert (plain["tools"], plain["tool_choice"], plain["metadata"]) == ([], "auto", {})
    assert (plain["output"], plain["error"], plain["usage"]) == ([], None, None)


def test_ids_of_items_come_from_the_reply_and_the_place() -> None:
    items = events(ANSWERS["rich"])[-1]["response"]["output"]
    assert [item["id"] for item in items] == [
        "rs_abc_0",
        "rs_abc_1",
        "msg_abc_2",
        "fc_abc_3",
        "fc_abc_4",
        "ctc_abc_5",
        "msg_abc_6",
    ]
    assert (items[3]["call_id"], items[5]["namespace"]) == ("call_1", "n")


def test_a_call_without_an_id_gets_one() -> None:
    found = [*HEAD, *block(0, TOOL, "{}", tool_name="f"), *finish()]
    assert events(found)[-1]["response"]["output"][0]["call_id"] == "call_abc_0"


def test_reasoning_carries_its_signature() -> None:
    shown, hidden = events(ANSWERS["rich"])[-1]["response"]["output"][:2]
    assert shown["summary"] == [{"type": "summary_text", "text": "Hm. So."}]
    assert shown["encrypted_content"] == hidden["encrypted_content"] == SIGNED.value
    assert hidden["summary"] == []


@pytest.mark.parametrize(
    ("signature", "encrypted"),
    [
        (Signature("plain", ""), None),
        (Signature("encrypted", '{"id":"rs_1","encrypted_content":"gAAA"}'), "gAAA"),
        (Signature("encrypted", "odd"), None),
    ],
)
def test_only_what_was_encrypted_is_said_to_be(signature: Signature, encrypted: str | None) -> None:
    item = events([*HEAD, *signed(0, "Hm", signature=signature), *finish()])[-1]["response"]["output"][0]
    assert item.get("encrypted_content") == encrypted


def test_an_image_is_an_item_and_other_media_are_left_out() -> None:
    image = {"media_type": "image/webp", "data": "aW1n"}
    found = [
        *HEAD,
        *block(0, MEDIA, payload={"media_type": "audio/wav", "data": "YQ"}),
        *block(1, MEDIA, payload={"url": "https://a.test/"}),
        *block(2, HOSTED, "code", payload={"type": "server_tool_use"}),
        *block(3, MEDIA, payload=image),
        *finish(),
    ]
    (item,) = events(found)[-1]["response"]["output"]
    assert (item["type"], item["result"], item["status"]) == ("image_generation_call", "aW1n", "completed")
    announced = next(each for each in events(found) if each["type"] == "response.output_item.added")
    assert announced["item"]["result"] is None
    media = [b for b in folded(parts(PROTOCOL, SSE, [written(found)])).blocks.values() if b.kind is MEDIA]
    assert [each.start.payload for each in media] == [image]


def test_the_last_call_of_a_cut_answer_is_not_whole() -> None:
    so_far = [*HEAD, *block(0, TOOL, '{"a":', tool_id="c", tool_name="f")[:-1]]
    found = events([*so_far, *closing(folded(so_far))])
    item = next(each for each in found if each["type"] == "response.output_item.done")["item"]
    assert (item["status"], item["arguments"]) == ("incomplete", '{"a":')


def test_nothing_follows_an_error() -> None:
    found = [*HEAD, StreamError("timeout", "late"), *block(0, TEXT, "x"), StreamEnd()]
    assert kinds(events(found)) == ["created", "in_progress", "error", "failed"]


def test_what_has_no_form_writes_nothing() -> None:
    other: list[StreamPart] = [
        ChoiceStart(1),
        BlockStart(1, 0, TEXT),
        BlockDelta(1, 0, TEXT, "x"),
        BlockStop(1, 0),
    ]
    assert written([Ping(), Opaque(b"x"), *other, Finish(1, FinishReason.STOP, "")]) == b""

"""A cut stream is closed under its own ids, indexes and count, the innermost first."""

import json
from typing import Any

import pytest

from protocols.model.parts import Finish, FinishReason, StreamEnd
from protocols.model.progress import Progress
from protocols.model.wirejson import JsonObject
from protocols.openai_responses import PROTOCOL
from rewrite.translation.repair import closing, failing
from tests.contract import SSE, call, parts, progress
from tests.protocols.openai_responses.frames import (
    CREATED,
    added,
    ends,
    event,
    fixture_bytes,
)


def objects(data: bytes) -> list[dict[str, Any]]:
    return [json.loads(line[6:]) for line in data.splitlines() if line.startswith(b"data: ")]


def closed(data: bytes, *, error: str = "") -> list[dict[str, Any]]:
    """The events that close `data`, cut at its end."""
    so_far = progress(parts(PROTOCOL, SSE, [data]))
    ending = failing(error) if error else closing(so_far)
    return objects(PROTOCOL.encoder(call(PROTOCOL)).close(ending, so_far))


def cut(name: str, mark: bytes) -> bytes:
    """A fixture up to and with the last frame that holds `mark`."""
    frames = fixture_bytes(name).split(b"\n\n")
    last = max(place for place, frame in enumerate(frames) if mark in frame)
    return b"\n\n".join(frames[: last + 1]) + b"\n\n"


def kinds(events: list[dict[str, Any]]) -> list[str]:
    return [each["type"].removeprefix("response.") for each in events]


def test_text_is_closed_from_the_inside_out() -> None:
    events = closed(cut("text.sse", b"output_text.delta"))
    assert kinds(events) == ["output_text.done", "content_part.done", "output_item.done", "incomplete"]
    text = "The café is\u2028open 🍵 until ten."
    assert events[0] == {
        "type": "response.output_text.done",
        "item_id": "msg_1",
        "output_index": 0,
        "content_index": 0,
        "text": text,
        "logprobs": [],
        "sequence_number": 8,
    }
    part = {"type": "output_text", "text": text, "annotations": [], "logprobs": []}
    assert events[1]["part"] == part
    item = {"id": "msg_1", "type": "message", "status": "incomplete", "content": [part], "role": "assistant"}
    assert events[2]["item"] == item
    assert [each["sequence_number"] for each in events] == [8, 9, 10, 11]
    response = events[3]["response"]
    assert (response["id"], response["status"], response["output"]) == ("resp_1", "incomplete", [item])
    assert response["incomplete_details"] == {"reason": "max_output_tokens"}
    assert response["usage"] is None


def test_only_what_is_open_is_closed() -> None:
    text = event("output_text.done", output_index=0, content_index=0, text="x")
    part = event(
        "content_part.done", output_index=0, content_index=0, part={"type": "output_text", "text": "x"}
    )
    opening = CREATED + added(0, {"type": "message", "id": "m"})
    assert kinds(closed(opening)) == ["output_item.done", "incomplete"]
    assert kinds(closed(opening + text)) == [
        "output_text.done",
        "content_part.done",
        "output_item.done",
        "incomplete",
    ]
    assert kinds(closed(opening + text + part)) == ["output_item.done", "incomplete"]


def test_a_provider_that_does_not_count_is_not_counted_for() -> None:
    events = closed(CREATED + added(0, {"type": "message", "id": "m"}))
    assert not [each for each in events if "sequence_number" in each]


def test_the_part_of_a_summary_that_is_open_is_closed_at_its_place() -> None:
    """A part may hold blank lines itself."""
    events = closed(cut("reasoning.sse", b'"delta":"Then '))
    assert kinds(events)[:3] == [
        "reasoning_summary_text.done",
        "reasoning_summary_part.done",
        "output_item.done",
    ]
    assert (events[0]["summary_index"], events[0]["text"]) == (1, "Then ")
    assert events[2]["item"] == {
        "id": "rs_1",
        "type": "reasoning",
        "encrypted_content": "early==",
        "summary": [
            {"type": "summary_text", "text": "**Plan**\n\nThink."},
            {"type": "summary_text", "text": "Then "},
        ],
        "status": "incomplete",
    }


def test_reasoning_that_is_shown_itself_is_content() -> None:
    delta = event("reasoning_text.delta", output_index=0, content_index=0, delta="Hm")
    events = closed(CREATED + added(0, {"type": "reasoning", "id": "r", "summary": []}) + delta)
    assert kinds(events) == ["reasoning_text.done", "content_part.done", "output_item.done", "incomplete"]
    assert events[2]["item"]["content"] == [{"type": "reasoning_text", "text": "Hm"}]


def test_a_call_keeps_its_half_and_says_that_it_is_not_whole() -> None:
    events = closed(cut("tools.sse", b'"delta":"ty'))
    assert kinds(events) == ["function_call_arguments.done", "output_item.done", "incomplete"]
    assert (events[0]["arguments"], events[0]["name"]) == ('{"city":"Pa', "weather")
    assert events[1]["item"]["status"] == "incomplete"
    done, half = events[2]["response"]["output"]
    assert done["content"][0]["text"] == "I look."
    assert (done["status"], half) == ("completed", events[1]["item"])


def test_a_custom_call_and_code_are_closed_in_their_own_words() -> None:
    events = closed(cut("tools.sse", b'"delta":"ls '))
    assert (kinds(events)[0], events[0]["input"]) == ("custom_tool_call_input.done", "ls ")
    code = closed(cut("hosted.sse", b"code_interpreter_call_code.delta"))
    assert (kinds(code)[0], code[0]["code"]) == ("code_interpreter_call_code.done", "1+1")
    search = closed(cut("hosted.sse", b"web_search_call.searching"))
    assert kinds(search) == ["output_item.done", "incomplete"]


def test_sources_of_any_kind_stay_in_the_text_that_is_closed() -> None:
    events = closed(cut("hosted.sse", b"annotation.added"))
    part = next(each for each in events if each["type"] == "response.content_part.done")["part"]
    assert [each["type"] for each in part["annotations"]] == ["url_citation", "file_citation"]


def test_an_error_is_reported_twice() -> None:
    events = closed(cut("text.sse", b"output_text.delta"), error="it was cut")
    assert events[0] == {
        "type": "error",
        "error": {"message": "it was cut", "type": "server_error", "param": None, "code": "upstream_cut"},
        "sequence_number": 8,
    }
    response = events[1]["response"]
    assert (events[1]["type"], response["status"]) == ("response.failed", "failed")
    assert response["error"] == {"code": "upstream_cut", "message": "it was cut"}
    assert response["output"][0]["status"] == "incomplete"


def test_a_response_that_never_began_cannot_fail() -> None:
    ending = failing("it was cut")
    assert kinds(objects(PROTOCOL.encoder(call(PROTOCOL)).close(ending, Progress()))) == ["error"]


def test_nothing_follows_the_last_event() -> None:
    so_far = progress(parts(PROTOCOL, SSE, [CREATED + ends("failed", error={"code": "x", "message": "y"})]))
    encoder = PROTOCOL.encoder(call(PROTOCOL))
    assert encoder.close(failing("again"), so_far) == b""
    assert encoder.close([Finish(0, FinishReason.LENGTH, ""), StreamEnd()], so_far) == b""


def test_usage_that_is_known_is_reported() -> None:
    so_far = progress(parts(PROTOCOL, SSE, [cut("text.sse", b"output_text.delta")]))
    whole = progress(parts(PROTOCOL, SSE, [fixture_bytes("text.sse")]))
    so_far.usage = whole.usage
    (*_, last) = objects(PROTOCOL.encoder(call(PROTOCOL)).close(closing(so_far), so_far))
    assert last["response"]["usage"] == {
        "input_tokens": 9,
        "input_tokens_details": {"cached_tokens": 4, "cache_write_tokens": 0},
        "output_tokens": 8,
        "output_tokens_details": {"reasoning_tokens": 0},
        "total_tokens": 17,
    }


@pytest.mark.parametrize(
    ("item", "closed_too"),
    [
        ({"type": "tool_search_call", "execution": "client"}, True),
        ({"type": "tool_search_call", "execution": "server"}, True),
        ({"type": "web_search_call"}, True),
        ({"type": "mcp_call"}, True),
        ({"type": "reasoning"}, True),
        ({"type": "shell_call", "environment": {"type": "container_auto"}}, True),
        ({"type": "shell_call"}, False),
        ({"type": "apply_patch_call"}, False),
        ({"type": "local_shell_call"}, False),
        ({"type": "computer_call"}, False),
    ],
)
def test_what_nobody_acts_on_is_closed_and_half_an_act_is_given_to_nobody(
    item: JsonObject, closed_too: bool
) -> None:
    native = {**item, "id": "x", "status": "in_progress"}
    events = closed(CREATED + added(0, native))
    ended = [each for each in events if each["type"] == "response.output_item.done"]
    last = [each["response"] for each in events if "response" in each][-1]
    assert isinstance(last, dict)
    assert len(ended) == len(last["output"]) == closed_too
    assert not [each for each in ended if "completed" in str(each["item"])]

"""Which item an event is about, where its provider counts otherwise or not at all."""

import json

import pytest

from protocols.model.parts import BlockKind, MessageStart, Opaque, Ping
from protocols.model.progress import visible
from protocols.model.wirejson import JsonObject
from protocols.openai_responses import PROTOCOL
from rewrite.translation.repair import closing
from tests.contract import SSE, parts, progress
from tests.protocols.openai_responses.frames import (
    CREATED,
    added,
    blocks_of,
    done,
    ends,
    event,
    fixture,
    fixture_bytes,
    read,
)
from tests.rewrite.replay import holding, replay

TEXT, REASONING, TOOL = BlockKind.TEXT, BlockKind.REASONING, BlockKind.TOOL
MESSAGE: JsonObject = {"type": "message", "id": "msg_1", "content": []}


def text_of(text: str) -> JsonObject:
    return {**MESSAGE, "content": [{"type": "output_text", "text": text}]}


def call_of(name: str, arguments: str) -> JsonObject:
    return {
        "type": "function_call",
        "id": f"fc_{name}",
        "call_id": name,
        "name": name,
        "arguments": arguments,
    }


def more(name: str, text: str) -> bytes:
    return event("function_call_arguments.delta", item_id=f"fc_{name}", delta=text)


def test_llama_cpp_names_items_by_their_ids_alone() -> None:
    """Recorded: two calls are added before the message before them is done, and the response is said to be
    created before each event."""
    found = fixture("llama_cpp.sse")
    assert blocks_of(found) == [
        (TEXT, None, None, "Let me check."),
        (TOOL, "call_1", "weather", '{"city": "Paris"}'),
        (TOOL, "call_2", "clock", "{}"),
    ]
    assert [type(part) for part in found].count(MessageStart) == 1
    assert not [part for part in found if isinstance(part, Opaque)]


def test_a_cut_closes_its_items_where_they_are() -> None:
    data = fixture_bytes("llama_cpp.sse")
    cut = data[: data.index(b"event: response.output_text.done")]
    so_far = progress(parts(PROTOCOL, SSE, [cut]))
    last = json.loads(PROTOCOL.encoder(None).close(closing(so_far), so_far).split(b"data: ")[-1])  # type: ignore[arg-type]
    assert [item["id"] for item in last["response"]["output"]] == ["msg_1", "fc_1", "fc_2"]


def test_deltas_of_calls_that_are_open_at_once() -> None:
    opened = [event("output_item.added", item=call_of(name, "")) for name in "ab"]
    found = read(*opened, more("a", '{"a":'), more("b", "{}"), more("a", "1}"), ends("completed"))
    assert [text for *_, text in blocks_of(found)] == ['{"a":1}', "{}"]


def test_an_item_that_was_never_announced_begins_with_what_is_said_of_it() -> None:
    found = read(event("output_text.delta", item_id="msg_9", delta="Hi"), ends("completed"))
    assert blocks_of(found) == [(TEXT, None, None, "Hi")]


def test_an_item_without_any_place_is_the_one_that_is_open() -> None:
    found = read(added(0, MESSAGE), event("output_text.delta", delta="Hi"), ends("completed"))
    assert blocks_of(found) == [(TEXT, None, None, "Hi")]


def test_what_has_no_place_is_life() -> None:
    """It shows nothing, but nobody takes the provider for silent."""
    found = read(event("function_call_arguments.delta", delta="{"))
    assert found == [Ping(working=True)]


def test_a_call_that_is_cut_is_held_by_its_id_too() -> None:
    half = call_of("a", '{"city": "Par')
    why = {"reason": "max_output_tokens"}
    data = b"".join(
        (
            CREATED,
            event("output_item.added", item=MESSAGE),
            event("output_text.delta", item_id="msg_1", delta="Hi"),
            event("output_item.added", item=call_of("a", "")),
            more("a", '{"city": "Par'),
            event("output_item.done", item=text_of("Hi")),
            event("output_item.done", item=half),
            ends("incomplete", incomplete_details=why, output=[text_of("Hi"), half]),
        )
    )
    got = replay(PROTOCOL, [data], terms=holding(PROTOCOL))
    assert b"fc_a" not in got.body
    assert blocks_of(parts(PROTOCOL, SSE, [got.body])) == [(TEXT, None, None, "Hi")]


# -- other counting ---------------------------------------------------------------------------------------


@pytest.mark.parametrize("place", [0, 1, 7])
def test_a_text_comes_once_wherever_its_part_is_counted(place: int) -> None:
    """Bedrock counts `content_index` over all items."""
    delta = event("output_text.delta", output_index=1, content_index=place, delta="Hi")
    found = read(added(1, MESSAGE), delta, done(1, text_of("Hi")), ends("completed"))
    assert blocks_of(found) == [(TEXT, None, None, "Hi")]


@pytest.mark.parametrize("place", [0, 3])
def test_a_thought_comes_once_wherever_its_part_is_counted(place: int) -> None:
    item = {"type": "reasoning", "id": "rs_1", "content": [{"type": "reasoning_text", "text": "Hm"}]}
    delta = event("reasoning_text.delta", output_index=0, content_index=place, delta="Hm")
    found = read(added(0, {"type": "reasoning", "id": "rs_1"}), delta, done(0, item), ends("completed"))
    assert blocks_of(found) == [(REASONING, None, None, "Hm")]


@pytest.mark.parametrize("delta", ["Hm", {"text": "Hm"}])
@pytest.mark.parametrize("kind", ["reasoning", "reasoning_summary"])
def test_reasoning_under_the_names_of_gateways(kind: str, delta: object) -> None:
    found = read(event(f"{kind}.delta", output_index=0, delta=delta), ends("completed"))
    assert blocks_of(found) == [(REASONING, None, None, "Hm")]


# -- what only the last event says ------------------------------------------------------------------------


def test_an_answer_that_only_the_last_event_holds_is_given() -> None:
    found = read(ends("completed", output=[text_of("Hi"), call_of("a", "{}")]))
    assert blocks_of(found) == [(TEXT, None, None, "Hi"), (TOOL, "a", "a", "{}")]
    assert any(visible(part) for part in found)


def test_an_item_that_only_the_last_event_ends_is_given() -> None:
    found = read(added(0, MESSAGE), ends("completed", output=[text_of("Hi")]))
    assert blocks_of(found) == [(TEXT, None, None, "Hi")]


def test_what_was_said_is_not_said_again() -> None:
    delta = event("output_text.delta", output_index=0, content_index=0, delta="Hi")
    found = read(added(0, MESSAGE), delta, ends("completed", output=[text_of("Hi")]))
    assert blocks_of(found) == [(TEXT, None, None, "Hi")]


def test_a_failed_response_gives_nothing_more() -> None:
    found = read(ends("failed", output=[text_of("Hi")], error={"code": "server_error", "message": "no"}))
    assert blocks_of(found) == []


def test_a_second_response_is_another_answer() -> None:
    other = event("created", response={"id": "resp_2", "model": "m"})
    found = read(added(0, MESSAGE), other, added(0, MESSAGE), ends("completed", output=[text_of("Hi")]))
    assert [part.id for part in found if isinstance(part, MessageStart)] == ["resp_2"]

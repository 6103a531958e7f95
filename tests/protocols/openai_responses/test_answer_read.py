"""The events of a response, and a whole one, as parts."""

import pytest

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
from protocols.model.progress import visible
from protocols.model.wirejson import JsonObject, dump, load_object
from protocols.openai_responses import PROTOCOL
from protocols.openai_responses.reasoning import signature_of
from tests.contract import JSON, SSE, parts, segments
from tests.protocols.openai_responses.frames import (
    CREATED,
    added,
    block,
    blocks_of,
    done,
    ends,
    event,
    fixture,
    fixture_bytes,
    folded,
    read,
)

TEXT, REASONING, REFUSAL = BlockKind.TEXT, BlockKind.REASONING, BlockKind.REFUSAL
TOOL, HOSTED, MEDIA = BlockKind.TOOL, BlockKind.HOSTED, BlockKind.MEDIA
COMPLETED = ends("completed")
STOPPED = [Finish(0, FinishReason.STOP, "completed"), StreamEnd()]
CALLED = [Finish(0, FinishReason.TOOL_CALLS, "completed"), StreamEnd()]


def finishes(found: list[StreamPart]) -> list[Finish]:
    return [part for part in found if isinstance(part, Finish)]


# -- the life of a response -------------------------------------------------------------------------------


def test_the_first_event_names_the_answer_and_shows_nothing() -> None:
    found = parts(PROTOCOL, SSE, [CREATED])
    assert isinstance(found[0], MessageStart)
    assert (found[0].id, found[0].model) == ("resp_1", "m")
    assert found[1:] == [ChoiceStart(0)]
    assert not any(visible(part) for part in found)


@pytest.mark.parametrize("kind", ["queued", "in_progress", "keepalive"])
def test_what_only_says_that_it_lives(kind: str) -> None:
    assert read(event(kind, sequence_number=3)) == [Ping()]


def test_a_stream_may_begin_in_the_queue() -> None:
    found = parts(PROTOCOL, SSE, [event("queued", response={"id": "resp_9", "model": "m"})])
    assert isinstance(found[0], MessageStart)
    assert found[0].id == "resp_9"


def test_a_second_beginning_is_a_second_answer() -> None:
    text = event("output_text.delta", output_index=0, content_index=0, delta="Hi")
    found = read(added(0, {"type": "message"}), text, CREATED, added(0, {"type": "message"}), text)
    assert [type(part) for part in found].count(MessageStart) == 1
    assert [part.index for part in found if isinstance(part, BlockStart)] == [0, 0]


@pytest.mark.parametrize(
    ("status", "fields", "finish"),
    [
        ("completed", {}, Finish(0, FinishReason.STOP, "completed")),
        ("cancelled", {}, Finish(0, FinishReason.ERROR, "cancelled")),
        *(
            ("incomplete", {"incomplete_details": {"reason": word}}, Finish(0, reason, word))
            for word, reason in [
                ("max_output_tokens", FinishReason.LENGTH),
                ("max_messages", FinishReason.LENGTH),
                ("content_filter", FinishReason.CONTENT_FILTER),
                ("steered", FinishReason.STOP),
                ("brand_new", FinishReason.OTHER),
            ]
        ),
        ("incomplete", {"incomplete_details": None}, Finish(0, FinishReason.OTHER, "incomplete")),
    ],
)
def test_how_it_ends(status: str, fields: JsonObject, finish: Finish) -> None:
    usage = {"input_tokens": 3, "output_tokens": 2, "output_tokens_details": {"reasoning_tokens": 1}}
    assert read(ends(status, usage=usage, **fields)) == [
        UsageReport(Usage(input=3, output=2, reasoning=1)),
        finish,
        StreamEnd(),
    ]


def test_counts_are_inclusive() -> None:
    details = {"cached_tokens": 4, "cache_write_tokens": 2}
    found = read(ends("completed", usage={"input_tokens": 9, "input_tokens_details": details}))
    assert found[0] == UsageReport(Usage(input=9, cache_read=4, cache_write=2))


def test_the_response_says_on_which_terms_it_was_served() -> None:
    (report, *_) = read(ends("completed", usage={"input_tokens": 9}, service_tier="flex"))
    assert report == UsageReport(Usage(input=9, tier="flex"))


# -- errors -----------------------------------------------------------------------------------------------


def test_a_nested_error_is_the_one_that_clients_raise_on() -> None:
    error = {"type": "insufficient_quota", "code": "insufficient_quota", "message": "no"}
    assert read(event("error", error=error)) == [
        StreamError("insufficient_quota", "no", "insufficient_quota", native=True)
    ]


def test_a_flat_error_is_not() -> None:
    assert read(event("error", code="server_error", message="no")) == [
        StreamError("server_error", "no", "server_error", native=False)
    ]


def test_a_failed_response_says_why() -> None:
    failed = ends("failed", error={"code": "rate_limit_exceeded", "message": "slow"}, usage=None)
    assert read(failed) == [StreamError("rate_limit_exceeded", "slow", "rate_limit_exceeded"), StreamEnd()]


# -- messages ---------------------------------------------------------------------------------------------


def test_text_is_a_block_of_its_part() -> None:
    at = {"output_index": 0, "content_index": 0}
    found = read(
        added(0, {"type": "message", "id": "msg_1"}),
        event("content_part.added", **at, part={"type": "output_text", "text": ""}),
        event("output_text.delta", **at, delta="Hi", obfuscation="xyz"),
        event("output_text.delta", **at, delta="!"),
        event("output_text.done", **at, text="Hi!"),
        event("content_part.done", **at, part={"type": "output_text", "text": "Hi!"}),
        done(0, {"type": "message", "content": [{"type": "output_text", "text": "Hi!"}]}),
        COMPLETED,
    )
    assert [part for part in found if part != Ping()] == [*block(0, TEXT, "Hi", "!"), *STOPPED]


def test_characters_that_look_like_line_ends_stay_text() -> None:
    assert blocks_of(fixture("text.sse")) == [(TEXT, None, None, "The café is\u2028open 🍵 until ten.")]


@pytest.mark.parametrize(
    "frames",
    [
        [done(0, {"type": "message", "content": [{"type": "output_text", "text": "Hi"}]})],
        [event("output_text.done", output_index=0, content_index=0, text="Hi")],
        [event("content_part.done", output_index=0, part={"type": "output_text", "text": "Hi"})],
        [event("output_text.delta", output_index=0, delta="Hi")],
    ],
    ids=["item", "text", "part", "delta"],
)
def test_text_that_was_never_announced_is_there(frames: list[bytes]) -> None:
    found = folded(parts(PROTOCOL, SSE, [CREATED, added(0, {"type": "message"}), *frames, COMPLETED]))
    assert [(each.kind, each.text) for each in found.blocks.values()] == [(TEXT, "Hi")]
    assert not found.open


def test_each_part_of_a_message_is_a_block() -> None:
    content = [
        {"type": "output_text", "text": "Well."},
        {"type": "refusal", "refusal": "No."},
        {"type": "brand_new"},
    ]
    assert blocks_of(read(done(0, {"type": "message", "content": content}))) == [
        (TEXT, None, None, "Well."),
        (REFUSAL, None, None, "No."),
    ]


def test_a_refusal_is_a_block_and_the_filter_a_finish() -> None:
    found = fixture("refused.sse")
    assert blocks_of(found) == [(REFUSAL, None, None, "I cannot.")]
    assert finishes(found) == [Finish(0, FinishReason.CONTENT_FILTER, "content_filter")]


def test_sources_by_address_are_annotations() -> None:
    found = [part for part in fixture("hosted.sse") if isinstance(part, Annotation)]
    assert found == [Annotation(0, 4, "https://a.test/", "A", 0, 8)]


# -- reasoning --------------------------------------------------------------------------------------------


def replayed(signature: Signature | None) -> JsonObject | None:
    assert signature is not None
    assert signature.form == "encrypted"
    return load_object(signature.value.encode())


def test_parts_of_a_summary_are_one_block_sealed_by_what_the_done_item_holds() -> None:
    found = folded(fixture("reasoning.sse"))
    summary, hidden, text = found.blocks.values()
    assert summary.text == "**Plan**\n\nThink.\n\nThen act."
    assert summary.stop
    assert replayed(summary.stop.signature) == {
        "id": "rs_1",
        "summary": [
            {"type": "summary_text", "text": "**Plan**\n\nThink."},
            {"type": "summary_text", "text": "Then act."},
        ],
        "encrypted_content": "final==",
    }
    assert (hidden.kind, hidden.text) == (REASONING, "")
    assert hidden.stop
    assert (replayed(hidden.stop.signature) or {})["encrypted_content"] == "hidden=="
    assert text.text == "Done."


def test_hidden_reasoning_shows_nothing() -> None:
    item = {"type": "reasoning", "summary": [], "encrypted_content": "x"}
    assert not any(visible(part) for part in read(added(0, item), done(0, item)))


def test_reasoning_that_is_shown_itself_has_no_signature() -> None:
    reasoning, text = folded(fixture("plain.sse")).blocks.values()
    assert (reasoning.kind, reasoning.text, text.text) == (REASONING, "We add.", "4")
    assert reasoning.stop == BlockStop(0, 0)


def test_a_carrier_stays_one() -> None:
    assert signature_of({"encrypted_content": "cm90YXRvcjEAx"}) == Signature("envelope", "cm90YXRvcjEAx")
    assert signature_of({}) is None


# -- calls ------------------------------------------------------------------------------------------------


def test_calls_of_functions_and_of_custom_tools() -> None:
    found = fixture("tools.sse")
    assert blocks_of(found)[1:] == [
        (TOOL, "call_a", "weather", '{"city":"Paris"}'),
        (TOOL, "call_b", "clock", "{}"),
        (TOOL, "call_c", "exec", "ls -a"),
    ]
    starts = [part for part in found if isinstance(part, BlockStart)]
    assert [(start.tool_kind, start.namespace) for start in starts[2:]] == [
        (ToolKind.FUNCTION, ""),
        (ToolKind.CUSTOM, "functions"),
    ]
    assert finishes(found) == [Finish(0, FinishReason.TOOL_CALLS, "completed")]


def test_items_are_known_by_their_place_whatever_their_ids() -> None:
    assert blocks_of(fixture("rotating.sse")) == [(TOOL, "call_a", "weather", '{"a":1}')]


def test_a_done_item_without_a_place_is_found_by_its_id() -> None:
    one, two = ({"type": "message", "id": name} for name in ("msg_1", "msg_2"))
    text = [{"type": "output_text", "text": "Hi"}]
    said = [event("output_item.done", item={**item, "content": text}) for item in (two, one)]
    third = event("output_item.done", item={"type": "reasoning", "id": "rs_1"})
    found = folded(read(added(0, one), added(1, two), *said, third, third))
    assert [(each.kind, each.text) for each in found.blocks.values()] == [
        (TEXT, "Hi"),
        (TEXT, "Hi"),
        (REASONING, ""),
    ]


def test_calls_of_any_other_kind_are_seen_and_whole() -> None:
    found = fixture("calls.sse")
    assert blocks_of(found) == [
        (TOOL, "call_a", "f", '{"x":1}'),
        (TOOL, "call_b", "local_shell_call", '{"type":"exec","command":["ls"],"env":{}}'),
        (TOOL, "call_c", "apply_patch_call", '{"type":"create_file","diff":"+a","path":"a"}'),
        (TOOL, "mcpr_1", "mcp_approval_request", '{"u":1}'),
    ]
    assert finishes(found) == [Finish(0, FinishReason.TOOL_CALLS, "completed")]


@pytest.mark.parametrize(
    "item",
    [
        {"type": "function_call", "name": "f", "call_id": "c"},
        {"type": "local_shell_call", "call_id": "c"},
        {"type": "shell_call", "call_id": "c"},
        {"type": "shell_call", "call_id": "c", "environment": {"type": "local"}},
        {"type": "apply_patch_call", "call_id": "c"},
        {"type": "computer_call", "call_id": "c"},
        {"type": "tool_search_call", "call_id": "c", "execution": "client"},
        {"type": "mcp_approval_request", "id": "c"},
    ],
)
def test_what_the_client_runs_is_seen_before_any_delta(item: JsonObject) -> None:
    found = read(added(0, item), COMPLETED)
    (start,) = (part for part in found if isinstance(part, BlockStart))
    assert (start.kind, start.tool_id) == (TOOL, "c")
    assert start.payload == (None if "name" in item else item)
    assert visible(start)
    assert [part for part in found if isinstance(part, Finish)] == CALLED[:1]


@pytest.mark.parametrize(
    "item",
    [
        {"type": "web_search_call", "id": "i"},
        {"type": "shell_call", "id": "i", "environment": {"type": "container_reference"}},
        {"type": "tool_search_call", "id": "i", "execution": "server"},
        {"type": "mcp_call", "id": "i"},
        {"type": "brand_new", "id": "i"},
    ],
)
def test_what_the_provider_runs_is_hosted(item: JsonObject) -> None:
    found = read(added(0, item), done(0, item), COMPLETED)
    kind = item["type"]
    assert isinstance(kind, str)
    assert found[0] == BlockStart(0, 0, HOSTED, "i", kind, payload=item)
    assert found[1:] == [BlockStop(0, 0), *STOPPED]


def test_the_code_that_the_provider_runs_is_text_of_its_block() -> None:
    blocks = folded(fixture("hosted.sse")).blocks.values()
    assert [(each.kind, each.text) for each in blocks][:2] == [(HOSTED, ""), (HOSTED, "1+1")]


def test_an_image_is_hosted_until_it_is_there() -> None:
    item = {"type": "image_generation_call", "id": "ig_1"}
    image = {**item, "result": "aW1n", "output_format": "webp"}
    found = read(added(0, item), event("image_generation_call.generating", output_index=0), done(0, image))
    payload = {"media_type": "image/webp", "data": "aW1n"}
    assert found == [
        BlockStart(0, 0, HOSTED, "ig_1", "image_generation_call", payload=item),
        Ping(),
        BlockStop(0, 0),
        BlockStart(0, 1, MEDIA, payload=payload),
        BlockStop(0, 1),
    ]


# -- what makes no sense ----------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "frame",
    [
        event("brand_new"),
        event("brand_new.delta", output_index=7, delta="x"),
        b'data: {"type":"codex.rate_limits"}\n\n',
        b"data: 7\n\n",
    ],
)
def test_what_is_not_understood_is_kept(frame: bytes) -> None:
    assert read(frame) == [Opaque(frame)]


def test_what_belongs_to_a_known_item_is_life() -> None:
    assert read(added(0, {"type": "message"}), event("brand_new.delta", output_index=0))[-1] == Ping()


def test_the_name_of_an_event_stands_in_for_its_type() -> None:
    assert read(b"event: keepalive\ndata: {}\n\n") == [Ping()]


def test_a_mark_of_the_end_that_is_not_the_protocols_is_life() -> None:
    assert read(b"data: [DONE]\n\n") == [Ping()]


@pytest.mark.parametrize(
    ("frame", "last", "idle"),
    [
        (ends("completed", output=["x" * 300]), True, False),
        (b'data: {"sequence_number": 3, "type": "response.failed", "response": {}}\n\n', True, False),
        (b'data: {"type": "response.completed", "x": {}}\nevent: response.completed\n\n', True, False),
        (b'data: {"delta": "x"}\r\nevent: response.incomplete\r\n\r\n', True, False),
        (ends("in_progress"), False, False),
        (event("keepalive"), False, True),
        (event("output_text.delta", delta="event: response.completed"), False, False),
        (b": comment\n\n", False, True),
    ],
)
def test_the_last_frame_and_idle_ones_are_guessed(frame: bytes, last: bool, idle: bool) -> None:
    (segment,) = segments(PROTOCOL, SSE, [frame])
    assert (segment.last, segment.idle) == (last, idle)


# -- whole answers ----------------------------------------------------------------------------------------


def test_a_whole_answer_has_all_its_blocks() -> None:
    found = fixture("text.json")
    assert blocks_of(found) == [
        (REASONING, None, None, "Hm."),
        (TEXT, None, None, "The café is open."),
        (TOOL, "call_a", "weather", '{"city":"Paris"}'),
    ]
    stop = next(part for part in found if isinstance(part, BlockStop))
    assert (replayed(stop.signature) or {})["encrypted_content"] == "sealed=="
    assert found[-3:] == [UsageReport(Usage(9, 30, 4, None, 12)), *CALLED]


@pytest.mark.parametrize(
    ("body", "end"),
    [
        ({"status": "completed"}, STOPPED),
        ({"status": "queued"}, [Finish(0, FinishReason.OTHER, "queued"), StreamEnd()]),
        (
            {"status": "failed", "error": {"code": "server_error", "message": "no"}},
            [StreamError("server_error", "no", "server_error"), StreamEnd()],
        ),
    ],
)
def test_a_whole_answer_says_how_it_ended(body: JsonObject, end: list[StreamPart]) -> None:
    found = parts(PROTOCOL, JSON, [dump({"object": "response", "error": None, "output": [], **body})])
    assert found[-2:] == end


def test_a_count_of_tokens_is_an_answer() -> None:
    found = parts(PROTOCOL, JSON, [b'{"object":"response.input_tokens","input_tokens":11}'])
    assert isinstance(found[-1], StreamEnd)


def test_a_stream_and_its_last_response_say_the_same() -> None:
    """But for how images and hosted tools come."""
    for name in ("text.sse", "tools.sse", "reasoning.sse", "plain.sse", "refused.sse", "rotating.sse"):
        streamed = folded(fixture(name))
        frames = [line[6:] for line in fixture_bytes(name).splitlines() if line.startswith(b"data: {")]
        body = (load_object(frames[-1]) or {})["response"]
        whole = folded(parts(PROTOCOL, JSON, [dump(body)]))
        assert whole.usage == streamed.usage
        assert whole.finished == streamed.finished
        for one, other in zip(whole.blocks.values(), streamed.blocks.values(), strict=True):
            assert (one.start, one.text, one.stop) == (other.start, other.text, other.stop)


def test_deltas_keep_the_kind_of_their_block() -> None:
    found = [part for part in fixture("reasoning.sse") if isinstance(part, BlockDelta)]
    assert {part.kind for part in found} == {REASONING, TEXT}

"""Anthropic Messages: what is recognised, what a request says, and every quirk of the stream."""

from collections.abc import Mapping

import pytest

from protocols.anthropic_messages import PROTOCOL
from protocols.model.call import Call, Operation, Reasoning
from protocols.model.errors import Fault, MalformedRequest
from protocols.model.http import WireRequest
from protocols.model.parts import (
    BlockDelta,
    BlockKind,
    BlockStart,
    BlockStop,
    ChoiceStart,
    Finish,
    FinishReason,
    MessageStart,
    Opaque,
    OtherUsage,
    Ping,
    StreamEnd,
    StreamError,
    StreamPart,
    Usage,
    UsageReport,
)
from protocols.model.progress import visible
from protocols.model.wirejson import dump, load_object
from tests.contract import JSON, SSE, parts, progress, samples
from tests.rewrite.scenes import (
    MESSAGE,
    MESSAGE_PING,
    MESSAGE_STOP,
    block,
    delta,
    ending,
    event,
    message_error,
    stop,
)

TEXT, REASONING, TOOL, HOSTED = BlockKind.TEXT, BlockKind.REASONING, BlockKind.TOOL, BlockKind.HOSTED


def read(*frames: bytes) -> list[StreamPart]:
    return parts(PROTOCOL, SSE, frames)


def fixture(name: str) -> list[StreamPart]:
    (sample,) = (each for each in samples(name) if each.protocol is PROTOCOL)
    return parts(PROTOCOL, sample.head, [sample.data])


def texts(found: list[StreamPart], kind: BlockKind) -> str:
    return "".join(part.text for part in found if isinstance(part, BlockDelta) and part.kind is kind)


# -- requests -------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("method", "path", "operation"),
    [
        ("POST", "/v1/messages", Operation.GENERATE),
        ("POST", "/messages", Operation.GENERATE),
        ("POST", "/api/anthropic/v1/messages", Operation.GENERATE),
        ("POST", "/v1/messages/count_tokens", Operation.COUNT_TOKENS),
        ("GET", "/v1/models", Operation.MODELS),
        ("POST", "/v1/messages/batches", None),
        ("GET", "/v1/messages", None),
        ("POST", "/v1/threads/t1/messages", None),
        ("POST", "/v1/complete", None),
        ("GET", "/v1/models/m", None),
    ],
)
def test_operations_match_by_exact_suffix(method: str, path: str, operation: Operation | None) -> None:
    assert PROTOCOL.match(method, path) is operation


def parsed(body: Mapping[str, object], operation: Operation = Operation.GENERATE) -> Call:
    request = WireRequest("POST", "http://vendor.test/v1/messages", (("X-A", "1"),), dump(body))
    return PROTOCOL.parse("id", operation, request)


def test_a_request_keeps_what_it_says() -> None:
    body = {"model": "m", "stream": True, "max_tokens": 5, "odd": {"x": 1}}
    found = parsed(body)
    assert (found.model, found.stream, found.body) == ("m", True, body)
    assert found.text_bytes == len(dump(body))


def test_counting_tokens_is_never_streamed() -> None:
    assert not parsed({"stream": True}, Operation.COUNT_TOKENS).stream


@pytest.mark.parametrize(
    ("thinking", "reasoning"),
    [
        (None, Reasoning.UNSAID),
        ({"type": "enabled", "budget_tokens": 1024}, Reasoning.ON),
        ({"type": "adaptive"}, Reasoning.ON),
        ({"type": "disabled"}, Reasoning.OFF),
        ("odd", Reasoning.UNSAID),
    ],
)
def test_whether_it_asks_for_thinking(thinking: object, reasoning: Reasoning) -> None:
    assert parsed({"thinking": thinking}).reasoning is reasoning


@pytest.mark.parametrize(
    ("body", "hosted", "acting"),
    [
        ({"tools": [{"name": "f", "input_schema": {}}, {"type": "custom", "name": "g"}]}, False, False),
        ({"tools": [{"type": "bash_20250124"}, {"type": "text_editor_20250728"}]}, False, False),
        ({"tools": [{"type": "web_search_20250305"}]}, True, False),
        ({"tools": [{"type": "code_execution_20250825"}]}, True, True),
        ({"mcp_servers": [{"url": "http://localhost"}]}, True, True),
        ({"mcp_servers": []}, False, False),
    ],
)
def test_tools_that_the_provider_runs(body: Mapping[str, object], hosted: bool, acting: bool) -> None:
    assert (parsed(body).hosted, parsed(body).acting) == (hosted, acting)


@pytest.mark.parametrize("operation", [Operation.GENERATE, Operation.COUNT_TOKENS])
def test_a_body_that_is_no_object_is_malformed(operation: Operation) -> None:
    with pytest.raises(MalformedRequest):
        PROTOCOL.parse("id", operation, WireRequest("POST", "http://vendor.test/", (), b"[1]"))


def test_a_list_of_models_has_no_body() -> None:
    call = PROTOCOL.parse("id", Operation.MODELS, WireRequest("GET", "http://vendor.test/v1/models", ()))
    assert (call.operation, call.stream, call.model) == (Operation.MODELS, False, None)


# -- blocks ---------------------------------------------------------------------------------------------


def test_a_message_from_its_start_to_its_stop() -> None:
    frames = [
        MESSAGE,
        block(0, "text", text=""),
        MESSAGE_PING,
        delta(0, type="text_delta", text="Hi"),
        stop(0),
        ending("end_turn"),
        MESSAGE_STOP,
    ]
    assert read(*frames) == [
        MessageStart("m1", "model"),
        ChoiceStart(0),
        UsageReport(Usage(input=3)),
        BlockStart(0, 0, TEXT),
        Ping(),
        BlockDelta(0, 0, TEXT, "Hi"),
        BlockStop(0, 0),
        UsageReport(Usage(input=3, output=5)),
        Finish(0, FinishReason.STOP, "end_turn"),
        StreamEnd(),
    ]


@pytest.mark.parametrize(
    ("fields", "kind", "shown"),
    [
        ({"kind": "text", "text": ""}, TEXT, False),
        ({"kind": "text", "text": "", "citations": []}, TEXT, False),
        ({"kind": "text", "text": "Hi"}, TEXT, True),
        ({"kind": "thinking", "thinking": "", "signature": ""}, REASONING, False),
        ({"kind": "thinking", "thinking": "Hm"}, REASONING, True),
        ({"kind": "redacted_thinking", "data": "x"}, REASONING, False),
        ({"kind": "tool_use", "id": "t", "name": "f", "input": {}, "caller": {"type": "direct"}}, TOOL, True),
        ({"kind": "server_tool_use", "id": "t", "name": "web_search"}, HOSTED, True),
        ({"kind": "mcp_tool_use", "id": "t", "name": "f"}, HOSTED, True),
        ({"kind": "web_search_tool_result", "content": []}, HOSTED, True),
        ({"kind": "compaction", "content": None}, TEXT, False),
    ],
)
def test_kinds_of_blocks(fields: dict[str, str], kind: BlockKind, shown: bool) -> None:
    found = read(block(0, **fields))
    start = found[0]
    assert isinstance(start, BlockStart)
    assert start.kind is kind
    assert any(visible(part) for part in found) is shown


def test_a_tool_call_has_its_id_and_name_and_its_first_delta_is_empty() -> None:
    frames = [
        block(1, "tool_use", id="t", name="f", input={}),
        delta(1, type="input_json_delta", partial_json=""),
        delta(1, type="input_json_delta", partial_json='{"a"'),
    ]
    assert read(*frames) == [
        BlockStart(0, 1, TOOL, "t", "f"),
        BlockDelta(0, 1, TOOL, ""),
        BlockDelta(0, 1, TOOL, '{"a"'),
    ]


def test_thinking_that_is_only_signed_shows_nothing() -> None:
    found = fixture("hidden_thinking.sse")
    first_text = next(
        at for at, part in enumerate(found) if isinstance(part, BlockStart) and part.kind is TEXT
    )
    assert not any(visible(part) for part in found[: first_text + 1])
    assert texts(found, REASONING) == ""


def test_thinking_and_redacted_thinking() -> None:
    found = fixture("thinking.sse")
    assert (texts(found, REASONING), texts(found, TEXT)) == ("First, count.", "Two.")
    assert [part.kind for part in found if isinstance(part, BlockStart)] == [REASONING, REASONING, TEXT]


def test_hosted_tools_and_citations() -> None:
    found = fixture("server_tool.sse")
    assert texts(found, HOSTED) == '{"query": "tea"}'
    assert texts(found, TEXT) == "Green."
    assert not progress(found).open


def test_characters_that_look_like_line_ends_stay_text() -> None:
    assert texts(fixture("text.sse"), TEXT) == "The café is\u2028open 🍵 until ten."


def test_json_is_parsed_however_it_is_padded() -> None:
    padded = b'data: {"type": "message_delta", "delta": {"stop_reason":"end_turn"}        }\n\n'
    assert read(padded) == [Finish(0, FinishReason.STOP, "end_turn")]
    assert read(b'event: ping\ndata: {"type": "ping"}\n\n') == [Ping()]


def test_a_second_start_voids_what_was_before() -> None:
    half = [
        MESSAGE,
        block(0, "tool_use", id="t", name="f"),
        delta(0, type="input_json_delta", partial_json='{"a'),
    ]
    so_far = progress(read(*half, MESSAGE, block(0, "text", text="Hi"), stop(0)))
    assert not so_far.open
    assert not progress(read(*half, ending("end_turn"), MESSAGE_STOP, MESSAGE)).complete


# -- the end --------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("native", "reason"),
    [
        ("end_turn", FinishReason.STOP),
        ("stop_sequence", FinishReason.STOP),
        ("max_tokens", FinishReason.LENGTH),
        ("model_context_window_exceeded", FinishReason.LENGTH),
        ("tool_use", FinishReason.TOOL_CALLS),
        ("pause_turn", FinishReason.PAUSE),
        ("refusal", FinishReason.CONTENT_FILTER),
        ("brand_new", FinishReason.OTHER),
    ],
)
def test_stop_reasons(native: str, reason: FinishReason) -> None:
    assert read(ending(native))[-1] == Finish(0, reason, native)


@pytest.mark.parametrize(
    ("frames", "complete"),
    [
        ([MESSAGE], False),
        ([MESSAGE, block(0, "text", text="Hi"), stop(0)], False),
        ([MESSAGE, block(0, "text", text="Hi"), stop(0), ending("end_turn")], True),
        ([MESSAGE, ending("refusal", 0), MESSAGE_STOP], True),
        ([MESSAGE, MESSAGE_STOP], True),
        ([MESSAGE, event("message_delta", delta={"stop_reason": None}, usage={"output_tokens": 1})], False),
    ],
    ids="start block delta refusal stop-alone no-reason-yet".split(),
)
def test_when_a_message_is_complete(frames: list[bytes], complete: bool) -> None:
    assert progress(read(*frames)).complete is complete


# -- usage ----------------------------------------------------------------------------------------------


def test_input_includes_what_the_cache_read_and_wrote() -> None:
    assert progress(fixture("text.sse")).usage == Usage(input=15, output=9, cache_read=3, cache_write=2)


def test_the_last_usage_overrides_and_never_adds() -> None:
    assert progress(fixture("server_tool.sse")).usage == Usage(input=412, output=50)
    several = [MESSAGE, ending("pause_turn", 3), ending("end_turn", 8)]
    assert progress(read(*several)).usage == Usage(input=3, output=8)


def test_a_later_report_without_the_caches_counts_keeps_them() -> None:
    first = event("message_start", message={"usage": {"input_tokens": 9, "cache_read_input_tokens": 100}})
    last = event("message_delta", delta={"stop_reason": "end_turn"}, usage={"input_tokens": 12})
    assert progress(read(first, last)).usage == Usage(input=112, cache_read=100)


def test_iterations_are_not_added_on_top() -> None:
    usage = {"input_tokens": 7, "output_tokens": 8, "iterations": [{"input_tokens": 99, "output_tokens": 99}]}
    frame = event("message_delta", delta={"stop_reason": "end_turn"}, usage=usage)
    assert progress(read(frame)).usage == Usage(input=7, output=8)


def test_passes_of_others_are_besides() -> None:
    passes: list[dict[str, object]] = [
        {"type": "compaction", "input_tokens": 5, "cache_creation_input_tokens": 90, "output_tokens": 3},
        {"type": "advisor_message", "model": "claude-opus-5", "input_tokens": 4, "output_tokens": 2},
        {"type": "message", "input_tokens": 7, "output_tokens": 8},
    ]
    usage = {"input_tokens": 7, "output_tokens": 8, "iterations": passes}
    found = progress(read(event("message_delta", delta={}, usage=usage))).usage
    assert found == Usage(
        input=7,
        output=8,
        besides=(
            OtherUsage("", Usage(input=95, output=3, cache_write=90)),
            OtherUsage("claude-opus-5", Usage(input=4, output=2)),
        ),
    )
    assert found.said()["besides"] == [
        {"model": "", "input": 95, "output": 3, "cache_write": 90},
        {"model": "claude-opus-5", "input": 4, "output": 2},
    ]


def test_passes_within_passes_and_no_end_of_passes_are_none_of_a_provider() -> None:
    nested: dict[str, object] = {}
    for _ in range(900):
        nested = {"type": "compaction", "output_tokens": 1, "iterations": [nested]}
    many = [{"type": "compaction", "output_tokens": 1}] * 10_000
    frames = [event("message_delta", delta={}, usage={"iterations": each}) for each in ([nested], many)]
    found = [progress(read(frame)).usage for frame in frames]
    assert [len(usage.besides) if usage else None for usage in found] == [1, 100]


def test_a_pass_of_an_odd_type_is_not_counted() -> None:
    types: list[object] = [[], {}, None, 5]
    passes = [{"type": odd, "output_tokens": 1} for odd in types]
    found = progress(read(event("message_delta", delta={}, usage={"output_tokens": 8, "iterations": passes})))
    assert found.usage == Usage(output=8)


def test_what_is_paid_for_in_other_ways() -> None:
    written = {"ephemeral_5m_input_tokens": 1, "ephemeral_1h_input_tokens": 4}
    usage = {
        "input_tokens": 7,
        "cache_creation_input_tokens": 5,
        "cache_creation": written,
        "server_tool_use": {"web_search_requests": 2},
        "service_tier": "standard",
        "speed": "fast",
    }
    found = progress(read(event("message_delta", delta={}, usage=usage))).usage
    assert found == Usage(input=12, cache_write=5, cache_write_1h=4, searches=2, tier="fast")


def test_thinking_tokens_are_a_part_of_the_output() -> None:
    assert progress(fixture("thinking.sse")).usage == Usage(input=10, output=30, reasoning=21)


# -- errors and oddities --------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("frame", "native"),
    [
        (message_error("overloaded_error", "m"), True),
        (b'data: {"type": "error", "error": {"type": "overloaded_error", "message": "m"}}\n\n', False),
        (b'data: {"error": {"type": "overloaded_error", "message": "m"}}\n\n', False),
        (b'event: error\ndata: {"error": {"type": "overloaded_error", "message": "m"}}\n\n', False),
    ],
    ids="native unnamed bare named-bare".split(),
)
def test_which_errors_clients_raise_on(frame: bytes, native: bool) -> None:
    assert read(frame) == [StreamError("overloaded_error", "m", native=native)]


@pytest.mark.parametrize("frame", [event("brand_new", x=1), b"data: {oops\n\n", b"data: []\n\n"])
def test_frames_that_make_no_sense_are_kept(frame: bytes) -> None:
    assert read(frame) == [Opaque(frame)]


# -- whole answers --------------------------------------------------------------------------------------


def test_a_whole_answer_is_complete_and_counted() -> None:
    so_far = progress(fixture("text.json"))
    assert so_far.complete
    assert so_far.usage == Usage(input=13, output=9, cache_read=3)
    assert so_far.head == MessageStart("msg_1", "sample-2")


@pytest.mark.parametrize("body", [{"type": "error"}, {}], ids=["typed", "bare"])
def test_an_error_in_a_whole_answer_is_one(body: dict[str, object]) -> None:
    data = dump({**body, "error": {"type": "api_error", "message": "m"}})
    assert parts(PROTOCOL, JSON, [data]) == [StreamError("api_error", "m")]


# -- closing --------------------------------------------------------------------------------------------


def closed(*frames: bytes) -> bytes:
    so_far = progress(read(*frames))
    ending_parts: list[StreamPart] = [BlockStop(0, 0), Finish(0, FinishReason.LENGTH, ""), StreamEnd()]
    return PROTOCOL.encoder(parsed({})).close(ending_parts, so_far)


def test_every_closing_event_has_its_name() -> None:
    assert closed(MESSAGE, block(0, "text", text="12345")) == stop(0) + ending("max_tokens", 2) + MESSAGE_STOP


def test_the_output_count_is_the_reported_one_if_that_is_larger() -> None:
    assert b'"output_tokens":5}' in closed(MESSAGE, block(0, "text", text="12345"), ending("pause_turn", 5))


@pytest.mark.parametrize(
    ("kind", "written"),
    [
        ("rate_limit_exceeded", "rate_limit_error"),
        ("invalid_request", "invalid_request_error"),
        ("timeout", "timeout_error"),
        ("overloaded", "overloaded_error"),
        ("overloaded_error", "overloaded_error"),
        ("unreachable", "api_error"),
    ],
)
def test_errors_of_ours_have_the_providers_shape(kind: str, written: str) -> None:
    body = load_object(PROTOCOL.error(Fault(500, kind, "m")).body)
    assert body == {"type": "error", "error": {"type": written, "message": "m"}}

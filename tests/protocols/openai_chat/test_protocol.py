"""OpenAI Chat: what is recognised, what a request says, and every quirk of the compatible providers."""

from collections.abc import Mapping

import pytest

from protocols.model.call import Call, Operation, Reasoning
from protocols.model.errors import Fault, MalformedRequest
from protocols.model.http import WireRequest
from protocols.model.parts import (
    BlockDelta,
    BlockKind,
    BlockStart,
    BlockStop,
    ChoiceStart,
    ErrorKind,
    Finish,
    FinishReason,
    MessageStart,
    Opaque,
    Ping,
    StreamEnd,
    StreamError,
    StreamPart,
    Usage,
    UsageReport,
)
from protocols.model.progress import visible
from protocols.model.wirejson import dump, load_object
from protocols.openai_chat import PROTOCOL
from protocols.registry import discover
from tests.contract import JSON, SSE, parts, progress, samples
from tests.rewrite.scenes import DONE, ROLE, USAGE, chunk, finishes, says

TEXT, REASONING, REFUSAL, TOOL = BlockKind.TEXT, BlockKind.REASONING, BlockKind.REFUSAL, BlockKind.TOOL


def read(*frames: bytes) -> list[StreamPart]:
    """The parts of a stream, without those that open it."""
    found = parts(PROTOCOL, SSE, frames)
    return [part for part in found if not isinstance(part, MessageStart | ChoiceStart)]


def data(value: object) -> bytes:
    return b"data: " + dump(value) + b"\n\n"


def fixture(name: str) -> list[StreamPart]:
    (sample,) = (each for each in samples(name) if each.protocol is PROTOCOL)
    return parts(PROTOCOL, sample.head, [sample.data])


def texts(found: list[StreamPart], kind: BlockKind) -> str:
    return "".join(part.text for part in found if isinstance(part, BlockDelta) and part.kind is kind)


# -- requests -------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("method", "path", "operation"),
    [
        ("POST", "/v1/chat/completions", Operation.GENERATE),
        ("POST", "/api/v1/chat/completions", Operation.GENERATE),
        ("POST", "/openai/deployments/d/chat/completions", Operation.GENERATE),
        ("GET", "/v1/models", Operation.MODELS),
        ("POST", "/v1/embeddings", Operation.EMBEDDINGS),
        ("GET", "/v1/fine_tuning/models", None),
        ("GET", "/v1/chat/completions", None),
        ("GET", "/v1/chat/completions/abc", None),
        ("POST", "/v1/chat/completions/abc", None),
        ("POST", "/v1/completions", None),
        ("POST", "/v1/files", None),
        ("DELETE", "/v1/models/m", None),
        ("GET", "/v1/models/m", None),
    ],
)
def test_operations_match_by_exact_suffix(method: str, path: str, operation: Operation | None) -> None:
    assert PROTOCOL.match(method, path) is operation


def parsed(body: Mapping[str, object]) -> Call:
    request = WireRequest("POST", "http://vendor.test/v1/chat/completions", (("X-A", "1"),), dump(body))
    return PROTOCOL.parse("id", Operation.GENERATE, request)


def test_a_request_keeps_what_it_says() -> None:
    body = {"model": "m", "stream": True, "messages": [{"content": "hi"}], "odd": {"x": 1}}
    found = parsed(body)
    assert (found.model, found.stream, found.body, found.session) == ("m", True, body, None)
    assert found.text_bytes == len(dump(body))
    assert found.headers == (("X-A", "1"),)


@pytest.mark.parametrize("stream", [None, False, "true", 1])
def test_only_true_streams(stream: object) -> None:
    assert not parsed({"stream": stream}).stream
    assert not parsed({}).stream


def test_the_cache_key_names_the_conversation() -> None:
    assert parsed({"prompt_cache_key": "talk"}).session == "talk"


@pytest.mark.parametrize(
    ("body", "reasoning"),
    [
        ({}, Reasoning.UNSAID),
        ({"reasoning_effort": "low"}, Reasoning.ON),
        ({"reasoning_effort": "none"}, Reasoning.OFF),
        ({"thinking": {"type": "enabled"}}, Reasoning.ON),
        ({"thinking": {"type": "disabled"}}, Reasoning.OFF),
        ({"reasoning": {"effort": "high"}}, Reasoning.ON),
        ({"reasoning": {"effort": "none"}}, Reasoning.OFF),
        ({"reasoning": {"enabled": False}}, Reasoning.OFF),
        ({"reasoning": {"max_tokens": 500}}, Reasoning.ON),
        ({"reasoning": None, "thinking": [], "reasoning_effort": 3}, Reasoning.UNSAID),
    ],
)
def test_whether_it_asks_for_reasoning(body: Mapping[str, object], reasoning: Reasoning) -> None:
    assert parsed(body).reasoning is reasoning


@pytest.mark.parametrize(
    ("body", "hosted", "acting"),
    [
        ({"tools": [{"type": "function"}, {"type": "custom"}]}, False, False),
        ({"tools": [{"function": {}}, "odd"]}, False, False),
        ({"tools": "odd"}, False, False),
        ({"tools": [{"type": "function"}, {"type": "web_search"}]}, True, False),
        ({"tools": [{"type": "mcp"}]}, True, True),
        ({"tools": [{"type": "code_interpreter"}]}, True, True),
        ({"web_search_options": {}}, True, False),
    ],
)
def test_tools_that_the_provider_runs(body: Mapping[str, object], hosted: bool, acting: bool) -> None:
    assert (parsed(body).hosted, parsed(body).acting) == (hosted, acting)


@pytest.mark.parametrize("body", [b"", b"[]", b"{", b"null", b"\xff"])
def test_a_body_that_is_no_object_is_malformed(body: bytes) -> None:
    with pytest.raises(MalformedRequest):
        PROTOCOL.parse("id", Operation.GENERATE, WireRequest("POST", "http://vendor.test/", (), body))


def test_a_list_of_models_has_no_body() -> None:
    call = PROTOCOL.parse("id", Operation.MODELS, WireRequest("GET", "http://vendor.test/v1/models", ()))
    assert (call.operation, call.stream, call.model) == (Operation.MODELS, False, None)


# -- the head of a stream -------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("delta", "shown"),
    [
        ({"role": "assistant", "content": "", "refusal": None}, False),
        ({"role": "assistant", "content": None, "reasoning_content": ""}, False),
        ({"role": "assistant", "content": None}, False),
        ({}, False),
        ({"role": "assistant", "content": "Hi"}, True),
        ({"content": "Hi"}, True),
        ({"refusal": "No"}, True),
        (
            {"role": "assistant", "content": None, "tool_calls": [{"index": 0, "function": {"name": "f"}}]},
            True,
        ),
        ({"function_call": {"name": "f", "arguments": ""}}, True),
        ({"audio": {"id": "a"}}, True),
    ],
)
def test_the_first_chunk_is_not_the_first_token(delta: Mapping[str, object], shown: bool) -> None:
    assert any(visible(part) for part in read(chunk(delta))) is shown


def test_the_id_is_that_of_the_first_chunk_with_a_choice() -> None:
    found = fixture("azure.sse")
    starts = [part for part in found if isinstance(part, MessageStart)]
    assert [(start.id, start.model) for start in starts] == [("chatcmpl-1", "sample-1")]
    assert starts[0].template["system_fingerprint"] == "fp_1"
    assert not any(visible(part) for part in found[:2])


# -- text and reasoning ---------------------------------------------------------------------------------


def test_text_is_one_block_that_ends_with_its_choice() -> None:
    assert read(ROLE, says("Hi"), says("!"), finishes("stop"), USAGE, DONE) == [
        BlockStart(0, 0, TEXT),
        BlockDelta(0, 0, TEXT, "Hi"),
        BlockDelta(0, 0, TEXT, "!"),
        BlockStop(0, 0),
        Finish(0, FinishReason.STOP, "stop"),
        UsageReport(Usage(input=3)),
        StreamEnd(),
    ]


@pytest.mark.parametrize("name", ["reasoning_content", "reasoning"])
def test_reasoning_has_two_names(name: str) -> None:
    assert read(chunk({name: "Hm"}), says("Hi")) == [
        BlockStart(0, 0, REASONING),
        BlockDelta(0, 0, REASONING, "Hm"),
        BlockStart(0, 1, TEXT),
        BlockDelta(0, 1, TEXT, "Hi"),
    ]


def test_content_may_be_an_array_with_thinking() -> None:
    found = fixture("mistral.sse")
    assert (texts(found, REASONING), texts(found, TEXT)) == ("Hm.", "Yes")
    mixed = read(chunk({"content": [{"type": "text", "text": "Hi"}, {"type": "reference"}, "odd"]}))
    assert texts(mixed, TEXT) == "Hi"


def test_a_refusal_is_its_own_block() -> None:
    assert texts(read(chunk({"refusal": "I can"}), chunk({"refusal": "not"})), REFUSAL) == "I cannot"


def test_characters_that_look_like_line_ends_stay_text() -> None:
    assert texts(fixture("text.sse"), TEXT) == "The café is\u2028open 🍵 until ten."


# -- tool calls -----------------------------------------------------------------------------------------


def tool(**fields: object) -> bytes:
    return chunk({"tool_calls": [fields]})


def tools(*frames: bytes) -> list[tuple[str | None, str | None, str]]:
    """Id, name and arguments of each call."""
    found = read(*frames)
    calls = [part for part in found if isinstance(part, BlockStart) and part.kind is TOOL]
    return [
        (
            call.tool_id,
            call.tool_name,
            "".join(p.text for p in found if isinstance(p, BlockDelta) and p.index == call.index),
        )
        for call in calls
    ]


def head(tool_id: str, name: str, arguments: str | None = "") -> dict[str, object]:
    return {"id": tool_id, "type": "function", "function": {"name": name, "arguments": arguments}}


def more(arguments: str) -> dict[str, object]:
    return {"function": {"arguments": arguments}}


@pytest.mark.parametrize(
    ("frames", "calls"),
    [
        (
            [tool(index=0, **head("a", "f")), tool(index=0, **more("{")), tool(index=0, **more("}"))],
            [("a", "f", "{}")],
        ),
        ([tool(index=0, **head("a", "f", "{}"))], [("a", "f", "{}")]),
        ([tool(index=0, **head("a", "f", None)), tool(index=0, **more("{}"))], [("a", "f", "{}")]),
        ([tool(index=0, id="a", function={"name": "f"}), tool(index=0, **more("{}"))], [("a", "f", "{}")]),
        (
            [tool(index=0, **head("a", "f")), tool(index=0, type="function", id="a", **more("{}"))],
            [("a", "f", "{}")],
        ),
        (
            [
                tool(index=0, **head("a", "f", "1")),
                tool(index=1, **head("b", "g")),
                tool(index=0, **more("2")),
            ],
            [("a", "f", "12"), ("b", "g", "")],
        ),
        (
            [
                tool(index=0, **head("a", "f", "1")),
                tool(index=0, **head("b", "g", "2")),
                tool(index=0, **more("3")),
            ],
            [("a", "f", "1"), ("b", "g", "23")],
        ),
        ([tool(**head("a", "f", "1")), tool(**more("2"))], [("a", "f", "12")]),
        ([tool(**head("a", "f", "1")), tool(**head("b", "g", "2"))], [("a", "f", "1"), ("b", "g", "2")]),
        (
            [
                chunk(
                    {"tool_calls": [{"index": 0, **head("a", "f", "1")}, {"index": 1, **head("b", "g", "2")}]}
                )
            ],
            [("a", "f", "1"), ("b", "g", "2")],
        ),
        (
            [tool(index=0, id="a", type="custom", custom={"name": "f", "input": "x"})],
            [("a", "f", "x")],
        ),
        (
            [
                chunk({"function_call": {"name": "f", "arguments": "{"}}),
                chunk({"function_call": {"arguments": "}"}}),
            ],
            [(None, "f", "{}")],
        ),
    ],
    ids=(
        "fragments whole null-arguments no-arguments repeated-type interleaved same-index-other-id "
        "no-index no-index-other-id one-chunk custom function_call"
    ).split(),
)
def test_tool_calls(frames: list[bytes], calls: list[tuple[str | None, str | None, str]]) -> None:
    assert tools(*frames) == calls


def test_a_tool_call_stays_open_until_its_choice_ends() -> None:
    so_far = [tool(index=0, **head("a", "f", "{}")), says("and")]
    assert {block.tool_name for block in progress(read(*so_far)).open.values()} == {"f", None}
    assert not progress(read(*so_far, finishes("tool_calls"))).open


# -- the end --------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("native", "reason"),
    [
        ("stop", FinishReason.STOP),
        ("eos", FinishReason.STOP),
        ("length", FinishReason.LENGTH),
        ("model_length", FinishReason.LENGTH),
        ("tool_calls", FinishReason.TOOL_CALLS),
        ("function_call", FinishReason.TOOL_CALLS),
        ("content_filter", FinishReason.CONTENT_FILTER),
        ("error", FinishReason.ERROR),
        ("insufficient_system_resource", FinishReason.ERROR),
        ("brand_new", FinishReason.OTHER),
    ],
)
def test_finish_reasons(native: str, reason: FinishReason) -> None:
    assert read(finishes(native)) == [Finish(0, reason, native)]


@pytest.mark.parametrize(
    ("frames", "complete", "unfinished"),
    [
        ([says("Hi")], False, [0]),
        ([says("Hi"), finishes("stop")], True, []),
        ([says("Hi"), DONE], True, [0]),
        ([says("a", 0), says("b", 1), finishes("stop", 0)], False, [1]),
        ([says("a", 0), says("b", 1), finishes("stop", 0), finishes("length", 1)], True, []),
        ([USAGE], False, []),
        ([], False, []),
    ],
    ids="cut finish-without-done done-without-finish one-of-two both-of-two usage-alone nothing".split(),
)
def test_when_a_stream_is_complete(frames: list[bytes], complete: bool, unfinished: list[int]) -> None:
    so_far = progress(parts(PROTOCOL, SSE, frames))
    assert (so_far.complete, so_far.unfinished) == (complete, unfinished)


# -- usage ----------------------------------------------------------------------------------------------


def usage(value: Mapping[str, object], **more: object) -> bytes:
    return data({"id": "c", "choices": [], "usage": value, **more})


@pytest.mark.parametrize(
    ("frames", "expected"),
    [
        ([usage({"prompt_tokens": 5, "completion_tokens": 7, "total_tokens": 12})], Usage(5, 7)),
        (
            [
                usage(
                    {
                        "prompt_tokens": 5,
                        "completion_tokens": 7,
                        "total_tokens": 12,
                        "prompt_tokens_details": {"cached_tokens": 3},
                        "completion_tokens_details": {"reasoning_tokens": 4},
                    }
                )
            ],
            Usage(5, 7, cache_read=3, reasoning=4),
        ),
        (
            [
                usage(
                    {
                        "prompt_tokens": 12,
                        "completion_tokens": 1,
                        "total_tokens": 303,
                        "completion_tokens_details": {"reasoning_tokens": 290},
                    }
                )
            ],
            Usage(12, 291, reasoning=290),
        ),
        (
            [data({"choices": [], "x_groq": {"usage": {"prompt_tokens": 2, "completion_tokens": 3}}})],
            Usage(2, 3),
        ),
        ([usage({"prompt_tokens": 5, "completion_tokens": n}) for n in (1, 2, 3)], Usage(5, 3)),
        ([usage({"prompt_tokens": True, "completion_tokens": "many"})], Usage()),
        ([data({"choices": [], "usage": None}), says("x")], None),
    ],
    ids="plain details exclusive-reasoning groq every-chunk odd none".split(),
)
def test_usage_wherever_it_comes(frames: list[bytes], expected: Usage | None) -> None:
    assert progress(parts(PROTOCOL, SSE, frames)).usage == expected


def test_usage_in_the_finish_chunk_counts_once() -> None:
    assert progress(fixture("reasoning.sse")).usage == Usage(11, 20, cache_read=4, reasoning=13)


# -- errors and oddities --------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("frame", "error"),
    [
        (
            data({"error": {"message": "m", "type": "server_error", "code": "c"}}),
            StreamError("server_error", "m", "c"),
        ),
        (
            b"event: error\n" + data({"error": {"message": "m", "type": "t", "status_code": 400}}),
            StreamError("t", "m", None, 400),
        ),
        (data({"error": {"code": 502, "message": "m"}, "choices": []}), StreamError("", "m", None, 502)),
        (data({"error": "m"}), StreamError("", "m")),
    ],
    ids="openai groq openrouter text".split(),
)
def test_errors_inside_the_stream(frame: bytes, error: StreamError) -> None:
    assert read(frame) == [error]


def test_an_error_on_an_ordinary_chunk_stays_though_more_follows() -> None:
    frames = [
        says("Hi"),
        data({"error": {"code": 400, "message": "limit"}, "choices": []}),
        finishes("stop"),
        DONE,
    ]
    so_far = progress(read(*frames))
    assert so_far.error == StreamError("", "limit", None, 400)
    assert so_far.complete


@pytest.mark.parametrize("frame", [b": OPENROUTER PROCESSING\n\n", b"\n", b"event: ping\n\n"])
def test_comments_and_blank_lines_are_life(frame: bytes) -> None:
    assert read(frame) == [Ping()]


@pytest.mark.parametrize("frame", [b"data: {oops\n\n", b"data: []\n\n", b"data: 3\n\n"])
def test_frames_that_make_no_sense_are_kept(frame: bytes) -> None:
    assert read(frame) == [Opaque(frame)]


# -- whole answers --------------------------------------------------------------------------------------


def test_a_whole_answer_is_complete_and_counted() -> None:
    so_far = progress(fixture("text.json"))
    assert so_far.complete
    assert so_far.usage == Usage(11, 7, cache_read=4, reasoning=0)
    assert so_far.finished == {0: Finish(0, FinishReason.STOP, "stop")}


def test_an_error_in_a_whole_answer_is_one() -> None:
    body = dump({"error": {"message": "m", "type": "t", "code": "c"}})
    assert parts(PROTOCOL, JSON, [body]) == [StreamError("t", "m", "c")]


def test_an_error_beside_choices_is_an_answer() -> None:
    choices = [{"index": 0, "finish_reason": "stop"}]
    assert not progress(parts(PROTOCOL, JSON, [dump({"error": {"code": 1}, "choices": choices})])).error


# -- closing --------------------------------------------------------------------------------------------


def test_a_closing_chunk_repeats_the_streams_own_fields() -> None:
    so_far = progress(parts(PROTOCOL, SSE, [says("Hi")]))
    encoder = PROTOCOL.encoder(parsed({}))
    closing = encoder.close([Finish(0, FinishReason.LENGTH, ""), StreamEnd()], so_far)
    event, done = closing.split(b"\n\n")[:2]
    written = load_object(event.removeprefix(b"data: "))
    assert written == {
        "id": "c1",
        "object": "chat.completion.chunk",
        "created": 7,
        "model": "model",
        "choices": [{"index": 0, "delta": {}, "logprobs": None, "finish_reason": "length"}],
    }
    assert done == b"data: [DONE]"


@pytest.mark.parametrize(
    ("status", "kind", "written", "code"),
    [
        (429, "rate_limit_exceeded", "rate_limit_error", "rate_limit_exceeded"),
        (429, "insufficient_quota", "insufficient_quota", "insufficient_quota"),
        (400, "invalid_request", "invalid_request_error", "invalid_request"),
        (401, "authentication", "invalid_request_error", "invalid_api_key"),
        (403, "permission", "permission_error", "permission_denied"),
        (404, "not_found", "invalid_request_error", "model_not_found"),
        (413, "too_large", "invalid_request_error", "request_too_large"),
        (504, "timeout", "server_error", "timeout"),
        (503, "overloaded", "server_error", "overloaded"),
        (500, "server_error", "server_error", "server_error"),
        (502, "unreachable", "server_error", "unreachable"),
        (502, "proxy_fault", "server_error", "proxy_fault"),
        (429, "odd", "rate_limit_error", "odd"),
        (402, "odd", "insufficient_quota", "odd"),
        (422, "odd", "invalid_request_error", "odd"),
    ],
)
def test_errors_of_ours_have_the_providers_shape(status: int, kind: str, written: str, code: str) -> None:
    body = load_object(PROTOCOL.error(Fault(status, kind, "m")).body)
    assert body == {"error": {"message": "m", "type": written, "param": None, "code": code}}


def test_every_kind_of_error_has_a_word() -> None:
    for kind in ErrorKind:
        error = progress(parts(PROTOCOL, JSON, [PROTOCOL.error(Fault(500, kind, "m")).body])).error
        assert error
        assert error.type


def test_embeddings_have_no_protocol_of_their_own() -> None:
    assert discover()["openai_embeddings"] is PROTOCOL

"""Answers of other protocols as Chat's: chunks that its clients and the grammar accept, and whole bodies."""

import json
from collections.abc import Mapping, Sequence
from typing import Any

import pytest

from protocols.model.call import Call, Operation, Reply
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
from protocols.model.progress import Progress
from protocols.model.prompt import Text, Thought, ToolCall
from protocols.openai_chat import PROTOCOL
from protocols.shared.signatures import wrapped
from rewrite.translation.repair import closing
from tests import oracle
from tests.contract import JSON, SSE, parts, progress

TEXT, REASONING, REFUSAL = BlockKind.TEXT, BlockKind.REASONING, BlockKind.REFUSAL
TOOL, MEDIA, HOSTED = BlockKind.TOOL, BlockKind.MEDIA, BlockKind.HOSTED
REPLY = Reply("1", "shown", 7)
OPEN = (MessageStart("upstream", "other"), ChoiceStart(0))
STOP = Finish(0, FinishReason.STOP, "end_turn")
CALLED = Finish(0, FinishReason.TOOL_CALLS, "tool_use")
END = StreamEnd()
ENVELOPE = wrapped(Signature("signature", "c2ln"), "other")
COUNTED = Usage(10, 20, 3, 2, 5)
HEAD = {"role": "assistant", "content": ""}


def call(**body: object) -> Call:
    return Call("id", PROTOCOL.name, Operation.GENERATE, "m", True, (), body)


def block(
    index: int, kind: BlockKind, *texts: str, choice: int = 0, signature: Signature | None = None
) -> list[StreamPart]:
    deltas = [BlockDelta(choice, index, kind, text) for text in texts]
    return [BlockStart(choice, index, kind), *deltas, BlockStop(choice, index, signature)]


def tool(index: int, name: str, *arguments: str, kind: ToolKind = ToolKind.FUNCTION) -> list[StreamPart]:
    start = BlockStart(0, index, TOOL, f"call_{index}", name, kind)
    return [start, *[BlockDelta(0, index, TOOL, text) for text in arguments], BlockStop(0, index)]


def media(index: int, **payload: object) -> list[StreamPart]:
    return [BlockStart(0, index, MEDIA, payload=payload), BlockStop(0, index)]


def written(found: Sequence[StreamPart], **body: object) -> bytes:
    return PROTOCOL.translator.writer(call(**body), REPLY).write(found)


def chunks(data: bytes) -> list[dict[str, Any]]:
    events = data.split(b"\n\n")[:-1]
    return [json.loads(event.removeprefix(b"data: ")) for event in events if not event.endswith(b"[DONE]")]


def deltas(found: Sequence[StreamPart], **body: object) -> list[Mapping[str, Any]]:
    """What the chunks of the first choice add, without the first and the last of them."""
    added = [each["choices"][0]["delta"] for each in chunks(written([*OPEN, *found, STOP, END], **body))]
    assert (added[0], added[-1]) == (HEAD, {})
    return added[1:-1]


def message(found: Sequence[StreamPart], **body: object) -> Mapping[str, Any]:
    """That of the first choice of a whole answer."""
    choice: Mapping[str, Any] = whole([*OPEN, *found, STOP, END], **body)["choices"][0]["message"]
    return choice


def whole(found: Sequence[StreamPart], **body: object) -> dict[str, Any]:
    answer: dict[str, Any] = json.loads(
        PROTOCOL.translator.write_answer(call(**body), REPLY, progress(found))
    )
    return answer


PARALLEL = [*tool(0, "f", '{"x":', "1}"), *tool(1, "g", "{}")]
THINKING = [*block(0, REASONING, "H", "m", signature=ENVELOPE), *block(1, TEXT, "Hi", "!")]
RICH: Mapping[str, list[StreamPart]] = {
    "text": [*OPEN, *block(0, TEXT, "Hi", "", " there"), STOP, UsageReport(COUNTED), END],
    "thinking": [*OPEN, *THINKING, Ping(), Opaque(b"x"), STOP, END],
    "tools": [*OPEN, *PARALLEL, CALLED, END],
    "all": [*OPEN, *THINKING, *tool(2, "f", "{}"), *tool(3, "g", ""), UsageReport(COUNTED), CALLED, END],
    "signed call": [*OPEN, *block(0, REASONING, signature=ENVELOPE), *tool(1, "f", "{}"), CALLED, END],
    "custom": [*OPEN, *tool(0, "sh", "ls ", "-l", kind=ToolKind.CUSTOM), CALLED, END],
    "refusal": [*OPEN, *block(0, REFUSAL, "No", "."), Finish(0, FinishReason.CONTENT_FILTER, ""), END],
    "nothing": [*OPEN, Finish(0, FinishReason.CONTENT_FILTER, "refusal"), END],
    "hosted": [*OPEN, BlockStart(0, 0, HOSTED, payload={}), BlockStop(0, 0), *block(1, TEXT, "x"), STOP, END],
    "picture": [*OPEN, *media(0, media_type="image/png", data="AAAA"), STOP, END],
    "choices": [
        *OPEN, ChoiceStart(1), BlockStart(0, 0, TEXT), BlockStart(1, 0, TEXT), BlockDelta(1, 0, TEXT, "b"),
        BlockDelta(0, 0, TEXT, "a"), BlockStop(0, 0), BlockStop(1, 0), STOP,
        Finish(1, FinishReason.LENGTH, ""), END,
    ],
}  # fmt: skip

each_rich = pytest.mark.parametrize("name", RICH)


# -- what is read back ----------------------------------------------------------------------------------


def summary(so_far: Progress) -> object:
    """What was said of each kind, and the calls, whatever their order."""
    said = {
        (choice, kind): "".join(
            each.text for key, each in so_far.blocks.items() if (key[0], each.kind) == (choice, kind)
        )
        for choice in so_far.seen
        for kind in (TEXT, REASONING, REFUSAL)
    }
    calls = [
        (each.start.tool_id, each.tool_name, each.start.tool_kind, each.text)
        for each in so_far.blocks.values()
        if each.kind is TOOL
    ]
    pictures = [each.start.payload for each in so_far.blocks.values() if each.kind is MEDIA]
    return said, calls, pictures, {choice: each.reason for choice, each in so_far.finished.items()}


@each_rich
def test_what_is_written_reads_the_same_streamed_and_whole(name: str) -> None:
    before = progress(RICH[name])
    data = written(RICH[name], stream_options={"include_usage": True})
    streamed = progress(parts(PROTOCOL, SSE, [data]))
    body = progress(parts(PROTOCOL, JSON, [PROTOCOL.translator.write_answer(call(), REPLY, before)]))
    assert summary(streamed) == summary(body) == summary(before)
    assert streamed.usage == body.usage == before.usage
    assert streamed.ended
    assert not streamed.open
    assert streamed.head
    assert (streamed.head.id, streamed.head.model) == ("chatcmpl-1", "shown")


@each_rich
def test_what_is_written_is_accepted(name: str) -> None:
    judgement = oracle.judges()[PROTOCOL.name](written(RICH[name]))
    assert judgement["terminal"]
    assert judgement["done"]
    assert not judgement["violations"]


CUTS = [
    pytest.param(found[:at], id=f"{name}-{at}")
    for name, found in RICH.items()
    for at in range(len(OPEN), len(found))
]


@pytest.mark.parametrize("sent", CUTS)
def test_a_cut_answer_is_closed(sent: list[StreamPart]) -> None:
    so_far = progress(sent)
    writer = PROTOCOL.translator.writer(call(), REPLY)
    data = writer.write(sent) + writer.write(closing(so_far))
    judgement = oracle.judges()[PROTOCOL.name](data)
    assert judgement["terminal"]
    assert not judgement["violations"]
    again = progress(parts(PROTOCOL, SSE, [data]))
    assert summary(again)[0] == summary(so_far)[0]  # type: ignore[index]
    assert not again.unfinished


@pytest.mark.parametrize("name", ["text", "tools", "thinking", "choices"])
def test_parts_may_come_one_by_one(name: str) -> None:
    writer = PROTOCOL.translator.writer(call(), REPLY)
    assert b"".join(writer.write([part]) for part in RICH[name]) == written(RICH[name])


# -- the form -------------------------------------------------------------------------------------------


def test_every_chunk_has_the_head_of_the_reply() -> None:
    first = chunks(written(RICH["text"]))[0]
    assert first == {
        "id": "chatcmpl-1",
        "object": "chat.completion.chunk",
        "created": 7,
        "model": "shown",
        "choices": [{"index": 0, "delta": HEAD, "logprobs": None, "finish_reason": None}],
    }


def test_the_form_of_a_whole_answer() -> None:
    assert whole(RICH["text"]) == {
        "id": "chatcmpl-1",
        "object": "chat.completion",
        "created": 7,
        "model": "shown",
        "choices": [
            {
                "index": 0,
                "message": {"role": "assistant", "content": "Hi there", "refusal": None},
                "logprobs": None,
                "finish_reason": "stop",
            }
        ],
        "usage": {
            "prompt_tokens": 10,
            "completion_tokens": 20,
            "total_tokens": 30,
            "prompt_tokens_details": {"cached_tokens": 3, "cache_write_tokens": 2},
            "completion_tokens_details": {"reasoning_tokens": 5},
        },
    }


def test_usage_comes_last_and_only_where_it_was_asked_for() -> None:
    got = chunks(written(RICH["text"], stream_options={"include_usage": True}))
    assert (got[-1]["choices"], got[-1]["usage"]["total_tokens"]) == ([], 30)
    assert [each["usage"] for each in got[:-1]] == [None] * (len(got) - 1)
    assert not [each for each in chunks(written(RICH["text"])) if "usage" in each]


def test_calls_have_ascending_numbers_whatever_the_blocks_have() -> None:
    found = [*block(0, TEXT, "x"), *tool(3, "f", '{"x":', "1}"), *tool(7, "g")]
    assert deltas(found)[1:] == [
        {"tool_calls": [_head(0, "call_3", "f")]},
        {"tool_calls": [{"index": 0, "function": {"arguments": '{"x":'}}]},
        {"tool_calls": [{"index": 0, "function": {"arguments": "1}"}}]},
        {"tool_calls": [_head(1, "call_7", "g")]},
    ]
    assert message(found)["tool_calls"] == [
        {"id": "call_3", "type": "function", "function": {"name": "f", "arguments": '{"x":1}'}},
        {"id": "call_7", "type": "function", "function": {"name": "g", "arguments": ""}},
    ]


def _head(number: int, call_id: str, name: str) -> Mapping[str, object]:
    return {"index": number, "id": call_id, "type": "function", "function": {"name": name, "arguments": ""}}


def test_a_client_of_functions_gets_the_first_call_in_its_form() -> None:
    older = {"functions": [{"name": "f"}]}
    assert deltas(PARALLEL, **older) == [
        {"function_call": {"name": "f", "arguments": ""}},
        {"function_call": {"arguments": '{"x":'}},
        {"function_call": {"arguments": "1}"}},
    ]
    answer = whole([*OPEN, *PARALLEL, CALLED, END], **older)["choices"][0]
    assert answer["finish_reason"] == "function_call"
    assert answer["message"]["function_call"] == {"name": "f", "arguments": '{"x":1}'}


@pytest.mark.parametrize(
    ("reason", "word"),
    [
        (FinishReason.STOP, "stop"),
        (FinishReason.LENGTH, "length"),
        (FinishReason.TOOL_CALLS, "tool_calls"),
        (FinishReason.CONTENT_FILTER, "content_filter"),
        (FinishReason.PAUSE, "stop"),
        (FinishReason.OTHER, "stop"),
    ],
)
def test_finish_reasons(reason: FinishReason, word: str) -> None:
    found = [*OPEN, *block(0, TEXT, "x"), Finish(0, reason, "native"), END]
    assert chunks(written(found))[-1]["choices"][0]["finish_reason"] == word
    assert whole(found)["choices"][0]["finish_reason"] == word


def test_an_end_of_no_name_after_a_call_is_that_of_the_call() -> None:
    found = [*OPEN, *PARALLEL, Finish(0, FinishReason.OTHER, ""), END]
    assert chunks(written(found))[-1]["choices"][0]["finish_reason"] == "tool_calls"


# -- errors ---------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("part", "error"),
    [
        (
            StreamError("rate_limit_exceeded", "slow", native=False),
            {"message": "slow", "type": "rate_limit_error", "param": None, "code": "rate_limit_exceeded"},
        ),
        (
            StreamError("odd", "no", status=400, native=False),
            {"message": "no", "type": "invalid_request_error", "param": None, "code": "odd"},
        ),
        (
            Finish(0, FinishReason.ERROR, "MALFORMED"),
            {
                "message": "the model's answer failed: MALFORMED",
                "type": "server_error",
                "param": None,
                "code": "server_error",
            },
        ),
    ],
)
def test_nothing_follows_an_error(part: StreamPart, error: Mapping[str, object]) -> None:
    data = written([*OPEN, *block(0, TEXT, "x"), part, STOP, UsageReport(COUNTED), END])
    assert chunks(data)[-1] == {"error": error}
    assert b"[DONE]" not in data
    got = progress(parts(PROTOCOL, SSE, [data])).error
    assert got
    assert got.message == error["message"]


def test_a_whole_answer_that_failed_says_so() -> None:
    found = [*OPEN, *block(0, TEXT, "x"), Finish(0, FinishReason.ERROR, "MALFORMED"), END]
    assert whole(found)["choices"][0]["finish_reason"] == "error"


# -- signatures ----------------------------------------------------------------------------------------------


def item(item_id: str, index: int) -> Mapping[str, object]:
    return {
        "type": "reasoning.encrypted",
        "data": ENVELOPE.value,
        "id": item_id,
        "format": "unknown",
        "index": index,
    }


def test_a_signature_says_what_it_signatures() -> None:
    found = [
        *block(0, REASONING, "abc", signature=ENVELOPE),
        *block(1, REASONING, "de", signature=ENVELOPE),
        *block(2, REASONING, signature=ENVELOPE),
        *tool(3, "f"),
        *block(4, REASONING, signature=ENVELOPE),
    ]
    items = [item("reasoning-0-3", 0), item("reasoning-3-5", 1), item("call_3", 2), item("reasoning-5-5", 3)]
    assert [delta for delta in deltas(found) if "tool_calls" not in delta] == [
        {"reasoning_content": "abc"},
        {"reasoning_details": items[:1]},
        {"reasoning_content": "de"},
        {"reasoning_details": items[1:2]},
        {"reasoning_details": items[2:3]},
        {"reasoning_details": items[3:]},
    ]
    assert message(found)["reasoning_details"] == items


def test_what_a_client_sends_back_is_what_was_sealed() -> None:
    found = [
        *block(0, REASONING, "abc", signature=ENVELOPE),
        *block(1, REASONING, "de", signature=ENVELOPE),
        *block(2, TEXT, "Hi"),
        *block(3, REASONING, signature=ENVELOPE),
        *tool(4, "f", "{}"),
    ]
    (again,) = PROTOCOL.translator.read_request(call(messages=[message(found)])).messages
    assert again.content == (
        Thought("abc", ENVELOPE),
        Thought("de", ENVELOPE),
        Text("Hi"),
        Thought("", ENVELOPE),
        ToolCall("call_4", "f", "{}"),
    )


@pytest.mark.parametrize(
    ("signature", "fields"),
    [
        (Signature("plain", ""), {}),
        (Signature("details", '[{"type":"x"}]'), {"reasoning_details": [{"type": "x"}]}),
        (Signature("details", "no JSON"), {"reasoning_details": []}),
    ],
)
def test_signatures_of_chat_are_written_as_they_were(
    signature: Signature, fields: Mapping[str, object]
) -> None:
    found = message(block(0, REASONING, "Hm", signature=signature))
    plain = {"role": "assistant", "content": None, "refusal": None, "reasoning_content": "Hm"}
    assert found == {**plain, **fields}


def test_a_signature_goes_on_what_it_signs() -> None:
    signature = Signature("signature", "c2ln")
    extra = {"google": {"thought_signature": "c2ln"}}
    (signed,) = message([*block(0, REASONING, signature=signature), *tool(1, "f")])["tool_calls"]
    assert signed["extra_content"] == extra
    assert (
        message([*block(0, REASONING, signature=signature), *block(1, TEXT, "x")])["extra_content"] == extra
    )


# -- sources and pictures -------------------------------------------------------------------------------


def test_offsets_of_sources_count_in_the_whole_text() -> None:
    found = [
        *block(0, TEXT, "abc"),
        BlockStart(0, 1, TEXT),
        BlockDelta(0, 1, TEXT, "defg"),
        Annotation(0, 1, "https://x.test/", "X", 1, 3),
        Annotation(0, 1, "https://y.test/"),
        BlockStop(0, 1),
    ]
    places = [
        (each["index"], each["url_citation"]["start_index"], each["url_citation"]["end_index"])
        for each in message(found)["annotations"]
    ]
    assert places == [(0, 4, 6), (1, 3, 7)]
    assert next(delta for delta in deltas(found) if "annotations" in delta)["annotations"][0] == {
        "type": "url_citation",
        "index": 0,
        "url_citation": {"url": "https://x.test/", "title": "X", "start_index": 4, "end_index": 6},
    }


@pytest.mark.parametrize(
    ("payload", "url"),
    [
        ({"media_type": "image/png", "data": "AAAA"}, "data:image/png;base64,AAAA"),
        ({"url": "https://x.test/1.png"}, "https://x.test/1.png"),
        ({"media_type": "audio/*", "data": "AAAA"}, None),
        ({}, None),
    ],
)
def test_pictures_are_shown_and_sound_is_not(payload: Mapping[str, object], url: str | None) -> None:
    found = message(media(0, **payload))
    image = {"type": "image_url", "image_url": {"url": url}, "index": 0}
    assert found.get("images") == ([image] if url else None)

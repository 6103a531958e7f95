"""What clients get: closing chunks, streams, whole answers in all forms, and what an oracle says of them."""

import json
from collections.abc import Mapping, Sequence
from typing import Any

import pytest

from protocols.gemini_generate import PROTOCOL
from protocols.model.errors import Fault
from protocols.model.parts import (
    Annotation,
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
    Signature,
    StreamEnd,
    StreamError,
    StreamPart,
    Usage,
    UsageReport,
)
from protocols.model.progress import Progress
from protocols.model.wirejson import load_object
from rewrite.exchange.ending import formality
from rewrite.translation.repair import closing, failing
from tests import oracle
from tests.contract import JSON, SSE, progress
from tests.protocols.gemini_generate.frames import (
    EVENTS,
    INTERNAL,
    MEDIA,
    REASONING,
    REPLY,
    STREAM,
    TEXT,
    TOOL,
    WHOLE,
    blocks,
    call,
    chunk,
    event,
    folded,
    said,
    text,
)

USAGE = Usage(input=20, output=9, cache_read=5, reasoning=4)
OPENING: list[StreamPart] = [MessageStart("r1", "sample-1"), ChoiceStart(0)]
SIGNATURE = Signature("signature", "c2ln")
STREAMS = [EVENTS, STREAM, INTERNAL + "?alt=sse", INTERNAL]

each_form = pytest.mark.parametrize("target", STREAMS)


def block(
    index: int,
    kind: BlockKind,
    *words: str,
    signature: Signature | None = None,
    choice: int = 0,
    **start: Any,
) -> list[StreamPart]:
    deltas = [BlockDelta(choice, index, kind, each) for each in words]
    return [BlockStart(choice, index, kind, **start), *deltas, BlockStop(choice, index, signature)]


def ended(reason: FinishReason = FinishReason.STOP, *, choice: int = 0) -> list[StreamPart]:
    return [UsageReport(USAGE), Finish(choice, reason, ""), StreamEnd()]


RICH: list[StreamPart] = [
    *OPENING,
    *block(0, REASONING, "H", "m", signature=SIGNATURE),
    *block(1, TEXT, "Hi", " you"),
    *block(2, REASONING, signature=Signature("envelope", "b25l")),
    *block(3, TOOL, '{"a":', "1}", tool_id="c1", tool_name="f"),
    *block(4, TOOL, tool_id="c2", tool_name="g"),
    *block(5, MEDIA, payload={"media_type": "image/png", "data": "aGk="}),
    *block(6, MEDIA, payload={"media_type": "", "url": "https://a.test/i.png"}),
    *block(7, REASONING, "Last", signature=Signature("envelope", "bGFz")),
    *ended(FinishReason.TOOL_CALLS),
]


def written(parts: Sequence[StreamPart], target: str = EVENTS) -> bytes:
    writer = PROTOCOL.translator.writer(call(target=target), REPLY)
    return b"".join(writer.write([part]) for part in parts)


def again(data: bytes, target: str = EVENTS) -> Progress:
    encoder = PROTOCOL.encoder(call(target=target))
    return folded(data, JSON if encoder.content_type == "application/json" else SSE, target)


def events(data: bytes) -> list[dict[str, Any]]:
    """The objects of events, read without our framing."""
    assert data.endswith(b"\r\n\r\n")
    frames = data.removesuffix(b"\r\n\r\n").split(b"\r\n\r\n")
    assert all(frame.startswith(b"data: ") for frame in frames)
    return [json.loads(frame[6:]) for frame in frames]


def shown(chunks: Sequence[Mapping[str, Any]]) -> list[dict[str, Any]]:
    return [part for each in chunks for one in each["candidates"] for part in one["content"]["parts"]]


# -- a stream for parts of another protocol -------------------------------------------------------------


def test_every_block_is_said_in_order() -> None:
    assert shown(events(written(RICH))) == [
        text("H", thought=True),
        text("m", thought=True),
        text("Hi", thoughtSignature="c2ln"),
        text(" you"),
        {"functionCall": {"id": "c1", "name": "f", "args": {"a": 1}}, "thoughtSignature": "b25l"},
        {"functionCall": {"id": "c2", "name": "g", "args": {}}},
        {"inlineData": {"mimeType": "image/png", "data": "aGk="}},
        {"fileData": {"fileUri": "https://a.test/i.png"}},
        text("Last", thought=True),
        text("", thoughtSignature="bGFz"),
    ]


def test_the_last_chunk_has_the_end_and_the_counts() -> None:
    *_, last = events(written(RICH))
    assert last == {
        "candidates": [
            {
                "content": {"parts": [text("", thoughtSignature="bGFz")], "role": "model"},
                "finishReason": "STOP",
                "index": 0,
            }
        ],
        "usageMetadata": {
            "promptTokenCount": 20,
            "candidatesTokenCount": 5,
            "totalTokenCount": 29,
            "cachedContentTokenCount": 5,
            "thoughtsTokenCount": 4,
        },
        "modelVersion": "sample-1",
        "responseId": "r1",
    }


def test_counts_are_reported_as_soon_as_they_are_known() -> None:
    early = events(written([UsageReport(Usage(input=3)), *OPENING, *block(0, TEXT, "Hi")]))
    assert [each["usageMetadata"] for each in early] == [{"promptTokenCount": 3, "totalTokenCount": 3}]


@pytest.mark.parametrize(
    ("reason", "word"),
    [
        (FinishReason.STOP, "STOP"),
        (FinishReason.TOOL_CALLS, "STOP"),
        (FinishReason.LENGTH, "MAX_TOKENS"),
        (FinishReason.CONTENT_FILTER, "SAFETY"),
        (FinishReason.PAUSE, "STOP"),
        (FinishReason.ERROR, "OTHER"),
        (FinishReason.OTHER, "STOP"),
    ],
)
def test_how_it_ended(reason: FinishReason, word: str) -> None:
    (last,) = events(written([*OPENING, *ended(reason)]))
    assert last["candidates"][0]["finishReason"] == word
    assert last["candidates"][0]["content"]["parts"] == [text("")]


@each_form
def test_a_stream_is_read_alike_in_every_form(target: str) -> None:
    assert blocks(again(written(RICH, target), target)) == blocks(again(written(RICH)))
    found = again(written(RICH, target), target)
    assert (found.complete, found.usage, found.open) == (True, USAGE, {})


def test_an_array_is_json() -> None:
    data = written(RICH, STREAM)
    assert [each["responseId"] for each in json.loads(data)] == ["r1"] * 10
    assert PROTOCOL.encoder(call(target=STREAM)).content_type == "application/json"
    assert PROTOCOL.encoder(call(target=EVENTS)).content_type == "text/event-stream"


def test_code_assist_reads_an_envelope() -> None:
    inside = [each["response"] for each in events(written(RICH, INTERNAL + "?alt=sse"))]
    assert inside == events(written(RICH))


def test_a_call_that_is_not_whole_is_left_out() -> None:
    cut = block(0, TOOL, '{"a": "x', tool_id="c1", tool_name="f")
    assert shown(events(written([*OPENING, *cut, *ended(FinishReason.LENGTH)]))) == [text("")]


def test_refusals_are_text_and_what_shows_nothing_writes_nothing() -> None:
    refused = block(0, BlockKind.REFUSAL, "No.")
    hosted = block(1, BlockKind.HOSTED, payload={"type": "web_search_call"})
    silent: list[StreamPart] = [Ping(), Opaque(b"x"), *block(2, MEDIA), *block(3, TEXT)]
    assert shown(events(written([*OPENING, *refused, *hosted, *silent]))) == [text("No.")]


def test_sources_come_with_the_end() -> None:
    began, delta, stop = block(0, TEXT, "Hi")
    cited = Annotation(0, 0, "https://a.test/", "A")
    data = written([*OPENING, began, delta, cited, stop, *ended()])
    chunks = [{"web": {"uri": "https://a.test/", "title": "A"}}]
    assert events(data)[-1]["candidates"][0]["groundingMetadata"] == {"groundingChunks": chunks}


def test_choices_are_candidates() -> None:
    parts: list[StreamPart] = [
        *OPENING,
        ChoiceStart(1),
        *block(0, TEXT, "a"),
        *block(0, TEXT, "b", choice=1),
        Finish(0, FinishReason.STOP, ""),
        Finish(1, FinishReason.LENGTH, ""),
        StreamEnd(),
    ]
    found = again(written(parts))
    assert said(found, TEXT) == ["a", "b"]
    assert {choice: finish.native for choice, finish in found.finished.items()} == {
        0: "STOP",
        1: "MAX_TOKENS",
    }


@each_form
@pytest.mark.parametrize("before", [[], [*OPENING, *block(0, TEXT, "Hi")]], ids=["first", "later"])
def test_an_error_ends_a_stream(target: str, before: list[StreamPart]) -> None:
    data = written([*before, StreamError(ErrorKind.OVERLOADED, "busy")], target)
    assert again(data, target).error == StreamError("UNAVAILABLE", "busy", status=503)
    if target in (STREAM, INTERNAL):
        assert json.loads(data)[-1]["error"]["code"] == 503


# -- a whole answer -------------------------------------------------------------------------------------


@pytest.mark.parametrize("target", [WHOLE, "/v1internal:generateContent"])
def test_a_whole_answer_reads_like_the_stream(target: str) -> None:
    body = PROTOCOL.translator.write_answer(call(target=target), REPLY, progress(RICH))
    found = folded(body, JSON, target)
    assert blocks(found) == blocks(again(written(RICH)))
    assert (found.usage, found.finished, found.ended) == (USAGE, again(written(RICH)).finished, True)
    assert ("response" in (load_object(body) or {})) == ("internal" in target)


def test_a_whole_answer_holds_whole_texts() -> None:
    body = json.loads(PROTOCOL.translator.write_answer(call(target=WHOLE), REPLY, progress(RICH)))
    assert shown([body])[:2] == [text("Hm", thought=True), text("Hi you", thoughtSignature="c2ln")]


# -- the end of a stream of its own ---------------------------------------------------------------------


@pytest.fixture(scope="module")
def judge() -> oracle.Judge:
    return oracle.judges()["gemini"]


def test_the_closing_chunk_is_of_the_stream() -> None:
    opening = {**chunk(text("Hi")), "responseId": "r", "modelVersion": "m", "createTime": "now"}
    so_far = folded(event({**opening, "usageMetadata": {"promptTokenCount": 7}}))
    assert events(PROTOCOL.encoder(call()).close(closing(so_far), so_far)) == [
        {
            **chunk(text(""), finish="MAX_TOKENS", index=0),
            "usageMetadata": {"promptTokenCount": 7, "totalTokenCount": 7},
            "modelVersion": "m",
            "createTime": "now",
            "responseId": "r",
        }
    ]


def test_an_enveloped_stream_is_closed_by_an_enveloped_chunk() -> None:
    target = INTERNAL + "?alt=sse"
    sent = event({"response": chunk(text("Hi"))})
    so_far = folded(sent, target=target)
    closing_chunk = PROTOCOL.encoder(call(target=target)).close(closing(so_far), so_far)
    (last,) = events(closing_chunk)
    assert last["response"]["candidates"][0]["finishReason"] == "MAX_TOKENS"
    assert folded(sent + closing_chunk, target=target).complete
    (error,) = events(PROTOCOL.encoder(call(target=target)).close(failing("cut"), so_far))
    assert error["error"]["message"] == "cut"


ITEM = b'[{"candidates":[{"content":{"parts":[{"text":"Hi"}]}}]}'


@pytest.mark.parametrize("target", [STREAM, INTERNAL])
def test_an_array_is_closed(target: str) -> None:
    so_far = folded(ITEM, JSON, target)
    closed = ITEM + PROTOCOL.encoder(call(target=target)).close(closing(so_far), so_far)
    assert len(json.loads(closed)) == 2
    found = folded(closed, JSON, target)
    assert (found.ended, found.finished[0].native, said(found, TEXT)) == (True, "MAX_TOKENS", ["Hi"])
    assert ("response" in json.loads(closed)[1]) == (target == INTERNAL)


def test_an_array_that_lacks_its_bracket_gets_it() -> None:
    done = ITEM + b',{"candidates":[{"finishReason":"STOP"}]}'
    so_far = folded(done, JSON, STREAM)
    assert so_far.complete
    assert PROTOCOL.encoder(call(target=STREAM)).close(formality(so_far), so_far) == b"]"


def test_an_error_closes_an_array_that_has_or_has_not_begun() -> None:
    encoder = PROTOCOL.encoder(call(target=STREAM))
    assert json.loads(encoder.close(failing("cut"), Progress()))[0]["error"]["message"] == "cut"
    sent = b'[{"promptFeedback":{}}'
    assert len(json.loads(sent + encoder.close(failing("cut"), Progress(), begun=True))) == 2


def test_a_heartbeat_is_a_bare_newline_or_none() -> None:
    assert PROTOCOL.encoder(call(target=EVENTS)).heartbeat() == b"\n"
    assert PROTOCOL.encoder(call(target=STREAM)).heartbeat() == b""


# -- errors ---------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("status", "kind", "name"),
    [
        (400, "invalid_request", "INVALID_ARGUMENT"),
        (401, "authentication", "UNAUTHENTICATED"),
        (403, "permission", "PERMISSION_DENIED"),
        (404, "not_found", "NOT_FOUND"),
        (413, "too_large", "INVALID_ARGUMENT"),
        (429, "insufficient_quota", "RESOURCE_EXHAUSTED"),
        (429, "rate_limit_exceeded", "RESOURCE_EXHAUSTED"),
        (504, "timeout", "DEADLINE_EXCEEDED"),
        (503, "overloaded", "UNAVAILABLE"),
        (500, "server_error", "INTERNAL"),
        (502, "upstream_cut", "UNAVAILABLE"),
        (502, "upstream_error", "INTERNAL"),
        (502, "unreachable", "UNAVAILABLE"),
        (500, "proxy_fault", "INTERNAL"),
        (499, "a new kind", "CANCELLED"),
        (418, "a new kind", "INVALID_ARGUMENT"),
        (599, "a new kind", "INTERNAL"),
    ],
)
def test_errors_have_the_names_of_the_provider(status: int, kind: str, name: str) -> None:
    error = {"code": status, "message": "no", "status": name}
    assert load_object(PROTOCOL.error(Fault(status, kind, "no")).body) == {"error": error}


def test_every_kind_has_a_name() -> None:
    for kind in ErrorKind:
        (said_so,) = events(written([StreamError(kind, "no")]))
        assert said_so["error"]["status"] != "INTERNAL" or kind is ErrorKind.SERVER


def test_the_time_to_wait_is_reported_in_the_body() -> None:
    error: Any = (load_object(PROTOCOL.error(Fault(429, "x", "no", retry_after=12.4)).body) or {})["error"]
    assert error["details"] == [{"@type": "type.googleapis.com/google.rpc.RetryInfo", "retryDelay": "12.4s"}]


def test_a_quota_that_lasts_is_one_of_a_day_for_gemini_cli() -> None:
    fault = Fault(429, ErrorKind.QUOTA, "all is used up", 60.0, should_retry=False)
    (detail,) = json.loads(PROTOCOL.error(fault).body)["error"]["details"]
    assert detail["@type"] == "type.googleapis.com/google.rpc.QuotaFailure"
    assert "PerDay" in detail["violations"][0]["quotaId"]
    soon = Fault(429, ErrorKind.QUOTA, "all is used up", 9.0)
    (detail,) = json.loads(PROTOCOL.error(soon).body)["error"]["details"]
    assert detail["retryDelay"] == "9s"


def test_the_providers_own_word_stays() -> None:
    own = StreamError("CANCELLED", "no", status=499)
    (said_so,) = events(written([own]))
    assert said_so["error"] == {"code": 499, "message": "no", "status": "CANCELLED"}


# -- what an oracle says of streams ---------------------------------------------------------------------

SEQUENCES = {
    "rich": RICH,
    "empty": [*OPENING, *ended()],
    "thought alone": [*OPENING, *block(0, REASONING, "Hm"), *ended(FinishReason.LENGTH)],
    "parallel calls": [
        *OPENING,
        *block(0, TOOL, "{}", tool_id="a", tool_name="f"),
        *block(1, TOOL, "{}", tool_id="b", tool_name="f"),
        *ended(FinishReason.TOOL_CALLS),
    ],
    "refused": [*OPENING, *block(0, BlockKind.REFUSAL, "No."), *ended(FinishReason.CONTENT_FILTER)],
}


@pytest.mark.parametrize("name", SEQUENCES)
def test_what_is_written_is_accepted(name: str, judge: oracle.Judge) -> None:
    judgement = judge(written(SEQUENCES[name]))
    assert judgement["terminal"], judgement
    assert not judgement["violations"], judgement
    assert not judgement["open_function_call"], judgement


@pytest.mark.parametrize("end", range(3, len(RICH)))
def test_a_stream_that_is_cut_anywhere_is_closed_honestly(end: int, judge: oracle.Judge) -> None:
    """Half a call is left out, and the end is no proper one."""
    sent = RICH[:end]
    so_far = progress(sent)
    parts = closing(so_far) if not so_far.complete else formality(so_far)
    data = written([*sent, *parts])
    judgement = judge(data)
    assert judgement["terminal"], judgement
    assert not judgement["violations"], judgement
    assert judgement["finish"] == {0: "STOP" if so_far.complete else "MAX_TOKENS"}

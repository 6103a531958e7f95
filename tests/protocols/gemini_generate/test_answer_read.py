"""What an answer says: thoughts, signatures, calls in pieces, repeated ends, errors in any form."""

import json
from collections.abc import Mapping

import pytest

from protocols.gemini_generate import PROTOCOL
from protocols.gemini_generate.answer_read_arguments import path_keys
from protocols.model.http import Head
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
    Usage,
    UsageReport,
)
from protocols.model.wirejson import is_json
from tests.contract import JSON, SSE, progress
from tests.protocols.gemini_generate.frames import (
    EVENTS,
    HOSTED,
    MEDIA,
    REASONING,
    STREAM,
    TEXT,
    TOOL,
    WHOLE,
    call,
    calls,
    chunk,
    decoded,
    event,
    fixture,
    read,
    said,
    text,
)

STOP = Finish(0, FinishReason.STOP, "STOP")
CALLED = Finish(0, FinishReason.TOOL_CALLS, "STOP")
SIGNATURE = Signature("signature", "c2ln")


def block(
    index: int, kind: BlockKind, words: str = "", signature: Signature | None = None, **start: object
) -> list[StreamPart]:
    delta = [BlockDelta(0, index, kind, words)] if words else []
    return [BlockStart(0, index, kind, **start), *delta, BlockStop(0, index, signature)]  # type: ignore[arg-type]


# -- texts and thoughts ---------------------------------------------------------------------------------


def test_a_text_continues_from_chunk_to_chunk() -> None:
    assert decoded(event({**chunk(text("Hi")), "responseId": "r", "modelVersion": "m"})) == [
        MessageStart("r", "m", {"modelVersion": "m", "responseId": "r"}),
        ChoiceStart(0),
        BlockStart(0, 0, TEXT),
        BlockDelta(0, 0, TEXT, "Hi"),
    ]
    assert read(chunk(text("Hi")), chunk(text(" you"), text("")), chunk(finish="STOP")) == [
        BlockStart(0, 0, TEXT),
        BlockDelta(0, 0, TEXT, "Hi"),
        BlockDelta(0, 0, TEXT, " you"),
        BlockStop(0, 0),
        STOP,
    ]


def test_a_thought_ends_where_the_text_begins() -> None:
    assert read(chunk(text("Hm", thought=True), text("Hi")), chunk(finish="STOP")) == [
        *block(0, REASONING, "Hm"),
        *block(1, TEXT, "Hi"),
        STOP,
    ]


def test_a_signed_thought_bears_its_signature() -> None:
    assert read(chunk(text("Hm", thought=True, thoughtSignature="c2ln"), text("Hi"))) == [
        *block(0, REASONING, "Hm", SIGNATURE),
        *block(1, TEXT, "Hi")[:-1],
    ]
    assert read(chunk(text("", thought=True, thoughtSignature="c2ln"))) == block(0, REASONING, "", SIGNATURE)


def test_a_signature_stands_right_before_what_it_signs() -> None:
    signed = text(" you", thoughtSignature="c2ln")
    assert read(chunk(text("Hi")), chunk(signed), chunk(finish="STOP")) == [
        *block(0, TEXT, "Hi"),
        *block(1, REASONING, "", SIGNATURE),
        *block(2, TEXT, " you"),
        STOP,
    ]


def test_a_signature_on_an_empty_text_stands_alone() -> None:
    assert read(chunk(text("Hi")), chunk(text("", thoughtSignature="c2ln"), finish="STOP")) == [
        *block(0, TEXT, "Hi"),
        *block(1, REASONING, "", SIGNATURE),
        STOP,
    ]
    assert read(chunk({"thoughtSignature": "c2ln"})) == block(0, REASONING, "", SIGNATURE)


@pytest.mark.parametrize("parts", [[], [text("")], [{}], [text("", thought=True)]])
def test_an_empty_part_is_nothing(parts: list[dict[str, object]]) -> None:
    assert read(chunk(*parts)) == []
    assert read({"candidates": [{"content": {}}]}) == []
    assert read({"candidates": [{"index": 0}]}) == []


# -- calls ----------------------------------------------------------------------------------------------


def test_calls_come_whole_and_several_at_once() -> None:
    one = {**calls(name="f", args={"a": 1}), "thoughtSignature": "c2ln"}
    assert read(chunk(one, calls(name="g", id="7")), chunk(finish="STOP")) == [
        *block(0, REASONING, "", SIGNATURE),
        *block(1, TOOL, '{"a":1}', tool_name="f"),
        *block(2, TOOL, "{}", tool_name="g", tool_id="7"),
        CALLED,
    ]


def test_arguments_in_pieces_become_one_object() -> None:
    found = progress(fixture("partial.sse"))
    first = {"items": [{"name": "apple", "price": 0.5}, {"the name": "pear"}], "done": True}
    assert [json.loads(words) for words in said(found, TOOL)] == [first, {}]
    assert [block.tool_name for block in found.blocks.values()] == [None, "write", "close"]
    assert found.finished == {0: CALLED}
    assert not found.open


def pieces(*found: Mapping[str, object], more: bool = True) -> dict[str, object]:
    return chunk(calls(partialArgs=found, willContinue=more))


HEADER = chunk(calls(name="f", willContinue=True))
PIECE = pieces({"jsonPath": "$.a", "stringValue": "x", "willContinue": True})


def test_a_call_in_pieces_is_seen_with_its_name_and_open_until_it_closes() -> None:
    assert read(HEADER, PIECE) == [BlockStart(0, 0, TOOL, tool_name="f")]
    closed = [BlockDelta(0, 0, TOOL, '{"a":"x"}'), BlockStop(0, 0)]
    for closing in (chunk(calls()), pieces(more=False), chunk(finish="STOP"), chunk(text("Hi"))):
        assert read(HEADER, PIECE, closing)[1:3] == closed


def test_the_next_call_closes_the_one_before() -> None:
    found = progress(decoded(b"".join(map(event, (HEADER, PIECE, HEADER, chunk(finish="STOP"))))))
    assert said(found, TOOL) == ['{"a":"x"}', "{}"]


def test_a_call_that_is_cut_short_never_becomes_whole() -> None:
    assert read(HEADER, PIECE, chunk(finish="MAX_TOKENS"))[1:] == [
        BlockDelta(0, 0, TOOL, '{"a":"x"'),
        BlockStop(0, 0),
        Finish(0, FinishReason.LENGTH, "MAX_TOKENS"),
    ]


@pytest.mark.parametrize(
    "path", ["$.a[1]", "$.b[0]", "a", "$", "$.a..b", "$[0]", "", "$.a[*]", f"$.a[{'9' * 4301}]"]
)
def test_a_piece_without_a_place_spoils_the_call(path: str) -> None:
    known = {"jsonPath": "$.b.c", "numberValue": 1}
    (arguments,) = said(
        progress(read(HEADER, pieces(known, {"jsonPath": path, "stringValue": "x"}), chunk(finish="STOP"))),
        TOOL,
    )
    assert not is_json(arguments.encode())


@pytest.mark.parametrize(
    ("path", "keys"),
    [
        ("$.a", ("a",)),
        ("$.a[0].b", ("a", 0, "b")),
        ("$['a b'][\"c'd\"]", ("a b", "c'd")),
        ("$['it\\'s']", ("it's",)),
        ("$.a[0][12]", ("a", 0, 12)),
    ],
)
def test_paths(path: str, keys: tuple[str | int, ...]) -> None:
    assert path_keys(path) == keys


def test_values_of_every_kind() -> None:
    found = (
        {"jsonPath": "$.n", "numberValue": 1},
        {"jsonPath": "$.t", "boolValue": False},
        {"jsonPath": "$.z", "nullValue": "NULL_VALUE"},
    )
    (arguments,) = said(progress(read(HEADER, pieces(*found, more=False))), TOOL)
    assert json.loads(arguments) == {"n": 1, "t": False, "z": None}


# -- media, what the provider does, sources -------------------------------------------------------------


def test_media_and_what_the_provider_runs_keep_their_payload() -> None:
    image, file = {"mimeType": "image/png", "data": "aGk="}, {"mimeType": "video/mp4", "fileUri": "gs://b/v"}
    code = {"executableCode": {"code": "1"}, "thoughtSignature": "c2ln"}
    assert read(chunk({"inlineData": image}, {"fileData": file}, code)) == [
        *block(0, MEDIA, payload={"media_type": "image/png", "data": "aGk="}),
        *block(1, MEDIA, payload={"media_type": "video/mp4", "url": "gs://b/v"}),
        *block(2, HOSTED, payload=code),
    ]


def test_sources_belong_to_the_text() -> None:
    chunks = [{"web": {"uri": "https://a.test/", "title": "A"}}, {"maps": {"uri": "https://m.test/"}}, {}]
    grounded = chunk(
        text("It is.", thoughtSignature="c2ln"),
        text("", thoughtSignature="c2lo"),
        finish="STOP",
        groundingMetadata={"groundingChunks": chunks},
        citationMetadata={"citationSources": [{"uri": "https://c.test/"}]},
    )
    (cited,) = (block for block in progress(read(grounded)).blocks.values() if block.kind is TEXT)
    assert cited.annotations == [
        Annotation(0, 1, "https://a.test/", "A"),
        Annotation(0, 1, "https://m.test/"),
        Annotation(0, 1, "https://c.test/"),
    ]


def test_sources_are_sent_once_and_not_without_a_text() -> None:
    assert sum(isinstance(part, Annotation) for part in fixture("hosted.sse")) == 1
    chunks = {"groundingChunks": [{"web": {"uri": "https://a.test/"}}]}
    assert read(chunk(groundingMetadata=chunks)) == []


# -- how it ends ----------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("word", "reason"),
    [
        ("STOP", FinishReason.STOP),
        ("MAX_TOKENS", FinishReason.LENGTH),
        ("RECITATION", FinishReason.CONTENT_FILTER),
        ("MODEL_ARMOR", FinishReason.CONTENT_FILTER),
        ("CONTINUATION", FinishReason.PAUSE),
        ("MALFORMED_FUNCTION_CALL", FinishReason.ERROR),
        ("BRAND_NEW", FinishReason.OTHER),
    ],
)
def test_how_it_ended(word: str, reason: FinishReason) -> None:
    assert read(chunk(finish=word, finishMessage="so")) == [Finish(0, reason, word, "so")]


def test_an_end_on_every_chunk_is_no_end_of_the_text() -> None:
    found = fixture("repeated_finish.sse")
    assert "".join(said(progress(found), TEXT)) == "First Second"
    assert found[-1] == STOP
    assert read(chunk(finish="FINISH_REASON_UNSPECIFIED")) == []


def test_a_blocked_prompt_has_no_candidate_and_is_over() -> None:
    found = fixture("blocked.sse")
    assert found[1:3] == [ChoiceStart(0), Finish(0, FinishReason.CONTENT_FILTER, "SAFETY", "no")]
    assert progress(found).complete


def test_candidates_are_choices() -> None:
    several = {"candidates": [*chunk(text("a"))["candidates"], *chunk(text("b"), index=1)["candidates"]]}  # type: ignore[misc]
    found = progress(decoded(event(several) + event(chunk(finish="STOP", index=1))))
    assert (found.unfinished, sorted(found.seen), said(found, TEXT)) == ([0], [0, 1], ["a", "b"])


@pytest.mark.parametrize(
    ("metadata", "usage"),
    [
        ({"promptTokenCount": 5}, Usage(input=5)),
        (
            {"promptTokenCount": 5, "candidatesTokenCount": 9, "thoughtsTokenCount": 185},
            Usage(input=5, output=194, reasoning=185),
        ),
        (
            {"promptTokenCount": 5, "toolUsePromptTokenCount": 100, "cachedContentTokenCount": 4},
            Usage(input=105, cache_read=4),
        ),
        ({"thoughtsTokenCount": 7}, Usage(output=7, reasoning=7)),
        (
            {"promptTokenCount": 5, "promptTokensDetails": [{"modality": "AUDIO", "tokenCount": 3}]},
            Usage(input=5, input_audio=3),
        ),
        (
            {
                "candidatesTokenCount": 9,
                "candidatesTokensDetails": [
                    {"modality": "TEXT", "tokenCount": 1},
                    {"modality": "IMAGE", "tokenCount": 8},
                ],
                "serviceTier": "flex",
            },
            Usage(output=9, output_image=8, tier="flex"),
        ),
        (
            {"promptTokenCount": 7, "pydantic_ai_gateway": {"cost_estimate": 0.5}, "serviceTier": "standard"},
            Usage(input=7, cost=0.5),
        ),
    ],
)
def test_counts_are_made_inclusive(metadata: dict[str, object], usage: Usage) -> None:
    assert read({"usageMetadata": metadata}) == [UsageReport(usage)]


def test_no_counts_are_no_report() -> None:
    assert read({**chunk(), "usageMetadata": {"trafficType": "ON_DEMAND"}}) == []


# -- errors, and what makes no sense --------------------------------------------------------------------

ERROR = {"error": {"code": 503, "message": "busy", "status": "UNAVAILABLE"}}
BUSY = StreamError("UNAVAILABLE", "busy", status=503)
CHUNK = json.dumps(chunk(text("Hi")), indent=2).encode()


@pytest.mark.parametrize("ending", [b"", b"\n", b"\r\n", b"\n\n", b"\r\n\r\n"])
def test_a_bare_error_between_events_is_an_error_and_gets_its_blank_line(ending: bytes) -> None:
    bare = json.dumps(ERROR, indent=2).encode() + ending
    found = decoded(event(chunk(text("Hi"))) + bare)
    assert [part for part in found[4:] if part != Ping()] == [BUSY]
    decoder = PROTOCOL.decoder(call(), SSE)
    passed_on = b"".join(segment.raw for segment in [*decoder.feed(bare), *decoder.eof()])
    missing = {b"": b"\n\n", b"\n": b"\n", b"\r\n": b"\n"}
    assert passed_on == bare + missing.get(ending, b"")


@pytest.mark.parametrize(("bare", "missing"), [(b"{}", b""), (b'{"object": "list"}', b""), (CHUNK, b"\n\n")])
def test_only_an_object_of_the_protocol_gets_a_blank_line(bare: bytes, missing: bytes) -> None:
    """What is none of it is passed on as it came; after one that is, an ending of ours may follow."""
    decoder = PROTOCOL.decoder(call(), SSE)
    passed_on = b"".join(segment.raw for segment in [*decoder.feed(bare), *decoder.eof()])
    assert passed_on == bare + missing


def test_an_error_has_one_form_in_events_arrays_and_whole_answers() -> None:
    body = json.dumps(ERROR).encode()
    assert read(ERROR) == [BUSY]
    assert decoded(b"[" + body + b"]", JSON, STREAM) == [BUSY, StreamEnd()]
    assert decoded(body, JSON, STREAM) == decoded(body, JSON, WHOLE) == decoded(body, JSON, EVENTS) == [BUSY]


def test_the_reason_of_an_error_is_its_code() -> None:
    error, *_ = fixture("error.json")
    assert error == StreamError("INVALID_ARGUMENT", "API key not valid.", "API_KEY_INVALID", 400)


@pytest.mark.parametrize("ending", [b"", b"\n", b"\n\n"])
def test_events_without_blank_lines_between_them_are_read(ending: bytes) -> None:
    glued = b"\n".join(event(chunk(text(words))).strip() for words in ("Hi", " you"))
    assert said(progress(decoded(glued + ending)), TEXT) == ["Hi you"]
    decoder = PROTOCOL.decoder(call(), SSE)
    framed = [*decoder.feed(glued + ending), *decoder.eof()]
    assert b"".join(segment.raw for segment in framed) == glued + b"\n\n"
    assert decoded(glued + b"\ndata: {") == []


@pytest.mark.parametrize("data", [b"data: {\n\n", b"data: []\n\n", b'data: {"this": [{"is": {}}]}\n\n'])
def test_what_makes_no_sense_is_opaque(data: bytes) -> None:
    assert [type(part) for part in decoded(data)] == [Opaque]


# -- the other forms of an answer -----------------------------------------------------------------------


def test_a_stream_without_events_is_an_array() -> None:
    found = fixture("text.jsonarr")
    assert said(progress(found), TEXT) == ['Hello {"} [you] \\']
    assert found[-2:] == [StreamEnd(), Ping()]


def test_an_envelope_is_opened() -> None:
    assert read({"response": chunk(text("Hi")), "traceId": "t"}) == read(chunk(text("Hi")))


def test_a_whole_answer_gives_all_its_blocks() -> None:
    body = json.dumps(chunk(text("Hm", thought=True), text("Hi"), calls(name="f"), finish="STOP")).encode()
    assert decoded(body, JSON, WHOLE)[2:] == [
        *block(0, REASONING, "Hm"),
        *block(1, TEXT, "Hi"),
        *block(2, TOOL, "{}", tool_name="f"),
        CALLED,
        StreamEnd(),
    ]


@pytest.mark.parametrize("body", [b'{"totalTokens": 7}', b'{"embedding": {}}', b'{"models": []}', b"[1]"])
def test_other_operations_answer_with_anything(body: bytes) -> None:
    assert decoded(body, JSON, WHOLE) == [StreamEnd()]


@pytest.mark.parametrize("kind", ["text/event-stream", "text/event-stream; charset=utf-8", ""])
def test_events_are_known_by_their_type(kind: str) -> None:
    found = decoded(event(chunk(text("Hi"))), Head(200, (("Content-Type", kind),)))
    assert said(progress(found), TEXT) == ["Hi"]


# -- lines that Google's SDKs cannot read -----------------------------------------------------------------

HI = event(chunk(text("Hi"))).replace(b"\r\n", b"\n")


@pytest.mark.parametrize(
    ("raw", "left"),
    [
        (HI, HI),
        (HI.replace(b"\n", b"\r\n"), HI.replace(b"\n", b"\r\n")),
        (b'data: {"a":\ndata: 1}\n\n', b'data: {"a":\ndata: 1}\n\n'),
        (b'{"error": {"code": 503}}\n\n', b'{"error": {"code": 503}}\n\n'),
        (b"event: message\nid: 1\n" + HI, HI),
        (HI[:-1] + b"garbage\n\n", HI),
        (b'data:{"a":1}\n\n', b'data: {"a":1}\n\n'),
        (b"\xef\xbb\xbf" + HI, HI),
        (b": waiting\n\n", b"\n"),
        (b"garbage without a colon\n\n", b"\n"),
        (b"event: ping\n\n", b"\n"),
    ],
)
def test_a_client_gets_only_lines_that_it_can_read(raw: bytes, left: bytes) -> None:
    decoder = PROTOCOL.decoder(call(), SSE)
    segments = [*decoder.feed(raw + HI), *decoder.eof()]
    assert b"".join(segment.raw for segment in segments if not segment.broken) == left + HI
    assert not decoder.remainder()


def test_an_event_that_is_no_json_is_one_still() -> None:
    (segment,) = PROTOCOL.decoder(call(), SSE).feed(b"event: x\ndata: {oops\n\n")
    assert segment.garbled

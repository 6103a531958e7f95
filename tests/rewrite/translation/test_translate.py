"""Chat and Messages in terms of each other: requests, streams, whole answers, errors."""

from collections.abc import Iterable, Mapping
from dataclasses import replace
from typing import Any

import pytest

from protocols.base import WireProtocol
from protocols.model.call import Call, Destination, Operation, Reply
from protocols.model.errors import Untranslatable
from protocols.model.http import Head, WireRequest, WireResponse, header
from protocols.model.parts import BlockKind, BlockStop, FinishReason, Signature, StreamEnd, StreamError
from protocols.model.progress import Progress
from protocols.model.wirejson import dump, load_object
from protocols.shared.signatures import Returning, unwrapped, wrapped
from rewrite.targets.reading import joined
from rewrite.translation.answer import TranslatingDecoder, TranslatingEncoder, WholeTranslator
from rewrite.translation.translate import Translation, translation
from tests.contract import FIXTURES
from tests.rewrite.asks import REGISTRY, ask
from tests.rewrite.scenes import (
    ANTHROPIC,
    CHAT,
    DONE,
    JSON,
    MESSAGE,
    ROLE,
    SSE,
    block,
    calls,
    chunk,
    delta,
    ending,
    error_body,
    error_chunk,
    finishes,
    message_error,
    says,
)

REPLY = Reply("rot1", "asked-for", 1_700_000_000)
MESSAGES: list[dict[str, object]] = [{"role": "user", "content": "Hi"}]
PATHS = {CHAT: "/v1/chat/completions", ANTHROPIC: "/v1/messages"}
USAGE_TOO: dict[str, Any] = {"stream_options": {"include_usage": True}}
BOTH = pytest.mark.parametrize(("client", "server"), [(CHAT, ANTHROPIC), (ANTHROPIC, CHAT)])


def asks(client: WireProtocol, **fields: object) -> Call:
    """A call of a client, as it is read off the wire."""
    body: dict[str, object] = {"model": "asked-for", "messages": MESSAGES, "stream": True, "max_tokens": 99}
    request = WireRequest("POST", PATHS[client], (), dump(body | fields))
    return client.parse("c", Operation.GENERATE, request)


def translated(
    client: WireProtocol, server: WireProtocol, provider: str = "maker", **fields: object
) -> Translation:
    where = Destination(provider, "served", max_output=4096)
    return translation(asks(client, **fields), client, server, where, REPLY)


def decoder(one: Translation, head: Head) -> TranslatingDecoder | WholeTranslator:
    return one.decoder(one.target.decoder(one.upstream, head))


def streamed(one: Translation, data: bytes, size: int = 1 << 20) -> bytes:
    """What the client gets of a stream that ends where `data` does."""
    found = decoder(one, SSE)
    pieces = [data[at : at + size] for at in range(0, len(data), size)]
    segments = [segment for piece in pieces for segment in found.feed(piece)]
    return b"".join(segment.raw for segment in [*segments, *found.eof()])


def read(protocol: WireProtocol, data: bytes, head: Head = SSE) -> Progress:
    """What a client makes of it."""
    own, progress = protocol.decoder(asks(protocol), head), Progress()
    for segment in [*own.feed(data), *own.eof()]:
        progress.fold(own.read(segment))
    return progress


def blocks_of(progress: Progress) -> list[tuple[BlockKind, str | None, str]]:
    """What was said, without blocks of which a client sees nothing."""
    found = [(block.kind, block.tool_name, block.text) for block in progress.blocks.values()]
    return [each for each in found if each[1] or each[2]]


def fixture(protocol: WireProtocol, name: str) -> bytes:
    return (FIXTURES / protocol.name / name).read_bytes()


# -- requests -----------------------------------------------------------------------------------------


@BOTH
def test_a_request_names_the_target_s_model_and_goes_to_its_path(
    client: WireProtocol, server: WireProtocol
) -> None:
    one = translated(client, server)
    assert one.rendered.path == PATHS[server]
    assert (one.rendered.body["model"], one.rendered.body["stream"]) == ("served", True)
    assert (one.upstream.protocol, one.upstream.model) == (server.name, "served")
    assert (one.call.protocol, one.call.model) == (client.name, "asked-for")


@BOTH
def test_what_is_lost_is_named(client: WireProtocol, server: WireProtocol) -> None:
    assert translated(client, server).losses == ()
    odd = translated(client, server, odd_field=1)
    assert [loss.field for loss in odd.losses] == ["odd_field"]


def test_what_one_request_loses_is_named_on_both_sides() -> None:
    searched = {"type": "server_tool_use", "id": "s", "name": "web_search", "input": {}}
    marked = {"type": "text", "text": "Hi", "cache_control": {"type": "ephemeral", "ttl": "1h"}}
    said = [*MESSAGES, {"role": "assistant", "content": [searched, marked]}, *MESSAGES]
    losses = {loss.field: loss.why for loss in translated(ANTHROPIC, CHAT, messages=said).losses}
    assert losses == {
        "cache breakpoints": CHAT.translator.abilities.losses["cache breakpoints"],
        "history": ANTHROPIC.translator.abilities.losses["history"],
    }


def test_a_grammar_that_is_put_in_words_is_named() -> None:
    form = {"type": "grammar", "grammar": {"syntax": "regex", "definition": "a+"}}
    custom = {"type": "custom", "custom": {"name": "f", "format": form}}
    assert [loss.field for loss in translated(CHAT, ANTHROPIC, tools=[custom]).losses] == ["tool grammars"]


def test_each_loss_is_named_once() -> None:
    """Thoughts that another made, and one of the same maker in another protocol's form."""
    foreign = {"type": "thinking", "thinking": "Hm", "signature": "c2ln"}
    carried = wrapped(Signature("encrypted", "{}"), "maker").value
    own = {"type": "redacted_thinking", "data": carried}
    said = [*MESSAGES, {"role": "assistant", "content": [foreign, own, *_hello()]}, *MESSAGES]
    assert [loss.field for loss in translated(ANTHROPIC, CHAT, messages=said).losses] == ["reasoning"]


def _hello() -> list[dict[str, object]]:
    return [{"type": "text", "text": "Hello"}]


@pytest.mark.parametrize("operation", [Operation.COUNT_TOKENS, Operation.EMBEDDINGS, Operation.MODELS])
def test_only_a_generation_is_translated(operation: Operation) -> None:
    call = replace(asks(ANTHROPIC), operation=operation)
    with pytest.raises(Untranslatable, match=operation.value):
        translation(call, ANTHROPIC, CHAT, Destination("p", "m"), REPLY)


# -- streams ------------------------------------------------------------------------------------------


@BOTH
@pytest.mark.parametrize("name", ["text.sse", "tools.sse", "crlf.sse"])
@pytest.mark.parametrize("size", [1 << 20, 7])
def test_a_stream_says_the_same_in_the_other_protocol(
    client: WireProtocol, server: WireProtocol, name: str, size: int
) -> None:
    data = fixture(server, name)
    one = translated(client, server, **USAGE_TOO if client is CHAT else {})
    before, after = read(server, data), read(client, streamed(one, data, size))
    assert blocks_of(after) == blocks_of(before)
    assert [finish.reason for finish in after.finished.values()] == [
        finish.reason for finish in before.finished.values()
    ]
    assert after.ended
    assert after.head is not None
    assert (after.head.model, "rot1" in after.head.id) == ("asked-for", True)
    if before.usage is not None:
        assert after.usage is not None
        assert (after.usage.input, after.usage.output) == (before.usage.input, before.usage.output)


def test_the_parts_of_a_segment_are_those_that_it_was_written_from() -> None:
    one = decoder(translated(CHAT, ANTHROPIC), SSE)
    assert isinstance(one, TranslatingDecoder)
    progress = Progress()
    segments = one.feed(fixture(ANTHROPIC, "tools.sse"))
    for segment in segments:
        progress.fold(one.read(segment))
    assert blocks_of(progress) == blocks_of(read(ANTHROPIC, fixture(ANTHROPIC, "tools.sse")))
    assert progress.complete
    assert [segment.last for segment in segments].count(True) == 1


def test_an_idle_frame_stays_one() -> None:
    one = decoder(translated(ANTHROPIC, CHAT), SSE)
    assert [(segment.raw, segment.idle) for segment in one.feed(b": ping\n\n")] == [(b"", True)]


@BOTH
def test_a_stream_without_its_last_frame_is_closed_where_it_said_that_it_was_done(
    client: WireProtocol, server: WireProtocol
) -> None:
    frames = {
        CHAT: ROLE + says("Hi") + finishes("stop"),
        ANTHROPIC: MESSAGE + b"".join(TEXT) + ending("end_turn"),
    }
    progress = read(client, streamed(translated(client, server), frames[server]))
    assert progress.ended
    assert [finish.reason for finish in progress.finished.values()] == [FinishReason.STOP]


TEXT = [block(0, "text", text=""), delta(0, type="text_delta", text="Hi")]


@BOTH
def test_a_cut_stream_is_closed_in_the_client_s_protocol(client: WireProtocol, server: WireProtocol) -> None:
    frames = {CHAT: ROLE + says("Hi"), ANTHROPIC: MESSAGE + b"".join(TEXT)}
    one = translated(client, server)
    inner = decoder(one, SSE)
    assert isinstance(inner, TranslatingDecoder)
    encoder, progress = TranslatingEncoder(inner, one.client_encoder()), Progress()
    segments = [*inner.feed(frames[server]), *inner.eof()]
    for segment in segments:
        progress.fold(inner.read(segment))
    assert not progress.complete
    closing = [BlockStop(0, 0), *_length(), StreamEnd()]
    data = joined(segments) + encoder.close(closing, progress)
    got = read(client, data)
    assert blocks_of(got) == [(BlockKind.TEXT, None, "Hi")]
    assert ([finish.reason for finish in got.finished.values()], got.ended) == ([FinishReason.LENGTH], True)
    assert encoder.close((), progress) == b""
    assert encoder.heartbeat() == client.encoder(asks(client)).heartbeat()


def _length() -> list[Any]:
    progress = Progress()
    progress.fold(CHAT.decoder(asks(CHAT), SSE).read(_segment(finishes("length"))))
    return list(progress.finished.values())


def _segment(raw: bytes) -> Any:
    (segment,) = CHAT.decoder(asks(CHAT), SSE).feed(raw)
    return segment


def test_half_a_call_that_is_called_done_is_an_error_for_the_client() -> None:
    data = ROLE + calls("", "weather") + calls('{"city') + finishes("tool_calls") + DONE
    got = read(ANTHROPIC, streamed(translated(ANTHROPIC, CHAT), data))
    assert got.error is not None
    assert "weather" in got.error.message
    assert not got.finished


def test_the_frames_of_messages_are_in_their_order() -> None:
    """The grammar of Messages: no block inside another, whatever order a chat had."""
    data = ROLE + says("Let me see") + calls("", "weather") + calls("{}") + finishes("tool_calls") + DONE
    got = read(ANTHROPIC, streamed(translated(ANTHROPIC, CHAT), data))
    assert [kind for kind, *_ in blocks_of(got)] == [BlockKind.TEXT, BlockKind.TOOL]
    assert [finish.native for finish in got.finished.values()] == ["tool_use"]


# -- errors -------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("client", "server", "frame", "kind"),
    [
        (ANTHROPIC, CHAT, error_chunk("busy", type="server_error", code="overloaded"), "overloaded_error"),
        (ANTHROPIC, CHAT, error_chunk("slow", code="rate_limit_exceeded"), "rate_limit_error"),
        (CHAT, ANTHROPIC, message_error("overloaded_error", "busy"), None),
    ],
)
def test_an_error_in_the_stream_is_one_that_the_client_raises_on(
    client: WireProtocol, server: WireProtocol, frame: bytes, kind: str | None
) -> None:
    opening = {CHAT: ROLE + says("Hi"), ANTHROPIC: MESSAGE + b"".join(TEXT)}[server]
    got = read(client, streamed(translated(client, server), opening + frame))
    assert got.error is not None
    assert got.error.message in ("busy", "slow")
    assert kind in (None, got.error.type)
    assert not got.ended


def test_decisions_read_the_provider_s_own_words_of_an_error() -> None:
    one = decoder(translated(CHAT, ANTHROPIC), SSE)
    parts = [
        part for segment in one.feed(message_error("overloaded_error", "busy")) for part in one.read(segment)
    ]
    assert parts == [StreamError("overloaded_error", "busy")]


@pytest.mark.parametrize(
    ("client", "server", "status", "body", "kind"),
    [
        (ANTHROPIC, CHAT, 429, error_body("slow", "rate_limit_exceeded"), "rate_limit_error"),
        (ANTHROPIC, CHAT, 401, error_body("bad key", "invalid_api_key"), "authentication_error"),
        (ANTHROPIC, CHAT, 503, b"<html>", "overloaded_error"),
        (
            CHAT,
            ANTHROPIC,
            529,
            b'{"type":"error","error":{"type":"overloaded_error","message":"busy"}}',
            None,
        ),
        (CHAT, ANTHROPIC, 413, b'{"type":"error","error":{"type":"request_too_large","message":"x"}}', None),
    ],
)
def test_a_rejection_keeps_its_status_and_says_it_in_the_client_s_words(
    client: WireProtocol, server: WireProtocol, status: int, body: bytes, kind: str | None
) -> None:
    headers = (("Retry-After", "7"), ("X-Request-Id", "r1"), ("Set-Cookie", "a=b"))
    found = translated(client, server).error(WireResponse(status, headers, body, "Oh"))
    assert (found.status, found.reason) == (status, "Oh")
    assert (header(found.headers, "retry-after"), header(found.headers, "x-request-id")) == ("7", "r1")
    assert header(found.headers, "set-cookie") is None
    said = load_object(found.body)
    assert said is not None
    error = said["error"]
    assert isinstance(error, Mapping)
    assert error["message"]
    assert kind in (None, error["type"])
    assert ("type" in said) is (client is ANTHROPIC)


@BOTH
def test_an_error_before_anything_shows_is_an_answer_with_its_status(
    client: WireProtocol, server: WireProtocol
) -> None:
    found = translated(client, server).error_response(StreamError("overloaded_error", "busy"), 529)
    assert found.status == 529
    assert b"busy" in found.body


# -- whole answers ------------------------------------------------------------------------------------


@BOTH
@pytest.mark.parametrize("size", [1 << 20, 5])
def test_a_whole_answer_says_the_same(client: WireProtocol, server: WireProtocol, size: int) -> None:
    data = WHOLE[server]
    one = translated(client, server, stream=False)
    found = decoder(one, JSON)
    assert isinstance(found, WholeTranslator)
    assert [found.feed(data[at : at + size]) for at in range(0, len(data), size)].count(()) > 0
    (segment,) = found.eof()
    assert (segment.last, found.eof()) == (True, ())
    before, after = read(server, data, JSON), read(client, segment.raw, JSON)
    assert blocks_of(after) == blocks_of(before)
    assert [one.reason for one in after.finished.values()] == [one.reason for one in before.finished.values()]
    body = load_object(segment.raw)
    assert body is not None
    assert body["model"] == "asked-for"


_MESSAGE: dict[str, object] = {"role": "assistant", "content": "Hi"}
_CHOICE = {"index": 0, "message": _MESSAGE, "finish_reason": "stop"}
WHOLE = {
    CHAT: dump(
        {
            "id": "c1",
            "object": "chat.completion",
            "created": 7,
            "model": "served",
            "choices": [_CHOICE],
            "usage": {"prompt_tokens": 3, "completion_tokens": 2, "total_tokens": 5},
        }
    ),
    ANTHROPIC: dump(
        {
            "id": "m1",
            "type": "message",
            "role": "assistant",
            "model": "served",
            "content": [{"type": "text", "text": "Hi"}],
            "stop_reason": "end_turn",
            "usage": {"input_tokens": 3, "output_tokens": 2},
        }
    ),
}


@BOTH
@pytest.mark.parametrize("body", [b"<html>", b'{"error": {"type": "api_error", "message": "no"}}'])
def test_a_whole_answer_that_is_none_shows_nothing(
    client: WireProtocol, server: WireProtocol, body: bytes
) -> None:
    found = decoder(translated(client, server, stream=False), JSON)
    found.feed(body)
    (segment,) = found.eof()
    assert (segment.raw, segment.last) == (b"", False)
    assert segment.parts


@BOTH
def test_no_answer_at_all_is_no_segment(client: WireProtocol, server: WireProtocol) -> None:
    assert decoder(translated(client, server, stream=False), JSON).eof() == ()


@BOTH
@pytest.mark.parametrize("stream", [True, False])
def test_the_head_is_the_client_s_with_what_is_about_the_call(
    client: WireProtocol, server: WireProtocol, stream: bool
) -> None:
    head = Head(200, (("Content-Type", "x/y"), ("Request-Id", "r1"), ("Server", "cloud")))
    found = translated(client, server, stream=stream).head(head)
    kind = "text/event-stream" if stream else "application/json"
    assert (header(found.headers, "content-type") or "").startswith(kind)
    assert header(found.headers, "request-id") == "r1"
    assert header(found.headers, "server") is None


# -- signatures --------------------------------------------------------------------------------------------

SIGNED = (
    block(0, "thinking", thinking="", signature=""),
    delta(0, type="thinking_delta", thinking="hm"),
    delta(0, type="signature_delta", signature="c2ln"),
)


def signatures(progress: Progress) -> list[Signature]:
    return [block.stop.signature for block in progress.blocks.values() if block.stop and block.stop.signature]


def test_a_signature_reaches_the_client_in_a_carrier_that_names_its_maker() -> None:
    one = decoder(translated(CHAT, ANTHROPIC, provider="maker"), SSE)
    data = (
        MESSAGE
        + b"".join(SIGNED)
        + b'event: content_block_stop\ndata: {"type":"content_block_stop","index":0}\n\n'
    )
    raw = b"".join(segment.raw for segment in one.feed(data))
    assert wrapped(Signature("signature", "c2ln"), "maker").value.encode() in raw
    assert b'"c2ln"' not in raw


def replayed(provider: str, signature: Signature) -> Translation:
    """A chat client sends back the reasoning of a former answer."""
    message = _answer_of(signature)
    return translated(CHAT, ANTHROPIC, provider, messages=[*MESSAGES, message, *MESSAGES])


def _answer_of(signature: Signature) -> Mapping[str, object]:
    """The message that a chat client keeps of an answer with `signature`."""
    body = load_object(WHOLE[ANTHROPIC])
    assert body is not None
    thinking = {"type": "thinking", "thinking": "hm", "signature": signature.value}
    data = dump({**body, "content": [thinking, {"type": "text", "text": "Hello"}]})
    one = decoder(translated(CHAT, ANTHROPIC, "maker", stream=False), JSON)
    one.feed(data)
    (segment,) = one.eof()
    answer = load_object(segment.raw)
    assert answer is not None
    (choice,) = _list(answer["choices"])
    message = choice["message"]
    assert isinstance(message, Mapping)
    return message


def _list(value: object) -> Iterable[Mapping[str, object]]:
    assert isinstance(value, list)
    return value


def test_a_signature_goes_back_to_its_own_maker_as_it_was() -> None:
    one = replayed("maker", Signature("signature", "c2ln"))
    assert b'"signature":"c2ln"' in dump(one.rendered.body).replace(b'": "', b'":"')
    assert "reasoning" not in [loss.field for loss in one.losses]


def test_a_signature_never_goes_to_another_provider() -> None:
    one = replayed("another", Signature("signature", "c2ln"))
    body = dump(one.rendered.body)
    assert b"c2ln" not in body
    assert wrapped(Signature("signature", "c2ln"), "maker").value.encode() not in body
    assert "reasoning" in [loss.field for loss in one.losses]


def test_in_its_own_protocol_a_client_s_request_has_no_carrier_left() -> None:
    """Another provider of the client's own protocol would refuse what it did not sign."""
    message = _answer_of(Signature("signature", "c2ln"))
    call = asks(CHAT, messages=[*MESSAGES, message])
    kept = dump(CHAT.editor.own_signatures(call.body, Returning("own", native=True)))
    assert wrapped(Signature("signature", "c2ln"), "maker").value.encode() not in kept
    assert b"Hello" in kept
    plain = asks(CHAT)
    assert CHAT.editor.own_signatures(plain.body, Returning("own", native=True)) is plain.body


def test_what_a_client_reads_of_a_signature_can_be_taken_apart() -> None:
    message = dump(_answer_of(Signature("signature", "c2ln"))).decode()
    mark = wrapped(Signature("signature", "c2ln"), "maker").value
    assert mark in message
    assert unwrapped(mark) == ("maker", Signature("signature", "c2ln"))


def test_a_chunk_of_nothing_but_usage_closes_nothing() -> None:
    data = ROLE + says("Hi") + chunk({}, finish="stop")
    assert read(ANTHROPIC, streamed(translated(ANTHROPIC, CHAT), data + DONE)).ended


def test_how_hard_to_think_is_lost_on_a_model_that_does_not() -> None:
    call = ask("openai_chat", reasoning_effort="high")
    for name in ("anthropic_messages", "openai_responses", "gemini_generate"):
        where = Destination("elsewhere", "m", thinking="none")
        found = translation(call, REGISTRY["openai_chat"], REGISTRY[name], where, REPLY)
        assert [loss.field for loss in found.losses].count("thinking") == 1

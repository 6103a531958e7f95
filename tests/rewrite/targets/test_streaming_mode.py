"""Whole answers written as streams: what is read of the stream is what the answer said."""

from dataclasses import replace
from pathlib import Path

import pytest

from protocols.base import WireProtocol
from protocols.model.call import Call, Operation, Reply
from protocols.model.http import Head, header
from protocols.model.parts import BlockKind, FinishReason
from protocols.model.progress import Progress
from protocols.model.wirejson import dump, load_object
from protocols.registry import discover
from rewrite.targets.streaming_mode import OtherMode
from tests.contract import JSON, Sample, samples
from tests.oracle import protocol_of, recorded
from tests.rewrite.scenes import CHAT, SSE

PROTOCOLS = {protocol.name: protocol for protocol in discover()}
REPLY = Reply("rot1", "asked-for", 7)
SHOWN = (BlockKind.TEXT, BlockKind.REASONING, BlockKind.REFUSAL, BlockKind.TOOL)

each_answer = pytest.mark.parametrize(
    "data",
    [
        *(pytest.param(sample, id=str(sample)) for sample in samples("*.json")),
        *(param for name in PROTOCOLS for param in recorded(name, "*.json")),
    ],
)


def asked(protocol: WireProtocol, *, stream: bool) -> Call:
    body = {"model": "m", "stream": stream, "stream_options": {"include_usage": True}}
    target = "/v1beta/models/m:" + ("streamGenerateContent?alt=sse" if stream else "generateContent")
    return Call("call", protocol.name, Operation.GENERATE, "m", stream, (), body, target=target)


def read(protocol: WireProtocol, data: bytes, head: Head, *, stream: bool) -> Progress:
    decoder = protocol.decoder(asked(protocol, stream=stream), head)
    progress = Progress()
    progress.fold(part for each in [*decoder.feed(data), *decoder.eof()] for part in decoder.read(each))
    return progress


def written(protocol: WireProtocol, data: bytes) -> tuple[bytes, Head]:
    """The stream that a client gets for a whole answer, and its head."""
    inner = protocol.decoder(asked(protocol, stream=False), JSON)
    other = OtherMode(asked(protocol, stream=True), protocol, REPLY)
    reading = other.reading(JSON, inner, streamed=False)
    segments = [*reading.feed(data), *reading.eof()]
    return reading.pass_on(segments), reading.head


def blocks_of(progress: Progress) -> list[tuple[int, BlockKind, object]]:
    """What each choice says, by kind; each call by itself, its arguments as JSON: some have no text of it.

    Without white space: a writer of Messages has no block of it alone, since the API refuses such a one
    when it comes back.
    """
    texts: dict[tuple[int, BlockKind], str] = {}
    calls: list[tuple[int, BlockKind, object]] = []
    for (choice, _), block in sorted(progress.blocks.items(), key=lambda item: item[0]):
        if block.kind is BlockKind.TOOL:
            calls.append(
                (choice, block.kind, (block.tool_name, load_object(block.text.encode()) or block.text))
            )
        elif block.kind in SHOWN and (words := "".join(block.text.split())):
            texts[choice, block.kind] = texts.get((choice, block.kind), "") + words
    return [*((choice, kind, texts[choice, kind]) for choice, kind in sorted(texts)), *calls]


@each_answer
def test_a_whole_answer_says_the_same_as_a_stream(data: Sample | Path) -> None:
    protocol = data.protocol if isinstance(data, Sample) else PROTOCOLS[protocol_of(data)]
    body = data.data if isinstance(data, Sample) else data.read_bytes()
    whole = read(protocol, body, JSON, stream=False)
    if whole.error or not whole.blocks or whole.head is None:
        pytest.skip("no answer to write: an error, or nothing said")
    stream, head = written(protocol, body)
    found = read(protocol, stream, head, stream=True)
    assert blocks_of(found) == blocks_of(whole)
    finishes = {choice: finish.reason for choice, finish in whole.finished.items()}
    if FinishReason.ERROR in finishes.values():
        assert found.error is not None
        return
    assert found.complete
    assert found.error is None
    for choice, reason in finishes.items():
        assert found.finished[choice].reason is reason or reason is FinishReason.OTHER
    if whole.usage is not None:
        assert found.usage is not None
        assert (found.usage.input or 0, found.usage.output or 0) == (
            whole.usage.input or 0,
            whole.usage.output or 0,
        )
    assert found.head is not None
    assert (found.head.id, found.head.model) == (whole.head.id or found.head.id, whole.head.model)


def test_the_head_is_that_of_a_stream_and_keeps_the_provider_s_headers() -> None:
    headers = (("Content-Type", "application/json"), ("Content-Length", "9"), ("X-Request-Id", "r"))
    inner = CHAT.decoder(asked(CHAT, stream=False), JSON)
    head = (
        OtherMode(asked(CHAT, stream=True), CHAT, REPLY)
        .reading(Head(200, headers), inner, streamed=False)
        .head
    )
    assert header(head.headers, "content-type") == "text/event-stream; charset=utf-8"
    assert (header(head.headers, "x-request-id"), header(head.headers, "content-length")) == ("r", None)


def test_a_stream_that_comes_all_the_same_passes_as_it_is() -> None:
    data = b'data: {"choices": [{"index": 0, "delta": {"content": "Hi"}}]}\n\n'
    inner = CHAT.decoder(asked(CHAT, stream=False), SSE)
    reading = OtherMode(asked(CHAT, stream=True), CHAT, REPLY).reading(SSE, inner, streamed=True)
    assert (reading.pass_on(reading.feed(data)), reading.head) == (data, SSE)


@pytest.mark.parametrize("body", [b"<html>", dump({"error": {"message": "no"}})], ids=["page", "error"])
def test_what_is_no_answer_is_given_as_what_it_is(body: bytes) -> None:
    inner = CHAT.decoder(asked(CHAT, stream=False), JSON)
    reading = OtherMode(asked(CHAT, stream=True), CHAT, REPLY).reading(JSON, inner, streamed=False)
    (segment,) = [*reading.feed(body), *reading.eof()]
    error = reading.hold(segment)
    assert (segment.raw, reading.unparsable, error is None) == (body, body == b"<html>", body == b"<html>")
    if error is not None:
        assert reading.error_response(error, 429).status == 429


def test_signatures_go_back_in_their_own_form() -> None:
    thinking = {"type": "thinking", "thinking": "hm", "signature": "sig"}
    body = {"id": "msg_9", "type": "message", "model": "m", "content": [thinking], "stop_reason": "end_turn"}
    stream, _ = written(PROTOCOLS["anthropic_messages"], dump(body))
    assert b'"signature":"sig"' in stream
    assert b'"id":"msg_9"' in stream


def test_an_id_of_our_own_has_its_prefix_and_another_s_is_left_alone() -> None:
    assert REPLY.named("msg_") == "msg_rot1"
    assert replace(REPLY, id="msg_9", own=True).named("msg_") == "msg_9"
    assert replace(REPLY, id="", own=True).named("msg_") == "msg_"

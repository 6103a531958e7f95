"""An event that is no JSON, on its way to clients of every protocol: never passed on, never skipped."""

from dataclasses import replace

import pytest

from protocols.framing.sse import DONE, SseFramer
from protocols.model.call import Reply
from protocols.model.errors import NO_JSON
from protocols.model.parts import StreamError
from protocols.openai_chat import PROTOCOL as CHAT
from rewrite.targets.streaming_mode import OtherMode
from rewrite.values.outcome import Truncated
from tests.contract import PROTOCOLS, SSE, Sample, progress, samples
from tests.rewrite.across import answered, read
from tests.rewrite.asks import ROLES
from tests.rewrite.replay import ONCE, holding, replay
from tests.rewrite.scenes import call, own
from tests.rewrite.test_tool_arguments import chunk, streamed

STREAMS = [sample for sample in samples("text.*") if sample.framing.stream]
GARBLED = {".sse": b"event: x\ndata: {oops\n\n", ".ndjson": b"{oops\n", ".jsonarr": b",\r\n{oops}"}
FINISHED = chunk({}, "stop") + b"data: [DONE]\n\n"


def in_the_middle(sample: Sample) -> bytes:
    """After the first frame that shows a text."""
    framed = sample.segments([sample.data])
    decoder = sample.protocol.decoder(sample.call, sample.head)
    so_far = progress(())
    for at, segment in enumerate(framed, 1):
        so_far.fold(decoder.read(segment))
        if so_far.visible:
            frames = [segment.raw for segment in framed]
            garbled = GARBLED["." + sample.name.rpartition(".")[2]]
            return b"".join([*frames[:at], garbled, *frames[at:]])
    raise AssertionError(sample)


@pytest.mark.parametrize("sample", STREAMS, ids=str)
def test_within_the_protocol(sample: Sample) -> None:
    got = replay(sample.protocol, [in_the_middle(sample)], head=sample.head, call=sample.call)
    assert (got.summary.end, got.summary.attempts[0].outcome) == ("failed", Truncated(NO_JSON))
    assert b"oops" not in got.body
    said = progress(sample.parts([got.body]))
    assert (said.visible, bool(said.finished)) == (True, False)
    assert isinstance(said.error, StreamError)


@pytest.mark.parametrize("client", [*ROLES, "ollama_chat"])
@pytest.mark.parametrize("sample", [each for each in STREAMS if each.name == "text.sse"], ids=str)
def test_across_protocols(sample: Sample, client: str) -> None:
    """What it said is missing in the translation, so that the answer is not complete."""
    if client == sample.protocol.name:
        return
    got = answered(client, sample.protocol.name, in_the_middle(sample), sample.head)
    assert got.summary.end == "failed"
    head = replace(SSE, headers=(("content-type", "application/x-ndjson"),)) if "ollama" in client else SSE
    assert read(client, got.body, head).error is not None


@pytest.mark.parametrize("client", ["anthropic_messages", "gemini_generate"])
def test_gathered_for_a_client_of_whole_answers(client: str) -> None:
    data = chunk({"content": "Hi"}) + GARBLED[".sse"] + FINISHED
    got = answered(client, "openai_chat", data, SSE, stream=False)
    assert got.summary.end != "completed"


def test_gathered_within_the_protocol() -> None:
    asked = call(CHAT, stream=False)
    target = own(
        CHAT.editor.with_stream(asked, True), CHAT, other_mode=OtherMode(asked, CHAT, Reply("r", "m", 0))
    )
    data = chunk({"content": "Hi"}) + GARBLED[".sse"] + FINISHED
    got = replay(CHAT, [data], terms=replace(target, terms=ONCE), call=asked)
    assert got.summary.end != "completed"


def test_after_a_call_that_is_held() -> None:
    got = replay(CHAT, [chunk({"content": "Hi"}) + GARBLED[".sse"] + streamed({})], terms=holding(CHAT))
    assert (got.summary.end, b"oops" in got.body) == ("failed", False)


@pytest.mark.parametrize("blank", [b"\n", b"\r\n", b" \n"])
def test_a_blank_line_is_no_line_of_ollamas(blank: bytes) -> None:
    """Measured: its Python client raises on one; a provider's heartbeat may be one."""
    (sample,) = (each for each in STREAMS if each.name == "text.ndjson")
    data = blank + sample.data.replace(b"\n", b"\n" + blank)
    got = replay(sample.protocol, [data], head=sample.head, call=sample.call)
    assert (got.summary.end, got.body) == ("completed", sample.data)


@pytest.mark.parametrize(
    ("raw", "broken"),
    [
        (b'data: {"a":1}\n\n', False),
        (b'event: x\r\ndata: {"a":1}\r\n\r\n', False),
        (b'data: {"a":1}\nevent: x\n\n', False),
        (b'data: {"a":\ndata: 1}\n\n', False),
        (b'data: {"a":1}\ndata: {"b":1}\n\n', False),
        (b"data: [DONE]\n\n", False),
        (b"data: 1\n\n", False),
        (b"event: ping\n\n", True),
        (b": a comment\nretry: 3000\n\n", True),
        (b"id: 1\r\n\r\n", True),
        (b"retry: 3000\n\n", True),
        (b"garbage: event:\n\n", False),
        (b": {oops\n\n", False),
        (b'data: {"a":1}}\n\n', True),
        (b'data: {"a":1\n\n', True),
        (b'data: {"a":nope}\n\n', True),
        (b'event: x\ndata: {"a":1}{"b":1}\n\n', True),
        (b"data: <html>\n\n", True),
        (b"data:\n\n", True),
    ],
)
def test_what_is_no_json(raw: bytes, broken: bool) -> None:
    (segment,) = SseFramer(DONE).feed(raw)
    assert segment.broken == broken
    assert segment.garbled == (broken and b"data: " in raw)


def test_every_protocol_that_streams_is_tried() -> None:
    assert {sample.protocol for sample in STREAMS} == set(PROTOCOLS)

"""What providers really streamed, put together: the whole answer says what the stream said."""

from pathlib import Path

import pytest

from protocols.base import Decoder, WireProtocol, editor_of
from protocols.model.call import Call, Operation
from protocols.model.errors import MalformedStream
from protocols.model.http import Head
from protocols.model.parts import BlockKind, FinishReason
from protocols.model.progress import Progress
from protocols.model.wirejson import load_object
from protocols.registry import discover
from protocols.shared.arguments import within
from rewrite.translation.aggregate import AggregatingDecoder
from tests.contract import JSON, NDJSON, SSE
from tests.oracle import protocol_of, recorded
from tests.rewrite.replay import chunked

PROTOCOLS = {protocol.name: protocol for protocol in discover()}
SIZES = (1009, 1 << 20)
"""Bytes in a piece: a prime, so that pieces end anywhere; and all at once."""

ABRIDGED = {"vercel-openai-phase.1.sse", "vercel-programmatic-tool-calling.1.sse"}
"""Streams that lack some of their deltas; the whole text is in the last event."""

HALF_A_CALL = "sdkpy-incomplete-partial-json-response.sse"
"""Its tool call ends in the middle of the arguments, at the limit of tokens: it is left out."""

NO_JSON_IN_IT = "vercel-parallel-tool-call-wrapper.1.sse"
"""Its first event is none that a client could read."""

MODEL_PATH = "/v1beta/models/m"
STREAMS = [p for name in PROTOCOLS for p in recorded(name, "*.ndjson" if name == "ollama_chat" else "*.sse")]
each_stream = pytest.mark.parametrize("file", [p for p in STREAMS if NO_JSON_IN_IT not in str(p.id)])


def asked(protocol: WireProtocol, *, stream: bool) -> Call:
    whole = Call("call", protocol.name, Operation.GENERATE, "m", False, (), {"model": "m"})
    if protocol.name == "gemini_generate":
        whole = Call(
            "call", protocol.name, Operation.GENERATE, "m", False, (), target=f"{MODEL_PATH}:generateContent"
        )
    return editor_of(protocol).with_stream(whole, True) if stream else whole


def decoders(protocol: WireProtocol, head: Head) -> tuple[AggregatingDecoder, Decoder]:
    """What gathers a stream, and what reads a whole answer."""
    whole = protocol.decoder(asked(protocol, stream=False), JSON)
    inner = protocol.decoder(asked(protocol, stream=True), head)
    return AggregatingDecoder(inner, editor_of(protocol).fold(), whole), whole


def gathered(
    protocol: WireProtocol, head: Head, data: bytes, size: int
) -> tuple[AggregatingDecoder, list[bytes]]:
    decoder, _ = decoders(protocol, head)
    found = [segment for piece in chunked(data, size) for segment in decoder.feed(piece)]
    return decoder, [segment.raw for segment in [*found, *decoder.eof()] if segment.raw]


def read(protocol: WireProtocol, body: bytes) -> Progress:
    decoder = protocol.decoder(asked(protocol, stream=False), JSON)
    decoder.feed(body)
    progress = Progress()
    progress.fold([part for segment in decoder.eof() for part in decoder.read(segment)])
    return progress


def said(progress: Progress, kind: BlockKind) -> dict[int, str]:
    """The text of one kind, by choice."""
    found: dict[int, str] = {}
    for (choice, _), block in sorted(progress.blocks.items(), key=lambda item: item[0]):
        if block.kind is kind:
            found[choice] = found.get(choice, "") + block.text
    return {choice: text for choice, text in found.items() if text}


def calls(progress: Progress) -> list[tuple[int, str | None, str | None, object]]:
    """What a call asks for is compared as JSON: whole answers of some protocols have it as an object, and
    nothing is an empty one."""
    return [
        (
            choice,
            block.start.tool_id,
            block.start.tool_name,
            _asked(block.text),
        )
        for (choice, _), block in sorted(progress.blocks.items(), key=lambda item: item[0])
        if block.kind is BlockKind.TOOL
    ]


def _asked(text: str) -> object:
    return load_object(within(text).encode()) or within(text)


def sources(progress: Progress) -> list[str]:
    return [each.url for block in progress.blocks.values() for each in block.annotations]


def signatures(progress: Progress) -> list[str]:
    """The forms of what is to be given back. Responses signs it once more in its last event."""
    stops = [block.stop for block in progress.blocks.values() if block.stop]
    return [stop.signature.form for stop in stops if stop.signature and stop.signature.value]


@each_stream
def test_a_recorded_stream_says_the_same_as_one_answer(file: Path) -> None:
    protocol, head = PROTOCOLS[protocol_of(file)], NDJSON if file.suffix == ".ndjson" else SSE
    decoder, bodies = gathered(protocol, head, file.read_bytes(), SIZES[0])
    streamed = decoder.progress
    if streamed.error or not streamed.complete:
        assert bodies == []
        return
    (body,) = bodies
    whole = read(protocol, body)
    for kind in (BlockKind.TEXT, BlockKind.REASONING, BlockKind.REFUSAL):
        if file.name not in ABRIDGED:
            assert said(whole, kind) == said(streamed, kind)
    if file.name != HALF_A_CALL:
        assert calls(whole) == calls(streamed)
    assert sources(whole)[: len(sources(streamed))] == sources(streamed)
    assert signatures(whole)[: len(signatures(streamed))] == signatures(streamed)
    assert whole.usage == streamed.usage
    assert whole.complete
    assert whole.error is None
    for choice, finish in streamed.finished.items():
        assert whole.finished[choice] == finish
    for choice in whole.finished.keys() - streamed.finished.keys():
        assert whole.finished[choice].reason in (FinishReason.STOP, FinishReason.TOOL_CALLS)


@pytest.mark.parametrize("file", [p for p in STREAMS if NO_JSON_IN_IT in str(p.id)])
def test_a_recorded_stream_with_an_event_that_is_no_json_is_none(file: Path) -> None:
    with pytest.raises(MalformedStream, match="no JSON"):
        gathered(PROTOCOLS[protocol_of(file)], SSE, file.read_bytes(), SIZES[0])


@each_stream
def test_it_is_the_same_however_it_is_cut_into_pieces(file: Path) -> None:
    protocol, head = PROTOCOLS[protocol_of(file)], NDJSON if file.suffix == ".ndjson" else SSE
    data = file.read_bytes()
    first, other = (gathered(protocol, head, data, size)[1] for size in SIZES)
    assert first == other


@each_stream
def test_a_recorded_stream_that_is_cut_is_none(file: Path) -> None:
    """Half of it; what came of it says that it is not all."""
    protocol, head = PROTOCOLS[protocol_of(file)], NDJSON if file.suffix == ".ndjson" else SSE
    data = file.read_bytes()
    decoder, bodies = gathered(protocol, head, data[: len(data) // 2], SIZES[0])
    assert bool(bodies) == (decoder.progress.complete and not decoder.progress.error)
    part = decoder.partial()
    if bodies or part is None or decoder.progress.error:
        return
    finished = read(protocol, part.raw).finished
    cut = finished.keys() - decoder.progress.finished.keys()
    assert cut
    assert {finished[choice].reason for choice in cut} == {FinishReason.LENGTH}

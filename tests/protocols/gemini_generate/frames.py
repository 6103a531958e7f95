"""Calls, chunks and streams of the protocol for its tests."""

from collections.abc import Mapping, Sequence

from protocols.gemini_generate import PROTOCOL
from protocols.model.call import Call, Operation, Reply
from protocols.model.http import Head, WireRequest
from protocols.model.parts import BlockKind, ChoiceStart, MessageStart, Ping, StreamPart
from protocols.model.progress import Progress
from protocols.model.wirejson import dump
from tests.contract import SSE, progress, samples

STREAM = "/v1beta/models/m:streamGenerateContent"
EVENTS = STREAM + "?alt=sse"
WHOLE = "/v1beta/models/m:generateContent"
INTERNAL = "/v1internal:streamGenerateContent"
REPLY = Reply("r1", "sample-1", 1_700_000_000)
TEXT, REASONING, TOOL = BlockKind.TEXT, BlockKind.REASONING, BlockKind.TOOL
MEDIA, HOSTED = BlockKind.MEDIA, BlockKind.HOSTED


def call(body: Mapping[str, object] | None = None, target: str = EVENTS) -> Call:
    request = WireRequest("POST", target, (), dump(body or {}))
    return PROTOCOL.parse("id", Operation.GENERATE, request)


def event(value: object) -> bytes:
    return b"data: " + dump(value) + b"\r\n\r\n"


def chunk(*parts: Mapping[str, object], finish: str | None = None, **candidate: object) -> dict[str, object]:
    ending = {"finishReason": finish} if finish else {}
    return {"candidates": [{"content": {"parts": [*parts], "role": "model"}, **ending, **candidate}]}


def text(words: str, **more: object) -> dict[str, object]:
    return {"text": words, **more}


def calls(**function: object) -> dict[str, object]:
    return {"functionCall": function}


def decoded(data: bytes, head: Head = SSE, target: str = EVENTS) -> list[StreamPart]:
    decoder = PROTOCOL.decoder(call(target=target), head)
    framed = [*decoder.feed(data), *decoder.eof()]
    return [part for segment in framed for part in decoder.read(segment)]


def read(*chunks: object) -> list[StreamPart]:
    """The parts of a stream of events, without those that open it and without what only shows life."""
    found = decoded(b"".join(map(event, chunks)))
    return [part for part in found if not isinstance(part, MessageStart | ChoiceStart | Ping)]


def folded(data: bytes, head: Head = SSE, target: str = EVENTS) -> Progress:
    return progress(decoded(data, head, target))


def fixture(name: str) -> list[StreamPart]:
    (sample,) = (each for each in samples(name) if each.protocol is PROTOCOL)
    return sample.parts([sample.data])


def said(found: Progress, kind: BlockKind) -> list[str]:
    return [block.text for block in found.blocks.values() if block.kind is kind]


def blocks(found: Progress) -> Sequence[tuple[object, ...]]:
    """All that a client could see of the blocks, in order."""
    return [
        (
            key[0],
            block.kind,
            block.start.tool_id,
            block.tool_name,
            block.text,
            _payload(block.start.payload),
            signature,
        )
        for key, block in sorted(found.blocks.items())
        for signature in [block.stop.signature if block.stop else "open"]
    ]


def _payload(payload: Mapping[str, object] | None) -> object:
    return None if payload is None else dict(payload)

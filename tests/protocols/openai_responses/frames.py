"""Events of the protocol for tests, framed as its provider frames them."""

from collections.abc import Sequence

from protocols.model.call import Call, Operation
from protocols.model.parts import BlockDelta, BlockKind, BlockStart, BlockStop, StreamPart
from protocols.model.progress import Progress
from protocols.model.wirejson import JsonObject, dump
from protocols.openai_responses import PROTOCOL
from tests.contract import SSE, parts, progress, samples

RESPONSE: JsonObject = {"id": "resp_1", "object": "response", "model": "m", "status": "in_progress"}


def call(body: JsonObject, *, stream: bool = False) -> Call:
    model = body.get("model")
    name = model if isinstance(model, str) else None
    return Call("id", PROTOCOL.name, Operation.GENERATE, name, stream, (), body)


def event(kind: str, **fields: object) -> bytes:
    """One event; `response.` is left out of `kind`."""
    name = kind if kind in ("error", "keepalive") else f"response.{kind}"
    return f"event: {name}\n".encode() + b"data: " + dump({"type": name, **fields}) + b"\n\n"


CREATED = event("created", response=RESPONSE)


def added(index: int, item: JsonObject) -> bytes:
    return event("output_item.added", output_index=index, item=item)


def done(index: int, item: JsonObject) -> bytes:
    return event("output_item.done", output_index=index, item=item)


def ends(status: str, **fields: object) -> bytes:
    return event(status, response={**RESPONSE, "status": status, **fields})


def read(*frames: bytes) -> list[StreamPart]:
    """The parts of a stream that `CREATED` opens, without the two that it gives."""
    return parts(PROTOCOL, SSE, [CREATED, *frames])[2:]


def fixture(name: str) -> list[StreamPart]:
    (sample,) = (each for each in samples(name) if each.protocol is PROTOCOL)
    return parts(PROTOCOL, sample.head, [sample.data])


def fixture_bytes(name: str) -> bytes:
    (sample,) = (each for each in samples(name) if each.protocol is PROTOCOL)
    return sample.data


def block(index: int, kind: BlockKind, *texts: str, **start: object) -> list[StreamPart]:
    """A whole block of these deltas."""
    opening = BlockStart(0, index, kind, **start)  # type: ignore[arg-type]
    return [opening, *(BlockDelta(0, index, kind, text) for text in texts), BlockStop(0, index)]


def blocks_of(found: Sequence[StreamPart]) -> list[tuple[BlockKind, str | None, str | None, str]]:
    """What the blocks of an answer come to: kind, tool's id and name, text; without the provider's tools."""
    blocks = progress(found).blocks.values()
    return [
        (each.kind, each.start.tool_id, each.tool_name, each.text)
        for each in blocks
        if each.kind is not BlockKind.HOSTED
    ]


def folded(found: Sequence[StreamPart]) -> Progress:
    return progress(found)

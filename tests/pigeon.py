"""A protocol that is only passed on: the first facet of the seam, and nothing more.

A stream is a JSON object to a line, `{"text"}` each, the last `{"end"}`; an error is `{"error"}`.
"""

import re
from collections.abc import Sequence
from dataclasses import replace

from protocols.base import Decoder, Encoder
from protocols.framing.ndjson import LineDecoder, write_line
from protocols.model.call import Call, Operation
from protocols.model.errors import Fault
from protocols.model.http import Head, WireRequest, WireResponse
from protocols.model.parts import (
    BlockDelta,
    BlockKind,
    BlockStart,
    BlockStop,
    ChoiceStart,
    Finish,
    FinishReason,
    MessageStart,
    StreamEnd,
    StreamError,
    StreamPart,
)
from protocols.model.progress import Progress
from protocols.model.wirejson import JsonObject, error_answer, json_call, text_at

_OPENING = (MessageStart("", ""), ChoiceStart(0), BlockStart(0, 0, BlockKind.TEXT))
_REASONS = {"stop": FinishReason.STOP, "length": FinishReason.LENGTH}


class PigeonEncoder(Encoder):
    content_type = "application/x-pigeon"

    def close(self, parts: Sequence[StreamPart], progress: Progress, *, begun: bool = False) -> bytes:
        return b"".join(line for part in parts for line in _closing(part))

    def heartbeat(self) -> bytes:
        return b""


def _closing(part: StreamPart) -> Sequence[bytes]:
    match part:
        case Finish(reason=reason):
            return (write_line({"end": reason.value}),)
        case StreamError(message=message):
            return (write_line({"error": message}),)
        case _:
            return ()


class Pigeon:
    name = "pigeon"
    aliases: tuple[str, ...] = ()
    opens_with_lifecycle = False
    translator = None
    editor = None

    def match(self, method: str, path: str) -> Operation | None:
        return Operation.GENERATE if (method, path) == ("POST", "/coo") else None

    def parse(self, call_id: str, operation: Operation, request: WireRequest) -> Call:
        call = json_call(self.name, call_id, operation, request)
        return replace(call, stream=call.body.get("whole") is not True)

    def decoder(self, call: Call, head: Head) -> Decoder:
        return LineDecoder(re.compile(b'"end"'), PigeonReader().read)

    def encoder(self, call: Call) -> PigeonEncoder:
        return PigeonEncoder()

    def error(self, fault: Fault) -> WireResponse:
        return error_answer(fault, {"error": fault.message})


class PigeonReader:
    """Its text is one block."""

    def __init__(self) -> None:
        self._begun = False

    def read(self, line: JsonObject) -> Sequence[StreamPart]:
        if error := text_at(line, "error"):
            return (StreamError("error", error, native=True),)
        begun, self._begun = self._begun, True
        opening = () if begun else _OPENING
        if end := text_at(line, "end"):
            finish = Finish(0, _REASONS.get(end, FinishReason.OTHER), end)
            return (*opening, BlockStop(0, 0), finish, StreamEnd())
        return (*opening, BlockDelta(0, 0, BlockKind.TEXT, text_at(line, "text")))


PROTOCOL = Pigeon()

"""An answer that is not streamed: its whole body is one segment, given at the end of input."""

from collections.abc import Callable, Sequence

from protocols.model.parts import Opaque, StreamEnd, StreamPart
from protocols.model.segment import Segment
from protocols.model.wirejson import JsonObject, is_json, load_object


class WholeDecoder:
    """Collects the body; `read` parses it once. A body that is not JSON reads as Opaque.

    Any other JSON is an answer too: some providers list their models as a bare array.
    """

    def __init__(self, read: Callable[[JsonObject], Sequence[StreamPart]]) -> None:
        self._chunks: list[bytes] = []
        self._read = read

    def feed(self, data: bytes) -> Sequence[Segment]:
        self._chunks.append(data)
        return ()

    def eof(self) -> Sequence[Segment]:
        body = self.remainder()
        self._chunks.clear()
        return (Segment(body),) if body else ()

    def read(self, segment: Segment) -> Sequence[StreamPart]:
        body = load_object(segment.raw)
        if body is not None:
            return self._read(body)
        return (StreamEnd(),) if is_json(segment.raw) else (Opaque(segment.raw),)

    def remainder(self) -> bytes:
        return b"".join(self._chunks)

"""The seam between wire formats and decisions: what crosses the edge, and what a protocol must do.

A protocol is four small things: it recognises its operations by path (`match`), reads what decisions
need of a request (`parse`), makes a decoder and an encoder for one answer, and writes an error in the
shape that its clients raise on. Framing (SSE, whole body) belongs to decoder and encoder.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from enum import Enum, StrEnum
from typing import Protocol

from protocols.parts import Progress, StreamPart

type Headers = tuple[tuple[str, str], ...]
"""Ordered name and value pairs, names in their own case; compared case-insensitively by `header`."""


def header(headers: Headers, name: str) -> str | None:
    """The first value of `name` (any case), or None."""
    wanted = name.lower()
    return next((value for key, value in headers if key.lower() == wanted), None)


@dataclass(frozen=True, slots=True)
class WireRequest:
    """A request as it crosses the edge. `url` is absolute; `body` is the bytes on the wire."""

    method: str
    url: str
    headers: Headers
    body: bytes = b""


@dataclass(frozen=True, slots=True)
class WireResponse:
    """A whole answer as it crosses the edge; `reason` is the HTTP/1 phrase, empty where there is none."""

    status: int
    headers: Headers
    body: bytes = b""
    reason: str = ""


@dataclass(frozen=True, slots=True)
class Head:
    """Status and headers of an answer whose body is still to come."""

    status: int
    headers: Headers
    reason: str = ""


class Operation(StrEnum):
    """What a recognised path does. Only these are ever answered by us; all other paths pass through."""

    GENERATE = "generate"
    COUNT_TOKENS = "count_tokens"
    EMBEDDINGS = "embeddings"
    MODELS = "models"


class Reasoning(Enum):
    """Whether the request itself says that the model will think before it speaks."""

    ON = "on"
    OFF = "off"
    UNSAID = "unsaid"


@dataclass(frozen=True, slots=True)
class Call:
    """One recognised call of a client.

    `body` is the parsed JSON object with unknown fields kept, empty when the bytes are not one (the
    provider is still asked). `session` is the conversation's explicit id. `hosted`: the request declares
    tools that the provider runs; `acting`: some of them have side effects (mcp, shell, code).
    """

    id: str
    protocol: str
    operation: Operation
    model: str | None
    stream: bool
    headers: Headers
    body: Mapping[str, object] = field(default_factory=dict)
    session: str | None = None
    reasoning: Reasoning = Reasoning.UNSAID
    hosted: bool = False
    acting: bool = False
    text_bytes: int = 0


@dataclass(frozen=True, slots=True)
class Fault:
    """An error of our own making, for `WireProtocol.error`. `retry_after` in seconds."""

    status: int
    kind: str
    message: str
    retry_after: float | None = None
    should_retry: bool = True


@dataclass(frozen=True, slots=True)
class Segment:
    """One wire unit with its separators: what an untouched stream passes on byte for byte.

    Its parts are decoded on demand, by `Decoder.read`. `last`: it looks like the protocol's final frame
    (a cheap guess, confirmed by reading it); `idle`: it looks like a keep-alive without content.
    """

    raw: bytes
    last: bool = False
    idle: bool = False


class Decoder(Protocol):
    """Bytes of one answer to segments, and segments to parts. Framing is cheap; reading parses JSON."""

    def feed(self, data: bytes) -> Sequence[Segment]:
        """Whole segments that `data` completes; the rest waits.

        Raises MalformedStream if the bytes cannot be framed.
        """
        ...

    def eof(self) -> Sequence[Segment]:
        """End of input: an event that lacks only its blank line is given whole, half an event is dropped."""
        ...

    def read(self, segment: Segment) -> Sequence[StreamPart]:
        """What a segment says. Stateful: each segment once, in order. Never raises on provider bytes."""
        ...

    def rest(self) -> bytes:
        """Bytes fed and not given out as segments."""
        ...


class Encoder(Protocol):
    """Segments and parts to the bytes that a client of the protocol reads."""

    def encode(self, segments: Sequence[Segment]) -> bytes:
        """Untouched segments, byte for byte."""
        ...

    def close(self, parts: Sequence[StreamPart], progress: Progress) -> bytes:
        """The bytes that close an answer: `parts` in the protocol's form, with the stream's own ids."""
        ...

    def heartbeat(self) -> bytes:
        """Bytes that keep a waiting client of this protocol alive; empty where none are harmless."""
        ...


class WireProtocol(Protocol):
    """One wire protocol; see the module's docstring."""

    @property
    def name(self) -> str: ...

    @property
    def aliases(self) -> Sequence[str]: ...

    @property
    def opens_with_lifecycle(self) -> bool:
        """Whether a stream begins with an event before any token, so that early silence is a fault."""
        ...

    def match(self, method: str, path: str) -> Operation | None:
        """The operation of a request, by method and exact path suffix (no query); None: not ours."""
        ...

    def parse(self, call_id: str, operation: Operation, request: WireRequest) -> Call:
        """What decisions need to know of a request; `request.body` is content-decoded.

        Raises MalformedRequest if the body is not a JSON object.
        """
        ...

    def decoder(self, call: Call, head: Head) -> Decoder: ...

    def encoder(self, call: Call) -> Encoder: ...

    def error(self, fault: Fault) -> WireResponse:
        """`fault` in the shape that clients of the protocol raise on."""
        ...

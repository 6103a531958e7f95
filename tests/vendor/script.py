"""What the fake provider is to do: an answer is a value, played once on the wire.

An answer is a `Reply` (a framed HTTP response), `Raw` bytes, an `Upgrade`, or one of the steps that need no
head: `Hang`, `Reset`, `Fin`. A reply's body is a sequence of steps, played in order; `End` is implied when
no step has ended or closed before. Steps after `End` act on the idle connection: `End(), WaitFor("x"),
Fin()` is a provider that drops a kept-alive connection when the test says so.
"""

from collections.abc import Iterable
from dataclasses import dataclass
from enum import Enum

Headers = tuple[tuple[str, str], ...]


@dataclass(frozen=True, slots=True)
class Send:
    """Body bytes, before content-encoding and framing; one chunk (or one per piece of its pace) on the
    wire."""

    data: bytes


@dataclass(frozen=True, slots=True)
class SendShort:
    """A chunk announced `missing` bytes longer than what is sent: a close then falls inside the chunk."""

    data: bytes
    missing: int = 1


@dataclass(frozen=True, slots=True)
class Stray:
    """Bytes on the wire that belong to no body: after `End`, a second answer that nobody asked for."""

    data: bytes


@dataclass(frozen=True, slots=True)
class Pause:
    """Silence of so many seconds. Tests prefer `WaitFor`."""

    seconds: float


@dataclass(frozen=True, slots=True)
class WaitFor:
    """Silence until the test calls `release(gate)`."""

    gate: str


@dataclass(frozen=True, slots=True)
class Hang:
    """Silence until the client leaves. As an answer: no head is ever sent."""


@dataclass(frozen=True, slots=True)
class Reset:
    """TCP RST (SO_LINGER 0). As an answer: before any byte of a head.

    What the client's receive buffer had no room for is lost: some megabytes, and only when it does not read.
    """


@dataclass(frozen=True, slots=True)
class Fin:
    """Close without ending the body. Over TLS `close_notify=False` leaves out the closing alert too."""

    close_notify: bool = True


@dataclass(frozen=True, slots=True)
class End:
    """The body's proper end: the last chunk, the rest of a compressed stream, or the close that ends it."""


Step = Send | SendShort | Stray | Pause | WaitFor | Hang | Reset | Fin | End


class Framing(Enum):
    """How the client learns where the body ends."""

    CHUNKED = "chunked"
    LENGTH = "content-length"
    UNTIL_CLOSE = "close"


@dataclass(frozen=True, slots=True)
class Pace:
    """Every `Send` leaves in pieces of `size` bytes (after content-encoding), `interval` seconds apart."""

    size: int = 1
    interval: float = 0.0


@dataclass(frozen=True, slots=True)
class Reply:
    """A response. `before` is played ahead of the head (WaitFor, Pause, Reset, ...).

    encoding: "" or gzip, deflate, br, zstd; each `Send` is flushed, so a cut leaves a truncated stream.
    length: what content-length declares under `Framing.LENGTH`; None declares what the steps send. A longer
    one ends with the connection closed.
    """

    status: int = 200
    headers: Headers = ()
    steps: tuple[Step, ...] = ()
    framing: Framing = Framing.CHUNKED
    encoding: str = ""
    pace: Pace | None = None
    length: int | None = None
    before: tuple[Step, ...] = ()


@dataclass(frozen=True, slots=True)
class Raw:
    """Steps whose bytes are the wire bytes, head included; then the connection is closed."""

    steps: tuple[Step, ...]


@dataclass(frozen=True, slots=True)
class Upgrade:
    """101 Switching Protocols and `said`, then every frame comes back; without a Sec-WebSocket-Key, every
    byte."""

    headers: Headers = ()
    said: bytes = b""


Answer = Reply | Raw | Upgrade | Hang | Reset | Fin


def streamed(
    events: Iterable[bytes],
    *ending: Step,
    status: int = 200,
    headers: Headers = (),
    kind: str = "text/event-stream; charset=utf-8",
) -> Reply:
    """A stream, of server-sent events unless `kind` says otherwise: one `Send` per event, then `ending`
    (nothing: a proper end)."""
    steps = (*(Send(event) for event in events), *ending)
    return Reply(status, (("content-type", kind), *headers), steps)


def whole(body: bytes | Iterable[bytes], status: int = 200, headers: Headers = ()) -> Reply:
    """A JSON answer in one piece, with its content-length."""
    data = body if isinstance(body, bytes) else b"".join(body)
    return Reply(status, (("content-type", "application/json"), *headers), (Send(data),), Framing.LENGTH)

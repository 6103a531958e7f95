"""What one side of a WebSocket may send: bounds on messages, on what compression makes of them, on fragments
and on pings; and whether it still answers.

Internals of wsproto 1.3 that this file leans on, to be checked at an upgrade: `PerMessageDeflate`:
_inbound_compressed, _inbound_is_compressible, _decompressor.
"""

import zlib
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from typing import Any

from mitmproxy.websocket import WebSocketData
from wsproto.events import BytesMessage, Event, Message, Ping, Pong, TextMessage
from wsproto.extensions import PerMessageDeflate
from wsproto.frame_protocol import CloseReason, FrameDecoder, FrameProtocol

PROXY_ENDS = "the proxy ends: connect again"
"""The reason of a close."""

LONGEST_MESSAGE = 64 << 20
"""Bytes of one message, decompressed."""

SHORT_FRAGMENTS, SHORT = 1024, 256
"""How many fragments a message may have beside one for each SHORT bytes of it."""

CONTROL_BURST, CONTROL_RATE = 100, 10.0
"""How many pings and pongs may come at once, and how many of them a second for long."""

KEPT_MESSAGES, KEPT_BYTES = 100, 4 << 20
"""How much of a WebSocket's messages stays in its flow for the inspector."""


PING_INTERVAL, MOST_SILENT = 60.0, 5
"""Seconds of silence after which the other side is pinged, and after how many of them in vain it has gone.
Patient: a client that runs a tool between two turns may not look at its socket for minutes."""


@dataclass(frozen=True, slots=True)
class TooMuch:
    """A side went past a bound; the connection is to be closed."""

    code: CloseReason
    """RFC 6455, section 7.4."""

    reason: str
    """For a reader."""


class Inbound:
    """One side's events, with each frame whole, up to what is too much."""

    def __init__(self) -> None:
        self._pieces: list[str | bytes | bytearray] = []
        self._size = self._fragments = 0
        self._control, self._counted_at = 0.0, 0.0

    def read(self, events: Iterable[Event], now: float) -> Iterator[Event | TooMuch]:
        """TooMuch comes last: nothing more is to be read after it."""
        for event in events:
            found = self._judged(event, now)
            if found is not None:
                yield found
            if isinstance(found, TooMuch):
                return

    def _judged(self, event: Event, now: float) -> Event | TooMuch | None:
        match event:
            case Message():
                return self._counted(event)
            case Ping() | Pong() if self._floods(now):
                return TooMuch(CloseReason.POLICY_VIOLATION, "too many pings")
            case _:
                return event

    def _counted(self, event: Message[Any]) -> Event | TooMuch | None:
        self._pieces.append(event.data)
        self._size += len(event.data.encode() if isinstance(event.data, str) else event.data)
        if self._size > LONGEST_MESSAGE:
            return TooMuch(CloseReason.MESSAGE_TOO_BIG, f"more than {LONGEST_MESSAGE} bytes")
        if not event.frame_finished:
            return None
        self._fragments += 1
        if self._fragments > SHORT_FRAGMENTS + self._size // SHORT:
            return TooMuch(CloseReason.POLICY_VIOLATION, "a message in too many fragments")
        return self._frame(event)

    def _frame(self, event: Message[Any]) -> Event:
        whole: Event
        if isinstance(event, TextMessage):
            whole = TextMessage("".join(map(str, self._pieces)), True, event.message_finished)
        else:
            data = b"".join(piece for piece in self._pieces if not isinstance(piece, str))
            whole = BytesMessage(data, True, event.message_finished)
        self._pieces.clear()
        if event.message_finished:
            self._size = self._fragments = 0
        return whole

    def _floods(self, now: float) -> bool:
        self._control = max(self._control - (now - self._counted_at) * CONTROL_RATE, 0.0) + 1.0
        self._counted_at = now
        return self._control > CONTROL_BURST


class Deflate(PerMessageDeflate):
    """Compression that does not fill the memory: it stops at LONGEST_MESSAGE bytes of one message."""

    def __init__(self) -> None:
        super().__init__()
        self._room = LONGEST_MESSAGE

    def frame_inbound_payload_data(
        self, proto: FrameDecoder | FrameProtocol, data: bytes
    ) -> bytes | CloseReason:
        if not (self._inbound_compressed and self._inbound_is_compressible) or self._decompressor is None:
            return data
        try:
            piece = self._decompressor.decompress(bytes(data), self._room + 1)
        except zlib.error:
            return CloseReason.INVALID_FRAME_PAYLOAD_DATA
        self._room -= len(piece)
        return piece if self._room >= 0 else CloseReason.MESSAGE_TOO_BIG

    def frame_inbound_complete(
        self, proto: FrameDecoder | FrameProtocol, fin: bool
    ) -> bytes | CloseReason | None:
        if fin and self._inbound_is_compressible:
            self._room = LONGEST_MESSAGE
        return super().frame_inbound_complete(proto, fin)


class Liveness:
    """Whether one side still answers. `heard`: it has sent anything; `passed`: an interval is over."""

    def __init__(self) -> None:
        self._silences = 0
        self._was_heard = True

    def heard(self) -> None:
        self._was_heard = True

    def passed(self) -> bool:
        """An interval has passed; whether the side was silent in it, and is to be pinged."""
        self._silences = 0 if self._was_heard else self._silences + 1
        self._was_heard = False
        return self._silences > 0

    @property
    def is_gone(self) -> bool:
        return self._silences > MOST_SILENT


def forget_old(data: WebSocketData) -> None:
    """Let the last messages stay, at least one; mitmproxy would keep all of them as long as the connection
    lives."""
    room, kept = KEPT_BYTES, 0
    for message in reversed(data.messages):
        room -= len(message.content)
        if kept and (room < 0 or kept == KEPT_MESSAGES):
            break
        kept += 1
    del data.messages[: len(data.messages) - kept]

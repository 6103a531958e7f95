"""What answers a WebSocket here: a session, which is a task. It reads and writes text messages by a Socket,
whose pushes reach the layer of the connection.

Internals of mitmproxy 12.2 that this file leans on, to be checked at an upgrade: those of `sink.py`.
"""

import asyncio
from collections import deque
from collections.abc import Callable, Coroutine, Sequence
from contextlib import suppress
from dataclasses import dataclass, field

from mitmproxy import http
from mitmproxy.connection import Client

from addons.mitm import websocket_limits
from addons.mitm.direct import Hops
from addons.mitm.sink import Push, handler_of

MOST_WAITING = 32
"""Messages that may wait for the session, of LONGEST_MESSAGE characters in all; more close the connection
(1008)."""


@dataclass(frozen=True, slots=True)
class Texts:
    """Text messages to the client, to be written as one write."""

    texts: Sequence[str]
    written: asyncio.Event
    """Set when they are."""


@dataclass(frozen=True, slots=True)
class Heartbeat:
    """A ping, which shows the client and all between that the connection lives."""


@dataclass(frozen=True, slots=True)
class Close:
    """The client is to be asked to close."""

    code: int
    """RFC 6455, section 7.4."""

    reason: str
    """For a reader."""


type Payload = Texts | Heartbeat | Close


@dataclass(slots=True)
class TextQueue:
    """What the client sent and the session has not taken."""

    texts: deque[str] = field(default_factory=deque)
    """The oldest first."""

    filled: asyncio.Event = field(default_factory=asyncio.Event)
    """Set when a text comes."""

    def has_room(self, text: str) -> bool:
        fits = sum(map(len, self.texts), len(text)) <= websocket_limits.LONGEST_MESSAGE
        return fits and len(self.texts) < MOST_WAITING

    def put(self, text: str) -> None:
        self.texts.append(text)
        self.filled.set()

    async def take(self) -> str:
        while not self.texts:
            self.filled.clear()
            await self.filled.wait()
        return self.texts.popleft()


class Socket:
    """What a session reads from and writes to. After the end nothing it does has an effect."""

    def __init__(self, flow: http.HTTPFlow, client: Client, hops: Hops, received: TextQueue) -> None:
        self._flow, self._hops, self._received = flow, hops, received
        self._handler = handler_of(client)
        self._transport = self._handler.transports.get(client)

    async def receive(self) -> str:
        """The next text message."""
        return await self._received.take()

    async def send(self, texts: Sequence[str]) -> None:
        """Send text messages; return when the client's buffer has room again.

        The push alone returns while other add-ons still look at the messages.
        """
        written = asyncio.Event()
        await self._push(Texts(texts, written))
        await written.wait()
        await self._drain()

    async def ping(self) -> None:
        await self._push(Heartbeat())

    async def close(self, code: int, reason: str) -> None:
        """Begin to close. The session is cancelled by this."""
        await self._push(Close(code, reason))

    async def _push(self, payload: Payload) -> None:
        await self._handler.server_event(Push(self._flow, payload, self._hops))

    async def _drain(self) -> None:
        if self._transport is None or self._transport.writer is None:
            return
        # The layers learn of a loss where the connection is read, and they cancel us. To cancel the reader
        # here, as ConnectionHandler.drain_writers does, could interrupt just that.
        with suppress(OSError):
            await self._transport.writer.drain()


type Session = Callable[[Socket], Coroutine[None, None, None]]

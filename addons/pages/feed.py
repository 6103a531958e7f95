"""The page that never ends: server-sent events for everybody who looks.

What is new is put together for all viewers at once, twice a second at most, and not at all while nobody
looks. A viewer that does not read is dropped; its browser comes again and gets everything again.
"""

import asyncio
import json
from collections.abc import AsyncGenerator, Callable, Iterable
from contextlib import aclosing
from dataclasses import dataclass

from addons.mitm.sink import Sink
from addons.pages.reply import GUARDS

TICK = 0.5
"""Seconds between two looks at what is new."""

MOST_VIEWERS = 50
MOST_UNSENT = 20
"""Messages that may wait for a viewer."""

PATIENCE = 15.0
"""Seconds in which a viewer has to read what was sent."""

QUIET = 15.0
"""Seconds without a message after which a comment shows that all is well."""

HEAD = {"content-type": "text/event-stream", **GUARDS}
_HEARTBEAT = b": quiet\n\n"


@dataclass(frozen=True, slots=True)
class Message:
    """One event."""

    event: str
    data: object
    """What JSON can say."""

    def encoded(self) -> bytes:
        return b"event: %s\ndata: %s\n\n" % (self.event.encode(), json.dumps(self.data).encode())


class Feed:
    """`first` gives what a new viewer needs, `changes` what is new since it was last called."""

    def __init__(
        self, first: Callable[[], Iterable[Message]], changes: Callable[[], Iterable[Message]]
    ) -> None:
        self._first, self._changes = first, changes
        self._viewers: set[asyncio.Queue[bytes | None]] = set()
        self._ticking: asyncio.Task[None] | None = None
        self._ended = False

    async def answer(self, sink: Sink) -> None:
        """A responder: write into `sink` until its client leaves, reads no more, or the proxy ends."""
        sink.start(200, b"OK", [(name.encode(), value.encode()) for name, value in HEAD.items()])
        async with aclosing(self.messages()) as messages:
            async for data in messages:
                has_room = sink.send(data)
                sink.kept.clear()  # nobody needs it in the inspector
                if not (has_room or await _drained(sink)):
                    sink.abort("the viewer does not read")
                    return
                if self._ended:
                    break
        sink.end()

    async def messages(self) -> AsyncGenerator[bytes, None]:
        """Until the viewer is dropped or the proxy ends."""
        if len(self._viewers) >= MOST_VIEWERS:
            return
        queue: asyncio.Queue[bytes | None] = asyncio.Queue()
        self._viewers.add(queue)
        self._tick()
        try:
            yield b"".join(each.encoded() for each in self._first())
            while (data := await _next(queue)) is not None:
                yield data
        finally:
            self._viewers.discard(queue)

    def close(self) -> None:
        """The proxy ends, and waits for no viewer that asks by way of it."""
        self._ended = True
        for queue in self._viewers:
            queue.put_nowait(None)
        if self._ticking is not None:
            self._ticking.cancel()

    def _tick(self) -> None:
        if self._ticking is None or self._ticking.done():
            self._ticking = asyncio.get_running_loop().create_task(self._look(), name="pages")

    async def _look(self) -> None:
        """While anybody looks."""
        while self._viewers:
            data = b"".join(each.encoded() for each in self._changes())
            for queue in self._viewers if data else ():
                _offer(queue, data)
            await asyncio.sleep(TICK)


def _offer(queue: asyncio.Queue[bytes | None], data: bytes) -> None:
    """A viewer that has so many unsent gets no more, but its end."""
    if queue.qsize() < MOST_UNSENT:
        queue.put_nowait(data)
    elif queue.qsize() == MOST_UNSENT:
        queue.put_nowait(None)


async def _drained(sink: Sink) -> bool:
    """Whether the viewer has read what was sent."""
    try:
        async with asyncio.timeout(PATIENCE):
            await sink.drained()
    except TimeoutError:
        return False
    return True


async def _next(queue: asyncio.Queue[bytes | None]) -> bytes | None:
    try:
        return await asyncio.wait_for(queue.get(), QUIET)
    except TimeoutError:
        return _HEARTBEAT

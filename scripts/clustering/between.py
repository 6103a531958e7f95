"""What stands between a proxy and the store, and can lose an answer."""

import asyncio
import threading
from contextlib import suppress
from types import TracebackType
from typing import Self

from scripts.clustering.programs import free_port

_SUBSCRIBES = b"SUBSCRIBE"


class Between:
    """Passes bytes on from its port to another one. Runs in a thread of its own."""

    def __init__(self, port: int) -> None:
        self.port, self._store = free_port(), port
        self._loop = asyncio.new_event_loop()
        self._thread = threading.Thread(target=self._loop.run_forever, name="between", daemon=True)
        self._armed = False
        self.lost = 0
        """How many answers were lost."""

    def lose_answer(self) -> None:
        """The next answer of the store to a command is lost, with its connection: the command was done."""
        self._loop.call_soon_threadsafe(setattr, self, "_armed", True)

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            theirs, ours = await asyncio.open_connection("127.0.0.1", self._store)
        except OSError:
            writer.transport.abort()
            return
        way = _Way(self)
        tasks = [asyncio.create_task(way.there(reader, ours)), asyncio.create_task(way.back(theirs, writer))]
        try:
            await asyncio.wait(tasks, return_when=asyncio.FIRST_COMPLETED)
        finally:
            for task in tasks:
                task.cancel()
            for each in (writer, ours):
                each.transport.abort()

    def takes(self) -> bool:
        """Whether this answer is the one to lose."""
        armed, self._armed = self._armed, False
        self.lost += armed
        return armed

    def __enter__(self) -> Self:
        self._thread.start()
        begun = asyncio.start_server(self._serve, "127.0.0.1", self.port)
        self._server = asyncio.run_coroutine_threadsafe(begun, self._loop).result(10)
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        asyncio.run_coroutine_threadsafe(self._close(), self._loop).result(10)
        self._loop.call_soon_threadsafe(self._loop.stop)
        self._thread.join()
        self._loop.close()

    async def _close(self) -> None:
        self._server.close()
        others = asyncio.all_tasks() - {asyncio.current_task()}
        for task in others:
            task.cancel()
        await asyncio.gather(*others, return_exceptions=True)
        await asyncio.sleep(0)  # in which the loop closes what was aborted


class _Way:
    """One connection's."""

    def __init__(self, between: Between) -> None:
        self._between = between
        self._listens = False

    async def there(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        with suppress(OSError):
            while data := await reader.read(1 << 16):
                self._listens = self._listens or _SUBSCRIBES in data.upper()
                writer.write(data)

    async def back(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        with suppress(OSError):
            while data := await reader.read(1 << 16):
                if not self._listens and self._between.takes():
                    return
                writer.write(data)

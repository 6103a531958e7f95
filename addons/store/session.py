"""One life of the two connections to the store: one for commands, one for what others changed."""

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable, Coroutine, Iterable, Sequence
from contextlib import AsyncExitStack, asynccontextmanager

from addons.store.line import LOOK, Line, StoreError, StoreLost, Wire

_PING = 6
"""Looks between two heartbeats that the second connection is asked for."""

_SUBSCRIBING = 2.0
"""Seconds in which the server has to agree to that."""

_MESSAGE = b"message"


class Session:
    """`heard` gets the messages of `channel`. `greet` does what has to be done before the store is used; the
    line is served by then. `during`: tasks of those who use it."""

    def __init__(
        self,
        line: Line,
        channel: str,
        heard: Callable[[bytes], None],
        greet: Callable[[], Awaitable[None]],
        during: Iterable[Callable[[], Coroutine[None, None, None]]],
        failed: Callable[[str, Exception], None],
    ) -> None:
        self._line, self._channel = line, channel
        self._heard, self._greet, self._during, self._failed = heard, greet, during, failed
        self._is_alive = True

    async def run(self, opened: Callable[[], Awaitable[Wire]]) -> StoreError:
        """Until it is lost; gives why."""
        try:
            async with AsyncExitStack() as stack:
                commands, changes = [await stack.enter_async_context(_closing(opened)) for _ in range(2)]
                await self._subscribe(changes)
                await self._live(commands, changes)
        except StoreError as error:
            return error
        except ExceptionGroup as group:
            return self._cause(group.exceptions)
        except Exception as error:  # noqa: BLE001  # whatever it is, it is tried again
            return self._cause([error])
        return StoreLost("it ended")

    async def _subscribe(self, changes: Wire) -> None:
        """Raises StoreError."""
        try:
            async with asyncio.timeout(_SUBSCRIBING):
                await changes.send([("SUBSCRIBE", self._channel)])
                await changes.answer()
        except TimeoutError:
            raise StoreLost("it does not answer") from None

    async def _live(self, commands: Wire, changes: Wire) -> None:
        async with asyncio.TaskGroup() as tasks:
            tasks.create_task(self._line.serve(commands))
            tasks.create_task(self._listen(changes))
            tasks.create_task(self._watch(changes))
            await self._greet()
            for task in self._during:
                tasks.create_task(task())

    def _cause(self, errors: Sequence[Exception]) -> StoreError:
        """The first thing that went wrong. What is no fault of the store is one of ours."""
        for error in errors:
            if not isinstance(error, StoreError):
                self._failed("sharing state", error)
        ours = (error for error in errors if isinstance(error, StoreError))
        return next(ours, StoreLost("an internal error"))

    async def _listen(self, changes: Wire) -> None:
        while True:
            match await changes.answer():
                case [kind, _, bytes(message)] if kind == _MESSAGE:
                    self._heard(message)
            self._is_alive = True

    async def _watch(self, changes: Wire) -> None:
        """Raises StoreLost where there are no answers."""
        looks = 0
        while True:
            await asyncio.sleep(LOOK)
            looks += 1
            if self._line.is_stuck():
                raise StoreLost("it does not answer")
            if looks % _PING == 0:
                if not self._is_alive:
                    raise StoreLost("it sends no changes")
                self._is_alive = False
                await changes.send([("PING",)])


@asynccontextmanager
async def _closing(opened: Callable[[], Awaitable[Wire]]) -> AsyncIterator[Wire]:
    wire = await opened()
    try:
        yield wire
    finally:
        await wire.close()

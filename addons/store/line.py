"""What is asked of the store over one connection, in the order of being asked for.

What comes while commands are on their way waits, and then leaves at once, as one pipeline.
"""

import asyncio
from collections import deque
from collections.abc import Callable, Iterable
from functools import partial
from typing import Protocol

from addons.store.script import Script

type Argument = str | bytes | int | float
type Words = tuple[Argument, ...]
"""A command with its arguments."""

type Answer = int | bytes | list[Answer] | None
"""As the server gives it. None is nil, which no script answers."""

LOOK = 0.5
"""Seconds between two looks at whether the store answers."""

_LOOKS = 3
"""At so many looks in a row the same commands were on their way: the store does not answer. Counted by looks:
while this process is stopped, none is made."""


_STEPS = 5
"""In so many steps an answer is waited for."""
_SLOW = 1.5
"""A step that takes so many times as long as it should is one in which this process had no time."""
_BUSY = 1.0
"""Seconds by which an answer is waited for longer at most, however busy we are."""


class StoreError(Exception):
    """No answer can be had. The text says why, and has no secret in it."""


class StoreLost(StoreError):
    """There is no connection, or it was lost meanwhile: whether the command was executed is not known."""


class Refused(StoreError):
    """The server answers with an error."""


class NotLoaded(Refused):
    """It does not know the script."""


class Wire(Protocol):
    """A connection that is open."""

    async def send(self, commands: Iterable[Words]) -> None: ...
    async def answer(self) -> Answer: ...
    async def close(self) -> None: ...


class Command:
    """One that is asked."""

    __slots__ = ("is_wanted", "script", "words")

    def __init__(self, words: Words, script: Script | None) -> None:
        self.words = words
        self.script = script
        """The one that `words` name by its hash."""
        self.is_wanted = True
        """Whether it is still to be sent."""

    def take(self, found: Answer | StoreError) -> None:
        """What came of it, once."""


class Awaited(Command):
    """One whose answer somebody awaits, or has stopped to."""

    __slots__ = ("answer",)

    def __init__(self, words: Words, script: Script | None) -> None:
        super().__init__(words, script)
        self.answer: asyncio.Future[Answer] = asyncio.get_running_loop().create_future()

    def take(self, found: Answer | StoreError) -> None:
        if self.answer.done():
            return
        if isinstance(found, StoreError):
            self.answer.set_exception(found)
        else:
            self.answer.set_result(found)


class Question(Command):
    """One whose answer is waited for a while: see `Connection.ask`."""

    __slots__ = ("_answer", "_is_over", "_late", "_refused", "_timer")

    def __init__(
        self,
        words: Words,
        script: Script,
        answer: Callable[[Answer], None],
        late: Callable[[Answer], None] | None,
        refused: Callable[[Script, Refused], None],
    ) -> None:
        super().__init__(words, script)
        self._answer, self._late = answer, late
        self._refused = partial(refused, script)
        self._is_over = False
        self._timer: asyncio.Handle | None = None

    def wait(self, seconds: float) -> None:
        """For so long, counted in steps. One that takes much longer does not count: this process, and maybe
        the store beside it, had no time."""
        self._wait(_STEPS, seconds / _STEPS, asyncio.get_running_loop().time() + seconds + _BUSY)

    def _wait(self, steps: int, seconds: float, latest: float) -> None:
        loop = asyncio.get_running_loop()
        began = loop.time()
        if steps and began < latest:
            self._timer = loop.call_later(seconds, self._step, steps, seconds, began, latest)
        else:
            self._timer = loop.call_soon(self._give_up)

    def _step(self, steps: int, seconds: float, began: float, latest: float) -> None:
        took = asyncio.get_running_loop().time() - began
        self._wait(steps if took > _SLOW * seconds else steps - 1, seconds, latest)

    def take(self, found: Answer | StoreError) -> None:
        if isinstance(found, Refused):
            self._refused(found)
        answer = None if isinstance(found, StoreError) else found
        if not self._is_over:
            self._end(answer)
        elif self._late is not None and answer is not None:
            self._late(answer)

    def _give_up(self) -> None:
        if not self._is_over:
            self.is_wanted = False
            self._end(None)

    def _end(self, answer: Answer) -> None:
        self._is_over = True
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None  # which would hold us, and we it
        self._answer(answer)


def calling(script: Script, keys: Iterable[str], args: Iterable[Argument]) -> Words:
    """The command that runs a script that is loaded."""
    named = tuple(keys)
    return ("EVALSHA", script.sha, len(named), *named, *args)


class Line:
    """Of one connection at a time. `failed` gets what went wrong in who takes an answer."""

    def __init__(self, failed: Callable[[str, Exception], None]) -> None:
        self._failed = failed
        self._waiting: deque[Command] = deque()
        self._flight: deque[Command] = deque()
        self._filled = asyncio.Event()
        self._seen = 0
        self.sent = 0
        """Commands that left, so far."""

    def put(self, command: Command) -> None:
        self._waiting.append(command)
        self._filled.set()

    async def serve(self, wire: Wire) -> None:
        """Send what is asked, for as long as the connection lasts. Raises StoreLost."""
        while True:
            await self._filled.wait()
            self._filled.clear()
            self._flight.extend(each for each in self._waiting if each.is_wanted)
            self._waiting.clear()
            if self._flight:
                await self._fly(wire)

    async def _fly(self, wire: Wire) -> None:
        self._seen = 0
        self.sent += len(self._flight)
        await wire.send([each.words for each in self._flight])
        again: list[Command] = []
        while self._flight:
            found = await _outcome(wire)
            if not self._flight:
                return  # they were dropped meanwhile
            command = self._flight.popleft()
            self._seen = 0
            if command.script and isinstance(found, NotLoaded):
                command.words = ("EVAL", command.script.text, *command.words[2:])
                again.append(command)
            else:
                self._give(command, found)
        if again:
            self._waiting.extendleft(reversed(again))
            self._filled.set()

    def is_stuck(self) -> bool:
        """Whether the store does not answer. To be called every `LOOK` seconds."""
        self._seen = self._seen + 1 if self._flight else 0
        return self._seen >= _LOOKS

    def drop(self, reason: StoreLost) -> None:
        """There is no connection any more: all who wait get to know."""
        lost = [*self._flight, *self._waiting]
        self._flight.clear()
        self._waiting.clear()
        for command in lost:
            self._give(command, reason)

    def _give(self, command: Command, found: Answer | StoreError) -> None:
        try:
            command.take(found)
        except Exception as error:  # noqa: BLE001  # the others still get their answers
            self._failed("taking an answer of the store", error)


async def _outcome(wire: Wire) -> Answer | StoreError:
    """The next answer. Raises StoreLost."""
    try:
        return await wire.answer()
    except Refused as error:
        return error

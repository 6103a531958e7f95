"""The connection to the store, for all who share something: asked, heard, lost, and there again."""

import asyncio
import json
import logging
import secrets
from collections.abc import Awaitable, Callable, Coroutine, Sequence
from functools import partial
from importlib import import_module
from time import monotonic, time
from typing import Any

import msgspec

from addons.config.shared_state import SharedState
from addons.store.line import (
    Answer,
    Argument,
    Awaited,
    Line,
    Question,
    Refused,
    StoreError,
    StoreLost,
    Words,
    calling,
)
from addons.store.meta import Foreign, Unfit, check_server, checked, new_meta
from addons.store.script import Script, script, scripts
from addons.store.session import Session

log = logging.getLogger("rotator")

ASKING = 0.05
"""Seconds that a call waits for the store."""

BEGINNING = 2.0
"""Seconds that the first connection is waited for."""

_LOOK = 0.02
"""Seconds between two looks at whether it is there."""

OFF = 0.1
"""Seconds by which the pool's clock has to be off, to be set."""

_SOON, _LATEST, _FOREIGN = 0.1, 2.0, 60.0
"""Seconds until another attempt to connect: the first, the longest, and where the store is not for us."""

_LASTED = 10.0
"""Seconds after which a connection that is lost is tried again as soon as a first one."""

_PRECISE, _MEASUREMENTS = 0.1, 3
"""Seconds within which an answer has to come for the time in it to be of use; how often it is asked for."""

_META = script("meta")

type Heard = Callable[[Any], None]
"""Gets the body of a message, which was JSON."""


class Connection:
    """To the store of the config, if that names one.

    `clock` is the pool's, in epoch seconds. `failed` gets what went wrong in code of ours, and where.
    """

    def __init__(self, clock: Callable[[], float], failed: Callable[[str, Exception], None]) -> None:
        self.proxy = secrets.token_hex(6)
        """By which the others know this process."""
        self._own = f'["{self.proxy}",'.encode()
        self.is_up = False
        """Whether the store can be asked."""
        self.was_up = False
        """Whether it ever could be."""
        self.alone_since = time()
        """Since when it cannot be asked, in epoch seconds of this machine."""
        self.reason = ""
        """Why not."""
        self.salt = ""
        """What all who share it make marks of keys with. Empty: it was never up."""
        self.store = ""
        """The id of the store: it has another after it was emptied. Empty: it was never up."""
        self._clock, self._failed = clock, failed
        self._shared: SharedState | None = None
        self._line = Line(failed)
        self._heard: dict[str, list[Heard]] = {}
        self._on_up: list[Callable[[], Awaitable[None]]] = []
        self._during: list[Callable[[], Coroutine[None, None, None]]] = []
        self._on_down: list[Callable[[], None]] = []
        self._on_time: list[Callable[[float], None]] = []
        self._is_connected, self._is_running = False, False
        self._up_at = 0.0
        self._said = ""
        self._complaints: set[str] = set()
        self._task: asyncio.Task[None] | None = None

    @property
    def is_configured(self) -> bool:
        return self._shared is not None

    @property
    def is_beginning(self) -> bool:
        """Whether nobody knows yet if it can be asked: the first attempt has come to nothing so far."""
        return self.is_configured and not (self.was_up or self.reason)

    async def begun(self) -> None:
        """Wait until it is known, for those who would do without it at a cost."""
        end = monotonic() + BEGINNING
        while self.is_beginning and monotonic() < end:  # noqa: ASYNC110  # once in the life of a proxy
            await asyncio.sleep(_LOOK)

    @property
    def prefix(self) -> str:
        """What the names of all keys begin with."""
        return self._shared.prefix if self._shared else ""

    @property
    def name(self) -> str:
        """Host, port and database. Empty: none is configured."""
        return str(self._shared or "")

    @property
    def channel(self) -> str:
        """Where changes are published."""
        return f"{self.prefix}changes"

    @property
    def sent(self) -> int:
        """Commands that were sent, so far."""
        return self._line.sent

    def message(self, topic: str, body: object) -> str:
        """What a script has to publish for the others to hear `body`, which JSON can hold."""
        return json.dumps([self.proxy, topic, body], separators=(",", ":"))

    # -- who wants to know --------------------------------------------------------------------------------

    def subscribe(self, topic: str, heard: Heard) -> None:
        """`heard` gets what others publish on it, from before `on_up`."""
        self._heard.setdefault(topic, []).append(heard)

    def on_up(self, callback: Callable[[], Awaitable[None]]) -> None:
        """Called in the order of registering, when the store can be reached: it is up when all have returned.
        `call` and `command` work in it."""
        self._on_up.append(callback)

    def during(self, task: Callable[[], Coroutine[None, None, None]]) -> None:
        """Runs while the store is up. Where it raises a StoreError, the connection is opened again."""
        self._during.append(task)

    def on_down(self, callback: Callable[[], None]) -> None:
        """Called when the store was lost, after it was up."""
        self._on_down.append(callback)

    def on_time(self, callback: Callable[[float], None]) -> None:
        """Gets the seconds by which the store's clock is ahead of the pool's, which has to follow."""
        self._on_time.append(callback)

    # -- asking -------------------------------------------------------------------------------------------

    def ask(
        self,
        asked: Script,
        keys: Sequence[str],
        args: Sequence[Argument],
        answer: Callable[[Answer], None],
        *,
        seconds: float | None = ASKING,
        late: Callable[[Answer], None] | None = None,
    ) -> None:
        """`answer` is called once, later, on the event loop: with the answer, or with None where the store is
        down, was lost, answers with an error, or did not answer in time. `late` gets an answer that came
        after that. What was not sent by then is not sent. With None for `seconds` the answer is waited for as
        long as the connection lasts."""
        if not self.is_up:
            asyncio.get_running_loop().call_soon(answer, None)
            return
        question = Question(calling(asked, keys, args), asked, answer, late, self._refused)
        if seconds is not None:
            question.wait(seconds)
        self._line.put(question)

    async def call(self, asked: Script, keys: Sequence[str], args: Sequence[Argument]) -> Answer:
        """Raises StoreLost, and Refused."""
        return await self._asked(calling(asked, keys, args), asked)

    async def command(self, *words: Argument) -> Answer:
        """A command by itself. Raises as `call`."""
        return await self._asked(words)

    async def _asked(self, words: Words, asked: Script | None = None) -> Answer:
        if not self._is_connected:
            raise StoreLost(self.reason or "it was not reached yet")
        command = Awaited(words, asked)
        self._line.put(command)
        return await command.answer

    def _refused(self, asked: Script, error: Refused) -> None:
        """Said once of each script, until the store is there again."""
        if asked.name not in self._complaints:
            self._complaints.add(asked.name)
            log.warning("state: %s refuses the script %s: %s", self._shared, asked.name, error)

    # -- its life -----------------------------------------------------------------------------------------

    def configure(self, shared: SharedState | None) -> None:
        """Use another store, or none."""
        if shared == self._shared:
            return
        former = self._end()
        self._shared, self._said = shared, ""
        self._begin(former)

    def start(self) -> None:
        """The event loop runs."""
        self._is_running = True
        self._begin()

    async def stop(self) -> None:
        self._is_running = False
        task = self._end()
        if task is not None:
            await asyncio.wait([task])

    def _begin(self, former: asyncio.Task[None] | None = None) -> None:
        if self._is_running and self._shared is not None and self._task is None:
            self._task = asyncio.get_running_loop().create_task(self._keep(self._shared, former))

    def _end(self) -> asyncio.Task[None] | None:
        task, self._task = self._task, None
        if task is not None:
            task.cancel()
            self._lose("it is not used any more")
        return task

    async def _keep(self, shared: SharedState, former: asyncio.Task[None] | None) -> None:
        if former is not None:
            await asyncio.wait([former])
        wires = await asyncio.to_thread(import_module, "addons.store.wire")
        session = partial(
            Session, self._line, self.channel, self._hear, self._greet, self._during, self._failed
        )
        delay = _SOON
        while True:
            error = await session().run(partial(wires.opened, shared, f"rotator-{self.proxy}"))
            if self.is_up and time() - self._up_at > _LASTED:
                delay = _SOON
            self._say(shared, error)
            self._lose(str(error))
            await asyncio.sleep(_FOREIGN if isinstance(error, Foreign) else delay)
            delay = min(delay * 2, _LATEST)

    async def _greet(self) -> None:
        """Everything that comes before the store can be asked. Raises StoreError."""
        self._is_connected = True
        check_server(await self.command("HELLO"))
        key = f"{self.prefix}meta"
        meta = checked(key, await self._meta(key))
        self.salt, self.store = meta.salt, meta.store
        await self.measure()
        for each in scripts():
            await self.command("SCRIPT", "LOAD", each.text)
        for callback in self._on_up:
            await callback()
        self._up()

    async def _meta(self, key: str) -> Answer:
        """What stands there; nothing that is ours, where it is no text."""
        try:
            return await self.call(_META, [key], [new_meta()])
        except Refused as error:
            if "WRONGTYPE" in str(error):
                return None
            raise

    async def measure(self) -> None:
        """Compare the store's clock with the pool's. Raises StoreError."""
        for left in reversed(range(_MEASUREMENTS)):
            began = self._clock()
            found = await self.command("TIME")
            ended = self._clock()
            if ended - began <= _PRECISE or not left:
                self.time_is(found, began, ended)
                return

    def time_is(self, found: Answer, began: float, ended: float) -> None:
        """The server's TIME, asked and answered at these times of the pool's clock."""
        match found:
            case [bytes(seconds), bytes(micros), *_]:
                ahead = int(seconds) + int(micros) / 1e6 - (began + ended) / 2
                if abs(ahead) > max(OFF, ended - began):
                    for callback in self._on_time:
                        callback(ahead)

    def _up(self) -> None:
        self.is_up = self.was_up = True
        self._up_at, self.reason = time(), ""
        self._complaints.clear()
        self._said = ""
        log.info("state: shared with other proxies through %s", self._shared)

    def _say(self, shared: SharedState, error: StoreError) -> None:
        """One line when it is lost, or cannot be reached at the start; one for each reason not to use it."""
        if self.is_up:
            self._said = str(error)
            log.warning("state: %s is lost: %s: this proxy continues alone until it is back", shared, error)
        elif not self._said or (isinstance(error, Unfit) and str(error) != self._said):
            self._said = str(error)
            log.warning("state: %s cannot be used: %s: this proxy is alone until it can", shared, error)

    def _lose(self, reason: str) -> None:
        """Nobody waits any longer for what will not come."""
        was_up, self.is_up, self._is_connected = self.is_up, False, False
        self.reason = reason
        self._line.drop(StoreLost(reason))
        if was_up:
            self.alone_since = time()
            for callback in self._on_down:
                self._safely(callback)

    def _hear(self, message: bytes) -> None:
        """What is no message of ours is nobody's. One's own are most of a busy proxy's."""
        if message.startswith(self._own):
            return
        try:
            found = _read(message)
        except (ValueError, RecursionError):
            return
        match found:
            case [str(sender), str(topic), body] if sender != self.proxy:
                for heard in self._heard.get(topic, ()):
                    self._safely(partial(heard, body))

    def _safely(self, callback: Callable[[], None]) -> None:
        """The connection outlives the faults of those who use it."""
        try:
            callback()
        except Exception as error:  # noqa: BLE001  # it goes into the log, and the others are called
            self._failed("sharing state", error)


def _read(message: bytes) -> Any:
    """Raises ValueError. Half characters, which clients may send, take the slower way."""
    try:
        return msgspec.json.decode(message)
    except msgspec.DecodeError:
        return json.loads(message)

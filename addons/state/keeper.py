"""Carries what is known of credentials between the pool and a store: what changed goes there, what other
proxies changed comes back.

A pool without a store is its own memory. With a folder, a change is written within a second, one that other
proxies are to heed at once within a quarter, and theirs are looked for four times a second. With a store that
several share, what is urgent is written at once, conversations within 20 ms, and what others wrote is heeded
as it comes.
"""

import asyncio
import logging
from collections.abc import Callable, Iterable, Iterator
from contextlib import suppress
from itertools import islice
from pathlib import Path

from addons.credentials.pool import Pool
from addons.runtime.clock import OFF, EpochClock, start_id
from addons.secrets.keys import located
from addons.state.folder import FolderStore
from addons.state.known import PASSING, Known
from addons.state.shared import MOST_CONVERSATIONS, SharedStore
from addons.state.store import StateStore
from addons.store.connection import Connection
from addons.store.line import StoreError
from rewrite.credentials.entries import NOTHING, Clearing, Entries, Entry, Key, Kind, merged
from rewrite.credentials.stored import Subject, moved_entries
from rewrite.credentials.stored_file import Moment
from rewrite.credentials.stored_sessions import restore, session_entries

log = logging.getLogger("rotator")

TICK, IDLE = 0.25, 5.0
"""Seconds between two looks; the latter without a store."""
DEBOUNCE = 1.0
"""Seconds between two writings of what nobody waits for."""
SOON = 0.02
"""Seconds after which others know where a conversation stays, and whose turn it was."""


class Keeper:
    """Of one pool. `failed` gets what went wrong in a look, and in whose code that is ours. State is kept in
    the store of `connection` where the config names one."""

    def __init__(
        self,
        pool: Pool,
        clock: EpochClock,
        failed: Callable[[str, Exception], None],
        connection: Connection | None = None,
    ) -> None:
        self._pool, self._clock, self._failed = pool, clock, failed
        self._boot = start_id()
        self._known = Known(pool, clock, connection.proxy if connection else "")
        self._connection = connection
        self._store: StateStore | None = None
        self._shared: SharedStore | None = None
        self._option: tuple[bool, str] = (False, "")
        self._salt = ""
        self._pending: Entries = NOTHING
        self._turned: dict[Key, Entry] = {}
        self._urgent = False
        self._written = 0.0
        self._wake, self._ends = asyncio.Event(), False
        self._soon: asyncio.TimerHandle | None = None
        self._task: asyncio.Task[None] | None = None
        self._again: asyncio.Task[None] | None = None
        if connection is not None:
            self._shared = SharedStore(connection, clock, self._known.is_news, self._hear)
            connection.on_time(self._led)
            connection.on_up(self._join)

    def moment(self) -> Moment:
        """The present."""
        return Moment(self._clock(), self._clock.steady(), self._boot)

    def subject(self, provider: str, name: str) -> Subject | None:
        """Whose entries those of a credential are; None: the pool has no such."""
        return self._known.subject(provider, name)

    def configure(self, option: str, cwd: Path) -> None:
        """Keep state in the store that is shared if there is one, or else where `rotator_state` says, from
        `cwd`; in memory alone if it is empty. Raises StateError."""
        is_shared = self._connection is not None and self._connection.is_configured
        if (is_shared, option) == self._option:
            return
        self._store, self._pending, self._salt = None, NOTHING, ""
        self._known.clear()
        sessions = self._pool.conversations.sessions
        if is_shared:
            self._store = self._shared
            sessions.follow()
        elif option and (store := _folder_store(located(option, cwd), self.moment)):
            self._store = store
            self._take(store.exchange_now(NOTHING))
            sessions.follow()
        unsaved = self._pool.unsaved
        unsaved.wake, unsaved.write = (self._woken, self._write) if is_shared else (None, None)
        self._option = is_shared, option

    def follow(self) -> None:
        """The pool has new settings: what is known of credentials that it did not have comes into force."""
        if self._store is not None:
            is_joined = self._store is self._shared and self._salt
            self._salt = self._salt if is_joined else self._store.salt
            self._known.follow(self._salt)

    def start(self) -> None:
        """The event loop runs."""
        if self._task is None:
            self._task = asyncio.get_running_loop().create_task(self._look())

    async def stop(self) -> None:
        """Write what has not been written."""
        if self._task is not None:
            self._ends = True
            self._wake.set()
            await self._task
        await self.tick(at_once=True)
        if self._store is not None:
            await self._store.close()

    def _woken(self, at_once: bool) -> None:
        """Something changed that others are to know."""
        if at_once:
            self._wake.set()
        elif self._soon is None:
            self._soon = asyncio.get_running_loop().call_later(SOON, self._ring)

    def _ring(self) -> None:
        self._soon = None
        self._wake.set()

    async def _look(self) -> None:
        while not self._ends:
            self._wake.clear()
            try:
                await self.tick()
            except Exception as error:  # noqa: BLE001  # the pool works without it
                self._failed("keeping what is known of keys", error)
            with suppress(TimeoutError):
                await asyncio.wait_for(self._wake.wait(), TICK if self._store else IDLE)

    async def tick(self, *, at_once: bool = False) -> None:
        """One look. `at_once`: what need not be written yet is written too."""
        if ahead := self._clock.follow():
            self._moved(ahead)
        if self._store is None:
            return
        now = self._clock()
        urgent = self._urgent or self._pool.unsaved.urgent
        changes = self._changes(now, due=at_once or urgent or now - self._written >= DEBOUNCE)
        self._take(await self._store.exchange(changes))
        if self._shared is not None and self._store is self._shared:
            with suppress(StoreError):  # then all is read when it is back
                await self._shared.look()

    def _changes(self, now: float, *, due: bool) -> Entries:
        """What is to be written. `due`: all of it, and not only that which may be written at any time."""
        assert self._store is not None
        found = dict[Key, Entry]()
        if due or self._store.is_prompt:
            found |= session_entries(self._pool.conversations.sessions.news())
            found |= self._turns()
        if due:
            self._gather(now)
            self._written = now if self._pending else self._written
            found |= self._pending
            self._pending, self._urgent = NOTHING, False
            recounted = self._pool.unsaved.recounted_taken()
            if self._shared is not None:
                self._shared.recount(recounted)
        return found

    def _turns(self) -> dict[Key, Entry]:
        """Those that credentials had."""
        turned, self._turned = self._turned, {}
        return turned | self._known.turns(self._pool.unsaved.turns_taken())

    def _gather(self, now: float) -> None:
        """What changed in the pool."""
        unsaved = self._pool.unsaved.taken()
        self._urgent = self._urgent or unsaved.urgent
        self._pending = merged(self._pending, self._known.changes(unsaved, now))

    def _take(self, others: Entries) -> None:
        """Heed what others changed."""
        if others:
            self._heed(others)
        over, self._known.over = self._known.over, {}
        if over and self._store is not None:
            self._store.dropped(over)

    def _write(self) -> None:
        """What is urgent, though many calls wait for their turn."""
        try:
            if self._shared is not None and self._shared is self._store:
                self._shared.write(self._changes(self._clock(), due=True))
        except Exception as error:  # noqa: BLE001  # the call that changed it goes on
            self._failed("keeping what is known of keys", error)

    def _hear(self) -> None:
        """Others changed something."""
        if self._shared is not None and self._store is self._shared:
            self._take(self._shared.heard())

    def _heed(self, others: Entries) -> None:
        """What changed here and is not written is known before."""
        is_passing = all(key.kind in PASSING for key in others)
        self._turned = self._turns()
        if not is_passing:
            self._gather(self._clock())
            self._pending = _but_forgotten(self._pending, filter(self._is_reset, others.items()))
        self._known.heed(others)
        restore(self._pool.conversations.sessions, others)
        if not is_passing:
            self._pool.queues.look()

    # -- a store that is shared -----------------------------------------------------------------------------

    async def _join(self) -> None:
        """The store is there: learn what is in it, and write what is not. Raises StoreError."""
        store = self._shared
        if store is None or self._store is not store:
            return
        self._clock.lead(0.0)
        self._pool.unsaved.names.update(self._known.names())
        await self.tick(at_once=True)
        is_joined = False
        try:
            await self._exchange_all(store, emptied=self._marked(store))
            is_joined = True
        finally:
            if not is_joined:
                store.lost()

    async def _exchange_all(self, store: SharedStore, *, emptied: bool) -> None:
        found = dict[Key, Entry]()
        for part in await store.load():
            found |= part
            self._forget(store, part)
            self._take(part)
            await asyncio.sleep(0)
        self._take(await store.load_counts(emptied=emptied))
        await store.join(self._better(found))

    def _marked(self, store: SharedStore) -> bool:
        """Make marks as all who share the store do. Whether it is another one than before, or was emptied."""
        before, self._salt = self._salt, store.salt
        if before == self._salt:
            return False
        store.renamed(self._known.marked(self._salt))
        return True

    def _forget(self, store: SharedStore, found: Entries) -> None:
        """What was counted before a user forgot it."""
        for key, _ in filter(self._is_reset, found.items()):
            store.forget(Subject(*key[1:4]))

    def _is_reset(self, fact: tuple[Key, Entry]) -> bool:
        """Whether it says that all of somebody is forgotten, and was not known yet."""
        key, one = fact
        return key.kind is Kind.CLEARED and key.scope == Clearing.RESET and self._known.is_news(key, one)

    def _better(self, found: Entries) -> Iterator[Entries]:
        """What is known here and not there, in parts."""
        self._gather(self._clock())
        for each in self._known.everything():
            yield _apart(each, found)
        conversations = self._pool.conversations.sessions.everything(MOST_CONVERSATIONS // 2)
        while some := session_entries(islice(conversations, _PART)):
            yield _apart(some, found)

    def _led(self, seconds: float) -> None:
        """The clock of the store is ahead by so much. What it was off by since it was set last changes
        nothing that lasts; a clock that was set does."""
        is_set = not self._clock.is_led or abs(seconds) > OFF
        self._clock.lead(seconds)
        if is_set:
            self._moved(seconds)
            if self._connection is not None and self._connection.is_up:
                self._again = asyncio.get_running_loop().create_task(self._join_again())

    async def _join_again(self) -> None:
        """The clock of the store was set while it was there."""
        try:
            await self._join()
        except StoreError:
            return  # it is joined when it is back
        except Exception as error:  # noqa: BLE001  # the pool works without it
            self._failed("keeping what is known of keys", error)

    def _moved(self, seconds: float) -> None:
        """The clock is ahead by so much."""
        self._known.moved(seconds)
        self._pool.queues.moved(seconds)
        self._pending = moved_entries(self._pending, seconds)
        self._written += seconds
        self._pool.conversations.sessions.moved(seconds)
        if self._store is not None:
            self._store.moved(seconds)


_PART = 500
"""Conversations that are written before anything else goes on."""


def _but_forgotten(pending: Entries, resets: Iterable[tuple[Key, Entry]]) -> Entries:
    """What nobody has written yet, without what was counted of those that are reset."""
    over = {key[1:4] for key, _ in resets}
    return {key: one for key, one in pending.items() if key.kind is not Kind.USED or key[1:4] not in over}


def _apart(own: Entries, found: Entries) -> Entries:
    """What the store does not have, or not as it is known here. What is counted is apart."""
    return {key: one for key, one in own.items() if key.kind is not Kind.USED and found.get(key) != one}


def _folder_store(folder: Path, clock: Callable[[], Moment]) -> FolderStore | None:
    try:
        return FolderStore(folder, clock)
    except OSError as error:
        message = (
            "rotator_state: %s/pool cannot be a folder (%s): what is known of keys is kept in memory; %s"
        )
        log.warning(message, folder, error.strerror, "move it away")
        return None

"""Carries what is known of credentials between the pool and a store: what changed goes there, what other
proxies changed comes back.

A pool without a store is its own memory. With one, a change is written within a second, one that other
proxies are to heed at once within a quarter, and theirs are looked for four times a second.
"""

import asyncio
import logging
from collections.abc import Callable
from contextlib import suppress
from itertools import islice
from pathlib import Path

from addons.credentials.pool import Pool
from addons.runtime.clock import EpochClock, start_id
from addons.secrets.keys import located
from addons.state.folder import FolderStore
from addons.state.store import StateStore
from rewrite.credentials.entries import (
    NOTHING,
    OF_SESSIONS,
    Clearing,
    Entries,
    Entry,
    Key,
    Kind,
    absorb,
    bounded,
    merged,
)
from rewrite.credentials.state import CredentialState, PoolState
from rewrite.credentials.stored import Subject, adopted, changed, cleared, moved, moved_entries
from rewrite.credentials.stored_file import Moment
from rewrite.credentials.stored_sessions import restore, session_entries

log = logging.getLogger("rotator")

TICK, IDLE = 0.25, 5.0
"""Seconds between two looks; the latter without a store."""
DEBOUNCE = 1.0
"""Seconds between two writings of what nobody waits for."""
_AT_ONCE = 2
"""Of so many credentials what is over is forgotten with each writing."""


class Keeper:
    """Of one pool. `failed` gets what went wrong in a look, and in whose code that is ours."""

    def __init__(self, pool: Pool, clock: EpochClock, failed: Callable[[str, Exception], None]) -> None:
        self._pool, self._clock, self._failed = pool, clock, failed
        self._boot = start_id()
        self._store: StateStore | None = None
        self._option = ""
        self._known: dict[Subject, dict[Key, Entry]] = {}
        self._gathered: dict[Subject, CredentialState] = {}
        self._subjects: dict[tuple[str, str], Subject] = {}
        self._written = 0.0
        self._sessions_since = 0.0
        self._ends = asyncio.Event()
        self._task: asyncio.Task[None] | None = None

    def moment(self) -> Moment:
        """The present."""
        return Moment(self._clock(), self._clock.steady(), self._boot)

    def configure(self, option: str, cwd: Path) -> None:
        """Keep state where `rotator_state` says, from `cwd`; in memory alone if it is empty. Raises
        StateError."""
        if option == self._option:
            return
        self._store, self._known, self._subjects, self._gathered = None, {}, {}, {}
        if option and (store := _folder_store(located(option, cwd), self.moment)):
            self._store = store
            self._take(store.exchange_now(NOTHING))
            self._sessions_since = self._clock()
        self._option = option

    def follow(self) -> None:
        """The pool has new settings: what is known of credentials that it did not have comes into force."""
        if self._store is None:
            return
        before = self._subjects
        self._subjects = {each[:2]: Subject(*each) for each in self._pool.marks(self._store.salt)}
        for name, subject in self._subjects.items():
            if before.get(name) != subject:
                self._adopt(subject, self._known.get(subject, NOTHING))

    def start(self) -> None:
        """The event loop runs."""
        if self._task is None:
            self._task = asyncio.get_running_loop().create_task(self._look())

    async def stop(self) -> None:
        """Write what has not been written."""
        if self._task is not None:
            self._ends.set()
            await self._task
        await self.tick(at_once=True)
        if self._store is not None:
            await self._store.close()

    async def _look(self) -> None:
        while not self._ends.is_set():
            try:
                await self.tick()
            except Exception as error:  # noqa: BLE001  # the pool works without it
                self._failed("keeping what is known of keys", error)
            with suppress(TimeoutError):
                await asyncio.wait_for(self._ends.wait(), TICK if self._store else IDLE)

    async def tick(self, *, at_once: bool = False) -> None:
        """One look. `at_once`: what need not be written yet is written too."""
        if ahead := self._clock.follow():
            self._moved(ahead)
        if self._store is None:
            return
        now = self._clock()
        due = at_once or self._pool.unsaved.urgent or now - self._written >= DEBOUNCE
        changes = self._changes(now) if due else NOTHING
        self._written = now if changes else self._written
        others = await self._store.exchange(changes)
        self._take(others)
        if others:
            self._pool.queues.look()

    def _changes(self, now: float) -> Entries:
        """What changed in the pool since it was known."""
        unsaved, found = self._pool.unsaved.taken(), dict[Key, Entry]()
        for (provider, name, how), at in unsaved.cleared.items():
            if subject := self._subjects.get((provider, name)):
                found |= self._know(subject, cleared(subject, how, at))
        for provider, name in unsaved.names:
            if subject := self._subjects.get((provider, name)):
                known = self._known.get(subject, NOTHING)
                found |= self._gather(subject, self._pool.states[provider], known, now)
        self._forget(now)
        sessions = self._pool.conversations.sessions
        found |= session_entries(sessions, self._sessions_since)
        self._sessions_since = now
        return found

    def _gather(self, subject: Subject, pool: PoolState, known: Entries, now: float) -> Entries:
        """What changed of one. Many counts of a busy one are as they were when it was gathered before."""
        found = changed(subject, pool, known, now, self._gathered.get(subject))
        if subject not in self._gathered:
            self._know(subject, found)
        else:
            absorb(self._known[subject], found)
        if subject.credential and not any(subject.key(Kind.CLEARED, how) in known for how in Clearing):
            self._gathered[subject] = pool.state(subject.credential)
        return found

    def _forget(self, now: float) -> None:
        """What is over, of some each time."""
        for subject in [*islice(self._gathered, _AT_ONCE)]:
            self._known[subject] = dict(bounded(self._known[subject], now))
            self._gathered[subject] = self._gathered.pop(subject)

    def _take(self, others: Entries) -> None:
        """Heed what others changed."""
        for subject, found in self._learn(others).items():
            self._adopt(subject, found)
        restore(self._pool.conversations.sessions, others)

    def _know(self, subject: Subject, changes: Entries) -> Entries:
        """Keep in mind what `changes` say."""
        self._gathered.pop(subject, None)
        after = merged(self._known.get(subject, NOTHING), changes)
        self._known[subject] = dict(bounded(after, self._clock()))
        return changes

    def _learn(self, others: Entries) -> dict[Subject, dict[Key, Entry]]:
        """Keep in mind what others changed; gives it by whose it is."""
        found: dict[Subject, dict[Key, Entry]] = {}
        for key, entry in others.items():
            if key.kind not in OF_SESSIONS:
                found.setdefault(Subject(key.provider, key.credential, key.mark), {})[key] = entry
        for subject, changes in found.items():
            self._know(subject, changes)
        return found

    def _adopt(self, subject: Subject, changes: Entries) -> None:
        """Into the pool, if that has such a credential."""
        state = self._pool.states.get(subject.provider)
        if state is not None and self._subjects.get((subject.provider, subject.credential)) == subject:
            self._pool.states[subject.provider] = adopted(state, subject, changes, self._clock())

    def _moved(self, seconds: float) -> None:
        """The clock is ahead by so much."""
        for provider, state in self._pool.states.items():
            self._pool.states[provider] = moved(state, seconds)
        self._pool.queues.moved(seconds)
        self._gathered.clear()
        self._known = {subject: dict(moved_entries(one, seconds)) for subject, one in self._known.items()}
        self._written += seconds
        self._sessions_since += seconds
        self._pool.conversations.sessions.moved(seconds)
        if self._store is not None:
            self._store.moved(seconds)


def _folder_store(folder: Path, clock: Callable[[], Moment]) -> FolderStore | None:
    try:
        return FolderStore(folder, clock)
    except OSError as error:
        message = (
            "rotator_state: %s/pool cannot be a folder (%s): what is known of keys is kept in memory; %s"
        )
        log.warning(message, folder, error.strerror, "move it away")
        return None

"""State in files of a folder: whole at any time, locked while it is changed, and read again when another
proxy wrote it.

What waits for nobody is in a file of its own, so that a busy proxy does not write ten thousand conversations
with each cooldown.
"""

import asyncio
import logging
import secrets
from collections.abc import Callable, Mapping
from pathlib import Path

from addons.config.watch import Signature, signature
from addons.runtime.file_lock import locked
from addons.runtime.private_folder import make_private
from addons.state.files import NotOurs, content, write_whole
from rewrite.credentials.entries import (
    NOTHING,
    OF_SESSIONS,
    Entries,
    Entry,
    Key,
    Kind,
    bounded,
    changes,
    merged,
)
from rewrite.credentials.stored_file import Moment, OfLaterVersion, Stored, Unreadable, read, written

log = logging.getLogger("rotator")

FILES: Mapping[str, frozenset[Kind]] = {
    "credentials": frozenset(Kind) - OF_SESSIONS - {Kind.TURN},
    "sessions": OF_SESSIONS,
}
"""Which kinds of entries are in which file. Whose turn it is changes with each call."""

LARGE = 1 << 19
"""Bytes. A file is written again after a second for each so many of them."""

_PRIVATE_FOLDER = 0o700


class StateFile:
    """One file, with its lock beside it. `clock` gives the present on the clock of the pool."""

    def __init__(self, file: Path, clock: Callable[[], Moment]) -> None:
        self._file, self._clock = file, clock
        self._lock = file.with_suffix(".lock")
        self._held = Stored(NOTHING, secrets.token_hex(16))
        self._pending: Entries = NOTHING
        self._seen: Signature = None
        self._fails = False
        self._put_off_until = 0.0

    @property
    def salt(self) -> str:
        return self._held.salt

    def exchange(self, own: Entries, *, at_once: bool = False) -> Entries:
        """See `StateStore.exchange`; waits in this thread. A file that says nothing new is not read.
        `at_once`: a large one is written though it has just been."""
        now = self._clock()
        self._pending = bounded(merged(self._pending, own), now.epoch)
        writes = self._pending and (at_once or now.steady >= self._put_off_until)
        if not writes and self._seen and signature(self._file) == self._seen:
            return NOTHING
        try:
            make_private(self._file.parent)
            with locked(self._lock):
                found = self._exchange()
        except OSError as error:
            self._failed(error)
            return NOTHING
        self._fails = False
        return found

    def _exchange(self) -> Entries:
        found = self._found()
        after = Stored(bounded(merged(found.entries, self._pending), self._clock().epoch), found.salt)
        if self._pending or not self._seen:
            self._write(after)
        others = changes(merged(self._held.entries, self._pending), after.entries)
        self._held, self._pending = after, NOTHING
        return others

    def moved(self, seconds: float) -> None:
        """See `StateStore.moved`."""
        self._held = Stored(_moved(self._held.entries, seconds), self._held.salt)
        self._pending = _moved(self._pending, seconds)

    def _found(self) -> Stored:
        """What the file holds now. One that is of no use is set aside, and what we know is kept."""
        seen = signature(self._file)
        if seen is None or seen == self._seen:
            self._seen = seen
            return self._held
        try:
            found = read(content(self._file), self._clock())
        except (Unreadable, NotOurs) as fault:
            self._set_aside("later" if isinstance(fault, OfLaterVersion) else "damaged", str(fault))
            self._seen = None
            return self._held
        self._seen = seen
        return found

    def _failed(self, error: OSError) -> None:
        """Said once, until it works again."""
        if not self._fails:
            message = "%s: cannot be kept (%s): what is known of keys is in memory alone until it can"
            log.warning(message, self._file, error.strerror or error)
        self._fails = True

    def _set_aside(self, why: str, message: str) -> None:
        aside = self._file.with_suffix(f".{why}")
        self._file.replace(aside)
        log.warning("%s: %s; it is now %s, and what it held is not known", self._file, message, aside.name)

    def _write(self, stored: Stored) -> None:
        now = self._clock()
        data = written(stored, now)
        write_whole(self._file, data)
        self._seen = signature(self._file)
        self._put_off_until = now.steady + len(data) // LARGE


def _moved(entries: Entries, seconds: float) -> Entries:
    return {key: entry.moved(seconds) for key, entry in entries.items()}


class FolderStore:
    """A `StateStore` in `FOLDER/pool`. What was there is what others changed, at first."""

    is_prompt = False

    def __init__(self, folder: Path, clock: Callable[[], Moment]) -> None:
        """Raises OSError if there can be no such folder."""
        root = folder / "pool"
        root.mkdir(_PRIVATE_FOLDER, exist_ok=True)
        self._files = {name: StateFile(root / f"{name}.json", clock) for name in FILES}

    @property
    def salt(self) -> str:
        return self._files["credentials"].salt

    async def exchange(self, changes: Entries) -> Entries:
        return await asyncio.to_thread(self.exchange_now, changes)

    def dropped(self, entries: Entries) -> None:
        """They are gone with the clearing itself."""

    async def close(self) -> None:
        await asyncio.to_thread(self.exchange_now, NOTHING, at_once=True)

    def exchange_now(self, changes: Entries, *, at_once: bool = False) -> Entries:
        """As `exchange`, in this thread."""
        found: dict[Key, Entry] = {}
        for name, kinds in FILES.items():
            own = {key: entry for key, entry in changes.items() if key.kind in kinds}
            found.update(self._files[name].exchange(own, at_once=at_once))
        return found

    def moved(self, seconds: float) -> None:
        for each in self._files.values():
            each.moved(seconds)

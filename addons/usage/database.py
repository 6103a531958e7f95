"""The database of a ledger, as one thread writes it: opened when it is needed, and once more after trouble.

No call ever waits for it or fails with it. What is wrong is said once: a disk that is full or cannot be
written is tried again, a damaged file is set aside, and one of a later version is left alone.
"""

import logging
import sqlite3
from collections.abc import Sequence
from contextlib import suppress
from pathlib import Path

from addons.runtime.file_lock import locked
from addons.usage.schema import Damaged, OfLaterVersion, Unusable, is_damage, is_sound, open_to_write
from addons.usage.store import drop_before, write
from rewrite.usage.entry import CallEntry

log = logging.getLogger("rotator")

ASIDE = ".damaged"
"""What the name of a damaged file gets."""

_ENDINGS = ("", "-wal", "-shm")
"""Of the files of a database."""

_LEFT_ALONE = (
    "%s: %s, so it is left alone, and usage is kept in memory: %s, or name another file: "
    "--set rotator_usage=FILE"
)
_CANNOT = "%s: usage cannot be kept (%s): calls go on, and it is tried again"
_SET_ASIDE = "%s: %s; it is now %s, and usage begins again"

Trouble = (sqlite3.Error, OSError, Unusable)
"""What writing raises."""

Fault = (sqlite3.IntegrityError, sqlite3.ProgrammingError, sqlite3.InterfaceError, sqlite3.DataError)
"""Of these, what is to blame on what was to be written."""


class Database:
    """In `file`, None: in memory."""

    def __init__(self, file: Path | None) -> None:
        self.file = file
        """Where it is. It changes to None for a file that is no ledger that this version can write."""
        self.connection: sqlite3.Connection | None = None
        """None: it is not open."""
        self._fails = False

    def write(self, entries: Sequence[CallEntry]) -> None:
        """All of them or none. Raises what `Trouble` names."""
        connection = self.connection or self._open()
        if entries:
            write(connection, entries, each=self.file is not None)
            self._fails = False

    def drop_before(self, at: float) -> bool:
        """Take out some of the calls before `at`, epoch seconds; whether there are more. Raises what
        `Trouble` names."""
        return drop_before(self.connection or self._open(), at)

    def close(self) -> None:
        if self.connection is not None:
            self.connection.close()
            self.connection = None

    def failed(self, error: BaseException) -> None:
        """What `Trouble` names was raised: said once, until it works again."""
        self.close()
        is_broken = isinstance(error, sqlite3.Error) and is_damage(error)
        if is_broken and self.file and not is_sound(self.file):
            self._set_aside(self.file, str(error))
        elif not self._fails:
            why = error.strerror if isinstance(error, OSError) else error
            log.warning(_CANNOT, self.file or "memory", why)
            self._fails = True

    def _open(self) -> sqlite3.Connection:
        try:
            self.connection = open_to_write(self.file)
        except Damaged as damage:
            assert self.file is not None
            self._set_aside(self.file, str(damage))
            self.connection = open_to_write(self.file)
        except Unusable as why:
            do = "update rotator" if isinstance(why, OfLaterVersion) else "move it away"
            log.warning(_LEFT_ALONE, self.file, why, do)
            self.file = None
            self.connection = open_to_write(None)
        return self.connection

    def _set_aside(self, file: Path, why: str) -> None:
        """Of several proxies that find it damaged one does."""
        with suppress(OSError), locked(file.with_name(f"{file.name}.lock")):
            if is_sound(file):
                return
            for ending in _ENDINGS:
                here = file.with_name(f"{file.name}{ending}")
                with suppress(FileNotFoundError):
                    here.replace(here.with_name(f"{file.name}{ASIDE}{ending}"))
            log.warning(_SET_ASIDE, file, why, f"{file.name}{ASIDE}")

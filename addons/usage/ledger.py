"""The ledger of a proxy: takes the entries of calls from the event loop, and has them written by a thread."""

import logging
import threading
import time
from collections import deque
from collections.abc import Callable, Iterable, Mapping, Sequence
from contextlib import closing
from pathlib import Path

from addons.secrets.keys import located
from addons.secrets.redaction import Redactor, fault
from addons.usage.database import Database, Fault, Trouble
from addons.usage.queries import Usage, by_user, usage
from addons.usage.schema import NAME, Unusable, open_to_read
from rewrite.policies.user_caps import Use
from rewrite.usage.entry import CallEntry

log = logging.getLogger("rotator")

MOST_WAITING = 20_000
"""Calls that wait, as long as they cannot be written. The oldest of more are lost."""

GATHER = 0.5
"""Seconds for which calls are gathered that are written together."""

AGAIN = 5.0
"""Seconds after which a write is tried again that failed."""

CLEANING = 3600.0
"""Seconds between two looks for calls that are too old."""

CLOSING = 3.0
"""Seconds for which the end of the proxy waits for the thread."""

KEPT = 400 * 86_400.0
"""Seconds for which calls are kept unless the config says otherwise."""

_USERS_BEGIN_AGAIN = "%s: what users have used today cannot be read, and begins again: %s"

OFF = "off"
"""What rotator_usage says where nothing is to be kept."""


class Ledger:
    """Keeps nothing, and has no thread, before it is said where."""

    def __init__(self, redactor: Redactor, now: Callable[[], float] = time.time) -> None:
        """`now` gives epoch seconds."""
        self._redactor, self._now = redactor, now
        self._pending: deque[CallEntry] = deque(maxlen=MOST_WAITING)
        self._awake, self._hurry, self._ends = threading.Event(), threading.Event(), threading.Event()
        self._thread: threading.Thread | None = None
        self._lock = threading.Lock()  # held while the database is used
        self._database = Database(None)
        self._wanted: Path | None = None
        self._kept = KEPT
        self._cleaned = 0.0
        self._is_on = False

    @property
    def file(self) -> Path | None:
        """Where it is kept. None: in memory, or not at all."""
        return self._database.file

    def follow(self, option: str, state: str, cwd: Path, kept: float = KEPT) -> None:
        """Keep calls for so many seconds where `rotator_usage` says, from `cwd`; if it is empty in the folder
        that `rotator_state` names, or else in memory."""
        if option == OFF:
            self.close()
            return
        place = option or (f"{state}/{NAME}" if state else "")
        self.configure(located(place, cwd) if place else None, kept)

    def configure(self, file: Path | None, kept: float = KEPT) -> None:
        """Keep calls in `file`, None: in memory; for so many seconds."""
        self._kept = kept
        if self._is_on and file == self._wanted:
            return
        self.close()
        self._wanted, self._database = file, Database(file)
        self._is_on, self._cleaned = True, 0.0
        self._ends.clear()
        self._hurry.clear()
        self._awake.set()
        self._thread = threading.Thread(target=self._run, name="rotator usage", daemon=True)
        self._thread.start()

    def take(self, entries: Iterable[CallEntry]) -> None:
        """Calls are over: on the event loop."""
        if self._is_on:
            self._pending.extend(entries)
            self._awake.set()

    def usage(self, since: float, by: Sequence[str]) -> Usage:
        """What is written, see `queries.usage`. Raises what `Trouble` names."""
        if self.file is None:
            return self._in_memory(since, by)
        connection = open_to_read(self.file)
        try:
            return usage(connection, since, by)
        finally:
            connection.close()

    def by_user(self, since: float) -> Mapping[str, Use]:
        """What users used since `since`, in epoch seconds, as far as a file says so."""
        if self.file is None or not self.file.exists():
            return {}
        try:
            with closing(open_to_read(self.file)) as connection:
                return by_user(connection, since)
        except Unusable:  # another thread says so
            return {}
        except Trouble as error:
            log.warning(_USERS_BEGIN_AGAIN, self.file, error)
            return {}

    def _in_memory(self, since: float, by: Sequence[str]) -> Usage:
        with self._lock:
            if self._database.connection is None:
                raise Unusable("no usage is kept")
            return usage(self._database.connection, since, by)

    def close(self) -> None:
        """Write what waits, and keep nothing more: for good, or until `configure`."""
        self._is_on = False
        if self._thread is not None:
            for event in (self._ends, self._hurry, self._awake):
                event.set()
            self._thread.join(CLOSING)
            self._thread = None

    # -- in the thread --------------------------------------------------------------------------------

    def _run(self) -> None:
        while not self._ends.is_set():
            self._awake.wait(CLEANING)
            self._awake.clear()
            pause = self._round()
            self._hurry.wait(pause)
        self._round()
        with self._lock:
            self._database.close()

    def _round(self) -> float:
        """Write what waits; the seconds until the next round at the earliest."""
        try:
            with self._lock:
                self._write()
                self._clean()
        except Fault as error:
            self._failed(error)
        except Trouble as error:
            self._database.failed(error)
            self._awake.set()
            return AGAIN
        except Exception as error:  # noqa: BLE001  # the thread continues, whatever is in a call
            self._failed(error)
        return GATHER

    def _failed(self, error: Exception) -> None:
        """A fault of ours: what was to be written is lost."""
        log.error("%s", self._redactor.redact(f"keeping usage: {fault(error)}"))

    def _write(self) -> None:
        """What cannot be written as yet waits on, at the front."""
        entries = [self._pending.popleft() for _ in range(len(self._pending))]
        try:
            self._database.write(entries)
        except Fault:
            raise
        except Trouble:
            self._pending.extendleft(reversed(entries[-(MOST_WAITING - len(self._pending)) :]))
            raise

    def _clean(self) -> None:
        """Some of what is too old; the rest in rounds to come."""
        now = self._now()
        if now - self._cleaned < CLEANING:
            return
        if self._database.drop_before(now - self._kept):
            self._awake.set()
        else:
            self._cleaned = now

"""The traces of calls: a folder for each, in which its passes and its bytes are written as they happen.

`transform_trace.jsonl` has a line for each pass, `NNN-PASS.json` the data of one that changed the request or
the answer, `provider-ATTEMPT.bytes` and `client.bytes` the bodies as they came and left. All of it is written
by one thread; what that cannot keep up with is left out, and the trace says so. What cannot be written is one
line on the log, and no call's concern.
"""

import logging
import os
import time
from collections.abc import Callable, Iterable
from pathlib import Path

from pydantic import SecretStr

from addons.config.tracing import Tracing
from addons.records.call_folder import CallRecord, Store
from addons.records.cleaning import Cleaning
from addons.records.folders import Folders
from addons.records.writer import Writer
from addons.secrets.redaction import Redactor, fault
from rewrite.catalog.routes import Rule
from rewrite.records.passes import Direction, Entry, Sink

DRAINED = 3.0
"""Seconds for which the end of the proxy waits for traces to be written."""

_LITTLE = 512
"""Bytes that an entry keeps besides its data."""
_EVENT = 4096
"""Bytes that the objects of a small event keep, before and after it was changed."""

log = logging.getLogger("rotator")


class Traces:
    """Which calls are traced, and where to. All methods are for the event loop's thread."""

    def __init__(self, redactor: Redactor, now: Callable[[], float] = time.time) -> None:
        """`redactor` knows the secrets of all; `now` gives epoch seconds."""
        self._redactor, self._now = redactor, now
        self._tracing, self._elsewhere = Tracing(), Path()
        self._next = 0
        self.is_on = False
        """Whether a call may be traced whose route does not say so."""
        self._stores: dict[Path, Store] = {}
        self._announced: set[Path] = set()
        self._faults: set[str] = set()
        self._writer = Writer(self._round_over, self._failed)

    def configure(self, tracing: Tracing, elsewhere: Path) -> None:
        """From now on. `elsewhere`: the folder for calls that are to be traced where `tracing` names none."""
        self._tracing, self._elsewhere = tracing, elsewhere
        self._note_whether_on()
        if store := self._stores.get(self.folder):
            store.folders.bounds = tracing.bounds
        if tracing.directory is not None:
            self._announce()
        # What is there may be too old by now. Path.is_dir raises in Python 3.12 where it may not look.
        if tracing.directory is not None or os.path.isdir(elsewhere):  # noqa: PTH112
            self._store()

    @property
    def folder(self) -> Path:
        """Where they go."""
        return self._tracing.directory or self._elsewhere

    def trace_next(self, calls: int) -> Path:
        """Trace so many more calls that would not be; 0: none. Gives where to."""
        self._next = calls
        self._note_whether_on()
        return self.folder

    def _note_whether_on(self) -> None:
        self.is_on = self._tracing.directory is not None or self._next > 0

    def begin(self, call: str, rule: Rule, secrets: Callable[[], Iterable[SecretStr]]) -> Sink | None:
        """Where the passes of a call go, which begins now and which `rule` fits; None: it is not traced.
        `call`: its id; `secrets`: those of the pool, and what its client sent for a key."""
        if not self._traces(rule.trace):
            return None
        self._announce()
        signatures = self._tracing.signatures
        cleaning = Cleaning(lambda: self._redactor.values, secrets(), signatures=signatures)
        return CallSink(self._writer, CallRecord(self._store(), call, cleaning, self._now))

    def _traces(self, wanted: bool | None) -> bool:
        if wanted or (wanted is None and self._tracing.directory is not None):
            return True
        self._next -= (counted := self._next > 0)
        self._note_whether_on()
        return counted

    def _store(self) -> Store:
        """What is in the folder is looked through by the thread."""
        store = self._stores.get(self.folder)
        if store is None:
            store = Store(Folders(self.folder, self._tracing.bounds), self._now, self._cannot)
            self._stores[self.folder] = store
            self._writer.put(store.round_over, 0)
        return store

    def _announce(self) -> None:
        if self.folder not in self._announced:
            self._announced.add(self.folder)
            log.info("traces of calls go to %s", self.folder)

    def close(self) -> None:
        """The proxy ends: wait for what is still to be written, but not for long."""
        if not self._writer.flush(DRAINED):
            log.warning("trace: not all of it could be written within %.0f s of the end", DRAINED)

    # -- in the thread --------------------------------------------------------------------------------

    def _round_over(self) -> None:
        for store in list(self._stores.values()):
            store.round_over()

    def _failed(self, error: BaseException) -> None:
        self._say_once(logging.ERROR, f"trace: {fault(error)}")

    def _cannot(self, folder: Path, error: OSError) -> None:
        why = error.strerror or error
        message = (
            f"trace.directory: {folder}: cannot be written ({why}): calls leave no trace, or half of one"
        )
        self._say_once(logging.WARNING, message)

    def _say_once(self, level: int, message: str) -> None:
        if message not in self._faults:
            self._faults.add(message)
            log.log(level, "%s", message)


class CallSink:
    """See `rewrite.records.passes.Sink`. Nothing is written here."""

    def __init__(self, writer: Writer, call: CallRecord) -> None:
        self._writer, self._call = writer, call
        self._largest = self._came = 0
        self._cut = False

    def entry(self, entry: Entry) -> None:
        kept = _LITTLE + (self._size(entry) if entry.data is not None else 0)
        if not self._cut and not self._writer.put(lambda: self._call.entry(entry), kept):
            self._cut_off()

    def _size(self, entry: Entry) -> int:
        """Bytes that its data keeps, at sight. What is no bytes came of some: events of a stream of those
        that came last, all of them together; anything else may be as large as the largest that were."""
        if entry.direction is Direction.STREAM and entry.changed:
            came, self._came = self._came, 0
            return came + _EVENT
        self._largest = max(self._largest, _bytes_in(entry.data))
        return self._largest

    def data(self, file: str, chunk: bytes) -> None:
        self._largest = max(self._largest, len(chunk))
        self._came += len(chunk)
        if not self._cut and not self._writer.put(lambda: self._call.data(file, chunk), len(chunk) + 100):
            self._cut_off()

    def close(self) -> None:
        self._writer.put(self._call.close, 0)

    def _cut_off(self) -> None:
        self._cut = True
        self._writer.put(self._call.cut, 0)


def _bytes_in(data: object) -> int:
    """How many there are in an entry at first sight."""
    if isinstance(data, bytes):
        return len(data)
    values = data.values() if type(data) is dict else ()
    return sum([len(each) for each in values if isinstance(each, bytes | str)])

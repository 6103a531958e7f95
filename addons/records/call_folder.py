"""What the thread of traces does for one call: cleans its passes and its bytes, and writes them down."""

from collections.abc import Callable, Mapping
from dataclasses import replace
from pathlib import Path

import msgspec

from addons.records.cleaning import LARGEST, Cleaning
from addons.records.folders import PASSES, CallFolder, Folders, file_name
from addons.secrets.searching import Stream
from addons.upstream.encodings import beginning
from protocols.model.wirejson import dump
from rewrite.records.passes import Direction, Entry, Stage

LONGEST_LINE = 64 << 10
"""Bytes of data as JSON in a line; what is longer is in a file of its own."""

LONGEST_BODY = 2 * LARGEST
"""Bytes that a compressed body is decoded to: more than are shown, so that no secret is cut."""

MOST_HELD = 256 << 10
"""Bytes of a call that are held for the end of a round."""

RESERVED = 4096
"""Bytes of a call's share that are left for what says that its trace was cut."""

TOO_FAST = "traces come faster than they can be written"
TOO_LARGE = "the trace has reached max_bytes"

type Cannot = Callable[[Path, OSError], None]


class Store:
    """The folders of calls, and the calls that something is to be written for."""

    def __init__(self, folders: Folders, now: Callable[[], float], cannot: Cannot) -> None:
        """`now` gives epoch seconds; `cannot` gets what could not be written, and where."""
        self.folders, self._now, self._cannot = folders, now, cannot
        self._waiting: dict[CallRecord, None] = {}

    def wrote(self, call: "CallRecord") -> None:
        """There is something of it to be written when the round is over."""
        self._waiting[call] = None

    def round_over(self) -> None:
        """Write what has come, and keep within the bounds."""
        waiting, self._waiting = self._waiting, {}
        for call in waiting:
            self.guarded(call.flush)
        self.guarded(lambda: self.folders.prune(self._now()))

    def guarded(self, work: Callable[[], None]) -> bool:
        """Whether `work` could be done."""
        try:
            work()
        except OSError as error:
            self._cannot(self.folders.root, error)
            return False
        return True


class CallRecord:
    """One call that is traced. Its folder is made when there is something to write."""

    def __init__(self, store: Store, call: str, cleaning: Cleaning, now: Callable[[], float]) -> None:
        self._store, self._id, self._cleaning, self._now = store, call, cleaning, now
        self._folder: CallFolder | None = None
        self._lines: list[bytes] = []
        self._size = 0  # bytes of these and of the chunks
        self._chunks: dict[str, list[bytes]] = {}
        self._streams: dict[str, Stream] = {}
        self._files: set[str] = set()
        self._last: Entry | None = None
        self._over = False

    def entry(self, entry: Entry) -> None:
        """A pass."""
        if not self._over:
            self._last = entry
            self._note(entry)

    def data(self, file: str, chunk: bytes) -> None:
        """Bytes of `file`, without the suffix of its name."""
        if not self._over:
            self._chunks.setdefault(file, []).append(chunk)
            self._came(len(chunk))

    def close(self) -> None:
        """The call is over."""
        self.flush()
        for file, stream in self._streams.items():
            self._append(f"{file}.bytes", stream.remainder())
        self._over = True

    def cut(self, why: str = TOO_FAST) -> None:
        """Nothing more comes of the call, for want of room."""
        if self._over:
            return
        self.flush()
        self._over = True
        if self._folder is not None and self._last is not None:
            last = replace(self._last, sequence=self._last.sequence + 1, direction=Direction.STREAM)
            note = replace(last, name="trace_cut", stage=Stage.PROXY, changed=False, data=None)
            self._write(self._folder, PASSES, self._line(note, dump({"reason": why})))

    def flush(self) -> None:
        """Write what has come of it."""
        lines, self._lines, self._size = self._lines, [], 0
        if lines:
            self._append(PASSES, b"".join(lines))
        chunks, self._chunks = self._chunks, {}
        for file, pieces in chunks.items():
            stream = self._streams.get(file) or self._streams.setdefault(file, self._cleaning.stream())
            self._append(f"{file}.bytes", stream.feed(b"".join(pieces)))

    def _note(self, entry: Entry) -> None:
        data = dump(self._cleaning.data(_decoded(entry.data)))
        if len(data) > LONGEST_LINE or (entry.changed and entry.direction is not Direction.STREAM):
            file = f"{entry.sequence:03}-{file_name(entry.name)}.json"
            self._append(file, msgspec.json.format(data, indent=1))
            data = data if len(data) <= LONGEST_LINE else dump({"file": file, "bytes": len(data)})
        self._lines.append(self._line(entry, data))
        self._came(len(self._lines[-1]))

    def _came(self, size: int) -> None:
        """So many bytes are to be written when the round is over, or at once where there are many."""
        self._size += size
        self._store.wrote(self)
        if self._size > MOST_HELD:
            self.flush()

    def _line(self, entry: Entry, data: bytes) -> bytes:
        """`data`: that of the entry, as JSON. The model may be any words of the client."""
        head = {**_head(entry), "model": self._cleaning.name(entry.model)}
        return dump(head)[:-1] + b',"data":' + data + b"}\n"

    # -- the folder -----------------------------------------------------------------------------------

    def _append(self, file: str, data: bytes) -> None:
        if self._over or not data:
            return
        folder = self._made()
        if folder is None or folder.removed:
            self._over = True
        elif folder.size + len(data) > self._store.folders.bounds.max_bytes - RESERVED:
            self.cut(TOO_LARGE)
        else:
            self._over = not self._write(folder, file, data)

    def _made(self) -> CallFolder | None:
        if self._folder is None:
            self._store.guarded(self._make)
        return self._folder

    def _make(self) -> None:
        began = self._last.time if self._last else self._now()
        self._folder = self._store.folders.make(self._id, began)

    def _write(self, folder: CallFolder, file: str, data: bytes) -> bool:
        is_first = file not in self._files
        self._files.add(file)
        return self._store.guarded(lambda: folder.append(file, data, first=is_first))


def _decoded(data: object) -> object:
    """`data`; if that is a request whose body is compressed, with the beginning of what was."""
    body = data.get("body") if isinstance(data, dict) else None
    if not isinstance(data, dict) or not isinstance(body, bytes):
        return data
    codings = [value for name, value in data.get("headers", ()) if name.lower() == "content-encoding"]
    return {**data, "body": beginning(body, ", ".join(codings), LONGEST_BODY)} if codings else data


def _head(entry: Entry) -> Mapping[str, object]:
    return {
        "sequence": entry.sequence,
        "pass": entry.name,
        "direction": entry.direction.value,
        "stage": entry.stage.value,
        "call": entry.call,
        "attempt": entry.attempt,
        "time": entry.time,
        "protocol": entry.protocol,
        "provider": entry.provider,
        "model": entry.model,
        "credential": entry.credential,
        "session": entry.session,
        "changed": entry.changed,
    }

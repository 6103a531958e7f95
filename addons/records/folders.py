"""The folders of traces, one for each call: DIR/DATE/TIME-CALL. They are bounded: the oldest go first.

Only its user can read them. Nothing is written through a link, and only what is named as ours is removed.
"""

import errno
import os
import re
import stat
from collections.abc import Iterator
from contextlib import suppress
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path

from addons.config.tracing import Bounds
from addons.runtime.private_folder import make_private

PASSES = "transform_trace.jsonl"

_DATE = re.compile(r"[0-9]{4}-[0-9]{2}-[0-9]{2}")
_CALL = re.compile(r"[0-9]{6}\.[0-9]{6}Z-[\w.-]{1,80}")
CALL_FILE = re.compile(r"transform_trace\.jsonl|[0-9]{3,}-[\w.-]+\.json|(client|provider-[0-9]+)\.bytes")
"""What a file in the folder of a call is called."""
_ODD = re.compile(r"[^\w.-]", re.ASCII)
_OURS_ALONE, _PRIVATE_FOLDER = 0o600, 0o700
_OTHERS = stat.S_IWGRP | stat.S_IWOTH
_APPEND = os.O_WRONLY | os.O_APPEND | getattr(os, "O_NOFOLLOW", 0) | getattr(os, "O_BINARY", 0)


def file_name(name: str) -> str:
    """`name` without what a file's name cannot have, and not too long."""
    return _ODD.sub("_", name)[:80]


@dataclass(slots=True)
class CallFolder:
    """That of one call."""

    path: Path
    size: int = 0
    """Bytes."""
    removed: bool = False
    """Whether it had to go for the sake of others."""

    def append(self, file: str, data: bytes, *, first: bool) -> None:
        """Raises OSError. `first`: the file must not be there yet."""
        flags = _APPEND | (os.O_CREAT | os.O_EXCL if first else 0)
        descriptor = os.open(f"{self.path}{os.sep}{file}", flags, _OURS_ALONE)
        try:
            left = memoryview(data)
            while left:
                left = left[os.write(descriptor, left) :]
        finally:
            os.close(descriptor)
        self.size += len(data)


class Folders:
    """Those under one root. All of it is for one thread."""

    def __init__(self, root: Path, bounds: Bounds) -> None:
        self.root, self.bounds = root, bounds
        self._calls: dict[str, CallFolder] | None = None
        self._day = ""  # the last that was made, or looked at

    def make(self, call: str, time: float) -> CallFolder:
        """The folder of the call that began at `time`, in epoch seconds. Raises OSError."""
        calls = self._known()
        began = datetime.fromtimestamp(time, UTC)
        date, name = began.strftime("%Y-%m-%d"), f"{began.strftime('%H%M%S.%f')}Z-{file_name(call)}"
        made = CallFolder(self.root / date / name)
        try:
            if date != self._day:
                self._make_day(date)
            made.path.mkdir(_PRIVATE_FOLDER)
        except FileNotFoundError:  # somebody removed it
            self._make_day(date)
            made.path.mkdir(_PRIVATE_FOLDER)
        calls[f"{date}/{name}"] = made
        return made

    def _make_day(self, date: str) -> None:
        self._make_root()
        day = self.root / date
        day.mkdir(_PRIVATE_FOLDER, exist_ok=True)
        _must_be_ours(day)
        self._day = date

    def prune(self, now: float) -> None:
        """Remove the oldest ones while there are too many, or too large or old ones. Raises OSError where one
        cannot be removed: it is not counted any more."""
        calls = self._known()
        total, oldest = sum([each.size for each in calls.values()]), self._oldest(now)
        for name in sorted(calls):
            if total <= self.bounds.max_bytes and len(calls) <= self.bounds.max_calls and name >= oldest:
                break
            folder = calls.pop(name)
            folder.removed = True
            total -= folder.size
            _remove(folder.path)

    def _oldest(self, now: float) -> str:
        """Where names begin that are not too old."""
        if now <= self.bounds.max_age:
            return ""
        return datetime.fromtimestamp(now - self.bounds.max_age, UTC).strftime("%Y-%m-%d/%H%M%S.%f")

    def _known(self) -> dict[str, CallFolder]:
        """By DATE/TIME-CALL; at first those of runs before."""
        if self._calls is None:
            found = {f"{path.parent.name}/{path.name}": path for path in call_folders(self.root)}
            self._calls = {name: CallFolder(path, size_of(path)) for name, path in found.items()}
        return self._calls

    def _make_root(self) -> None:
        """Raises OSError also where others could put something of theirs in its place."""
        make_private(self.root)
        if not _has_owners():
            return
        found = self.root.stat()
        if found.st_uid not in (os.geteuid(), 0):
            raise _unsafe("it belongs to another user")
        if found.st_mode & stat.S_IWOTH and not found.st_mode & stat.S_ISVTX:
            raise _unsafe("every user can write to it")


def call_folders(root: Path) -> Iterator[Path]:
    """Those of the calls under `root`, in no order."""
    for day in _folders_in(root, _DATE):
        yield from _folders_in(day, _CALL)


def _folders_in(folder: Path, names: re.Pattern[str]) -> Iterator[Path]:
    """Those called so; of none that is not ours or cannot be read."""
    with suppress(OSError):
        inside = [each for each in os.scandir(folder) if names.fullmatch(each.name)]
        yield from (Path(each.path) for each in inside if each.is_dir(follow_symlinks=False))


def _files_in(folder: Path) -> list[os.DirEntry[str]]:
    return [each for each in os.scandir(folder) if CALL_FILE.fullmatch(each.name)]


def size_of(folder: Path) -> int:
    """Bytes of what is ours in it."""
    try:
        return sum(each.stat(follow_symlinks=False).st_size for each in _files_in(folder))
    except OSError:  # another proxy removes it
        return 0


def _remove(folder: Path) -> None:
    """With all that is ours in it. What holds something else stays. Raises OSError."""
    try:
        _must_be_ours(folder.parent)
        _must_be_ours(folder)
        for each in _files_in(folder):
            Path(each.path).unlink()
    except FileNotFoundError:
        return
    with suppress(OSError):
        folder.rmdir()
        folder.parent.rmdir()


def _must_be_ours(folder: Path) -> None:
    """Raises OSError unless it is a folder, no link, that none but us can write to."""
    found = folder.lstat()
    if not stat.S_ISDIR(found.st_mode):
        raise _unsafe(f"{folder.name} in it is no folder")
    if _has_owners() and (found.st_uid != os.geteuid() or found.st_mode & _OTHERS):
        raise _unsafe(f"others can write to {folder.name} in it")


def _unsafe(why: str) -> OSError:
    return OSError(errno.EPERM, why)


def _has_owners() -> bool:
    return hasattr(os, "geteuid")

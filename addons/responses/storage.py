"""Where kept responses are: in memory, or one file for each in a folder that outlives the proxy.

In memory is the default: what people say to a model is written to a disk only where they name the folder.
"""

import logging
import os
import stat
import time
from collections.abc import Callable, Iterator
from contextlib import suppress
from pathlib import Path
from typing import Protocol

from addons.runtime.private_folder import make_private
from addons.runtime.wall_clock import WallTime
from addons.secrets.keys import located
from protocols.model.wirejson import dump, load_object
from rewrite.responses.store import Bounds, Entry, Stored, as_mapping, evicted, expired, from_mapping, is_ours

log = logging.getLogger("rotator")
_SUFFIX = ".json"
_UNFINISHED = ".part"
_OURS_ALONE, _PRIVATE_FOLDER = 0o600, 0o700


class StateError(Exception):
    """A folder that cannot be used; the message says which, why, and what to do."""


class Keeper(Protocol):
    """Holds responses by scope and id, which are fit for names of files."""

    def entries(self) -> Iterator[Entry]:
        """What is held from an earlier run, to be let go in its turn."""
        ...

    def read(self, scope: str, response_id: str) -> Stored | None: ...

    def write(self, stored: Stored) -> bool:
        """Whether it is held now."""
        ...

    def remove(self, scope: str, response_id: str) -> bool:
        """Whether it was there."""
        ...


class Memory:
    """Holds them until the proxy ends."""

    def __init__(self) -> None:
        self._held: dict[tuple[str, str], Stored] = {}

    def entries(self) -> Iterator[Entry]:
        yield from ()

    def read(self, scope: str, response_id: str) -> Stored | None:
        return self._held.get((scope, response_id))

    def write(self, stored: Stored) -> bool:
        self._held[stored.scope, stored.id] = stored
        return True

    def remove(self, scope: str, response_id: str) -> bool:
        return self._held.pop((scope, response_id), None) is not None


class Folder:
    """Holds each in a file of its own, `responses/SCOPE/ID.json`, that only its owner can read.

    A file's time is that of its response, so that nothing need be read at the start. What another proxy
    wrote to the same folder is found as well.
    """

    def __init__(self, folder: Path) -> None:
        """Raises OSError if there can be no folder of responses in `folder`."""
        self._root = folder / "responses"
        self._root.mkdir(_PRIVATE_FOLDER, exist_ok=True)

    def entries(self) -> Iterator[Entry]:
        for file in sorted(self._root.glob(f"*/*{_UNFINISHED}")):
            _discard(file)  # of a proxy that ended in the midst of it
        for file in sorted(self._root.glob(f"*/*{_SUFFIX}")):
            if is_ours(file.stem) and (found := _regular(file)):
                yield Entry(file.parent.name, file.stem, found.st_mtime, found.st_size, found.st_mtime)

    def read(self, scope: str, response_id: str) -> Stored | None:
        file = self._file(scope, response_id)
        if _regular(file) is None:
            return None
        try:
            data = file.read_bytes()
        except FileNotFoundError:
            return None
        except OSError as error:
            _warn(file, error.strerror or "cannot be read")
            return None
        stored = from_mapping(load_object(data) or {}, len(data))
        if stored is None or (stored.scope, stored.id) != (scope, response_id):
            _warn(file, "does not hold the response that its name says")
            return None
        return stored

    def write(self, stored: Stored) -> bool:
        file = self._file(stored.scope, stored.id)
        unfinished = file.with_suffix(_UNFINISHED)
        try:
            make_private(file.parent)
            _write(unfinished, dump(as_mapping(stored)))
            os.utime(unfinished, (stored.created, stored.created))
            unfinished.replace(file)
        except OSError as error:
            log.warning("%s: cannot be written (%s): the response is not kept", file, error.strerror)
            _discard(unfinished)
            return False
        return True

    def remove(self, scope: str, response_id: str) -> bool:
        file = self._file(scope, response_id)
        try:
            file.unlink()
        except FileNotFoundError:
            return False
        except OSError as error:
            log.warning("%s: cannot be removed (%s)", file, error.strerror)
            return False
        return True

    def _file(self, scope: str, response_id: str) -> Path:
        return self._root / scope / (response_id + _SUFFIX)


def _write(file: Path, data: bytes) -> None:
    file.unlink(missing_ok=True)  # it may be a link to another file
    descriptor = os.open(file, os.O_WRONLY | os.O_CREAT | os.O_EXCL, _OURS_ALONE)
    with os.fdopen(descriptor, "wb") as opened:
        opened.write(data)


def _regular(file: Path) -> os.stat_result | None:
    """What is known of a file; None where there is none, or something else of its name."""
    try:
        found = file.stat()
    except OSError:
        return None
    return found if stat.S_ISREG(found.st_mode) else None


def _discard(file: Path) -> None:
    """Remove what is left of a response that was not written whole, if it can be removed."""
    with suppress(OSError):
        file.unlink()


def _warn(file: Path, why: str) -> None:
    log.warning("%s: %s: it is skipped", file, why)


class Storage:
    """The kept responses of all scopes, within `bounds`. `clock` gives epoch seconds, `steady` monotonic
    ones: what seems too old because the clock jumped ahead is let go only when it stays there."""

    def __init__(
        self,
        keeper: Keeper,
        clock: Callable[[], float],
        bounds: Bounds | None = None,
        steady: Callable[[], float] = time.monotonic,
    ) -> None:
        self._keeper = keeper
        self._bounds = bounds or Bounds()
        self._entries = {(one.scope, one.id): one for one in keeper.entries()}
        newest = max((one.created for one in self._entries.values()), default=None)
        self._clock = WallTime(clock, steady, newest)
        self._evict()

    def configure(self, bounds: Bounds) -> None:
        """Other bounds, from now on."""
        self._bounds = bounds
        self._evict()

    def find(self, scope: str, response_id: str) -> Stored | None:
        """The response of that id, if `scope` made it and it is still kept. Counts as a use of it."""
        if not is_ours(response_id):
            return None
        stored = self._keeper.read(scope, response_id)
        if stored is None:
            self._entries.pop((scope, response_id), None)
            return None
        now = self._clock()
        if expired(stored, self._bounds, now):
            self.remove(scope, response_id)
            return None
        self._entries[scope, response_id] = _entry(stored, now)
        return stored

    def keep(self, stored: Stored) -> None:
        """Keep it, and let go of what there is no more room for; the same id takes its own place."""
        if stored.size <= self._bounds.max_bytes and self._keeper.write(stored):
            self._entries[stored.scope, stored.id] = _entry(stored, self._clock())
            self._evict()

    def held(self) -> list[tuple[str, str]]:
        """Scope and id of each, those used longest ago first."""
        return sorted(self._entries, key=lambda name: self._entries[name].used)

    def remove(self, scope: str, response_id: str) -> bool:
        """Whether it was there."""
        self._entries.pop((scope, response_id), None)
        return is_ours(response_id) and self._keeper.remove(scope, response_id)

    def _evict(self) -> None:
        for entry in evicted(self._entries.values(), self._bounds, self._clock()):
            self.remove(entry.scope, entry.id)


def _entry(stored: Stored, used: float) -> Entry:
    return Entry(stored.scope, stored.id, stored.created, stored.size, used)


def keeper_at(option: str, cwd: Path) -> Keeper:
    """What `rotator_state` names, from `cwd`; memory if it is empty, or if what is in that folder is in the
    way. Raises StateError where there can be no such folder."""
    if not option:
        return Memory()
    folder = located(option, cwd)
    try:
        make_private(folder)
    except (OSError, ValueError) as error:
        why = getattr(error, "strerror", None) or "no path"
        raise StateError(
            f"rotator_state: {folder} cannot be used ({why}): name one that can be written"
        ) from None
    try:
        return Folder(folder)
    except OSError as error:
        message = "%s: %s/responses cannot be a folder (%s): responses are kept in memory; move it away"
        log.warning(message, "rotator_state", folder, error.strerror)
        return Memory()

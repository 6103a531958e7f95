"""Notices that a file changed, by looking once a second."""

from collections.abc import Awaitable, Callable, Sequence
from pathlib import Path

from addons.runtime.repeated import INTERVAL, Repeated

type Signature = tuple[int, ...] | None


class Watch(Repeated):
    """Awaits `changed` when one of the files is not what it was."""

    def __init__(self, changed: Callable[[], Awaitable[None]], interval: float = INTERVAL) -> None:
        super().__init__(self._look, interval)
        self._changed = changed
        self._seen: dict[Path, Signature] = {}

    def files(self, paths: Sequence[Path]) -> None:
        """Look after `paths`; one that was looked after may have changed since, and is compared with then."""
        self._seen = {path: self._seen[path] if path in self._seen else signature(path) for path in paths}

    async def _look(self) -> None:
        if any(signature(path) != seen for path, seen in self._seen.items()):
            self._seen = {path: signature(path) for path in self._seen}
            await self._changed()


def signature(path: Path) -> Signature:
    """Inode, size and time of change, mode and owner; None where there is no such file."""
    try:
        stat = path.stat()
    except OSError:
        return None
    return stat.st_ino, stat.st_size, stat.st_mtime_ns, stat.st_mode, stat.st_uid

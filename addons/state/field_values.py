"""What the field cache holds by rules with `persist`, in a file of the state folder.

Values are what models and clients said, and opaque texts of providers: one in which a secret of ours stands
is not written. Proxies on one folder have what the others stored once they write themselves.
"""

import asyncio
import logging
import time
from collections.abc import Callable, Iterable, Mapping
from contextlib import suppress
from pathlib import Path

from addons.runtime.file_lock import locked
from addons.runtime.private_folder import make_private
from addons.secrets.keys import located
from addons.state.files import NotOurs, content, write_whole
from protocols.model.wirejson import dump, load_value
from rewrite.fields.rule import Rule
from rewrite.fields.store import Slot, Store
from rewrite.fields.stored import Entries, Kept, Name, Unreadable, bounded, is_readable, read, written

log = logging.getLogger("rotator")

TICK = 1.0
"""Seconds between two looks at what changed."""
LARGE = 1 << 20
"""Bytes. A file is written again after a second for each so many of them."""
_APART = 0.5
"""Seconds by which one value is later than another for certain: clocks are read one after the other."""


class ValuesFile:
    """`FOLDER/fields.json`, with its lock beside it."""

    def __init__(self, folder: Path) -> None:
        self._file = folder / "fields.json"
        self._lock = self._file.with_suffix(".lock")
        self._seen: dict[Name, float] = {}
        self._fails = False
        self.size = 0
        """Bytes that were written last."""

    def exchange(self, own: Entries, rules: frozenset[bytes], now: float) -> Entries:
        """Write what this proxy has, by its `rules`; gives what others wrote since. Waits in this thread."""
        try:
            make_private(self._file.parent)
            with locked(self._lock):
                return self._exchange(own, rules, now)
        except OSError as error:
            if not self._fails:
                message = "%s: cannot be kept (%s): fields of answers are in memory alone until it can"
                log.warning(message, self._file, error.strerror or error)
            self._fails = True
            return {}

    def _exchange(self, own: Entries, rules: frozenset[bytes], now: float) -> Entries:
        found = self._found()
        others = {name: kept for name, kept in found.items() if self._is_news(name, kept, own)}
        foreign = {name: kept for name, kept in found.items() if name[0] not in rules}
        after = bounded({**foreign, **own, **others}, now)
        if after != found:
            data = written(after)
            write_whole(self._file, data)
            self.size = len(data)
        self._seen, self._fails = {name: kept.at for name, kept in after.items()}, False
        return {name: kept for name, kept in others.items() if name[0] in rules}

    def _is_news(self, name: Name, kept: Kept, own: Entries) -> bool:
        """Whether another proxy stored it: what we saw before, and have no more, we let go."""
        here = own[name].at if name in own else self._seen.get(name)
        return here is None or here + _APART < kept.at

    def _found(self) -> dict[Name, Kept]:
        """What the file holds. One that is of no use is set aside."""
        try:
            return read(content(self._file))
        except FileNotFoundError:
            return {}
        except (Unreadable, NotOurs) as fault:
            aside = self._file.with_suffix(".damaged")
            self._file.replace(aside)
            log.warning("%s: %s; it is now %s, and what it held is not known", self._file, fault, aside.name)
            return {}


class FieldValues:
    """Of one store, whose times are those of `clock`. `holds_secret` says whether a secret is in a text."""

    def __init__(
        self,
        store: Store,
        clock: Callable[[], float],
        holds_secret: Callable[[str], bool],
        failed: Callable[[str, Exception], None],
        wall: Callable[[], float] = time.time,
    ) -> None:
        self._store, self._clock, self._wall = store, clock, wall
        self._holds_secret, self._failed = holds_secret, failed
        self._rules: Mapping[bytes, Rule] = {}
        self._folder: Path | None = None
        self._file: ValuesFile | None = None
        self._known: dict[Name, tuple[Slot, Kept | None]] = {}
        self._written = 0
        self._due = 0.0
        self._runs = False
        self._ends = asyncio.Event()
        self._task: asyncio.Task[None] | None = None

    def configure(self, option: str, cwd: Path, rules: Iterable[Rule]) -> None:
        """Keep what `rules` hold where `rotator_state` says, from `cwd`; nowhere if it is empty. Without a
        rule that is to persist, no file is touched."""
        self._known.clear()
        kept = {rule.digest: rule for rule in rules if rule.persist}
        folder = located(option, cwd) if option and kept else None
        if (folder, kept.keys()) == (self._folder, self._rules.keys()):
            self._rules = kept
            return
        self._folder, self._rules = folder, kept
        self._file = ValuesFile(folder) if folder else None
        if self._file is not None:
            self._restore(self._file.exchange(self._own(), frozenset(self._rules), self._wall()))
            self._watch()

    def start(self) -> None:
        """The event loop runs."""
        self._runs = True
        self._watch()

    def _watch(self) -> None:
        """Look from time to time, from when there is a file."""
        if self._runs and self._file is not None and self._task is None:
            self._task = asyncio.get_running_loop().create_task(self._look())

    async def stop(self) -> None:
        """Write what has not been written."""
        if self._task is not None:
            self._ends.set()
            await self._task
        await self.tick(at_once=True)

    async def _look(self) -> None:
        while not self._ends.is_set():
            try:
                await self.tick()
            except Exception as error:  # noqa: BLE001  # calls work without it
                self._failed("keeping fields of answers", error)
            with suppress(TimeoutError):
                await asyncio.wait_for(self._ends.wait(), TICK)

    async def tick(self, *, at_once: bool = False) -> None:
        """One look. `at_once`: a large file is written though it has just been."""
        changes, now = self._store.changes, self._clock()
        if self._file is None or changes == self._written or (now < self._due and not at_once):
            return
        own, rules = self._own(), frozenset(self._rules)
        found = await asyncio.to_thread(self._file.exchange, own, rules, self._wall())
        self._restore(found)
        self._written, self._due = changes, now + self._file.size // LARGE

    def _own(self) -> Entries:
        """What the store has. What did not change is not written down again."""
        before, self._known = self._known, {}
        for digest, rule in self._rules.items():
            for key, slot in self._store.held(rule):
                known = before.get((digest, key))
                kept = known[1] if known and known[0] is slot else self._written_down(rule, slot)
                self._known[digest, key] = slot, kept
        return {name: kept for name, (_, kept) in self._known.items() if kept is not None}

    def _written_down(self, rule: Rule, slot: Slot) -> Kept | None:
        """None where a secret is in it, or what would make the file unreadable: half a character."""
        data = dump(list(slot.values))
        if not is_readable(data) or self._holds_secret(data.decode("utf-8", "replace")):
            return None
        at = self._wall() - self._clock() + slot.at
        return Kept(at, at + rule.ttl if rule.ttl else None, data)

    def _restore(self, found: Entries) -> None:
        """Have in the store what others kept, or this proxy before its restart."""
        now, wall = self._clock(), self._wall()
        for (digest, key), kept in found.items():
            values = load_value(kept.values)
            if isinstance(values, list) and (rule := self._rules.get(digest)):
                self._store.restore(rule, key, values, now - max(0.0, wall - kept.at), now)

"""State in a store that several proxies share: what one changes the others hear at once.

Each has its own copy, which the pool is. Here is what goes to the store and what comes from it: facts one by
one, and of what is counted how much each proxy has counted in all. All of it may be written twice.
"""

import asyncio
import secrets
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import suppress
from functools import partial
from itertools import batched
from math import inf
from typing import Any

from addons.state.reading import facts, totals
from addons.store.connection import Connection
from addons.store.line import Answer, Argument, StoreError, StoreLost
from addons.store.script import Script, script
from rewrite.credentials.counters import Counters, Total
from rewrite.credentials.entries import (
    NOTHING,
    Clearing,
    Entries,
    Entry,
    Key,
    Kind,
    absorb,
    merged,
)
from rewrite.credentials.packed import can_be_kept, is_number, is_time, law, packed, read, written
from rewrite.credentials.store_names import used_key
from rewrite.credentials.stored import Subject, counts_until, moved_key, used, used_in

MOST_CONVERSATIONS = 20_000
"""So many of what is known of conversations are found again, the latest: others stay until they are over."""

_BATCH = 200
"""Facts that one script writes: nobody else is served meanwhile."""
_PATIENCE, _LAST_WORDS = 30.0, 1.0
"""Seconds in which something has to be written; the latter at the end of this proxy."""
_A_WHILE = 2.0
"""Seconds after which all have heard what was cleared."""
_MERGE, _DROP, _COUNT = script("merge"), script("drop"), script("count")

type Asked = tuple[Script, Sequence[str], Sequence[Argument]]


class SharedStore:
    """A `StateStore` behind `connection`. `clock` is the pool's; `woken` is called when something was heard,
    and takes it at once; `is_news` says whether a fact is not known yet.

    Who keeps state calls `load`, `load_counts` and `join` each time that the store is there."""

    def __init__(
        self,
        connection: Connection,
        clock: Callable[[], float],
        is_news: Callable[[Key, Entry], bool],
        woken: Callable[[], None],
    ) -> None:
        self._connection, self._clock, self._is_news, self._woken = connection, clock, is_news, woken
        self._before = secrets.token_hex(16)
        self._counters = Counters(connection.proxy)
        self._heard: dict[Key, Entry] = {}
        self._early: list[Callable[[], None]] | None = None
        self._is_joined = False
        self._read_again_at = inf
        self._facts: dict[Key, Entry] = {}
        self._totals: dict[tuple[Key, str], float] = {}
        connection.subscribe("entries", partial(self._in_order, self._hear_facts))
        connection.subscribe("used", partial(self._in_order, self._hear_counts))
        connection.on_down(self.lost)
        self._is_refused = asyncio.Event()
        connection.during(self._until_refused)

    is_prompt = True

    @property
    def salt(self) -> str:
        """One of our own until the store was there."""
        return self._connection.salt or self._before

    # -- out ------------------------------------------------------------------------------------------------

    async def exchange(self, changes: Entries) -> Entries:
        self.write(changes)
        return self.heard()

    def write(self, changes: Entries) -> None:
        """What was changed is on its way when this returns; what cannot be is written when the store is there
        again."""
        self._change(changes)
        self._flush()

    def heard(self) -> Entries:
        """What others changed, since this was asked before."""
        found, self._heard = self._heard, {}
        return found

    def dropped(self, entries: Entries) -> None:
        """These were cleared: nobody is to find them again."""
        if self._connection.is_up:
            kept = [(key, one) for key, one in entries.items() if key.kind is not Kind.USED]
            for batch in batched(kept, _BATCH):
                self._ask(self._dropping(batch))

    async def close(self) -> None:
        """What is on its way gets there."""
        self._flush()
        if self._connection.is_up:
            with suppress(TimeoutError, StoreError):
                async with asyncio.timeout(_LAST_WORDS):
                    await self._connection.call(*self._merging(()))

    def recount(self, keys: Iterable[Key]) -> None:
        """Say again how much this proxy has counted."""
        self._owe(*(self._counters.counted(key, 0.0) for key in keys))

    def _change(self, changes: Entries) -> None:
        for of in _reset(changes):
            self.forget(of, others=True)
        for key, one in changes.items():
            if key.kind is Kind.USED and isinstance(one.value, float | int):
                self._owe(self._counters.counted(key, one.value))
            elif self._is_joined and key.kind is not Kind.USED:
                absorb(self._facts, {key: one})

    def _owe(self, *totals: Total) -> None:
        if self._is_joined:
            self._totals.update({(key, proxy): total for key, proxy, total in totals})

    def _flush(self) -> None:
        if self._connection.is_up:
            for asked in (*self._written_facts(), *self._written_totals()):
                self._ask(asked)

    def _written_facts(self) -> Iterator[Asked]:
        """All that are to be written, which count as written then."""
        facts, self._facts = self._facts, {}
        for some in batched((pair for pair in facts.items() if can_be_kept(pair[1])), _BATCH):
            yield self._merging(some)

    def _written_totals(self) -> Iterator[Asked]:
        """As these. After the facts: what clears counts comes before what was counted since."""
        totals, self._totals = self._totals, {}
        for some in batched(totals.items(), _BATCH):
            yield self._counting(some)

    def _ask(self, asked: Asked) -> None:
        self._connection.ask(*asked, self._asked, seconds=_PATIENCE)

    def _asked(self, answer: Answer) -> None:
        if answer is None:
            self._is_refused.set()

    async def _until_refused(self) -> None:
        """Raises StoreLost then: all is written when the store is there again."""
        await self._is_refused.wait()
        raise StoreLost("it does not keep what it is given")

    def _merging(self, facts: Iterable[tuple[Key, Entry]]) -> Asked:
        listed, begin = [*facts], f"{self._connection.prefix}e:"
        keys = [f"{begin}{packed(key)}" for key, _ in listed]
        texts = [each for key, one in listed for each in (law(key), written(key, one))]
        args = (*self._from(begin), MOST_CONVERSATIONS, *texts)
        return _MERGE, [*map(self._index, ("facts", "recent")), *keys], args

    def _dropping(self, facts: Iterable[tuple[Key, Entry]]) -> Asked:
        listed, begin = [*facts], f"{self._connection.prefix}e:"
        keys = [f"{begin}{packed(key)}" for key, _ in listed]
        return _DROP, [self._index("facts"), *keys], [begin, *(one.at for _, one in listed)]

    def _counting(self, totals: Iterable[tuple[tuple[Key, str], float]]) -> Asked:
        keys, args = [self._index("counted")], [*self._from(f"{self._connection.prefix}u:")]
        for (key, proxy), total in totals:
            of, (until, window, scope) = Subject(*key[1:4]), used_in(key)
            keys.append(f"{self._connection.prefix}{used_key(of, window, scope)}")
            args += [until, proxy, repr(total)]
        return _COUNT, keys, args

    def _index(self, name: str) -> str:
        return f"{self._connection.prefix}{name}"

    def _from(self, begin: str) -> Sequence[Argument]:
        return self._connection.proxy, self._connection.channel, begin, repr(self._clock())

    # -- in -------------------------------------------------------------------------------------------------

    def _in_order(self, hear: Callable[[Any], None], body: object) -> None:
        """What is heard while the store is read holds after what is read."""
        if self._early is None:
            hear(body)
        else:
            self._early.append(partial(hear, body))

    def _hear_facts(self, body: Any) -> None:
        rows = [each for each in body if isinstance(each, list)] if isinstance(body, list) else []
        found = dict(filter(None, (read(*row) for row in rows if len(row) == _PAIR)))
        self._hear(found)

    def _hear_counts(self, body: Any) -> None:
        match body:
            case [str(proxy), list(rows)]:
                now, found = self._clock(), dict[Key, Entry]()
                for row in rows:
                    match row:
                        case [[str(), str(), str(), str(), str()] as name, until, total] if is_time(until):
                            key = _counted_key(name, float(until))
                            absorb(found, self._more(key, proxy, total, now))
                self._hear(found)

    def _more(self, key: Key, proxy: str, total: Any, now: float) -> Entries:
        """What another proxy has counted since it was heard before."""
        until = counts_until(key)
        if until is None or until <= now or not is_number(total):
            return NOTHING
        more = self._counters.heard(key, proxy, float(total))
        return {key: Entry(now, until, more)} if more else NOTHING

    def _hear(self, found: Entries) -> None:
        if any(key.kind is Kind.CLEARED for key in found):
            news = {key: one for key, one in found.items() if self._is_news(key, one)}
            self._heard = dict(merged(self._heard, found))
            for of in _reset(news):
                self.forget(of)
        else:
            absorb(self._heard, found)
        self._woken()

    def forget(self, of: Subject, *, others: bool = False) -> None:
        """What was counted of it was cleared. `others`: by this proxy, which says so in their place too."""
        self._read_again_at = self._clock() + _A_WHILE
        over = self._counters.forget(partial(_is_of, of))
        self._owe(*((key, proxy, 0.0) for key, proxy, _ in over if others or proxy == self._counters.own))
        self._heard = {
            key: one for key, one in self._heard.items() if not (key.kind is Kind.USED and _is_of(of, key))
        }

    # -- the store is there, or lost ------------------------------------------------------------------------

    async def load(self) -> Sequence[Entries]:
        """What is in the store, in parts, but for counts; of conversations the oldest first. Raises
        StoreError."""
        self._early, self._is_joined, self._facts, self._totals = [], False, {}, {}
        found = await facts(self._connection, "facts", MOST_CONVERSATIONS)
        return [*found, *reversed(await facts(self._connection, "recent", MOST_CONVERSATIONS))]

    async def load_counts(self, *, emptied: bool) -> Entries:
        """What others have counted since they were heard, by what is in the store now. `emptied`: it lost
        all it had: then what they counted is written again for them. Raises StoreError."""
        now, found = self._clock(), dict[Key, Entry]()
        self._counters.forget(lambda key: (counts_until(key) or 0.0) <= now)
        kept = {(key, proxy): total for key, proxy, total in await totals(self._connection)}
        self._is_joined = True
        for key, proxy, total in self._counters.totals():
            if proxy == self._counters.own or (emptied and (key, proxy) not in kept):
                self._owe((key, proxy, total))
            else:
                kept.setdefault((key, proxy), 0.0)
        for (key, proxy), total in kept.items():
            if proxy != self._counters.own:
                absorb(found, self._more(key, proxy, total, now))
            elif not self._counters.has(key):
                self._owe((key, proxy, 0.0))
        return found

    async def join(self, own: Iterable[Entries]) -> None:
        """Write what this proxy knows and the store does not, in parts. Raises StoreError."""
        self._hear_early()
        for part in own:
            self._facts.update(part)
            for asked in self._written_facts():
                await self._connection.call(*asked)
        for asked in self._written_totals():
            await self._connection.call(*asked)

    async def look(self) -> None:
        """Read again what others have counted, a while after some of it was cleared: what they counted
        meanwhile may have been said before that was heard. Raises StoreError."""
        if not self._connection.is_up or self._clock() < self._read_again_at:
            return
        self._read_again_at, self._early = inf, []
        try:
            absorb(self._heard, await self.load_counts(emptied=False))
        finally:
            self._hear_early()
        self._woken()

    def _hear_early(self) -> None:
        early, self._early = self._early or [], None
        for hear in early:
            hear()

    def renamed(self, named: Callable[[Key], Key | None]) -> None:
        """Keys have other marks."""
        self._counters.rename(named)

    def moved(self, seconds: float) -> None:
        """What others counted has to be heard again, by their clock that was moved too."""
        now = self._clock()
        for key, proxy, total in self._counters.totals():
            until = counts_until(moved := moved_key(key, seconds))
            if proxy != self._counters.own and until is not None:
                absorb(self._heard, {moved: Entry(now, until, -total)})
        self._counters.rename(lambda key: moved_key(key, seconds), others=False)

    def lost(self) -> None:
        """What changes from now on is written when the store is there again."""
        self._is_refused.clear()
        self._is_joined, self._early = False, None
        self._facts, self._totals = {}, {}


_PAIR = 2


def _reset(changes: Entries) -> list[Subject]:
    """Of whom all is forgotten."""
    return [Subject(*key[1:4]) for key in changes if key.kind is Kind.CLEARED and key.scope == Clearing.RESET]


def _is_of(of: Subject, key: Key) -> bool:
    return key[1:4] == (of.provider, of.credential, of.mark)


def _counted_key(name: Sequence[str], until: float) -> Key:
    provider, credential, mark, window, scope = name
    return used(Subject(provider, credential, mark), until, window, scope)

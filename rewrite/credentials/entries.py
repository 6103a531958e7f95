"""What is known of credentials in a form that is kept, shared with other proxies and merged. Pure.

Each fact is an entry under a key of its own, and its kind has a law by which two of them become one. What one
proxy changed is itself entries: merged into those of another they say what both know, in any order. Times are
epoch seconds on the clock of the pool.
"""

from collections import Counter
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, replace
from enum import StrEnum
from heapq import nlargest
from types import MappingProxyType
from typing import NamedTuple


class Kind(StrEnum):
    """What an entry is about."""

    COOLDOWN = "cooldown"
    """For how long a credential is not used for a scope."""
    AUTH = "auth"
    """How often in a row a credential was refused."""
    PAUSE = "pause"
    """For how long calls keep away from a provider."""
    RETIRED = "retired"
    """Whether a user took a credential out."""
    LAST = "last"
    """When a credential was last used, and what came of it."""
    LEARNT = "learnt"
    """What a provider reported of a limit."""
    USED = "used"
    """What was used in one part of a window."""
    CYCLE = "cycle"
    """Which credentials have had their turn in a fair cycle."""
    TURN = "turn"
    """When a credential had its last turn."""
    BINDING = "binding"
    """On which credential a conversation stays."""
    MARK = "mark"
    """Which conversation an answer is of."""
    MAKER = "maker"
    """Which credential made an answer that its provider keeps."""
    CLEARED = "cleared"
    """When a user, or a changed config, ended what was known."""


class Clearing(StrEnum):
    """How much is cleared; the scope of such an entry."""

    RESUMED = "resumed"
    """What keeps a credential from serving."""
    FORGIVEN = "forgiven"
    """Refusals: the config changed."""
    RESET = "reset"
    """All that is known."""


type Value = float | str | Mapping[str, object] | None
"""What JSON can say."""


class Key(NamedTuple):
    """What an entry is about. Empty parts do not apply."""

    kind: Kind
    provider: str
    credential: str = ""
    """Its name."""
    mark: str = ""
    """Of its key: another key under the same name is another credential."""
    scope: str = ""
    """The rest of what distinguishes it."""


@dataclass(frozen=True, slots=True)
class Entry:
    """One fact."""

    at: float
    """When it became one."""
    until: float
    """When it is of no more use."""
    value: Value = None
    """What it says. None: that nothing is known any more, or nothing but its times."""

    def moved(self, seconds: float) -> "Entry":
        """By a clock that is ahead by so much."""
        return replace(self, at=self.at + seconds, until=self.until + seconds)


type Entries = Mapping[Key, Entry]

NOTHING: Entries = MappingProxyType({})

OF_SESSIONS = frozenset({Kind.BINDING, Kind.MARK, Kind.MAKER})

MOST: Mapping[Kind, int] = {
    **dict.fromkeys(Kind, 4096),
    **dict.fromkeys(OF_SESSIONS, 10_000),
    Kind.USED: 20_000,
}
"""How many of a kind are kept: clients name models and conversations as they like."""

CLEARS: Mapping[Clearing, frozenset[Kind]] = {
    Clearing.RESUMED: frozenset({Kind.COOLDOWN, Kind.AUTH, Kind.PAUSE, Kind.RETIRED}),
    Clearing.FORGIVEN: frozenset({Kind.COOLDOWN, Kind.AUTH}),
    Clearing.RESET: frozenset(Kind) - {Kind.CLEARED, *OF_SESSIONS},
}


def _longer(held: Entry, new: Entry) -> Entry:
    return new if (new.until, new.at) > (held.until, held.at) else held


def _later(held: Entry, new: Entry) -> Entry:
    if held.at == new.at:  # whichever comes first
        return max(held, new, key=lambda one: (one.until, str(one.value)))
    return new if new.at > held.at else held


def _both(held: Entry, new: Entry) -> Entry:
    return Entry(max(held.at, new.at), max(held.until, new.until), amount(held) + amount(new))


def amount(entry: Entry | None) -> float:
    """What an entry that is a number comes to."""
    return entry.value if entry is not None and isinstance(entry.value, float | int) else 0.0


LAWS: Mapping[Kind, Callable[[Entry, Entry], Entry]] = {
    **dict.fromkeys(Kind, _later),
    Kind.COOLDOWN: _longer,
    Kind.USED: _both,
}
"""What two entries under one key become. A cooldown is never shortened, what is counted is added up, and of
all else the later one holds."""


def merged(held: Entries, changes: Entries) -> Entries:
    """`held` with `changes`, less what any of them clears."""
    if not changes:
        return held
    cleared = _Cleared(held, changes)
    found = dict(cleared.remainder(held)) if cleared.is_news else dict(held)
    for key, new in cleared.remainder(changes):
        former = found.get(key)
        found[key] = new if former is None else LAWS[key.kind](former, new)
    return found


def absorb(held: dict[Key, Entry], changes: Entries) -> None:
    """The same in place, where nothing is cleared."""
    for key, new in changes.items():
        former = held.get(key)
        held[key] = new if former is None else LAWS[key.kind](former, new)


class _Cleared:
    """What all clearings of two sets of entries leave. What is known since then stays."""

    def __init__(self, held: Entries, changes: Entries) -> None:
        marks = [
            (key, one) for each in (held, changes) for key, one in each.items() if key.kind is Kind.CLEARED
        ]
        self._at = {key: one.at for key, one in sorted(marks, key=lambda pair: pair[1].at)}
        self.is_news = any(key.kind is Kind.CLEARED for key in changes)

    def remainder(self, entries: Entries) -> Iterator[tuple[Key, Entry]]:
        return ((key, one) for key, one in entries.items() if not (self._at and self.covers(key, one)))

    def covers(self, key: Key, entry: Entry) -> bool:
        return any(
            entry.at <= self._at.get(clearing(key, how), _LONG_AGO)
            for how, kinds in CLEARS.items()
            if key.kind in kinds and (how is not Clearing.FORGIVEN or _is_refusal(key, entry))
        )


_LONG_AGO = float("-inf")


def _is_refusal(key: Key, entry: Entry) -> bool:
    return key.kind is Kind.AUTH or (isinstance(entry.value, Mapping) and "status" in entry.value)


def clearing(of: Key, how: Clearing) -> Key:
    """The key of what clears `of`."""
    return Key(Kind.CLEARED, of.provider, of.credential, of.mark, how)


def covered(held: Entries, entries: Entries) -> Entries:
    """Those of `entries` that a clearing in `held` covers."""
    cleared = _Cleared(held, NOTHING)
    return {key: one for key, one in entries.items() if cleared.covers(key, one)}


def changes(before: Entries, after: Entries) -> Entries:
    """What, merged into `before`, gives `after`, but for what is no more in it."""
    found = {}
    for key, entry in after.items():
        known = before.get(key)
        if entry != known:
            found[key] = _added(known, entry) if key.kind is Kind.USED else entry
    return found


def _added(known: Entry | None, entry: Entry) -> Entry:
    return replace(entry, value=amount(entry) - amount(known))


def says_more(key: Key, entry: Entry, known: Entry | None) -> bool:
    """Whether an entry that was just found says something else than what is `known`, but for its time. That
    a conversation goes on is news only now and then."""
    if known is None:
        return True
    longer, news = entry.until - known.until, LONGER_IS_NEWS.get(key.kind)
    return entry.value != known.value or (longer != 0 if news is None else longer > news)


LONGER_IS_NEWS: Mapping[Kind, float] = {
    Kind.COOLDOWN: 0.0,
    Kind.RETIRED: 86_400.0,
    Kind.CYCLE: 3600.0,
}
"""Seconds by which one of these has to last longer for that to be worth writing down."""


def bounded(entries: Entries, now: float) -> Entries:
    """Without what is over, and not more than so many of each kind: those that last longest."""
    alive = {key: entry for key, entry in entries.items() if entry.until > now}
    count = Counter(key.kind for key in alive)
    for kind in (kind for kind in count if count[kind] > MOST[kind]):
        of_kind = [key for key in alive if key.kind is kind]
        stay = set(nlargest(MOST[kind], of_kind, key=lambda key: alive[key].until))
        alive = {key: entry for key, entry in alive.items() if key.kind is not kind or key in stay}
    return alive


def of_credential(entries: Entries, provider: str, credential: str, mark: str) -> Iterator[tuple[Key, Entry]]:
    """What is known of one credential."""
    wanted = (provider, credential, mark)
    return ((key, entry) for key, entry in entries.items() if key[1:4] == wanted)

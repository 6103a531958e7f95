"""What is known of the credentials of a pool, as entries: what changed in it, and what others changed."""

from collections.abc import Callable, Iterable, Iterator, Mapping
from itertools import islice

from addons.credentials.pool import Pool
from addons.credentials.unsaved import Unsaved
from rewrite.credentials.entries import (
    LAWS,
    NOTHING,
    OF_SESSIONS,
    Clearing,
    Entries,
    Entry,
    Key,
    Kind,
    absorb,
    bounded,
    covered,
    merged,
)
from rewrite.credentials.state import CredentialState, PoolState
from rewrite.credentials.stored import Subject, adopted, changed, cleared, moved, moved_entries
from rewrite.credentials.turns import Turns, given, more_turns, turns_key, with_turns

PASSING = OF_SESSIONS | {Kind.TURN}
"""What comes with every call, and makes no credential serve that did not."""

_AT_ONCE = 2
"""Of so many credentials what is over is forgotten with each writing."""


class Known:
    """Of one pool, by its clock. What was written down and what was heard are the same here."""

    def __init__(self, pool: Pool, clock: Callable[[], float], proxy: str) -> None:
        """`proxy`: by which others know this one."""
        self._pool, self._clock, self._proxy = pool, clock, proxy
        self._entries: dict[Subject, dict[Key, Entry]] = {}
        self._gathered: dict[Subject, CredentialState] = {}
        self._subjects: dict[tuple[str, str], Subject] = {}
        self.over: dict[Key, Entry] = {}
        """What was cleared, since somebody took it."""

    def clear(self) -> None:
        self._entries, self._subjects, self._gathered = {}, {}, {}

    def subject(self, provider: str, name: str) -> Subject | None:
        """Whose entries those of a credential are, or with no name those of its provider."""
        return self._subjects.get((provider, name))

    def names(self) -> Iterable[tuple[str, str]]:
        """Of all credentials of the pool, and of its providers."""
        return self._subjects.keys()

    def everything(self) -> Iterator[Entries]:
        """All that is known, in parts."""
        yield from [*self._entries.values()]

    def follow(self, salt: str) -> None:
        """The pool has new settings: what is known of credentials that it did not have comes into force."""
        before = self._subjects
        self._subjects = {each[:2]: Subject(*each) for each in self._pool.marks(salt)}
        for name, subject in self._subjects.items():
            if before.get(name) != subject:
                self._adopt(subject, self._entries.get(subject, NOTHING))

    def marked(self, salt: str) -> Callable[[Key], Key | None]:
        """Marks of keys are made with another salt: whatever is known of the credentials of the pool has
        another key, and of others nothing is. Gives which one."""
        marks = {each[:2]: Subject(*each) for each in self._pool.marks(salt)}
        new = {subject: marks[name] for name, subject in self._subjects.items() if name in marks}

        def renamed(key: Key) -> Key | None:
            found = new.get(Subject(*key[1:4]))
            return key._replace(mark=found.mark) if found else None

        entries = {new[of]: known for of, known in self._entries.items() if of in new}
        self._entries = {
            of: {key._replace(mark=of.mark): one for key, one in known.items()}
            for of, known in entries.items()
        }
        self._gathered = {new[of]: state for of, state in self._gathered.items() if of in new}
        self._subjects = marks
        return renamed

    # -- what changed in the pool ---------------------------------------------------------------------------

    def changes(self, unsaved: Unsaved, now: float) -> Entries:
        """What changed since it was known."""
        found = dict[Key, Entry]()
        for (provider, name, how), at in unsaved.cleared.items():
            if subject := self._subjects.get((provider, name)):
                found |= self._know(subject, cleared(subject, how, at))
        for provider, name in unsaved.names:
            if subject := self._subjects.get((provider, name)):
                known = self._entries.get(subject, NOTHING)
                found |= self._gather(subject, self._pool.states[provider], known, now)
        self._forget(now)
        return found

    def turns(self, turned: Mapping[tuple[str, str], tuple[int, float]]) -> dict[Key, Entry]:
        """The turns that credentials had here: how many, and when the last."""
        found = dict[Key, Entry]()
        for (provider, name), (count, at) in turned.items():
            if subject := self._subjects.get((provider, name)):
                known = self._entries.setdefault(subject, {})
                one = given(subject, self._proxy, known.get(turns_key(subject, self._proxy)), count, at)
                found |= one
                known |= one
        return found

    def _gather(self, subject: Subject, pool: PoolState, known: Entries, now: float) -> Entries:
        """What changed of one. Many counts of a busy one are as they were when it was gathered before."""
        found = changed(subject, pool, known, now, self._gathered.get(subject))
        if subject not in self._gathered:
            self._know(subject, found)
        else:
            absorb(self._entries[subject], found)
        if subject.credential and not any(subject.key(Kind.CLEARED, how) in known for how in Clearing):
            self._gathered[subject] = pool.state(subject.credential)
        return found

    def _forget(self, now: float) -> None:
        """What is over, of some each time."""
        for subject in [*islice(self._gathered, _AT_ONCE)]:
            self._entries[subject] = dict(bounded(self._entries[subject], now))
            self._gathered[subject] = self._gathered.pop(subject)

    # -- what others changed --------------------------------------------------------------------------------

    def heed(self, others: Entries) -> None:
        """Into the pool with what others changed, where nothing better is known."""
        for subject, found in _by_subject(others).items():
            self._adopt(subject, self._learn(subject, found))
        self._heed_turns({key: one for key, one in others.items() if key.kind is Kind.TURN})

    def _heed_turns(self, turns: Entries) -> None:
        """They come with every call."""
        news: dict[str, list[Turns]] = {}
        for key, one in turns.items():
            subject = Subject(*key[1:4])
            known = self._entries.setdefault(subject, {})
            number = more_turns(known.get(key), one)
            absorb(known, {key: one})
            if number and key.scope != self._proxy and self._is_current(subject):
                news.setdefault(key.provider, []).append(Turns(key.credential, number, one.at))
        for provider, found in news.items():
            self._pool.states[provider] = with_turns(self._pool.states[provider], found)

    def _is_current(self, subject: Subject) -> bool:
        """Whether the pool has that very credential."""
        who = (subject.provider, subject.credential)
        return subject.provider in self._pool.states and self._subjects.get(who) == subject

    def is_news(self, key: Key, entry: Entry) -> bool:
        """Whether it holds from now on and did not yet."""
        known = self._entries.get(Subject(*key[1:4]), NOTHING).get(key)
        return known is None or (known != entry and LAWS[key.kind](known, entry) == entry)

    def _learn(self, subject: Subject, found: Entries) -> Entries:
        """Keep it in mind; gives what of it is news."""
        before = self._entries.get(subject, NOTHING)
        found = {key: one for key, one in found.items() if key.kind is Kind.USED or self.is_news(key, one)}
        if subject.key(Kind.CLEARED, Clearing.RESET) in found:
            self._entries[subject] = {key: one for key, one in before.items() if key.kind is not Kind.USED}
        self._know(subject, found)
        after = self._entries[subject]
        return {
            key: one if key.kind is Kind.USED else after[key]
            for key, one in found.items()
            if key in after and (key.kind is Kind.USED or after[key] != before.get(key))
        }

    def _know(self, subject: Subject, changes: Entries) -> Entries:
        """Keep in mind what `changes` say."""
        self._gathered.pop(subject, None)
        before = self._entries.get(subject, NOTHING)
        after = merged(before, changes)
        if any(subject.key(Kind.CLEARED, how) in after for how in Clearing):
            self.over |= covered(after, {**before, **changes})
        self._entries[subject] = dict(bounded(after, self._clock()))
        return changes

    def _adopt(self, subject: Subject, changes: Entries) -> None:
        """Into the pool, if that has such a credential."""
        if self._is_current(subject):
            state = self._pool.states[subject.provider]
            self._pool.states[subject.provider] = adopted(state, subject, changes, self._clock())

    def moved(self, seconds: float) -> None:
        """The clock is ahead by so much."""
        for provider, state in self._pool.states.items():
            self._pool.states[provider] = moved(state, seconds)
        self._gathered.clear()
        self._entries = {of: dict(moved_entries(known, seconds)) for of, known in self._entries.items()}


def _by_subject(others: Entries) -> dict[Subject, dict[Key, Entry]]:
    found: dict[Subject, dict[Key, Entry]] = {}
    for key, entry in others.items():
        if key.kind not in PASSING:
            found.setdefault(Subject(key.provider, key.credential, key.mark), {})[key] = entry
    return found

"""Which conversation stays on which credential, so that prompt caches and signatures hold.

A conversation belongs to the credential that served it first, its home. What fails for a moment is served
elsewhere once, and does not move it. While its home is rate-limited it stays where it went, and goes back
when the home is free again; unless something was signed elsewhere, which makes that its home. Only hashes and
names of credentials are kept. Pure: tables that have bounds; times are seconds on the clock of `now`.
"""

from collections import OrderedDict
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace
from enum import Enum
from itertools import islice

from protocols.model.progress import Progress
from rewrite.credentials.evidence import Digest, Evidence, digest

TTL = 3600.0
"""Seconds after its last call for which a conversation is kept where it was."""
MOST_CONVERSATIONS = 10_000
MOST_MARKS = 8 * MOST_CONVERSATIONS
"""Answers leave several each."""
MOST_CLAIMS = 4
"""Conversations that have left one and the same mark."""


@dataclass(frozen=True, slots=True)
class Binding:
    """Where a conversation is. Credentials are named."""

    home: str
    """The one that it belongs to."""
    at: float
    """When it was served last."""
    home_at: float
    """When its home served it last."""
    away: str | None = None
    """The other one that served it last. None: its home did."""
    served: bool = True
    """False: its first answer is not there yet."""

    def preferred(self, now: float) -> tuple[str, ...]:
        """The credentials that are to serve it, the first one that is free."""
        if now - self.at > TTL:
            return ()
        if self.away is None:
            return (self.home,)
        return (self.away,) if now - self.home_at > TTL else (self.home, self.away)

    @property
    def last(self) -> str | None:
        """The credential that served it last. None: none has yet."""
        return (self.away or self.home) if self.served else None

    def after(self, credential: str, *, signed: bool, now: float) -> "Binding":
        """`credential` served it. `signed`: its answer has a signature or encrypted reasoning."""
        if signed or not self.served or credential == self.home:
            return Binding(credential, now, now)
        return replace(self, at=now, away=credential)


@dataclass(frozen=True, slots=True)
class Found:
    """What is known of the conversation of a call."""

    conversation: Digest | None = None
    """Which it is. None: a new one."""
    prefer: tuple[str, ...] = ()
    """The credentials that are to serve it, the first one that is free."""
    former: str | None = None
    """The one that served it last."""


UNKNOWN_CONVERSATION = Found()


@dataclass(frozen=True, slots=True)
class Maker:
    """Whose an answer is that a provider keeps."""

    credential: str
    """Its name."""
    at: float
    """When it was made."""


@dataclass(frozen=True, slots=True)
class Mark:
    """What one answer is known by."""

    claims: Mapping[str, Digest | None]
    """The conversations whose answers left it, by the connection that they came over. None: several over
    the same one, which nothing tells apart."""
    at: float
    """When it was left last."""

    @property
    def whose(self) -> Digest | None:
        """The only conversation that left it."""
        found = {*self.claims.values()}
        return found.pop() if len(found) == 1 else None

    def claimed(self, connection: str, conversation: Digest, now: float) -> "Mark":
        """As `conversation` leaves it too."""
        if connection not in self.claims and len(self.claims) >= MOST_CLAIMS:
            connection, conversation_is = _ANY, None
        else:
            conversation_is = self.claims.get(connection, conversation)
        is_same = conversation_is == conversation
        return Mark({**self.claims, connection: conversation if is_same else None}, now)


_ANY = ""
"""In place of a connection: of any other."""


def _claimed_too(known: Mark | None, one: Mark) -> Mark:
    """`one`, which several may have left if it is known already."""
    if known is None or abs(one.at - known.at) > TTL or known.claims == one.claims:
        return one
    return Mark({**known.claims, **one.claims}, max(known.at, one.at))


def left_by(conversation: Digest, at: float) -> Mark:
    """The mark of a conversation, over any connection."""
    return Mark({_ANY: conversation}, at)


type SessionKey = tuple[str, Digest]
"""The name of a provider, and a hash."""

type Known = tuple[SessionKey, Binding | Mark | Maker]
"""One thing that is known, and what it is known of."""


class Table(Enum):
    """What is known of a hash."""

    BINDINGS = "where a conversation is"
    MARKS = "whose an answer is"
    MAKERS = "which credential made an answer that its provider keeps"


_LATE = 60.0
"""Seconds by which what others know may come late."""


class Sessions:
    """What is known of all conversations, of each at each provider."""

    def __init__(self, most: int = MOST_CONVERSATIONS, most_marks: int = MOST_MARKS) -> None:
        self._most, self._most_marks = most, most_marks
        self._bindings: OrderedDict[SessionKey, Binding] = OrderedDict()
        self._marks: OrderedDict[SessionKey, Mark] = OrderedDict()
        self._makers: OrderedDict[SessionKey, Maker] = OrderedDict()
        """By the ids of answers."""
        self._news: set[tuple[Table, SessionKey]] | None = None
        """What changed since it was asked for. None: nobody asks."""

    def count(self, now: float) -> int:
        """How many conversations stay where they are."""
        return sum(now - one.at <= TTL for one in self._bindings.values())

    def find(self, provider: str, one: Evidence, connection: str, now: float, *, spread: bool) -> Found:
        """The conversation of a call at `provider`, that came over `connection`. `spread`: each agent has one
        of its own."""
        maker = self._makers.get((provider, one.answer)) if one.answer else None
        conversation = (one.agent if spread else one.session) or self._marked(provider, one, connection)
        binding = self._bindings.get((provider, conversation)) if conversation else None
        prefer = binding.preferred(now) if binding else ()
        former = binding.last if binding else None
        if maker:
            prefer, former = tuple(dict.fromkeys((maker.credential, *prefer))), maker.credential
        return Found(conversation, prefer, former)

    def _marked(self, provider: str, one: Evidence, connection: str) -> Digest | None:
        """What only one conversation left comes first, however weak: a connection may change hands."""
        found = (self._marks.get((provider, mark)) for mark in one.marks())
        of_connection: Digest | None = None
        for known in filter(None, found):
            if whose := known.whose:
                return whose
            of_connection = of_connection or known.claims.get(connection)
        return of_connection

    def began(self, provider: str, found: Found, credential: str, now: float) -> None:
        """A call of a conversation that its client states is under way: what it asks beside comes along."""
        if found.conversation and not found.prefer:
            self._bind((provider, found.conversation), Binding(credential, now, now, served=False))

    def answered(
        self,
        provider: str,
        one: Evidence,
        found: Found,
        credential: str,
        progress: Progress,
        connection: str,
        now: float,
    ) -> None:
        """The client of a call got an answer, or a part of one, from `credential`."""
        if not (found.conversation or one.history):
            return
        conversation = found.conversation or _named(one, connection, now)
        key = (provider, conversation)
        binding = self._bindings.get(key, Binding(credential, now, now, served=False))
        signed = any(block.stop and block.stop.signature for block in progress.blocks.values())
        self._bind(key, binding.after(credential, signed=signed, now=now))
        for mark in one.left(progress):
            self._leave((provider, mark), connection, conversation, now)

    def made(self, provider: str, answer_id: str, credential: str, now: float) -> None:
        """An answer that a later call may name belongs to the account that made it, for as long as that is
        known."""
        self._makers[key := (provider, digest("answer", answer_id))] = Maker(credential, now)
        _bound(self._makers, key, self._most)
        self._changed(Table.MAKERS, key)

    # -- kept -----------------------------------------------------------------------------------------

    def follow(self) -> None:
        """Somebody keeps what is known: from now on `news` has to be asked for."""
        self._news = set()

    def news(self) -> Iterator[Known]:
        """What changed since this was asked before, but for what was restored."""
        changed, tables = self._news or (), self._tables()
        self._news = set()
        for table, key in changed:
            one = tables[table].get(key)
            if one is not None:
                yield key, one

    def everything(self, most: int | None = None) -> Iterator[Known]:
        """All that is known now, of each kind the latest first, and not more of it than that."""
        for table in self._tables().values():
            yield from islice(reversed([*table.items()]), most)

    def _tables(self) -> Mapping[Table, Mapping[SessionKey, Binding | Mark | Maker]]:
        return {Table.BINDINGS: self._bindings, Table.MARKS: self._marks, Table.MAKERS: self._makers}

    def _changed(self, table: Table, key: SessionKey) -> None:
        if self._news is not None:
            self._news.add((table, key))

    def restore(self, key: SessionKey, one: Binding | Mark | Maker) -> None:
        """Take over what another proxy, or an earlier one, knew, if nothing later is known here."""
        match one:
            case Binding():
                _restored(self._bindings, key, one, self._most)
            case Mark():
                _restored(self._marks, key, _claimed_too(self._marks.get(key), one), self._most_marks)
            case Maker():
                _restored(self._makers, key, one, self._most)

    def moved(self, seconds: float) -> None:
        """The clock is ahead by so much."""
        for key, binding in self._bindings.items():
            at, home_at = binding.at + seconds, binding.home_at + seconds
            self._bindings[key] = replace(binding, at=at, home_at=home_at)
        for key, mark in self._marks.items():
            self._marks[key] = replace(mark, at=mark.at + seconds)
        for key, maker in self._makers.items():
            self._makers[key] = replace(maker, at=maker.at + seconds)

    def _leave(self, key: SessionKey, connection: str, conversation: Digest, now: float) -> None:
        known = self._marks.get(key)
        if known is None or now - known.at > TTL:
            known = Mark({}, now)
        self._marks[key] = known.claimed(connection, conversation, now)
        _bound(self._marks, key, self._most_marks)
        self._changed(Table.MARKS, key)

    def _bind(self, key: SessionKey, binding: Binding) -> None:
        self._bindings[key] = binding
        _bound(self._bindings, key, self._most)
        self._changed(Table.BINDINGS, key)


def _bound[T](table: OrderedDict[SessionKey, T], used: SessionKey, most: int) -> None:
    """What was used least recently is forgotten first."""
    table.move_to_end(used)
    if len(table) > most:
        table.popitem(last=False)


def _restored[T: (Binding, Mark, Maker)](
    table: OrderedDict[SessionKey, T], key: SessionKey, one: T, most: int
) -> None:
    known = table.get(key)
    if known is not None and known.at >= one.at:
        return
    latest = table[next(reversed(table))].at if table else one.at
    table[key] = one
    is_old = one.at < latest - _LATE
    table.move_to_end(key, last=not is_old)
    if len(table) > most:
        table.popitem(last=False)


def _named(one: Evidence, connection: str, now: float) -> Digest:
    """Of a conversation that has no name: two never begin at one moment over one connection."""
    return digest("conversation", one.client, connection, repr(now))

"""Who makes a call, and which credentials its conversation stays on."""

from collections.abc import Iterable

from msgspec import Struct, field

from protocols.model.call import Call
from protocols.model.progress import Progress
from rewrite.catalog.clients import UNKNOWN, ClientFacts
from rewrite.catalog.providers import Provider
from rewrite.credentials.choosing import account
from rewrite.credentials.evidence import NO_EVIDENCE, Evidence, evidence_of
from rewrite.credentials.sessions import Found, Sessions
from rewrite.credentials.state import PoolState


class Asker(Struct):
    """Who makes a call, and what that says of its conversation; it is read when somebody wants to know."""

    protocol: str
    """In which it gets answers."""
    client: str
    """What distinguishes it from other clients."""
    connection: str = ""
    """What distinguishes its connection from others."""
    call: Call | None = None
    """The client's own, not as a provider is asked."""
    facts: ClientFacts = UNKNOWN
    """What is known of the client's program."""
    found: dict[str, Found] = field(default_factory=dict)
    """What is known of its conversation, by provider."""
    _evidence: Evidence | None = None

    @property
    def evidence(self) -> Evidence:
        if self._evidence is None:
            call, facts = self.call, self.facts
            self._evidence = evidence_of(call, facts, self.client) if call else NO_EVIDENCE
        return self._evidence

    def witness(self, provider: str) -> str:
        """What distinguishes its conversation from others at `provider`, or itself where that is a new one.
        The agents of a session are no two witnesses."""
        found = self.found.get(provider)
        known = self.evidence.session or (found.conversation if found else None)
        return known.hex() if known else self.client


class Conversations:
    """Which conversation stays where. To be asked where there are several credentials."""

    def __init__(self) -> None:
        self.sessions = Sessions()
        self._spread: frozenset[str] = frozenset()

    def configure(self, providers: Iterable[Provider]) -> None:
        self._spread = frozenset(one.name for one in providers if one.spread_subagents)

    def found(self, provider: str, state: PoolState, asker: Asker, now: float) -> Found:
        """What is known of the conversation of a call: of one that is stated now, while this call may have
        waited for others of it; a history is looked up once."""
        known = asker.found.get(provider)
        if known is None or asker.evidence.is_stated:
            known = asker.found[provider] = self._find(provider, state, asker, now)
        return known

    def _find(self, provider: str, state: PoolState, asker: Asker, now: float) -> Found:
        """What a provider keeps was made with the credential of its account, if not in a call."""
        evidence, spread = asker.evidence, provider in self._spread
        found = self.sessions.find(provider, evidence, asker.connection, now, spread=spread)
        owner = account(state, asker.facts.name) if evidence.in_account and not found.prefer else None
        return Found(found.conversation, (owner.name,), found.former) if owner else found

    def began(self, provider: str, asker: Asker, credential: str, now: float) -> None:
        """An attempt is under way with `credential`."""
        self.sessions.began(provider, asker.found[provider], credential, now)

    def answered(self, provider: str, asker: Asker, credential: str, progress: Progress, now: float) -> None:
        """The client got an answer, or a part of one."""
        if progress.visible or progress.complete:
            evidence, found = asker.evidence, asker.found[provider]
            self.sessions.answered(provider, evidence, found, credential, progress, asker.connection, now)

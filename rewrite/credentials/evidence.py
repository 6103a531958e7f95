"""Which conversation a call belongs to, by what it says itself. Pure; only hashes leave this file.

The strongest evidence first: the id of an answer that it continues, an id of its conversation that its
client states, and else its history. A history is known again by the answers in it that were passed on: by the
ids and signatures of their provider's making, by their text where that is long enough to be nobody else's,
and by what was asked and answered together. What all conversations of a program have in common, its
instructions, examples and openings, is in no answer of ours, and so is no evidence.
"""

import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from hashlib import blake2b

from protocols.model.call import Call, Operation
from protocols.model.http import Headers, header
from protocols.model.progress import Progress
from protocols.model.wirejson import JsonObject, load_value, object_at, text_at
from protocols.shared.history import SHORTEST_ID, History, Pair, answer_turn, history_of
from rewrite.catalog.clients import UNKNOWN, ClientFacts

SUBSTANTIAL = 120
"""Characters, without blanks, from which on a text is taken for the only one of its kind."""

SESSION_HEADERS = frozenset(
    """
    x-session-id session-id session_id x-session-affinity x-claude-code-session-id
    x-conversation-id conversation-id conversation_id
    """.split()
)
"""Those that name a conversation whatever client sends them."""

_SESSION_FIELDS = ("session_id", "conversation_id")
_USER_SESSION = re.compile(r"_session_([0-9a-fA-F-]{8,})$")
_IN_ACCOUNT = ("previous_response_id", "conversation", "cachedContent", "cached_content")
_PREVIOUS = "previous_response_id"

type Digest = bytes
"""A hash of 16 bytes."""


@dataclass(frozen=True, slots=True)
class Evidence:
    """What a call says of its conversation."""

    answer: Digest | None = None
    """Of the id of the answer that it continues."""
    session: Digest | None = None
    """Of the id of its conversation."""
    agent: Digest | None = None
    """As `session`, but of one agent in it."""
    in_account: bool = False
    """It names something that its provider keeps in one account."""
    history: History | None = None
    """Where there is no id: what it repeats of its conversation."""
    client: str = ""
    """Distinguishes its client from others."""

    @property
    def is_stated(self) -> bool:
        """Whether the client says which conversation it is."""
        return self.session is not None or self.answer is not None

    def marks(self) -> Iterator[Digest]:
        """Hashes by which an earlier answer is known, the strongest first."""
        return self._of(self.history.pairs if self.history else ())

    def left(self, progress: Progress) -> Iterator[Digest]:
        """Those by which the answer to this call will be known."""
        answered = answer_turn(progress)
        if self.history is None or not (answered.text or answered.ids):
            return iter(())
        return self._of((Pair(self.history.asked, answered),))

    def _of(self, pairs: Sequence[Pair]) -> Iterator[Digest]:
        for find in (_made, self._long_text, self._exchanged, self._asked):
            for pair in pairs:
                yield from find(pair)

    def _long_text(self, pair: Pair) -> Iterator[Digest]:
        if len(pair.answered.text) >= SUBSTANTIAL:
            yield digest("text", self.client, pair.answered.text)

    def _exchanged(self, pair: Pair) -> Iterator[Digest]:
        """Two turns together; short ones only with how the conversation began."""
        asked, answered = pair.asked.text, pair.answered.text
        if not answered:
            return
        if len(asked) + len(answered) >= SUBSTANTIAL:
            yield digest("exchanged", self.client, asked, answered)
        yield digest("from", self.client, self._opening, asked, answered)

    def _asked(self, pair: Pair) -> Iterator[Digest]:
        """What was asked, where it was long: for clients that change the answers that they send back."""
        if len(pair.asked.text) >= SUBSTANTIAL:
            yield digest("asked", self.client, self._opening, pair.asked.text)

    @property
    def _opening(self) -> str:
        return self.history.opening.text if self.history else ""


def _made(pair: Pair) -> Iterator[Digest]:
    return (digest("made", each) for each in pair.answered.ids)


NO_EVIDENCE = Evidence()


def evidence_of(call: Call, facts: ClientFacts = UNKNOWN, client: str = "") -> Evidence:
    """What `call` says, whose client is known by `facts` and distinguished from others by `client`."""
    answer, own = text_at(call.body, _PREVIOUS), _stated(call, facts)
    generates = call.operation is Operation.GENERATE
    whose = client if len(own) < SHORTEST_ID else ""  # `1` is a conversation of many clients
    session, agent = _header(call, facts.parent_header) or own, _header(call, facts.agent_header)
    return Evidence(
        answer=digest("answer", answer) if answer else None,
        session=digest("session", whose, session) if own else None,
        agent=digest("agent", whose, own, agent) if own else None,
        in_account=any(call.body.get(name) for name in _IN_ACCOUNT),
        history=None if answer or own or not generates else history_of(call.body),
        client=client,
    )


def stated_conversation(call: Call, facts: ClientFacts, client: str, key: str) -> Digest | None:
    """The conversation that a call states, of one agent in it and of one client; None: it states none.

    `client` distinguishes its client from others; `key` those alone that have keys of their own, so that one
    that moves is the same.
    """
    own = _stated(call, facts)
    whose = client if len(own) < SHORTEST_ID else ""
    return digest("conversation", key, whose, own, _header(call, facts.agent_header)) if own else None


def session_hash(headers: Headers) -> str:
    """Of the id of the conversation, where a header names it that is known for that; empty: none does. It is
    the one that traces have, too."""
    named = _named_in(headers)
    return hash_of_session(named) if named else ""


def hash_of_session(session: str) -> str:
    """Of an id that no other client uses."""
    return digest("session", "", session).hex()


def _named_in(headers: Headers) -> str:
    named = (value for name, value in headers if value and name.lower() in SESSION_HEADERS)
    return next(named, "")


def digest(*parts: str) -> Digest:
    joined = "\0".join(parts).encode("utf-8", "surrogatepass")
    return blake2b(joined, digest_size=16).digest()


def _stated(call: Call, facts: ClientFacts) -> str:
    """The id of the conversation, as its client states it; empty: it does not."""
    named = _header(call, facts.session_header) or _named_in(call.headers)
    return named or call.session or _in_body(call.body)


def _in_body(body: JsonObject) -> str:
    """Claude Code names its session in what Messages calls the user: as JSON, before as a part of a word."""
    metadata = object_at(body, "metadata")
    user = text_at(metadata, "user_id")
    found = _USER_SESSION.search(user)
    stated = load_value(user.encode("utf-8", "replace")) if user.startswith("{") else None
    places = (body, metadata, stated if isinstance(stated, dict) else {})
    fields = (text_at(place, name) for place in places if place for name in _SESSION_FIELDS)
    return found[1] if found else next(filter(None, fields), "")


def _header(call: Call, name: str) -> str:
    return (header(call.headers, name) or "") if name else ""

"""What keeps a credential from serving a request, and what makes it serve after others: two tables of rules.

They say who may serve, for how long nobody may, and what a status says of it. Pure, over a snapshot.
"""

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from enum import StrEnum
from functools import partial
from math import inf

from msgspec import Struct

from rewrite.credentials.credential import ALL_MODELS, Credential
from rewrite.credentials.limits import is_used_up, limited
from rewrite.credentials.state import CredentialState

PLACE_WAIT = 1.0
"""Seconds after which a credential that serves as many calls as it may is looked at again."""


class CredentialRequest(Struct, frozen=True):
    """What an attempt wants of a pool. Credentials are named."""

    scope: str = ""
    """What it is for, see `choosing.scope_of`."""
    prefer: str | None = None
    """Which is to serve if it is free."""
    conversation: tuple[str, ...] = ()
    """Those that serve the conversation, the best first: the first of them that is free is to serve."""
    insist: bool = False
    """Whether it is that one or none, though it has a cooldown."""
    avoid: frozenset[str] = frozenset()
    """Those that serve only if no other is free."""
    refused: frozenset[str] = frozenset()
    """Those that never serve, whatever is free."""
    resting: frozenset[str] = frozenset()
    """Those that do not serve now, but are worth waiting for."""
    held: frozenset[str] = frozenset()
    """Those that calls in line are let in to one by one, see `line`."""
    only_others: bool = False
    """Whether those of `avoid` do not serve even if no other is free."""
    fallback: bool = False
    """Whether the call has another target, so that it keeps away from a provider that is paused."""
    model: str | None = None
    """Which model it is for. None: it names none."""
    client: str = ""
    """The name of the tool that asks, where it is known and of any interest."""
    hurried: bool = False
    """Whether another one serves at once, though `prefer` is due in a moment."""
    quota: str = ""
    """The scope of the quota group that the model is in. Empty: of none."""
    waiting: frozenset[str] = frozenset()
    """Those that had their turn in a fair cycle: they serve only if no other does. `choose` knows."""

    @property
    def limits(self) -> str:
        """The scope that limits are counted for."""
        return self.quota or self.scope

    @property
    def preferred(self) -> tuple[str, ...]:
        """Those that serve before it is anybody's turn, the best first."""
        return (self.prefer, *self.conversation) if self.prefer else self.conversation


class Blocked(StrEnum):
    """What state a credential is in that does not serve."""

    COOLING = "cooling"
    FULL = "full"
    RETIRED = "retired"
    DENIED = "denied"
    """By the config, or by the call itself."""


@dataclass(frozen=True, slots=True)
class Block:
    """What keeps a credential from serving a request."""

    state: Blocked
    said: str | Callable[[], str]
    """See `why`; it is put into words when somebody reads it."""
    until: float | None
    """When it is over. None: never, for this request."""

    @property
    def why(self) -> str:
        """For a reader: what follows the credential's name in a sentence."""
        return self.said if isinstance(self.said, str) else self.said()


type Rule = Callable[[Credential, CredentialState, CredentialRequest, float], Block | None]


def _retired(_one: Credential, state: CredentialState, _for: CredentialRequest, _now: float) -> Block | None:
    return Block(Blocked.RETIRED, "is retired", None) if state.retired else None


def _model_denied(
    one: Credential, _state: CredentialState, request: CredentialRequest, _now: float
) -> Block | None:
    if one.models is ALL_MODELS or one.models.serves(request.model):
        return None
    return Block(Blocked.DENIED, f"does not serve {request.model} by the config", None)


def _of_another_tool(
    one: Credential, _state: CredentialState, request: CredentialRequest, _now: float
) -> Block | None:
    if one.clients is None or request.client in one.clients:
        return None
    tools = " and ".join(one.clients)
    return Block(Blocked.DENIED, f"is a login of {tools} and serves its calls alone (see any_client)", None)


def _cooling(
    _one: Credential, state: CredentialState, request: CredentialRequest, now: float
) -> Block | None:
    if not state.cooldowns:
        return None
    until = state.free_at(request.scope, request.quota)
    if until <= now:
        return None
    return Block(Blocked.COOLING, partial(state.why, request.scope, now, request.quota), until)


def _limited(one: Credential, state: CredentialState, request: CredentialRequest, now: float) -> Block | None:
    """A window of the config is full, or a cap reached."""
    found = limited(one, state, request.limits, now) if one.windows or one.caps else None
    return Block(Blocked.COOLING, partial(found.why, now), found.until) if found else None


def _unknown(_one: Credential, state: CredentialState, _for: CredentialRequest, now: float) -> Block | None:
    """What other proxies use of it. It takes a moment after the start of this one."""
    if state.alone is None or state.alone.peers:
        return None
    return Block(Blocked.FULL, "is shared with other proxies, whose store is asked first", now + PLACE_WAIT)


def _full(one: Credential, state: CredentialState, _for: CredentialRequest, now: float) -> Block | None:
    most = one.max_concurrency
    if most is None:
        return None
    share = most if state.alone is None else max(1, most // max(1, state.alone.peers))
    was_full = state.alone is not None and state.elsewhere.full_until > now
    elsewhere = max(state.elsewhere.at(now), most - state.in_flight if was_full else most - share)
    if state.in_flight + elsewhere < most:
        return None
    said = f"has {state.in_flight} of {most} calls in flight"
    if elsewhere:
        others = "are left to other proxies while the store is away" if state.alone else "in other proxies"
        said = f"{said}, and {elsewhere} {others}"
    return Block(Blocked.FULL, said, now + PLACE_WAIT)


def _refused(one: Credential, state: CredentialState, request: CredentialRequest, now: float) -> Block | None:
    if one.name not in request.refused:
        return None
    return Block(Blocked.DENIED, partial(state.why, request.scope, now, request.quota), None)


def _resting(one: Credential, state: CredentialState, request: CredentialRequest, now: float) -> Block | None:
    if one.name not in request.resting:
        return None
    return Block(Blocked.COOLING, partial(state.why, request.scope, now, request.quota), now)


def _asked_already(
    one: Credential, state: CredentialState, request: CredentialRequest, now: float
) -> Block | None:
    if not request.only_others or one.name not in request.avoid:
        return None
    return Block(Blocked.DENIED, partial(state.why, request.scope, now, request.quota), now)


def _held(one: Credential, _state: CredentialState, request: CredentialRequest, now: float) -> Block | None:
    if one.name not in request.held:
        return None
    return Block(Blocked.COOLING, "has come back, and serves those that wait one by one", now)


RULES: tuple[Rule, ...] = (
    _cooling,
    _retired,
    _model_denied,
    _of_another_tool,
    _limited,
    _unknown,
    _full,
    _refused,
    _resting,
    _asked_already,
    _held,
)
"""What may keep a credential from serving, the most frequent first."""

FAILS = "fails while others serve"

type LaterRule = Callable[[Credential, CredentialState, CredentialRequest, float], str]
"""Why a credential serves only where no other does, a clause for a reader; the empty text: it does not."""


def _avoided(one: Credential, _state: CredentialState, request: CredentialRequest, _now: float) -> str:
    return "was asked already" if one.name in request.avoid else ""


def _waiting(one: Credential, _state: CredentialState, request: CredentialRequest, _now: float) -> str:
    return "had its turn" if one.name in request.waiting else ""


def _failing(_one: Credential, state: CredentialState, request: CredentialRequest, now: float) -> str:
    return FAILS if state.streaks and state.is_last(request.scope, now) else ""


def _used_up(_one: Credential, state: CredentialState, request: CredentialRequest, now: float) -> str:
    is_spent = bool(state.learnt) and is_used_up(state, request.limits, now)
    return "has used up what its provider lets it" if is_spent else ""


def _over_target(one: Credential, state: CredentialState, request: CredentialRequest, _now: float) -> str:
    target = one.target_concurrency
    if target is None or state.in_flight < target or one.name in request.preferred:
        return ""
    return f"is at its target of {target} at once"


LATER: tuple[LaterRule, ...] = (_avoided, _waiting, _failing, _used_up, _over_target)
"""What makes a credential serve after others, whatever its priority; the first weighs the most. A
conversation does not leave its credential for the last."""


def blocks(
    one: Credential, state: CredentialState, request: CredentialRequest, now: float
) -> Iterator[Block]:
    """All that keeps the credential `one` from serving `request`."""
    return (block for rule in RULES if (block := rule(one, state, request, now)) is not None)


def longest(against: Sequence[Block]) -> Block:
    """Which of these lasts longest, which a reader is shown."""
    return max(against, key=lambda block: inf if block.until is None else block.until)


def first_block(
    one: Credential, state: CredentialState, request: CredentialRequest, now: float
) -> Block | None:
    for rule in RULES:
        if (block := rule(one, state, request, now)) is not None:
            return block
    return None


def reserve(
    one: Credential, state: CredentialState, request: CredentialRequest, now: float
) -> tuple[int, str]:
    """How late the credential serves, 0 being at once, and why."""
    late, why = 0, ""
    for rule in LATER:
        said = rule(one, state, request, now)
        late, why = 2 * late + bool(said), why or said
    return late, why

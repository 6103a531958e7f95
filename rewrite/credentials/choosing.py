"""Which credential serves next, and why no other does. Pure, over a snapshot.

What keeps a credential from serving is a table of rules, `RULES`. It says who may serve, for how long nobody
may, and what a reader is told.
"""

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from enum import StrEnum

from protocols.model.call import Call
from rewrite.catalog.providers import Rotation
from rewrite.credentials.credential import ALL_MODELS, Credential
from rewrite.credentials.fairness import chosen as cycle_of
from rewrite.credentials.fairness import in_turn
from rewrite.credentials.health import HEALTHY, probed
from rewrite.credentials.limits import ONE_REQUEST, counted, is_used_up, left, limited
from rewrite.credentials.order import MODES, Turn
from rewrite.credentials.state import NEVER_USED, CredentialState, PoolState, Wheel
from rewrite.values.key_refusal import StandingRefusal

MOST_NAMED = 8
"""Of how many credentials a message says why they do not serve."""

PLACE_WAIT = 1.0
"""Seconds after which a credential that serves as many calls as it may is looked at again."""


@dataclass(frozen=True, slots=True)
class CredentialRequest:
    """What an attempt wants of a pool. Credentials are named."""

    scope: str = ""
    """What it is for, see `scope_of`."""
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
    only_others: bool = False
    """Whether those of `avoid` do not serve even if no other is free."""
    fallback: bool = False
    """Whether the call has another target, so that it keeps away from a provider that is paused."""
    model: str | None = None
    """Which model it is for. None: it names none."""
    client: str = ""
    """The name of the tool that asks, where it is known and of any interest."""
    quota: str = ""
    """The scope of the quota group that the model is in. Empty: of none."""

    @property
    def limits(self) -> str:
        """The scope that limits are counted for."""
        return self.quota or self.scope


@dataclass(frozen=True, slots=True)
class Chosen:
    """The credential that serves."""

    credential: Credential
    """Which it is."""
    asked_last: tuple[str, ...] = ()
    """The names of those that were free and come after it, since they fail."""
    probe: bool = False
    """Whether what comes of it decides if the provider is paused."""
    reason: str = field(default="", compare=False)
    """Why it is this one: a sentence for a reader."""
    wheel: Wheel | None = field(default=None, compare=False)
    """Whose turn it is after this one. None: as before."""


@dataclass(frozen=True, slots=True)
class Unavailable:
    """No credential may serve now."""

    wait: float | None
    """Seconds until the soonest may. None: none ever may."""
    paused: bool = False
    """Whether the provider is paused."""
    refused: StandingRefusal | None = None
    """The last refusal, where every credential is refused."""
    full: bool = False
    """Whether a credential would serve but for the calls that it serves already, so that the end of one of
    these may end the wait too."""
    keys: tuple[str, ...] = field(default=(), compare=False)
    """For a reader: of each credential why it does not serve, and when it is tried again."""


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
    why: str
    """For a reader: what follows the credential's name in a sentence."""
    until: float | None
    """When it is over. None: never, for this request."""


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
    return Block(Blocked.COOLING, state.why(request.scope, now, request.quota), until)


def _limited(one: Credential, state: CredentialState, request: CredentialRequest, now: float) -> Block | None:
    """A window of the config is full, or a cap reached."""
    found = limited(one, state, request.limits, now) if one.windows or one.caps else None
    return Block(Blocked.COOLING, found.why, found.until) if found else None


def _full(one: Credential, state: CredentialState, _for: CredentialRequest, now: float) -> Block | None:
    if one.max_concurrency is None or state.in_flight < one.max_concurrency:
        return None
    return Block(Blocked.FULL, f"serves {state.in_flight} calls, as many as it may", now + PLACE_WAIT)


def _refused(one: Credential, state: CredentialState, request: CredentialRequest, now: float) -> Block | None:
    if one.name not in request.refused:
        return None
    return Block(Blocked.DENIED, state.why(request.scope, now, request.quota), None)


def _resting(one: Credential, state: CredentialState, request: CredentialRequest, now: float) -> Block | None:
    if one.name not in request.resting:
        return None
    return Block(Blocked.COOLING, state.why(request.scope, now, request.quota), now)


RULES: tuple[Rule, ...] = (
    _retired,
    _model_denied,
    _of_another_tool,
    _cooling,
    _limited,
    _full,
    _refused,
    _resting,
)
"""What may keep a credential from serving. A reader is told the first that does."""


def blocks(
    one: Credential, state: CredentialState, request: CredentialRequest, now: float
) -> Iterator[Block]:
    """All that keeps the credential `one` from serving `request`."""
    return (block for rule in RULES if (block := rule(one, state, request, now)) is not None)


def scope_of(call: Call) -> str:
    """What a rate limit or a refusal of `call` is about: its model, or its operation where it names none."""
    return f"model:{call.model}" if call.model else f"operation:{call.operation}"


def choose(pool: PoolState, request: CredentialRequest, now: float) -> Chosen | Unavailable:
    """The credential that serves `request`, or for how long none may."""
    health = pool.health.get(request.scope)
    if health and request.fallback and (away := health.wait(now)):
        return Unavailable(away, paused=True)
    probe = health is not None and health.wants_probe(now)
    if request.insist:
        return _insisted(pool, request, now, probe=probe)
    blocked = {c.name: block for c in pool.credentials if (block := _block(pool, c, request, now))}
    candidates = _candidates([c for c in pool.credentials if c.name not in blocked], request)
    if not candidates:
        return _unavailable(pool, request, now)
    candidates = in_turn(pool, candidates, request.limits)
    last = [c for c in candidates if _is_last(pool, c, request.scope, now)]
    steady = _with_some_left(pool, [c for c in candidates if c not in last] or candidates, request, now)
    turn = _preferred(steady, request) or _by_mode(pool, steady, request, now)
    found = turn.credential
    asked_last = tuple(c.name for c in last if c is not found)
    return Chosen(found, asked_last, probe, _reason(turn, blocked, asked_last), turn.wheel)


def _is_last(pool: PoolState, one: Credential, scope: str, now: float) -> bool:
    state = pool.states.get(one.name, NEVER_USED)
    return bool(state.streaks) and state.is_last(scope, now)


def _block(pool: PoolState, one: Credential, request: CredentialRequest, now: float) -> Block | None:
    return next(blocks(one, pool.states.get(one.name, NEVER_USED), request, now), None)


def _insisted(
    pool: PoolState, request: CredentialRequest, now: float, *, probe: bool
) -> Chosen | Unavailable:
    """The one that the call is bound to, though it may cool."""
    found = next((c for c in pool.credentials if c.name == request.prefer), None)
    if found is None:
        return Unavailable(None)
    lasting = [
        block
        for block in blocks(found, pool.state(found.name), request, now)
        if block.state is not Blocked.COOLING
    ]
    if not lasting:
        return Chosen(found, probe=probe, reason="The call is bound to it.")
    keys = (f"{pool.title(found.name)} {lasting[0].why}",)
    return Unavailable(_wait(lasting, now), full=_waits_for_a_place(lasting), keys=keys)


def _candidates(free: list[Credential], request: CredentialRequest) -> list[Credential]:
    others = [c for c in free if c.name not in request.avoid]
    return others if others or request.only_others else free


def _preferred(candidates: Sequence[Credential], request: CredentialRequest) -> Turn | None:
    names = (request.prefer, *request.conversation) if request.prefer else request.conversation
    for name in names:
        found = next((c for c in candidates if c.name == name), None) if name not in request.avoid else None
        if found:
            served = "call" if name == request.prefer else "conversation"
            return Turn(found, f"it serves this {served}", None)
    return None


def _with_some_left(
    pool: PoolState, free: list[Credential], request: CredentialRequest, now: float
) -> list[Credential]:
    """Without those whose limit is used up by what their provider reported, unless all are."""
    spent = [
        c.name
        for c in free
        if (state := pool.states.get(c.name)) and state.learnt and is_used_up(state, request.limits, now)
    ]
    return [c for c in free if c.name not in spent] or free if spent else free


def _with_most_left(
    pool: PoolState, best: list[Credential], request: CredentialRequest, now: float
) -> list[Credential]:
    """Those of whose limits the most is left, to a percent."""
    shares = {c.name: round(left(c, pool.state(c.name), request.limits, now), 2) for c in best}
    most = max(shares.values())
    return [c for c in best if shares[c.name] == most]


def _by_mode(
    pool: PoolState, candidates: Sequence[Credential], request: CredentialRequest, now: float
) -> Turn:
    """Among those of the best priority."""
    if len(candidates) == 1:
        return Turn(candidates[0], "it is the only one that is free", None)
    best = [c for c in candidates if c.priority == candidates[0].priority]
    if pool.rotation is Rotation.BALANCED:
        best = _with_most_left(pool, best, request, now)
    return MODES[pool.rotation](best, pool.wheel)


def _reason(turn: Turn, blocked: Mapping[str, Block], asked_last: Sequence[str]) -> str:
    """One sentence: why it is this one, and why the others are not."""
    others = [f"{name} is {block.state}" for name, block in blocked.items()]
    others += [f"{name} fails while others serve" for name in asked_last]
    more = [f"{len(others) - MOST_NAMED} more do not serve"] if len(others) > MOST_NAMED else []
    return "; ".join((turn.reason, *others[:MOST_NAMED], *more)) + "."


def _unavailable(pool: PoolState, request: CredentialRequest, now: float) -> Unavailable:
    found = [(c, list(blocks(c, pool.state(c.name), request, now))) for c in pool.credentials]
    waits = [_wait(against, now) for _, against in found]
    return Unavailable(
        min((wait for wait in waits if wait is not None), default=None),
        refused=_standing(pool, request, now),
        full=any(_waits_for_a_place(against) for _, against in found),
        keys=_why(pool, found, request.scope, now),
    )


def _wait(against: Sequence[Block], now: float) -> float | None:
    """Seconds until the last of these is over."""
    ends = [block.until for block in against]
    return None if None in ends else max((0.0, *(end - now for end in ends if end is not None)))


def _waits_for_a_place(against: Sequence[Block]) -> bool:
    """Whether nothing else is in the way."""
    return bool(against) and all(block.state is Blocked.FULL for block in against)


def _standing(pool: PoolState, request: CredentialRequest, now: float) -> StandingRefusal | None:
    """The last refusal, if each credential that may serve the model and the tool has one."""
    able = [
        c.name for c in pool.credentials if c.models.serves(request.model) and c.may_serve(request.client)
    ]
    states = [state for state in map(pool.state, able) if not state.retired]
    found = [state.refusal(request.scope, now, request.quota) for state in states]
    said = [one for one in found if one is not None]
    if not said or len(said) < len(found):
        return None
    last = max(said, key=lambda one: one.at)
    return StandingRefusal(last, last.until - now)


def _why(
    pool: PoolState, found: Sequence[tuple[Credential, Sequence[Block]]], scope: str, now: float
) -> tuple[str, ...]:
    """Of each credential why it does not serve `scope`, the soonest first."""
    soonest = sorted(found, key=lambda each: pool.state(each[0].name).free_at(scope))
    shown = [
        f"{pool.title(c.name)} {against[0].why if against else pool.state(c.name).why(scope, now)}"
        for c, against in soonest[:MOST_NAMED]
    ]
    more = len(soonest) - len(shown)
    return (*shown, f"and {more} more") if more else tuple(shown)


def account(pool: PoolState, client: str = "") -> Credential | None:
    """The one credential for what belongs to an account (files, batches, caches): always the same, unless it
    is retired; of those that the tool `client` may use."""
    able = (c for c in pool.credentials if c.may_serve(client))
    return next((c for c in able if not pool.state(c.name).retired), None)


def taken(pool: PoolState, name: str, wheel: Wheel | None = None) -> PoolState:
    """The pool while the credential `name` serves one attempt more; `wheel` is that of `Chosen`."""
    state = pool.state(name)
    states = {**pool.states, name: replace(state, in_flight=state.in_flight + 1)}
    return replace(pool, states=states, wheel=wheel or pool.wheel)


def begun(pool: PoolState, one: Credential, request: CredentialRequest, now: float) -> PoolState:
    """The pool after `one` was chosen for `request`, which counts in its limits."""
    state = pool.state(one.name)
    if not (one.counted or state.learnt or pool.exhausted):
        return pool
    pool = pool.with_state(one.name, counted(one, state, request.limits, ONE_REQUEST, now))
    return pool if request.insist else cycle_of(pool, one, request.limits)


def probing(pool: PoolState, scope: str, now: float) -> PoolState:
    """What was chosen as a probe is under way."""
    return pool.with_health(scope, probed(pool.health.get(scope, HEALTHY), now))

"""Which credential serves next, and why no other does. Pure, over a snapshot."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from itertools import islice
from math import inf

from msgspec import structs

from protocols.model.call import Call
from rewrite.catalog.providers import FairCycle
from rewrite.credentials.credential import Credential
from rewrite.credentials.fairness import chosen as cycle_of
from rewrite.credentials.fairness import in_turn
from rewrite.credentials.health import HEALTHY, probed, undecided
from rewrite.credentials.limits import ONE_REQUEST, counted, uncounted
from rewrite.credentials.order import MODES, in_order, turned
from rewrite.credentials.rules import (
    FAILS,
    Block,
    Blocked,
    CredentialRequest,
    blocks,
    first_block,
    longest,
    reserve,
)
from rewrite.credentials.state import NEVER_USED, CredentialState, LastOutcome, PoolState, Wheel
from rewrite.values.decision import SHORT_WAIT
from rewrite.values.key_refusal import StandingRefusal
from rewrite.values.outcome import Completed, Outcome

MOST_NAMED = 8
"""Of how many credentials a message says why they do not serve."""


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
    own: bool = False
    """Whether it is `prefer` that is waited for, which is due in a moment. Others may be free."""
    final: bool = False
    """Whether it was waited for in vain, or too many calls wait already."""
    keys: tuple[str, ...] = field(default=(), compare=False)
    """For a reader: of each credential why it does not serve, and when it is tried again."""


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
    if len(pool.credentials) == 1 and (only := _free_only_one(pool, request)):
        return Chosen(only, probe=probe, reason=_only(only))
    if pool.exhausted.get(request.limits):
        request = structs.replace(request, waiting=_had_their_turn(pool, request, now))
    found, others = _first(pool, request, now)
    if own := _due_in_a_moment(pool, request, found, now):
        return own
    if found is None:
        return _unavailable(pool, request, now)
    return Chosen(
        found,
        tuple(name for name, why in others.items() if why == FAILS),
        probe,
        _reason(pool, request, found, others),
        turned(pool, found) if _by_turn(pool, request, found) else None,
    )


def _free_only_one(pool: PoolState, request: CredentialRequest) -> Credential | None:
    """It, where no rule has a say: what makes it serve after others says nothing."""
    one = pool.credentials[0]
    state = pool.states.get(one.name, NEVER_USED)
    is_free = one.unlimited and not (state.cooldowns or state.retired) and _is_any_welcome(request)
    return one if is_free else None


def _is_any_welcome(request: CredentialRequest) -> bool:
    return not (request.refused or request.resting or request.held or request.avoid or request.waiting)


def _is_untroubled(one: Credential, state: CredentialState) -> bool:
    """Whether no rule has a say, for a call that welcomes any."""
    return one.unlimited and not (state.cooldowns or state.retired or state.streaks or state.learnt)


def _had_their_turn(pool: PoolState, request: CredentialRequest, now: float) -> frozenset[str]:
    free = [c for c in pool.credentials if not first_block(c, pool.state(c.name), request, now)]
    candidates = [c for c in free if c.name not in request.avoid] or free
    turns = in_turn(pool, candidates, request.limits) if candidates else []
    return frozenset(c.name for c in candidates if c not in turns)


def _first(
    pool: PoolState, request: CredentialRequest, now: float
) -> tuple[Credential | None, Mapping[str, str]]:
    """Who serves, and of those before it, by name, why they do not."""
    found, latest = None, 0
    others: dict[str, str] = {}
    any_welcome = _is_any_welcome(request)
    for one in _in_order(pool, request, now):
        state = pool.states.get(one.name, NEVER_USED)
        if state.cooldowns and state.free_at(request.scope, request.quota) > now:
            others[one.name] = Blocked.COOLING  # as its rule says, for the many that most often cool
            continue
        if any_welcome and _is_untroubled(one, state):
            found = one
            break
        block = first_block(one, state, request, now)
        if block is not None:
            others[one.name] = block.state
            continue
        late, why = reserve(one, state, request, now)
        if found is None or late < latest:
            found, latest = one, late
        if not late:
            break
        others[one.name] = why
    if found is not None:
        others.pop(found.name, None)
    return found, others


def _in_order(pool: PoolState, request: CredentialRequest, now: float) -> Iterator[Credential]:
    """Those of the conversation first, then as the mode says."""
    if len(pool.credentials) <= 1:
        yield from pool.credentials
        return
    preferred = _preferred(pool, request)
    yield from preferred
    for one in in_order(pool, request.limits, now):
        if one not in preferred:
            yield one


def _preferred(pool: PoolState, request: CredentialRequest) -> Sequence[Credential]:
    names = [name for name in request.preferred if name not in request.avoid]
    return [one for name in names for one in pool.credentials if one.name == name]


def _due_in_a_moment(
    pool: PoolState, request: CredentialRequest, found: Credential | None, now: float
) -> Unavailable | None:
    """Where a conversation does better to wait for the credential that it is to stay on than to go to `found`
    or to stand in line for any."""
    if not request.preferred or request.hurried or (found and found.name in request.preferred):
        return None
    own = [one for one in _preferred(pool, request) if one.name not in request.resting]
    if not own:
        return None
    against = list(blocks(own[0], pool.state(own[0].name), request, now))
    wait = _wait(against, now) if all(block.state is Blocked.COOLING for block in against) else None
    if not against or wait is None or wait > SHORT_WAIT:
        return None
    return Unavailable(wait, own=True, keys=(f"{pool.title(own[0].name)} {longest(against).why}",))


def _by_turn(pool: PoolState, request: CredentialRequest, found: Credential) -> bool:
    """The wheel turns for a conversation that has no credential, or loses it; not for one that is elsewhere
    for once."""
    names = request.preferred
    return len(pool.credentials) > 1 and found.name not in names and request.avoid.isdisjoint(names)


def _reason(pool: PoolState, request: CredentialRequest, found: Credential, others: Mapping[str, str]) -> str:
    """One sentence: why it is this one, and why those before it are not."""
    if len(pool.credentials) == 1:
        return _only(found)
    why = MODES[pool.rotation].why
    if found.name in request.preferred:
        why = "serves this call" if found.name == request.prefer else "serves this conversation"
    named = [
        f"{name} is {said.value}" if isinstance(said, Blocked) else f"{name} {said}"
        for name, said in islice(others.items(), MOST_NAMED)
    ]
    more = [f"{len(others) - MOST_NAMED} more do not serve"] if len(others) > MOST_NAMED else []
    return "; ".join((f"{found.name} {why}", *named, *more)) + "."


def _only(one: Credential) -> str:
    return f"{one.name} is the only one."


def _insisted(
    pool: PoolState, request: CredentialRequest, now: float, *, probe: bool
) -> Chosen | Unavailable:
    """The one that the call is bound to, though it may cool."""
    found = next((c for c in pool.credentials if c.name == request.prefer), None)
    if found is None:
        return Unavailable(None)
    state = pool.state(found.name)
    lasting = [block for block in blocks(found, state, request, now) if block.state is not Blocked.COOLING]
    if not lasting:
        return Chosen(found, probe=probe, reason=f"{found.name} is what the call is bound to.")
    keys = (f"{pool.title(found.name)} {lasting[0].why}",)
    return Unavailable(_wait(lasting, now), full=_waits_for_a_place(lasting), keys=keys)


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
    waits = [_wait(against, now) for _, against in found]
    soonest = sorted(range(len(found)), key=lambda at: inf if (wait := waits[at]) is None else wait)
    listed = [found[at] for at in soonest[:MOST_NAMED]]
    shown = [
        f"{pool.title(c.name)} {longest(against).why if against else pool.state(c.name).why(scope, now)}"
        for c, against in listed
    ]
    more = len(found) - len(shown)
    return (*shown, f"and {more} more") if more else tuple(shown)


def account(pool: PoolState, client: str = "") -> Credential | None:
    """The one credential for what belongs to an account (files, batches, caches): always the same, unless it
    is retired; of those that the tool `client` may use."""
    able = (c for c in pool.credentials if c.may_serve(client))
    return next((c for c in able if not pool.state(c.name).retired), None)


def taken(pool: PoolState, name: str, wheel: Wheel | None = None) -> PoolState:
    """The pool while the credential `name` serves one attempt more; `wheel` is that of `Chosen`."""
    state = pool.states.get(name, NEVER_USED)
    states = {**pool.states, name: structs.replace(state, in_flight=state.in_flight + 1)}
    return structs.replace(pool, states=states, wheel=wheel or pool.wheel)


def served(pool: PoolState, name: str, outcome: Outcome, now: float) -> PoolState | None:
    """The pool after an attempt with the credential `name`, whose use is not counted, completed; None where
    that says more than that it is over: then `settle` knows."""
    if not isinstance(outcome, Completed) or pool.health or pool.fair_cycle is not FairCycle.OFF:
        return None
    if any(one.cooldowns or one.streaks or one.auth_failures for one in pool.states.values()):
        return None
    state = pool.states.get(name, NEVER_USED)
    last = LastOutcome(outcome.label, now)
    over = structs.replace(state, in_flight=max(0, state.in_flight - 1), last=last)
    return structs.replace(pool, states={**pool.states, name: over})


def begun(pool: PoolState, one: Credential, request: CredentialRequest, now: float) -> PoolState:
    """The pool after `one` was chosen for `request`, which counts in its limits."""
    state = pool.states.get(one.name, NEVER_USED)
    if not (one.counted or state.learnt or pool.exhausted):
        return pool
    pool = pool.with_state(one.name, counted(one, state, request.limits, ONE_REQUEST, now))
    return pool if request.insist else cycle_of(pool, one, request.limits)


def started(
    pool: PoolState, chosen: Chosen, request: CredentialRequest, now: float
) -> tuple[PoolState, bool]:
    """The pool while an attempt with what was `chosen` for `request` is under way; and whether that counts in
    its limits, or in those of its turn."""
    one = chosen.credential
    pool = probing(pool, request.scope, now) if chosen.probe else pool
    in_use = taken(pool, one.name, chosen.wheel)
    after = begun(in_use, one, request, now)
    return after, after is not in_use


def not_started(pool: PoolState, one: Credential, request: CredentialRequest, *, probe: bool) -> PoolState:
    """The pool as if no attempt with `one` had begun for `request`."""
    state = uncounted(one, pool.state(one.name), request.limits)
    pool = pool.with_state(one.name, structs.replace(state, in_flight=max(0, state.in_flight - 1)))
    if not probe:
        return pool
    return pool.with_health(request.scope, undecided(pool.health.get(request.scope, HEALTHY)))


def probing(pool: PoolState, scope: str, now: float) -> PoolState:
    """What was chosen as a probe is under way."""
    return pool.with_health(scope, probed(pool.health.get(scope, HEALTHY), now))

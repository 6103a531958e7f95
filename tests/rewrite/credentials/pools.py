"""Pools of credentials, and what came of attempts with them."""

from functools import reduce

from msgspec import structs

from protocols.model.call import Call, Operation
from protocols.model.http import WireResponse
from rewrite.catalog.providers import Rotation
from rewrite.credentials.choosing import Chosen, Unavailable, choose, probing, taken
from rewrite.credentials.credential import Credential, serving_order
from rewrite.credentials.rules import CredentialRequest
from rewrite.credentials.settling import Attempted, settle
from rewrite.credentials.state import PoolState
from rewrite.values.outcome import (
    Abandoned,
    Completed,
    Kind,
    Outcome,
    Rejected,
    Stalled,
    Truncated,
    Unreachable,
)
from rewrite.values.timer import Timer

M = CredentialRequest("m")
CALL = Call("call", "openai_chat", Operation.GENERATE, "m", True, ())
DOWN = Rejected(400, Kind.SERVER)
NO_CONNECTION = Unreachable("no route", connected=False)
STALLED = Stalled(Timer.FIRST_TOKEN, 60.0)
HARMLESS = [Completed(), Abandoned(), STALLED, Truncated("reset"), Unreachable("refused")]
WHO = Rejected(401, Kind.AUTH, "who?", None, WireResponse(401, (), b'{"error": {"code": "bad_key"}}'))
WITH_FALLBACK = CredentialRequest("m", fallback=True)
ELSEWHERE = CredentialRequest("other", fallback=True)


def pool(*names: str, rotation: Rotation = Rotation.SEQUENTIAL, **priorities: int) -> PoolState:
    credentials = tuple(Credential(name, "vendor", priorities.get(name, 1)) for name in names)
    return PoolState(serving_order(credentials), rotation)


def rejected(kind: Kind, retry_after: float | None = None) -> Rejected:
    return Rejected(400, kind, retry_after=retry_after)


def after(
    state: PoolState, *events: tuple[float, str, Outcome], model: str = "m", talk: str = ""
) -> PoolState:
    """The pool after attempts that ended at these seconds, each of its own conversation unless `talk`."""

    def one(so_far: PoolState, event: tuple[int, tuple[float, str, Outcome]]) -> PoolState:
        number, (at, name, outcome) = event
        return settle(so_far, Attempted(name, model, talk or f"talk {number} at {at}"), outcome, at)

    return reduce(one, enumerate(events), state)


def chosen(state: PoolState, request: CredentialRequest = M, now: float = 0.0) -> str:
    found = choose(state, request, now)
    assert isinstance(found, Chosen), found
    return found.credential.name


def in_turn(state: PoolState, times: int) -> str:
    """The names that serve one after another."""
    names = ""
    for _ in range(times):
        found = choose(state, M, 0.0)
        assert isinstance(found, Chosen), found
        names, state = names + found.credential.name, taken(state, found.credential.name, found.wheel)
    return names


def wait(state: PoolState, now: float, name: str = "") -> float:
    """Seconds until a key is free, or the one of that name."""
    found = choose(structs.replace(state, credentials=state.credentials[:1]) if name else state, M, now)
    assert isinstance(found, Unavailable), found
    assert found.wait is not None
    return found.wait


def refusals_of(state: PoolState, *seconds: float) -> PoolState:
    return after(state, *((at, "a", rejected(Kind.AUTH)) for at in seconds))


def suspected(*events: tuple[float, str, Outcome]) -> PoolState:
    """After faults of two keys in calls of several clients."""
    return after(pool("a", "b"), *(events or [(0.0, "a", DOWN), (1.0, "b", DOWN), (2.0, "a", DOWN)]))


def probe(state: PoolState, outcome: Outcome, now: float) -> PoolState:
    """The next call is the probe, and comes to this."""
    found = choose(state, WITH_FALLBACK, now)
    assert isinstance(found, Chosen)
    assert found.probe
    return settle(
        probing(state, "m", now), Attempted(found.credential.name, "m", "probe", probe=True), outcome, now
    )

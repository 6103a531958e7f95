"""How the credentials of a pool are doing, as plain data and as lines for a reader. Pure, over a snapshot."""

from collections.abc import Iterator, Mapping

from rewrite.credentials.credential import Credential
from rewrite.credentials.limits import limited, uses
from rewrite.credentials.rules import Block, Blocked, CredentialRequest, blocks, longest
from rewrite.credentials.state import WHOLE, CredentialState, PoolState
from rewrite.credentials.windows import WindowUse

READY = "ready"
_SHOWN = frozenset({Blocked.COOLING, Blocked.FULL, Blocked.RETIRED})
"""What is of a credential, and not of a call."""

type Status = dict[str, object]
"""What JSON can say."""


def pool_status(pool: PoolState, now: float) -> Status:
    """How one provider's pool does: its rotation, its pauses by scope, and its credentials."""
    waits = {scope: health.wait(now) for scope, health in pool.health.items()}
    return {
        "rotation": pool.rotation.value,
        "paused": {scope: _seconds(wait) for scope, wait in waits.items() if wait > 0},
        "credentials": [credential_status(one, pool.state(one.name), now) for one in pool.credentials],
    }


def credential_status(one: Credential, state: CredentialState, now: float) -> Status:
    """How one credential does. `seconds` is how long what keeps it from serving lasts: null where nobody
    knows, 0 where it is ready."""
    block = _block(one, state, "", now)
    until = now if block is None else block.until
    last = state.last
    return {
        "name": one.name,
        "state": block.state.value if block else READY,
        "reason": block.why if block else "",
        "seconds": None if until is None or _ends_with_a_call(block) else _seconds(until - now),
        "scopes": dict(_scopes(one, state, now)),
        "in_flight": state.in_flight,
        "windows": windows_status(one, state, now),
        "last": {"outcome": last.label, "ago": _seconds(now - last.at)} if last else None,
    }


def windows_status(one: Credential, state: CredentialState, now: float) -> list[Mapping[str, object]]:
    """Its limits, and how much of each is used."""
    return [_window(each) for each in uses(one, state, now)]


def _block(one: Credential, state: CredentialState, scope: str, now: float) -> Block | None:
    found = [each for each in blocks(one, state, CredentialRequest(scope), now) if each.state in _SHOWN]
    return longest(found) if found else None


def _ends_with_a_call(block: Block | None) -> bool:
    return block is not None and block.state is Blocked.FULL


def _scopes(one: Credential, state: CredentialState, now: float) -> Iterator[tuple[str, float]]:
    """The models, operations and quota groups that it does not serve for now, and for how long."""
    known = dict.fromkeys((*state.cooldowns, *(scope for _, scope in (*state.used, *state.learnt))))
    for scope in known:
        cooldown, limit = state.cooldowns.get(scope), limited(one, state, scope, now)
        until = max(cooldown.until if cooldown else now, limit.until if limit else now)
        if scope != WHOLE and until > now:
            yield scope, _seconds(until - now)


def _window(use: WindowUse) -> Mapping[str, object]:
    return {
        "unit": use.unit.value,
        "scope": use.scope,
        "used": round(use.used, 6),
        "limit": use.limit,
        "resets_in": _seconds(use.resets_in),
        "source": use.source,
    }


def _seconds(seconds: float) -> float:
    return round(max(seconds, 0.0), 3)


# -- for a reader ------------------------------------------------------------------------------------------


def pool_lines(pool: PoolState, name: str, now: float) -> Iterator[str]:
    """The same as lines, of the pool of provider `name`. Each says whom it is about: mitmweb shows the
    list in one line."""
    yield f"{name}: {_keys(len(pool.credentials))}, {pool.rotation.value}"
    for scope, health in pool.health.items():
        if (wait := health.wait(now)) > 0:
            yield f"{name} is paused for {_named(scope)}: {wait:.0f} s"
    for one in pool.credentials:
        yield f"{name}/{one.name}: {'; '.join(_said(one, pool.state(one.name), now))}"


def _keys(count: int) -> str:
    return "1 key" if count == 1 else f"{count} keys"


def _said(one: Credential, state: CredentialState, now: float) -> Iterator[str]:
    block = _block(one, state, "", now)
    yield block.why if block else READY
    for scope, seconds in _scopes(one, state, now):
        if block is None:
            yield f"not used for {_named(scope)} for {seconds:.0f} s"
    if state.in_flight:
        yield f"{state.in_flight} in flight"
    for use in uses(one, state, now):
        yield (
            f"{use.used:g} of {use.limit:g} {use.unit.value} used for {_named(use.scope)}, "
            f"reset in {use.resets_in:.0f} s ({use.source})"
        )
    if state.last:
        yield f"last {state.last.label} {now - state.last.at:.0f} s ago"


def _named(scope: str) -> str:
    return "all models" if scope == WHOLE else scope.replace(":", " ", 1)

"""What a person does to the credentials of a pool, by command. Pure, over a snapshot."""

from dataclasses import replace

from msgspec import structs

from rewrite.credentials.state import NEVER_USED, UNTURNED, WHOLE, Cooldown, CredentialState, PoolState


def cooled(pool: PoolState, name: str, seconds: float, now: float) -> PoolState:
    """The credential `name` is not used for so long; a longer cooldown stays."""
    state, until = pool.state(name), now + seconds
    former = state.cooldowns.get(WHOLE)
    if former is not None and former.until > until:
        return pool
    cooldown = Cooldown(until, at=now, note="is paused by a command")
    return pool.with_state(name, structs.replace(state, cooldowns={**state.cooldowns, WHOLE: cooldown}))


def retired(pool: PoolState, name: str) -> PoolState:
    """The credential `name` is not used until it is resumed."""
    return pool.with_state(name, structs.replace(pool.state(name), retired=True))


def reset(pool: PoolState, name: str = "") -> PoolState:
    """As if the credential `name` had never been used, or none of them, but for the calls under way."""
    names = [name] if name else list(pool.states)
    unused = {each: _unused(pool.state(each)) for each in names}
    pool = structs.replace(pool, states={**pool.states, **unused})
    return pool if name else structs.replace(pool, health={}, exhausted={}, wheel=UNTURNED)


def _unused(state: CredentialState) -> CredentialState:
    alone = replace(state.alone, used={}) if state.alone else None
    return structs.replace(NEVER_USED, in_flight=state.in_flight, elsewhere=state.elsewhere, alone=alone)

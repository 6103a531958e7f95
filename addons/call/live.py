"""A call that is not over, as a person sees it who looks. It is made when somebody does, and never else."""

from dataclasses import dataclass

from addons.records.record import Record, user_of
from rewrite.credentials.evidence import session_hash
from rewrite.exchange.exchange import Exchange, State

_STATES = {
    State.COMMITTED: "streams",
    State.CONTINUING: "streams",
    State.WAITING: "waits",
    State.BACKING_OFF: "waits",
}
_ASKS = "asks"


@dataclass(frozen=True, slots=True)
class Wait:
    """What a call waits for that is to be asked again."""

    due: float | None
    """When the wait ends, in seconds on the clock of calls. None: nobody knows."""
    why: str
    """Such as what came of the attempt before."""


NO_WAIT = Wait(None, "")


@dataclass(frozen=True, slots=True)
class LiveCall:
    """What a call does now."""

    id: str
    provider: str
    """The name of the one that is asked, or was asked last."""
    model: str
    """As the client asked for it. Empty: the call names none."""
    credential: str
    """The name of the one that it holds. Empty: none."""
    since: float
    """Seconds since it began."""
    state: str
    """`asks` a provider, `streams` its answer to the client, or `waits` for another attempt."""
    why: str
    """What it waits for. Empty: it does not wait."""
    seconds: float | None
    """How long it still waits. None: it does not, or nobody knows."""
    attempts: int
    """How often a provider was asked, this time included."""
    session: str
    """A hash of its conversation's id, as traces have it. Empty: no header of the client names one."""
    user: str = ""
    """Who called, by proxyauth. Empty: anybody."""


def live_call(record: Record, exchange: Exchange, wait: Wait, now: float) -> LiveCall:
    """`wait`: the last one that began; `now` on the clock of calls."""
    state = _STATES.get(exchange.state, _ASKS)
    waits = wait if state == "waits" else NO_WAIT
    return LiveCall(
        id=record.call.id,
        provider=exchange.target.provider.name,
        model=record.call.model or "",
        credential=exchange.credential,
        since=round(now - exchange.began, 3),
        state=state,
        why=waits.why,
        seconds=None if waits.due is None else round(max(waits.due - now, 0.0), 3),
        attempts=exchange.attempts,
        session=session_hash(record.call.headers),
        user=user_of(record.flow),
    )

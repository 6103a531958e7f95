"""What a user has to know of a credential, once: that it was refused or fails, and that it works; and of a
provider that it is paused."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from rewrite.credentials.health import HEALTHY, Streak
from rewrite.credentials.settling import Attempted
from rewrite.credentials.state import WHOLE, Cooldown, CredentialState, PoolState
from rewrite.values.key_refusal import REMEDIES, KeyRefusal
from rewrite.values.outcome import Kind

_HOW_TO_CLEAR = "a changed config or key file, or the command rotator.resume, lets it be tried at once"


@dataclass(frozen=True, slots=True)
class Notice:
    """Something for the log."""

    text: str
    """One line."""
    warning: bool = False
    """Whether somebody has to act."""


def notices(before: PoolState, after: PoolState, one: Attempted, now: float) -> Iterator[Notice]:
    """What the attempt `one`, which ended at `now`, changed of the credentials of a pool."""
    yield from _pauses(before, after, one.scope)
    yield from _refusals(before.state(one.name), after.state(one.name), (WHOLE, one.scope, one.quota), now)
    for credential in after.credentials:
        name = credential.name
        state = after.state(name)
        cooldown = state.cooldowns.get(one.scope)
        if cooldown and cooldown != before.state(name).cooldowns.get(one.scope) and _lacks(cooldown, now):
            yield Notice(_without_model(cooldown, one.scope, now))
        if state.is_last(one.scope, now) and not before.state(name).is_last(one.scope, now):
            yield Notice(_failing(after.title(name), one.scope, state.streaks[one.scope], now))


def _pauses(before: PoolState, after: PoolState, scope: str) -> Iterator[Notice]:
    """Of several in a row the first is news, and that they are over."""
    was, now_is = before.health.get(scope, HEALTHY).pause, after.health.get(scope, HEALTHY).pause
    provider = next((one.provider for one in after.credentials), "") + _for(scope)
    if now_is and not was:
        how = f"is paused for {now_is:.0f} s: several keys failed one after the other"
        yield Notice(f"{provider} {how}; calls that have another target go there meanwhile")
    elif was and not now_is:
        yield Notice(f"{provider} answers again")


def _lacks(cooldown: Cooldown, now: float) -> bool:
    said = cooldown.refusal
    return said is not None and said.kind is Kind.MODEL and cooldown.until > now


def _without_model(cooldown: Cooldown, scope: str, now: float) -> str:
    said = cooldown.refusal
    assert said is not None
    return f"{_name(said, scope)} was refused ({said.said}) and another key served; {_again(said, now)}"


def _failing(title: str, scope: str, streak: Streak, now: float) -> str:
    last = f"it is asked last for {streak.last_until - now:.0f} s"
    return f"{title}{_for(scope)} failed {streak.failures} times in a row while other keys served; {last}"


def _refusals(
    before: CredentialState, after: CredentialState, scopes: Sequence[str], now: float
) -> Iterator[Notice]:
    for key in scopes:
        was, now_is = before.cooldowns.get(key), after.cooldowns.get(key)
        if was == now_is:
            continue
        said, former = _said(now_is), _said(was)
        if said is not None and former is None:
            yield Notice(_refused(said, key, now), warning=True)
        elif said is not None and former is not None and former.until <= now:
            yield Notice(f"{_name(said, key)} is refused again ({said.said}); {_again(said, now)}")
        elif said is None and former is not None:
            yield Notice(f"{_name(former, key)} works again")


def _said(cooldown: Cooldown | None) -> KeyRefusal | None:
    """A refusal that is one whatever other credentials do."""
    said = cooldown.refusal if cooldown else None
    return said if said and said.kind is not Kind.MODEL else None


def _refused(said: KeyRefusal, key: str, now: float) -> str:
    message = f": {said.message}" if said.message else ""
    remedy = f"{REMEDIES[said.kind]}; {_again(said, now)}; {_HOW_TO_CLEAR}"
    return f"{_name(said, key)} was refused ({said.said}{message}); {remedy}"


def _name(said: KeyRefusal, key: str) -> str:
    return said.credential if key == WHOLE else said.credential + _for(key)


def _for(scope: str) -> str:
    return f" for {scope.replace(':', ' ', 1)}"


def _again(said: KeyRefusal, now: float) -> str:
    return f"it is tried again in {said.until - now:.0f} s"

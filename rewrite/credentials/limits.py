"""What a credential has used of its limits: of those that the config sets, and of those that its provider
reports. Pure, over a snapshot.

Requests are counted when a credential is taken, tokens and costs when it is given back. All is counted for
the model that was asked, or for the quota group that it shares a limit with.
"""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace
from itertools import compress, count, repeat
from math import inf
from operator import is_not

from msgspec import structs

from protocols.model.call import Call, Operation
from protocols.model.parts import Usage
from protocols.model.progress import Progress, estimated_tokens
from rewrite.credentials.allowance import Allowance, Limited, Memo, Shares
from rewrite.credentials.credential import Credential
from rewrite.credentials.health import MOST_SCOPES
from rewrite.credentials.learning import WAIT, Reported
from rewrite.credentials.state import NEVER_USED, WHOLE, CredentialState, PoolState
from rewrite.credentials.windows import (
    Cap,
    Counts,
    Unit,
    Window,
    WindowUse,
    added,
    extrapolated,
    full_until,
    taken_back,
    use_of,
    used,
)
from rewrite.values.outcome import Outcome, never_connected

ONE_REQUEST: Mapping[Unit, float] = {Unit.REQUESTS: 1.0}
_GENERATES = frozenset({Operation.GENERATE, Operation.EMBEDDINGS})


def allowance(one: Credential, state: CredentialState, scope: str, now: float) -> Allowance:
    """What `one` has left for `scope`. It is worked out again only when its use has changed, or a part of it
    counts no more: a pool of many is looked through for each call."""
    if not (one.counted or one.caps or state.learnt):
        return _UNLIMITED
    of = one, state.used, state.learnt, state.spent, state.alone
    kept = state.allowances.get(scope)
    if kept is None or not kept.holds(of, now):
        kept = state.allowances.keep(scope, _allowance(one, state, scope, now, of))
    return kept


_UNLIMITED = Allowance()


def _allowance(
    one: Credential, state: CredentialState, scope: str, now: float, of: tuple[object, ...]
) -> Allowance:
    shares, full, ends = [0.0], [], [inf]
    for cap in one.caps:
        share, reached = _of_cap(cap, state, scope, now)
        shares.append(share)
        full += [Limited(f"has used {cap.title()}, its cap", until) for until in reached]
    for window in one.windows:
        counts = _counts(state, window, scope)
        shares.append(used(counts, now) / window.limit)
        until = _full_until(window, counts, state, scope, now)
        if until is not None:
            full.append(Limited(f"has used its {window.title()}", until))
    shares += [each.share for each in _known(state, scope, now)]
    ends += [until for until in state.spent.values() if until > now]
    ends += [each.resets_at for each in state.learnt.values() if each.resets_at > now]
    ends += [_first_end(_counts(state, window, scope), now) for window in one.counted]
    longest = max(full, key=lambda each: each.until) if full else None
    return Allowance(of, now, min(ends), round(min(max(shares), 1.0), 2), longest)


def used_shares(pool: PoolState, scope: str, now: float) -> Mapping[str, float]:
    """By name, how much each credential has used of the limit of which the least is left, from 0 to 1, to a
    percent; 0 where none is known."""
    kept = pool.shares.get(scope)
    if kept is None or kept.credentials is not pool.credentials or not kept.since <= now < kept.until:
        kept = pool.shares.keep(scope, Shares(pool.credentials))
    listed = [*map(pool.states.get, kept.used, repeat(NEVER_USED))]
    for place in compress(count(), map(is_not, listed, kept.states)):
        one = pool.credentials[place]
        found = allowance(one, listed[place], scope, now)
        kept.used[one.name] = found.used
        kept.since, kept.until = max(kept.since, found.since), min(kept.until, found.until)
    kept.states = listed
    return kept.used


def _first_end(counts: Counts, now: float) -> float:
    for until, _ in counts:
        if until > now:
            return until
    return inf


def _counts(state: CredentialState, window: Window, scope: str) -> Counts:
    """Without the store it is assumed that each other proxy uses as much as this one."""
    key, alone = (window.key, scope), state.alone
    counts = state.used.get(key, ())
    return counts if alone is None else extrapolated(counts, alone.used.get(key, ()), max(alone.peers, 1))


def _full_until(
    window: Window, counts: Counts, state: CredentialState, scope: str, now: float
) -> float | None:
    """By what is known here, and by what the store said."""
    said, until = state.spent.get((window.key, scope), 0.0), full_until(window, counts, now)
    return max(said, until or 0.0) if said > now else until


def _of_cap(cap: Cap, state: CredentialState, scope: str, now: float) -> tuple[float, Sequence[float]]:
    """How much of what it allows is used, and the moments when what is used up of it is free again."""
    known = [each for each in _known(state, scope, now) if _is_held_to(cap, each)]
    if known:
        most = [(each, cap.of(each.limit)) for each in known]
        shares = [each.used / allowed if allowed else 1.0 for each, allowed in most]
        return max(shares), [each.resets_at for each, allowed in most if each.used >= allowed]
    if cap.own is None:
        return 0.0, ()
    counts = _counts(state, cap.own, scope)
    until = _full_until(cap.own, counts, state, scope, now)
    return used(counts, now) / cap.own.limit, () if until is None else (until,)


def _known(state: CredentialState, scope: str, now: float) -> Iterator[Reported]:
    """The limits that its provider reported for `scope`, and that were not reset since."""
    for (_, about), one in state.learnt.items():
        if one.resets_at > now and (about in (scope, WHOLE) or one.concerns(scope)):
            yield one


def limited(one: Credential, state: CredentialState, scope: str, now: float) -> Limited | None:
    """The limit of the config that keeps `one` from serving `scope` for longest."""
    return allowance(one, state, scope, now).limited if one.windows or one.caps else None


def held_to(one: Credential, state: CredentialState, scope: str, now: float) -> frozenset[str]:
    """The keys of the windows that `one` is held to: those of the config, and of its caps those that its
    provider reports nothing of."""
    own = (cap.own.key for cap in one.caps if cap.own and not _is_reported(cap, state, scope, now))
    return frozenset((*(window.key for window in one.windows), *own))


def is_used_up(state: CredentialState, scope: str, now: float) -> bool:
    """Whether its provider would refuse it, by what was reported."""
    return any(one.is_used_up for one in _known(state, scope, now))


# -- counting ----------------------------------------------------------------------------------------------


def counted(
    one: Credential, state: CredentialState, scope: str, amounts: Mapping[Unit, float], now: float
) -> CredentialState:
    """`state` after `one` used `amounts` for `scope`. A request counts in what its provider reported too,
    until that reports again."""
    if amounts.get(Unit.REQUESTS) and state.learnt:
        state = structs.replace(state, learnt=_one_more(state, scope, now), allowances=Memo())
    windows = [window for window in one.counted if amounts.get(window.unit)]
    if not windows:
        return state
    found = {
        (window.key, scope): added(window, state.used.get((window.key, scope), ()), amounts[window.unit], now)
        for window in windows
    }
    return structs.replace(state, used=_bounded({**state.used, **found}, now), allowances=Memo())


def _one_more(state: CredentialState, scope: str, now: float) -> Mapping[tuple[str, str], Reported]:
    current = {key for key, one in state.learnt.items() if one.unit is Unit.REQUESTS and one.resets_at > now}
    return {
        key: replace(one, used=one.used + 1) if key in current and key[1] in (scope, WHOLE) else one
        for key, one in state.learnt.items()
    }


def _bounded(found: Mapping[tuple[str, str], Counts], now: float) -> Mapping[tuple[str, str], Counts]:
    """Clients name any models they like: of too many, those of which the least is used are left out."""
    if len(found) <= MOST_SCOPES:
        return found
    most = sorted(found, key=lambda key: used(found[key], now), reverse=True)[: MOST_SCOPES // 2]
    return {key: found[key] for key in most}


def given_back(one: Credential, state: CredentialState, scope: str, outcome: Outcome) -> CredentialState:
    """`state` without the request of an attempt of which nothing was sent."""
    return uncounted(one, state, scope) if never_connected(outcome) else state


def uncounted(one: Credential, state: CredentialState, scope: str) -> CredentialState:
    """`state` without a request that was counted for `scope`."""
    keys = [(window.key, scope) for window in one.counted if window.unit is Unit.REQUESTS]
    found = {key: taken_back(state.used[key], 1.0) for key in keys if key in state.used}
    return structs.replace(state, used={**state.used, **found}) if found else state


def amounts(
    one: Credential, call: Call, progress: Progress | None, before: Usage | None
) -> Mapping[Unit, float]:
    """Tokens and costs of an attempt of `call` with `one`, so far as they are counted; see `Release`."""
    if progress is None or not any(window.unit is not Unit.REQUESTS for window in one.counted):
        return {}
    usage = progress.usage or Usage()
    tokens = _tokens(call, progress, usage) - (_sum(before) if before else 0)
    cost = (usage.cost or 0.0) - ((before.cost or 0.0) if before else 0.0)
    return {Unit.TOKENS: max(tokens, 0), Unit.COST: max(cost, 0.0)}


def _tokens(call: Call, progress: Progress, usage: Usage) -> int:
    """As the provider counted them; where it did not, what the texts come to."""
    if call.operation not in _GENERATES:
        return 0
    sent = estimated_tokens(call.text_bytes) if usage.input is None else usage.input
    return sent + (estimated_tokens(progress.characters) if usage.output is None else usage.output)


def _sum(usage: Usage) -> int:
    return (usage.input or 0) + (usage.output or 0)


# -- learning ----------------------------------------------------------------------------------------------


def learnt(state: CredentialState, scope: str, found: Sequence[Reported], now: float) -> CredentialState:
    """`state` with what an answer for `scope` reported. Empty: only what says itself which models it is for
    is learnt."""
    named = {(one.name, WHOLE if one.whole else one.about or one.models_scope or scope): one for one in found}
    news = {key: one for key, one in named.items() if key[1]}
    if not news:
        return state
    current = {key: one for key, one in state.learnt.items() if one.resets_at > now and key not in news}
    latest = list({**current, **news}.items())[-MOST_SCOPES:]
    return structs.replace(state, learnt=dict(latest), allowances=Memo())


# -- for a reader ------------------------------------------------------------------------------------------


def uses(one: Credential, state: CredentialState, now: float) -> Iterator[WindowUse]:
    """All limits of `one` of which some is used."""
    for window in one.windows:
        for (key, scope), counts in state.used.items():
            if key == window.key:
                yield from use_of(window, scope, counts, now)
    for (name, scope), reported in state.learnt.items():
        if (left := reported.resets_at - now) > 0:
            yield WindowUse(reported.unit, scope, reported.used, reported.limit, left, name)
    yield from _own_caps(one, state, now)


def _own_caps(one: Credential, state: CredentialState, now: float) -> Iterator[WindowUse]:
    own = [(cap, cap.own) for cap in one.caps if cap.own is not None]
    for cap, window in own:
        for (key, scope), counts in state.used.items():
            if key == window.key and not _is_reported(cap, state, scope, now):
                yield from (replace(use, source="cap") for use in use_of(window, scope, counts, now))


def _is_held_to(cap: Cap, each: Reported) -> bool:
    return each.name != WAIT and cap.concerns(each.unit)


def _is_reported(cap: Cap, state: CredentialState, scope: str, now: float) -> bool:
    return any(_is_held_to(cap, each) for each in _known(state, scope, now))

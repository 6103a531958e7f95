"""What is known of the credentials of a pool, as entries and back. Pure.

What changes by the moment (calls in flight, streaks) is not kept; whose turn it is, `turns` knows. What a
provider said of a credential is kept without its answer.
"""

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, replace
from math import inf, isfinite

from msgspec import structs

from protocols.model.wirejson import count_at, flag_at, number_at, text_at, texts_at
from rewrite.credentials.entries import (
    Clearing,
    Entries,
    Entry,
    Key,
    Kind,
    Value,
    amount,
    of_credential,
    says_more,
)
from rewrite.credentials.health import HEALTHY, MEMORY, Health
from rewrite.credentials.learning import Reported, models_of
from rewrite.credentials.state import (
    Alone,
    Cooldown,
    CredentialState,
    Elsewhere,
    LastOutcome,
    PoolState,
    forgiven,
    resumed,
)
from rewrite.credentials.steering import reset
from rewrite.credentials.windows import Counts, Unit, apart, counted_until, rolls_for
from rewrite.values.key_refusal import KeyRefusal
from rewrite.values.outcome import Kind as Fault

DAY = 86_400.0
RETIRED_FOR = 365 * DAY
"""Seconds for which it is kept that a person retired a credential."""
FAILURES_FOR = DAY
"""Seconds after a cooldown for which it is kept how many refusals there were in a row."""
CLEARED_FOR = 3600.0
"""Seconds for which a clearing is kept: longer than others need to see it."""


@dataclass(frozen=True, slots=True)
class Subject:
    """Whose entries they are."""

    provider: str
    credential: str = ""
    """Empty: the provider's own."""
    mark: str = ""
    """See `Key.mark`."""

    def key(self, kind: Kind, scope: str = "") -> Key:
        return Key(kind, self.provider, self.credential, self.mark, scope)


# -- out ---------------------------------------------------------------------------------------------------


def changed(
    subject: Subject, pool: PoolState, known: Entries, now: float, former: CredentialState | None = None
) -> dict[Key, Entry]:
    """What changed of `subject` since it was `known`. `former`: its state at that time, where that is all of
    what is known: then what is counted in it still is passed over."""
    if former is not None:
        return _changed_since(subject, pool.state(subject.credential), known, now, former)
    own = dict(_entries(subject, pool, now))
    found = dict(of_credential(known, subject.provider, subject.credential, subject.mark))
    return _news(own, found, now)


def _changed_since(
    subject: Subject, state: CredentialState, known: Entries, now: float, former: CredentialState
) -> dict[Key, Entry]:
    counts, gone = _counts_apart(subject, state, former, now)
    own = dict(_of_credential(subject, state, now)) | counts
    keys = own.keys() | gone | dict(_of_credential(subject, former, -inf)).keys()
    return _news(own, {key: known[key] for key in keys if key in known}, now)


def _counts_apart(
    subject: Subject, state: CredentialState, former: CredentialState, now: float
) -> tuple[dict[Key, Entry], set[Key]]:
    """The counts that are others than in `former`, and the keys of those that are there no more."""
    new, gone = dict[Key, Entry](), set[Key]()
    for window, scope in state.used.keys() | former.used.keys():
        counts, before = state.used.get((window, scope), ()), former.used.get((window, scope), ())
        more, less = apart(counts, before)
        new |= dict(_of_counts(subject, window, scope, more, now))
        gone |= dict(_of_counts(subject, window, scope, less, now)).keys()
    return new, gone


def _news(own: Mapping[Key, Entry], found: Mapping[Key, Entry], now: float) -> dict[Key, Entry]:
    """What `own` says beyond `found`."""
    gone = {key: _gone(key, one, now) for key, one in found.items() if key not in own and one.until > now}
    news = {key: _difference(key, one, found.get(key), now) for key, one in own.items()}
    return {key: one for key, one in (gone | news).items() if one is not None}


def _difference(key: Key, own: Entry, known: Entry | None, now: float) -> Entry | None:
    if key.kind is not Kind.USED:
        return own if says_more(key, own, known) else None
    more = amount(own) - amount(known)
    return Entry(now, own.until, more) if more else None


def _gone(key: Key, known: Entry, now: float) -> Entry | None:
    """That it is known no more."""
    if key.kind in _ENDS_BY_ITSELF or known.value is None:
        return None
    return Entry(now, known.until, -amount(known) if key.kind is Kind.USED else None)


_ENDS_BY_ITSELF = frozenset({Kind.COOLDOWN, Kind.CLEARED, Kind.TURN})
"""By its time, or by a clearing."""


def cleared(subject: Subject, how: Clearing, now: float) -> dict[Key, Entry]:
    """That all was cleared which was known until now."""
    return {subject.key(Kind.CLEARED, how): Entry(now, now + CLEARED_FOR)}


def _entries(subject: Subject, pool: PoolState, now: float) -> Iterator[tuple[Key, Entry]]:
    if not subject.credential:
        yield from _of_provider(subject, pool, now)
        return
    state = pool.state(subject.credential)
    yield from _of_credential(subject, state, now)
    for (window, scope), counts in state.used.items():
        yield from _of_counts(subject, window, scope, counts, now)


def _of_credential(subject: Subject, state: CredentialState, now: float) -> Iterator[tuple[Key, Entry]]:
    """All but what is counted."""
    for scope, cooldown in state.cooldowns.items():
        if cooldown.until > now:
            yield (
                subject.key(Kind.COOLDOWN, scope),
                Entry(cooldown.at, cooldown.until, _said(cooldown)),
            )
    if state.auth_failures:
        yield subject.key(Kind.AUTH), Entry(now, state.auth_until + FAILURES_FOR, float(state.auth_failures))
    if state.retired:
        yield subject.key(Kind.RETIRED), Entry(now, now + RETIRED_FOR, "retired")
    if state.last:
        yield subject.key(Kind.LAST), Entry(state.last.at, state.last.at + DAY, state.last.label)
    for (name, scope), one in state.learnt.items():
        if one.resets_at > now:
            value = {"unit": one.unit.value, "used": one.used, "limit": one.limit, "whole": one.whole}
            yield subject.key(Kind.LEARNT, _joined(name, scope)), Entry(now, one.resets_at, value)


def _of_provider(subject: Subject, pool: PoolState, now: float) -> Iterator[tuple[Key, Entry]]:
    for scope, health in pool.health.items():
        if health.pause:
            yield subject.key(Kind.PAUSE, scope), Entry(now, health.paused_until + MEMORY, health.pause)
    for scope, names in pool.exhausted.items():
        yield subject.key(Kind.CYCLE, scope), Entry(now, now + DAY, {"names": sorted(names)})


def _of_counts(
    subject: Subject, window: str, scope: str, counts: Counts, now: float
) -> Iterator[tuple[Key, Entry]]:
    for until, each in counts:
        if until > now:
            yield used(subject, until, window, scope), Entry(now, until, each)


def used(subject: Subject, until: float, window: str, scope: str) -> Key:
    """Of what counts until then in the window of that key, for `scope`."""
    return subject.key(Kind.USED, _joined(repr(until), window, scope))


def used_in(key: Key) -> tuple[str, str, str]:
    """Of such a key: the text of the moment until which it counts, the key of the window, and for what."""
    until, _, which = key.scope.partition("\n")
    window, _, about = which.partition("\n")
    return until, window, about


def counts_until(key: Key) -> float | None:
    """None: it is no such key."""
    return _number(used_in(key)[0])


def _joined(*parts: str) -> str:
    """The last one may have any characters in it: it is from a client."""
    return "\n".join(parts)


def _said(cooldown: Cooldown) -> Value:
    refusal = cooldown.refusal
    if refusal is None:
        return {"note": cooldown.note} if cooldown.note else None
    return {
        "status": refusal.status,
        "kind": refusal.kind.value,
        "message": refusal.message,
        "code": refusal.code,
        "protocol": refusal.protocol,
    }


# -- in ----------------------------------------------------------------------------------------------------


def adopted(pool: PoolState, subject: Subject, changes: Entries, now: float) -> PoolState:
    """The pool with what another proxy, or an earlier one, changed of `subject`."""
    found = dict(of_credential(changes, subject.provider, subject.credential, subject.mark))
    for how in (how for how in Clearing if subject.key(Kind.CLEARED, how) in found):
        pool = _CLEARS[how](pool, subject.credential)
    if not subject.credential:
        for key, entry in found.items():
            pool = _OF_PROVIDER[key.kind](pool, key.scope, entry) if key.kind in _OF_PROVIDER else pool
        return pool
    state = pool.state(subject.credential)
    title = pool.title(subject.credential)
    for key, entry in found.items():
        if entry.until > now and key.kind in _ADOPTED:
            state = _ADOPTED[key.kind](state, key.scope, entry, title)
    return pool.with_state(subject.credential, state)


def _resumed(pool: PoolState, name: str) -> PoolState:
    return resumed(pool, name) if name else structs.replace(pool, health={})


def _forgiven(pool: PoolState, name: str) -> PoolState:
    return pool.with_state(name, forgiven(pool.state(name))) if name else pool


def _reset(pool: PoolState, name: str) -> PoolState:
    return reset(pool, name) if name else structs.replace(pool, health={}, exhausted={})


_CLEARS: Mapping[Clearing, Callable[[PoolState, str], PoolState]] = {
    Clearing.RESUMED: _resumed,
    Clearing.FORGIVEN: _forgiven,
    Clearing.RESET: _reset,
}


def _paused(pool: PoolState, scope: str, entry: Entry) -> PoolState:
    pause = amount(entry)
    if not pause:
        return pool.without_health(scope)
    health = pool.health.get(scope, HEALTHY)
    paused_until = entry.until - MEMORY
    return pool.with_health(scope, replace(health, suspected=True, paused_until=paused_until, pause=pause))


def _cycle(pool: PoolState, scope: str, entry: Entry) -> PoolState:
    names = texts_at(entry.value, "names") if isinstance(entry.value, Mapping) else ()
    others = {key: each for key, each in pool.exhausted.items() if key != scope}
    return structs.replace(pool, exhausted={**others, scope: frozenset(names)} if names else others)


_OF_PROVIDER: Mapping[Kind, Callable[[PoolState, str, Entry], PoolState]] = {
    Kind.PAUSE: _paused,
    Kind.CYCLE: _cycle,
}


def _cooling(state: CredentialState, scope: str, entry: Entry, title: str) -> CredentialState:
    former = state.cooldowns.get(scope)
    if former is not None and former.until >= entry.until:
        return state
    note = text_at(entry.value, "note") if isinstance(entry.value, Mapping) else ""
    cooldown = Cooldown(entry.until, _refusal(entry, title), entry.at, note)
    return structs.replace(state, cooldowns={**state.cooldowns, scope: cooldown})


def _refusal(entry: Entry, title: str) -> KeyRefusal | None:
    said = entry.value if isinstance(entry.value, Mapping) else {}
    status, kind = count_at(said, "status"), text_at(said, "kind")
    if status is None or kind not in Fault:
        return None
    message, code, protocol = (text_at(said, name) for name in ("message", "code", "protocol"))
    return KeyRefusal(title, status, Fault(kind), message, code, entry.at, entry.until, protocol, None)


def _failures(state: CredentialState, _: str, entry: Entry, _title: str) -> CredentialState:
    return structs.replace(state, auth_failures=int(amount(entry)), auth_until=entry.until - FAILURES_FOR)


def _retired(state: CredentialState, _: str, entry: Entry, _title: str) -> CredentialState:
    return structs.replace(state, retired=entry.value is not None)


def _last(state: CredentialState, _: str, entry: Entry, _title: str) -> CredentialState:
    if not isinstance(entry.value, str) or (state.last and state.last.at > entry.at):
        return state
    return structs.replace(state, last=LastOutcome(entry.value, entry.at))


def _used(state: CredentialState, scope: str, entry: Entry, _title: str) -> CredentialState:
    """By the calendar, or by a clock that a rolling window can be of."""
    until, window, about = used_in(Key(Kind.USED, "", scope=scope))
    moment, length = _number(until), rolls_for(window)
    if moment is None or (length is not None and moment > entry.at + 2 * length):
        return state
    counts = counted_until(state.used.get((window, about), ()), moment, amount(entry))
    others = {key: each for key, each in state.used.items() if key != (window, about)}
    return structs.replace(state, used={**others, (window, about): counts} if counts else others)


def _number(text: str) -> float | None:
    """None: it is none, or not a finite one."""
    try:
        number = float(text)
    except ValueError:
        return None
    return number if isfinite(number) else None


def _learnt(state: CredentialState, scope: str, entry: Entry, _title: str) -> CredentialState:
    name, _, about = scope.partition("\n")
    others = {key: one for key, one in state.learnt.items() if key != (name, about)}
    one = _reported(name, about, entry)
    return structs.replace(state, learnt={**others, (name, about): one} if one else others)


def _reported(name: str, about: str, entry: Entry) -> Reported | None:
    said = entry.value if isinstance(entry.value, Mapping) else {}
    used, limit, unit = number_at(said, "used"), number_at(said, "limit"), text_at(said, "unit")
    if used is None or not limit or unit not in Unit:
        return None
    whole = flag_at(said, "whole") is True
    return Reported(name, Unit(unit), used, limit, entry.until, whole, models_of(about))


_ADOPTED: Mapping[Kind, Callable[[CredentialState, str, Entry, str], CredentialState]] = {
    Kind.COOLDOWN: _cooling,
    Kind.AUTH: _failures,
    Kind.RETIRED: _retired,
    Kind.LAST: _last,
    Kind.USED: _used,
    Kind.LEARNT: _learnt,
}


# -- a clock that was set ----------------------------------------------------------------------------------


def moved(pool: PoolState, seconds: float) -> PoolState:
    """The same state on a clock that is ahead by `seconds`: nothing lasts longer or shorter."""
    states = {name: _moved(state, seconds) for name, state in pool.states.items()}
    health = {scope: _moved_health(one, seconds) for scope, one in pool.health.items()}
    return structs.replace(pool, states=states, health=health)


def _moved(state: CredentialState, by: float) -> CredentialState:
    return structs.replace(
        state,
        cooldowns={scope: _moved_cooldown(one, by) for scope, one in state.cooldowns.items()},
        auth_until=state.auth_until + by,
        streaks={
            scope: replace(one, at=one.at + by, last_until=one.last_until + by)
            for scope, one in state.streaks.items()
        },
        last=replace(state.last, at=state.last.at + by) if state.last else None,
        used={key: _moved_counts(key[0], counts, by) for key, counts in state.used.items()},
        learnt={key: replace(one, resets_at=one.resets_at + by) for key, one in state.learnt.items()},
        elsewhere=_moved_elsewhere(state.elsewhere, by),
        alone=_moved_alone(state.alone, by) if state.alone else None,
        spent={key: _moved_end(key[0], until, by) for key, until in state.spent.items()},
    )


def _moved_elsewhere(known: Elsewhere, by: float) -> Elsewhere:
    return replace(known, until=known.until + by, full_until=known.full_until + by)


def _moved_alone(alone: Alone, by: float) -> Alone:
    used = {key: _moved_counts(key[0], counts, by) for key, counts in alone.used.items()}
    return replace(alone, used=used)


def _moved_end(window: str, until: float, by: float) -> float:
    return until if rolls_for(window) is None else until + by


def _moved_counts(window: str, counts: Counts, by: float) -> Counts:
    """A day ends by the calendar."""
    return counts if rolls_for(window) is None else tuple((until + by, each) for until, each in counts)


def moved_entries(entries: Entries, by: float) -> Entries:
    """The same entries on a clock that is ahead by so much."""
    return {moved_key(key, by): one.moved(by) for key, one in entries.items()}


def moved_key(key: Key, by: float) -> Key:
    """A day ends by the calendar."""
    until, window, about = used_in(key)
    moment = _number(until)
    if key.kind is not Kind.USED or moment is None or rolls_for(window) is None:
        return key
    return key._replace(scope=_joined(repr(moment + by), window, about))


def _moved_cooldown(one: Cooldown, by: float) -> Cooldown:
    said = one.refusal
    refusal = replace(said, at=said.at + by, until=said.until + by) if said else None
    return replace(one, until=one.until + by, refusal=refusal, at=one.at + by)


def _moved_health(one: Health, by: float) -> Health:
    return replace(
        one,
        failures=tuple(replace(each, at=each.at + by) for each in one.failures),
        probe_until=one.probe_until + by,
        paused_until=one.paused_until + by,
    )

"""What is scarce among several proxies, asked of the store that they share: places under `max_concurrency`,
windows of the config, and the single probe of a provider.

While the store answers it decides. While it does not, each proxy goes on from its own copy, with its share of
the places, as if each other one used as much as it does itself. All commands go over one connection, in the
order of being asked for, so that what is registered takes in all that was asked before.
"""

import asyncio
from collections.abc import Callable, Coroutine, Iterator, Mapping, Sequence
from contextlib import suppress
from functools import partial
from typing import Protocol

from msgspec import structs

from addons.credentials.acquisition import Acquisition
from addons.credentials.asking import Asking
from addons.credentials.lease import Lease
from addons.runtime.clock import Later, by_the_loop
from addons.store.line import Answer, Argument, StoreLost
from addons.store.script import Script, script
from rewrite.credentials.choosing import Chosen, Unavailable
from rewrite.credentials.credential import Credential
from rewrite.credentials.rules import CredentialRequest
from rewrite.credentials.sharing import (
    Claim,
    Full,
    Granted,
    Part,
    Probed,
    Spent,
    Verdict,
    claim_of,
    given_up,
    heeded,
    held_by_all,
    left_alone,
    nothing_elsewhere,
    parts_used,
    together,
)
from rewrite.credentials.state import NEVER_USED, PoolState
from rewrite.credentials.store_names import place_field, probe_key, used_key
from rewrite.credentials.stored import Subject
from rewrite.credentials.windows import Counts, Unit

ACQUIRE, SETTLE, REGISTER = script("acquire"), script("settle"), script("register")

TOPIC = "places"
"""Of what is published of places that are free again."""

PROBE = 30_000
"""Milliseconds for which others keep from probing a provider: as long as its answer is waited for."""

PATIENCE = 2.0
"""Seconds that registering may take."""

_FORGOTTEN = [4]
"""What a proxy is answered that is not on the roster."""

_NOTHING = "-"
"""In the place of a key that a script is not to use."""


class Store(Protocol):
    """The connection to it, as far as it is needed here."""

    proxy: str
    salt: str
    is_up: bool

    @property
    def is_configured(self) -> bool: ...

    @property
    def is_beginning(self) -> bool: ...

    @property
    def prefix(self) -> str: ...

    def ask(
        self,
        asked: Script,
        keys: Sequence[str],
        args: Sequence[Argument],
        answer: Callable[[Answer], None],
        *,
        seconds: float | None = ...,
        late: Callable[[Answer], None] | None = None,
    ) -> None: ...

    def subscribe(self, topic: str, heard: Callable[[object], None]) -> None: ...

    def during(self, task: Callable[[], Coroutine[None, None, None]]) -> None: ...

    def on_down(self, callback: Callable[[], None]) -> None: ...


class Roster(Protocol):
    """Which proxies there are."""

    peers: int

    def on_gone(self, callback: Callable[[], None]) -> None: ...

    def on_return(self, callback: Callable[[], None]) -> None: ...


class OwnCopy(Protocol):
    """The pool: what this proxy knows."""

    @property
    def states(self) -> dict[str, PoolState]: ...

    def mark(self, provider: str, name: str, salt: str) -> str | None:
        """See `unsaved.mark_of`. None: there is no such credential."""
        ...

    def revised(self, change: Callable[[PoolState], PoolState]) -> None:
        """Something changed for all credentials."""
        ...

    def undo(self, provider: str, lease: Lease, change: Callable[[PoolState], PoolState]) -> None:
        """The attempt of `lease` does not begin: `change` is what that means to its pool."""
        ...


class Places:
    """Of one pool."""

    def __init__(
        self,
        store: Store,
        roster: Roster,
        copy: OwnCopy,
        clock: Callable[[], float],
        later: Later = by_the_loop,
    ) -> None:
        self._store, self._roster, self._copy = store, roster, copy
        self._clock, self._later = clock, later
        self._is_alone, self._is_silent, self._is_beginning = True, False, False
        self._registered = 0
        self._is_forgotten = asyncio.Event()
        self._asked_for: set[str] = set()
        store.subscribe(TOPIC, self._heard)
        store.during(self._up)
        store.on_down(self._down)
        roster.on_gone(self._freed)
        roster.on_return(self._register)

    # -- whether the store decides ------------------------------------------------------------------------

    def look(self) -> bool:
        """Whether the store is to be asked now. The own copy follows if that has changed."""
        store = self._store
        should_be_alone = store.is_configured and (self._is_silent or not store.is_up)
        if self._is_alone and not should_be_alone:
            self._come_back()
        elif should_be_alone and (not self._is_alone or self._is_beginning is not store.is_beginning):
            self._go_alone()
        return store.is_up and not self._is_alone

    def follow(self) -> None:
        """The credentials are others."""
        if not self.look() and self._is_alone:
            self._go_alone()

    async def _up(self) -> None:
        """Raises StoreLost where others may have taken what is held here."""
        self._is_forgotten.clear()
        self.look()
        await self._is_forgotten.wait()
        raise StoreLost("it does not know this proxy any more")

    def _down(self) -> None:
        self._is_silent = False
        self.look()

    def _go_alone(self) -> None:
        self._is_alone, self._is_beginning = True, self._store.is_beginning
        peers = 0 if self._is_beginning else self._roster.peers
        self._copy.revised(partial(left_alone, peers=peers, now=self._clock()))

    def _come_back(self) -> None:
        self._is_alone = False
        if self._store.is_up:
            self._register()
        self._copy.revised(together)

    def _lost(self) -> None:
        """An answer did not come in time."""
        if self._store.is_up and not self._is_silent:
            self._is_silent = True
            self._register()  # whose answer says that it answers again
        self.look()

    def _answers(self, _: Answer = None) -> None:
        self._is_silent = False
        if self._is_alone:
            self.look()

    # -- places that are held -----------------------------------------------------------------------------

    def _register(self) -> None:
        """Say how many places are held here, whatever the store knew of it."""
        self._registered += 1
        keys = [self._key("proxies"), self._held]
        args: list[Argument] = [self._store.prefix, self._store.proxy, *self._all_held()]
        self._store.ask(REGISTER, keys, args, self._registering, seconds=PATIENCE, late=self._answers)

    def _registering(self, answer: Answer) -> None:
        if answer is not None:
            self._answers()
        elif self._store.is_up:
            self._is_silent = True
            self._later(PATIENCE, self._try_again)
            self.look()

    def _try_again(self) -> None:
        if self._store.is_up and self._is_silent:
            self._register()

    def _all_held(self) -> Iterator[str | int]:
        for provider, state in self._copy.states.items():
            for one in state.credentials:
                subject = self._subject(provider, one.name)
                if one.max_concurrency is not None and subject is not None:
                    yield from (place_field(subject), one.max_concurrency, state.state(one.name).in_flight)

    def _heard(self, body: object) -> None:
        """There are free places, for those who are named, or for all."""
        match body:
            case [str(place), int(held), turn] if known := self._known(place):
                provider, one = known
                is_named = isinstance(turn, list) and self._store.proxy in turn
                is_for_others = isinstance(turn, list) and not is_named
                self._free(provider, one, one.max_concurrency if is_for_others else held)
                if is_named and place not in self._asked_for:
                    self._leave_line(place, one)

    def _free(self, provider: str, one: Credential, held: int | None) -> None:
        """So many places of `one` are held by all, or promised to others."""
        now, state = self._clock(), self._copy.states[provider]
        self._copy.states[provider] = held_by_all(state, one, held or 0, now)
        self._asked_for.clear()
        self._copy.revised(_unchanged)

    def _known(self, place: str) -> tuple[str, Credential] | None:
        """Whose place it is, with the provider. None: nobody's here."""
        provider, name, *_ = (*place.split("\n"), "", "")
        subject, state = self._subject(provider, name), self._copy.states.get(provider)
        if state is None or subject is None or place_field(subject) != place:
            return None
        return provider, next(one for one in state.credentials if one.name == name)

    def _leave_line(self, place: str, one: Credential) -> None:
        """Nobody here waits for it any more: it is for the next one."""
        keys = [self._key("proxies"), self._held, _NOTHING, self._line(place)]
        args: list[Argument] = [self._store.prefix, self._store.proxy, place, one.max_concurrency or 0, 0, 0]
        self._store.ask(SETTLE, keys, args, self._settled, seconds=None)

    def _freed(self) -> None:
        """Other proxies are gone, and what they held is free."""
        self._copy.revised(nothing_elsewhere)

    def _subject(self, provider: str, name: str) -> Subject | None:
        """Who a credential is in the store. None: it was not reached yet, or there is no such credential."""
        mark = self._copy.mark(provider, name, self._store.salt) if self._store.salt else None
        return None if mark is None else Subject(provider, name, mark)

    # -- one attempt --------------------------------------------------------------------------------------

    def take(
        self,
        wanted: Acquisition,
        lease: Lease,
        chosen: Chosen,
        request: CredentialRequest,
        choose: Callable[[], Lease | Unavailable | Asking[Lease]],
    ) -> Lease | Asking[Lease]:
        """`lease` was `chosen` here for `request`, that of `wanted`, and is scarce. The store has to be asked
        for it while it answers; `choose` finds another one where it is denied."""
        provider = wanted.provider
        of = self._subject(provider, lease.name)
        claim = claim_of(self._copy.states[provider], chosen, request, of, wanted.since, self._clock())
        lease = structs.replace(lease, claim=claim)
        if of is None or not self.look():
            return lease
        unwanted = partial(self._unwanted, provider, lease, claim)
        return Asking(lease, partial(self._ask, provider, lease, claim), choose, unwanted)

    def over(self, provider: str, claim: Claim, used: Mapping[Unit, float], *, is_current: bool) -> None:
        """The attempt of `claim` is over, and used so much. `is_current`: the key is still the credential's,
        so that the store knows it by its mark of today, which another salt changes."""
        state, name = self._copy.states.get(provider), claim.credential.name
        if is_current:
            claim = structs.replace(claim, of=self._subject(provider, name))
        known = state.state(name) if state else NEVER_USED
        self._settle(provider, claim, parts_used(claim, known, used))

    def _ask(
        self, provider: str, lease: Lease, claim: Claim, answer: Callable[[Verdict | None], None]
    ) -> None:
        args: list[Argument] = [*self._of_place(claim, claim.of), PROBE if claim.probe else 0, claim.since]
        for part in claim.parts:
            limit = part.window.limit if part.is_held else ""
            args += [repr(part.until), repr(part.amount), limit]
        self._asked_for.add(_place(claim, claim.of))
        heard = partial(self._answered, provider, lease, claim, self._registered, answer)
        keys = self._keys(provider, claim, claim.parts)
        self._store.ask(ACQUIRE, keys, args, heard, late=self._answers)

    def _answered(
        self,
        provider: str,
        lease: Lease,
        claim: Claim,
        registered: int,
        give: Callable[[Verdict | None], None],
        answer: Answer,
    ) -> None:
        """`registered`: how often places had been registered when it was asked."""
        if answer == _FORGOTTEN:
            self._is_forgotten.set()
        verdict = None if answer is None else self._verdict(claim, answer)
        if verdict is None:
            self._lost()
        else:
            self._answers()
        self._heed(provider, lease, claim, verdict)
        if not isinstance(verdict, Granted) and registered != self._registered:
            self._give_back(provider, claim)  # what was registered took it in
        if isinstance(verdict, Full) and self._holds_less(provider, claim, verdict):
            self._register()
        give(verdict)

    def _verdict(self, claim: Claim, answer: Answer) -> Verdict | None:
        """None: it is no answer of the script."""
        match answer:
            case [0, int(places)]:
                return Granted(places)
            case [1, int(places), *others]:
                return Full(places, tuple(self._others(others)))
            case [2, int(window), *counts] if window < len(claim.parts):
                with suppress(ValueError):  # numbers in a form that nobody of us writes
                    return Spent(claim.parts[window], _counts(counts))
                return None
            case [3, int(milliseconds)]:
                return Probed(milliseconds / 1000)
            case _:
                return None

    def _others(self, found: Sequence[Answer]) -> Iterator[tuple[Credential, int]]:
        """From places and how many of each are held elsewhere, in turn."""
        for place, held in zip(found[::2], found[1::2], strict=False):
            if isinstance(place, bytes) and isinstance(held, int):
                known = self._known(place.decode("utf-8", "surrogatepass"))
                if known is not None:
                    yield known[1], held

    def _heed(self, provider: str, lease: Lease, claim: Claim, verdict: Verdict | None) -> None:
        now, state = self._clock(), self._copy.states.get(provider)
        if verdict is None:
            self._copy.undo(provider, lease, partial(given_up, claim=claim))
        elif not isinstance(verdict, Granted):
            self._copy.undo(provider, lease, lambda pool: heeded(pool, claim, verdict, now))
        elif state is not None:
            self._copy.states[provider] = heeded(state, claim, verdict, now)

    def _unwanted(self, provider: str, lease: Lease, claim: Claim) -> None:
        """It was granted, and nobody wants it by now."""
        self._copy.undo(provider, lease, partial(given_up, claim=claim))
        self._settle(provider, claim, ())
        self._copy.revised(_unchanged)

    def _give_back(self, provider: str, claim: Claim) -> None:
        if claim.is_for_a_place and not self._is_alone:
            self._settle(provider, claim, (), probe=False)

    def _holds_less(self, provider: str, claim: Claim, full: Full) -> bool:
        """Whether this proxy holds less than the store has it down for."""
        state = self._copy.states.get(provider)
        held = state.state(claim.credential.name).in_flight if state else 0
        return held + full.elsewhere < (claim.credential.max_concurrency or 0)

    def _settle(self, provider: str, claim: Claim, parts: Sequence[Part], *, probe: bool = True) -> None:
        """What `claim` took is given back, and `parts` were used beyond it. `probe`: if it was one, that
        too."""
        registered = self._registered
        if not (claim.is_for_a_place or claim.probe or parts) or not self.look():
            return
        holds = claim.of if registered == self._registered else None  # else it is left out by now
        parts = parts if claim.of is not None else ()
        args: list[Argument] = [*self._of_place(claim, holds), int(claim.probe and probe), 1]
        for part in parts:
            args += [repr(part.until), repr(part.amount)]
        keys = self._keys(provider, claim, parts)
        self._store.ask(SETTLE, keys, args, self._settled, seconds=None)

    def _settled(self, answer: Answer) -> None:
        if answer is None:
            self._lost()
        else:
            self._answers()

    def _of_place(self, claim: Claim, of: Subject | None) -> Sequence[Argument]:
        place, most = _place(claim, of), claim.credential.max_concurrency
        return self._store.prefix, self._store.proxy, place, most or 0

    def _keys(self, provider: str, claim: Claim, parts: Sequence[Part]) -> list[str]:
        of = claim.of
        probe = self._key(probe_key(provider, claim.request.scope)) if claim.probe else _NOTHING
        windows = [self._key(used_key(of, part.window.key, part.scope)) for part in parts] if of else []
        return [self._key("proxies"), self._held, probe, self._line(_place(claim, of)), *windows]

    def _line(self, place: str) -> str:
        return self._key(f"line:{place}") if place else _NOTHING

    def _key(self, name: str) -> str:
        return f"{self._store.prefix}{name}"

    @property
    def _held(self) -> str:
        return self._key(f"held:{self._store.proxy}")


def _place(claim: Claim, of: Subject | None) -> str:
    """Empty: `claim` is for none."""
    return place_field(of) if claim.is_for_a_place and of is not None else ""


def _unchanged(pool: PoolState) -> PoolState:
    return pool


def _counts(found: Sequence[Answer]) -> Counts:
    """Amounts by the moment until which they count, from texts of both in turn; all proxies' together."""
    amounts: dict[float, float] = {}
    texts = [each for each in found if isinstance(each, bytes)]
    for until, amount in zip(map(float, texts[::2]), map(float, texts[1::2]), strict=False):
        amounts[until] = amounts.get(until, 0.0) + amount
    return tuple(sorted(amounts.items()))

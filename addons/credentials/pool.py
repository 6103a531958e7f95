"""The one pool of credentials: hands out, takes back, remembers which conversation stays where."""

import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from functools import partial

from pydantic import SecretStr

from addons.config.providers import Configured
from addons.config.settings import Settings
from addons.credentials.acquisition import Acquisition
from addons.credentials.asking import Asking
from addons.credentials.conversations import Asker, Conversations
from addons.credentials.keys import Keys
from addons.credentials.lease import Lease, used_by, without_keys
from addons.credentials.places import Places
from addons.credentials.queue import Leave, Queues, Wanted, is_plain
from addons.credentials.unsaved import Unsaved
from addons.oauth.logins import Logins, Who
from addons.oauth.source import TokenSource
from addons.runtime.clock import Later, by_the_loop
from protocols.model.call import Call
from protocols.model.http import Headers
from protocols.model.wirejson import JsonObject
from rewrite.catalog.checks import CheckedLimit
from rewrite.catalog.model_facts import quota_groups
from rewrite.catalog.providers import Rotation
from rewrite.credentials.checked import checked
from rewrite.credentials.choosing import (
    Chosen,
    Unavailable,
    account,
    choose,
    scope_of,
    served,
    started,
)
from rewrite.credentials.credential import serving_order
from rewrite.credentials.entries import Clearing
from rewrite.credentials.learning import Reported, asked_to_wait, reported
from rewrite.credentials.limits import learnt
from rewrite.credentials.notices import Notice, notices
from rewrite.credentials.order import kept
from rewrite.credentials.rules import CredentialRequest
from rewrite.credentials.sessions import UNKNOWN_CONVERSATION, Found
from rewrite.credentials.settling import Attempted, is_news, settle
from rewrite.credentials.sharing import any_scarce, counted_by, is_scarce
from rewrite.credentials.state import CredentialState, PoolState, forgiven, is_unauthorised, resumed
from rewrite.credentials.steering import cooled, reset, retired
from rewrite.credentials.windows import Unit
from rewrite.policies.retry_after import retry_after
from rewrite.values.events import Acquire, AwaitCredential, Release, Summary
from rewrite.values.outcome import Outcome

TOO_MANY = 429


type Answer = Callable[[Lease | Unavailable], None]
"""Gets what a call waited for."""

_NO_POOL, _NOBODY = PoolState(()), frozenset[str]()


class Pool:
    """State of all providers' credentials. `clock` gives epoch seconds that pass evenly; `notify` gets what
    the user has to know of them; `logins` are those that the settings name."""

    def __init__(
        self,
        clock: Callable[[], float],
        notify: Callable[[Notice], None],
        logins: Logins | None = None,
        later: Later = by_the_loop,
    ) -> None:
        """`later` sets a timer by seconds of `clock`."""
        self._clock, self._notify = clock, notify
        self.queues: Queues[Lease] = Queues(clock, later)
        self.states: dict[str, PoolState] = {}
        """By provider."""
        self.unsaved = Unsaved()
        logins = logins or Logins(time.time)
        logins.follow(self._renewed, lambda text: notify(Notice(text, warning=True)))
        self._keys = Keys(logins)
        self.conversations = Conversations()
        self._places: Places | None = None
        self._scarce: frozenset[str] = frozenset()  # providers of which a credential has a limit

    def share(self, places: Places) -> None:
        """Ask others for what is scarce: `places` is of this pool."""
        self._places = places

    def revised(self, change: Callable[[PoolState], PoolState]) -> None:
        """Something changed for all credentials."""
        self.states = {provider: change(state) for provider, state in self.states.items()}
        self.queues.look()

    def undo(self, provider: str, lease: Lease, change: Callable[[PoolState], PoolState]) -> None:
        """The attempt of `lease` does not begin: `change` is what that means to its pool."""
        state, who = self.states.get(provider), (provider, lease.name)
        if state is None or not self._is_current(who, lease):
            self._keys.over(who, lease)
            return
        self.states[provider] = change(state)
        self.unsaved.names.add(who)
        if lease.claim is not None:
            self.unsaved.recounted.update(counted_by(lease.claim))

    def configure(self, settings: Settings) -> None:
        """Take over new settings: an unchanged key keeps its cooldowns, but for those of a refusal."""
        same = self._keys.configure(settings, lambda who: self.states[who[0]].state(who[1]).in_flight)
        for provider, state in self.states.items():
            names = [one.name for one in state.credentials]
            self.unsaved.clear(provider, names, Clearing.FORGIVEN, self._clock())
        self.states = {one.provider.name: self._state(one, same) for one in settings.providers}
        self.conversations.configure(one.provider for one in settings.providers)
        self._scarce = frozenset(name for name, state in self.states.items() if any_scarce(state))
        if self._places is not None:
            self._places.follow()
        self.queues.configure(one.provider for one in settings.providers)

    def marks(self, salt: str) -> Iterator[tuple[str, str, str]]:
        """Each provider and credential, with a mark of its key; and each provider itself, without."""
        for provider, state in self.states.items():
            yield provider, "", ""
            for one in state.credentials:
                yield provider, one.name, self._keys.mark((provider, one.name), salt)

    def mark(self, provider: str, name: str, salt: str) -> str | None:
        """That of one credential. None: there is no such one."""
        who = (provider, name)
        return self._keys.mark(who, salt) if who in self._keys.known else None

    def _state(self, configured: Configured, same: frozenset[Who]) -> PoolState:
        provider = configured.provider
        credentials = serving_order(one.credential for one in configured.credentials)
        old = self.states.get(provider.name, PoolState(()))
        unchanged = {
            name: forgiven(state) for name, state in old.states.items() if (provider.name, name) in same
        }
        for name in (one.name for one in credentials if one.name not in unchanged):
            if count := self._keys.back((provider.name, name)):
                unchanged[name] = CredentialState(in_flight=count)
        wheel = kept(old.wheel, credentials)
        return PoolState(
            credentials,
            provider.rotation,
            unchanged,
            old.health,
            wheel,
            quota_groups(provider),
            provider.fair_cycle,
            old.exhausted,
        )

    def has(self, provider: str) -> bool:
        return bool(self.states[provider].credentials)

    def acquire(
        self, provider: str, call: Call, asked: Acquire, asker: Asker, *, fallback: bool = False
    ) -> Lease | Unavailable | Asking[Lease]:
        """A credential for one attempt of `call`, as `asked` for; it must be released. Where other proxies
        use it too, they may have to be asked.

        `call`: as the provider is asked; `fallback`: it has another target.
        """
        held = self.queues.held(provider, scope_of(call)) if self.queues.by_provider else _NOBODY
        return self._choose(Acquisition(provider, call, asked, asker, fallback), held)

    def wait(
        self, provider: str, call: Call, wanted: AwaitCredential, asker: Asker, ticket: int, answer: Answer
    ) -> Leave | None:
        """`call` stands in line for a credential, behind those with lower tickets.

        `answer` gets the credential, or why it was waited for in vain, perhaps at once. Returns what makes
        the call leave; None where too many wait already.
        """
        of = Acquisition(provider, call, wanted.asked, asker, ticket=ticket, since=self._clock())
        one = Wanted(partial(self._choose, of), answer, asker.facts.name if is_plain(wanted.asked) else None)
        return self.queues.join(provider, ticket, scope_of(call), wanted.seconds, one)

    def _choose(self, of: Acquisition, held: frozenset[str]) -> Lease | Unavailable | Asking[Lease]:
        """`held`: credentials that are given to others first."""
        provider, asker = of.provider, of.asker
        now, state = self._clock(), self.states.get(provider, _NO_POOL)
        if self._places is not None and (state.health or provider in self._scarce):
            self._places.look()
            state = self.states.get(provider, _NO_POOL)
        several = len(state.credentials) > 1
        found = self.conversations.found(provider, state, asker, now) if several else UNKNOWN_CONVERSATION
        request = _request(of, state, found, held)
        chosen = choose(state, request, now)
        if isinstance(chosen, Unavailable):
            return chosen
        self.states[provider], counts = started(state, chosen, request, now)
        if counts:
            self.unsaved.names.add((provider, chosen.credential.name))
        if several:
            self.conversations.began(provider, asker, chosen.credential.name, now)
            self.unsaved.soon()
        if chosen.wheel is not None and state.rotation is not Rotation.SEQUENTIAL:
            self.unsaved.turn(provider, chosen.credential.name, now)
        lease = self._leased(provider, chosen, found.former, of.ticket)
        is_plain = not chosen.probe and provider not in self._scarce
        if self._places is None or is_plain or not is_scarce(chosen):
            return lease
        return self._places.take(of, lease, chosen, request, partial(self._choose, of, held))

    def _leased(self, provider: str, chosen: Chosen, former: str | None, ticket: int) -> Lease:
        credential, who = chosen.credential, (provider, chosen.credential.name)
        key = self._keys.known[who]
        secret, source = (key, None) if isinstance(key, SecretStr) else self._keys.token(who)
        return Lease(
            credential.name,
            secret,
            former,
            asked_last=chosen.asked_last,
            probe=chosen.probe,
            ticket=ticket,
            source=source,
            reason=chosen.reason,
            counted=credential if credential.counted else None,
        )

    def release(
        self,
        provider: str,
        lease: Lease,
        call: Call,
        outcome: Outcome,
        asker: Asker,
        release: Release | None = None,
    ) -> None:
        """The attempt is over, of `call` as the provider was asked. A key that new settings replaced or
        removed is skipped. `release` has what the attempt used."""
        state, who = self.states.get(provider), (provider, lease.name)
        if state is None or not self._is_current(who, lease):
            self._keys.over(who, lease)
            self._give_back(provider, lease, {}, is_current=False)
            return
        now, used = self._clock(), {} if lease.counted is None else used_by(lease, call, release)
        self.unsaved.names.add(who)
        after = served(state, lease.name, outcome, now) if lease.counted is None else None
        if after is not None:
            self.states[provider] = after
        else:
            outcome = without_keys(lambda: (lease.secret, *self.secrets()), outcome)
            self._settle(provider, lease, call, outcome, asker, used, now)
        self._give_back(provider, lease, used, is_current=True)
        if self.unsaved.urgent:
            self.unsaved.settled()
        if self.queues.by_provider:
            self.queues.answered(provider, lease.ticket)

    def _give_back(
        self, provider: str, lease: Lease, used: Mapping[Unit, float], *, is_current: bool
    ) -> None:
        if self._places is not None and lease.claim is not None:
            self._places.over(provider, lease.claim, used, is_current=is_current)

    def _settle(
        self,
        provider: str,
        lease: Lease,
        call: Call,
        outcome: Outcome,
        asker: Asker,
        used: Mapping[Unit, float],
        now: float,
    ) -> None:
        state = self.states[provider]
        witness = asker.witness(provider) if asker.found else call.session or asker.client
        quota = state.quota_of(call.model)
        attempted = Attempted(lease.name, scope_of(call), witness, asker.protocol, lease.probe, quota, used)
        settled = self.states[provider] = settle(state, attempted, outcome, now)
        if settled.health is not state.health or settled.exhausted is not state.exhausted:
            self.unsaved.names.add((provider, ""))
            self.unsaved.at_once()
        has_news = is_news(state, settled)
        if has_news:
            self.unsaved.changed(provider, state, settled)
        if has_news or settled.health is not state.health:
            for notice in notices(state, settled, attempted, now):
                self._notify(notice)

    def learn(self, provider: str, lease: Lease, call: Call, headers: Headers) -> None:
        """What the headers of an answer to `call`, as the provider was asked, say of limits of `lease`."""
        state, now = self.states.get(provider), self._clock()
        scope = (state.quota_of(call.model) if state else "") or scope_of(call)
        self._learn(provider, lease, scope, reported(headers, now), now)

    def passed(self, provider: str, lease: Lease, status: int, headers: Headers, body: JsonObject) -> None:
        """The same of an answer that passed through. Which model it is about is not known, so that only what
        holds for all of them is learnt; `body`: of a 429."""
        now = self._clock()
        wait = retry_after(headers, body, now, windows=False) if status == TOO_MANY else None
        found = [*reported(headers, now), *([asked_to_wait(wait, now)] if wait else ())]
        self._learn(provider, lease, "", found, now)

    def checked(self, provider: str, lease: Lease, limits: Sequence[CheckedLimit], body: JsonObject) -> None:
        """The provider was asked what `lease` has used, and answered `body`."""
        now, state = self._clock(), self.states.get(provider, _NO_POOL)
        self._learn(provider, lease, "", checked(limits, body, now, state, lease.name), now)

    def _learn(self, provider: str, lease: Lease, scope: str, found: Sequence[Reported], now: float) -> None:
        state = self.states.get(provider)
        if found and state is not None and self._is_current((provider, lease.name), lease):
            known = learnt(state.state(lease.name), scope, found, now)
            self.states[provider] = state.with_state(lease.name, known)
            self.unsaved.names.add((provider, lease.name))

    def answered(self, provider: str, summary: Summary, asker: Asker) -> None:
        """A call is over, of which the last attempt was with a credential of `provider`."""
        if summary.attempts and provider in asker.found:
            credential, now = summary.attempts[-1].credential, self._clock()
            self.conversations.answered(provider, asker, credential, summary.progress, now)
            self.unsaved.soon()

    # -- by command ------------------------------------------------------------------------------------

    def resume(self, provider: str = "", name: str = "") -> int:
        """End every cooldown and pause: of one credential, of one provider's, or of all.

        How many credentials that is about, here and below; 0: there is none of that name.
        """
        return self._cleared(provider, name, Clearing.RESUMED, resumed)

    def reset(self, provider: str = "", name: str = "") -> int:
        """Forget what is known of them, their use included."""
        return self._cleared(provider, name, Clearing.RESET, reset)

    def retire(self, provider: str, name: str) -> int:
        """Do not use one any more, until it is resumed."""
        return self._steer(provider, name, lambda state: retired(state, name))

    def cool(self, provider: str, name: str, seconds: float) -> int:
        """Do not use one for so long."""
        now = self._clock()
        return self._steer(provider, name, lambda state: cooled(state, name, seconds, now))

    def _cleared(
        self, provider: str, name: str, how: Clearing, change: Callable[[PoolState, str], PoolState]
    ) -> int:
        for each, names in self._named(provider, name).items():
            self.unsaved.clear(each, names, how, self._clock())
            for one in names:
                self._keys.forgive((each, one))
        return self._steer(provider, name, lambda state: change(state, name))

    def _steer(self, provider: str, name: str, change: Callable[[PoolState], PoolState]) -> int:
        found = self._named(provider, name)
        for each in found:
            before = self.states[each]
            self.states[each] = change(before)
            self.unsaved.changed(each, before, self.states[each])
        self.queues.look()
        return sum(map(len, found.values()))

    def _named(self, provider: str, name: str) -> Mapping[str, list[str]]:
        """Those of that provider and that name, by provider; empty texts stand for any."""
        known = {each: self.states[each].credentials for each in self.states if provider in ("", each)}
        found = {
            each: [one.name for one in listed if name in ("", one.name)] for each, listed in known.items()
        }
        return {each: names for each, names in found.items() if names}

    def made(self, provider: str, answer_id: str, credential: str) -> None:
        """An answer that a later call may name belongs to the account that made it."""
        self.conversations.sessions.made(provider, answer_id, credential, self._clock())
        self.unsaved.soon()

    def account(self, provider: str, client: str = "") -> Lease | None:
        """The credential of everything that belongs to an account, for the tool `client`; None without a pool
        for it."""
        credential = account(self.states[provider], client)
        if credential is None:
            return None
        lease = self.lease(provider, credential.name)
        return lease if lease is not None and lease.secret.get_secret_value() else None

    def account_source(self, provider: str, client: str = "") -> TokenSource | None:
        """Where the token of that credential comes from, if it is a login."""
        credential = account(self.states[provider], client)
        return self._keys.source((provider, credential.name)) if credential else None

    def lease(self, provider: str, name: str) -> Lease | None:
        """A credential of which nothing is counted. Its token may be one that is yet to be exchanged. None:
        there is none, or nothing is in its file."""
        return self._keys.lease((provider, name))

    def _is_current(self, who: Who, lease: Lease) -> bool:
        """Mostly it is the very text of the lease."""
        return self._keys.known.get(who) is lease.secret or self._keys.is_current(who, lease)

    def _renewed(self, who: Who) -> None:
        """A login has another token: that the one before was refused does not hold any more."""
        provider, name = who
        state = self.states.get(provider)
        if state is not None and is_unauthorised(state.state(name)):
            self.states[provider] = state.with_state(name, forgiven(state.state(name)))
            self.unsaved.clear(provider, [name], Clearing.FORGIVEN, self._clock())
            self.queues.look()

    def secrets(self) -> list[SecretStr]:
        """All that are never to be shown."""
        return self._keys.secrets()


def _request(of: Acquisition, state: PoolState, found: Found, held: frozenset[str]) -> CredentialRequest:
    """What is chosen by. `found`: where its conversation is; `held`: what is given to others first."""
    call, asked = of.call, of.asked
    return CredentialRequest(
        scope_of(call),
        asked.prefer,
        conversation=found.prefer,
        insist=asked.insist,
        avoid=asked.avoid,
        refused=asked.refused,
        resting=asked.resting,
        held=held,
        only_others=asked.only_others,
        fallback=of.fallback,
        model=call.model,
        client=of.asker.facts.name,
        hurried=asked.hurried,
        quota=state.quota_of(call.model) if state.groups else "",
    )

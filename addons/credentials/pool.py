"""The one pool of credentials: hands out, takes back, remembers which conversation stays where."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace

from pydantic import SecretStr

from addons.config.settings import Configured, Settings
from addons.credentials.conversations import Asker, Conversations
from addons.secrets.redaction import Blackout
from protocols.model.call import Call
from rewrite.credentials.choosing import (
    Chosen,
    CredentialRequest,
    Unavailable,
    account,
    choose,
    probing,
    scope_of,
    taken,
)
from rewrite.credentials.credential import serving_order
from rewrite.credentials.notices import Notice, notices
from rewrite.credentials.sessions import UNKNOWN_CONVERSATION
from rewrite.credentials.settling import Attempted, is_news, settle
from rewrite.credentials.state import PoolState, forgiven, resumed
from rewrite.policies.classify import LONGEST_MESSAGE
from rewrite.values.decision import NOT_AGAIN
from rewrite.values.events import Acquire, Summary
from rewrite.values.outcome import Outcome, Rejected


@dataclass(frozen=True, slots=True)
class Lease:
    """A credential in use."""

    name: str
    """By which messages and records know it."""
    secret: SecretStr
    """The key."""
    former: str | None = None
    """The name of the one that served the conversation before. None: not known."""
    pooled: bool = True
    """Whether it is ours and not the client's."""
    asked_last: tuple[str, ...] = ()
    """See `choosing.Chosen`."""
    probe: bool = False
    """See `choosing.Chosen`."""


NO_LEASE = Lease("none", SecretStr(""), pooled=False)
"""Of a provider that takes no credential."""


class Pool:
    """State of all providers' credentials. `clock` gives monotonic seconds; `notify` gets what the user has
    to know of them."""

    def __init__(self, clock: Callable[[], float], notify: Callable[[Notice], None]) -> None:
        self._clock, self._notify = clock, notify
        self._states: dict[str, PoolState] = {}
        self._secrets: Mapping[tuple[str, str], SecretStr] = {}
        self.conversations = Conversations()

    def configure(self, settings: Settings) -> None:
        """Take over new settings: an unchanged key keeps its cooldowns, but for those of a refusal."""
        secrets = {
            (one.provider.name, each.name): each.secret
            for one in settings.providers
            for each in one.credentials
        }
        self._states = {one.provider.name: self._state(one, secrets) for one in settings.providers}
        self._secrets = secrets
        self.conversations.configure(one.provider for one in settings.providers)

    def _state(self, configured: Configured, secrets: Mapping[tuple[str, str], SecretStr]) -> PoolState:
        provider = configured.provider
        credentials = serving_order(one.credential for one in configured.credentials)
        old = self._states.get(provider.name, PoolState(()))
        unchanged = {
            name: forgiven(state)
            for name, state in old.states.items()
            if self._secrets.get((provider.name, name)) == secrets.get((provider.name, name))
        }
        return PoolState(credentials, provider.rotation, unchanged, old.health, old.wheel)

    def has(self, provider: str) -> bool:
        return bool(self._states[provider].credentials)

    def acquire(
        self, provider: str, call: Call, asked: Acquire, asker: Asker, *, fallback: bool = False
    ) -> Lease | Unavailable:
        """A credential for one attempt of `call`, as `asked` for; it must be released.

        `call`: as the provider is asked; `fallback`: it has another target.
        """
        now, state, scope = self._clock(), self._states[provider], scope_of(call)
        several = len(state.credentials) > 1
        found = self.conversations.found(provider, state, asker, now) if several else UNKNOWN_CONVERSATION
        request = CredentialRequest(
            scope,
            asked.prefer,
            conversation=found.prefer,
            insist=asked.insist,
            avoid=asked.avoid,
            refused=asked.refused,
            resting=asked.resting,
            only_others=asked.only_others,
            fallback=fallback,
            model=call.model,
        )
        match choose(state, request, now):
            case Chosen(credential=credential) as chosen:
                state = probing(state, scope, now) if chosen.probe else state
                self._states[provider] = taken(state, credential.name, chosen.wheel)
                if several:
                    self.conversations.began(provider, asker, credential.name, now)
                secret = self._secrets[provider, credential.name]
                return Lease(
                    credential.name, secret, found.former, asked_last=chosen.asked_last, probe=chosen.probe
                )
            case Unavailable() as none:
                return none

    def release(self, provider: str, lease: Lease, call: Call, outcome: Outcome, asker: Asker) -> None:
        """The attempt is over, of `call` as the provider was asked. A key that new settings replaced or
        removed is skipped."""
        credential = lease.name
        state = self._states.get(provider)
        if state is None or self._secrets.get((provider, credential)) != lease.secret:
            return
        witness, outcome, now = call.session or asker.client, _without(lease.secret, outcome), self._clock()
        attempted = Attempted(credential, scope_of(call), witness, asker.protocol, lease.probe)
        settled = self._states[provider] = settle(state, attempted, outcome, now)
        news = notices(state, settled, attempted, now) if is_news(state, settled) else ()
        for notice in news:
            self._notify(notice)

    def answered(self, provider: str, summary: Summary, asker: Asker) -> None:
        """A call is over, of which the last attempt was with a credential of `provider`."""
        if summary.attempts and provider in asker.found:
            credential, now = summary.attempts[-1].credential, self._clock()
            self.conversations.answered(provider, asker, credential, summary.progress, now)

    def resume(self, provider: str = "", name: str = "") -> int:
        """End every cooldown and pause: of one credential, of one provider's, or of all.

        How many credentials that is about; 0: there is none of that name.
        """
        count = 0
        for each, state in self._states.items():
            names = [one.name for one in state.credentials if name in ("", one.name)]
            if provider in ("", each) and names:
                self._states[each] = resumed(state, name or None)
                count += len(names)
        return count

    def made(self, provider: str, answer_id: str, credential: str) -> None:
        """An answer that a later call may name belongs to the account that made it."""
        self.conversations.sessions.made(provider, answer_id, credential)

    def account(self, provider: str) -> Lease | None:
        """The credential of everything that belongs to an account; None without a pool."""
        credential = account(self._states[provider])
        return Lease(credential.name, self._secrets[provider, credential.name]) if credential else None

    def secrets(self) -> list[SecretStr]:
        return list(self._secrets.values())


def _without(secret: SecretStr, outcome: Outcome) -> Outcome:
    """`outcome` without the key, which some providers repeat in a refusal: other clients may get it later."""
    if not isinstance(outcome, Rejected) or outcome.kind not in NOT_AGAIN or outcome.answer is None:
        return outcome
    blackout, answer = Blackout([secret]), outcome.answer
    message = blackout.text(outcome.message)
    if len(message) >= LONGEST_MESSAGE:  # it was cut, perhaps inside the key
        message = blackout.feed(message.encode("utf-8", "replace")).decode("utf-8", "replace")
    body, headers = blackout.whole(answer.body), blackout.headers(answer.headers)
    answer = replace(answer, body=body, headers=headers, reason=blackout.text(answer.reason))
    return replace(outcome, message=message, answer=answer)

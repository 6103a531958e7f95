"""The one pool of credentials: hands out, takes back, remembers which conversation stays where."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace

from pydantic import SecretStr

from addons.settings import Configured, Settings
from protocols.base import Call
from rewrite.credentials import (
    Chosen,
    Credential,
    NoneFree,
    PoolState,
    Wish,
    account,
    choose,
    scope_of,
    serving_order,
    settle,
    taken,
)
from rewrite.events import Acquire
from rewrite.outcome import Completed, Outcome
from rewrite.sessions import Sessions, conversation_of


@dataclass(frozen=True, slots=True)
class Lease:
    """A credential in use. `former`: the one that served the conversation before, None if unknown;
    `pooled`: it is ours and not the client's."""

    name: str
    secret: SecretStr
    former: str | None = None
    pooled: bool = True


NO_LEASE = Lease("none", SecretStr(""), pooled=False)
"""Of a provider that takes no credential."""


class Pool:
    """State of all providers' credentials. `clock` gives monotonic seconds."""

    def __init__(self, clock: Callable[[], float]) -> None:
        self._clock = clock
        self._states: dict[str, PoolState] = {}
        self._secrets: Mapping[tuple[str, str], SecretStr] = {}
        self._sessions = Sessions()

    def configure(self, settings: Settings) -> None:
        """Take over new settings: an unchanged key keeps its cooldowns, but none stays retired."""
        secrets = {
            (one.provider.name, each.name): each.secret
            for one in settings.providers
            for each in one.credentials
        }
        self._states = {one.provider.name: self._state(one, secrets) for one in settings.providers}
        self._secrets = secrets

    def _state(self, configured: Configured, secrets: Mapping[tuple[str, str], SecretStr]) -> PoolState:
        provider = configured.provider
        credentials = tuple(Credential(c.name, provider.name, c.priority) for c in configured.credentials)
        old = self._states.get(provider.name)
        unchanged = {
            name: replace(state, retired=False, auth_failures=0)
            for name, state in (old.states if old else {}).items()
            if self._secrets.get((provider.name, name)) == secrets.get((provider.name, name))
        }
        return PoolState(serving_order(credentials), provider.rotation, unchanged, old.health if old else {})

    def has(self, provider: str) -> bool:
        return bool(self._states[provider].credentials)

    def acquire(self, provider: str, call: Call, asked: Acquire) -> Lease | NoneFree:
        """A credential for one attempt of `call`, as `asked` for; it must be released."""
        state = self._states[provider]
        former = self._sessions.credential(provider, call.session)
        wish = Wish(
            scope_of(call), asked.prefer or former, asked.insist, asked.avoid, asked.refused, asked.resting
        )
        match choose(state, wish, self._clock()):
            case Chosen(credential=credential):
                self._states[provider] = taken(state, credential.name)
                return Lease(credential.name, self._secrets[provider, credential.name], former)
            case NoneFree() as none:
                return none

    def release(self, provider: str, lease: Lease, call: Call, outcome: Outcome) -> None:
        """The attempt is over. A key that new settings replaced or removed is passed over."""
        credential = lease.name
        state = self._states.get(provider)
        if state is None or self._secrets.get((provider, credential)) != lease.secret:
            return
        completed = isinstance(outcome, Completed)
        conversation = call.id if completed else conversation_of(call)
        now = self._clock()
        self._states[provider] = settle(state, credential, scope_of(call), conversation, outcome, now)
        if completed:
            self._sessions.served(provider, call.session, credential)

    def made(self, provider: str, answer_id: str, credential: str) -> None:
        """An answer that a later call may go on from belongs to the account that made it."""
        self._sessions.served(provider, answer_id, credential)

    def account(self, provider: str) -> Lease | None:
        """The credential of everything that belongs to an account; None without a pool."""
        credential = account(self._states[provider])
        return Lease(credential.name, self._secrets[provider, credential.name]) if credential else None

    def secrets(self) -> list[SecretStr]:
        return list(self._secrets.values())

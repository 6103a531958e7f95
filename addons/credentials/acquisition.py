"""What one attempt wants of a pool."""

from msgspec import Struct

from addons.credentials.conversations import Asker
from protocols.model.call import Call
from rewrite.credentials.choosing import scope_of
from rewrite.credentials.rules import CredentialRequest
from rewrite.credentials.sessions import Found
from rewrite.credentials.state import PoolState
from rewrite.values.events import Acquire


class Acquisition(Struct, frozen=True):
    """Of a credential."""

    provider: str
    """Whose it is to be."""
    call: Call
    """As the provider is asked."""
    asked: Acquire
    asker: Asker
    fallback: bool = False
    """Whether the call has another target."""
    ticket: int = 0
    """See `Lease`."""
    since: float = 0.0
    """See `Claim`."""

    def request(self, state: PoolState, found: Found, held: frozenset[str]) -> CredentialRequest:
        """What is chosen by. `found`: where its conversation is; `held`: what is given to others first."""
        call, asked = self.call, self.asked
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
            fallback=self.fallback,
            model=call.model,
            client=self.asker.facts.name,
            hurried=asked.hurried,
            quota=state.quota_of(call.model) if state.groups else "",
        )

"""What one attempt wants of a pool."""

from msgspec import Struct

from addons.credentials.conversations import Asker
from protocols.model.call import Call
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

"""What a driver is given."""

from msgspec import Struct

from addons.call.fields import FieldCache
from addons.call.recognition import Intercepted
from addons.call.reports import Reports
from addons.credentials.conversations import Asker
from addons.credentials.pool import Pool
from addons.records.journal import Journal
from addons.records.record import Record
from addons.responses.kept import Turn
from addons.runtime.clock import Time
from addons.upstream.client import Upstream
from addons.views.attempts import Watched
from protocols.base import WireProtocol
from protocols.model.http import WireRequest
from rewrite.exchange.exchange import Exchange


class Work(Struct, frozen=True):
    """One call, and what its driver needs of its surroundings."""

    record: Record
    """The call, its targets, and the flow that it is shown in."""
    turn: Turn
    """The call with the turns that it continues."""
    intercepted: Intercepted
    """Whose call it is, with the credential of the client."""
    request: WireRequest
    """The client's, which is written again for each attempt."""
    protocol: WireProtocol
    """In which the client gets its answer."""
    exchange: Exchange
    asker: Asker
    pool: Pool
    upstream: Upstream
    journal: Journal
    reports: Reports
    clock: Time
    fields: FieldCache
    reports_headers: bool = False
    """Whether the client's answer says in headers how it came about."""
    watched: Watched | None = None
    """Who shows its attempts. None: nobody looks."""

"""What the attempts of a call were sent, kept as long as their flow is: without the key.

Of a request that went as the client sent it there is nothing to keep but its head.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from weakref import WeakKeyDictionary

from mitmproxy import http

from addons.credentials import carriers
from addons.credentials.lease import Lease
from addons.mitm.sink import BODY_LIMIT
from protocols.model.http import Headers, Origin, UpstreamRequest, WireRequest
from rewrite.targets.target import Target


@dataclass(frozen=True, slots=True)
class Sent:
    """The request of an attempt."""

    number: int
    """That of the attempt, counted from 1."""
    target: str
    """Whom it asked: provider/model."""
    provider: str
    """The name of that provider."""
    protocol: str
    """The name of the one that it is asked in."""
    operation: str
    origin: Origin
    """Where it went."""
    credential: str
    """Its name."""
    method: str
    path: str
    """With its query, without a key."""
    headers: Headers
    """As they left, without a key."""
    body: bytes | None
    """At most `BODY_LIMIT` bytes. None: the client's own."""

    @property
    def url(self) -> str:
        return self.origin.url(self.path.encode("utf-8", "surrogateescape"))


def sent_request(
    number: int, target: Target, lease: Lease, request: UpstreamRequest, received: WireRequest
) -> Sent:
    """`request` as it left with the credential of `lease`; `received`: what the client sent."""
    path = request.target.decode("utf-8", "surrogateescape")
    headers, path, _ = carriers.take_out(request.recorded_headers, path)
    body = None if request.body == received.body else request.body[:BODY_LIMIT]
    return Sent(
        number=number,
        target=target.label,
        provider=target.provider.name,
        protocol=target.protocol.name,
        operation=target.call.operation.value,
        origin=target.origin,
        credential=lease.name,
        method=request.method,
        path=path,
        headers=headers,
        body=body,
    )


class SentRequests:
    """Those of all flows that somebody can still look at."""

    def __init__(self) -> None:
        self._of: WeakKeyDictionary[http.HTTPFlow, list[Sent]] = WeakKeyDictionary()

    def note(self, flow: http.HTTPFlow, sent: Sent) -> None:
        """One more attempt of a call."""
        self._of.setdefault(flow, []).append(sent)

    def of(self, flow: http.HTTPFlow) -> Sequence[Sent]:
        """In order."""
        return self._of.get(flow, ())

    def forget(self, flow: http.HTTPFlow) -> None:
        """All of a call."""
        self._of.pop(flow, None)

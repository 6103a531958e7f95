"""What a flow is, for those who show it: also one that was loaded from a file, or that is not over."""

from collections.abc import Callable
from dataclasses import dataclass

from mitmproxy import http
from mitmproxy.flow import Flow

from addons.mitm.messages import headers_of
from addons.records.record import record_of
from protocols.base import WireProtocol
from protocols.model.call import Call, Operation
from protocols.model.errors import ProtocolError
from protocols.model.http import WireRequest
from protocols.registry import Registry

type Recognised = Callable[[http.HTTPFlow], tuple[WireProtocol, Operation] | None]
"""What is known of a flow that passes just now. None: nothing."""


@dataclass(frozen=True, slots=True)
class About:
    """A flow that is a call."""

    flow: http.HTTPFlow
    protocol: WireProtocol
    """Of the client."""
    operation: Operation

    def call(self) -> Call:
        """What is read of its request, as far as that can be."""
        request = self.flow.request
        body = request.get_content(strict=False) or b""
        sent = WireRequest(request.method, request.path, headers_of(request), body)
        try:
            return self.protocol.parse("", self.operation, sent)
        except (ProtocolError, RecursionError):
            headers, target = sent.headers, sent.target
            return Call("", self.protocol.name, self.operation, None, True, headers, target=target)


class Flows:
    """Knows which flows are calls."""

    def __init__(self, registry: Registry, recognised: Recognised) -> None:
        self._registry, self._recognised = registry, recognised

    def ours(self, flow: Flow | None) -> About | None:
        """A call that was answered or passed on here. None: the flow is none."""
        if not isinstance(flow, http.HTTPFlow):
            return None
        record = record_of(flow)
        protocol, operation = str(record.get("protocol")), str(record.get("operation"))
        if protocol in self._registry and operation in [*Operation]:
            return About(flow, self._registry[protocol], Operation(operation))
        found = self._recognised(flow)
        return About(flow, *found) if found else None

    def any(self, flow: Flow | None) -> About | None:
        """As `ours`; of others, what the path says."""
        if (found := self.ours(flow)) or not isinstance(flow, http.HTTPFlow):
            return found
        method, path = flow.request.method, flow.request.path.partition("?")[0]
        for protocol in self._registry:
            if operation := protocol.match(method, path):
                return About(flow, protocol, operation)
        return None

"""What becomes of WebSockets: those of the Responses API are refused, passed on or bridged, as the provider's
config says.
"""

from collections.abc import Sequence

from mitmproxy import http
from mitmproxy.proxy.context import Context
from wsproto.extensions import Extension

from addons.call.answering import Answering
from addons.call.forwarding import Forwarder
from addons.call.recognition import Intercepted, Interception, error_response
from addons.credentials import subprotocols
from addons.mitm.flows import FlowRegistry
from addons.mitm.websocket_forwarded import ForwardedWebSocketLayer
from addons.mitm.websocket_handshake import Accepted, accept, bad_handshake, is_handshake, is_keyed
from addons.mitm.websocket_server import WebSocketServerLayer
from addons.records.journal import Journal
from addons.secrets.redaction import Blackout, key_shaped
from addons.websocket.bridge import Bridge
from protocols.model.errors import Fault
from rewrite.catalog.providers import WebSocket

_REFUSED = "WebSockets are not offered here: ask over HTTP"
SWITCHED = 101
"""The status of an answer that accepts a WebSocket."""

_FROM_A_PAGE = (
    "a web page ({}) may not open a WebSocket here without a key of its own: "
    'to let it, put its origin into [browsers] allow = ["https://..."] of the proxy\'s config'
)


class WebSockets:
    """Hands each to the one that knows."""

    def __init__(
        self,
        flows: FlowRegistry,
        interception: Interception,
        forwarder: Forwarder,
        answering: Answering,
        journal: Journal,
    ) -> None:
        self._flows, self._interception, self._forwarder = flows, interception, forwarder
        self._answering, self._journal = answering, journal

    def answer(self, flow: http.HTTPFlow) -> http.Response | None:
        """The answer of ours to a handshake; None: the flow is none, or is passed on."""
        intercepted = self._interception.intercepted(flow)
        if intercepted is None or not is_handshake(flow.request):
            return None
        turns = self._interception.turns(flow)
        if intercepted.page and not _is_authorized(flow, intercepted, turns):
            return self._from_a_page(flow, intercepted)
        if turns is None or turns.provider.websocket is WebSocket.PASS:
            return self._passed(flow)
        if turns.provider.websocket is WebSocket.REFUSE:
            self._note(flow, turns, "refused")
            return _upgrade_required(turns)
        return self._bridged(flow, turns)

    def _from_a_page(self, flow: http.HTTPFlow, intercepted: Intercepted) -> http.Response:
        """Browsers let any page open a WebSocket to anywhere, and read what it says."""
        self._note(flow, intercepted, "refused")
        message = _FROM_A_PAGE.format(intercepted.page[:200])
        return error_response(intercepted, Fault(403, "forbidden", message, should_retry=False))

    def _passed(self, flow: http.HTTPFlow) -> http.Response | None:
        if not is_keyed(flow.request):
            return bad_handshake()
        self._flows.switch(flow, lambda context: self._passed_layer(context, flow))
        return None

    def _passed_layer(self, context: Context, flow: http.HTTPFlow) -> ForwardedWebSocketLayer:
        return ForwardedWebSocketLayer(context, flow, Blackout(self._forwarder.hidden(flow)), self._flows)

    def _bridged(self, flow: http.HTTPFlow, turns: Intercepted) -> http.Response:
        match accept(flow.request):
            case Accepted(answer, extensions):
                self._note(flow, turns, "bridged")
                self._flows.switch(flow, lambda context: self._layer(context, flow, turns, extensions))
                return answer
            case response:
                return response

    def _layer(
        self, context: Context, flow: http.HTTPFlow, turns: Intercepted, extensions: Sequence[Extension]
    ) -> WebSocketServerLayer:
        bridge = Bridge(flow, turns, self._answering, self._journal, self._flows.draining)
        own = () if turns.pooled or turns.own is None else key_shaped(turns.own.secrets)
        return WebSocketServerLayer(context, flow, extensions, bridge.run, self._flows, Blackout(own))

    def _note(self, flow: http.HTTPFlow, turns: Intercepted, fate: str) -> None:
        self._journal.begin(flow, {"provider": turns.provider.name, "websocket": fate})


def _is_authorized(flow: http.HTTPFlow, intercepted: Intercepted, turns: Intercepted | None) -> bool:
    """Whether a handshake brings what it is judged by; what is answered here is not judged by a cookie."""
    return intercepted.own is not None or (turns is None and "cookie" in flow.request.headers)


def guard_choice(request: http.Request, response: http.Response) -> None:
    """Of a provider that accepted a WebSocket.

    A subprotocol is left out that the provider chose and its client did not offer, such as the item with a
    key of the pool. The client then judges for itself (RFC 6455, section 4.1).
    """
    chosen = response.headers.get(subprotocols.HEADER)
    offers = ",".join(request.headers.get_all(subprotocols.HEADER))
    if chosen is not None and not subprotocols.is_offered(chosen, offers):
        del response.headers[subprotocols.HEADER]


def _upgrade_required(turns: Intercepted) -> http.Response:
    """Measured: codex asks over HTTP at once after a 426, and only after that. It has to say what is spoken
    instead (RFC 9110, section 15.5.22)."""
    answer = error_response(turns, Fault(426, "websocket_refused", _REFUSED, should_retry=False))
    answer.headers["upgrade"], answer.headers["connection"] = "HTTP/1.1", "upgrade"
    return answer

"""What becomes of WebSockets: those of the Responses API are refused, passed on or bridged, as the provider's
config says; all that pass keep no key and not all of their messages in their flow.
"""

from collections.abc import Sequence

from mitmproxy import http
from mitmproxy.proxy.context import Context
from wsproto.extensions import Extension

from addons.answering import Answering
from addons.blackout import Blackout
from addons.bridge import Bridge
from addons.handshake import Accepted, accept
from addons.interception import Intercepted, Interception
from addons.journal import Journal
from addons.relay import Relay
from addons.socket_layer import SocketLayer, forget_old
from protocols.base import Fault
from rewrite.providers import WebSocket

_REFUSED = "WebSockets are not offered here: ask over HTTP"


class WebSockets:
    """Hands each to the one that knows."""

    def __init__(
        self, relay: Relay, interception: Interception, answering: Answering, journal: Journal
    ) -> None:
        self._relay, self._interception = relay, interception
        self._answering, self._journal = answering, journal

    def answer(self, flow: http.HTTPFlow) -> http.Response | None:
        """The answer of ours to a handshake; None: the flow is none, or is passed on."""
        turns = self._interception.turns(flow)
        if turns is None or turns.provider.websocket is WebSocket.PASS:
            return None
        if turns.provider.websocket is WebSocket.REFUSE:
            self._note(flow, turns, "refused")
            return _refusal(turns)
        return self._bridged(flow, turns)

    def _bridged(self, flow: http.HTTPFlow, turns: Intercepted) -> http.Response:
        match accept(flow.request):
            case Accepted(answer, extensions):
                self._note(flow, turns, "bridged")
                self._relay.switch(flow, lambda context: self._layer(context, flow, turns, extensions))
                return answer
            case refusal:
                return refusal

    def _layer(
        self, context: Context, flow: http.HTTPFlow, turns: Intercepted, extensions: Sequence[Extension]
    ) -> SocketLayer:
        bridge = Bridge(flow, turns, self._answering, self._journal)
        return SocketLayer(context, flow, extensions, bridge.run, self._relay)

    def _note(self, flow: http.HTTPFlow, turns: Intercepted, fate: str) -> None:
        self._journal.begin(flow, {"provider": turns.provider.name, "websocket": fate})

    def message(self, flow: http.HTTPFlow) -> None:
        """A message of a WebSocket: the pool's key does not go on in it, and old ones do not stay."""
        intercepted = self._interception.intercepted(flow)
        if intercepted is None or flow.websocket is None:
            return
        last = flow.websocket.messages[-1]
        if intercepted.pooled and not last.from_client:
            secret = self._interception.account(intercepted).secret
            last.content = Blackout([secret]).whole(last.content)
        forget_old(flow.websocket)


def _refusal(turns: Intercepted) -> http.Response:
    """Measured: codex asks over HTTP at once after a 426, and only after that. It has to say what is spoken
    instead (RFC 9110, section 15.5.22)."""
    assert turns.protocol is not None
    answer = turns.protocol.error(Fault(426, "websocket_refused", _REFUSED, should_retry=False))
    instead = {"upgrade": "HTTP/1.1", "connection": "upgrade"}
    return http.Response.make(answer.status, answer.body, {**dict(answer.headers), **instead})

"""A WebSocket that mitmproxy relays to its provider: what either side sends is bounded, and all that the
provider sends is searched for the pool's key before any add-on sees it.

mitmproxy offers no hook for pings, pongs and close reasons, and sets no bounds. So its own layer is
subclassed here, and gets its events through `_Side`.

Internals of mitmproxy 12.2 that this file leans on, to be checked at an upgrade, beside those of
`stream.py`:
`WebsocketLayer`: client_ws, server_ws, relay_messages, done; `WebsocketConnection.events`.
"""

import logging
import time
from collections.abc import Generator, Sequence
from dataclasses import replace
from typing import Any

from mitmproxy import http
from mitmproxy.connection import Connection
from mitmproxy.proxy import commands, events, layer
from mitmproxy.proxy.context import Context
from mitmproxy.proxy.layers.websocket import (
    WebsocketConnection,
    WebsocketEndHook,
    WebsocketLayer,
    WebsocketStartHook,
)
from mitmproxy.websocket import WebSocketData
from wsproto.connection import ConnectionState, ConnectionType
from wsproto.events import CloseConnection, Event, Message, Ping, Pong
from wsproto.extensions import Extension
from wsproto.frame_protocol import CloseReason

from addons.mitm import websocket_limits
from addons.mitm.flows import FlowRegistry
from addons.mitm.sink import Push, handler_of, hops_of, spawn
from addons.mitm.websocket_handshake import agreed
from addons.mitm.websocket_limits import PROXY_ENDS, Inbound, Liveness, TooMuch, forget_old
from addons.secrets.redaction import Blackout, fault

_OURS = b"rotator"
"""The payload of our own pings, whose pongs are not the provider's."""

log = logging.getLogger("rotator.relay")


class _Side(WebsocketConnection):
    """One side's connection, within its bounds. `blackout` searches what it sends."""

    def __init__(
        self, kind: ConnectionType, extensions: Sequence[Extension], conn: Connection, blackout: Blackout
    ) -> None:
        super().__init__(kind, list(extensions), conn=conn)
        self._inbound, self._blackout = Inbound(), blackout

    def events(self) -> Generator[Event]:
        for event in self._inbound.read(super().events(), time.monotonic()):
            match event:
                case TooMuch(code, reason):
                    yield CloseConnection(code, reason)
                case Ping(payload=payload):
                    yield replace(event, payload=self._searched(payload))
                case Pong(payload=payload):
                    if payload != _OURS:
                        yield replace(event, payload=self._searched(payload))
                case CloseConnection(reason=reason):
                    said = self._searched((reason or "").encode()).decode("utf-8", "replace")
                    yield replace(event, reason=said or reason)
                case Message():
                    yield self._message(event)
                case _:
                    yield event

    def _message(self, event: Message[Any]) -> Event:
        """One frame of a message; the end of one that may begin a key comes with the next."""
        is_text = isinstance(event.data, str)
        data = self._blackout.feed(event.data.encode() if is_text else bytes(event.data))
        if event.message_finished:
            data += self._blackout.remainder()
        return replace(event, data=data.decode() if is_text else data)

    def _searched(self, data: bytes | bytearray) -> bytes:
        return self._blackout.whole(bytes(data))


class ForwardedWebSocketLayer(WebsocketLayer):
    """`blackout` takes out what the provider may not send to the client."""

    def __init__(
        self, context: Context, flow: http.HTTPFlow, blackout: Blackout, flows: FlowRegistry
    ) -> None:
        super().__init__(context, flow)
        self._blackout, self._flows = blackout, flows
        self._client = Liveness()

    def _handle_event(self, event: events.Event) -> layer.CommandGenerator[None]:
        match event:
            case events.Start():
                yield from self._begin()
            case events.Wakeup():
                yield from self._interval_passed()
            case Push(message=(code, reason)):
                yield from self._end(code, reason)
            case _:
                yield from self._relayed(event)

    def _begin(self) -> layer.CommandGenerator[None]:
        assert self.flow.response is not None
        self.flow.websocket = self.flow.websocket or WebSocketData()
        self._flows.opened(self.flow, self)
        for_client, for_server = agreed(self.flow.response), agreed(self.flow.response)
        client, server = self.context.client, self.context.server
        self.client_ws = _Side(ConnectionType.SERVER, for_client or [], client, Blackout(()))
        self.server_ws = _Side(ConnectionType.CLIENT, for_server or [], server, self._blackout)
        yield WebsocketStartHook(self.flow)
        if for_client is None:
            yield from self._end(CloseReason.PROTOCOL_ERROR, "the provider's compression makes no sense")
        else:
            yield commands.RequestWakeup(websocket_limits.PING_INTERVAL)

    def _relayed(self, event: events.Event) -> layer.CommandGenerator[None]:
        if isinstance(event, events.DataReceived) and event.connection is self.context.client:
            self._client.heard()
        assert self.flow.websocket is not None
        try:
            yield from self.relay_messages(event)
        except Exception as error:  # noqa: BLE001  # fails closed: what is not looked at stays here
            log.error("a WebSocket to %s is closed: %s", self.flow.request.pretty_host, fault(error))
            yield from self._end(CloseReason.INTERNAL_ERROR, "a fault of the proxy")
        forget_old(self.flow.websocket)
        if self.flow.websocket.timestamp_end is not None:
            self._flows.closed(self.flow)

    def _interval_passed(self) -> layer.CommandGenerator[None]:
        """A client that sends nothing is pinged, as mitmproxy never does; one that stays silent has gone."""
        is_silent = self._client.passed()
        if self._client.is_gone:
            yield from self._end(CloseReason.GOING_AWAY, "the client does not answer")
            return
        if is_silent:
            yield self.client_ws.send2(Ping(_OURS))
        yield commands.RequestWakeup(websocket_limits.PING_INTERVAL)

    def _end(self, code: CloseReason, reason: str) -> layer.CommandGenerator[None]:
        """Both sides are closed by us."""
        data = self.flow.websocket
        assert data is not None
        data.timestamp_end, data.closed_by_client = time.time(), False
        data.close_code, data.close_reason = code, reason
        self._handle_event = self.done  # type: ignore[method-assign, assignment]  # how layers change their state
        for side in (self.server_ws, self.client_ws):
            if side.state is ConnectionState.OPEN:
                yield side.send2(CloseConnection(code, reason))
            yield commands.CloseConnection(side.conn)
        yield WebsocketEndHook(self.flow)
        self.flow.live = False
        self._flows.closed(self.flow)

    def done(self, _: events.Event) -> layer.CommandGenerator[None]:
        """Unlike the base class's, it lets come what was asked for before the end."""
        yield from ()

    def kill(self) -> None:
        """The user has killed the flow."""
        self._hang_up(CloseReason.GOING_AWAY, "killed")

    def leave(self) -> None:
        """The proxy ends."""
        self._hang_up(CloseReason.SERVICE_RESTART, PROXY_ENDS)

    def _hang_up(self, code: CloseReason, reason: str) -> None:
        push = Push(self.flow, (code, reason), hops_of(self.context.layers))
        spawn(handler_of(self.context.client).server_event(push), self.context.client)

"""A WebSocket inside mitmproxy that a task of ours answers: it has no other server.

`RelayStream` lets what follows a 101 go to a WebSocketServerLayer. It speaks the WebSocket protocol to the
client (wsproto does), hands whole text messages to a session, and sends what that pushes into the connection.
Messages stand in the flow as those of a WebSocket that mitmproxy relays, the last ones of them, and other
add-ons see, change and drop them in the same hook.

Internals of mitmproxy 12.2 that this file leans on, to be checked at an upgrade, beside those of
`stream.py`:
`HttpStream.passthrough`: bytes of the client come as DataReceived, its end of input as ConnectionClosed, and
closing the client's connection works.
"""

import asyncio
import logging
import time
from collections.abc import Sequence
from typing import Any, assert_never

from mitmproxy import http
from mitmproxy.proxy import commands, events, layer
from mitmproxy.proxy.context import Context
from mitmproxy.proxy.layers.websocket import (
    WebsocketEndHook,
    WebsocketMessageHook,
    WebSocketMessageInjected,
    WebsocketStartHook,
)
from mitmproxy.websocket import WebSocketData, WebSocketMessage
from wsproto.connection import Connection, ConnectionState, ConnectionType
from wsproto.events import CloseConnection, Event, Message, Ping, TextMessage
from wsproto.extensions import Extension
from wsproto.frame_protocol import CloseReason, Opcode

from addons.mitm import websocket_limits
from addons.mitm.flows import FlowRegistry
from addons.mitm.sink import Push, hops_of, spawn
from addons.mitm.websocket_limits import PROXY_ENDS, Inbound, Liveness, TooMuch, forget_old
from addons.mitm.websocket_session import Close, Heartbeat, Payload, Session, Socket, TextQueue, Texts
from addons.secrets.redaction import Blackout

LONGEST_FRAME = 1 << 20
"""Characters of one frame of ours. Measured: clients refuse frames above 16 MiB."""

MOST_LATE = 1 << 16
"""Bytes of a client that was asked to close that are looked at; more may have come already, and all of it
would be read at once."""

GOODBYE = 5.0
"""Seconds that a client has to answer our close."""

log = logging.getLogger("rotator.relay")


class WebSocketServerLayer(layer.Layer):
    """The client's side of one WebSocket. `session` runs from its start to its end."""

    def __init__(
        self,
        context: Context,
        flow: http.HTTPFlow,
        extensions: Sequence[Extension],
        session: Session,
        flows: FlowRegistry,
        hidden: Blackout,
    ) -> None:
        """`hidden`: what is in none of the messages that stay in the flow, though its client gets it."""
        super().__init__(context)
        self.flow = flow
        self._flows, self._session, self._hidden = flows, session, hidden
        self._ws = Connection(ConnectionType.SERVER, list(extensions))
        self._received = TextQueue()
        self._inbound, self._client = Inbound(), Liveness()
        self._pieces: list[str] = []
        self._goodbye: commands.RequestWakeup | None = None
        self._task: asyncio.Task[None] | None = None
        self._closing = self._over = False
        self._late = 0

    @property
    def _data(self) -> WebSocketData:
        assert self.flow.websocket is not None
        return self.flow.websocket

    def handle_event(self, event: events.Event) -> layer.CommandGenerator[None]:
        if isinstance(event, events.ConnectionClosed):
            self._cancel()  # at once: the event itself may have to queue behind a paused hook
        return super().handle_event(event)

    def _handle_event(self, event: events.Event) -> layer.CommandGenerator[None]:
        if self._over:
            return
        match event:
            case events.Start():
                yield from self._start()
            case events.DataReceived(data=data) if self._closing and self._is_flooded(len(data)):
                pass  # it has its while to read why
            case events.DataReceived(data=data):
                self._client.heard()
                self._ws.receive_data(data)
                yield from self._read()
            case events.ConnectionClosed():
                yield from self._end(CloseReason.ABNORMAL_CLOSURE, "", by_client=True)
            case Push(message=payload):
                yield from self._pushed(payload)
            case WebSocketMessageInjected(message=message):
                yield from self._injected(message)
            case events.Wakeup(command=self._goodbye):
                yield from self._end(CloseReason.ABNORMAL_CLOSURE, "", by_client=False)
            case events.Wakeup() if not self._closing:
                yield from self._interval_passed()
            case _:
                pass

    # -- from its start to its end --------------------------------------------------------------------

    def _start(self) -> layer.CommandGenerator[None]:
        self.flow.websocket = self.flow.websocket or WebSocketData()
        self._flows.opened(self.flow, self)
        yield WebsocketStartHook(self.flow)
        socket = Socket(self.flow, self.context.client, hops_of(self.context.layers), self._received)
        self._task = self._flows.start(self._session(socket), self.context.client)
        self._task.add_done_callback(lambda task: self._session_done(task, socket))
        yield commands.RequestWakeup(websocket_limits.PING_INTERVAL)

    def _session_done(self, task: asyncio.Task[None], socket: Socket) -> None:
        """A session that ends by itself has failed; the close says that the fault is ours."""
        if task.cancelled():
            return
        log.error("a session failed: %s", type(task.exception()).__name__)
        spawn(socket.close(CloseReason.INTERNAL_ERROR, "a fault of the proxy"), self.context.client)

    def kill(self) -> None:
        """The user has killed the flow."""
        self._cancel()
        self._hang_up(CloseReason.GOING_AWAY, "killed")

    def leave(self) -> None:
        """The proxy ends."""
        self._hang_up(CloseReason.SERVICE_RESTART, PROXY_ENDS)

    def _hang_up(self, code: CloseReason, reason: str) -> None:
        hops = hops_of(self.context.layers)
        socket = Socket(self.flow, self.context.client, hops, self._received)
        spawn(socket.close(code, reason), self.context.client)

    def _cancel(self) -> None:
        task, self._task = self._task, None
        if task is not None:
            task.cancel()

    def _close(self, code: int, reason: str) -> layer.CommandGenerator[None]:
        """Ask the client to close, and give it a while."""
        if self._closing:
            return
        self._closing = True
        self._cancel()
        self._pieces.clear()
        yield self._sent(CloseConnection(code, reason))
        self._goodbye = commands.RequestWakeup(GOODBYE)
        yield self._goodbye

    def _is_flooded(self, size: int) -> bool:
        """Whether the client keeps sending though it was asked to close."""
        self._late += size
        return self._late > MOST_LATE

    def _interval_passed(self) -> layer.CommandGenerator[None]:
        """A client that sends nothing is pinged; one that does not answer has gone."""
        is_silent = self._client.passed()
        if self._client.is_gone:
            yield from self._end(CloseReason.ABNORMAL_CLOSURE, "", by_client=False)
            return
        if is_silent:
            yield self._sent(Ping())
        yield commands.RequestWakeup(websocket_limits.PING_INTERVAL)

    def _end(self, code: int, reason: str, *, by_client: bool) -> layer.CommandGenerator[None]:
        self._over = True
        self._cancel()
        self._data.timestamp_end = time.time()
        self._data.closed_by_client = by_client and not self._closing
        self._data.close_code, self._data.close_reason = code, reason
        yield commands.CloseConnection(self.context.client)
        yield WebsocketEndHook(self.flow)
        self.flow.live = False
        self._flows.closed(self.flow)

    # -- from the client ------------------------------------------------------------------------------

    def _read(self) -> layer.CommandGenerator[None]:
        for event in self._inbound.read(self._ws.events(), time.monotonic()):
            match event:
                case TooMuch(code, reason):
                    yield from self._close(code, reason)
                case Message():
                    yield from self._piece(event)
                case Ping() if not self._closing:
                    yield self._sent(event.response())
                case CloseConnection():
                    yield from self._closed(event)
                case _:
                    pass
            if self._over:
                return

    def _closed(self, event: CloseConnection) -> layer.CommandGenerator[None]:
        """The client closes, or answers our close, or what it sent makes no sense."""
        if self._ws.state in {ConnectionState.OPEN, ConnectionState.REMOTE_CLOSING}:
            yield self._sent(event.response())
        yield from self._end(event.code, event.reason or "", by_client=True)

    def _piece(self, event: Message[Any]) -> layer.CommandGenerator[None]:
        if self._closing:
            return
        if not isinstance(event, TextMessage):
            yield from self._close(CloseReason.UNSUPPORTED_DATA, "text messages are understood here")
            return
        self._pieces.append(event.data)
        if event.message_finished:
            text = "".join(self._pieces)
            self._pieces.clear()
            yield from self._heard(WebSocketMessage(Opcode.TEXT, True, text.encode()))

    def _heard(self, message: WebSocketMessage) -> layer.CommandGenerator[None]:
        yield from self._shown(message)
        if message.dropped:
            return
        text = message.content.decode("utf-8", "replace")
        if self._received.has_room(text):
            self._received.put(text)
        else:
            yield from self._close(CloseReason.POLICY_VIOLATION, "too many messages wait for an answer")

    def _shown(self, message: WebSocketMessage) -> layer.CommandGenerator[None]:
        """Other add-ons see a message, and may change or drop it."""
        self._data.messages.append(message)
        forget_old(self._data)
        yield WebsocketMessageHook(self.flow)

    # -- to the client --------------------------------------------------------------------------------

    def _pushed(self, payload: Payload) -> layer.CommandGenerator[None]:
        if self._closing:
            return
        match payload:
            case Texts(texts, written):
                yield from self._say([WebSocketMessage(Opcode.TEXT, False, text.encode()) for text in texts])
                written.set()
            case Heartbeat():
                yield self._sent(Ping())
            case Close(code, reason):
                yield from self._close(code, reason)
            case _:
                assert_never(payload)

    def _injected(self, message: WebSocketMessage) -> layer.CommandGenerator[None]:
        """What the user of the inspector sends in the place of either side."""
        message.injected = True
        if message.from_client:
            yield from self._heard(message)
        elif not self._closing:
            yield from self._say([message])

    def _say(self, messages: Sequence[WebSocketMessage]) -> layer.CommandGenerator[None]:
        data = bytearray()
        for message in messages:
            yield from self._shown(message)
            if not message.dropped:
                data += self._framed(message.content.decode("utf-8", "replace"))
            message.content = self._hidden.whole(message.content)
        if data:
            yield commands.SendData(self.context.client, bytes(data))

    def _framed(self, text: str) -> bytes:
        """One message in as many frames as it needs."""
        starts = range(0, max(len(text), 1), LONGEST_FRAME)
        return b"".join(
            self._ws.send(
                TextMessage(
                    text[start : start + LONGEST_FRAME],
                    message_finished=start + LONGEST_FRAME >= len(text),
                )
            )
            for start in starts
        )

    def _sent(self, event: Event) -> commands.SendData:
        return commands.SendData(self.context.client, self._ws.send(event))

"""A response that a task of ours streams inside mitmproxy.

mitmproxy itself can neither stream a response that it did not receive, nor notice silence, nor act when a
server vanishes: a `stream` callable is synchronous and runs only when bytes arrive. So layers are subclassed:

* `Layers` turns every HttpLayer on the stack into a RelayHttpLayer, whose streams are RelayStreams.
* `RelayStream.make_server_connection` is reached after the `request` hook of every add-on (and after a user's
  intercept and resume). There, and not before, the Dispatcher says what becomes of the flow: a responder
  starts as a task in the place of a connection, or the request leaves as a Forwarding says, or as mitmproxy
  does it. Whatever add-ons did or failed to do, no request gets past this.
* A client that leaves is a RequestProtocolError for the stream. It cancels the task at once, also where the
  event itself has to queue behind a paused hook.

Internals of mitmproxy 12.2 that this file leans on, to be checked at an upgrade:
`HttpStream`: make_server_connection, send_response, flow_done, child_layer, passthrough, check_killed,
check_invalid, handle_protocol_error, client_state, server_state, state_consume_request_body,
request_body_buf, check_body_size (which streams a body that grows large);
`HttpLayer`: streams, connections, make_stream, event_to_child;
`Layer`: handle_event calls _handle_event, and queues events while a blocking command is pending;
`Context`: what `fork` makes has the same attributes, but a list of layers of its own;
`Http2Server`: h2_conn.stream_buffers, bytes that HTTP/2 flow control holds back; is_closed; handle_h2_event,
which forgets a stream that is closed by all of one read when it comes to the end of its request.
"""

import asyncio
import logging
import math
from collections.abc import Coroutine
from dataclasses import dataclass
from functools import partial
from typing import assert_never

from mitmproxy import ctx, http
from mitmproxy.connection import Client
from mitmproxy.flow import Error
from mitmproxy.hooks import UpdateHook
from mitmproxy.proxy import commands, events, layer
from mitmproxy.proxy.context import Context
from mitmproxy.proxy.layers.http import DropStream, HttpLayer, HttpStream, SendHttp
from mitmproxy.proxy.layers.http._base import HttpConnection
from mitmproxy.proxy.layers.http._events import (
    ErrorCode,
    RequestEndOfMessage,
    RequestHeaders,
    RequestProtocolError,
    RequestTrailers,
    ResponseData,
    ResponseEndOfMessage,
    ResponseHeaders,
    ResponseProtocolError,
)
from mitmproxy.proxy.layers.http._hooks import HttpErrorHook, HttpResponseHeadersHook
from mitmproxy.proxy.layers.http._http2 import Http2Server
from mitmproxy.proxy.server import ConnectionHandler

from addons.mitm.client_http1 import ClientHttp1
from addons.mitm.client_http2 import ClientHttp2
from addons.mitm.direct import ForLayer, Outlet, ShortWay, Write, body_write, pieces, short_way
from addons.mitm.dispatch import Forwarding, Responder
from addons.mitm.flows import TRUNCATED_KEY, FlowRegistry, Framing, name_of
from addons.mitm.forwarded import ForwardedStream, is_answer
from addons.mitm.hooks import Attended
from addons.mitm.messages import values_of
from addons.mitm.sink import (
    BODY_LIMIT,
    Abort,
    Congestion,
    End,
    Flush,
    Kill,
    Left,
    Payload,
    Push,
    Sink,
    handler_of,
    hops_of,
    spawn,
)
from addons.secrets.redaction import fault, unquoted
from rewrite.records.texts import BETWEEN

MOST_OPENED = 200
"""Streams that one read may open. As many as 100 can be open at once: more were opened and reset."""

log = logging.getLogger("rotator.relay")


class RelayStream(ForwardedStream):
    """One request and its response: a responder's, forwarded with another head, or left to mitmproxy."""

    def __init__(self, context: Context, stream_id: int, http_layer: "RelayHttpLayer") -> None:
        super().__init__(context, stream_id)
        self.flows = http_layer.flows
        self._http_layer = http_layer
        self._task: asyncio.Task[None] | None = None
        self._buffering = False  # the head and what is kept have not gone out
        self._patience: asyncio.TimerHandle | None = None

    def handle_event(self, event: events.Event) -> layer.CommandGenerator[None]:
        if isinstance(event, RequestProtocolError):
            self._cancel()  # at once: the event itself may have to queue behind a paused hook
        if isinstance(event, RequestProtocolError | ResponseProtocolError):
            event.message = unquoted(event.message)
        return super().handle_event(event)

    def _handle_event(self, event: events.Event) -> layer.CommandGenerator[None]:
        if isinstance(event, Push):
            return self._pushed(event.message)
        if isinstance(event, ResponseProtocolError) and self.sink is not None:
            return _nothing()  # of a server in whose place a responder answers
        if self.forwarding is not None and self.forwarding.screen is not None and is_answer(event):
            return self.screened(event, self.forwarding.screen)
        handled: layer.CommandGenerator[None] = super()._handle_event(event)
        return handled

    # -- a request that is here -----------------------------------------------------------------------

    def make_server_connection(self) -> layer.CommandGenerator[bool]:
        dispatched = self.flows.dispatch(self.flow)
        if dispatched is None:
            return (yield from super().make_server_connection())
        if isinstance(dispatched, Forwarding):
            self.flows.opened(self.flow, self)
            return (yield from self.connect(dispatched, self._handler))
        self.respond(dispatched)
        return False  # to the base class: not connected, and nothing more to do

    def check_body_size(self, request: bool) -> layer.CommandGenerator[bool]:
        """mitmproxy begins to stream a body that grows too large, and would forward it by itself."""
        known = self.flows.collected(self.flow) if request else None
        if known is not None or (request and self.flow.response):
            self._bound_request(known or 0)
            return False
        return self._closed_if((yield from super().check_body_size(request)))

    def check_invalid(self, request: bool) -> layer.CommandGenerator[bool]:
        return self._closed_if((yield from super().check_invalid(request)))

    def _closed_if(self, over: bool) -> bool:
        if over:
            self.flows.closed(self.flow)
        return over

    def _bound_request(self, known: int) -> None:
        """A body that is collected may not fill the memory: what is too long is answered now, and dropped.
        `known`: so many bytes are not too many."""
        if self.client_state != self.state_consume_request_body:
            return
        length = b",".join(values_of(self.flow.request.headers, b"content-length"))
        size = max(len(self.request_body_buf), int(length) if length.isdigit() else 0)
        if size > known and (responder := self.flows.too_long(self.flow, size)):
            self.request_body_buf.clear()  # type: ignore[no-untyped-call]  # mitmproxy has no types here
            self.client_state = self.state_discard_request_body
            self.server_state = self.state_errored
            self.respond(responder)

    # -- its responder --------------------------------------------------------------------------------

    def _new_sink(self) -> Sink:
        layer = self._http_layer
        outlet, congestion = layer.outlet, layer.congestion_of(self.stream_id)
        return Sink(self, self._handler, congestion, outlet)

    @property
    def _handler(self) -> ConnectionHandler:
        return self._http_layer.handler or handler_of(self.context.client)

    def respond(self, responder: Responder) -> None:
        self.sink = self._new_sink()
        self.flows.opened(self.flow, self)
        self._task = self.flows.start(self._answered(responder(self.sink)), self.context.client)

    async def _answered(self, work: Coroutine[None, None, None]) -> None:
        """Report what escapes, and break a response that nobody will end any more."""
        try:
            await work
            if self._open_sink is not None:
                log.error("responder for %s returned without end() or abort()", name_of(self.flow))
        except Exception as error:  # noqa: BLE001  # a fault of ours, which is to break this response alone
            log.error("responder for %s failed: %s", name_of(self.flow), fault(error))
        finally:
            if (sink := self._open_sink) is not None:
                sink.abort("The response was not completed.")

    @property
    def _open_sink(self) -> Sink | None:
        return self.sink if self.sink is not None and not self.sink.closed else None

    def kill(self) -> None:
        """Stop the responder, or the server, and break the response; the user has killed the flow."""
        self._cancel()
        (self.sink or self._new_sink()).kill()

    def leave(self) -> None:
        """HTTP has nothing to say inside an answer."""

    # -- the response ---------------------------------------------------------------------------------

    def _pushed(self, payload: Payload) -> layer.CommandGenerator[None]:
        if self.sink is None and not (isinstance(payload, Kill) and self.forwarding):
            return _nothing()  # the response is over; the responder does not know yet
        match payload:
            case bytes():
                return self._data(payload)
            case http.Response():
                return self._head(payload)
            case End():
                return self._end()
            case Abort(message):
                return self.handle_protocol_error(
                    ResponseProtocolError(self.stream_id, message, ErrorCode.KILL)
                )
            case Kill():
                return self._killed()
            case Flush():
                return self._flushed()
            case Left():
                return self._left()
            case _:
                assert_never(payload)

    def _head(self, response: http.Response) -> layer.CommandGenerator[None]:
        framing, self.flow.response = Framing.of(response), response
        yield HttpResponseHeadersHook(self.flow)
        if (yield from self.check_killed(True)):
            return
        self.flow.response = framing.restored(self.flow.response)
        if seconds := self.flows.buffers(self.flow):
            self._buffer(seconds)
        else:
            yield from self._begin()

    def _begin(self) -> layer.CommandGenerator[None]:
        assert self.flow.response is not None
        yield SendHttp(ResponseHeaders(self.stream_id, self.flow.response), self.context.client)
        if self.sink is not None:
            self.sink.direct = self._http_layer.body_write(self.stream_id)

    def _buffer(self, seconds: float) -> None:
        """Keep the response back, so long that its client does not give up."""
        self._buffering = True
        sink = self.sink
        if sink is not None and seconds < math.inf:
            self._patience = asyncio.get_running_loop().call_later(seconds, sink.flush)

    def _flushed(self) -> layer.CommandGenerator[None]:
        """The client gets what it would have had; what follows goes out as it comes."""
        if not self._buffering:
            return
        assert self.sink is not None
        self._stop_buffering()
        yield from self._begin()
        if self.sink.kept:
            yield SendHttp(ResponseData(self.stream_id, bytes(self.sink.kept)), self.context.client)

    def _stop_buffering(self) -> None:
        self._buffering = False
        if self._patience is not None:
            self._patience.cancel()
            self._patience = None

    def _data(self, data: bytes) -> layer.CommandGenerator[None]:
        assert self.sink is not None
        if len(self.sink.kept) + len(data) > BODY_LIMIT:
            yield from self._flushed()
        self.sink.arrived(data)
        for piece in () if self._buffering else pieces(data):
            yield SendHttp(ResponseData(self.stream_id, piece), self.context.client)

    def _end(self) -> layer.CommandGenerator[None]:
        streamed = not self._buffering
        self._detach()
        yield from self.send_response(already_streamed=streamed)

    def send_response(self, already_streamed: bool = False) -> layer.CommandGenerator[None]:
        """An edit of what the client has already is taken back: the flow is to show what was sent."""
        if already_streamed:
            self.flows.sent(self.flow)
        yield from super().send_response(already_streamed)
        if already_streamed and self.flows.put_back(self.flow):
            ctx.master.addons.trigger(UpdateHook([self.flow]))

    def _left(self) -> layer.CommandGenerator[None]:
        self._cancel()
        return self.handle_protocol_error(
            RequestProtocolError(self.stream_id, "Client disconnected.", ErrorCode.CLIENT_DISCONNECTED)
        )

    def _killed(self) -> layer.CommandGenerator[None]:
        if self.forwarding is not None:
            yield self.hang_up("killed")
            self.forwarding = None
        yield from self.check_killed(True)

    # -- the end --------------------------------------------------------------------------------------

    def flow_done(self) -> layer.CommandGenerator[None]:
        switch = self.flows.switched(self.flow)
        if switch is None:
            self.flows.closed(self.flow)
            return self._done()
        return self._switch(switch(self.context))

    def _done(self) -> layer.CommandGenerator[None]:
        yield from super().flow_done()
        if self.child_layer is None:
            self._let_go()

    def _switch(self, child: layer.Layer) -> layer.CommandGenerator[None]:
        """As the base class does it, with another layer. The end of the message comes after it, since data
        may be waiting there already."""
        self.child_layer = child
        self._handle_event = self.passthrough  # type: ignore[method-assign]  # how layers change their state
        yield from child.handle_event(events.Start())
        yield SendHttp(ResponseEndOfMessage(self.stream_id), self.context.client)

    def check_killed(self, emit_error_hook: bool) -> layer.CommandGenerator[bool]:
        killed = yield from super().check_killed(emit_error_hook)
        if killed:
            self._cancel()
            self._detach()
            self.flows.closed(self.flow)
            yield DropStream(self.stream_id)
            self._let_go()
        return killed

    def handle_protocol_error(
        self, event: RequestProtocolError | ResponseProtocolError
    ) -> layer.CommandGenerator[None]:
        """The client has left, or the responder aborts. No server has to learn of it: there is none."""
        if self.sink is None:
            yield from self.fail(event)
            return
        self._detach()
        self.client_state = self.server_state = self.state_errored
        self.flow.error = self.flow.error or Error(event.message)
        if isinstance(event, ResponseProtocolError):
            yield SendHttp(event, self.context.client)
        yield HttpErrorHook(self.flow)
        self.flow.live = False
        self.flows.closed(self.flow)
        yield DropStream(self.stream_id)
        self._let_go()

    def _let_go(self) -> None:
        """Nothing will happen here any more. A stream that does not refer to itself is free at once, with its
        flow and its call: they do not wait for the collector."""
        if self._paused_event_queue:
            return  # the base class looks at its states for these
        self.client_state = self.server_state = _over
        self.context.layers = [each for each in self.context.layers if each is not self]

    def _cancel(self) -> None:
        """Cancel the responder, once: a second time would interrupt what it does on its way out."""
        task, self._task = self._task, None
        if task is not None:
            task.cancel()

    def _detach(self) -> None:
        """The response is over: later pushes are ignored, a client that leaves cancels nothing any more."""
        if self.sink is None:
            return
        self._stop_buffering()
        sink, self.sink, self._task, sink.direct = self.sink, None, None, None
        if self.flow.response is not None:
            self.flow.response.data.content = bytes(sink.kept)
            if sink.is_cut:
                self.flow.metadata[TRUNCATED_KEY] = True
                cut = f"the answer is not shown whole: its first {BODY_LIMIT} bytes"
                self.flow.comment = BETWEEN.join(filter(None, (self.flow.comment, cut)))
            self.flows.hide(self.flow)
        sink.kept.clear()


class RelayHttpLayer(HttpLayer):
    """An HttpLayer whose streams are RelayStreams.  Made from an HttpLayer by `adopt`, never constructed."""

    flows: FlowRegistry
    handler: ConnectionHandler | None
    _congested: dict[int, asyncio.Event]
    _opened: int  # streams, by what came last
    _short: tuple[ShortWay | None] | None  # to the client, once somebody asked

    @classmethod
    def adopt(
        cls, http_layer: HttpLayer, flows: FlowRegistry, handler: ConnectionHandler | None = None
    ) -> None:
        """Turn a layer that has not seen an event yet into one of ours, where it stands in its stack.

        `handler` is that of its connection where the proxyserver add-on does not know it.
        """
        http_layer.__class__ = cls
        assert isinstance(http_layer, cls)
        http_layer.flows, http_layer.handler = flows, handler
        http_layer._congested = {}
        http_layer._opened = 0
        http_layer._short = None

    def make_stream(self, stream_id: int) -> layer.CommandGenerator[None]:
        self._opened += 1
        if self._opened > MOST_OPENED:
            if self._opened == MOST_OPENED + 1:
                yield commands.CloseConnection(self.context.client)
            return
        stream = RelayStream(forked(self.context), stream_id, self)
        self.streams[stream_id] = stream
        yield from self.event_to_child(stream, events.Start())

    def _handle_event(self, event: events.Event) -> layer.CommandGenerator[None]:
        if isinstance(event, Push):
            return self.event_to_child(event.hops[self], event)
        if isinstance(event, ForLayer):
            return event.commands() if event.layer is self else self.event_to_child(event.hops[self], event)
        if isinstance(event, events.Start):
            self._bound_client()
        self._opened = 0
        handled = _unquoted(super()._handle_event(event))
        return self._relieve(handled) if self._congested else handled

    def _bound_client(self) -> None:
        """The base class takes what is here already, as it does for replays."""
        client = self.context.client
        if client.transport_protocol == "tcp":
            self.connections.setdefault(client, self._speaker(self.context.fork()))
            self.flows.draining.add(self)

    def _speaker(self, context: Context) -> HttpConnection:
        is_http2 = context.client.alpn == b"h2"
        return ClientHttp2(context) if is_http2 else ClientHttp1(context, self.flows.draining)

    @property
    def client(self) -> Client:
        client: Client = self.context.client
        return client

    @property
    def is_asked(self) -> bool:
        """Whether a request is under way; a tunnel, or a WebSocket, is none."""
        return any(each.child_layer is None for each in self.streams.values())

    def let_go(self) -> None:
        """Have a client of HTTP/2 that asks nothing go elsewhere."""
        connection = self.connections.get(self.client)
        if isinstance(connection, ClientHttp2) and self.client.connected:
            handler = self.handler or handler_of(self.client)
            event = LetGo(self, hops_of(self.context.layers), connection)
            spawn(handler.server_event(event), self.client)

    def event_to_child(
        self, child: layer.Layer | HttpStream, event: events.Event
    ) -> layer.CommandGenerator[None]:
        if isinstance(event, RequestTrailers) and isinstance(child, HttpStream):
            return _nothing()  # they may hold a key, and no HTTP/1.1 server gets them
        if isinstance(event, RequestEndOfMessage) and isinstance(child, HttpStream) and self._has_left(child):
            event = RequestProtocolError(child.stream_id, "stream reset by client", ErrorCode.CANCEL)
        # A stream's own RequestHeaders come from the client; those for a connection are about to leave.
        if isinstance(event, RequestHeaders) and not isinstance(child, HttpStream):
            stream = self.streams[event.stream_id]
            assert isinstance(stream, RelayStream)
            event = stream.as_it_leaves(event)
        return super().event_to_child(child, event)

    def _has_left(self, stream: HttpStream) -> bool:
        """Whether a request ends, and is reset or its connection closed, in one read: its stream hears of the
        end alone."""
        connection = self.connections[self.context.client]
        is_open = not isinstance(connection, Http2Server) or not connection.is_closed(stream.stream_id)
        return not is_open and stream.flow.response is None

    def body_write(self, stream_id: int) -> Write | None:
        """The short way of an answer whose head has gone out; None: there is none."""
        if self._short is None:
            self._short = (self._short_way(self.handler or handler_of(self.context.client)),)
        (short,) = self._short
        return (
            body_write(self.connections[self.context.client], stream_id, short.outlet.write)
            if short
            else None
        )

    @property
    def outlet(self) -> Outlet | None:
        """Where answers go by the short way; None: there is none, or nobody asked for it yet."""
        short = self._short[0] if self._short else None
        return short.outlet if short else None

    def _short_way(self, handler: ConnectionHandler) -> ShortWay | None:
        short = short_way(self, handler, hops_of(self.context.layers))
        attended = getattr(handler.layer.handle_event, "__self__", None)
        if short is not None and isinstance(attended, Attended):
            attended.shorten(short)
        return short

    def congestion_of(self, stream_id: int) -> Congestion | None:
        """None for a client without flow control of its own."""
        is_http2 = isinstance(self.connections[self.context.client], Http2Server)
        return partial(self._congestion, stream_id) if is_http2 else None

    def _congestion(self, stream_id: int) -> asyncio.Event | None:
        if not self._held_back(stream_id):
            return None
        return self._congested.setdefault(stream_id, asyncio.Event())

    def _held_back(self, stream_id: int) -> bool:
        connection = self.connections[self.context.client]
        return isinstance(connection, Http2Server) and bool(connection.h2_conn.stream_buffers.get(stream_id))

    def _relieve(self, handled: layer.CommandGenerator[None]) -> layer.CommandGenerator[None]:
        yield from handled
        for stream_id in [each for each in self._congested if not self._held_back(each)]:
            self._congested.pop(stream_id).set()


@dataclass(eq=False, slots=True)
class LetGo(ForLayer):
    """Its client is to go elsewhere."""

    connection: ClientHttp2

    def commands(self) -> layer.CommandGenerator[None]:
        return self.connection.let_go()


def forked(context: Context) -> Context:
    """As its `fork`, which makes a server besides that nobody gets."""
    forked = Context.__new__(Context)
    vars(forked).update(vars(context), layers=context.layers.copy())
    return forked


def _unquoted(handled: layer.CommandGenerator[None]) -> layer.CommandGenerator[None]:
    """mitmproxy logs bytes that it could not read as they are."""
    for command in handled:
        if isinstance(command, commands.Log):
            command.message = unquoted(command.message)
        yield command


def _over(_: events.Event) -> layer.CommandGenerator[None]:
    """The state of a stream that is dropped."""
    yield from ()


def _nothing() -> layer.CommandGenerator[None]:
    yield from ()

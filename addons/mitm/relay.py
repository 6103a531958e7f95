"""A response that a task of ours streams inside mitmproxy, and requests that leave with another head.

mitmproxy itself can neither stream a response that it did not receive, nor notice silence, nor act when a
server vanishes: a `stream` callable is synchronous and runs only when bytes arrive. So layers are subclassed:

* `next_layer` turns every HttpLayer on the stack into a RelayHttpLayer, whose streams are RelayStreams.
* `RelayStream.make_server_connection` is reached after the `request` hook of every add-on (and after a user's
  intercept and resume). There, and not before, the Planner says what becomes of the flow: a responder starts
  as a task in the place of a connection, or the request leaves as a Forwarding says, or as mitmproxy does it.
  Whatever add-ons did or failed to do, no request gets past this.
* The answer to a forwarded request goes through its Screen before anybody sees it, hooks included.
* A client that leaves is a RequestProtocolError for the stream. It cancels the task at once, also where the
  event itself has to queue behind a paused hook.

Internals of mitmproxy 12.2 that this file leans on, to be checked at an upgrade:
`HttpStream`: make_server_connection, start_request_stream, state_wait_for_response_headers, send_response,
flow_done, child_layer, passthrough, check_killed, handle_protocol_error, client_state, server_state,
check_body_size (which streams a body that grows large);
`HttpLayer`: streams, connections, make_stream, event_to_child, get_connection (through GetHttpConnection);
`Layer`: handle_event calls _handle_event, and queues events while a blocking command is pending;
the nextlayer add-on; `Http2Server.h2_conn.stream_buffers`: bytes that HTTP/2 flow control holds back;
`Http1Client` writes chunks where the head says so, whatever version the request came in;
`Flow.kill` sets error and live and wakes nobody; `Flow.wait_for_resume` is woken by `resume` alone.
"""

import asyncio
import logging
import math
import re
from collections.abc import Coroutine, Iterator, Sequence
from typing import assert_never
from weakref import WeakKeyDictionary, WeakSet

from mitmproxy import ctx, http
from mitmproxy.exceptions import AddonHalt
from mitmproxy.flow import Error, Flow
from mitmproxy.hooks import UpdateHook
from mitmproxy.proxy import commands, events, layer
from mitmproxy.proxy.context import Context
from mitmproxy.proxy.layers.http import (
    DropStream,
    GetHttpConnection,
    HttpLayer,
    HTTPMode,
    HttpStream,
    SendHttp,
)
from mitmproxy.proxy.layers.http._events import (
    ErrorCode,
    HttpEvent,
    RequestEndOfMessage,
    RequestHeaders,
    RequestProtocolError,
    RequestTrailers,
    ResponseData,
    ResponseEndOfMessage,
    ResponseHeaders,
    ResponseProtocolError,
    ResponseTrailers,
)
from mitmproxy.proxy.layers.http._hooks import HttpErrorHook, HttpResponseHeadersHook
from mitmproxy.proxy.layers.http._http2 import Http2Server
from mitmproxy.proxy.layers.tcp import TCPLayer
from mitmproxy.proxy.server import ConnectionHandler
from mitmproxy.utils import asyncio_utils

from addons.mitm.client_http1 import LONGEST_HEAD, ClientHttp1, named_host
from addons.mitm.framing import Framing
from addons.mitm.last_bytes import keep_last_words
from addons.mitm.plans import Forwarding, Killable, Planner, Responder, Screen, Switch
from addons.mitm.sent import Sent
from addons.mitm.sink import Abort, End, Kill, Payload, Push, Release, Sink, addon, handler_of, is_framed
from addons.runtime.printable import fault, unquoted

BODY_LIMIT = 4 * 1024 * 1024
"""Bytes of a relayed body that are kept in the flow for the inspector."""

TRUNCATED_KEY = "rotator_body_truncated"
"""Set to True in `flow.metadata` when the kept body is only the first part of what was sent."""

_TLS_HANDSHAKE, _TLS_KNOWN = b"\x16", 3
"""How a handshake begins (RFC 8446, section 5.1), and how many bytes mitmproxy wants to see of it."""

MOST_OPENED = 200
"""Streams that one read may open. As many as 100 can be open at once: more were opened and reset."""

LARGEST_WRITE = 1 << 15
"""Bytes that are encrypted at once: the room for what a TLS connection once held is kept until its end."""

log = logging.getLogger("rotator.relay")


class RelayStream(HttpStream):
    """One request and its response: a responder's, forwarded with another head, or left to mitmproxy."""

    def __init__(self, context: Context, stream_id: int, http_layer: "RelayHttpLayer") -> None:
        super().__init__(context, stream_id)
        self.forwarding: Forwarding | None = None
        self._http_layer = http_layer
        self._relay = http_layer.relay
        self._sink: Sink | None = None  # while the response is open
        self._task: asyncio.Task[None] | None = None
        self._kept = bytearray()
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
        if isinstance(event, ResponseProtocolError) and self._sink is not None:
            return _nothing()  # of a server in whose place a responder answers
        if self.forwarding is not None and self.forwarding.screen is not None and _is_answer(event):
            return self._screened(event, self.forwarding.screen)
        handled: layer.CommandGenerator[None] = super()._handle_event(event)
        return handled

    def make_server_connection(self) -> layer.CommandGenerator[bool]:
        plan = self._relay.plan(self.flow)
        if plan is None:
            return (yield from super().make_server_connection())
        if isinstance(plan, Forwarding):
            return (yield from self._connect(plan))
        self._respond(plan)
        return False  # to the base class: not connected, and nothing more to do

    def _connect(self, forwarding: Forwarding) -> layer.CommandGenerator[bool]:
        self.forwarding = forwarding
        self._relay.opened(self.flow, self)
        server = self.flow.server_conn
        connection, error = yield GetHttpConnection(
            forwarding.address, forwarding.tls, forwarding.via or server.via, server.transport_protocol
        )
        if error:
            self._unanswered(forwarding, error)
            return False
        self.context.server = self.flow.server_conn = connection
        keep_last_words(self._handler, connection)
        return True

    def _unanswered(self, forwarding: Forwarding, message: str) -> None:
        """The server gave no answer, so that one of ours takes its place."""
        self.forwarding = None
        self.server_state = self.state_errored  # what it may still say comes too late
        if self.client_state == self.state_stream_request_body:
            self.client_state = self.state_discard_request_body
        self._respond(forwarding.failed(message))

    def check_body_size(self, request: bool) -> layer.CommandGenerator[bool]:
        """mitmproxy begins to stream a body that grows too large, and would forward it by itself."""
        if request and (self._relay.is_collected(self.flow) or self.flow.response):
            self._bound_request()
            return False
        return self._closed_if((yield from super().check_body_size(request)))

    def check_invalid(self, request: bool) -> layer.CommandGenerator[bool]:
        return self._closed_if((yield from super().check_invalid(request)))

    def _closed_if(self, over: bool) -> bool:
        if over:
            self._relay.closed(self.flow)
        return over

    def _bound_request(self) -> None:
        """A body that is collected may not fill the memory: what is too long is answered now, and dropped."""
        if self.client_state != self.state_consume_request_body:
            return
        length = self.flow.request.headers.get("content-length", "")
        size = max(len(self.request_body_buf), int(length) if length.isdecimal() else 0)
        if responder := self._relay.too_long(self.flow, size):
            self.request_body_buf.clear()  # type: ignore[no-untyped-call]  # mitmproxy has no types here
            self.client_state = self.state_discard_request_body
            self.server_state = self.state_errored
            self._respond(responder)

    def start_request_stream(self) -> layer.CommandGenerator[None]:
        """Other add-ons, and mitmproxy itself for large bodies, ask for this; the Planner may say no.

        Where an add-on has answered in its requestheaders hook (a 407, say) the base class would raise.
        """
        if self.flow.response or not self._relay.streams(self.flow):
            self._relay.collect(self.flow)
            self.client_state = self.state_consume_request_body
            return
        yield from super().start_request_stream()
        if self._sink is not None:
            self.client_state = self.state_discard_request_body

    def state_discard_request_body(self, event: events.Event) -> layer.CommandGenerator[None]:
        """The response does not need the rest of the request."""
        if isinstance(event, RequestEndOfMessage):
            self.client_state = self.state_done
            if self.server_state == self.state_done:
                yield from self.flow_done()

    def _screened(self, event: events.Event, screen: Screen) -> layer.CommandGenerator[None]:
        """What is left of an answer's event when it was looked at, before any add-on has seen it."""
        if isinstance(event, ResponseHeaders) and self._opens_a_tunnel(event.response):
            log.error("the answer to %s is withheld: nobody can search the tunnel it opens", _name(self.flow))
            yield from self._withhold()
            return
        try:
            left = list(_looked_at(event, screen))
        except Exception as error:  # noqa: BLE001  # fails closed: an answer that is not looked at stays here
            log.error("the answer to %s is withheld: %s", _name(self.flow), fault(error))
            yield from self._withhold()
            return
        for each in left:
            yield from super()._handle_event(each)

    def _opens_a_tunnel(self, response: http.Response) -> bool:
        """Whether mitmproxy would pass on unread what follows: a 101 that it takes for no WebSocket's."""
        is_websocket = (
            response.headers.get("upgrade", "").lower() == "websocket"
            and self.flow.request.headers.get("sec-websocket-version", "") == "13"
            and self.context.options.websocket
        )
        return response.status_code == 101 and not is_websocket

    def _withhold(self) -> layer.CommandGenerator[None]:
        message = "the answer could not be searched for keys"
        yield SendHttp(RequestProtocolError(self.stream_id, message, ErrorCode.CANCEL), self.context.server)
        yield from self.handle_protocol_error(
            ResponseProtocolError(self.stream_id, message, ErrorCode.GENERIC_SERVER_ERROR)
        )

    def state_wait_for_response_headers(self, event: ResponseHeaders) -> layer.CommandGenerator[None]:
        if self.forwarding is not None:
            self.flow.response = event.response
            event.response.stream = not self._relay.buffers(self.flow)
        handled: layer.CommandGenerator[None] = super().state_wait_for_response_headers(event)
        return handled

    def _new_sink(self) -> Sink:
        return Sink(self, self._handler)

    @property
    def _handler(self) -> ConnectionHandler:
        return self._http_layer.handler or handler_of(self.context.client)

    def _respond(self, responder: Responder) -> None:
        self._sink = self._new_sink()
        self._relay.opened(self.flow, self)
        self._task = asyncio_utils.create_task(
            responder(self._sink), name="responder", keep_ref=False, client=self.context.client.peername
        )
        self._relay.started(self._task)
        self._task.add_done_callback(self._responder_done)

    def _responder_done(self, task: asyncio.Task[None]) -> None:
        """Report what escaped, and break a response that nobody will end any more."""
        error = None if task.cancelled() else task.exception()
        if error is not None:
            log.error("responder for %s failed: %s", _name(self.flow), fault(error))
        if self._sink is None or self._sink.closed:
            return
        if error is None and not task.cancelled():
            log.error("responder for %s returned without end() or abort()", _name(self.flow))
        self._spawn(self._sink.abort("The response was not completed."))

    def kill(self) -> None:
        """Stop the responder, or the server, and break the response; the user has killed the flow."""
        self._cancel()
        self._spawn((self._sink or self._new_sink()).kill())

    def _spawn(self, coroutine: Coroutine[None, None, None]) -> None:
        asyncio_utils.create_task(coroutine, name="relay", keep_ref=True, client=self.context.client.peername)

    def _pushed(self, payload: Payload) -> layer.CommandGenerator[None]:
        if self._sink is None and not (isinstance(payload, Kill) and self.forwarding):
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
            case Release():
                return self._released()
            case _:
                assert_never(payload)

    def _head(self, response: http.Response) -> layer.CommandGenerator[None]:
        framing, self.flow.response = Framing.of(response), response
        yield HttpResponseHeadersHook(self.flow)
        self.flow.response = framing.restored(self.flow.response)
        if (yield from self.check_killed(True)):
            return
        if seconds := self._relay.buffers(self.flow):
            self._buffer(seconds)
        else:
            yield SendHttp(ResponseHeaders(self.stream_id, self.flow.response), self.context.client)

    def _buffer(self, seconds: float) -> None:
        """Keep the response back, so long that its client does not give up."""
        self._buffering = True
        sink = self._sink
        if sink is not None and seconds < math.inf:
            loop = asyncio.get_running_loop()
            self._patience = loop.call_later(seconds, lambda: self._spawn(sink.release()))

    def _released(self) -> layer.CommandGenerator[None]:
        """The client gets what it would have had; the rest goes on as it comes."""
        if not self._buffering:
            return
        self._stop_buffering()
        assert self.flow.response
        yield SendHttp(ResponseHeaders(self.stream_id, self.flow.response), self.context.client)
        if self._kept:
            yield SendHttp(ResponseData(self.stream_id, bytes(self._kept)), self.context.client)

    def _stop_buffering(self) -> None:
        self._buffering = False
        if self._patience is not None:
            self._patience.cancel()
            self._patience = None

    def _data(self, data: bytes) -> layer.CommandGenerator[None]:
        if len(self._kept) + len(data) > BODY_LIMIT:
            yield from self._released()
        room = BODY_LIMIT - len(self._kept)
        self._kept += data[:room]
        if len(data) > room:
            self.flow.metadata[TRUNCATED_KEY] = True
        for at in range(0, 0 if self._buffering else len(data), LARGEST_WRITE):
            piece = data[at : at + LARGEST_WRITE]
            yield SendHttp(ResponseData(self.stream_id, piece), self.context.client)

    def _end(self) -> layer.CommandGenerator[None]:
        streamed = not self._buffering
        self._detach()
        yield from self.send_response(already_streamed=streamed)

    def send_response(self, already_streamed: bool = False) -> layer.CommandGenerator[None]:
        """An edit of what the client has already is taken back: the flow is to show what was sent."""
        if already_streamed:
            self._relay.sent(self.flow)
        yield from super().send_response(already_streamed)
        if already_streamed and self._relay.put_back(self.flow):
            ctx.master.addons.trigger(UpdateHook([self.flow]))

    def _killed(self) -> layer.CommandGenerator[None]:
        if self.forwarding is not None:
            cancelled = RequestProtocolError(self.stream_id, "killed", ErrorCode.CANCEL)
            yield SendHttp(cancelled, self.context.server)
            self.forwarding = None
        yield from self.check_killed(True)

    def flow_done(self) -> layer.CommandGenerator[None]:
        switch = self._relay.switched(self.flow)
        if switch is None:
            self._relay.closed(self.flow)
            return super().flow_done()
        return self._switch(switch(self.context))

    def _switch(self, child: layer.Layer) -> layer.CommandGenerator[None]:
        """As the base class does it, with another layer. The end of the message comes behind it, since data
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
            self._relay.closed(self.flow)
            yield DropStream(self.stream_id)
        return killed

    def handle_protocol_error(
        self, event: RequestProtocolError | ResponseProtocolError
    ) -> layer.CommandGenerator[None]:
        """The client has left, or the responder aborts. The base class would tell a server we have not."""
        if self._sink is None:
            yield from self._without_responder(event)
            return
        self._detach()
        self.client_state = self.server_state = self.state_errored
        self.flow.error = self.flow.error or Error(event.message)
        if isinstance(event, ResponseProtocolError):
            yield SendHttp(event, self.context.client)
        yield HttpErrorHook(self.flow)
        self.flow.live = False
        self._relay.closed(self.flow)
        yield DropStream(self.stream_id)

    def _without_responder(
        self, event: RequestProtocolError | ResponseProtocolError
    ) -> layer.CommandGenerator[None]:
        forwarding, is_silent = self.forwarding, self.flow.response is None and self.flow.error is None
        if forwarding is not None and is_silent and isinstance(event, ResponseProtocolError):
            self._unanswered(forwarding, event.message)
            return
        yield from super().handle_protocol_error(event)
        self._relay.closed(self.flow)

    def _cancel(self) -> None:
        """Cancel the responder, once: a second time would interrupt what it does on its way out."""
        task, self._task = self._task, None
        if task is not None:
            task.cancel()

    def _detach(self) -> None:
        """The response is over: later pushes are ignored, a client that leaves cancels nothing any more."""
        if self._sink is None:
            return
        self._stop_buffering()
        self._sink = self._task = None
        if self.flow.response is not None:
            self.flow.response.data.content = bytes(self._kept)
            if self.flow.metadata.get(TRUNCATED_KEY):
                cut = f"the answer is not shown whole: its first {BODY_LIMIT} bytes"
                self.flow.comment = "\n".join(filter(None, (self.flow.comment, cut)))
        self._kept.clear()

    def congestion(self) -> asyncio.Event | None:
        """Set when HTTP/2 flow control has let this stream's bytes go; None if it holds none back."""
        return self._http_layer.congestion(self.stream_id)


class RelayHttpLayer(HttpLayer):
    """An HttpLayer whose streams are RelayStreams.  Made from an HttpLayer by `adopt`, never constructed."""

    relay: "Relay"
    handler: ConnectionHandler | None
    _congested: dict[int, asyncio.Event]
    _opened: int  # streams, by what came last

    @classmethod
    def adopt(cls, http_layer: HttpLayer, relay: "Relay", handler: ConnectionHandler | None = None) -> None:
        """Turn a layer that has not seen an event yet into one of ours, where it stands in its stack.

        `handler` is that of its connection where the proxyserver add-on does not know it.
        """
        http_layer.__class__ = cls
        assert isinstance(http_layer, cls)
        http_layer.relay, http_layer.handler = relay, handler
        http_layer._congested = {}
        http_layer._opened = 0

    def make_stream(self, stream_id: int) -> layer.CommandGenerator[None]:
        self._opened += 1
        if self._opened > MOST_OPENED:
            if self._opened == MOST_OPENED + 1:
                yield commands.CloseConnection(self.context.client)
            return
        stream = RelayStream(self.context.fork(), stream_id, self)
        self.streams[stream_id] = stream
        yield from self.event_to_child(stream, events.Start())

    def _handle_event(self, event: events.Event) -> layer.CommandGenerator[None]:
        if isinstance(event, Push):
            return self.event_to_child(event.hops[self], event)
        if isinstance(event, events.Start):
            self._bound_client()
        self._opened = 0
        handled = _unquoted(super()._handle_event(event))
        return self._relieve(handled) if self._congested else handled

    def _bound_client(self) -> None:
        """The base class takes what is here already, as it does for replays."""
        client = self.context.client
        if client.transport_protocol == "tcp" and client.alpn != b"h2":
            self.connections.setdefault(client, ClientHttp1(self.context.fork()))

    def event_to_child(
        self, child: layer.Layer | HttpStream, event: events.Event
    ) -> layer.CommandGenerator[None]:
        if isinstance(event, RequestTrailers) and isinstance(child, HttpStream):
            return _nothing()  # they may hold a key, and no HTTP/1.1 server gets them
        # A stream's own RequestHeaders come from the client; those for a connection are about to leave.
        if isinstance(event, RequestHeaders) and not isinstance(child, HttpStream):
            event = self._as_it_leaves(event)
        return super().event_to_child(child, event)

    def _as_it_leaves(self, event: RequestHeaders) -> RequestHeaders:
        stream = self.streams[event.stream_id]
        head = event.request
        if isinstance(stream, RelayStream) and stream.forwarding is not None:
            head = stream.forwarding.head(head.copy())
        if not event.end_stream and not is_framed(head.headers) and stream.flow.server_conn.alpn != b"h2":
            head = head.copy()  # an HTTP/1.1 server would take a body of unsaid length for a second request
            head.headers["transfer-encoding"] = "chunked"
        return RequestHeaders(event.stream_id, head, event.end_stream)

    def congestion(self, stream_id: int) -> asyncio.Event | None:
        """Set when HTTP/2 flow control has let the stream's bytes go; None if it holds none back."""
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


class Relay:
    """The registry: which flows are ours until they leave, and which responders run. One per add-on."""

    def __init__(self, planner: Planner) -> None:
        self._planner = planner
        self._open: dict[str, Killable] = {}
        self._tasks: set[asyncio.Task[None]] = set()
        self._whole: WeakSet[Flow] = WeakSet()
        self._switches: WeakKeyDictionary[Flow, Switch] = WeakKeyDictionary()
        self._sent: WeakKeyDictionary[Flow, Sent] = WeakKeyDictionary()

    def buffers(self, flow: http.HTTPFlow) -> float:
        return self._planner.buffers(flow)

    def sent(self, flow: http.HTTPFlow) -> None:
        """All of this flow's response has gone out as it stands, before any hook got it whole. Of others than
        ours nothing is noted."""
        if flow.id in self._open and flow.response is not None:
            self._sent[flow] = Sent.of(flow.response)

    def put_back(self, flow: http.HTTPFlow, *, for_good: bool = True) -> bool:
        """Whether an edit that was not sent had to be taken back; `for_good`: no hook comes after this."""
        sent = self._sent.get(flow)
        if sent is None or (flow.response is not None and sent == Sent.of(flow.response)):
            edited = False
        else:
            sent.write(flow)
            edited = True
        if for_good:
            self._sent.pop(flow, None)
        return edited

    def streams(self, flow: http.HTTPFlow) -> bool:
        return self._planner.streams(flow)

    def too_long(self, flow: http.HTTPFlow, size: int) -> Responder | None:
        responder = self._planner.too_long(flow, size)
        if responder is not None:
            self._whole.discard(flow)
        return responder

    def plan(self, flow: http.HTTPFlow) -> Responder | Forwarding | None:
        """What becomes of a flow whose request is here as it leaves; its collecting ends by this."""
        plan = self._planner.plan(flow)
        self._whole.discard(flow)
        if plan is not None:
            self._watch(flow)
        elif flow not in self._switches:
            _unwatch(flow)
        return plan

    def switch(self, flow: http.HTTPFlow, make: Switch) -> None:
        """Let what follows a flow's 101, of an add-on or of its server, go to a layer of ours."""
        self._switches[flow] = make
        self._watch(flow)

    def switched(self, flow: http.HTTPFlow) -> Switch | None:
        """The registration of a flow, which ends by this; None too if another answer took its 101's place."""
        make = self._switches.pop(flow, None)
        if make is None or (flow.response is not None and flow.response.status_code == 101):
            return make
        _unwatch(flow)
        return None

    def collect(self, flow: http.HTTPFlow) -> None:
        """Let this request's body come whole, whatever mitmproxy would stream for its size."""
        flow.request.stream = False
        self._whole.add(flow)
        self._watch(flow)

    def is_collected(self, flow: http.HTTPFlow) -> bool:
        return flow in self._whole

    def next_layer(self, nextlayer: layer.NextLayer) -> None:
        """Let mitmproxy choose the layers now (a script's hook runs before its own); adopt the HTTP ones."""
        builtin = addon("nextlayer")
        if builtin is not None:
            builtin._get_host_header = named_host
            builtin.next_layer(nextlayer)
        if nextlayer.layer is None and _is_endless(nextlayer):
            nextlayer.layer = HttpLayer(nextlayer.context, HTTPMode.transparent)
        if isinstance(nextlayer.layer, TCPLayer) and self._must_be_http(nextlayer.context):
            nextlayer.context.layers.remove(nextlayer.layer)
            nextlayer.layer = None
            nextlayer.layer = _instead_of_tcp(nextlayer)
        for each in nextlayer.context.layers:
            if type(each) is HttpLayer:
                RelayHttpLayer.adopt(each, self)

    def _must_be_http(self, context: Context) -> bool:
        """mitmproxy takes a connection that begins with a byte or two for no HTTP at all."""
        address = context.server.address
        if address is None:
            return False
        hosts, port = filter(None, (address[0], context.client.sni)), address[1]
        owned = [host for host in hosts if self._planner.speaks_http(host, port)]
        return any(owned) and not any(_is_left_alone(f"{host}:{port}") for host in owned)

    def update(self, flows: Sequence[Flow]) -> None:
        """Stop what the user has killed, and drop registrations that will not be used any more.

        mitmproxy runs the update hook after every other hook of a flow, so this sees each flow's end.
        """
        for each in flows:
            if _is_killed(each):
                self._stop(each)
            if _is_answered(each) and each in self._whole:
                self._whole.discard(each)
                _unwatch(each)
            if each.error is not None and self._switches.pop(each, None) is not None:
                _unwatch(each)

    def active(self) -> int:
        """How many responders are running, those included that were cancelled and have not returned yet."""
        return len(self._tasks)

    def opened(self, flow: http.HTTPFlow, stream: Killable) -> None:
        """A flow's response is ours from now on."""
        self._open[flow.id] = stream

    def closed(self, flow: http.HTTPFlow) -> None:
        """Nothing more will come of this flow (also called for flows that are not ours)."""
        if self._open.pop(flow.id, None) is not None:
            _unwatch(flow)

    def started(self, task: asyncio.Task[None]) -> None:
        """Count a responder's task until it is done."""
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)

    def _watch(self, flow: http.HTTPFlow) -> None:
        """Notice `flow.kill()` at once: mitmweb and scripts call it without an update hook."""

        def kill() -> None:
            http.HTTPFlow.kill(flow)  # type: ignore[no-untyped-call]  # mitmproxy has no types here
            self._stop(flow)

        flow.kill = kill  # type: ignore[method-assign]  # on this one flow, until it is closed

    def _stop(self, flow: Flow) -> None:
        stream = self._open.get(flow.id)
        if stream is not None:
            stream.kill()
        if stream is not None or flow in self._whole or flow in self._switches:
            flow.intercepted = True  # kill() leaves a paused hook waiting for ever, resume() wakes it
            flow.resume()  # type: ignore[no-untyped-call]  # mitmproxy has no types here


def _is_left_alone(host: str) -> bool:
    """Whether the user has said so of a host and its port."""
    patterns = (*ctx.options.ignore_hosts, *ctx.options.tcp_hosts)
    return any(re.search(each, host, re.IGNORECASE) for each in patterns)


def _instead_of_tcp(nextlayer: layer.NextLayer) -> layer.Layer:
    """HTTP. Raises AddonHalt, by which nobody else is asked now, where TLS may come of what came."""
    data: bytes = nextlayer.data_client()  # type: ignore[no-untyped-call]  # mitmproxy has no types here
    if data[:1] == _TLS_HANDSHAKE and len(data) < _TLS_KNOWN:
        raise AddonHalt
    return HttpLayer(nextlayer.context, HTTPMode.transparent)


def _is_endless(nextlayer: layer.NextLayer) -> bool:
    """Whether so much has come that what is still waited for will not come: HTTP then refuses it."""
    data: bytes = nextlayer.data_client()  # type: ignore[no-untyped-call]  # mitmproxy has no types here
    return len(data) > LONGEST_HEAD


def _is_answer(event: events.Event) -> bool:
    return isinstance(event, ResponseHeaders | ResponseData | ResponseTrailers | ResponseEndOfMessage)


def _looked_at(event: events.Event, screen: Screen) -> Iterator[HttpEvent]:
    match event:
        case ResponseHeaders():
            screen.head(event.response)
            yield event
        case ResponseData():
            if data := screen.feed(event.data):
                yield ResponseData(event.stream_id, data)
        case ResponseTrailers() | ResponseEndOfMessage():
            if data := screen.rest():
                yield ResponseData(event.stream_id, data)
            if isinstance(event, ResponseTrailers):
                event.trailers = screen.trailers(event.trailers)
            yield event


def _unquoted(handled: layer.CommandGenerator[None]) -> layer.CommandGenerator[None]:
    """mitmproxy logs bytes that it could not read as they are."""
    for command in handled:
        if isinstance(command, commands.Log):
            command.message = unquoted(command.message)
        yield command


def _is_killed(flow: Flow) -> bool:
    return flow.error is not None and flow.error.msg == Error.KILLED_MESSAGE


def _is_answered(flow: Flow) -> bool:
    return flow.error is not None or (isinstance(flow, http.HTTPFlow) and flow.response is not None)


def _unwatch(flow: Flow) -> None:
    vars(flow).pop("kill", None)


def _name(flow: http.HTTPFlow) -> str:
    """For a log line: method, host and path; a query may hold a key."""
    return f"{flow.request.method} {flow.request.pretty_host}{flow.request.path.partition('?')[0]}"


def _nothing() -> layer.CommandGenerator[None]:
    yield from ()

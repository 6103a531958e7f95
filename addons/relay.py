"""A response that a task of ours streams inside mitmproxy, and requests that leave with another head.

mitmproxy itself can neither stream a response that it did not receive, nor notice silence, nor act when a
server vanishes: a `stream` callable is synchronous and runs only when bytes arrive. So layers are subclassed:

* `next_layer` turns every HttpLayer on the stack into a RelayHttpLayer, whose streams are RelayStreams.
* `RelayStream.make_server_connection` is reached right after the `request` hook (and after a user's intercept
  and resume). If a responder is registered for the flow, no connection is made: a task starts instead.
* The task's Sink puts Push events into the connection handler. They travel down through the layers like bytes
  from a socket would, so the commands they lead to travel up again through the same layers (TLS above all).
  While a hook is paused, mitmproxy's Layer queues them in order.
* A client that leaves is a RequestProtocolError for the stream. It cancels the task at once, also where the
  event itself has to queue behind a paused hook.

Internals of mitmproxy 12.2 that this file leans on, to be checked at an upgrade:
`HttpStream`: make_server_connection, start_request_stream, state_wait_for_response_headers, send_response,
flow_done, child_layer, passthrough, check_killed, handle_protocol_error, client_state, server_state;
`HttpLayer`: streams, connections, make_stream, event_to_child, get_connection (through GetHttpConnection);
`Layer`: handle_event calls _handle_event, and queues events while a blocking command is pending;
`Context.layers`: from the outermost layer to the innermost, an HttpStream right behind its HttpLayer;
`ConnectionHandler`: server_event, transports; the proxyserver add-on's `connections`; the nextlayer add-on;
`Http2Server.h2_conn.stream_buffers`: bytes that HTTP/2 flow control holds back;
`Flow.kill` sets error and live and wakes nobody; `Flow.wait_for_resume` is woken by `resume` alone.
"""

import asyncio
import logging
import time
from collections.abc import Callable, Coroutine, Mapping, Sequence
from dataclasses import dataclass
from itertools import pairwise
from typing import Any, Protocol, assert_never
from weakref import WeakKeyDictionary, WeakSet

from mitmproxy import ctx, http
from mitmproxy.connection import Client
from mitmproxy.flow import Error, Flow
from mitmproxy.net.server_spec import ServerSpec
from mitmproxy.proxy import events, layer
from mitmproxy.proxy.context import Context
from mitmproxy.proxy.layers.http import (
    DropStream,
    GetHttpConnection,
    HttpLayer,
    HttpStream,
    SendHttp,
)
from mitmproxy.proxy.layers.http._events import (
    ErrorCode,
    RequestHeaders,
    RequestProtocolError,
    ResponseData,
    ResponseEndOfMessage,
    ResponseHeaders,
    ResponseProtocolError,
)
from mitmproxy.proxy.layers.http._hooks import HttpErrorHook, HttpResponseHeadersHook
from mitmproxy.proxy.layers.http._http2 import Http2Server
from mitmproxy.proxy.server import ConnectionHandler
from mitmproxy.utils import asyncio_utils

BODY_LIMIT = 4 * 1024 * 1024
"""Bytes of a relayed body that are kept in the flow for the inspector."""

TRUNCATED_KEY = "rotator_body_truncated"
"""Set to True in `flow.metadata` when the kept body is only the first part of what was sent."""

log = logging.getLogger("rotator.relay")

type Responder = Callable[[Sink], Coroutine[None, None, None]]
type Switch = Callable[[Context], layer.Layer]
"""Makes the layer that a connection goes to behind a 101."""


class Killable(Protocol):
    """What is to stop when the user kills its flow."""

    def kill(self) -> None: ...


@dataclass(frozen=True, slots=True)
class Forwarding:
    """How a passed-through request leaves.

    `address` (host, port) and `tls` say where to, `via` through which proxy if not through mitmproxy's own.
    `head` gets a copy of the request and returns the head as it leaves; it may change and return what it
    got, which never reaches `flow.request`. It must not raise.
    """

    address: tuple[str, int]
    tls: bool
    head: Callable[[http.Request], http.Request]
    via: ServerSpec | None = None


@dataclass(frozen=True, slots=True)
class _End:
    """The message is complete."""


@dataclass(frozen=True, slots=True)
class _Abort:
    """The response is to be broken, for this reason."""

    message: str


@dataclass(frozen=True, slots=True)
class _Kill:
    """The user has killed the flow."""


type _Payload = bytes | http.Response | _End | _Abort | _Kill
type Hops = Mapping[layer.Layer, HttpStream]


@dataclass(eq=False)
class Push[T](events.MessageInjected[T]):
    """Something for one stream. `hops` says for every HttpLayer on the way which of its streams leads there.

    It is a MessageInjected so that an outer HttpLayer that is not a RelayHttpLayer (one that another add-on
    made) hands it down as well.
    """

    hops: Hops


class Sink:
    """What a responder writes its response to; one per flow.

    In order: `start`, any number of `send`, then `end` or `abort`. A call after the end, or after the client
    has left or the user has killed the flow, does nothing.
    """

    def __init__(self, stream: "RelayStream", handler: ConnectionHandler) -> None:
        self._stream = stream
        self._handler = handler
        self._transport = handler.transports.get(stream.context.client)
        self._hops = hops_of(stream.context.layers)
        self._started = False
        self._bodyless = False
        self._closed = False
        self._draining = False
        self._lost = False

    @property
    def draining(self) -> bool:
        """True while `send` or `start` waits for a client that reads slower than we write."""
        return self._draining

    @property
    def closed(self) -> bool:
        """True once `end` or `abort` was called."""
        return self._closed

    async def start(self, status: int, reason: bytes, headers: Sequence[tuple[bytes, bytes]]) -> None:
        """Send the response head.

        `headers` go out in order and case (HTTP/2: in lower case, without connection headers).  A client of
        HTTP/1.1 gets `transfer-encoding: chunked` where there is no content-length: else the end of the body
        could be told only by closing the connection.
        """
        request = self._stream.flow.request
        head = http.Headers(headers)
        never_a_body = status in (204, 304)
        if request.is_http11 and not never_a_body and not _is_framed(head):
            head.add("transfer-encoding", "chunked")
        self._bodyless = never_a_body or request.method == "HEAD"
        self._started = True
        await self._push(http.Response(b"HTTP/1.1", status, reason, head, None, None, time.time(), None))
        await self._drain()

    async def send(self, data: bytes) -> None:
        """Send body bytes as one write; return when the client's buffers have room again.

        Raises:
            RuntimeError: before `start`.
        """
        if not self._started:
            raise RuntimeError("send() before start()")
        if not data or self._bodyless:  # an empty chunk would end a chunked body
            return
        await self._push(data)
        await self._drain()

    async def end(self) -> None:
        """End the message properly; the flow's response hook runs.

        Raises:
            RuntimeError: before `start`.
        """
        if not self._started:
            raise RuntimeError("end() before start()")
        await self._close(_End())

    async def abort(self, message: str) -> None:
        """Break the response visibly (RST_STREAM or a closed connection); the flow's error hook runs."""
        await self._close(_Abort(message))

    async def kill(self) -> None:
        """Break the response because the user has killed the flow, whatever was called before."""
        await self._push(_Kill())

    async def _close(self, payload: _End | _Abort) -> None:
        if not self._closed:
            self._closed = True
            await self._push(payload)

    async def _push(self, payload: _Payload) -> None:
        await self._handler.server_event(Push(self._stream.flow, payload, self._hops))

    async def _drain(self) -> None:
        """Wait for the socket's buffer, then for HTTP/2 flow control.

        Only the client's writer is asked, unlike ConnectionHandler.drain_writers: a slow upstream of another
        stream on the connection is none of our business.
        """
        if self._transport is None or self._transport.writer is None:
            return
        self._draining = True
        try:
            await self._transport.writer.drain()
            relief = self._stream.congestion()
            if relief is not None:
                await relief.wait()
        except OSError as error:
            # As drain_writers does: the handler then reports the loss to the layers, and they cancel us.
            # Once: a second time would interrupt the report.
            handler = None if self._lost else self._transport.handler
            self._lost = True
            if handler is not None:
                handler.cancel(f"Error sending data: {error}")
        finally:
            self._draining = False


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

    def handle_event(self, event: events.Event) -> layer.CommandGenerator[None]:
        if isinstance(event, RequestProtocolError):
            self._cancel()  # at once: the event itself may have to queue behind a paused hook
        return super().handle_event(event)

    def _handle_event(self, event: events.Event) -> layer.CommandGenerator[None]:
        if isinstance(event, Push):
            return self._pushed(event.message)
        handled: layer.CommandGenerator[None] = super()._handle_event(event)
        return handled

    def make_server_connection(self) -> layer.CommandGenerator[bool]:
        plan = self._relay.take(self.flow)
        if plan is None:
            return (yield from super().make_server_connection())
        if isinstance(plan, Forwarding):
            return (yield from self._connect(plan))
        self._respond(plan)
        return False  # to the base class: not connected, and nothing more to do

    def _connect(self, forwarding: Forwarding) -> layer.CommandGenerator[bool]:
        self.forwarding = forwarding
        server = self.flow.server_conn
        connection, error = yield GetHttpConnection(
            forwarding.address, forwarding.tls, forwarding.via or server.via, server.transport_protocol
        )
        if error:
            failed = ResponseProtocolError(self.stream_id, error, ErrorCode.CONNECT_FAILED)
            yield from self.handle_protocol_error(failed)
            return False
        self.context.server = self.flow.server_conn = connection
        return True

    def check_body_size(self, request: bool) -> layer.CommandGenerator[bool]:
        """mitmproxy begins to stream a body that grows too large, and would forward it by itself."""
        if request and self._relay.is_collected(self.flow):
            return False
        return (yield from super().check_body_size(request))

    def start_request_stream(self) -> layer.CommandGenerator[None]:
        if self.flow.response:
            # Another add-on has answered in its requestheaders hook (a 407, say); the base class would raise.
            self.client_state = self.state_consume_request_body
            return
        yield from super().start_request_stream()

    def state_wait_for_response_headers(self, event: ResponseHeaders) -> layer.CommandGenerator[None]:
        if self.forwarding is not None:
            event.response.stream = True
        handled: layer.CommandGenerator[None] = super().state_wait_for_response_headers(event)
        return handled

    def _respond(self, responder: Responder) -> None:
        self._sink = Sink(self, handler_of(self.context.client))
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
            log.error("responder for %s failed: %s", _name(self.flow), _place(error))
        if self._sink is None or self._sink.closed:
            return
        if error is None and not task.cancelled():
            log.error("responder for %s returned without end() or abort()", _name(self.flow))
        self._spawn(self._sink.abort("The response was not completed."))

    def kill(self) -> None:
        """Stop the responder and break the response; the user has killed the flow."""
        self._cancel()
        if self._sink is not None:
            self._spawn(self._sink.kill())

    def _spawn(self, coroutine: Coroutine[None, None, None]) -> None:
        asyncio_utils.create_task(coroutine, name="relay", keep_ref=True, client=self.context.client.peername)

    def _pushed(self, payload: _Payload) -> layer.CommandGenerator[None]:
        if self._sink is None:
            return _nothing()  # the response is over; the responder does not know yet
        match payload:
            case bytes():
                return self._data(payload)
            case http.Response():
                return self._head(payload)
            case _End():
                return self._end()
            case _Abort(message):
                return self.handle_protocol_error(
                    ResponseProtocolError(self.stream_id, message, ErrorCode.KILL)
                )
            case _Kill():
                return self._killed()
            case _:
                assert_never(payload)

    def _head(self, response: http.Response) -> layer.CommandGenerator[None]:
        self.flow.response = response
        yield HttpResponseHeadersHook(self.flow)
        if (yield from self.check_killed(True)):
            return
        yield SendHttp(ResponseHeaders(self.stream_id, self.flow.response), self.context.client)

    def _data(self, data: bytes) -> layer.CommandGenerator[None]:
        room = BODY_LIMIT - len(self._kept)
        self._kept += data[:room]
        if len(data) > room:
            self.flow.metadata[TRUNCATED_KEY] = True
        yield SendHttp(ResponseData(self.stream_id, data), self.context.client)

    def _end(self) -> layer.CommandGenerator[None]:
        self._detach()
        yield from self.send_response(already_streamed=True)

    def _killed(self) -> layer.CommandGenerator[None]:
        yield from self.check_killed(True)

    def flow_done(self) -> layer.CommandGenerator[None]:
        self._relay.closed(self.flow)
        switch = self._relay.switched(self.flow)
        if switch is None:
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
            yield from super().handle_protocol_error(event)
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

    def _cancel(self) -> None:
        """Cancel the responder, once: a second time would interrupt what it does on its way out."""
        task, self._task = self._task, None
        if task is not None:
            task.cancel()

    def _detach(self) -> None:
        """The response is over: later pushes are ignored, a client that leaves cancels nothing any more."""
        if self._sink is None:
            return
        self._sink = self._task = None
        if self.flow.response is not None:
            self.flow.response.data.content = bytes(self._kept)
        self._kept.clear()

    def congestion(self) -> asyncio.Event | None:
        """Set when HTTP/2 flow control has let this stream's bytes go; None if it holds none back."""
        return self._http_layer.congestion(self.stream_id)


class RelayHttpLayer(HttpLayer):
    """An HttpLayer whose streams are RelayStreams.  Made from an HttpLayer by `adopt`, never constructed."""

    relay: "Relay"
    _congested: dict[int, asyncio.Event]

    @classmethod
    def adopt(cls, http_layer: HttpLayer, relay: "Relay") -> None:
        """Turn a layer that has not seen an event yet into one of ours, where it stands in its stack."""
        http_layer.__class__ = cls
        assert isinstance(http_layer, cls)
        http_layer.relay = relay
        http_layer._congested = {}

    def make_stream(self, stream_id: int) -> layer.CommandGenerator[None]:
        stream = RelayStream(self.context.fork(), stream_id, self)
        self.streams[stream_id] = stream
        yield from self.event_to_child(stream, events.Start())

    def _handle_event(self, event: events.Event) -> layer.CommandGenerator[None]:
        if isinstance(event, Push):
            return self.event_to_child(event.hops[self], event)
        handled: layer.CommandGenerator[None] = super()._handle_event(event)
        return self._relieve(handled) if self._congested else handled

    def event_to_child(
        self, child: layer.Layer | HttpStream, event: events.Event
    ) -> layer.CommandGenerator[None]:
        # A stream's own RequestHeaders come from the client; those for a connection are about to leave.
        if isinstance(event, RequestHeaders) and not isinstance(child, HttpStream):
            event = self._as_it_leaves(event)
        return super().event_to_child(child, event)

    def _as_it_leaves(self, event: RequestHeaders) -> RequestHeaders:
        stream = self.streams[event.stream_id]
        if not isinstance(stream, RelayStream) or stream.forwarding is None:
            return event
        head = stream.forwarding.head(event.request.copy())
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
    """The registry: which flows are answered or forwarded by us, and which responders run. One per add-on."""

    def __init__(self) -> None:
        self._plans: WeakKeyDictionary[Flow, Responder | Forwarding] = WeakKeyDictionary()
        self._open: dict[str, Killable] = {}
        self._tasks: set[asyncio.Task[None]] = set()
        self._whole: WeakSet[Flow] = WeakSet()
        self._switches: WeakKeyDictionary[Flow, Switch] = WeakKeyDictionary()

    def respond(self, flow: http.HTTPFlow, responder: Responder) -> None:
        """Let `responder` answer this flow. To be called from the request hook (request not streamed)."""
        self._plans[flow] = responder
        self._watch(flow)

    def forward(self, flow: http.HTTPFlow, forwarding: Forwarding) -> None:
        """Let mitmproxy forward this flow, streamed both ways. To be called from the requestheaders hook."""
        flow.request.stream = True
        self._plans[flow] = forwarding

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

    def is_collected(self, flow: http.HTTPFlow) -> bool:
        return flow in self._whole

    def next_layer(self, nextlayer: layer.NextLayer) -> None:
        """Let mitmproxy choose the layers now (a script's hook runs before its own); adopt the HTTP ones."""
        builtin = _addon("nextlayer")
        if builtin is not None:
            builtin.next_layer(nextlayer)
        for each in nextlayer.context.layers:
            if type(each) is HttpLayer:
                RelayHttpLayer.adopt(each, self)

    def update(self, flows: Sequence[Flow]) -> None:
        """Stop what the user has killed, and drop registrations that will not be used any more.

        mitmproxy runs the update hook after every other hook of a flow, so this sees each flow's end, also
        that of a replayed flow, which never reaches our layers.
        """
        for each in flows:
            if _is_killed(each):
                self._stop(each)
            if _is_answered(each) and self._plans.pop(each, None) is not None:
                _unwatch(each)
            if each.error is not None and self._switches.pop(each, None) is not None:
                _unwatch(each)

    def active(self) -> int:
        """How many responders are running, those included that were cancelled and have not returned yet."""
        return len(self._tasks)

    def take(self, flow: http.HTTPFlow) -> Responder | Forwarding | None:
        """The registration of a flow, which ends by this."""
        return self._plans.pop(flow, None)

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
        if stream is not None or flow in self._plans or flow in self._switches:
            flow.intercepted = True  # kill() leaves a paused hook waiting for ever, resume() wakes it
            flow.resume()  # type: ignore[no-untyped-call]  # mitmproxy has no types here


def handler_of(client: Client) -> ConnectionHandler:
    """The handler of a client connection, found as the proxyserver add-on finds it to inject a message."""
    is_udp = client.transport_protocol == "udp"
    key = (client.peername, client.sockname) if is_udp else client.id
    handler = _addon("proxyserver").connections[key]
    assert isinstance(handler, ConnectionHandler)
    return handler


def _addon(name: str) -> Any:
    return ctx.master.addons.get(name)  # type: ignore[no-untyped-call]  # mitmproxy has no types here


def hops_of(layers: Sequence[layer.Layer]) -> Hops:
    """From an inner stream's stack: the stream in each HttpLayer that leads to it, itself included."""
    return {
        outer: inner
        for outer, inner in pairwise(layers)
        if isinstance(outer, HttpLayer) and isinstance(inner, HttpStream)
    }


def _is_framed(headers: http.Headers) -> bool:
    return "content-length" in headers or "transfer-encoding" in headers


def _is_killed(flow: Flow) -> bool:
    return flow.error is not None and flow.error.msg == Error.KILLED_MESSAGE


def _is_answered(flow: Flow) -> bool:
    return flow.error is not None or (isinstance(flow, http.HTTPFlow) and flow.response is not None)


def _unwatch(flow: Flow) -> None:
    vars(flow).pop("kill", None)


def _name(flow: http.HTTPFlow) -> str:
    """For a log line: method, host and path; a query may hold a key."""
    return f"{flow.request.method} {flow.request.pretty_host}{flow.request.path.partition('?')[0]}"


def _place(error: BaseException) -> str:
    """For a log line: what was raised, and where. Not its text: h11 quotes an illegal header value there."""
    trace = error.__traceback__
    while trace is not None and trace.tb_next is not None:
        trace = trace.tb_next
    if trace is None:
        return type(error).__name__
    return f"{type(error).__name__} at {trace.tb_frame.f_code.co_filename}:{trace.tb_lineno}"


def _nothing() -> layer.CommandGenerator[None]:
    yield from ()

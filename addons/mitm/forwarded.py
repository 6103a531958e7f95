"""Requests that leave with another head, and their answers until anybody may see them, hooks included.

A call that a responder answers never comes here.

Internals of mitmproxy 12.2 that this file leans on, to be checked at an upgrade:
`HttpStream`: start_request_stream, state_wait_for_response_headers, handle_protocol_error, client_state,
server_state;
`HttpLayer`: get_connection (through GetHttpConnection);
`Http1Client` writes chunks where the head says so, whatever version the request came in;
`ConnectionHandler`: transports, server_event.
And of asyncio: it calls a reader's `set_exception` before it closes the socket, and a read after that raises,
whatever is in `_buffer`.
"""

import asyncio
import logging
import os
from collections.abc import Iterator

from mitmproxy import http
from mitmproxy.connection import Connection
from mitmproxy.proxy import events, layer
from mitmproxy.proxy.events import DataReceived
from mitmproxy.proxy.layers.http import GetHttpConnection, HttpStream, SendHttp
from mitmproxy.proxy.layers.http._events import (
    ErrorCode,
    HttpEvent,
    RequestEndOfMessage,
    RequestHeaders,
    RequestProtocolError,
    ResponseData,
    ResponseEndOfMessage,
    ResponseHeaders,
    ResponseProtocolError,
    ResponseTrailers,
)
from mitmproxy.proxy.server import ConnectionHandler
from mitmproxy.utils import asyncio_utils

from addons.mitm.dispatch import Forwarding, Responder, Screen
from addons.mitm.flows import FlowRegistry, name_of
from addons.mitm.sink import Sink, is_framed
from addons.secrets.redaction import fault

_MOST = 1 << 20
"""Bytes that are read when a server has hung up."""

log = logging.getLogger("rotator.relay")


class ForwardedStream(HttpStream):
    """A request's way to its server, and its answer's way back, as `forwarding` says."""

    flows: FlowRegistry
    forwarding: Forwarding | None = None
    sink: Sink | None = None
    """Of a responder, while its response is open."""

    def respond(self, responder: Responder) -> None:
        """Let an answer of ours take the place of the server's."""
        raise NotImplementedError

    # -- the request ----------------------------------------------------------------------------------

    def connect(self, forwarding: Forwarding, handler: ConnectionHandler) -> layer.CommandGenerator[bool]:
        """Whether its server is connected; where it is not, an answer of ours takes its place."""
        self.forwarding = forwarding
        server = self.flow.server_conn
        connection, error = yield GetHttpConnection(
            forwarding.address, forwarding.tls, forwarding.via or server.via, server.transport_protocol
        )
        if error:
            self._unanswered(forwarding, error)
            return False
        self.context.server = self.flow.server_conn = connection
        keep_last_words(handler, connection)
        return True

    def _unanswered(self, forwarding: Forwarding, message: str) -> None:
        """The server gave no answer, so that one of ours takes its place."""
        self.forwarding = None
        self.server_state = self.state_errored  # what it may still say comes too late
        if self.client_state == self.state_stream_request_body:
            self.client_state = self.state_discard_request_body
        self.respond(forwarding.failed(message))

    def start_request_stream(self) -> layer.CommandGenerator[None]:
        """Other add-ons, and mitmproxy itself for large bodies, ask for this; the Dispatcher may say no.

        Where an add-on has answered in its requestheaders hook (a 407, say) the base class would raise.
        """
        if self.flow.response or not self.flows.streams(self.flow):
            self.flows.collect(self.flow)
            self.client_state = self.state_consume_request_body
            return
        yield from super().start_request_stream()
        if self.sink is not None:
            self.client_state = self.state_discard_request_body

    def state_discard_request_body(self, event: events.Event) -> layer.CommandGenerator[None]:
        """The response does not need what else comes of the request."""
        if isinstance(event, RequestEndOfMessage):
            self.client_state = self.state_done
            if self.server_state == self.state_done:
                yield from self.flow_done()

    def as_it_leaves(self, event: RequestHeaders) -> RequestHeaders:
        """The head of the request for its server."""
        head = event.request
        if self.forwarding is not None:
            head = self.forwarding.head(head.copy())
        if not event.end_stream and not is_framed(head.headers) and self.flow.server_conn.alpn != b"h2":
            head = head.copy()  # an HTTP/1.1 server would take a body of unsaid length for a second request
            head.headers["transfer-encoding"] = "chunked"
        return RequestHeaders(event.stream_id, head, event.end_stream)

    # -- the answer -----------------------------------------------------------------------------------

    def screened(self, event: events.Event, screen: Screen) -> layer.CommandGenerator[None]:
        """What is left of an answer's event when it was looked at, before any add-on has seen it."""
        if isinstance(event, ResponseHeaders) and self._opens_a_tunnel(event.response):
            log.error(
                "the answer to %s is withheld: nobody can search the tunnel it opens", name_of(self.flow)
            )
            yield from self._withhold()
            return
        try:
            left = list(_looked_at(event, screen))
        except Exception as error:  # noqa: BLE001  # fails closed: an answer that is not looked at stays here
            log.error("the answer to %s is withheld: %s", name_of(self.flow), fault(error))
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
        yield self.hang_up(message)
        yield from self.handle_protocol_error(
            ResponseProtocolError(self.stream_id, message, ErrorCode.GENERIC_SERVER_ERROR)
        )

    def hang_up(self, message: str) -> SendHttp:
        """The server need not continue."""
        return SendHttp(RequestProtocolError(self.stream_id, message, ErrorCode.CANCEL), self.context.server)

    def state_wait_for_response_headers(self, event: ResponseHeaders) -> layer.CommandGenerator[None]:
        if self.forwarding is not None:
            self.flow.response = event.response
            event.response.stream = not self.flows.buffers(self.flow)
        handled: layer.CommandGenerator[None] = super().state_wait_for_response_headers(event)
        return handled

    def fail(self, event: RequestProtocolError | ResponseProtocolError) -> layer.CommandGenerator[None]:
        """The client has left, or the server has failed."""
        forwarding, is_silent = self.forwarding, self.flow.response is None and self.flow.error is None
        if forwarding is not None and is_silent and isinstance(event, ResponseProtocolError):
            self._unanswered(forwarding, event.message)
            return
        yield from super().handle_protocol_error(event)
        self.flows.closed(self.flow)


def is_answer(event: events.Event) -> bool:
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
            if data := screen.remainder():
                yield ResponseData(event.stream_id, data)
            if isinstance(event, ResponseTrailers):
                event.trailers = screen.trailers(event.trailers)
            yield event


# -- what a server said before it hung up, where mitmproxy noticed the end by writing ---------------------


def keep_last_words(handler: ConnectionHandler, connection: Connection) -> None:
    """Let the layers have what has arrived on `connection` before they have its end.

    A server that refuses a long request answers and closes at once, with bytes of the request unread. The
    next write then fails, and asyncio's streams drop what has arrived and was not read yet: the answer.
    """
    transport = handler.transports.get(connection)
    reader, writer = (transport.reader, transport.writer) if transport else (None, None)
    if not isinstance(reader, asyncio.StreamReader) or not isinstance(writer, asyncio.StreamWriter):
        return
    if "set_exception" in vars(reader):
        return  # a connection that is used again
    fail = reader.set_exception

    def set_exception(error: Exception) -> None:
        if data := _taken(reader) + _arrived(writer):
            received = handler.server_event(DataReceived(connection, data))
            asyncio_utils.create_task(received, name="last words", keep_ref=True)
        fail(error)

    reader.set_exception = set_exception  # type: ignore[method-assign,assignment]  # on this one connection


def _taken(reader: asyncio.StreamReader) -> bytes:
    buffer: bytearray = reader._buffer  # type: ignore[attr-defined]  # see above
    data = bytes(buffer)
    buffer.clear()
    return data


def _arrived(writer: asyncio.StreamWriter) -> bytes:
    descriptor = writer.get_extra_info("socket").fileno()
    data = b""
    try:
        while descriptor >= 0 and len(data) < _MOST and (more := os.read(descriptor, _MOST)):
            data += more
    except OSError:
        pass  # nothing more is there
    return data

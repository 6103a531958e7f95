"""HTTP/1 as clients speak it, with bounds: mitmproxy keeps all that comes until it makes sense.

Internals of mitmproxy 12.2 that this file leans on, to be checked at an upgrade: `Http1Server`: buf, state,
body_reader, stream_id, request, read_headers, read_body, wait, done, send; a body reader that
gives trailers makes it raise.
And of h11: a `ChunkedReader` gives the end of its body with the trailers.
"""

import re
from dataclasses import replace

import h11
from h11._readers import ChunkedReader
from h11._receivebuffer import ReceiveBuffer
from mitmproxy.proxy import commands, events, layer
from mitmproxy.proxy.context import Context
from mitmproxy.proxy.layers.http._base import ReceiveHttp
from mitmproxy.proxy.layers.http._events import ErrorCode, HttpEvent, RequestProtocolError, ResponseHeaders
from mitmproxy.proxy.layers.http._http1 import Http1Server, make_error_response, should_make_pipe

from addons.mitm.draining import Draining

LONGEST_HEAD = 1 << 16
"""Bytes of a request's head, or of a line about a chunk. What HTTP/2 has is bounded by h2 to as much."""

MOST_LINES = 1_000
"""Lines of a head."""

LONGEST_AHEAD = 64 << 20
"""Bytes that a client may send before the answer to what it asked is over."""

_END = re.compile(rb"\n\r?\n")
_TOO_LONG = f"the head of the request has more than {LONGEST_HEAD} bytes or {MOST_LINES} lines"


class ClientHttp1(Http1Server):
    """What it keeps unread is bounded, and trailers of requests are dropped (RFC 9110, section 6.5.1). Once
    `draining` is on, answers say that no request may follow on their connection."""

    def __init__(self, context: Context, draining: Draining) -> None:
        super().__init__(context)
        self._draining = draining

    def send(self, event: HttpEvent) -> layer.CommandGenerator[None]:
        if self._draining.is_on and isinstance(event, ResponseHeaders):
            event = self._closing(event)
        return super().send(event)

    def _closing(self, event: ResponseHeaders) -> ResponseHeaders:
        """The head, with what says that the connection is closed after it; not of a tunnel that begins."""
        if self.request is None or should_make_pipe(self.request, event.response):
            return event
        response = event.response.copy()
        response.headers["connection"] = "close"
        return replace(event, response=response)

    def read_headers(self, event: events.ConnectionEvent) -> layer.CommandGenerator[None]:
        if isinstance(event, events.DataReceived) and self._head_is_too_long():
            return self._refuse()
        return super().read_headers(event)

    def _refuse(self) -> layer.CommandGenerator[None]:
        yield commands.Log(f"refused: {_TOO_LONG}")
        yield commands.SendData(self.conn, make_error_response(431, _TOO_LONG))
        yield commands.CloseConnection(self.conn)
        self.state = self.done

    def _head_is_too_long(self) -> bool:
        head = bytes(self.buf)[:LONGEST_HEAD]
        end = _END.search(head)
        lines = head.count(b"\n", 0, end.end() if end else None)
        longest = LONGEST_AHEAD if end else LONGEST_HEAD
        return len(self.buf) > longest or lines > MOST_LINES

    def read_body(self, event: events.Event) -> layer.CommandGenerator[None]:
        """A body of a known length leaves nothing unread."""
        if type(self.body_reader) is ChunkedReader:
            self.body_reader = _WithoutTrailers()
        handled = super().read_body(event)
        return self._bounded(handled) if isinstance(self.body_reader, ChunkedReader) else handled

    def _bounded(self, handled: layer.CommandGenerator[None]) -> layer.CommandGenerator[None]:
        yield from handled
        if self.state == self.read_body and len(self.buf) > LONGEST_HEAD:
            yield from self._too_much("a chunk of the request says too much of itself")

    def wait(self, event: events.Event) -> layer.CommandGenerator[None]:
        if isinstance(event, events.DataReceived) and len(self.buf) > LONGEST_AHEAD:
            return self._too_much("the client sends too much ahead of its answer")
        return super().wait(event)

    def _too_much(self, message: str) -> layer.CommandGenerator[None]:
        self.state = self.done
        yield commands.CloseConnection(self.conn)
        yield ReceiveHttp(RequestProtocolError(self.stream_id, message, ErrorCode.GENERIC_CLIENT_ERROR))


class _WithoutTrailers(ChunkedReader):
    """A reader of a chunked body whose end has none."""

    def __call__(self, buf: ReceiveBuffer) -> h11.Data | h11.EndOfMessage | None:
        event = super().__call__(buf)
        return h11.EndOfMessage() if isinstance(event, h11.EndOfMessage) else event

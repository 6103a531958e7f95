"""What a client may send over HTTP/1, and what comes of it."""

import pytest
from mitmproxy.connection import Client, ConnectionState
from mitmproxy.http import Response
from mitmproxy.options import Options
from mitmproxy.proxy import commands, events
from mitmproxy.proxy.context import Context
from mitmproxy.proxy.layers.http._base import ReceiveHttp
from mitmproxy.proxy.layers.http._events import (
    HttpEvent,
    RequestData,
    RequestEndOfMessage,
    RequestHeaders,
    RequestProtocolError,
    RequestTrailers,
    ResponseEndOfMessage,
    ResponseHeaders,
)

from addons.mitm.client_http1 import LONGEST_HEAD, MOST_LINES, ClientHttp1
from addons.mitm.draining import Draining

POST = b"POST / HTTP/1.1\r\nHost: api.test\r\n"
CHUNKED = POST + b"Transfer-Encoding: chunked\r\n\r\n"


class Talk:
    """A connection of a client."""

    def __init__(self) -> None:
        self.draining = Draining()
        self._client = Client(
            peername=("127.0.0.1", 1),
            sockname=("127.0.0.1", 2),
            timestamp_start=0,
            state=ConnectionState.OPEN,
        )
        self._layer = ClientHttp1(Context(self._client, Options()), self.draining)
        self._feed(events.Start())

    def send(self, *pieces: bytes) -> list[commands.Command]:
        """What the layer wants done."""
        return [done for piece in pieces for done in self._feed(events.DataReceived(self._client, piece))]

    def begin(self) -> bytes:
        """The head of an empty answer, as the client gets it."""
        head = Response.make(200, b"", {"content-length": "0"})
        done = self._feed(ResponseHeaders(1, head, False))
        return b"".join(each.data for each in done if isinstance(each, commands.SendData))

    def end(self) -> list[commands.Command]:
        """What the layer wants done at the end of an answer."""
        return self._feed(ResponseEndOfMessage(1))

    def _feed(self, event: events.Event) -> list[commands.Command]:
        return list(self._layer.handle_event(event))


def received(done: list[commands.Command]) -> list[HttpEvent]:
    return [each.event for each in done if isinstance(each, ReceiveHttp)]


def is_closed(done: list[commands.Command]) -> bool:
    return any(isinstance(each, commands.CloseConnection) for each in done)


@pytest.mark.parametrize("size", [1, 1000])
def test_a_chunked_body_comes_without_its_trailers(size: int) -> None:
    data = CHUNKED + b"2\r\nhi\r\n0\r\nX-Api-Key: sk-own\r\n\r\n"
    got = received(Talk().send(*(data[at : at + size] for at in range(0, len(data), size))))
    assert isinstance(got[0], RequestHeaders)
    assert b"".join(each.data for each in got if isinstance(each, RequestData)) == b"hi"
    assert isinstance(got[-1], RequestEndOfMessage)
    assert not [each for each in got if isinstance(each, RequestTrailers)]


def test_a_body_of_a_said_length_comes_whole() -> None:
    got = received(Talk().send(POST + b"Content-Length: 2\r\n\r\nhi"))
    assert [type(each) for each in got] == [RequestHeaders, RequestData, RequestEndOfMessage]


@pytest.mark.parametrize("head", [b"A: " + b"b" * LONGEST_HEAD, b"A: b\r\n" * MOST_LINES])
def test_a_head_that_is_too_long_is_refused(head: bytes) -> None:
    done = Talk().send(POST + head)
    (answer,) = (each for each in done if isinstance(each, commands.SendData))
    assert answer.data.startswith(b"HTTP/1.1 431 ")
    assert is_closed(done)
    assert received(done) == []


def test_a_chunk_whose_line_is_too_long_ends_the_connection() -> None:
    done = Talk().send(CHUNKED, b"2;" + b"x" * LONGEST_HEAD)
    assert isinstance(received(done)[-1], RequestProtocolError)
    assert is_closed(done)


GET = b"GET / HTTP/1.1\r\nHost: api.test\r\n\r\n"


def test_an_answer_does_not_end_the_connection() -> None:
    talk = Talk()
    talk.send(GET)
    assert b"connection" not in talk.begin().lower()
    assert not is_closed(talk.end())


def test_the_head_of_an_answer_while_the_proxy_ends_says_that_no_other_follows() -> None:
    talk = Talk()
    talk.draining.is_on = True
    talk.send(GET)
    assert b"connection: close\r\n" in talk.begin()
    assert is_closed(talk.end())


def test_after_an_answer_that_began_before_its_client_may_ask_once_more() -> None:
    """It could not know, and may have asked already."""
    talk = Talk()
    talk.send(GET)
    assert b"HTTP/1.1 200" in talk.begin()
    talk.draining.is_on = True
    assert not is_closed(talk.end())
    assert isinstance(received(talk.send(GET))[0], RequestHeaders)


def test_a_tunnel_begins_while_the_proxy_ends() -> None:
    talk = Talk()
    talk.draining.is_on = True
    talk.send(b"CONNECT api.test:443 HTTP/1.1\r\nHost: api.test:443\r\n\r\n")
    assert b"connection" not in talk.begin().lower()
    assert not is_closed(talk.end())

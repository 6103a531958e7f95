"""Clients of HTTP/2 that lower the window of an answer while it comes."""

import h2.config
import h2.connection
import h2.events
import pytest
from h2.settings import SettingCodes
from mitmproxy import http
from mitmproxy.addons.proxyserver import Proxyserver
from mitmproxy.connection import Client, ConnectionState
from mitmproxy.options import Options
from mitmproxy.proxy import commands, events
from mitmproxy.proxy.context import Context
from mitmproxy.proxy.layers.http._events import (
    HttpEvent,
    ResponseData,
    ResponseEndOfMessage,
    ResponseHeaders,
)

from addons.mitm.client_http2 import ClientHttp2

FIRST, LONG = b"x" * 10, b"y" * 50_000
PSEUDO = [(":method", "GET"), (":scheme", "https"), (":authority", "api.test"), (":path", "/")]


class Talk:
    """A client that has asked for one thing, and the connection that answers it."""

    def __init__(self) -> None:
        self._peer = Client(
            peername=("127.0.0.1", 1),
            sockname=("127.0.0.1", 2),
            timestamp_start=0,
            state=ConnectionState.OPEN,
        )
        options = Options()
        Proxyserver().load(options)  # type: ignore[no-untyped-call]  # mitmproxy has no types here
        self._layer = ClientHttp2(Context(self._peer, options))
        self._client = h2.connection.H2Connection(h2.config.H2Configuration(header_encoding=False))
        self.data, self.ended = b"", False
        self._client.initiate_connection()
        self._client.send_headers(1, PSEUDO, end_stream=True)
        self._feed(events.Start())
        self._send()

    def window(self, size: int) -> None:
        """Let each stream have so many bytes under way."""
        self._client.update_settings({SettingCodes.INITIAL_WINDOW_SIZE: size})
        self._send()

    def answer(self, *parts: bytes) -> None:
        head = http.Response(b"HTTP/2.0", 200, b"", http.Headers(), None, None, 0, None)
        for each in (ResponseHeaders(1, head), *(ResponseData(1, part) for part in parts)):
            self._feed(each)

    def more(self, *parts: bytes) -> None:
        """The remainder of the answer."""
        for each in (*(ResponseData(1, part) for part in parts), ResponseEndOfMessage(1)):
            self._feed(each)

    def _feed(self, event: events.Event | HttpEvent) -> None:
        for done in self._layer.handle_event(event):
            if isinstance(done, commands.SendData):
                self._received(self._client.receive_data(done.data))

    def _received(self, received: list[h2.events.Event]) -> None:
        for event in received:
            if isinstance(event, h2.events.DataReceived):
                self.data += event.data
            self.ended = self.ended or isinstance(event, h2.events.StreamEnded)

    def _send(self) -> None:
        while data := self._client.data_to_send():
            self._feed(events.DataReceived(self._peer, data))


@pytest.mark.parametrize("parts", [(), (b"z",), (LONG, b"z"), (b"z", LONG, b"z" * 9_000)])
def test_what_comes_while_a_window_is_below_zero_waits_for_it(parts: tuple[bytes, ...]) -> None:
    talk = Talk()
    talk.answer(FIRST)
    talk.window(5)
    talk.more(*parts)
    assert (talk.data, talk.ended) == (FIRST, False)
    talk.window(100_000)
    assert (talk.data, talk.ended) == (FIRST + b"".join(parts), True)


def test_what_is_held_back_already_goes_first() -> None:
    talk = Talk()
    talk.window(8)
    talk.answer(FIRST)
    talk.window(3)
    talk.more(b"later")
    assert talk.data == FIRST[:8]
    talk.window(100)
    assert (talk.data, talk.ended) == (FIRST + b"later", True)

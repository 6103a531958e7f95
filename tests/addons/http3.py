"""A client that speaks HTTP/3, as far as a test needs."""

import asyncio
import ssl

from aioquic.asyncio.client import connect
from aioquic.asyncio.protocol import QuicConnectionProtocol
from aioquic.h3.connection import H3_ALPN, H3Connection
from aioquic.h3.events import DataReceived, H3Event, HeadersReceived
from aioquic.quic.configuration import QuicConfiguration
from aioquic.quic.events import QuicEvent

from tests.addons.mitmdump import PATIENCE


class _Client(QuicConnectionProtocol):
    """One request; `done` is set when its answer has ended."""

    def __init__(self, *args: object, **named: object) -> None:
        super().__init__(*args, **named)  # type: ignore[arg-type]  # they are the base class's
        self._http = H3Connection(self._quic)
        self.status, self.body = b"", b""
        self.done = asyncio.Event()

    def ask(self, authority: str, path: str) -> None:
        pseudo = [(b":method", b"GET"), (b":scheme", b"https"), (b":authority", authority.encode())]
        self._http.send_headers(
            self._quic.get_next_available_stream_id(), [*pseudo, (b":path", path.encode())], end_stream=True
        )
        self.transmit()

    def quic_event_received(self, event: QuicEvent) -> None:
        for each in self._http.handle_event(event):
            self._saw(each)

    def _saw(self, event: H3Event) -> None:
        if isinstance(event, HeadersReceived):
            self.status = dict(event.headers)[b":status"]
        if isinstance(event, DataReceived):
            self.body += event.data
        if isinstance(event, HeadersReceived | DataReceived) and event.stream_ended:
            self.done.set()


async def get(port: int, authority: str, path: str) -> tuple[bytes, bytes]:
    """Status and body of an answer."""
    trusting = QuicConfiguration(alpn_protocols=H3_ALPN, is_client=True, verify_mode=ssl.CERT_NONE)
    async with connect(
        "127.0.0.1", port, configuration=trusting, create_protocol=_Client, local_port=0
    ) as client:
        assert isinstance(client, _Client)
        client.ask(authority, path)
        await asyncio.wait_for(client.done.wait(), PATIENCE)
        return client.status, client.body

"""A server that answers and hangs up while it is being written to."""

import asyncio
import socket
from types import SimpleNamespace
from typing import cast

import pytest
from mitmproxy.connection import Server
from mitmproxy.proxy.events import DataReceived, Event
from mitmproxy.proxy.server import ConnectionHandler

from addons.mitm.last_bytes import keep_last_words

ANSWER = b"HTTP/1.1 413 Too Large\r\n\r\n"
PATIENCE = 10.0


class Handler:
    """Its one connection, and what it is told of that."""

    def __init__(self, connection: Server, *streams: object) -> None:
        reader, writer = streams
        self.transports = {connection: SimpleNamespace(reader=reader, writer=writer)}
        self.told: list[bytes] = []

    async def server_event(self, event: Event) -> None:
        assert isinstance(event, DataReceived)
        self.told.append(event.data)


async def lost(*, kept: bool, first: bytes = b"") -> list[bytes]:
    """What the layers are told where a write finds that the server has answered, with bytes of ours unread,
    and gone. `first`: what of its answer had been read from the socket before."""
    with socket.create_server(("127.0.0.1", 0)) as server:
        reader, writer = await asyncio.open_connection(*server.getsockname())
        connection = Server(address=server.getsockname())
        handler = Handler(connection, reader, writer)
        if kept:
            keep_last_words(cast(ConnectionHandler, handler), connection)
            keep_last_words(cast(ConnectionHandler, handler), connection)
        peer, _ = server.accept()
        writer.write(b"unread")
        peer.recv(1)
        reader.feed_data(first)
        peer.sendall(ANSWER)
        peer.close()  # no turn of the event loop since the answer: nobody has read it
        writer.write(b"more")
        with pytest.raises(ConnectionError):
            await asyncio.wait_for(reader.read(), PATIENCE)
        writer.close()
    return handler.told


async def test_what_had_arrived_is_told_before_the_end() -> None:
    assert await lost(kept=True) == [ANSWER]


async def test_behind_what_waited_in_the_reader() -> None:
    assert b"".join(await lost(kept=True, first=b"HTTP/1.1 100 Continue\r\n\r\n")).endswith(ANSWER)


async def test_it_is_lost_without() -> None:
    assert await lost(kept=False) == []


def test_a_connection_that_is_gone_is_left() -> None:
    handler = SimpleNamespace(transports={})
    keep_last_words(cast(ConnectionHandler, handler), Server(address=("127.0.0.1", 9)))

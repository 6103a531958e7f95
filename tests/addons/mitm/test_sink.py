"""What a responder writes, on its way into the layers."""

import asyncio
from itertools import pairwise
from typing import cast

from mitmproxy import options
from mitmproxy.proxy.context import Context
from mitmproxy.proxy.events import Event
from mitmproxy.proxy.server import ConnectionHandler
from mitmproxy.test import tflow

from addons.mitm.sink import LARGEST_PUSH, Push, Sink


class Stream:
    """A stream over HTTP/1.1 whose client takes everything."""

    def __init__(self) -> None:
        self.flow = tflow.tflow()
        self.context = Context(self.flow.client_conn, options.Options())


class Handler:
    """Notes what comes."""

    def __init__(self) -> None:
        self.transports: dict[object, object] = {}
        self.seen: list[object] = []

    async def server_event(self, event: Event) -> None:
        assert isinstance(event, Push)
        self.seen.append(event.message)


async def test_after_each_piece_of_a_long_answer_others_have_their_turn() -> None:
    handler = Handler()
    sink = Sink(Stream(), cast(ConnectionHandler, handler))
    await sink.start(200, b"OK", [])
    handler.seen.clear()
    body = bytes(range(256)) * (LARGEST_PUSH // 128) + b"end"

    async def other() -> None:
        while len(b"".join(piece for piece in handler.seen if isinstance(piece, bytes))) < len(body):
            handler.seen.append("another's turn")
            await asyncio.sleep(0)

    async with asyncio.TaskGroup() as group:
        group.create_task(sink.send(body))
        group.create_task(other())
    pieces = [piece for piece in handler.seen if isinstance(piece, bytes)]
    assert (b"".join(pieces), [len(piece) for piece in pieces]) == (body, [LARGEST_PUSH, LARGEST_PUSH, 3])
    at = [index for index, piece in enumerate(handler.seen) if isinstance(piece, bytes)]
    assert all(after - before > 1 for before, after in pairwise(at))


async def test_a_short_one_is_one_write() -> None:
    handler = Handler()
    sink = Sink(Stream(), cast(ConnectionHandler, handler))
    await sink.start(200, b"OK", [])
    handler.seen.clear()
    await sink.send(b"x" * LARGEST_PUSH)
    assert handler.seen == [b"x" * LARGEST_PUSH]

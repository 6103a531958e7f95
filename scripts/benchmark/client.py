"""A client that costs little: sends a call, looks for the first token and for the end, and parses nothing."""

import asyncio
import time
from contextlib import suppress
from typing import Self

from scripts.benchmark.loads import Bulk, Load, request_body
from scripts.benchmark.ways import Door

_OK = b"HTTP/1.1 200"
_TOKEN = b" token"
_END = b"\r\n0\r\n\r\n"
_HEAD = (
    "POST /v1/chat/completions HTTP/1.1\r\nHost: {host}\r\nAuthorization: Bearer sk-client-0123456789\r\n"
    "Content-Type: application/json\r\nAccept: application/json\r\nUser-Agent: benchmark\r\n"
    "Content-Length: {length}\r\n\r\n"
)


class Client:
    """One connection, kept alive: `async with await Client.connect(door) as client`."""

    def __init__(self, door: Door, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self._host = door.host
        self._reader, self._writer = reader, writer

    @classmethod
    async def connect(cls, door: Door) -> Self:
        reader, writer = await asyncio.open_connection("127.0.0.1", door.port)
        if door.tunnel:
            writer.write(f"CONNECT {door.tunnel} HTTP/1.1\r\nHost: {door.tunnel}\r\n\r\n".encode())
            await reader.readuntil(b"\r\n\r\n")
        if door.trust:
            await writer.start_tls(door.trust, server_hostname=door.host)
        return cls(door, reader, writer)

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(self, *_: object) -> None:
        self._writer.transport.abort()
        with suppress(OSError):
            await self._writer.wait_closed()  # else a proxy that is stopped next still has a client

    async def call(self, load: Load, bulk: Bulk) -> float:
        """Send one call and read its answer to the end: seconds until its first token.

        Raises RuntimeError if it is no answer or breaks off.
        """
        began = time.perf_counter()
        tail = await self.begin(load, bulk)
        while _TOKEN not in tail:
            tail += await self.read()
        first = time.perf_counter() - began
        while not tail.endswith(_END):
            tail = (tail + await self.read())[-len(_END) :]
        return first

    async def begin(self, load: Load, bulk: Bulk) -> bytes:
        """Send one call and read until its answer begins; all that came."""
        body = request_body(load, bulk)
        self._writer.write(_HEAD.format(host=self._host, length=len(body)).encode() + body)
        seen = await self.read()
        if not seen.startswith(_OK):
            raise RuntimeError(f"not an answer: {seen[:300]!r}")
        return seen

    async def read(self) -> bytes:
        """What has come since. Raises RuntimeError at the end."""
        data = await self._reader.read(1 << 16)
        if not data:
            raise RuntimeError("the answer broke off")
        return data

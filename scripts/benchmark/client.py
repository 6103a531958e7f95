"""A client that costs little: sends a call, looks for the first token and for the end, and parses nothing."""

import asyncio
import time
from dataclasses import dataclass
from typing import Self

from scripts.benchmark.provider import Load, request_body
from scripts.benchmark.targets import Target

_OK = b"HTTP/1.1 200"
_TOKEN = b" token"
_END = b"\r\n0\r\n\r\n"
_HEAD = (
    "POST /v1/chat/completions HTTP/1.1\r\nHost: {host}\r\nAuthorization: Bearer sk-client-0123456789\r\n"
    "Content-Type: application/json\r\nAccept: application/json\r\nUser-Agent: benchmark\r\n"
    "Content-Length: {length}\r\n\r\n"
)


@dataclass(frozen=True, slots=True)
class Seen:
    """One answer: seconds to its first token and to its end, and in how many reads it came."""

    first_token: float
    whole: float
    reads: int


class Client:
    """One connection, kept alive: `async with await Client.connect(target) as client`."""

    def __init__(self, target: Target, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self._host = target.host
        self._reader, self._writer = reader, writer

    @classmethod
    async def connect(cls, target: Target) -> Self:
        reader, writer = await asyncio.open_connection("127.0.0.1", target.port)
        if target.tunnel:
            writer.write(f"CONNECT {target.authority} HTTP/1.1\r\nHost: {target.authority}\r\n\r\n".encode())
            await reader.readuntil(b"\r\n\r\n")
        await writer.start_tls(target.trust, server_hostname=target.host)
        return cls(target, reader, writer)

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(self, *_: object) -> None:
        self._writer.transport.abort()

    async def call(self, load: Load) -> Seen:
        """Send one call and read its answer to the end. Raises RuntimeError if it is none or breaks off."""
        began = time.perf_counter()
        tail = await self.first_token(load)
        first, reads = time.perf_counter() - began, 1
        while not tail.endswith(_END):
            data = await self._read()
            tail = (tail + data)[-len(_END) :]
            reads += 1
        return Seen(first, time.perf_counter() - began, reads)

    async def first_token(self, load: Load) -> bytes:
        """Send one call and read until its first token; all that came."""
        body = request_body(load)
        self._writer.write(_HEAD.format(host=self._host, length=len(body)).encode() + body)
        seen = b""
        while _TOKEN not in seen:
            seen += await self._read()
            if not seen.startswith(_OK):
                raise RuntimeError(f"not an answer: {seen[:300]!r}")
        return seen

    async def _read(self) -> bytes:
        data = await self._reader.read(1 << 16)
        if not data:
            raise RuntimeError("the answer broke off")
        return data

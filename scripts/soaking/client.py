"""Clients that come and go: they read all, read slowly, or leave in the middle."""

import asyncio
import json
import ssl
from collections import Counter
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass, field
from random import Random
from typing import Self

import h11

from scripts.soaking.faults import FAULTS
from scripts.soaking.judging import Check

PLACES = {
    "openai_chat": ("api.openai.com", "/v1/chat/completions"),
    "openai_responses": ("api.openai.com", "/v1/responses"),
    "anthropic_messages": ("api.anthropic.com", "/v1/messages"),
    "gemini_generate": (
        "generativelanguage.googleapis.com",
        "/v1beta/models/{model}:streamGenerateContent?alt=sse",
    ),
    "ollama_chat": ("ollama.com", "/api/chat"),
}
WAYS = ("reads", "reads", "reads", "reads slowly", "leaves at once", "leaves inside")
PATIENCE = 60.0
"""Seconds for one answer; rotator's timers are far shorter."""


@dataclass(slots=True)
class Tally:
    """What came of all calls: how many by their kind of end, and what was wrong with any."""

    ends: Counter[str] = field(default_factory=Counter)
    failures: list[str] = field(default_factory=list)

    @property
    def calls(self) -> int:
        return self.ends.total()


class Broken(Exception):
    """The answer broke off, or is not HTTP."""


class Connection:
    """One connection through the proxy's tunnel."""

    def __init__(
        self, host: str, port: int, reader: asyncio.StreamReader, writer: asyncio.StreamWriter
    ) -> None:
        """`port`: our own, which a writer that is closed does not know any more."""
        self.host, self.port, self._reader, self._writer = host, port, reader, writer
        self._http = h11.Connection(h11.CLIENT, max_incomplete_event_size=1 << 20)

    @classmethod
    async def open(
        cls, port: int, host: str, trust: ssl.SSLContext, bound: Callable[[int], None] = lambda _: None
    ) -> Self:
        """`bound` gets its own port, before anything is said."""
        reader, writer = await asyncio.open_connection("127.0.0.1", port)
        own: int = writer.get_extra_info("sockname")[1]
        bound(own)
        try:
            writer.write(f"CONNECT {host}:443 HTTP/1.1\r\nHost: {host}:443\r\n\r\n".encode())
            await reader.readuntil(b"\r\n\r\n")
            await writer.start_tls(trust, server_hostname=host)
        except BaseException:
            writer.transport.abort()
            raise
        return cls(host, own, reader, writer)

    def ask(self, path: str, body: bytes) -> None:
        headers = [("Host", self.host), ("Authorization", "Bearer own"), ("Content-Length", str(len(body)))]
        head = self._http.send(h11.Request(method="POST", target=path, headers=headers))
        data = self._http.send(h11.Data(body))
        self._writer.write((head or b"") + (data or b"") + (self._http.send(h11.EndOfMessage()) or b""))

    async def next(self, pause: float) -> h11.Response | h11.Data | h11.EndOfMessage:
        """The next piece of the answer; `pause`: seconds of rest before each read. Raises Broken."""
        while True:
            try:
                event = self._http.next_event()
            except h11.RemoteProtocolError as fault:
                raise Broken(str(fault)) from fault
            if event is h11.NEED_DATA:
                await asyncio.sleep(pause)
                self._http.receive_data(await self._read())
            elif isinstance(event, h11.Response | h11.Data | h11.EndOfMessage):
                return event
            else:
                raise Broken(f"{event!r} inside an answer")

    async def _read(self) -> bytes:
        try:
            return await self._reader.read(1 << 16)
        except OSError as fault:
            raise Broken(str(fault)) from fault

    def again(self) -> bool:
        """Make ready for another call; False if the connection ends here."""
        with suppress(h11.LocalProtocolError):
            self._http.start_next_cycle()
            return True
        return False

    @property
    def closed(self) -> bool:
        """Whether the other side has closed it."""
        return self._reader.at_eof() or self._writer.transport.is_closing()

    def leave(self) -> None:
        self._writer.transport.abort()


class Worker:
    """One of the many at once: call after call, on a connection as long as it lasts."""

    def __init__(self, port: int, trust: ssl.SSLContext, check: Check, tally: Tally, seed: int) -> None:
        self._port, self._trust, self._check, self._tally = port, trust, check, tally
        self._random = Random(seed)
        self._connection: Connection | None = None

    async def run(self, over: asyncio.Event) -> None:
        while not over.is_set():
            protocol, model, way = (
                self._random.choice(names) for names in (list(PLACES), list(FAULTS), WAYS)
            )
            try:
                async with asyncio.timeout(PATIENCE):
                    await self._call(protocol, model, way)
            except (Broken, TimeoutError, OSError) as fault:
                self._tally.failures.append(f"{protocol} {model}, a client that {way}: {fault!r}")
                self._leave()
        self._leave()

    async def _call(self, protocol: str, model: str, way: str) -> None:
        host, path = PLACES[protocol]
        connection = await self._connected(host)
        body = {
            "model": model,
            "max_tokens": 64,
            "stream": True,
            "messages": [],
            "input": "hi",
            "contents": [],
        }
        connection.ask(path.format(model=model), json.dumps(body).encode())
        if way == "leaves at once":
            await asyncio.sleep(self._random.random() * 0.1)
            self._end("left", leave=True)
            return
        await self._answer(connection, protocol, model, way)

    async def _answer(self, connection: Connection, protocol: str, model: str, way: str) -> None:
        pause = 0.05 if way == "reads slowly" else 0.0
        stays = self._random.randrange(1, 8) if way == "leaves inside" else 1 << 30
        head, data = await connection.next(pause), bytearray()
        while isinstance(event := await connection.next(pause), h11.Data):
            data += event.data
            stays -= 1
            if not stays:
                self._end("left", leave=True)
                return
        status = head.status_code if isinstance(head, h11.Response) else 0
        if wrong := self._check(protocol, status, bytes(data)):
            self._tally.failures.append(f"{protocol} {model}: {wrong}")
        self._end("answered" if status == 200 else f"refused {status}", leave=not connection.again())

    async def _connected(self, host: str) -> Connection:
        if self._connection is None or self._connection.host != host or self._random.random() < 0.1:
            self._leave()
            self._connection = await Connection.open(self._port, host, self._trust)
        return self._connection

    def _end(self, how: str, *, leave: bool) -> None:
        self._tally.ends[how] += 1
        if leave:
            self._leave()

    def _leave(self) -> None:
        if self._connection is not None:
            self._connection.leave()
            self._connection = None

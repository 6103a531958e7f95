"""The fake provider: a real server on loopback that answers, or misbehaves, as scripted."""

import asyncio
import itertools
import ssl
import tempfile
from collections.abc import Callable, Coroutine
from pathlib import Path
from types import TracebackType
from typing import Any, Self

from tests.vendor.authority import Authority
from tests.vendor.defaults import default_answer
from tests.vendor.http1 import Head, MalformedRequest, Received, credential_of, read_body, read_head
from tests.vendor.player import Gate, Line, Player
from tests.vendor.queues import Queue, Queues
from tests.vendor.script import Answer

_BAD_REQUEST = b"HTTP/1.1 400 Bad Request\r\nconnection: close\r\ncontent-length: 0\r\n\r\n"
# How long the server waits for the client's part of a TLS close, in seconds. What a slow client has not taken
# by then is thrown away, so that this bounds how slow one may be.
_TLS_GOODBYE = 20.0


class Vendor:
    """`async with Vendor() as vendor:` - script it with `on` and `reply`, ask it what it saw.

    tls: False for plain HTTP, True for an authority of its own, or one that several vendors share.
    default: answers what no queue has an answer for.
    patience: seconds after which a `wait_...` raises TimeoutError; it bounds a failing test, no passing one.
    """

    requests: list[Received]

    def __init__(
        self,
        *,
        tls: bool | Authority = False,
        port: int = 0,
        default: Callable[[Received], Answer] = default_answer,
        patience: float = 10.0,
    ) -> None:
        self._tls = tls
        self._wanted_port = port
        self._default = default
        self._patience = patience
        self._queues = Queues()
        self._gates: dict[str, Gate] = {}
        self._lines: set[Line] = set()
        self._conversations: list[asyncio.Task[None]] = []
        self._connections = itertools.count(1)
        self._changed = asyncio.Event()
        self.requests = []

    async def __aenter__(self) -> Self:
        self._loop = asyncio.get_running_loop()
        self._directory = tempfile.TemporaryDirectory(prefix="vendor-")
        context = self._context()
        goodbye = _TLS_GOODBYE if context else None
        self._server = await self._loop.create_server(
            self._line, "127.0.0.1", self._wanted_port, ssl=context, ssl_shutdown_timeout=goodbye
        )
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._server.close()
        for task in self._conversations:
            task.cancel()
        results = await asyncio.gather(*self._conversations, return_exceptions=True)
        for line in self._lines:
            line.writer.transport.abort()
        await self._until(lambda: not self._lines)
        self._directory.cleanup()
        # A fault of the fake itself fails the test that used it, unless that has failed already.
        faults = [result for result in results if isinstance(result, Exception)]
        if faults and error is None:
            raise faults[0]

    @property
    def port(self) -> int:
        """The port it listens on."""
        port: int = self._server.sockets[0].getsockname()[1]
        return port

    @property
    def base_url(self) -> str:
        """Scheme, 127.0.0.1 and port; no trailing slash."""
        return f"{'https' if self._tls else 'http'}://127.0.0.1:{self.port}"

    @property
    def ca_path(self) -> Path:
        """The PEM file to trust; it is gone with the vendor."""
        return self.authority.ca_path

    @property
    def open_connections(self) -> int:
        """How many connections are open now."""
        return len(self._lines)

    def on(self, key: str | None = None, path: str | None = None) -> Queue:
        """The queue for a credential (bare key), a path, or both."""
        return self._queues.on(key, path)

    def reply(self, answer: Answer, times: int = 1) -> Queue:
        """Queue an answer for any request that no narrower queue answers."""
        return self.on().reply(answer, times)

    def always(self, answer: Answer) -> Queue:
        """The answer to every request that no queue answers otherwise."""
        return self.on().always(answer)

    def release(self, gate: str) -> None:
        """Open a gate for good; safe from any thread, and before an answer has reached it."""
        self._loop.call_soon_threadsafe(self._gate(gate).released.set)

    async def wait_gate(self, gate: str) -> None:
        """Until an answer waits at `WaitFor(gate)`: all before it is on the wire."""
        async with asyncio.timeout(self._patience):
            await self._gate(gate).reached.wait()

    async def wait_requests(self, count: int) -> list[Received]:
        """Until that many requests have come in whole; returns all of them."""
        await self._until(lambda: len(self.requests) >= count)
        return self.requests

    async def wait_idle(self) -> None:
        """Until no connection is open."""
        await self._until(lambda: not self._lines)

    def _context(self) -> ssl.SSLContext | None:
        match self._tls:
            case False:
                return None
            case True:
                self.authority = Authority(Path(self._directory.name))
            case Authority():
                self.authority = self._tls
        return self.authority.server_context()

    def _gate(self, name: str) -> Gate:
        return self._gates.setdefault(name, Gate())

    def _notify(self) -> None:
        # Everybody who waits now is woken; whoever waits later waits on a new event.
        changed, self._changed = self._changed, asyncio.Event()
        changed.set()

    async def _until(self, condition: Callable[[], bool]) -> None:
        async with asyncio.timeout(self._patience):
            while not condition():
                await self._changed.wait()

    def _line(self) -> Line:
        return Line(self._opened, self._lost)

    def _opened(self, line: Line) -> None:
        self._lines.add(line)
        self._conversations.append(self._loop.create_task(self._converse(line)))
        self._notify()

    def _lost(self, line: Line) -> None:
        self._lines.discard(line)
        self._notify()

    async def _converse(self, line: Line) -> None:
        number = next(self._connections)
        try:
            while not line.closed:
                await self._exchange(line, number)
        except (asyncio.IncompleteReadError, ConnectionError):
            pass  # the client left between requests or inside one
        except MalformedRequest:
            line.writer.write(_BAD_REQUEST)
        finally:
            line.fin()

    async def _exchange(self, line: Line, connection: int) -> None:
        head = await read_head(line.reader)
        if (head.header("expect") or "").lower() == "100-continue":
            await line.write(b"HTTP/1.1 100 Continue\r\n\r\n")
        received = self._record(head, await read_body(line.reader, head), connection)
        answer = self._queues.take(received) or self._default(received)
        try:
            await _unless_gone(line, Player(line, self._gate, received).play(answer))
        finally:
            # A write that fails closes the line a moment before the loop says that the client is gone.
            if (line.gone.is_set() or line.closed) and not received.complete:
                received.closed_by_client.set()
            received.finished.set()
            self._notify()

    def _record(self, head: Head, body: bytes, connection: int) -> Received:
        number = len(self.requests) + 1
        credential = credential_of(head)
        received = Received(number, connection, head.method, head.target, head.headers, body, credential)
        self.requests.append(received)
        self._notify()
        return received


async def _unless_gone(line: Line, playing: Coroutine[Any, Any, None]) -> None:
    """Play until the end or until the client leaves, whichever is first."""
    play = asyncio.ensure_future(playing)
    gone = asyncio.ensure_future(line.gone.wait())
    try:
        await asyncio.wait({play, gone}, return_when=asyncio.FIRST_COMPLETED)
    finally:
        gone.cancel()
        play.cancel()
    if play.done():
        play.result()

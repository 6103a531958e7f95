"""Asking an Upstream, and the servers and proxies on loopback that misbehave byte by byte."""

import asyncio
import contextlib
import ssl
from collections.abc import AsyncGenerator, AsyncIterator, Awaitable, Callable

from addons.upstream.client import Upstream
from addons.upstream.events import Closed, Data, Sent, Started, UpstreamEvent, events
from addons.upstream.failure import Cause, CauseKind
from addons.upstream.network import tls_context
from addons.upstream.way import way
from protocols.model.http import Head, Headers, UpstreamRequest, parsed
from tests.vendor import Authority, Vendor

type Events = AsyncGenerator[UpstreamEvent]
type Handler = Callable[[asyncio.StreamReader, asyncio.StreamWriter], Awaitable[None]]

PATIENCE = 10.0
HEADERS = (("Host", "127.0.0.1"), ("Content-Type", "application/json"))


def trusting(authority: Authority) -> ssl.SSLContext:
    return tls_context(insecure=False, ca_file=str(authority.ca_path), ca_dir=None)


def through(authority: Authority, proxy: str = "") -> Upstream:
    return Upstream(way(proxy, trusting(authority)))


def asking(method: str, url: str, headers: Headers = (), body: bytes = b"") -> UpstreamRequest:
    base = "/".join(url.split("/", 3)[:3])
    target = url.removeprefix(base) or "/"
    return UpstreamRequest(parsed(base), method, target.encode(), headers, body)


def post(url: str, body: bytes = b"{}", **headers: str) -> UpstreamRequest:
    return asking("POST", url, (*HEADERS, *headers.items()), body)


def attempt(
    upstream: Upstream, request: UpstreamRequest, *, fresh: bool = False, connect_timeout: float = 5.0
) -> Events:
    return events(upstream, request, fresh=fresh, connect_timeout=connect_timeout)


async def collect(events: AsyncIterator[UpstreamEvent]) -> list[UpstreamEvent]:
    async with asyncio.timeout(PATIENCE):
        return [event async for event in events]


async def until(events: Events, last: type[Sent] | type[Started] | type[Data]) -> list[UpstreamEvent]:
    """The events up to the next one of that type; the others are still to come."""
    got: list[UpstreamEvent] = []
    async with asyncio.timeout(PATIENCE):
        async for event in events:
            got.append(event)
            if isinstance(event, last):
                break
    return got


async def call(upstream: Upstream, vendor: Vendor, *, fresh: bool = False) -> list[UpstreamEvent]:
    return await collect(attempt(upstream, post(f"{vendor.base_url}/v1/x"), fresh=fresh))


def body(events: list[UpstreamEvent]) -> bytes:
    return b"".join(event.data for event in events if isinstance(event, Data))


def head(events: list[UpstreamEvent]) -> Head:
    return next(event.head for event in events if isinstance(event, Started))


def cause(events: list[UpstreamEvent]) -> Cause | None:
    """How it ended; checks that events came in their order, and Closed once, at the end."""
    order = [Sent, Started, Data, Closed]
    places = [order.index(type(event)) for event in events]
    assert places == sorted(places)
    assert [sum(type(event) is kind for event in events) for kind in (Sent, Started)] <= [1, 1]
    assert [type(event) is Closed for event in events] == [False] * (len(events) - 1) + [True]
    last = events[-1]
    assert isinstance(last, Closed)
    return last.cause


def kind(events: list[UpstreamEvent]) -> CauseKind | None:
    found = cause(events)
    return None if found is None else found.kind


@contextlib.asynccontextmanager
async def listening(handler: Handler, authority: Authority | None = None) -> AsyncIterator[int]:
    """A bare server on loopback, in TLS with an authority; gives its port. All is closed at the end."""
    tasks: set[asyncio.Task[None]] = set()

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        task = asyncio.current_task()
        assert task is not None
        tasks.add(task)
        try:
            await handler(reader, writer)
        except (asyncio.IncompleteReadError, ConnectionError, asyncio.CancelledError):
            pass
        finally:
            writer.transport.abort()

    tls = None if authority is None else authority.server_context()
    server = await asyncio.start_server(serve, "127.0.0.1", 0, ssl=tls)
    try:
        yield server.sockets[0].getsockname()[1]
    finally:
        server.close()
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks)


def silence_until(left: asyncio.Event) -> Handler:
    """Read and say nothing; set `left` when the client closes."""

    async def handle(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        with contextlib.suppress(ConnectionError):
            await reader.read()
        left.set()

    return handle


@contextlib.asynccontextmanager
async def proxying(serve: Handler) -> AsyncIterator[tuple[str, list[bytes]]]:
    """A proxy on loopback that continues as `serve` once it has read a head: its URL, and those heads."""
    heads: list[bytes] = []

    async def handle(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        heads.append(await reader.readuntil(b"\r\n\r\n"))
        await serve(reader, writer)

    async with listening(handle) as port:
        yield f"http://user:word@127.0.0.1:{port}", heads


def tunnelling(port: int) -> contextlib.AbstractAsyncContextManager[tuple[str, list[bytes]]]:
    """A proxy that connects everybody to this port of 127.0.0.1."""

    async def tunnel(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        far_reader, far_writer = await asyncio.open_connection("127.0.0.1", port)
        writer.write(b"HTTP/1.1 200 Connection established\r\n\r\n")
        try:
            await asyncio.gather(pump(reader, far_writer), pump(far_reader, writer))
        finally:
            far_writer.transport.abort()

    return proxying(tunnel)


def answering(answer: bytes) -> contextlib.AbstractAsyncContextManager[tuple[str, list[bytes]]]:
    """A proxy that gives this one answer to all."""

    async def write(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        writer.write(answer)
        await reader.read()

    return proxying(write)


async def pump(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    while data := await reader.read(65536):
        writer.write(data)
        await writer.drain()
    writer.close()

"""A provider that is away: whoever connects is reset in the TLS handshake, so that nothing was sent."""

import asyncio
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import asynccontextmanager, contextmanager, suppress

from tests.vendor import VendorThread


@contextmanager
def outage(vendor: VendorThread, is_away: Callable[[], bool]) -> Iterator[int]:
    """A port that leads to a vendor with TLS whenever `is_away` says no; it is asked for each connection."""
    door = _door(vendor.port, is_away)
    port = vendor.run(door.__aenter__())
    try:
        yield port
    finally:
        vendor.run(door.__aexit__(None, None, None))


@asynccontextmanager
async def _door(port: int, is_away: Callable[[], bool]) -> AsyncIterator[int]:
    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        if is_away():
            writer.transport.abort()
            return
        there, here = await asyncio.open_connection("127.0.0.1", port)
        await asyncio.gather(_pass_on(reader, here), _pass_on(there, writer))

    server = await asyncio.start_server(serve, "127.0.0.1", 0)
    async with server:
        yield server.sockets[0].getsockname()[1]


async def _pass_on(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    with suppress(ConnectionError):  # whoever leaves need not say so
        while data := await reader.read(1 << 16):
            writer.write(data)
    writer.close()

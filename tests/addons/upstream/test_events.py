"""Events that are asked for; what they say of attempts: test_client.py."""

import asyncio
from collections.abc import AsyncIterator

import pytest

from addons.upstream.client import Upstream
from addons.upstream.events import Closed, Data, Started, events
from tests.addons.asking import PATIENCE, post, through, until
from tests.vendor import Authority, Vendor, WaitFor, streamed, whole


@pytest.fixture
async def upstream(authority: Authority) -> AsyncIterator[Upstream]:
    upstream = through(authority)
    yield upstream
    await upstream.close()


async def test_nothing_more_is_read_while_an_event_waits(upstream: Upstream) -> None:
    large = bytes(20_000_000)
    async with Vendor() as vendor:
        vendor.reply(whole(large))
        coming = events(upstream, post(f"{vendor.base_url}/"), fresh=False, connect_timeout=PATIENCE)
        await until(coming, Started)
        (connection,) = upstream._connections._used
        for _ in range(100):
            await asyncio.sleep(0)
        assert not connection._stream.transport.is_reading()
        got = [event async for event in coming]
    assert sum(len(event.data) for event in got if isinstance(event, Data)) == len(large)
    assert got[-1] == Closed(None)


async def test_closing_it_closes_the_connection(upstream: Upstream) -> None:
    async with Vendor() as vendor:
        vendor.reply(streamed([b"abc"], WaitFor("never")))
        coming = events(upstream, post(f"{vendor.base_url}/"), fresh=False, connect_timeout=PATIENCE)
        await until(coming, Data)
        await coming.aclose()
        await vendor.wait_idle()
    assert upstream._connections._used == set()

"""A provider on loopback, and the client that asks it; a server for state that is shared."""

from collections.abc import AsyncIterator, Iterator

import pytest

from addons.upstream.client import Upstream
from addons.upstream.network import tls_context
from addons.upstream.way import Direct
from tests.redis_server import RedisServer
from tests.vendor import Vendor


@pytest.fixture
async def vendor() -> AsyncIterator[Vendor]:
    async with Vendor() as running:
        yield running


@pytest.fixture
async def upstream() -> AsyncIterator[Upstream]:
    upstream = Upstream(Direct(tls_context(insecure=False, ca_file=None, ca_dir=None)))
    yield upstream
    await upstream.close()


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[RedisServer]:
    """For the tests of a file."""
    with RedisServer(tmp_path_factory.mktemp("redis")) as started:
        yield started


@pytest.fixture
def store(server: RedisServer) -> RedisServer:
    """Without anything in it."""
    server.client().flushall()
    return server

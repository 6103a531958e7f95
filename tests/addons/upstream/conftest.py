"""Real servers to connect to, and what every test of a connection must leave behind: nothing."""

import asyncio
from collections.abc import AsyncIterator

import pytest

from tests.addons.upstream.peer import Peer, open_sockets, serving, until
from tests.vendor import Authority


@pytest.fixture(params=["lazy", "eager"])
async def tasks(request: pytest.FixtureRequest) -> None:
    """As mitmproxy's event loop starts tasks, and as any other does."""
    if request.param == "eager":
        asyncio.get_running_loop().set_task_factory(asyncio.eager_task_factory)


@pytest.fixture
async def nothing_left() -> AsyncIterator[None]:
    """No test leaves a task or an open socket behind."""
    before = open_sockets()
    yield
    await until(lambda: not open_sockets() - before and asyncio.all_tasks() == {asyncio.current_task()})


@pytest.fixture(scope="session")
def authority(tmp_path_factory: pytest.TempPathFactory) -> Authority:
    return Authority(tmp_path_factory.mktemp("authority"))


@pytest.fixture(params=["plain", "tls"])
async def peer(request: pytest.FixtureRequest, authority: Authority) -> AsyncIterator[Peer]:
    async with serving(authority if request.param == "tls" else None) as peer:
        yield peer

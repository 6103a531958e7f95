"""A server for the tests of a file."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.redis_server import RedisServer


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[RedisServer]:
    folder: Path = tmp_path_factory.mktemp("redis")
    with RedisServer(folder) as started:
        yield started


@pytest.fixture
def store(server: RedisServer) -> RedisServer:
    """Without anything in it."""
    server.client().flushall()
    return server

"""A mitmdump with stream_script.py for each file of tests, and its clients."""

import itertools
from collections.abc import Iterator
from http.client import HTTPConnection
from pathlib import Path

import pytest

from tests.addons.mitm.calls import SCRIPT
from tests.addons.mitmdump import H2Client, Mitmdump, plain_client, tls_client

_numbers = itertools.count(1)


@pytest.fixture(scope="module")
def confdir(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("confdir")


@pytest.fixture(scope="module")
def proxy(confdir: Path) -> Iterator[Mitmdump]:
    with Mitmdump(SCRIPT, confdir) as running:
        yield running


@pytest.fixture
def name() -> str:
    return f"call-{next(_numbers)}"


@pytest.fixture(params=["plain", "tls"])
def http1(request: pytest.FixtureRequest, proxy: Mitmdump) -> Iterator[HTTPConnection]:
    """A client in the clear, and one through CONNECT and TLS."""
    client = plain_client(proxy) if request.param == "plain" else tls_client(proxy)
    yield client
    client.close()


@pytest.fixture
def http2(proxy: Mitmdump) -> Iterator[H2Client]:
    client = H2Client(proxy)
    yield client
    client.close()

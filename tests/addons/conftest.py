"""A provider on loopback, and the client that asks it."""

from collections.abc import AsyncIterator

import pytest

from addons.upstream.client import Upstream
from addons.upstream.network import tls_context
from addons.upstream.way import Direct
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

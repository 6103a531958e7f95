"""What the tests of tokens run against."""

from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from addons.upstream.client import Upstream
from addons.upstream.network import tls_context
from addons.upstream.way import Direct
from tests.addons.oauth.places import Place
from tests.rewrite.oauth.logins import CLAUDE, claude_file
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


@pytest.fixture
def place(tmp_path: Path, vendor: Vendor) -> Place:
    place = Place(tmp_path, CLAUDE, vendor)
    place.write(claude_file())
    return place

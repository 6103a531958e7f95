"""A restart of all proxies, one after the other, while clients stream: none of them sees a fault."""

import time
from collections.abc import Iterator

import pytest

from scripts.clustering.cluster import Cluster
from scripts.clustering.report import answered
from scripts.clustering.steady import Steady
from tests.cluster.running import running

STREAMS = 50
"""At once."""


@pytest.fixture(scope="module")
def cluster(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Cluster]:
    with running(tmp_path_factory) as found:
        found.provider.seconds = 0.5
        yield found


def wait_more(load: Steady, calls: int) -> None:
    """Until so many more calls are over."""
    due, end = len(load.clients.seen) + calls, time.monotonic() + 30
    while len(load.clients.seen) < due and time.monotonic() < end:
        time.sleep(0.02)


def test_no_client_sees_a_fault(cluster: Cluster) -> None:
    with Steady(cluster, "rolling", conversing=STREAMS, bounded=0) as load:
        wait_more(load, STREAMS)
        for name, proxy in [*cluster.proxies.items()]:
            cluster.again(name)
            assert proxy.wait_exit() == 0
            assert "not over" not in proxy.log
            wait_more(load, STREAMS)
    check = answered(load.clients.seen, 4 * STREAMS)
    assert check.holds, check.found
    assert {one.proxy for one in cluster.provider.taken()[-100:]} == set(cluster.proxies)

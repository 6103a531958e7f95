"""A cluster for the tests of one file, where its programs are on PATH."""

from collections.abc import Iterator
from contextlib import contextmanager

import pytest

from scripts.clustering.cluster import Cluster
from scripts.clustering.programs import missing


@contextmanager
def running(folders: pytest.TempPathFactory, *, faulty: bool = False) -> Iterator[Cluster]:
    """See `Cluster`. Skips, and says why, where a program is missing."""
    if absent := missing():
        pytest.skip(absent)
    with Cluster(folders.mktemp("cluster"), faulty=faulty) as cluster:
        yield cluster
    for name, proxy in cluster.proxies.items():
        assert "Traceback" not in proxy.log, f"{name}:\n{proxy.log}"

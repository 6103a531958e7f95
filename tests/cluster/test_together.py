"""Three proxies with a real balancer, with the numbers that the provider counts."""

from collections.abc import Iterator

import pytest

from scripts.clustering.__main__ import shown
from scripts.clustering.acts import ACTS
from scripts.clustering.cluster import Cluster
from tests.cluster.running import running

CALLS = {"conversations": 1000, "places": 300, "429": 300, "windows": 300, "login": 30}


@pytest.fixture(scope="module")
def cluster(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Cluster]:
    with running(tmp_path_factory) as found:
        yield found


@pytest.mark.parametrize("act", CALLS)
def test_three_proxies_are_one(cluster: Cluster, act: str, capsys: pytest.CaptureFixture[str]) -> None:
    played = ACTS[act](cluster, CALLS[act], 100)
    wrong = shown(played, [*cluster.proxies], 1.0)
    printed = capsys.readouterr().out
    assert wrong == 0, printed
    assert {one.proxy for one in played.noted} == set(cluster.proxies)
    assert "proxy3" in printed

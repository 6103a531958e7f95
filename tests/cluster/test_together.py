"""Three proxies behind a real balancer, with the numbers that the provider counts."""

from collections.abc import Iterator

import pytest

from scripts.clustering.__main__ import shown
from scripts.clustering.acts import ACTS
from scripts.clustering.cluster import Cluster
from tests.cluster.running import running


@pytest.fixture(scope="module")
def cluster(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Cluster]:
    with running(tmp_path_factory) as found:
        yield found


@pytest.mark.parametrize("act", ["conversations", "places", "429"])
def test_every_client_is_answered_and_each_proxy_did_some_of_it(
    cluster: Cluster, act: str, capsys: pytest.CaptureFixture[str]
) -> None:
    played = ACTS[act](cluster, 200, 40)
    assert played.checks[0].holds, played.checks[0]
    assert {one.proxy for one in played.noted} == set(cluster.proxies)
    shown(played, [*cluster.proxies], 1.0)
    assert "proxy3" in capsys.readouterr().out

"""What clients of several proxies see when a proxy or the store fails."""

from collections.abc import Iterator, Sequence

import pytest

from scripts.clustering.client import Job, Seen
from scripts.clustering.cluster import Cluster
from scripts.clustering.faults import FAULTS, free_again, happen, judged
from scripts.clustering.pools import BOUNDED, KEYS, PLACES
from scripts.clustering.provider import Noted
from tests.cluster.running import running


@pytest.fixture(scope="module")
def cluster(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Cluster]:
    with running(tmp_path_factory, faulty=True) as found:
        yield found


@pytest.mark.thorough
@pytest.mark.parametrize("number", range(len(FAULTS)), ids=[*FAULTS])
def test_no_call_fails_but_those_of_a_proxy_that_is_killed(cluster: Cluster, number: int) -> None:
    happened = happen(cluster, [*FAULTS][number], number)
    assert all(check.holds for check in happened.checks), happened.checks


def seen(source: int, fault: str = "") -> Seen:
    return Seen(Job("h"), 200, fault, "key-0", 0.0, 0.01, 0.02, source)


def noted(key: str, at: float, at_once: int = 1, *, limited: bool = False) -> Noted:
    return Noted(at, "proxy1", BOUNDED, key, "conversation", at_once, limited, at)


def holding(calls: Sequence[Seen], requests: Sequence[Noted]) -> list[bool]:
    return [one.holds for one in judged(calls, requests, frozenset({7}), "key-3")]


def test_a_call_of_another_proxy_may_not_fail_and_a_key_that_rests_is_not_asked_again() -> None:
    rests = noted("key-3", 1.0, limited=True)
    assert holding([seen(7, "lost"), seen(8)], [rests]) == [True, True, True]
    assert holding([seen(8, "lost")], [rests]) == [False, True, True]
    assert holding([seen(8)], [rests, noted("key-3", 9.0, limited=True)]) == [True, False, True]
    assert holding([seen(8)], [rests, noted("key-1", 1.0), noted("key-2", 2.0)]) == [True, True, True]


def test_places_are_free_again_when_each_key_has_all_in_flight() -> None:
    full = [noted(key, 5.0 + number / 10, PLACES) for number, key in enumerate(KEYS.values())]
    assert free_again(full, 1.0).holds
    assert free_again(full, 1.0).found == "after 4.9 s"
    assert not free_again(full[1:], 1.0).holds
    assert not free_again([*full[1:], noted(KEYS["key-0"], 90.0, PLACES)], 1.0).holds

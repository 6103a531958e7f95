"""What a cluster is held to: each check fails where it has to."""

from collections.abc import Sequence

from scripts.clustering.acts import fair, kept, stays, wandered, within
from scripts.clustering.client import Job, Seen
from scripts.clustering.pools import KEYS
from scripts.clustering.provider import Noted
from scripts.clustering.report import answered, checks, proxies


def noted(
    key: str = "key-0", *, at: float = 0.0, proxy: str = "proxy1", of: str = "c", at_once: int = 1
) -> Noted:
    return Noted(at, proxy, "pool", key, of, at_once, limited=False, sent=at)


def limited(at: float, sent: float | None = None) -> Noted:
    return Noted(at, "proxy1", "pool", "key-3", "", 1, limited=True, sent=at if sent is None else sent)


def seen(fault: str = "") -> Seen:
    return Seen(Job("h"), 200, fault, "key-0", 0.0, 0.01, 0.02, 5)


def even(number: int) -> Sequence[Noted]:
    return [noted(name) for name in KEYS for _ in range(number)]


def test_a_conversation_stays_on_one_key_on_whichever_proxy() -> None:
    assert stays([noted(), noted(proxy="proxy2")]).holds
    assert not stays([noted(), noted("key-1")]).holds
    assert wandered([noted(), noted(proxy="proxy2")]).holds
    assert not wandered([noted(), noted()]).holds


def test_shares_are_fair_within_a_tenth() -> None:
    assert fair(even(10)).holds
    assert fair([*even(10), noted()]).holds
    assert not fair([*even(10), noted(), noted()]).holds
    assert not fair([noted("key-1")]).holds


def test_no_key_has_more_in_flight_than_it_may() -> None:
    assert within([noted(at_once=4)], 4).holds
    assert not within([noted(at_once=4), noted(at_once=5)], 4).holds
    assert not within([], 4).holds


def test_a_key_is_left_alone_within_a_tenth_of_a_second_of_its_429() -> None:
    assert kept([limited(1.0), limited(1.09), noted(at=9.0)]).holds
    assert not kept([limited(1.0), limited(1.2)]).holds
    assert kept([limited(1.0), limited(1.2, sent=1.09)]).holds  # it was under way by then
    assert not kept([noted()]).holds


def test_a_client_without_its_whole_answer_is_named() -> None:
    assert answered([seen(), seen()], 2).holds
    assert not answered([seen()], 2).holds
    found = answered([seen(), seen("503 Busy")], 2)
    assert list(checks([found])) == [
        "  calls answered in whole  1 of 2, others: 1 x 503 Busy   <- not as it has to be"
    ]


def test_a_line_for_each_proxy_says_what_it_did() -> None:
    lines = list(proxies([noted(), noted("key-1"), limited(1.0)], ["proxy1", "proxy2"]))
    assert lines[0] == "  proxy1      3 requests,  1 x 429   by key  0:1 1:1 3:1"
    assert "proxy2      0 requests" in lines[1]

"""Bodies of old calls go when there are too many; their flows stay."""

from mitmproxy import http
from mitmproxy.test import tflow

from addons.mitm.messages import request_of
from addons.views.bodies import DROPPED, Bodies
from addons.views.sent import SentRequests, sent_request
from tests.addons.views.watching import LEASE, TARGET, upstream_request


def flow(size: int) -> http.HTTPFlow:
    made = tflow.tflow(resp=True)
    made.request.content, made.comment = b"x" * (size - 7), "ok 1>2"
    return made


def test_the_oldest_lose_their_bodies_and_say_so() -> None:
    bodies, flows = Bodies(SentRequests(), most=2_500), [flow(1_000) for _ in range(3)]
    for each in flows:
        bodies.note(each)
    first, second, third = flows
    assert first.response is not None
    assert (first.request.raw_content, first.response.raw_content) == (None, None)
    assert first.comment == f"ok 1>2\n· {DROPPED}"
    assert None not in (second.request.raw_content, third.request.raw_content)


def test_the_last_one_stays_however_large_it_is() -> None:
    bodies, one = Bodies(SentRequests(), most=10), flow(1_000)
    bodies.note(one)
    assert one.request.raw_content


def test_what_attempts_were_sent_counts_and_goes_too() -> None:
    requests, one = SentRequests(), flow(1_000)
    request = upstream_request(one, b"y" * 1_000)
    requests.note(one, sent_request(1, TARGET, LEASE, request, request_of(one.request)))
    bodies = Bodies(requests, most=2_500)
    bodies.note(one)
    bodies.note(flow(1_000))
    assert requests.of(one) == ()


def test_a_flow_that_the_user_removed_is_passed_over() -> None:
    bodies = Bodies(SentRequests(), most=1_500)
    bodies.note(flow(1_000))  # which nobody holds
    kept = flow(1_000)
    bodies.note(kept)
    assert kept.request.raw_content
